/* All about one message, and its text. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/num.h"
#include "cmd/status/status.h"
#include "cmd/view/text.h"
#include "cmd/view/why.h"
#include "spool/draft/draft.h"
#include "spool/journal/history.h"
#include "spool/part/content.h"
#include "spool/part/message.h"

#define RECIPIENTS_SHOWN 20
#define LINE_OUT_MAX ((size_t)16 * 1024 * 1024)
#define COPY_STEP ((size_t)64 * 1024)

/* A message that was found. */
struct found {
	bool is_there;
	enum state state;
	struct message_name name;
	struct lane lane;
	char runner[TOKEN_SIZE];
	char path[3 * NAME_SIZE]; /* from the spool's root */
	int fd;			  /* -1 where it could not be opened */
	struct record record;
	struct err err; /* why not */
};

static void
found_release(struct found *found)
{
	auto_close_fd(&found->fd);
	record_release(&found->record);
}

static int
take_place(const struct place *place, void *arg)
{
	struct found *found = arg;

	found->err = (struct err)ERR_INIT;
	if (message_open(place->dir, place->text, &place->name, &found->fd, &found->record,
		&found->err) < 0 &&
	    found->err.code == EX_NOINPUT)
		return 0; /* it has moved on in this moment */
	found->is_there = true;
	found->state = place->state;
	found->name = place->name;
	lane_parse(place->lane, &found->lane);
	snprintf(found->runner, sizeof found->runner, "%.*s", TOKEN_SIZE - 1,
	    place->runner != NULL ? place->runner : "");
	if (place->runner != NULL)
		snprintf(found->path, sizeof found->path, "cur/%s/%s/%s", place->runner,
		    place->lane, place->text);
	else
		snprintf(found->path, sizeof found->path, "%s/%s/%s/%s", state_text(place->state),
		    place->lane, place->bucket, place->text);
	return 1;
}

/* One that moves while we look may be passed over; not several times in a row. */
static int
find(struct spool *spool, const char *id, struct found *ret, struct err *err)
{
	const char *const ids[] = { id };
	struct walk_filter filter = { .state = STATE_NONE, .ids = ids, .id_count = 1 };

	*ret = (struct found){ .fd = -1 };
	for (int attempt = 0; attempt < 3 && !ret->is_there; attempt++)
		if (walk(spool, &filter, take_place, ret, err) < 0)
			return -1;
	return 0;
}

/* Why it is where it is. */
static int
explain(struct spool *spool, const struct settings *settings, const struct found *found,
    struct why *ret, struct err *err)
{
	struct why_message message = { .state = found->state,
		.name = found->name,
		.lane = found->lane,
		.record = found->fd >= 0 ? &found->record : NULL };
	size_t used;

	snprintf(message.runner, sizeof message.runner, "%s", found->runner);
	if (why(spool, settings, &message, ret, err) < 0)
		return -1;
	used = strlen(ret->text);
	if (found->fd < 0)
		snprintf(ret->text + used, sizeof ret->text - used, "; it cannot be read: %s",
		    found->err.msg);
	return 0;
}

/* ---- for people -------------------------------------------------------------------------- */

static void
field_instant(const char *label, int64_t instant)
{
	char text[STATUS_TIME_SIZE];

	if (instant != 0)
		status_field(label, status_time(instant, text));
}

static void
print_record(const struct record *record)
{
	char text[24];

	status_field("from", record->from);
	status_field("sender", record->sender[0] != '\0' ? record->sender : "<>");
	for (size_t i = 0; i < record->recipient_count && i < RECIPIENTS_SHOWN; i++)
		status_field(i == 0 ? "recipient" : "", record->recipients[i]);
	if (record->recipient_count > RECIPIENTS_SHOWN)
		printf("  %-12s and %zu more (--json has them all)\n", "",
		    record->recipient_count - RECIPIENTS_SHOWN);
	status_field("subject", record->subject);
	status_field("message-id", record->message_id);
	field_instant("added", record->created);
	status_field("by", record->source);
	field_instant("expires", record->expires);
	snprintf(text, sizeof text, "%lld", (long long)record->max_attempts);
	status_field("max attempts", record->max_attempts > 0 ? text : NULL);
	status_field("size", num_size_text(record_total(record), text));
}

static void
print_found(const struct found *found, const struct why *why, const char *id)
{
	char text[STATUS_TIME_SIZE];

	status_put(id);
	printf(": %s\n", state_text(found->state));
	status_field(found->state == STATE_WAITING || found->state == STATE_DEFERRED ? "waits for" :
										       "why",
	    why->text);
	field_instant("due", found->name.due);
	status_field("account", found->lane.account);
	status_field("batch", found->lane.batch);
	status_field("domain", found->lane.domain);
	snprintf(text, sizeof text, "%d", found->name.priority);
	status_field("priority", text);
	snprintf(text, sizeof text, "%u", found->name.attempts);
	status_field("attempts", text);
	if (found->fd >= 0)
		print_record(&found->record);
	status_field("file", found->path);
	snprintf(text, sizeof text, "%llu", (unsigned long long)found->name.offset);
	status_field("at byte", text);
}

static int
print_line(const char *text, size_t len, const struct json *value, void *arg)
{
	int64_t t = status_instant(json_get(value, "t"));
	char when[STATUS_TIME_SIZE];

	(void)text;
	(void)len;
	(void)arg;
	printf("  %s  ", status_time(t, when));
	status_outcome(value, true);
	return ferror(stdout) != 0;
}

/* ---- as JSON ----------------------------------------------------------------------------- */

static void
put_record(struct json_writer *w, const struct record *record)
{
	status_json_instant(w, "created", record->created);
	status_json_instant(w, "expires", record->expires);
	if (record->max_attempts > 0)
		json_member_int(w, "max_attempts", record->max_attempts);
	json_member_int(w, "size", (int64_t)record_total(record));
	json_member_str(w, "sender", record->sender);
	json_member_str(w, "from", record->from);
	json_member_str(w, "subject", record->subject);
	json_member_str(w, "message_id", record->message_id);
	json_member_str(w, "source", record->source);
	status_json_recipients(w, record);
}

static void
put_found(struct json_writer *w, const struct found *found, const struct why *why)
{
	json_key(w, "why");
	json_begin_object(w);
	json_member_str(w, "code", why_word(why->kind));
	json_member_str(w, "text", why->text);
	status_json_instant(w, "until", why->until);
	json_end_object(w);
	json_member_str(w, "account", found->lane.account);
	if (found->lane.batch[0] != '\0')
		json_member_str(w, "batch", found->lane.batch);
	if (found->lane.domain[0] != '\0')
		json_member_str(w, "domain", found->lane.domain);
	json_member_int(w, "priority", found->name.priority);
	status_json_instant(w, "due", found->name.due);
	json_member_int(w, "attempts", found->name.attempts);
	if (found->runner[0] != '\0')
		json_member_str(w, "runner", found->runner);
	json_member_str(w, "file", found->path);
	json_member_int(w, "offset", (int64_t)found->name.offset);
	if (found->fd >= 0)
		put_record(w, &found->record);
}

struct putting {
	bool comma;
	int64_t
	    reported; /* when the application had heard of the last that happened; 0: it has not */
};

/* The journal's lines are JSON already. */
static int
put_line(const char *text, size_t len, const struct json *value, void *arg)
{
	struct putting *putting = arg;
	const char *word = json_string(json_get(value, "event"));
	enum event event = word != NULL ? event_parse(word) : EVENT_COUNT;

	if (event == EVENT_REPORTED && putting->reported == 0)
		putting->reported = status_instant(json_get(value, "t"));
	else if (event != EVENT_REPORTED && event >= EVENT_BOUNCED)
		putting->reported = 0;
	if (putting->comma)
		putchar(',');
	putting->comma = true;
	fwrite(text, 1, len, stdout);
	return ferror(stdout) != 0;
}

static int
print_json(struct spool *spool, const struct history_filter *filter, const struct found *found,
    const struct why *why, const char *state, struct err *err)
{
	AUTO_BUF struct buf out = BUF_INIT(LINE_OUT_MAX);
	struct json_writer w = JSON_WRITER(&out);
	struct putting putting = { .comma = false };
	int result;

	json_begin_object(&w);
	json_member_str(&w, "id", filter->id);
	json_member_str(&w, "state", state);
	if (found->is_there)
		put_found(&w, found, why);
	json_key(&w, "history");
	json_begin_array(&w);
	if (json_finish(&w) < 0)
		return err_set(err, EX_SOFTWARE, "too much for one line of JSON");
	fwrite(out.s, 1, out.len, stdout);
	result = history_read(spool, filter, put_line, &putting, err);
	putchar(']');
	if (putting.reported != 0) {
		char text[CLOCK_TEXT_SIZE];

		printf(",\"reported\":\"%s\"", clock_iso_usec(putting.reported, text));
	}
	puts("}");
	return result < 0 ? -1 : 0;
}

/* ---- show -------------------------------------------------------------------------------- */

/* What history says last of a message that is not in the queue. */
struct last {
	enum event event;  /* the last that changed its state */
	struct json *line; /* the last that tells more than the event; NULL: none does */
};

static void
last_release(struct last *last)
{
	json_free(last->line);
}

static int
take_last(const char *text, size_t len, const struct json *value, void *arg)
{
	struct last *last = arg;
	const char *word = json_string(json_get(value, "event"));
	enum event event = word != NULL ? event_parse(word) : EVENT_COUNT;

	/* That it was told, or came back for one of them, is shown below. */
	if (event != EVENT_COUNT && event != EVENT_REPORTED &&
	    (event != EVENT_BOUNCED || last->event == EVENT_COUNT))
		last->event = event;
	if (json_get(value, "created") != NULL) {
		json_free(last->line);
		last->line = json_parse(text, len, 1, NULL);
	}
	return 0;
}

static void
print_last(const struct last *last, const char *id)
{
	char text[24];
	int64_t size;

	status_put(id);
	printf(": %s\n", event_text(last->event));
	status_field("account", json_string(json_get(last->line, "account")));
	status_field("batch", json_string(json_get(last->line, "batch")));
	status_field("from", json_string(json_get(last->line, "from")));
	status_field("subject", json_string(json_get(last->line, "subject")));
	status_field("message-id", json_string(json_get(last->line, "message_id")));
	field_instant("added", status_instant(json_get(last->line, "created")));
	if (json_to_int(json_get(last->line, "size"), &size) == 0)
		status_field("size", num_size_text((uint64_t)size, text));
}

static int
show(struct spool *spool, const struct status_options *options, const struct settings *settings,
    const char *id, struct err *err)
{
	struct history_filter filter = { .id = id, .all = options->full };
	AUTO(found_release) struct found found = { .fd = -1 };
	struct why why = { 0 };
	AUTO(last_release) struct last last = { .event = EVENT_COUNT };
	const char *state;

	if (find(spool, id, &found, err) < 0)
		return -1;
	if (found.is_there && explain(spool, settings, &found, &why, err) < 0)
		return -1;
	if (!found.is_there && history_read(spool, &filter, take_last, &last, err) < 0)
		return -1;
	if (!found.is_there && last.event == EVENT_COUNT)
		return err_set(err, EX_NOINPUT, "no message \"%s\"", id);
	state = found.is_there ? state_text(found.state) : event_text(last.event);
	if (options->json)
		return print_json(spool, &filter, &found, &why, state, err);
	if (found.is_there)
		print_found(&found, &why, id);
	else
		print_last(&last, id);
	return history_read(spool, &filter, print_line, NULL, err) < 0 ? -1 : 0;
}

int
status_show(struct spool *spool, const struct status_options *options,
    const struct settings *settings, char **ids, int n)
{
	int code = EX_OK;

	for (int i = 0; i < n; i++) {
		struct err err = ERR_INIT;

		if (i > 0 && !options->json)
			putchar('\n');
		if (show(spool, options, settings, ids[i], &err) < 0)
			code = err_print(&err);
	}
	return code;
}

/* ---- cat --------------------------------------------------------------------------------- */

/* With its attachments, but for those that are not fetched yet. */
static int
copy_text(struct spool *spool, const struct found *found, struct err *err)
{
	AUTO(content_close) struct content *content = NULL;
	AUTO_FREE char *block = xmalloc(COPY_STEP);

	if (content_open_partly(spool, found->fd, &found->name, &found->record, &content, err) < 0)
		return err_prefix(err, "%s", found->path);
	for (uint64_t at = 0; at < content_size(content);) {
		uint64_t left = content_size(content) - at;
		size_t n = left < COPY_STEP ? (size_t)left : COPY_STEP;

		if (content_read(content, at, block, n, err) < 0)
			return err_prefix(err, "%s", found->path);
		if (fwrite(block, 1, n, stdout) < n)
			return 0; /* program_finish tells */
		at += n;
	}
	return 0;
}

int
status_cat(struct spool *spool, const char *id)
{
	AUTO(found_release) struct found found = { .fd = -1 };
	struct err err = ERR_INIT;

	if (find(spool, id, &found, &err) < 0)
		return err_print(&err);
	if (!found.is_there) {
		err_set(&err, EX_NOINPUT,
		    "no message \"%s\" in the queue (sent messages are not stored)", id);
		return err_print(&err);
	}
	if (found.fd < 0)
		return err_print(&found.err);
	if (copy_text(spool, &found, &err) < 0 ||
	    message_verify(found.fd, &found.name, &found.record, &err) < 0)
		return err_print(&err);
	return EX_OK;
}
