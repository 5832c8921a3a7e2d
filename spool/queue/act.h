/* What an operator does to messages by hand.  Each is one atomic step and a line in a log. */
#ifndef SPOOL_QUEUE_ACT_H
#define SPOOL_QUEUE_ACT_H

#include "spool/store/walk.h"

enum act {
	ACT_HOLD,    /* waiting, deferred, uncertain, failed -> held */
	ACT_RELEASE, /* held, uncertain -> waiting */
	ACT_RETRY,   /* deferred, uncertain, failed, held -> waiting, due now */
	ACT_DELETE,  /* any but claimed -> gone, and its id is forgotten */
};

struct act_result {
	uint64_t done;
	uint64_t claimed; /* being delivered at this moment: not touched */
	uint64_t unfit;	  /* in a state that the act does not go with (hold a held one) */
	char **missing;	  /* of filter->ids: found nowhere; plain ids */
	size_t missing_count;
};

/* Acts on every message that passes the filter; reason (one line; NULL or "": none) goes into the lines
 * of history, behind who did it.  Renames and log lines are synced before it
 * returns.  -1 with err where it had to stop; what was done is done, and counted. */
int act(struct spool *spool, enum act what, const char *reason, const struct walk_filter *filter,
    struct act_result *ret, struct err *err);
#define ACT_REASON_SIZE 440
/* "by user 0: the customer asked for it", as it stands in history. */
void act_reason(const char *reason, char ret[ACT_REASON_SIZE]);
/* Takes a message (a plain id) that is nowhere else back out of corrupt/: into waiting/, or deferred/ if it is
 * due later, in the lane that its record names.  Only if record, text and attachments are sound, and no
 * history says that it was sent.  reason as for act().  1; 0: there is none; -1 with err:
 * EX_DATAERR (damaged still), EX_UNAVAILABLE (it was sent). */
int act_release_corrupt(struct spool *spool, const char *id, const char *reason, struct err *err);
void act_result_release(struct act_result *result);

#endif
