#include "http/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/num.h"

#define FIRST_FD 3 /* SD_LISTEN_FDS_START */
#define BACKLOG 1024

union address {
	struct sockaddr any;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	struct sockaddr_un un;
	struct sockaddr_storage room;
};

static bool
is_loopback(const union address *a)
{
	if (a->any.sa_family == AF_UNIX)
		return true;
	if (a->any.sa_family == AF_INET)
		return (ntohl(a->in.sin_addr.s_addr) >> 24) == 127;
	if (a->any.sa_family == AF_INET6)
		return IN6_IS_ADDR_LOOPBACK(&a->in6.sin6_addr) ||
		    (IN6_IS_ADDR_V4MAPPED(&a->in6.sin6_addr) &&
			a->in6.sin6_addr.s6_addr[12] == 127);
	return false;
}

static void
write_name(char *name, size_t size, const union address *a, socklen_t len)
{
	char host[INET6_ADDRSTRLEN] = "";

	if (a->any.sa_family == AF_INET) {
		inet_ntop(AF_INET, &a->in.sin_addr, host, sizeof host);
		snprintf(name, size, "%s:%u", host, ntohs(a->in.sin_port));
	} else if (a->any.sa_family == AF_INET6) {
		inet_ntop(AF_INET6, &a->in6.sin6_addr, host, sizeof host);
		snprintf(name, size, "[%s]:%u", host, ntohs(a->in6.sin6_port));
	} else if (a->any.sa_family == AF_UNIX) {
		size_t n = len > offsetof(struct sockaddr_un, sun_path) ?
		    len - offsetof(struct sockaddr_un, sun_path) :
		    0;
		const char *path = a->un.sun_path;

		/* An abstract name begins with a NUL, which is written as "@". */
		if (n > 0 && path[0] == '\0')
			snprintf(name, size, "unix:@%.*s", (int)n - 1, path + 1);
		else
			snprintf(name, size, "unix:%.*s", (int)strnlen(path, n), path);
	} else
		snprintf(name, size, "a socket of family %d", a->any.sa_family);
}

/* Takes fd over and says what it is. */
static struct http_listener *
add(struct http_listeners *set, int fd)
{
	struct http_listener *l;
	union address a = { .any.sa_family = AF_UNSPEC };
	socklen_t len = sizeof a;

	set->v = xreallocarray(set->v, set->n + 1, sizeof *set->v);
	l = &set->v[set->n++];
	*l = (struct http_listener){ .fd = fd };
	if (getsockname(fd, &a.any, &len) == 0) {
		l->loopback = is_loopback(&a);
		write_name(l->name, sizeof l->name, &a, len);
	}
	return l;
}

/* ---- addresses -------------------------------------------------------------------------------- */

/* Cuts "HOST:PORT" or "[HOST]:PORT"; host is "" for all addresses. */
static int
split(const char *where, char *host, size_t size, const char **ret_port)
{
	const char *colon = strrchr(where, ':'), *from = where;
	size_t n;
	uint64_t port;

	if (colon == NULL || num_u64(colon + 1, 0, 65535, &port) < 0)
		return -1;
	n = (size_t)(colon - where);
	if (*where == '[') {
		if (n < 3 || where[n - 1] != ']')
			return -1;
		from++;
		n -= 2;
	} else if (memchr(where, ':', n) != NULL)
		return -1; /* an IPv6 address without brackets: where does its port begin? */
	if (n == 1 && *from == '*')
		n = 0;
	if (n >= size)
		return -1;
	memcpy(host, from, n);
	host[n] = '\0';
	*ret_port = colon + 1;
	return 0;
}

static int
open_address(const struct addrinfo *ai, bool both)
{
	int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, ai->ai_protocol);
	int on = 1, off = 0, saved;

	if (fd < 0)
		return -1;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
	    (ai->ai_family != AF_INET6 ||
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, both ? &off : &on, sizeof on) == 0) &&
	    bind(fd, ai->ai_addr, ai->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
		return fd;
	saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

/* One socket for all addresses of both kinds where the machine has IPv6, else of IPv4 alone. */
static int
listen_all(struct http_listeners *set, const struct addrinfo *list, const char *where, bool tls,
    struct err *err)
{
	for (int family = AF_INET6; family != AF_UNSPEC;
	     family = family == AF_INET6 ? AF_INET : AF_UNSPEC)
		for (const struct addrinfo *ai = list; ai != NULL; ai = ai->ai_next) {
			int fd = ai->ai_family == family ? open_address(ai, true) : -1;

			if (fd >= 0) {
				add(set, fd)->tls = tls;
				return 0;
			}
			if (ai->ai_family == family && errno == EADDRINUSE)
				return err_sys(err, EX_UNAVAILABLE, "listen on %s", where);
		}
	return err_sys(err, EX_UNAVAILABLE, "listen on %s", where);
}

static int
listen_address(struct http_listeners *set, const char *where, bool tls, struct err *err)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
		.ai_flags = AI_PASSIVE | AI_NUMERICSERV };
	struct addrinfo *list;
	char host[256];
	const char *port;
	int rc;

	if (split(where, host, sizeof host, &port) < 0)
		return err_set(err, EX_USAGE,
		    "listen on '%s': expected ADDRESS:PORT, [ADDRESS]:PORT or /PATH", where);
	rc = getaddrinfo(*host != '\0' ? host : NULL, port, &hints, &list);
	if (rc != 0)
		return err_set(err, EX_UNAVAILABLE, "listen on %s: %s", where, gai_strerror(rc));
	if (*host == '\0') {
		rc = listen_all(set, list, where, tls, err);
		freeaddrinfo(list);
		return rc;
	}
	rc = 0;
	for (const struct addrinfo *ai = list; ai != NULL && rc == 0; ai = ai->ai_next) {
		int fd = open_address(ai, false);

		/* A name may have an address of a kind that this machine lacks. */
		if (fd >= 0)
			add(set, fd)->tls = tls;
		else if (ai == list && ai->ai_next == NULL)
			rc = err_sys(err, EX_UNAVAILABLE, "listen on %s", where);
		else if (errno != EADDRNOTAVAIL && errno != EAFNOSUPPORT)
			rc = err_sys(err, EX_UNAVAILABLE, "listen on %s", where);
	}
	freeaddrinfo(list);
	return rc;
}

/* ---- Unix sockets ----------------------------------------------------------------------------- */

/* 0 if path may be taken: nothing is there, or a socket on which nobody listens. */
static int
may_take(const char *path, const struct sockaddr_un *un, struct err *err)
{
	AUTO_FD int fd = -1;
	struct stat st;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : err_io(err, "%s", path);
	if (!S_ISSOCK(st.st_mode))
		return err_set(err, EX_CANTCREAT, "%s: exists and is not a socket", path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_io(err, "%s", path);
	if (connect(fd, (const struct sockaddr *)un, sizeof *un) < 0 && errno == ECONNREFUSED)
		return 0;
	return err_set(err, EX_UNAVAILABLE, "%s: another server listens there", path);
}

/* Makes the socket under a name beside it and renames it into place: whoever finds it can connect,
 * and it never has another mode. */
static int
listen_path(struct http_listeners *set, const char *path, mode_t mode, struct err *err)
{
	AUTO_FD int fd = -1;
	struct sockaddr_un un = { .sun_family = AF_UNIX }, temp = { .sun_family = AF_UNIX };
	struct http_listener *l;
	struct stat st;
	int saved;

	if (strlen(path) >= sizeof un.sun_path)
		return err_set(err, EX_USAGE, "listen on %s: expected a path of at most %zu bytes",
		    path, sizeof un.sun_path - 1);
	memcpy(un.sun_path, path, strlen(path) + 1);
	if ((size_t)snprintf(temp.sun_path, sizeof temp.sun_path, "%s.%d", path, (int)getpid()) >=
	    sizeof temp.sun_path)
		return err_set(err, EX_USAGE, "listen on %s: expected a shorter path", path);
	if (may_take(path, &un, err) < 0)
		return -1;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || bind(fd, (const struct sockaddr *)&temp, sizeof temp) < 0)
		return err_sys(err, EX_CANTCREAT, "listen on %s", path);
	if (chmod(temp.sun_path, mode) < 0 || listen(fd, BACKLOG) < 0 ||
	    lstat(temp.sun_path, &st) < 0 || rename(temp.sun_path, path) < 0) {
		saved = errno;
		unlink(temp.sun_path);
		errno = saved;
		return err_sys(err, EX_CANTCREAT, "listen on %s", path);
	}
	l = add(set, take_fd(&fd));
	l->path = xstrdup(path);
	l->dev = st.st_dev;
	l->ino = st.st_ino;
	snprintf(l->name, sizeof l->name, "unix:%s", path);
	return 0;
}

int
http_listen(struct http_listeners *set, const char *where,
    const struct http_listen_options *options, struct err *err)
{
	bool tls = options != NULL && options->tls;
	mode_t mode = options != NULL && options->mode != 0 ? options->mode : 0660;

	if (strncmp(where, "unix:", 5) == 0)
		where += 5;
	if (*where != '/')
		return listen_address(set, where, tls, err);
	if (listen_path(set, where, mode, err) < 0)
		return -1;
	set->v[set->n - 1].tls = tls;
	return 0;
}

/* ---- sockets handed over ---------------------------------------------------------------------- */

static int
take_inherited(struct http_listeners *set, int fd, struct err *err)
{
	int flags = fcntl(fd, F_GETFL), listening = 0, type = 0;
	socklen_t len = sizeof listening;

	if (flags < 0 || getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0 || !listening ||
	    type != SOCK_STREAM)
		return err_set(err, EX_CONFIG,
		    "descriptor %d of LISTEN_FDS: expected a listening stream socket", fd);
	if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return err_sys(err, EX_OSERR, "descriptor %d of LISTEN_FDS", fd);
	add(set, fd)->inherited = true;
	return 0;
}

int
http_listen_inherited(struct http_listeners *set, struct err *err)
{
	const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");
	uint64_t number = 0, n = 0;
	bool ours =
	    pid != NULL && num_u64(pid, 1, INT32_MAX, &number) == 0 && (pid_t)number == getpid();
	int rc = 0;

	if (ours && fds != NULL && num_u64(fds, 0, 1024, &n) < 0)
		rc = err_set(err, EX_CONFIG, "LISTEN_FDS is '%s': expected a number", fds);
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	for (uint64_t i = 0; i < n && rc == 0; i++)
		rc = take_inherited(set, FIRST_FD + (int)i, err);
	return rc < 0 ? -1 : (int)n;
}

bool
http_listeners_public(const struct http_listeners *set)
{
	for (size_t i = 0; i < set->n; i++)
		if (!set->v[i].loopback)
			return true;
	return false;
}

void
http_listeners_release(struct http_listeners *set)
{
	for (size_t i = 0; i < set->n; i++) {
		struct http_listener *l = &set->v[i];
		struct stat st;

		if (l->path != NULL && lstat(l->path, &st) == 0 && st.st_dev == l->dev &&
		    st.st_ino == l->ino)
			unlink(l->path);
		auto_close_fd(&l->fd);
		free(l->path);
	}
	free(set->v);
	set->v = NULL;
	set->n = 0;
}
