/*
 * A raw RFC 5322 message on its way through, as sendmail reads it: the header is held (at most
 * MAIL_RAW_HEADER_MAX) until it is whole, so that the envelope is known before a byte goes out; the
 * body streams in constant memory.
 *
 * The text passes byte for byte, but for this: every line ends with CRLF, whatever it was (LF,
 * CRLF, CR CR LF, a lone CR; within a header field a lone CR becomes a space, so that it begins no
 * new field); a leading mbox "From " line, Bcc and Resent-Bcc are gone; in an address whose local part
 * is ASCII, the domain is too (A-labels), unless the header is signed (DKIM); Date, Message-ID and From
 * are added where they are missing; a blank line is put between header and body where there was
 * none, also for a text with no header at all.
 *
 *	struct mail_raw *raw = mail_raw_new(&options);
 *	while ((n = read(0, chunk, sizeof chunk)) > 0 && whole == 0)
 *		whole = mail_raw_feed(raw, chunk, n, &err);	1: the header is whole
 *	if (whole == 0)
 *		mail_raw_header_end(raw, &err);			the input ended within the header
 *	mail_raw_info(raw), mail_raw_recipients(raw, ...)	write the record
 *	mail_raw_start(raw, &sink, &err);			header and what is held of the body
 *	while (... && ended == 0)
 *		ended = mail_raw_feed(raw, chunk, n, &err);	1: a line with a dot ended it
 *	mail_raw_end(raw, &err);
 *	mail_raw_free(raw);
 */
#ifndef MAIL_RAW_H
#define MAIL_RAW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "mail/address.h"
#include "mail/mime.h"

#define MAIL_RAW_HEADER_MAX ((size_t)1 << 20) /* bytes; a longer header is EX_DATAERR */

struct mail_raw_options {
	bool dot_ends;		    /* sendmail without -i: a line with a single dot is the end */
	const char *from_addr;	    /* canonical; for a missing From; NULL: none is added */
	const char *from_name;	    /* with it, as -F gives it; NULL: none */
	const char *host;	    /* right of the @ in a Message-ID that is made; not NULL */
	const char *default_domain; /* for addresses without one; NULL: they are refused */
	int64_t now;		    /* for a missing Date, microseconds as in clock.h */
};

struct mail_raw_info {
	/* Known when the header is whole. */
	const char *subject; /* decoded for display; NULL where there is none */
	const char *from; /* addr-spec of the first address in From; NULL: none that can be read */
	const char *message_id; /* with its <>, the one that is there or was made */
	bool has_recipients;	/* mail_raw_recipients would find some */
	bool header_8bit;	/* the header has bytes above 127 */
	bool needs_smtputf8;	/* an address in the header has a local part or domain with such */
	/* Known after mail_raw_end. */
	bool body_8bit; /* needs 8BITMIME (RFC 6152), as header_8bit does */
	bool has_nul;	/* passed on; only BINARYMIME allows it (RFC 3030) */
	bool long_line; /* a line over 998 bytes, passed on */
	uint64_t size;	/* bytes written to the sink */
};

struct mail_raw;

/* Copies the options. */
struct mail_raw *mail_raw_new(const struct mail_raw_options *options);
void mail_raw_free(struct mail_raw *raw); /* NULL allowed */
void mail_raw_freep(struct mail_raw **raw);
#define AUTO_RAW AUTO(mail_raw_freep)

/*
 * Takes the next bytes of the input.  Before mail_raw_start: 0 to go on, 1 as soon as the header is
 * whole (what follows it in these bytes is held; feed no more before mail_raw_start).  After it: 0,
 * or 1 when a line with a dot has ended the message (more is ignored).  -1 with err.
 */
int mail_raw_feed(struct mail_raw *raw, const void *bytes, size_t n, struct err *err);
/* The input has ended: what was fed is all, and the header is whole.  Harmless when it was. */
int mail_raw_header_end(struct mail_raw *raw, struct err *err);
/* Writes the header and what is held of the body; the sink is used until mail_raw_end.  0, or 1
 * where a line with a dot in there has ended the message already; -1 with err. */
int mail_raw_start(struct mail_raw *raw, const struct mail_sink *sink, struct err *err);
/* Ends the last line and flushes. */
int mail_raw_end(struct mail_raw *raw, struct err *err);

const struct mail_raw_info *mail_raw_info(const struct mail_raw *raw);

/*
 * Appends the header's recipients as sendmail -t takes them: those of Resent-To, Resent-Cc and
 * Resent-Bcc if the header has any of these, else of To, Cc and Bcc; each address once.  -1 with
 * EX_DATAERR and the field's name where one cannot be read.
 */
int mail_raw_recipients(const struct mail_raw *raw, struct mail_addresses *list, struct err *err);

#endif
