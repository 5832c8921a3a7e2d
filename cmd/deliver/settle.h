/* The move that follows the outcome of a message, once that is on record and synced. */
#ifndef CMD_DELIVER_SETTLE_H
#define CMD_DELIVER_SETTLE_H

#include "cmd/deliver/work.h"

struct account_domain;

/* Makes the move of work->plan.  The work is freed. */
int settle_work(struct work *work, struct err *err);
/* Moves one that was not offered to the lane in which it waits for this domain, which is named in
 * ret_lane.  The work is freed. */
int settle_aside(struct work *work, const struct account_domain *domain,
    char ret_lane[LANE_MAX + 1], struct err *err);

#endif
