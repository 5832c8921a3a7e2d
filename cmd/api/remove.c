/* POST /commands/delete-messages and /commands/cleanup-messages. */
#include "cmd/api/grown.h"

#include <string.h>

#include "base/clock.h"
#include "base/num.h"
#include "cmd/api/messages.h"
#include "cmd/view/text.h"
#include "spool/journal/history.h"
#include "spool/queue/act.h"

/* Logs that are retired in one go; between two, others get their turn. */
#define RETIRE_STEP 200
#define OLDER_MAX (100 * 366 * INT64_C(86400)) /* seconds */

/* ---- delete ------------------------------------------------------------------------------------------ */

/* The ids of a request, each once, those that cannot be there apart: for them the queue need not be read. */
struct removal {
	const char **ids, **unknown;
	size_t n, unknown_n;
	struct act_result result;
	char **busy; /* in delivery, and so not removed */
	size_t busy_n, busy_room;
};

static void
removal_release(struct removal *removal)
{
	for (size_t i = 0; i < removal->busy_n; i++)
		free(removal->busy[i]);
	free(removal->busy);
	free(removal->ids);
	free(removal->unknown);
	act_result_release(&removal->result);
}

/* ---- what was sent ----------------------------------------------------------------------------------- */

/* So many ids are looked up in history before the queue is searched for them: it is the shorter way for one
 * that was sent soon after it came, as most are, and a search costs the same for one id and for many. */
#define LOOKED_UP 32
#define SENT_SOON (600 * USEC)

struct sent {
	int64_t since; /* what came before is another message's of the same id */
	bool found;
};

static int
take_sent(const char *text, size_t len, const struct json *line, void *arg)
{
	struct sent *sent = arg;

	(void)text;
	(void)len;
	sent->found = serve_line_event(line) == EVENT_SENT &&
	    status_instant(json_get(line, "t")) >= sent->since;
	return sent->found;
}

/* Whether history says that this id was sent within a while of its coming: then it is in no queue, however
 * large.  Where it cannot say, the queue is searched. */
static bool
was_sent(struct spool *spool, const char *id)
{
	struct history_filter filter = { .id = id };
	struct err err = ERR_INIT;
	struct sent sent = { 0 };
	bool known;

	/* A minute of grace; what is sent in that was sent after the id was taken. */
	filter.since = serve_id_since(spool, id, &known);
	if (!known || filter.since == 0)
		return false;
	sent.since = serve_id_came(spool, id);
	filter.until = sent.since + SENT_SOON;
	return history_read(spool, &filter, take_sent, &sent, &err) >= 0 && sent.found;
}

/* ---- the ids ------------------------------------------------------------------------------------------- */

static int
compare_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void
take_ids(struct spool *spool, const struct json *list, struct removal *ret)
{
	size_t n = json_length(list), kept = 0;
	AUTO_FREE const char **sorted = xcalloc(n + 1, sizeof *sorted);

	for (size_t i = 0; i < n; i++)
		sorted[i] = json_string(json_at(list, i));
	if (n > 1)
		qsort(sorted, n, sizeof *sorted, compare_text);
	for (size_t i = 0; i < n; i++)
		if (kept == 0 || strcmp(sorted[kept - 1], sorted[i]) != 0)
			sorted[kept++] = sorted[i];
	ret->ids = xcalloc(kept + 1, sizeof *ret->ids);
	ret->unknown = xcalloc(kept + 1, sizeof *ret->unknown);
	for (size_t i = 0; i < kept; i++) {
		bool known;

		serve_id_since(spool, sorted[i], &known);
		if (known && (kept > LOOKED_UP || !was_sent(spool, sorted[i])))
			ret->ids[ret->n++] = sorted[i];
		else
			ret->unknown[ret->unknown_n++] = sorted[i];
	}
}

static int
take_busy(const struct place *place, void *arg)
{
	struct removal *removal = arg;
	char id[ID_TEXT_MAX + 1];

	if (name_decode(place->name.id, id) < 0)
		return 0;
	if (removal->busy_n == removal->busy_room) {
		removal->busy_room = removal->busy_room > 0 ? 2 * removal->busy_room : 8;
		removal->busy =
		    xreallocarray(removal->busy, removal->busy_room, sizeof *removal->busy);
	}
	removal->busy[removal->busy_n++] = xstrdup(id);
	return 0;
}

static int
remove_messages(struct spool *spool, const char *by, struct removal *removal, struct err *err)
{
	struct walk_filter filter = { .state = STATE_NONE,
		.ids = removal->ids,
		.id_count = removal->n };

	if (removal->n == 0)
		return 0;
	if (act(spool, ACT_DELETE, by, &filter, &removal->result, err) < 0)
		return -1;
	filter.state = STATE_CLAIMED;
	return removal->result.claimed > 0 ? walk(spool, &filter, take_busy, removal, err) : 0;
}

static void
put_list(struct json_writer *w, const char *key, const char *const *texts, size_t n)
{
	json_key(w, key);
	json_begin_array(w);
	for (size_t i = 0; i < n; i++)
		json_put_str(w, texts[i]);
	json_end_array(w);
}

static void
reply_removed(struct http_request *r, const struct removal *removal, struct serve_once **once)
{
	const struct act_result *result = &removal->result;
	struct serve_answer answer;

	serve_answer_begin(&answer, true);
	json_member_int(&answer.w, "removed", (int64_t)result->done);
	json_key(&answer.w, "not_found");
	json_begin_array(&answer.w);
	for (size_t i = 0; i < removal->unknown_n; i++)
		json_put_str(&answer.w, removal->unknown[i]);
	for (size_t i = 0; i < result->missing_count; i++)
		json_put_str(&answer.w, result->missing[i]);
	json_end_array(&answer.w);
	if (removal->busy_n > 0)
		put_list(&answer.w, "in_delivery", (const char *const *)removal->busy,
		    removal->busy_n);
	serve_once_reply(once, r, 200, &answer);
}

/* False after 422. */
static bool
are_ids(struct http_request *r, const struct json *list)
{
	struct serve_faults faults;
	char path[40];

	serve_faults_init(&faults);
	if (list != NULL && json_kind(list) != JSON_ARRAY)
		serve_fault(&faults, "body", "ids", "type_error.list", "value is not a valid list");
	for (size_t i = 0; json_kind(list) == JSON_ARRAY && i < json_length(list); i++) {
		snprintf(path, sizeof path, "body.ids[%zu]", i);
		if (json_string(json_at(list, i)) == NULL)
			serve_fault(&faults, path, NULL, "type_error.str", "str type expected");
	}
	return !serve_faults_reply(r, &faults);
}

void
serve_by(const struct http_request *r, char *ret, size_t size)
{
	if (http_user(r) != NULL)
		snprintf(ret, size, "API, %s", http_user(r));
	else
		snprintf(ret, size, "API, %s", http_address(r));
}

int
serve_delete_message(struct spool *spool, const char *id, const char *by, struct err *err)
{
	AUTO(act_result_release) struct act_result result = { 0 };
	struct walk_filter filter = { .state = STATE_NONE, .ids = &id, .id_count = 1 };
	bool known;

	serve_id_since(spool, id, &known);
	if (!known || was_sent(spool, id))
		return 0;
	return act(spool, ACT_DELETE, by, &filter, &result, err) < 0 ? -1 : result.done > 0;
}

void
serve_delete_messages(struct http_request *r, void *arg)
{
	struct serve *serve = arg;
	AUTO_JSON struct json *body = serve_body(r, false);
	AUTO(removal_release) struct removal removal = { 0 };
	const struct json *list = json_get_set(body, "ids");
	struct serve_once *once = NULL;
	struct err err = ERR_INIT;
	struct spool *spool;
	char by[200];

	if (body == NULL || !are_ids(r, list) || (spool = serve_spool_get(serve, r)) == NULL)
		return;
	serve_by(r, by, sizeof by);
	if (serve_once_begin(serve, r, spool, &once) == 0) {
		take_ids(spool, list, &removal);
		if (remove_messages(spool, by, &removal, &err) < 0)
			serve_reply_err(r, &err);
		else
			reply_removed(r, &removal, &once);
	}
	serve_once_end(&once);
	serve_spool_put(serve, spool);
}

/* ---- cleanup ------------------------------------------------------------------------------------------- */

void
serve_cleanup(struct http_request *r, struct serve *serve, int64_t seconds)
{
	const struct serve_config *config = serve_config_get(serve);
	int64_t age = seconds >= 0 ? seconds * USEC : config->settings.queue.retention;
	/* Logs are told apart by the second: 0 means all that is over. */
	int64_t before = clock_now() - age + (age == 0 ? USEC : 0);
	bool told = config->settings.sync.url != NULL;
	struct spool *spool = serve_spool_get(serve, r);
	struct err err = ERR_INIT;
	struct serve_answer answer;
	uint64_t messages = 0;
	struct serve_once *once = NULL;
	int logs = RETIRE_STEP;

	serve_config_put(serve, config);
	if (spool == NULL)
		return;
	if (serve_once_begin(serve, r, spool, &once) == 0) {
		while (logs == RETIRE_STEP)
			logs = history_forget(spool, before, RETIRE_STEP, told, &messages, &err);
		if (logs < 0) {
			serve_reply_err(r, &err);
		} else {
			serve_answer_begin(&answer, true);
			json_member_int(&answer.w, "removed", (int64_t)messages);
			serve_once_reply(&once, r, 200, &answer);
		}
	}
	serve_once_end(&once);
	serve_spool_put(serve, spool);
}

static void
refuse_age(struct http_request *r, const char *where, const char *type)
{
	struct serve_faults faults;

	serve_faults_init(&faults);
	serve_fault(&faults, where, "older_than_seconds", type,
	    "expected a whole number of seconds from 0 on");
	serve_faults_reply(r, &faults);
}

void
serve_cleanup_messages(struct http_request *r, void *arg)
{
	AUTO_JSON struct json *body = serve_body(r, true);
	const struct json *older = json_get_set(body, "older_than_seconds");
	int64_t seconds = -1;

	if (body == NULL)
		return;
	if (older != NULL && json_to_int(older, &seconds) < 0)
		refuse_age(r, "body", "type_error.integer");
	else if (older != NULL && (seconds < 0 || seconds > OLDER_MAX))
		refuse_age(r, "body", "value_error.number.not_ge");
	else
		serve_cleanup(r, arg, seconds);
}

/* The grown form's: GET /messages/cleanup?older_than_seconds=. */
void
serve_grown_cleanup(struct http_request *r, void *arg)
{
	const char *text = http_query(r, "older_than_seconds");
	uint64_t seconds = 0;

	/* It is a GET that changes something: not for what a page of another site makes a browser do. */
	if (http_is_cross_site(r)) {
		http_reply_detail(r, 403, "Not from a page of another site");
	} else if (http_is_head(r)) {
		/* Who only wants to see what a GET would answer wants nothing removed. */
		http_reply_detail(r, 405, "Method Not Allowed");
		http_set_header(r, "Allow", "GET, OPTIONS");
	} else if (text != NULL && num_u64(text, 0, OLDER_MAX, &seconds) < 0) {
		refuse_age(r, "query", "type_error.integer");
	} else {
		serve_cleanup(r, arg, text != NULL ? (int64_t)seconds : -1);
	}
}
