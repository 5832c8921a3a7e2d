/* What happened. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/num.h"
#include "cmd/status/status.h"
#include "cmd/view/text.h"
#include "spool/journal/feed.h"
#include "spool/journal/history.h"

/* "2h" and its like lie back from now; a time of day is the last such, not the next. */
static int
parse_since(const char *text, int64_t *ret, struct err *err)
{
	int64_t now = clock_now(), span;
	bool plain_number = text[strspn(text, "0123456789.")] == '\0';

	if (!plain_number && num_duration(text, &span) == 0) {
		*ret = now - span;
		return 0;
	}
	if (clock_parse(text, now, ret) < 0)
		return err_set(err, EX_USAGE,
		    "--since: expected a time (2026-11-21T08:00, 08:00) or how long ago (2h, 3d), "
		    "not '%s'",
		    text);
	if (*ret > now && strlen(text) == 5)
		*ret -= 86400 * USEC;
	return 0;
}

static int
print_raw(const char *text, size_t len, const struct json *value, void *arg)
{
	(void)value;
	++*(size_t *)arg;
	fwrite(text, 1, len, stdout);
	putchar('\n');
	return ferror(stdout) != 0;
}

static int
print_line(const char *text, size_t len, const struct json *value, void *arg)
{
	const char *id = json_string(json_get(value, "id"));
	const char *name = json_string(json_get(value, "name"));
	char when[STATUS_TIME_SIZE], plain[ID_TEXT_MAX + 1];
	struct message_name parsed;

	(void)text;
	(void)len;
	++*(size_t *)arg;
	status_time(status_instant(json_get(value, "t")), when);
	when[strcspn(when, "(")] = '\0';
	printf("%s ", when);
	if (id == NULL && name != NULL && message_name_parse(name, &parsed) == 0 &&
	    name_decode(parsed.id, plain) == 0)
		id = plain;
	if (id != NULL) {
		status_put(id);
		fputs("  ", stdout);
	}
	status_outcome(value, false);
	return ferror(stdout) != 0;
}

static int
note_it_is_there(const struct place *place, void *arg)
{
	(void)place;
	*(bool *)arg = true;
	return 1;
}

/* Of a message that waits nothing may have happened yet; of one that is nowhere, nobody knows. */
static int
check_known(struct spool *spool, const char *id)
{
	struct walk_filter filter = { .state = STATE_NONE, .ids = &id, .id_count = 1 };
	struct err err = ERR_INIT;
	bool is_there = false;

	if (walk(spool, &filter, note_it_is_there, &is_there, &err) < 0)
		return err_print(&err);
	if (is_there)
		return EX_OK;
	log_error("no message \"%s\" in the queue or the log", id);
	return EX_NOINPUT;
}

/* ---- behind a cursor ------------------------------------------------------------------------ */

/* The line as it is, with one member more. */
static int
print_event(const struct feed_line *line, const struct buf *cursor)
{
	size_t n = line->len;

	while (n > 0 && line->text[n - 1] != '}')
		n--;
	if (n == 0)
		return 0;
	fwrite(line->text, 1, n - 1, stdout);
	printf(",\"cursor\":\"%s\"}\n", cursor->s);
	return ferror(stdout) != 0 ? -1 : 0;
}

static int
log_after(struct spool *spool, const char *after, struct err *err)
{
	AUTO(feed_close) struct feed *feed = NULL;
	AUTO_BUF struct buf cursor = BUF_INIT(FEED_CURSOR_MAX);
	struct feed_line line;
	bool any = false;
	int rc;

	if (feed_open(spool, after, FEED_EVENTS, &feed, err) < 0)
		return err->code == EX_USAGE ? err_prefix(err, "--after") : -1;
	while ((rc = feed_next(feed, &line, err)) > 0) {
		any = true;
		if (feed_cursor(feed, &cursor) < 0)
			return err_set(err, EX_TEMPFAIL, "the cursor is too long");
		if (print_event(&line, &cursor) < 0)
			return 0; /* program_finish tells */
	}
	if (rc < 0)
		return -1;
	if (any)
		return 0;
	if (feed_cursor(feed, &cursor) < 0)
		return err_set(err, EX_TEMPFAIL, "the cursor is too long");
	printf("{\"cursor\":\"%s\"}\n", cursor.s);
	return 0;
}

int
status_log(struct spool *spool, const struct status_options *options, const char *id)
{
	struct history_filter filter = { .id = id, .all = options->full };
	struct err err = ERR_INIT;
	size_t lines = 0;

	if (options->after != NULL)
		return log_after(spool, options->after, &err) < 0 ? err_print(&err) : EX_OK;
	if (options->since != NULL && parse_since(options->since, &filter.since, &err) < 0)
		return err_print(&err);
	if (history_read(spool, &filter, options->json ? print_raw : print_line, &lines, &err) < 0)
		return err_print(&err);
	return id != NULL && lines == 0 && options->since == NULL ? check_known(spool, id) : EX_OK;
}
