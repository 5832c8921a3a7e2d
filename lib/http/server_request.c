#include "http/server_private.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"

void
request_init(struct http_request *r, struct http_conn *conn)
{
	*r = (struct http_request){ .conn = conn };
	buf_init(&r->uri, HEAD_MEMORY);
	buf_init(&r->store, 2 * HEAD_MEMORY + 8);
	buf_init(&r->trimmed, HEAD_MEMORY);
	buf_init(&r->body, 0);
	buf_init(&r->copy, SIZE_MAX / 2);
	reply_init(&r->reply);
}

static void
free_body(struct http_request *r)
{
	if (r->charged > 0)
		atomic_fetch_sub(&r->conn->server->body_bytes, r->charged);
	r->charged = 0;
	buf_release(&r->body);
}

void
request_reset(struct http_request *r)
{
	struct http_conn *conn = r->conn;
	struct buf uri = r->uri, store = r->store, trimmed = r->trimmed;
	struct field *fields = r->fields;
	struct reply reply;

	if (r->begun && r->route->end != NULL)
		r->route->end(r, conn->server->config.arg);
	free_body(r);
	buf_release(&r->copy);
	free(r->user);
	reply_clear(&r->reply);
	reply = r->reply;
	*r = (struct http_request){ .conn = conn,
		.uri = uri,
		.store = store,
		.trimmed = trimmed,
		.fields = fields,
		.reply = reply };
	buf_clear(&r->uri);
	buf_clear(&r->store);
	buf_clear(&r->trimmed);
	buf_init(&r->body, 0);
	buf_init(&r->copy, SIZE_MAX / 2);
}

void
request_release(struct http_request *r)
{
	request_reset(r);
	buf_release(&r->uri);
	buf_release(&r->store);
	buf_release(&r->trimmed);
	free(r->fields);
	reply_release(&r->reply);
}

int
request_body(struct http_request *r, const char *bytes, size_t n)
{
	struct http_server *s = r->conn->server;

	if (n > r->route->max_body || r->body.len > r->route->max_body - n) {
		http_reply_detail(r, 413, "Content Too Large");
		return -1;
	}
	r->charged += n;
	if (atomic_fetch_add(&s->body_bytes, n) + n > s->config.body_bytes) {
		http_reply_later(r, 503, "Too much at once", USEC);
		free_body(r);
		return -1;
	}
	r->body.max = r->route->max_body;
	return buf_add(&r->body, bytes, n);
}

/* ---- what handlers ask ------------------------------------------------------------------------- */

const char *
http_method(const struct http_request *r)
{
	return r->method;
}

bool
http_is_head(const struct http_request *r)
{
	return r->head_only;
}

const char *
http_path(const struct http_request *r)
{
	return r->path;
}

const struct http_route *
http_request_route(const struct http_request *r)
{
	return r->route;
}

const char *
http_param(const struct http_request *r, const char *name)
{
	const char *pattern = r->route->path;
	size_t len = strlen(name);

	for (size_t i = 0; *pattern == '/' && i < r->n_segments; i++) {
		size_t n = strcspn(pattern + 1, "/");

		if (n == len + 2 && pattern[1] == '{' && memcmp(pattern + 2, name, len) == 0)
			return r->segments[i];
		pattern += 1 + n;
	}
	return NULL;
}

const char *
http_query(const struct http_request *r, const char *name)
{
	for (size_t i = 0; i < r->n_query; i++)
		if (strcmp(r->query[i].name, name) == 0)
			return r->query[i].value;
	return NULL;
}

const char *
http_query_at(const struct http_request *r, size_t i, const char **ret_value)
{
	if (i >= r->n_query)
		return NULL;
	*ret_value = r->query[i].value;
	return r->query[i].name;
}

const char *
http_header(const struct http_request *r, const char *name)
{
	for (size_t i = 0; i < r->n_fields; i++)
		if (strcasecmp(r->fields[i].name, name) == 0)
			return r->fields[i].value;
	return NULL;
}

size_t
http_header_count(const struct http_request *r, const char *name)
{
	size_t n = 0;

	for (size_t i = 0; i < r->n_fields; i++)
		n += strcasecmp(r->fields[i].name, name) == 0;
	return n;
}

struct view
http_body(const struct http_request *r)
{
	return buf_view(&r->body);
}

void
http_take_body(struct http_request *r, struct buf *b)
{
	size_t max = r->body.max;

	buf_release(b);
	*b = r->body;
	buf_init(&r->body, max);
	free_body(r);
}

uint64_t
http_received(const struct http_request *r)
{
	return r->received;
}

const char *
http_address(const struct http_request *r)
{
	return r->conn->address;
}

bool
http_is_tls(const struct http_request *r)
{
	return r->conn->tls;
}

/* The host of a URL such as "https://app.example:8000" is the request's own? */
static bool
is_own_origin(const struct http_request *r, const char *origin)
{
	const char *host = http_header(r, "Host"), *at = strstr(origin, "://");

	return host != NULL && at != NULL && strcasecmp(at + 3, host) == 0;
}

bool
http_is_cross_site(const struct http_request *r)
{
	const char *site = http_header(r, "Sec-Fetch-Site"), *origin = http_header(r, "Origin");

	if (site != NULL)
		return strcmp(site, "cross-site") == 0 || strcmp(site, "same-site") == 0;
	return origin != NULL && !is_own_origin(r, origin);
}

void
http_set_state(struct http_request *r, void *state)
{
	r->state = state;
}

void *
http_state(const struct http_request *r)
{
	return r->state;
}

void
http_set_user(struct http_request *r, const char *name)
{
	free(r->user);
	r->user = xstrdup(name);
}

const char *
http_user(const struct http_request *r)
{
	return r->user;
}
