#include "unit.h"

#include "base/utf8.h"
#include "mail/raw.h"

static const struct mail_raw_options defaults = {
	.from_addr = "me@host.example",
	.host = "host.example",
	.default_domain = "host.example",
};

/* Passes text through in pieces of step bytes; returns the object, its output in out. */
static struct mail_raw *
pass(const struct mail_raw_options *options, const char *text, size_t len, size_t step,
    struct buf *out)
{
	struct mail_raw *raw = mail_raw_new(options);
	struct mail_sink sink = { mail_sink_to_buf, out };
	struct err err = ERR_INIT;
	size_t at = 0;
	int rc = 0;

	while (rc == 0 && at < len) {
		size_t n = len - at < step ? len - at : step;

		rc = mail_raw_feed(raw, text + at, n, &err);
		at += n;
	}
	CHECK(rc >= 0);
	CHECK_INT(mail_raw_header_end(raw, &err), 0);
	rc = mail_raw_start(raw, &sink, &err);
	while (rc == 0 && at < len) {
		size_t n = len - at < step ? len - at : step;

		rc = mail_raw_feed(raw, text + at, n, &err);
		at += n;
	}
	CHECK(rc >= 0);
	CHECK_INT(mail_raw_end(raw, &err), 0);
	CHECK_STR(err.msg, "");
	CHECK_INT(mail_raw_info(raw)->size, out->len);
	return raw;
}

/* What goes in and what comes out, with nothing missing from the header. */
#define HEAD "From: a@b\r\nDate: x\r\nMessage-ID: <1@x>\r\n"

static const struct {
	const char *in, *out;
} rows[] = {
	{ HEAD "To: c@d\r\n\r\nbody\r\n", HEAD "To: c@d\r\n\r\nbody\r\n" },
	{ "From: a@b\nDate: x\nMessage-ID: <1@x>\n\nbody\nmore\n", HEAD "\r\nbody\r\nmore\r\n" },
	{ HEAD "\r\nno line end", HEAD "\r\nno line end\r\n" },
	{ HEAD "\r\n", HEAD "\r\n" },
	{ HEAD, HEAD "\r\n" },
	{ HEAD "Subject: no line end", HEAD "Subject: no line end\r\n\r\n" },
	{ HEAD "\na\rb\rc", HEAD "\r\na\r\nb\r\nc\r\n" },
	{ HEAD "\na\r\r\nb\r\n", HEAD "\r\na\r\nb\r\n" },
	{ HEAD "\na\r\rb\r", HEAD "\r\na\r\n\r\nb\r\n" },
	{ HEAD "\n\n\n\n", HEAD "\r\n\r\n\r\n\r\n" },
	{ HEAD "\n.\n..\n.x\n", HEAD "\r\n.\r\n..\r\n.x\r\n" },
	{ HEAD "\nFrom here\n", HEAD "\r\nFrom here\r\n" },
	/* a lone CR begins no field of its own */
	{ HEAD "Subject: a\rBcc: x@y\n\nb", HEAD "Subject: a Bcc: x@y\r\n\r\nb\r\n" },
	{ HEAD "Subject: a\r\r\n\r\nb", HEAD "Subject: a\r\n\r\nb\r\n" },
	/* Bcc in any form is gone, with its folded lines */
	{ HEAD "Bcc: x@y,\n z@y\nbcc : q@y\nResent-Bcc: r@y\nTo: c@d\n\nb",
	    HEAD "To: c@d\r\n\r\nb\r\n" },
	/* the mbox line */
	{ "From a@b Sat Nov 21 07:38:00 2026\n" HEAD "\nb", HEAD "\r\nb\r\n" },
	/* what is no field begins the body */
	{ HEAD "no field here\nb", HEAD "\r\nno field here\r\nb\r\n" },
	{ HEAD "X: y\n folded\n\tmore\n\nb", HEAD "X: y\r\n folded\r\n\tmore\r\n\r\nb\r\n" },
	{ HEAD "Received: \xff raw \xc3\xbc bytes\n\n8-bit \xe9\n",
	    HEAD "Received: \xff raw \xc3\xbc bytes\r\n\r\n8-bit \xe9\r\n" },
};

TEST(there_as_it_was)
{
	static const size_t steps[] = { 1, 2, 3, 7, 100000 };

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		for (size_t s = 0; s < sizeof steps / sizeof *steps; s++) {
			struct buf out AUTO_BUF = BUF_INIT(100000);
			struct mail_raw *raw AUTO_RAW =
			    pass(&defaults, rows[i].in, strlen(rows[i].in), steps[s], &out);

			CHECK_MEM(out.s, out.len, rows[i].out, strlen(rows[i].out));
			CHECK_STR(mail_raw_info(raw)->message_id, "<1@x>");
			CHECK_STR(mail_raw_info(raw)->from, "a@b");
		}
	}
}

TEST(what_is_missing_is_added)
{
	static const char *const bodies[] = { "just words\nmore\n", "\njust words\nmore\n",
		" begins with a blank\n", "" };

	for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
		struct mail_raw_options options = defaults;
		struct buf out AUTO_BUF = BUF_INIT(100000);
		struct mail_raw *raw;

		options.from_name = "Jörg M.";
		raw = pass(&options, bodies[i], strlen(bodies[i]), 5, &out);
		CHECK(strncmp(out.s,
			  "From: =?UTF-8?B?SsO2cmcgTS4=?= <me@host.example>\r\nDate: ", 53) == 0);
		CHECK(strstr(out.s, "\r\nMessage-ID: <") != NULL);
		CHECK(strstr(out.s, "@host.example>\r\n\r\n") != NULL);
		CHECK_INT(strstr(out.s, "\r\n\r\njust words\r\nmore\r\n") != NULL, i < 2);
		CHECK_INT(strstr(out.s, "\r\n\r\n begins with") != NULL, i == 2);
		CHECK_STR(mail_raw_info(raw)->from, "me@host.example");
		CHECK_STR(strchr(mail_raw_info(raw)->message_id, '@'), "@host.example>");
		mail_raw_free(raw);
	}
}

TEST(nobody_to_be_from)
{
	struct mail_raw_options options = defaults;
	struct buf out AUTO_BUF = BUF_INIT(1000);
	struct mail_raw *raw;

	options.from_addr = "";
	raw = pass(&options, "Subject: x\n\n", 12, 100, &out);
	CHECK(strstr(out.s, "From:") == NULL);
	CHECK(mail_raw_info(raw)->from == NULL);
	mail_raw_free(raw);
}

TEST(a_dot_ends)
{
	static const struct {
		const char *in, *body;
	} dots[] = {
		{ HEAD "\na\n.\nb\n", "a\r\n" },
		{ HEAD "\na\r\n.\r\nb\r\n", "a\r\n" },
		{ HEAD "\n.\nb\n", "" },
		{ HEAD "\na\n.", "a\r\n" },
		{ HEAD "\na\n..\n.x\n .\n. \nb\n", "a\r\n..\r\n.x\r\n .\r\n. \r\nb\r\n" },
		{ HEAD ".\nb\n", "" },
	};

	for (size_t i = 0; i < sizeof dots / sizeof *dots; i++) {
		for (size_t step = 1; step < 5; step++) {
			struct mail_raw_options options = defaults;
			struct buf out AUTO_BUF = BUF_INIT(1000);
			struct mail_raw *raw AUTO_RAW = NULL;

			options.dot_ends = true;
			raw = pass(&options, dots[i].in, strlen(dots[i].in), step, &out);
			CHECK_STR(strstr(out.s, "\r\n\r\n") + 4, dots[i].body);
		}
	}
}

TEST(what_is_reported)
{
	const char text[] =
	    "From: =?UTF-8?Q?J=C3=B6rg?= <j@b.example>, k@b\n"
	    "Subject: =?UTF-8?B?0J/RgNC40LLQtdGC?=\n =?UTF-8?Q?!?=\n"
	    "To: c@d, root,\n \"X, Y\" <e@f> (comment)\nCc: g: h@i;\nBcc: j@k, C@D, c@D\n\n"
	    "a\0b \xff\n";
	struct buf out AUTO_BUF = BUF_INIT(100000);
	struct mail_raw *raw AUTO_RAW = pass(&defaults, text, sizeof text - 1, 11, &out);
	struct mail_addresses list AUTO_ADDRESSES = MAIL_ADDRESSES_INIT;
	const struct mail_raw_info *info = mail_raw_info(raw);
	struct buf got AUTO_BUF = BUF_INIT(1000);
	struct err err = ERR_INIT;

	CHECK_STR(info->from, "j@b.example");
	CHECK_STR(info->subject, "Привет!");
	CHECK(info->has_recipients);
	CHECK(info->has_nul && info->body_8bit && !info->header_8bit && !info->needs_smtputf8);
	CHECK(!info->long_line);
	CHECK_INT(mail_raw_recipients(raw, &list, &err), 0);
	for (size_t i = 0; i < list.count; i++)
		buf_addf(&got, "%s ", list.at[i].addr);
	CHECK_STR(got.s, "c@d root@host.example e@f h@i j@k C@D ");
	CHECK(memmem(out.s, out.len, "a\0b \xff\r\n", 7) != NULL);
}

TEST(resent_recipients)
{
	const char text[] = "Resent-To: a@b\nResent-Bcc: c@d\nTo: no@x\nBcc: no2@x\n\nb";
	struct buf out AUTO_BUF = BUF_INIT(1000);
	struct mail_raw *raw AUTO_RAW = pass(&defaults, text, strlen(text), 100, &out);
	struct mail_addresses list AUTO_ADDRESSES = MAIL_ADDRESSES_INIT;

	CHECK_INT(mail_raw_recipients(raw, &list, NULL), 0);
	CHECK_INT(list.count, 2);
	CHECK_STR(list.at[0].addr, "a@b");
	CHECK_STR(list.at[1].addr, "c@d");
	CHECK(strstr(out.s, "c@d") == NULL && strstr(out.s, "no2@x") == NULL);
}

TEST(bad_recipients_are_named)
{
	const char text[] = "To: a b@c\n\nb";
	struct buf out AUTO_BUF = BUF_INIT(1000);
	struct mail_raw *raw AUTO_RAW = pass(&defaults, text, strlen(text), 100, &out);
	struct mail_addresses list AUTO_ADDRESSES = MAIL_ADDRESSES_INIT;
	struct err err = ERR_INIT;

	CHECK_INT(mail_raw_recipients(raw, &list, &err), -1);
	CHECK_INT(err.code, EX_DATAERR);
	CHECK_STR(err.msg, "To: \"a b@c\": a space outside quotes before the word at byte 3");
	CHECK(!mail_raw_info(raw)->has_recipients);
}

TEST(wide_addresses)
{
	static const struct {
		const char *text;
		int header_8bit, smtputf8;
	} wide[] = {
		{ "To: a@b\n\n", 0, 0 },
		{ "Subject: \xc3\xbc\n\n", 1, 0 },
		{ "To: J\xc3\xb6rg <j@b>\n\n", 1, 0 },
		{ "To: J\xf6rg <j@b>\n\n", 1, 0 },
		{ "To: \xc3\xbc@b\n\n", 1, 1 },
		{ "Cc: x <a@b\xc3\xbc"
		  "cher.example>\n\n",
		    0, 0 },
		{ "Cc: \xc3\xbc@b\xc3\xbc"
		  "cher.example\n\n",
		    1, 1 },
		{ "Cc: a@\xff.example\n\n", 1, 1 },
		{ "X-Other: a@b\xc3\xbc"
		  "cher.example\n\n",
		    1, 0 },
	};

	for (size_t i = 0; i < sizeof wide / sizeof *wide; i++) {
		struct buf out AUTO_BUF = BUF_INIT(1000);
		struct mail_raw *raw AUTO_RAW =
		    pass(&defaults, wide[i].text, strlen(wide[i].text), 100, &out);

		CHECK_INT(mail_raw_info(raw)->header_8bit, wide[i].header_8bit);
		CHECK_ROW(wide[i].text, mail_raw_info(raw)->needs_smtputf8 == wide[i].smtputf8);
	}
}

#define BUECHER                                                                                    \
	"b\xc3\xbc"                                                                                \
	"cher.example"
#define A_LABEL "xn--bcher-kva.example"

/* Fields as they come and as they go on. */
static const struct {
	const char *field, *passed;
} domains[] = {
	{ "To: a@" BUECHER, "To: a@" A_LABEL },
	{ "to: A <a@" BUECHER ">,\r\n\tb@c.example, d@" BUECHER " (x@" BUECHER ")",
	    "to: A <a@" A_LABEL ">,\r\n\tb@c.example, d@" A_LABEL " (x@" BUECHER ")" },
	{ "Cc: \"J\xc3\xb6rg @" BUECHER "\" <\"a b\"@" BUECHER ">",
	    "Cc: \"J\xc3\xb6rg @" BUECHER "\" <\"a b\"@" A_LABEL ">" },
	{ "Reply-To: x: a@" BUECHER ";", "Reply-To: x: a@" A_LABEL ";" },
	{ "Sender: a@" BUECHER " <b@c.example>", "Sender: a@" BUECHER " <b@c.example>" },
	{ "Resent-To: \xc3\xbc@" BUECHER ", a@" BUECHER,
	    "Resent-To: \xc3\xbc@" BUECHER ", a@" A_LABEL },
	{ "From: \"\xc3\xbc\"@" BUECHER, "From: \"\xc3\xbc\"@" BUECHER },
	{ "From: \"a\\\"@" BUECHER, "From: \"a\\\"@" BUECHER },
	{ "To: a@b\xfc"
	  "cher.example",
	    "To: a@b\xfc"
	    "cher.example" },
	{ "To: a@-\xc3\xbc-.example", "To: a@-\xc3\xbc-.example" },
	{ "To: a@[\xc3\xbc], (a@" BUECHER, "To: a@[\xc3\xbc], (a@" BUECHER },
	/* A fullwidth comma, which the mapping of IDN turns into one that separates addresses. */
	{ "To: a@x\xef\xbc\x8cy." BUECHER, "To: a@x\xef\xbc\x8cy." BUECHER },
	{ "Subject: a@" BUECHER, "Subject: a@" BUECHER },
	{ "DKIM-Signature: v=1\r\nTo: a@" BUECHER, "DKIM-Signature: v=1\r\nTo: a@" BUECHER },
};

TEST(domains_become_ascii)
{
	char text[1000];

	for (size_t i = 0; i < sizeof domains / sizeof *domains; i++) {
		struct buf out AUTO_BUF = BUF_INIT(2000);
		struct mail_raw *raw;

		snprintf(text, sizeof text, "Date: d\r\n%s\r\nMessage-ID: <m@b>\r\n\r\n",
		    domains[i].field);
		raw = pass(&defaults, text, strlen(text), 100, &out);
		snprintf(text, sizeof text, "Date: d\r\n%s\r\nMessage-ID: <m@b>\r\n",
		    domains[i].passed);
		CHECK_ROW(domains[i].field, strncmp(out.s, text, strlen(text)) == 0);
		mail_raw_free(raw);
	}
}

TEST(long_lines_pass)
{
	struct buf text AUTO_BUF = BUF_INIT(1 << 23), out AUTO_BUF = BUF_INIT(1 << 23);
	struct mail_raw *raw;

	buf_adds(&text, HEAD "\n");
	for (int i = 0; i < 2000000; i++)
		buf_addc(&text, 'x');
	raw = pass(&defaults, text.s, text.len, 65536, &out);
	CHECK(mail_raw_info(raw)->long_line);
	CHECK_INT(out.len, strlen(HEAD) + 2 + 2000000 + 2);
	mail_raw_free(raw);

	/* without any header, the line that never ends is a body too */
	buf_clear(&out);
	raw = pass(&defaults, text.s + text.len - 2000000, 2000000, 65536, &out);
	CHECK(mail_raw_info(raw)->long_line);
	CHECK(memmem(out.s, out.len, "\r\n\r\nxxxx", 8) != NULL);
	mail_raw_free(raw);
}

TEST(the_header_has_an_end)
{
	struct mail_raw *raw = mail_raw_new(&defaults);
	struct err err = ERR_INIT;
	int rc = 0;

	for (int i = 0; i < 100000 && rc == 0; i++)
		rc = mail_raw_feed(raw, "X-Filler: 0123456789\n", 21, &err);
	CHECK_INT(rc, -1);
	CHECK_INT(err.code, EX_DATAERR);
	CHECK_STR(err.msg, "the header is longer than 1048576 bytes");
	mail_raw_free(raw);

	/* and a single field too */
	raw = mail_raw_new(&defaults);
	rc = mail_raw_feed(raw, "Subject: ", 9, &err);
	for (int i = 0; i < 200000 && rc == 0; i++)
		rc = mail_raw_feed(raw, "0123456789", 10, &err);
	CHECK_INT(rc, -1);
	mail_raw_free(raw);
}

TEST(bad_sender_names)
{
	struct mail_raw_options options = defaults;
	struct mail_raw *raw;
	struct err err = ERR_INIT;

	options.from_name = "x\nBcc: y@z";
	raw = mail_raw_new(&options);
	CHECK_INT(mail_raw_feed(raw, "\n", 1, &err), -1);
	CHECK_STR(err.msg, "the sender's name: line break at byte 2");
	mail_raw_free(raw);
}

/* Any bytes: no bare CR or LF leaves, nothing hidden is shown, the pieces do not matter. */
TEST(any_bytes)
{
	static const char *const pieces[] = { "\r", "\n", "\r\n", ".", "\n.\n", " ", "\t", ":",
		"Bcc: ", "From ", "From: ", "a@b", "To", "\0", "\xff", "x", "\n\n" };
	unsigned int seed = 5;

	for (int round = 0; round < 30000; round++) {
		struct buf text AUTO_BUF = BUF_INIT(10000), out AUTO_BUF = BUF_INIT(100000);
		struct buf again AUTO_BUF = BUF_INIT(100000);
		struct mail_raw_options options = defaults;
		struct mail_raw *raw AUTO_RAW = NULL, *other AUTO_RAW = NULL;
		size_t len;

		options.dot_ends = round % 2;
		buf_adds(&text, round % 3 != 0 ? HEAD : "");
		for (int i = round % 40; i > 0; i--) {
			seed = seed * 1103515245u + 12345u;
			buf_adds(&text, pieces[(seed >> 16) % (sizeof pieces / sizeof *pieces)]);
		}
		raw = pass(&options, text.s, text.len, 1 + round % 5, &out);
		other = pass(&options, text.s, text.len, 10000, &again);
		len = out.len;
		if (round % 3 != 0)
			CHECK_MEM(out.s, out.len, again.s, again.len);
		CHECK(len >= 2 && memcmp(out.s + len - 2, "\r\n", 2) == 0);
		for (size_t i = 0; i < len; i++) {
			CHECK(out.s[i] != '\n' || out.s[i - 1] == '\r');
			CHECK(out.s[i] != '\r' || out.s[i + 1] == '\n');
			if (strncmp(out.s + i, "\r\n\r\n", 4) == 0)
				break; /* the header is over */
			CHECK(strncmp(out.s + i, "\r\nBcc:", 6) != 0);
		}
		for (size_t i = 1; i < len; i++) {
			CHECK(out.s[i] != '\n' || out.s[i - 1] == '\r');
			CHECK(out.s[i - 1] != '\r' || out.s[i] == '\n');
		}
		if (unit_failures > 0) {
			unit_quote("in ", text.s, text.len);
			unit_quote("out", out.s, out.len);
			return;
		}
	}
}

UNIT_MAIN()
