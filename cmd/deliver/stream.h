/* What comes next for an outlet: its lanes in streams, merged in the order in which messages go. */
#ifndef CMD_DELIVER_STREAM_H
#define CMD_DELIVER_STREAM_H

#include "spool/queue/queue.h"

struct outlet;
struct slots;

/* Lanes of an outlet that are taken from together. */
struct stream {
	struct slots *slots; /* of the domain that they wait for; NULL: the plain lanes */
	char **lanes;
	size_t lane_count;
	struct queue *queue;	  /* NULL: not looked into yet, or exhausted */
	bool exhausted;		  /* until the next plan */
	bool stale;		  /* something was put into its lanes since the queue was opened */
	struct queue_entry entry; /* the next of the queue, if it has been looked at */
	bool ahead;
};

/* stream.c's own.  The first is that of the plain lanes. */
struct streams {
	struct stream *v;
	size_t n;
};

/* It has plain lanes, or ids that were asked for. */
void stream_begin(struct outlet *outlet);
/* The lane is one of this outlet's from now on. */
void stream_add_lane(struct outlet *outlet, const char *name, const struct lane *lane);
/* It has none any more. */
void stream_forget(struct outlet *outlet);

/* The stream whose entry is the next message; NULL where there is none now.  even_full: also of streams
 * whose domain has no slot. */
struct stream *stream_peek(struct outlet *outlet, bool even_full);
/* The entry was taken; another process may have been faster. */
void stream_pop(struct stream *stream);
/* False where nothing is left that could be taken now. */
bool stream_left(const struct outlet *outlet);
/* True where something waits in the lanes of this domain, slot or not. */
bool stream_waits(struct outlet *outlet, const struct slots *slots);
/* True where the entry of this name has been looked at and not taken. */
bool stream_is_ahead(const struct outlet *outlet, const char *text);

#endif
