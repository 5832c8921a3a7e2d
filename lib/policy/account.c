#include "policy/account.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define A(member) CONF_AT(struct account, member)
#define D(member) CONF_AT(struct account_domain, member)
#define SECOND USEC
#define HOUR (3600 * USEC)
#define DAY (24 * HOUR)

#define SECRET_MAX 16384 /* bytes; access tokens are long */

static int check_domain(void *domain, const char *place, struct err *err);
static int check_id(void *id, const char *place, struct err *err);

static const struct conf_item domain_schema[] = {
	{ "domain", CONF_STRING, D(domain), .max = 255 },
	{ "per_minute", CONF_INT, D(per_minute), "0", 0, INT32_MAX },
	{ "per_hour", CONF_INT, D(per_hour), "0", 0, INT32_MAX },
	{ "per_day", CONF_INT, D(per_day), "0", 0, INT32_MAX },
	{ "connections", CONF_INT, D(connections), "0", 0, 1000 },
	{ 0 },
};

/* The words of choices stand in the order of their enums. */
const struct conf_item account_schema[] = {
	{ "id", CONF_STRING, A(id), .max = ACCOUNT_ID_MAX },
	{ "transport", CONF_CHOICE, A(transport), "smtp", .choices = "smtp capture" },
	{ "host", CONF_STRING, A(host), .max = 255 },
	{ "port", CONF_INT, A(port), .min = 1, .max = 65535 },
	{ "use_tls", CONF_MAYBE, A(use_tls) },
	{ "starttls", CONF_CHOICE, A(starttls), .choices = "required try never" },
	{ "tls_verify", CONF_BOOL, A(tls_verify), "true" },
	{ "ca_file", CONF_PATH, A(ca_file) },
	{ "ca_dir", CONF_PATH, A(ca_dir) },
	{ "client_cert", CONF_PATH, A(client_cert) },
	{ "client_key", CONF_PATH, A(client_key) },
	{ "user", CONF_STRING, A(user) },
	{ "password", CONF_STRING, A(password), .max = SECRET_MAX },
	{ "password_file", CONF_PATH, A(password_file) },
	{ "password_command", CONF_STRING, A(password_command), .max = 4096 },
	{ "auth", CONF_CHOICE, A(auth), "auto", .choices = "auto plain login xoauth2 oauthbearer" },
	{ "allow_plaintext_auth", CONF_BOOL, A(allow_plaintext_auth), "false" },
	{ "connections", CONF_INT, A(connections), "10", 1, 1000 },
	{ "messages_per_connection", CONF_INT, A(messages_per_connection), "100", 1, 1000000 },
	{ "ttl", CONF_DURATION, A(ttl), "5m", SECOND, DAY },
	{ "timeouts.connect", CONF_DURATION, A(timeouts.connect), "30s", SECOND, HOUR },
	{ "timeouts.greeting", CONF_DURATION, A(timeouts.greeting), "5m", SECOND, HOUR },
	{ "timeouts.command", CONF_DURATION, A(timeouts.command), "5m", SECOND, HOUR },
	{ "timeouts.data", CONF_DURATION, A(timeouts.data), "2m", SECOND, HOUR },
	{ "timeouts.body", CONF_DURATION, A(timeouts.body), "3m", SECOND, HOUR },
	{ "timeouts.dot", CONF_DURATION, A(timeouts.dot), "10m", SECOND, HOUR },
	{ "force_8bit", CONF_BOOL, A(force_8bit), "false" },
	{ "pipeline_messages", CONF_BOOL, A(pipeline_messages), "false" },
	{ "dsn_notify", CONF_STRINGS, A(dsn_words), .choices = "never success failure delay" },
	{ "dsn_return", CONF_CHOICE, A(dsn_return), "default", .choices = "default full headers" },
	{ "from", CONF_STRING, A(from) },
	{ "from_name", CONF_STRING, A(from_name) },
	{ "maildir", CONF_PATH, A(maildir) },
	{ "retry", CONF_DURATIONS, A(retry), "1m, 5m, 15m, 1h, 2h, 4h", SECOND, 30 * DAY },
	{ "retry_jitter", CONF_INT, A(retry_jitter), "10", 0, 100 },
	{ "expires", CONF_DURATION, A(expires), "5d", SECOND, 365 * DAY },
	{ "max_attempts", CONF_INT, A(max_attempts), "0", 0, 1000000 },
	{ "uncertain", CONF_CHOICE, A(uncertain), "retry", .choices = "retry hold fail" },
	{ "on_attachment_error", CONF_CHOICE, A(on_attachment_error),
	    .choices = "fail send_without" },
	{ "limit_per_minute", CONF_INT, A(limit_per_minute), "0", 0, INT32_MAX },
	{ "limit_per_hour", CONF_INT, A(limit_per_hour), "0", 0, INT32_MAX },
	{ "limit_per_day", CONF_INT, A(limit_per_day), "0", 0, INT32_MAX },
	{ "limit_behavior", CONF_CHOICE, A(limit_behavior), "defer",
	    .choices = "defer reject fallback" },
	{ "batch_size", CONF_INT, A(batch_size), "0", 0, INT32_MAX },
	{ "min_interval_seconds", CONF_DURATION, A(min_interval), "0", 0, DAY },
	{ "domains", CONF_GROUPS, A(domains), .items = domain_schema,
	    .element_size = sizeof(struct account_domain), .check = check_domain },
	{ "fallback", CONF_STRING, A(fallback), .max = ACCOUNT_ID_MAX, .check = check_id },
	{ 0 },
};

bool
account_id_valid(const char *id)
{
	size_t n = strlen(id);

	for (const char *p = id; *p != '\0'; p++) {
		if (!isalnum((unsigned char)*p) && strchr("-_.@", *p) == NULL)
			return false;
	}
	return n > 0 && n <= ACCOUNT_ID_MAX && *id != '.';
}

static int
check_id(void *id, const char *place, struct err *err)
{
	const char *text = *(char **)id;

	(void)place;
	if (text != NULL && !account_id_valid(text))
		return err_set(err, EX_CONFIG,
		    "expected the id of an account: letters, digits, - _ . @ and no dot first, "
		    "found \"%s\"",
		    text);
	return 0;
}

/* Labels of letters, digits, "-" and "_", apart by dots: what can stand behind the @ of an address once
 * it is in A-labels (RFC 5890). */
static bool
is_domain(const char *text)
{
	for (const char *p = text; *p != '\0'; p++) {
		if (*p == '.' && (p == text || p[1] == '.' || p[1] == '\0'))
			return false;
		if (!isalnum((unsigned char)*p) && strchr("-_.", *p) == NULL)
			return false;
	}
	return *text != '\0';
}

/* One entry of domains; its name becomes lower case. */
static int
check_domain(void *domain, const char *place, struct err *err)
{
	struct account_domain *d = domain;

	(void)place;
	if (d->domain == NULL)
		return err_set(err, EX_CONFIG, "domain: expected a domain in each group");
	if (!is_domain(d->domain))
		return err_set(err, EX_CONFIG,
		    "domain: expected a domain (with other letters: as xn--...), found \"%s\"",
		    d->domain);
	if (strlen(d->domain) > ACCOUNT_DOMAIN_MAX)
		return err_set(err, EX_CONFIG, "domain: expected at most %d bytes, found \"%s\"",
		    ACCOUNT_DOMAIN_MAX, d->domain);
	for (char *p = d->domain; *p != '\0'; p++)
		*p = (char)tolower((unsigned char)*p);
	return 0;
}

static int
check_domains(const struct account *a, struct err *err)
{
	const struct account_domain *v = a->domains.v;

	for (size_t i = 1; i < a->domains.n; i++)
		for (size_t k = 0; k < i; k++)
			if (strcmp(v[i].domain, v[k].domain) == 0)
				return err_set(err, EX_CONFIG,
				    "domains: expected each domain once, found \"%s\" twice",
				    v[i].domain);
	return 0;
}

bool
account_has_credentials(const struct account *a)
{
	return a->user != NULL;
}

/* Names other than localhost are not trusted to stay what they resolve to. */
bool
account_is_loopback(const char *host)
{
	struct in_addr four;
	struct in6_addr six;

	if (inet_pton(AF_INET, host, &four) == 1)
		return ntohl(four.s_addr) >> 24 == 127;
	if (inet_pton(AF_INET6, host, &six) == 1)
		return IN6_IS_ADDR_LOOPBACK(&six);
	return strcasecmp(host, "localhost") == 0;
}

static int
check_host(const struct account *a, struct err *err)
{
	if (a->host == NULL)
		return err_set(err, EX_CONFIG, "host: expected the server's name or address");
	for (const char *p = a->host; *p != '\0'; p++) {
		if (!isspace((unsigned char)*p) && strchr("/@?#%\\[]", *p) == NULL)
			continue;
		/* With an @ in it, it may be a URL, and hold a password. */
		if (strchr(a->host, '@') != NULL)
			return err_set(err, EX_CONFIG, "host: expected a name or address alone");
		return err_set(err, EX_CONFIG,
		    "host: expected a name or address alone, found \"%s\"", a->host);
	}
	return 0;
}

static int
check_credentials(const struct account *a, struct err *err)
{
	int sources =
	    (a->password != NULL) + (a->password_file != NULL) + (a->password_command != NULL);

	if (sources > 1)
		return err_set(err, EX_CONFIG,
		    "expected one of password, password_file and password_command");
	if (a->user != NULL && sources == 0)
		return err_set(err, EX_CONFIG,
		    "user: expected password, password_file or password_command with it");
	if (a->user == NULL && sources > 0)
		return err_set(err, EX_CONFIG, "user: expected, because there is a password");
	if (a->client_key != NULL && a->client_cert == NULL)
		return err_set(err, EX_CONFIG, "client_key: expected client_cert with it");
	return 0;
}

/* What protects the connection.  Without a word about it, credentials demand TLS. */
static int
settle_tls(struct account *a, struct err *err)
{
	static const enum account_tls by_starttls[] = { ACCOUNT_STARTTLS_REQUIRED,
		ACCOUNT_STARTTLS_TRY, ACCOUNT_TLS_NEVER };
	bool exposed =
	    account_has_credentials(a) && !a->allow_plaintext_auth && !account_is_loopback(a->host);

	if (a->use_tls == 1 && a->starttls != CONF_UNSET)
		return err_set(err, EX_CONFIG,
		    "starttls: cannot be combined with use_tls = true (TLS from the first byte)");
	if (a->port == 0)
		a->port = a->use_tls == 1 ? 465 : 587;
	if (a->use_tls == 1 ||
	    (a->use_tls == CONF_UNSET && a->starttls == CONF_UNSET && a->port == 465))
		a->tls = ACCOUNT_TLS_IMPLICIT;
	else if (a->starttls != CONF_UNSET)
		a->tls = by_starttls[a->starttls];
	else
		a->tls = exposed ? ACCOUNT_STARTTLS_REQUIRED : ACCOUNT_STARTTLS_TRY;
	if (exposed && (a->tls == ACCOUNT_STARTTLS_TRY || a->tls == ACCOUNT_TLS_NEVER))
		return err_set(err, EX_CONFIG,
		    "starttls: the password could cross the network in clear: expected "
		    "\"required\", "
		    "or allow_plaintext_auth = true");
	return 0;
}

/* "failure", "delay" become "FAILURE,DELAY". */
static int
settle_dsn(struct account *a, struct err *err)
{
	AUTO_BUF struct buf words = BUF_INIT(64);

	for (size_t i = 0; i < a->dsn_words.n; i++) {
		if (strcmp(a->dsn_words.v[i], "never") == 0 && a->dsn_words.n > 1)
			return err_set(err, EX_CONFIG, "dsn_notify: expected \"never\" alone");
		if (buf_addf(&words, "%s%s", i > 0 ? "," : "", a->dsn_words.v[i]) < 0)
			return err_set(err, EX_CONFIG, "dsn_notify: expected each word once");
	}
	for (size_t i = 0; i < words.len; i++)
		words.s[i] = (char)toupper((unsigned char)words.s[i]);
	if (words.len > 0)
		a->dsn_notify = xstrdup(words.s);
	return 0;
}

int
account_check(void *account, const char *place, struct err *err)
{
	struct account *a = account;

	account_release(a);
	a->place = xstrdup(place);
	if (a->id == NULL)
		return err_set(err, EX_CONFIG, "id: expected an id for each account");
	if (!account_id_valid(a->id))
		return err_set(err, EX_CONFIG,
		    "id: expected letters, digits, - _ . @ and no dot first, found \"%s\"", a->id);
	if (a->transport == ACCOUNT_SMTP &&
	    (check_host(a, err) < 0 || check_credentials(a, err) < 0 || settle_tls(a, err) < 0))
		return -1;
	if (a->fallback != NULL && strcmp(a->fallback, a->id) == 0)
		return err_set(err, EX_CONFIG, "fallback: expected another account than itself");
	if (check_domains(a, err) < 0)
		return -1;
	return settle_dsn(a, err);
}

void
account_release(void *account)
{
	struct account *a = account;

	free(a->place);
	free(a->dsn_notify);
	a->place = a->dsn_notify = NULL;
}

void
account_free(struct account *account)
{
	account_release(account);
	conf_release(account_schema, account);
	*account = (struct account){ 0 };
}
