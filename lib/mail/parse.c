#include "mail/parse.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "mail/header.h"

#define CHUNK 65536
#define BOUNDARY_SIZE 202 /* RFC 2046 allows 70 characters; others more */
#define LINE_KEPT 256	  /* bytes of a line: enough to know a boundary */

/* Lines of the file, one after another, of which the beginning is kept. */
struct lines {
	int fd;
	uint64_t size, at; /* at: of the next byte that is not in the chunk's rest */
	char chunk[CHUNK];
	size_t have, used;

	char line[LINE_KEPT];
	size_t kept;
	uint64_t start, end; /* of the line, its end included */
	size_t ending;	     /* bytes of the line end */
	struct buf *copy;    /* where whole lines go; NULL: nowhere */
};

struct boundary {
	char text[BOUNDARY_SIZE];
	size_t len;
};

enum place { IN_HEADER, IN_PART, BETWEEN };

struct parser {
	struct lines lines;
	mail_parameter *parameter;
	struct mail_parsed *parsed;
	struct boundary stack[MAIL_PARSE_DEPTH];
	size_t depth;
	enum place place;
	struct buf header; /* of the part at hand */
};

/* ---- lines ------------------------------------------------------------------------------------- */

static int
fill(struct lines *l)
{
	uint64_t left = l->size - l->at;
	ssize_t n;

	do {
		n = pread(l->fd, l->chunk, left < CHUNK ? (size_t)left : CHUNK, (off_t)l->at);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -1;
	if (n == 0)
		l->size = l->at; /* shorter than it was said to be */
	l->at += (uint64_t)n;
	l->have = (size_t)n;
	l->used = 0;
	return 0;
}

static void
keep(struct lines *l, const char *s, size_t n)
{
	size_t room = LINE_KEPT - l->kept;

	memcpy(l->line + l->kept, s, n < room ? n : room);
	l->kept += n < room ? n : room;
	/* A header that is too long is cut, at a line's end or not. */
	if (l->copy != NULL) {
		room = l->copy->max - l->copy->len;
		buf_add(l->copy, s, n < room ? n : room);
	}
}

/* The next line: 1, 0 at the end, -1 with errno.  What stands in l->line has no line end where the whole
 * line fitted. */
static int
next_line(struct lines *l)
{
	char last = '\0', before = '\0';

	l->kept = l->ending = 0;
	l->start = l->end;
	while (last != '\n') {
		const char *s, *newline;
		size_t n;

		if (l->used == l->have && (l->at >= l->size || fill(l) < 0 || l->have == 0))
			break;
		s = l->chunk + l->used;
		newline = memchr(s, '\n', l->have - l->used);
		n = newline != NULL ? (size_t)(newline - s) + 1 : l->have - l->used;
		keep(l, s, n);
		before = n > 1 ? s[n - 2] : last;
		last = s[n - 1];
		l->used += n;
		l->end += n;
	}
	if (l->end == l->start)
		return l->at < l->size ? -1 : 0;
	if (last == '\n')
		l->ending = before == '\r' ? 2 : 1;
	if (l->end - l->start <= LINE_KEPT)
		l->kept -= l->ending;
	return 1;
}

static bool
is_blank_line(const struct lines *l)
{
	return l->end - l->start == l->ending;
}

/* ---- fields ------------------------------------------------------------------------------------ */

/* The value of a header's first field of this name, unfolded, without NULs; NULL: none.  To be freed. */
static char *
field_value(const struct buf *header, const char *name)
{
	struct view rest = buf_view(header);
	struct mail_field field;
	char *value;

	for (;;) {
		int rc = mail_field_next(&rest, &field);
		const char *newline;

		if (rc == 0)
			return NULL;
		if (rc > 0 && mail_field_is(&field, name))
			break;
		if (rc > 0)
			continue;
		newline = memchr(rest.s, '\n', rest.len);
		if (newline == NULL)
			return NULL;
		rest.len -= (size_t)(newline + 1 - rest.s);
		rest.s = newline + 1;
	}
	value = xstrndup(field.value.s, field.value.len);
	for (size_t i = 0; i < field.value.len; i++)
		value[i] = strchr("\r\n", field.value.s[i]) != NULL ? ' ' : field.value.s[i];
	memmove(value, value + strspn(value, " \t"), strlen(value + strspn(value, " \t")) + 1);
	return value;
}

int
mail_header_field(const struct buf *header, const char *name, struct buf *ret)
{
	AUTO_FREE char *value = field_value(header, name);

	if (value == NULL)
		return 0;
	return mail_header_decode(ret, value, strlen(value)) < 0 ? -1 : 1;
}

/* One of a field's parameters as text for people; "" where there is none that can be read. */
static void
read_name(const struct parser *p, const char *value, const char *name, char *ret, size_t size)
{
	char raw[MAIL_PARSE_NAME * 4];
	AUTO_BUF struct buf text = BUF_INIT(sizeof raw * 4);
	const char *base;
	size_t n;

	*ret = '\0';
	if (value == NULL || p->parameter(value, name, raw, sizeof raw) != 1 ||
	    mail_header_decode(&text, raw, strlen(raw)) < 0)
		return;
	base = text.s;
	for (const char *c = text.s; *c != '\0'; c++)
		if (*c == '/' || *c == '\\')
			base = c + 1;
	n = strlen(base);
	/* Cut between characters. */
	while (n >= size || (base[n] & 0xc0) == 0x80)
		n--;
	if (base[0] == '.' && (n == 1 || (n == 2 && base[1] == '.')))
		n = 0;
	memcpy(ret, base, n);
	ret[n] = '\0';
}

/* A message within, or what is said of one, is shown as a file. */
static bool
is_message(const char *type)
{
	static const char *const known[] = { "rfc822", "global", "delivery-status",
		"global-delivery-status", "global-headers", "disposition-notification",
		"global-disposition-notification", "feedback-report" };

	if (strncmp(type, "message/", 8) != 0)
		return false;
	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (strcmp(type + 8, known[i]) == 0)
			return true;
	return false;
}

static void
read_type(const char *value, char *ret)
{
	size_t n = value != NULL ? strcspn(value, "; \t(") : 0;
	char type[MAIL_TYPE_SIZE];

	snprintf(ret, MAIL_TYPE_SIZE, "text/plain"); /* RFC 2045 section 5.2 */
	if (n == 0 || n >= sizeof type)
		return;
	for (size_t i = 0; i < n; i++)
		type[i] = (char)tolower((unsigned char)value[i]);
	type[n] = '\0';
	if (mail_type_ok(type) || is_message(type))
		snprintf(ret, MAIL_TYPE_SIZE, "%s", type);
	else if (strchr(type, '/') != NULL)
		snprintf(ret, MAIL_TYPE_SIZE, "application/octet-stream");
}

static enum mail_encoding
read_encoding(const char *value)
{
	size_t n = value != NULL ? strcspn(value, "; \t(") : 0;

	if (n == 6 && strncasecmp(value, "base64", n) == 0)
		return MAIL_BASE64;
	if (n == 16 && strncasecmp(value, "quoted-printable", n) == 0)
		return MAIL_QUOTED_PRINTABLE;
	return MAIL_7BIT;
}

static void
read_charset(const struct parser *p, const char *value, char *ret, size_t size)
{
	*ret = '\0';
	if (value == NULL || p->parameter(value, "charset", ret, size) != 1)
		*ret = '\0';
	for (const char *c = ret; *c != '\0'; c++)
		if (!isalnum((unsigned char)*c) && strchr("-_.:+", *c) == NULL) {
			*ret = '\0';
			return;
		}
}

/* ---- parts ------------------------------------------------------------------------------------- */

/* The header of a multipart: true, and its boundary is the innermost one. */
static bool
enter(struct parser *p, const char *type)
{
	struct boundary *b = &p->stack[p->depth];

	if (type == NULL || strncasecmp(type, "multipart/", 10) != 0 ||
	    p->depth == MAIL_PARSE_DEPTH ||
	    p->parameter(type, "boundary", b->text, sizeof b->text) != 1)
		return false;
	b->len = strlen(b->text);
	if (b->len == 0)
		return false;
	p->depth++;
	p->place = BETWEEN;
	return true;
}

static void
begin_part(struct parser *p, const char *type)
{
	AUTO_FREE char *encoding = field_value(&p->header, "Content-Transfer-Encoding");
	AUTO_FREE char *disposition = field_value(&p->header, "Content-Disposition");
	AUTO_FREE char *id = field_value(&p->header, "Content-ID");
	struct mail_parsed *parsed = p->parsed;
	struct mail_parsed_part *part;

	parsed->parts = xreallocarray(parsed->parts, parsed->count + 1, sizeof *parsed->parts);
	part = &parsed->parts[parsed->count++];
	memset(part, 0, sizeof *part);
	read_type(type, part->type);
	read_charset(p, type, part->charset, sizeof part->charset);
	part->encoding = read_encoding(encoding);
	read_name(p, disposition, "filename", part->filename, sizeof part->filename);
	if (part->filename[0] == '\0')
		read_name(p, type, "name", part->filename, sizeof part->filename);
	part->attachment = disposition != NULL && strncasecmp(disposition, "attachment", 10) == 0;
	if (id != NULL) {
		const char *start = id + strspn(id, "< \t");
		size_t n = strcspn(start, "> \t");

		if (n < sizeof part->content_id)
			memcpy(part->content_id, start, n);
	}
	part->offset = p->lines.end;
	p->place = IN_PART;
}

/* The header at hand is whole; what follows begins behind the present line. */
static void
end_header(struct parser *p)
{
	AUTO_FREE char *type = NULL;

	p->lines.copy = NULL;
	type = field_value(&p->header, "Content-Type");
	if (!enter(p, type))
		begin_part(p, type);
	buf_clear(&p->header);
}

/* The part at hand ends before a line that begins at end, whose line end belongs to the boundary. */
static void
end_part(struct parser *p, uint64_t end, size_t ending)
{
	struct mail_parsed_part *part;

	if (p->place != IN_PART)
		return;
	part = &p->parsed->parts[p->parsed->count - 1];
	part->length = end > part->offset + ending ? end - ending - part->offset : 0;
}

/* Whether a line is the boundary of one of the multiparts around: 0 no, else its depth (from 1); and
 * whether it is the last. */
static size_t
boundary_of(const struct parser *p, bool *ret_last)
{
	const struct lines *l = &p->lines;

	if (l->kept < 3 || l->line[0] != '-' || l->line[1] != '-')
		return 0;
	for (size_t depth = p->depth; depth > 0; depth--) {
		const struct boundary *b = &p->stack[depth - 1];
		size_t at = 2 + b->len;

		if (l->kept < at || memcmp(l->line + 2, b->text, b->len) != 0)
			continue;
		*ret_last = l->kept >= at + 2 && memcmp(l->line + at, "--", 2) == 0;
		at += *ret_last ? 2 : 0;
		while (at < l->kept && (l->line[at] == ' ' || l->line[at] == '\t'))
			at++;
		if (at == l->kept)
			return depth;
	}
	return 0;
}

static void
take_boundary(struct parser *p, size_t depth, bool last, size_t ending)
{
	if (p->place == IN_HEADER)
		end_header(p); /* without a blank line: an empty part */
	end_part(p, p->lines.start, ending);
	p->depth = last ? depth - 1 : depth;
	p->place = BETWEEN;
	if (last || p->parsed->count >= MAIL_PARSE_PARTS)
		return;
	p->place = IN_HEADER;
	p->lines.copy = &p->header;
}

static int
parse(struct parser *p)
{
	struct lines *l = &p->lines;
	size_t ending = 0; /* of the line before */
	int rc;

	while ((rc = next_line(l)) > 0) {
		bool last = false;
		size_t depth = boundary_of(p, &last);

		if (depth > 0)
			take_boundary(p, depth, last, ending);
		else if (p->place == IN_HEADER && is_blank_line(l))
			end_header(p);
		ending = l->ending;
	}
	if (rc < 0)
		return -1;
	if (p->place == IN_HEADER)
		end_header(p);
	end_part(p, l->end, 0);
	return 0;
}

/* ---- the whole --------------------------------------------------------------------------------- */

/* The message's header, up to its blank line; the lines go on behind it. */
static int
take_header(struct lines *l, struct buf *header)
{
	int rc;

	l->copy = header;
	while ((rc = next_line(l)) > 0 && !is_blank_line(l))
		continue;
	if (rc > 0)
		buf_truncate(header, header->len >= l->ending ? header->len - l->ending : 0);
	l->copy = NULL;
	return rc < 0 ? -1 : 0;
}

int
mail_parse_header(int fd, uint64_t size, struct buf *header)
{
	AUTO_FREE struct lines *l = xcalloc(1, sizeof *l);

	l->fd = fd;
	l->size = size;
	return take_header(l, header);
}

int
mail_parse(int fd, uint64_t size, mail_parameter *parameter, struct mail_parsed *parsed)
{
	return mail_parse_at(fd, 0, size, parameter, parsed);
}

int
mail_parse_at(int fd, uint64_t offset, uint64_t length, mail_parameter *parameter,
    struct mail_parsed *parsed)
{
	AUTO_FREE struct parser *p = xcalloc(1, sizeof *p);
	int rc;

	p->lines.fd = fd;
	p->lines.at = p->lines.start = p->lines.end = offset;
	p->lines.size = offset + length;
	p->parameter = parameter;
	p->parsed = parsed;
	buf_init(&p->header, MAIL_PARSE_HEADER);
	if (take_header(&p->lines, &parsed->header) < 0)
		return -1;
	buf_add(&p->header, parsed->header.s, parsed->header.len);
	end_header(p);
	p->header.max = MAIL_PARSE_PART_HEADER;
	rc = parse(p);
	buf_release(&p->header);
	return rc;
}

const struct mail_parsed_part *
mail_part_to_read(const struct mail_parsed *parsed, const char *type)
{
	for (size_t i = 0; i < parsed->count; i++)
		if (!parsed->parts[i].attachment && strcmp(parsed->parts[i].type, type) == 0)
			return &parsed->parts[i];
	return NULL;
}

void
mail_parsed_release(struct mail_parsed *parsed)
{
	buf_release(&parsed->header);
	free(parsed->parts);
	parsed->parts = NULL;
	parsed->count = 0;
}
