/* What is wrong with an account, rather than with a message. */
#ifndef SMTP_FAULT_H
#define SMTP_FAULT_H

#include "smtp/reply.h"

enum smtp_fault_class {
	SMTP_FAULT_CONFIG,   /* parameters that cannot work */
	SMTP_FAULT_RESOLVE,  /* no address for the host */
	SMTP_FAULT_CONNECT,  /* no connection to any of its addresses */
	SMTP_FAULT_TLS,	     /* not offered, handshake, certificate */
	SMTP_FAULT_AUTH,     /* not offered, refused, or demanded at MAIL (530) */
	SMTP_FAULT_GREETING, /* refused by the greeting or at EHLO, or 421 again and again */
	SMTP_FAULT_PROTOCOL, /* what came was not SMTP, or connections are lost again and again */
	SMTP_FAULT_TIMEOUT,
};

struct smtp_fault {
	enum smtp_fault_class class;
	struct smtp_reply reply; /* the server's reply where it was one that failed us (code > 0),
				  * else our words; never holds a secret */
};

/* "resolve", "connect", "tls", ... */
const char *smtp_fault_name(enum smtp_fault_class class);

#endif
