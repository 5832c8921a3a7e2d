/* The messages that were asked for by their ids, as plan_wanted has found them. */
#ifndef CMD_DELIVER_WANTED_H
#define CMD_DELIVER_WANTED_H

#include "spool/queue/queue.h"
#include "spool/store/walk.h"

struct delivery;
struct outlet;
struct slots;

struct wanted {
	struct outlet *outlet;
	enum state state;
	char *lane, *bucket, *text;
	bool taken;
};

/* wanted.c's own. */
struct wanted_list {
	struct wanted *v;
	size_t n, room;
};

/* This outlet is to send the message that stands at place. */
void wanted_add(struct outlet *outlet, const struct place *place);
void wanted_release(struct delivery *d);
/* The next for this outlet; false when none is left. */
bool wanted_next(struct outlet *outlet, struct queue_entry *entry);
/* Tells that a message stays where it is for want of a slot. */
void wanted_tell(const char *id, const struct slots *slots);

#endif
