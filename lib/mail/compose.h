/*
 * From fields to RFC 5322 text: CRLF line ends, no line over 998 bytes, 7-bit (but for UTF-8
 * addresses in the header where mail_message_needs_smtputf8), ready to be dot-stuffed and sent.
 *
 * The structure is the smallest that holds the content (RFC 2046, 2387):
 * mixed( related( alternative( text, html ), inline... ), attachments... ).
 */
#ifndef MAIL_COMPOSE_H
#define MAIL_COMPOSE_H

#include <stdint.h>

#include "base/err.h"
#include "mail/magic.h"
#include "mail/message.h"
#include "mail/mime.h"

/* What separates the parts of the three multiparts that a message may have. */
struct mail_boundaries {
	char mixed[MAIL_BOUNDARY_SIZE], related[MAIL_BOUNDARY_SIZE],
	    alternative[MAIL_BOUNDARY_SIZE];
};

struct mail_compose_options {
	int64_t now; /* for Date, microseconds as in clock.h; used where no extra header is one */
	uint64_t attachment_max;  /* bytes of one attachment; 0: no limit */
	struct mail_magic *magic; /* NULL: types by name and a few signatures only */
	/* NULL: made up.  With the same ones, now and magic, a message whose attachments are bytes and parts
	 * is composed to the same text each time. */
	const struct mail_boundaries *boundaries;
	/*
	 * Called in place of the content of an attachment that is a part, or of the whole of one
	 * that is remote, when all before it has gone to the sink.  0, or -1 with an error that arg
	 * keeps: then mail_compose() fails without touching err.  A message without such
	 * attachments needs neither.
	 *
	 * Of a remote one nothing is written, not even the line before it: what belongs there is
	 * "--BOUNDARY\r\n", mail_attachment_head() and the base64, or nothing at all where it is left
	 * out.
	 */
	int (*part)(void *arg, const struct mail_part *part);
	int (*remote)(void *arg, const struct mail_attachment *a, const char *boundary);
	void *arg; /* of both */
};

/*
 * Writes a message that mail_message_complete has passed.  Attachments are read as they are
 * written, in constant memory.  -1: EX_DATAERR for an attachment that is too large, EX_IOERR and
 * the like where one cannot be read, err_io of errno where the sink failed; what the sink has taken
 * by then is to be thrown away.
 */
int mail_compose(const struct mail_message *m, const struct mail_compose_options *options,
    const struct mail_sink *sink, struct err *err);

/* Appends the header of an attachment's MIME part, with the empty line behind it.  utf8: what a text/...
 * is written in; content_id may be NULL.  -1 where out is full. */
int mail_attachment_head(struct buf *out, const char *filename, const char *type, bool utf8,
    const char *content_id);
/* Whether the first bytes of a content (n, or MAIL_SNIFF_SIZE of them) are UTF-8. */
bool mail_starts_as_utf8(const char *start, size_t n);

/* Makes new ones up. */
void mail_make_boundaries(struct mail_boundaries *ret);

#endif
