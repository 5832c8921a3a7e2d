/* POST /commands/suspend and /commands/activate: the scheduler as a whole, an account, or a batch. */
#include <string.h>

#include "base/clock.h"
#include "cmd/api/grown.h"
#include "spool/policy/suspend.h"

int
serve_is_active(const struct spool *spool, struct err *err)
{
	AUTO(suspensions_release) struct suspensions list = { 0 };

	if (suspensions_read(spool, clock_now(), &list, err) < 0)
		return -1;
	return suspensions_find(&list, SUSPEND_ALL, "") == NULL;
}

/* ---- what is meant ------------------------------------------------------------------------------------ */

/* A text of the body, or of the query, where the first service's later form had it; it may be absent.  Into
 * ret. */
static void
take_text(struct http_request *r, struct serve_faults *faults, const struct json *body,
    const char *key, char *ret, size_t size)
{
	const struct json *value = json_get_set(body, key);
	bool query = value == NULL && http_query(r, key) != NULL;
	const char *text = query ? http_query(r, key) : json_string(value);

	*ret = '\0';
	if (value == NULL && !query)
		return;
	if (text == NULL)
		serve_fault(faults, "body", key, "type_error.str", "str type expected");
	else if (*text == '\0' || strlen(text) >= size)
		serve_fault(faults, query ? "query" : "body", key, "value_error",
		    "expected 1 to %zu bytes", size - 1);
	else
		snprintf(ret, size, "%s", text);
}

/* until: Unix seconds. */
static void
take_until(struct serve_faults *faults, const struct json *body, struct suspension *ret)
{
	const struct json *value = json_get_set(body, "until");
	int64_t seconds;

	if (value == NULL)
		return;
	if (json_to_int(value, &seconds) < 0)
		serve_fault(faults, "body", "until", "type_error.integer",
		    "value is not a valid integer");
	else if (seconds <= ret->since / USEC || seconds > INT64_MAX / USEC)
		serve_fault(faults, "body", "until", "value_error",
		    "expected a time in the future, in Unix seconds");
	else
		ret->until = seconds * USEC;
}

/* -1 after 422. */
static int
order_of(struct http_request *r, const struct json *body, struct suspension *ret)
{
	char account[sizeof ret->name], batch[sizeof ret->name];
	struct serve_faults faults;

	*ret = (struct suspension){ .kind = SUSPEND_ALL, .since = clock_now() };
	serve_faults_init(&faults);
	take_text(r, &faults, body, "account_id", account, sizeof account);
	take_text(r, &faults, body, "batch_code", batch, sizeof batch);
	take_text(r, &faults, body, "reason", ret->reason, sizeof ret->reason);
	take_until(&faults, body, ret);
	if (account[0] != '\0' && batch[0] != '\0')
		serve_fault(&faults, "body", "batch_code", "value_error",
		    "expected account_id or batch_code, not both");
	if (serve_faults_reply(r, &faults))
		return -1;
	if (account[0] != '\0')
		ret->kind = SUSPEND_ACCOUNT;
	else if (batch[0] != '\0')
		ret->kind = SUSPEND_BATCH;
	memcpy(ret->name, batch[0] != '\0' ? batch : account, sizeof ret->name);
	serve_by(r, ret->by, sizeof ret->by);
	return 0;
}

static bool
is_account(struct serve *serve, const char *id)
{
	const struct serve_config *config = serve_config_get(serve);
	bool known = strcmp(id, "default") == 0 ||
	    settings_account(&config->settings, id) != NULL ||
	    settings_broken(&config->settings, id);

	serve_config_put(serve, config);
	return known;
}

/* ---- the routes ---------------------------------------------------------------------------------------- */

/* Who orders what: for the grown form's clients, which name a tenant. */
struct ordering {
	struct http_request *r;
	struct serve *serve;
	struct spool *spool;
	const struct suspension *order;
	const char *tenant; /* NULL: it is none of them */
	struct serve_once *once;
};

static void
put_suspended(const struct suspensions *list, struct json_writer *w)
{
	json_key(w, "suspended_batches");
	json_begin_array(w);
	if (suspensions_find(list, SUSPEND_ALL, "") != NULL)
		json_put_str(w, "*");
	for (size_t i = 0; i < list->n; i++)
		if (list->v[i].kind == SUSPEND_BATCH)
			json_put_str(w, list->v[i].name);
	json_end_array(w);
}

/* What the grown form's answers have besides. */
static int
put_grown(const struct ordering *o, struct json_writer *w, struct err *err)
{
	AUTO(suspensions_release) struct suspensions list = { 0 };
	const char *batch = o->order->kind == SUSPEND_BATCH ? o->order->name : NULL;
	uint64_t waiting;

	if (suspensions_read(o->spool, clock_now(), &list, err) < 0 ||
	    serve_count_active(o->spool, batch, &waiting, err) < 0)
		return -1;
	json_member_str(w, "tenant_id", o->tenant);
	put_suspended(&list, w);
	json_member_int(w, "pending_messages", (int64_t)waiting);
	return 0;
}

static void
reply_active(struct ordering *o, bool active)
{
	const struct suspension *order = o->order;
	struct serve_answer answer;
	struct err err = ERR_INIT;

	serve_answer_begin(&answer, true);
	json_member_bool(&answer.w, "active", active);
	if (order->kind != SUSPEND_ALL)
		json_member_str(&answer.w,
		    order->kind == SUSPEND_ACCOUNT ? "account_id" : "batch_code", order->name);
	if (o->tenant != NULL && put_grown(o, &answer.w, &err) < 0) {
		buf_release(&answer.out);
		serve_reply_err(o->r, &err);
		return;
	}
	serve_once_reply(&o->once, o->r, 200, &answer);
}

/* A tenant that is activated as a whole: each of its batches, too. */
static int
activate_batches(const struct ordering *o, struct err *err)
{
	AUTO(suspensions_release) struct suspensions list = { 0 };

	if (suspensions_read(o->spool, clock_now(), &list, err) < 0)
		return -1;
	for (size_t i = 0; i < list.n; i++)
		if (list.v[i].kind == SUSPEND_BATCH &&
		    activate(o->spool, SUSPEND_BATCH, list.v[i].name, o->order->by, err) < 0)
			return -1;
	return 0;
}

static void
carry_out(struct ordering *o, bool suspends)
{
	const struct suspension *order = o->order;
	struct err err = ERR_INIT;
	int result = suspends ? 0 : activate(o->spool, order->kind, order->name, order->by, &err);

	if (result >= 0 && !suspends && o->tenant != NULL && order->kind == SUSPEND_ALL &&
	    activate_batches(o, &err) < 0)
		result = -1;
	if (result == 0 && order->kind == SUSPEND_ACCOUNT && !is_account(o->serve, order->name))
		serve_reply_error(o->r, "there is no account \"%s\"", order->name);
	else if (result < 0 || (suspends && suspend(o->spool, order, &err) < 0))
		serve_reply_err(o->r, &err);
	else
		reply_active(o, !suspends);
}

static void
take_order(struct http_request *r, struct serve *serve, bool suspends)
{
	AUTO_JSON struct json *body = serve_body(r, true);
	struct suspension order;
	struct ordering o = { .r = r, .serve = serve, .order = &order };

	if (body == NULL || order_of(r, body, &order) < 0 ||
	    (o.spool = serve_spool_get(serve, r)) == NULL)
		return;
	o.tenant = json_string(json_get(body, "tenant_id"));
	if (o.tenant == NULL)
		o.tenant = http_query(r, "tenant_id");
	if (serve_once_begin(serve, r, o.spool, &o.once) == 0)
		carry_out(&o, suspends);
	serve_once_end(&o.once);
	serve_spool_put(serve, o.spool);
}

void
serve_suspend(struct http_request *r, void *arg)
{
	take_order(r, arg, true);
}

void
serve_activate(struct http_request *r, void *arg)
{
	take_order(r, arg, false);
}

void
serve_instance_status(struct http_request *r, void *arg)
{
	struct spool *spool = serve_spool_get(arg, r);
	struct serve_answer answer;
	struct err err = ERR_INIT;
	int active;

	if (spool == NULL)
		return;
	active = serve_is_active(spool, &err);
	serve_spool_put(arg, spool);
	if (active < 0) {
		serve_reply_err(r, &err);
		return;
	}
	serve_answer_begin(&answer, true);
	json_member_bool(&answer.w, "active", active == 1);
	serve_reply(r, 200, &answer);
}

/* ---- the grown form's tenants: there is one -------------------------------------------------------------- */

/* GET /tenants/get_suspended_batches?tenant_id= */
void
serve_grown_suspended(struct http_request *r, void *arg)
{
	AUTO(suspensions_release) struct suspensions list = { 0 };
	struct spool *spool = serve_spool_get(arg, r);
	struct serve_answer answer;
	struct err err = ERR_INIT;
	int result;

	if (spool == NULL)
		return;
	result = suspensions_read(spool, clock_now(), &list, &err);
	serve_spool_put(arg, spool);
	if (result < 0) {
		serve_reply_err(r, &err);
		return;
	}
	serve_answer_begin(&answer, true);
	put_suspended(&list, &answer.w);
	serve_reply(r, 200, &answer);
}

#define TENANT "{\"id\":\"default\",\"name\":\"default\",\"active\":true}"

/* GET /tenants */
void
serve_grown_tenants(struct http_request *r, void *arg)
{
	(void)arg;
	http_reply_text(r, 200, "application/json", "{\"ok\":true,\"tenants\":[" TENANT "]}");
}

/* GET /tenants/list: an array. */
void
serve_grown_tenant_list(struct http_request *r, void *arg)
{
	(void)arg;
	http_reply_text(r, 200, "application/json", "[" TENANT "]");
}
