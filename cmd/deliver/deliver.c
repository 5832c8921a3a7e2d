#include "cmd/deliver/deliver.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "cmd/deliver/fetch.h"

/* Outcomes that are synced without waiting for more; and how soon fewer are looked at again. */
#define SETTLE_COUNT 192
#define SETTLE_LOOK 30 /* milliseconds */
/* New arrivals are looked for so often while a cycle lasts. */
#define REPLAN_AFTER (1 * USEC)
/* A journal is ended when it is this long, or this old while watching. */
#define JOURNAL_FULL (16 * 1024 * 1024)
#define JOURNAL_OLD (3600 * USEC)

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

	if (journal_write(&d->runner.journal) == 0)
		return 0;
	if (d->fatal.code == 0)
		err_io(&d->fatal, "spool %s: cannot write the journal", d->spool->path);
	return -1;
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
	d->hand_max = outlet_hand_max();
	runner_init(&d->runner, spool, "mailq-run");
	d->engine = smtp_engine_new(&callbacks, d, err);
	if (d->engine == NULL)
		return -1;
	smtp_engine_limit(d->engine,
	    (unsigned int)(options->jobs > 0 ? options->jobs : settings->delivery.jobs));
	return 0;
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

void
deliver_unread(struct delivery *d, const char *name, const struct err *err)
{
	struct err told = *err;

	if (strncmp(told.msg, name, strlen(name)) != 0)
		err_prefix(&told, "%s", name);
	log_warning("%s: the message waits", told.msg);
	if (d->unread.code == 0)
		d->unread = told;
}

int
deliver_tell_unread(const struct delivery *d, struct err *err)
{
	if (d->unread.code == 0)
		return 0;
	return err_set(err, d->unread.code,
	    "mail waits, as the disk does not give all that is there: %s", d->unread.msg);
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
 * The one place where the journal is synced, and the limits: offers of messages that may then be sent,
 * and outcomes of messages that may then be moved, and whose slots go back.
 */
static void
commit(struct delivery *d)
{
	struct work_list ready = d->settling;

	if (d->fatal.code == 0 && d->runner.dir >= 0 &&
	    (runner_sync_claims(&d->runner, &d->fatal) < 0 || limited_sync(d, &d->fatal) < 0 ||
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
	limited_settle(d);
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
	if (d->in_flight > 0 || d->offered.count > 0 || d->settling.count > 0 || fetch_busy(d))
		return true;
	if (fill_over(d))
		return false;
	for (size_t i = 0; i < d->outlet_count; i++)
		if (fill_left(d->outlets[i]))
			return true;
	return d->replan;
}

static void
give_back(struct work *work)
{
	work->plan = PLAN_PUT_BACK;
	settle_later(work->outlet->delivery, work);
}

static void
drain_pools(struct delivery *d)
{
	fetch_end(d, give_back);
	for (size_t i = 0; i < d->outlet_count; i++)
		outlet_drain(d->outlets[i], true);
}

static int
replan(struct delivery *d, struct err *err)
{
	if (d->options.allowed != NULL && !d->options.allowed(d->options.allowed_arg)) {
		/* At once: a connection that becomes free in this turn takes no other message. */
		d->closing = true;
		drain_pools(d);
		return 0;
	}
	if ((d->options.ids != NULL ? plan_wanted(d, err) : plan_lanes(d, err)) < 0)
		return -1;
	if (d->options.overtaken != NULL && d->options.overtaken(d->options.settings_arg))
		d->overtaken = d->closing = true;
	return 0;
}

/* Milliseconds until an instant, at most max. */
static int
wait_until(int64_t instant, int max)
{
	int64_t wait = instant - clock_now();

	if (wait <= 0)
		return 0;
	return wait / 1000 < max ? (int)((wait + 999) / 1000) : max;
}

static int
turn(struct delivery *d, struct err *err)
{
	int timeout = 1000;
	bool freed = false;

	if (*d->stop || d->fatal.code != 0 || d->closing)
		drain_pools(d);
	else if (d->replan ||
	    (d->options.ids == NULL && clock_monotonic() - d->planned > REPLAN_AFTER)) {
		if (replan(d, err) < 0)
			return -1;
	}
	if (fetch_serve(d, fill_resume, err) < 0)
		return -1;
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
		timeout = SETTLE_LOOK;
	if ((d->in_flight > 0 || fetch_busy(d)) &&
	    smtp_engine_step(d->engine, wait_until(limited_next(d), timeout), err) < 0)
		return -1;
	if (d->progress != NULL)
		d->progress(d, d->progress_arg);
	return 0;
}

/* With nothing else to do, stays for a slot that is near, in steps: what comes in meanwhile is seen. */
static int
stay(struct delivery *d, int64_t until, bool pause, struct err *err)
{
	int64_t begun = clock_monotonic();
	int worked = smtp_engine_step(d->engine, wait_until(until, 1000), err);

	if (worked < 0)
		return -1;
	/* Perhaps a wake: somebody has added a message. */
	if (worked > 0 && d->options.ids == NULL)
		d->replan = true;
	if (!pause)
		d->stayed += clock_monotonic() - begun;
	return 0;
}

static int
work_off(struct delivery *d, struct err *err)
{
	int result = 0;

	while (result == 0) {
		bool pause;
		int64_t until;

		if (!work_left(d)) {
			if ((until = limited_stay(d, &pause)) == INT64_MAX)
				break;
			if (stay(d, until, pause, err) < 0)
				return -1;
		}
		result = turn(d, err);
	}
	limited_leave(d);
	return result;
}

int
deliver_cycle(struct delivery *d, struct err *err)
{
	struct err unrecovered = ERR_INIT;
	int result = 0;

	for (size_t i = 0; i < d->outlet_count && !d->goes_on; i++) {
		d->outlets[i]->taken = 0;
		if (d->outlets[i]->faulted)
			outlet_reset(d->outlets[i]);
	}
	d->closing = d->overtaken = false;
	if (!d->goes_on) {
		d->stayed = 0;
		d->unread.code = 0;
	}
	/* What cannot be recovered stays where it is, is told at the end, and keeps nothing waiting. */
	recover(d, &unrecovered);
	if (replan(d, err) < 0)
		return -1;
	result = work_off(d, err);
	if (result == 0 && d->options.ids != NULL && d->fatal.code == 0)
		wanted_tell_left(d);
	if (result == 0 && d->fatal.code == 0 && !*d->stop)
		result = deliver_tidy(d, err);
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

	while (!fill_done(outlet) && (stream = stream_peek(outlet, false)) != NULL) {
		stream_pop(stream);
		if (!dry_slot(stream->slots))
			continue;
		if (!dry_slot(outlet->slots))
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
	int result = replan(d, err);

	for (size_t i = 0; i < d->outlet_count && result == 0; i++)
		if (d->outlets[i]->unknown == NULL)
			tell_due(d->outlets[i], each, arg);
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
	plan_release(d);
	for (size_t i = 0; i < d->outlet_count; i++)
		outlet_close(d->outlets[i]);
	free(d->outlets);
	for (size_t i = 0; i < d->told_count; i++)
		free(d->told[i]);
	free(d->told);
	smtp_engine_free(d->engine);
	return result;
}
