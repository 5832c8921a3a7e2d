#include "http/server_private.h"

#include <signal.h>
#include <string.h>

#define STACK_SIZE (1024 * 1024)

/* The reply stands, or the handler broke its promise. */
static void
need_reply(struct http_request *r)
{
	if (r->reply.status == 0)
		http_reply_detail(r, 500, "Internal Server Error");
}

/* begin, then piece or handle, whichever is due. */
static void
run(struct http_request *r)
{
	const struct http_route *route = r->route;
	void *arg = r->conn->server->config.arg;

	if (!r->begun) {
		r->begun = true;
		if (route->begin != NULL && (route->keep_body == 0 || r->piece != NULL))
			route->begin(r, arg);
	}
	if (r->reply.status != 0)
		return;
	if (r->piece != NULL)
		route->piece(r, r->piece, r->piece_len, arg);
	else
		route->handle(r, arg);
}

/* One of those who hold the request lets go; the last one hands it back. */
static void
let_go(struct http_request *r)
{
	if (atomic_fetch_sub(&r->holders, 1) != 1)
		return;
	if (r->piece == NULL)
		need_reply(r);
	mhd_resume(r);
}

bool
worker_run_here(struct http_request *r)
{
	bool moves;

	atomic_store(&r->holders, 1);
	r->here = true;
	run(r);
	moves = !r->here;
	r->here = false;
	if (r->suspended) {
		let_go(r);
		return false;
	}
	if (moves) {
		mhd_suspend(r);
		r->step = STEP_WORK;
		worker_submit(r);
		return false;
	}
	need_reply(r);
	return true;
}

bool
http_needs_worker(struct http_request *r)
{
	bool here = r->here;

	r->here = false;
	return here;
}

void
http_defer(struct http_request *r)
{
	atomic_fetch_add(&r->holders, 1);
	/* A quick handler runs in the polling thread, which may suspend: nobody else knows of the request
	 * yet. */
	if (!r->suspended) {
		mhd_suspend(r);
		r->step = STEP_WORK;
	}
}

void
http_finish(struct http_request *r)
{
	let_go(r);
}

static void *
work(void *arg)
{
	struct http_server *s = arg;

	pthread_mutex_lock(&s->work_lock);
	for (;;) {
		struct http_request *r = s->first;

		if (r == NULL) {
			if (s->end_workers)
				break;
			s->idle_workers++;
			pthread_cond_wait(&s->work, &s->work_lock);
			s->idle_workers--;
			continue;
		}
		s->first = r->next;
		if (s->first == NULL)
			s->last = &s->first;
		s->queued--;
		s->busy++;
		pthread_mutex_unlock(&s->work_lock);
		run(r);
		let_go(r);
		pthread_mutex_lock(&s->work_lock);
		s->busy--;
	}
	pthread_mutex_unlock(&s->work_lock);
	return NULL;
}

/* Signals are for the program's own threads. */
int
thread_start(pthread_t *thread, void *(*body)(void *), void *arg)
{
	pthread_attr_t attr;
	sigset_t all, old;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	rc = pthread_create(thread, &attr, body, arg);
	pthread_attr_destroy(&attr);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return rc;
}

int
worker_start(struct http_server *s, struct err *err)
{
	int rc;

	s->workers = xcalloc(s->config.workers, sizeof *s->workers);
	s->last = &s->first;
	rc = thread_start(&s->workers[0], work, s);
	if (rc == 0) {
		s->n_workers = 1;
		return 0;
	}
	return err_set(err, EX_OSERR, "cannot start a thread: %s", strerrordesc_np(rc));
}

void
worker_submit(struct http_request *r)
{
	struct http_server *s = r->conn->server;

	atomic_store(&r->holders, 1);
	r->next = NULL;
	pthread_mutex_lock(&s->work_lock);
	*s->last = r;
	s->last = &r->next;
	s->queued++;
	/* Those who wait may have been woken for another already.  A thread that cannot be had now
	 * only means that this one waits for a worker. */
	if (s->queued > s->idle_workers && s->n_workers < s->config.workers &&
	    thread_start(&s->workers[s->n_workers], work, s) == 0)
		s->n_workers++;
	pthread_cond_signal(&s->work);
	pthread_mutex_unlock(&s->work_lock);
}

bool
worker_busy(struct http_server *s)
{
	bool busy;

	pthread_mutex_lock(&s->work_lock);
	busy = s->busy > 0 || s->first != NULL;
	pthread_mutex_unlock(&s->work_lock);
	return busy;
}

void
worker_stop(struct http_server *s)
{
	pthread_mutex_lock(&s->work_lock);
	s->end_workers = true;
	pthread_cond_broadcast(&s->work);
	pthread_mutex_unlock(&s->work_lock);
	for (unsigned i = 0; i < s->n_workers; i++)
		pthread_join(s->workers[i], NULL);
	s->n_workers = 0;
	free(s->workers);
	s->workers = NULL;
}
