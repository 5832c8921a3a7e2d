#include "smtp/connection_private.h"

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

void
smtp_connection_check_login(struct smtp_connection *conn)
{
	if (conn->params.user == NULL || conn->hello.authenticated)
		return;
	smtp_connection_fail(conn, SMTP_FAULT_AUTH,
	    conn->hello.caps.auth == 0 ? "the server offers no AUTH, so it cannot be logged in to" :
					 "the login did not take place");
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
