#include "unit.h"

#include <errno.h>

#include "mail/attachment.h"
#include "mail/mime.h"

TEST(base64_there)
{
	static const char *const rows[][2] = { { "", "" }, { "f", "Zg==" }, { "fo", "Zm8=" },
		{ "foo", "Zm9v" }, { "foob", "Zm9vYg==" }, { "fooba", "Zm9vYmE=" },
		{ "foobar", "Zm9vYmFy" } };

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct buf out = BUF_INIT(100), back = BUF_INIT(100);
		size_t at;

		CHECK_INT(mail_base64_encode(&out, rows[i][0], strlen(rows[i][0])), 0);
		CHECK_STR(out.s, rows[i][1]);
		CHECK_INT(mail_base64_decode(&back, out.s, out.len, &at), 0);
		CHECK_STR(back.s, rows[i][0]);
		buf_release(&out);
		buf_release(&back);
	}
}

TEST(base64_faults)
{
	static const struct {
		const char *text;
		int at; /* -1: none */
	} rows[] = {
		{ "Zm9v\r\nYmFy\n", -1 },
		{ " Z m 9 v Y g = = ", -1 },
		{ "Zm9vYg", 6 },
		{ "Zm9vYg=", 7 },
		{ "Zm9vYg===", 8 },
		{ "Zm9vYg==Zm9v", 8 },
		{ "=", 0 },
		{ "Z===", 1 },
		{ "Zg=a", 3 },
		{ "Zm9v-g==", 4 },
		{ "Zm9\xc3", 3 },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct buf out = BUF_INIT(100);
		size_t at = 1000;
		int rc = mail_base64_decode(&out, rows[i].text, strlen(rows[i].text), &at);

		CHECK_ROW(rows[i].text, rc == (rows[i].at < 0 ? 0 : -1));
		if (rows[i].at >= 0) {
			CHECK_INT(at, rows[i].at);
			CHECK_INT(out.len, 0);
		}
		buf_release(&out);
	}
}

/* In pieces of any size the text is the same, its lines full. */
TEST(base64_lines)
{
	unsigned char bytes[2000];
	struct buf whole = BUF_INIT(10000);
	struct mail_sink whole_sink = { mail_sink_to_buf, &whole };
	struct mail_base64 one = { .sink = &whole_sink };

	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (unsigned char)(i * 7 + i / 256);
	mail_base64_feed(&one, bytes, sizeof bytes);
	mail_base64_end(&one);
	for (size_t step = 1; step < 200; step += 13) {
		struct buf out = BUF_INIT(10000), back = BUF_INIT(10000);
		struct mail_sink sink = { mail_sink_to_buf, &out };
		struct mail_base64 state = { .sink = &sink };
		size_t at;

		for (size_t i = 0; i < sizeof bytes; i += step)
			mail_base64_feed(&state, bytes + i,
			    i + step > sizeof bytes ? sizeof bytes - i : step);
		mail_base64_end(&state);
		CHECK_MEM(out.s, out.len, whole.s, whole.len);
		CHECK_MEM(out.s + 76, 2, "\r\n", 2);
		CHECK_INT(mail_base64_decode(&back, out.s, out.len, &at), 0);
		CHECK_MEM(back.s, back.len, bytes, sizeof bytes);
		buf_release(&out);
		buf_release(&back);
	}
	buf_release(&whole);
}

TEST(encodings)
{
	static const struct {
		const char *text, *want;
		enum mail_encoding encoding;
	} rows[] = {
		{ "hello\n", "hello\r\n", MAIL_7BIT },
		{ "hello", "hello\r\n", MAIL_7BIT },
		{ "", "", MAIL_7BIT },
		{ "a\nb\r\nc\rd\n\n", "a\r\nb\r\nc\r\nd\r\n\r\n", MAIL_7BIT },
		{ ".\n..x\nFrom here\n", ".\r\n..x\r\nFrom here\r\n", MAIL_7BIT },
		{ "caf\xc3\xa9 costs 1=1 \n.\nFrom \xc3\xa9.\t\n",
		    "caf=C3=A9 costs 1=3D1=20\r\n=2E\r\n=46rom =C3=A9.=09\r\n",
		    MAIL_QUOTED_PRINTABLE },
		{ "esc \x1b here\n", "esc =1B here\r\n", MAIL_QUOTED_PRINTABLE },
		{ "\xd0\x9f\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82\xd0\x9f\xd1\x80\xd0\xb8\xd0\xb2"
		  "\xd0\xb5\xd1\x82\xd0\x9f\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82\n",
		    "0J/RgNC40LLQtdGC0J/RgNC40LLQtdGC0J/RgNC40LLQtdGCDQo=\r\n", MAIL_BASE64 },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct buf out = BUF_INIT(10000);
		struct mail_sink sink = { mail_sink_to_buf, &out };
		size_t len = strlen(rows[i].text);

		CHECK_INT(mail_encoding_for(rows[i].text, len), rows[i].encoding);
		CHECK_INT(mail_write_text(&sink, rows[i].encoding, rows[i].text, len), 0);
		CHECK_MEM(out.s, out.len, rows[i].want, strlen(rows[i].want));
		buf_release(&out);
	}
}

TEST(long_lines)
{
	char text[2000];
	struct buf out = BUF_INIT(10000);
	struct mail_sink sink = { mail_sink_to_buf, &out };
	size_t column = 0;

	memset(text, 'a', sizeof text);
	CHECK_INT(mail_encoding_for(text, 998), MAIL_7BIT);
	CHECK_INT(mail_encoding_for(text, 999), MAIL_QUOTED_PRINTABLE);
	mail_write_text(&sink, MAIL_QUOTED_PRINTABLE, text, sizeof text);
	for (size_t i = 0; i < out.len; i++) {
		column = out.s[i] == '\n' ? 0 : column + 1;
		CHECK(column <= 77); /* 76 and the CR */
	}
	buf_release(&out);
}

TEST(boundaries_differ)
{
	char a[MAIL_BOUNDARY_SIZE], b[MAIL_BOUNDARY_SIZE];

	mail_boundary(a);
	mail_boundary(b);
	CHECK_INT(strlen(a), MAIL_BOUNDARY_SIZE - 1);
	CHECK(strcmp(a, b) != 0);
	CHECK(strncmp(a, "=_", 2) == 0);
}

#define BYTES(literal) literal, sizeof(literal) - 1

TEST(types)
{
	static const struct {
		const char *filename, *bytes;
		size_t n;
		const char *want;
	} rows[] = {
		{ "a.pdf", BYTES("%PDF-1.4\n"), "application/pdf" },
		{ "A.PDF", BYTES("%PDF-1.4\n"), "application/pdf" },
		{ "a.txt", BYTES("hello\n"), "text/plain" },
		{ "a.txt", BYTES(""), "text/plain" },
		{ "a.txt",
		    BYTES("\x7f"
			  "ELF\x02\x01\x01"),
		    "application/octet-stream" },
		{ "a.txt", BYTES("<!DOCTYPE html><html>"), "application/octet-stream" },
		{ "a.txt", BYTES("  \n<SCRIPT>"), "application/octet-stream" },
		{ "a.jpg", BYTES("<html>"), "application/octet-stream" },
		{ "a.csv", BYTES("a,b\n\0\1\2"), "application/octet-stream" },
		{ "a.pdf", BYTES("<html><body>"), "application/octet-stream" },
		{ "a.jpg", BYTES("<svg xmlns=\"http://www.w3.org/2000/svg\"/>"),
		    "application/octet-stream" },
		{ "a.png", BYTES("<?xml version=\"1.0\"?>\n<!-- x -->\n<svg/>"),
		    "application/octet-stream" },
		{ "a.txt", BYTES("\xef\xbb\xbf \n<svg onload=\"x()\">"),
		    "application/octet-stream" },
		{ "a.svg", BYTES("<svg xmlns=\"http://www.w3.org/2000/svg\"/>"), "image/svg+xml" },
		{ "noname", BYTES("<svg xmlns=\"http://www.w3.org/2000/svg\"/>"), "image/svg+xml" },
		{ "a.xml", BYTES("<?xml version=\"1.0\"?><a/>"), "application/xml" },
		{ "a.txt", BYTES("MZ\x90\0"), "application/octet-stream" },
		{ "a.jpg", BYTES("#!/bin/sh\n"), "image/jpeg" },
		{ "a.html", BYTES("<html>"), "text/html" },
		{ "a.svg", BYTES("<html>"), "image/svg+xml" },
		{ "a.jpg", BYTES("\xff\xd8\xff\xe0"), "image/jpeg" },
		{ "a.docx", BYTES("PK\x03\x04"),
		    "application/vnd.openxmlformats-officedocument."
		    "wordprocessingml.document" },
		{ "a.exe", BYTES("MZ\x90\0"), "application/vnd.microsoft.portable-executable" },
		{ "invoice.pdf", BYTES("MZ\x90\0"), "application/octet-stream" },
		{ "noname", BYTES("%PDF-1.4\n"), "application/pdf" },
		{ NULL, BYTES("\x89PNG\r\n\x1a\n"), "image/png" },
		{ "noname", BYTES("plain words\n"), "text/plain" },
		{ "noname", BYTES("\x01\x02\x03\x00\xff"), "application/octet-stream" },
		{ "x.unknown-thing", BYTES(""), "application/octet-stream" },
		{ "x.", BYTES("abc"), "text/plain" },
		{ "mail.eml", BYTES("From: a@b\r\nSubject: x\r\n\r\n"), NULL },
	};
	struct mail_magic *magic = mail_magic_new();

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		for (int with = 0; with < 2; with++) {
			char type[MAIL_TYPE_SIZE];

			mail_type_of(rows[i].filename, rows[i].bytes, rows[i].n,
			    with ? magic : NULL, type);
			CHECK(mail_type_ok(type));
			if (rows[i].want != NULL)
				CHECK_STR(type, rows[i].want);
		}
	}
	mail_magic_free(magic);
}

/* What neither the name nor our signatures know, the library does. */
TEST(types_by_library)
{
	struct mail_magic *magic = mail_magic_new();
	char type[MAIL_TYPE_SIZE];

	mail_type_of("noname", "OggS\0\2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1vorbis", 35,
	    magic, type);
	CHECK_STR(type, "audio/ogg");
	/* a picture with the wrong name */
	mail_type_of("a.png", "GIF89a\1\0\1\0\0\0\0;", 14, magic, type);
	CHECK_STR(type, "image/gif");
	mail_magic_free(magic);
}

TEST(type_names)
{
	CHECK(mail_type_ok("image/png"));
	CHECK(mail_type_ok("application/vnd.x+y-z.1"));
	CHECK(!mail_type_ok("image"));
	CHECK(!mail_type_ok("image/"));
	CHECK(!mail_type_ok("/png"));
	CHECK(!mail_type_ok("image/png; x=y"));
	CHECK(!mail_type_ok("image/png\r\nX: y"));
	CHECK(!mail_type_ok("a/b/c"));
	CHECK(!mail_type_ok("message/rfc822"));
	CHECK(!mail_type_ok("multipart/mixed"));
}

UNIT_MAIN()
