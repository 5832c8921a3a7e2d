/* Numbers for the summary, at a cost that follows the buckets and not the messages. */
#ifndef SPOOL_QUEUE_COUNT_H
#define SPOOL_QUEUE_COUNT_H

#include "spool/store/spool.h"

struct lane_count {
	struct lane lane;
	uint64_t messages[STATE_COUNT + 1]; /* by state; [STATE_CLAIMED] too */
	int64_t oldest;			    /* earliest due among waiting ones; 0: none */
	int64_t next_due;		    /* earliest due among deferred ones; 0: none */
};

struct counts {
	struct lane_count *lanes;
	size_t lane_count;
	uint64_t messages[STATE_COUNT + 1];
	int64_t oldest, next_due;
	size_t runners; /* mailq-run at work now */
};

/*
 * Counts all.  A bucket whose directory has not changed since it was counted last is not listed
 * again: its number stands in the file "count", which is written anew when something changed and
 * the spool can be written.  A directory that changed in the last two seconds is listed and not
 * cached, as its time stamp may not show the next change.  Release with counts_release.
 */
int count_messages(struct spool *spool, struct counts *ret, struct err *err);
void counts_release(struct counts *counts);

/* Whether the runner of this token lives: somebody holds the lock on its journal. */
bool runner_is_at_work(const struct spool *spool, const char *token);

#endif
