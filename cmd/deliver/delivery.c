#include "cmd/deliver/delivery.h"

#include <string.h>

#include "base/log.h"

bool
delivery_stopping(const struct delivery *d)
{
	return *d->stop || d->state != DELIVERY_OPEN;
}

bool
delivery_over(const struct delivery *d)
{
	return delivery_stopping(d) ||
	    (d->options.limit > 0 && d->counts.claimed >= (uint64_t)d->options.limit);
}

void
delivery_close(struct delivery *d, enum delivery_state state)
{
	if (d->state == DELIVERY_OPEN)
		d->state = state;
}

void
delivery_break(struct delivery *d, const struct err *err)
{
	if (d->state == DELIVERY_BROKEN)
		return;
	d->state = DELIVERY_BROKEN;
	d->fault = *err;
}

void
delivery_note_unread(struct delivery *d, const struct err *err)
{
	if (d->unread.code == 0)
		d->unread = *err;
}

void
delivery_unread(struct delivery *d, const char *name, const struct err *err)
{
	struct err told = *err;

	if (strncmp(told.msg, name, strlen(name)) != 0)
		err_prefix(&told, "%s", name);
	log_warning("%s: the message waits", told.msg);
	delivery_note_unread(d, &told);
}

void
delivery_replan(struct delivery *d)
{
	d->replan = true;
}
