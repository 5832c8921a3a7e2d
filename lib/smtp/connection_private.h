/* What connection.c (all that speaks to libcurl) and connection_state.c share; nobody else's. */
#ifndef SMTP_CONNECTION_PRIVATE_H
#define SMTP_CONNECTION_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>

#include "smtp/connection.h"
#include "smtp/hello.h"

struct smtp_net {
	void *multi; /* CURLM */
	int epoll;
	uint32_t tag;
	int64_t curl_deadline;
	struct smtp_connection *connecting; /* all that are neither ready nor failed */
	struct smtp_connection *finished;
};

struct smtp_connection {
	struct smtp_net *net;
	struct smtp_connection *next; /* in one of net's lists */
	void *easy;		      /* CURL */
	struct smtp_params params;
	void *arg;
	int fd;
	bool loopback_only; /* as credentials would otherwise cross a network in clear */
	bool kept_home;	    /* ... which stopped an attempt */
	bool has_peer;	    /* a connection stands */
	bool connected;	    /* ... and time-outs follow from that */
	bool failed;
	int64_t deadline;
	struct smtp_hello hello;
	struct smtp_fault fault;
	char error[256]; /* CURL_ERROR_SIZE */
};

void smtp_list_push(struct smtp_connection **list, struct smtp_connection *conn);
/* False where conn is not in the list. */
bool smtp_list_remove(struct smtp_connection **list, const struct smtp_connection *conn);
void
smtp_connection_fail(struct smtp_connection *conn, enum smtp_fault_class class, const char *text);
/* Takes a line that the server said, before libcurl does; false where the connection has failed by it. */
bool smtp_connection_heard(struct smtp_connection *conn, char *line, size_t len);
/* True where TLS was to be tried and is a must from now on, as the server offers it. */
bool smtp_connection_must_encrypt(const struct smtp_connection *conn);
/* Why there was no login, if the server has not refused one: what it offers is not what is spoken here. */
void smtp_connection_fail_login(struct smtp_connection *conn);
/* Fails a connection that wants a login, or was offered TLS, and went on without: libcurl does so in
 * silence where it sees no offer. */
void smtp_connection_check(struct smtp_connection *conn);

#endif
