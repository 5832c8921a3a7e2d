/*
 * http_load PORT PATH CONNECTIONS REQUESTS [BODY_BYTES [BODY_FILE]]: GET, or POST of a JSON body of that size,
 * on 127.0.0.1 over connections that are kept; prints requests a second, and the median and the
 * slowest answer in microseconds.  Exits 1 where an answer is not 2xx or a connection is lost.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/num.h"

struct peer {
	int fd;
	char in[65536];
	size_t len;
	int64_t asked;
};

static struct buf request = BUF_INIT(1 << 26);
static uint64_t asked, answered, total;
static int64_t *took;

static void
fail(const char *what)
{
	fprintf(stderr, "http_load: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void
ask(struct peer *p)
{
	if (asked == total)
		return;
	asked++;
	p->asked = clock_monotonic();
	if (fs_write(p->fd, request.s, request.len) < 0)
		fail("send");
}

/* One answer is there whole: head and as much body as Content-Length says. */
static size_t
whole(struct peer *p)
{
	char *end, *field;
	size_t n, length = 0;

	p->in[p->len] = '\0';
	end = strstr(p->in, "\r\n\r\n");
	if (end == NULL)
		return 0;
	if (strncmp(p->in, "HTTP/1.1 2", 10) != 0) {
		fprintf(stderr, "http_load: answered %.60s\n", p->in);
		exit(1);
	}
	field = strcasestr(p->in, "\r\ncontent-length:");
	if (field != NULL && field < end)
		length = strtoul(field + 17, NULL, 10);
	n = (size_t)(end + 4 - p->in) + length;
	return p->len >= n ? n : 0;
}

static void
hear(struct peer *p)
{
	ssize_t got = recv(p->fd, p->in + p->len, sizeof p->in - 1 - p->len, 0);
	size_t n;

	if (got <= 0)
		fail("connection lost");
	p->len += (size_t)got;
	while ((n = whole(p)) > 0) {
		took[answered++] = clock_monotonic() - p->asked;
		memmove(p->in, p->in + n, p->len - n);
		p->len -= n;
		ask(p);
	}
}

static void
build(const char *path, uint64_t size, const char *file)
{
	struct buf body = BUF_INIT(1 << 26);

	if (file != NULL && fs_read_file(AT_FDCWD, file, &body) < 0)
		fail(file);
	if (file == NULL && size > 0) {
		buf_adds(&body, "{\"text\":\"");
		while (body.len + 2 < size)
			buf_addc(&body, 'x');
		buf_adds(&body, "\"}");
	}
	buf_addf(&request, "%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\nX-API-Token: secret\r\n",
	    body.len > 0 ? "POST" : "GET", path);
	if (body.len > 0)
		buf_addf(&request, "Content-Type: application/json\r\nContent-Length: %zu\r\n",
		    body.len);
	buf_adds(&request, "\r\n");
	buf_add(&request, body.s, body.len);
	buf_release(&body);
}

static int
order(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

int
main(int argc, char **argv)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	uint64_t port, n, size = 0;
	int epoll = epoll_create1(EPOLL_CLOEXEC), on = 1;
	struct epoll_event events[256];
	int64_t started;

	if (argc < 5 || num_u64(argv[1], 1, 65535, &port) < 0 ||
	    num_u64(argv[3], 1, 1024, &n) < 0 || num_u64(argv[4], 1, 100000000, &total) < 0 ||
	    (argc > 5 && num_u64(argv[5], 0, 1 << 24, &size) < 0)) {
		fputs("usage: http_load PORT PATH CONNECTIONS REQUESTS [BODY_BYTES [FILE]]\n",
		    stderr);
		return 64;
	}
	build(argv[2], size, argc > 6 ? argv[6] : NULL);
	took = xcalloc(total, sizeof *took);
	to.sin_port = htons((uint16_t)port);
	struct peer *peers = xcalloc(n, sizeof *peers);
	for (uint64_t i = 0; i < n; i++) {
		struct epoll_event event = { .events = EPOLLIN, .data.ptr = &peers[i] };

		peers[i].fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (connect(peers[i].fd, (struct sockaddr *)&to, sizeof to) < 0)
			fail("connect");
		setsockopt(peers[i].fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
		epoll_ctl(epoll, EPOLL_CTL_ADD, peers[i].fd, &event);
	}
	started = clock_monotonic();
	for (uint64_t i = 0; i < n; i++)
		ask(&peers[i]);
	while (answered < total) {
		int ready = epoll_wait(epoll, events, 256, -1);

		for (int i = 0; i < ready; i++)
			hear(events[i].data.ptr);
	}
	started = clock_monotonic() - started;
	qsort(took, total, sizeof *took, order);
	printf("%.0f median %lld slowest %lld\n", (double)total * 1e6 / (double)started,
	    (long long)took[total / 2], (long long)took[total - 1]);
	return 0;
}
