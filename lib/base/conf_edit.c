#include "base/conf_edit.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

/* Where a setting stands. */
struct spot {
	const char *name; /* its first byte */
	size_t name_len;
	const char *value, *end; /* [value, end) */
	const char *terminator;	 /* the ";" or "," behind it; NULL: none */
};

/* Behind white space and comments. */
static const char *
skip_blank(const char *p)
{
	for (;;) {
		const char *end;

		p += strspn(p, " \t\n\r\f");
		if (*p == '#' || (p[0] == '/' && p[1] == '/')) {
			p += strcspn(p, "\n");
		} else if (p[0] == '/' && p[1] == '*') {
			end = strstr(p + 2, "*/");
			p = end != NULL ? end + 2 : p + strlen(p);
		} else {
			return p;
		}
	}
}

/* Behind a string, at whose first quote p is; NULL where it does not end. */
static const char *
skip_quoted(const char *p)
{
	for (p++; *p != '"'; p++) {
		if (*p == '\\' && p[1] != '\0')
			p++;
		if (*p == '\0')
			return NULL;
	}
	return p + 1;
}

/* Behind one string, or several in a row, which are one value. */
static const char *
skip_strings(const char *p)
{
	const char *end = skip_quoted(p);

	while (end != NULL && *(p = skip_blank(end)) == '"')
		end = skip_quoted(p);
	return end;
}

/* Behind the bracket that closes the one at p. */
static const char *
skip_nested(const char *p)
{
	size_t depth = 0;

	while (p != NULL && *(p = skip_blank(p)) != '\0') {
		if (*p == '"') {
			p = skip_quoted(p);
			continue;
		}
		if (strchr("([{", *p) != NULL)
			depth++;
		if (strchr(")]}", *p) != NULL && --depth == 0)
			return p + 1;
		p++;
	}
	return NULL;
}

static const char *
skip_name(const char *p)
{
	if (!isalpha((unsigned char)*p) && *p != '*')
		return p;
	while (isalnum((unsigned char)*p) || (*p != '\0' && strchr("-_*", *p) != NULL))
		p++;
	return p;
}

static const char *
skip_digits(const char *p)
{
	return p + strspn(p, "0123456789");
}

/* Behind an exponent, if there is one. */
static const char *
skip_exponent(const char *p)
{
	const char *digits = p + 1;

	if (*p != 'e' && *p != 'E')
		return p;
	digits += *digits == '+' || *digits == '-';
	return skip_digits(digits) > digits ? skip_digits(digits) : p;
}

static const char *
skip_long(const char *p)
{
	p += *p == 'L';
	return p + (*p == 'L' && p[-1] == 'L');
}

/* As libconfig's scanner has numbers: what follows right behind one is another word. */
static const char *
skip_number(const char *p)
{
	bool sign = *p == '-' || *p == '+';
	const char *digits = p + sign, *end = skip_digits(digits);
	size_t hexadecimal;

	if (*p == '0' && (p[1] == 'x' || p[1] == 'X')) {
		hexadecimal = strspn(p + 2, "0123456789abcdefABCDEF");
		if (hexadecimal > 0)
			return skip_long(p + 2 + hexadecimal);
	}
	if (*end == '.')
		return skip_exponent(skip_digits(end + 1));
	if (end == digits)
		return NULL;
	if (skip_exponent(end) > end)
		return skip_exponent(end);
	return skip_long(end);
}

static const char *
skip_value(const char *p)
{
	const char *end = skip_name(p);

	if (*p == '"')
		return skip_strings(p);
	if (*p != '\0' && strchr("([{", *p) != NULL)
		return skip_nested(p);
	if (end == p)
		return skip_number(p);
	return (end == p + 4 && strncasecmp(p, "true", 4) == 0) ||
		(end == p + 5 && strncasecmp(p, "false", 5) == 0) ?
	    end :
	    NULL;
}

/* The setting at or behind p: 1, and *at behind it; 0 at the end of the group or text; -1 where this is no
 * setting. */
static int
next_setting(const char **at, struct spot *ret)
{
	const char *p = skip_blank(*at);

	*at = p;
	if (*p == '\0' || *p == '}')
		return 0;
	ret->name = p;
	p = skip_name(p);
	ret->name_len = (size_t)(p - ret->name);
	p = skip_blank(p);
	if (ret->name_len == 0 || (*p != '=' && *p != ':'))
		return -1;
	ret->value = skip_blank(p + 1);
	ret->end = skip_value(ret->value);
	if (ret->end == NULL)
		return -1;
	p = skip_blank(ret->end);
	ret->terminator = *p == ';' || *p == ',' ? p : NULL;
	*at = ret->terminator != NULL ? p + 1 : ret->end;
	return 1;
}

/* Looks for name among the settings from p on.  As next_setting; at 0, *ret_end is where they end. */
static int
find_name(const char *p, const char *name, size_t name_len, struct spot *ret, const char **ret_end)
{
	int found;

	while ((found = next_setting(&p, ret)) == 1)
		if (ret->name_len == name_len && memcmp(ret->name, name, name_len) == 0)
			return 1;
	*ret_end = p;
	return found;
}

/* ---- changes ---------------------------------------------------------------------------------- */

static bool
is_word(char c)
{
	return isalnum((unsigned char)c) || (c != '\0' && strchr("-_*.+", c) != NULL);
}

/* The rest of the text, kept apart from what stands before it where the two would make one word. */
static int
add_rest(struct buf *out, const char *rest)
{
	if (is_word(*rest) && out->len > 0 && is_word(out->s[out->len - 1]) &&
	    buf_addc(out, ' ') < 0)
		return -1;
	return buf_adds(out, rest);
}

static bool
is_blank(const char *from, const char *to)
{
	return from + strspn(from, " \t\r") >= to;
}

static int
replace(const char *text, const struct spot *spot, const char *value, struct buf *out)
{
	return buf_add(out, text, (size_t)(spot->value - text)) < 0 || buf_adds(out, value) < 0 ?
	    -1 :
	    add_rest(out, spot->end);
}

static int
take_out(const char *text, const struct spot *spot, struct buf *out)
{
	const char *start = spot->name, *rest = spot->end;
	const char *line = start, *line_end;

	/* What stands between the value and its end is a comment, and stays. */
	if (spot->terminator != NULL && is_blank(spot->end, spot->terminator))
		rest = spot->terminator + 1;
	while (line > text && line[-1] != '\n')
		line--;
	line_end = rest + strcspn(rest, "\n");
	if (is_blank(line, start) && is_blank(rest, line_end)) {
		start = line;
		rest = *line_end == '\n' ? line_end + 1 : line_end;
	}
	if (buf_add(out, text, (size_t)(start - text)) < 0)
		return -1;
	if (spot->terminator == NULL || rest > spot->terminator)
		return add_rest(out, rest);
	return buf_add(out, rest, (size_t)(spot->terminator - rest)) < 0 ?
	    -1 :
	    add_rest(out, spot->terminator + 1);
}

static int
append(const char *text, const char *path, const char *value, struct buf *out)
{
	const char *dot = strchr(path, '.');
	size_t n = strlen(text);

	if (buf_adds(out, text) < 0 || (n > 0 && text[n - 1] != '\n' && buf_addc(out, '\n') < 0))
		return -1;
	if (dot == NULL)
		return buf_addf(out, "%s = %s;\n", path, value);
	return buf_addf(out, "%.*s: { %s = %s; };\n", (int)(dot - path), path, dot + 1, value);
}

/* Before the brace at close. */
static int
append_to_group(const char *text, const char *close, const char *name, const char *value,
    struct buf *out)
{
	const char *line = close;

	while (line > text && line[-1] != '\n')
		line--;
	if (line == text || !is_blank(line, close))
		line = NULL;
	if (buf_add(out, text, (size_t)((line != NULL ? line : close) - text)) < 0)
		return -1;
	if (line == NULL && close > text && !isspace((unsigned char)close[-1]) &&
	    buf_addc(out, ' ') < 0)
		return -1;
	if (line == NULL)
		return buf_addf(out, "%s = %s; ", name, value) < 0 ? -1 : buf_adds(out, close);
	if (buf_add(out, line, (size_t)(close - line)) < 0 ||
	    buf_addf(out, "\t%s = %s;\n", name, value) < 0)
		return -1;
	return buf_adds(out, line);
}

int
conf_edit(const char *text, const char *path, const char *value, struct buf *out)
{
	const char *name = path, *dot = strchr(path, '.'), *end;
	struct spot spot;
	int found =
	    find_name(text, path, dot != NULL ? (size_t)(dot - path) : strlen(path), &spot, &end);

	if (found == 1 && dot != NULL) {
		name = dot + 1;
		found = *spot.value == '{' ?
		    find_name(spot.value + 1, name, strlen(name), &spot, &end) :
		    -1;
	}
	if (found < 0 || (found == 0 && name == path && *end != '\0')) {
		errno = EINVAL;
		return -1;
	}
	if (found == 1)
		return value != NULL ? replace(text, &spot, value, out) :
				       take_out(text, &spot, out);
	if (value == NULL)
		return buf_adds(out, text);
	return name != path ? append_to_group(text, end, name, value, out) :
			      append(text, path, value, out);
}

bool
conf_edit_find(const char *text, const char *path, struct view *ret)
{
	const char *end;
	struct spot spot;

	if (find_name(text, path, strlen(path), &spot, &end) != 1)
		return false;
	*ret = (struct view){ spot.value, (size_t)(spot.end - spot.value) };
	return true;
}

int
conf_edit_quote(struct buf *out, const char *string)
{
	int result = buf_addc(out, '"');

	for (const unsigned char *p = (const unsigned char *)string; *p != '\0' && result == 0;
	     p++) {
		if (*p == '"' || *p == '\\')
			result = buf_addf(out, "\\%c", *p);
		else if (*p < 0x20 || *p == 0x7f)
			result = buf_addf(out, "\\x%02x", *p);
		else
			result = buf_addc(out, (char)*p);
	}
	return result == 0 ? buf_addc(out, '"') : -1;
}
