/* POST /commands/add-messages, and the grown form's /messages/add_batch and /messages/add. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "cmd/api/grown.h"
#include "cmd/serve/large.h"
#include "cmd/submit/attach.h"
#include "cmd/submit/refusals.h"

#define MESSAGES "body.messages"

/* What became of one message of the request. */
struct item {
	char *id;      /* the client's own, of one that is rejected; or NULL */
	char *reason;  /* why it is rejected; NULL: it is not, or not yet */
	bool composed; /* it is in the batch, in the order of the request */
};

/* How a request lists its messages, and what becomes of one that is none. */
enum adding_form {
	FORM_STRICT, /* "messages": one that is at fault in its form refuses them all */
	FORM_EACH,   /* "messages": one is rejected by itself, and need have no body */
	FORM_ONE,    /* the request is the message */
};

struct adding {
	enum adding_form form;
	struct serve *serve;
	struct http_request *r;
	const struct serve_config *config;
	struct spool *spool;
	struct serve_once *once;
	struct serve_batch *batch;
	const struct json *messages; /* while the body is there; FORM_ONE: the body itself */
	size_t n;		     /* of messages */
	int default_priority;	     /* -1: none */
	char source[200];
	struct item *items;
	struct serve_faults faults;
};

static void
release(struct adding *a)
{
	for (size_t i = 0; i < a->n; i++) {
		free(a->items[i].id);
		free(a->items[i].reason);
	}
	free(a->items);
	serve_batch_free(&a->batch);
	serve_once_end(&a->once);
	if (a->spool != NULL)
		serve_spool_put(a->serve, a->spool);
	serve_faults_release(&a->faults);
	serve_config_put(a->serve, a->config);
	free(a);
}

static void
reject(struct adding *a, size_t i, const char *id, const char *reason)
{
	a->items[i].id = id != NULL ? xstrdup(id) : NULL;
	a->items[i].reason = xstrdup(reason);
}

/* ---- one message ------------------------------------------------------------------------------- */

static int
open_path(void *arg, const char *path, struct err *err)
{
	const struct adding *a = arg;

	return attach_open((void *)(uintptr_t)&a->config->settings, path, err);
}

static void
put_path(const struct adding *a, size_t i, char *ret, size_t size)
{
	if (a->form == FORM_ONE)
		snprintf(ret, size, "body");
	else
		snprintf(ret, size, MESSAGES "[%zu]", i);
}

static void
take_faults(struct adding *a, size_t i, const char *id, const struct mail_faults *faults)
{
	char path[64];
	struct err err = ERR_INIT;
	bool schema = false;

	put_path(a, i, path, sizeof path);
	for (size_t k = 0; k < faults->count && a->form != FORM_EACH; k++) {
		if (a->form == FORM_STRICT && !serve_fault_is_of_schema(&faults->at[k]))
			continue;
		serve_fault_mail(&a->faults, path, &faults->at[k]);
		schema = true;
	}
	if (schema)
		return;
	mail_faults_err(faults, NULL, &err);
	reject(a, i, id, err.msg);
}

/* -1 with err only where the spool is at fault. */
static int
compose(struct adding *a, size_t i, struct mail_message *message, struct mail_delivery *delivery,
    struct err *err)
{
	if (delivery->id == NULL && a->once != NULL)
		delivery->id = xstrdup(serve_once_id(a->once, i));
	if (delivery->priority < 0)
		delivery->priority = a->default_priority;
	if (attach_check_total(&a->config->settings, message, err) == 0 &&
	    mail_message_complete(message, a->config->settings.delivery.hostname, err) == 0 &&
	    serve_batch_add(a->batch, message, delivery, a->source, err) == 0) {
		a->items[i].composed = true;
		return 0;
	}
	if (err->code != EX_DATAERR)
		return -1;
	reject(a, i, delivery->id, err->msg);
	return 0;
}

static int
take_message(struct adding *a, size_t i, struct err *err)
{
	const struct json *object = a->form == FORM_ONE ? a->messages : json_at(a->messages, i);
	AUTO_MESSAGE struct mail_message message = MAIL_MESSAGE_INIT;
	AUTO_DELIVERY struct mail_delivery delivery = MAIL_DELIVERY_INIT;
	AUTO_FAULTS struct mail_faults faults = MAIL_FAULTS_INIT;
	struct mail_json_options options = {
		.now = clock_now(),
		.attachment_max = (size_t)a->config->settings.attachments.max_size,
		.no_body = a->form == FORM_EACH,
		.no_s3 = attach_no_s3(&a->config->settings),
		.open_path = open_path,
		.arg = a,
	};
	char path[64];

	serve_large_options(a->r, &options);
	if (json_kind(object) != JSON_OBJECT && a->form == FORM_EACH) {
		reject(a, i, NULL, "value is not a valid dict");
		return 0;
	}
	if (json_kind(object) != JSON_OBJECT) {
		put_path(a, i, path, sizeof path);
		serve_fault(&a->faults, path, NULL, "type_error.dict", "value is not a valid dict");
		return 0;
	}
	if (mail_message_from_json(object, &options, &message, &delivery, &faults) < 0) {
		take_faults(a, i, json_string(json_get(object, "id")), &faults);
		return 0;
	}
	/* The request is refused as a whole: the others are only looked at. */
	return a->faults.count > 0 ? 0 : compose(a, i, &message, &delivery, err);
}

/* ---- of what the application is to hear ---------------------------------------------------------- */

/* Whether a message is rejected for what it is, and somebody will be told. */
static bool
is_to_be_told(const struct adding *a)
{
	if (a->config->settings.sync.url == NULL || a->form == FORM_ONE || a->faults.count > 0)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (a->items[i].reason != NULL)
			return true;
	return false;
}

/* Whether a good message of the request has this id. */
static bool
is_at_hand(const struct adding *a, const char *id)
{
	for (size_t k = serve_batch_count(a->batch); k-- > 0;)
		if (strcmp(serve_batch_id(a->batch, k), id) == 0)
			return true;
	return false;
}

/* Those with an id are reported as errors, as are those that are fetched: both published services do so.  Before the
 * others are queued, so that a client that hears nothing, and asks again, finds all done. */
static int
record_rejected(struct adding *a, struct err *err)
{
	AUTO(refusals_release) struct refusals refusals = REFUSALS(a->spool, a->source);

	for (size_t i = 0; i < a->n; i++) {
		const struct json *object = json_at(a->messages, i);
		AUTO_FREE char *id = refusals_id(json_get(object, "id"));

		if (a->items[i].reason != NULL && id != NULL && !is_at_hand(a, id) &&
		    refusals_add(&refusals, object, id, a->items[i].reason, err) < 0)
			return -1;
	}
	return refusals_sync(&refusals, err) < 0 ? -1 : 0;
}

/* 0; -1 after a reply, or where a worker goes on. */
static int
tell_rejected(struct adding *a)
{
	struct err err = ERR_INIT;

	if (!is_to_be_told(a))
		return 0;
	if (http_needs_worker(a->r))
		return -1;
	if (a->spool == NULL && (a->spool = serve_spool_get(a->serve, a->r)) == NULL)
		return -1;
	if (record_rejected(a, &err) == 0)
		return 0;
	serve_reply_err(a->r, &err);
	return -1;
}

/* ---- the request ------------------------------------------------------------------------------- */

/* messages and default_priority, or faults. */
static void
read_body(struct adding *a, const struct json *body)
{
	const struct json *messages = json_get_set(body, "messages");
	const struct json *priority = json_get_set(body, "default_priority");
	int64_t max = a->config->settings.server.max_batch, n;

	a->default_priority = -1;
	if (json_to_int(priority, &n) == 0)
		a->default_priority = n >= 0 && n <= 3 ? (int)n : -1;
	else if (json_string(priority) != NULL)
		a->default_priority = mail_priority_parse(json_string(priority));
	if (priority != NULL && a->default_priority < 0)
		serve_fault(&a->faults, "body", "default_priority", "value_error",
		    "expected 0 to 3, or immediate, high, medium or low");
	if (messages == NULL)
		serve_fault(&a->faults, "body", "messages", "value_error.missing",
		    "field required");
	else if (json_kind(messages) != JSON_ARRAY)
		serve_fault(&a->faults, "body", "messages", "type_error.list",
		    "value is not a valid list");
	else if (json_length(messages) > (size_t)max)
		serve_fault(&a->faults, "body", "messages", "value_error.list.max_items",
		    "ensure this value has at most %lld items", (long long)max);
	else
		a->messages = messages;
	a->n = json_length(a->messages);
}

static void
read_request(struct adding *a, const struct json *body)
{
	a->default_priority = -1;
	if (a->form == FORM_ONE) {
		a->messages = body;
		a->n = 1;
	} else {
		read_body(a, body);
	}
	a->items = xcalloc(a->n + 1, sizeof *a->items);
}

/* Whether message k of the batch is in the queue because of this request: by now, or by its first try,
 * whose answer was lost. */
static bool
is_queued(const struct adding *a, size_t k)
{
	const char *id = serve_batch_id(a->batch, k);

	if (serve_batch_result(a->batch, k) == DRAFT_QUEUED)
		return true;
	if (!serve_once_queued(a->once, id))
		return false;
	/* Twice in one request: it was queued once. */
	for (size_t i = 0; i < k; i++)
		if (strcmp(serve_batch_id(a->batch, i), id) == 0)
			return false;
	return true;
}

/* Settles what became of each; how many are queued. */
static size_t
settle(struct adding *a)
{
	size_t k = 0, queued = 0;

	for (size_t i = 0; i < a->n; i++) {
		if (!a->items[i].composed)
			continue;
		if (is_queued(a, k))
			queued++;
		else
			reject(a, i, serve_batch_id(a->batch, k), "duplicate id");
		k++;
	}
	return queued;
}

static void
put_rejected(struct json_writer *w, const struct adding *a)
{
	json_key(w, "rejected");
	json_begin_array(w);
	for (size_t i = 0; i < a->n; i++) {
		if (a->items[i].reason == NULL)
			continue;
		json_begin_object(w);
		json_member_str(w, "id", a->items[i].id);
		json_member_str(w, "reason", a->items[i].reason);
		json_member_int(w, "index", (int64_t)i);
		json_end_object(w);
	}
	json_end_array(w);
}

static void
put_ids(struct json_writer *w, const struct adding *a)
{
	size_t k = 0;

	json_key(w, "ids");
	json_begin_array(w);
	for (size_t i = 0; i < a->n; i++) {
		if (a->items[i].composed && a->items[i].reason == NULL)
			json_put_str(w, serve_batch_id(a->batch, k));
		k += a->items[i].composed;
	}
	json_end_array(w);
}

/* The grown form's answer to one: its id, twice, as here an id is unique. */
static void
reply_one(struct adding *a, bool queued)
{
	const char *id = serve_batch_id(a->batch, 0);
	struct serve_answer answer;

	if (!queued) {
		http_reply_detail(a->r, 409, "duplicate id");
		return;
	}
	serve_answer_begin(&answer, true);
	json_member_str(&answer.w, "id", id);
	json_member_str(&answer.w, "pk", id);
	serve_once_reply(&a->once, a->r, 200, &answer);
}

static void
reply(struct adding *a)
{
	struct serve_answer answer;
	size_t queued = settle(a);

	if (a->form == FORM_ONE) {
		reply_one(a, queued > 0);
		return;
	}
	serve_answer_begin(&answer, true);
	json_member_int(&answer.w, "queued", (int64_t)queued);
	put_rejected(&answer.w, a);
	put_ids(&answer.w, a);
	serve_once_reply(&a->once, a->r, 200, &answer);
}

/* In the thread that commits. */
static void
finish(struct serve_batch *batch, const struct err *err, void *arg)
{
	struct adding *a = arg;
	struct http_request *r = a->r;

	(void)batch;
	if (err != NULL)
		serve_reply_err(r, err);
	else
		reply(a);
	release(a);
	http_finish(r);
}

/* 0 where there is something to commit, which needs no body any more; -1 after a reply. */
static int
prepare(struct adding *a, const struct json *body)
{
	struct err err = ERR_INIT;

	read_request(a, body);
	if (a->faults.count == 0 && http_header(a->r, SERVE_ONCE_HEADER) != NULL) {
		a->spool = serve_spool_get(a->serve, a->r);
		if (a->spool == NULL || serve_large_once(a->serve, a->r, a->spool, &a->once) != 0)
			return -1;
	}
	a->batch = serve_batch_new(a->serve, a->config);
	for (size_t i = 0; i < a->n; i++) {
		if (take_message(a, i, &err) < 0) {
			serve_reply_err(a->r, &err);
			return -1;
		}
	}
	if (tell_rejected(a) < 0)
		return -1;
	a->messages = NULL;
	if (a->form == FORM_ONE && a->items[0].reason != NULL) {
		err_set(&err, EX_DATAERR, "%s", a->items[0].reason);
		serve_reply_err(a->r, &err);
		return -1;
	}
	return a->faults.count > 0 && serve_faults_reply(a->r, &a->faults) ? -1 : 0;
}

/* With a key there is more to be done behind the commit, which blocks. */
static void
commit(struct adding *a)
{
	struct err err = ERR_INIT;

	if (a->once == NULL) {
		http_defer(a->r);
		serve_commit_later(a->serve, a->batch, finish, a);
		return;
	}
	if (serve_once_keep(a->once, &err) < 0 || serve_commit(a->serve, a->batch, &err) < 0)
		serve_reply_err(a->r, &err);
	else
		reply(a);
	release(a);
}

static void
take_request(struct serve *serve, struct http_request *r, enum adding_form form)
{
	struct json *body = serve_large_body(r);
	struct adding *a;
	int result;

	if (body == NULL)
		return;
	a = xcalloc(1, sizeof *a);
	a->form = form;
	a->serve = serve;
	a->r = r;
	a->config = serve_config_get(a->serve);
	serve_faults_init(&a->faults);
	serve_source(r, a->source, sizeof a->source);
	result = prepare(a, body);
	json_free(body);
	if (result < 0)
		release(a);
	else
		commit(a);
}

/* What has to wait for a disk: an answer that may be stored, files that are read and typed. */
static bool
may_wait(const struct http_request *r)
{
	static const char attachments[] = "\"attachments\"";
	struct view body = http_body(r);

	return http_header(r, SERVE_ONCE_HEADER) != NULL ||
	    memmem(body.s, body.len, attachments, strlen(attachments)) != NULL;
}

static void
add(struct serve *serve, struct http_request *r, enum adding_form form)
{
	bool heavy = http_received(r) > SERVE_HEAVY;

	if (may_wait(r) && http_needs_worker(r))
		return;
	if (heavy && !serve_heavy_begin(serve, r))
		return;
	take_request(serve, r, form);
	if (heavy)
		serve_heavy_end(serve);
}

void
serve_add_messages(struct http_request *r, void *arg)
{
	add(arg, r, FORM_STRICT);
}

void
serve_grown_add_batch(struct http_request *r, void *arg)
{
	add(arg, r, FORM_EACH);
}

void
serve_grown_add(struct http_request *r, void *arg)
{
	add(arg, r, FORM_ONE);
}
