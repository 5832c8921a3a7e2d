#include "cmd/run/run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "cmd/policy/reread.h"
#include "cmd/run/private.h"
#include "spool/queue/queue.h"
#include "spool/report/reports.h"

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

/* ---- what is shown on the way ---------------------------------------------------------------------- */

struct progress {
	int64_t shown; /* monotonic */
	bool terminal; /* one line that changes; else a line each time */
};

static void
show_progress(const struct deliver_counts *c, size_t in_flight, void *arg)
{
	struct progress *progress = arg;
	int64_t now = clock_monotonic();

	if (now - progress->shown < USEC / 5)
		return;
	progress->shown = now;
	fprintf(stderr, "%ssent %llu, deferred %llu, failed %llu, in hand %zu%s",
	    progress->terminal ? "\r" : "", (unsigned long long)c->sent,
	    (unsigned long long)c->deferred, (unsigned long long)c->failed, in_flight,
	    progress->terminal ? "\033[K" : "\n");
}

/* For a dry run; arg is the struct run_options. */
static void
print_due(const struct queue_entry *entry, const struct account *account, void *arg)
{
	const struct run_options *options = arg;
	char id[ID_TEXT_MAX + 1];
	AUTO_BUF struct buf line = BUF_INIT(4096);
	struct json_writer w = JSON_WRITER(&line);

	if (name_decode(entry->name.id, id) < 0)
		return;
	if (!options->json) {
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

/* ---- cycles ---------------------------------------------------------------------------------------- */

/* One cycle, until the application has heard all. */
static enum run_end
cycle(struct run *run, struct delivery *d, struct err *err)
{
	if (run_cycle(d, run->exchange, run->stop, err) < 0)
		return RUN_FAILED;
	if (deliver_is_overtaken(d))
		return RUN_OVERTAKEN;
	/* A watch has told, and tries again. */
	return deliver_tell_unread(d, err) < 0 ? RUN_FAILED : RUN_DONE;
}

/* With the settings as they are now: begins, cycles, ends. */
static enum run_end
deliver(struct run *run, struct err *err)
{
	const struct run_options *o = run->options;
	bool chosen = o->by_id || o->dry_run;
	struct progress progress = { .terminal = isatty(STDERR_FILENO) == 1 };
	bool shows =
	    o->progress || (isatty(STDERR_FILENO) && isatty(STDOUT_FILENO) && !o->common.quiet);
	struct deliver_options options = { .ids = o->by_id ? o->ids.v : NULL,
		.id_count = o->ids.n,
		.account = o->account,
		.limit = o->limit,
		.jobs = o->jobs,
		.now = run->now,
		.watch = o->watch,
		.allowed = run->now || chosen ? NULL : obey_may_go_on,
		.allowed_arg = &run->obedience,
		.has_account = current_has_account,
		.overtaken = chosen ? NULL : current_changed,
		.settings_arg = &run->current,
		.progress = shows && !o->dry_run ? show_progress : NULL,
		.progress_arg = &progress,
		.counted = run->totals.delivered };
	struct err end_err = ERR_INIT;
	struct delivery *d =
	    deliver_begin(&run->current.settings, &run->spool, &options, run->stop, err);
	enum run_end end;

	if (d == NULL)
		return RUN_FAILED;
	if (o->dry_run)
		end = deliver_dry_run(d, print_due, (void *)o, err) < 0 ? RUN_FAILED : RUN_DONE;
	else
		end = o->watch ? run_watch(run, d, err) : cycle(run, d, err);
	if (progress.shown > 0 && progress.terminal)
		fprintf(stderr, "\r\033[K");
	run->obedience.resume = deliver_is_overtaken(d);
	/* That is for the first cycle of a watch, and for all of one that was cut short. */
	run->now = deliver_options(d)->now;
	if (deliver_end(&d, &run->totals.delivered, &end_err) < 0 && end != RUN_FAILED) {
		*err = end_err;
		end = RUN_FAILED;
	}
	return end;
}

/* ---- all of it ------------------------------------------------------------------------------------- */

/* True where this run is a cycle in the sense of the rules: all but messages by name, and a look. */
static bool
is_cycle(const struct run_options *o)
{
	return !o->by_id && !o->dry_run;
}

/* Begins the exchange with the application where there is something to exchange; it may begin later, as
 * settings change.  One that cannot is told of, and keeps no mail waiting. */
static void
begin_exchange(struct run *run)
{
	const struct run_options *o = run->options;
	const struct settings *s = &run->current.settings;
	struct exchange_options options = { .config = run->current.config,
		.spool = run->spool.path,
		.fetch = !o->no_fetch && o->account == NULL,
		.tell = !o->no_sync,
		.now = run->now,
		.watch = o->watch };
	struct err err = ERR_INIT;

	if (run->exchange != NULL || !is_cycle(o))
		return;
	if (!(options.fetch && s->fetch.url != NULL) && !(options.tell && s->sync.url != NULL))
		return;
	run->exchange = exchange_begin(&options, &err);
	if (run->exchange == NULL)
		log_error("nothing is exchanged with the application: %s", err.msg);
}

static enum run_end
deliver_all(struct run *run, struct err *err)
{
	enum run_end end;

	catch_signals();
	begin_exchange(run);
	while ((end = deliver(run, err)) == RUN_OVERTAKEN && !*run->stop) {
		log_info("the configuration has changed and is read again");
		current_refresh(&run->current);
		begin_exchange(run);
	}
	exchange_end(&run->exchange, &run->totals.exchanged);
	if (!run->options->dry_run && !run->options->common.quiet)
		run_print(&run->totals, NULL, run->options->json);
	return end;
}

/* 1: go on; 0: no cycle is due; -1 with err.  A watch asks for each of its cycles. */
static int
obey(struct run *run, struct skipped *skipped, struct err *err)
{
	struct obedience *o = &run->obedience;

	if (!is_cycle(run->options))
		return 1;
	if (scheduler_read(&o->scheduler, o->spool, o->settings, err) < 0) {
		if (!run->now)
			return -1;
		log_warning("%s", err->msg);
		return 1;
	}
	return run->options->watch ? 1 : obey_begin(o, run->now, skipped, err);
}

static int
resend(struct run *run, struct err *err)
{
	struct totals *totals = &run->totals;

	totals->resent = reports_resend(&run->spool, err);
	if (totals->resent < 0)
		return -1;
	if (!run->options->json && !run->options->common.quiet)
		printf("%lld reports that were set aside are sent again\n",
		    (long long)totals->resent);
	return 0;
}

static int
check_account(const struct settings *settings, const char *id, struct err *err)
{
	if (id == NULL || settings_account(settings, id) != NULL)
		return 0;
	return err_set(err, EX_USAGE, "--account: no account \"%s\" is configured", id);
}

/* Loads the settings, opens the spool. */
static int
open_run(struct run *run, struct err *err)
{
	const struct opt_common *common = &run->options->common;
	struct settings *settings = &run->current.settings;
	AUTO_FREE char *path = NULL;
	struct spool_options options = { 0 };

	if (settings_load(settings, common->config, err) < 0 ||
	    settings_spool(settings, common->spool, &path, err) < 0)
		return -1;
	options.allow_network_fs = settings->queue.allow_network_fs;
	options.owner = settings_spool_owner(settings, path);
	return spool_open(&run->spool, path, &options, err);
}

/* From here on we may be another user: the spool's owner.  Does this user find the settings again? */
static void
note_settings_file(struct run *run)
{
	const struct settings *settings = &run->current.settings;
	struct err err = ERR_INIT;

	run->reread = reread_file(settings);
	if (run->reread != NULL)
		run->current.config = run->reread;
	if ((run->options->watch || settings->sync.url != NULL || settings->fetch.url != NULL) &&
	    reread_check(run->reread, &err) < 0)
		log_warning("%s", err.msg);
}

/* With an open spool. */
static int
run_opened(struct run *run, struct err *err)
{
	const struct run_options *o = run->options;
	struct skipped skipped;
	int due;

	note_settings_file(run);
	if (current_begin(&run->current, err) < 0 ||
	    check_account(&run->current.settings, o->account, err) < 0)
		return -1;
	due = obey(run, &skipped, err);
	if (due < 0 || (o->resend_reports && resend(run, err) < 0))
		return -1;
	if (due > 0)
		return deliver_all(run, err) == RUN_FAILED ? -1 : 0;
	if (!o->common.quiet)
		run_print(&run->totals, &skipped, o->json);
	return 0;
}

int
run_mailq(const struct run_options *options)
{
	struct run run = { .options = options,
		.stop = &stop_requested,
		.current = { .config = options->common.config, .spool = &run.spool },
		.obedience = { .spool = &run.spool, .settings = &run.current.settings },
		.totals = { .resent = -1 },
		.now = options->now };
	struct err err = ERR_INIT;
	int result = open_run(&run, &err);

	if (result == 0) {
		result = run_opened(&run, &err);
		spool_close(&run.spool);
	}
	obey_release(&run.obedience);
	current_release(&run.current);
	free(run.reread);
	if (result < 0)
		return err_print(&err);
	if (run.totals.delivered.missing > 0)
		return EX_NOINPUT;
	return run.totals.delivered.blocked > 0 ? EX_TEMPFAIL : EX_OK;
}
