#include "smtp/probe.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/clock.h"
#include "smtp/connection.h"

enum { OFFERS_MAX = 8 * 1024 };

static int exit_code(enum smtp_fault_class class)
{
	switch (class) {
	case SMTP_FAULT_CONFIG:
		return EX_CONFIG;
	case SMTP_FAULT_AUTH:
		return EX_NOPERM;
	case SMTP_FAULT_TIMEOUT:
		return EX_TEMPFAIL;
	default:
		return EX_UNAVAILABLE;
	}
}

/* Serves libcurl's descriptors until the connection is ready or has failed. */
static int
wait_for(struct smtp_net *net, int epoll, struct err *err)
{
	struct epoll_event event;
	int64_t now, ms;
	int n;

	while (smtp_net_finished(net) == NULL) {
		now = clock_monotonic();
		ms = smtp_net_deadline(net) <= now ?
		    0 :
		    (smtp_net_deadline(net) - now) / (USEC / 1000) + 1;
		n = epoll_wait(epoll, &event, 1, ms > 60000 ? 60000 : (int)ms);
		if (n < 0 && errno != EINTR)
			return err_sys(err, EX_OSERR, "epoll cannot be used");
		if (n > 0)
			smtp_net_event(net, (int)(uint32_t)event.data.u64, event.events);
		if (smtp_net_deadline(net) <= clock_monotonic())
			smtp_net_expire(net, clock_monotonic());
	}
	return 0;
}

/* Leaves as RFC 5321 section 4.1.1.10 wants; what it says to that is of no interest. */
static void
say_quit(struct smtp_connection *conn, int64_t patience)
{
	struct pollfd fd = { .fd = smtp_connection_fd(conn), .events = POLLIN };
	int64_t until = clock_monotonic() + patience, left;
	char reply[512];

	if (smtp_connection_send(conn, "QUIT\r\n", 6) < 0)
		return;
	while ((left = until - clock_monotonic()) > 0) {
		if (smtp_connection_recv(conn, reply, sizeof(reply)) >= 0 || errno != EAGAIN)
			return;
		poll(&fd, 1, (int)(left / (USEC / 1000)) + 1);
	}
}

static int
judge(const struct smtp_connection *conn, struct smtp_probe *probe, struct err *err)
{
	const struct smtp_fault *fault = smtp_connection_fault(conn);
	char line[SMTP_REPLY_TEXT + 8];

	smtp_connection_peer(conn, probe->peer);
	probe->tls = smtp_connection_tls(conn);
	probe->authenticated = smtp_connection_authenticated(conn);
	buf_adds(&probe->capabilities, smtp_connection_offers(conn));
	if (fault == NULL)
		return 0;
	probe->fault = *fault;
	return err_set(err, exit_code(fault->class), "%s: %s", smtp_fault_name(fault->class),
	    smtp_reply_line(&fault->reply, line, sizeof(line)));
}

int
smtp_probe(const struct smtp_params *params, struct smtp_probe *ret_probe, struct err *err)
{
	AUTO_FD int epoll = epoll_create1(EPOLL_CLOEXEC);
	struct smtp_params filled = *params;
	struct smtp_connection *conn;
	struct smtp_net *net;
	int result;

	memset(ret_probe, 0, sizeof(*ret_probe));
	buf_init(&ret_probe->capabilities, OFFERS_MAX);
	if (epoll < 0)
		return err_sys(err, EX_OSERR, "epoll cannot be used");
	net = smtp_net_new(epoll, 0, err);
	if (net == NULL)
		return -1;
	smtp_timeouts_fill(&filled.timeouts);
	conn = smtp_connection_new(net, &filled, NULL);
	result = wait_for(net, epoll, err);
	if (result == 0)
		result = judge(conn, ret_probe, err);
	if (result == 0)
		say_quit(conn, filled.timeouts.quit);
	smtp_connection_free(conn);
	smtp_net_free(net);
	return result;
}

void
smtp_probe_release(struct smtp_probe *probe)
{
	buf_release(&probe->capabilities);
}
