/*
 * What a server says before mail can flow: greeting, EHLO's list, the replies to STARTTLS and AUTH,
 * line by line as libcurl passes them on.
 */
#ifndef SMTP_HELLO_H
#define SMTP_HELLO_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "smtp/capabilities.h"
#include "smtp/reply.h"

struct smtp_hello {
	struct smtp_capabilities caps; /* of the last EHLO: what was offered before TLS is void */
	struct buf offers;	       /* its lines, control characters escaped */
	bool starttls;		       /* 220 to STARTTLS was received */
	bool authenticated;	       /* 235 was received */
	unsigned n_replies;
	unsigned n_lines; /* of the present reply */
	struct smtp_reply_parser parser;
};

void smtp_hello_init(struct smtp_hello *hello);
void smtp_hello_release(struct smtp_hello *hello);
/* Takes a line with its end.  1 at the end of a reply, 0 within one, -1 where this is none. */
int smtp_hello_line(struct smtp_hello *hello, const char *line, size_t len);
/* The last reply, where it was a refusal (4xx, 5xx); else NULL. */
const struct smtp_reply *smtp_hello_refusal(const struct smtp_hello *hello);

#endif
