/* Reports from before the standard, written for people. */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "mail/dsn_private.h"
#include "mail/header.h"

#define REASONS 100 /* are looked for: each costs a look through the text */

static struct view
next_line(struct view *rest)
{
	const char *newline = memchr(rest->s, '\n', rest->len);
	size_t n = newline != NULL ? (size_t)(newline - rest->s) : rest->len;
	struct view line = { rest->s, n };

	rest->s += newline != NULL ? n + 1 : n;
	rest->len -= newline != NULL ? n + 1 : n;
	if (line.len > 0 && line.s[line.len - 1] == '\r')
		line.len--;
	return line;
}

static bool
is_blank(struct view line)
{
	for (size_t i = 0; i < line.len; i++)
		if (line.s[i] != ' ' && line.s[i] != '\t')
			return false;
	return true;
}

static bool
begins(struct view line, const char *with)
{
	size_t n = strlen(with);

	return line.len >= n && memcmp(line.s, with, n) == 0;
}

/* Lines up to a blank one, as one text. */
static char *
take_paragraph(struct view *rest)
{
	AUTO_BUF struct buf text = BUF_INIT(MAIL_DSN_TEXT);

	while (rest->len > 0) {
		struct view line = next_line(rest);

		if (is_blank(line))
			break;
		if (text.len > 0)
			buf_addc(&text, ' ');
		buf_add(&text, line.s, line.len);
	}
	return dsn_text(text.s, text.len);
}

/* The copy of the message that begins behind blank lines: its Message-ID. */
static void
take_copy(struct mail_dsn *dsn, struct view rest)
{
	AUTO_BUF struct buf header = BUF_INIT(MAIL_PARSE_HEADER);
	AUTO_BUF struct buf value = BUF_INIT(MAIL_PARSE_HEADER);

	while (rest.len > 0 && strchr(" \t\r\n", *rest.s) != NULL) {
		rest.s++;
		rest.len--;
	}
	buf_add(&header, rest.s, rest.len < header.max ? rest.len : header.max);
	if (mail_header_field(&header, "Message-ID", &value) == 1)
		dsn->message_id = dsn_message_id(value.s);
}

/* ---- qmail --------------------------------------------------------------------------------------- */

bool
dsn_qsbmf(struct mail_dsn *dsn, const struct buf *text)
{
	struct view rest = buf_view(text);

	if (!begins(rest, "Hi. This is the"))
		return false;
	while (rest.len > 0) {
		struct view line = next_line(&rest);
		struct mail_dsn_recipient *r;
		size_t n = line.len;

		/* Paragraphs: of recipients those that begin with "<", and "-" is the end of them. */
		if (begins(line, "-")) {
			take_copy(dsn, rest);
			break;
		}
		while (n > 0 && strchr(": \t", line.s[n - 1]) != NULL)
			n--;
		if (!begins(line, "<") || n < 3 || line.s[n - 1] != '>')
			continue;
		r = dsn_add(dsn);
		if (r == NULL)
			break;
		r->final = dsn_text(line.s + 1, n - 2);
		r->reason = take_paragraph(&rest);
		if (r->final == NULL)
			r->final = xstrdup("?");
		if (r->reason != NULL)
			dsn_codes(r->reason, r);
	}
	return true;
}

/* ---- X-Failed-Recipients ----------------------------------------------------------------------- */

/* The reason stands in lines below the one that is this address alone, up to a blank line. */
static char *
reason_of(const struct buf *text, const char *address)
{
	struct view rest = buf_view(text);
	size_t n = strlen(address);

	while (rest.len > 0) {
		struct view line = next_line(&rest);

		while (line.len > 0 && strchr(" \t<", *line.s) != NULL) {
			line.s++;
			line.len--;
		}
		if (line.len >= n && strncasecmp(line.s, address, n) == 0 &&
		    (line.len == n || strchr(" \t>:", line.s[n]) != NULL))
			return take_paragraph(&rest);
	}
	return NULL;
}

static void
take_addresses(struct mail_dsn *dsn, const char *list, const struct buf *text)
{
	while (*list != '\0') {
		size_t n;
		struct mail_dsn_recipient *r;

		list += strspn(list, " \t,<");
		n = strcspn(list, " \t,>");
		if (n == 0)
			break;
		r = dsn_add(dsn);
		if (r == NULL)
			return;
		r->final = xstrndup(list, n);
		if (dsn->count <= REASONS)
			r->reason = reason_of(text, r->final);
		if (r->reason != NULL)
			dsn_codes(r->reason, r);
		list += n + strspn(list + n, ">");
	}
}

bool
dsn_failed_recipients(struct mail_dsn *dsn, const struct buf *header, const struct buf *text)
{
	struct view fields = buf_view(header), rest = buf_view(text);
	struct mail_field field;
	bool found = false;

	while (mail_field_next(&fields, &field) > 0) {
		AUTO_FREE char *value = mail_field_is(&field, "X-Failed-Recipients") ?
		    dsn_text(field.value.s, field.value.len) :
		    NULL;

		if (value != NULL)
			take_addresses(dsn, value, text);
		found = dsn->count > 0;
	}
	/* "------ This is a copy of the message, ..." or "----- Original message -----" */
	while (found && rest.len > 0) {
		struct view line = next_line(&rest);

		if (begins(line, "---") && memmem(line.s, line.len, "message", 7) != NULL) {
			take_copy(dsn, rest);
			break;
		}
	}
	return found;
}
