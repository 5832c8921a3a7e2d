/*
 * A message that lies in a file, taken apart (RFC 5322, 2045, 2046) so that a person can look at it.
 * It is read in pieces, and what is kept is bounded, whatever it holds: parts, their depth, headers.
 * Nothing is refused: what is malformed is text as it stands, and what is beyond a bound is left out.
 *
 *	AUTO_PARSED struct mail_parsed mail = MAIL_PARSED_INIT;
 *	if (mail_parse(fd, size, form_parameter, &mail) < 0) ...
 *	mail_part_text(fd, mail_part_to_read(&mail, "text/html"), 1 << 20, &out);
 */
#ifndef MAIL_PARSE_H
#define MAIL_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/buf.h"
#include "mail/attachment.h"
#include "mail/mime.h"

#define MAIL_PARSE_PARTS 500
#define MAIL_PARSE_DEPTH 20
#define MAIL_PARSE_HEADER ((size_t)256 * 1024) /* bytes kept of the message's header */
#define MAIL_PARSE_PART_HEADER ((size_t)16 * 1024)
#define MAIL_PARSE_NAME 256 /* bytes, with the terminator, of a part's names */

/* Reads one parameter of a field, RFC 2231's forms included: 1 and the value, 0 absent, -1 malformed. */
typedef int mail_parameter(const char *field, const char *name, char *ret, size_t size);

/* A part that holds no others. */
struct mail_parsed_part {
	char type[MAIL_TYPE_SIZE]; /* "text/plain"; lower case, valid ("text/plain" else) */
	char charset[64];	   /* of a text; "" where none is named */
	char filename
	    [MAIL_PARSE_NAME]; /* UTF-8, no directories, no controls; "" where none is named */
	char content_id[MAIL_PARSE_NAME]; /* without its <>; "" */
	bool attachment;		  /* it says so itself */
	enum mail_encoding encoding;	  /* MAIL_7BIT: as it is */
	uint64_t offset, length;	  /* in the file, as encoded */
};

struct mail_parsed {
	struct buf header; /* of the message, as it is, as far as it fits */
	struct mail_parsed_part *parts;
	size_t count;
};

#define MAIL_PARSED_INIT                                                                           \
	{                                                                                          \
		BUF_INIT(MAIL_PARSE_HEADER), NULL, 0                                               \
	}
#define AUTO_PARSED AUTO(mail_parsed_release)
void mail_parsed_release(struct mail_parsed *parsed);

/* The header alone (up to the first blank line, which is not part of it) of the size bytes in fd.
 * -1 with errno where it cannot be read. */
int mail_parse_header(int fd, uint64_t size, struct buf *header);
/* All.  parsed is fresh.  -1 with errno where it cannot be read. */
int mail_parse(int fd, uint64_t size, mail_parameter *parameter, struct mail_parsed *parsed);
/* The same for a message that lies within another: the length bytes at offset.  The parts' offsets are those
 * in the file. */
int mail_parse_at(int fd, uint64_t offset, uint64_t length, mail_parameter *parameter,
    struct mail_parsed *parsed);

/* The first part of this type that is no attachment; NULL: there is none. */
const struct mail_parsed_part *
mail_part_to_read(const struct mail_parsed *parsed, const char *type);

/* The first field of this name, decoded for display, appended to ret.  1, 0 where there is none, -1 with
 * E2BIG. */
int mail_header_field(const struct buf *header, const char *name, struct buf *ret);

/*
 * Writes the decoded content to sink, at most max bytes of it; base64 and quoted-printable are read as
 * well as they can be.  0, 1 where there was more, -1 with errno.
 */
int mail_part_decode(int fd, const struct mail_parsed_part *part, uint64_t max,
    const struct mail_sink *sink);
/* The same for a text, as UTF-8 (what is not valid becomes U+FFFD; NULs are dropped), appended to out; at
 * most max bytes of it are decoded. */
int mail_part_text(int fd, const struct mail_parsed_part *part, size_t max, struct buf *out);

#endif
