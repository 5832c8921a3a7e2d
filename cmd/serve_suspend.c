/* POST /commands/suspend and /commands/activate: the scheduler as a whole, an account, or a batch. */
#include <string.h>

#include "base/clock.h"
#include "cmd/serve_grown.h"
#include "spool/suspend.h"

int
serve_is_active(const struct spool *spool, struct err *err)
{
	AUTO(suspensions_release) struct suspensions list = { 0 };

	if (suspensions_read(spool, clock_now(), &list, err) < 0)
		return -1;
	return suspensions_find(&list, SUSPEND_ALL, "") == NULL;
}

/* ---- what is meant ------------------------------------------------------------------------------------ */

/* A text of the body, which may be absent, into ret. */
static void
take_text(struct serve_faults *faults, const struct json *body, const char *key, char *ret,
    size_t size)
{
	const struct json *value = json_get_set(body, key);
	const char *text = json_string(value);

	*ret = '\0';
	if (value == NULL)
		return;
	if (text == NULL)
		serve_fault(faults, "body", key, "type_error.str", "str type expected");
	else if (*text == '\0' || strlen(text) >= size)
		serve_fault(faults, "body", key, "value_error", "expected 1 to %zu bytes",
		    size - 1);
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
		    "expected an instant that lies ahead, in Unix seconds");
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
	take_text(&faults, body, "account_id", account, sizeof account);
	take_text(&faults, body, "batch_code", batch, sizeof batch);
	take_text(&faults, body, "reason", ret->reason, sizeof ret->reason);
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

static void
reply_active(struct http_request *r, const struct suspension *order, bool active,
    struct serve_once **once)
{
	struct serve_answer answer;

	serve_answer_begin(&answer, true);
	json_member_bool(&answer.w, "active", active);
	if (order->kind != SUSPEND_ALL)
		json_member_str(&answer.w,
		    order->kind == SUSPEND_ACCOUNT ? "account_id" : "batch_code", order->name);
	serve_once_reply(once, r, 200, &answer);
}

static void
carry_out(struct http_request *r, struct serve *serve, struct spool *spool,
    const struct suspension *order, bool suspends, struct serve_once **once)
{
	struct err err = ERR_INIT;
	int result = suspends ? 0 : activate(spool, order->kind, order->name, order->by, &err);

	if (result == 0 && order->kind == SUSPEND_ACCOUNT && !is_account(serve, order->name))
		serve_reply_error(r, "there is no account \"%s\"", order->name);
	else if (result < 0 || (suspends && suspend(spool, order, &err) < 0))
		serve_reply_err(r, &err);
	else
		reply_active(r, order, !suspends, once);
}

static void
take_order(struct http_request *r, struct serve *serve, bool suspends)
{
	AUTO_JSON struct json *body = serve_body(r, true);
	struct serve_once *once = NULL;
	struct suspension order;
	struct spool *spool;

	if (body == NULL || order_of(r, body, &order) < 0 ||
	    (spool = serve_spool_get(serve, r)) == NULL)
		return;
	if (serve_once_begin(serve, r, spool, &once) == 0)
		carry_out(r, serve, spool, &order, suspends, &once);
	serve_once_end(&once);
	serve_spool_put(serve, spool);
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
