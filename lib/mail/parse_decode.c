/* The content of a part: decoded, as bytes or as text. */
#include <errno.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/num.h"
#include "mail/header.h"
#include "mail/parse.h"

#define PIECE 32768

struct decoder {
	const struct mail_sink *sink;
	enum mail_encoding encoding;
	uint64_t left; /* bytes that may still be written */
	bool cut;

	uint32_t bits; /* base64 */
	int count;
	bool padded;

	/* Quoted-printable: blanks (which vanish before a line end) and an escape that are not complete. */
	char pending[PIECE];
	size_t waiting;
};

static int
put(struct decoder *d, const char *bytes, size_t n)
{
	if (n > d->left) {
		d->cut = true;
		n = (size_t)d->left;
	}
	d->left -= n;
	return mail_sink_write(d->sink, bytes, n);
}

/* Digits are taken, all else is passed over; padding ends it. */
static int
feed_base64(struct decoder *d, const char *s, size_t n)
{
	static const char digits[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	signed char value[256];
	char out[PIECE];
	size_t len = 0;

	memset(value, -1, sizeof value);
	for (int i = 0; i < 64; i++)
		value[(unsigned char)digits[i]] = (signed char)i;
	for (size_t i = 0; i < n && !d->padded; i++) {
		int digit = value[(unsigned char)s[i]];

		d->padded = s[i] == '=';
		if (digit < 0)
			continue;
		d->bits = (d->bits << 6 | (uint32_t)digit) & 0xffffff;
		d->count += 6;
		if (d->count >= 8) {
			d->count -= 8;
			out[len++] = (char)(d->bits >> d->count & 0xff);
		}
	}
	return put(d, out, len);
}

/*
 * What stands at s, of n bytes, as a unit of quoted-printable: how long it is, 0 where more is needed to
 * tell; *ret the bytes it stands for.
 */
static size_t
unit(const char *s, size_t n, bool last, struct view *ret, char *byte)
{
	size_t blanks = 0, len = 1;

	*ret = (struct view){ s, 1 };
	if (*s == ' ' || *s == '\t') {
		while (blanks < n && (s[blanks] == ' ' || s[blanks] == '\t'))
			blanks++;
		if (blanks == n && !last && n < PIECE)
			return 0;
		if (blanks == n || s[blanks] == '\n' || s[blanks] == '\r')
			ret->len = 0; /* RFC 2045 section 6.7, rule 3 */
		else
			ret->len = blanks;
		return blanks;
	}
	if (*s != '=')
		return 1;
	while (len < n && (s[len] == ' ' || s[len] == '\t'))
		len++; /* blanks behind a soft line break */
	if (len < n && s[len] == '\r')
		len++;
	if (len == n && !last && n < PIECE)
		return 0;
	if (len < n && s[len] == '\n') {
		ret->len = 0;
		return len + 1;
	}
	if (n < 3 && !last)
		return 0;
	if (n >= 3 && num_hex(s[1]) >= 0 && num_hex(s[2]) >= 0) {
		*byte = (char)(num_hex(s[1]) * 16 + num_hex(s[2]));
		*ret = (struct view){ byte, 1 };
		return 3;
	}
	return 1;
}

/* Takes as much of the pending bytes as can be told. */
static int
drain_quoted(struct decoder *d, bool last)
{
	AUTO_BUF struct buf out = BUF_INIT(PIECE);
	size_t at = 0;

	while (at < d->waiting) {
		struct view bytes;
		char byte;
		size_t n = unit(d->pending + at, d->waiting - at, last, &bytes, &byte);

		if (n == 0)
			break;
		buf_add(&out, bytes.s, bytes.len);
		at += n;
	}
	memmove(d->pending, d->pending + at, d->waiting - at);
	d->waiting -= at;
	return put(d, out.s, out.len);
}

static int
feed_quoted(struct decoder *d, const char *s, size_t n)
{
	while (n > 0) {
		size_t room = PIECE - d->waiting, step = n < room ? n : room;

		memcpy(d->pending + d->waiting, s, step);
		d->waiting += step;
		s += step;
		n -= step;
		if (drain_quoted(d, false) < 0)
			return -1;
	}
	return 0;
}

static int
feed(struct decoder *d, const char *s, size_t n)
{
	if (d->encoding == MAIL_BASE64)
		return feed_base64(d, s, n);
	return d->encoding == MAIL_QUOTED_PRINTABLE ? feed_quoted(d, s, n) : put(d, s, n);
}

int
mail_part_decode(int fd, const struct mail_parsed_part *part, uint64_t max,
    const struct mail_sink *sink)
{
	AUTO_FREE struct decoder *d = xcalloc(1, sizeof *d);
	AUTO_FREE char *piece = xmalloc(PIECE);
	uint64_t left = part->length;
	off_t at = (off_t)part->offset;

	d->sink = sink;
	d->encoding = part->encoding;
	d->left = max;
	while (left > 0 && !d->cut) {
		ssize_t n = pread(fd, piece, left < PIECE ? (size_t)left : PIECE, at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 || (n > 0 && feed(d, piece, (size_t)n) < 0))
			return -1;
		if (n == 0)
			break; /* shorter than it was */
		left -= (uint64_t)n;
		at += n;
	}
	if (!d->cut && drain_quoted(d, true) < 0)
		return -1;
	return d->cut;
}

int
mail_part_text(int fd, const struct mail_parsed_part *part, size_t max, struct buf *out)
{
	AUTO_BUF struct buf bytes = BUF_INIT(max);
	struct mail_sink sink = { mail_sink_to_buf, &bytes };
	const char *charset = part->charset[0] != '\0' ? part->charset : "UTF-8";
	size_t from = out->len, to = from;
	int cut = mail_part_decode(fd, part, max, &sink);

	if (cut < 0)
		return -1;
	/* Behind a cut stands the beginning of a character, perhaps. */
	if (cut > 0 && strcasecmp(charset, "UTF-8") == 0)
		while (bytes.len > 0 && (bytes.s[bytes.len - 1] & 0xc0) == 0x80)
			buf_truncate(&bytes, bytes.len - 1);
	if (cut > 0 && bytes.len > 0 && (bytes.s[bytes.len - 1] & 0xc0) == 0xc0)
		buf_truncate(&bytes, bytes.len - 1);
	if (mail_to_utf8(out, charset, bytes.s, bytes.len) < 0)
		return -1;
	/* A NUL ends texts elsewhere; nothing that is to be read has one. */
	for (size_t i = from; i < out->len; i++)
		if (out->s[i] != '\0')
			out->s[to++] = out->s[i];
	buf_truncate(out, to);
	return cut;
}
