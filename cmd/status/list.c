/* The messages in the queue, a line each. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/log.h"
#include "base/utf8.h"
#include "cmd/status/status.h"
#include "cmd/view/text.h"
#include "spool/part/message.h"

/* Room for the line of a message with 10,000 recipients. */
#define LINE_OUT_MAX ((size_t)16 * 1024 * 1024)

int
status_filter(const struct status_options *options, struct walk_filter *ret, struct err *err)
{
	struct walk_filter filter = { .state = STATE_NONE,
		.account = options->account,
		.batch = options->batch };

	if (options->state != NULL) {
		filter.state = state_parse(options->state);
		if (filter.state > STATE_CLAIMED)
			return err_set(err, EX_USAGE,
			    "--state: expected waiting, deferred, held, uncertain, failed or "
			    "claimed, not '%s'",
			    options->state);
	}
	*ret = filter;
	return 0;
}

struct listing {
	const struct status_options *options;
	size_t columns; /* of the terminal; 0: it is none, and nothing is cut */
	struct json_writer w;
	int64_t count;
	int code;
};

static size_t
terminal_columns(void)
{
	struct winsize size;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0)
		return 0;
	return size.ws_col;
}

static void
print_head(void)
{
	printf("%-9s %s %s  %-13s %-12s %s\n", "STATE", "P", "TRIES", "DUE", "ACCOUNT", "ID");
}

static void
print_part(const char *label, const char *text)
{
	if (text[0] == '\0')
		return;
	printf("  %s ", label);
	status_put(text);
}

static void
print_name(const struct place *place, const char *id, const struct lane *lane)
{
	char age[STATUS_TIME_SIZE];
	size_t n = strlen(lane->account);

	printf("%-9s %d %5u  %-13.40s ", state_text(place->state), place->name.priority,
	    place->name.attempts, status_age(place->name.due, age));
	status_put(lane->account);
	printf("%*s ", (int)(n < 12 ? 12 - n : 0), "");
	status_put(id);
	print_part("batch", lane->batch);
	print_part("domain", lane->domain);
	putchar('\n');
}

/* How many columns a character may take: most of those beyond the alphabets take two. */
static size_t
columns_of(const char *text, size_t n)
{
	return n == 4 || (n == 3 && (unsigned char)text[0] > 0xe2) ? 2 : 1;
}

/* A line of text that is escaped, cut to the terminal's width. */
static void
put_cut(const char *line, size_t columns)
{
	static const char dots[] = "...";
	size_t len = strlen(line), used = 0, fits = 0, at = 0;

	while (at < len) {
		size_t n = utf8_sequence(line + at, len - at);

		n = n > 0 ? n : 1;
		used += columns_of(line + at, n);
		if (columns > 0 && used > columns) {
			printf("%.*s%s\n", (int)fits, line, dots);
			return;
		}
		at += n;
		if (used + strlen(dots) <= columns)
			fits = at;
	}
	puts(line);
}

static void
print_record(const struct record *record, size_t columns)
{
	AUTO_BUF struct buf line = BUF_INIT(64 * 1024);
	char safe[4000];

	buf_addf(&line, "          %s -> %s", record->sender[0] != '\0' ? record->sender : "<>",
	    record->recipients[0]);
	if (record->recipient_count > 1)
		buf_addf(&line, " and %zu more", record->recipient_count - 1);
	if (record->subject != NULL) {
		buf_adds(&line, ": ");
		buf_adds(&line, record->subject);
	}
	log_escape(safe, sizeof safe, line.s, line.len);
	put_cut(safe, columns);
}

static void
put_record(struct json_writer *w, const struct record *record)
{
	status_json_instant(w, "created", record->created);
	json_member_int(w, "size", (int64_t)record_total(record));
	json_member_str(w, "sender", record->sender);
	json_member_str(w, "from", record->from);
	json_member_str(w, "subject", record->subject);
	status_json_recipients(w, record);
}

static void
put_name(struct json_writer *w, const struct place *place, const char *id, const struct lane *lane)
{
	json_member_str(w, "id", id);
	json_member_str(w, "state", state_text(place->state));
	json_member_str(w, "account", lane->account);
	if (lane->batch[0] != '\0')
		json_member_str(w, "batch", lane->batch);
	if (lane->domain[0] != '\0')
		json_member_str(w, "domain", lane->domain);
	json_member_int(w, "priority", place->name.priority);
	status_json_instant(w, "due", place->name.due);
	json_member_int(w, "attempts", place->name.attempts);
	json_member_str(w, "runner", place->runner);
}

static int
list_one(const struct place *place, void *arg)
{
	struct listing *listing = arg;
	const struct status_options *options = listing->options;
	char id[ID_TEXT_MAX + 1] = "";
	struct lane lane = { 0 };
	struct record record = { 0 };
	struct err err = ERR_INIT;
	bool opened = false;

	name_decode(place->name.id, id);
	lane_parse(place->lane, &lane);
	if (options->long_list)
		opened =
		    message_open(place->dir, place->text, &place->name, NULL, &record, &err) == 0;
	if (options->json) {
		json_begin_object(&listing->w);
		put_name(&listing->w, place, id, &lane);
		if (opened)
			put_record(&listing->w, &record);
		json_end_object(&listing->w);
		if (status_json_line(&listing->w) != EX_OK)
			listing->code = EX_SOFTWARE;
	} else {
		if (listing->count == 0)
			print_head();
		print_name(place, id, &lane);
		if (opened)
			print_record(&record, listing->columns);
	}
	/* One that has just gone is no fault. */
	if (options->long_list && !opened && err.code != EX_NOINPUT)
		listing->code = err_print(&err);
	record_release(&record);
	listing->count++;
	return ferror(stdout) != 0 || listing->count == options->limit;
}

int
status_list(struct spool *spool, const struct status_options *options)
{
	AUTO_BUF struct buf out = BUF_INIT(LINE_OUT_MAX);
	struct listing listing = { .options = options, .w = JSON_WRITER(&out) };
	struct walk_filter filter;
	struct err err = ERR_INIT;

	if (status_filter(options, &filter, &err) < 0)
		return err_print(&err);
	listing.columns = terminal_columns();
	if (walk(spool, &filter, list_one, &listing, &err) < 0)
		return err_print(&err);
	if (listing.count == 0 && isatty(STDOUT_FILENO) == 1 && !options->json &&
	    !options->common.quiet)
		fputs("no messages\n", stderr);
	return listing.code;
}
