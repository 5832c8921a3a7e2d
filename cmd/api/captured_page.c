/* Captured mail as pages.  Whatever is in it comes from strangers: all of it is escaped, and its HTML is
 * shown in a frame that can do nothing. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/num.h"
#include "cmd/api/captured.h"
#include "mail/header.h"

#define PAGE_MAX ((size_t)64 * 1024 * 1024)
#define HTML "text/html; charset=utf-8"
#define FIELD_MAX (64u * 1024)
#define IMAGE_MAX (4u * 1024 * 1024)   /* bytes of one image that is put into the HTML */
#define IMAGES_MAX (32u * 1024 * 1024) /* bytes of HTML with its images */

#define PAGE_POLICY                                                                                \
	"default-src 'none'; style-src 'self'; img-src data:; frame-src 'self'; base-uri 'none'; " \
	"form-action 'none'; frame-ancestors 'none'"
/* No scripts, forms, popups, or anything from elsewhere: no sender learns who looks at the mail. */
#define MAIL_POLICY                                                                                \
	"sandbox; default-src 'none'; img-src data: cid:; font-src data:; "                        \
	"style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"

/* ---- writing pages ----------------------------------------------------------------------------- */

void
captured_add_escaped(struct buf *out, const char *text)
{
	for (const unsigned char *c = (const unsigned char *)text; *c != '\0'; c++)
		if ((*c >= '0' && *c <= '9') || (*c >= 'a' && *c <= 'z') ||
		    (*c >= 'A' && *c <= 'Z') || strchr("-_.~", *c) != NULL)
			buf_addc(out, (char)*c);
		else
			buf_addf(out, "%%%02X", *c);
}

static void
add_text(struct buf *out, const char *text)
{
	for (const char *c = text; *c != '\0'; c++)
		switch (*c) {
		case '&':
			buf_adds(out, "&amp;");
			break;
		case '<':
			buf_adds(out, "&lt;");
			break;
		case '>':
			buf_adds(out, "&gt;");
			break;
		case '"':
			buf_adds(out, "&quot;");
			break;
		case '\'':
			buf_adds(out, "&#39;");
			break;
		default:
			buf_addc(out, *c);
		}
}

static void
begin_page(struct buf *out, const char *root, const char *title)
{
	buf_adds(out,
	    "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
	    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
	    "<link rel=\"icon\" href=\"data:,\">\n<title>");
	add_text(out, title);
	buf_addf(out,
	    "</title>\n<link rel=\"stylesheet\" href=\"%sassets/page.css\">\n</head>\n<body>\n<h1>",
	    root);
	add_text(out, title);
	buf_adds(out, "</h1>\n");
}

static void
end_page(struct http_request *r, struct buf *out)
{
	if (buf_adds(out, "</body>\n</html>\n") < 0) {
		buf_release(out);
		http_reply_detail(r, 500, "Internal Server Error");
		return;
	}
	http_page_headers(r, PAGE_POLICY);
	http_reply(r, 200, HTML, out);
}

static void
add_cell(struct buf *out, const char *text)
{
	buf_adds(out, "<td>");
	add_text(out, text);
	buf_adds(out, "</td>");
}

/* ---- the list ---------------------------------------------------------------------------------- */

static void
add_row(struct buf *out, const struct captured_row *row)
{
	char when[CLOCK_TEXT_SIZE], size[24];

	buf_adds(out, "<tr>");
	add_cell(out, row->at > 0 ? clock_iso(row->at, when) : "");
	add_cell(out, row->from);
	add_cell(out, row->to);
	buf_adds(out, "<td><a href=\"captured/");
	captured_add_escaped(out, row->id);
	buf_adds(out, "\">");
	add_text(out, row->subject[0] != '\0' ? row->subject : "(no subject)");
	buf_adds(out, "</a></td>");
	add_cell(out, num_size_text(row->size, size));
	buf_adds(out, "</tr>\n");
}

void
captured_reply_list(struct http_request *r, const struct captured_row *rows, size_t n,
    uint64_t total, const char *next, int64_t limit)
{
	struct buf page = BUF_INIT(PAGE_MAX);

	begin_page(&page, "", "Captured mail");
	buf_addf(&page, "<p>%llu %s, the newest first. None of it has left this machine.</p>\n",
	    (unsigned long long)total, total == 1 ? "message" : "messages");
	if (n > 0)
		buf_adds(&page,
		    "<table>\n<tr><th>Captured</th><th>From</th><th>To</th><th>Subject</th>"
		    "<th>Size</th></tr>\n");
	for (size_t i = 0; i < n; i++)
		add_row(&page, &rows[i]);
	if (n > 0)
		buf_adds(&page, "</table>\n");
	if (next != NULL) {
		buf_addf(&page, "<p><a href=\"captured?limit=%lld&amp;cursor=", (long long)limit);
		captured_add_escaped(&page, next);
		buf_adds(&page, "\">Older ones</a></p>\n");
	}
	end_page(r, &page);
}

/* ---- one message ------------------------------------------------------------------------------- */

static void
add_fields(struct buf *out, const struct captured *c)
{
	struct view rest = buf_view(&c->mail.header);
	struct mail_field field;
	int shown = 0, rc;

	buf_adds(out, "<table>\n");
	while (shown++ < 500 && (rc = mail_field_next(&rest, &field)) != 0) {
		AUTO_BUF struct buf value = BUF_INIT(FIELD_MAX);
		AUTO_FREE char *name = NULL;
		const char *newline = memchr(rest.s, '\n', rest.len);

		if (rc > 0) {
			name = xstrndup(field.name.s, field.name.len);
			mail_header_decode(&value, field.value.s, field.value.len);
			buf_adds(out, "<tr><th>");
			add_text(out, name);
			buf_adds(out, "</th>");
			add_cell(out, value.s);
			buf_adds(out, "</tr>\n");
			continue;
		}
		if (newline == NULL)
			break;
		rest.len -= (size_t)(newline + 1 - rest.s);
		rest.s = newline + 1;
	}
	buf_adds(out, "</table>\n");
}

static void
add_attachments(struct buf *out, const struct captured *c, const struct mail_parsed_part *text,
    const struct mail_parsed_part *html)
{
	bool any = false;

	for (size_t i = 0; i < c->mail.count; i++) {
		const struct mail_parsed_part *part = &c->mail.parts[i];

		if (part == text || part == html)
			continue;
		buf_adds(out, any ? "" : "<h2>Attachments</h2>\n<ul>\n");
		any = true;
		buf_adds(out, "<li><a href=\"");
		captured_add_escaped(out, c->id);
		buf_addf(out, "/parts/%zu\" download>", i + 1);
		add_text(out, part->filename[0] != '\0' ? part->filename : "attachment");
		buf_adds(out, "</a> ");
		add_text(out, part->type);
		buf_adds(out, "</li>\n");
	}
	buf_adds(out, any ? "</ul>\n" : "");
}

void
captured_reply_message(struct http_request *r, const struct captured *c)
{
	const struct mail_parsed_part *text = mail_part_to_read(&c->mail, "text/plain");
	const struct mail_parsed_part *html = mail_part_to_read(&c->mail, "text/html");
	AUTO_BUF struct buf subject = BUF_INIT(FIELD_MAX);
	AUTO_BUF struct buf shown = BUF_INIT(4 * CAPTURED_TEXT_MAX);
	struct buf page = BUF_INIT(PAGE_MAX);

	mail_header_field(&c->mail.header, "Subject", &subject);
	begin_page(&page, "../", subject.len > 0 ? subject.s : "(no subject)");
	buf_adds(&page, "<p><a href=\"../captured\">All captured mail</a> · <a href=\"");
	captured_add_escaped(&page, c->id);
	buf_adds(&page, "/parts/0\" download>as a file</a></p>\n");
	add_fields(&page, c);
	if (html != NULL) {
		buf_adds(&page, "<h2>HTML</h2>\n<iframe sandbox title=\"The message\" src=\"");
		captured_add_escaped(&page, c->id);
		buf_adds(&page, "/html\"></iframe>\n");
	}
	if (text != NULL && mail_part_text(c->fd, text, CAPTURED_TEXT_MAX, &shown) >= 0) {
		buf_adds(&page, "<h2>Text</h2>\n<pre>");
		add_text(&page, shown.s);
		buf_adds(&page, "</pre>\n");
	}
	add_attachments(&page, c, text, html);
	end_page(r, &page);
}

/* ---- the HTML ---------------------------------------------------------------------------------- */

static const struct mail_parsed_part *
image_of(const struct captured *c, const char *id, size_t n)
{
	for (size_t i = 0; i < c->mail.count; i++) {
		const struct mail_parsed_part *part = &c->mail.parts[i];

		if (n > 0 && strlen(part->content_id) == n &&
		    memcmp(part->content_id, id, n) == 0 && strncmp(part->type, "image/", 6) == 0)
			return part;
	}
	return NULL;
}

/* An image as a URL that holds it.  False where it is too large. */
static bool
add_image(struct buf *out, const struct captured *c, const struct mail_parsed_part *part)
{
	AUTO_BUF struct buf bytes = BUF_INIT(IMAGE_MAX);
	struct mail_sink sink = { mail_sink_to_buf, &bytes };
	size_t before = out->len;

	if (mail_part_decode(c->fd, part, IMAGE_MAX, &sink) == 0 &&
	    buf_addf(out, "data:%s;base64,", part->type) == 0 &&
	    mail_base64_encode(out, bytes.s, bytes.len) == 0)
		return true;
	buf_truncate(out, before);
	return false;
}

/* Images that come with the message stand in it as "cid:..." (RFC 2392), which no browser knows. */
static void
put_images(struct buf *out, const struct captured *c, const struct buf *html)
{
	const char *at = html->s, *end = html->s + html->len;

	while (at < end) {
		const char *cid = strcasestr(at, "cid:");
		const struct mail_parsed_part *part;
		size_t n;

		if (cid == NULL)
			break;
		n = strcspn(cid + 4, "\"'<> \t\r\n)");
		part = image_of(c, cid + 4, n);
		if (buf_add(out, at, (size_t)(cid - at)) < 0)
			return;
		at = cid;
		if (part == NULL || !add_image(out, c, part))
			buf_add(out, cid, 4 + n);
		at += 4 + n;
	}
	buf_add(out, at, (size_t)(end - at));
}

void
captured_reply_html(struct http_request *r, const struct captured *c,
    const struct mail_parsed_part *html)
{
	AUTO_BUF struct buf text = BUF_INIT(4 * CAPTURED_HTML_MAX);
	struct buf page = BUF_INIT(IMAGES_MAX);

	if (mail_part_text(c->fd, html, CAPTURED_HTML_MAX, &text) < 0) {
		http_reply_detail(r, 500, "Internal Server Error");
		return;
	}
	put_images(&page, c, &text);
	http_page_headers(r, MAIL_POLICY);
	http_set_header(r, "X-Frame-Options", "SAMEORIGIN");
	http_reply(r, 200, HTML, &page);
}
