#include "cmd/deliver/stay.h"

#include "base/clock.h"
#include "base/log.h"
#include "cmd/deliver/delivery.h"
#include "smtp/pool.h"
#include "spool/limit/stay.h"

/* A cycle stays for slots that come so soon, in sum: one that is called each minute does not miss its
 * minute by a hair. */
#define STAY_MAX (2 * USEC)
/* It stays for all messages of an account with a pause between them that is no longer. */
#define PAUSE_MAX (60 * USEC)

void
stay_begin(struct delivery *d)
{
	d->stayed = 0;
}

static int
look_at(struct outlet *outlet, struct slots *slots)
{
	if (!slots_look(slots))
		limited_tell(outlet, slots);
	return 0;
}

void
stay_look(struct delivery *d)
{
	lifted_sent(d);
	for (size_t i = 0; i < d->outlets.n; i++) {
		struct outlet *outlet = d->outlets.v[i];

		if (outlet->streams.n > 0 && outlet->limits.own != NULL)
			look_at(outlet, outlet->limits.own);
		for (size_t j = 0; j < outlet->streams.n; j++)
			if (outlet->streams.v[j].slots != NULL)
				look_at(outlet, outlet->streams.v[j].slots);
	}
}

static int
earliest(struct slots *slots, void *arg)
{
	int64_t *next = arg;

	if (slots->full && slots->next > clock_now() && slots->next < *next)
		*next = slots->next;
	return 0;
}

int64_t
stay_next(const struct delivery *d)
{
	int64_t next = INT64_MAX;

	for (size_t i = 0; i < d->outlets.n; i++)
		if (d->outlets.v[i]->streams.n > 0)
			limited_each(d->outlets.v[i], earliest, &next);
	return next;
}

int
stay_until(int64_t time, int max)
{
	int64_t wait = time - clock_now();

	if (wait <= 0)
		return 0;
	return wait / 1000 < max ? (int)((wait + 999) / 1000) : max;
}

/* True where this process is the one that stays for the account: others leave it to it. */
static bool
may_stay(struct outlet *outlet)
{
	struct err err = ERR_INIT;

	if (outlet->limits.stay < 0)
		outlet->limits.stay = stay_lock(outlet->delivery->spool, outlet->account->id, &err);
	if (outlet->limits.stay < 0 && err.code != EX_TEMPFAIL)
		log_warning("%s", err.msg);
	return outlet->limits.stay >= 0;
}

struct staying {
	struct outlet *outlet;
	int64_t until;
	bool pause;
};

static int
consider(struct slots *slots, void *arg)
{
	struct staying *staying = arg;
	struct outlet *outlet = staying->outlet;
	const struct delivery *d = outlet->delivery;
	bool pause =
	    slots_pausing(slots) && outlet->account->min_interval <= PAUSE_MAX && !d->options.watch;

	if (!slots->full || slots->next == 0 || slots->next >= staying->until ||
	    (!pause && slots->next - clock_now() > STAY_MAX - d->stayed))
		return 0;
	if (slots->domain == NULL ? stream_peek(outlet, true) == NULL :
				    !stream_waits(outlet, slots))
		return 0;
	if (!may_stay(outlet))
		return 0;
	staying->until = slots->next;
	staying->pause = pause;
	return 0;
}

/* The time of the next slot to stay for; *ret_pause is true for that of an account's pause, which does not count as
 * waiting. */
static int64_t
next_to_stay_for(struct delivery *d, bool *ret_pause)
{
	struct staying staying = { .until = INT64_MAX };

	for (size_t i = 0; i < d->outlets.n; i++) {
		staying.outlet = d->outlets.v[i];
		if (!outlet_is_done(staying.outlet))
			limited_each(staying.outlet, consider, &staying);
	}
	*ret_pause = staying.pause;
	return staying.until;
}

int
stay_wait(struct delivery *d, struct err *err)
{
	int64_t begun = clock_monotonic(), until;
	bool pause;
	int worked;

	until = next_to_stay_for(d, &pause);
	if (until == INT64_MAX)
		return 0;
	worked = smtp_engine_step(d->engine, stay_until(until, 1000), err);
	if (worked < 0)
		return -1;
	/* Perhaps a wake: somebody has added a message. */
	if (worked > 0 && d->options.ids == NULL)
		delivery_replan(d);
	if (!pause)
		d->stayed += clock_monotonic() - begun;
	return 1;
}

void
stay_end(struct delivery *d)
{
	lifted_sent(d);
	for (size_t i = 0; i < d->outlets.n; i++)
		auto_close_fd(&d->outlets.v[i]->limits.stay);
}
