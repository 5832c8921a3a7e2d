/*
 * Header fields: writing them folded and in ASCII (RFC 5322 sections 2.1.1 and 2.2.3, RFC 2047,
 * RFC 2231), and reading those of a raw message.
 *
 * Writers append whole fields, "Name: value" CRLF.  They trust their caller to have refused control
 * characters (mail_text_check); no line they make is longer than 998 bytes, and lines are broken
 * before 78 wherever the value has a place for it.  They fail only with E2BIG, as struct buf does.
 */
#ifndef MAIL_HEADER_H
#define MAIL_HEADER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "mail/address.h"

#define MAIL_LINE_MAX 998	/* RFC 5322 section 2.1.1, without the CRLF */
#define MAIL_FIELD_NAME_MAX 128 /* ours */

/* True for printable ASCII without the colon, 1 to MAIL_FIELD_NAME_MAX bytes (RFC 5322, 2.2). */
bool mail_field_name_ok(const char *name, size_t len);

/*
 * Refuses what may not stand in a header: invalid UTF-8, line breaks and other control characters
 * (C0, DEL and C1).  -1 with EX_DATAERR and, for example, "line break at byte 5" (counted from 1).
 */
int mail_text_check(const char *text, size_t len, struct err *err);

/* An unstructured field (Subject, X-...); what is not ASCII becomes encoded words.  ASCII that is
 * an encoded word already stays one: callers that encode themselves are understood. */
int mail_header_text(struct buf *out, const char *name, const char *value, size_t len);

/* A field of addresses.  Names that are not ASCII become encoded words; a local part that is not
 * ASCII stays UTF-8 (RFC 6532).  An empty list writes nothing. */
int mail_header_addresses(struct buf *out, const char *name, const struct mail_addresses *list);

/* A parameter of a MIME field: ";" CRLF TAB name="value"; or name*= where value is not ASCII (RFC 2231
 * section 4), alone: there are readers that take a name= beside it for the better one. */
int mail_header_param(struct buf *out, const char *name, const char *value);
/* The same for readers that do not know RFC 2231: where value is not ASCII, name="encoded words".  RFC 2047
 * section 5 forbids these in quotes; that is where such readers look for them, and others do not. */
int mail_header_param_words(struct buf *out, const char *name, const char *value);

/* Appends text as encoded words of UTF-8, B or Q, whichever is shorter, each at most 75 bytes, none
 * splitting a character, broken over lines (RFC 2047 section 2).  They also
 * fit for the name of an address (section 5).  The line so far is what out holds behind its last
 * line end. */
int mail_encode_words(struct buf *out, const char *text, size_t len);

/*
 * Appends a raw field value as a person may read it: unfolded, encoded words decoded from any
 * charset that iconv knows, always valid UTF-8, control characters replaced by spaces, outer spaces
 * gone.  Whatever cannot be decoded stays as it was written.  -1 with E2BIG.
 */
int mail_header_decode(struct buf *out, const char *value, size_t len);

/* Appends bytes of a charset (UTF-8 where iconv does not know it) as UTF-8; what is not valid in it becomes
 * U+FFFD.  charset consists of letters, digits and "-_.:+".  bytes are read only.  -1 with E2BIG. */
int mail_to_utf8(struct buf *out, const char *charset, char *bytes, size_t n);

/* One field of a raw header block; all views point into the block. */
struct mail_field {
	struct view all;   /* from the name to the end of its last line, line end included */
	struct view name;  /* without the colon and blanks before it */
	struct view value; /* after the colon, still folded, without the last line end */
};

/*
 * Takes the next field off the front of rest (lines end with CRLF or LF).  1 and *ret_field; 0 at
 * the blank line that ends the header, or at the end; -1 where the next line is not a field.  Only
 * 1 moves rest on.
 */
int mail_field_next(struct view *rest, struct mail_field *ret_field);
/* Equal to a name, whatever the case. */
bool mail_field_is(const struct mail_field *field, const char *name);

#endif
