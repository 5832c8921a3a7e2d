/* Which account serves which lane in this cycle. */
#ifndef CMD_DELIVER_PLAN_H
#define CMD_DELIVER_PLAN_H

#include "base/err.h"

struct delivery;

/* Gives all lanes with messages to outlets, anew. */
int plan_lanes(struct delivery *d, struct err *err);

#endif
