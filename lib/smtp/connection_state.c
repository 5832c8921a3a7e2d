#include "smtp/connection_private.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"

void
smtp_list_push(struct smtp_connection **list, struct smtp_connection *conn)
{
	conn->next = *list;
	*list = conn;
}

bool
smtp_list_remove(struct smtp_connection **list, const struct smtp_connection *conn)
{
	for (; *list != NULL; list = &(*list)->next) {
		if (*list == conn) {
			*list = conn->next;
			return true;
		}
	}
	return false;
}

struct smtp_connection *
smtp_net_finished(struct smtp_net *net)
{
	struct smtp_connection *conn = net->finished;

	if (conn != NULL)
		net->finished = conn->next;
	return conn;
}

void
smtp_connection_fail(struct smtp_connection *conn, enum smtp_fault_class class, const char *text)
{
	conn->failed = true;
	conn->fault.class = class;
	smtp_reply_own(&conn->fault.reply, "", "%s", text);
}

bool
smtp_connection_heard(struct smtp_connection *conn, char *line, size_t len)
{
	int result = smtp_hello_line(&conn->hello, line, len);
	const struct smtp_reply *reply = &conn->hello.parser.reply;
	char shown[200];

	if (result < 0) {
		while (len > 0 && (line[len - 1] == '\n' || line[len - 1] == '\r'))
			len--;
		log_escape(shown, sizeof(shown), line, len);
		conn->failed = true;
		conn->fault.class = SMTP_FAULT_PROTOCOL;
		smtp_reply_own(&conn->fault.reply, "",
		    "the server's answer is not an SMTP reply: \"%s\"", shown);
		return false;
	}
	if (result == 0)
		return true;
	/* libcurl would take it for a server that does not know EHLO, and say HELO.  It is one that has no
	 * time for us (RFC 5321 section 4.2.1), perhaps for EHLO's sake alone: without EHLO there is
	 * neither TLS nor a login, and 8-bit mail fails. */
	if (conn->hello.answered == SMTP_HELLO_EHLO && reply->code / 100 == 4) {
		smtp_connection_fail(conn, SMTP_FAULT_GREETING, "");
		conn->fault.reply = *reply;
		return false;
	}
	conn->deadline = clock_monotonic() + conn->params.timeouts.command;
	return true;
}

bool
smtp_connection_must_encrypt(const struct smtp_connection *conn)
{
	return conn->params.tls == SMTP_TLS_TRY && conn->hello.offered_tls && !conn->hello.starttls;
}

/* The lines of AUTH in what was offered, with "; " between. */
static void
add_offered_logins(struct buf *out, const char *offers)
{
	size_t n;

	for (; *offers != '\0'; offers += n + (offers[n] == '\n')) {
		n = strcspn(offers, "\n");
		if (n < 5 || memcmp(offers, "AUTH ", 5) != 0)
			continue;
		buf_adds(out, out->len > 0 ? "; " : "");
		buf_add(out, offers, n);
	}
}

void
smtp_connection_fail_login(struct smtp_connection *conn)
{
	AUTO_BUF struct buf offered = BUF_INIT(300), wanted = BUF_INIT(100);
	const char *login;

	for (login = smtp_params_login(&conn->params); *login != '\0'; login++)
		buf_addc(&wanted, *login == ';' ? ',' : *login == '=' ? ' ' : *login);
	add_offered_logins(&offered, conn->hello.offers.s);
	conn->failed = true;
	conn->fault.class = SMTP_FAULT_AUTH;
	if (conn->hello.caps.auth == 0)
		smtp_reply_own(&conn->fault.reply, "",
		    "the server offers no AUTH, so it cannot be logged in to");
	else
		smtp_reply_own(&conn->fault.reply, "",
		    "the server offers no login that is wanted: it offers %s; wanted is %s",
		    offered.s, wanted.s);
}

void
smtp_connection_check(struct smtp_connection *conn)
{
	if (smtp_connection_must_encrypt(conn))
		smtp_connection_fail(conn, SMTP_FAULT_TLS,
		    "the server offers STARTTLS, and it did not take place");
	else if (conn->params.user != NULL && !conn->hello.authenticated)
		smtp_connection_fail_login(conn);
}

int64_t
smtp_net_deadline(const struct smtp_net *net)
{
	int64_t deadline = net->curl_deadline;
	const struct smtp_connection *conn;

	if (net->finished != NULL)
		return 0;
	for (conn = net->connecting; conn != NULL; conn = conn->next)
		if (conn->deadline < deadline)
			deadline = conn->deadline;
	return deadline;
}

/* ---- what is known of one ----------------------------------------------------------------- */

void *
smtp_connection_arg(const struct smtp_connection *conn)
{
	return conn->arg;
}

const struct smtp_fault *
smtp_connection_fault(const struct smtp_connection *conn)
{
	return conn->failed ? &conn->fault : NULL;
}

const struct smtp_capabilities *
smtp_connection_capabilities(const struct smtp_connection *conn)
{
	return &conn->hello.caps;
}

const char *
smtp_connection_offers(const struct smtp_connection *conn)
{
	return conn->hello.offers.s;
}

bool
smtp_connection_tls(const struct smtp_connection *conn)
{
	return conn->params.tls == SMTP_TLS_IMPLICIT || conn->hello.starttls;
}

bool
smtp_connection_authenticated(const struct smtp_connection *conn)
{
	return conn->hello.authenticated;
}

int
smtp_connection_fd(const struct smtp_connection *conn)
{
	return conn->fd;
}
