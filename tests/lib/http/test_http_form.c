#include "unit.h"

#include "base/buf.h"
#include "http/form.h"

/* What came out: "name;filename;type=content|" for each part. */
struct heard {
	struct buf text;
	int refuse_at; /* the part, from 1, whose begin fails */
	int parts;
};

static int
begin(const struct form_part *part, void *arg, struct err *err)
{
	struct heard *heard = arg;

	if (++heard->parts == heard->refuse_at)
		return err_set(err, EX_UNAVAILABLE, "not this one");
	buf_addf(&heard->text, "%s;%s;%s=", part->name,
	    part->filename != NULL ? part->filename : "-", part->type != NULL ? part->type : "-");
	return 0;
}

static int
data(const char *bytes, size_t n, void *arg, struct err *err)
{
	struct heard *heard = arg;

	(void)err;
	return buf_add(&heard->text, bytes, n);
}

static int
end(void *arg, struct err *err)
{
	struct heard *heard = arg;

	(void)err;
	return buf_addc(&heard->text, '|');
}

static const struct form_callbacks callbacks = { begin, data, end };

/* Feeds the form in pieces of step bytes; 0 or -1, what came out in heard, a fault in err. */
static int
pass(const char *type, const char *body, size_t len, size_t step, struct heard *heard,
    struct err *err)
{
	struct form_reader *form = form_new(type, &callbacks, heard, err);
	int rc = form != NULL ? 0 : -1;

	for (size_t at = 0; rc == 0 && at < len;) {
		size_t n = len - at < step ? len - at : step;
		/* A copy of exactly that size: reading past it would be seen. */
		char *piece = malloc(n);

		memcpy(piece, body + at, n);
		rc = form_feed(form, piece, n, err);
		free(piece);
		at += n;
	}
	if (rc == 0)
		rc = form_end(form, err);
	form_free(form);
	return rc;
}

#define MULTI "multipart/form-data; boundary=B"
#define PART(headers, content)                                                                     \
	"--B\r\nContent-Disposition: form-data; " headers "\r\n\r\n" content "\r\n"
#define LAST "--B--\r\n"
#define FILE_PART(headers) PART("name=f; " headers, "x") LAST

static const struct {
	const char *name, *type, *body;
	const char *want; /* NULL: refused */
} table[] = {
	{ "two fields", MULTI, PART("name=\"a\"", "1") PART("name=\"b\"", "2") LAST,
	    "a;-;-=1|b;-;-=2|" },
	{ "no parts", MULTI, LAST, "" },
	{ "a file", MULTI,
	    "--B\r\nContent-Disposition: form-data; name=\"f\"; filename=\"x.pdf\"\r\n"
	    "Content-Type: application/pdf\r\n\r\n%PDF\r\n" LAST,
	    "f;x.pdf;application/pdf=%PDF|" },
	{ "an empty field", MULTI, PART("name=a", "") LAST, "a;-;-=|" },
	{ "no content and no empty line but the boundary's", MULTI,
	    "--B\r\nContent-Disposition: form-data; name=a\r\n\r\n--B--\r\n", "a;-;-=|" },
	{ "content that is nearly a boundary", MULTI,
	    PART("name=a", "\r\n--\r\n-B\r\n--C\r\n--Bx\r\n--B-x\r\n--B \t!\r\n\r") LAST,
	    "a;-;-=\r\n--\r\n-B\r\n--C\r\n--Bx\r\n--B-x\r\n--B \t!\r\n\r|" },
	{ "content that begins like a boundary", MULTI, PART("name=a", "--Bx") LAST,
	    "a;-;-=--Bx|" },
	{ "a boundary in a line's middle", MULTI, PART("name=a", "x--B\r\nz") LAST,
	    "a;-;-=x--B\r\nz|" },
	{ "a preamble and an epilogue", MULTI,
	    "look\r\n--Bx\r\n" PART("name=a", "1") LAST "--B\r\nmore\r\n\r\n", "a;-;-=1|" },
	{ "blanks behind boundaries", MULTI,
	    "--B \t\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--B-- \r\n", "a;-;-=1|" },
	{ "nothing behind the last boundary", MULTI, PART("name=a", "1") "--B--", "a;-;-=1|" },
	{ "a quoted boundary, parameters before and behind",
	    "Multipart/Form-Data; charset=utf-8; boundary=\"b b'()\" ; x=y",
	    "--b b'()\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--b b'()--\r\n",
	    "a;-;-=1|" },
	{ "headers in any case and order, folded", MULTI,
	    "--B\r\ncontent-type:text/plain;\r\n "
	    "charset=utf-8\r\nCONTENT-DISPOSITION:FORM-DATA;\r\n"
	    "\tNAME=\"a\"\r\nX-Other: y\r\n\r\n1\r\n" LAST,
	    "a;-;text/plain; charset=utf-8=1|" },

	/* Names of files, as they are sent. */
	{ "curl and browsers: UTF-8", MULTI, FILE_PART("filename=\"Grüße 日本.pdf\""),
	    "f;Grüße 日本.pdf;-=x|" },
	{ "browsers: a quote", MULTI, FILE_PART("filename=\"a%22b%0d%0A.txt\""),
	    "f;a\"b.txt;-=x|" },
	{ "older curl: a quote", MULTI, FILE_PART("filename=\"a\\\"b\\\\c.txt\""), "f;c.txt;-=x|" },
	{ "an escaped quote alone", MULTI, FILE_PART("filename=\"a\\\"b.txt\""),
	    "f;a\"b.txt;-=x|" },
	{ "other escapes stay", MULTI, FILE_PART("filename=\"100%25.txt\""), "f;100%25.txt;-=x|" },
	{ "older python-requests", MULTI, FILE_PART("filename*=utf-8''Gr%C3%BC%C3%9Fe.pdf"),
	    "f;Grüße.pdf;-=x|" },
	{ "both", MULTI, FILE_PART("filename=\"x.pdf\"; filename*=UTF-8'de'%C3%BC.pdf"),
	    "f;ü.pdf;-=x|" },
	{ "ISO 8859-1", MULTI, FILE_PART("filename*=iso-8859-1''%FC.pdf"), "f;ü.pdf;-=x|" },
	{ "a charset that nobody knows", MULTI,
	    FILE_PART("filename=\"x.pdf\"; filename*=gbk''%81%40.pdf"), "f;x.pdf;-=x|" },
	{ "continued", MULTI,
	    FILE_PART("filename*0*=utf-8''%C3%BC; filename*1=\"b c\"; filename*2*=%20d.txt"),
	    "f;üb c d.txt;-=x|" },
	{ "bytes that are not UTF-8", MULTI, FILE_PART("filename=\"\xfc\x80.txt\""),
	    "f;ü.txt;-=x|" },
	{ "a token", MULTI, FILE_PART("filename=x.txt "), "f;x.txt;-=x|" },
	{ "semicolons within", MULTI, FILE_PART("filename=\"a;b=c.txt\""), "f;a;b=c.txt;-=x|" },
	{ "a path", MULTI, FILE_PART("filename=\"../../etc/passwd\""), "f;passwd;-=x|" },
	{ "a path of Windows", MULTI, FILE_PART("filename=\"C:\\dir\\new.txt\""),
	    "f;new.txt;-=x|" },
	{ "an encoded path", MULTI, FILE_PART("filename*=utf-8''..%2F..%2Fx"), "f;x;-=x|" },
	{ "dots", MULTI, FILE_PART("filename=\"..\""), "f;;-=x|" },
	{ "a directory", MULTI, FILE_PART("filename=\"a/\""), "f;;-=x|" },
	{ "no name at all", MULTI, FILE_PART("filename=\"\""), "f;;-=x|" },
	{ "controls by escapes", MULTI, FILE_PART("filename*=utf-8''a%0D%0AX%3A%20y%C2%85"),
	    "f;aX: y;-=x|" },

	/* What is none. */
	{ "no type", NULL, LAST, NULL },
	{ "another type", "application/json", LAST, NULL },
	{ "another multipart", "multipart/mixed; boundary=B", LAST, NULL },
	{ "no boundary", "multipart/form-data", LAST, NULL },
	{ "an empty boundary", "multipart/form-data; boundary=\"\"", LAST, NULL },
	{ "two boundaries", "multipart/form-data; boundary=B; boundary=C", LAST, NULL },
	{ "a boundary of 71",
	    "multipart/form-data; boundary=1234567890123456789012345678901234567890"
	    "1234567890123456789012345678901",
	    LAST, NULL },
	{ "nothing", MULTI, "", NULL },
	{ "cut in the content", MULTI, "--B\r\nContent-Disposition: form-data; name=a\r\n\r\n1",
	    NULL },
	{ "cut in a header", MULTI, "--B\r\nContent-Disp", NULL },
	{ "cut before the last boundary", MULTI, PART("name=a", "1"), NULL },
	{ "cut in the last boundary", MULTI, PART("name=a", "1") "--B-", NULL },
	{ "no disposition", MULTI, "--B\r\nContent-Type: text/plain\r\n\r\n1\r\n" LAST, NULL },
	{ "no headers", MULTI, "--B\r\n\r\n1\r\n" LAST, NULL },
	{ "another disposition", MULTI,
	    "--B\r\nContent-Disposition: attachment; name=a\r\n\r\n1\r\n" LAST, NULL },
	{ "no name", MULTI, PART("x=y", "1") LAST, NULL },
	{ "two names", MULTI, PART("name=a; name=b", "1") LAST, NULL },
	{ "an open quote", MULTI, PART("name=\"a", "1") LAST, NULL },
	{ "a control character in a header", MULTI, PART("name=\"a\x01\"", "1") LAST, NULL },
	{ "a line feed alone in a header", MULTI, PART("name=\"a\nX: y\"", "1") LAST, NULL },
	{ "bad percents and no other name", MULTI, FILE_PART("filename*=utf-8''%zz"), NULL },
	{ "base64", MULTI,
	    "--B\r\nContent-Disposition: form-data; name=a\r\nContent-Transfer-Encoding: base64\r\n"
	    "\r\nMQ==\r\n" LAST,
	    NULL },

	/* The other kind. */
	{ "pairs", "application/x-www-form-urlencoded", "a=1&b=two+words&c=%C3%BC%26&&d&e=&=f",
	    "a;-;-=1|b;-;-=two words|c;-;-=ü&|d;-;-=|e;-;-=|;-;-=f|" },
	{ "no pairs", "application/x-www-form-urlencoded", "", "" },
	{ "an escape that is none", "application/x-www-form-urlencoded; charset=utf-8", "a=%4",
	    NULL },
	{ "not hexadecimal", "application/x-www-form-urlencoded", "a=%4g", NULL },
	{ "an escape cut by the next", "application/x-www-form-urlencoded", "a=%4&b=1", NULL },
};

TEST(forms)
{
	static const size_t steps[] = { 1, 2, 3, 7, 100, 100000 };

	for (size_t i = 0; i < sizeof table / sizeof *table; i++)
		for (size_t k = 0; k < sizeof steps / sizeof *steps; k++) {
			struct heard heard = { .text = BUF_INIT(1 << 20) };
			struct err err = ERR_INIT;
			int rc = pass(table[i].type, table[i].body, strlen(table[i].body), steps[k],
			    &heard, &err);

			CHECK_ROW(table[i].name, rc == (table[i].want != NULL ? 0 : -1));
			CHECK_ROW(table[i].name, rc == 0 || err.code == EX_DATAERR);
			if (rc == 0 && table[i].want != NULL)
				CHECK_STR(heard.text.s, table[i].want);
			buf_release(&heard.text);
		}
}

TEST(any_bytes_are_content)
{
	AUTO_BUF struct buf body = BUF_INIT(1 << 20), want = BUF_INIT(1 << 20);
	struct heard heard = { .text = BUF_INIT(1 << 20) };
	struct err err = ERR_INIT;

	buf_adds(&body, "--B\r\nContent-Disposition: form-data; name=f; filename=z\r\n\r\n");
	buf_adds(&want, "f;z;-=");
	for (int i = 0; i < 100000; i++) {
		char c = (char)(i * 7 + i / 256);

		buf_addc(&body, c);
		buf_addc(&want, c);
	}
	buf_adds(&body, "\r\n--B--\r\n");
	buf_addc(&want, '|');
	CHECK_INT(pass(MULTI, body.s, body.len, 1009, &heard, &err), 0);
	CHECK_MEM(heard.text.s, heard.text.len, want.s, want.len);
	buf_release(&heard.text);
}

TEST(bounds)
{
	AUTO_BUF struct buf body = BUF_INIT(1 << 24);
	struct heard heard = { .text = BUF_INIT(1 << 24) };
	struct err err = ERR_INIT;

	/* Headers that never end meet their bound, in pieces and at once. */
	buf_adds(&body, "--B\r\nContent-Disposition: form-data; name=f\r\nX: ");
	for (int i = 0; i < FORM_HEADERS_MAX; i++)
		buf_addc(&body, 'x');
	CHECK_INT(pass(MULTI, body.s, body.len, 1, &heard, &err), -1);
	CHECK(strstr(err.msg, "8192") != NULL);
	CHECK_INT(pass(MULTI, body.s, body.len, body.len, &heard, &err), -1);
	/* A long name is cut, between two characters. */
	buf_clear(&body);
	buf_clear(&heard.text);
	buf_adds(&body, "--B\r\nContent-Disposition: form-data; name=f; filename=\"");
	for (int i = 0; i < 1000; i++)
		buf_adds(&body, "é");
	buf_adds(&body, "\"\r\n\r\nx\r\n--B--\r\n");
	CHECK_INT(pass(MULTI, body.s, body.len, body.len, &heard, &err), 0);
	CHECK_INT(heard.text.len, strlen("f;") + FORM_NAME_MAX - 1 + strlen(";-=x|"));
	/* Parts are counted. */
	buf_clear(&body);
	buf_clear(&heard.text);
	for (int i = 0; i <= FORM_PARTS_MAX; i++)
		buf_adds(&body, PART("name=a", ""));
	CHECK_INT(pass(MULTI, body.s, body.len, body.len, &heard, &err), -1);
	CHECK(strstr(err.msg, "10000") != NULL);
	buf_release(&heard.text);
}

TEST(a_callback_ends_it)
{
	struct heard heard = { .text = BUF_INIT(1000), .refuse_at = 2 };
	struct err err = ERR_INIT;
	const char *body = PART("name=a", "1") PART("name=b", "2") LAST;

	CHECK_INT(pass(MULTI, body, strlen(body), 1000, &heard, &err), -1);
	CHECK_INT(err.code, EX_UNAVAILABLE);
	CHECK_STR(err.msg, "not this one");
	CHECK_STR(heard.text.s, "a;-;-=1|");
	buf_release(&heard.text);
}

TEST(parameters)
{
	char value[20] = "untouched";

	CHECK_INT(form_parameter("text/plain; charset=utf-8", "charset", value, sizeof value), 1);
	CHECK_STR(value, "utf-8");
	CHECK_INT(form_parameter("text/plain; charset=utf-8", "format", value, sizeof value), 0);
	CHECK_INT(form_parameter("text/plain", "charset", value, sizeof value), 0);
	CHECK_INT(form_parameter("a; x=12345678901234567890", "x", value, sizeof value), -1);
	CHECK_INT(form_parameter("a; x", "x", value, sizeof value), -1);
	CHECK_INT(form_parameter("a; =x", "x", value, sizeof value), -1);
	CHECK_INT(form_parameter("a; x=\"y\"z", "x", value, sizeof value), -1);
	CHECK_STR(value, "utf-8");
}

UNIT_MAIN()
