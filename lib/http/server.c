#include "http/server.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "http/server_private.h"

#define LAST_WAIT USEC /* for the library to close what was cut */

static void
fill_defaults(struct http_config *c)
{
	/* clang-format off */
	if (c->pollers == 0) c->pollers = 2;
	if (c->workers == 0) c->workers = 64;
	if (c->connections == 0) c->connections = 1024;
	if (c->per_address == 0) c->per_address = 256;
	if (c->body_bytes == 0) c->body_bytes = 256u << 20;
	if (c->head_usec == 0) c->head_usec = 15 * USEC;
	if (c->body_usec == 0) c->body_usec = 120 * USEC;
	if (c->send_usec == 0) c->send_usec = 120 * USEC;
	if (c->idle_usec == 0) c->idle_usec = 60 * USEC;
	/* clang-format on */
}

static void
init_locks(struct http_server *s)
{
	pthread_condattr_t attr;

	pthread_mutex_init(&s->lock, NULL);
	pthread_mutex_init(&s->work_lock, NULL);
	pthread_cond_init(&s->work, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&s->changed, &attr);
	pthread_condattr_destroy(&attr);
}

struct http_server *
http_server_new(const struct http_config *config, struct http_listeners *listeners, struct err *err)
{
	struct http_server *s = xcalloc(1, sizeof *s);

	s->config = *config;
	s->listeners = listeners;
	s->epoll = s->wake = -1;
	fill_defaults(&s->config);
	init_locks(s);
	/* Accepting comes last: whoever can connect is served. */
	if (worker_start(s, err) < 0 || mhd_start(s, err) < 0 || accept_start(s, err) < 0) {
		http_server_free(s);
		return NULL;
	}
	return s;
}

/* ---- certificates that are replaced --------------------------------------------------------------- */

void
daemon_replace(struct http_server *s, void *daemon)
{
	struct retired *old = xcalloc(1, sizeof *old);

	pthread_mutex_lock(&s->lock);
	*old = (struct retired){ s->daemons[1], s->retired };
	s->retired = old;
	s->daemons[1] = daemon;
	pthread_mutex_unlock(&s->lock);
}

void *
daemon_unused(struct http_server *s)
{
	void *daemon = NULL;

	pthread_mutex_lock(&s->lock);
	for (struct retired **at = &s->retired; *at != NULL && daemon == NULL;) {
		struct retired *this = *at;
		const struct http_conn *conn = s->conns;

		while (conn != NULL && conn->daemon != this->daemon)
			conn = conn->next;
		if (conn != NULL) {
			at = &this->next;
			continue;
		}
		daemon = this->daemon;
		*at = this->next;
		free(this);
	}
	pthread_mutex_unlock(&s->lock);
	return daemon;
}

int
http_server_renew_tls(struct http_server *s, const char *certificate, const char *key,
    struct err *err)
{
	int result;

	s->config.tls_certificate = certificate;
	s->config.tls_key = key;
	result = mhd_renew(s, err);
	s->config.tls_certificate = s->config.tls_key = NULL;
	return result;
}

/* ---- the end -------------------------------------------------------------------------------------- */

/* Waits until no connection is left, at most until then (monotonic); true if so. */
static bool
wait_empty(struct http_server *s, int64_t until)
{
	struct timespec ts = { until / USEC, until % USEC * 1000 };
	int rc = 0;
	bool empty;

	pthread_mutex_lock(&s->lock);
	while (s->n_conns > 0 && rc == 0)
		rc = pthread_cond_timedwait(&s->changed, &s->lock, &ts);
	empty = s->n_conns == 0;
	pthread_mutex_unlock(&s->lock);
	return empty;
}

int
http_server_stop(struct http_server *s, int64_t bound)
{
	atomic_store(&s->stopping, true);
	accept_wake(s);
	if (wait_empty(s, clock_monotonic() + bound))
		return 0;
	accept_cut(s, true);
	if (wait_empty(s, clock_monotonic() + LAST_WAIT))
		return 0;
	errno = ETIMEDOUT;
	return -1;
}

void
http_server_free(struct http_server *s)
{
	if (s == NULL)
		return;
	accept_stop(s);
	mhd_stop(s);
	worker_stop(s);
	pthread_cond_destroy(&s->changed);
	pthread_cond_destroy(&s->work);
	pthread_mutex_destroy(&s->work_lock);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

void
http_server_numbers(struct http_server *s, struct http_numbers *ret)
{
	pthread_mutex_lock(&s->lock);
	ret->connections = s->n_conns;
	pthread_mutex_unlock(&s->lock);
	ret->requests = atomic_load(&s->requests);
	ret->refused = atomic_load(&s->refused);
}
