/* Base64: RFC 4648 section 4, in lines as RFC 2045 section 6.8. */
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "mail/mime.h"

#define LINE_BYTES 57 /* 76 characters */
#define LINE_CHARS 78 /* with CRLF */

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* Writes the text of n bytes, (n + 2) / 3 * 4 characters, and returns what follows it. */
static char *
encode(char *to, const unsigned char *p, size_t n)
{
	for (; n >= 3; n -= 3, p += 3) {
		uint32_t bits = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];

		*to++ = digits[bits >> 18];
		*to++ = digits[bits >> 12 & 63];
		*to++ = digits[bits >> 6 & 63];
		*to++ = digits[bits & 63];
	}
	if (n > 0) {
		uint32_t bits = (uint32_t)p[0] << 16 | (n > 1 ? (uint32_t)p[1] << 8 : 0);

		*to++ = digits[bits >> 18];
		*to++ = digits[bits >> 12 & 63];
		*to++ = n > 1 ? digits[bits >> 6 & 63] : '=';
		*to++ = '=';
	}
	return to;
}

int
mail_base64_encode(struct buf *out, const void *bytes, size_t n)
{
	size_t size = (n / 3 + (n % 3 > 0)) * 4;

	if (n > SIZE_MAX / 2 || buf_reserve(out, size) < 0)
		return -1;
	if (n == 0)
		return 0;
	encode(out->s + out->len, bytes, n);
	out->len += size;
	out->s[out->len] = '\0';
	return 0;
}

/* Writes whole lines; the last may be shorter. */
static int
write_lines(const struct mail_sink *sink, const unsigned char *p, size_t n)
{
	char text[64 * LINE_CHARS], *to = text;

	while (n > 0) {
		size_t take = n < LINE_BYTES ? n : LINE_BYTES;

		to = encode(to, p, take);
		*to++ = '\r';
		*to++ = '\n';
		p += take;
		n -= take;
		if (n == 0 || to == text + sizeof text) {
			if (mail_sink_write(sink, text, (size_t)(to - text)) < 0)
				return -1;
			to = text;
		}
	}
	return 0;
}

int
mail_base64_feed(struct mail_base64 *state, const void *bytes, size_t n)
{
	const unsigned char *p = bytes;
	size_t whole;

	if (state->n > 0) {
		size_t take = LINE_BYTES - state->n < n ? LINE_BYTES - state->n : n;

		memcpy(state->rest + state->n, p, take);
		state->n += take;
		p += take;
		n -= take;
		if (state->n < LINE_BYTES)
			return 0;
		state->n = 0;
		if (write_lines(state->sink, state->rest, LINE_BYTES) < 0)
			return -1;
	}
	whole = n - n % LINE_BYTES;
	if (write_lines(state->sink, p, whole) < 0)
		return -1;
	if (n > whole)
		memcpy(state->rest, p + whole, n - whole);
	state->n = n - whole;
	return 0;
}

int
mail_base64_end(struct mail_base64 *state)
{
	size_t n = state->n;

	state->n = 0;
	return write_lines(state->sink, state->rest, n);
}

/* ---- decoding ------------------------------------------------------------------------------- */

enum { BLANK = 64, PAD = 65, BAD = 66 };

static void
make_table(unsigned char table[256])
{
	memset(table, BAD, 256);
	for (unsigned char i = 0; i < 64; i++)
		table[(unsigned char)digits[i]] = i;
	table[' '] = table['\t'] = table['\r'] = table['\n'] = BLANK;
	table['='] = PAD;
}

/* Takes one character that is no blank; -1 where it may not stand here. */
static int
take(struct mail_base64_reader *q, unsigned char value, struct buf *out)
{
	if (value == BAD || (value == PAD ? q->digits < 2 : q->pads > 0))
		return -1;
	if (value == PAD) {
		q->pads++;
	} else {
		q->bits = q->bits << 6 | value;
		q->digits++;
	}
	if (q->digits + q->pads < 4)
		return 0;
	q->bits <<= 6 * q->pads;
	for (int i = 0; i < 3 - q->pads; i++)
		out->s[out->len++] = (char)(q->bits >> (16 - 8 * i) & 0xff);
	if (q->pads > 0) {
		q->digits = 5; /* the end: neither digit nor padding fits any more */
	} else {
		q->bits = 0;
		q->digits = 0;
	}
	return 0;
}

int
mail_base64_read(struct mail_base64_reader *reader, const char *text, size_t len, struct buf *out)
{
	unsigned char table[256];
	struct mail_base64_reader q = *reader;
	size_t at;

	if (buf_reserve(out, len / 4 * 3 + 6) < 0)
		return -1;
	make_table(table);
	for (at = 0; at < len; at++) {
		const unsigned char *p = (const unsigned char *)text + at;
		unsigned char value = table[*p];

		/* The common road: four digits at once. */
		if (q.digits == 0 && len - at >= 4 &&
		    (value | table[p[1]] | table[p[2]] | table[p[3]]) < 64) {
			uint32_t bits = (uint32_t)value << 18 | (uint32_t)table[p[1]] << 12 |
			    (uint32_t)table[p[2]] << 6 | table[p[3]];

			out->s[out->len++] = (char)(bits >> 16);
			out->s[out->len++] = (char)(bits >> 8 & 0xff);
			out->s[out->len++] = (char)(bits & 0xff);
			at += 3;
			continue;
		}
		if (value == BLANK)
			continue;
		if (q.digits == 5 || take(&q, value, out) < 0)
			break;
	}
	q.at += at;
	*reader = q;
	out->s[out->len] = '\0';
	if (at == len)
		return 0;
	errno = EINVAL;
	return -1;
}

int
mail_base64_read_end(const struct mail_base64_reader *reader)
{
	if (reader->digits == 0 || reader->digits == 5)
		return 0;
	errno = EINVAL;
	return -1;
}

int
mail_base64_decode(struct buf *out, const char *text, size_t len, size_t *ret_at)
{
	struct mail_base64_reader reader = { 0 };
	size_t before = out->len;

	if (mail_base64_read(&reader, text, len, out) == 0 && mail_base64_read_end(&reader) == 0)
		return 0;
	if (errno == EINVAL) {
		buf_truncate(out, before);
		*ret_at = (size_t)reader.at;
	}
	return -1;
}
