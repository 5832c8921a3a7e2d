/*
 * MIME bodies: transfer encodings (RFC 2045), boundaries (RFC 2046), and the sink that every writer
 * of messages writes to.
 */
#ifndef MAIL_MIME_H
#define MAIL_MIME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/* Where a message goes.  write takes all n bytes and returns 0, or -1 with errno, which ends the
 * work; it is called with pieces of any size. */
struct mail_sink {
	int (*write)(void *arg, const void *bytes, size_t n);
	void *arg;
};

/* A sink that appends to a struct buf: { mail_sink_to_buf, &buf }. */
int mail_sink_to_buf(void *buf, const void *bytes, size_t n);

int mail_sink_write(const struct mail_sink *sink, const void *bytes, size_t n);
int mail_sink_puts(const struct mail_sink *sink, const char *str);

/* How many bytes stand before the first CR or LF; len where there is none. */
size_t mail_line_length(const char *s, size_t len);

enum mail_encoding { MAIL_7BIT, MAIL_QUOTED_PRINTABLE, MAIL_BASE64 };

/* "7bit", "quoted-printable", "base64". */
const char *mail_encoding_name(enum mail_encoding encoding);

/* The encoding for a text: 7bit where it is safe as it is (ASCII, no NUL or other control character
 * but tab and line ends, lines <= 998), else the shorter of the other two. */
enum mail_encoding mail_encoding_for(const char *text, size_t len);

/* Writes a text in an encoding.  Line ends (LF, CRLF, lone CR) become CRLF; what is written ends
 * with one. */
int mail_write_text(const struct mail_sink *sink, enum mail_encoding encoding, const char *text,
    size_t len);

/* Base64 in lines of 76 (RFC 2045 section 6.8), in pieces: begin by zeroing but for the sink. */
struct mail_base64 {
	const struct mail_sink *sink;
	unsigned char rest[57]; /* bytes that do not fill a line yet */
	size_t n;
};
int mail_base64_feed(struct mail_base64 *state, const void *bytes, size_t n);
int mail_base64_end(struct mail_base64 *state);

/* Appends base64 without line breaks.  -1 with E2BIG. */
int mail_base64_encode(struct buf *out, const void *bytes, size_t n);
/*
 * Decodes RFC 4648 section 4: strict in alphabet, length and padding; blanks and line breaks
 * between are passed over.  -1 with errno = EINVAL and *ret_at the offset of the fault, or E2BIG.
 */
int mail_base64_decode(struct buf *out, const char *text, size_t len, size_t *ret_at);

/*
 * The same in pieces: zeroed at the beginning.  mail_base64_read appends what has become whole; -1 with EINVAL
 * (then at is the offset of the fault, over all pieces) or E2BIG.  mail_base64_read_end: -1 with EINVAL where
 * the text is not over.
 */
struct mail_base64_reader {
	uint32_t bits;
	int digits, pads; /* of the four at hand */
	uint64_t at;	  /* characters so far */
};
int
mail_base64_read(struct mail_base64_reader *reader, const char *text, size_t len, struct buf *out);
int mail_base64_read_end(const struct mail_base64_reader *reader);

#define MAIL_RANDOM_SIZE 25
/* 24 characters [a-z0-5]: 120 random bits. */
void mail_random(char text[MAIL_RANDOM_SIZE]);

#define MAIL_BOUNDARY_SIZE (MAIL_RANDOM_SIZE + 2)
/* A boundary of 120 random bits that neither base64 nor quoted-printable can contain. */
void mail_boundary(char boundary[MAIL_BOUNDARY_SIZE]);

#endif
