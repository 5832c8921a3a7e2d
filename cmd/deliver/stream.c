#include "cmd/deliver/stream.h"

#include <string.h>

#include "base/clock.h"
#include "cmd/deliver/delivery.h"

static void
stream_close(struct outlet *outlet, struct stream *stream)
{
	const struct err *fault = stream->queue != NULL ? queue_fault(stream->queue) : NULL;

	/* It was told when it was met. */
	if (fault != NULL)
		delivery_note_unread(outlet->delivery, fault);
	queue_close(&stream->queue);
	stream->ahead = false;
}

void
stream_forget(struct outlet *outlet)
{
	for (size_t i = 0; i < outlet->streams.n; i++) {
		struct stream *stream = &outlet->streams.v[i];

		stream_close(outlet, stream);
		for (size_t j = 0; j < stream->lane_count; j++)
			free(stream->lanes[j]);
		free(stream->lanes);
	}
	free(outlet->streams.v);
	outlet->streams = (struct streams){ 0 };
	outlet->longest = 0;
}

static struct stream *
stream_of(struct outlet *outlet, struct slots *slots)
{
	for (size_t i = 0; i < outlet->streams.n; i++)
		if (outlet->streams.v[i].slots == slots)
			return &outlet->streams.v[i];
	outlet->streams.v =
	    xreallocarray(outlet->streams.v, outlet->streams.n + 1, sizeof *outlet->streams.v);
	outlet->streams.v[outlet->streams.n] = (struct stream){ .slots = slots };
	return &outlet->streams.v[outlet->streams.n++];
}

void
stream_begin(struct outlet *outlet)
{
	stream_of(outlet, NULL);
}

void
stream_add_lane(struct outlet *outlet, const char *name, const struct lane *lane)
{
	/* A lane of a domain that this account does not limit is as any other. */
	struct slots *slots = lane->domain[0] != '\0' ? limited_domain(outlet, lane->domain) : NULL;
	struct stream *stream = stream_of(outlet, slots);

	stream->stale = stream->queue != NULL || stream->exhausted;
	for (size_t i = 0; slots != NULL && i < stream->lane_count; i++)
		if (strcmp(stream->lanes[i], name) == 0)
			return;
	stream->lanes = xreallocarray(stream->lanes, stream->lane_count + 1, sizeof(char *));
	stream->lanes[stream->lane_count++] = xstrdup(name);
}

/* Nothing more comes of it before the next plan, as far as is known. */
static bool
is_empty(const struct stream *stream)
{
	return stream->exhausted && !stream->stale;
}

/* Fills in the next entry; false where there is none. */
static bool
look_ahead(struct outlet *outlet, struct stream *stream)
{
	while (!stream->ahead) {
		if (outlet->delivery->options.ids != NULL) {
			stream->ahead = wanted_next(outlet, &stream->entry);
			stream->exhausted = !stream->ahead;
			return stream->ahead;
		}
		if (stream->queue == NULL) {
			if (is_empty(stream))
				return false;
			stream->exhausted = stream->stale = false;
			stream->queue =
			    queue_open(outlet->delivery->spool, (const char *const *)stream->lanes,
				stream->lane_count, clock_now(), outlet->longest);
		}
		stream->ahead = queue_next(stream->queue, &stream->entry);
		if (!stream->ahead) {
			stream_close(outlet, stream);
			stream->exhausted = true;
		}
	}
	return true;
}

struct stream *
stream_peek(struct outlet *outlet, bool even_full)
{
	struct stream *best = NULL;

	for (size_t i = 0; i < outlet->streams.n; i++) {
		struct stream *stream = &outlet->streams.v[i];

		if ((!even_full && !limited_passes(outlet, stream->slots)) ||
		    !look_ahead(outlet, stream))
			continue;
		if (best == NULL ||
		    message_name_compare(&stream->entry.name, &best->entry.name) < 0)
			best = stream;
	}
	return best;
}

void
stream_pop(struct stream *stream)
{
	stream->ahead = false;
}

bool
stream_waits(struct outlet *outlet, const struct slots *slots)
{
	for (size_t i = 0; i < outlet->streams.n; i++)
		if (outlet->streams.v[i].slots == slots &&
		    look_ahead(outlet, &outlet->streams.v[i]))
			return true;
	return false;
}

bool
stream_left(const struct outlet *outlet)
{
	for (size_t i = 0; i < outlet->streams.n; i++)
		if (!is_empty(&outlet->streams.v[i]) &&
		    limited_passes(outlet, outlet->streams.v[i].slots))
			return true;
	return false;
}

bool
stream_is_ahead(const struct outlet *outlet, const char *text)
{
	for (size_t i = 0; i < outlet->streams.n; i++)
		if (outlet->streams.v[i].ahead && outlet->streams.v[i].entry.text == text)
			return true;
	return false;
}
