#include "mail/mime.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "mail/header.h"

#define QP_LINE_MAX 76 /* RFC 2045 section 6.7, rule 5 */

int
mail_sink_to_buf(void *buf, const void *bytes, size_t n)
{
	return buf_add(buf, bytes, n);
}

int
mail_sink_write(const struct mail_sink *sink, const void *bytes, size_t n)
{
	return n > 0 ? sink->write(sink->arg, bytes, n) : 0;
}

int
mail_sink_puts(const struct mail_sink *sink, const char *str)
{
	return mail_sink_write(sink, str, strlen(str));
}

const char *
mail_encoding_name(enum mail_encoding encoding)
{
	static const char *const names[] = { "7bit", "quoted-printable", "base64" };

	return names[encoding];
}

size_t
mail_line_length(const char *s, size_t len)
{
	/* In steps, so that a text of nothing but CRs is not searched for an LF again and again. */
	for (size_t at = 0; at < len;) {
		size_t step = len - at < 512 ? len - at : 512;
		const char *newline = memchr(s + at, '\n', step), *ret;

		if (newline != NULL)
			step = (size_t)(newline - s) - at;
		ret = memchr(s + at, '\r', step);
		if (ret != NULL || newline != NULL)
			return (size_t)((ret != NULL ? ret : newline) - s);
		at += step;
	}
	return len;
}

/* How long the line end at s is: CRLF 2, CR or LF 1, else 0. */
static size_t
line_end(const char *s, size_t len)
{
	if (len > 1 && s[0] == '\r' && s[1] == '\n')
		return 2;
	return len > 0 && (s[0] == '\r' || s[0] == '\n');
}

/* What quoted-printable may leave as it is anywhere but at the end of a line. */
static bool
is_qp_plain(char c)
{
	return (c >= ' ' && c <= '~' && c != '=') || c == '\t';
}

/* Non-zero where a byte is neither printable ASCII nor white space. */
static unsigned char
is_unsafe(unsigned char c)
{
	return (unsigned char)(((c < ' ') & (c != '\t') & (c != '\n') & (c != '\r')) | (c > '~'));
}

/* Plain printable ASCII in lines that may pass as they are: most texts.  The bytes are looked at in
 * blocks and without branches, so that compilers make it a loop over vectors. */
static bool
is_seven_bit(const char *text, size_t len)
{
	const unsigned char *bytes = (const unsigned char *)text;
	unsigned char unsafe = 0;
	size_t i = 0;

	for (; len - i >= 64; i += 64)
		for (size_t j = 0; j < 64; j++)
			unsafe |= is_unsafe(bytes[i + j]);
	for (; i < len; i++)
		unsafe |= is_unsafe(bytes[i]);
	while (unsafe == 0 && len > 0) {
		const char *end = memchr(text, '\n', len);
		size_t line = end != NULL ? (size_t)(end - text) : len;

		if (line > MAIL_LINE_MAX)
			return false;
		text += end != NULL ? line + 1 : line;
		len -= end != NULL ? line + 1 : line;
	}
	return unsafe == 0;
}

enum mail_encoding
mail_encoding_for(const char *text, size_t len)
{
	size_t line = 0, longest = 0, escaped = 0, unsafe = 0, breaks = 0;

	if (is_seven_bit(text, len))
		return MAIL_7BIT;

	for (size_t i = 0; i < len; i++) {
		char c = text[i];

		if (c == '\n' || c == '\r') {
			i += line_end(text + i, len - i) - 1;
			breaks++;
			line = 0;
			continue;
		}
		longest = ++line > longest ? line : longest;
		escaped += !is_qp_plain(c);
		unsafe += !is_qp_plain(c) && c != '=';
	}
	if (unsafe == 0 && longest <= MAIL_LINE_MAX)
		return MAIL_7BIT;
	/* Close enough: three bytes for one and a soft break in each 75, against four for three. */
	if (len + 2 * escaped + (len + 2 * escaped) / 75 * 3 < (len + breaks) / 57 * 78 + 78)
		return MAIL_QUOTED_PRINTABLE;
	return MAIL_BASE64;
}

/* ---- writing texts -------------------------------------------------------------------------- */

/* Gathers small pieces for the sink. */
struct gather {
	const struct mail_sink *sink;
	size_t n;
	char bytes[4096];
};

static int
gather_flush(struct gather *g)
{
	size_t n = g->n;

	g->n = 0;
	return mail_sink_write(g->sink, g->bytes, n);
}

static int
gather_add(struct gather *g, const char *bytes, size_t n)
{
	if (n > sizeof g->bytes - g->n && gather_flush(g) < 0)
		return -1;
	if (n > sizeof g->bytes)
		return mail_sink_write(g->sink, bytes, n);
	memcpy(g->bytes + g->n, bytes, n);
	g->n += n;
	return 0;
}

/* One character at position at of a line of text, as quoted-printable; returns its length. */
static size_t
qp_character(const char *line, size_t len, size_t at, char text[4])
{
	static const char digits[] = "0123456789ABCDEF";
	unsigned char c = (unsigned char)line[at];
	bool last = at + 1 == len;
	bool plain = is_qp_plain((char)c);

	/* Blanks at the end are lost on the way; "From " at the start is changed by mbox files,
	 * and a dot there is what careless relays trip over (RFC 2049 section 3). */
	if (last && (c == ' ' || c == '\t'))
		plain = false;
	if (at == 0 && (c == '.' || (c == 'F' && len >= 5 && memcmp(line, "From ", 5) == 0)))
		plain = false;
	if (plain) {
		text[0] = (char)c;
		return 1;
	}
	text[0] = '=';
	text[1] = digits[c >> 4];
	text[2] = digits[c & 15];
	return 3;
}

static int
qp_line(struct gather *g, const char *line, size_t len)
{
	size_t used = 0;
	char text[4];

	for (size_t i = 0; i < len; i++) {
		size_t n = qp_character(line, len, i, text);

		if (used + n > QP_LINE_MAX - (i + 1 < len)) {
			if (gather_add(g, "=\r\n", 3) < 0)
				return -1;
			used = 0;
		}
		if (gather_add(g, text, n) < 0)
			return -1;
		used += n;
	}
	return gather_add(g, "\r\n", 2);
}

static int
write_lines(struct gather *g, bool qp, const char *text, size_t len)
{
	for (size_t at = 0; at < len;) {
		size_t n = mail_line_length(text + at, len - at);
		int rc;

		if (qp)
			rc = qp_line(g, text + at, n);
		else
			rc = gather_add(g, text + at, n) < 0 ? -1 : gather_add(g, "\r\n", 2);
		if (rc < 0)
			return -1;
		at += n + line_end(text + at + n, len - at - n);
	}
	return gather_flush(g);
}

/* Base64 of a text is that of its canonical form, with CRLF (RFC 2045 section 6.8). */
static int
write_base64(const struct mail_sink *sink, const char *text, size_t len)
{
	struct mail_base64 state = { .sink = sink };

	for (size_t at = 0; at < len;) {
		size_t n = mail_line_length(text + at, len - at), end;

		end = line_end(text + at + n, len - at - n);
		if (mail_base64_feed(&state, text + at, n) < 0 ||
		    (end > 0 && mail_base64_feed(&state, "\r\n", 2) < 0))
			return -1;
		at += n + end;
	}
	return mail_base64_end(&state);
}

int
mail_write_text(const struct mail_sink *sink, enum mail_encoding encoding, const char *text,
    size_t len)
{
	struct gather g = { .sink = sink };

	if (encoding == MAIL_BASE64)
		return write_base64(sink, text, len);
	return write_lines(&g, encoding == MAIL_QUOTED_PRINTABLE, text, len);
}

/* ---- random --------------------------------------------------------------------------------- */

void
mail_random(char text[MAIL_RANDOM_SIZE])
{
	static const char digits[] = "abcdefghijklmnopqrstuvwxyz012345";
	unsigned char bytes[24];

	while (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
		continue;
	for (size_t i = 0; i < sizeof bytes; i++)
		text[i] = digits[bytes[i] & 31];
	text[sizeof bytes] = '\0';
}

void
mail_boundary(char boundary[MAIL_BOUNDARY_SIZE])
{
	boundary[0] = '=';
	boundary[1] = '_';
	mail_random(boundary + 2);
}
