/* What the files of the server share.  Who owns what, thread by thread, stands with the members. */
#ifndef HTTP_SERVER_PRIVATE_H
#define HTTP_SERVER_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include "http/server.h"

#define HEAD_MEMORY (32 * 1024) /* of a connection, for its head and the answer's */
#define DRAIN_MAX (64 * 1024) /* a body that nobody wants is read so far, to keep the connection */
#define LINGER_MAX 64
#define LINGER_USEC (5 * INT64_C(1000000))

/* Where a connection stands.  A polling thread moves it on; the watching thread may move any but WORK
 * and SEND to CUT, by compare and exchange, when its deadline has passed. */
enum phase {
	PHASE_IDLE, /* no request yet, or not again */
	PHASE_HEAD, /* the request line is there */
	PHASE_BODY,
	PHASE_WORK,
	PHASE_SEND,
	PHASE_CUT,
};

struct field {
	const char *name, *value; /* value: without blanks around it */
};

struct reply {
	int status; /* 0: none yet */
	struct buf body;
	int fd; /* -1: the body */
	off_t offset;
	uint64_t size;
	struct buf fields; /* "Name\0value\0" ... */
	bool close;
};

/* A polling thread owns it, but from worker_submit to request_resume, when it is a worker's (and
 * those to whom that defers). */
struct http_request {
	struct http_conn *conn;
	void *mhd; /* the library's connection */

	char method[24];
	bool head_only;
	bool version_1_1;
	struct buf uri;	 /* as it came */
	size_t uri_path; /* how much of it is the path: where it begins, and its length */
	size_t uri_path_len;
	struct buf store; /* what is decoded; the pointers below point into it */
	const char *path;
	const char *segments[HTTP_SEGMENTS_MAX];
	size_t n_segments;
	struct field query[HTTP_QUERY_MAX];
	size_t n_query;
	struct field *fields;
	size_t n_fields;
	struct buf trimmed; /* values that had blanks behind them */
	const struct http_route *route;

	enum { STEP_HEAD, STEP_BODY, STEP_WORK, STEP_QUEUED } step;
	struct buf body;
	uint64_t expected; /* Content-Length, or UINT64_MAX for chunks */
	uint64_t received, drained;
	size_t charged;	   /* of the server's body_bytes */
	const char *piece; /* for a worker; NULL: the body is complete */
	size_t piece_len;
	struct buf copy;	   /* of a piece that the library does not keep */
	bool begun;		   /* route->begin was called */
	bool here;		   /* a quick handler runs, and has not asked for a worker */
	bool suspended;		   /* the library leaves the connection alone until mhd_resume */
	atomic_int holders;	   /* who may still touch it besides the polling thread */
	struct http_request *next; /* in the workers' queue */

	struct reply reply;
	void *state;
	char *user;
	int64_t started;
	bool refused; /* the reply was made before the body was whole */
	bool bare;    /* ... and written past the library */
};

struct http_conn {
	struct http_server *server;
	struct http_conn *next, **back; /* under server->lock */
	int fd;
	bool tls;
	void *daemon; /* whose it is */
	unsigned char
	    key[9]; /* family and the bytes that count for per_address; 0: counts for none */
	char address[48];
	_Atomic int phase;
	_Atomic int64_t deadline; /* monotonic; INT64_MAX: none */
	bool linger;		  /* the client may still be sending: see accept_forget */
	struct http_request request;
};

/* One of the library's that gets no new connections, and ends with its last. */
struct retired {
	void *daemon;
	struct retired *next;
};

struct lingerer {
	int fd;
	int64_t deadline;
};

struct http_server {
	struct http_config config;
	struct http_listeners *listeners; /* the watching thread's, from its start */
	void *daemons[2];		  /* plain, TLS; NULL: not needed; the second under lock */
	struct retired *retired;	  /* under lock: those of earlier certificates */

	pthread_mutex_t lock;
	pthread_cond_t changed; /* a connection went, for http_server_stop */
	struct http_conn *conns;
	struct http_conn **by_fd; /* from accept until the library names it */
	size_t by_fd_size;
	size_t n_conns;
	struct lingerer lingering[LINGER_MAX]; /* under lock */
	size_t n_lingering;
	struct reply too_slow; /* 408, made when first needed */

	pthread_t watcher;
	bool watching;
	atomic_bool starting;
	char said[300]; /* by the library */
	int wake;	/* eventfd */
	int epoll;
	atomic_bool stopping; /* accept no more */
	atomic_bool quit;     /* end the watching thread */

	pthread_mutex_t work_lock;
	pthread_cond_t work;
	struct http_request *first, **last;
	pthread_t *workers;
	unsigned n_workers, idle_workers, queued, busy;
	bool end_workers;

	_Atomic uint64_t requests, refused;
	_Atomic size_t body_bytes;
};

/* ---- server_mhd.c: the only place that knows the library --------------------------------------- */

int mhd_start(struct http_server *s, struct err *err);
void mhd_stop(struct http_server *s);
/* Hands an accepted socket over, which is closed on failure. */
int mhd_add(struct http_conn *conn, const struct sockaddr *addr, socklen_t len);
/* Replaces what new connections with TLS are handed to. */
int mhd_renew(struct http_server *s, struct err *err);
/* Ends those that are retired and have no connection left. */
void mhd_tidy(struct http_server *s);
/* The library leaves the connection alone, from now on (in its polling thread) until mhd_resume. */
void mhd_suspend(struct http_request *r);
/* The request is the polling thread's again. */
void mhd_resume(struct http_request *r);
/* Calls it for each field of the head until it returns non-zero, and returns that. */
typedef int
header_fn(void *arg, const char *name, size_t name_len, const char *value, size_t value_len);
int mhd_each_header(struct http_request *r, header_fn *call, void *arg);
/* The head's size in bytes, as it was on the wire. */
size_t mhd_head_size(struct http_request *r);

/* ---- server.c ---------------------------------------------------------------------------------- */

/* The library's daemon for new connections with TLS; the one before is retired. */
void daemon_replace(struct http_server *s, void *daemon);
/* Takes one out that is retired and has no connection left; NULL: there is none.  For the thread that makes
 * the connections. */
void *daemon_unused(struct http_server *s);

/* ---- server_head.c ----------------------------------------------------------------------------- */

/* Both make the reply themselves and return -1 where the request must be refused. */
int head_uri(struct http_request *r);
int head_fields(struct http_request *r, const char *method, const char *version);

/* ---- server_route.c ---------------------------------------------------------------------------- */

/* Finds r->route, or replies (404, 405, 307, 204 for OPTIONS) and returns -1. */
int route_find(struct http_request *r);

/* ---- server_request.c -------------------------------------------------------------------------- */

void request_init(struct http_request *r, struct http_conn *conn);
/* Frees what belongs to one request, keeps what the next can use. */
void request_reset(struct http_request *r);
void request_release(struct http_request *r);
/* Appends to the body within all bounds; -1 after a reply of 413 or 503. */
int request_body(struct http_request *r, const char *bytes, size_t n);

/* ---- server_worker.c --------------------------------------------------------------------------- */

/* Starts the first; more are made when they are needed. */
int worker_start(struct http_server *s, struct err *err);
void worker_submit(struct http_request *r);
/* The whole handler, at once, in the polling thread; true where the answer is there, false where it
 * was deferred, or a worker has it now. */
bool worker_run_here(struct http_request *r);
/* Lets the workers end when the queue is empty; waits for them. */
void worker_stop(struct http_server *s);
bool worker_busy(struct http_server *s);
/* pthread_create, with all signals blocked and a modest stack; returns an errno. */
int thread_start(pthread_t *thread, void *(*body)(void *), void *arg);

/* ---- server_accept.c --------------------------------------------------------------------------- */

int accept_start(struct http_server *s, struct err *err);
void accept_wake(struct http_server *s);
void accept_stop(struct http_server *s);
/* Ends what is over: connections past their deadline, or all. */
void accept_cut(struct http_server *s, bool all);
/* The library has taken the socket fd: its connection, or NULL. */
struct http_conn *accept_claim(struct http_server *s, int fd);
/* The library is about to close it: takes it out, frees it; a duplicate of the socket lingers where the
 * client may still be sending (closing at once could destroy the answer on its way). */
void accept_forget(struct http_conn *conn);
/* Moves on, with span microseconds until the deadline (0: none; -1: as it was); false where the
 * connection was cut meanwhile. */
bool conn_enter(struct http_conn *conn, enum phase phase, int64_t span);

/* ---- server_reply.c ---------------------------------------------------------------------------- */

void reply_init(struct reply *reply);
void reply_clear(struct reply *reply);
void reply_release(struct reply *reply);
/* Writes an answer to a plain connection, as far as that does not block, with Connection: close. */
int conn_bare_reply(int fd, const struct reply *reply);

#endif
