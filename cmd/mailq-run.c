/* mailq-run: one cycle of delivery, or a watch. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/program.h"
#include "cmd/deliver/deliver.h"
#include "cmd/policy/current.h"
#include "cmd/policy/reread.h"
#include "cmd/run/cycle.h"
#include "cmd/run/obey.h"
#include "cmd/run/print.h"
#include "spool/report/reports.h"

struct run_options {
	struct opt_common common;
	bool now, dry_run, watch, progress, json;
	bool no_fetch, no_sync, resend_reports;
	bool by_id;
	struct opt_list ids;
	const char *account;
	int64_t limit, jobs;
};

static int
take_id(void *options, const char *arg, struct err *err)
{
	struct run_options *o = options;

	if (arg[0] == '\0')
		return err_set(err, EX_USAGE, "an id must not be empty");
	o->by_id = true;
	o->ids.v = xreallocarray(o->ids.v, o->ids.n + 1, sizeof *o->ids.v);
	o->ids.v[o->ids.n++] = arg;
	return 0;
}

#define AT(member) OPT_AT(struct run_options, member)

static const struct opt options_table[] = {
	OPT_COMMON,
	{ .name = "now",
	    .help = "do a cycle whatever the rules say; use parked accounts too",
	    .kind = OPT_FLAG,
	    AT(now) },
	{ .name = "id",
	    .arg = "ID",
	    .help = "deliver only this message, due or not; more ids may follow",
	    .kind = OPT_CALL,
	    .call = take_id },
	{ .name = "account",
	    .arg = "A",
	    .help = "deliver only messages of this account",
	    .kind = OPT_STRING,
	    AT(account) },
	{ .name = "limit",
	    .arg = "N",
	    .help = "deliver at most N messages",
	    .kind = OPT_INT,
	    AT(limit),
	    .min = 1,
	    .max = INT64_MAX },
	{ .name = "jobs",
	    .arg = "N",
	    .help = "open at most N connections at once",
	    .kind = OPT_INT,
	    AT(jobs),
	    .min = 1,
	    .max = 1000 },
	{ .name = "no-fetch",
	    .help = "do not fetch messages from the application",
	    .kind = OPT_FLAG,
	    AT(no_fetch) },
	{ .name = "no-sync",
	    .help = "do not send reports to the application",
	    .kind = OPT_FLAG,
	    AT(no_sync) },
	{ .name = "resend-reports",
	    .help = "send rejected reports again that were set aside",
	    .kind = OPT_FLAG,
	    AT(resend_reports) },
	{ .name = "dry-run",
	    .help = "print what would be sent, and send nothing",
	    .kind = OPT_FLAG,
	    AT(dry_run) },
	{ .name = "watch",
	    .help = "stay, and deliver new messages at once",
	    .kind = OPT_FLAG,
	    AT(watch) },
	{ .name = "progress",
	    .help = "show on stderr how many messages were sent",
	    .kind = OPT_FLAG,
	    AT(progress) },
	{ .name = "json", .help = "print the summary as JSON", .kind = OPT_FLAG, AT(json) },
};

static const struct opt_program program = {
	.name = "mailq-run",
	.synopsis = "[OPTION...]\n[OPTION...] --id ID [ID...]",
	.purpose = "Deliver all due messages of the mail queue, then exit.",
	.options = options_table,
	.n_options = sizeof options_table / sizeof options_table[0],
};

static volatile sig_atomic_t stop_requested;

static void
request_stop(int signal_number)
{
	(void)signal_number;
	stop_requested = 1;
}

/* SIGTERM, SIGINT: the conversation in hand is finished, the rest put back.  A second one of the
 * same kind kills, and a recovery puts back what is left. */
static void
catch_signals(void)
{
	struct sigaction action = { .sa_handler = request_stop, .sa_flags = SA_RESETHAND };

	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
}

struct progress {
	int64_t shown; /* monotonic */
	bool terminal; /* one line that changes; else a line each time */
};

static void
show_progress(const struct delivery *d, void *arg)
{
	struct progress *progress = arg;
	const struct deliver_counts *c = &d->counts;
	int64_t now = clock_monotonic();

	if (now - progress->shown < USEC / 5)
		return;
	progress->shown = now;
	fprintf(stderr, "%ssent %llu, deferred %llu, failed %llu, in hand %zu%s",
	    progress->terminal ? "\r" : "", (unsigned long long)c->sent,
	    (unsigned long long)c->deferred, (unsigned long long)c->failed, d->in_flight,
	    progress->terminal ? "\033[K" : "\n");
}

struct dry_run {
	bool json;
};

static void
print_due(const struct queue_entry *entry, const struct account *account, void *arg)
{
	const struct dry_run *dry_run = arg;
	char id[ID_TEXT_MAX + 1];
	AUTO_BUF struct buf line = BUF_INIT(4096);
	struct json_writer w = JSON_WRITER(&line);

	if (name_decode(entry->name.id, id) < 0)
		return;
	if (!dry_run->json) {
		char shown[2 * ID_TEXT_MAX];

		log_escape(shown, sizeof shown, id, strlen(id));
		printf("%s\t%s\n", shown, account->id);
		return;
	}
	json_begin_object(&w);
	json_member_str(&w, "id", id);
	json_member_str(&w, "account", account->id);
	json_member_int(&w, "priority", entry->name.priority);
	json_member_int(&w, "attempts", entry->name.attempts);
	json_end_object(&w);
	puts(line.s);
}

static void
note_wake(int fd, void *arg)
{
	bool *woken = arg;
	char events[4096];

	while (read(fd, events, sizeof events) > 0)
		*woken = true;
}

/* The next of a watch, if it is due.  --now means the first: an account that refuses us is not tried
 * each second. */
static int
watch_cycle(struct delivery *d, struct obedience *o, struct exchange *exchange, struct err *err)
{
	bool forced = d->options.now;
	struct skipped skipped;
	int result;

	obey_refresh(o);
	result = obey_begin(o, forced, &skipped, err);
	if (result <= 0)
		return result;
	if (exchange != NULL)
		exchange_cycle(exchange);
	d->options.allowed = forced ? NULL : obey_may_go_on;
	/* With rules, it may be long until the next. */
	d->options.watch = o->scheduler.rules.n == 0;
	result = deliver_cycle(d, err);
	if (!d->overtaken)
		d->options.now = false;
	return result;
}

/* Cycle after cycle, at each wake and each second where one is due, until a signal: 0; or until the
 * settings are others: 1. */
static int
watch(struct delivery *d, struct obedience *o, struct current *current, struct exchange *exchange,
    struct err *err)
{
	bool woken = false;
	AUTO_FD int events = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	int result = 0;

	if (events < 0 || inotify_add_watch(events, d->spool->path, IN_CLOSE_WRITE) < 0 ||
	    smtp_engine_watch(d->engine, events, note_wake, &woken) < 0)
		return err_io(err, "cannot watch %s", d->spool->path);
	while (!stop_requested && result == 0 && !d->overtaken) {
		int64_t next = clock_monotonic() + USEC;

		/* Also where no cycle is due for long. */
		if (current_changed(current)) {
			result = 1;
			break;
		}
		woken = false;
		result = watch_cycle(d, o, exchange, err);
		if (result == 0)
			result = deliver_rotate(d, err);
		while (!stop_requested && result == 0 && !d->overtaken && !woken &&
		    clock_monotonic() < next)
			if (smtp_engine_step(d->engine,
				(int)((next - clock_monotonic()) / 1000 + 1), err) < 0)
				result = -1;
	}
	smtp_engine_unwatch(d->engine, events);
	return result;
}

static int
run_delivery(struct delivery *d, const struct run_options *o, struct obedience *obedience,
    struct current *current, struct exchange *exchange, struct err *err)
{
	struct dry_run dry_run = { o->json };
	struct progress progress = { .terminal = isatty(STDERR_FILENO) == 1 };
	int result;

	if (o->dry_run)
		return deliver_dry_run(d, print_due, &dry_run, err);
	if (o->progress || (isatty(STDERR_FILENO) && isatty(STDOUT_FILENO) && !o->common.quiet)) {
		d->progress = show_progress;
		d->progress_arg = &progress;
	}
	result = o->watch ? watch(d, obedience, current, exchange, err) :
			    run_cycle(d, exchange, &stop_requested, err);
	/* A watch has told, and tries again. */
	if (result == 0 && !o->watch && !d->overtaken)
		result = deliver_tell_unread(d, err);
	if (result == 0 && d->overtaken)
		result = 1;
	if (progress.shown > 0 && progress.terminal)
		fprintf(stderr, "\r\033[K");
	return result;
}

static int
check_account(const struct settings *settings, const char *id, struct err *err)
{
	if (id == NULL || settings_account(settings, id) != NULL)
		return 0;
	return err_set(err, EX_USAGE, "--account: no account \"%s\" is configured", id);
}

/* With these settings: begins, cycles, ends.  1: a watch goes on with others. */
static int
deliver(struct spool *spool, struct current *current, struct run_options *o,
    struct obedience *obedience, struct exchange *exchange, struct deliver_counts *counts,
    struct err *err)
{
	struct deliver_options options = { .ids = o->by_id ? o->ids.v : NULL,
		.id_count = o->ids.n,
		.account = o->account,
		.limit = o->limit,
		.jobs = o->jobs,
		.now = o->now,
		.watch = o->watch,
		.allowed = o->now || o->by_id || o->dry_run ? NULL : obey_may_go_on,
		.allowed_arg = obedience,
		.has_account = current_has_account,
		.overtaken = o->by_id || o->dry_run ? NULL : current_changed,
		.settings_arg = current };
	struct err end_err = ERR_INIT;
	struct delivery delivery;
	int result;

	if (deliver_begin(&delivery, &current->settings, spool, &options, &stop_requested, err) < 0)
		return -1;
	delivery.counts = *counts;
	result = run_delivery(&delivery, o, obedience, current, exchange, err);
	if (deliver_end(&delivery, &end_err) < 0 && result >= 0) {
		*err = end_err;
		result = -1;
	}
	*counts = delivery.counts;
	obedience->resume = delivery.overtaken;
	/* That is for the first cycle of a watch, and for all of one that was cut short. */
	o->now = delivery.options.now;
	return result;
}

/* True where this run is a cycle in the sense of the rules: all but messages by name, and a look. */
static bool
is_cycle(const struct run_options *o)
{
	return !o->by_id && !o->dry_run;
}

/* Begins the exchange with the application where there is something to exchange; it may begin later, as
 * settings change.  One that cannot is told of, and keeps no mail waiting. */
static void
begin_exchange(struct exchange **exchange, const struct current *current,
    const struct run_options *o)
{
	const struct settings *s = &current->settings;
	struct exchange_options options = { .config = o->common.config,
		.spool = current->spool->path,
		.fetch = !o->no_fetch && o->account == NULL,
		.tell = !o->no_sync,
		.now = o->now,
		.watch = o->watch };
	struct err err = ERR_INIT;

	if (*exchange != NULL || !is_cycle(o))
		return;
	if (!(options.fetch && s->fetch.url != NULL) && !(options.tell && s->sync.url != NULL))
		return;
	*exchange = exchange_begin(&options, &err);
	if (*exchange == NULL)
		log_error("nothing is exchanged with the application: %s", err.msg);
}

static int
deliver_all(struct spool *spool, struct current *current, struct run_options *o,
    struct obedience *obedience, struct totals *totals, struct err *err)
{
	struct exchange *exchange = NULL;
	int result;

	catch_signals();
	begin_exchange(&exchange, current, o);
	while ((result = deliver(spool, current, o, obedience, exchange, &totals->delivered, err)) >
		0 &&
	    !stop_requested) {
		log_info("the configuration has changed and is read again");
		current_refresh(current);
		begin_exchange(&exchange, current, o);
	}
	exchange_end(&exchange, &totals->exchanged);
	if (!o->dry_run && !o->common.quiet)
		run_print(totals, NULL, o->json);
	return result;
}

/* 1: go on; 0: no cycle is due; -1 with err.  A watch asks for each of its cycles. */
static int
obey(struct obedience *obedience, const struct run_options *o, struct skipped *skipped,
    struct err *err)
{
	if (!is_cycle(o))
		return 1;
	if (scheduler_read(&obedience->scheduler, obedience->spool, obedience->settings, err) < 0) {
		if (!o->now)
			return -1;
		log_warning("%s", err->msg);
		return 1;
	}
	return o->watch ? 1 : obey_begin(obedience, o->now, skipped, err);
}

static int
resend(struct spool *spool, const struct run_options *o, struct totals *totals, struct err *err)
{
	totals->resent = reports_resend(spool, err);
	if (totals->resent < 0)
		return -1;
	if (!o->json && !o->common.quiet)
		printf("%lld reports that were set aside are sent again\n",
		    (long long)totals->resent);
	return 0;
}

static int
run(struct run_options *o)
{
	AUTO_FREE char *path = NULL;
	AUTO_FREE char *again = NULL;
	struct err err = ERR_INIT;
	struct spool_options spool_options = { 0 };
	struct spool spool;
	AUTO(current_release)
	struct current current = { .config = o->common.config, .spool = &spool };
	AUTO(obey_release)
	struct obedience obedience = { .spool = &spool, .settings = &current.settings };
	struct totals totals = { .resent = -1 };
	struct skipped skipped;
	int result = -1;

	if (settings_load(&current.settings, o->common.config, &err) < 0 ||
	    settings_spool(&current.settings, o->common.spool, &path, &err) < 0)
		return err_print(&err);
	spool_options.allow_network_fs = current.settings.queue.allow_network_fs;
	spool_options.owner = settings_spool_owner(&current.settings, path);
	if (spool_open(&spool, path, &spool_options, &err) < 0)
		return err_print(&err);
	again = reread_file(&current.settings);
	if (again != NULL)
		o->common.config = current.config = again;
	if ((o->watch || current.settings.sync.url != NULL || current.settings.fetch.url != NULL) &&
	    reread_check(again, &err) < 0)
		log_warning("%s", err.msg);
	if (current_begin(&current, &err) == 0 &&
	    check_account(&current.settings, o->account, &err) == 0)
		result = obey(&obedience, o, &skipped, &err);
	if (result >= 0 && o->resend_reports && resend(&spool, o, &totals, &err) < 0)
		result = -1;
	if (result == 0 && !o->common.quiet)
		run_print(&totals, &skipped, o->json);
	else if (result > 0)
		result = deliver_all(&spool, &current, o, &obedience, &totals, &err);
	spool_close(&spool);
	if (result < 0)
		return err_print(&err);
	if (totals.delivered.missing > 0)
		return EX_NOINPUT;
	return totals.delivered.blocked > 0 ? EX_TEMPFAIL : EX_OK;
}

int
main(int argc, char **argv)
{
	struct run_options options = { 0 };
	struct opt_rest rest;
	int code = program_start(&program, argc, argv, &options, &rest);

	if (code >= 0)
		return code;
	if (rest.argc > 0 && !options.by_id)
		return program_misuse(&program, "unexpected argument \"%s\"", rest.argv[0]);
	if (options.watch && (options.dry_run || options.by_id))
		return program_misuse(&program, "--watch cannot be combined with %s",
		    options.dry_run ? "--dry-run" : "--id");
	if (options.resend_reports && (options.dry_run || options.by_id))
		return program_misuse(&program, "--resend-reports cannot be combined with %s",
		    options.dry_run ? "--dry-run" : "--id");
	for (int i = 0; i < rest.argc; i++)
		if (take_id(&options, rest.argv[i], NULL) < 0)
			return program_misuse(&program, "an id must not be empty");
	if (options.by_id && options.watch)
		return program_misuse(&program, "--watch cannot be combined with --id");
	code = program_finish(run(&options));
	free(options.ids.v);
	return code;
}
