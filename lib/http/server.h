/*
 * An HTTP/1.1 server (RFC 9110, 9112) for a table of routes.
 *
 *	static const struct http_route routes[] = {
 *		{ .method = "GET", .path = "/health", .handle = health, .quick = true },
 *		{ .method = "GET", .path = "/messages/{id}", .handle = show },
 *		{ .method = "POST", .path = "/commands/add-messages", .handle = add,
 *		  .max_body = 64 << 20 },
 *		HTTP_ROUTES_END
 *	};
 *	struct http_config config = { .routes = routes, .arg = state, ... };
 *	struct http_server *server = http_server_new(&config, &listeners, &err);
 *	... wait for a signal ...
 *	http_server_stop(server, 10 * USEC);
 *	http_server_free(server);
 *
 * A request goes through three steps, each in a thread where it can do no harm:
 *
 *  1. A polling thread reads the head, judges it, finds the route and asks config.admit.  What is
 *     refused here (400, 401, 404, 405, 413, 415, 431...) is refused before a byte of the body is read.
 *  2. The body is read: into http_body(), up to the route's max_body; or, where the route has piece,
 *     handed over as it comes, in a worker, so that no body has to fit into memory.
 *  3. The handler runs in a worker, may block (for a sync that many requests share, say), and answers
 *     with one of the http_reply functions.  While it runs no thread waits for it and its client may
 *     go away: it is not told, and nothing changes for it.
 *
 * There are as many workers as config.workers, made when they are needed.  A handler that waits for long,
 * or for what another thread does for many at once (a sync), rather calls http_defer and returns; then
 * anyone, in any thread, replies and calls http_finish.  Together with quick that costs least: no
 * worker is woken, and one thread answers all whose data one sync made durable.
 *
 * HEAD is answered by the route of GET, OPTIONS by 204 with Allow, all for itself.  An unknown path is
 * 404 {"detail":"Not Found"}, another method 405 {"detail":"Method Not Allowed"} with Allow; a path
 * that differs by its last slash from a known one is 307 to that.  A handler that replies nothing is 500.
 *
 * What never reaches a handler: a path or query with %00, a control character or bytes that are not
 * UTF-8, bad escapes; Content-Length twice, or beside Transfer-Encoding; a coding but "chunked"; more
 * than one Host, or none in HTTP/1.1; a head with hidden bytes (NUL, folded lines), blanks before a
 * colon, control characters in a value; more than HTTP_HEADERS_MAX fields or about 24 KiB of them.
 */
#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"
#include "http/listen.h"

#define HTTP_HEADERS_MAX 100
#define HTTP_SEGMENTS_MAX 16 /* of a path that can match a route */
#define HTTP_QUERY_MAX 64    /* parameters; more are 400 */

struct http_server;
struct http_request;

/* ---- routes ------------------------------------------------------------------------------------ */

typedef void http_handler(struct http_request *r, void *arg); /* arg: config.arg */
/* A piece of the body, n > 0; valid during the call. */
typedef void http_piece(struct http_request *r, const char *bytes, size_t n, void *arg);

struct http_route {
	const char *method; /* NULL ends the table */
	const char *path;   /* "/a/{id}/b": {id} is one segment that is not empty, http_param */
	http_handler *handle;
	size_t max_body; /* bytes; 0: no body is wanted, a small one is read and dropped */
	/* handle is short and does not wait: it runs in the polling thread, which saves two switches of
	 * threads, if the body has at most quick_body bytes (0: whatever it has). */
	bool quick;
	size_t quick_body;
	/* These may be NULL.  With piece, the body is not kept: begin is called before the first
	 * piece (and before handle, also where the body is empty), all in workers, never two at once.
	 * A reply made there stands: then neither further pieces nor handle are called.  end is
	 * called last, however the request ends, in any thread, if any of them was called: it frees
	 * what http_set_state put there, and must not block. */
	http_handler *begin;
	http_piece *piece;
	http_handler *end;
	/* With piece, where it is not 0: a body of up to so many bytes is kept for handle all the same,
	 * and then begin is not called.  begin finds in http_body what came before it was longer. */
	size_t keep_body;
	const void *info; /* the caller's own: a scope, a name for the documentation */
};
#define HTTP_ROUTES_END                                                                            \
	{                                                                                          \
		.method = NULL                                                                     \
	}

/* ---- the server -------------------------------------------------------------------------------- */

/* What an access log tells.  Texts are valid during the call; they are as they came, so control
 * characters stand in them: http_access_line escapes. */
struct http_access {
	const char *address; /* "127.0.0.1", "::1", "unix" */
	const char *method;
	const char *path;  /* as sent, percent-encoded, without the query */
	const char *user;  /* as http_set_user gave it; NULL: none */
	int status;	   /* 0: the client was gone, or too slow, before there was an answer */
	bool complete;	   /* the answer was sent whole */
	uint64_t received; /* bytes of the body */
	uint64_t sent;	   /* bytes of the answer's body */
	int64_t usec;	   /* from the request's first line to the answer's last byte */
};

struct http_config {
	const struct http_route *routes; /* must outlive the server, as the rest */
	void *arg;
	/* Asked when the head is there and the route known, in a polling thread: it must be quick.
	 * Returns 0 to go on; anything else after a reply (401, say), which then stands. */
	int (*admit)(struct http_request *r, const struct http_route *route, void *arg);
	/* Called for each request, in a polling thread; may be NULL. */
	void (*access)(const struct http_access *access, void *arg);
	/* The certificate (chain) and key, PEM, of the listeners that speak TLS 1.2 and 1.3. */
	const char *
	    tls_certificate; /* the text itself, not a file's name; needed by http_server_new alone */
	const char *tls_key;

	/* 0 in any of these is the default in brackets. */
	unsigned pollers;     /* threads that read and write [2] */
	unsigned workers;     /* threads that run handlers, at most [64] */
	unsigned connections; /* open at a time, more are answered 503 [1024] */
	unsigned per_address; /* of one IPv4 address or IPv6 /64; Unix sockets do not count [256] */
	size_t body_bytes;    /* all bodies in memory at a time, more are answered 503 [256 MiB] */
	int64_t head_usec;    /* from connecting to a whole head [15 s] */
	int64_t body_usec;    /* from the head to a whole body, however lively [120 s] */
	int64_t send_usec;    /* from the answer's first byte to its last [120 s] */
	int64_t idle_usec;    /* from an answer to the head of the next request [60 s] */
};

/* Starts to serve, on the listeners of the set, which must outlive the server; http_server_stop
 * releases them, else the caller does.  NULL with err where threads or TLS cannot be had. */
struct http_server *http_server_new(const struct http_config *config,
    struct http_listeners *listeners, struct err *err);

/*
 * New connections get another certificate and key from now on, in PEM; those that are open keep theirs.
 * -1 with err where these are none: all stays as it was.  One call at a time.
 */
int http_server_renew_tls(struct http_server *server, const char *certificate, const char *key,
    struct err *err);

/*
 * Accepts no more: who has connected by now is served, then the listeners are released, so that a new
 * connection is refused at once, or waits for the next server where the socket was handed over.  Lets
 * what was received be answered (with Connection: close), and returns 0 when all
 * is done.  After bound microseconds the connections are cut; where a handler still runs then, -1
 * with errno = ETIMEDOUT: the server must not be freed, the process can only exit (or call again).
 */
int http_server_stop(struct http_server *server, int64_t bound);
/* After a stop that returned 0.  NULL is fine. */
void http_server_free(struct http_server *server);

/* For metrics: open now, requests answered so far, connections refused by a bound so far. */
struct http_numbers {
	uint64_t connections, requests, refused;
};
void http_server_numbers(struct http_server *server, struct http_numbers *ret);

/* ---- a request: every text lives as long as the request ---------------------------------------- */

const char *http_method(const struct http_request *r); /* "GET" for HEAD too: see http_is_head */
bool http_is_head(const struct http_request *r);
const char *http_path(const struct http_request *r); /* decoded, once; valid UTF-8, no controls */
const struct http_route *http_request_route(const struct http_request *r);
/* The segment of {name}, decoded; an escaped slash is part of it.  NULL: the route has none. */
const char *http_param(const struct http_request *r, const char *name);
/* The first such query parameter, decoded ("+" is a space); NULL: absent. */
const char *http_query(const struct http_request *r, const char *name);
/* The i-th parameter from 0, to refuse what is unknown: its name, and its value; NULL at the end. */
const char *http_query_at(const struct http_request *r, size_t i, const char **ret_value);
/* The first such field's value, without blanks around it; the name's case does not matter; NULL:
 * absent.  http_header_count tells how often it is there. */
const char *http_header(const struct http_request *r, const char *name);
size_t http_header_count(const struct http_request *r, const char *name);
/* The whole body; empty for routes with piece. */
struct view http_body(const struct http_request *r);
/* Takes the body over, where a handler keeps it longer than the request: b is released first. */
void http_take_body(struct http_request *r, struct buf *b);
uint64_t http_received(const struct http_request *r);	/* bytes of the body so far */
const char *http_address(const struct http_request *r); /* "127.0.0.1", "::1", "unix" */
bool http_is_tls(const struct http_request *r);
/* True for what a browser sends on behalf of a page of another site (Sec-Fetch-Site, Origin). */
bool http_is_cross_site(const struct http_request *r);

/* Something of the handlers' own, NULL at first. */
void http_set_state(struct http_request *r, void *state);
void *http_state(const struct http_request *r);
/* Who asks, for the access log; copied. */
void http_set_user(struct http_request *r, const char *name);
const char *http_user(const struct http_request *r); /* NULL: nobody said */

/* ---- the answer: the last reply counts --------------------------------------------------------- */

/* Takes the bytes of body over and leaves it empty; body may be NULL.  type: a Content-Type, NULL:
 * none. */
void http_reply(struct http_request *r, int status, const char *type, struct buf *body);
void http_reply_json(struct http_request *r, int status, struct buf *body);
/* Copies. */
void http_reply_text(struct http_request *r, int status, const char *type, const char *text);
/* {"detail":"DETAIL"} */
void http_reply_detail(struct http_request *r, int status, const char *detail);
/* 503 (or 429) with Retry-After, in whole seconds. */
void http_reply_later(struct http_request *r, int status, const char *detail, int64_t usec);
/* size bytes of a regular file from offset on, by sendfile; takes fd over. */
void http_reply_file(struct http_request *r, int status, const char *type, int fd, off_t offset,
    uint64_t size);
/* True once there is a reply. */
bool http_replied(const struct http_request *r);

/* A field of the answer; set again, it is replaced.  Stands for the reply made before or after it.
 * -1 with errno = EINVAL where the name is no token or the value holds a control character. */
int http_set_header(struct http_request *r, const char *name, const char *value);
/* Sets ETag ("TAG" gets its quotes here) and Cache-Control (NULL: "no-cache"), and answers 304 where
 * the client has this version already: then it returns true and no more is to be done. */
bool http_not_modified(struct http_request *r, const char *tag, const char *cache_control);
/* The fields that a page for people should have: a Content-Security-Policy (NULL: one that allows only
 * what this server serves), no frames by others, no referrer. */
void http_page_headers(struct http_request *r, const char *policy);
/* The connection is closed after this answer. */
void http_close(struct http_request *r);

/* In a handler, at its end: the answer follows later.  http_finish then sends it, once, in any thread;
 * after it, r is gone. */
void http_defer(struct http_request *r);
void http_finish(struct http_request *r);
/* For a quick handler that finds, before it has done anything, that it may have to wait: true where it runs
 * in the polling thread.  It returns then, and is called again in a worker, where this is false. */
bool http_needs_worker(struct http_request *r);

/* ---- the log ----------------------------------------------------------------------------------- */

/* Appends "ADDRESS USER METHOD PATH STATUS RECEIVED SENT USECus", and " cut" where the answer was not
 * sent whole, without a newline: words with one blank between, "-" for no user, blanks, quotes and
 * control characters as \xNN, what is long is cut with "...". */
void http_access_line(struct buf *line, const struct http_access *access);

#endif
