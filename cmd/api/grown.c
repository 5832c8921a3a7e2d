/* The routes of the first service's grown form that differ by more than their path. */
#include "cmd/api/grown.h"

#include <string.h>

#include "base/clock.h"
#include "cmd/api/messages.h"
#include "spool/queue/count.h"

/* It has several tenants, and names one in each row; here there is one, of the name that is asked for. */
static const char *
tenant_of(struct http_request *r)
{
	const char *tenant = http_query(r, "tenant_id");

	return tenant != NULL && *tenant != '\0' ? tenant : "default";
}

static void
reply_value(struct http_request *r, struct serve_answer *answer)
{
	if (json_finish(&answer->w) == 0) {
		http_reply_json(r, 200, &answer->out);
		return;
	}
	buf_release(&answer->out);
	http_reply_detail(r, 500, "Internal Server Error");
}

/* An answer that is no object with "ok". */
static void
begin_value(struct serve_answer *answer)
{
	serve_answer_begin(answer, true);
	buf_clear(&answer->out);
	answer->w = (struct json_writer)JSON_WRITER(&answer->out);
}

/* ---- messages ------------------------------------------------------------------------------------------ */

/* Its words for where a message is. */
static const char *
status_of(const struct serve_row *row)
{
	return row->state == STATE_SENT	 ? "sent" :
	    row->state == STATE_FAILED	 ? "error" :
	    row->state == STATE_DEFERRED ? "deferred" :
					   "pending";
}

/* "status" stands twice in no row: that of serve_row_put has other words for some states, so the members
 * are its own. */
static void
put_row(const struct serve_row *row, const char *tenant, struct json_writer *w)
{
	char text[CLOCK_TEXT_SIZE];
	bool over = row->state == STATE_SENT || row->state == STATE_FAILED;
	int64_t at = row->event_at != 0 ? row->event_at : row->name.due;

	json_begin_object(w);
	json_member_str(w, "pk", row->id);
	json_member_str(w, "id", row->id);
	json_member_str(w, "tenant_id", tenant);
	json_member_str(w, "account_id", row->lane.account);
	json_member_int(w, "priority", row->name.priority >= 0 ? row->name.priority : 2);
	json_member_str(w, "status", status_of(row));
	json_member_str(w, "batch_code", row->lane.batch[0] != '\0' ? row->lane.batch : NULL);
	if (row->created != 0)
		json_member_str(w, "created_at", clock_iso(row->created, text));
	if (row->state == STATE_DEFERRED)
		json_member_int(w, "deferred_ts", row->name.due / USEC);
	if (over)
		json_member_int(w, "smtp_ts", at / USEC);
	json_member_str(w, "error", row->error);
	json_member_int(w, "attempts", row->name.attempts);
	json_key(w, "message");
	json_begin_object(w);
	serve_row_put_head(row, w);
	json_end_object(w);
	json_end_object(w);
}

/* GET /messages/list: an array.  It knew no pages; here the header X-Next-Cursor says that there is more. */
void
serve_grown_messages(struct http_request *r, void *arg)
{
	const char *active = http_query(r, "active_only");
	bool only = active != NULL && (strcmp(active, "true") == 0 || strcmp(active, "1") == 0);
	struct serve_list list = { .states = only ? serve_states_active : serve_states_all,
		.account = http_query(r, "account_id"),
		.batch = http_query(r, "batch_code"),
		.recipients = SERVE_ROW_RECIPIENTS,
		.outcomes = true };
	AUTO(serve_rows_release) struct serve_rows rows = { 0 };
	char next[SERVE_CURSOR_SIZE];
	struct serve_answer answer;
	struct serve_page page;
	struct spool *spool;
	int result;

	if (serve_page_of(r, &page) < 0 || (spool = serve_spool_get(arg, r)) == NULL)
		return;
	if (http_query(r, "limit") == NULL)
		page.limit = SERVE_PAGE_MAX;
	result = serve_list_read(r, spool, &list, &page, &rows, next);
	serve_spool_put(arg, spool);
	if (result < 0)
		return;
	begin_value(&answer);
	json_begin_array(&answer.w);
	for (size_t i = 0; i < rows.n; i++)
		put_row(&rows.v[i], tenant_of(r), &answer.w);
	json_end_array(&answer.w);
	if (next[0] != '\0')
		http_set_header(r, "X-Next-Cursor", next);
	reply_value(r, &answer);
}

/* False after 422. */
static bool
has_text(struct http_request *r, const char *where, const char *name, const char *text)
{
	struct serve_faults faults;

	serve_faults_init(&faults);
	if (text == NULL || *text == '\0')
		serve_fault(&faults, where, name, "value_error.missing", "field required");
	return !serve_faults_reply(r, &faults);
}

/* GET /messages/get?message_id= */
void
serve_grown_message(struct http_request *r, void *arg)
{
	const char *id = http_query(r, "message_id");
	AUTO(serve_rows_release) struct serve_rows rows = { 0 };
	const struct serve_config *config;
	struct serve_answer answer;
	struct why why = { 0 };
	struct err err = ERR_INIT;
	struct spool *spool;
	int found;

	if (!has_text(r, "query", "message_id", id) || (spool = serve_spool_get(arg, r)) == NULL)
		return;
	config = serve_config_get(arg);
	found = serve_find_message(spool, &config->settings, id, &rows, &why, &err);
	serve_config_put(arg, config);
	serve_spool_put(arg, spool);
	if (found <= 0) {
		if (found < 0)
			serve_reply_err(r, &err);
		else
			http_reply_detail(r, 404, "Message not found");
		return;
	}
	begin_value(&answer);
	put_row(&rows.v[0], tenant_of(r), &answer.w);
	reply_value(r, &answer);
}

/* POST /messages/delete {"message_pk"}: true where it was there. */
void
serve_grown_delete(struct http_request *r, void *arg)
{
	AUTO_JSON struct json *body = serve_body(r, false);
	const char *id = json_string(json_get(body, "message_pk"));
	struct err err = ERR_INIT;
	struct spool *spool;
	char by[200];
	int done;

	if (body == NULL || !has_text(r, "body", "message_pk", id) ||
	    (spool = serve_spool_get(arg, r)) == NULL)
		return;
	serve_by(r, by, sizeof by);
	done = serve_delete_message(spool, id, by, &err);
	serve_spool_put(arg, spool);
	if (done < 0)
		serve_reply_err(r, &err);
	else
		http_reply_text(r, 200, "application/json", done > 0 ? "true" : "false");
}

int
serve_count_active(struct spool *spool, const char *batch, uint64_t *ret, struct err *err)
{
	bool all = batch == NULL || *batch == '\0';
	struct counts counts = { 0 };
	uint64_t n = 0;

	if (count_messages(spool, &counts, err) < 0)
		return -1;
	for (size_t i = 0; i < counts.lane_count; i++)
		for (int state = 0; state <= STATE_COUNT; state++)
			if (state != STATE_FAILED &&
			    (all || strcmp(batch, counts.lanes[i].lane.batch) == 0))
				n += counts.lanes[i].messages[state];
	counts_release(&counts);
	*ret = n;
	return 0;
}

/* GET /messages/count_active, and /messages/count_pending_for_tenant?batch_code=: a number. */
void
serve_grown_count(struct http_request *r, void *arg)
{
	const char *batch = http_query(r, "batch_code");
	struct spool *spool = serve_spool_get(arg, r);
	struct serve_answer answer;
	struct err err = ERR_INIT;
	uint64_t n;
	int result;

	if (spool == NULL)
		return;
	result = serve_count_active(spool, batch, &n, &err);
	serve_spool_put(arg, spool);
	if (result < 0) {
		serve_reply_err(r, &err);
		return;
	}
	begin_value(&answer);
	json_put_int(&answer.w, (int64_t)n);
	reply_value(r, &answer);
}
