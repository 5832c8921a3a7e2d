#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "smtp/engine_private.h"

enum {
	READS_A_TURN = 16, /* so that a server which never stops talking stalls nobody else */
	TAKES_A_TURN = 16, /* jobs that are settled as soon as they are taken */
};

void
smtp_session_new(struct smtp_pool *pool)
{
	struct smtp_session *s = xcalloc(1, sizeof(*s));

	s->pool = pool;
	s->next = pool->sessions;
	pool->sessions = s;
	s->state = SESSION_CONNECTING;
	s->begun = clock_monotonic();
	s->deadline = INT64_MAX; /* the connection has its own */
	pool->n_connecting++;
	s->conn = smtp_connection_new(pool->engine->net, &pool->params, s);
}

void
smtp_session_free(struct smtp_session *s)
{
	smtp_dialogue_free(s->dialogue);
	smtp_connection_free(s->conn);
	free(s);
}

static int64_t
patience(const struct smtp_session *s)
{
	const struct smtp_timeouts *t = &s->pool->params.timeouts;

	switch (smtp_dialogue_phase(s->dialogue)) {
	case SMTP_PHASE_IDLE:
		return s->pool->limits.ttl;
	case SMTP_PHASE_COMMAND:
		return t->command;
	case SMTP_PHASE_DATA_START:
		return t->data_start;
	case SMTP_PHASE_BODY:
		return t->data_block;
	case SMTP_PHASE_DATA_END:
		return t->data_end;
	case SMTP_PHASE_QUIT:
		return t->quit;
	}
	return t->command;
}

/* There was progress: the time-out of the phase it is in now starts anew. */
static void
touch(struct smtp_session *s)
{
	s->deadline = s->pool->engine->now + patience(s);
	smtp_engine_deadline(s->pool->engine, s->deadline);
}

static void
note_idle(struct smtp_session *s)
{
	bool idle =
	    s->state == SESSION_READY && smtp_dialogue_phase(s->dialogue) == SMTP_PHASE_IDLE;

	if (idle == s->idle)
		return;
	s->idle = idle;
	if (idle)
		s->pool->n_idle++;
	else
		s->pool->n_idle--;
	s->pool->engine->schedule = true;
}

static void
set_state(struct smtp_session *s, enum session_state state)
{
	struct smtp_pool *pool = s->pool;
	unsigned *counts[] = { &pool->n_connecting, &pool->n_ready, &pool->n_leaving };

	if (s->state != SESSION_ENDED)
		--*counts[s->state];
	s->state = state;
	if (state != SESSION_ENDED)
		++*counts[state];
	note_idle(s);
	pool->engine->schedule = true;
}

static void
collect(struct smtp_session *s)
{
	struct smtp_job *job;

	while ((job = smtp_dialogue_settled(s->dialogue)) != NULL) {
		s->n_settled += job->outcome == SMTP_SENT || job->outcome == SMTP_DEFERRED ||
		    job->outcome == SMTP_FAILED;
		smtp_pool_settle(s->pool, s, job);
	}
}

void
smtp_session_end(struct smtp_session *s, const struct smtp_reply *why)
{
	struct smtp_session **link = &s->pool->sessions;
	enum session_state was = s->state;
	bool busy = false;

	if (was == SESSION_ENDED)
		return;
	while (*link != s)
		link = &(*link)->next;
	*link = s->next;
	s->next = s->pool->engine->ended;
	s->pool->engine->ended = s;
	if (smtp_connection_fd(s->conn) >= 0 && s->dialogue != NULL)
		s->pool->engine->by_fd[smtp_connection_fd(s->conn)] = NULL;
	if (s->dialogue != NULL)
		busy = smtp_dialogue_phase(s->dialogue) != SMTP_PHASE_IDLE;
	set_state(s, SESSION_ENDED);
	if (s->dialogue == NULL)
		return;
	smtp_dialogue_lost(s->dialogue, why);
	if (was == SESSION_READY && busy && s->n_settled == 0)
		smtp_pool_barren(s->pool, why);
	collect(s);
}

/* What came says that it is over. */
static void
end_by_server(struct smtp_session *s)
{
	struct smtp_reply why = *smtp_dialogue_why(s->dialogue);
	struct smtp_fault fault = { SMTP_FAULT_AUTH, why };
	struct smtp_pool *pool = s->pool;
	bool denied = smtp_dialogue_denied(s->dialogue);
	char line[SMTP_REPLY_TEXT + 8];

	if (s->state == SESSION_READY)
		log_debug("%s: the conversation is over: %s", pool->params.host,
		    smtp_reply_line(&why, line, sizeof(line)));
	smtp_session_end(s, &why);
	if (denied)
		smtp_pool_fault(pool, &fault);
}

static void
end_by_loss(struct smtp_session *s, const char *what)
{
	struct smtp_reply why;

	smtp_reply_own(&why, "", "%s", what);
	smtp_session_end(s, &why);
}

static void
session_read(struct smtp_session *s)
{
	struct smtp_engine *e = s->pool->engine;
	unsigned long before = smtp_dialogue_replies(s->dialogue);
	bool tls = smtp_connection_tls(s->conn);
	ssize_t n = 0;
	int i;

	s->more = false;
	for (i = 0; i < READS_A_TURN; i++) {
		n = smtp_connection_recv(s->conn, e->read, sizeof(e->read));
		if (n <= 0)
			break;
		if (smtp_dialogue_input(s->dialogue, e->read, (size_t)n) < 0) {
			end_by_server(s);
			return;
		}
		/* A socket is empty after a short read; a TLS record says nothing of the next. */
		if (!tls && (size_t)n < sizeof(e->read))
			break;
	}
	if (n == 0 || (n < 0 && errno != EAGAIN)) {
		end_by_loss(s,
		    n == 0 ? "the server closed the connection" : "the connection was lost");
		return;
	}
	s->more = i == READS_A_TURN;
	if (smtp_dialogue_replies(s->dialogue) != before) {
		collect(s);
		note_idle(s);
		touch(s);
	}
	smtp_engine_dirty(e, s);
}

static void
session_ready(struct smtp_session *s)
{
	struct smtp_pool *pool = s->pool;
	unsigned flags = 0;
	char peer[64];

	if (pool->params.force_8bit)
		flags |= SMTP_DIALOGUE_FORCE_8BIT;
	if (pool->params.pipeline_messages)
		flags |= SMTP_DIALOGUE_ACROSS;
	s->dialogue = smtp_dialogue_new(smtp_connection_capabilities(s->conn), flags);
	set_state(s, SESSION_READY);
	smtp_pool_proved(pool, s);
	if (log_wants(LOG_LEVEL_DEBUG)) {
		smtp_connection_peer(s->conn, peer);
		log_debug("%s: connected to %s%s", pool->params.host, peer,
		    smtp_connection_tls(s->conn) ? " with TLS" : "");
	}
	touch(s);
	if (smtp_engine_add(pool->engine, s, smtp_connection_fd(s->conn)) < 0) {
		end_by_loss(s, "the connection cannot be watched");
		return;
	}
	/* libcurl counts a connection as in use, and closes it at no whim of its own, from the
	 * first reading on. */
	session_read(s);
}

void
smtp_session_connected(struct smtp_session *s)
{
	const struct smtp_fault *fault = smtp_connection_fault(s->conn);
	struct smtp_fault copy;

	if (s->state != SESSION_CONNECTING)
		return;
	if (fault == NULL) {
		session_ready(s);
		return;
	}
	copy = *fault;
	smtp_session_end(s, NULL);
	smtp_pool_refused(s->pool, &copy);
}

void
smtp_session_event(struct smtp_session *s, uint32_t events)
{
	if (s->state == SESSION_ENDED)
		return;
	if ((events & EPOLLOUT) != 0 && s->blocked) {
		s->blocked = false;
		smtp_engine_want_write(s->pool->engine, smtp_connection_fd(s->conn), false);
	}
	if ((events & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0)
		session_read(s);
	else
		smtp_engine_dirty(s->pool->engine, s);
}

/* A piece of the body.  Where the file does not give it, the final dot must never be reached. */
static void
feed_body(struct smtp_session *s, size_t n)
{
	struct smtp_engine *e = s->pool->engine;
	struct smtp_job *job = smtp_dialogue_body_job(s->dialogue);
	uint64_t at = smtp_dialogue_body_at(s->dialogue);
	struct smtp_reply why;

	if (n > sizeof(e->body))
		n = sizeof(e->body);
	if ((job->read != NULL ? job->read(job->content, at, e->body, n) :
				 fs_pread(job->fd, e->body, n, job->offset + (off_t)at)) == 0) {
		smtp_dialogue_body(s->dialogue, e->body, n);
		return;
	}
	smtp_reply_own(&why, "4.3.0", "the message cannot be read: %s", strerror(errno));
	job->tries = UINT32_MAX;
	smtp_session_end(s, &why);
}

void
smtp_session_fill(struct smtp_session *s)
{
	struct smtp_dialogue *d = s->dialogue;
	struct smtp_job *job;
	size_t wanted;
	int takes = 0;

	if (s->more)
		session_read(s);
	while (s->state == SESSION_READY && !s->blocked) {
		if ((wanted = smtp_dialogue_wants(d)) > 0) {
			feed_body(s, wanted);
			continue;
		}
		if (!smtp_dialogue_takes(d) || !smtp_pool_wears(s->pool, s))
			break;
		if (takes++ == TAKES_A_TURN) {
			s->more = true;
			break;
		}
		job = smtp_pool_take(s->pool, s, smtp_dialogue_phase(d) != SMTP_PHASE_IDLE);
		if (job == NULL)
			break;
		s->n_taken++;
		job->tries++;
		smtp_dialogue_take(d, job);
		collect(s);
		touch(s);
	}
	if (s->state == SESSION_READY) {
		note_idle(s);
		if (s->idle && !smtp_pool_wears(s->pool, s))
			smtp_session_quit(s);
	}
}

void
smtp_session_write(struct smtp_session *s)
{
	struct view out;
	bool wrote = false;
	ssize_t n;

	if (s->state == SESSION_ENDED)
		return;
	if (s->more)
		smtp_engine_dirty(s->pool->engine, s);
	if (s->blocked)
		return;
	while ((out = smtp_dialogue_output(s->dialogue)).len > 0) {
		n = smtp_connection_send(s->conn, out.s, out.len);
		if (n < 0 && errno == EAGAIN) {
			s->blocked = true;
			smtp_dialogue_blocked(s->dialogue);
			smtp_engine_want_write(s->pool->engine, smtp_connection_fd(s->conn), true);
			break;
		}
		if (n < 0) {
			/* What the server said before it hung up may still be there to be read. */
			session_read(s);
			if (s->state != SESSION_ENDED)
				end_by_loss(s, "the connection was lost");
			return;
		}
		smtp_dialogue_sent(s->dialogue, (size_t)n);
		wrote = true;
	}
	if (wrote)
		touch(s);
	if (!s->blocked && smtp_dialogue_wants(s->dialogue) > 0)
		smtp_engine_dirty(s->pool->engine, s);
}

void
smtp_session_quit(struct smtp_session *s)
{
	smtp_dialogue_quit(s->dialogue);
	set_state(s, SESSION_LEAVING);
	touch(s);
	smtp_engine_dirty(s->pool->engine, s);
}

void
smtp_session_expire(struct smtp_session *s)
{
	const char *what = "the reply to a command";
	struct smtp_reply why;

	switch (smtp_dialogue_phase(s->dialogue)) {
	case SMTP_PHASE_IDLE:
		smtp_session_quit(s);
		return;
	case SMTP_PHASE_COMMAND:
	case SMTP_PHASE_QUIT:
		break;
	case SMTP_PHASE_DATA_START:
		what = "the reply to DATA";
		break;
	case SMTP_PHASE_BODY:
		what = "the network to take the message";
		break;
	case SMTP_PHASE_DATA_END:
		what = "the reply to the final dot";
		break;
	}
	smtp_reply_own(&why, "", "timed out waiting for %s", what);
	smtp_session_end(s, &why);
}
