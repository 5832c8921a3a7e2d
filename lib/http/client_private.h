/* What the files of the client share. */
#ifndef HTTP_CLIENT_PRIVATE_H
#define HTTP_CLIENT_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>

#include "http/client.h"

/* Of an answer that is not 2xx, so much of its body is kept, and the rest not read. */
#define HTTP_REFUSAL_MAX ((size_t)64 * 1024)

/* Where a request goes, in libcurl's reading of the URL, and what is said to it. */
struct http_target {
	char *scheme, *host, *port; /* the port always */
	char *path, *query;	    /* as they go over the wire; query may be NULL */
	bool default_port;
	bool home; /* what the call names, not another place that it was sent on to */
};

/* One request and its answer: a call is one, or more where it is redirected. */
struct http_hop {
	struct http_client *client;
	const struct http_call *call;
	struct http_target target;
	struct http_answer *answer; /* body and size are filled while it comes */
	uint64_t max_body;
	char text[300]; /* the URL for people */

	/* What became of it: */
	int status;
	bool connected;
	unsigned opened;     /* sockets */
	char refused[64];    /* the last address that was not allowed */
	uint64_t fields;     /* bytes of header fields */
	int64_t retry_after; /* seconds */
	int failed_sink;     /* errno */
	bool oversized, flooded, stopped;
	bool cut; /* of a body that is not 2xx enough was read */
	char error[256];
};

enum http_end {
	HTTP_END_OK,
	HTTP_END_LOOKUP, /* no address was found */
	HTTP_END_CONNECT,
	HTTP_END_TIME,
	HTTP_END_URL,
	HTTP_END_CERTIFICATE,
	HTTP_END_NOT_HTTP,
	HTTP_END_CUT, /* what came is not whole */
	HTTP_END_OTHER,
};

/* ---- client.c: the only place that knows libcurl ----------------------------------------------- */

struct http_url;

struct http_url *http_url_new(void); /* NULL: no memory */
void http_url_free(struct http_url **url);
/* Sets it to text; relative to what it was where text is no whole URL.  as_is: "/a/../b" stays so.  -1 with
 * errno = EINVAL where that is no URL; it is then as it was. */
int http_url_go(struct http_url *url, const char *text, bool as_is);
/* -1 with errno = EINVAL where it is not http or https. */
int http_url_target(const struct http_url *url, struct http_target *ret);
char *http_url_text(const struct http_url *url);
/* Removes user and password from it; NULL where there are none. */
void http_url_take_login(struct http_url *url, char **ret_user, char **ret_password);

/* Does it, within left microseconds.  fields: as http_request_fields makes them. */
enum http_end
http_hop_run(struct http_hop *hop, const char *url, const struct buf *fields, int64_t left);
/* A field of the answer, until the client's next request; NULL where it is absent. */
const char *http_hop_field(const struct http_hop *hop, const char *name);

/* ---- client_request.c -------------------------------------------------------------------------- */

void http_target_release(struct http_target *target);
/* The same scheme, host and port. */
bool http_target_same(const struct http_target *a, const struct http_target *b);
/* "https://host:8443/path" */
void http_target_text(const struct http_target *target, struct buf *ret);

/* A URL that is none, as far as it can be shown: without query, user and password. */
void http_hide(const char *url, struct buf *ret);

/*
 * Appends the header fields of a request, with a NUL behind each.  Those that tell who asks go home only.
 * -1 with err (EX_USAGE) where one holds a control character, or there is too much to sign.
 */
int http_request_fields(const struct http_call *call, const struct http_target *target, int64_t now,
    struct buf *lines, struct err *err);

/* The file name that a Content-Disposition names, NULL where it names none. */
char *http_disposition_name(const char *field);

#endif
