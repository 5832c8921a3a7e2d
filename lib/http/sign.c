#include "http/sign.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/clock.h"
#include "base/digest.h"
#include "base/num.h"

enum { TEXT_MAX = 128 * 1024, SECRET_MAX = 1024, SCOPE_MAX = 250 };

struct pair {
	const char *name, *value;
};

struct signing {
	const struct http_aws *aws;
	const struct http_sign_request *request;
	char date[32];	 /* 20130524T000000Z */
	char scope[300]; /* 20130524/us-east-1/s3/aws4_request */
	char payload[DIGEST_TEXT_SIZE];
	struct buf text; /* what the pairs point into: born with room enough, so it never moves */
	struct pair fields[HTTP_SIGN_FIELDS_MAX];
	size_t n_fields;
	struct buf canonical, names; /* the request, and its fields' names */
};

/* What is not unreserved (RFC 3986 section 2.3) as %XX, except the bytes of keep. */
static int
encode(struct buf *ret, const char *s, size_t n, const char *keep)
{
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)s[i];
		int rc;

		if (c != '\0' &&
		    ((c < 0x80 && isalnum(c)) || strchr("-._~", c) != NULL ||
			strchr(keep, c) != NULL))
			rc = buf_addc(ret, (char)c);
		else
			rc = buf_addf(ret, "%%%02X", c);
		if (rc < 0)
			return -1;
	}
	return 0;
}

/* The same for text that is encoded already, in some way: decodes it first. */
static int
encode_again(struct buf *ret, const char *s, size_t n, const char *keep)
{
	for (size_t i = 0; i < n; i++) {
		char c = s[i];

		if (c == '%' && i + 2 < n && num_hex(s[i + 1]) >= 0 && num_hex(s[i + 2]) >= 0) {
			c = (char)(num_hex(s[i + 1]) * 16 + num_hex(s[i + 2]));
			i += 2;
		}
		if (encode(ret, &c, 1, keep) < 0)
			return -1;
	}
	return 0;
}

static int
add_path(struct signing *s)
{
	AUTO_BUF struct buf once = BUF_INIT(TEXT_MAX);
	const char *path = s->request->path;

	if (encode_again(&once, path, strlen(path), "/") < 0)
		return -1;
	if (strcmp(s->aws->service, "s3") == 0)
		return buf_add(&s->canonical, once.s, once.len);
	return encode(&s->canonical, once.s, once.len, "/");
}

static int
by_name_and_value(const void *a, const void *b)
{
	const struct pair *x = a, *y = b;
	int order = strcmp(x->name, y->name);

	return order != 0 ? order : strcmp(x->value, y->value);
}

/* Copies text of n bytes, encoded, into s->text; NULL where that is full. */
static const char *
keep_encoded(struct signing *s, const char *text, size_t n)
{
	size_t at = s->text.len;

	if (encode_again(&s->text, text, n, "") < 0 || buf_addc(&s->text, '\0') < 0)
		return NULL;
	return s->text.s + at;
}

static int
add_query(struct signing *s)
{
	struct pair pairs[HTTP_SIGN_QUERY_MAX];
	const char *at = s->request->query;
	size_t n = 0, len, name;

	for (; at != NULL && *at != '\0'; at += len + (at[len] == '&')) {
		len = strcspn(at, "&");
		name = strcspn(at, "=&");
		if (len == 0)
			continue;
		if (n == HTTP_SIGN_QUERY_MAX) {
			errno = E2BIG;
			return -1;
		}
		pairs[n].name = keep_encoded(s, at, name);
		pairs[n].value = name < len ? keep_encoded(s, at + name + 1, len - name - 1) : "";
		if (pairs[n].name == NULL || pairs[n].value == NULL)
			return -1;
		n++;
	}
	qsort(pairs, n, sizeof(*pairs), by_name_and_value);
	for (size_t i = 0; i < n; i++)
		if (buf_addf(&s->canonical, "%s%s=%s", i > 0 ? "&" : "", pairs[i].name,
			pairs[i].value) < 0)
			return -1;
	return 0;
}

/* A field's name in lower case, its value without blanks around it and runs of them as one. */
static int
add_field(struct signing *s, const char *name, size_t n, const char *value)
{
	struct pair *field = &s->fields[s->n_fields];
	size_t at = s->text.len, i;

	if (s->n_fields == HTTP_SIGN_FIELDS_MAX ||
	    buf_reserve(&s->text, n + strlen(value) + 2) < 0) {
		errno = E2BIG;
		return -1;
	}
	for (i = 0; i < n; i++)
		buf_addc(&s->text, (char)tolower((unsigned char)name[i]));
	buf_addc(&s->text, '\0');
	field->name = s->text.s + at;
	at = s->text.len;
	for (value += strspn(value, " \t"); *value != '\0'; value += i) {
		i = strcspn(value, " \t");
		buf_add(&s->text, value, i);
		value += i;
		i = strspn(value, " \t");
		if (value[i] != '\0' && i > 0)
			buf_addc(&s->text, ' ');
	}
	buf_addc(&s->text, '\0');
	field->value = s->text.s + at;
	s->n_fields++;
	return 0;
}

/* One of our own: signed, and sent. */
static int
send_field(struct signing *s, struct buf *lines, const char *name, const char *value)
{
	if (add_field(s, name, strlen(name), value) < 0 ||
	    buf_addf(lines, "%s: %s", name, value) < 0)
		return -1;
	return buf_addc(lines, '\0');
}

static int
collect_fields(struct signing *s, struct buf *lines)
{
	const char *const *line = s->request->headers;

	if (add_field(s, "host", 4, s->request->host) < 0 ||
	    send_field(s, lines, "X-Amz-Date", s->date) < 0)
		return -1;
	if (s->aws->session_token != NULL &&
	    send_field(s, lines, "X-Amz-Security-Token", s->aws->session_token) < 0)
		return -1;
	if (strcmp(s->aws->service, "s3") == 0 &&
	    send_field(s, lines, "X-Amz-Content-Sha256", s->payload) < 0)
		return -1;
	for (; line != NULL && *line != NULL; line++) {
		size_t n = strcspn(*line, ":");

		if ((*line)[n] == ':' && add_field(s, *line, n, *line + n + 1) < 0)
			return -1;
	}
	return 0;
}

/* Those of one name are joined in the order they are sent in: the sort must not change it, and no
 * two are at the same place of s->text. */
static int
by_name_and_place(const void *a, const void *b)
{
	const struct pair *x = a, *y = b;
	int order = strcmp(x->name, y->name);

	return order != 0 ? order : (x->value > y->value) - (x->value < y->value);
}

static int
add_fields(struct signing *s)
{
	qsort(s->fields, s->n_fields, sizeof(*s->fields), by_name_and_place);
	for (size_t i = 0; i < s->n_fields; i++) {
		const struct pair *field = &s->fields[i];
		bool again = i > 0 && strcmp(field[-1].name, field->name) == 0;

		if (!again &&
		    (buf_addf(&s->canonical, "%s%s:", i > 0 ? "\n" : "", field->name) < 0 ||
			buf_addf(&s->names, "%s%s", i > 0 ? ";" : "", field->name) < 0))
			return -1;
		if (buf_addf(&s->canonical, "%s%s", again ? "," : "", field->value) < 0)
			return -1;
	}
	return buf_adds(&s->canonical, "\n");
}

static int
add_request(struct signing *s)
{
	if (buf_addf(&s->canonical, "%s\n", s->request->method) < 0 || add_path(s) < 0 ||
	    buf_addc(&s->canonical, '\n') < 0 || add_query(s) < 0 ||
	    buf_addc(&s->canonical, '\n') < 0 || add_fields(s) < 0)
		return -1;
	return buf_addf(&s->canonical, "\n%s\n%s", s->names.s, s->payload);
}

static void
sign(const struct signing *s, char ret[DIGEST_TEXT_SIZE])
{
	AUTO_BUF struct buf text = BUF_INIT(4096), secret = BUF_INIT(SECRET_MAX + 8);
	unsigned char key[DIGEST_SIZE], digest[DIGEST_SIZE];
	const char *const steps[] = { s->aws->region, s->aws->service, "aws4_request" };
	char hex[DIGEST_TEXT_SIZE];

	digest_sha256(s->canonical.s, s->canonical.len, digest);
	buf_addf(&text, "AWS4-HMAC-SHA256\n%s\n%s\n%s", s->date, s->scope,
	    digest_text(digest, hex));
	buf_addf(&secret, "AWS4%s", s->aws->secret);
	digest_hmac(secret.s, secret.len, s->date, 8, key);
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
		digest_hmac(key, sizeof(key), steps[i], strlen(steps[i]), key);
	digest_hmac(key, sizeof(key), text.s, text.len, digest);
	digest_text(digest, ret);
	explicit_bzero(secret.s, secret.len);
	explicit_bzero(key, sizeof(key));
}

static int
signing_init(struct signing *s)
{
	unsigned char digest[DIGEST_SIZE];
	time_t seconds = (time_t)(s->request->now / USEC);
	struct tm tm;

	if (strlen(s->aws->secret) > SECRET_MAX ||
	    strlen(s->aws->region) + strlen(s->aws->service) > SCOPE_MAX ||
	    buf_reserve(&s->text, s->text.max) < 0) {
		errno = E2BIG;
		return -1;
	}
	gmtime_r(&seconds, &tm);
	strftime(s->date, sizeof(s->date), "%Y%m%dT%H%M%SZ", &tm);
	snprintf(s->scope, sizeof(s->scope), "%.8s/%s/%s/aws4_request", s->date, s->aws->region,
	    s->aws->service);
	digest_sha256(s->request->body.s, s->request->body.len, digest);
	digest_text(digest, s->payload);
	return 0;
}

static void
signing_release(struct signing *s)
{
	buf_release(&s->text);
	buf_release(&s->canonical);
	buf_release(&s->names);
}

int
http_sign(const struct http_aws *aws, const struct http_sign_request *request, struct buf *lines)
{
	struct signing s AUTO(signing_release) = { .aws = aws,
		.request = request,
		.text = BUF_INIT(TEXT_MAX),
		.canonical = BUF_INIT(4 * TEXT_MAX),
		.names = BUF_INIT(TEXT_MAX) };
	char signature[DIGEST_TEXT_SIZE];

	if (signing_init(&s) < 0 || collect_fields(&s, lines) < 0 || add_request(&s) < 0)
		return -1;
	sign(&s, signature);
	if (buf_addf(lines,
		"Authorization: AWS4-HMAC-SHA256 Credential=%s/%s,SignedHeaders=%s,Signature=%s",
		aws->key, s.scope, s.names.s, signature) < 0)
		return -1;
	return buf_addc(lines, '\0');
}
