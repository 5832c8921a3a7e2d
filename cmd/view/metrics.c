#include "cmd/view/metrics.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "base/clock.h"
#include "base/utf8.h"
#include "spool/journal/totals.h"
#include "spool/policy/park.h"
#include "spool/policy/suspend.h"
#include "spool/queue/count.h"
#include "spool/report/reports.h"

/* One account, as the label has it. */
struct row {
	const char *account;
	const struct totals_account *totals;
	bool configured;
	bool parked, suspended;
};

struct metrics {
	struct buf *out;
	bool failed; /* it did not fit */
	struct totals totals;
	struct counts counts;
	struct suspensions suspensions;
	struct statvfs disk;
	struct reports_backlog reports;
	struct reports_state reported;
	struct row *rows; /* sorted by account */
	size_t row_count, row_room;
	char **parked; /* ids of accounts that rest */
	size_t parked_count;
	int64_t now;
};

/* ---- the format -------------------------------------------------------------------------- */

static void
put(struct metrics *m, const char *text, size_t n)
{
	if (buf_add(m->out, text, n) < 0)
		m->failed = true;
}

static void
puts_to(struct metrics *m, const char *text)
{
	put(m, text, strlen(text));
}

static void
put_number(struct metrics *m, uint64_t number)
{
	if (buf_addf(m->out, " %" PRIu64 "\n", number) < 0)
		m->failed = true;
}

/* Microseconds as seconds. */
static void
put_seconds(struct metrics *m, uint64_t span)
{
	if (buf_addf(m->out, " %" PRIu64 ".%06" PRIu64 "\n", span / USEC, span % USEC) < 0)
		m->failed = true;
}

static void
head(struct metrics *m, const char *name, const char *type, const char *help)
{
	if (buf_addf(m->out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type) < 0)
		m->failed = true;
}

/* A label's value: backslash, quote and newline are escaped; a byte that is no UTF-8 is shown as
 * \xNN, which must not spoil all the rest. */
static void
put_value(struct metrics *m, const char *text)
{
	size_t left = strlen(text), n;

	for (; left > 0; text += n, left -= n) {
		char hex[8];

		n = utf8_sequence(text, left);
		if (n == 0) {
			n = 1;
			snprintf(hex, sizeof hex, "\\\\x%02x", (unsigned char)*text);
			puts_to(m, hex);
		} else if (*text == '\n') {
			puts_to(m, "\\n");
		} else {
			if (*text == '\\' || *text == '"')
				put(m, "\\", 1);
			put(m, text, n);
		}
	}
}

/* name{label="value"}, with more labels behind it, as they stand in the text. */
static void
labelled(struct metrics *m, const char *name, const char *label, const char *value,
    const char *more)
{
	puts_to(m, name);
	put(m, "{", 1);
	puts_to(m, label);
	put(m, "=\"", 2);
	put_value(m, value);
	put(m, "\"", 1);
	puts_to(m, more);
	put(m, "}", 1);
}

static void
plain(struct metrics *m, const char *name, const char *type, uint64_t number, const char *help)
{
	head(m, name, type, help);
	puts_to(m, name);
	put_number(m, number);
}

/* ---- accounts ---------------------------------------------------------------------------- */

static int
compare_rows(const void *a, const void *b)
{
	return strcmp(((const struct row *)a)->account, ((const struct row *)b)->account);
}

static void
add_row(struct metrics *m, const struct row *row)
{
	if (m->row_count == m->row_room) {
		m->row_room = m->row_room > 0 ? 2 * m->row_room : 16;
		m->rows = xreallocarray(m->rows, m->row_room, sizeof *m->rows);
	}
	m->rows[m->row_count++] = *row;
}

/* One row an account, whatever it is known from. */
static void
merge_rows(struct metrics *m)
{
	size_t kept = 0;

	qsort(m->rows, m->row_count, sizeof *m->rows, compare_rows);
	for (size_t i = 0; i < m->row_count; i++) {
		struct row *row = &m->rows[i];

		if (kept == 0 || compare_rows(&m->rows[kept - 1], row) != 0) {
			m->rows[kept++] = *row;
			continue;
		}
		if (row->totals != NULL)
			m->rows[kept - 1].totals = row->totals;
		m->rows[kept - 1].configured |= row->configured;
		m->rows[kept - 1].parked |= row->parked;
		m->rows[kept - 1].suspended |= row->suspended;
	}
	m->row_count = kept;
}

static void
collect_rows(struct metrics *m, const struct settings *settings)
{
	/* Messages that name no account are there before the first of them. */
	add_row(m, &(struct row){ .account = "default" });
	for (size_t i = 0; i < settings_n_accounts(settings); i++)
		add_row(m,
		    &(struct row){ .account = settings_account_at(settings, i)->id,
			.configured = true });
	for (size_t i = 0; i < m->totals.account_count; i++)
		add_row(m,
		    &(struct row){ .account = m->totals.accounts[i].account,
			.totals = &m->totals.accounts[i] });
	for (size_t i = 0; i < m->parked_count; i++)
		add_row(m, &(struct row){ .account = m->parked[i], .parked = true });
	for (size_t i = 0; i < m->suspensions.n; i++)
		if (m->suspensions.v[i].kind == SUSPEND_ACCOUNT)
			add_row(m,
			    &(struct row){ .account = m->suspensions.v[i].name,
				.suspended = true });
	merge_rows(m);
}

static int
note_parked(const char *account, const struct park *park, void *arg)
{
	struct metrics *m = arg;

	if (park->until <= m->now)
		return 0;
	m->parked = xreallocarray(m->parked, m->parked_count + 1, sizeof *m->parked);
	m->parked[m->parked_count++] = xstrdup(account);
	return 0;
}

/* ---- what is told ------------------------------------------------------------------------ */

static void
put_counter(struct metrics *m, const char *name, enum total total, const char *help)
{
	head(m, name, "counter", help);
	for (size_t i = 0; i < m->row_count; i++) {
		labelled(m, name, "account_id", m->rows[i].account, "");
		put_number(m, m->rows[i].totals != NULL ? m->rows[i].totals->n[total] : 0);
	}
}

static void
put_bounces(struct metrics *m)
{
	static const struct {
		enum total total;
		const char *label;
	} kinds[] = { { TOTAL_BOUNCED_HARD, ",kind=\"hard\"" },
		{ TOTAL_BOUNCED_SOFT, ",kind=\"soft\"" } };

	head(m, "mailq_bounces_total", "counter",
	    "Copies of sent messages that came back, for good (hard) or for now (soft).");
	for (size_t i = 0; i < m->row_count; i++)
		for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
			labelled(m, "mailq_bounces_total", "account_id", m->rows[i].account,
			    kinds[k].label);
			put_number(m,
			    m->rows[i].totals != NULL ? m->rows[i].totals->n[kinds[k].total] : 0);
		}
}

static void
put_reports(struct metrics *m)
{
	int64_t age = m->reports.oldest != 0 ? m->now - m->reports.oldest : 0;

	plain(m, "mailq_reports_waiting", "gauge", m->reports.waiting,
	    "Reports that the application has not acknowledged.");
	plain(m, "mailq_reports_rejected", "gauge", m->reports.rejected,
	    "Of these, reports that it has rejected before.");
	plain(m, "mailq_reports_dead", "gauge", m->reports.dead,
	    "Reports that were rejected too often and set aside.");
	head(m, "mailq_reports_oldest_seconds", "gauge",
	    "The age of the oldest report that is not acknowledged; 0 if there is none.");
	puts_to(m, "mailq_reports_oldest_seconds");
	put_seconds(m, age > 0 ? (uint64_t)age : 0);
	plain(m, "mailq_reports_failures", "gauge", m->reported.failures,
	    "Calls to the application that failed, in a row.");
	plain(m, "mailq_reports_told_total", "counter", m->totals.told,
	    "Reports that the application has acknowledged.");
	plain(m, "mailq_fetch_refused_total", "counter", m->totals.refused,
	    "Invalid messages that were fetched or submitted, and are reported as errors.");
}

static void
put_counters(struct metrics *m)
{
	put_counter(m, "asyncmail_sent_total", TOTAL_SENT,
	    "Messages that a server accepted for every recipient that was left.");
	put_counter(m, "asyncmail_errors_total", TOTAL_FAILED,
	    "Messages that failed: refused, expired, out of attempts or beyond a limit.");
	put_counter(m, "asyncmail_deferred_total", TOTAL_DEFERRED,
	    "Attempts after which a message was put off to be tried again.");
	put_counter(m, "asyncmail_rate_limited_total", TOTAL_LIMITED,
	    "How often a limit was reached, plus messages that failed because of a limit.");
	put_counter(m, "mailq_attempts_total", TOTAL_ATTEMPTS,
	    "Attempts that ended, with an answer for some recipient or uncertain.");
	put_counter(m, "mailq_uncertain_total", TOTAL_UNCERTAIN, "Attempts that ended uncertain.");
}

static void
put_histogram(struct metrics *m, const struct row *row)
{
	static const struct totals_account none;
	const struct totals_account *t = row->totals != NULL ? row->totals : &none;
	uint64_t sum = 0;
	char le[40];

	for (size_t i = 0; i <= TOTALS_BOUNDS; i++) {
		sum += t->latency[i];
		if (i == TOTALS_BOUNDS)
			snprintf(le, sizeof le, ",le=\"+Inf\"");
		else
			snprintf(le, sizeof le, ",le=\"%g\"",
			    (double)totals_bounds[i] / (double)USEC);
		labelled(m, "mailq_delivery_latency_seconds_bucket", "account_id", row->account,
		    le);
		put_number(m, sum);
	}
	labelled(m, "mailq_delivery_latency_seconds_sum", "account_id", row->account, "");
	put_seconds(m, t->latency_sum);
	labelled(m, "mailq_delivery_latency_seconds_count", "account_id", row->account, "");
	put_number(m, sum);
}

static void
put_recoveries(struct metrics *m)
{
	static const char *const words[] = { "completed", "put_back", "uncertain" };

	plain(m, "mailq_corrupt_total", "counter", m->totals.corrupt,
	    "Damaged messages that mailq-run set aside.");
	plain(m, "mailq_recoveries_total", "counter", m->totals.recoveries,
	    "Runners that died and were cleaned up after.");
	head(m, "mailq_recovered_messages_total", "counter",
	    "Messages that a dead mailq-run had claimed, by what became of them.");
	for (size_t i = 0; i < RECOVERED_COUNT; i++) {
		labelled(m, "mailq_recovered_messages_total", "outcome", words[i], "");
		put_number(m, m->totals.recovered[i]);
	}
}

/* What waits for another attempt and is due is not waiting/ before a runner looks. */
static uint64_t
oldest_age(const struct metrics *m)
{
	int64_t oldest = m->counts.oldest;

	if (m->counts.next_due != 0 && (oldest == 0 || m->counts.next_due < oldest))
		oldest = m->counts.next_due;
	return oldest != 0 && oldest < m->now ? (uint64_t)(m->now - oldest) : 0;
}

static void
put_queue(struct metrics *m)
{
	const uint64_t *messages = m->counts.messages;

	plain(m, "asyncmail_pending_messages", "gauge",
	    messages[STATE_WAITING] + messages[STATE_DEFERRED] + messages[STATE_CLAIMED] +
		messages[STATE_HELD] + messages[STATE_UNCERTAIN],
	    "Messages in the spool, except the failed ones.");
	head(m, "mailq_messages", "gauge", "Messages in the spool, by their state.");
	for (int state = 0; state <= STATE_CLAIMED; state++) {
		labelled(m, "mailq_messages", "state", state_text((enum state)state), "");
		put_number(m, messages[state]);
	}
	head(m, "mailq_oldest_due_age_seconds", "gauge",
	    "How long the oldest due message has been due; 0 if no message is due.");
	puts_to(m, "mailq_oldest_due_age_seconds");
	put_seconds(m, oldest_age(m));
	plain(m, "mailq_runners", "gauge", m->counts.runners, "How many mailq-run are running.");
}

/* Of accounts that are used: those that are configured, or something is said of. */
static void
put_accounts(struct metrics *m)
{
	head(m, "mailq_account_parked", "gauge", "1 while the account is parked after a fault.");
	for (size_t i = 0; i < m->row_count; i++) {
		if (!m->rows[i].configured && !m->rows[i].parked)
			continue;
		labelled(m, "mailq_account_parked", "account_id", m->rows[i].account, "");
		put_number(m, m->rows[i].parked);
	}
	head(m, "mailq_account_suspended", "gauge", "1 while an operator has it suspended.");
	for (size_t i = 0; i < m->row_count; i++) {
		if (!m->rows[i].configured && !m->rows[i].suspended)
			continue;
		labelled(m, "mailq_account_suspended", "account_id", m->rows[i].account, "");
		put_number(m, m->rows[i].suspended);
	}
}

static void
put_spool(struct metrics *m)
{
	uint64_t batches = 0, all = 0;

	for (size_t i = 0; i < m->suspensions.n; i++) {
		batches += m->suspensions.v[i].kind == SUSPEND_BATCH;
		all |= m->suspensions.v[i].kind == SUSPEND_ALL;
	}
	plain(m, "mailq_suspended", "gauge", all, "1 while an operator has all mail suspended.");
	plain(m, "mailq_suspended_batches", "gauge", batches,
	    "Batches that an operator has suspended.");
	plain(m, "mailq_free_bytes", "gauge", (uint64_t)m->disk.f_bavail * m->disk.f_frsize,
	    "Bytes that are free on the spool's file system.");
	/* File systems without a fixed number of inodes report none at all. */
	if (m->disk.f_files > 0)
		plain(m, "mailq_free_inodes", "gauge", m->disk.f_favail,
		    "Inodes that are free on the spool's file system.");
	head(m, "mailq_build_info", "gauge", "1, of this version.");
	labelled(m, "mailq_build_info", "version", VERSION, "");
	put_number(m, 1);
}

/* ---- all of it --------------------------------------------------------------------------- */

static int
collect(struct metrics *m, struct spool *spool, const struct settings *settings, struct err *err)
{
	m->now = clock_now();
	if (totals_read(spool, &m->totals, err) < 0 || count_messages(spool, &m->counts, err) < 0 ||
	    suspensions_read(spool, m->now, &m->suspensions, err) < 0 ||
	    park_each(spool, note_parked, m, err) < 0)
		return -1;
	if (fstatvfs(spool->root, &m->disk) < 0)
		return err_io(err, "spool %s: statvfs", spool->path);
	/* Without an application nobody waits to hear of it. */
	if ((settings->sync.url != NULL ? reports_count : reports_count_dead)(spool, &m->reports,
		err) < 0)
		return -1;
	if (settings->sync.url != NULL)
		reports_state_read(spool, &m->reported);
	collect_rows(m, settings);
	return 0;
}

static void
put_all(struct metrics *m)
{
	put_counters(m);
	head(m, "mailq_delivery_latency_seconds", "histogram",
	    "From the acceptance of a message to its delivery.");
	for (size_t i = 0; i < m->row_count; i++)
		put_histogram(m, &m->rows[i]);
	put_bounces(m);
	put_recoveries(m);
	put_queue(m);
	put_reports(m);
	put_accounts(m);
	put_spool(m);
}

static void
metrics_release(struct metrics *m)
{
	totals_release(&m->totals);
	counts_release(&m->counts);
	suspensions_release(&m->suspensions);
	for (size_t i = 0; i < m->parked_count; i++)
		free(m->parked[i]);
	free(m->parked);
	free(m->rows);
}

int
metrics_text(struct spool *spool, const struct settings *settings, struct buf *out, struct err *err)
{
	AUTO(metrics_release) struct metrics m = { .out = out };

	if (collect(&m, spool, settings, err) < 0)
		return -1;
	put_all(&m);
	if (m.failed)
		return err_set(err, EX_SOFTWARE, "the metrics are over %zu bytes", out->max);
	return 0;
}
