/* Finishing what dead runners left. */
#ifndef SPOOL_QUEUE_RECOVER_H
#define SPOOL_QUEUE_RECOVER_H

#include "spool/journal/journal.h"
#include "spool/store/record.h"

#define RECOVER_REASON 200 /* bytes */

struct recover_result {
	unsigned int runners; /* dead ones that were cleaned up */
	unsigned int
	    damaged; /* of these, those whose journal was: all that they had claimed and that has no
				 outcome on record is uncertain */
	uint64_t completed; /* messages whose outcome was on record: its move was made */
	uint64_t put_back;  /* claimed, never on the wire: due again */
	uint64_t uncertain; /* on the wire, no answer on record */
};

/*
 * What follows for an uncertain message of this account: 'r'etry, 'h'old or 'f'ail; and where a retry
 * is what the account says but not left to the message, e'x'hausted or 'e'xpired, which is a failure as
 * well, of that class; reason is why then, for people.  attempts: how many were made, the uncertain one
 * included.  record is NULL where it cannot be read.
 */
typedef char uncertain_policy(const char *account, unsigned int attempts,
    const struct record *record, char reason[RECOVER_REASON], void *arg);

/*
 * Finds directories in cur/ whose journal nobody holds locked, and settles each message in them as
 * its journal says, as far as that can be believed (spool/journal/audit.h); then moves the journal to
 * log/.  A journal that cannot be read for a fault of the disk stays as it is, with its messages.  Linear in what was in flight.  Also rolls dead
 * drafts back.  0, or -1 with err (what could be done is done).
 */
int recover_runners(struct spool *spool, uncertain_policy *policy, void *arg,
    struct recover_result *ret, struct err *err);

/*
 * Removes what a process that died in the middle of a step may have left beside the messages:
 * directories that never got their names (spool_open_lane) and files that were to replace others
 * (partial_write).  What a living process is working on is left, or made again by it.
 */
void recover_unfinished(struct spool *spool);
/* The same for the few files at the top of the spool: any process may have died over them. */
void recover_temporaries(struct spool *spool);

#endif
