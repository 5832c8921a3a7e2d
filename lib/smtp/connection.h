/*
 * Connections to relays, made by libcurl: it resolves, connects (IPv6 and IPv4 side by side), does
 * TLS, EHLO, STARTTLS and AUTH, and then only carries bytes.  None of these calls waits.
 *
 * A net is libcurl's part of an event loop: the descriptors it watches while connecting are put
 * into the caller's epoll, and a deadline tells when it wants to be called without an event.
 */
#ifndef SMTP_CONNECTION_H
#define SMTP_CONNECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"
#include "smtp/capabilities.h"
#include "smtp/fault.h"
#include "smtp/params.h"

struct smtp_net;
struct smtp_connection;

/* tag: the upper 32 bits of epoll_event.data.u64 for libcurl's descriptors; the lower are the
 * descriptor.  NULL with err (69) where libcurl cannot work. */
struct smtp_net *smtp_net_new(int epoll, uint32_t tag, struct err *err);
/* All connections must have been freed. */
void smtp_net_free(struct smtp_net *net);

/* An event on one of its descriptors. */
void smtp_net_event(struct smtp_net *net, int fd, uint32_t events);
/* When to call smtp_net_expire (clock_monotonic); INT64_MAX: never. */
int64_t smtp_net_deadline(const struct smtp_net *net);
void smtp_net_expire(struct smtp_net *net, int64_t now);
/* The next connection that is ready or has failed, or NULL. */
struct smtp_connection *smtp_net_finished(struct smtp_net *net);

/* Begins to connect; params stay valid as long as the connection.  Whatever is wrong, with params
 * too, is told by smtp_net_finished(). */
struct smtp_connection *
smtp_connection_new(struct smtp_net *net, const struct smtp_params *params, void *arg);
/* Closes at once, without QUIT. */
void smtp_connection_free(struct smtp_connection *conn);
void *smtp_connection_arg(const struct smtp_connection *conn);

/* NULL where it is ready. */
const struct smtp_fault *smtp_connection_fault(const struct smtp_connection *conn);

/* From here on: for connections that are ready. */

const struct smtp_capabilities *smtp_connection_capabilities(const struct smtp_connection *conn);
/* EHLO's list as it came, one a line, control characters escaped. */
const char *smtp_connection_offers(const struct smtp_connection *conn);
bool smtp_connection_tls(const struct smtp_connection *conn);
bool smtp_connection_authenticated(const struct smtp_connection *conn);
/* "192.0.2.1:587", "[::1]:25" */
void smtp_connection_peer(const struct smtp_connection *conn, char text[64]);

/* For epoll; closed by libcurl when the connection is freed. */
int smtp_connection_fd(const struct smtp_connection *conn);
/* As send(2) and recv(2) on a non-blocking socket: -1 with errno = EAGAIN where it would wait,
 * ECONNRESET where the connection is gone.  TLS may hold bytes that epoll does not see: receive
 * until EAGAIN. */
ssize_t smtp_connection_send(struct smtp_connection *conn, const char *bytes, size_t n);
ssize_t smtp_connection_recv(struct smtp_connection *conn, char *bytes, size_t size);

#endif
