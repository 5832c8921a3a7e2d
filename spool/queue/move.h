/* Giving the messages of one account to another. */
#ifndef SPOOL_QUEUE_MOVE_H
#define SPOOL_QUEUE_MOVE_H

#include "spool/store/spool.h"

/*
 * Moves what stands in the lanes of one account, in all states, to the lanes of another: a lane is one
 * rename where the other account has none of this batch and domain, whatever stands in it; else each of
 * its buckets is, where it came as a batch, and message by message where it is shared.  What a runner has
 * claimed stays with it.  Runs beside adders and runners: they hold directories open, not names, so what
 * they do meanwhile lands in one lane or the other.  Synced when it returns.  -1 with err where it had to
 * stop; what was moved is moved.
 */
int move_account(struct spool *spool, const char *from, const char *to, struct err *err);

#endif
