/*
 * mailq-rules accounts import: the servers of mailq's second forerunner, whose smtp_servers.json is an
 * array of connections as fastapi-mail has them (MAIL_SERVER, MAIL_PORT, ...).  That service tried
 * them in the order of the file: so each becomes an account whose fallback is the next.  Those that only
 * seem to send (SUPPRESS_SEND) are no part of that: what is to be sent must not end in a Maildir because a
 * server is down, nor what is to be captured be sent.  For the same reason they are made as if they came
 * behind the others: the first account is the default.
 */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "cmd/rules/accounts.h"
#include "mail/address.h"
#include "spool/policy/accounts.h"
#include "spool/policy/lock.h"

#define SERVERS_MAX 1000
#define NUMBERS_MAX 10000

/* One server of the file. */
struct server {
	const char *host, *user, *password, *from, *from_name;
	int64_t port, timeout;
	bool starttls, tls, verify, login, suppress;
	bool exposed; /* its password crosses the network as it is */
	char id[ACCOUNT_ID_MAX + 1];
	bool known; /* there is such an account in the spool */
	struct account_settings list;
	/* For the way back. */
	struct buf before;
	bool written;
};

struct import {
	const struct accounts_command *c;
	struct server *servers;
	size_t n;
};

/* ---- reading the file --------------------------------------------------------------------------- */

/* The member's text; NULL where it is absent or empty. */
static int
take_text(const struct json *object, const char *key, const char **ret, struct err *err)
{
	const struct json *value = json_get_set(object, key);
	const char *text = json_string(value);

	*ret = NULL;
	if (value == NULL)
		return 0;
	if (text == NULL)
		return err_set(err, EX_DATAERR, "%s: expected a string, found %s", key,
		    json_kind_name(json_kind(value)));
	*ret = *text != '\0' ? text : NULL;
	return 0;
}

static int
take_bool(const struct json *object, const char *key, bool *ret, struct err *err)
{
	const struct json *value = json_get_set(object, key);
	int64_t number;

	if (value == NULL || json_to_bool(value, ret) == 0)
		return 0;
	if (json_to_int(value, &number) == 0 && (number == 0 || number == 1)) {
		*ret = number == 1;
		return 0;
	}
	return err_set(err, EX_DATAERR, "%s: expected true or false, found %s", key,
	    json_kind_name(json_kind(value)));
}

static int
take_number(const struct json *object, const char *key, int64_t min, int64_t max, int64_t *ret,
    struct err *err)
{
	const struct json *value = json_get_set(object, key);

	if (value == NULL)
		return 0;
	if (json_to_int(value, ret) < 0)
		return err_set(err, EX_DATAERR, "%s: expected a whole number, found %s", key,
		    json_kind_name(json_kind(value)));
	if (*ret < min || *ret > max)
		return err_set(err, EX_DATAERR,
		    "%s: expected %" PRId64 " to %" PRId64 ", found %" PRId64, key, min, max, *ret);
	return 0;
}

/* What the file may hold beside what counts here. */
static void
tell_unknown(const struct json *object, size_t number)
{
	static const char *const known[] = { "MAIL_USERNAME", "MAIL_PASSWORD", "MAIL_FROM",
		"MAIL_PORT", "MAIL_SERVER", "MAIL_FROM_NAME", "MAIL_STARTTLS", "MAIL_SSL_TLS",
		"USE_CREDENTIALS", "VALIDATE_CERTS", "TIMEOUT", "SUPPRESS_SEND", "MAIL_DEBUG",
		"TEMPLATE_FOLDER" };
	struct json_iter it = JSON_ITER_INIT;
	const struct json *value;
	const char *key;

	while (json_next(object, &it, &key, &value)) {
		size_t i = 0;

		while (i < sizeof known / sizeof *known && strcmp(key, known[i]) != 0)
			i++;
		if (i == sizeof known / sizeof *known)
			log_warning("server %zu: %.100s: unknown, ignored", number, key);
	}
}

static int
check_from(const struct server *s, struct err *err)
{
	struct mail_address address;

	if (s->from == NULL)
		return 0;
	if (mail_address_parse(s->from, strlen(s->from), NULL, 0, &address, err) < 0) {
		if (err != NULL)
			err->code = EX_DATAERR;
		return err_prefix(err, "MAIL_FROM");
	}
	mail_address_release(&address);
	return 0;
}

static int
take_server(const struct json *object, struct server *s, struct err *err)
{
	*s = (struct server){ .verify = true, .login = true };
	if (json_kind(object) != JSON_OBJECT)
		return err_set(err, EX_DATAERR, "expected an object, found %s",
		    json_kind_name(json_kind(object)));
	if (take_text(object, "MAIL_SERVER", &s->host, err) < 0 ||
	    take_text(object, "MAIL_USERNAME", &s->user, err) < 0 ||
	    take_text(object, "MAIL_PASSWORD", &s->password, err) < 0 ||
	    take_text(object, "MAIL_FROM", &s->from, err) < 0 ||
	    take_text(object, "MAIL_FROM_NAME", &s->from_name, err) < 0 ||
	    take_number(object, "MAIL_PORT", 1, 65535, &s->port, err) < 0 ||
	    take_number(object, "TIMEOUT", 1, 3600, &s->timeout, err) < 0 ||
	    take_bool(object, "MAIL_STARTTLS", &s->starttls, err) < 0 ||
	    take_bool(object, "MAIL_SSL_TLS", &s->tls, err) < 0 ||
	    take_bool(object, "USE_CREDENTIALS", &s->login, err) < 0 ||
	    take_bool(object, "VALIDATE_CERTS", &s->verify, err) < 0 ||
	    take_bool(object, "SUPPRESS_SEND", &s->suppress, err) < 0 || check_from(s, err) < 0)
		return -1;
	if (s->host == NULL)
		return err_set(err, EX_DATAERR, "MAIL_SERVER: expected the server's name");
	if (s->starttls && s->tls)
		return err_set(err, EX_DATAERR,
		    "MAIL_STARTTLS: expected not to be true beside MAIL_SSL_TLS");
	s->login = s->login && s->user != NULL;
	if (s->login && s->password == NULL)
		return err_set(err, EX_DATAERR,
		    "MAIL_PASSWORD: expected, because there is MAIL_USERNAME");
	s->exposed = s->login && !s->starttls && !s->tls && !account_is_loopback(s->host);
	return 0;
}

static int
take_file(const struct json *file, struct import *import, struct err *err)
{
	size_t n = json_length(file);

	if (json_kind(file) != JSON_ARRAY || n == 0 || n > SERVERS_MAX)
		return err_set(err, EX_DATAERR, "expected an array of 1 to %d servers, found %s",
		    SERVERS_MAX, json_kind_name(json_kind(file)));
	import->servers = xcalloc(n, sizeof *import->servers);
	for (size_t i = 0; i < n; i++) {
		struct server *s = &import->servers[i];

		if (take_server(json_at(file, i), s, err) < 0)
			return err_prefix(err, "server %zu", i + 1);
		buf_init(&s->before, ACCOUNT_FILE_MAX);
		import->n++;
		tell_unknown(json_at(file, i), i + 1);
	}
	return 0;
}

/* ---- names -------------------------------------------------------------------------------------- */

/* Of the server's name, what can stand in an id. */
static void
base_name(const char *host, char ret[ACCOUNT_ID_MAX + 1])
{
	size_t n = 0;

	for (const char *p = host; *p != '\0' && n < ACCOUNT_ID_MAX - 8; p++) {
		char c = (char)tolower((unsigned char)*p);

		if (!isalnum((unsigned char)c) && (strchr("-_.", c) == NULL || n == 0))
			c = '_';
		ret[n++] = c;
	}
	ret[n] = '\0';
}

static bool
taken_before(const struct import *import, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (strcmp(import->servers[k].id, import->servers[i].id) == 0)
			return true;
	return false;
}

static bool
same_text(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* Whether this account was made of this server. */
static bool
is_made_of(const struct account *a, const struct server *s)
{
	return same_text(a->host, s->host) && (s->port == 0 || a->port == s->port) &&
	    same_text(a->user, s->login ? s->user : NULL);
}

/* The first name that is free, or is that of an account made of this server by an import before. */
static int
choose_id(struct import *import, size_t i, struct err *err)
{
	const struct settings *settings = import->c->settings;
	struct server *s = &import->servers[i];
	char base[ACCOUNT_ID_MAX + 1];

	base_name(s->host, base);
	for (int number = 1; number < NUMBERS_MAX; number++) {
		const struct account *a;

		if (number == 1)
			snprintf(s->id, sizeof s->id, "%s", base);
		else
			snprintf(s->id, sizeof s->id, "%.56s-%d", base, number);
		a = settings_account(settings, s->id);
		s->known = a != NULL && a->kept;
		if (taken_before(import, i) || settings_broken(settings, s->id) ||
		    accounts_configured(settings, s->id) != NULL || (s->known && !is_made_of(a, s)))
			continue;
		return 0;
	}
	return err_set(err, EX_DATAERR, "server %zu: no id for it is free", i + 1);
}

/* ---- accounts ----------------------------------------------------------------------------------- */

static int
add_number(struct account_settings *list, const char *path, int64_t number, const char *unit,
    struct err *err)
{
	char text[40] = "";

	if (number > 0)
		snprintf(text, sizeof text, "%" PRId64 "%s", number, unit);
	return account_settings_add(list, path, text, err);
}

static int
add_text(struct account_settings *list, const char *path, const char *text, struct err *err)
{
	return account_settings_add(list, path, text != NULL ? text : "", err);
}

/* All that the file decides, so that what an import before left of another form goes. */
static int
make_settings(struct server *s, const char *fallback, struct err *err)
{
	struct account_settings *list = &s->list;

	if (add_text(list, "transport", s->suppress ? "capture" : NULL, err) < 0 ||
	    add_text(list, "host", s->host, err) < 0 ||
	    add_number(list, "port", s->port, "", err) < 0 ||
	    add_text(list, "use_tls", s->tls ? "true" : NULL, err) < 0 ||
	    add_text(list, "starttls",
		s->tls		? NULL :
		    s->starttls ? "required" :
				  "never",
		err) < 0 ||
	    add_text(list, "tls_verify", s->verify ? NULL : "false", err) < 0 ||
	    add_text(list, "user", s->login ? s->user : NULL, err) < 0 ||
	    add_text(list, "password", s->login ? s->password : NULL, err) < 0 ||
	    add_text(list, "allow_plaintext_auth", s->exposed ? "true" : NULL, err) < 0 ||
	    add_text(list, "from", s->from, err) < 0 ||
	    add_text(list, "from_name", s->from_name, err) < 0 ||
	    add_number(list, "timeouts.connect", s->timeout, "s", err) < 0 ||
	    add_number(list, "timeouts.greeting", s->timeout, "s", err) < 0 ||
	    add_number(list, "timeouts.command", s->timeout, "s", err) < 0 ||
	    add_text(list, "fallback", fallback, err) < 0)
		return err_prefix(err, "account %s", s->id);
	return 0;
}

/* Whether what is there says the same, all that was added by hand aside. */
static int
is_unchanged(struct import *import, struct server *s, bool *ret, struct err *err)
{
	AUTO(account_secret_wipe) struct buf after = BUF_INIT(ACCOUNT_FILE_MAX);

	if (accounts_read(import->c->spool, s->id, &s->before, err) < 0 ||
	    account_text_change(s->before.s, &s->list, false, &after, err) < 0)
		return -1;
	*ret = strcmp(s->before.s, after.s) == 0;
	return 0;
}

/* The next in line; NULL for the last, and for one that captures. */
static const char *
fallback_of(const struct import *import, size_t i)
{
	size_t next = i + 1;

	if (import->servers[i].suppress)
		return NULL;
	while (next < import->n && import->servers[next].suppress)
		next++;
	return next < import->n ? import->servers[next].id : NULL;
}

static int
prepare(struct import *import, struct err *err)
{
	for (size_t i = 0; i < import->n; i++)
		if (choose_id(import, i, err) < 0)
			return -1;
	for (size_t i = 0; i < import->n; i++) {
		struct server *s = &import->servers[i];
		bool same = true;

		if (make_settings(s, fallback_of(import, i), err) < 0 ||
		    (s->known && is_unchanged(import, s, &same, err) < 0))
			return -1;
		if (!same && !import->c->options->replace)
			return err_set(err, EX_CANTCREAT,
			    "account %s was made of server %zu before, and differs: --replace sets "
			    "it to "
			    "what the file says",
			    s->id, i + 1);
	}
	return 0;
}

/* ---- writing ------------------------------------------------------------------------------------ */

/* What was written before one failed goes again. */
static void
take_back(struct import *import)
{
	struct spool *spool = import->c->spool;
	struct err err = ERR_INIT;

	for (size_t i = 0; i < import->n; i++) {
		struct server *s = &import->servers[i];

		if (s->written &&
		    (s->known ? accounts_write(spool, s->id, s->before.s, s->before.len, &err) :
				accounts_remove(spool, s->id, &err)) < 0)
			log_error("account %s could not be taken back: %s", s->id, err.msg);
	}
}

/* From the last to the first: each finds its fallback there, and whatever ends this in between leaves
 * what an import again completes. */
static int
write_all(struct import *import, struct err *err)
{
	const struct accounts_command *c = import->c;
	int64_t now = clock_now();

	for (size_t i = import->n; i-- > 0;) {
		struct server *s = &import->servers[i];
		int64_t made = now + (int64_t)(s->suppress ? import->n + i : i);
		int result;

		/* One that fails may be there all the same, and not be durable. */
		s->written = true;
		result = accounts_put_locked(c->spool, c->settings, s->id,
		    s->known ? ACCOUNTS_SET : ACCOUNTS_ADD, &s->list, made, err);

		if (result < 0) {
			take_back(import);
			return -1;
		}
		s->written = result == 1;
	}
	spool_wake(c->spool);
	return 0;
}

static void
tell(const struct import *import)
{
	bool quiet = import->c->options->common.quiet, sends = false;

	for (size_t i = 0; i < import->n; i++)
		sends = sends || !import->servers[i].suppress;

	for (size_t i = 0; i < import->n; i++) {
		const struct server *s = &import->servers[i];

		if (!quiet)
			printf("%s: %s\n", s->id,
			    !s->written	 ? "is there already" :
				s->known ? "changed" :
					   "made");
		if (!s->written)
			continue;
		if (s->suppress)
			log_warning("account %s: SUPPRESS_SEND: it captures mail and sends "
				    "nothing; it is no fallback of another account%s",
			    s->id, sends ? ", and not the default" : "");
		else if (s->exposed)
			log_warning("account %s: the file says that its password goes to %s "
				    "without TLS; \"mailq-rules accounts set %s "
				    "allow_plaintext_auth= starttls=\" requires TLS",
			    s->id, s->host, s->id);
	}
}

static int
run(struct import *import, const struct json *file, struct err *err)
{
	AUTO_FD int lock = -1;

	if (take_file(file, import, err) < 0)
		return -1;
	lock = spool_lock(import->c->spool, err);
	if (lock < 0 || prepare(import, err) < 0 || write_all(import, err) < 0)
		return -1;
	tell(import);
	return 0;
}

static void
release(struct import *import)
{
	for (size_t i = 0; i < import->n; i++) {
		account_settings_release(&import->servers[i].list);
		account_secret_wipe(&import->servers[i].before);
	}
	free(import->servers);
}

int
accounts_import(const struct accounts_command *c)
{
	struct import import = { .c = c };
	struct err err = ERR_INIT;
	struct json *file;
	int result;

	if (c->n != 1) {
		err_set(&err, EX_USAGE,
		    "accounts import: expected one FILE, or - for standard input");
		return err_print(&err);
	}
	file = accounts_read_json(c->words[0], &err);
	if (file == NULL)
		return err_print(&err);
	result = run(&import, file, &err);
	release(&import);
	json_free(file);
	return result < 0 ? err_print(&err) : EX_OK;
}
