#include "cmd/api/rows.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "cmd/view/text.h"
#include "spool/part/message.h"

/* ---- making them --------------------------------------------------------------------------------- */

static void
row_release(struct serve_row *row)
{
	for (size_t i = 0; i < row->to_count; i++)
		free(row->to[i]);
	free(row->to);
	free(row->from);
	free(row->sender);
	free(row->subject);
	free(row->message_id);
	free(row->account);
	free(row->server);
	free(row->error);
}

void
serve_rows_drop(struct serve_rows *rows, size_t n)
{
	for (; n > 0 && rows->n > 0; n--)
		row_release(&rows->v[--rows->n]);
}

void
serve_rows_release(struct serve_rows *rows)
{
	serve_rows_drop(rows, rows->n);
	free(rows->v);
	*rows = (struct serve_rows){ 0 };
}

struct serve_row *
serve_rows_add(struct serve_rows *rows)
{
	if (rows->n == rows->room) {
		rows->room = rows->room > 0 ? 2 * rows->room : 16;
		rows->v = xreallocarray(rows->v, rows->room, sizeof *rows->v);
	}
	rows->v[rows->n] =
	    (struct serve_row){ .state = STATE_NONE, .name.priority = -1, .event = EVENT_COUNT };
	return &rows->v[rows->n++];
}

static char *
copy(const char *text)
{
	return text != NULL ? xstrdup(text) : NULL;
}

static void
take_record(struct serve_row *row, const struct record *record, size_t recipients)
{
	row->from = copy(record->from);
	row->sender = copy(record->sender);
	row->subject = copy(record->subject);
	row->message_id = copy(record->message_id);
	row->created = record->created;
	row->expires = record->expires;
	row->size = record_total(record);
	row->to_all = record->recipient_count;
	row->to = xcalloc(recipients + 1, sizeof *row->to);
	for (size_t i = 0; i < record->recipient_count && i < recipients; i++)
		row->to[row->to_count++] = xstrdup(record->recipients[i]);
}

bool
serve_row_of_place(struct serve_row *row, const struct place *place, size_t recipients)
{
	struct record record = { 0 };
	struct err err = ERR_INIT;

	if (message_open(place->dir, place->text, &place->name, NULL, &record, &err) == 0)
		take_record(row, &record, recipients);
	else if (err.code == EX_NOINPUT)
		return false;
	else
		row->error = xstrdup(err.msg);
	record_release(&record);
	row->state = place->state;
	row->name = place->name;
	if (name_decode(place->name.id, row->id) < 0)
		return false;
	lane_parse(place->lane, &row->lane);
	snprintf(row->runner, sizeof row->runner, "%.*s", TOKEN_SIZE - 1,
	    place->runner != NULL ? place->runner : "");
	return true;
}

/* ---- lines of history ------------------------------------------------------------------------------ */

enum event
serve_line_event(const struct json *line)
{
	const char *word = json_string(json_get(line, "event"));

	return word != NULL ? event_parse(word) : EVENT_COUNT;
}

char *
serve_line_error(const struct json *line)
{
	const char *reason = json_string(json_get(line, "reason"));
	const char *reply = json_string(json_get(line, "reply"));
	char text[1200];
	int64_t code;

	if (reason != NULL && *reason != '\0')
		return xstrdup(reason);
	if (reply == NULL)
		return NULL;
	if (json_to_int(json_get(line, "code"), &code) < 0)
		return xstrdup(reply);
	snprintf(text, sizeof text, "%lld %.1100s", (long long)code, reply);
	return xstrdup(text);
}

static void
replace(char **text, const char *by)
{
	free(*text);
	*text = copy(by);
}

void
serve_row_note(struct serve_row *row, const struct json *line)
{
	row->event = serve_line_event(line);
	row->event_at = status_instant(json_get(line, "t"));
	replace(&row->account, json_string(json_get(line, "account")));
	replace(&row->server, json_string(json_get(line, "server")));
	free(row->error);
	row->error = row->event != EVENT_SENT ? serve_line_error(line) : NULL;
}

static void
take_line_recipients(struct serve_row *row, const struct json *list)
{
	row->to_all = json_length(list);
	row->to = xcalloc(SERVE_ROW_RECIPIENTS, sizeof *row->to);
	for (size_t i = 0; i < row->to_all && row->to_count < SERVE_ROW_RECIPIENTS; i++) {
		const char *address = json_string(json_get(json_at(list, i), "address"));

		if (address != NULL)
			row->to[row->to_count++] = xstrdup(address);
	}
}

void
serve_row_of_line(struct serve_row *row, const struct json *line)
{
	const char *id = json_string(json_get(line, "id"));
	const char *name = json_string(json_get(line, "name"));
	const char *lane = json_string(json_get(line, "lane"));
	int64_t number;

	snprintf(row->id, sizeof row->id, "%s", id != NULL ? id : "");
	if (name == NULL || message_name_parse(name, &row->name) < 0)
		row->name.priority = -1;
	if (lane == NULL || lane_parse(lane, &row->lane) < 0)
		row->lane = (struct lane){ 0 };
	if (json_to_int(json_get(line, "attempt"), &number) == 0)
		row->name.attempts = (unsigned int)number;
	if (json_to_int(json_get(line, "size"), &number) == 0)
		row->size = (uint64_t)number;
	row->from = copy(json_string(json_get(line, "from")));
	row->subject = copy(json_string(json_get(line, "subject")));
	row->message_id = copy(json_string(json_get(line, "message_id")));
	row->created = status_instant(json_get(line, "created"));
	take_line_recipients(row, json_get(line, "recipients"));
	serve_row_note(row, line);
	row->state = row->event == EVENT_SENT ? STATE_SENT :
	    row->event == EVENT_FAILED	      ? STATE_FAILED :
	    row->event == EVENT_UNCERTAIN     ? STATE_UNCERTAIN :
						STATE_NONE;
}

/* ---- showing them ---------------------------------------------------------------------------------- */

const char *
serve_row_status(const struct serve_row *row)
{
	switch (row->state) {
	case STATE_DEFERRED:
		return "deferred";
	case STATE_FAILED:
		return "error";
	case STATE_SENT:
		return "sent";
	case STATE_CLAIMED:
	case STATE_UNCERTAIN: /* not an error: it may have been delivered */
		return "pending";
	default:
		return "queued";
	}
}

void
serve_put_instant(struct json_writer *w, const char *key, int64_t instant)
{
	char text[CLOCK_TEXT_SIZE];

	if (instant != 0)
		json_member_str(w, key, clock_iso(instant, text));
}

static void
put_seconds(struct json_writer *w, const char *key, int64_t instant)
{
	if (instant != 0)
		json_member_int(w, key, instant / USEC);
}

void
serve_row_put_head(const struct serve_row *row, struct json_writer *w)
{
	json_member_str(w, "from", row->from != NULL ? row->from : row->sender);
	json_key(w, "to");
	json_begin_array(w);
	for (size_t i = 0; i < row->to_count; i++)
		json_put_str(w, row->to[i]);
	json_end_array(w);
	json_member_str(w, "subject", row->subject);
}

/* What the message says, as the first service showed it. */
static void
put_message(const struct serve_row *row, struct json_writer *w)
{
	json_key(w, "message");
	json_begin_object(w);
	serve_row_put_head(row, w);
	json_member_str(w, "message_id", row->message_id);
	json_member_str(w, "return_path", row->sender);
	json_end_object(w);
}

void
serve_row_put(const struct serve_row *row, struct json_writer *w)
{
	/* One whose failure is not to be found was moved then. */
	int64_t failed = row->event == EVENT_FAILED ? row->event_at : row->name.due;

	json_member_str(w, "id", row->id);
	json_member_str(w, "state", state_text(row->state));
	json_member_str(w, "status", serve_row_status(row));
	if (row->name.priority >= 0) {
		json_member_int(w, "priority", row->name.priority);
		json_member_str(w, "priority_label", mail_priority_name(row->name.priority));
	}
	json_member_str(w, "account_id", row->lane.account[0] != '\0' ? row->lane.account : NULL);
	json_member_str(w, "batch_code", row->lane.batch[0] != '\0' ? row->lane.batch : NULL);
	json_member_str(w, "account", row->account);
	json_member_str(w, "server", row->server);
	json_member_int(w, "attempts", row->name.attempts);
	if (row->state == STATE_DEFERRED)
		put_seconds(w, "deferred_ts", row->name.due);
	if (row->state == STATE_SENT)
		put_seconds(w, "sent_ts", row->event_at);
	if (row->state == STATE_FAILED)
		put_seconds(w, "error_ts", failed);
	json_member_str(w, "error", row->error);
	put_seconds(w, "reported_ts", row->reported_at);
	serve_put_instant(w, "created_at", row->created);
	serve_put_instant(w, "updated_at", row->event_at);
	serve_put_instant(w, "expires_at", row->expires);
	if (row->size > 0)
		json_member_int(w, "size", (int64_t)row->size);
	json_member_int(w, "recipients", (int64_t)row->to_all);
	put_message(row, w);
}
