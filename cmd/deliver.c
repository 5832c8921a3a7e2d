#include "cmd/deliver.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "spool/history.h"

/* How many messages are in hand for one outlet at the most: what a crash can leave uncertain after a
 * power cut, and what other runners and operators cannot touch. */
#define WINDOW_MAX 256
/* A window that was used up in less than this doubles; one that took longer than the other halves. */
#define WINDOW_QUICK (100 * INT64_C(1000))
#define WINDOW_SLOW (500 * INT64_C(1000))
/* Outcomes wait for company so long, or until there are so many, for one sync. */
#define SETTLE_DELAY (30 * INT64_C(1000))
#define SETTLE_COUNT 192
/* New arrivals are looked for so often while a cycle lasts. */
#define REPLAN_AFTER (1 * USEC)
/* A journal is ended when it is this long, or this old while watching. */
#define JOURNAL_FULL (16 * 1024 * 1024)
#define JOURNAL_OLD (3600 * USEC)
/* Old logs that one cycle forgets at the most, and how often they are looked for while watching. */
#define RETIRE_MAX 50
#define RETIRE_EVERY (60 * USEC)

static int
before_dot(struct smtp_job *job, void *arg)
{
	struct delivery *d = arg;
	struct work *work = job->arg;

	journal_dot(&d->runner.journal, work->claim.text);
	return 0;
}

static int
flush_dots(void *arg)
{
	struct delivery *d = arg;

	if (journal_write(&d->runner.journal) == 0)
		return 0;
	if (d->fatal.code == 0)
		err_io(&d->fatal, "spool %s: cannot write the journal", d->spool->path);
	return -1;
}

static void
settle_later(struct delivery *d, struct work *work)
{
	if (d->settling.count == 0)
		d->settle_by = clock_monotonic() + SETTLE_DELAY;
	work_append(&d->settling, work);
}

static void
job_done(struct smtp_pool *pool, struct smtp_job *job, void *arg)
{
	struct delivery *d = arg;
	struct work *work = job->arg;

	(void)pool;
	d->in_flight--;
	work_conclude(work);
	settle_later(d, work);
}

static void
pool_fault(struct smtp_pool *pool, const struct smtp_fault *fault, void *arg)
{
	struct outlet *outlet = smtp_pool_arg(pool);
	char line[SMTP_REPLY_TEXT + 40];

	(void)arg;
	smtp_reply_line(&fault->reply, line, sizeof line);
	outlet_park(outlet, smtp_fault_name(fault->class), line);
}

int
deliver_begin(struct delivery *d, const struct settings *settings, struct spool *spool,
    const struct deliver_options *options, const volatile sig_atomic_t *stop, struct err *err)
{
	static const struct smtp_callbacks callbacks = { before_dot, flush_dots, job_done,
		pool_fault };

	memset(d, 0, sizeof *d);
	d->settings = settings;
	d->spool = spool;
	d->options = *options;
	d->stop = stop;
	d->wanted_dir = -1;
	d->hand_max = outlet_hand_max();
	runner_init(&d->runner, spool, "mailq-run");
	d->engine = smtp_engine_new(&callbacks, d, err);
	if (d->engine == NULL)
		return -1;
	smtp_engine_limit(d->engine,
	    (unsigned int)(options->jobs > 0 ? options->jobs : settings->delivery.jobs));
	return 0;
}

static char
policy_of(const char *name, void *arg)
{
	struct delivery *d = arg;
	const struct account *account;

	if (settings_resolve(d->settings, name, &account, 1, NULL) < 1)
		return 'r';
	switch (account->uncertain) {
	case ACCOUNT_UNCERTAIN_HOLD:
		return 'h';
	case ACCOUNT_UNCERTAIN_FAIL:
		return 'f';
	default:
		return 'r';
	}
}

static void
recover(struct delivery *d, struct err *err)
{
	struct recover_result result;

	recover_runners(d->spool, policy_of, d, &result, err);
	d->counts.recovered += result.completed + result.put_back + result.uncertain;
	d->counts.uncertain += result.uncertain;
	if (result.runners > 0)
		log_warning("recovered after %u mailq-run that had died: %llu completed, %llu put "
			    "back, %llu uncertain",
		    result.runners, (unsigned long long)result.completed,
		    (unsigned long long)result.put_back, (unsigned long long)result.uncertain);
}

static bool
limit_reached(const struct delivery *d)
{
	return *d->stop || d->fatal.code != 0 ||
	    (d->options.limit > 0 && d->counts.claimed >= (uint64_t)d->options.limit);
}

/* Claims one message and prepares it.  1: in hand; 0: none left, or another was faster (more may
 * follow: *ret_more). */
static int
take_one(struct outlet *outlet, bool *ret_more, struct err *err)
{
	struct delivery *d = outlet->delivery;
	struct queue_entry entry;
	struct work *work;
	int result;

	*ret_more = plan_next(outlet, &entry);
	if (!*ret_more)
		return 0;
	work = xcalloc(1, sizeof *work);
	work->outlet = outlet;
	result = runner_claim(&d->runner, &entry, &work->claim, err);
	if (result <= 0) {
		free(work);
		return result;
	}
	d->counts.claimed++;
	outlet->in_hand++;
	if (work_prepare(work) != PLAN_NONE) {
		settle_later(d, work);
		return 1;
	}
	journal_offered(&d->runner.journal, work->claim.text, claim_lane(&work->claim));
	work_append(&d->offered, work);
	return 1;
}

/* The number to have in hand follows how quickly they went last time. */
static void
adjust_window(struct outlet *outlet)
{
	int64_t now = clock_monotonic();
	int64_t took = now - outlet->filled;
	const struct account *account = outlet->account;
	size_t least = account->transport == ACCOUNT_CAPTURE ? 64 : (size_t)account->connections;

	if (took < WINDOW_QUICK)
		outlet->window *= 2;
	else if (took > WINDOW_SLOW)
		outlet->window /= 2;
	if (outlet->window < least)
		outlet->window = least;
	if (outlet->window > WINDOW_MAX)
		outlet->window = WINDOW_MAX;
	outlet->filled = now;
}

static int
fill(struct outlet *outlet, struct err *err)
{
	struct delivery *d = outlet->delivery;
	bool more = true;

	if (outlet->faulted || limit_reached(d) || outlet->in_hand > outlet->window / 2)
		return 0;
	if (d->options.ids == NULL && outlet->queue == NULL)
		return 0;
	if (outlet_open(outlet) < 0)
		return 0;
	adjust_window(outlet);
	while (more && outlet->in_hand < outlet->window && outlet_room(d) > 0 && !limit_reached(d))
		if (take_one(outlet, &more, err) < 0)
			return -1;
	return 0;
}

/* Hands what has been offered durably to its transports. */
static void
send_offered(struct delivery *d)
{
	struct work_list captured = { 0 };
	struct outlet *capture = NULL;
	struct work *work;

	while ((work = work_shift(&d->offered)) != NULL) {
		struct outlet *outlet = work->outlet;

		if (capture != NULL && outlet != capture) {
			capture_deliver(capture, &captured);
			capture = NULL;
		}
		if (outlet->maildir != NULL) {
			capture = outlet;
			work_append(&captured, work);
		} else if (!outlet->faulted && smtp_pool_submit(outlet->pool, &work->job) == 0) {
			d->in_flight++;
		} else {
			work->plan = PLAN_PUT_BACK;
			settle_later(d, work);
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
		if (work_settle(work, &err) < 0 && d->fatal.code == 0)
			d->fatal = err;
}

/* After a journal that cannot be written, nothing may be sent and nothing be settled: what is in
 * hand stays in cur/, for a recovery to read what is really on disk. */
static void
abandon(struct delivery *d)
{
	struct work *work;

	while (
	    (work = work_shift(&d->offered)) != NULL || (work = work_shift(&d->settling)) != NULL) {
		work->outlet->in_hand--;
		work_free(work);
	}
}

/*
 * The one place where the journal is synced: offers of messages that may then be sent, and outcomes
 * of messages that may then be moved.
 */
static void
commit(struct delivery *d)
{
	struct work_list ready = d->settling;

	if (d->fatal.code == 0 && d->runner.dir >= 0 &&
	    (runner_sync_claims(&d->runner, &d->fatal) < 0 ||
		journal_sync(&d->runner.journal) < 0)) {
		if (d->fatal.code == 0)
			err_io(&d->fatal, "spool %s: cannot sync the journal", d->spool->path);
	}
	if (d->fatal.code != 0) {
		abandon(d);
		return;
	}
	/* What comes back while sending (a captured message, say) is not on disk yet. */
	d->settling = (struct work_list){ 0 };
	send_offered(d);
	settle_all(d, &ready);
}

static bool
commit_is_due(const struct delivery *d)
{
	if (d->offered.count > 0 || d->settling.count >= SETTLE_COUNT)
		return true;
	if (d->settling.count == 0)
		return false;
	return d->in_flight == 0 || clock_monotonic() >= d->settle_by;
}

static bool
work_left(const struct delivery *d)
{
	if (d->in_flight > 0 || d->offered.count > 0 || d->settling.count > 0)
		return true;
	if (limit_reached(d))
		return false;
	if (d->options.ids != NULL) {
		for (size_t i = 0; i < d->wanted_count; i++)
			if (!d->wanted[i].taken && !d->wanted[i].outlet->faulted)
				return true;
		return d->replan;
	}
	for (size_t i = 0; i < d->outlet_count; i++)
		if (d->outlets[i]->queue != NULL && !d->outlets[i]->faulted)
			return true;
	return d->replan;
}

static int
replan(struct delivery *d, struct err *err)
{
	return d->options.ids != NULL ? plan_wanted(d, err) : plan_lanes(d, err);
}

static void
drain_pools(struct delivery *d)
{
	for (size_t i = 0; i < d->outlet_count; i++)
		if (d->outlets[i]->pool != NULL)
			smtp_pool_drain(d->outlets[i]->pool);
}

static int
turn(struct delivery *d, struct err *err)
{
	int timeout = 1000;
	bool freed = false;

	if (*d->stop || d->fatal.code != 0)
		drain_pools(d);
	else if (d->replan ||
	    (d->options.ids == NULL && clock_monotonic() - d->planned > REPLAN_AFTER)) {
		if (replan(d, err) < 0)
			return -1;
	}
	for (size_t i = 0; i < d->outlet_count; i++)
		if (fill(d->outlets[i], err) < 0)
			return -1;
	if (commit_is_due(d)) {
		freed = d->settling.count > 0;
		commit(d);
	}
	/* What was settled has made room for more: no waiting before that is taken in hand. */
	if (freed)
		timeout = 0;
	else if (d->settling.count > 0)
		timeout = (int)(SETTLE_DELAY / 1000);
	if (d->in_flight > 0 && smtp_engine_step(d->engine, timeout, err) < 0)
		return -1;
	if (d->progress != NULL)
		d->progress(d, d->progress_arg);
	return 0;
}

/* Forgets what is older than it is kept, a part of it in each cycle. */
static int
tidy(struct delivery *d, struct err *err)
{
	int64_t before = clock_now() - d->settings->queue.retention;

	if (d->tidied != 0 && clock_monotonic() - d->tidied < RETIRE_EVERY)
		return 0;
	d->tidied = clock_monotonic();
	return history_retire(d->spool, before, RETIRE_MAX, err) < 0 ? -1 : 0;
}

int
deliver_cycle(struct delivery *d, struct err *err)
{
	struct err unrecovered = ERR_INIT;
	int result = 0;

	for (size_t i = 0; i < d->outlet_count; i++)
		if (d->outlets[i]->faulted)
			outlet_reset(d->outlets[i]);
	/* What cannot be recovered stays where it is, is told at the end, and keeps nothing waiting. */
	recover(d, &unrecovered);
	if (replan(d, err) < 0)
		return -1;
	while (result == 0 && work_left(d))
		result = turn(d, err);
	if (result == 0 && d->fatal.code == 0 && !*d->stop)
		result = tidy(d, err);
	if (result == 0 && d->fatal.code != 0) {
		*err = d->fatal;
		result = -1;
	}
	if (result == 0 && unrecovered.code != 0) {
		*err = unrecovered;
		result = -1;
	}
	return result;
}

int
deliver_dry_run(struct delivery *d,
    void (*each)(const struct queue_entry *entry, const struct account *account, void *arg),
    void *arg, struct err *err)
{
	struct queue_entry entry;
	int result = replan(d, err);

	for (size_t i = 0; i < d->outlet_count && result == 0; i++) {
		while (!limit_reached(d) && plan_next(d->outlets[i], &entry)) {
			d->counts.claimed++;
			each(&entry, d->outlets[i]->account, arg);
		}
	}
	return result;
}

int
deliver_rotate(struct delivery *d, struct err *err)
{
	off_t length;

	if (d->runner.dir < 0 || d->in_flight > 0)
		return 0;
	length = lseek(d->runner.journal.fd, 0, SEEK_END);
	if (length >= 0 && length < JOURNAL_FULL &&
	    clock_monotonic() - d->runner.begun < JOURNAL_OLD)
		return 0;
	return runner_end(&d->runner, err) < 0 ?
	    -1 :
	    (runner_init(&d->runner, d->spool, "mailq-run"), 0);
}

static bool
pools_idle(const struct delivery *d)
{
	for (size_t i = 0; i < d->outlet_count; i++)
		if (d->outlets[i]->pool != NULL && !smtp_pool_idle(d->outlets[i]->pool))
			return false;
	return true;
}

int
deliver_end(struct delivery *d, struct err *err)
{
	int64_t give_up = clock_monotonic() + 10 * USEC;
	int result;

	drain_pools(d);
	while (!pools_idle(d) && clock_monotonic() < give_up)
		if (smtp_engine_step(d->engine, 100, NULL) < 0)
			break;
	/* Conversations that the end of the loop interrupted have left their outcomes; and what was only
	 * offered is put back, by a second commit. */
	while (d->settling.count > 0 || d->offered.count > 0)
		commit(d);
	result = runner_end(&d->runner, err);
	for (size_t i = 0; i < d->outlet_count; i++)
		outlet_close(d->outlets[i]);
	free(d->outlets);
	for (size_t i = 0; i < d->told_count; i++)
		free(d->told[i]);
	free(d->told);
	plan_release(d);
	smtp_engine_free(d->engine);
	return result;
}
