/*
 * Limits that the accounts of this run no longer have: what it sends is counted nowhere, and the files of before
 * would not know of it (limit_lift).
 */
#ifndef CMD_DELIVER_LIFTED_H
#define CMD_DELIVER_LIFTED_H

#include <stdbool.h>
#include <stdint.h>

struct delivery;

/* lifted.c's own. */
struct lifting {
	int64_t at;   /* monotonic; the last time; 0: not yet */
	bool pending; /* something has been on its way since */
	int64_t told; /* monotonic; that it did not work; 0: never */
};

/* Something is about to be sent, or has been and is on record. */
void lifted_sending(struct delivery *d);
/* To be called each second, and at the end: works where something was sent meanwhile. */
void lifted_sent(struct delivery *d);

#endif
