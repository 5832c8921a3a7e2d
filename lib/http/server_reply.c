#include "http/server_private.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"

void
reply_init(struct reply *reply)
{
	*reply = (struct reply){ .fd = -1 };
	buf_init(&reply->body, SIZE_MAX / 4);
	buf_init(&reply->fields, HEAD_MEMORY / 2);
}

/* What was said so far is taken back, but for the fields. */
static void
take_back(struct reply *reply)
{
	if (reply->fd >= 0)
		close(reply->fd);
	reply->fd = -1;
	reply->status = 0;
	reply->size = 0;
	reply->offset = 0;
	buf_release(&reply->body);
	buf_init(&reply->body, SIZE_MAX / 4);
}

void
reply_clear(struct reply *reply)
{
	take_back(reply);
	reply->close = false;
	buf_clear(&reply->fields);
}

void
reply_release(struct reply *reply)
{
	reply_clear(reply);
	buf_release(&reply->fields);
}

static const char *
reason(int status)
{
	switch (status) {
	case 400:
		return "Bad Request";
	case 408:
		return "Request Timeout";
	case 413:
		return "Content Too Large";
	case 422:
		return "Unprocessable Content";
	case 503:
		return "Service Unavailable";
	default:
		return "Error";
	}
}

int
conn_bare_reply(int fd, const struct reply *reply)
{
	AUTO_BUF struct buf text = BUF_INIT(1024 * 1024);
	const struct buf *fields = &reply->fields;

	buf_addf(&text, "HTTP/1.1 %d %s\r\n", reply->status, reason(reply->status));
	for (size_t at = 0; at < fields->len;) {
		const char *name = fields->s + at, *value = name + strlen(name) + 1;

		buf_addf(&text, "%s: %s\r\n", name, value);
		at += (size_t)(value + strlen(value) + 1 - name);
	}
	buf_addf(&text, "Content-Length: %zu\r\nConnection: close\r\n\r\n", reply->body.len);
	if (buf_add(&text, reply->body.s, reply->body.len) < 0)
		return -1;
	return send(fd, text.s, text.len, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)text.len ? 0 :
											      -1;
}

/* ---- fields ------------------------------------------------------------------------------------ */

static void
drop_field(struct buf *fields, const char *name)
{
	for (size_t at = 0; at < fields->len;) {
		const char *this = fields->s + at, *value = this + strlen(this) + 1;
		size_t n = (size_t)(value + strlen(value) + 1 - this);

		if (strcasecmp(this, name) == 0) {
			memmove(fields->s + at, fields->s + at + n, fields->len - at - n);
			buf_truncate(fields, fields->len - n);
		} else
			at += n;
	}
}

int
http_set_header(struct http_request *r, const char *name, const char *value)
{
	struct buf *fields = &r->reply.fields;
	size_t name_size = strlen(name) + 1, value_size = strlen(value) + 1;

	for (const char *c = name; *c != '\0' || c == name; c++)
		if (!isalnum((unsigned char)*c) && (*c == '\0' || strchr("-_.", *c) == NULL)) {
			errno = EINVAL;
			return -1;
		}
	for (const char *c = value; *c != '\0'; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f) {
			errno = EINVAL;
			return -1;
		}
	drop_field(fields, name);
	if (buf_reserve(fields, name_size + value_size) < 0)
		return -1;
	buf_add(fields, name, name_size);
	return buf_add(fields, value, value_size);
}

void
http_close(struct http_request *r)
{
	r->reply.close = true;
}

/* ---- replies ----------------------------------------------------------------------------------- */

void
http_reply(struct http_request *r, int status, const char *type, struct buf *body)
{
	take_back(&r->reply);
	r->reply.status = status;
	drop_field(&r->reply.fields, "Content-Type");
	if (type != NULL)
		http_set_header(r, "Content-Type", type);
	if (body != NULL) {
		size_t max = body->max;

		r->reply.body = *body;
		buf_init(body, max);
	}
}

void
http_reply_json(struct http_request *r, int status, struct buf *body)
{
	http_reply(r, status, "application/json", body);
}

void
http_reply_text(struct http_request *r, int status, const char *type, const char *text)
{
	struct buf body = BUF_INIT(SIZE_MAX / 4);

	buf_adds(&body, text);
	http_reply(r, status, type, &body);
}

void
http_reply_detail(struct http_request *r, int status, const char *detail)
{
	struct buf body = BUF_INIT(64 * 1024);
	struct json_writer w = JSON_WRITER(&body);

	json_begin_object(&w);
	json_member_str(&w, "detail", detail);
	json_end_object(&w);
	if (json_finish(&w) < 0) {
		buf_clear(&body);
		buf_adds(&body, "{\"detail\":\"Error\"}");
	}
	http_reply_json(r, status, &body);
}

void
http_reply_later(struct http_request *r, int status, const char *detail, int64_t usec)
{
	char seconds[24];

	http_reply_detail(r, status, detail);
	snprintf(seconds, sizeof seconds, "%lld", (long long)((usec + USEC - 1) / USEC));
	http_set_header(r, "Retry-After", seconds);
}

void
http_reply_file(struct http_request *r, int status, const char *type, int fd, off_t offset,
    uint64_t size)
{
	http_reply(r, status, type, NULL);
	r->reply.fd = fd;
	r->reply.offset = offset;
	r->reply.size = size;
}

bool
http_replied(const struct http_request *r)
{
	return r->reply.status != 0;
}

/* ---- caching (RFC 9110 section 13.1.2) and pages ----------------------------------------------- */

/* Is the quoted tag in an If-None-Match?  Weak ones count, as the comparison is a weak one. */
static bool
names_tag(const char *list, const char *quoted)
{
	size_t n = strlen(quoted);

	while (*list != '\0') {
		list += strspn(list, ", \t");
		if (*list == '*')
			return true;
		if (strncmp(list, "W/", 2) == 0)
			list += 2;
		if (strncmp(list, quoted, n) == 0)
			return true;
		if (*list == '"') {
			const char *end = strchr(list + 1, '"');

			if (end == NULL)
				return false;
			list = end + 1;
		} else
			list += strcspn(list, ",");
	}
	return false;
}

bool
http_not_modified(struct http_request *r, const char *tag, const char *cache_control)
{
	char quoted[200];
	const char *known = http_header(r, "If-None-Match");

	if (snprintf(quoted, sizeof quoted, "\"%s\"", tag) >= (int)sizeof quoted ||
	    http_set_header(r, "ETag", quoted) < 0)
		return false;
	http_set_header(r, "Cache-Control", cache_control != NULL ? cache_control : "no-cache");
	if (known == NULL || !names_tag(known, quoted))
		return false;
	http_reply(r, 304, NULL, NULL);
	return true;
}

void
http_page_headers(struct http_request *r, const char *policy)
{
	http_set_header(r, "Content-Security-Policy",
	    policy != NULL ?
		policy :
		"default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; "
		"object-src 'none'; base-uri 'none'; frame-ancestors 'none'");
	http_set_header(r, "X-Frame-Options", "DENY");
	http_set_header(r, "Referrer-Policy", "no-referrer");
}

/* ---- the log ----------------------------------------------------------------------------------- */

/* A blank and the text as one word, of printable characters only. */
static void
add_word(struct buf *line, const char *text)
{
	char word[500];

	if (text == NULL || *text == '\0')
		text = "-";
	log_escape(word, sizeof word, text, strlen(text));
	buf_addc(line, ' ');
	for (const char *c = word; *c != '\0'; c++)
		if (*c == ' ' || *c == '"')
			buf_addf(line, "\\x%02x", (unsigned char)*c);
		else
			buf_addc(line, *c);
}

void
http_access_line(struct buf *line, const struct http_access *access)
{
	buf_adds(line, access->address);
	add_word(line, access->user);
	add_word(line, access->method);
	add_word(line, access->path);
	buf_addf(line, " %d %llu %llu %lldus%s", access->status,
	    (unsigned long long)access->received, (unsigned long long)access->sent,
	    (long long)access->usec, access->complete ? "" : " cut");
}
