#include "mail/source.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/json.h"
#include "base/num.h"
#include "base/utf8.h"
#include "mail/address.h"
#include "mail/idn.h"

#define MARK "{MD5:"
#define MARK_LEN (sizeof MARK - 1)

/* ---- URLs ----------------------------------------------------------------------------------- */

/* The host in brackets (RFC 3986 section 3.2.2): of an IPv6 address's characters. */
static int
add_literal(struct buf *ret, const char *host, size_t len, struct err *err)
{
	if (len < 4 || host[len - 1] != ']' ||
	    strspn(host + 1, "0123456789abcdefABCDEF:.") != len - 2)
		return err_set(err, EX_DATAERR,
		    "expected an IPv6 address in the brackets of the URL's host");
	buf_add(ret, host, len);
	return 0;
}

/* A name or an IPv4 address. */
static int
add_host(struct buf *ret, const char *host, size_t len, struct err *err)
{
	char ascii[MAIL_DOMAIN_MAX + 1];

	if (len > 0 && *host == '[')
		return add_literal(ret, host, len, err);
	if (len == 0 || len > MAIL_DOMAIN_MAX)
		return err_set(err, EX_DATAERR, "expected a host in the URL");
	if (!is_ascii(host, len)) {
		if (mail_idn_ascii(host, len, ascii, sizeof ascii, err) < 0)
			return err_prefix(err, "the URL's host");
		return buf_adds(ret, ascii);
	}
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)host[i]) && strchr("-_.", host[i]) == NULL)
			return err_set(err, EX_DATAERR,
			    "expected letters, digits, hyphens and dots in the URL's host");
	return buf_add(ret, host, len);
}

static int
add_port(struct buf *ret, const char *port, size_t len, struct err *err)
{
	AUTO_FREE char *text = xstrndup(port, len);
	uint64_t number;

	if (len == 0) /* "host:" is the scheme's own */
		return 0;
	if (num_u64(text, 1, 65535, &number) < 0)
		return err_set(err, EX_DATAERR, "expected a port from 1 to 65535 in the URL");
	return buf_addf(ret, ":%s", text);
}

/* Path and query: what cannot stand there is escaped (RFC 3986 section 2.1). */
static void
add_rest(struct buf *ret, const char *rest)
{
	if (*rest != '/')
		buf_addc(ret, '/');
	for (const char *p = rest; *p != '\0' && *p != '#'; p++) {
		unsigned char c = (unsigned char)*p;

		if (c <= ' ' || c >= 0x7f || strchr("\"<>\\^`{|}", c) != NULL)
			buf_addf(ret, "%%%02X", c);
		else
			buf_addc(ret, (char)c);
	}
}

int
mail_source_url(const char *url, struct buf *ret, struct err *err)
{
	size_t scheme = strncasecmp(url, "http://", 7) == 0 ? 7 :
	    strncasecmp(url, "https://", 8) == 0	    ? 8 :
							      0;
	const char *host = url + scheme, *colon;
	size_t len = strcspn(host, "/?#\\"), host_len;

	if (scheme == 0)
		return err_set(err, EX_DATAERR,
		    "expected a URL that begins with http:// or https://");
	if (strlen(url) > MAIL_URL_MAX)
		return err_set(err, EX_DATAERR, "expected a URL of at most %d bytes", MAIL_URL_MAX);
	for (const char *p = url; *p != '\0'; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			return err_set(err, EX_DATAERR, "control character in the URL at byte %zu",
			    (size_t)(p - url) + 1);
	if (memchr(host, '@', len) != NULL)
		return err_set(err, EX_DATAERR, "expected a URL without a user's name or password");
	if (host[len] == '\\')
		return err_set(err, EX_DATAERR, "expected / and no backslash in the URL");
	colon = *host == '[' ? memchr(host, ']', len) : NULL;
	colon = memchr(colon != NULL ? colon : host, ':',
	    len - (size_t)((colon != NULL ? colon : host) - host));
	host_len = colon != NULL ? (size_t)(colon - host) : len;
	buf_adds(ret, scheme == 7 ? "http://" : "https://");
	if (add_host(ret, host, host_len, err) < 0 ||
	    (colon != NULL && add_port(ret, colon + 1, len - host_len - 1, err) < 0))
		return -1;
	add_rest(ret, host + len);
	return 0;
}

/* ---- S3 ------------------------------------------------------------------------------------- */

static bool
is_bucket(const char *name)
{
	static const char ends[] = "abcdefghijklmnopqrstuvwxyz0123456789";
	size_t len = strlen(name);

	return len >= 3 && len <= 63 &&
	    strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789.-") == len &&
	    strchr(ends, name[0]) != NULL && strchr(ends, name[len - 1]) != NULL &&
	    strstr(name, "..") == NULL;
}

int
mail_source_s3(const char *bucket, const char *key, struct err *err)
{
	size_t len = strlen(key);

	if (!is_bucket(bucket))
		return err_set(err, EX_DATAERR,
		    "bucket: expected 3 to 63 of a-z, 0-9, dots and hyphens, found \"%.80s\"",
		    bucket);
	if (len == 0 || len > MAIL_S3_KEY_MAX)
		return err_set(err, EX_DATAERR, "key: expected 1 to %d bytes, found %zu",
		    MAIL_S3_KEY_MAX, len);
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)key[i] < ' ' || key[i] == 0x7f)
			return err_set(err, EX_DATAERR, "key: control character at byte %zu",
			    i + 1);
	return 0;
}

/* ---- as JSON, and in a file's name ---------------------------------------------------------- */

bool
mail_source_is_md5(const char *text)
{
	return strlen(text) == 32 && strspn(text, "0123456789abcdefABCDEF") == 32;
}

void
mail_source_json(const struct mail_source *source, struct buf *ret)
{
	struct json_writer w = JSON_WRITER(ret);
	char md5[33];

	json_begin_object(&w);
	json_member_str(&w, "url", source->url);
	if (source->bucket != NULL) {
		json_key(&w, "s3");
		json_begin_object(&w);
		json_member_str(&w, "bucket", source->bucket);
		json_member_str(&w, "key", source->key);
		json_end_object(&w);
	}
	if (source->md5 != NULL) {
		for (size_t i = 0; i <= 32; i++)
			md5[i] = (char)tolower((unsigned char)source->md5[i]);
		json_member_str(&w, "md5", md5);
	}
	json_end_object(&w);
}

/* The next mark in text; how many digits it has. */
static const char *
find_mark(const char *text, size_t *ret_digits)
{
	while ((text = strstr(text, MARK)) != NULL) {
		*ret_digits = strspn(text + MARK_LEN, "0123456789abcdefABCDEF");
		if (*ret_digits > 0 && text[MARK_LEN + *ret_digits] == '}')
			return text;
		text += MARK_LEN;
	}
	return NULL;
}

/* Appends what is left of a name: one underscore where there are several, none at its ends and before a
 * dot. */
static void
add_tidy(struct buf *ret, const char *name, size_t len)
{
	while (len > 0 && *name == '_') {
		name++;
		len--;
	}
	while (len > 0 && name[len - 1] == '_')
		len--;
	for (size_t i = 0; i < len; i++)
		if (name[i] != '_' || (name[i + 1] != '_' && name[i + 1] != '.'))
			buf_addc(ret, name[i]);
}

bool
mail_source_marked_name(const char *filename, struct buf *ret_name, struct buf *ret_md5)
{
	AUTO_BUF struct buf rest = BUF_INIT(strlen(filename));
	size_t digits;
	const char *mark = find_mark(filename, &digits);

	if (mark == NULL)
		return false;
	for (size_t i = 0; i < digits; i++)
		buf_addc(ret_md5, (char)tolower((unsigned char)mark[MARK_LEN + i]));
	do {
		buf_add(&rest, filename, (size_t)(mark - filename));
		filename = mark + MARK_LEN + digits + 1;
		mark = find_mark(filename, &digits);
	} while (mark != NULL);
	buf_adds(&rest, filename);
	add_tidy(ret_name, rest.s, rest.len);
	return true;
}
