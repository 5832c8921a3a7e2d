#include "unit.h"

#include <fcntl.h>
#include <sys/mman.h>

#include "base/utf8.h"
#include "http/form.h"
#include "mail/parse.h"

/* The text as a file; its size in *ret_size. */
static int
file_of(const char *text, size_t len)
{
	int fd = memfd_create("mail", MFD_CLOEXEC);

	if (fd < 0 || write(fd, text, len) != (ssize_t)len)
		abort();
	return fd;
}

/* What was found, as "TYPE[ name=...][ id=...][ attachment]: TEXT" a part, ended by a "|". */
static void
describe(const char *text, size_t len, struct buf *out)
{
	AUTO_FD int fd = file_of(text, len);
	AUTO_PARSED struct mail_parsed mail = MAIL_PARSED_INIT;

	CHECK_INT(mail_parse(fd, len, form_parameter, &mail), 0);
	for (size_t i = 0; i < mail.count; i++) {
		const struct mail_parsed_part *part = &mail.parts[i];

		buf_adds(out, part->type);
		if (part->filename[0] != '\0')
			buf_addf(out, " name=%s", part->filename);
		if (part->content_id[0] != '\0')
			buf_addf(out, " id=%s", part->content_id);
		buf_adds(out, part->attachment ? " attachment: " : ": ");
		CHECK(mail_part_text(fd, part, 1 << 20, out) >= 0);
		buf_adds(out, "|");
	}
	CHECK(utf8_valid(out->s, out->len));
}

#define MIXED "Content-Type: multipart/mixed; boundary=b\n\n"

static const struct {
	const char *in, *out;
} rows[] = {
	{ "Subject: x\n\nhello\n", "text/plain: hello\n|" },
	{ "Subject: x\r\n\r\nhello\r\n", "text/plain: hello\r\n|" },
	{ "Subject: x", "text/plain: |" },
	{ "", "text/plain: |" },
	{ "\n", "text/plain: |" },
	{ "\nhello", "text/plain: hello|" },
	/* Encodings and charsets. */
	{ "Content-Transfer-Encoding: BASE64 \n\naGVs\nbG8=\n", "text/plain: hello|" },
	{ "Content-Transfer-Encoding: base64\n\na!G_Vs bG8", "text/plain: hello|" },
	{ "Content-Transfer-Encoding: quoted-printable\n\na=3Db=\nc  \nd=ZZ=4",
	    "text/plain: a=bc\nd=ZZ=4|" },
	{ "Content-Transfer-Encoding: quoted-printable\n\na= \t\r\nb \t", "text/plain: ab|" },
	{ "Content-Type: text/plain; charset=koi8-r\n\n\xf0\xf2\xe9", "text/plain: ПРИ|" },
	{ "Content-Type: text/plain; charset=utf-8\n\n\xff\xd0\x9f",
	    "text/plain: \xef\xbf\xbd\xd0\x9f|" },
	{ "Content-Type: text/plain; charset=\"no/such\"\n\nx", "text/plain: x|" },
	{ "Content-Type: text/plain; charset=none-such\n\nx", "text/plain: x|" },
	/* Types. */
	{ "Content-Type: TEXT/HTML; charset=utf-8\n\n<p>", "text/html: <p>|" },
	{ "Content-Type: nonsense\n\nx", "text/plain: x|" },
	{ "Content-Type: multipart/mixed\n\nx", "application/octet-stream: x|" },
	{ "Content-Type: a/b\\c\n\nx", "application/octet-stream: x|" },
	{ "Content-Type: Message/Delivery-Status\n\nx", "message/delivery-status: x|" },
	{ "Content-Type: message/external-body; access-type=local-file\n\nx",
	    "application/octet-stream: x|" },
	/* Multiparts. */
	{ MIXED "before\n--b\n\none\n--b\nContent-Type: text/html\n\ntwo\n\n--b--\nbehind\n",
	    "text/plain: one|text/html: two\n|" },
	{ MIXED "--b\r\n\r\none\r\n--b \t\r\n\r\n\r\n--b--", "text/plain: one|text/plain: |" },
	{ MIXED "--b\n\none\n--bb\n --b\n--b-\n", "text/plain: one\n--bb\n --b\n--b-\n|" },
	{ MIXED "--b\nContent-Type: text/html\n--b\n\n--b\n--b",
	    "text/html: |text/plain: |text/plain: |text/plain: |" },
	{ MIXED "nothing", "" },
	{ "Content-Type: multipart/mixed; boundary=\"a b\"\n\n--a b\n\nx\n--a b--",
	    "text/plain: x|" },
	/* One within another; a missing end is made up by that of the outer one. */
	{ MIXED "--b\nContent-Type: multipart/alternative;\n boundary=c\n\n--c\n\none\n--c\n"
		"Content-Type: text/html\n\ntwo\n--c--\n--b\n\nthree\n--b--",
	    "text/plain: one|text/html: two|text/plain: three|" },
	{ MIXED "--b\nContent-Type: multipart/alternative; "
		"boundary=c\n\n--c\n\none\n--b\n\nthree\n--b--",
	    "text/plain: one|text/plain: three|" },
	/* Names. */
	{ MIXED "--b\nContent-Disposition: Attachment; filename=\"a.pdf\"\n"
		"Content-Type: application/pdf\n\nx\n--b--",
	    "application/pdf name=a.pdf attachment: x|" },
	{ MIXED "--b\nContent-Disposition: attachment; filename=\"../../etc/passwd\"\n\nx\n--b--",
	    "text/plain name=passwd attachment: x|" },
	{ MIXED "--b\nContent-Disposition: attachment; filename=\"C:\\dir\\..\"\n\nx\n--b--",
	    "text/plain attachment: x|" },
	{ MIXED
	    "--b\nContent-Disposition: attachment; filename*=utf-8''%D1%84%0D%0AX.txt\n\nx\n--b--",
	    "text/plain name=ф X.txt attachment: x|" },
	{ MIXED "--b\nContent-Type: image/png; name==?utf-8?B?0YQ=?=.png\nContent-ID: "
		"<a@b>\n\nx\n--b--",
	    "image/png name=ф.png id=a@b: x|" },
	{ MIXED "--b\nContent-Type: message/rfc822\n\nSubject: inner\n\n--b--",
	    "message/rfc822: Subject: inner\n|" },
};

TEST(messages_are_taken_apart)
{
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		AUTO_BUF struct buf out = BUF_INIT(1 << 20);

		describe(rows[i].in, strlen(rows[i].in), &out);
		CHECK_STR(out.s, rows[i].out);
	}
}

TEST(nuls_and_bytes_of_any_kind_are_harmless)
{
	static const char text[] = "Subject: a\0b\n\nx\0y";
	AUTO_BUF struct buf out = BUF_INIT(1 << 20);
	unsigned int seed = 1;

	describe(text, sizeof text - 1, &out);
	CHECK_STR(out.s, "text/plain: xy|");
	for (int round = 0; round < 2000; round++) {
		static const char *const words[] = { MIXED, "--b", "--b--", "\n", "\r\n", "\r", "=",
			"=\n", "Content-Type: ", "multipart/mixed; boundary=c\n", "--c\n", "\n\n",
			";", "\"", "\\", "Content-Disposition: attachment; filename=",
			"Content-Transfer-Encoding: base64\n",
			"Content-Transfer-Encoding: quoted-printable\n", "=4", "\xff", "\xd0", "a",
			": ", "=?utf-8?B?", "?=", "*0*=", "%0" };
		AUTO_BUF struct buf in = BUF_INIT(1 << 20);

		if (round % 2 == 0)
			buf_adds(&in, MIXED);
		for (int i = 0; i < 60; i++) {
			seed = seed * 1103515245 + 12345;
			buf_adds(&in, words[(seed >> 16) % (sizeof words / sizeof *words)]);
		}
		buf_clear(&out);
		describe(in.s, in.len, &out);
	}
}

TEST(bounds_hold)
{
	AUTO_BUF struct buf in = BUF_INIT(8 << 20), header = BUF_INIT(1000);
	AUTO_PARSED struct mail_parsed many = MAIL_PARSED_INIT;
	AUTO_PARSED struct mail_parsed deep = MAIL_PARSED_INIT;

	buf_adds(&in, MIXED);
	for (int i = 0; i < 5000; i++)
		buf_adds(&in, "--b\n\nx\n");
	{
		AUTO_FD int fd = file_of(in.s, in.len);

		CHECK_INT(mail_parse(fd, in.len, form_parameter, &many), 0);
		CHECK_INT(many.count, MAIL_PARSE_PARTS);
	}
	buf_clear(&in);
	for (int i = 0; i < 1000; i++)
		buf_addf(&in, "Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n", i, i);
	{
		AUTO_FD int fd = file_of(in.s, in.len);

		CHECK_INT(mail_parse(fd, in.len, form_parameter, &deep), 0);
		CHECK_INT(deep.count, 1);
		CHECK_STR(deep.parts[0].type, "application/octet-stream");
	}
	buf_clear(&in);
	buf_adds(&in, "Subject: short\n");
	while (in.len < 2000000)
		buf_adds(&in, "X: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\n");
	{
		AUTO_FD int fd = file_of(in.s, in.len);
		AUTO_BUF struct buf subject = BUF_INIT(100);

		CHECK_INT(mail_parse_header(fd, in.len, &header), 0);
		CHECK_INT(header.len, 1000);
		CHECK_INT(mail_header_field(&header, "subject", &subject), 1);
		CHECK_STR(subject.s, "short");
		CHECK_INT(mail_header_field(&header, "To", &subject), 0);
	}
}

TEST(a_text_is_cut_between_characters)
{
	static const char text[] = "\n\xd0\x9f\xd0\xa0\xd0\x98";
	AUTO_FD int fd = file_of(text, sizeof text - 1);
	AUTO_PARSED struct mail_parsed mail = MAIL_PARSED_INIT;
	AUTO_BUF struct buf out = BUF_INIT(100);

	CHECK_INT(mail_parse(fd, sizeof text - 1, form_parameter, &mail), 0);
	CHECK_INT(mail_part_text(fd, &mail.parts[0], 3, &out), 1);
	CHECK_STR(out.s, "П");
}

TEST(a_file_that_is_shorter_than_it_was)
{
	AUTO_FD int fd = file_of("\nhello", 6);
	AUTO_PARSED struct mail_parsed mail = MAIL_PARSED_INIT;
	AUTO_BUF struct buf out = BUF_INIT(100);

	CHECK_INT(mail_parse(fd, 1000000, form_parameter, &mail), 0);
	CHECK_INT(mail.count, 1);
	CHECK_INT(mail_part_text(fd, &mail.parts[0], 100, &out), 0);
	CHECK_STR(out.s, "hello");
}

UNIT_MAIN()
