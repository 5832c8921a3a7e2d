#include "cmd/deliver/plan.h"

#include "cmd/deliver/delivery.h"
#include "cmd/deliver/stay.h"

int
plan_lanes(struct delivery *d, struct err *err)
{
	struct picking picking;
	struct lane_list lanes;

	d->counts.parked = d->counts.unknown = d->counts.suspended = 0;
	for (size_t i = 0; i < d->outlets.n; i++)
		stream_forget(d->outlets.v[i]);
	if (picking_begin(&picking, d, err) < 0)
		return -1;
	if (queue_lanes(d->spool, &lanes, err) < 0) {
		picking_release(&picking);
		return -1;
	}
	for (size_t i = 0; i < lanes.count; i++) {
		struct outlet *outlet;
		struct lane lane;

		if (lane_parse(lanes.names[i], &lane) < 0)
			continue;
		if (suspensions_of_lane(&picking.suspensions, &lane) != NULL) {
			d->counts.suspended++;
			continue;
		}
		outlet = picking_outlet(&picking, &lane);
		if (outlet != NULL)
			stream_add_lane(outlet, lanes.names[i], &lane);
	}
	lane_list_release(&lanes);
	picking_release(&picking);
	stay_look(d);
	return 0;
}
