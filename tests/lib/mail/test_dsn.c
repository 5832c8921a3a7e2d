#include "unit.h"

#include <sys/mman.h>

#include "base/clock.h"
#include "base/utf8.h"
#include "http/form.h"
#include "mail/date.h"
#include "mail/dsn.h"

static int
read_text(const char *text, size_t len, struct mail_dsn *dsn, struct err *err)
{
	AUTO_FD int fd = memfd_create("mail", MFD_CLOEXEC);

	if (fd < 0 || write(fd, text, len) != (ssize_t)len)
		abort();
	return mail_dsn_read(fd, len, form_parameter, dsn, err);
}

static void
check_kept(const char *text)
{
	if (text == NULL)
		return;
	CHECK(utf8_valid(text, strlen(text)));
	CHECK(strlen(text) <= MAIL_DSN_TEXT);
	for (const char *c = text; *c != '\0'; c++)
		CHECK((unsigned char)*c >= 0x20 && *c != 0x7f);
}

static const char *
or_none(const char *text)
{
	check_kept(text);
	return text != NULL ? text : "-";
}

/* "ENVID MESSAGE-ID REPORTER|action original final code enhanced server reason hard?" */
static void
describe(const char *text, size_t len, struct buf *out)
{
	static const char *const actions[] = { "failed", "delayed", "delivered", "relayed",
		"expanded" };
	AUTO_DSN struct mail_dsn dsn = MAIL_DSN_INIT;
	struct err err = ERR_INIT;

	if (read_text(text, len, &dsn, &err) < 0) {
		CHECK_INT(err.code, EX_DATAERR);
		CHECK_INT(dsn.count, 0);
		buf_adds(out, err.msg);
		return;
	}
	CHECK(dsn.count > 0);
	buf_addf(out, "%s %s ", or_none(dsn.envelope_id), or_none(dsn.message_id));
	buf_adds(out, or_none(dsn.reporter));
	for (size_t i = 0; i < dsn.count; i++) {
		const struct mail_dsn_recipient *r = &dsn.recipients[i];

		CHECK(r->original != NULL || r->final != NULL);
		buf_addf(out, "|%s %s %s %d ", actions[r->action], or_none(r->original),
		    or_none(r->final), r->code);
		buf_addf(out, "%s %s %s %s", *r->enhanced != '\0' ? r->enhanced : "-",
		    or_none(r->server), or_none(r->reason), mail_dsn_is_hard(r) ? "hard" : "soft");
	}
}

#define REPORT                                                                                     \
	"From: MAILER-DAEMON@mx.example.org\n"                                                     \
	"Content-Type: multipart/report; report-type=delivery-status; boundary=b\n"                \
	"\n"                                                                                       \
	"--b\n\nIt could not be delivered.\n"
#define STATUS "--b\nContent-Type: message/delivery-status\n\n"
#define WHOLE                                                                                      \
	"Reporting-MTA: dns; mx.example.org\n"                                                     \
	"Original-Envelope-Id: MSG-1\n"                                                            \
	"Arrival-Date: Sat, 21 Nov 2026 08:00:00 +0100\n\n"
#define FAILED                                                                                     \
	"Final-Recipient: rfc822; you@example.org\nAction: failed\nStatus: 5.1.1\n"                \
	"Diagnostic-Code: smtp; 550 5.1.1 <you@example.org>: unknown\n"
#define RETURNED "--b\nContent-Type: message/rfc822\n\nSubject: S\nMessage-ID: <m@app>\n\nHi\n"
#define END "--b--\n"
#define UNKNOWN "550 5.1.1 <you@example.org>: unknown"

static const struct {
	const char *what, *in, *out;
} rows[] = {
	{ "the standard's", REPORT STATUS WHOLE FAILED RETURNED END,
	    "MSG-1 m@app mx.example.org|failed - you@example.org 550 5.1.1 - " UNKNOWN " hard" },
	{ "of a mailbox",
	    "From MAILER-DAEMON Sat Nov 21 08:00:00 2026\n" REPORT STATUS WHOLE FAILED END,
	    "MSG-1 - mx.example.org|failed - you@example.org 550 5.1.1 - " UNKNOWN " hard" },
	{ "headers only",
	    REPORT STATUS WHOLE FAILED
	    "--b\nContent-Type: text/rfc822-headers\n\nMessage-Id:\n <m@app>\nSubject: S\n" END,
	    "MSG-1 m@app mx.example.org|failed - you@example.org 550 5.1.1 - " UNKNOWN " hard" },
	{ "no type of report, another multipart",
	    "Content-Type: multipart/mixed; boundary=b\n\n" STATUS WHOLE FAILED END,
	    "MSG-1 - mx.example.org|failed - you@example.org 550 5.1.1 - " UNKNOWN " hard" },
	{ "all actions, and what is known of each",
	    REPORT STATUS WHOLE
	    "Original-Recipient: rfc822;A+2Bx@example.org\n"
	    "Final-Recipient: RFC822 ; <a@example.net>\n"
	    "Action: Delayed (still trying)\nStatus: 4.4.1 (no answer)\n"
	    "Remote-MTA: dns; [192.0.2.1]\n\n"
	    "Final-Recipient: rfc822; b@example.org\nAction: delivered\n"
	    "Status: 2.0.0\n\n"
	    "Final-Recipient: rfc822; c@example.org\nAction: relayed\nStatus: 2.0.0\n\n"
	    "Final-Recipient: rfc822; d@example.org\nAction: expanded\n\n"
	    "Final-Recipient: rfc822; e@example.org\nAction: failed\nStatus: 4.4.7\n" END,
	    "MSG-1 - mx.example.org"
	    "|delayed A+2Bx@example.org a@example.net 0 4.4.1 [192.0.2.1] - soft"
	    "|delivered - b@example.org 0 2.0.0 - - soft"
	    "|relayed - c@example.org 0 2.0.0 - - soft"
	    "|expanded - d@example.org 0 - - - soft"
	    "|failed - e@example.org 0 4.4.7 - - soft" },
	{ "no group of the message, CRLF, folded, no action",
	    REPORT STATUS "Final-Recipient: rfc822;\r\n you@example.org\r\nStatus: 5.2.2\r\n"
			  "Diagnostic-Code: smtp;\r\n 552-mailbox\r\n full\r\n" END,
	    "- - -|failed - you@example.org 552 5.2.2 - 552-mailbox full hard" },
	{ "an action that there is not, only a reply",
	    REPORT STATUS "Final-Recipient: rfc822; y@e.org\nAction: exploded\n"
			  "Diagnostic-Code: smtp; 451 4.7.1 later\n" END,
	    "- - -|delayed - y@e.org 451 4.7.1 - 451 4.7.1 later soft" },
	{ "nothing but a failure",
	    REPORT STATUS "Final-Recipient: rfc822; y@e.org\nAction: failed\n" END,
	    "- - -|failed - y@e.org 0 - - - hard" },
	{ "UTF-8 addresses",
	    "Content-Type: multipart/report; boundary=b\n\n--b\n"
	    "Content-Type: message/global-delivery-status\nContent-Transfer-Encoding: 8bit\n\n"
	    "Reporting-MTA: dns; mx\n\n"
	    "Original-Recipient: utf-8; \\x{43F}\\x{2B}\\x{D}@example.org\n"
	    "Final-Recipient: utf-8; \xd0\xbf@example.org\nAction: failed\nStatus: 5.0.0\n"
	    "--b\nContent-Type: message/global-headers\n\nMessage-ID: <m@app>\n" END,
	    "- m@app mx|failed \xd0\xbf+\\x{D}@example.org \xd0\xbf@example.org 0 5.0.0 - - "
	    "hard" },
	{ "encoded fields",
	    "Content-Type: multipart/report; boundary=b\n\n--b\n"
	    "Content-Type: message/global-delivery-status\nContent-Transfer-Encoding: base64\n\n"
	    "RmluYWwtUmVjaXBpZW50OiByZmM4MjI7IHlAZS5vcmcKQWN0aW9uOiBmYWlsZWQK\n" END,
	    "- - -|failed - y@e.org 0 - - - hard" },
	{ "forwarded",
	    "Content-Type: multipart/mixed; boundary=o\n\n--o\n\nSee below.\n--o\n"
	    "Content-Type: message/rfc822\n\n" REPORT STATUS WHOLE FAILED RETURNED END "--o--\n",
	    "MSG-1 m@app mx.example.org|failed - you@example.org 550 5.1.1 - " UNKNOWN " hard" },
	{ "forwarded, encoded",
	    "Content-Type: message/rfc822\nContent-Transfer-Encoding: quoted-printable\n\n"
	    "Content-Type: multipart/report; boundary=3Db\n\n" STATUS FAILED END,
	    "- - -|failed - you@example.org 550 5.1.1 - " UNKNOWN " hard" },
	{ "about a report: the outer one counts",
	    REPORT STATUS WHOLE FAILED
	    "--b\nContent-Type: message/rfc822\n\nMessage-ID: <outer@mx>\n"
	    "Content-Type: multipart/report; boundary=c\n\n--c\n"
	    "Content-Type: message/delivery-status\n\nFinal-Recipient: rfc822; x@y\n"
	    "Action: failed\n--c--\n" END,
	    "MSG-1 outer@mx mx.example.org|failed - you@example.org 550 5.1.1 - " UNKNOWN " hard" },
	{ "qmail's",
	    "From: MAILER-DAEMON@q\n\nHi. This is the qmail-send program at q.example.\n"
	    "I'm afraid ...\n\n<you@example.org>:\n192.0.2.1 does not like recipient.\n"
	    "Remote host said: 550 no\nGiving up on 192.0.2.1.\n\n"
	    "<me@example.org>:\nSorry, no mailbox here by that name. (#5.1.1)\n\n"
	    "--- Below this line is a copy of the message.\n\nReturn-Path: <a@app>\n"
	    "Message-ID: <m@app>\nSubject: S\n\n<c@d>:\nnot one\n",
	    "- m@app -|failed - you@example.org 550 - - 192.0.2.1 does not like recipient. "
	    "Remote host said: 550 no Giving up on 192.0.2.1. hard"
	    "|failed - me@example.org 0 5.1.1 - Sorry, no mailbox here by that name. (#5.1.1) "
	    "hard" },
	{ "who failed, in the header",
	    "X-Failed-Recipients: you@example.org,\n me@example.org\nSubject: Mail delivery "
	    "failed\n\n"
	    "This message was created automatically.\n\n  you@example.org\n"
	    "    SMTP error from remote mail server after RCPT TO:<you@example.org>:\n"
	    "    host mx.example.org [192.0.2.1]: 550 5.7.1 no relay\n\n"
	    "------ This is a copy of the message, including all the headers. ------\n\n"
	    "Message-Id: <m@app>\nSubject: S\n\nHi\n",
	    "- m@app -|failed - you@example.org 550 5.7.1 - SMTP error from remote mail server "
	    "after "
	    "RCPT TO:<you@example.org>:     host mx.example.org [192.0.2.1]: 550 5.7.1 no relay "
	    "hard"
	    "|failed - me@example.org 0 - - - hard" },
	/* What is no report of delivery. */
	{ "nothing", "", "expected a report of delivery (RFC 3464), found nothing" },
	{ "other mail", "Subject: Hello\n\nHow are you?\n",
	    "expected a report of delivery (RFC 3464, or qmail's), but this is other mail" },
	{ "an answer", "Subject: away\nAuto-Submitted: auto-replied\n\nI am away.\n",
	    "expected a report of delivery (RFC 3464, or qmail's), but this is an automatic "
	    "reply" },
	{ "was read",
	    "Content-Type: multipart/report; report-type=disposition-notification; "
	    "boundary=b\n\n--b\n\n"
	    "read\n--b\nContent-Type: message/disposition-notification\n\n"
	    "Final-Recipient: rfc822; y@e.org\nDisposition: manual-action/MDN-sent-manually; "
	    "displayed\n" END,
	    "expected a report of delivery (RFC 3464, or qmail's), but this is a read receipt (RFC "
	    "8098)" },
	{ "a complaint, with a copy of what was sent",
	    "Content-Type: multipart/report; report-type=feedback-report; "
	    "boundary=b\n\n--b\n\nspam\n"
	    "--b\nContent-Type: message/feedback-report\n\nFeedback-Type: abuse\n" RETURNED END,
	    "expected a report of delivery (RFC 3464, or qmail's), but this is a complaint "
	    "(RFC 5965)" },
	{ "nobody", REPORT STATUS WHOLE END,
	    "expected a report of delivery (RFC 3464, or qmail's), but its message/delivery-status "
	    "names no "
	    "recipient" },
	{ "cut off in the fields", REPORT STATUS WHOLE "Final-Recipient: rfc822; y@e.o",
	    "expected a report of delivery (RFC 3464, or qmail's), but its message/delivery-status "
	    "names no "
	    "recipient" },
	{ "cut off behind them", REPORT STATUS WHOLE FAILED,
	    "MSG-1 - mx.example.org|failed - you@example.org 550 5.1.1 - " UNKNOWN " hard" },
	{ "controls",
	    REPORT STATUS
	    "Original-Envelope-Id: a\tb\x01"
	    "c\nReporting-MTA: dns; \x1b[31mred\n\n"
	    "Final-Recipient: rfc822; a\"b\xff@e.org\nAction: failed\n"
	    "Diagnostic-Code: smtp; 550 x\r\r\r\n\ty\xe2\x80\n"
	    "--b\nContent-Type: text/rfc822-headers\n\nMessage-ID: <a\x01\"\\@b>\n" END,
	    "a b c a \"\\@b [31mred|failed - a\"b\xef\xbf\xbd@e.org 550 - - 550 x   "
	    "y\xef\xbf\xbd\xef\xbf\xbd hard" },
};

TEST(reports_are_read)
{
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		AUTO_BUF struct buf out = BUF_INIT(1 << 20);

		describe(rows[i].in, strlen(rows[i].in), &out);
		CHECK_STR(out.s, rows[i].out);
	}
}

TEST(the_report_itself)
{
	AUTO_DSN struct mail_dsn dsn = MAIL_DSN_INIT;
	static const char text[] = "Date: Sat, 21 Nov 2026 09:00:00 GMT\n"
				   "Message-ID: <r@mx>\n" REPORT STATUS WHOLE FAILED END;

	CHECK_INT(read_text(text, strlen(text), &dsn, NULL), 0);
	CHECK_INT(dsn.arrived, INT64_C(1795244400) * USEC);
	CHECK_INT(dsn.date, INT64_C(1795251600) * USEC);
	CHECK_STR(dsn.report_id, "r@mx");
}

TEST(whom_it_is_about)
{
	struct mail_dsn_recipient r = { .original = (char *)"A+2Bx@example.org",
		.final = (char *)"Y@Example.net" };

	CHECK(mail_dsn_is_about(&r, "a+x@example.org"));
	CHECK(mail_dsn_is_about(&r, "a+2bx@example.org"));
	CHECK(mail_dsn_is_about(&r, "y@example.net"));
	CHECK(!mail_dsn_is_about(&r, "a@example.org"));
	CHECK(!mail_dsn_is_about(&r, ""));
}

TEST(xtext_is_decoded)
{
	static const struct {
		const char *in, *out;
	} texts[] = {
		{ "a", NULL },
		{ "a+2Bb", "a+b" },
		{ "+3D", "=" },
		{ "+3d", "=" },
		{ "a+", NULL },
		{ "a+2", NULL },
		{ "a+0A", NULL },
		{ "a+00b", NULL },
		{ "a+FF", NULL },
		{ "a+zz", NULL },
	};

	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		AUTO_FREE char *text = mail_xtext_decode(texts[i].in);

		CHECK((text == NULL) == (texts[i].out == NULL));
		if (text != NULL && texts[i].out != NULL)
			CHECK_STR(text, texts[i].out);
	}
}

TEST(what_is_kept_is_bounded)
{
	AUTO_BUF struct buf in = BUF_INIT(64 << 20);
	AUTO_DSN struct mail_dsn dsn = MAIL_DSN_INIT;
	AUTO_DSN struct mail_dsn listed = MAIL_DSN_INIT;

	buf_adds(&in, REPORT STATUS "Original-Envelope-Id: ");
	for (int i = 0; i < 100000; i++)
		buf_adds(&in, "\xd0\xbf");
	buf_adds(&in, "\n\n");
	for (int i = 0; i < 20000; i++)
		buf_addf(&in, "Final-Recipient: rfc822; r%d@e.org\nAction: failed\n\n", i);
	CHECK_INT(read_text(in.s, in.len, &dsn, NULL), 0);
	CHECK_INT(dsn.count, MAIL_DSN_RECIPIENTS);
	CHECK_STR(dsn.recipients[9999].final, "r9999@e.org");
	check_kept(dsn.envelope_id);
	CHECK_INT(strlen(dsn.envelope_id), MAIL_DSN_TEXT);

	buf_clear(&in);
	for (int i = 0; i < 50000; i++)
		buf_addf(&in, "X-Failed-Recipients: r%d@e.org\n", i);
	buf_adds(&in, "\n");
	for (int i = 0; i < 500000; i++)
		buf_adds(&in, "r\n");
	CHECK_INT(read_text(in.s, in.len, &listed, NULL), 0);
	CHECK(listed.count > 1000 && listed.count <= MAIL_DSN_RECIPIENTS);
}

TEST(forwards_end)
{
	AUTO_BUF struct buf in = BUF_INIT(1 << 20), out = BUF_INIT(1 << 20);

	for (int i = 0; i < 100; i++)
		buf_adds(&in, "Content-Type: message/rfc822\n\n");
	buf_adds(&in, REPORT STATUS WHOLE FAILED END);
	describe(in.s, in.len, &out);
	CHECK_STR(out.s,
	    "expected a report of delivery (RFC 3464, or qmail's), but this is other mail");
}

TEST(bytes_of_any_kind_are_harmless)
{
	static const char *const words[] = { REPORT, STATUS, WHOLE, FAILED, RETURNED, END, "\n",
		"\r\n", "Final-Recipient: ", "Original-Recipient: ", "rfc822;", "utf-8;", "\\x{41}",
		"\\x{10FFFF}", "\\x{D800}", "\\x{ffffffffffffffffff}", "\\x{", "\"", "\\", ">", "<",
		";", "+2B", "Action: ", "failed", "Status: 5.", "1.1", "Diagnostic-Code: smtp;",
		"550", "\xff", "\xd0", "Message-ID: ", "Hi. This is the", "<a@b>:\n", "---",
		"message\n", "X-Failed-Recipients: a@b, ", "=?utf-8?B?",
		"?=", "Date: ", "Sat, 21 Nov ", "99:99", "Content-Type: message/rfc822\n\n",
		"Content-Transfer-Encoding: base64\n", "--b" };
	unsigned int seed = 1;

	for (int round = 0; round < 3000; round++) {
		AUTO_BUF struct buf in = BUF_INIT(1 << 20), out = BUF_INIT(1 << 20);

		if (round % 3 == 0)
			buf_adds(&in, REPORT STATUS);
		for (int i = 0; i < 60; i++) {
			seed = seed * 1103515245 + 12345;
			buf_adds(&in, words[(seed >> 16) % (sizeof words / sizeof *words)]);
			if (seed % 97 == 0)
				buf_addc(&in, '\0');
		}
		describe(in.s, in.len, &out);
	}
}

TEST(dates_are_read)
{
	static const struct {
		const char *text;
		int64_t seconds; /* -1: none */
	} dates[] = {
		{ "Sat, 21 Nov 2026 08:38:00 +0100", 1795246680 },
		{ "Sat,21 Nov 2026 07:38:00 GMT (really)", 1795246680 },
		{ "21 Nov 2026 07:38 +0000", 1795246680 },
		{ "Sat, 21 Nov 26 02:38:00 EST", 1795246680 },
		{ "  Sat, 21-Nov-2026 07:38:00 -0000", 1795246680 },
		{ "1 Jan 1970 00:00:00 +0000", 0 },
		{ "1 Jan 70 00:00:00 +1400", 0 },
		{ "29 Feb 2028 23:59:60 +0000", 1835481600 },
		{ "Sat, 21 Nov 2026 07:38:00", 1795246680 },
		{ "1 Jan 100 00:00:00 +0000", 946684800 },
		{ "1 Jan 69 00:00:00 +0000", -1 },
		{ "", -1 },
		{ "yesterday", -1 },
		{ "32 Jan 2026 00:00:00 +0000", -1 },
		{ "1 Foo 2026 00:00:00 +0000", -1 },
		{ "1 Jan 2026", -1 },
		{ "1 Jan 2026 24:00:00 +0000", -1 },
		{ "1 Jan 99999 00:00:00 +0000", -1 },
	};

	for (size_t i = 0; i < sizeof dates / sizeof *dates; i++) {
		int64_t instant = -USEC;

		CHECK_INT(mail_date_parse(dates[i].text, &instant), dates[i].seconds < 0 ? -1 : 0);
		CHECK_INT(instant / USEC, dates[i].seconds);
	}
}

UNIT_MAIN()
