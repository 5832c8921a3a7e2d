/* How things in S3 are asked for, and as whom. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/fs.h"
#include "policy/settings.h"
#include "policy/settings_private.h"

#define SECRET_MAX 1024

/* The setting, else the first of these variables that is not empty, else fallback; NULL: none. */
static const char *
either(const char *setting, const char *name, const char *other, const char *fallback)
{
	const char *value;

	if (setting != NULL)
		return setting;
	if ((value = getenv(name)) != NULL && value[0] != '\0')
		return value;
	if (other != NULL && (value = getenv(other)) != NULL && value[0] != '\0')
		return value;
	return fallback;
}

int
settings_endpoint_check(void *value, const char *place, struct err *err)
{
	const char *url = *(char **)value, *host;

	(void)place;
	if (url == NULL)
		return 0;
	host = strncasecmp(url, "https://", 8) == 0 ? url + 8 :
	    strncasecmp(url, "http://", 7) == 0	    ? url + 7 :
						      "";
	if (strcspn(host, "/?#@ ") == 0 || strpbrk(host, "?#@ ") != NULL)
		return err_set(err, EX_CONFIG,
		    "expected a URL such as \"https://s3.example.com\", found \"%.100s\"", url);
	return 0;
}

bool
settings_has_s3(const struct settings *s)
{
	return either(s->attachments.s3.access_key, "AWS_ACCESS_KEY_ID", NULL, NULL) != NULL &&
	    (s->attachments.s3.secret_key_file != NULL ||
		either(s->attachments.s3.secret_key, "AWS_SECRET_ACCESS_KEY", NULL, NULL) != NULL);
}

/* The first line of the file. */
static int
read_secret(const char *path, char **ret, struct err *err)
{
	AUTO_BUF struct buf text = BUF_INIT(SECRET_MAX);
	size_t n;

	if (fs_read_file(AT_FDCWD, path, &text) < 0)
		return err_sys(err,
		    errno == ENOENT	? EX_NOINPUT :
			errno == EACCES ? EX_NOPERM :
					  EX_CONFIG,
		    "attachments.s3.secret_key_file: %s", path);
	n = strcspn(text.s, "\r\n");
	if (n > 0)
		*ret = xstrndup(text.s, n);
	explicit_bzero(text.s, text.len);
	if (n == 0)
		return err_set(err, EX_CONFIG,
		    "attachments.s3.secret_key_file: %s: expected the secret key in the first line",
		    path);
	return 0;
}

/* Amazon's own names have the bucket in the host; others rarely have a name for each bucket. */
static void
set_endpoint(const struct settings *s, struct settings_s3 *s3)
{
	const char *endpoint =
	    either(s->attachments.s3.endpoint, "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", NULL);
	AUTO_BUF struct buf amazon = BUF_INIT(256);
	size_t n;

	s3->path_style = s->attachments.s3.path_style == CONF_UNSET ?
	    endpoint != NULL :
	    s->attachments.s3.path_style != 0;
	if (endpoint == NULL) {
		buf_addf(&amazon, "https://s3.%.100s.amazonaws.com", s3->region);
		endpoint = amazon.s;
	}
	n = strlen(endpoint);
	while (n > 0 && endpoint[n - 1] == '/')
		n--;
	s3->endpoint = xstrndup(endpoint, n);
}

int
settings_s3(const struct settings *s, struct settings_s3 *ret, struct err *err)
{
	struct settings_s3 s3 AUTO(settings_s3_release) = { .path_style = false };
	const char *file = s->attachments.s3.secret_key_file,
		   *secret = s->attachments.s3.secret_key;
	const char *key = either(s->attachments.s3.access_key, "AWS_ACCESS_KEY_ID", NULL, NULL);
	const char *token =
	    either(s->attachments.s3.session_token, "AWS_SESSION_TOKEN", NULL, NULL);

	if (!settings_has_s3(s))
		return err_set(err, EX_CONFIG,
		    "S3 is not configured: expected attachments.s3.access_key and .secret_key");
	s3.region = xstrdup(
	    either(s->attachments.s3.region, "AWS_REGION", "AWS_DEFAULT_REGION", "us-east-1"));
	set_endpoint(s, &s3);
	if (settings_endpoint_check(&s3.endpoint, "", err) < 0)
		return err_prefix(err, "AWS_ENDPOINT_URL");
	s3.access_key = xstrdup(key);
	s3.session_token = token != NULL ? xstrdup(token) : NULL;
	if (secret == NULL && file != NULL) {
		if (read_secret(file, &s3.secret_key, err) < 0)
			return -1;
	} else {
		s3.secret_key = xstrdup(either(secret, "AWS_SECRET_ACCESS_KEY", NULL, ""));
	}
	*ret = s3;
	s3 = (struct settings_s3){ .path_style = false };
	return 0;
}

static void
wipe(char *text)
{
	if (text != NULL)
		explicit_bzero(text, strlen(text));
	free(text);
}

void
settings_s3_release(struct settings_s3 *s3)
{
	free(s3->endpoint);
	free(s3->region);
	free(s3->access_key);
	wipe(s3->secret_key);
	wipe(s3->session_token);
	*s3 = (struct settings_s3){ .path_style = false };
}
