/* One lock for whoever changes what operators set (rules, accounts, suspensions): read, change and
 * write as one step.  Readers take none: files are replaced, and seen old or new. */
#ifndef SPOOL_POLICY_LOCK_H
#define SPOOL_POLICY_LOCK_H

#include "spool/store/spool.h"

/* Waits for the lock, 10 s at most.  A descriptor that holds it until it is closed (AUTO_FD), or -1
 * with err (EX_TEMPFAIL, EX_IOERR). */
int spool_lock(struct spool *spool, struct err *err);

#endif
