/* Which account serves which lane in this cycle, and what comes next for it. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "cmd/deliver.h"
#include "spool/walk.h"

#define CANDIDATES_MAX 16
/* So many accounts that are not configured are warned of, once each. */
#define TOLD_MAX 100

/* True if the account rests.  Also notes that there is an entry to clear. */
static bool
is_parked(struct outlet *outlet)
{
	struct delivery *d = outlet->delivery;
	struct err err = ERR_INIT;
	struct park park;

	if (outlet->faulted)
		return true;
	switch (park_read(d->spool, outlet->account->id, &park, &err)) {
	case 0:
		outlet->was_parked = false;
		return false;
	case 1:
		outlet->was_parked = true;
		/* One that lies further ahead was written before the clock was put back. */
		return !d->options.now && park.until > clock_now() &&
		    park.until <= clock_now() + PARK_MAX;
	default:
		log_warning("%s", err.msg);
		return false;
	}
}

/* Once for each: a watch looks every second. */
static void
tell_unknown(struct delivery *d, const char *name, const struct err *err)
{
	for (size_t i = 0; i < d->told_count; i++)
		if (strcmp(d->told[i], name) == 0)
			return;
	if (d->told_count == TOLD_MAX)
		return;
	d->told = xreallocarray(d->told, d->told_count + 1, sizeof *d->told);
	d->told[d->told_count++] = xstrdup(name);
	log_warning("%s: its messages wait", err->msg);
}

/* The outlet for messages that name this account: the first of its candidates that works. */
static struct outlet *
pick(struct delivery *d, const char *name)
{
	const struct account *candidates[CANDIDATES_MAX];
	struct err err = ERR_INIT;
	int count = settings_resolve(d->settings, name, candidates, CANDIDATES_MAX, &err);

	if (count < 0) {
		d->counts.unknown++;
		tell_unknown(d, name, &err);
		return NULL;
	}
	for (int i = 0; i < count; i++) {
		struct outlet *outlet = outlet_get(d, candidates[i]);

		if (is_parked(outlet))
			continue;
		if (d->options.account != NULL &&
		    strcmp(d->options.account, candidates[i]->id) != 0)
			return NULL;
		return outlet;
	}
	d->counts.parked++;
	return NULL;
}

/* The same, remembering the last answer: neighbouring lanes are mostly of one account. */
static struct outlet *
pick_cached(struct delivery *d, const char *name, char last[LANE_PART_MAX + 1],
    struct outlet **last_outlet)
{
	if (strcmp(name, last) != 0) {
		*last_outlet = pick(d, name);
		snprintf(last, LANE_PART_MAX + 1, "%s", name);
	}
	return *last_outlet;
}

static void
open_queue(struct outlet *outlet)
{
	queue_close(&outlet->queue);
	if (outlet->lane_count > 0)
		outlet->queue = queue_open(outlet->delivery->spool,
		    (const char *const *)outlet->lanes, outlet->lane_count, clock_now());
}

int
plan_lanes(struct delivery *d, struct err *err)
{
	struct lane_list lanes;
	char last[LANE_PART_MAX + 1] = "";
	struct outlet *outlet = NULL;

	d->replan = false;
	d->planned = clock_monotonic();
	d->counts.parked = d->counts.unknown = 0;
	for (size_t i = 0; i < d->outlet_count; i++)
		outlet_forget_lanes(d->outlets[i]);
	if (queue_lanes(d->spool, &lanes, err) < 0)
		return -1;
	for (size_t i = 0; i < lanes.count; i++) {
		struct lane lane;

		if (lane_parse(lanes.names[i], &lane) < 0)
			continue;
		if (pick_cached(d, lane.account, last, &outlet) != NULL)
			outlet_add_lane(outlet, lanes.names[i]);
	}
	lane_list_release(&lanes);
	for (size_t i = 0; i < d->outlet_count; i++)
		open_queue(d->outlets[i]);
	return 0;
}

struct finding {
	struct delivery *d;
	size_t room;
	char last[LANE_PART_MAX + 1];
	struct outlet *outlet;
	bool *found; /* by its number in options.ids */
};

static int
note_wanted(const struct place *place, void *arg)
{
	struct finding *finding = arg;
	struct delivery *d = finding->d;
	char id[ID_TEXT_MAX + 1];
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
	outlet = pick_cached(d, lane.account, finding->last, &finding->outlet);
	if (outlet == NULL)
		return 0;
	if (d->wanted_count == finding->room) {
		finding->room = finding->room > 0 ? 2 * finding->room : 8;
		d->wanted = xreallocarray(d->wanted, finding->room, sizeof *d->wanted);
	}
	d->wanted[d->wanted_count++] = (struct wanted){ .outlet = outlet,
		.state = place->state,
		.lane = xstrdup(place->lane),
		.bucket = xstrdup(place->bucket),
		.text = xstrdup(place->text) };
	return 0;
}

int
plan_wanted(struct delivery *d, struct err *err)
{
	struct walk_filter filter = { .state = STATE_NONE,
		.ids = d->options.ids,
		.id_count = d->options.id_count };
	AUTO_FREE bool *found = xcalloc(d->options.id_count, sizeof *found);
	struct finding finding = { .d = d, .found = found };
	bool first = d->planned == 0;

	d->replan = false;
	d->planned = clock_monotonic();
	plan_release(d);
	if (walk(d->spool, &filter, note_wanted, &finding, err) < 0)
		return -1;
	/* Later on, those that are done are missing too. */
	for (size_t i = 0; first && i < d->options.id_count; i++) {
		if (found[i])
			continue;
		d->counts.missing++;
		log_error("no message \"%s\" in the queue", d->options.ids[i]);
	}
	return 0;
}

void
plan_release(struct delivery *d)
{
	for (size_t i = 0; i < d->wanted_count; i++) {
		free(d->wanted[i].lane);
		free(d->wanted[i].bucket);
		free(d->wanted[i].text);
	}
	free(d->wanted);
	d->wanted = NULL;
	d->wanted_count = 0;
	auto_close_fd(&d->wanted_dir);
}

/* The next of the messages that were asked for by id. */
static bool
next_wanted(struct outlet *outlet, struct queue_entry *entry)
{
	struct delivery *d = outlet->delivery;
	char path[LANE_MAX + TOKEN_SIZE + BUCKET_SIZE + 8];

	for (size_t i = 0; i < d->wanted_count; i++) {
		struct wanted *wanted = &d->wanted[i];

		if (wanted->taken || wanted->outlet != outlet)
			continue;
		wanted->taken = true;
		auto_close_fd(&d->wanted_dir);
		snprintf(path, sizeof path, "%s/%s", wanted->lane, wanted->bucket);
		d->wanted_dir = fs_open_dir(d->spool->states[wanted->state], path);
		if (d->wanted_dir < 0 || message_name_parse(wanted->text, &entry->name) < 0)
			continue; /* it has moved on since */
		entry->lane = wanted->lane;
		entry->dir = d->wanted_dir;
		entry->text = wanted->text;
		return true;
	}
	return false;
}

bool
plan_next(struct outlet *outlet, struct queue_entry *entry)
{
	if (outlet->delivery->options.ids != NULL)
		return next_wanted(outlet, entry);
	if (outlet->queue == NULL)
		return false;
	if (queue_next(outlet->queue, entry))
		return true;
	queue_close(&outlet->queue);
	return false;
}
