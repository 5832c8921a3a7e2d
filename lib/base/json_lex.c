#include "base/json_lex.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

#define NUMBER_MAX 1000 /* bytes of a number's text */

int
json_fail_at(struct json_lexer *lx, size_t at, const char *what)
{
	return err_set(lx->err, EX_DATAERR, "line %llu, byte %zu: %s", (unsigned long long)lx->line,
	    at - lx->line_start + 1, what);
}

int
json_fail(struct json_lexer *lx, const char *what)
{
	return json_fail_at(lx, lx->at,
	    lx->at < lx->len ? what : "the text ends before its value does");
}

int
json_peek(const struct json_lexer *lx)
{
	return lx->at < lx->len ? (unsigned char)lx->text[lx->at] : -1;
}

void
json_skip_space(struct json_lexer *lx)
{
	for (; lx->at < lx->len; lx->at++) {
		char c = lx->text[lx->at];

		if (c == '\n') {
			lx->line++;
			lx->line_start = lx->at + 1;
		} else if (c != ' ' && c != '\t' && c != '\r') {
			break;
		}
	}
}

static int
read_hex4(struct json_lexer *lx, unsigned *ret)
{
	unsigned value = 0;

	for (int i = 0; i < 4; i++, lx->at++) {
		int c = json_peek(lx);

		if (c >= '0' && c <= '9')
			value = value * 16 + (unsigned)(c - '0');
		else if (c >= 'a' && c <= 'f')
			value = value * 16 + (unsigned)(c - 'a' + 10);
		else if (c >= 'A' && c <= 'F')
			value = value * 16 + (unsigned)(c - 'A' + 10);
		else
			return json_fail(lx, "expected four hexadecimal digits after \\u");
	}
	*ret = value;
	return 0;
}

static void
add_utf8(struct buf *b, unsigned code)
{
	char s[4];
	size_t n;

	if (code < 0x80) {
		s[0] = (char)code;
		n = 1;
	} else if (code < 0x800) {
		s[0] = (char)(0xc0 | code >> 6);
		s[1] = (char)(0x80 | (code & 0x3f));
		n = 2;
	} else if (code < 0x10000) {
		s[0] = (char)(0xe0 | code >> 12);
		s[1] = (char)(0x80 | (code >> 6 & 0x3f));
		s[2] = (char)(0x80 | (code & 0x3f));
		n = 3;
	} else {
		s[0] = (char)(0xf0 | code >> 18);
		s[1] = (char)(0x80 | (code >> 12 & 0x3f));
		s[2] = (char)(0x80 | (code >> 6 & 0x3f));
		s[3] = (char)(0x80 | (code & 0x3f));
		n = 4;
	}
	buf_add(b, s, n); /* never longer than its escape, and the buffer takes the whole text */
}

/* Behind "\u". */
static int
read_unicode_escape(struct json_lexer *lx)
{
	size_t start = lx->at - 2;
	unsigned code, low;

	if (read_hex4(lx, &code) < 0)
		return -1;
	if (code == 0)
		return json_fail_at(lx, start, "\\u0000 is not permitted in a string here");
	if (code >= 0xdc00 && code <= 0xdfff)
		return json_fail_at(lx, start,
		    "the second half of a surrogate pair has no first half");
	if (code >= 0xd800 && code <= 0xdbff) {
		if (lx->len - lx->at < 6 || lx->text[lx->at] != '\\' || lx->text[lx->at + 1] != 'u')
			return json_fail_at(lx, start,
			    "the first half of a surrogate pair has no second half");
		lx->at += 2;
		if (read_hex4(lx, &low) < 0)
			return -1;
		if (low < 0xdc00 || low > 0xdfff)
			return json_fail_at(lx, start,
			    "the first half of a surrogate pair has no second half");
		code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
	}
	add_utf8(&lx->scratch, code);
	return 0;
}

static int
read_escape(struct json_lexer *lx)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const char *found;
	int c;

	lx->at++;
	c = json_peek(lx);
	lx->at++;
	if (c == 'u')
		return read_unicode_escape(lx);
	found = c > 0 ? strchr(from, c) : NULL;
	if (found == NULL) {
		lx->at--;
		return json_fail(lx, "expected one of \" \\ / b f n r t u after the backslash");
	}
	return buf_addc(&lx->scratch, to[found - from]);
}

/* Bytes of a string that stand for themselves and are one character each. */
static const bool is_plain[256] = {
	[' ' ... '!'] = true,
	['#' ... '['] = true,
	[']' ... '~'] = true,
};

/* At the opening quote.  *ret is in the text, or in scratch where there were escapes. */
int
json_read_string(struct json_lexer *lx, struct view *ret)
{
	size_t run = ++lx->at;
	bool escapes = false;

	buf_clear(&lx->scratch);
	for (;;) {
		size_t n;
		int c;

		while (lx->at < lx->len && is_plain[(unsigned char)lx->text[lx->at]])
			lx->at++;
		c = json_peek(lx);
		if (c == '"' || c == '\\') {
			if (escapes || c == '\\')
				buf_add(&lx->scratch, lx->text + run, lx->at - run);
			if (c == '"')
				break;
			escapes = true;
			if (read_escape(lx) < 0)
				return -1;
			run = lx->at;
			continue;
		}
		if (c < 0x20)
			return json_fail(lx,
			    c == '\n' ? "line break in a string" : "control character in a string");
		n = c < 0x80 ? 1 : utf8_sequence(lx->text + lx->at, lx->len - lx->at);
		if (n == 0)
			return json_fail(lx, "not UTF-8");
		lx->at += n;
	}
	*ret = escapes ? buf_view(&lx->scratch) : (struct view){ lx->text + run, lx->at - run };
	lx->at++;
	return 0;
}

static size_t
skip_digits(struct json_lexer *lx)
{
	size_t start = lx->at;

	while (lx->at < lx->len && lx->text[lx->at] >= '0' && lx->text[lx->at] <= '9')
		lx->at++;
	return lx->at - start;
}

/* Past a number's text; *ret_whole tells one without fraction and exponent. */
static int
scan_number(struct json_lexer *lx, bool *ret_whole)
{
	size_t start;

	*ret_whole = true;
	if (json_peek(lx) == '-')
		lx->at++;
	start = lx->at;
	if (skip_digits(lx) == 0)
		return json_fail(lx, "expected a value");
	if (lx->text[start] == '0' && lx->at - start > 1)
		return json_fail_at(lx, start, "a number cannot start with 0");
	if (json_peek(lx) == '.') {
		*ret_whole = false;
		lx->at++;
		if (skip_digits(lx) == 0)
			return json_fail(lx, "expected a digit after the point");
	}
	if (json_peek(lx) == 'e' || json_peek(lx) == 'E') {
		*ret_whole = false;
		lx->at++;
		if (json_peek(lx) == '+' || json_peek(lx) == '-')
			lx->at++;
		if (skip_digits(lx) == 0)
			return json_fail(lx, "expected a digit in the exponent");
	}
	return 0;
}

static int
to_int64(const char *digits, int64_t *ret)
{
	bool negative = *digits == '-';
	int64_t value = 0; /* kept negative: that side has one value more */

	for (const char *p = digits + negative; *p != '\0'; p++) {
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_sub_overflow(value, *p - '0', &value))
			return -1;
	}
	if (!negative && __builtin_sub_overflow(0, value, &value))
		return -1;
	*ret = value;
	return 0;
}

int
json_read_number(struct json_lexer *lx, struct json_number *ret)
{
	char text[NUMBER_MAX + 1];
	struct json_number number = { .whole = true };
	size_t start = lx->at;

	if (scan_number(lx, &number.whole) < 0)
		return -1;
	if (lx->at - start > NUMBER_MAX)
		return json_fail_at(lx, start, "a number of more than 1000 characters");
	memcpy(text, lx->text + start, lx->at - start);
	text[lx->at - start] = '\0';
	if (number.whole && to_int64(text, &number.integer) < 0)
		return json_fail_at(lx, start, "the number does not fit into 64 bits");
	if (!number.whole) {
		number.real = strtod(text, NULL);
		if (!isfinite(number.real))
			return json_fail_at(lx, start, "the number is too large");
	}
	*ret = number;
	return 0;
}
