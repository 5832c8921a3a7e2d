/*
 * When the limits of this run give the next slot, and whether a cycle with nothing else to do stays for it: for one
 * that comes soon, so that who is called each minute does not miss the minute by a hair; and for all messages of
 * an account with a short pause between them.
 */
#ifndef CMD_DELIVER_STAY_H
#define CMD_DELIVER_STAY_H

#include <stdint.h>

#include "base/err.h"

struct delivery;

/* A cycle begins: it has not stayed yet. */
void stay_begin(struct delivery *d);
/* Looks at the limits of all lanes that were planned. */
void stay_look(struct delivery *d);
/* The time of the next slot that something may wait for; INT64_MAX: none. */
int64_t stay_next(const struct delivery *d);
/* Waits for a slot, a second at the most: what comes in meanwhile is seen.  1; 0: there is none to stay for; -1
 * with err. */
int stay_wait(struct delivery *d, struct err *err);
/* Another may stay. */
void stay_end(struct delivery *d);
/* Milliseconds until a time, at most max. */
int stay_until(int64_t time, int max);

#endif
