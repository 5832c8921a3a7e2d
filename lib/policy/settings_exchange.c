/* What mailq.conf says of the exchange with the application: checks of fetch.* and sync.*. */
#include <string.h>

#include "policy/settings.h"
#include "policy/settings_private.h"

#define SECRET_PREFIX "whsec_"

int
settings_url_check(void *value, const char *place, struct err *err)
{
	const char *url = *(char **)value, *host;
	size_t n;

	(void)place;
	if (url == NULL || *url == '\0')
		return 0;
	if (strncasecmp(url, "http://", 7) == 0)
		host = url + 7;
	else if (strncasecmp(url, "https://", 8) == 0)
		host = url + 8;
	else
		return err_set(err, EX_CONFIG,
		    "expected a URL that begins with http:// or https://");
	n = strcspn(host, "/?#");
	if (memchr(host, '@', n) != NULL)
		return err_set(err, EX_CONFIG,
		    "expected a URL without user and password: they have settings of their own, "
		    "user and password_file");
	if (n == 0 || *host == ':')
		return err_set(err, EX_CONFIG, "expected a host in the URL");
	for (const char *c = url; *c != '\0'; c++) {
		if ((unsigned char)*c <= ' ' || *c == 0x7f || *c == '#')
			return err_set(err, EX_CONFIG, "expected a URL without blanks and #");
	}
	return 0;
}

/* The bytes that n characters of base64 stand for; 0 where they cannot be that. */
static size_t
decoded_length(const char *text, size_t n)
{
	size_t plain =
	    strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");

	if (n % 4 != 0 || n - plain > 2 || strspn(text + plain, "=") != n - plain)
		return 0;
	return plain * 3 / 4;
}

int
settings_secret_check(const char *secret, struct err *err)
{
	size_t prefix = strlen(SECRET_PREFIX), bytes = 0;

	if (strncmp(secret, SECRET_PREFIX, prefix) == 0)
		bytes = decoded_length(secret + prefix, strlen(secret + prefix));
	if (bytes >= SETTINGS_SECRET_MIN && bytes <= SETTINGS_SECRET_MAX)
		return 0;
	/* Without the text: it may be a good secret but for a letter. */
	return err_set(err, EX_CONFIG,
	    "expected \"" SECRET_PREFIX "\" and %d to %d bytes in base64", SETTINGS_SECRET_MIN,
	    SETTINGS_SECRET_MAX);
}

int
settings_secrets_check(void *value, const char *place, struct err *err)
{
	const struct strings *secrets = value;

	(void)place;
	if (secrets->n > SETTINGS_SECRETS)
		return err_set(err, EX_CONFIG,
		    "expected one secret, or two while one replaces the other");
	for (size_t i = 0; i < secrets->n; i++)
		if (settings_secret_check(secrets->v[i], err) < 0)
			return -1;
	return 0;
}

struct credentials {
	const char *group, *user, *password, *password_file, *token, *token_file;
};

static int
check_credentials(const struct settings *s, const struct credentials *c, struct err *err)
{
	bool password = c->password != NULL || c->password_file != NULL;
	const char *fault = NULL;

	if (c->password != NULL && c->password_file != NULL)
		fault = "expected one of password, password_file";
	else if (c->token != NULL && c->token_file != NULL)
		fault = "expected one of token, token_file";
	else if (password && c->user == NULL)
		fault = "expected a user for the password";
	else if (c->user != NULL && strchr(c->user, ':') != NULL)
		fault = "expected a user without a colon";
	if (fault == NULL)
		return 0;
	return err_set(err, EX_CONFIG, "%s: %s: %s", s->file, c->group, fault);
}

int
settings_exchange_check(const struct settings *s, struct err *err)
{
	const struct credentials sync = { "sync", s->sync.user, s->sync.password,
		s->sync.password_file, s->sync.token, s->sync.token_file };
	const struct credentials fetch = { "fetch", s->fetch.user, s->fetch.password,
		s->fetch.password_file, s->fetch.token, s->fetch.token_file };

	if (check_credentials(s, &sync, err) < 0 || check_credentials(s, &fetch, err) < 0)
		return -1;
	if (s->sync.secret.n > 0 && s->sync.secret_file != NULL)
		return err_set(err, EX_CONFIG, "%s: sync: expected one of secret, secret_file",
		    s->file);
	return 0;
}
