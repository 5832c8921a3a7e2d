/* Picks outlets for lanes, one after another. */
#ifndef CMD_DELIVER_PICKING_H
#define CMD_DELIVER_PICKING_H

#include "spool/policy/suspend.h"

struct delivery;
struct outlet;

struct picking {
	struct delivery *delivery;
	struct suspensions suspensions;
	struct lane
	    last; /* the answer for it is remembered: neighbours are mostly of one account */
	struct outlet *outlet;
	int64_t longest; /* pause after an attempt, of the accounts in line */
};

/* Unknown accounts that were warned of in this run.  picking.c's own. */
struct news {
	char **told;
	size_t n;
};

/* Reads the suspensions; the pools of suspended accounts stop, others go on.  Release it. */
int picking_begin(struct picking *picking, struct delivery *d, struct err *err);
void picking_release(struct picking *picking);
/* The outlet for messages of this lane, the first of its account's candidates that works; NULL: they
 * wait. */
struct outlet *picking_outlet(struct picking *picking, const struct lane *lane);

void news_release(struct news *news);

#endif
