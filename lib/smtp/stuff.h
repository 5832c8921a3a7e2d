/*
 * The content of a message on its way behind DATA (RFC 5321 section 4.5.2): a line that begins with
 * a dot gets another one.  CR and LF go out as CRLF only: either of them alone, which some servers
 * take for the end of a line, becomes one here, so that no content can smuggle a final dot.
 */
#ifndef SMTP_STUFF_H
#define SMTP_STUFF_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

struct smtp_stuffer {
	bool inside;	 /* within a line: something stands on it already */
	bool pending_cr; /* the last byte was a CR */
};

#define SMTP_STUFFER_INIT                                                                          \
	{                                                                                          \
		false, false                                                                       \
	}

/* Appends n bytes of content to out, which takes 2 * n + 2 bytes at the most. */
void smtp_stuff(struct smtp_stuffer *st, struct buf *out, const char *bytes, size_t n);
/* Ends the last line where it is open, and appends the final dot. */
void smtp_stuff_end(struct smtp_stuffer *st, struct buf *out);

#endif
