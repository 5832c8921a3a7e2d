#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/clock.h"
#include "smtp/engine_private.h"

/* What an event's descriptor belongs to: the upper half of epoll_event.data.u64. */
enum { TAG_NET = 1, TAG_SESSION, TAG_WATCH };

enum { EVENTS_A_TURN = 64 };

struct smtp_engine *
smtp_engine_new(const struct smtp_callbacks *callbacks, void *arg, struct err *err)
{
	struct smtp_engine *e = xcalloc(1, sizeof(*e));

	e->callbacks = *callbacks;
	e->arg = arg;
	e->now = clock_monotonic();
	e->next_expiry = INT64_MAX;
	e->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (e->epoll < 0) {
		err_sys(err, EX_OSERR, "epoll cannot be used");
		free(e);
		return NULL;
	}
	e->net = smtp_net_new(e->epoll, TAG_NET, err);
	if (e->net == NULL) {
		close(e->epoll);
		free(e);
		return NULL;
	}
	return e;
}

/* A session that is about to be freed leaves no trace. */
void
smtp_engine_forget(struct smtp_engine *e, struct smtp_session *s)
{
	struct smtp_session **link;
	int fd = smtp_connection_fd(s->conn);

	if (fd >= 0 && (size_t)fd < e->n_by_fd && e->by_fd[fd] == s)
		e->by_fd[fd] = NULL;
	if (!s->dirty)
		return;
	for (link = &e->dirty; *link != NULL; link = &(*link)->next_dirty) {
		if (*link == s) {
			*link = s->next_dirty;
			return;
		}
	}
}

static void
reap(struct smtp_engine *e)
{
	struct smtp_session *s;

	while ((s = e->ended) != NULL) {
		e->ended = s->next;
		smtp_engine_forget(e, s);
		smtp_session_free(s);
	}
}

void
smtp_engine_limit(struct smtp_engine *e, unsigned connections)
{
	e->limit = connections;
}

void
smtp_engine_free(struct smtp_engine *e)
{
	if (e == NULL)
		return;
	reap(e);
	smtp_net_free(e->net);
	close(e->epoll);
	free(e->by_fd);
	free(e->watches);
	free(e);
}

/* ---- descriptors --------------------------------------------------------------------------- */

static int
control(struct smtp_engine *e, int op, int fd, unsigned tag, uint32_t events)
{
	struct epoll_event event = { .events = events };

	event.data.u64 = (uint64_t)tag << 32 | (uint32_t)fd;
	return epoll_ctl(e->epoll, op, fd, &event);
}

int
smtp_engine_add(struct smtp_engine *e, struct smtp_session *s, int fd)
{
	size_t n = e->n_by_fd;

	if ((size_t)fd >= n) {
		while ((size_t)fd >= n)
			n = n > 0 ? n * 2 : 64;
		e->by_fd = xreallocarray(e->by_fd, n, sizeof(struct smtp_session *));
		memset(e->by_fd + e->n_by_fd, 0, (n - e->n_by_fd) * sizeof(struct smtp_session *));
		e->n_by_fd = n;
	}
	e->by_fd[fd] = s;
	return control(e, EPOLL_CTL_ADD, fd, TAG_SESSION, EPOLLIN);
}

void
smtp_engine_want_write(struct smtp_engine *e, int fd, bool want)
{
	control(e, EPOLL_CTL_MOD, fd, TAG_SESSION, want ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

int
smtp_engine_watch(struct smtp_engine *e, int fd, void (*ready)(int fd, void *arg), void *arg)
{
	if (control(e, EPOLL_CTL_ADD, fd, TAG_WATCH, EPOLLIN) < 0)
		return -1;
	e->watches = xreallocarray(e->watches, e->n_watches + 1, sizeof(struct watch));
	e->watches[e->n_watches++] = (struct watch){ fd, ready, arg };
	return 0;
}

void
smtp_engine_unwatch(struct smtp_engine *e, int fd)
{
	size_t i;

	for (i = 0; i < e->n_watches; i++) {
		if (e->watches[i].fd != fd)
			continue;
		e->watches[i] = e->watches[--e->n_watches];
		epoll_ctl(e->epoll, EPOLL_CTL_DEL, fd, NULL);
		return;
	}
}

/* ---- one turn ------------------------------------------------------------------------------ */

void
smtp_engine_dirty(struct smtp_engine *e, struct smtp_session *s)
{
	if (s->dirty || s->state == SESSION_ENDED)
		return;
	s->dirty = true;
	s->next_dirty = e->dirty;
	e->dirty = s;
}

void
smtp_engine_deadline(struct smtp_engine *e, int64_t deadline)
{
	if (deadline < e->next_expiry)
		e->next_expiry = deadline;
}

static int
wait_ms(const struct smtp_engine *e, int timeout_ms)
{
	int64_t until = smtp_net_deadline(e->net);
	int64_t ms;

	if (e->dirty != NULL || e->schedule)
		return 0;
	if (e->next_expiry < until)
		until = e->next_expiry;
	if (until == INT64_MAX)
		return timeout_ms;
	ms = until - clock_monotonic();
	ms = ms <= 0 ? 0 : ms / (USEC / 1000) + 1;
	return timeout_ms >= 0 && timeout_ms < ms ? timeout_ms : ms > 3600000 ? 3600000 : (int)ms;
}

static void
dispatch(struct smtp_engine *e, const struct epoll_event *event)
{
	int fd = (int)(uint32_t)event->data.u64;
	size_t i;

	switch (event->data.u64 >> 32) {
	case TAG_NET:
		smtp_net_event(e->net, fd, event->events);
		break;
	case TAG_SESSION:
		if ((size_t)fd < e->n_by_fd && e->by_fd[fd] != NULL)
			smtp_session_event(e->by_fd[fd], event->events);
		break;
	case TAG_WATCH:
		for (i = 0; i < e->n_watches; i++) {
			if (e->watches[i].fd == fd) {
				e->watches[i].ready(fd, e->watches[i].arg);
				break;
			}
		}
		break;
	}
}

static void
expire_sessions(struct smtp_engine *e)
{
	struct smtp_session *s, *next;
	struct smtp_pool *pool;

	if (e->now < e->next_expiry)
		return;
	e->next_expiry = INT64_MAX;
	for (pool = e->pools; pool != NULL; pool = pool->next) {
		for (s = pool->sessions; s != NULL; s = next) {
			next = s->next;
			if (s->deadline <= e->now)
				smtp_session_expire(s);
			else
				smtp_engine_deadline(e, s->deadline);
		}
		if (smtp_pool_impatient(pool) <= e->now)
			e->schedule = true;
		else
			smtp_engine_deadline(e, smtp_pool_impatient(pool));
	}
}

static void
schedule_pools(struct smtp_engine *e)
{
	struct smtp_pool *pool;

	if (!e->schedule)
		return;
	e->schedule = false;
	for (pool = e->pools; pool != NULL; pool = pool->next)
		smtp_pool_schedule(pool);
}

/* The message at whose final dot s stands must not be sent: the connection is the price. */
static void
withhold(struct smtp_session *s)
{
	struct smtp_job *job = smtp_dialogue_held(s->dialogue);
	struct smtp_reply why;

	smtp_reply_own(&why, "", "not sent: the offer could not be put on record");
	job->tries = UINT32_MAX;
	smtp_session_end(s, &why);
}

/* All that is to be told before final dots go out is told for all of them, and flushed once. */
static void
offer_dots(struct smtp_engine *e, struct smtp_session *list)
{
	const struct smtp_callbacks *call = &e->callbacks;
	struct smtp_job *job;
	struct smtp_session *s;
	bool any = false;
	int result;

	for (s = list; s != NULL; s = s->next_dirty) {
		if (s->state == SESSION_ENDED || (job = smtp_dialogue_held(s->dialogue)) == NULL)
			continue;
		if (call->before_dot != NULL && call->before_dot(job, e->arg) < 0)
			withhold(s);
		else
			any = true;
	}
	if (!any)
		return;
	result = call->flush_dots != NULL ? call->flush_dots(e->arg) : 0;
	for (s = list; s != NULL; s = s->next_dirty) {
		if (s->state == SESSION_ENDED || smtp_dialogue_held(s->dialogue) == NULL)
			continue;
		if (result < 0)
			withhold(s);
		else
			smtp_dialogue_release(s->dialogue);
	}
}

static void
serve_dirty(struct smtp_engine *e)
{
	struct smtp_session *list = e->dirty, *s, *next;

	/* While the list is worked on, each stays marked, so that none is put on another. */
	e->dirty = NULL;
	for (s = list; s != NULL; s = s->next_dirty)
		if (s->state != SESSION_ENDED)
			smtp_session_fill(s);
	offer_dots(e, list);
	for (s = list; s != NULL; s = next) {
		next = s->next_dirty;
		s->dirty = false;
		smtp_session_write(s);
	}
}

int
smtp_engine_step(struct smtp_engine *e, int timeout_ms, struct err *err)
{
	struct epoll_event events[EVENTS_A_TURN];
	struct smtp_connection *conn;
	bool worked;
	int i, n;

	schedule_pools(e);
	n = epoll_wait(e->epoll, events, EVENTS_A_TURN, wait_ms(e, timeout_ms));
	if (n < 0 && errno != EINTR)
		return err_sys(err, EX_OSERR, "epoll cannot be used");
	e->now = clock_monotonic();
	worked = n > 0 || e->dirty != NULL || e->now >= e->next_expiry;
	for (i = 0; i < n; i++)
		dispatch(e, &events[i]);
	if (smtp_net_deadline(e->net) <= e->now) {
		smtp_net_expire(e->net, e->now);
		worked = true;
	}
	while ((conn = smtp_net_finished(e->net)) != NULL) {
		smtp_session_connected(smtp_connection_arg(conn));
		worked = true;
	}
	expire_sessions(e);
	schedule_pools(e);
	serve_dirty(e);
	reap(e);
	return worked;
}
