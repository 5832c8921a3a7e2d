/* One thread accepts for all listeners, counts connections, cuts those whose time is over, and reads to
 * the end what clients still send where they were answered early. */
#include "http/server_private.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"

#define TICK_MSEC 200
#define BATCH 64  /* accepted before another listener gets its turn */
#define LAST 4096 /* the same when there is no other turn: more than a listener lets wait */
/* What an event belongs to: a listener's index, a lingering descriptor, or the eventfd. */
#define LINGERING (UINT64_C(1) << 32)
#define WAKE (UINT64_C(1) << 33)

/* ---- connections ------------------------------------------------------------------------------- */

bool
conn_enter(struct http_conn *conn, enum phase phase, int64_t span)
{
	int was = atomic_load(&conn->phase);

	if (span >= 0)
		atomic_store(&conn->deadline, span == 0 ? INT64_MAX : clock_monotonic() + span);
	while (was != PHASE_CUT)
		if (atomic_compare_exchange_weak(&conn->phase, &was, (int)phase))
			return true;
	return false;
}

static void
name_peer(struct http_conn *conn, const struct sockaddr_storage *peer)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)peer;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)peer;

	if (peer->ss_family == AF_INET) {
		conn->key[0] = 4;
		memcpy(conn->key + 1, &in->sin_addr, 4);
		inet_ntop(AF_INET, &in->sin_addr, conn->address, sizeof conn->address);
	} else if (peer->ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
		conn->key[0] = 4;
		memcpy(conn->key + 1, in6->sin6_addr.s6_addr + 12, 4);
		inet_ntop(AF_INET, in6->sin6_addr.s6_addr + 12, conn->address,
		    sizeof conn->address);
	} else if (peer->ss_family == AF_INET6) {
		conn->key[0] = 6;
		memcpy(conn->key + 1, &in6->sin6_addr, 8);
		inet_ntop(AF_INET6, &in6->sin6_addr, conn->address, sizeof conn->address);
	} else
		memcpy(conn->address, "unix", 5);
}

/* True if there are too many, in all or of this address.  Under the lock. */
static bool
too_many(const struct http_server *s, const struct http_conn *conn)
{
	unsigned same = 0;

	if (s->n_conns >= s->config.connections)
		return true;
	if (conn->key[0] == 0)
		return false;
	for (const struct http_conn *c = s->conns; c != NULL; c = c->next)
		same += memcmp(c->key, conn->key, sizeof conn->key) == 0;
	return same >= s->config.per_address;
}

static void
unlink_conn(struct http_conn *conn)
{
	struct http_server *s = conn->server;

	*conn->back = conn->next;
	if (conn->next != NULL)
		conn->next->back = conn->back;
	s->n_conns--;
	pthread_cond_broadcast(&s->changed);
}

static void
link_conn(struct http_conn *conn)
{
	struct http_server *s = conn->server;

	conn->next = s->conns;
	conn->back = &s->conns;
	if (conn->next != NULL)
		conn->next->back = &conn->next;
	s->conns = conn;
	s->n_conns++;
}

struct http_conn *
accept_claim(struct http_server *s, int fd)
{
	struct http_conn *conn;

	pthread_mutex_lock(&s->lock);
	conn = s->by_fd[fd];
	s->by_fd[fd] = NULL;
	pthread_mutex_unlock(&s->lock);
	return conn;
}

/* ---- lingering --------------------------------------------------------------------------------- */

static void
linger_end(struct http_server *s, size_t i)
{
	/* The library may hold the socket still, so closing does not take it out. */
	epoll_ctl(s->epoll, EPOLL_CTL_DEL, s->lingering[i].fd, NULL);
	close(s->lingering[i].fd);
	s->lingering[i] = s->lingering[--s->n_lingering];
}

/* Takes a socket over that nobody writes to any more: what its client still sends is read for a while,
 * so that the answer is not destroyed by a reset. */
static void
linger_on(struct http_server *s, int fd)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = LINGERING | (unsigned)fd };

	shutdown(fd, SHUT_WR);
	pthread_mutex_lock(&s->lock);
	if (s->n_lingering == LINGER_MAX)
		linger_end(s, 0);
	s->lingering[s->n_lingering].fd = fd;
	s->lingering[s->n_lingering++].deadline = clock_monotonic() + LINGER_USEC;
	if (epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
		linger_end(s, s->n_lingering - 1);
	pthread_mutex_unlock(&s->lock);
}

/* An event may be told after the descriptor was closed, when it is perhaps a new connection's: only
 * the list says whose it is. */
static void
linger_read(struct http_server *s, int fd)
{
	static const size_t most = 64 * 1024;
	char *scratch = xmalloc(most);

	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < s->n_lingering; i++) {
		ssize_t n;

		if (s->lingering[i].fd != fd)
			continue;
		n = recv(fd, scratch, most, MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
			linger_end(s, i);
		break;
	}
	pthread_mutex_unlock(&s->lock);
	free(scratch);
}

void
accept_forget(struct http_conn *conn)
{
	struct http_server *s = conn->server;
	char byte;
	/* What is in the socket unread when it is closed makes the kernel reset the connection. */
	bool linger = atomic_load(&conn->phase) != PHASE_CUT &&
	    (conn->linger || recv(conn->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0);
	int fd = linger && !atomic_load(&s->stopping) ? fcntl(conn->fd, F_DUPFD_CLOEXEC, 0) : -1;

	if (fd >= 0)
		linger_on(s, fd);
	request_release(&conn->request);
	pthread_mutex_lock(&s->lock);
	unlink_conn(conn);
	pthread_mutex_unlock(&s->lock);
	free(conn);
}

/* ---- accepting --------------------------------------------------------------------------------- */

static void
turn_away(struct http_server *s, int fd, bool tls)
{
	static const char body[] = "{\"detail\":\"Too many connections\"}";
	static const char fields[] = "Content-Type\0application/json\0Retry-After\0001";
	struct reply reply = { .status = 503 };

	atomic_fetch_add(&s->refused, 1);
	if (tls) {
		close(fd);
		return;
	}
	buf_init(&reply.body, sizeof body);
	buf_init(&reply.fields, sizeof fields);
	buf_add(&reply.body, body, sizeof body - 1);
	buf_add(&reply.fields, fields, sizeof fields);
	conn_bare_reply(fd, &reply);
	buf_release(&reply.body);
	buf_release(&reply.fields);
	linger_on(s, fd);
}

/* The library did not want it, and has closed the socket. */
static void
drop(struct http_conn *conn)
{
	struct http_server *s = conn->server;

	pthread_mutex_lock(&s->lock);
	unlink_conn(conn);
	pthread_mutex_unlock(&s->lock);
	request_release(&conn->request);
	free(conn);
}

/* Takes fd over. */
static void
welcome(struct http_server *s, const struct http_listener *l, int fd,
    const struct sockaddr_storage *peer, socklen_t len)
{
	struct http_conn *conn;
	bool full;

	if ((size_t)fd >= s->by_fd_size) {
		close(fd);
		return;
	}
	conn = xcalloc(1, sizeof *conn);
	conn->server = s;
	conn->fd = fd;
	conn->tls = l->tls;
	atomic_init(&conn->phase, PHASE_IDLE);
	atomic_init(&conn->deadline, clock_monotonic() + s->config.head_usec);
	name_peer(conn, peer);
	request_init(&conn->request, conn);
	pthread_mutex_lock(&s->lock);
	full = too_many(s, conn);
	if (!full) {
		link_conn(conn);
		s->by_fd[fd] = conn;
	}
	pthread_mutex_unlock(&s->lock);
	if (full) {
		request_release(&conn->request);
		free(conn);
		turn_away(s, fd, l->tls);
	} else if (mhd_add(conn, (const struct sockaddr *)peer, len) < 0 &&
	    accept_claim(s, fd) == conn)
		drop(conn);
}

/* 0, or -1 where there is no accepting now: no descriptors, no memory. */
static int
accept_some(struct http_server *s, const struct http_listener *l, int most)
{
	for (int i = 0; i < most; i++) {
		struct sockaddr_storage peer = { .ss_family = AF_UNIX };
		socklen_t len = sizeof peer;
		int fd =
		    accept4(l->fd, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0)
			welcome(s, l, fd, &peer, len);
		else if (errno == EAGAIN)
			break;
		else if (errno != ECONNABORTED && errno != EINTR && errno != EPROTO)
			return -1;
	}
	return 0;
}

/* Listeners are heard, or not until the next tick. */
static void
listen_to(struct http_server *s, int op, bool hear)
{
	for (size_t i = 0; i < s->listeners->n; i++) {
		struct epoll_event event = { .events = hear ? EPOLLIN : 0, .data.u64 = i };

		epoll_ctl(s->epoll, op, s->listeners->v[i].fd, &event);
	}
}

/* Whoever has connected by now is served; who comes later is refused, or waits for the next server where
 * the socket was handed over: then those who wait are left to that, too. */
static void
close_listeners(struct http_server *s)
{
	listen_to(s, EPOLL_CTL_DEL, false);
	for (size_t i = 0; i < s->listeners->n; i++)
		if (!s->listeners->v[i].inherited)
			accept_some(s, &s->listeners->v[i], LAST);
	http_listeners_release(s->listeners);
}

/* ---- watching ---------------------------------------------------------------------------------- */

static const struct reply *
too_slow(struct http_server *s)
{
	if (s->too_slow.status == 0) {
		reply_init(&s->too_slow);
		s->too_slow.status = 408;
		buf_adds(&s->too_slow.body, "{\"detail\":\"Request Timeout\"}");
		buf_add(&s->too_slow.fields, "Content-Type\0application/json", 30);
	}
	return &s->too_slow;
}

/* One connection whose time is over.  Under the lock, so the descriptor is still its own. */
static void
cut(struct http_server *s, struct http_conn *conn, int64_t now, bool all)
{
	int phase = atomic_load(&conn->phase);

	if (all && phase == PHASE_WORK)
		shutdown(conn->fd, SHUT_RDWR);
	if (phase == PHASE_CUT || phase == PHASE_WORK)
		return;
	if (!all && phase == PHASE_IDLE && atomic_load(&s->stopping))
		shutdown(conn->fd, SHUT_RD); /* what came before it is answered */
	if (!all && atomic_load(&conn->deadline) > now)
		return;
	if (!atomic_compare_exchange_strong(&conn->phase, &phase, PHASE_CUT))
		return;
	if ((phase == PHASE_HEAD || phase == PHASE_BODY) && !conn->tls)
		conn_bare_reply(conn->fd, too_slow(s));
	shutdown(conn->fd, SHUT_RDWR);
}

/* The library took the socket and never named it, so it has closed it since.  Should it still come, it
 * finds no connection, and closes it.  Under the lock. */
static void
give_up(struct http_conn *conn)
{
	conn->server->by_fd[conn->fd] = NULL;
	unlink_conn(conn);
	request_release(&conn->request);
	free(conn);
}

void
accept_cut(struct http_server *s, bool all)
{
	int64_t now = clock_monotonic();

	pthread_mutex_lock(&s->lock);
	for (struct http_conn *conn = s->conns, *next; conn != NULL; conn = next) {
		next = conn->next;
		if (s->by_fd[conn->fd] != conn)
			cut(s, conn, now, all);
		else if (atomic_load(&conn->deadline) <= now || all)
			give_up(conn);
	}
	for (size_t i = s->n_lingering; i-- > 0;)
		if (all || s->lingering[i].deadline <= now)
			linger_end(s, i);
	pthread_mutex_unlock(&s->lock);
}

static int
patience(struct http_server *s)
{
	bool busy;

	pthread_mutex_lock(&s->lock);
	busy = s->n_conns > 0 || s->n_lingering > 0 || s->retired != NULL;
	pthread_mutex_unlock(&s->lock);
	return busy ? TICK_MSEC : -1;
}

static void *
watch(void *arg)
{
	struct http_server *s = arg;
	struct epoll_event events[32];
	int64_t next = 0;
	bool paused = false, deaf = false;
	uint64_t count;

	while (!atomic_load(&s->quit)) {
		int n = epoll_wait(s->epoll, events, 32, paused ? TICK_MSEC : patience(s));

		for (int i = 0; i < n; i++) {
			uint64_t what = events[i].data.u64;

			if (what == WAKE)
				(void)!read(s->wake, &count, sizeof count);
			else if (what & LINGERING)
				linger_read(s, (int)(uint32_t)what);
			else if (accept_some(s, &s->listeners->v[what], BATCH) < 0 && !paused) {
				listen_to(s, EPOLL_CTL_MOD, false);
				paused = true;
			}
		}
		if (atomic_load(&s->stopping) && !deaf) {
			close_listeners(s);
			deaf = true;
			next = 0;
		}
		if (clock_monotonic() < next)
			continue;
		next = clock_monotonic() + TICK_MSEC * 1000;
		accept_cut(s, false);
		mhd_tidy(s);
		if (paused && !deaf)
			listen_to(s, EPOLL_CTL_MOD, true);
		paused = false;
	}
	return NULL;
}

void
accept_wake(struct http_server *s)
{
	uint64_t one = 1;

	(void)!write(s->wake, &one, sizeof one);
}

int
accept_start(struct http_server *s, struct err *err)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = WAKE };
	struct rlimit limit;
	int rc;

	s->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	s->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (s->wake < 0 || s->epoll < 0 || getrlimit(RLIMIT_NOFILE, &limit) < 0 ||
	    epoll_ctl(s->epoll, EPOLL_CTL_ADD, s->wake, &event) < 0)
		return err_sys(err, EX_OSERR, "cannot start the server");
	s->by_fd_size = limit.rlim_cur < (1 << 20) ? limit.rlim_cur : 1 << 20;
	s->by_fd = xcalloc(s->by_fd_size, sizeof(struct http_conn *));
	listen_to(s, EPOLL_CTL_ADD, true);
	rc = thread_start(&s->watcher, watch, s);
	if (rc != 0)
		return err_set(err, EX_OSERR, "cannot start a thread: %s", strerrordesc_np(rc));
	s->watching = true;
	return 0;
}

void
accept_stop(struct http_server *s)
{
	if (s->watching) {
		atomic_store(&s->quit, true);
		accept_wake(s);
		pthread_join(s->watcher, NULL);
	}
	s->watching = false;
	while (s->n_lingering > 0)
		linger_end(s, 0);
	if (s->too_slow.status != 0)
		reply_release(&s->too_slow);
	auto_close_fd(&s->epoll);
	auto_close_fd(&s->wake);
	free(s->by_fd);
}
