/* mailq-rules accounts list, show: what there is. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "cmd/rules/accounts.h"
#include "spool/policy/accounts.h"
#include "spool/queue/count.h"

#define CELL 120
#define DEFAULTS_MAX 16

enum column { ID, TRANSPORT, SERVER, USER, TLS, LIMITS, MESSAGES, PLACE, COLUMNS };

struct row {
	char cells[COLUMNS][CELL];
};

static const char *
protection(const struct account *a)
{
	static const char *const words[] = {
		[ACCOUNT_TLS_IMPLICIT] = "tls",
		[ACCOUNT_STARTTLS_REQUIRED] = "starttls",
		[ACCOUNT_STARTTLS_TRY] = "try",
		[ACCOUNT_TLS_NEVER] = "none",
	};

	return a->transport == ACCOUNT_SMTP ? words[a->tls] : "-";
}

static void
server_text(const struct account *a, char *ret, size_t size)
{
	if (a->transport == ACCOUNT_CAPTURE)
		snprintf(ret, size, "%s", a->maildir != NULL ? a->maildir : "captured");
	else
		snprintf(ret, size, strchr(a->host, ':') != NULL ? "[%s]:%d" : "%s:%d", a->host,
		    (int)a->port);
}

/* "30/min 500/day reject" */
static void
limits_text(const struct account *a, char *ret, size_t size)
{
	AUTO_BUF struct buf b = BUF_INIT(CELL - 1);
	char span[CLOCK_TEXT_SIZE];

	if (a->limit_per_minute > 0)
		buf_addf(&b, " %" PRId64 "/min", a->limit_per_minute);
	if (a->limit_per_hour > 0)
		buf_addf(&b, " %" PRId64 "/h", a->limit_per_hour);
	if (a->limit_per_day > 0)
		buf_addf(&b, " %" PRId64 "/day", a->limit_per_day);
	if (b.len > 0 && a->limit_behavior == ACCOUNT_LIMIT_REJECT)
		buf_adds(&b, " reject");
	if (b.len > 0 && a->limit_behavior == ACCOUNT_LIMIT_FALLBACK)
		buf_adds(&b, " fallback");
	if (a->min_interval > 0)
		buf_addf(&b, " 1 in %s", clock_span(a->min_interval, span));
	if (a->domains.n > 0)
		buf_addf(&b, " %zu domain%s", a->domains.n, a->domains.n == 1 ? "" : "s");
	snprintf(ret, size, "%s", b.len > 0 ? b.s + 1 : "-");
}

/* ---- numbers ------------------------------------------------------------------------------------ */

/* The accounts that messages leave through which name none. */
struct defaults {
	const struct account *v[DEFAULTS_MAX];
	int n;
};

static void
find_defaults(const struct settings *settings, struct defaults *ret)
{
	ret->n = settings_resolve(settings, NULL, ret->v, DEFAULTS_MAX, NULL);
}

static bool
is_default(const struct defaults *defaults, const struct account *a)
{
	for (int i = 0; i < defaults->n; i++)
		if (defaults->v[i] == a)
			return true;
	return false;
}

/* Messages that are not over, and that would leave through this account if it works. */
static uint64_t
messages_of(const struct counts *counts, const struct defaults *defaults, const struct account *a)
{
	bool first = defaults->n > 0 && defaults->v[0] == a;
	uint64_t sum = 0;

	for (size_t i = 0; i < counts->lane_count; i++) {
		const struct lane_count *lane = &counts->lanes[i];

		/* Those that name none, by whatever name the default goes. */
		if (strcmp(lane->lane.account, "default") == 0 ?
			!first :
			strcmp(lane->lane.account, a->id) != 0)
			continue;
		for (int state = 0; state <= STATE_COUNT; state++)
			if (state != STATE_FAILED)
				sum += lane->messages[state];
	}
	return sum;
}

/* ---- list --------------------------------------------------------------------------------------- */

static void
put_json(const struct account *a, const struct defaults *defaults, const struct counts *counts,
    struct json_writer *w)
{
	json_begin_object(w);
	account_put(a, w);
	json_member_str(w, "protection", protection(a));
	json_member_bool(w, "default", is_default(defaults, a));
	json_member_int(w, "messages", (int64_t)messages_of(counts, defaults, a));
	json_member_str(w, "place", a->place);
	json_member_bool(w, "read_only", !a->kept);
	json_end_object(w);
	accounts_print_json(w);
}

static void
put_broken(const struct accounts_command *c, const char *id, struct json_writer *w)
{
	AUTO_FREE char *path = accounts_path(c->spool, id);

	json_begin_object(w);
	json_member_str(w, "id", id);
	json_member_bool(w, "damaged", true);
	json_member_str(w, "place", path);
	json_end_object(w);
	accounts_print_json(w);
}

static void
fill_row(struct row *row, const struct account *a, const struct defaults *defaults,
    const struct counts *counts)
{
	snprintf(row->cells[ID], CELL, "%s%s", is_default(defaults, a) ? "* " : "  ", a->id);
	snprintf(row->cells[TRANSPORT], CELL, "%s",
	    a->transport == ACCOUNT_SMTP ? "smtp" : "capture");
	server_text(a, row->cells[SERVER], CELL);
	snprintf(row->cells[USER], CELL, "%s", a->user != NULL ? a->user : "-");
	snprintf(row->cells[TLS], CELL, "%s", protection(a));
	limits_text(a, row->cells[LIMITS], CELL);
	snprintf(row->cells[MESSAGES], CELL, "%" PRIu64, messages_of(counts, defaults, a));
	snprintf(row->cells[PLACE], CELL, "%s", a->kept ? "spool" : a->place);
}

static void
fill_broken(struct row *row, const char *id)
{
	for (int i = 0; i < COLUMNS; i++)
		snprintf(row->cells[i], CELL, "?");
	snprintf(row->cells[ID], CELL, "  %s", id);
	snprintf(row->cells[PLACE], CELL, "spool, its file cannot be used");
}

static void
print_rows(const struct row *rows, size_t n)
{
	size_t widths[COLUMNS] = { 0 };

	for (size_t i = 0; i < n; i++)
		for (int k = 0; k < COLUMNS; k++)
			if (strlen(rows[i].cells[k]) > widths[k])
				widths[k] = strlen(rows[i].cells[k]);
	for (size_t i = 0; i < n; i++) {
		for (int k = 0; k < COLUMNS; k++) {
			accounts_print(rows[i].cells[k]);
			if (k < PLACE)
				printf("%*s", (int)(widths[k] - strlen(rows[i].cells[k])) + 2, "");
		}
		putchar('\n');
	}
}

static void
print_list(const struct accounts_command *c, const struct defaults *defaults,
    const struct counts *counts)
{
	static const struct row head = { { "  ID", "TRANSPORT", "SERVER", "USER", "TLS", "LIMITS",
	    "MESSAGES", "PLACE" } };
	const struct settings *s = c->settings;
	size_t accounts = settings_n_accounts(s), n = 0;
	AUTO_FREE struct row *rows = xcalloc(accounts + s->broken.n + 1, sizeof *rows);

	rows[n++] = head;
	for (size_t i = 0; i < accounts; i++)
		fill_row(&rows[n++], settings_account_at(s, i), defaults, counts);
	for (size_t i = 0; i < s->broken.n; i++)
		fill_broken(&rows[n++], s->broken.v[i]);
	print_rows(rows, n);
}

int
accounts_list(const struct accounts_command *c)
{
	AUTO_BUF struct buf out = BUF_INIT((size_t)256 * 1024);
	struct json_writer w = JSON_WRITER(&out);
	const struct settings *s = c->settings;
	struct err err = ERR_INIT;
	struct defaults defaults;
	struct counts counts;

	if (count_messages(c->spool, &counts, &err) < 0)
		return err_print(&err);
	find_defaults(s, &defaults);
	for (size_t i = 0; c->options->json && i < settings_n_accounts(s); i++)
		put_json(settings_account_at(s, i), &defaults, &counts, &w);
	for (size_t i = 0; c->options->json && i < s->broken.n; i++)
		put_broken(c, s->broken.v[i], &w);
	if (!c->options->json)
		print_list(c, &defaults, &counts);
	counts_release(&counts);
	return EX_OK;
}

/* ---- show --------------------------------------------------------------------------------------- */

static bool
is_secret(const char *path)
{
	return strcmp(path, "password") == 0 || strcmp(path, "password_command") == 0;
}

/* A line a setting, in the syntax of mailq.conf; what is at its default stands behind a "#". */
static void
print_settings(const struct account *a)
{
	struct account defaults = { 0 };

	conf_defaults(account_schema, &defaults);
	for (const struct conf_item *item = account_schema; item->path != NULL; item++) {
		AUTO_BUF struct buf value = BUF_INIT(ACCOUNT_FILE_MAX),
				    same = BUF_INIT(ACCOUNT_FILE_MAX);
		bool is_set = conf_format(item, a, &value) == 1, is_default_value;

		conf_format(item, &defaults, &same);
		is_default_value = strcmp(value.s, same.s) == 0;
		if (!is_set || strcmp(item->path, "id") == 0)
			continue;
		printf("%s%s = ", is_default_value ? "# " : "", item->path);
		if (is_secret(item->path))
			fputs("(set, and not shown)", stdout);
		else
			accounts_print(value.s);
		puts(is_secret(item->path) ? "" : ";");
		explicit_bzero(value.s, value.len);
	}
	account_free(&defaults);
}

static void
print_account(const struct account *a, const struct defaults *defaults, uint64_t messages)
{
	char created[CLOCK_TEXT_SIZE];

	fputs("# account ", stdout);
	accounts_print(a->id);
	fputs(": ", stdout);
	accounts_print(a->place);
	if (a->created != 0)
		printf(", made %s", clock_iso(a->created, created));
	printf("\n# %sprotection: %s; %" PRIu64 " message%s waiting\n",
	    is_default(defaults, a) ? "a default; " : "", protection(a), messages,
	    messages == 1 ? "" : "s");
	print_settings(a);
}

static const struct account *
find(const struct accounts_command *c, const char *id, struct err *err)
{
	const struct account *a = settings_account(c->settings, id);

	if (a != NULL)
		return a;
	if (settings_broken(c->settings, id))
		err_set(err, EX_CONFIG,
		    "account %s: its file cannot be used: \"mailq-status check\" says why", id);
	else
		err_set(err, EX_NOINPUT, "there is no account %s", id);
	return NULL;
}

int
accounts_show(const struct accounts_command *c)
{
	AUTO_BUF struct buf out = BUF_INIT((size_t)256 * 1024);
	struct json_writer w = JSON_WRITER(&out);
	struct err err = ERR_INIT;
	struct defaults defaults;
	struct counts counts;
	int code = EX_OK;

	if (c->n == 0)
		err_set(&err, EX_USAGE, "accounts show: expected ids");
	if (c->n == 0 || count_messages(c->spool, &counts, &err) < 0)
		return err_print(&err);
	find_defaults(c->settings, &defaults);
	for (int i = 0; i < c->n; i++) {
		const struct account *a = find(c, c->words[i], &err);

		if (a == NULL)
			code = err_print(&err);
		else if (c->options->json)
			put_json(a, &defaults, &counts, &w);
		else
			print_account(a, &defaults, messages_of(&counts, &defaults, a));
	}
	counts_release(&counts);
	return code;
}
