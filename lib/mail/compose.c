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

/* The fields that open a multipart and the line before its first part, appended to head. */
static void
open_multipart(struct buf *head, const char *subtype, const char *parameters,
    char boundary[MAIL_BOUNDARY_SIZE])
{
	mail_boundary(boundary);
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
	char boundary[MAIL_BOUNDARY_SIZE];

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
static const char *
charset_of(const char *type, struct view start)
{
	size_t len = start.len < MAIL_SNIFF_SIZE ? start.len : MAIL_SNIFF_SIZE;

	if (strncasecmp(type, "text/", 5) != 0)
		return "";
	for (int cut = 0; cut < 4; cut++, len--) /* the last character may be cut */
		if (utf8_valid(start.s, len))
			return "; charset=utf-8";
		else if (start.len < MAIL_SNIFF_SIZE || len == 0)
			break;
	return "";
}

static int
add_attachment_header(struct buf *head, const struct composer *c, const struct mail_attachment *a,
    struct view start)
{
	char type[MAIL_TYPE_SIZE];

	if (a->content_type != NULL)
		snprintf(type, sizeof type, "%s", a->content_type);
	else
		mail_type_of(a->filename, start.s, start.len, c->options->magic, type);
	if (buf_addf(head, "Content-Type: %s%s", type, charset_of(type, start)) < 0)
		return -1;
	/* for readers that do not know Content-Disposition; it has no form for other letters */
	if (is_ascii(a->filename, strlen(a->filename)) &&
	    mail_header_param(head, "name", a->filename) < 0)
		return -1;
	if (buf_addf(head, "\r\nContent-Transfer-Encoding: base64\r\n") < 0 ||
	    (a->content_id != NULL && buf_addf(head, "Content-ID: <%s>\r\n", a->content_id) < 0) ||
	    buf_addf(head, "Content-Disposition: %s",
		a->content_id != NULL ? "inline" : "attachment") < 0 ||
	    mail_header_param(head, "filename", a->filename) < 0)
		return -1;
	return buf_adds(head, "\r\n\r\n");
}

static int
put_attachment(const struct composer *c, size_t index)
{
	struct buf head AUTO_BUF = BUF_INIT(16384);
	struct buf memory AUTO_BUF = BUF_INIT(MAIL_SNIFF_SIZE);
	struct content content = { &c->m->attachments[index], index, 0, &memory };
	struct mail_base64 base64 = { .sink = c->sink };
	struct view piece = VIEW("");
	int rc;

	if (content.a->fd >= 0)
		(void)lseek(content.a->fd, content.a->start,
		    SEEK_SET); /* a pipe is read as it comes */
	rc = next_piece(c, &content, &piece);
	if (rc >= 0 && add_attachment_header(&head, c, content.a, piece) < 0)
		rc = err_set(c->err, EX_DATAERR, "attachments[%zu]: header too long", index);
	if (rc >= 0 && put_buf(c, &head) < 0)
		rc = -1;
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

/* The attachments of a kind, each behind a boundary, and the boundary that ends them. */
static int
put_attachments(const struct composer *c, const char *boundary, bool shown_inline, bool *keep)
{
	for (size_t i = 0; i < c->m->attachment_count; i++) {
		if (is_inline(c->m, i) != shown_inline)
			continue;
		if (put_boundary(c, boundary, *keep, false) < 0 || put_attachment(c, i) < 0)
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
	const struct composer c = { m, options, sink, err };
	struct buf head AUTO_BUF = BUF_INIT(HEADER_MAX);
	char mixed[MAIL_BOUNDARY_SIZE], related[MAIL_BOUNDARY_SIZE];
	bool has_mixed = count_attachments(m, false) > 0,
	     has_related = count_attachments(m, true) > 0;
	bool keep = false;

	if (add_header(&head, &c) < 0)
		return err_set(err, EX_DATAERR, "the header is longer than %zu bytes", HEADER_MAX);
	if (has_mixed)
		open_multipart(&head, "mixed", "", mixed);
	if (has_related)
		open_multipart(&head, "related",
		    m->alternative != NULL ? " type=\"multipart/alternative\";" :
					     " type=\"text/html\";",
		    related);
	if (put_body(&c, &head, &keep) < 0)
		return -1;
	if (has_related && put_attachments(&c, related, true, &keep) < 0)
		return -1;
	if (has_mixed && put_attachments(&c, mixed, false, &keep) < 0)
		return -1;
	return 0;
}
