#include "cmd/deliver/deliver.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "cmd/deliver/delivery.h"
#include "cmd/deliver/fill.h"
#include "cmd/deliver/plan.h"
#include "cmd/deliver/plan_wanted.h"
#include "cmd/deliver/remote.h"
#include "cmd/deliver/stay.h"
#include "cmd/deliver/tidy.h"
#include "policy/settings.h"
#include "smtp/pool.h"
#include "spool/queue/recover.h"

/* How soon outcomes that wait for more are looked at again. */
#define SETTLE_LOOK 30 /* milliseconds */
/* New arrivals are looked for so often while a cycle lasts. */
#define REPLAN_AFTER (1 * USEC)
/* A journal is ended when it is this long, or this old while watching. */
#define JOURNAL_FULL (16 * 1024 * 1024)
#define JOURNAL_OLD (3600 * USEC)

/* ---- what the pools call --------------------------------------------------------------------------- */

static int
before_dot(struct smtp_job *job, void *arg)
{
	struct delivery *d = arg;
	struct work *work = job->arg;

	work->left = true;
	journal_dot(&d->runner.journal, work->claim.text);
	return 0;
}

static int
flush_dots(void *arg)
{
	struct delivery *d = arg;
	struct err err = ERR_INIT;

	if (journal_write(&d->runner.journal) == 0)
		return 0;
	err_io(&err, "spool %s: cannot write the journal", d->spool->path);
	delivery_break(d, &err);
	return -1;
}

static void
job_done(struct smtp_pool *pool, struct smtp_job *job, void *arg)
{
	(void)pool;
	(void)arg;
	commit_done(job->arg);
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

/* ---- the beginning, and what dead runners left ----------------------------------------------------- */

struct delivery *
deliver_begin(const struct settings *settings, struct spool *spool,
    const struct deliver_options *options, const volatile sig_atomic_t *stop, struct err *err)
{
	static const struct smtp_callbacks callbacks = { before_dot, flush_dots, job_done,
		pool_fault };
	struct delivery *d = xcalloc(1, sizeof *d);

	d->settings = settings;
	d->spool = spool;
	d->options = *options;
	d->counts = options->counted;
	d->stop = stop;
	outlets_begin(d);
	runner_init(&d->runner, spool, "mailq-run");
	d->engine = smtp_engine_new(&callbacks, d, err);
	if (d->engine == NULL) {
		free(d);
		return NULL;
	}
	smtp_engine_limit(d->engine,
	    (unsigned int)(options->jobs > 0 ? options->jobs : settings->delivery.jobs));
	return d;
}

/* What follows for a message that a dead runner may have sent. */
static char
policy_of(const char *name, unsigned int attempts, const struct record *record,
    char reason[RECOVER_REASON], void *arg)
{
	struct delivery *d = arg;
	const struct account *account;
	struct retry_terms terms;
	struct retry retry;

	if (settings_resolve(d->settings, name, &account, 1, NULL) < 1)
		return 'r';
	if (account->uncertain != ACCOUNT_UNCERTAIN_RETRY)
		return account->uncertain == ACCOUNT_UNCERTAIN_HOLD ? 'h' : 'f';
	if (record == NULL)
		return 'r';
	terms = work_terms(record);
	retry = retry_next(account, &terms, attempts, clock_now(), 0);
	snprintf(reason, RECOVER_REASON, "%s", retry.reason);
	return retry.verdict == RETRY_LATER ? 'r' : retry.verdict == RETRY_EXPIRED ? 'e' : 'x';
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
	if (result.damaged > 0)
		log_warning("the journal of %u of them was damaged: messages that had been claimed "
			    "and "
			    "have no outcome on record are uncertain",
		    result.damaged);
}

/* ---- the loop -------------------------------------------------------------------------------------- */

static bool
work_left(const struct delivery *d)
{
	if (commit_left(d) || remote_busy(d))
		return true;
	if (delivery_over(d))
		return false;
	for (size_t i = 0; i < d->outlets.n; i++)
		if (fill_left(d->outlets.v[i]))
			return true;
	return d->replan;
}

static void
give_back(struct work *work)
{
	work->plan = PLAN_PUT_BACK;
	commit_later(work);
}

static void
drain_pools(struct delivery *d)
{
	remote_end(d, give_back);
	for (size_t i = 0; i < d->outlets.n; i++)
		outlet_drain(d->outlets.v[i], true);
}

/* Gives the lanes, or the ids, to accounts: from here on d->planned is when. */
static int
plan(struct delivery *d, struct err *err)
{
	bool first = d->planned == 0;

	d->replan = false;
	if (d->options.allowed != NULL && !d->options.allowed(d->options.allowed_arg)) {
		/* At once: a connection that becomes free in this turn takes no other message. */
		delivery_close(d, DELIVERY_CLOSED);
		drain_pools(d);
		return 0;
	}
	d->planned = clock_monotonic();
	if ((d->options.ids != NULL ? plan_wanted(d, first, err) : plan_lanes(d, err)) < 0)
		return -1;
	if (d->options.overtaken != NULL && d->options.overtaken(d->options.settings_arg))
		delivery_close(d, DELIVERY_OVERTAKEN);
	return 0;
}

static int
turn(struct delivery *d, struct err *err)
{
	int timeout = 1000;
	bool freed = false;

	if (delivery_stopping(d))
		drain_pools(d);
	else if (d->replan ||
	    (d->options.ids == NULL && clock_monotonic() - d->planned > REPLAN_AFTER)) {
		if (plan(d, err) < 0)
			return -1;
	}
	if (remote_serve(d, fill_resume, err) < 0)
		return -1;
	for (size_t i = 0; i < d->outlets.n; i++)
		if (fill_outlet(d->outlets.v[i], err) < 0)
			return -1;
	if (commit_is_due(d)) {
		freed = commit_outcomes(d) > 0;
		commit_now(d);
	}
	/* What was settled has made room for more: no waiting before that is taken in hand. */
	if (freed)
		timeout = 0;
	else if (commit_outcomes(d) > 0)
		timeout = SETTLE_LOOK;
	if ((commit_in_flight(d) > 0 || remote_busy(d)) &&
	    smtp_engine_step(d->engine, stay_until(stay_next(d), timeout), err) < 0)
		return -1;
	if (d->options.progress != NULL)
		d->options.progress(&d->counts, commit_in_flight(d), d->options.progress_arg);
	return 0;
}

static int
work_off(struct delivery *d, struct err *err)
{
	int result = 0;

	while (result == 0) {
		if (!work_left(d)) {
			int stayed = stay_wait(d, err);

			if (stayed < 0)
				return -1;
			if (stayed == 0)
				break;
		}
		result = turn(d, err);
	}
	stay_end(d);
	return result;
}

/* Nothing is sent any more: tells, tidies up, and returns what is to be told of the cycle. */
static int
end_cycle(struct delivery *d, struct err *err)
{
	if (d->state == DELIVERY_BROKEN) {
		*err = d->fault;
		return -1;
	}
	if (d->options.ids != NULL)
		plan_wanted_tell_left(d);
	return *d->stop ? 0 : tidy_spool(d, err);
}

int
deliver_cycle(struct delivery *d, bool goes_on, struct err *err)
{
	struct err unrecovered = ERR_INIT;
	int result;

	if (d->state != DELIVERY_BROKEN)
		d->state = DELIVERY_OPEN;
	if (!goes_on) {
		outlets_begin_cycle(d);
		stay_begin(d);
		d->unread.code = 0;
	}
	/* What cannot be recovered stays where it is, is told at the end, and keeps nothing waiting. */
	recover(d, &unrecovered);
	if (plan(d, err) < 0)
		return -1;
	result = work_off(d, err);
	if (result == 0)
		result = end_cycle(d, err);
	if (result == 0 && unrecovered.code != 0) {
		*err = unrecovered;
		result = -1;
	}
	return result;
}

int
deliver_tell_unread(const struct delivery *d, struct err *err)
{
	if (d->unread.code == 0)
		return 0;
	return err_set(err, d->unread.code,
	    "mail waits, as the disk does not give all that is there: %s", d->unread.msg);
}

bool
deliver_is_overtaken(const struct delivery *d)
{
	return d->state == DELIVERY_OVERTAKEN;
}

const struct deliver_counts *
deliver_counts(const struct delivery *d)
{
	return &d->counts;
}

struct deliver_options *
deliver_options(struct delivery *d)
{
	return &d->options;
}

/* ---- a look ---------------------------------------------------------------------------------------- */

/* As far as there are slots now. */
static bool
dry_slot(struct slots *slots)
{
	if (slots == NULL)
		return true;
	if (slots->full || slots->look.free == 0)
		return false;
	slots->look.free--;
	return true;
}

static void
tell_due(struct outlet *outlet,
    void (*each)(const struct queue_entry *entry, const struct account *account, void *arg),
    void *arg)
{
	struct delivery *d = outlet->delivery;
	struct stream *stream;

	while (!outlet_is_done(outlet) && (stream = stream_peek(outlet, false)) != NULL) {
		stream_pop(stream);
		if (!dry_slot(stream->slots))
			continue;
		if (!dry_slot(outlet->limits.own))
			return;
		outlet->taken++;
		d->counts.claimed++;
		each(&stream->entry, outlet->account, arg);
	}
}

int
deliver_dry_run(struct delivery *d,
    void (*each)(const struct queue_entry *entry, const struct account *account, void *arg),
    void *arg, struct err *err)
{
	int result = plan(d, err);

	for (size_t i = 0; i < d->outlets.n && result == 0; i++)
		if (d->outlets.v[i]->unknown == NULL)
			tell_due(d->outlets.v[i], each, arg);
	return result;
}

/* ---- a watch, and the end -------------------------------------------------------------------------- */

int
deliver_rotate(struct delivery *d, struct err *err)
{
	off_t length;

	if (d->runner.dir < 0 || d->commit.in_flight > 0)
		return 0;
	length = lseek(d->runner.journal.fd, 0, SEEK_END);
	if (length >= 0 && length < JOURNAL_FULL &&
	    clock_monotonic() - d->runner.begun < JOURNAL_OLD)
		return 0;
	return runner_end(&d->runner, err) < 0 ?
	    -1 :
	    (runner_init(&d->runner, d->spool, "mailq-run"), 0);
}

int
deliver_watch(struct delivery *d, int fd, void (*called)(int fd, void *arg), void *arg)
{
	return smtp_engine_watch(d->engine, fd, called, arg);
}

void
deliver_unwatch(struct delivery *d, int fd)
{
	smtp_engine_unwatch(d->engine, fd);
}

int
deliver_wait(struct delivery *d, int milliseconds, struct err *err)
{
	return smtp_engine_step(d->engine, milliseconds, err);
}

static bool
pools_idle(const struct delivery *d)
{
	for (size_t i = 0; i < d->outlets.n; i++)
		if (d->outlets.v[i]->pool != NULL && !smtp_pool_idle(d->outlets.v[i]->pool))
			return false;
	return true;
}

int
deliver_end(struct delivery **delivery, struct deliver_counts *ret_counts, struct err *err)
{
	struct delivery *d = *delivery;
	int64_t give_up = clock_monotonic() + 10 * USEC;
	int result;

	drain_pools(d);
	while (!pools_idle(d) && clock_monotonic() < give_up)
		if (smtp_engine_step(d->engine, 100, NULL) < 0)
			break;
	/* Conversations that the end of the loop interrupted have left their outcomes; and what was only
	 * offered is put back, by a second commit. */
	commit_all(d);
	result = runner_end(&d->runner, err);
	wanted_release(d);
	outlets_end(d);
	news_release(&d->news);
	smtp_engine_free(d->engine);
	*ret_counts = d->counts;
	free(d);
	*delivery = NULL;
	return result;
}
