#include "http/server_private.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/num.h"
#include "base/utf8.h"

static int
refuse(struct http_request *r, int status, const char *why)
{
	http_reply_detail(r, status, why);
	return -1;
}

/* ---- the target (RFC 9112 section 3.2) --------------------------------------------------------- */

/* Valid UTF-8 without control characters, those of U+0080 to U+009F too. */
static bool
is_text(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)s[i];

		if (c < 0x20 || c == 0x7f)
			return false;
		if (c == 0xc2 && i + 1 < n && (unsigned char)s[i + 1] < 0xa0)
			return false;
	}
	return utf8_valid(s, n);
}

/* Appends n bytes decoded, and a NUL, to the store, which has room (so nothing moves).  NULL where an
 * escape is none, or what comes out is no text. */
static const char *
decode(struct http_request *r, const char *s, size_t n, bool plus)
{
	char *out = r->store.s + r->store.len, *at = out;

	for (size_t i = 0; i < n; i++) {
		char c = s[i];

		if (c == '%') {
			if (n - i < 3 || num_hex(s[i + 1]) < 0 || num_hex(s[i + 2]) < 0)
				return NULL;
			c = (char)(num_hex(s[i + 1]) * 16 + num_hex(s[i + 2]));
			i += 2;
		} else if (plus && c == '+')
			c = ' ';
		*at++ = c;
	}
	if (!is_text(out, (size_t)(at - out)))
		return NULL;
	*at++ = '\0';
	r->store.len += (size_t)(at - out);
	return out;
}

/* Each segment by itself: an escaped slash does not part. */
static int
decode_path(struct http_request *r, const char *path, size_t n)
{
	r->path = decode(r, path, n, false);
	if (r->path == NULL)
		return -1;
	for (size_t i = 0; i < n; r->n_segments++) {
		const char *slash = memchr(path + i + 1, '/', n - i - 1);
		size_t end = slash != NULL ? (size_t)(slash - path) : n;

		if (r->n_segments == HTTP_SEGMENTS_MAX)
			break; /* no route is as long; what has n_segments of the maximum matches none */
		r->segments[r->n_segments] = decode(r, path + i + 1, end - i - 1, false);
		if (r->segments[r->n_segments] == NULL)
			return -1;
		i = end;
	}
	return 0;
}

static int
decode_query(struct http_request *r, const char *query, size_t n)
{
	for (size_t i = 0; i < n;) {
		const char *amp = memchr(query + i, '&', n - i);
		size_t end = amp != NULL ? (size_t)(amp - query) : n;
		const char *equals = memchr(query + i, '=', end - i);
		size_t name_end = equals != NULL ? (size_t)(equals - query) : end;
		struct field *p = &r->query[r->n_query];

		if (end > i) {
			if (r->n_query == HTTP_QUERY_MAX)
				return -1;
			p->name = decode(r, query + i, name_end - i, true);
			p->value =
			    equals != NULL ? decode(r, equals + 1, end - name_end - 1, true) : "";
			if (p->name == NULL || p->value == NULL)
				return -1;
			r->n_query++;
		}
		i = end + 1;
	}
	return 0;
}

int
head_uri(struct http_request *r)
{
	const char *uri = r->uri.s, *path = uri, *query;
	size_t n = r->uri.len, bare = strcspn(uri, "?");

	for (size_t i = 0; i < n; i++)
		if ((unsigned char)uri[i] <= 0x20 || uri[i] == 0x7f || uri[i] == '#')
			return refuse(r, 400, "Malformed request target");
	/* The absolute form, which is for proxies, but must be understood. */
	if (strncasecmp(uri, "http://", 7) == 0 || strncasecmp(uri, "https://", 8) == 0) {
		path = strchr(uri, ':') + 3;
		path += strcspn(path, "/?");
	}
	bare -= (size_t)(path - uri);
	r->uri_path = (size_t)(path - uri);
	r->uri_path_len = bare;
	query = path + bare;
	/* The path twice, whole and in segments, and the query, each with its NULs. */
	buf_clear(&r->store);
	if (buf_reserve(&r->store, 2 * n + 8) < 0)
		return refuse(r, 414, "Request target too long");
	if (bare == 1 && *path == '*') {
		r->path = "*";
		return 0;
	}
	if (bare == 0 && path != uri) {
		path = "/";
		bare = 1;
	}
	if (*path != '/' || decode_path(r, path, bare) < 0)
		return refuse(r, 400, "Malformed path");
	if (*query == '?' && decode_query(r, query + 1, strlen(query + 1)) < 0)
		return refuse(r, 400, "Malformed query");
	return 0;
}

/* ---- fields (RFC 9110 section 5) --------------------------------------------------------------- */

static bool
is_token(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)s[i]) && strchr("!#$%&'*+-.^_`|~", s[i]) == NULL)
			return false;
	return n > 0 && memchr(s, '\0', n) == NULL;
}

struct collect {
	struct http_request *r;
	size_t cap, bytes, trimmed;
	const char *fault;
};

static int
collect(void *arg, const char *name, size_t name_len, const char *value, size_t value_len)
{
	struct collect *c = arg;
	struct http_request *r = c->r;

	if (r->n_fields == HTTP_HEADERS_MAX) {
		c->fault = "Too many header fields";
		return 431;
	}
	if (!is_token(name, name_len)) {
		c->fault = "Malformed header field name";
		return 400;
	}
	for (size_t i = 0; i < value_len; i++)
		if (((unsigned char)value[i] < 0x20 && value[i] != '\t') || value[i] == 0x7f) {
			c->fault = "Control character in a header field";
			return 400;
		}
	if (r->fields == NULL)
		r->fields = xmalloc(HTTP_HEADERS_MAX * sizeof *r->fields);
	r->fields[r->n_fields++] = (struct field){ name, value };
	c->bytes += name_len + 1 + value_len + 2;
	if (value_len > 0 && (value[value_len - 1] == ' ' || value[value_len - 1] == '\t'))
		c->trimmed += value_len + 1;
	return 0;
}

/* Values with blanks behind them, once more without. */
static void
trim(struct http_request *r, size_t room)
{
	buf_clear(&r->trimmed);
	if (room == 0 || buf_reserve(&r->trimmed, room) < 0)
		return;
	for (size_t i = 0; i < r->n_fields; i++) {
		const char *value = r->fields[i].value;
		size_t n = strlen(value);

		if (n == 0 || (value[n - 1] != ' ' && value[n - 1] != '\t'))
			continue;
		while (n > 0 && (value[n - 1] == ' ' || value[n - 1] == '\t'))
			n--;
		r->fields[i].value = r->trimmed.s + r->trimmed.len;
		buf_add(&r->trimmed, value, n);
		buf_addc(&r->trimmed, '\0');
	}
}

/*
 * The library ends a text at a NUL and drops what follows, and folds lines in a way of its own; a proxy
 * before us may have read them otherwise.  What it has shown us, with a blank behind each colon, must
 * account for the head's size.
 */
static bool
hides_bytes(struct http_request *r, const char *version, size_t field_bytes)
{
	size_t shown =
	    strlen(r->method) + 1 + r->uri.len + 1 + strlen(version) + 2 + field_bytes + 2;

	return mhd_head_size(r) > shown + r->n_fields;
}

static const char *
only(struct http_request *r, const char *name, size_t *ret_count)
{
	*ret_count = http_header_count(r, name);
	return http_header(r, name);
}

/* RFC 9112 section 6: what the body's length is must be beyond doubt. */
static int
judge_length(struct http_request *r)
{
	size_t lengths, codings;
	const char *length = only(r, "Content-Length", &lengths);
	const char *coding = only(r, "Transfer-Encoding", &codings);

	r->expected = 0;
	if (lengths > 1 || (lengths > 0 && codings > 0))
		return refuse(r, 400, "Ambiguous length of the body");
	if (codings > 0) {
		if (codings > 1 || !r->version_1_1 || strcasecmp(coding, "chunked") != 0)
			return refuse(r, codings > 1 || !r->version_1_1 ? 400 : 501,
			    "Transfer-Encoding: expected only chunked");
		r->expected = UINT64_MAX;
	}
	if (length != NULL && num_u64(length, 0, INT64_MAX, &r->expected) < 0)
		return refuse(r, 400, "Malformed Content-Length");
	return 0;
}

static int
judge_host(struct http_request *r)
{
	size_t n;
	const char *host = only(r, "Host", &n);

	if (n > 1 || (n == 0 && r->version_1_1))
		return refuse(r, 400, "Expected one Host field");
	if (host != NULL &&
	    host[strspn(host,
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
		"0123456789-._~:[]!$&'()*+,;=%")] != '\0')
		return refuse(r, 400, "Malformed Host field");
	return 0;
}

int
head_fields(struct http_request *r, const char *method, const char *version)
{
	struct collect c = { .r = r };
	const char *expect;
	int status;

	r->version_1_1 = strcmp(version, "HTTP/1.0") != 0;
	if (!is_token(method, strlen(method)) || strlen(method) >= sizeof r->method)
		return refuse(r, 400, "Malformed method");
	memcpy(r->method, method, strlen(method) + 1);
	status = mhd_each_header(r, collect, &c);
	if (status != 0)
		return refuse(r, status, c.fault);
	if (hides_bytes(r, version, c.bytes))
		return refuse(r, 400, "Malformed header field");
	/* The library has judged the length by the bytes as they are, so that is judged here too. */
	if (judge_length(r) < 0)
		return -1;
	trim(r, c.trimmed);
	if (judge_host(r) < 0)
		return -1;
	expect = http_header(r, "Expect");
	if (expect != NULL && strcasecmp(expect, "100-continue") != 0)
		return refuse(r, 417, "Expectation Failed");
	if (strcmp(r->method, "HEAD") == 0) {
		r->head_only = true;
		memcpy(r->method, "GET", 4);
	}
	return 0;
}
