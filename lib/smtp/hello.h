/*
 * What a server says before mail can flow: greeting, EHLO's list, the replies to STARTTLS and AUTH,
 * line by line as libcurl passes them on, before it reads them itself.
 *
 * Keywords and mechanisms are the same in any case (RFC 5321 section 2.4), and libcurl (7.88, 8.x) only
 * knows them in upper case, directly behind the code.  So a line that offers STARTTLS or AUTH is put into
 * that form in the caller's buffer, which libcurl reads next.  If a libcurl reads a copy instead, it
 * misses the keyword, and the caller finds that what is offered did not take place.
 */
#ifndef SMTP_HELLO_H
#define SMTP_HELLO_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "smtp/capabilities.h"
#include "smtp/reply.h"

/* What a reply answers. */
enum smtp_hello_step {
	SMTP_HELLO_GREETING,
	SMTP_HELLO_EHLO,
	SMTP_HELLO_HELO,  /* EHLO was refused */
	SMTP_HELLO_LOGIN, /* STARTTLS, then AUTH */
};

struct smtp_hello {
	struct smtp_capabilities caps; /* of the last EHLO: what was offered before TLS is void */
	struct buf offers;	       /* its lines, control characters escaped */
	bool offered_tls;	       /* STARTTLS was, in clear */
	bool starttls;		       /* 220 to STARTTLS was received */
	bool authenticated;	       /* 235 was received */
	enum smtp_hello_step step;     /* of the present reply */
	enum smtp_hello_step answered; /* of the last whole one */
	unsigned n_logins;	       /* replies behind the last EHLO or HELO */
	unsigned n_replies;
	unsigned n_lines; /* of the present reply */
	struct smtp_reply_parser parser;
};

void smtp_hello_init(struct smtp_hello *hello);
void smtp_hello_release(struct smtp_hello *hello);
/* Takes a line with its end, which may change as said above; its length stays.  1 at the end of a reply,
 * 0 within one, -1 where this is none. */
int smtp_hello_line(struct smtp_hello *hello, char *line, size_t len);
/* The last reply, where it was a refusal (4xx, 5xx); else NULL. */
const struct smtp_reply *smtp_hello_refusal(const struct smtp_hello *hello);

#endif
