/* POST /account, GET /accounts, DELETE /account/{id}; and the grown form's. */
#include <string.h>

#include "cmd/api/grown.h"
#include "cmd/policy/accounts.h"
#include "spool/policy/park.h"

/* What an account may say that is about this machine: it is for those who have a shell on it, and not for
 * who has a token. */
static const char *const local_settings[] = { "password_file", "password_command", "ca_file",
	"ca_dir", "client_cert", "client_key", "maildir" };

/* ---- create, replace ---------------------------------------------------------------------------------- */

static void
require(struct serve_faults *faults, const struct json *body, const char *key, enum json_kind kind)
{
	const struct json *value = json_get_set(body, key);

	if (value == NULL)
		serve_fault(faults, "body", key, "value_error.missing", "field required");
	else if (json_kind(value) != kind)
		serve_fault(faults, "body", key,
		    kind == JSON_STRING ? "type_error.str" : "type_error.integer",
		    kind == JSON_STRING ? "str type expected" : "value is not a valid integer");
}

/* False after 422. */
static bool
is_account(struct http_request *r, const struct json *body)
{
	const char *transport = json_string(json_get(body, "transport"));
	const char *id = json_string(json_get(body, "id"));
	struct serve_faults faults;

	serve_faults_init(&faults);
	require(&faults, body, "id", JSON_STRING);
	if (id != NULL && !account_id_valid(id))
		serve_fault(&faults, "body", "id", "value_error",
		    "expected up to %d letters, digits, - _ . @ and no dot first", ACCOUNT_ID_MAX);
	if (transport == NULL || strcmp(transport, "capture") != 0) {
		require(&faults, body, "host", JSON_STRING);
		require(&faults, body, "port", JSON_INT);
	}
	for (size_t i = 0; i < sizeof local_settings / sizeof *local_settings; i++)
		if (json_get_set(body, local_settings[i]) != NULL)
			serve_fault(&faults, "body", local_settings[i], "value_error",
			    "it names something on this machine: it can be set by mailq-rules, or "
			    "in mailq.conf");
	return !serve_faults_reply(r, &faults);
}

/* "port: expected 1 to 65535": 422 with the member in its place; "account main: host: ..." likewise. */
static void
refuse_member(struct http_request *r, const char *id, const struct err *err)
{
	const char *text = err->msg;
	char prefix[ACCOUNT_ID_MAX + 16], name[80] = "";
	struct serve_faults faults;
	size_t n;

	snprintf(prefix, sizeof prefix, "account %s: ", id);
	if (strncmp(text, prefix, strlen(prefix)) == 0)
		text += strlen(prefix);
	n = strspn(text, "abcdefghijklmnopqrstuvwxyz_.");
	if (n > 0 && text[n] == ':' && n < sizeof name) {
		snprintf(name, sizeof name, "%.*s", (int)n, text);
		text += n + 1 + strspn(text + n + 1, " ");
	}
	serve_faults_init(&faults);
	serve_fault(&faults, "body", name[0] != '\0' ? name : NULL, "value_error", "%s", text);
	serve_faults_reply(r, &faults);
}

/* use_tls of the grown form is STARTTLS, but for port 465; its client always sends it. */
static void
mean_starttls(const struct json *body, struct account_settings *list)
{
	bool tls = false;
	int64_t port = 0;

	json_to_bool(json_get(body, "use_tls"), &tls);
	json_to_int(json_get(body, "port"), &port);
	if (!tls || port == 465 || account_settings_have(list, "starttls"))
		return;
	for (size_t i = 0; i < list->n; i++)
		if (strcmp(list->v[i].path, "use_tls") == 0) {
			free(list->v[i].path);
			free(list->v[i].value);
			list->v[i].path = xstrdup("starttls");
			list->v[i].value = xstrdup("\"required\"");
		}
}

/* True where it is done. */
static bool
put(struct http_request *r, struct serve *serve, const struct json *body, bool grown)
{
	AUTO(account_settings_release) struct account_settings list = { 0 };
	const char *id = json_string(json_get(body, "id"));
	const struct serve_config *config;
	const struct account *configured;
	struct err err = ERR_INIT;
	struct spool *spool;
	bool done = false;

	if (!is_account(r, body))
		return false;
	if (account_settings_from_json(body, &list, &err) < 0) {
		refuse_member(r, id, &err);
		return false;
	}
	if (grown)
		mean_starttls(body, &list);
	spool = serve_spool_get(serve, r);
	if (spool == NULL)
		return false;
	/* Without a look at Idempotency-Key: the same account again is the same account. */
	config = serve_config_get(serve);
	configured = accounts_configured(&config->settings, id);
	if (configured != NULL)
		serve_reply_error(r, "account %s is in the configuration: change it at %s", id,
		    configured->place);
	else if (accounts_put(spool, &config->settings, id, ACCOUNTS_REPLACE, &list, &err) == 0)
		done = true;
	else if (err.code == EX_CONFIG || err.code == EX_USAGE)
		refuse_member(r, id, &err);
	else
		serve_reply_err(r, &err);
	serve_config_put(serve, config);
	serve_spool_put(serve, spool);
	return done;
}

void
serve_account_put(struct http_request *r, void *arg)
{
	AUTO_JSON struct json *body = serve_body(r, false);

	if (body != NULL && put(r, arg, body, false))
		serve_reply_ok(r);
}

/* ---- delete -------------------------------------------------------------------------------------------- */

struct deleting {
	struct http_request *r;
	struct spool *spool;
	const struct settings *settings;
	const char *id, *to;
	bool force;
};

/* What waits for the account.  Messages that name none wait for it too where it is the last: without it they
 * would be captured, and seem sent. */
static int
count_waiting(const struct deleting *d, uint64_t *ret, struct err *err)
{
	uint64_t unnamed = 0;

	if (accounts_messages(d->spool, d->settings, d->id, ret, err) < 0)
		return -1;
	if (settings_n_accounts(d->settings) == 1 && strcmp(d->id, "default") != 0 &&
	    accounts_messages(d->spool, d->settings, "default", &unnamed, err) < 0)
		return -1;
	*ret += unnamed;
	return 0;
}

/* 0: go on; 1: it cannot be done, and that has been answered; -1 with err. */
static int
move_messages(const struct deleting *d, uint64_t *ret_moved, struct err *err)
{
	uint64_t left;

	if (strcmp(d->id, d->to) == 0 || settings_account(d->settings, d->to) == NULL) {
		serve_reply_error(d->r, "move_to: there is no other account \"%s\"", d->to);
		return 1;
	}
	if (accounts_move(d->spool, d->settings, d->id, d->to, ret_moved, err) < 0 ||
	    accounts_messages(d->spool, d->settings, d->id, &left, err) < 0)
		return -1;
	if (left == 0)
		return 0;
	serve_reply_error(d->r,
	    "account %s stays: %llu of its messages are being sent at this moment; delete it again "
	    "when they are done",
	    d->id, (unsigned long long)left);
	return 1;
}

static void
reply_deleted(struct http_request *r, int removed, uint64_t moved)
{
	struct serve_answer answer;

	serve_answer_begin(&answer, true);
	json_member_int(&answer.w, "removed", removed);
	if (moved > 0)
		json_member_int(&answer.w, "moved", (int64_t)moved);
	serve_reply(r, 200, &answer);
}

/* The same; removes it and answers. */
static int
remove_account(const struct deleting *d, struct err *err)
{
	uint64_t waiting, moved = 0, later = 0;
	int removed, result;

	if (accounts_check_unused(d->spool, d->settings, d->id, err) < 0) {
		serve_reply_error(d->r, "%s", err->msg);
		return 1;
	}
	if (count_waiting(d, &waiting, err) < 0)
		return -1;
	if (waiting > 0 && d->to == NULL && !d->force) {
		serve_reply_error(d->r,
		    "%llu messages wait for account %s: ?move_to=ACCOUNT gives them to another, "
		    "?force=true deletes it all the same, and they end with an error",
		    (unsigned long long)waiting, d->id);
		return 1;
	}
	result = d->to != NULL ? move_messages(d, &moved, err) : 0;
	if (result != 0)
		return result;
	removed = accounts_delete(d->spool, d->settings, d->id, err);
	if (removed < 0)
		return -1;
	park_clear(d->spool, d->id, NULL);
	/* What was added while it was being removed. */
	if (d->to != NULL && accounts_move(d->spool, d->settings, d->id, d->to, &later, err) < 0)
		return -1;
	reply_deleted(d->r, removed, moved + later);
	return 0;
}

static void
delete_account(struct http_request *r, struct serve *serve, const char *id, const char *to,
    bool force)
{
	const struct serve_config *config = serve_config_get(serve);
	const struct settings *settings = &config->settings;
	const struct account *configured = accounts_configured(settings, id);
	struct deleting d = { .r = r, .settings = settings, .id = id, .to = to, .force = force };
	struct err err = ERR_INIT;

	/* One that there is not is gone, which is what was asked for: so the first service answered. */
	if (configured != NULL)
		serve_reply_error(r, "account %s is in the configuration: remove it at %s", id,
		    configured->place);
	else if (settings_account(settings, id) == NULL && !settings_broken(settings, id))
		reply_deleted(r, 0, 0);
	else if (settings->built_in)
		serve_reply_error(r, "account %s is built in", id);
	else if ((d.spool = serve_spool_get(serve, r)) != NULL && remove_account(&d, &err) < 0)
		serve_reply_err(r, &err);
	if (d.spool != NULL)
		serve_spool_put(serve, d.spool);
	serve_config_put(serve, config);
}

static bool
is_true(const char *text)
{
	return text != NULL && (strcmp(text, "true") == 0 || strcmp(text, "1") == 0);
}

void
serve_account_delete(struct http_request *r, void *arg)
{
	delete_account(r, arg, http_param(r, "id"), http_query(r, "move_to"),
	    is_true(http_query(r, "force")));
}

/* ---- lists --------------------------------------------------------------------------------------------- */

/* tenant: for the grown form, which has one in every row; NULL: none. */
static void
put_account(const struct account *account, const char *tenant, struct json_writer *w)
{
	json_begin_object(w);
	account_put(account, w);
	json_member_str(w, "tenant_id", tenant);
	json_end_object(w);
}

static void
put_accounts(const struct settings *settings, const char *tenant, struct json_writer *w)
{
	json_begin_array(w);
	for (size_t i = 0; i < settings_n_accounts(settings); i++)
		put_account(settings_account_at(settings, i), tenant, w);
	json_end_array(w);
}

void
serve_accounts_list(struct http_request *r, void *arg)
{
	const struct serve_config *config = serve_config_get(arg);
	const struct settings *settings = &config->settings;
	struct serve_answer answer;

	serve_answer_begin(&answer, true);
	json_key(&answer.w, "accounts");
	put_accounts(settings, NULL, &answer.w);
	if (settings->broken.n > 0) {
		json_key(&answer.w, "damaged");
		json_begin_array(&answer.w);
		for (size_t i = 0; i < settings->broken.n; i++)
			json_put_str(&answer.w, settings->broken.v[i]);
		json_end_array(&answer.w);
	}
	serve_config_put(arg, config);
	serve_reply(r, 200, &answer);
}

/* ---- the grown form's ------------------------------------------------------------------------------------ */

/* It has several tenants, and names one in each row; here there is one, of the name that is asked for. */
static const char *
tenant_of(const char *named)
{
	return named != NULL && *named != '\0' ? named : "default";
}

/* Answers with the account alone, or 404. */
static void
reply_account(struct http_request *r, struct serve *serve, const char *id, const char *tenant)
{
	const struct serve_config *config = serve_config_get(serve);
	const struct account *account = settings_account(&config->settings, id);
	struct serve_answer answer;

	serve_answer_begin(&answer, true);
	buf_clear(&answer.out);
	answer.w = (struct json_writer)JSON_WRITER(&answer.out);
	if (account != NULL)
		put_account(account, tenant_of(tenant), &answer.w);
	serve_config_put(serve, config);
	if (account != NULL) {
		http_reply_json(r, 200, &answer.out);
		return;
	}
	buf_release(&answer.out);
	http_reply_detail(r, 404, "Account not found");
}

/* GET /accounts/list: an array. */
void
serve_grown_accounts(struct http_request *r, void *arg)
{
	const struct serve_config *config = serve_config_get(arg);
	struct serve_answer answer;

	serve_answer_begin(&answer, true);
	buf_clear(&answer.out);
	answer.w = (struct json_writer)JSON_WRITER(&answer.out);
	put_accounts(&config->settings, tenant_of(http_query(r, "tenant_id")), &answer.w);
	serve_config_put(arg, config);
	http_reply_json(r, 200, &answer.out);
}

/* GET /accounts/get?account_id= */
void
serve_grown_account(struct http_request *r, void *arg)
{
	const char *id = http_query(r, "account_id");

	reply_account(r, arg, id != NULL ? id : "", http_query(r, "tenant_id"));
}

/* POST /accounts/add: answers with the account. */
void
serve_grown_account_put(struct http_request *r, void *arg)
{
	AUTO_JSON struct json *body = serve_body(r, false);

	if (body != NULL && put(r, arg, body, true))
		reply_account(r, arg, json_string(json_get(body, "id")),
		    json_string(json_get(body, "tenant_id")));
}

/* POST /accounts/delete {"account_id"} */
void
serve_grown_account_delete(struct http_request *r, void *arg)
{
	AUTO_JSON struct json *body = serve_body(r, false);
	const char *id = json_string(json_get(body, "account_id"));
	struct serve_faults faults;
	bool force = false;

	if (body == NULL)
		return;
	serve_faults_init(&faults);
	if (id == NULL)
		serve_fault(&faults, "body", "account_id", "value_error.missing", "field required");
	if (serve_faults_reply(r, &faults))
		return;
	json_to_bool(json_get(body, "force"), &force);
	delete_account(r, arg, id, json_string(json_get(body, "move_to")), force);
}
