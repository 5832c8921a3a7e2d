#include "cmd/deliver/fill.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "cmd/deliver/delivery.h"
#include "cmd/deliver/outcome.h"
#include "cmd/deliver/prepare.h"
#include "cmd/deliver/remote.h"
#include "cmd/deliver/settle.h"
#include "policy/account.h"
#include "spool/store/twin.h"

/* How many messages are in hand for one outlet at the most: what a crash can leave uncertain after a
 * power cut, and what other runners and operators cannot touch. */
#define WINDOW_MAX 256
#define WINDOW_UNSENT 64
/* But never fewer than this for each connection: one on its way, one that follows at once. */
#define WINDOW_A_CONNECTION 2
/* A window that was used up in less than this doubles; one that took longer than the other halves. */
#define WINDOW_QUICK (100 * INT64_C(1000))
#define WINDOW_SLOW (500 * INT64_C(1000))
/* So many are moved to the lanes of their domains before connections are looked at again. */
#define ASIDES_MAX 64

bool
fill_left(const struct outlet *outlet)
{
	return !outlet_is_done(outlet) && limited_passes(outlet, outlet->limits.own) &&
	    stream_left(outlet);
}

/* The number to have in hand follows how quickly they went last time. */
static void
adjust_window(struct outlet *outlet)
{
	int64_t now = clock_monotonic();
	int64_t took = now - outlet->filled;
	const struct account *account = outlet->account;
	size_t least = account->transport == ACCOUNT_CAPTURE || outlet->unknown != NULL ?
	    WINDOW_UNSENT :
	    (size_t)account->connections * WINDOW_A_CONNECTION;

	if (took < WINDOW_QUICK)
		outlet->window *= 2;
	else if (took > WINDOW_SLOW)
		outlet->window /= 2;
	if (outlet->window > WINDOW_MAX)
		outlet->window = WINDOW_MAX;
	if (outlet->window < least)
		outlet->window = least;
	outlet->filled = now;
}

/* How many more would be taken now. */
static uint64_t
wanted(const struct outlet *outlet)
{
	const struct delivery *d = outlet->delivery;
	int64_t most = outlet->account->batch_size;
	uint64_t n = outlet->window - outlet->in_hand, room = outlets_room(d);

	if (room < n)
		n = room;
	if (most > 0 && d->options.ids == NULL && (uint64_t)(most - outlet->taken) < n)
		n = (uint64_t)(most - outlet->taken);
	if (d->options.limit > 0 && (uint64_t)d->options.limit - d->counts.claimed < n)
		n = (uint64_t)d->options.limit - d->counts.claimed;
	return n;
}

/* There is a slot for the next message of these lanes, or it fails (*ret_beyond).  False: it waits. */
static bool
may_take(struct outlet *outlet, struct slots *slots, uint64_t want, const struct slots **ret_beyond)
{
	if (slots == NULL || slots_want(slots, want))
		return true;
	outlet->delivery->counts.blocked += slots->blocked;
	limited_tell(outlet, slots);
	if (!limited_rejects(outlet, slots))
		return false;
	*ret_beyond = slots;
	return true;
}

static int
put_aside(struct work *work, struct slots *slots, struct err *err)
{
	struct outlet *outlet = work->outlet;
	struct delivery *d = outlet->delivery;
	char name[LANE_MAX + 1], id[ID_TEXT_MAX + 1];
	struct lane lane;

	limited_tell(outlet, slots);
	d->counts.claimed--;
	outlet->in_hand--;
	if (d->options.ids != NULL && name_decode(work->claim.name.id, id) == 0)
		wanted_tell(id, slots);
	if (settle_aside(work, slots->domain, name, err) < 0)
		return -1;
	if (d->options.ids == NULL && lane_parse(name, &lane) == 0)
		stream_add_lane(outlet, name, &lane);
	return 0;
}

/* The recipients whose domains are at their limit fail, where the account says so; then there are slots
 * for the others, or the message is not to be offered.  *ret_full is the domain that it waits for. */
static bool
claim_slots(struct work *work, const struct slots *beyond, struct slots **ret_full)
{
	struct slots *full;

	*ret_full = NULL;
	if (beyond != NULL && !limited_fail_domain(work, beyond))
		return false;
	while ((full = limited_claim(work)) != NULL) {
		if (!limited_rejects(work->outlet, full)) {
			work->outlet->delivery->counts.blocked += full->blocked;
			*ret_full = full;
			return false;
		}
		limited_tell(work->outlet, full);
		if (!limited_fail_domain(work, full))
			return false;
	}
	return true;
}

/* A message that is claimed: offered, put aside, or at its end already. */
static int
dispose(struct work *work, const struct slots *beyond, size_t *asides, struct err *err)
{
	struct outlet *outlet = work->outlet;
	struct slots *full;
	char reason[400];

	if (prepare_work(work) == PLAN_FETCH) {
		remote_wait(work);
		return 0;
	}
	if (work->plan != PLAN_NONE) {
		commit_later(work);
		return 0;
	}
	if (beyond != NULL && beyond->domain == NULL) {
		limited_reason(beyond, reason, sizeof reason);
		outcome_failed(work, FAILURE_LIMIT, reason);
		commit_later(work);
		return 0;
	}
	if (!claim_slots(work, beyond, &full)) {
		if (full != NULL) {
			(*asides)++;
			return put_aside(work, full, err);
		}
		outcome_unasked(work);
		commit_later(work);
		return 0;
	}
	outlet->taken++;
	commit_offer(work);
	return 0;
}

/* Takes one message.  False in *ret_more: there is none that may be taken now. */
static int
take_one(struct outlet *outlet, size_t *asides, bool *ret_more, struct err *err)
{
	struct delivery *d = outlet->delivery;
	struct stream *stream = stream_peek(outlet, false);
	const struct slots *beyond = NULL;
	struct work *work;
	int result;

	*ret_more = false;
	if (stream == NULL)
		return 0;
	if (!may_take(outlet, outlet->limits.own, wanted(outlet), &beyond)) {
		/* The next account in line takes over while there is none. */
		if (outlet->account->limit_behavior == ACCOUNT_LIMIT_FALLBACK &&
		    !slots_pausing(outlet->limits.own))
			delivery_replan(d);
		return 0;
	}
	*ret_more = true;
	/* In a lane of a domain, nothing is claimed that could not go.  It may be that others can. */
	if (beyond == NULL && stream->slots != NULL &&
	    !may_take(outlet, stream->slots, stream->slots->group, &beyond))
		return 0;
	if (stream->entry.twin &&
	    twin_find(d->spool, stream->entry.lane, stream->entry.text, STATE_DEFERRED, true, err) <
		0)
		return -1;
	work = xcalloc(1, sizeof *work);
	work->outlet = outlet;
	result = runner_claim(&d->runner, &stream->entry, &work->claim, err);
	stream_pop(stream);
	if (result <= 0) {
		free(work);
		return result;
	}
	d->counts.claimed++;
	outlet->in_hand++;
	return dispose(work, beyond, asides, err);
}

int
fill_resume(struct work *work, struct err *err)
{
	struct outlet *outlet = work->outlet;
	struct delivery *d = outlet->delivery;
	const struct slots *beyond = NULL;
	size_t asides = 0;
	int result;

	/* Its turn has passed where it may not be sent any more; what was fetched is kept when it comes. */
	if (delivery_stopping(d) || outlet->faulted || outlet->drained ||
	    (outlet->unknown == NULL && outlet_open(outlet) < 0) ||
	    !may_take(outlet, outlet->limits.own, 1, &beyond)) {
		work->plan = PLAN_PUT_BACK;
		commit_later(work);
		return 0;
	}
	result = dispose(work, beyond, &asides, err);
	limited_spare(outlet);
	return result;
}

int
fill_outlet(struct outlet *outlet, struct err *err)
{
	struct delivery *d = outlet->delivery;
	size_t asides = 0;
	bool more = true;
	int result = 0;

	if (outlet->in_hand > outlet->window / 2 || !fill_left(outlet) || remote_full(d))
		return 0;
	if (outlet->unknown == NULL && outlet_open(outlet) < 0)
		return 0;
	adjust_window(outlet);
	while (more && result == 0 && asides < ASIDES_MAX && outlet->in_hand < outlet->window &&
	    outlets_room(d) > 0 && !outlet_is_done(outlet) && !remote_full(d))
		result = take_one(outlet, &asides, &more, err);
	limited_spare(outlet);
	return result;
}
