#include "smtp/reply.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/utf8.h"

enum { LINE_MAX_BYTES = 4096, LINES_MAX = 200 };

void
smtp_reply_parser_init(struct smtp_reply_parser *p)
{
	memset(p, 0, sizeof(*p));
}

static void
begin_line(struct smtp_reply_parser *p)
{
	p->line_len = 0;
	p->line_code = 0;
	p->cr = false;
}

/*
 * Appends raw bytes to the text.  They are escaped when the reply is whole, as only then no cut of
 * the input can fall inside a UTF-8 sequence.
 */
static void
keep(struct smtp_reply_parser *p, const char *bytes, size_t n)
{
	size_t room = sizeof(p->reply.text) - p->text_len;

	if (n > room)
		n = room;
	memcpy(p->reply.text + p->text_len, bytes, n);
	p->text_len += n;
}

/* Bytes of a line behind its code and separator. */
static void
keep_text(struct smtp_reply_parser *p, const char *bytes, size_t n)
{
	if (n == 0)
		return;
	if (p->cr)
		keep(p, "\r", 1);
	p->cr = bytes[n - 1] == '\r';
	keep(p, bytes, n - p->cr);
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* The code's digits and what stands behind them: 0, or -1 where that is no reply. */
static int
take_head(struct smtp_reply_parser *p, char c)
{
	if (p->line_len < 3) {
		if (!is_digit(c) || (p->line_len == 0 && (c < '2' || c > '5')))
			return -1;
		p->line_code = p->line_code * 10 + (c - '0');
		return 0;
	}
	if (c == '\r') {
		p->cr = true;
		p->last = true;
		return 0;
	}
	if (c != ' ' && c != '-')
		return -1;
	p->last = c == ' ';
	if (p->text_len > 0)
		keep(p, " ", 1);
	return 0;
}

/* At the end of a line: 1 for the end of the reply, 0 to go on, -1 where the line is none. */
static int
end_line(struct smtp_reply_parser *p)
{
	if (p->line_len < 3)
		return -1;
	if (p->line_len == 3)
		p->last = true;
	/* RFC 5321 section 4.2.1 wants one code on all lines.  The last one rules where servers
	 * differ in detail, but never about success and failure. */
	if (p->n_lines > 0 && p->reply.code / 100 != p->line_code / 100)
		return -1;
	p->reply.code = p->line_code;
	if (!p->last && ++p->n_lines >= LINES_MAX)
		return -1;
	return p->last;
}

/* "5.1.1" at the start of text (RFC 3463 section 2), of the reply's own class. */
static void
find_status(struct smtp_reply *reply)
{
	const char *s = reply->text;
	size_t i = 2, digits;
	int part;

	if (s[0] < '2' || s[0] > '5' || s[0] - '0' != reply->code / 100 || s[1] != '.')
		return;
	for (part = 0; part < 2; part++) {
		for (digits = 0; is_digit(s[i]) && digits < 4; digits++)
			i++;
		if (digits == 0 || digits > 3)
			return;
		if (part == 0 && s[i++] != '.')
			return;
	}
	if (s[i] != ' ' && s[i] != '\0')
		return;
	memcpy(reply->status, s, i);
	reply->status[i] = '\0';
}

static bool
is_plain(const char *s, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (s[i] < ' ' || s[i] > '~')
			return false;
	return true;
}

static void
finish(struct smtp_reply_parser *p)
{
	struct smtp_reply *reply = &p->reply;
	char raw[SMTP_REPLY_TEXT];

	while (p->text_len > 0 && reply->text[p->text_len - 1] == ' ')
		p->text_len--;
	if (p->text_len < sizeof(reply->text) && is_plain(reply->text, p->text_len)) {
		reply->text[p->text_len] = '\0';
	} else {
		memcpy(raw, reply->text, p->text_len);
		log_escape(reply->text, sizeof(reply->text), raw, p->text_len);
	}
	find_status(reply);
	p->done = true;
}

int
smtp_reply_feed(struct smtp_reply_parser *p, const char *bytes, size_t n, size_t *ret_used)
{
	const char *end;
	size_t i = 0, run;
	int result;

	if (p->done)
		smtp_reply_parser_init(p);
	while (i < n) {
		if (bytes[i] == '\n') {
			i++;
			if ((result = end_line(p)) != 0) {
				if (result > 0)
					finish(p);
				*ret_used = i;
				return result;
			}
			begin_line(p);
			continue;
		}
		if (p->line_len < 4) {
			if (take_head(p, bytes[i]) < 0)
				return -1;
			p->line_len++;
			i++;
			continue;
		}
		end = memchr(bytes + i, '\n', n - i);
		run = end != NULL ? (size_t)(end - bytes) - i : n - i;
		p->line_len += run;
		if (p->line_len > LINE_MAX_BYTES)
			return -1;
		keep_text(p, bytes + i, run);
		i += run;
	}
	*ret_used = n;
	return 0;
}

void
smtp_reply_own(struct smtp_reply *reply, const char *status, const char *fmt, ...)
{
	char text[SMTP_REPLY_TEXT];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	reply->code = 0;
	snprintf(reply->status, sizeof(reply->status), "%s", status);
	log_escape(reply->text, sizeof(reply->text), text, strlen(text));
}

char *
smtp_reply_line(const struct smtp_reply *reply, char *text, size_t size)
{
	if (reply->code > 0)
		snprintf(text, size, "%d %s", reply->code, reply->text);
	else
		snprintf(text, size, "%s", reply->text);
	return text;
}
