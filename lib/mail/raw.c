#include "mail/raw.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "mail/header.h"
#include "mail/raw_private.h"

#define OUTPUT_MAX 65536
/* A line whose first this many bytes hold no field name is no field, however it goes on. */
#define NAME_SCAN_MAX MAIL_LINE_MAX

static char *
copy(const char *s)
{
	return s != NULL ? xstrdup(s) : NULL;
}

struct mail_raw *
mail_raw_new(const struct mail_raw_options *options)
{
	struct mail_raw *raw = xcalloc(1, sizeof *raw);

	raw->options = *options;
	raw->options.from_addr = raw->from_addr = copy(options->from_addr);
	raw->options.from_name = raw->from_name = copy(options->from_name);
	raw->options.host = raw->host = copy(options->host);
	raw->options.default_domain = raw->default_domain = copy(options->default_domain);
	buf_init(&raw->input, SIZE_MAX / 2);
	buf_init(&raw->header, MAIL_RAW_HEADER_MAX);
	buf_init(&raw->added, MAIL_RAW_HEADER_MAX);
	buf_init(&raw->output, OUTPUT_MAX);
	return raw;
}

void
mail_raw_free(struct mail_raw *raw)
{
	if (raw == NULL)
		return;
	free(raw->from_addr);
	free(raw->from_name);
	free(raw->host);
	free(raw->default_domain);
	free(raw->subject);
	free(raw->from);
	free(raw->message_id);
	buf_release(&raw->input);
	buf_release(&raw->header);
	buf_release(&raw->added);
	buf_release(&raw->output);
	free(raw);
}

void
mail_raw_freep(struct mail_raw **raw)
{
	mail_raw_free(*raw);
}

const struct mail_raw_info *
mail_raw_info(const struct mail_raw *raw)
{
	return &raw->info;
}

/* ---- the header ----------------------------------------------------------------------------- */

/* "name:" or "name :" at the front. */
static bool
begins_field(struct view line)
{
	size_t n = 0;

	while (n < line.len && n < NAME_SCAN_MAX && line.s[n] > ' ' && line.s[n] <= '~' &&
	    line.s[n] != ':')
		n++;
	if (n == 0)
		return false;
	while (n < line.len && (line.s[n] == ' ' || line.s[n] == '\t'))
		n++;
	return n < line.len && line.s[n] == ':';
}

/* The envelope line of an mbox file. */
static bool
is_mbox_line(struct view line)
{
	return line.len >= 5 && memcmp(line.s, "From ", 5) == 0 && !begins_field(line);
}

/* Appends a line of the header; a CR within it becomes a space. */
static int
keep_line(struct mail_raw *raw, struct view line, struct err *err)
{
	size_t start = raw->header.len;

	if (buf_add(&raw->header, line.s, line.len) < 0 || buf_adds(&raw->header, "\r\n") < 0)
		return err_set(err, EX_DATAERR, "the header is longer than %zu bytes",
		    MAIL_RAW_HEADER_MAX);
	for (size_t i = start; i < start + line.len; i++)
		if (raw->header.s[i] == '\r')
			raw->header.s[i] = ' ';
	return 0;
}

/* Takes a line without its line end: 1 where it belongs to the header, 0 where it is the blank one
 * that ends it, 2 where it is the body's first already; -1 with err. */
static int
take_header_line(struct mail_raw *raw, struct view line, struct err *err)
{
	bool first = !raw->seen_line;

	while (line.len > 0 && line.s[line.len - 1] == '\r')
		line.len--;
	raw->seen_line = true;
	if (line.len == 0)
		return 0;
	if (first && is_mbox_line(line))
		return 1;
	if (line.s[0] == ' ' || line.s[0] == '\t' ? raw->header.len == 0 : !begins_field(line))
		return 2;
	return keep_line(raw, line, err) < 0 ? -1 : 1;
}

/* The header is whole and body begins at input[at]. */
static int
finish_header(struct mail_raw *raw, size_t at, struct err *err)
{
	buf_consume(&raw->input, at);
	raw->phase = RAW_HELD;
	return raw_header_finish(raw, err) < 0 ? -1 : 1;
}

/* Takes the whole lines of input; 1 when the header is whole, 0 when more is needed. */
static int
take_header_lines(struct mail_raw *raw, struct err *err)
{
	size_t at = 0;

	for (;;) {
		struct view rest = { raw->input.s + at, raw->input.len - at };
		const char *newline;
		int kind;

		newline = memchr(rest.s + raw->scanned, '\n', rest.len - raw->scanned);
		if (newline == NULL) {
			bool folded = rest.len > 0 && (rest.s[0] == ' ' || rest.s[0] == '\t');

			raw->scanned = rest.len;
			/* A text without any header may be one endless line. */
			if (rest.len > NAME_SCAN_MAX && !is_mbox_line(rest) &&
			    !begins_field(rest) && (!folded || raw->header.len == 0))
				return finish_header(raw, at, err);
			break;
		}
		raw->scanned = 0;
		kind =
		    take_header_line(raw, (struct view){ rest.s, (size_t)(newline - rest.s) }, err);
		if (kind < 0)
			return -1;
		if (kind != 2)
			at = (size_t)(newline + 1 - raw->input.s);
		if (kind != 1)
			return finish_header(raw, at, err);
	}
	buf_consume(&raw->input, at);
	if (raw->header.len + raw->input.len > MAIL_RAW_HEADER_MAX)
		return err_set(err, EX_DATAERR, "the header is longer than %zu bytes",
		    MAIL_RAW_HEADER_MAX);
	return 0;
}

int
mail_raw_header_end(struct mail_raw *raw, struct err *err)
{
	int kind;

	if (raw->phase != RAW_HEADER)
		return 0;
	if (raw->input.len == 0)
		return finish_header(raw, 0, err) < 0 ? -1 : 0;
	kind = take_header_line(raw, buf_view(&raw->input), err);
	if (kind < 0)
		return -1;
	return finish_header(raw, kind == 2 ? 0 : raw->input.len, err) < 0 ? -1 : 0;
}

/* ---- the body ------------------------------------------------------------------------------- */

static int
flush(struct mail_raw *raw)
{
	int rc = mail_sink_write(raw->sink, raw->output.s, raw->output.len);

	buf_clear(&raw->output);
	return rc;
}

static int
emit(struct mail_raw *raw, const char *bytes, size_t n)
{
	raw->info.size += n;
	if (n > OUTPUT_MAX - raw->output.len && flush(raw) < 0)
		return -1;
	if (n > OUTPUT_MAX)
		return mail_sink_write(raw->sink, bytes, n);
	return buf_add(&raw->output, bytes, n);
}

static int
end_line(struct mail_raw *raw)
{
	if (raw->dot_held) {
		raw->phase = RAW_ENDED;
		return 0;
	}
	raw->line_len = 0;
	return emit(raw, "\r\n", 2);
}

/* A part of a line, without CR and LF. */
static int
take_span(struct mail_raw *raw, const char *s, size_t n)
{
	if (raw->dot_held) {
		raw->dot_held = false;
		if (emit(raw, ".", 1) < 0)
			return -1;
	}
	raw->info.body_8bit = raw->info.body_8bit || !is_ascii(s, n);
	raw->info.has_nul = raw->info.has_nul || memchr(s, '\0', n) != NULL;
	raw->dot_held = raw->options.dot_ends && raw->line_len == 0 && n == 1 && s[0] == '.';
	raw->line_len += n;
	raw->info.long_line = raw->info.long_line || raw->line_len > MAIL_LINE_MAX;
	return raw->dot_held ? 0 : emit(raw, s, n);
}

/* CRs that no LF followed are line ends of their own. */
static int
end_lone_returns(struct mail_raw *raw)
{
	for (; raw->returns > 0 && raw->phase == RAW_BODY; raw->returns--)
		if (end_line(raw) < 0)
			return -1;
	return 0;
}

static int
take_body(struct mail_raw *raw, const char *s, size_t n)
{
	const char *end = s + n;

	while (s < end && raw->phase == RAW_BODY) {
		const char *stop = s + mail_line_length(s, (size_t)(end - s));

		if (stop > s && (end_lone_returns(raw) < 0 || raw->phase != RAW_BODY))
			return raw->phase != RAW_BODY ? 0 : -1;
		if (stop > s && take_span(raw, s, (size_t)(stop - s)) < 0)
			return -1;
		s = stop;
		if (s < end && *s == '\r') {
			raw->returns++;
			s++;
		} else if (s < end) {
			raw->returns = 0;
			s++;
			if (end_line(raw) < 0)
				return -1;
		}
	}
	return 0;
}

static int
body_result(const struct mail_raw *raw, int rc, struct err *err)
{
	if (rc < 0)
		return err_io(err, "the message cannot be written");
	return raw->phase == RAW_ENDED;
}

int
mail_raw_feed(struct mail_raw *raw, const void *bytes, size_t n, struct err *err)
{
	switch (raw->phase) {
	case RAW_HEADER:
		buf_add(&raw->input, bytes, n);
		return take_header_lines(raw, err);
	case RAW_HELD:
		buf_add(&raw->input, bytes, n);
		return 1;
	case RAW_BODY:
		return body_result(raw, take_body(raw, bytes, n), err);
	default:
		return 1;
	}
}

static int
write_header(struct mail_raw *raw)
{
	struct view rest = buf_view(&raw->header);
	struct mail_field field;

	while (mail_field_next(&rest, &field) == 1)
		if (!raw_field_is_hidden(&field) && emit(raw, field.all.s, field.all.len) < 0)
			return -1;
	if (emit(raw, raw->added.s, raw->added.len) < 0)
		return -1;
	return emit(raw, "\r\n", 2);
}

int
mail_raw_start(struct mail_raw *raw, const struct mail_sink *sink, struct err *err)
{
	int rc;

	raw->sink = sink;
	raw->phase = RAW_BODY;
	rc = write_header(raw);
	if (rc == 0)
		rc = take_body(raw, raw->input.s, raw->input.len);
	buf_release(&raw->input);
	return body_result(raw, rc, err);
}

int
mail_raw_end(struct mail_raw *raw, struct err *err)
{
	int rc = end_lone_returns(raw);

	if (rc == 0 && raw->phase == RAW_BODY && raw->line_len > 0)
		rc = end_line(raw);
	if (rc == 0)
		rc = flush(raw);
	raw->phase = RAW_ENDED;
	return rc < 0 ? err_io(err, "the message cannot be written") : 0;
}
