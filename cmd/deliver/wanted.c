#include "cmd/deliver/wanted.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/fs.h"
#include "base/log.h"
#include "cmd/deliver/delivery.h"

void
wanted_add(struct outlet *outlet, const struct place *place)
{
	struct wanted_list *list = &outlet->delivery->wanted;

	if (list->n == list->room) {
		list->room = list->room > 0 ? 2 * list->room : 8;
		list->v = xreallocarray(list->v, list->room, sizeof *list->v);
	}
	list->v[list->n++] = (struct wanted){ .outlet = outlet,
		.state = place->state,
		.lane = xstrdup(place->lane),
		.bucket = xstrdup(place->bucket),
		.text = xstrdup(place->text) };
}

void
wanted_release(struct delivery *d)
{
	for (size_t i = 0; i < d->wanted.n; i++) {
		free(d->wanted.v[i].lane);
		free(d->wanted.v[i].bucket);
		free(d->wanted.v[i].text);
	}
	free(d->wanted.v);
	d->wanted = (struct wanted_list){ 0 };
	for (size_t i = 0; i < d->outlets.n; i++)
		auto_close_fd(&d->outlets.v[i]->wanted_dir);
}

bool
wanted_next(struct outlet *outlet, struct queue_entry *entry)
{
	struct delivery *d = outlet->delivery;
	char path[LANE_MAX + TOKEN_SIZE + BUCKET_SIZE + 8];

	for (size_t i = 0; i < d->wanted.n; i++) {
		struct wanted *wanted = &d->wanted.v[i];

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
