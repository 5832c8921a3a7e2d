/* Which account sends which of the messages that were asked for by their ids, due or not. */
#ifndef CMD_DELIVER_PLAN_WANTED_H
#define CMD_DELIVER_PLAN_WANTED_H

#include <stdbool.h>

#include "base/err.h"

struct delivery;

/* Finds them; the first time, names and counts those that are not there. */
int plan_wanted(struct delivery *d, bool first, struct err *err);
/* At the end: names all that stay where they are for want of a slot. */
void plan_wanted_tell_left(const struct delivery *d);

#endif
