/* GET /messages, /messages/{id}, /pending and /deferred. */
#include "cmd/api/messages.h"

#include <string.h>

#include "base/clock.h"
#include "cmd/view/text.h"
#include "spool/journal/history.h"

#define PENDING_SHOWN 20 /* recipients in to_addr */

/* ---- lists ------------------------------------------------------------------------------------------- */

/* True for "true" and "1". */
static bool
is_true(const char *text)
{
	return text != NULL && (strcmp(text, "true") == 0 || strcmp(text, "1") == 0);
}

/* What the query asks for; -1 after 422. */
static int
list_of(struct http_request *r, struct serve_list *ret)
{
	const char *state = http_query(r, "state");
	struct serve_faults faults;

	*ret = (struct serve_list){ .account = http_query(r, "account_id"),
		.batch = http_query(r, "batch_code"),
		.recipients = SERVE_ROW_RECIPIENTS,
		.outcomes = true };
	ret->states =
	    is_true(http_query(r, "active_only")) ? serve_states_active : serve_states_all;
	if (state != NULL && *state != '\0')
		ret->states = serve_states_of(state);
	serve_faults_init(&faults);
	if (ret->states == NULL)
		serve_fault(&faults, "query", "state", "value_error.const",
		    "expected waiting, claimed, deferred, held, uncertain, failed, sent, queued, "
		    "pending or error");
	return serve_faults_reply(r, &faults) ? -1 : 0;
}

/* What every list does but for how a row is shown. */
static void
reply_list(struct http_request *r, struct serve *serve, const struct serve_list *list,
    const char *key, void (*put)(const struct serve_row *row, struct json_writer *w))
{
	AUTO(serve_rows_release) struct serve_rows rows = { 0 };
	char next[SERVE_CURSOR_SIZE];
	struct serve_answer answer;
	struct serve_page page;
	struct spool *spool;
	int result;

	if (serve_page_of(r, &page) < 0 || (spool = serve_spool_get(serve, r)) == NULL)
		return;
	result = serve_list_read(r, spool, list, &page, &rows, next);
	serve_spool_put(serve, spool);
	if (result < 0)
		return;
	serve_answer_begin(&answer, true);
	json_key(&answer.w, key);
	json_begin_array(&answer.w);
	for (size_t i = 0; i < rows.n; i++) {
		json_begin_object(&answer.w);
		put(&rows.v[i], &answer.w);
		json_end_object(&answer.w);
	}
	json_end_array(&answer.w);
	json_member_str(&answer.w, "next", next[0] != '\0' ? next : NULL);
	serve_reply(r, 200, &answer);
}

void
serve_list_messages(struct http_request *r, void *arg)
{
	struct serve_list list;

	if (list_of(r, &list) == 0)
		reply_list(r, arg, &list, "messages", serve_row_put);
}

/* As it stood in To. */
static void
put_addresses(const struct serve_row *row, struct json_writer *w)
{
	AUTO_BUF struct buf text = BUF_INIT((size_t)64 * 1024);

	for (size_t i = 0; i < row->to_count; i++)
		buf_addf(&text, "%s%s", i > 0 ? ", " : "", row->to[i]);
	if (row->to_all > row->to_count)
		buf_addf(&text, ", and %zu more", row->to_all - row->to_count);
	json_member_str(w, "to_addr", text.s);
}

static void
put_pending(const struct serve_row *row, struct json_writer *w)
{
	json_member_str(w, "id", row->id);
	put_addresses(row, w);
	json_member_str(w, "subject", row->subject);
	json_member_str(w, "account_id", row->lane.account);
	serve_put_instant(w, "started_at", row->created);
	json_member_str(w, "state", state_text(row->state));
}

void
serve_pending(struct http_request *r, void *arg)
{
	static const enum state states[] = { STATE_CLAIMED, STATE_WAITING, STATE_NONE };
	const struct serve_list list = { .states = states,
		.account = http_query(r, "account_id"),
		.batch = http_query(r, "batch_code"),
		.recipients = PENDING_SHOWN };

	reply_list(r, arg, &list, "pending", put_pending);
}

static void
put_deferred(const struct serve_row *row, struct json_writer *w)
{
	json_member_str(w, "id", row->id);
	json_member_str(w, "account_id", row->lane.account);
	json_member_int(w, "deferred_until", row->name.due / USEC);
	serve_put_instant(w, "created_at", row->created);
	json_member_int(w, "attempts", row->name.attempts);
	json_member_str(w, "error", row->error);
}

void
serve_deferred(struct http_request *r, void *arg)
{
	static const enum state states[] = { STATE_DEFERRED, STATE_NONE };
	const struct serve_list list = { .states = states,
		.account = http_query(r, "account_id"),
		.batch = http_query(r, "batch_code"),
		.outcomes = true };

	reply_list(r, arg, &list, "deferred", put_deferred);
}

/* ---- one message -------------------------------------------------------------------------------------- */

struct last {
	struct json *line; /* the last that says what was sent; NULL: there is none */
	enum event event;  /* of the last line that changed its state */
	int64_t reported;  /* when the application had heard of that; 0: it has not */
};

static int
take_last(const char *text, size_t len, const struct json *line, void *arg)
{
	struct last *last = arg;
	enum event event = serve_line_event(line);

	if (event == EVENT_REPORTED) {
		if (last->reported == 0)
			last->reported = status_instant(json_get(line, "t"));
		return 0;
	}
	if (event == EVENT_BOUNCED)
		return 0;
	last->event = event;
	last->reported = 0;
	if (last->event >= EVENT_SENT && json_get(line, "created") != NULL) {
		json_free(last->line);
		last->line = json_parse(text, len, 1, NULL);
	}
	return 0;
}

struct finding {
	struct serve_rows *rows;
	bool found;
};

static int
take_found(const struct place *place, void *arg)
{
	struct finding *finding = arg;

	finding->found =
	    serve_row_of_place(serve_rows_add(finding->rows), place, RECORD_RECIPIENTS_MAX);
	if (!finding->found)
		serve_rows_drop(finding->rows, 1);
	return finding->found;
}

/* One that moves while we look may be passed over; not several times in a row. */
static int
find_in_queue(struct spool *spool, const char *id, struct serve_rows *rows, struct err *err)
{
	const char *const ids[] = { id };
	struct walk_filter filter = { .state = STATE_NONE, .ids = ids, .id_count = 1 };
	struct finding finding = { .rows = rows };

	for (int attempt = 0; attempt < 2 && !finding.found; attempt++)
		if (walk(spool, &filter, take_found, &finding, err) < 0)
			return -1;
	return finding.found;
}

static int
explain(struct spool *spool, const struct settings *settings, const struct serve_row *row,
    struct why *ret, struct err *err)
{
	const struct record record = { .recipients = row->to,
		.recipient_count = row->to_count,
		.created = row->created,
		.expires = row->expires };
	struct why_message message = { .state = row->state,
		.name = row->name,
		.lane = row->lane,
		.record = row->to != NULL ? &record : NULL };

	memcpy(message.runner, row->runner, sizeof message.runner);
	return why(spool, settings, &message, ret, err);
}

int
serve_find_message(struct spool *spool, const struct settings *settings, const char *id,
    struct serve_rows *rows, struct why *ret_why, struct err *err)
{
	struct last last = { .event = EVENT_COUNT };
	struct history_filter filter = { .id = id };
	bool known;
	int found;

	filter.since = serve_id_since(spool, id, &known);
	if (!known)
		return 0;
	found = history_read(spool, &filter, take_last, &last, err) < 0 ? -1 : 0;
	/* Of one that was sent, nothing stands in the queue: to look for it there would cost the most. */
	if (found == 0 && last.event != EVENT_SENT)
		found = find_in_queue(spool, id, rows, err);
	if (found == 0 && last.line != NULL && last.event != EVENT_DELETED) {
		serve_row_of_line(serve_rows_add(rows), last.line);
		found = 1;
	} else if (found == 1) {
		if (last.line != NULL && rows->v[0].error == NULL)
			serve_row_note(&rows->v[0], last.line);
		found = explain(spool, settings, &rows->v[0], ret_why, err) < 0 ? -1 : 1;
	}
	if (found == 1)
		rows->v[0].reported_at = last.reported;
	json_free(last.line);
	return found;
}

/* ---- its history --------------------------------------------------------------------------------------- */

static void
put_text(struct json_writer *w, const struct json *from, const char *key)
{
	json_member_str(w, key, json_string(json_get(from, key)));
}

static void
put_number(struct json_writer *w, const struct json *from, const char *key)
{
	int64_t number;

	if (json_to_int(json_get(from, key), &number) == 0)
		json_member_int(w, key, number);
}

static void
put_recipients(struct json_writer *w, const struct json *list)
{
	json_key(w, "recipients");
	json_begin_array(w);
	for (size_t i = 0; i < json_length(list); i++) {
		const struct json *one = json_at(list, i);

		json_begin_object(w);
		put_text(w, one, "address");
		put_text(w, one, "outcome");
		put_number(w, one, "code");
		put_text(w, one, "enhanced");
		put_text(w, one, "reply");
		json_end_object(w);
	}
	json_end_array(w);
}

static int
put_line(const char *text, size_t len, const struct json *line, void *arg)
{
	struct json_writer *w = arg;

	(void)text;
	(void)len;
	/* One that is about many names no id. */
	if (json_string(json_get(line, "id")) == NULL && serve_line_event(line) != EVENT_REPORTED)
		return 0;
	json_begin_object(w);
	json_member_str(w, "ts", json_string(json_get(line, "t")));
	put_text(w, line, "event");
	put_number(w, line, "attempt");
	put_text(w, line, "account");
	put_text(w, line, "server");
	put_number(w, line, "code");
	put_text(w, line, "enhanced");
	put_text(w, line, "reply");
	put_text(w, line, "class");
	put_text(w, line, "recipient");
	put_text(w, line, "reporter");
	put_text(w, line, "reason");
	serve_put_instant(w, "deferred_until", status_instant(json_get(line, "due")));
	if (json_length(json_get(line, "recipients")) > 0)
		put_recipients(w, json_get(line, "recipients"));
	json_end_object(w);
	return w->failed;
}

static void
put_why(const struct why *why, struct json_writer *w)
{
	json_key(w, "why");
	json_begin_object(w);
	json_member_str(w, "code", why_word(why->kind));
	json_member_str(w, "text", why->text);
	serve_put_instant(w, "until", why->until);
	json_end_object(w);
}

static void
reply_message(struct http_request *r, struct spool *spool, const struct serve_row *row,
    const struct why *why)
{
	struct history_filter filter = { .id = row->id };
	struct serve_answer answer;
	struct err err = ERR_INIT;
	bool known;

	filter.since = serve_id_since(spool, row->id, &known);
	serve_answer_begin(&answer, true);
	serve_row_put(row, &answer.w);
	if (why->text[0] != '\0')
		put_why(why, &answer.w);
	json_key(&answer.w, "history");
	json_begin_array(&answer.w);
	if (history_read(spool, &filter, put_line, &answer.w, &err) < 0) {
		buf_release(&answer.out);
		serve_reply_err(r, &err);
		return;
	}
	json_end_array(&answer.w);
	serve_reply(r, 200, &answer);
}

void
serve_show_message(struct http_request *r, void *arg)
{
	struct serve *serve = arg;
	AUTO(serve_rows_release) struct serve_rows rows = { 0 };
	struct spool *spool = serve_spool_get(serve, r);
	const struct serve_config *config;
	struct why why = { 0 };
	struct err err = ERR_INIT;
	int found;

	if (spool == NULL)
		return;
	config = serve_config_get(serve);
	found =
	    serve_find_message(spool, &config->settings, http_param(r, "id"), &rows, &why, &err);
	if (found < 0)
		serve_reply_err(r, &err);
	else if (found == 0)
		http_reply_detail(r, 404, "Message not found");
	else
		reply_message(r, spool, &rows.v[0], &why);
	serve_config_put(serve, config);
	serve_spool_put(serve, spool);
}
