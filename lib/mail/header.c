#include "mail/header.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "base/utf8.h"
#include "mail/mime.h"

#define LINE_WANTED 78
#define ENCODED_LINE_MAX 76 /* of a line with encoded words in it, RFC 2047 section 2 */
#define ENCODED_WORD_MAX 75
#define WORD_FRAME 12	   /* "=?UTF-8?B?" and "?=" */
#define PLAIN_WORD_MAX 800 /* a longer one is encoded, as encoded words can be split */
#define PLAIN_SPACES_MAX 90
#define FIRST_WORD_END_MAX 900

bool
mail_field_name_ok(const char *name, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (name[i] <= ' ' || name[i] > '~' || name[i] == ':')
			return false;
	return len > 0 && len <= MAIL_FIELD_NAME_MAX;
}

int
mail_text_check(const char *text, size_t len, struct err *err)
{
	for (size_t i = 0; i < len;) {
		unsigned char c = (unsigned char)text[i];
		size_t n = utf8_sequence(text + i, len - i);

		if (n == 0)
			return err_set(err, EX_DATAERR, "invalid UTF-8 at byte %zu", i + 1);
		if (c == '\r' || c == '\n')
			return err_set(err, EX_DATAERR, "line break at byte %zu", i + 1);
		if (c < 0x20 || c == 0x7f || (c == 0xc2 && (unsigned char)text[i + 1] < 0xa0))
			return err_set(err, EX_DATAERR, "control character at byte %zu", i + 1);
		i += n;
	}
	return 0;
}

/* How much stands behind the last line end of out. */
static size_t
column(const struct buf *out)
{
	const char *newline = memrchr(out->s, '\n', out->len);

	return newline != NULL ? (size_t)(out->s + out->len - newline) - 1 : out->len;
}

/* The next run of spaces and the word behind it. */
static void
next_word(const char *s, size_t len, size_t *ret_spaces, size_t *ret_word)
{
	size_t n = 0, spaces;

	while (n < len && s[n] == ' ')
		n++;
	spaces = n;
	while (n < len && s[n] != ' ')
		n++;
	*ret_spaces = spaces;
	*ret_word = n - spaces;
}

/* Appends ASCII text, broken at its spaces: unfolding gives back what was there. */
static int
add_folded(struct buf *out, const char *s, size_t len)
{
	size_t spaces, word;

	for (size_t at = 0; at < len; at += spaces + word) {
		size_t used = column(out);

		next_word(s + at, len - at, &spaces, &word);
		if (spaces > 0 && word > 0 && used > 1 && used + spaces + word > LINE_WANTED) {
			if (buf_add(out, s + at, spaces - 1) < 0 || buf_adds(out, "\r\n ") < 0)
				return -1;
		} else if (buf_add(out, s + at, spaces) < 0) {
			return -1;
		}
		if (buf_add(out, s + at + spaces, word) < 0)
			return -1;
	}
	return 0;
}

/* ---- encoded words -------------------------------------------------------------------------- */

/* What the Q encoding leaves as it is wherever encoded words may stand (RFC 2047 section 5). */
static bool
is_q_safe(char c)
{
	if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))
		return true;
	return c != '\0' && strchr("!*+-/", c) != NULL;
}

static size_t
q_length(const char *s, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++)
		n += is_q_safe(s[i]) || s[i] == ' ' ? 1 : 3;
	return n;
}

static int
add_q(struct buf *out, const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		int rc;

		if (s[i] == ' ')
			rc = buf_addc(out, '_');
		else if (is_q_safe(s[i]))
			rc = buf_addc(out, s[i]);
		else
			rc = buf_addf(out, "=%02X", (unsigned char)s[i]);
		if (rc < 0)
			return -1;
	}
	return 0;
}

/* How many bytes of s, in whole characters, fit into room as one encoded word; 0 for none. */
static size_t
fitting(const char *s, size_t len, bool q, size_t room)
{
	size_t taken = 0, used = 0;

	if (room <= WORD_FRAME)
		return 0;
	room -= WORD_FRAME;
	while (taken < len) {
		size_t n = utf8_sequence(s + taken, len - taken);

		n = n > 0 ? n : 1;
		used = q ? used + q_length(s + taken, n) : (taken + n + 2) / 3 * 4;
		if (used > room)
			break;
		taken += n;
	}
	return taken;
}

int
mail_encode_words(struct buf *out, const char *text, size_t len)
{
	bool q = q_length(text, len) < (len + 2) / 3 * 4;

	while (len > 0) {
		size_t used = column(out);
		size_t room = used < ENCODED_LINE_MAX ? ENCODED_LINE_MAX - used : 0;
		size_t n = fitting(text, len, q, room < ENCODED_WORD_MAX ? room : ENCODED_WORD_MAX);
		int rc;

		if (n == 0) {
			/* A space the caller left at the end of the line is the fold's own. */
			if (out->len > 0 && out->s[out->len - 1] == ' ')
				buf_truncate(out, out->len - 1);
			if (buf_adds(out, "\r\n ") < 0)
				return -1;
			continue;
		}
		if (buf_adds(out, q ? "=?UTF-8?Q?" : "=?UTF-8?B?") < 0)
			return -1;
		rc = q ? add_q(out, text, n) : mail_base64_encode(out, text, n);
		if (rc < 0 || buf_adds(out, "?=") < 0)
			return -1;
		text += n;
		len -= n;
		if (len > 0 && buf_adds(out, "\r\n ") < 0)
			return -1;
	}
	return 0;
}

/*
 * The part of a text that must be encoded: from the first word that is not plain to the last, as
 * blanks between encoded words do not count.  Blanks that would be lost, or make a line too long,
 * only survive where everything is.
 */
static struct view
part_to_encode(const char *s, size_t len)
{
	size_t from = len, to = len, spaces, word;

	for (size_t at = 0; at < len; at += spaces + word) {
		next_word(s + at, len - at, &spaces, &word);
		if (word == 0 || (spaces > 0 && at == 0) || spaces > PLAIN_SPACES_MAX)
			return (struct view){ s, len };
		if (is_ascii(s + at + spaces, word) && word <= PLAIN_WORD_MAX)
			continue;
		from = from == len ? at + spaces : from;
		to = at + spaces + word;
	}
	return (struct view){ s + from, to - from };
}

/* Appends a text behind "Name: ", or behind a blank. */
static int
add_text(struct buf *out, const char *s, size_t len)
{
	struct view part = part_to_encode(s, len);
	size_t before = (size_t)(part.s - s), spaces, word;

	next_word(s, len, &spaces, &word);
	if (before > 0 && column(out) + word > FIRST_WORD_END_MAX && buf_adds(out, "\r\n ") < 0)
		return -1;
	if (add_folded(out, s, before) < 0)
		return -1;
	if (part.len > 0 && mail_encode_words(out, part.s, part.len) < 0)
		return -1;
	return add_folded(out, part.s + part.len, len - before - part.len);
}

/* ---- fields --------------------------------------------------------------------------------- */

int
mail_header_text(struct buf *out, const char *name, const char *value, size_t len)
{
	if (buf_addf(out, "%s: ", name) < 0 || add_text(out, value, len) < 0)
		return -1;
	return buf_adds(out, "\r\n");
}

static int
add_address(struct buf *out, const struct mail_address *address, const char *behind)
{
	struct buf text AUTO_BUF = BUF_INIT(8192);
	const char *name = address->name;

	if (name == NULL) {
		if (buf_addf(&text, "%s%s", address->addr, behind) < 0)
			return -1;
	} else if (part_to_encode(name, strlen(name)).len > 0 || strstr(name, "=?") != NULL) {
		if (mail_encode_words(out, name, strlen(name)) < 0 ||
		    buf_addf(&text, " <%s>%s", address->addr, behind) < 0)
			return -1;
	} else if (mail_address_text(&text, address) < 0 || buf_adds(&text, behind) < 0) {
		return -1;
	}
	return add_folded(out, text.s, text.len);
}

int
mail_header_addresses(struct buf *out, const char *name, const struct mail_addresses *list)
{
	if (list->count == 0)
		return 0;
	if (buf_addf(out, "%s: ", name) < 0)
		return -1;
	for (size_t i = 0; i < list->count; i++) {
		const struct mail_address *a = &list->at[i];
		size_t first = strcspn(a->name != NULL ? a->name : a->addr, " ");

		if (i > 0 &&
		    buf_adds(out, column(out) + first + 4 > LINE_WANTED ? "\r\n " : " ") < 0)
			return -1;
		if (add_address(out, a, i + 1 < list->count ? "," : "") < 0)
			return -1;
	}
	return buf_adds(out, "\r\n");
}

/* RFC 2231 section 7, attribute-char. */
static bool
is_attribute_char(char c)
{
	if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))
		return true;
	return c != '\0' && strchr("!#$&+-.^_`{}|~", c) != NULL;
}

/* name*=UTF-8''... */
static int
add_extended(struct buf *out, const char *name, const char *value)
{
	if (buf_addf(out, ";\r\n\t%s*=UTF-8''", name) < 0)
		return -1;
	for (const char *p = value; *p != '\0'; p++)
		if ((is_attribute_char(*p) ? buf_addc(out, *p) :
					     buf_addf(out, "%%%02X", (unsigned char)*p)) < 0)
			return -1;
	return 0;
}

int
mail_header_param(struct buf *out, const char *name, const char *value)
{
	if (!is_ascii(value, strlen(value)))
		return add_extended(out, name, value);
	if (buf_addf(out, ";\r\n\t%s=\"", name) < 0)
		return -1;
	for (const char *p = value; *p != '\0'; p++)
		if (((*p == '"' || *p == '\\') && buf_addc(out, '\\') < 0) || buf_addc(out, *p) < 0)
			return -1;
	return buf_addc(out, '"');
}

int
mail_header_param_words(struct buf *out, const char *name, const char *value)
{
	if (is_ascii(value, strlen(value)))
		return mail_header_param(out, name, value);
	if (buf_addf(out, ";\r\n\t%s=\"", name) < 0 ||
	    mail_encode_words(out, value, strlen(value)) < 0)
		return -1;
	return buf_addc(out, '"');
}

int
mail_field_next(struct view *rest, struct mail_field *ret_field)
{
	const char *s = rest->s, *end = rest->s + rest->len, *line, *name_end;

	if (rest->len == 0 || s[0] == '\n' || (s[0] == '\r' && rest->len > 1 && s[1] == '\n'))
		return 0;
	for (name_end = s; name_end<end && * name_end> ' ' && *name_end <= '~'; name_end++)
		if (*name_end == ':')
			break;
	for (line = name_end; line < end && (*line == ' ' || *line == '\t'); line++)
		continue;
	if (name_end == s || line == end || *line != ':')
		return -1;
	ret_field->name = (struct view){ s, (size_t)(name_end - s) };
	ret_field->value.s = ++line;
	for (;;) { /* line by line, as long as the next one begins with a blank */
		const char *newline = memchr(line, '\n', (size_t)(end - line));

		line = newline != NULL ? newline + 1 : end;
		if (line == end || (*line != ' ' && *line != '\t'))
			break;
	}
	ret_field->all = (struct view){ s, (size_t)(line - s) };
	*rest = (struct view){ line, (size_t)(end - line) };
	if (line > ret_field->value.s && line[-1] == '\n')
		line--;
	if (line > ret_field->value.s && line[-1] == '\r')
		line--;
	ret_field->value.len = (size_t)(line - ret_field->value.s);
	return 1;
}

bool
mail_field_is(const struct mail_field *field, const char *name)
{
	return field->name.len == strlen(name) &&
	    strncasecmp(field->name.s, name, field->name.len) == 0;
}
