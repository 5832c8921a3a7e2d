/*
 * Delivery to relays, many conversations in one thread, none of which waits for another.
 *
 *	engine = smtp_engine_new(&callbacks, arg, &err);
 *	pool = smtp_pool_new(engine, &params, &limits, account);
 *	while (work is left) {
 *		while (smtp_pool_room(pool) > 0 && (job = claim one) != NULL)
 *			smtp_pool_submit(pool, job);
 *		smtp_engine_step(engine, 1000, &err);
 *	}
 *	smtp_pool_drain(pool); step until smtp_pool_idle(pool); smtp_pool_free(pool); ...
 *
 * An engine is the loop; a pool is the connections to one account, and never shares any with
 * another.  A pool opens one connection first, and more, as jobs call for them, once that one is
 * logged in: an account with a wrong password sees one attempt, not ten.  It opens one for every two
 * jobs in hand at once, and one for every job if that waits longer than a connection takes to be made; so
 * all connections are used while there are as many jobs.
 */
#ifndef SMTP_POOL_H
#define SMTP_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "smtp/fault.h"
#include "smtp/job.h"
#include "smtp/params.h"

struct smtp_engine;
struct smtp_pool;

/*
 * All are called from smtp_engine_step() only.  Each may call smtp_pool_submit(), smtp_pool_room()
 * and smtp_pool_drain(), none may free a pool or step the engine.
 */
struct smtp_callbacks {
	/*
	 * Called for each message whose final dot may now be given to the socket, before that is
	 * done, and collected: for all connections that are ready in this turn first, then
	 * flush_dots() once, then all are sent.  -1: this message must not be sent; its connection
	 * is closed and the job comes back at once as SMTP_UNSENT.  May be NULL.
	 */
	int (*before_dot)(struct smtp_job *job, void *arg);
	/* -1: none of the messages that before_dot() saw since the last call may be sent; they
	 * come back as SMTP_UNSENT.  May be NULL. */
	int (*flush_dots)(void *arg);
	/* The job is the caller's again, with its outcomes.  Once for each submitted job. */
	void (*done)(struct smtp_pool *pool, struct smtp_job *job, void *arg);
	/*
	 * The account has a fault: no connection works.  Called once, before the done() of
	 * each queued job with SMTP_UNSENT_ACCOUNT; the pool then takes no jobs (room 0, submit
	 * -1) until smtp_pool_resume().
	 */
	void (*fault)(struct smtp_pool *pool, const struct smtp_fault *fault, void *arg);
};

/* Each 0 means the default. */
struct smtp_limits {
	unsigned connections; /* at once: 10 */
	unsigned messages;    /* for each connection: 100; UINT_MAX is no limit */
	int64_t ttl;	      /* an idle connection is kept so long (microseconds): 10 s */
	unsigned ahead;	      /* jobs wanted in hand for each connection: 4 */
};

/* callbacks are copied.  NULL with err filled where the kernel or libcurl refuses.  The program has
 * to ignore SIGPIPE, as TLS writes to connections that may be gone. */
struct smtp_engine *
smtp_engine_new(const struct smtp_callbacks *callbacks, void *arg, struct err *err);
/* At most so many connections with work at once in all pools together (0: no limit), but one in
 * each pool that has jobs: no account waits for another to end. */
void smtp_engine_limit(struct smtp_engine *engine, unsigned connections);
/* Frees the engine; its pools must have been freed. */
void smtp_engine_free(struct smtp_engine *engine);

/*
 * Waits up to timeout_ms (-1: for ever) for something to happen on any connection, and does what
 * can be done without waiting.  A signal ends the wait early.  Returns 1 if anything was done,
 * 0 if nothing, -1 with err filled when the loop itself cannot work.
 */
int smtp_engine_step(struct smtp_engine *engine, int timeout_ms, struct err *err);

/* Calls ready(fd, arg) from smtp_engine_step() whenever fd is readable: a signalfd, an inotify, an
 * eventfd of the caller's.  0, or -1 with errno.  unwatch before closing fd. */
int
smtp_engine_watch(struct smtp_engine *engine, int fd, void (*ready)(int fd, void *arg), void *arg);
void smtp_engine_unwatch(struct smtp_engine *engine, int fd);

/* params and limits are copied, the strings of params are not.  arg comes back by smtp_pool_arg.
 * limits NULL: the defaults. */
struct smtp_pool *smtp_pool_new(struct smtp_engine *engine, const struct smtp_params *params,
    const struct smtp_limits *limits, void *arg);
/* Closes all connections at once and frees the pool.  Jobs in hand are not called back: those of
 * them that were offered are uncertain, so drain first. */
void smtp_pool_free(struct smtp_pool *pool);
void *smtp_pool_arg(const struct smtp_pool *pool);

/* How many more jobs the pool wants now: a bounded number ahead of what it sends; 0 while it is
 * draining or has a fault. */
size_t smtp_pool_room(const struct smtp_pool *pool);
/* Takes a job (above room too), or -1 with errno = ESHUTDOWN while it is draining or has a fault:
 * the job is still the caller's.  done() is never called from here. */
int smtp_pool_submit(struct smtp_pool *pool, struct smtp_job *job);
/* Jobs submitted and not yet done. */
size_t smtp_pool_jobs(const struct smtp_pool *pool);
/* Connections that are logged in now. */
size_t smtp_pool_connections(const struct smtp_pool *pool);

/* Takes no more jobs; those in conversation are finished, those still queued come back as
 * SMTP_UNSENT (code 0) at the next step, then each connection ends with QUIT. */
void smtp_pool_drain(struct smtp_pool *pool);
/* Ends idle connections with QUIT once nothing is queued, without waiting for their ttl; jobs may
 * still be submitted.  For the end of a cycle. */
void smtp_pool_finish(struct smtp_pool *pool);
/* True when there is no job, no connection and no attempt at one. */
bool smtp_pool_idle(const struct smtp_pool *pool);
/* After a fault or a drain: takes jobs again. */
void smtp_pool_resume(struct smtp_pool *pool);

#endif
