/* /commands/rules: each answers all rules, in the order in which they hold. */
#include <string.h>

#include "base/num.h"
#include "cmd/policy/scheduler.h"
#include "cmd/serve/serve.h"
#include "policy/rule.h"
#include "spool/policy/lock.h"
#include "spool/policy/schedule.h"

/* What is done to the rules: 1, they are to be written; 0, they are not; -1 after a reply.  once is NULL, or
 * of a request that may have been done before, by one that died before it had an answer. */
typedef int change_fn(struct http_request *r, struct rules *rules, const struct json *body,
    struct serve_once *once);

static int
read_rules(const struct spool *spool, struct rules *ret, struct err *err)
{
	int result = scheduler_rules_read(spool, ret, err);

	/* It is the spool that is damaged, and not the request. */
	if (result < 0 && err->code == EX_DATAERR)
		err->code = EX_IOERR;
	return result;
}

static void
reply_rules(struct http_request *r, const struct rules *rules, struct serve_once **once)
{
	struct serve_answer answer;

	serve_answer_begin(&answer, true);
	json_key(&answer.w, "rules");
	json_begin_array(&answer.w);
	for (size_t i = 0; i < rules->n; i++)
		rule_put(&rules->v[i], &answer.w);
	json_end_array(&answer.w);
	serve_once_reply(once, r, 200, &answer);
}

/* Reads, changes and writes them as one step. */
static void
change_rules(struct http_request *r, struct spool *spool, const struct json *body,
    change_fn *change, struct serve_once **once)
{
	AUTO(rules_release) struct rules rules = { 0 };
	struct err err = ERR_INIT;
	AUTO_FD int lock = spool_lock(spool, &err);
	int changed = -1;

	if (lock < 0 || read_rules(spool, &rules, &err) < 0)
		serve_reply_err(r, &err);
	else
		changed = change(r, &rules, body, *once);
	if (changed < 0)
		return;
	if (changed > 0 &&
	    (serve_once_keep(*once, &err) < 0 || scheduler_rules_write(spool, &rules, &err) < 0)) {
		serve_reply_err(r, &err);
		return;
	}
	/* A watching mailq-run looks at once. */
	spool_wake(spool);
	reply_rules(r, &rules, once);
}

/* "interval_minutes: expected ...": 422 with the field in its place. */
static int
refuse_field(struct http_request *r, const struct err *err)
{
	size_t n = strcspn(err->msg, ":");
	bool field = err->msg[n] == ':' && strcspn(err->msg, " ") > n;
	char name[80] = "";
	struct serve_faults faults;

	if (field)
		snprintf(name, sizeof name, "%.*s", (int)n, err->msg);
	serve_faults_init(&faults);
	serve_fault(&faults, "body", field ? name : NULL, "value_error", "%s",
	    field ? err->msg + n + 1 + strspn(err->msg + n + 1, " ") : err->msg);
	serve_faults_reply(r, &faults);
	return -1;
}

/* The rule of the path, or NULL after 404. */
static struct rule *
find(struct http_request *r, struct rules *rules)
{
	struct rule *rule = NULL;
	uint64_t id;

	if (num_u64(http_param(r, "id"), 1, INT64_MAX, &id) == 0)
		rule = rules_find(rules, (int64_t)id);
	if (rule == NULL)
		http_reply_detail(r, 404, "Rule not found");
	return rule;
}

static int
create(struct http_request *r, struct rules *rules, const struct json *body,
    struct serve_once *once)
{
	AUTO(rule_release) struct rule rule;
	const char *known_by = serve_once_id(once, 0);
	struct err err = ERR_INIT;

	rule_init(&rule);
	if (rule_take(&rule, body, &err) < 0)
		return refuse_field(r, &err);
	if (known_by != NULL && rules_find_once(rules, known_by) != NULL)
		return 0;
	rule.once = known_by != NULL ? xstrdup(known_by) : NULL;
	if (rules_add(rules, &rule) != NULL)
		return 1;
	serve_reply_error(r, "there are %d rules already", RULES_MAX);
	return -1;
}

static int
change(struct http_request *r, struct rules *rules, const struct json *body,
    struct serve_once *once)
{
	struct rule *rule = find(r, rules);
	struct err err = ERR_INIT;

	(void)once;
	if (rule == NULL)
		return -1;
	if (rule_take(rule, body, &err) < 0)
		return refuse_field(r, &err);
	rules_sort(rules);
	return 1;
}

static int
delete_rule(struct http_request *r, struct rules *rules, const struct json *body,
    struct serve_once *once)
{
	struct rule *rule;
	uint64_t id;

	(void)body;
	/* Of an id that was given, which is never given again: the first try has deleted it. */
	if (serve_once_is_again(once) &&
	    num_u64(http_param(r, "id"), 1, (uint64_t)rules->last_id, &id) == 0 &&
	    rules_find(rules, (int64_t)id) == NULL)
		return 0;
	rule = find(r, rules);
	if (rule == NULL)
		return -1;
	rules_remove(rules, rule->id);
	return 1;
}

/* ---- the routes -------------------------------------------------------------------------------------- */

void
serve_rules_list(struct http_request *r, void *arg)
{
	AUTO(rules_release) struct rules rules = { 0 };
	struct spool *spool = serve_spool_get(arg, r);
	struct serve_once *once = NULL;
	struct err err = ERR_INIT;

	if (spool == NULL)
		return;
	if (read_rules(spool, &rules, &err) < 0)
		serve_reply_err(r, &err);
	else
		reply_rules(r, &rules, &once);
	serve_spool_put(arg, spool);
}

static void
change_by(struct http_request *r, struct serve *serve, const struct json *body, change_fn *fn)
{
	struct spool *spool = serve_spool_get(serve, r);
	struct serve_once *once = NULL;

	if (spool == NULL)
		return;
	if (serve_once_begin(serve, r, spool, &once) == 0)
		change_rules(r, spool, body, fn, &once);
	serve_once_end(&once);
	serve_spool_put(serve, spool);
}

void
serve_rules_create(struct http_request *r, void *arg)
{
	AUTO_JSON struct json *body = serve_body(r, true);

	if (body != NULL)
		change_by(r, arg, body, create);
}

void
serve_rules_change(struct http_request *r, void *arg)
{
	AUTO_JSON struct json *body = serve_body(r, false);

	if (body != NULL)
		change_by(r, arg, body, change);
}

void
serve_rules_delete(struct http_request *r, void *arg)
{
	change_by(r, arg, NULL, delete_rule);
}
