#include "http/server_private.h"

#include <string.h>

/* Does the request's path, split, match the pattern?  {x} matches one segment that is not empty. */
static bool
matches(const struct http_request *r, const char *pattern)
{
	size_t i = 0;

	for (; *pattern == '/'; i++) {
		size_t n = strcspn(pattern + 1, "/");

		if (i == r->n_segments)
			return false;
		if (pattern[1] == '{' ?
			*r->segments[i] == '\0' :
			strlen(r->segments[i]) != n || memcmp(r->segments[i], pattern + 1, n) != 0)
			return false;
		pattern += 1 + n;
	}
	return i == r->n_segments && i < HTTP_SEGMENTS_MAX;
}

/* Adds a method to Allow, once. */
static void
allow(struct buf *list, const char *method)
{
	const char *at = list->s;
	size_t n = strlen(method);

	while ((at = strstr(at, method)) != NULL) {
		if ((at == list->s || at[-1] == ' ') && (at[n] == ',' || at[n] == '\0'))
			return;
		at += n;
	}
	buf_addf(list, "%s%s", list->len > 0 ? ", " : "", method);
}

/* What is known of the path: its methods for Allow, and the route for this one. */
static const struct http_route *
look(const struct http_request *r, struct buf *methods)
{
	const struct http_route *found = NULL;

	for (const struct http_route *route = r->conn->server->config.routes; route->method != NULL;
	     route++) {
		if (!matches(r, route->path))
			continue;
		if (found == NULL && strcmp(route->method, r->method) == 0)
			found = route;
		allow(methods, route->method);
		if (strcmp(route->method, "GET") == 0)
			allow(methods, "HEAD");
	}
	return found;
}

/* The same path with, or without, a slash at its end. */
static bool
known_otherwise(struct http_request *r)
{
	struct buf methods = BUF_INIT(1024);
	size_t n = r->n_segments;
	bool known;

	if (n == 0 || n + 1 >= HTTP_SEGMENTS_MAX)
		return false;
	if (*r->segments[n - 1] == '\0')
		r->n_segments--;
	else
		r->segments[r->n_segments++] = "";
	known = r->n_segments > 0 && look(r, &methods) != NULL;
	r->n_segments = n;
	buf_release(&methods);
	return known;
}

/* A path only: whatever host the client used stays right. */
static void
redirect(struct http_request *r)
{
	AUTO_BUF struct buf to = BUF_INIT(HEAD_MEMORY);
	const char *query = r->uri.s + r->uri_path + r->uri_path_len;
	const char *path = r->uri.s + r->uri_path;
	size_t n = r->uri_path_len;

	if (path[n - 1] == '/')
		buf_add(&to, path, n - 1);
	else {
		buf_add(&to, path, n);
		buf_addc(&to, '/');
	}
	buf_adds(&to, query);
	http_reply_text(r, 307, NULL, "");
	http_set_header(r, "Location", to.s);
}

int
route_find(struct http_request *r)
{
	AUTO_BUF struct buf methods = BUF_INIT(1024);
	bool options = strcmp(r->method, "OPTIONS") == 0;

	r->route = look(r, &methods);
	if (r->route != NULL)
		return 0;
	if (methods.len > 0 || (options && strcmp(r->path, "*") == 0)) {
		allow(&methods, "OPTIONS");
		if (options)
			http_reply(r, 204, NULL, NULL);
		else
			http_reply_detail(r, 405, "Method Not Allowed");
		http_set_header(r, "Allow", methods.s);
	} else if (known_otherwise(r))
		redirect(r);
	else
		http_reply_detail(r, 404, "Not Found");
	return -1;
}
