/* The messages that were asked for by their ids, due or not. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "cmd/deliver/deliver.h"
#include "spool/store/walk.h"

struct finding {
	struct delivery *d;
	size_t room;
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
	outlet = pick(&finding->picking, &lane);
	if (outlet == NULL)
		return 0;
	stream_begin(outlet);
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
	int result;

	finding.first = d->planned == 0;
	d->replan = false;
	d->planned = clock_monotonic();
	plan_release(d);
	for (size_t i = 0; i < d->outlet_count; i++)
		streams_forget(d->outlets[i]);
	if (picking_begin(&finding.picking, d, err) < 0)
		return -1;
	result = walk(d->spool, &filter, note_wanted, &finding, err);
	picking_release(&finding.picking);
	if (result < 0)
		return -1;
	limited_look(d);
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
	for (size_t i = 0; i < d->outlet_count; i++)
		auto_close_fd(&d->outlets[i]->wanted_dir);
}

bool
wanted_next(struct outlet *outlet, struct queue_entry *entry)
{
	struct delivery *d = outlet->delivery;
	char path[LANE_MAX + TOKEN_SIZE + BUCKET_SIZE + 8];

	for (size_t i = 0; i < d->wanted_count; i++) {
		struct wanted *wanted = &d->wanted[i];

		if (wanted->taken || wanted->outlet != outlet)
			continue;
		wanted->taken = true;
		auto_close_fd(&outlet->wanted_dir);
		snprintf(path, sizeof path, "%s/%s", wanted->lane, wanted->bucket);
		outlet->wanted_dir = fs_open_dir(d->spool->states[wanted->state], path);
		if (outlet->wanted_dir < 0 || message_name_parse(wanted->text, &entry->name) < 0)
			continue; /* it has moved on since */
		entry->lane = wanted->lane;
		entry->dir = outlet->wanted_dir;
		entry->text = wanted->text;
		entry->twin = true; /* perhaps: the walk ends with the first that it finds */
		return true;
	}
	return false;
}

void
wanted_tell(const char *id, const struct slots *slots)
{
	char words[SLOTS_TEXT_SIZE];

	slots_words(slots, words);
	log_warning("%s: not sent: account %s: %s is reached", id, slots->account->id, words);
}

void
wanted_tell_left(const struct delivery *d)
{
	char id[ID_TEXT_MAX + 1];

	for (size_t i = 0; i < d->wanted_count; i++) {
		const struct wanted *wanted = &d->wanted[i];
		const struct outlet *outlet = wanted->outlet;
		struct message_name name;
		/* The one that was looked at last is out of the list, and has not gone either. */
		bool waits = !wanted->taken ||
		    (outlet->stream_count > 0 && outlet->streams[0].ahead &&
			outlet->streams[0].entry.text == wanted->text);

		if (waits && outlet->slots != NULL && outlet->slots->full &&
		    message_name_parse(wanted->text, &name) == 0 && name_decode(name.id, id) == 0)
			wanted_tell(id, outlet->slots);
	}
}
