#include "smtp/pool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "smtp/engine_private.h"

enum {
	TRIES = 2, /* of a message whose connection was lost before its final dot */
	BARREN_MAX = 4,
	JOBS_A_CONNECTION = 2, /* in hand, that make another connection worth its while at once */
	CAP_SECONDS = 60,      /* how long a server's refusal of more connections is heeded */
};
/* A job that has waited as long as a connection takes to be made gets one, within these bounds. */
#define PATIENCE_MIN (20 * INT64_C(1000))
#define PATIENCE_MAX (1 * USEC)

/* ---- queues -------------------------------------------------------------------------------- */

static void
queue_init(struct job_queue *q)
{
	*q = (struct job_queue){ NULL, NULL, 0 };
	q->end = &q->first;
}

static void
queue_push(struct job_queue *q, struct smtp_job *job)
{
	job->next = NULL;
	*q->end = job;
	q->end = &job->next;
	q->n++;
}

static struct smtp_job *
queue_pop(struct job_queue *q)
{
	struct smtp_job *job = q->first;

	if (job == NULL)
		return NULL;
	q->first = job->next;
	if (q->first == NULL)
		q->end = &q->first;
	q->n--;
	job->next = NULL;
	return job;
}

/* ---- jobs ---------------------------------------------------------------------------------- */

static void
hand_back(struct smtp_pool *pool, struct smtp_job *job)
{
	pool->n_jobs--;
	pool->engine->callbacks.done(pool, job, pool->engine->arg);
}

/* Hands all queued jobs back with an outcome.  Those that were tried keep the reply that says how
 * they were lost, unless it is the account's fault. */
static void
hand_back_all(struct smtp_pool *pool, enum smtp_outcome outcome, const struct smtp_reply *reply)
{
	struct job_queue *queues[] = { &pool->again, &pool->queue };
	struct smtp_job *job;
	size_t i, n;

	for (i = 0; i < 2; i++) {
		/* done() may submit: what comes anew is not handed back in the same breath. */
		for (n = queues[i]->n; n > 0; n--) {
			job = queue_pop(queues[i]);
			job->outcome = outcome;
			if (job->tries == 0 || outcome == SMTP_UNSENT_ACCOUNT)
				job->reply = *reply;
			hand_back(pool, job);
		}
	}
}

static unsigned
n_connections(const struct smtp_pool *pool)
{
	return pool->n_connecting + pool->n_ready + pool->n_leaving;
}

/* How many it may have: what the server lets us have, within what other pools leave of the limit
 * for all.  Their idle connections keep nobody from sending. */
static unsigned
allowed(const struct smtp_pool *pool)
{
	unsigned limit = pool->engine->limit, others = 0;

	if (limit == 0)
		return pool->cap;
	for (const struct smtp_pool *p = pool->engine->pools; p != NULL; p = p->next)
		if (p != pool)
			others += n_connections(p) - p->n_idle;
	limit = others < limit ? limit - others : 1;
	return limit < pool->cap ? limit : pool->cap;
}

/* At the most: one for each job in hand. */
static unsigned
useful(const struct smtp_pool *pool)
{
	unsigned max = allowed(pool);

	return pool->n_jobs < max ? (unsigned)pool->n_jobs : max;
}

/* How many connections the jobs in hand are worth before any of them has waited. */
static unsigned
wanted(const struct smtp_pool *pool)
{
	size_t n = (pool->n_jobs + JOBS_A_CONNECTION - 1) / JOBS_A_CONNECTION;
	unsigned max = allowed(pool);

	return n < max ? (unsigned)n : max;
}

/* Whether another connection would have a job that has none. */
static bool
could_use_another(const struct smtp_pool *pool)
{
	size_t queued = pool->queue.n + pool->again.n;

	return n_connections(pool) < useful(pool) && pool->n_connecting + pool->n_idle < queued;
}

static bool
closing(const struct smtp_pool *pool)
{
	return pool->faulted || pool->draining ||
	    (pool->finishing && pool->queue.n + pool->again.n == 0);
}

/*
 * A server that is quick has sent the few jobs beyond the connections before another is made; one that
 * is slow has not.  Which of the two it is need not be known: whoever waits as long as it would have
 * taken to connect has lost at most twice the time that the better choice costs.
 */
int64_t
smtp_pool_impatient(const struct smtp_pool *pool)
{
	if (closing(pool) || !pool->proved || pool->queue.first == NULL || !could_use_another(pool))
		return INT64_MAX;
	return pool->queue.first->queued + pool->setup;
}

void
smtp_pool_proved(struct smtp_pool *pool, const struct smtp_session *s)
{
	int64_t took = pool->engine->now - s->begun;

	pool->proved = true;
	pool->setup = took < PATIENCE_MIN ? PATIENCE_MIN :
	    took > PATIENCE_MAX		  ? PATIENCE_MAX :
					    took;
}

struct smtp_job *
smtp_pool_take(struct smtp_pool *pool, const struct smtp_session *s, bool behind)
{
	bool none_to_come;

	if (pool->faulted || pool->draining)
		return NULL;
	none_to_come = pool->n_connecting == 0 && n_connections(pool) >= allowed(pool);
	if (pool->again.n > 0 && !behind && (s->n_taken == 0 || none_to_come))
		return queue_pop(&pool->again);
	/* Behind a message that is not answered yet only if no other connection could have it sooner,
	 * one that is being made included: once it stands there, no other can. */
	if (behind &&
	    (pool->n_idle > 0 || n_connections(pool) < useful(pool) ||
		pool->queue.n <= pool->n_connecting))
		return NULL;
	return queue_pop(&pool->queue);
}

void
smtp_pool_settle(struct smtp_pool *pool, struct smtp_session *s, struct smtp_job *job)
{
	if (s->n_settled > 0)
		pool->barren = 0;
	if (job->outcome == SMTP_UNSENT && job->tries < TRIES && !pool->faulted &&
	    !pool->draining) {
		job->outcome = SMTP_PENDING;
		queue_push(&pool->again, job);
		pool->engine->schedule = true;
		return;
	}
	hand_back(pool, job);
}

/* ---- faults -------------------------------------------------------------------------------- */

void
smtp_pool_fault(struct smtp_pool *pool, const struct smtp_fault *fault)
{
	if (pool->faulted)
		return;
	pool->faulted = true;
	pool->proved = false;
	pool->engine->schedule = true;
	if (pool->engine->callbacks.fault != NULL)
		pool->engine->callbacks.fault(pool, fault, pool->engine->arg);
	hand_back_all(pool, SMTP_UNSENT_ACCOUNT, &fault->reply);
}

void
smtp_pool_refused(struct smtp_pool *pool, const struct smtp_fault *fault)
{
	char line[SMTP_REPLY_TEXT + 8];

	if (pool->n_ready > 0) {
		/* It lets us have some connections, and no more: these go on. */
		pool->cap = pool->n_ready;
		pool->cap_until = pool->engine->now + CAP_SECONDS * USEC;
		log_info("%s: going on with %u connections: %s", pool->params.host, pool->cap,
		    smtp_reply_line(&fault->reply, line, sizeof(line)));
		return;
	}
	pool->proved = false;
	if (pool->n_connecting == 0 && pool->n_jobs > 0)
		smtp_pool_fault(pool, fault);
}

void
smtp_pool_barren(struct smtp_pool *pool, const struct smtp_reply *why)
{
	struct smtp_fault fault = { SMTP_FAULT_PROTOCOL, *why };

	if (++pool->barren < BARREN_MAX)
		return;
	pool->barren = 0;
	if (why->code > 0)
		fault.class = SMTP_FAULT_GREETING;
	smtp_pool_fault(pool, &fault);
}

/* ---- connections --------------------------------------------------------------------------- */

bool
smtp_pool_wears(const struct smtp_pool *pool, const struct smtp_session *s)
{
	return s->n_taken < pool->limits.messages;
}

static void
open_connections(struct smtp_pool *pool)
{
	size_t queued = pool->queue.n + pool->again.n;
	unsigned target = wanted(pool);

	if (queued == 0)
		return;
	/* The first shows whether the account works at all. */
	if (!pool->proved && target > 1)
		target = 1;
	while (n_connections(pool) < target && pool->n_connecting + pool->n_idle < queued)
		smtp_session_new(pool);
	if (smtp_pool_impatient(pool) <= pool->engine->now)
		while (could_use_another(pool))
			smtp_session_new(pool);
	else
		smtp_engine_deadline(pool->engine, smtp_pool_impatient(pool));
	/* Jobs that lost their connection want a fresh one, even where others are idle. */
	while (n_connections(pool) < allowed(pool) && pool->n_connecting < pool->again.n &&
	    (pool->proved || pool->n_connecting == 0))
		smtp_session_new(pool);
}

void
smtp_pool_schedule(struct smtp_pool *pool)
{
	struct smtp_session *s, *next;
	bool close = closing(pool);
	struct smtp_reply why;

	if (pool->draining && pool->queue.n + pool->again.n > 0) {
		smtp_reply_own(&why, "", "not tried: the delivery was stopped");
		hand_back_all(pool, SMTP_UNSENT, &why);
	}
	if (pool->cap < pool->limits.connections && pool->engine->now >= pool->cap_until)
		pool->cap = pool->limits.connections;
	for (s = pool->sessions; s != NULL; s = next) {
		next = s->next;
		if (close && s->state == SESSION_CONNECTING)
			smtp_session_end(s, NULL);
		else if (close && s->idle)
			smtp_session_quit(s);
		else if (s->idle && pool->queue.n + pool->again.n > 0)
			smtp_engine_dirty(pool->engine, s);
	}
	if (!close)
		open_connections(pool);
}

/* ---- for the caller ------------------------------------------------------------------------ */

struct smtp_pool *
smtp_pool_new(struct smtp_engine *engine, const struct smtp_params *params,
    const struct smtp_limits *limits, void *arg)
{
	struct smtp_pool *pool = xcalloc(1, sizeof(*pool));
	struct smtp_limits *l = &pool->limits;

	pool->engine = engine;
	pool->params = *params;
	smtp_timeouts_fill(&pool->params.timeouts);
	if (limits != NULL)
		*l = *limits;
	if (l->connections == 0)
		l->connections = 10;
	if (l->messages == 0)
		l->messages = 100;
	if (l->ttl <= 0)
		l->ttl = 10 * USEC;
	if (l->ahead == 0)
		l->ahead = 4;
	pool->cap = l->connections;
	pool->arg = arg;
	queue_init(&pool->queue);
	queue_init(&pool->again);
	pool->next = engine->pools;
	engine->pools = pool;
	return pool;
}

void
smtp_pool_free(struct smtp_pool *pool)
{
	struct smtp_pool **link;
	struct smtp_session *s;

	if (pool == NULL)
		return;
	for (link = &pool->engine->pools; *link != pool; link = &(*link)->next)
		continue;
	*link = pool->next;
	while ((s = pool->sessions) != NULL) {
		pool->sessions = s->next;
		smtp_engine_forget(pool->engine, s);
		smtp_session_free(s);
	}
	free(pool);
}

void *
smtp_pool_arg(const struct smtp_pool *pool)
{
	return pool->arg;
}

size_t
smtp_pool_room(const struct smtp_pool *pool)
{
	size_t target = (size_t)pool->cap * pool->limits.ahead;

	if (pool->faulted || pool->draining || pool->n_jobs >= target)
		return 0;
	return target - pool->n_jobs;
}

int
smtp_pool_submit(struct smtp_pool *pool, struct smtp_job *job)
{
	if (pool->faulted || pool->draining) {
		errno = ESHUTDOWN;
		return -1;
	}
	job->outcome = SMTP_PENDING;
	job->tries = 0;
	job->queued = clock_monotonic();
	queue_push(&pool->queue, job);
	pool->n_jobs++;
	pool->engine->schedule = true;
	return 0;
}

size_t
smtp_pool_jobs(const struct smtp_pool *pool)
{
	return pool->n_jobs;
}

size_t
smtp_pool_connections(const struct smtp_pool *pool)
{
	return pool->n_ready;
}

void
smtp_pool_drain(struct smtp_pool *pool)
{
	pool->draining = true;
	pool->engine->schedule = true;
}

void
smtp_pool_finish(struct smtp_pool *pool)
{
	pool->finishing = true;
	pool->engine->schedule = true;
}

bool
smtp_pool_idle(const struct smtp_pool *pool)
{
	return pool->n_jobs == 0 && n_connections(pool) == 0;
}

void
smtp_pool_resume(struct smtp_pool *pool)
{
	pool->faulted = false;
	pool->draining = false;
	pool->finishing = false;
	pool->barren = 0;
	pool->engine->schedule = true;
}
