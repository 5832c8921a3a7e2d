#include "policy/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/net.h"
#include "base/zone.h"
#include "policy/settings_private.h"

#define S(member) CONF_AT(struct settings, member)
#define HOUR (3600 * USEC)
#define DAY (24 * HOUR)
#define YEAR (365 * DAY)
#define KIB INT64_C(1024)
#define GIB (KIB * KIB * KIB)
#define ACCOUNTS_MAX 1000

static int check_host_name(void *value, const char *place, struct err *err);
static int check_timezone(void *value, const char *place, struct err *err);
static int check_directories(void *value, const char *place, struct err *err);
static int check_places(void *value, const char *place, struct err *err);

const struct conf_item settings_schema[] = {
	{ "spool", CONF_PATH, S(spool), .max = 1000 },
	{ "queue.retention", CONF_DURATION, S(queue.retention), "7d", 0, 10 * YEAR },
	{ "queue.min_free_space", CONF_SIZE, S(queue.min_free_bytes), "64 MiB", 0, INT64_MAX },
	{ "queue.min_free_inodes", CONF_INT, S(queue.min_free_inodes), "1000", 0, INT64_MAX },
	{ "queue.max_message_size", CONF_SIZE, S(queue.max_message_size), "64 MiB", KIB, GIB },
	{ "queue.allow_network_fs", CONF_BOOL, S(queue.allow_network_fs), "false" },
	{ "delivery.default_accounts", CONF_STRINGS, S(delivery.default_accounts),
	    .max = ACCOUNT_ID_MAX },
	{ "delivery.jobs", CONF_INT, S(delivery.jobs), "10", 1, 1000 },
	{ "delivery.longest_park", CONF_DURATION, S(delivery.longest_park), "5m", USEC, DAY },
	{ "delivery.from", CONF_STRING, S(delivery.from) },
	{ "delivery.hostname", CONF_STRING, S(delivery.hostname), .max = 255,
	    .check = check_host_name },
	{ "delivery.qualify_domain", CONF_STRING, S(delivery.qualify_domain), .max = 255,
	    .check = check_host_name },
	{ "attachments.allow", CONF_STRINGS, S(attachments.allow), .check = check_places },
	{ "attachments.paths", CONF_STRINGS, S(attachments.paths), .check = check_directories },
	{ "attachments.max_size", CONF_SIZE, S(attachments.max_size), "64 MiB", 1, GIB },
	{ "attachments.max_total", CONF_SIZE, S(attachments.max_total), "64 MiB", 1, GIB },
	{ "attachments.on_error", CONF_CHOICE, S(attachments.on_error), "fail",
	    .choices = "fail send_without" },
	{ "attachments.fetches", CONF_INT, S(attachments.fetches), "8", 1, 64 },
	{ "attachments.redirects", CONF_INT, S(attachments.redirects), "5", 0, 50 },
	{ "attachments.connect_timeout", CONF_DURATION, S(attachments.connect_timeout), "10s", USEC,
	    HOUR },
	{ "attachments.fetch_timeout", CONF_DURATION, S(attachments.fetch_timeout), "2m", USEC,
	    HOUR },
	{ "attachments.ca_file", CONF_PATH, S(attachments.ca_file) },
	{ "attachments.cache_size", CONF_SIZE, S(attachments.cache_size), "256 MiB", 0,
	    1024 * GIB },
	{ "attachments.cache_age", CONF_DURATION, S(attachments.cache_age), "1d", 0, YEAR },
	{ "attachments.s3.endpoint", CONF_STRING, S(attachments.s3.endpoint),
	    .check = settings_endpoint_check },
	{ "attachments.s3.region", CONF_STRING, S(attachments.s3.region), .max = 100 },
	{ "attachments.s3.access_key", CONF_STRING, S(attachments.s3.access_key), .max = 256 },
	{ "attachments.s3.secret_key", CONF_STRING, S(attachments.s3.secret_key) },
	{ "attachments.s3.secret_key_file", CONF_PATH, S(attachments.s3.secret_key_file) },
	{ "attachments.s3.session_token", CONF_STRING, S(attachments.s3.session_token),
	    .max = 8192 },
	{ "attachments.s3.path_style", CONF_MAYBE, S(attachments.s3.path_style) },
	{ "server.listen", CONF_STRINGS, S(server.listen), "127.0.0.1", .max = 255 },
	{ "server.hosts", CONF_STRINGS, S(server.hosts), .max = 255 },
	{ "server.port", CONF_INT, S(server.port), "8000", 1, 65535 },
	{ "server.socket", CONF_PATH, S(server.socket), .max = 107 },
	{ "server.socket_mode", CONF_STRING, S(server.socket_mode), "0660", .max = 4,
	    .check = server_socket_mode_check },
	{ "server.tls_certificate", CONF_PATH, S(server.tls_certificate) },
	{ "server.tls_key", CONF_PATH, S(server.tls_key) },
	{ "server.api_token", CONF_STRING, S(server.api_token) },
	{ "server.api_token_file", CONF_PATH, S(server.api_token_file) },
	{ "server.tokens", CONF_GROUPS, S(server.tokens), .items = server_token_schema,
	    .element_size = sizeof(struct server_token), .check = server_token_check },
	{ "server.max_batch", CONF_INT, S(server.max_batch), "1000", 1, 10000 },
	{ "server.max_body", CONF_SIZE, S(server.max_body), "64 MiB", KIB, GIB },
	{ "server.body_memory", CONF_SIZE, S(server.body_memory), "256 MiB", KIB, 1024 * GIB },
	{ "server.workers", CONF_INT, S(server.workers), "64", 1, 1000 },
	{ "server.connections", CONF_INT, S(server.connections), "1024", 1, 100000 },
	{ "server.per_address", CONF_INT, S(server.per_address), "256", 1, 100000 },
	{ "server.head_timeout", CONF_DURATION, S(server.head_timeout), "15s", USEC, HOUR },
	{ "server.body_timeout", CONF_DURATION, S(server.body_timeout), "2m", USEC, HOUR },
	{ "server.send_timeout", CONF_DURATION, S(server.send_timeout), "2m", USEC, HOUR },
	{ "server.idle_timeout", CONF_DURATION, S(server.idle_timeout), "1m", USEC, HOUR },
	{ "server.stop_timeout", CONF_DURATION, S(server.stop_timeout), "30s", USEC, HOUR },
	{ "server.keep_answers", CONF_DURATION, S(server.keep_answers), "1d", 60 * USEC, 30 * DAY },
	{ "server.max_answers", CONF_INT, S(server.max_answers), "100000", 1, 10000000 },
	{ "scheduler.timezone", CONF_STRING, S(scheduler.timezone), .max = 255,
	    .check = check_timezone },
	{ "scheduler.outside_rules", CONF_CHOICE, S(scheduler.outside_rules), "minute",
	    .choices = "minute wait" },
	{ "fetch.url", CONF_STRING, S(fetch.url), .max = 8192, .check = settings_url_check },
	{ "fetch.user", CONF_STRING, S(fetch.user) },
	{ "fetch.password", CONF_STRING, S(fetch.password) },
	{ "fetch.password_file", CONF_PATH, S(fetch.password_file) },
	{ "fetch.token", CONF_STRING, S(fetch.token), .max = 8192 },
	{ "fetch.token_file", CONF_PATH, S(fetch.token_file) },
	{ "fetch.timeout", CONF_DURATION, S(fetch.timeout), "30s", USEC, HOUR },
	{ "fetch.interval", CONF_DURATION, S(fetch.interval), "1m", USEC, DAY },
	{ "fetch.max_size", CONF_SIZE, S(fetch.max_size), "64 MiB", KIB, GIB },
	{ "sync.url", CONF_STRING, S(sync.url), .max = 8192, .check = settings_url_check },
	{ "sync.user", CONF_STRING, S(sync.user) },
	{ "sync.password", CONF_STRING, S(sync.password) },
	{ "sync.password_file", CONF_PATH, S(sync.password_file) },
	{ "sync.token", CONF_STRING, S(sync.token), .max = 8192 },
	{ "sync.token_file", CONF_PATH, S(sync.token_file) },
	{ "sync.ca_file", CONF_PATH, S(sync.ca_file) },
	{ "sync.batch_size", CONF_INT, S(sync.batch_size), "100", 1, 10000 },
	{ "sync.max_attempts", CONF_INT, S(sync.max_attempts), "10", 1, 1000000 },
	{ "sync.retention", CONF_DURATION, S(sync.retention), "7d", 0, 10 * YEAR },
	{ "sync.timeout", CONF_DURATION, S(sync.timeout), "30s", USEC, HOUR },
	{ "sync.interval", CONF_DURATION, S(sync.interval), "1m", USEC, DAY },
	{ "sync.when_idle", CONF_BOOL, S(sync.when_idle), "true" },
	{ "sync.secret", CONF_STRINGS, S(sync.secret), .check = settings_secrets_check },
	{ "sync.secret_file", CONF_PATH, S(sync.secret_file) },
	{ "accounts", CONF_GROUPS, S(accounts), .items = account_schema,
	    .element_size = sizeof(struct account), .check = account_check,
	    .release = account_release },
	{ 0 },
};

static int
check_host_name(void *value, const char *place, struct err *err)
{
	const char *name = *(char **)value;

	(void)place;
	if (name != NULL && !settings_is_host_name(name))
		return err_set(err, EX_CONFIG, "expected a host's name, found \"%s\"", name);
	return 0;
}

static int
check_timezone(void *value, const char *place, struct err *err)
{
	AUTO(zone_free) struct zone *zone = NULL;
	const char *name = *(char **)value;

	(void)place;
	return name != NULL ? zone_open(name, &zone, err) : 0;
}

static int
check_directories(void *value, const char *place, struct err *err)
{
	const struct strings *paths = value;

	(void)place;
	for (size_t i = 0; i < paths->n; i++) {
		if (*paths->v[i] != '/')
			return err_set(err, EX_CONFIG,
			    "expected directories that start with /, found %s", paths->v[i]);
	}
	return 0;
}

static int
check_places(void *value, const char *place, struct err *err)
{
	const struct strings *names = value;
	struct net_place ignored;

	(void)place;
	for (size_t i = 0; i < names->n; i++)
		if (net_place_parse(names->v[i], &ignored, err) < 0)
			return -1;
	return 0;
}

/* Those of mailq.conf and the environment. */
static int
check_configured(const struct settings *s, struct err *err)
{
	if (s->accounts.n > ACCOUNTS_MAX)
		return err_set(err, EX_CONFIG, "%s: accounts: expected at most %d of them", s->file,
		    ACCOUNTS_MAX);
	for (size_t i = 0; i < s->accounts.n; i++) {
		const struct account *a = settings_account_at(s, i);
		const struct account *first = settings_account(s, a->id);

		if (first != a)
			return err_set(err, EX_CONFIG, "%s: accounts: id \"%s\" is taken at %s",
			    a->place, a->id, first->place);
	}
	return settings_exchange_check(s, err);
}

/* An empty variable is none. */
static const char *
environment(const char *name)
{
	const char *value = getenv(name);

	return value != NULL && *value != '\0' ? value : NULL;
}

struct variable {
	const char *name, *path;
};

static int
take_variables(const struct variable *list, size_t n, const struct conf_item *schema, void *target,
    struct err *err)
{
	for (size_t i = 0; i < n; i++) {
		const char *value = environment(list[i].name);
		char place[64];

		snprintf(place, sizeof place, "environment variable %s", list[i].name);
		if (value != NULL && conf_set(schema, target, list[i].path, value, place, err) < 0)
			return -1;
	}
	return 0;
}

/* An account that stands in no file. */
static struct account *
add_account(struct settings *s, const char *id)
{
	struct account *a = conf_groups_add(conf_find(settings_schema, "accounts"), &s->accounts);

	a->id = xstrdup(id);
	return a;
}

static int
add_environment_account(struct settings *s, struct err *err)
{
	static const struct variable list[] = {
		{ "SMTP_HOST", "host" },
		{ "SMTP_PORT", "port" },
		{ "SMTP_USER", "user" },
		{ "SMTP_PASSWORD", "password" },
		{ "SMTP_USE_TLS", "use_tls" },
	};
	static const char place[] = "environment variables SMTP_*";
	struct account *a;

	if (environment("SMTP_HOST") == NULL || settings_account(s, "default") != NULL)
		return 0;
	a = add_account(s, "default");
	if (take_variables(list, sizeof list / sizeof *list, account_schema, a, err) < 0)
		return -1;
	if (account_check(a, place, err) < 0)
		return err_prefix(err, "%s", place);
	return 0;
}

static int
load(struct settings *s, const char *file, struct err *err)
{
	static const struct variable list[] = {
		{ "API_TOKEN", "server.api_token" },
		{ "HOST", "server.listen" },
		{ "PORT", "server.port" },
		{ "FETCH_URL", "fetch.url" },
		{ "TIMEZONE", "scheduler.timezone" },
	};

	conf_defaults(settings_schema, s);
	if (take_variables(list, sizeof list / sizeof *list, settings_schema, s, err) < 0)
		return -1;
	s->file = settings_file(file);
	if (s->file != NULL && conf_load(s->file, settings_schema, s, err) < 0)
		return -1;
	if (add_environment_account(s, err) < 0)
		return -1;
	if (s->accounts.n == 0) {
		struct account *a = add_account(s, "capture");

		a->transport = ACCOUNT_CAPTURE;
		s->built_in = true;
		if (account_check(a, "built in", err) < 0)
			return -1;
	}
	if (s->delivery.hostname == NULL)
		s->delivery.hostname = settings_hostname();
	return check_configured(s, err);
}

int
settings_load(struct settings *s, const char *file, struct err *err)
{
	memset(s, 0, sizeof *s);
	if (load(s, file, err) == 0)
		return 0;
	settings_release(s);
	return -1;
}

void
settings_release(struct settings *s)
{
	if (s->shares) {
		settings_unshare(s);
		return;
	}
	conf_release(settings_schema, s);
	free(s->file);
	s->file = NULL;
	for (size_t i = 0; i < s->broken.n; i++)
		free(s->broken.v[i]);
	free(s->broken.v);
	s->broken = (struct strings){ 0 };
}
