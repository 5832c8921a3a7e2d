/*
 * How a relay is reached: everything that the connection needs to know of an account.  Strings
 * belong to the caller and stay valid for as long as a pool or probe uses them.
 */
#ifndef SMTP_PARAMS_H
#define SMTP_PARAMS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/buf.h"

enum smtp_tls {
	SMTP_TLS_NONE,	   /* never STARTTLS */
	SMTP_TLS_TRY,	   /* STARTTLS where it is offered, and then it is required */
	SMTP_TLS_REQUIRED, /* STARTTLS, or no delivery (RFC 3207) */
	SMTP_TLS_IMPLICIT, /* TLS from the first byte (RFC 8314), usually port 465 */
};

enum smtp_auth {
	SMTP_AUTH_AUTO,	 /* with bearer: OAUTHBEARER or XOAUTH2; else PLAIN or LOGIN */
	SMTP_AUTH_PLAIN, /* RFC 4616 */
	SMTP_AUTH_LOGIN,
	SMTP_AUTH_XOAUTH2,
	SMTP_AUTH_OAUTHBEARER, /* RFC 7628 */
};

/* Microseconds; 0 means the default, which is that of RFC 5321 section 4.5.3.2 where it has one. */
struct smtp_timeouts {
	int64_t connect;    /* resolving and connecting: 30 s */
	int64_t greeting;   /* from there to the 220, a TLS handshake included: 5 min */
	int64_t command;    /* EHLO, STARTTLS, AUTH, MAIL, RCPT, RSET: 5 min each */
	int64_t data_start; /* the 354 after DATA: 2 min */
	int64_t data_block; /* each block of the body to be taken by the network: 3 min */
	int64_t data_end;   /* the reply to the final dot: 10 min */
	int64_t quit;	    /* the reply to QUIT: 5 s, as nothing depends on it */
};

struct smtp_params {
	const char *host; /* a name or an address (IPv6 without brackets) */
	uint16_t port;	  /* 0: 465 with implicit TLS, else 25 */
	enum smtp_tls tls;
	bool no_verify;	       /* takes any certificate */
	const char *ca_file;   /* PEM; NULL with ca_dir NULL: the system's */
	const char *ca_dir;    /* hashed directory */
	const char *cert_file; /* client certificate, PEM, or NULL */
	const char *key_file;  /* its key; NULL: in cert_file */
	const char *user;      /* NULL: no login */
	const char *password;
	const char *bearer; /* OAuth 2.0 access token in place of a password, or NULL */
	enum smtp_auth auth;
	bool auth_without_tls;	/* credentials may cross a network in clear (loopback: always) */
	bool force_8bit;	/* send 8-bit content to a server without 8BITMIME all the same */
	bool pipeline_messages; /* MAIL of the next message goes behind the final dot of one, where
				* PIPELINING is offered: saves a round trip.  Not the default, as
				* there are servers that accept the one and die of the other, which
				* makes the outcome uncertain. */
	const char *ehlo_name;	/* NULL: the host's own name */
	const char *source;	/* local address or interface to connect from, or NULL */
	struct smtp_timeouts timeouts;
};

/* Fills in the default of each time-out that is 0. */
void smtp_timeouts_fill(struct smtp_timeouts *t);

/* What libcurl connects to: "smtp://host:port/ehlo-name".  -1 where the host cannot be one. */
int smtp_params_url(const struct smtp_params *p, struct buf *url);
/* libcurl's CURLOPT_LOGIN_OPTIONS: which mechanisms may be used. */
const char *smtp_params_login(const struct smtp_params *p);
/* True where nothing may be sent without TLS: as told, or as credentials would cross a network. */
bool smtp_params_need_tls(const struct smtp_params *p);
bool smtp_is_loopback(const struct sockaddr *address);

#endif
