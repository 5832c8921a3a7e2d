#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <strings.h>

#include "base/utf8.h"
#include "mail/compose.h"
#include "mail/header.h"

static const struct mail_compose_options options = { .now = INT64_C(1763712000000000) };

/* Composes into out; the message has all that is required. */
static void
compose(struct mail_message *m, struct buf *out)
{
	struct mail_sink sink = { mail_sink_to_buf, out };
	struct err err = ERR_INIT;

	CHECK_INT(mail_message_complete(m, "host.example", &err), 0);
	CHECK_INT(mail_compose(m, &options, &sink, &err), 0);
	CHECK_STR(err.msg, "");
}

static void
simple(struct mail_message *m)
{
	struct err err = ERR_INIT;

	CHECK_INT(mail_message_from(m, "App <app@example.com>", NULL, &err), 0);
	CHECK_INT(mail_message_recipients(m, MAIL_TO, "a@b.example", NULL, &err), 0);
	CHECK_INT(mail_message_subject(m, "Hello", 5, &err), 0);
	CHECK_INT(mail_message_body(m, "Hi\n", 3, &err), 0);
	CHECK_INT(mail_message_message_id(m, "1@host.example", &err), 0);
}

/* The lines of a message, as every one must be. */
static void
check_wire(const struct buf *out, int allow_8bit)
{
	size_t start = 0;

	CHECK(out->len > 2 && memcmp(out->s + out->len - 2, "\r\n", 2) == 0);
	if (!allow_8bit)
		CHECK(is_ascii(out->s, out->len));
	CHECK(memchr(out->s, '\0', out->len) == NULL);
	for (size_t i = 0; i < out->len; i++) {
		if (out->s[i] == '\n' && (i == 0 || out->s[i - 1] != '\r'))
			unit_fail(__FILE__, __LINE__, "bare LF at %zu", i);
		if (out->s[i] != '\r')
			continue;
		if (out->s[i + 1] != '\n')
			unit_fail(__FILE__, __LINE__, "bare CR at %zu", i);
		if (i - start > MAIL_LINE_MAX)
			unit_fail(__FILE__, __LINE__, "line of %zu bytes", i - start);
		start = i + 2;
	}
}

/* The value of a field in the header of a message, unfolded and decoded; "" where there is none. */
static const char *
field_of(const struct buf *message, const char *name, struct buf *text)
{
	struct view rest = buf_view(message);
	struct mail_field field;

	buf_clear(text);
	while (mail_field_next(&rest, &field) == 1)
		if (mail_field_is(&field, name))
			mail_header_decode(text, field.value.s, field.value.len);
	return text->s;
}

TEST(a_simple_message)
{
	struct mail_message m AUTO_MESSAGE = MAIL_MESSAGE_INIT;
	struct buf out AUTO_BUF = BUF_INIT(100000);
	const char *want_head =
	    "From: App <app@example.com>\r\nTo: a@b.example\r\nSubject: Hello\r\n"
	    "Date: ";
	const char *want_tail = "\r\nMessage-ID: <1@host.example>\r\nMIME-Version: 1.0\r\n"
				"Content-Type: text/plain; charset=us-ascii\r\n"
				"Content-Transfer-Encoding: 7bit\r\n\r\nHi\r\n";

	simple(&m);
	compose(&m, &out);
	CHECK_MEM(out.s, strlen(want_head), want_head, strlen(want_head));
	CHECK_STR(out.s + out.len - strlen(want_tail), want_tail);
	CHECK_STR(mail_message_sender(&m), "app@example.com");
}

TEST(faults_name_the_field)
{
	struct mail_message m AUTO_MESSAGE = MAIL_MESSAGE_INIT;
	struct err err = ERR_INIT;

#define CHECK_FAULT(call, want)                                                                    \
	do {                                                                                       \
		CHECK_INT(call, -1);                                                               \
		CHECK_INT(err.code, EX_DATAERR);                                                   \
		CHECK_STR(err.msg, want);                                                          \
	} while (0)
	CHECK_FAULT(mail_message_complete(&m, NULL, &err), "from: field required");
	CHECK_FAULT(mail_message_from(&m, "a@b\n", NULL, &err), "from: line break at byte 4");
	CHECK_FAULT(mail_message_subject(&m, "abcd\nx", 6, &err), "subject: line break at byte 5");
	CHECK_FAULT(mail_message_subject(&m, "a\0", 2, &err),
	    "subject: control character at byte 2");
	CHECK_FAULT(mail_message_body(&m, "abc\xff", 4, &err), "body: invalid UTF-8 at byte 4");
	CHECK_FAULT(mail_message_body(&m, "0123456789\xc3", 11, &err),
	    "body: invalid UTF-8 at byte 11");
	CHECK_FAULT(mail_message_recipients(&m, MAIL_CC, "a@b, c", NULL, &err),
	    "cc: \"c\": expected '@' and a domain at the end");
	CHECK_FAULT(mail_message_recipients(&m, MAIL_BCC, " ", NULL, &err),
	    "bcc: expected an address, found none");
	CHECK_FAULT(mail_message_header_line(&m, "X-Foo: a\rb", &err),
	    "headers.X-Foo: line break at byte 2");
	CHECK_FAULT(mail_message_header_line(&m, "X-Foo", &err),
	    "headers: expected \"Name: value\", found \"X-Foo\"");
	CHECK_FAULT(mail_message_header_line(&m, "bcc: a@b", &err),
	    "headers.bcc: give these recipients in the field bcc, which never becomes a header");
	CHECK_FAULT(mail_message_header_line(&m, "Content-type: x/y", &err),
	    "headers.Content-type: the message's structure decides it (see content_type)");
	CHECK_FAULT(mail_message_header_line(&m, "To: broken", &err),
	    "headers.To: \"broken\": expected '@' and a domain at the end");
	CHECK_INT(mail_message_header_line(&m, "X y: z", &err), -1);
	CHECK_INT(mail_message_header_line(&m, "X\xc3\xbc: z", &err), -1);
	CHECK_INT(mail_message_message_id(&m, "<a b@c>", &err), -1);
	CHECK_INT(mail_message_message_id(&m, "a>\r\nX: <y", &err), -1);
	CHECK_INT(mail_message_message_id(&m, "", &err), -1);
	CHECK(mail_message_attach_path(&m, NULL, "/nonexistent/file", &err) == NULL);
	CHECK_INT(err.code, EX_NOINPUT);
	CHECK_STR(err.msg, "attachments[0]: /nonexistent/file: No such file or directory");
	CHECK(mail_message_attach_path(&m, NULL, "/", &err) == NULL);
	CHECK(mail_message_attach_fd(&m, "a\nb", -1, &err) == NULL);
	CHECK_STR(err.msg, "attachments[0].filename: line break at byte 2");
	CHECK_INT(m.attachment_count, 0);
	CHECK_INT(m.extra_count, 0);
	CHECK_INT(m.cc.count, 0);
}

TEST(headers_replace)
{
	struct mail_message m AUTO_MESSAGE = MAIL_MESSAGE_INIT;
	struct mail_addresses envelope AUTO_ADDRESSES = MAIL_ADDRESSES_INIT;
	struct buf out AUTO_BUF = BUF_INIT(100000), text AUTO_BUF = BUF_INIT(10000);
	struct err err = ERR_INIT;

	simple(&m);
	CHECK_INT(mail_message_header_line(&m, "X-A: one", &err), 0);
	CHECK_INT(mail_message_header_line(&m, "x-a:two", &err), 0);
	CHECK_INT(mail_message_header_line(&m, "to: List <list@example.com>", &err), 0);
	CHECK_INT(mail_message_header_line(&m, "subject: Ünder", &err), 0);
	CHECK_INT(mail_message_header_line(&m, "Message-id: <x@y>", &err), 0);
	CHECK_INT(mail_message_header_line(&m, "Date: Thu, 01 Jan 1970 00:00:00 +0000", &err), 0);
	CHECK_INT(mail_message_header_line(&m, "Sender: s@example.com", &err), 0);
	compose(&m, &out);
	check_wire(&out, 0);
	CHECK_STR(field_of(&out, "X-A", &text), "two");
	CHECK_STR(field_of(&out, "To", &text), "List <list@example.com>");
	CHECK_STR(field_of(&out, "Subject", &text), "Ünder");
	CHECK_STR(field_of(&out, "Message-ID", &text), "<x@y>");
	CHECK_STR(field_of(&out, "Date", &text), "Thu, 01 Jan 1970 00:00:00 +0000");
	CHECK_STR(field_of(&out, "Sender", &text), "s@example.com");
	mail_message_envelope(&m, &envelope);
	CHECK_INT(envelope.count, 1);
	CHECK_STR(envelope.at[0].addr, "a@b.example");
}

TEST(bcc_is_never_shown)
{
	struct mail_message m AUTO_MESSAGE = MAIL_MESSAGE_INIT;
	struct mail_addresses envelope AUTO_ADDRESSES = MAIL_ADDRESSES_INIT;
	struct buf out AUTO_BUF = BUF_INIT(100000), text AUTO_BUF = BUF_INIT(10000);
	struct err err = ERR_INIT;

	simple(&m);
	mail_addresses_release(&m.to);
	CHECK_INT(mail_message_recipients(&m, MAIL_BCC, "secret@b, A@b, A@B", NULL, &err), 0);
	CHECK_INT(mail_message_return_path(&m, "<>", NULL, &err), 0);
	compose(&m, &out);
	CHECK(memmem(out.s, out.len, "secret", 6) == NULL);
	CHECK_STR(field_of(&out, "To", &text), "undisclosed-recipients:;");
	CHECK_STR(field_of(&out, "Bcc", &text), "");
	mail_message_envelope(&m, &envelope);
	CHECK_INT(envelope.count, 2);
	CHECK_STR(mail_message_sender(&m), "");
}

TEST(ids_are_made)
{
	struct mail_message m AUTO_MESSAGE = MAIL_MESSAGE_INIT;
	struct err err = ERR_INIT;

	simple(&m);
	free(m.message_id);
	m.message_id = NULL;
	CHECK_INT(mail_message_complete(&m, "host.example", &err), 0);
	CHECK_STR(strchr(m.message_id, '@'), "@host.example>");
	free(m.message_id);
	m.message_id = NULL;
	CHECK_INT(mail_message_complete(&m, NULL, &err), 0);
	CHECK_STR(strchr(m.message_id, '@'), "@example.com>");
	free(m.message_id);
	m.message_id = NULL;
	CHECK_INT(mail_message_complete(&m, "bad host>\r\n", &err), 0);
	CHECK_STR(strchr(m.message_id, '@'), "@example.com>");
}

TEST(utf8_addresses_need_smtputf8)
{
	struct mail_message m AUTO_MESSAGE = MAIL_MESSAGE_INIT;
	struct buf out AUTO_BUF = BUF_INIT(100000);
	struct err err = ERR_INIT;

	simple(&m);
	CHECK(!mail_message_needs_smtputf8(&m));
	CHECK_INT(mail_message_recipients(&m, MAIL_CC, "x@bücher.example", NULL, &err), 0);
	CHECK(!mail_message_needs_smtputf8(&m));
	/* What only the envelope says concerns whom it names. */
	CHECK_INT(mail_message_recipients(&m, MAIL_BCC, "почта@b.example", NULL, &err), 0);
	CHECK_INT(mail_message_return_path(&m, "почта@b.example", NULL, &err), 0);
	CHECK(!mail_message_needs_smtputf8(&m));
	CHECK_INT(mail_message_header_line(&m, "Reply-To: почта@b.example", &err), 0);
	CHECK(mail_message_needs_smtputf8(&m));
	compose(&m, &out);
	check_wire(&out, 1);
	CHECK(strstr(out.s, "Reply-To: почта@b.example\r\n") != NULL);
}

static void
attach(struct mail_message *m, const char *filename, const char *bytes, const char *content_id)
{
	struct buf content AUTO_BUF = BUF_INIT(1000000);
	struct err err = ERR_INIT;
	struct mail_attachment *a;

	buf_adds(&content, bytes);
	a = mail_message_attach_bytes(m, filename, &content, &err);
	CHECK(a != NULL && mail_attachment_set(a, NULL, content_id, &err) == 0);
}

static size_t
count_of(const struct buf *text, const char *what)
{
	size_t n = 0;

	for (const char *p = text->s; (p = strstr(p, what)) != NULL; p++)
		n++;
	return n;
}

TEST(structure)
{
	struct mail_message m AUTO_MESSAGE = MAIL_MESSAGE_INIT;
	struct buf out AUTO_BUF = BUF_INIT(1000000);
	struct err err = ERR_INIT;
	const char *mixed, *related, *alternative, *html, *picture, *pdf;

	simple(&m);
	m.html = true;
	CHECK_INT(mail_message_body(&m, "<p>Hi</p>", 9, &err), 0);
	CHECK_INT(mail_message_alternative(&m, "Hi", 2, &err), 0);
	attach(&m, "../dir/ä.pdf", "%PDF-1.4 x", NULL);
	attach(&m, "C:\\dir\\logo.gif", "GIF89a", "<logo@x>");
	compose(&m, &out);
	check_wire(&out, 0);
	mixed = strstr(out.s, "multipart/mixed");
	related = strstr(out.s, "multipart/related; type=\"multipart/alternative\"");
	alternative = strstr(out.s, "multipart/alternative;\r\n");
	html = strstr(out.s, "text/html");
	picture = strstr(out.s, "image/gif");
	pdf = strstr(out.s, "application/pdf");
	CHECK(mixed != NULL && mixed < related && related < alternative && alternative < html &&
	    html < picture && picture < pdf);
	CHECK_INT(count_of(&out, "boundary=\""), 3);
	CHECK(strstr(out.s,
		  "Content-ID: <logo@x>\r\nContent-Disposition: inline;\r\n"
		  "\tfilename=\"logo.gif\"\r\n") != NULL);
	CHECK(strstr(out.s, "application/pdf;\r\n\tname=\"=?UTF-8?B?w6QucGRm?=\"\r\n") != NULL);
	CHECK(strstr(out.s, "attachment;\r\n\tfilename*=UTF-8''%C3%A4.pdf\r\n") != NULL);
}

/* Files are read as they are written, from their start, however large. */
TEST(attachments_from_descriptors)
{
	struct mail_message m AUTO_MESSAGE = MAIL_MESSAGE_INIT;
	struct buf out AUTO_BUF = BUF_INIT(10000000), content AUTO_BUF = BUF_INIT(1000000);
	struct buf back AUTO_BUF = BUF_INIT(1000000);
	struct mail_sink sink = { mail_sink_to_buf, &out };
	struct mail_compose_options limited = options;
	struct err err = ERR_INIT;
	char path[300];
	int pipes[2], fd;
	size_t at;
	const char *start, *end;

	for (int i = 0; i < 200000; i++)
		buf_addc(&content, (char)(i * 31 >> 3));
	snprintf(path, sizeof path, "%s/data.bin", unit_tmpdir());
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	CHECK(fd >= 0 && write(fd, content.s, content.len) == (ssize_t)content.len);
	simple(&m);
	CHECK(mail_message_attach_fd(&m, "data.bin", fd, &err) != NULL);
	for (int twice = 0; twice < 2; twice++) {
		buf_clear(&out);
		buf_clear(&back);
		compose(&m, &out);
		check_wire(&out, 0);
		start = strstr(out.s, "filename=\"data.bin\"\r\n\r\n");
		CHECK(start != NULL);
		start = strstr(start, "\r\n\r\n") + 4;
		end = strstr(start, "\r\n--");
		CHECK_INT(mail_base64_decode(&back, start, (size_t)(end - start), &at), 0);
		CHECK_MEM(back.s, back.len, content.s, content.len);
	}
	limited.attachment_max = 100000;
	CHECK_INT(mail_compose(&m, &limited, &sink, &err), -1);
	CHECK_INT(err.code, EX_DATAERR);
	CHECK_STR(err.msg, "attachments[0]: data.bin is larger than 100000 bytes");

	CHECK_INT(pipe2(pipes, O_CLOEXEC), 0);
	CHECK_INT(write(pipes[1], "from a pipe", 11), 11);
	close(pipes[1]);
	CHECK(mail_message_attach_fd(&m, "pipe.txt", pipes[0], &err) != NULL);
	buf_clear(&out);
	compose(&m, &out);
	CHECK(strstr(out.s, "ZnJvbSBhIHBpcGU=\r\n") != NULL);
}

TEST(attachments_may_stand_in_one_file)
{
	struct mail_message m AUTO_MESSAGE = MAIL_MESSAGE_INIT;
	struct buf out AUTO_BUF = BUF_INIT(1 << 20);
	struct err err = ERR_INIT;
	char path[300];
	int fd;

	snprintf(path, sizeof path, "%s/ranges", unit_tmpdir());
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	CHECK(fd >= 0 && write(fd, "firstsecond", 11) == 11);
	simple(&m);
	CHECK(mail_message_attach_range(&m, "b.bin", fd, 5, 6, &err) != NULL);
	CHECK(mail_message_attach_range(&m, "a.bin", fd, 0, 5, &err) != NULL);
	CHECK(mail_message_attach_range(&m, "empty.bin", fd, 3, 0, &err) != NULL);
	for (int twice = 0; twice < 2; twice++) {
		buf_clear(&out);
		compose(&m, &out);
		CHECK(strstr(out.s, "filename=\"b.bin\"\r\n\r\nc2Vjb25k\r\n--") != NULL);
		CHECK(strstr(out.s, "filename=\"a.bin\"\r\n\r\nZmlyc3Q=\r\n--") != NULL);
		CHECK(strstr(out.s, "filename=\"empty.bin\"\r\n\r\n--") != NULL);
	}
	/* It stays the caller's. */
	mail_message_release(&m);
	m = (struct mail_message)MAIL_MESSAGE_INIT;
	CHECK_INT(close(fd), 0);
}

static int
full_disk(void *arg, const void *bytes, size_t n)
{
	size_t *room = arg;

	(void)bytes;
	if (n > *room) {
		errno = ENOSPC;
		return -1;
	}
	*room -= n;
	return 0;
}

/* Where in the text something was left out, and what for. */
struct places {
	struct buf *out;
	size_t at[4];
	const char *what[4];
	char boundary[4][MAIL_BOUNDARY_SIZE];
	size_t count;
};

static int
place_part(void *arg, const struct mail_part *part)
{
	struct places *places = arg;

	places->what[places->count] = part->type;
	places->at[places->count++] = places->out->len;
	return 0;
}

static int
place_remote(void *arg, const struct mail_attachment *a, const char *boundary)
{
	struct places *places = arg;

	snprintf(places->boundary[places->count], MAIL_BOUNDARY_SIZE, "%s", boundary);
	places->what[places->count] = a->remote;
	places->at[places->count++] = places->out->len;
	return 0;
}

static bool
ends_with(const struct buf *out, size_t at, const char *text)
{
	size_t n = strlen(text);

	return at >= n && memcmp(out->s + at - n, text, n) == 0;
}

TEST(parts_and_remote_ones_leave_a_place)
{
	AUTO_MESSAGE struct mail_message m = MAIL_MESSAGE_INIT;
	AUTO_BUF struct buf out = BUF_INIT(100000), again = BUF_INIT(100000);
	const struct mail_part part = { .hash = "h", .type = "text/csv", .utf8 = true, .size = 4 };
	struct mail_boundaries boundaries;
	struct places places = { .out = &out }, second = { .out = &again };
	struct mail_compose_options with = options;
	struct mail_sink sink = { mail_sink_to_buf, &out };
	struct err err = ERR_INIT;
	char line[64];

	simple(&m);
	CHECK(mail_message_attach_remote(&m, NULL, "{\"url\":\"1\"}", &err) != NULL);
	CHECK(mail_message_attach_part(&m, "t.csv", &part, &err) != NULL);
	CHECK(mail_message_attach_remote(&m, "n.pdf", "{\"url\":\"2\"}", &err) != NULL);
	CHECK(m.attachments[0].unnamed && !m.attachments[2].unnamed);
	mail_make_boundaries(&boundaries);
	with.boundaries = &boundaries;
	with.part = place_part;
	with.remote = place_remote;
	with.arg = &places;
	CHECK_INT(mail_message_complete(&m, "host.example", &err), 0);
	CHECK_INT(mail_compose(&m, &with, &sink, &err), 0);
	CHECK_INT(places.count, 3);
	/* The text keeps its line end, whatever becomes of what follows. */
	CHECK(ends_with(&out, places.at[0], "Hi\r\n\r\n"));
	CHECK_STR(places.boundary[0], boundaries.mixed);
	CHECK_STR(places.what[1], "text/csv");
	CHECK(strstr(out.s, "Content-Type: text/csv; charset=utf-8") != NULL);
	CHECK(ends_with(&out, places.at[1], "\r\n\r\n"));
	CHECK_INT(places.at[2], places.at[1]);
	snprintf(line, sizeof line, "--%s--\r\n", boundaries.mixed);
	CHECK(ends_with(&out, out.len, line));
	CHECK_INT(out.len - places.at[2], strlen(line));
	/* And once more: byte for byte. */
	with.arg = &second;
	sink.arg = &again;
	CHECK_INT(mail_compose(&m, &with, &sink, &err), 0);
	CHECK(again.len == out.len && memcmp(again.s, out.s, out.len) == 0);
	CHECK(memcmp(places.at, second.at, sizeof places.at) == 0);
}

TEST(a_failing_sink)
{
	struct mail_message m AUTO_MESSAGE = MAIL_MESSAGE_INIT;
	struct buf whole AUTO_BUF = BUF_INIT(1000000);

	simple(&m);
	attach(&m, "a.txt", "some text", NULL);
	compose(&m, &whole);
	for (size_t room = 0; room < whole.len; room += 7) {
		size_t left = room;
		struct mail_sink sink = { full_disk, &left };
		struct err err = ERR_INIT;

		CHECK_INT(mail_compose(&m, &options, &sink, &err), -1);
		CHECK_INT(err.code, EX_TEMPFAIL);
	}
}

/* ---- any bytes in every field --------------------------------------------------------------- */

static unsigned int seed = 11;

static unsigned int
number(unsigned int below)
{
	seed = seed * 1103515245u + 12345u;
	return (seed >> 16) % below;
}

/* Bytes that make trouble, and whole characters, in any number. */
static void
random_text(struct buf *text, unsigned int max)
{
	static const char *const pieces[] = { "\r", "\n", "\r\n", "\t", "\x01", "\xff", " ", ":",
		";", ",", "@", "<", ">", "\"", "\\", "=", "?", "=?", "?=", "--", ".", "\r\n.\r\n",
		"\xc2\x85", "From ", "Bcc: x@y", "a", "bcd", "a word ", "(", ")", "ü", "日本",
		"😀" };
	unsigned int n = number(max + 1), kind = number(4);

	buf_clear(text);
	for (unsigned int i = 0; i < n; i++) {
		/* a quarter of the texts is harmless, or nothing would ever pass */
		unsigned int from = kind == 0 ? 0 : kind == 1 ? 6 : 23; /* "From " */

		buf_adds(text,
		    pieces[from + number((unsigned int)(sizeof pieces / sizeof *pieces) - from)]);
	}
}

static void
random_message(struct mail_message *m, struct buf *text)
{
	struct buf line AUTO_BUF = BUF_INIT(1000000), content AUTO_BUF = BUF_INIT(1000000);

	random_text(text, 30);
	buf_addf(&line, "%s <a@b>", text->s);
	mail_message_from(m, line.s, NULL, NULL);
	random_text(text, 10);
	mail_message_recipients(m, MAIL_TO, text->s, "d.example", NULL);
	random_text(text, 10);
	mail_message_reply_to(m, text->s, "d.example", NULL);
	random_text(text, number(10) == 0 ? 3000 : 30);
	mail_message_subject(m, text->s, text->len, NULL);
	random_text(text, number(10) == 0 ? 3000 : 100);
	mail_message_body(m, text->s, text->len, NULL);
	m->html = number(2);
	random_text(text, 100);
	if (number(2))
		mail_message_alternative(m, text->s, text->len, NULL);
	random_text(text, 10);
	mail_message_message_id(m, text->s, NULL);
	for (unsigned int i = number(4); i > 0; i--) {
		random_text(text, 10);
		buf_clear(&line);
		buf_addf(&line, "X-%s", text->s);
		random_text(text, number(10) == 0 ? 3000 : 30);
		mail_message_header(m, line.s, line.len, text->s, text->len, NULL);
	}
	for (unsigned int i = number(3); i > 0; i--) {
		struct mail_attachment *a;

		random_text(&content, 200);
		random_text(text, 10);
		a = mail_message_attach_bytes(m, text->s, &content, NULL);
		if (a != NULL && number(2))
			mail_attachment_set(a, text->s, text->s, NULL);
		if (a != NULL && number(2))
			mail_attachment_set(a, NULL, "cid@x", NULL);
	}
}

TEST(any_bytes_in_every_field)
{
	struct buf text AUTO_BUF = BUF_INIT(1000000);
	int composed = 0;

	for (int round = 0; round < 20000; round++) {
		struct mail_message m AUTO_MESSAGE = MAIL_MESSAGE_INIT;
		struct buf out AUTO_BUF = BUF_INIT(1 << 24);
		struct mail_field field;
		struct view rest;

		random_message(&m, &text);
		if (m.from.addr == NULL)
			mail_message_from(&m, "a@b", NULL, NULL);
		if (m.subject == NULL)
			mail_message_subject(&m, "", 0, NULL);
		if (m.body == NULL)
			mail_message_body(&m, "", 0, NULL);
		mail_message_recipients(&m, MAIL_BCC, "hidden-one@secret.example", NULL, NULL);
		compose(&m, &out);
		check_wire(&out, mail_message_needs_smtputf8(&m));
		CHECK(memmem(out.s, out.len, "hidden-one", 10) == NULL);
		rest = buf_view(&out);
		while (mail_field_next(&rest, &field) == 1)
			CHECK(!mail_field_is(&field, "Bcc"));
		CHECK(rest.len >= 2 && memcmp(rest.s, "\r\n", 2) == 0);
		composed += m.attachment_count > 0;
		if (unit_failures > 0) {
			unit_quote("message", out.s, out.len);
			return;
		}
	}
	CHECK(composed > 1000);
}

UNIT_MAIN()
