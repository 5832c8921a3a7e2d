/* What is kept in the spool for a while only. */
#ifndef CMD_DELIVER_TIDY_H
#define CMD_DELIVER_TIDY_H

#include "base/err.h"

struct delivery;

/* At the end of a cycle: forgets some of what is older than it is kept, once a minute. */
int tidy_spool(struct delivery *d, struct err *err);

#endif
