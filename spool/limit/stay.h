/* Who stays for the next slot of a limit.  Of several mailq-run that find an account at its limit, with
 * a slot coming soon, one waits for it and the others go: a lock of the kernel, on a byte of the
 * limit's file that limit.h does not use for its own. */
#ifndef SPOOL_LIMIT_STAY_H
#define SPOOL_LIMIT_STAY_H

#include "spool/store/spool.h"

/* A descriptor that holds the lock until it is closed, or -1 with err; EX_TEMPFAIL: another has it.  The
 * limit of the account has been used: its file is there. */
int stay_lock(const struct spool *spool, const char *account, struct err *err);

#endif
