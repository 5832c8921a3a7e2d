/* Encoded words, read: RFC 2047, as tolerant as the mail that is out there. */
#include <errno.h>
#include <iconv.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "base/num.h"
#include "base/utf8.h"
#include "mail/header.h"

#define CHARSET_MAX 40
#define CONVERSIONS_MAX 50 /* charsets opened for one value; the rest stays as written */
#define REPLACEMENT "\xef\xbf\xbd"

/* Bytes of neighbouring words in one charset wait here, as some split characters between words. */
struct decoder {
	struct buf *out;
	struct buf bytes;
	char charset[CHARSET_MAX];
	int conversions;
};

struct word {
	char charset[CHARSET_MAX];
	char encoding;
	struct view text;
	size_t len; /* of the whole word, frame included */
};

/* "=?charset*language?B?text?=" at the front of s. */
static bool
read_word(struct view s, struct word *ret_word)
{
	const char *p = s.s + 2, *end = s.s + s.len, *mark;
	size_t n = 0;

	if (s.len < 9 || s.s[0] != '=' || s.s[1] != '?')
		return false;
	for (; p < end && *p != '?' && *p != '*'; p++) {
		if (n + 1 == CHARSET_MAX || *p <= ' ' || *p > '~' || strchr("/,()<>\"", *p) != NULL)
			return false;
		ret_word->charset[n++] = *p;
	}
	ret_word->charset[n] = '\0';
	while (p < end && *p != '?' && *p > ' ')
		p++;
	if (n == 0 || end - p < 4 || p[0] != '?' || p[2] != '?')
		return false;
	ret_word->encoding = (char)(p[1] & ~0x20);
	p += 3;
	mark = memchr(p, '?', (size_t)(end - p));
	if (mark == NULL || mark + 1 >= end || mark[1] != '=')
		return false;
	ret_word->text = (struct view){ p, (size_t)(mark - p) };
	ret_word->len = (size_t)(mark + 2 - s.s);
	return ret_word->encoding == 'B' || ret_word->encoding == 'Q';
}

static int
add_q(struct buf *out, struct view text)
{
	for (size_t i = 0; i < text.len; i++) {
		char c = text.s[i];

		if (c == '_')
			c = ' ';
		if (c == '=' && i + 2 < text.len && num_hex(text.s[i + 1]) >= 0 &&
		    num_hex(text.s[i + 2]) >= 0) {
			c = (char)(num_hex(text.s[i + 1]) * 16 + num_hex(text.s[i + 2]));
			i += 2;
		}
		if (buf_addc(out, c) < 0)
			return -1;
	}
	return 0;
}

/* Base64 that takes what it can: people would rather read most of a subject than none. */
static int
add_b(struct buf *out, struct view text)
{
	static const char digits[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	uint32_t bits = 0;
	int count = 0;

	for (size_t i = 0; i < text.len; i++) {
		const char *digit = memchr(digits, text.s[i], sizeof digits - 1);

		if (digit == NULL)
			continue;
		bits = bits << 6 | (uint32_t)(digit - digits);
		count += 6;
		if (count >= 8) {
			count -= 8;
			if (buf_addc(out, (char)(bits >> count & 0xff)) < 0)
				return -1;
		}
	}
	return 0;
}

static int
add_utf8(struct buf *out, const char *s, size_t len)
{
	for (size_t i = 0; i < len;) {
		size_t n = utf8_sequence(s + i, len - i);

		if ((n > 0 ? buf_add(out, s + i, n) : buf_adds(out, REPLACEMENT)) < 0)
			return -1;
		i += n > 0 ? n : 1;
	}
	return 0;
}

static int
convert(struct buf *out, iconv_t conversion, char *s, size_t len)
{
	while (len > 0) {
		char piece[256], *to = piece;
		size_t room = sizeof piece;
		size_t rc = iconv(conversion, &s, &len, &to, &room);

		if (add_utf8(out, piece, sizeof piece - room) < 0)
			return -1;
		if (rc == (size_t)-1 && errno != E2BIG && len > 0) {
			if (buf_adds(out, REPLACEMENT) < 0)
				return -1;
			s++;
			len--;
		}
	}
	return 0;
}

int
mail_to_utf8(struct buf *out, const char *charset, char *bytes, size_t n)
{
	iconv_t conversion = (iconv_t)-1;
	int rc;

	if (strcasecmp(charset, "UTF-8") != 0 && strcasecmp(charset, "US-ASCII") != 0)
		conversion = iconv_open("UTF-8", charset);
	if (conversion == (iconv_t)-1)
		return add_utf8(out, bytes, n);
	rc = convert(out, conversion, bytes, n);
	iconv_close(conversion);
	return rc;
}

/* Turns the waiting bytes into UTF-8. */
static int
flush(struct decoder *d)
{
	int rc = d->bytes.len > 0 ? mail_to_utf8(d->out, d->charset, d->bytes.s, d->bytes.len) : 0;

	buf_clear(&d->bytes);
	return rc;
}

/* Whether a charset can be read; counted, as opening one is dear. */
static bool
is_known(struct decoder *d, const char *charset)
{
	iconv_t conversion;

	if (strcasecmp(charset, "UTF-8") == 0 || strcasecmp(charset, "US-ASCII") == 0 ||
	    strcasecmp(charset, d->charset) == 0)
		return true;
	if (d->conversions++ >= CONVERSIONS_MAX)
		return false;
	conversion = iconv_open("UTF-8", charset);
	if (conversion == (iconv_t)-1)
		return false;
	iconv_close(conversion);
	return true;
}

static int
add_word(struct decoder *d, const struct word *word)
{
	if (strcasecmp(word->charset, d->charset) != 0) {
		if (flush(d) < 0)
			return -1;
		memcpy(d->charset, word->charset, sizeof d->charset);
	}
	return word->encoding == 'Q' ? add_q(&d->bytes, word->text) : add_b(&d->bytes, word->text);
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Walks the value: words are decoded, blanks between two of them dropped, the rest copied. */
static int
decode(struct decoder *d, struct view s)
{
	bool after_word = false;

	for (size_t at = 0; at < s.len;) {
		struct view rest = { s.s + at, s.len - at };
		size_t blanks = 0, n = 0;
		struct word word;

		while (blanks < rest.len && is_blank(rest.s[blanks]))
			blanks++;
		if (read_word((struct view){ rest.s + blanks, rest.len - blanks }, &word) &&
		    is_known(d, word.charset)) {
			if (!after_word && (flush(d) < 0 || add_utf8(d->out, rest.s, blanks) < 0))
				return -1;
			if (add_word(d, &word) < 0)
				return -1;
			after_word = true;
			at += blanks + word.len;
			continue;
		}
		/* At least one byte, up to the next place where a word may begin. */
		n = blanks < rest.len ? blanks + 1 : blanks;
		while (n < rest.len && !is_blank(rest.s[n]) && rest.s[n] != '=')
			n++;
		if (flush(d) < 0 || add_utf8(d->out, rest.s, n) < 0)
			return -1;
		after_word = false;
		at += n;
	}
	return flush(d);
}

/* Unfolds (RFC 5322 section 2.2.3); other control characters become spaces; outer ones go. */
static void
clean(struct buf *b, size_t from)
{
	size_t to = from;

	for (size_t i = from; i < b->len; i++) {
		unsigned char c = (unsigned char)b->s[i], next = (unsigned char)b->s[i + 1];
		bool c1 = c == 0xc2 && next >= 0x80 && next < 0xa0;

		if ((c == '\r' || c == '\n') && (next == '\n' || next == ' ' || next == '\t'))
			continue;
		i += c1;
		if (c < 0x20 || c == 0x7f || c1)
			c = ' ';
		if (c != ' ' || to > from)
			b->s[to++] = (char)c;
	}
	while (to > from && b->s[to - 1] == ' ')
		to--;
	buf_truncate(b, to);
}

int
mail_header_decode(struct buf *out, const char *value, size_t len)
{
	size_t before = out->len;
	struct decoder d = { .out = out, .bytes = BUF_INIT(out->max) };
	int rc = decode(&d, (struct view){ value, len });

	buf_release(&d.bytes);
	if (rc < 0) {
		buf_truncate(out, before);
		errno = E2BIG;
		return -1;
	}
	clean(out, before);
	return 0;
}
