#include "cmd/deliver/plan_wanted.h"

#include <string.h>

#include "base/log.h"
#include "cmd/deliver/delivery.h"
#include "cmd/deliver/stay.h"
#include "spool/store/walk.h"

struct finding {
	struct delivery *d;
	struct picking picking;
	bool first;  /* later on, what is to be told has been */
	bool *found; /* by its number in options.ids */
};

static void
tell_suspended(const char *id, const struct suspension *suspension)
{
	const char *kind = suspension->kind == SUSPEND_ACCOUNT ? "account " :
	    suspension->kind == SUSPEND_BATCH		       ? "batch " :
								 "all";
	bool reason = suspension->reason[0] != '\0';

	log_warning("%s: not sent: %s%s is suspended%s%s%s", id, kind, suspension->name,
	    reason ? " (" : "", suspension->reason, reason ? ")" : "");
}

static int
note_wanted(const struct place *place, void *arg)
{
	struct finding *finding = arg;
	struct delivery *d = finding->d;
	char id[ID_TEXT_MAX + 1];
	const struct suspension *suspension;
	struct lane lane;
	struct outlet *outlet;

	if (name_decode(place->name.id, id) < 0)
		return 0;
	for (size_t i = 0; i < d->options.id_count; i++)
		if (strcmp(d->options.ids[i], id) == 0)
			finding->found[i] = true;
	if (place->state != STATE_WAITING && place->state != STATE_DEFERRED) {
		log_warning("%s: it is %s", id, state_text(place->state));
		return 0;
	}
	if (lane_parse(place->lane, &lane) < 0)
		return 0;
	suspension = suspensions_of_lane(&finding->picking.suspensions, &lane);
	if (suspension != NULL) {
		if (finding->first)
			tell_suspended(id, suspension);
		return 0;
	}
	outlet = picking_outlet(&finding->picking, &lane);
	if (outlet == NULL)
		return 0;
	stream_begin(outlet);
	wanted_add(outlet, place);
	return 0;
}

int
plan_wanted(struct delivery *d, bool first, struct err *err)
{
	struct walk_filter filter = { .state = STATE_NONE,
		.ids = d->options.ids,
		.id_count = d->options.id_count };
	AUTO_FREE bool *found = xcalloc(d->options.id_count, sizeof *found);
	struct finding finding = { .d = d, .found = found, .first = first };
	int result;

	wanted_release(d);
	for (size_t i = 0; i < d->outlets.n; i++)
		stream_forget(d->outlets.v[i]);
	if (picking_begin(&finding.picking, d, err) < 0)
		return -1;
	result = walk(d->spool, &filter, note_wanted, &finding, err);
	picking_release(&finding.picking);
	if (result < 0)
		return -1;
	stay_look(d);
	/* Later on, those that are done are missing too. */
	for (size_t i = 0; finding.first && i < d->options.id_count; i++) {
		if (found[i])
			continue;
		d->counts.missing++;
		log_error("no message \"%s\" in the queue", d->options.ids[i]);
	}
	return 0;
}

void
plan_wanted_tell_left(const struct delivery *d)
{
	char id[ID_TEXT_MAX + 1];

	for (size_t i = 0; i < d->wanted.n; i++) {
		const struct wanted *wanted = &d->wanted.v[i];
		const struct outlet *outlet = wanted->outlet;
		struct message_name name;
		/* The one that was looked at last is out of the list, and has not gone either. */
		bool waits = !wanted->taken || stream_is_ahead(outlet, wanted->text);

		if (waits && outlet->limits.own != NULL && outlet->limits.own->full &&
		    message_name_parse(wanted->text, &name) == 0 && name_decode(name.id, id) == 0)
			wanted_tell(id, outlet->limits.own);
	}
}
