/*
 * What is due, in the order in which it goes: by priority, and first in, first out within one.
 * Opens no message.  Reads a bucket only when its first message could be next, and none that begins
 * in the future; so the cost follows what is taken, whatever waits behind it.
 */
#ifndef SPOOL_QUEUE_QUEUE_H
#define SPOOL_QUEUE_QUEUE_H

#include "spool/store/spool.h"

/* Names of lane directories, sorted, each once. */
struct lane_list {
	char **names;
	size_t count;
};

/* The lanes in which messages are waiting or deferred (as their directories are named: lane_parse
 * reads them).  Release with lane_list_release. */
int queue_lanes(const struct spool *spool, struct lane_list *ret, struct err *err);
void lane_list_release(struct lane_list *lanes);

struct queue;

struct queue_entry {
	const char *lane; /* as its directory is named */
	int dir;	  /* the bucket; valid until the next call */
	const char *text; /* the name; valid until the next call */
	struct message_name name;
	bool
	    twin; /* the name stands in another bucket of the lane too: see spool/store/twin.h before it is claimed */
};

/*
 * Begins to take from these lanes what is due at an instant.  A queue is a look at one moment:
 * what is added later is seen by the next one.  What a deferral has put off further ahead than longest (the
 * longest pause between two attempts; 0: unknown, any is) was put off by a clock that was wrong, and
 * is due; what a client wants to wait is not.  A lane or bucket that cannot be listed is logged
 * and passed over, so that the others go on.
 */
struct queue *queue_open(const struct spool *spool, const char *const *lanes, size_t lane_count,
    int64_t now, int64_t longest);
/* The next entry; false when there is no more.  Another process may take the message first: its
 * rename then fails with ENOENT. */
bool queue_next(struct queue *queue, struct queue_entry *ret);
/* What could not be listed so far, the first of it: an account of that, or NULL. */
const struct err *queue_fault(const struct queue *queue);
void queue_close(struct queue **queue); /* accepts NULL; for AUTO() too */

#endif
