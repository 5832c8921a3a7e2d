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

struct mail_compose_options {
	int64_t now; /* for Date, microseconds as in clock.h; used where no extra header is one */
	uint64_t attachment_max;  /* bytes of one attachment; 0: no limit */
	struct mail_magic *magic; /* NULL: types by name and a few signatures only */
};

/*
 * Writes a message that mail_message_complete has passed.  Attachments are read as they are
 * written, in constant memory.  -1: EX_DATAERR for an attachment that is too large, EX_IOERR and
 * the like where one cannot be read, err_io of errno where the sink failed; what the sink has taken
 * by then is to be thrown away.
 */
int mail_compose(const struct mail_message *m, const struct mail_compose_options *options,
    const struct mail_sink *sink, struct err *err);

#endif
