#include "unit.h"

#include "base/buf.h"
#include "mail/source.h"

static const struct {
	const char *url, *want; /* NULL: refused, */
	const char *why;	/* with this in the message */
} urls[] = {
	{ "http://example.com", "http://example.com/", NULL },
	{ "https://example.com/a/b.pdf?x=1&y=%20", "https://example.com/a/b.pdf?x=1&y=%20", NULL },
	{ "HTTPS://Example.COM/A", "https://Example.COM/A", NULL },
	{ "http://example.com:8080/", "http://example.com:8080/", NULL },
	{ "http://example.com:/x", "http://example.com/x", NULL },
	{ "http://example.com?q", "http://example.com/?q", NULL },
	{ "http://example.com/a#b", "http://example.com/a", NULL },
	{ "http://example.com#b", "http://example.com/", NULL },
	{ "http://example.com/a@b", "http://example.com/a@b", NULL },
	{ "http://192.0.2.1/", "http://192.0.2.1/", NULL },
	{ "http://[::1]/", "http://[::1]/", NULL },
	{ "http://[2001:db8::1]:81/x", "http://[2001:db8::1]:81/x", NULL },
	{ "http://example.com/\xc3\xa9 b", "http://example.com/%C3%A9%20b", NULL },
	{ "http://example.com/\"<>^`{|}", "http://example.com/%22%3C%3E%5E%60%7B%7C%7D", NULL },
	{ "http://example.com/a\\b", "http://example.com/a%5Cb", NULL },
	{ "http://b\xc3\xbc"
	  "cher.example/",
	    "http://xn--bcher-kva.example/", NULL },
	{ "http://ex\xef\xbd\x81mple\xe3\x80\x82test/", "http://example.test/", NULL },
	/* Fullwidth signs, which the mapping of IDN turns into the signs of a URL. */
	{ "http://user\xef\xbc\x9apw\xef\xbc\xa0host.test/", NULL, "no valid domain" },
	{ "http://127.0.0.1\xef\xbc\x9a"
	  "80/",
	    NULL, "no valid domain" },
	{ "http://127.0.0.1\xef\xbc\x8fx.test/", NULL, "no valid domain" },
	{ "http://127.0.0.1\xef\xbc\x9f.test/", NULL, "no valid domain" },
	{ "http://127.0.0.1\xef\xbc\x83.test/", NULL, "no valid domain" },
	{ "http://\xef\xbc\xbb"
	  "1\xef\xbc\xbd/",
	    NULL, "no valid domain" },
	{ "http://a\xef\xbc\x85"
	  "41.test/",
	    NULL, "no valid domain" },
	{ "http://e\xe2\x80\x85=", NULL, "no valid domain" },
	{ "", NULL, "begins with http" },
	{ "ftp://example.com/", NULL, "begins with http" },
	{ "file:///etc/passwd", NULL, "begins with http" },
	{ "http:/example.com/", NULL, "begins with http" },
	{ "//example.com/", NULL, "begins with http" },
	{ " http://example.com/", NULL, "begins with http" },
	{ "http://", NULL, "expected a host" },
	{ "http:///x", NULL, "expected a host" },
	{ "http://:80/", NULL, "expected a host" },
	{ "http://user@example.com/", NULL, "user's name" },
	{ "http://user:secret@example.com/", NULL, "user's name" },
	{ "http://example.com\\@evil.example/", NULL, "backslash" },
	{ "http://exa mple.com/", NULL, "letters, digits" },
	{ "http://exa%6dple.com/", NULL, "letters, digits" },
	{ "http://example.com:0/", NULL, "port" },
	{ "http://example.com:65536/", NULL, "port" },
	{ "http://example.com:80a/", NULL, "port" },
	{ "http://example.com:-1/", NULL, "port" },
	{ "http://[::1/", NULL, "brackets" },
	{ "http://[fe80::1%25eth0]/", NULL, "brackets" },
	{ "http://[]/", NULL, "brackets" },
	{ "http://[::1]x/", NULL, "brackets" },
	{ "http://example.com/\r\nX: y", NULL, "control character in the URL at byte 20" },
	{ "http://example.com/\x7f", NULL, "control character" },
};

TEST(source_urls)
{
	for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
		struct buf out AUTO_BUF = BUF_INIT(4 * MAIL_URL_MAX);
		struct err err = ERR_INIT;

		CHECK_INT(mail_source_url(urls[i].url, &out, &err), urls[i].want != NULL ? 0 : -1);
		if (urls[i].want != NULL)
			CHECK_STR(out.s, urls[i].want);
		else if (strstr(err.msg, urls[i].why) == NULL)
			CHECK_STR(err.msg, urls[i].why);
	}
}

TEST(long_urls)
{
	struct buf out AUTO_BUF = BUF_INIT(4 * MAIL_URL_MAX),
		       url AUTO_BUF = BUF_INIT(MAIL_URL_MAX + 1);

	buf_adds(&url, "http://example.com/");
	while (url.len < MAIL_URL_MAX)
		buf_adds(&url, "\"");
	CHECK_INT(mail_source_url(url.s, &out, NULL), 0);
	CHECK_INT(out.len, 19 + 3 * (MAIL_URL_MAX - 19));
	buf_adds(&url, "a");
	CHECK_INT(mail_source_url(url.s, &out, NULL), -1);
}

TEST(source_s3)
{
	struct err err = ERR_INIT;

	CHECK_INT(mail_source_s3("abc", "k", &err), 0);
	CHECK_INT(mail_source_s3("a.b-9", "\xc3\xa9/ x", &err), 0);
	CHECK_INT(mail_source_s3("ab", "k", &err), -1);
	CHECK_INT(mail_source_s3("Abc", "k", &err), -1);
	CHECK_INT(mail_source_s3("a/b", "k", &err), -1);
	CHECK_INT(mail_source_s3("-abc", "k", &err), -1);
	CHECK_INT(mail_source_s3("abc.", "k", &err), -1);
	CHECK_INT(mail_source_s3("a..b", "k", &err), -1);
	CHECK_INT(mail_source_s3("abc", "", &err), -1);
	CHECK_INT(mail_source_s3("abc", "a\nb", &err), -1);
	CHECK_STR(err.msg, "key: control character at byte 2");
}

static const struct {
	const char *filename, *name, *md5; /* NULL: no mark */
} names[] = {
	{ "report_{MD5:a1B2}.pdf", "report.pdf", "a1b2" },
	{ "{MD5:00}report.pdf", "report.pdf", "00" },
	{ "report.pdf{MD5:00}", "report.pdf", "00" },
	{ "a_{MD5:0}_b.pdf", "a_b.pdf", "0" },
	{ "_a__b_{MD5:0}_.pdf_", "a_b.pdf", "0" },
	{ "a{MD5:1}b{MD5:2}c", "abc", "1" },
	{ "a{MD5:}b{MD5:2}c", "a{MD5:}bc", "2" },
	{ "{MD5:1}", "", "1" },
	{ "report.pdf", NULL, NULL },
	{ "_a__b_.pdf", NULL, NULL },
	{ "a{MD5:}", NULL, NULL },
	{ "a{MD5:xy}", NULL, NULL },
	{ "a{MD5:12", NULL, NULL },
	{ "a{md5:12}", NULL, NULL },
	{ "", NULL, NULL },
};

TEST(marked_names)
{
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		struct buf name AUTO_BUF = BUF_INIT(1000), md5 AUTO_BUF = BUF_INIT(1000);
		bool found = mail_source_marked_name(names[i].filename, &name, &md5);

		CHECK_INT(found, names[i].name != NULL);
		CHECK_STR(name.s, found ? names[i].name : "");
		CHECK_STR(md5.s, found ? names[i].md5 : "");
	}
}

UNIT_MAIN()
