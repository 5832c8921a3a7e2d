#include "mail/compose.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/utf8.h"
#include "mail/attachment.h"
#include "mail/header.h"

#define HEADER_MAX ((size_t)64 << 20) /* a hundred thousand recipients fit */

struct composer {
	const struct mail_message *m;
	const struct mail_compose_options *options;
	const struct mail_boundaries *boundaries;
	const struct mail_sink *sink;
	struct err *err;
};

static int
sink_failed(const struct composer *c)
{
	return err_io(c->err, "the message cannot be written");
}

static int
put(const struct composer *c, const char *bytes, size_t n)
{
	return mail_sink_write(c->sink, bytes, n) < 0 ? sink_failed(c) : 0;
}

static int
put_buf(const struct composer *c, const struct buf *b)
{
	return put(c, b->s, b->len);
}

/* ---- the header ----------------------------------------------------------------------------- */

/* A field of addresses: the message's own, or the extra header that replaces it. */
static int
add_addresses(struct buf *out, const struct mail_message *m, const char *name,
    const struct mail_addresses *list)
{
	struct mail_addresses extra AUTO_ADDRESSES = MAIL_ADDRESSES_INIT;

	if (mail_message_extra_addresses(m, name, &extra))
		list = &extra;
	return mail_header_addresses(out, name, list);
}

/* A text field, likewise. */
static int
add_text(struct buf *out, const struct mail_message *m, const char *name, const char *value)
{
	const char *extra = mail_message_extra(m, name);

	if (extra != NULL)
		value = extra;
	return mail_header_text(out, name, value, strlen(value));
}

static bool
is_written_already(const char *name)
{
	static const char *const names[] = { "From", "Sender", "To", "Cc", "Reply-To", "Subject",
		"Date" };

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (strcasecmp(name, names[i]) == 0)
			return true;
	return false;
}

static int
add_header(struct buf *out, const struct composer *c)
{
	const struct mail_message *m = c->m;
	struct mail_addresses from = { (struct mail_address *)&m->from, 1, 1 };
	struct mail_addresses none = MAIL_ADDRESSES_INIT;
	char date[CLOCK_TEXT_SIZE];
	bool hidden = m->to.count + m->cc.count == 0 && mail_message_extra(m, "To") == NULL &&
	    mail_message_extra(m, "Cc") == NULL;

	if (add_addresses(out, m, "From", &from) < 0 ||
	    add_addresses(out, m, "Sender", &none) < 0 ||
	    (hidden && buf_adds(out, "To: undisclosed-recipients:;\r\n") < 0) ||
	    add_addresses(out, m, "To", &m->to) < 0 || add_addresses(out, m, "Cc", &m->cc) < 0 ||
	    add_addresses(out, m, "Reply-To", &m->reply_to) < 0 ||
	    add_text(out, m, "Subject", m->subject) < 0 ||
	    add_text(out, m, "Date", clock_rfc5322(c->options->now, date)) < 0 ||
	    buf_addf(out, "Message-ID: %s\r\n", m->message_id) < 0)
		return -1;
	for (size_t i = 0; i < m->extra_count; i++)
		if (!is_written_already(m->extra[i].name) &&
		    mail_header_text(out, m->extra[i].name, m->extra[i].value,
			strlen(m->extra[i].value)) < 0)
			return -1;
	return buf_adds(out, "MIME-Version: 1.0\r\n");
}

/* ---- texts ---------------------------------------------------------------------------------- */

/*
 * A text part: its fields, behind what head holds already, a blank line, and the text.  What is
 * written ends with a line end; *ret_own says whether that is the text's own.
 */
static int
put_text(const struct composer *c, struct buf *head, const char *subtype, struct view text,
    bool *ret_own)
{
	enum mail_encoding encoding = mail_encoding_for(text.s, text.len);
	char last = text.len > 0 ? text.s[text.len - 1] : '\n';

	*ret_own = encoding != MAIL_BASE64 && (last == '\n' || last == '\r');
	buf_addf(head, "Content-Type: text/%s; charset=%s\r\nContent-Transfer-Encoding: %s\r\n\r\n",
	    subtype, encoding == MAIL_7BIT ? "us-ascii" : "utf-8", mail_encoding_name(encoding));
	if (put_buf(c, head) < 0)
		return -1;
	buf_clear(head);
	return mail_write_text(c->sink, encoding, text.s, text.len) < 0 ? sink_failed(c) : 0;
}

/* ---- multiparts ----------------------------------------------------------------------------- */

void
mail_make_boundaries(struct mail_boundaries *ret)
{
	mail_boundary(ret->mixed);
	mail_boundary(ret->related);
	mail_boundary(ret->alternative);
}

/* The fields that open a multipart and the line before its first part, appended to head. */
static void
open_multipart(struct buf *head, const char *subtype, const char *parameters, const char *boundary)
{
	buf_addf(head, "Content-Type: multipart/%s;%s\r\n\tboundary=\"%s\"\r\n\r\n--%s\r\n",
	    subtype, parameters, boundary, boundary);
}

/*
 * The line between two parts, or behind the last.  The line end before it is its own (RFC 2046
 * section 5.1.1): one more keeps that of a text that ended with one.
 */
static int
put_boundary(const struct composer *c, const char *boundary, bool keep_line_end, bool last)
{
	char line[MAIL_BOUNDARY_SIZE + 16];
	int n = snprintf(line, sizeof line, "%s--%s%s\r\n", keep_line_end ? "\r\n" : "", boundary,
	    last ? "--" : "");

	return put(c, line, (size_t)n);
}

/* The text, or HTML with its alternative; *ret_keep says how the boundary behind it must begin. */
static int
put_body(const struct composer *c, struct buf *head, bool *ret_keep)
{
	const struct mail_message *m = c->m;
	struct view body = { m->body, m->body_len };
	struct view alternative = { m->alternative, m->alternative_len };
	const char *boundary = c->boundaries->alternative;

	if (!m->html || m->alternative == NULL)
		return put_text(c, head, m->html ? "html" : "plain", body, ret_keep);
	open_multipart(head, "alternative", "", boundary);
	if (put_text(c, head, "plain", alternative, ret_keep) < 0 ||
	    put_boundary(c, boundary, *ret_keep, false) < 0 ||
	    put_text(c, head, "html", body, ret_keep) < 0 ||
	    put_boundary(c, boundary, *ret_keep, true) < 0)
		return -1;
	*ret_keep = false;
	return 0;
}

/* ---- attachments ---------------------------------------------------------------------------- */

/* The content of an attachment, piece by piece. */
struct content {
	const struct mail_attachment *a;
	size_t index;
	uint64_t taken;
	struct buf *memory; /* for a piece of a descriptor's */
};

/* The next piece; 1, 0 at the end, -1 with err. */
static int
next_piece(const struct composer *c, struct content *content, struct view *ret_piece)
{
	const struct mail_attachment *a = content->a;
	uint64_t max = c->options->attachment_max;

	if (a->fd < 0) {
		*ret_piece = buf_view(&a->bytes);
		if (content->taken > 0 || ret_piece->len == 0)
			return 0;
	} else {
		struct buf *piece = content->memory;
		uint64_t left = a->length - content->taken;
		size_t want = left < MAIL_SNIFF_SIZE ? (size_t)left : MAIL_SNIFF_SIZE;

		buf_clear(piece);
		buf_reserve(piece, MAIL_SNIFF_SIZE);
		while (piece->len < want) { /* full, so that a pipe is typed as a file is */
			ssize_t n = read(a->fd, piece->s + piece->len, want - piece->len);

			if (n < 0 && errno == EINTR)
				continue;
			if (n < 0)
				return err_io(c->err, "attachments[%zu]: %s", content->index,
				    a->filename);
			if (n == 0)
				break;
			piece->len += (size_t)n;
		}
		*ret_piece = buf_view(piece);
	}
	content->taken += ret_piece->len;
	if (max > 0 && content->taken > max)
		return err_set(c->err, EX_DATAERR, "attachments[%zu]: %s is larger than %llu bytes",
		    content->index, a->filename, (unsigned long long)max);
	return ret_piece->len > 0;
}

/* text/... needs to say its charset; what is not UTF-8 is nobody's guess. */
bool
mail_starts_as_utf8(const char *start, size_t n)
{
	size_t len = n < MAIL_SNIFF_SIZE ? n : MAIL_SNIFF_SIZE;

	for (int cut = 0; cut < 4; cut++, len--) { /* the last character may be cut */
		if (utf8_valid(start, len))
			return true;
		if (n < MAIL_SNIFF_SIZE || len == 0)
			break;
	}
	return false;
}

int
mail_attachment_head(struct buf *head, const char *filename, const char *type, bool utf8,
    const char *content_id)
{
	const char *charset = utf8 && strncasecmp(type, "text/", 5) == 0 ? "; charset=utf-8" : "";

	if (buf_addf(head, "Content-Type: %s%s", type, charset) < 0)
		return -1;
	/* for readers that do not know Content-Disposition, or not RFC 2231 */
	if (mail_header_param_words(head, "name", filename) < 0)
		return -1;
	if (buf_addf(head, "\r\nContent-Transfer-Encoding: base64\r\n") < 0 ||
	    (content_id != NULL && buf_addf(head, "Content-ID: <%s>\r\n", content_id) < 0) ||
	    buf_addf(head, "Content-Disposition: %s",
		content_id != NULL ? "inline" : "attachment") < 0 ||
	    mail_header_param(head, "filename", filename) < 0)
		return -1;
	return buf_adds(head, "\r\n\r\n");
}

/* Writes the header of an attachment with this type, unless the message says one. */
static int
put_head(const struct composer *c, size_t index, const char *type, bool utf8)
{
	const struct mail_attachment *a = &c->m->attachments[index];
	struct buf head AUTO_BUF = BUF_INIT(16384);

	if (mail_attachment_head(&head, a->filename,
		a->content_type != NULL ? a->content_type : type, utf8, a->content_id) < 0)
		return err_set(c->err, EX_DATAERR, "attachments[%zu]: header too long", index);
	return put_buf(c, &head);
}

/* One that is stored apart. */
static int
put_part(const struct composer *c, size_t index)
{
	const struct mail_part *part = c->m->attachments[index].part;

	if (put_head(c, index, part->type, part->utf8) < 0)
		return -1;
	return c->options->part(c->options->arg, part);
}

static int
put_attachment(const struct composer *c, size_t index)
{
	struct buf memory AUTO_BUF = BUF_INIT(MAIL_SNIFF_SIZE);
	struct content content = { &c->m->attachments[index], index, 0, &memory };
	struct mail_base64 base64 = { .sink = c->sink };
	struct view piece = VIEW("");
	char type[MAIL_TYPE_SIZE] = "";
	int rc;

	if (content.a->fd >= 0)
		(void)lseek(content.a->fd, content.a->start,
		    SEEK_SET); /* a pipe is read as it comes */
	rc = next_piece(c, &content, &piece);
	if (rc < 0)
		return -1;
	if (content.a->content_type == NULL)
		mail_type_of(content.a->filename, piece.s, piece.len, c->options->magic, type);
	if (put_head(c, index, type, mail_starts_as_utf8(piece.s, piece.len)) < 0)
		return -1;
	while (rc > 0) {
		if (mail_base64_feed(&base64, piece.s, piece.len) < 0)
			rc = sink_failed(c);
		else
			rc = next_piece(c, &content, &piece);
	}
	if (rc == 0 && mail_base64_end(&base64) < 0)
		rc = sink_failed(c);
	return rc;
}

/* Inline ones go with the HTML that shows them, all others beside it. */
static bool
is_inline(const struct mail_message *m, size_t index)
{
	return m->html && m->attachments[index].content_id != NULL;
}

static size_t
count_attachments(const struct mail_message *m, bool shown_inline)
{
	size_t n = 0;

	for (size_t i = 0; i < m->attachment_count; i++)
		n += is_inline(m, i) == shown_inline;
	return n;
}

/* An attachment behind its boundary. */
static int
put_one(const struct composer *c, const char *boundary, size_t index, bool keep)
{
	const struct mail_attachment *a = &c->m->attachments[index];

	if (a->remote != NULL) {
		/* The line end that the text keeps is there also where nothing comes of this. */
		if (keep && put(c, "\r\n", 2) < 0)
			return -1;
		return c->options->remote(c->options->arg, a, boundary);
	}
	if (put_boundary(c, boundary, keep, false) < 0)
		return -1;
	return a->part != NULL ? put_part(c, index) : put_attachment(c, index);
}

/* The attachments of a kind, each behind a boundary, and the boundary that ends them. */
static int
put_attachments(const struct composer *c, const char *boundary, bool shown_inline, bool *keep)
{
	for (size_t i = 0; i < c->m->attachment_count; i++) {
		if (is_inline(c->m, i) != shown_inline)
			continue;
		if (put_one(c, boundary, i, *keep) < 0)
			return -1;
		*keep = false;
	}
	if (put_boundary(c, boundary, *keep, true) < 0)
		return -1;
	*keep = false;
	return 0;
}

int
mail_compose(const struct mail_message *m, const struct mail_compose_options *options,
    const struct mail_sink *sink, struct err *err)
{
	struct mail_boundaries own;
	const struct mail_boundaries *b = options->boundaries != NULL ? options->boundaries : &own;
	const struct composer c = { m, options, b, sink, err };
	struct buf head AUTO_BUF = BUF_INIT(HEADER_MAX);
	bool has_mixed = count_attachments(m, false) > 0,
	     has_related = count_attachments(m, true) > 0;
	bool keep = false;

	if (b == &own && (m->attachment_count > 0 || m->alternative != NULL))
		mail_make_boundaries(&own);
	if (add_header(&head, &c) < 0)
		return err_set(err, EX_DATAERR, "the header is longer than %zu bytes", HEADER_MAX);
	if (has_mixed)
		open_multipart(&head, "mixed", "", b->mixed);
	if (has_related)
		open_multipart(&head, "related",
		    m->alternative != NULL ? " type=\"multipart/alternative\";" :
					     " type=\"text/html\";",
		    b->related);
	if (put_body(&c, &head, &keep) < 0)
		return -1;
	if (has_related && put_attachments(&c, b->related, true, &keep) < 0)
		return -1;
	if (has_mixed && put_attachments(&c, b->mixed, false, &keep) < 0)
		return -1;
	return 0;
}
