#include "cmd/deliver/commit.h"

#include "base/clock.h"
#include "cmd/deliver/capture.h"
#include "cmd/deliver/delivery.h"
#include "cmd/deliver/outcome.h"
#include "cmd/deliver/settle.h"
#include "smtp/pool.h"

/* Outcomes that are synced without waiting for more; and how long fewer wait for company. */
#define SETTLE_COUNT 192
#define SETTLE_DELAY (30 * INT64_C(1000))

void
commit_offer(struct work *work)
{
	struct delivery *d = work->outlet->delivery;

	journal_offered(&d->runner.journal, work->claim.text, claim_lane(&work->claim));
	work_append(&d->commit.offered, work);
}

void
commit_later(struct work *work)
{
	struct delivery *d = work->outlet->delivery;

	if (d->commit.settling.count == 0)
		d->commit.settle_by = clock_monotonic() + SETTLE_DELAY;
	work_append(&d->commit.settling, work);
}

void
commit_done(struct work *work)
{
	work->outlet->delivery->commit.in_flight--;
	outcome_conclude(work);
	commit_later(work);
}

/* Hands what has been offered durably to its transports. */
static void
send_offered(struct delivery *d)
{
	struct work_list captured = { 0 };
	struct outlet *capture = NULL;
	struct work *work;

	while ((work = work_shift(&d->commit.offered)) != NULL) {
		struct outlet *outlet = work->outlet;

		if (capture != NULL && outlet != capture) {
			capture_deliver(capture, &captured);
			capture = NULL;
		}
		if (outlet->maildir != NULL) {
			capture = outlet;
			work_append(&captured, work);
		} else if (!outlet->faulted && smtp_pool_submit(outlet->pool, &work->job) == 0) {
			d->commit.in_flight++;
		} else {
			work->plan = PLAN_PUT_BACK;
			commit_later(work);
		}
	}
	if (capture != NULL)
		capture_deliver(capture, &captured);
}

static void
settle_all(struct delivery *d, struct work_list *list)
{
	struct err err = ERR_INIT;
	struct work *work;

	while ((work = work_shift(list)) != NULL)
		if (settle_work(work, &err) < 0)
			delivery_break(d, &err);
}

static void
abandon(struct delivery *d)
{
	struct work *work;

	while ((work = work_shift(&d->commit.offered)) != NULL ||
	    (work = work_shift(&d->commit.settling)) != NULL) {
		work->outlet->in_hand--;
		work_free(work);
	}
}

/* Makes durable what was written since the last time. */
static void
sync_all(struct delivery *d)
{
	struct err err = ERR_INIT;

	if (d->runner.dir < 0)
		return;
	if (runner_sync_claims(&d->runner, &err) < 0 || limited_sync(d, &err) < 0) {
		delivery_break(d, &err);
	} else if (journal_sync(&d->runner.journal) < 0) {
		err_io(&err, "spool %s: cannot sync the journal", d->spool->path);
		delivery_break(d, &err);
	}
}

void
commit_now(struct delivery *d)
{
	struct work_list ready = d->commit.settling;

	if (d->state != DELIVERY_BROKEN)
		sync_all(d);
	if (d->state == DELIVERY_BROKEN) {
		abandon(d);
		return;
	}
	/* What comes back while sending (a captured message, say) is not on disk yet. */
	d->commit.settling = (struct work_list){ 0 };
	send_offered(d);
	settle_all(d, &ready);
	limited_settle(d);
}

bool
commit_is_due(const struct delivery *d)
{
	if (d->commit.offered.count > 0 || d->commit.settling.count >= SETTLE_COUNT)
		return true;
	if (d->commit.settling.count == 0)
		return false;
	return d->commit.in_flight == 0 || clock_monotonic() >= d->commit.settle_by;
}

size_t
commit_outcomes(const struct delivery *d)
{
	return d->commit.settling.count;
}

size_t
commit_in_flight(const struct delivery *d)
{
	return d->commit.in_flight;
}

bool
commit_left(const struct delivery *d)
{
	return d->commit.in_flight > 0 || d->commit.offered.count > 0 ||
	    d->commit.settling.count > 0;
}

void
commit_all(struct delivery *d)
{
	while (d->commit.offered.count > 0 || d->commit.settling.count > 0)
		commit_now(d);
}
