/*
 * How many recipients are still waited for.  What a bucket holds is kept in memory and counted again when its
 * directory has changed: so the first count opens each message, or each batch once, and the next cost what a
 * summary does.
 */
#ifndef SPOOL_QUEUE_AWAITED_H
#define SPOOL_QUEUE_AWAITED_H

#include "spool/store/spool.h"

struct awaited; /* what was counted; for one thread at a time */

struct awaited *awaited_new(void);
void awaited_free(struct awaited *a); /* accepts NULL */

/* The recipients of all messages that are waiting, deferred, held, uncertain or in hand, but for those that
 * are settled already; 0, or -1 with err.  A message that moves meanwhile may count twice or not at all, and
 * one whose record cannot be read does not count. */
int awaited_count(struct awaited *a, struct spool *spool, uint64_t *ret, struct err *err);

#endif
