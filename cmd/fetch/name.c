#include "cmd/fetch/name.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/utf8.h"
#include "mail/attachment.h"
#include "mail/header.h"
#include "mail/message.h"
#include "mail/source.h"

/* ---- names --------------------------------------------------------------------------------- */

static int
hex(char c)
{
	const char *digits = "0123456789abcdef", *at = strchr(digits, tolower((unsigned char)c));

	return c != '\0' && at != NULL ? (int)(at - digits) : -1;
}

/* The last segment of a URL's path, decoded: empty where the path ends with a slash. */
static char *
segment_of(const char *url)
{
	const char *path = strstr(url, "://"), *end, *at;
	AUTO_BUF struct buf name = BUF_INIT(MAIL_URL_MAX);

	path = path != NULL ? path + 3 + strcspn(path + 3, "/?#") : url;
	end = path + strcspn(path, "?#");
	for (at = end; at > path && at[-1] != '/'; at--)
		;
	for (; at < end; at++) {
		char c = *at;

		if (c == '%' && end - at > 2 && hex(at[1]) >= 0 && hex(at[2]) >= 0) {
			c = (char)(hex(at[1]) * 16 + hex(at[2]));
			at += 2;
		}
		if (c == '\0' || buf_addc(&name, c) < 0)
			return xstrdup("");
	}
	return xstrdup(name.s);
}

/* The name without directories, cut to what a name may be; NULL where it is none. */
static char *
plain_name(const char *text)
{
	const char *name = text;
	size_t n;

	for (const char *p = text; *p != '\0'; p++)
		if (*p == '/' || *p == '\\')
			name = p + 1;
	n = strlen(name);
	if (n == 0 || strspn(name, ". ") == n || mail_text_check(name, n, NULL) < 0)
		return NULL;
	/* From the front, as the end says what it is. */
	while (n > MAIL_FILENAME_MAX || ((unsigned char)*name & 0xc0) == 0x80) {
		name++;
		n--;
	}
	return xstrdup(name);
}

char *
fetch_name(const char *filename, const char *url)
{
	AUTO_FREE char *segment = segment_of(url);
	char *name = filename != NULL ? plain_name(filename) : NULL;

	if (name == NULL)
		name = plain_name(segment);
	return name != NULL ? name : xstrdup("attachment");
}

/* ---- types --------------------------------------------------------------------------------- */

/* What a server may make of bytes that say nothing themselves: types that no reader runs. */
static bool
is_harmless(const char *type)
{
	static const char *const begins[] = { "image/", "audio/", "video/", "font/",
		"application/pdf", "application/zip", "application/gzip", "application/json",
		"application/msword", "application/vnd.ms-excel", "application/vnd.ms-powerpoint",
		"application/vnd.oasis.", "application/vnd.openxmlformats-", "application/epub",
		"application/pgp-", "application/pkcs7-", "application/x-pkcs7-", "text/plain",
		"text/csv", "text/calendar", "text/vcard" };

	if (strcasestr(type, "svg") != NULL || strcasestr(type, "html") != NULL ||
	    strcasestr(type, "xml") != NULL)
		return strncasecmp(type, "application/vnd.openxmlformats-", 31) == 0;
	for (size_t i = 0; i < sizeof begins / sizeof begins[0]; i++)
		if (strncasecmp(type, begins[i], strlen(begins[i])) == 0)
			return true;
	return false;
}

void
fetch_type(struct mail_part *part, const char *filename, const char *content_type)
{
	char type[MAIL_TYPE_SIZE];
	size_t n;

	if (content_type == NULL || mail_type_by_name(filename) != NULL ||
	    (strcmp(part->type, "application/octet-stream") != 0 &&
		strcmp(part->type, "text/plain") != 0))
		return;
	n = strcspn(content_type, "; \t");
	if (n >= sizeof type)
		return;
	for (size_t i = 0; i < n; i++)
		type[i] = (char)tolower((unsigned char)content_type[i]);
	type[n] = '\0';
	if (mail_type_ok(type) && is_harmless(type))
		memcpy(part->type, type, n + 1);
}

/* ---- S3 ------------------------------------------------------------------------------------ */

void
fetch_s3_code(const char *body, char *ret, size_t size)
{
	const char *code = strstr(body, "<Code>");
	size_t n = code != NULL ?
	    strspn(code + 6, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") :
	    0;

	if (n >= size || code == NULL || code[6 + n] != '<')
		n = 0;
	if (n > 0)
		memcpy(ret, code + 6, n);
	ret[n] = '\0';
}

static int
add_escaped(struct buf *ret, const char *text)
{
	for (; *text != '\0'; text++) {
		unsigned char c = (unsigned char)*text;
		bool plain = (c < 0x80 && isalnum(c)) || strchr("-._~/", c) != NULL;

		if ((plain ? buf_addc(ret, (char)c) : buf_addf(ret, "%%%02X", c)) < 0)
			return -1;
	}
	return 0;
}

int
fetch_s3_url(const struct settings_s3 *s3, const char *bucket, const char *key, struct buf *ret)
{
	const char *host = strstr(s3->endpoint, "://") + 3;

	/* A certificate for *.host covers no bucket with a dot in its name. */
	if (s3->path_style || strchr(bucket, '.') != NULL)
		buf_addf(ret, "%s/%s/", s3->endpoint, bucket);
	else
		buf_addf(ret, "%.*s%s.%s/", (int)(host - s3->endpoint), s3->endpoint, bucket, host);
	return add_escaped(ret, key);
}
