/* What goes out and what comes back, as far as it is text: pure. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "http/client_private.h"
#include "http/form_private.h"
#include "http/sign.h"

enum { FIELDS_MAX = 64 };

void
http_answer_release(struct http_answer *answer)
{
	buf_release(&answer->body);
	free(answer->content_type);
	free(answer->etag);
	free(answer->filename);
	free(answer->url);
	free(answer->location);
	*answer = (struct http_answer)HTTP_ANSWER_INIT;
}

void
http_target_release(struct http_target *target)
{
	free(target->scheme);
	free(target->host);
	free(target->port);
	free(target->path);
	free(target->query);
	memset(target, 0, sizeof *target);
}

bool
http_target_same(const struct http_target *a, const struct http_target *b)
{
	return strcasecmp(a->scheme, b->scheme) == 0 && strcasecmp(a->host, b->host) == 0 &&
	    strcmp(a->port, b->port) == 0;
}

static int
add_host(const struct http_target *target, struct buf *ret)
{
	return buf_addf(ret, target->default_port ? "%s" : "%s:%s", target->host, target->port);
}

void
http_target_text(const struct http_target *target, struct buf *ret)
{
	buf_addf(ret, "%s://", target->scheme);
	add_host(target, ret);
	buf_adds(ret, target->path);
}

void
http_hide(const char *url, struct buf *ret)
{
	size_t n = strcspn(url, "?#"), i;

	for (i = n; i > 0; i--)
		if (url[i - 1] == '@')
			break;
	buf_addf(ret, "%s%.*s", i > 0 ? "..." : "", (int)(n - i < 300 ? n - i : 300), url + i);
}

/* ---- header fields ------------------------------------------------------------------------- */

static int
add_line(struct buf *lines, struct err *err, const char *name, const char *value)
{
	for (const char *c = value; *c != '\0'; c++)
		if (((unsigned char)*c < 0x20 && *c != '\t') || *c == 0x7f)
			return err_set(err, EX_USAGE, "a control character in the value of %s",
			    name);
	if (buf_addf(lines, "%s: %s", name, value) < 0 || buf_addc(lines, '\0') < 0)
		return err_set(err, EX_USAGE,
		    "the header fields are too long: expected at most %zu bytes", lines->max);
	return 0;
}

/* Fields that say nothing about who asks. */
static bool
may_travel(const char *line)
{
	static const char *const names[] = { "accept", "accept-charset", "accept-language",
		"user-agent", "if-none-match", "if-modified-since", "range" };
	size_t n = strcspn(line, ":");

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strlen(names[i]) == n && strncasecmp(line, names[i], n) == 0)
			return true;
	return false;
}

static int
add_own(const struct http_call *call, const struct http_target *target, struct buf *lines,
    struct err *err)
{
	const char *const *line = call->headers;
	char name[80];

	for (; line != NULL && *line != NULL; line++) {
		size_t n = strcspn(*line, ":");

		if (n == 0 || n >= sizeof(name) || (*line)[n] != ':')
			return err_set(err, EX_USAGE, "\"%.*s\" is not the name of a header field",
			    (int)(n < 80 ? n : 80), *line);
		if (!target->home && !may_travel(*line))
			continue;
		memcpy(name, *line, n);
		name[n] = '\0';
		if (add_line(lines, err, name, *line + n + 1 + strspn(*line + n + 1, " \t")) < 0)
			return -1;
	}
	if (call->content_type != NULL)
		return add_line(lines, err, "Content-Type", call->content_type);
	return 0;
}

static int
add_signature(const struct http_call *call, const struct http_target *target, int64_t now,
    struct buf *lines, struct err *err)
{
	AUTO_BUF struct buf host = BUF_INIT(1024), signature = BUF_INIT(32 * 1024);
	const char *fields[FIELDS_MAX + 1], *at = lines->s;
	struct http_sign_request request = { .method = call->method,
		.path = target->path,
		.query = target->query,
		.headers = fields,
		.body = call->body,
		.now = now };
	size_t n = 0;

	for (; at < lines->s + lines->len && n < FIELDS_MAX; at += strlen(at) + 1)
		fields[n++] = at;
	fields[n] = NULL;
	add_host(target, &host);
	request.host = host.s;
	if (n == FIELDS_MAX || http_sign(call->aws, &request, &signature) < 0 ||
	    buf_add(lines, signature.s, signature.len) < 0)
		return err_set(err, EX_USAGE, "there is too much to sign");
	return 0;
}

int
http_request_fields(const struct http_call *call, const struct http_target *target, int64_t now,
    struct buf *lines, struct err *err)
{
	AUTO_BUF struct buf bearer = BUF_INIT(16 * 1024);

	if (add_own(call, target, lines, err) < 0)
		return -1;
	if (!target->home)
		return 0;
	if (call->bearer != NULL &&
	    (buf_addf(&bearer, "Bearer %s", call->bearer) < 0 ||
		add_line(lines, err, "Authorization", bearer.s) < 0))
		return bearer.len > 0 ? -1 : err_set(err, EX_USAGE, "the token is too long");
	return call->aws != NULL ? add_signature(call, target, now, lines, err) : 0;
}

/* ---- what an answer says ------------------------------------------------------------------- */

char *
http_disposition_name(const char *field)
{
	char sent[FORM_HEADERS_MAX], text[1024];

	if (form_parameter(field, "filename", sent, sizeof(sent)) != 1)
		return NULL;
	form_text(sent, strlen(sent), text, sizeof(text));
	return text[0] != '\0' ? xstrdup(text) : NULL;
}
