/*
 * Totals: how often each thing happened on this spool since it was made, whoever did it.  They follow
 * from the journals alone: the file "totals" says what was summed of them so far, and each reader adds
 * what came since.  So they are right at any moment, also after kill -9, never go back, and outlive
 * the logs that they were summed from.
 *
 *	AUTO(totals_release) struct totals totals = { 0 };
 *	if (totals_read(spool, &totals, &err) < 0) ...
 *
 * Accounts are those that the messages name ("default" where none), not those that were used.
 */
#ifndef SPOOL_JOURNAL_TOTALS_H
#define SPOOL_JOURNAL_TOTALS_H

#include "spool/store/spool.h"

enum total {
	TOTAL_SENT,	    /* messages */
	TOTAL_FAILED,	    /* messages given up */
	TOTAL_DEFERRED,	    /* attempts that were put off; a message may be so often */
	TOTAL_LIMITED,	    /* a limit was reached, or a message refused for it */
	TOTAL_UNCERTAIN,    /* attempts whose outcome was never seen */
	TOTAL_ATTEMPTS,	    /* that ended: with an answer for some recipient, or uncertain */
	TOTAL_BOUNCED_HARD, /* copies that came back: for good */
	TOTAL_BOUNCED_SOFT, /* or for now */
	TOTAL_COUNT
};

/* The latencies of messages that were sent, from their acceptance on, are counted by these bounds:
 * [i] those up to the bound i and above the one before; the last, those above all. */
#define TOTALS_BOUNDS 14
extern const int64_t totals_bounds[TOTALS_BOUNDS]; /* microseconds, ascending */

struct totals_account {
	char encoded[LANE_PART_MAX + 1];
	char account[LANE_PART_MAX + 1]; /* plain */
	uint64_t n[TOTAL_COUNT];
	uint64_t latency[TOTALS_BOUNDS + 1];
	uint64_t latency_sum; /* microseconds */
};

/* More accounts than these are counted together, as TOTALS_OTHER: whatever names messages bear, the
 * lists that are made of them stay short. */
#define TOTALS_ACCOUNTS 1000
#define TOTALS_OTHER "_other"

enum recovered { RECOVERED_COMPLETED, RECOVERED_PUT_BACK, RECOVERED_UNCERTAIN, RECOVERED_COUNT };

struct totals {
	struct totals_account *accounts; /* sorted by encoded */
	size_t account_count;
	uint64_t corrupt;		     /* messages that runners set aside */
	uint64_t recoveries;		     /* runners that died and were cleaned up after */
	uint64_t recovered[RECOVERED_COUNT]; /* messages that these had in hand */
	uint64_t told; /* reports that the application has acknowledged, as far as is on record */
	uint64_t refused; /* that it handed out, and were no messages */
};

/*
 * Brings the totals up to date.  Lines of runners at work that are not on disk yet are synced first:
 * nothing is told that a power cut could take back.  Costs a listing of log/ and what was written
 * since; it is remembered when that was much and the spool can be written.  Any number of processes
 * and threads may call it at once.  0, or -1 with err.  Release in either case.
 */
int totals_read(struct spool *spool, struct totals *ret, struct err *err);
void totals_release(struct totals *totals);

/*
 * Brings the file up to date, durably.  names, which may be NULL, are files in log/ that are about to
 * be forgotten: where they are summed already, nothing is done.  1: what they say is kept; 0: it is
 * not, as another process has been summing for too long, or one of them is still being written; -1
 * with err.
 */
int totals_save(struct spool *spool, const char *const *names, size_t count, struct err *err);

/* The instant at which the file was written last; 0: never. */
int64_t totals_saved(const struct spool *spool);

/* 1 where the file is whole or not there, 0 where it is damaged; -1 with err. */
int totals_check(const struct spool *spool, struct err *err);

#endif
