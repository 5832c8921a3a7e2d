/*
 * The one place where the journal is synced, and the limits: offers of messages that may then be sent, and
 * outcomes of messages that may then be moved, and whose slots go back.
 */
#ifndef CMD_DELIVER_COMMIT_H
#define CMD_DELIVER_COMMIT_H

#include "cmd/deliver/work.h"

struct delivery;

/* commit.c's own. */
struct commit {
	struct work_list offered;  /* claimed; to be sent after the next sync */
	struct work_list settling; /* outcome pending; to be moved after the next sync */
	int64_t settle_by;	   /* monotonic; when the oldest of them must be */
	size_t in_flight;	   /* jobs at the pools */
};

/* A message that may be sent once that is on record: commit_now hands it to its transport. */
void commit_offer(struct work *work);
/* A message whose plan is made: commit_now makes the move. */
void commit_later(struct work *work);
/* Its job has come back from the pool: its outcome goes on record, then as commit_later. */
void commit_done(struct work *work);

/* True if there is an offer, or enough outcomes, or old ones. */
bool commit_is_due(const struct delivery *d);
/* After a fault of the spool (DELIVERY_BROKEN) nothing is sent nor moved: what is in hand stays in cur/, for a
 * recovery to read what is really on disk. */
void commit_now(struct delivery *d);

/* How many wait for commit_now with an outcome; how many are at the pools; whether there is anything at all. */
size_t commit_outcomes(const struct delivery *d);
size_t commit_in_flight(const struct delivery *d);
bool commit_left(const struct delivery *d);
/* Until nothing waits any more: at the end of a run. */
void commit_all(struct delivery *d);

#endif
