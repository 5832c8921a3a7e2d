#include "cmd/api/captured.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/num.h"
#include "http/form.h"
#include "mail/header.h"

#define FIELD_MAX (64u * 1024)	 /* bytes of one field as it is shown */
#define HEADER_FIELDS 500	 /* shown of one message */
#define RECIPIENTS_MAX 100	 /* likewise */
#define LIST_HEADER (64u * 1024) /* bytes of a header that a list looks at */

/* ---- where they are ---------------------------------------------------------------------------- */

static void
add_place(struct captured_places *places, const char *path, const char *account)
{
	for (size_t i = 0; i < places->n; i++)
		if (strcmp(places->v[i].path, path) == 0)
			return;
	places->v = xreallocarray(places->v, places->n + 1, sizeof *places->v);
	places->v[places->n++] =
	    (struct captured_place){ xstrdup(path), account != NULL ? xstrdup(account) : NULL };
}

void
captured_places(struct serve *serve, struct captured_places *ret)
{
	const struct serve_config *config = serve_config_get(serve);
	AUTO_BUF struct buf own = BUF_INIT(8192);

	*ret = (struct captured_places){ 0 };
	buf_addf(&own, "%s/captured", serve->spool_path);
	for (size_t i = 0; i < settings_n_accounts(&config->settings); i++) {
		const struct account *a = settings_account_at(&config->settings, i);

		if (a->transport == ACCOUNT_CAPTURE)
			add_place(ret, a->maildir != NULL ? a->maildir : own.s, a->id);
	}
	serve_config_put(serve, config);
	/* What was captured stays when accounts that send have come. */
	add_place(ret, own.s, NULL);
}

void
captured_places_release(struct captured_places *places)
{
	for (size_t i = 0; i < places->n; i++) {
		free(places->v[i].path);
		free(places->v[i].account);
	}
	free(places->v);
	*places = (struct captured_places){ 0 };
}

void
captured_release(struct captured *c)
{
	mail_parsed_release(&c->mail);
	auto_close_fd(&c->fd);
	c->fd = -1;
}

/* 0, or -1 with errno. */
static int
open_at(const struct captured_place *place, const char *id, struct captured *ret)
{
	ret->fd = maildir_open_message(place->path, id, &ret->size);
	ret->id = id;
	ret->account = place->account;
	return ret->fd < 0 ? -1 : 0;
}

/* ---- as JSON ----------------------------------------------------------------------------------- */

static void
put_field(struct json_writer *w, const char *key, const struct buf *header, const char *name)
{
	AUTO_BUF struct buf value = BUF_INIT(FIELD_MAX);

	if (mail_header_field(header, name, &value) > 0)
		json_member_str(w, key, value.s);
}

/* Calls each for the fields of a header, but for lines that are none. */
static void
each_field(const struct buf *header, void (*each)(const struct mail_field *field, void *arg),
    void *arg)
{
	struct view rest = buf_view(header);
	struct mail_field field;
	int rc;

	while ((rc = mail_field_next(&rest, &field)) != 0) {
		const char *newline = memchr(rest.s, '\n', rest.len);

		if (rc > 0) {
			each(&field, arg);
			continue;
		}
		if (newline == NULL)
			return;
		rest.len -= (size_t)(newline + 1 - rest.s);
		rest.s = newline + 1;
	}
}

struct putting {
	struct json_writer *w;
	const char *name; /* of the fields that are wanted; NULL: all */
	size_t left;
};

static void
put_one(const struct mail_field *field, void *arg)
{
	struct putting *p = arg;
	AUTO_BUF struct buf value = BUF_INIT(FIELD_MAX);

	if ((p->name != NULL && !mail_field_is(field, p->name)) || p->left == 0 ||
	    mail_header_decode(&value, field->value.s, field->value.len) < 0)
		return;
	p->left--;
	if (p->name != NULL) {
		json_put_str(p->w, value.s);
		return;
	}
	json_begin_object(p->w);
	json_key(p->w, "name");
	json_put_string(p->w, field->name.s, field->name.len);
	json_member_str(p->w, "value", value.s);
	json_end_object(p->w);
}

/* What a list shows, and one message begins with. */
static void
put_summary(struct json_writer *w, const struct captured *c)
{
	struct putting recipients = { w, "Delivered-To", RECIPIENTS_MAX };
	const struct buf *header = &c->mail.header;

	json_member_str(w, "id", c->id);
	json_member_str(w, "account_id", c->account);
	json_member_int(w, "captured_ts", maildir_name_time(c->id) / USEC);
	json_member_int(w, "size", (int64_t)c->size);
	put_field(w, "subject", header, "Subject");
	put_field(w, "from", header, "From");
	put_field(w, "to", header, "To");
	put_field(w, "date", header, "Date");
	put_field(w, "message_id", header, "Message-ID");
	put_field(w, "return_path", header, "Return-Path");
	json_key(w, "recipients");
	json_begin_array(w);
	each_field(header, put_one, &recipients);
	json_end_array(w);
}

static void
put_text(struct json_writer *w, const char *key, const struct captured *c, const char *type,
    size_t max)
{
	const struct mail_parsed_part *part = mail_part_to_read(&c->mail, type);
	AUTO_BUF struct buf text = BUF_INIT(4 * max);

	if (part != NULL && mail_part_text(c->fd, part, max, &text) >= 0) {
		json_key(w, key);
		json_put_string(w, text.s, text.len);
	}
}

static void
put_attachments(struct json_writer *w, const struct captured *c)
{
	const struct mail_parsed_part *text = mail_part_to_read(&c->mail, "text/plain");
	const struct mail_parsed_part *html = mail_part_to_read(&c->mail, "text/html");

	json_key(w, "attachments");
	json_begin_array(w);
	for (size_t i = 0; i < c->mail.count; i++) {
		const struct mail_parsed_part *part = &c->mail.parts[i];
		AUTO_BUF struct buf url = BUF_INIT(2048);

		if (part == text || part == html)
			continue;
		buf_adds(&url, "/captured/");
		captured_add_escaped(&url, c->id);
		buf_addf(&url, "/parts/%zu", i + 1);
		json_begin_object(w);
		json_member_int(w, "part", (int64_t)i + 1);
		json_member_str(w, "filename", part->filename[0] != '\0' ? part->filename : NULL);
		json_member_str(w, "content_type", part->type);
		json_member_str(w, "content_id",
		    part->content_id[0] != '\0' ? part->content_id : NULL);
		json_member_str(w, "url", url.s);
		json_end_object(w);
	}
	json_end_array(w);
}

static void
reply_json(struct http_request *r, const struct captured *c)
{
	struct putting all = { .left = HEADER_FIELDS };
	struct serve_answer answer;

	serve_answer_begin(&answer, true);
	all.w = &answer.w;
	json_key(&answer.w, "message");
	json_begin_object(&answer.w);
	put_summary(&answer.w, c);
	json_key(&answer.w, "headers");
	json_begin_array(&answer.w);
	each_field(&c->mail.header, put_one, &all);
	json_end_array(&answer.w);
	put_text(&answer.w, "text", c, "text/plain", CAPTURED_TEXT_MAX);
	put_text(&answer.w, "html", c, "text/html", CAPTURED_HTML_MAX);
	put_attachments(&answer.w, c);
	json_end_object(&answer.w);
	serve_reply(r, 200, &answer);
}

/* ---- the list ---------------------------------------------------------------------------------- */

/* What has been removed since it was listed is left out. */
static bool
open_listed(const struct captured_places *places, const struct maildir_entry *entry,
    struct captured *ret)
{
	if (open_at(&places->v[entry->maildir], entry->name, ret) < 0)
		return false;
	buf_init(&ret->mail.header, LIST_HEADER);
	return mail_parse_header(ret->fd, ret->size, &ret->mail.header) == 0;
}

static const char *
cursor_of(const struct maildir_list *list)
{
	return list->more && list->n > 0 ? list->v[list->n - 1].name : NULL;
}

static void
reply_json_list(struct http_request *r, const struct captured_places *places,
    const struct maildir_list *list)
{
	struct serve_answer answer;

	serve_answer_begin(&answer, true);
	json_member_int(&answer.w, "total", (int64_t)list->total);
	json_key(&answer.w, "captured");
	json_begin_array(&answer.w);
	for (size_t i = 0; i < list->n; i++) {
		AUTO(captured_release) struct captured c = CAPTURED_INIT;

		if (!open_listed(places, &list->v[i], &c))
			continue;
		json_begin_object(&answer.w);
		put_summary(&answer.w, &c);
		json_end_object(&answer.w);
	}
	json_end_array(&answer.w);
	json_member_str(&answer.w, "next", cursor_of(list));
	serve_reply(r, 200, &answer);
}

static char *
field_text(const struct buf *header, const char *name)
{
	AUTO_BUF struct buf value = BUF_INIT(FIELD_MAX);

	return xstrdup(mail_header_field(header, name, &value) > 0 ? value.s : "");
}

static void
reply_page_list(struct http_request *r, const struct captured_places *places,
    const struct maildir_list *list, int64_t limit)
{
	AUTO_FREE struct captured_row *rows = xcalloc(list->n + 1, sizeof *rows);
	size_t n = 0;

	for (size_t i = 0; i < list->n; i++) {
		AUTO(captured_release) struct captured c = CAPTURED_INIT;

		if (open_listed(places, &list->v[i], &c))
			rows[n++] = (struct captured_row){ .id = xstrdup(c.id),
				.subject = field_text(&c.mail.header, "Subject"),
				.from = field_text(&c.mail.header, "From"),
				.to = field_text(&c.mail.header, "To"),
				.at = maildir_name_time(c.id),
				.size = c.size };
	}
	captured_reply_list(r, rows, n, list->total, cursor_of(list), limit);
	for (size_t i = 0; i < n; i++) {
		free(rows[i].id);
		free(rows[i].subject);
		free(rows[i].from);
		free(rows[i].to);
	}
}

static int
page_of(struct http_request *r, struct serve_page *ret)
{
	struct serve_faults faults;

	if (serve_page_of(r, ret) < 0)
		return -1;
	if (ret->cursor == NULL || maildir_name_ok(ret->cursor))
		return 0;
	serve_faults_init(&faults);
	serve_fault(&faults, "query", "cursor", "value_error", "expected what \"next\" said");
	serve_faults_reply(r, &faults);
	return -1;
}

void
serve_captured_list(struct http_request *r, void *arg)
{
	AUTO(captured_places_release) struct captured_places places = { 0 };
	AUTO(maildir_list_release) struct maildir_list list = { 0 };
	struct serve_page page;
	struct err err = ERR_INIT;

	if (page_of(r, &page) < 0)
		return;
	captured_places(arg, &places);
	maildir_list_init(&list, (size_t)page.limit);
	for (size_t i = 0; i < places.n; i++)
		if (maildir_list_add(&list, places.v[i].path, i, page.cursor, &err) < 0) {
			serve_reply_err(r, &err);
			return;
		}
	http_set_header(r, "Vary", "Accept");
	if (serve_asks_page(r))
		reply_page_list(r, &places, &list, page.limit);
	else
		reply_json_list(r, &places, &list);
}

/* ---- one message ------------------------------------------------------------------------------- */

/* Opens the message that the path names, and takes it apart; false after a reply. */
static bool
open_named(struct http_request *r, const struct captured_places *places, struct captured *ret)
{
	const char *id = http_param(r, "id");
	struct err err = ERR_INIT;

	errno = ENOENT;
	for (size_t i = 0; i < places->n && maildir_name_ok(id) && ret->fd < 0; i++)
		if (open_at(&places->v[i], id, ret) < 0 && errno != ENOENT)
			break;
	if (ret->fd >= 0 && mail_parse(ret->fd, ret->size, form_parameter, &ret->mail) == 0)
		return true;
	if (ret->fd < 0 && errno == ENOENT) {
		http_reply_detail(r, 404, "No captured message has this id");
		return false;
	}
	err_io(&err, "captured message %s", id);
	serve_reply_err(r, &err);
	return false;
}

void
serve_captured_show(struct http_request *r, void *arg)
{
	AUTO(captured_places_release) struct captured_places places = { 0 };
	AUTO(captured_release) struct captured c = CAPTURED_INIT;

	captured_places(arg, &places);
	http_set_header(r, "Vary", "Accept");
	if (!open_named(r, &places, &c))
		return;
	if (serve_asks_page(r))
		captured_reply_message(r, &c);
	else
		reply_json(r, &c);
}

void
serve_captured_html(struct http_request *r, void *arg)
{
	AUTO(captured_places_release) struct captured_places places = { 0 };
	AUTO(captured_release) struct captured c = CAPTURED_INIT;
	const struct mail_parsed_part *html;

	captured_places(arg, &places);
	if (!open_named(r, &places, &c))
		return;
	html = mail_part_to_read(&c.mail, "text/html");
	if (html != NULL)
		captured_reply_html(r, &c, html);
	else
		http_reply_detail(r, 404, "This message has no HTML");
}

/* So that it is saved under its name, and in no case shown as a page of ours. */
static void
set_download(struct http_request *r, const char *filename)
{
	AUTO_BUF struct buf value = BUF_INIT(4096);

	buf_adds(&value, "attachment; filename=\"");
	for (const char *c = filename; *c != '\0'; c++)
		if ((*c & 0xc0) != 0x80)
			buf_addc(&value,
			    *c >= ' ' && *c <= '~' && strchr("\"\\%", *c) == NULL ? *c : '_');
	buf_adds(&value, "\"; filename*=UTF-8''");
	captured_add_escaped(&value, filename);
	http_set_header(r, "Content-Disposition", value.s);
	http_page_headers(r, "sandbox; default-src 'none'");
}

void
serve_captured_part(struct http_request *r, void *arg)
{
	AUTO(captured_places_release) struct captured_places places = { 0 };
	AUTO(captured_release) struct captured c = CAPTURED_INIT;
	AUTO(spill_release) struct spill out = { .fd = -1 };
	struct mail_sink sink = { spill_sink, &out };
	const struct mail_parsed_part *part;
	uint64_t number;

	spill_init(&out, arg);
	captured_places(arg, &places);
	if (!open_named(r, &places, &c))
		return;
	if (num_u64(http_param(r, "part"), 0, c.mail.count, &number) < 0) {
		http_reply_detail(r, 404, "This message has no such part");
		return;
	}
	if (number == 0) {
		set_download(r, "message.eml");
		http_reply_file(r, 200, "message/rfc822", take_fd(&c.fd), 0, c.size);
		return;
	}
	part = &c.mail.parts[number - 1];
	if (mail_part_decode(c.fd, part, UINT64_MAX, &sink) < 0) {
		if (out.err.code == 0)
			err_io(&out.err, "captured message %s", c.id);
		serve_reply_err(r, &out.err);
		return;
	}
	set_download(r, part->filename[0] != '\0' ? part->filename : "attachment");
	spill_reply(r, 200, part->type, &out, 0);
}
