/*
 * What engine.c (the loop), pool.c (which connections, which jobs) and session.c (one connection
 * and its conversation) know of one another; nobody else's.
 */
#ifndef SMTP_ENGINE_PRIVATE_H
#define SMTP_ENGINE_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "smtp/connection.h"
#include "smtp/dialogue.h"
#include "smtp/pool.h"

enum { BODY_CHUNK = 16 * 1024, READ_CHUNK = 4 * 1024 };

struct watch {
	int fd;
	void (*ready)(int fd, void *arg);
	void *arg;
};

struct smtp_engine {
	int epoll;
	struct smtp_callbacks callbacks;
	void *arg;
	struct smtp_net *net;
	struct smtp_pool *pools;
	unsigned limit;		     /* connections of all pools together; 0: none */
	struct smtp_session **by_fd; /* conversations, by descriptor */
	size_t n_by_fd;
	struct watch *watches;
	size_t n_watches;
	struct smtp_session *dirty; /* those that have something to do in this turn */
	struct smtp_session *ended; /* to be freed at the end of the turn */
	bool schedule;		    /* some pool's jobs or connections have changed */
	int64_t now;		    /* clock_monotonic, at the last wake-up */
	int64_t next_expiry;	    /* no session's deadline is earlier */
	char body[BODY_CHUNK];
	char read[READ_CHUNK];
};

struct job_queue {
	struct smtp_job *first, **end;
	size_t n;
};

struct smtp_pool {
	struct smtp_engine *engine;
	struct smtp_pool *next;
	struct smtp_params params;
	struct smtp_limits limits;
	void *arg;
	struct job_queue queue;
	struct job_queue again; /* lost with a connection: each goes to a fresh one, once */
	size_t n_jobs;		/* in hand: queued or in conversation */
	struct smtp_session *sessions;
	unsigned n_connecting, n_ready, n_leaving; /* sessions, by state */
	unsigned n_idle;			   /* of the ready: those without a job */
	unsigned cap; /* connections that the server lets us have; <= limits */
	int64_t cap_until;
	int64_t setup;	 /* how long the last connection took to be made, within bounds */
	unsigned barren; /* sessions in a row that were lost and had delivered nothing */
	bool proved;	 /* the last attempt to connect succeeded */
	bool faulted, draining, finishing;
};

enum session_state {
	SESSION_CONNECTING,
	SESSION_READY,
	SESSION_LEAVING, /* QUIT is said */
	SESSION_ENDED,
};

struct smtp_session {
	struct smtp_pool *pool;
	struct smtp_session *next; /* in the pool; among the ended afterwards */
	struct smtp_session *next_dirty;
	struct smtp_connection *conn;
	struct smtp_dialogue *dialogue; /* from READY on */
	enum session_state state;
	bool dirty;
	bool idle;    /* counted in pool->n_idle */
	bool more;    /* its turn ended before its work did */
	bool blocked; /* waits for EPOLLOUT */
	unsigned n_taken, n_settled;
	int64_t begun; /* clock_monotonic */
	int64_t deadline;
};

/* ---- session.c: one connection ---- */

void smtp_session_new(struct smtp_pool *pool);
/* The connection is made, or has failed. */
void smtp_session_connected(struct smtp_session *s);
void smtp_session_event(struct smtp_session *s, uint32_t events);
/* Takes a job, reads a piece of a body: puts into the output what can go out next. */
void smtp_session_fill(struct smtp_session *s);
void smtp_session_write(struct smtp_session *s);
void smtp_session_quit(struct smtp_session *s);
/* Its deadline has passed. */
void smtp_session_expire(struct smtp_session *s);
/* Ends it at once: jobs in hand are settled, why is NULL where there was no conversation. */
void smtp_session_end(struct smtp_session *s, const struct smtp_reply *why);
void smtp_session_free(struct smtp_session *s);

/* ---- pool.c ---- */

/* The next job for s, or NULL.  behind: s is still waiting for the last one's reply. */
struct smtp_job *smtp_pool_take(struct smtp_pool *pool, const struct smtp_session *s, bool behind);
/* s has settled a job, one way or another. */
void smtp_pool_settle(struct smtp_pool *pool, struct smtp_session *s, struct smtp_job *job);
/* s could not connect. */
void smtp_pool_refused(struct smtp_pool *pool, const struct smtp_fault *fault);
/* A ready s was lost, having delivered nothing. */
void smtp_pool_barren(struct smtp_pool *pool, const struct smtp_reply *why);
void smtp_pool_fault(struct smtp_pool *pool, const struct smtp_fault *fault);
/* Opens connections, wakes and ends idle ones, as the jobs in hand ask for. */
void smtp_pool_schedule(struct smtp_pool *pool);
/* When a queued job will have waited so long that a connection is made for it alone; INT64_MAX:
 * never, as things are. */
int64_t smtp_pool_impatient(const struct smtp_pool *pool);
/* s is logged in. */
void smtp_pool_proved(struct smtp_pool *pool, const struct smtp_session *s);
/* True if s may take another message in its life. */
bool smtp_pool_wears(const struct smtp_pool *pool, const struct smtp_session *s);

/* ---- engine.c ---- */

void smtp_engine_dirty(struct smtp_engine *e, struct smtp_session *s);
void smtp_engine_deadline(struct smtp_engine *e, int64_t deadline);
void smtp_engine_forget(struct smtp_engine *e, struct smtp_session *s);
int smtp_engine_add(struct smtp_engine *e, struct smtp_session *s, int fd);
/* Whether epoll tells when fd takes more bytes. */
void smtp_engine_want_write(struct smtp_engine *e, int fd, bool want);

#endif
