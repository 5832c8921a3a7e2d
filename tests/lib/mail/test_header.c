#include "unit.h"

#include "base/utf8.h"
#include "mail/header.h"

/* Lines as headers must have them: CRLF, no bare CR or LF, <= max, folded ones with a blank. */
static void
check_lines(const char *s, size_t len, size_t max)
{
	size_t start = 0;

	CHECK(len >= 2 && memcmp(s + len - 2, "\r\n", 2) == 0);
	for (size_t i = 0; i < len; i++) {
		if (s[i] == '\n')
			CHECK(i > 0 && s[i - 1] == '\r');
		if (s[i] != '\r')
			continue;
		CHECK(i + 1 < len && s[i + 1] == '\n');
		CHECK(i - start <= max);
		CHECK(i > start);
		start = i + 2;
		if (start < len)
			CHECK(s[start] == ' ' || s[start] == '\t');
	}
}

TEST(field_names)
{
	CHECK(mail_field_name_ok("X-Foo", 5));
	CHECK(mail_field_name_ok("!#$~", 4));
	CHECK(!mail_field_name_ok("", 0));
	CHECK(!mail_field_name_ok("a b", 3));
	CHECK(!mail_field_name_ok("a:", 2));
	CHECK(!mail_field_name_ok("a\n", 2));
	CHECK(!mail_field_name_ok("\xc3\xbc", 2));
}

TEST(text_fields)
{
	static const struct {
		const char *value, *want;
	} rows[] = {
		{ "hello", "S: hello\r\n" },
		{ "", "S: \r\n" },
		{ "a  b", "S: a  b\r\n" },
		{ "Привет", "S: =?UTF-8?B?0J/RgNC40LLQtdGC?=\r\n" },
		{ "Re: Jörgensen-Lindqvist, hello",
		    "S: Re: =?UTF-8?Q?J=C3=B6rgensen-Lindqvist=2C?= hello\r\n" },
		{ "Re: Jörg, hello", "S: Re: =?UTF-8?B?SsO2cmcs?= hello\r\n" },
		{ "é and then some é", "S: =?UTF-8?Q?=C3=A9_and_then_some_=C3=A9?=\r\n" },
		{ " lead", "S: =?UTF-8?Q?_lead?=\r\n" },
		{ "trail ", "S: =?UTF-8?Q?trail_?=\r\n" },
		{ "=?UTF-8?Q?already?=", "S: =?UTF-8?Q?already?=\r\n" },
		{ "one two three four five six seven eight nine ten eleven twelve thirteen "
		  "fourteen",
		    "S: one two three four five six seven eight nine ten eleven twelve thirteen\r\n"
		    " fourteen\r\n" },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct buf out = BUF_INIT(10000);

		CHECK_INT(mail_header_text(&out, "S", rows[i].value, strlen(rows[i].value)), 0);
		CHECK_STR(out.s, rows[i].want);
		buf_release(&out);
	}
}

/* Any text of UTF-8 comes back as it was, and in lines as they must be. */
TEST(text_there_and_back)
{
	static const char *const pieces[] = { "a", "bc", " ", "  ", "=", "?", "_", "\"",
		"long-word-of-ascii-", ",", "<", ".", "ü", "я", "日本", "😀" };
	unsigned int seed = 1;

	for (int round = 0; round < 20000; round++) {
		struct buf text = BUF_INIT(100000), out = BUF_INIT(1000000),
			   back = BUF_INIT(100000);
		struct mail_field field;
		struct view rest;
		int n;

		seed = seed * 1103515245u + 12345u;
		n = (int)(seed >> 16) % (round % 50 == 0 ? 3000 : 40);
		/* words without a blank, and blanks without a word, in turn */
		for (int i = 0; i < n; i++) {
			seed = seed * 1103515245u + 12345u;
			buf_adds(&text,
			    pieces[round % 100 == 50 ? (seed >> 16) % 2 * 2 :
				    round % 100 == 0 ? (seed >> 16) % 2 :
						       (seed >> 16) % 16]);
		}
		if (strstr(text.s, "=?") == NULL && text.len > 0 && text.s[0] != ' ' &&
		    text.s[text.len - 1] != ' ') {
			CHECK_INT(mail_header_text(&out, "Subject", text.s, text.len), 0);
			CHECK(is_ascii(out.s, out.len));
			check_lines(out.s, out.len, MAIL_LINE_MAX);
			rest = buf_view(&out);
			CHECK_INT(mail_field_next(&rest, &field), 1);
			CHECK_INT(rest.len, 0);
			CHECK_INT(mail_header_decode(&back, field.value.s, field.value.len), 0);
			CHECK_STR(back.s, text.s);
		}
		buf_release(&text);
		buf_release(&out);
		buf_release(&back);
	}
}

TEST(long_texts)
{
	struct buf text = BUF_INIT(100000), out = BUF_INIT(1000000), back = BUF_INIT(100000);
	struct view rest;
	struct mail_field field;

	for (int i = 0; i < 5000; i++)
		buf_addc(&text, 'x');
	CHECK_INT(mail_header_text(&out, "A-Name-That-Is-Long", text.s, text.len), 0);
	check_lines(out.s, out.len, 76);
	rest = buf_view(&out);
	CHECK_INT(mail_field_next(&rest, &field), 1);
	mail_header_decode(&back, field.value.s, field.value.len);
	CHECK_STR(back.s, text.s);

	/* the longest word that stays as it is, behind the longest name */
	buf_clear(&out);
	buf_truncate(&text, 800);
	{
		char name[MAIL_FIELD_NAME_MAX + 1];

		memset(name, 'N', MAIL_FIELD_NAME_MAX);
		name[MAIL_FIELD_NAME_MAX] = '\0';
		CHECK_INT(mail_header_text(&out, name, text.s, text.len), 0);
		check_lines(out.s, out.len, MAIL_LINE_MAX);
		buf_clear(&out);
		CHECK_INT(mail_header_text(&out, name, "日本", 6), 0);
		check_lines(out.s, out.len, MAIL_LINE_MAX);
	}
	buf_release(&text);
	buf_release(&out);
	buf_release(&back);
}

TEST(address_fields)
{
	static const struct {
		const char *list, *want;
	} rows[] = {
		{ "a@b", "To: a@b\r\n" },
		{ "Anna <a@b>, c@d", "To: Anna <a@b>, c@d\r\n" },
		{ "\"Muster, Max\" <a@b>", "To: \"Muster, Max\" <a@b>\r\n" },
		{ "Jörgensen <a@b>, c@d", "To: =?UTF-8?Q?J=C3=B6rgensen?= <a@b>, c@d\r\n" },
		{ "\"=?x?=\" <a@b>", "To: =?UTF-8?B?PT94Pz0=?= <a@b>\r\n" },
		{ "a123456789a123456789@example.org, b123456789b123456789@example.org, "
		  "c123456789@example.org",
		    "To: a123456789a123456789@example.org, b123456789b123456789@example.org,\r\n"
		    " c123456789@example.org\r\n" },
		{ "почта@b", "To: почта@b\r\n" },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct mail_addresses list = MAIL_ADDRESSES_INIT, again = MAIL_ADDRESSES_INIT;
		struct buf out = BUF_INIT(10000);

		CHECK_INT(mail_addresses_parse(&list, rows[i].list, strlen(rows[i].list), NULL, 0,
			      NULL),
		    0);
		CHECK_INT(mail_header_addresses(&out, "To", &list), 0);
		CHECK_STR(out.s, rows[i].want);
		mail_addresses_release(&list);
		mail_addresses_release(&again);
		buf_release(&out);
	}
}

TEST(parameters)
{
	static const struct {
		const char *value, *want, *words;
	} rows[] = {
		{ "a.pdf", ";\r\n\tfilename=\"a.pdf\"", ";\r\n\tname=\"a.pdf\"" },
		{ "a b;\"c\".txt", ";\r\n\tfilename=\"a b;\\\"c\\\".txt\"",
		    ";\r\n\tname=\"a b;\\\"c\\\".txt\"" },
		{ "Füße.pdf", ";\r\n\tfilename*=UTF-8''F%C3%BC%C3%9Fe.pdf",
		    ";\r\n\tname=\"=?UTF-8?B?RsO8w59lLnBkZg==?=\"" },
		{ "日\"1.txt", ";\r\n\tfilename*=UTF-8''%E6%97%A5%221.txt",
		    ";\r\n\tname=\"=?UTF-8?B?5pelIjEudHh0?=\"" },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct buf out = BUF_INIT(10000);

		CHECK_INT(mail_header_param(&out, "filename", rows[i].value), 0);
		CHECK_STR(out.s, rows[i].want);
		buf_clear(&out);
		CHECK_INT(mail_header_param_words(&out, "name", rows[i].value), 0);
		CHECK_STR(out.s, rows[i].words);
		buf_release(&out);
	}
}

TEST(decoding)
{
	static const struct {
		const char *value, *want;
	} rows[] = {
		{ " hello", "hello" },
		{ " a\r\n b\r\n\tc", "a b c" },
		{ "=?UTF-8?B?0J/RgNC40LLQtdGC?=", "Привет" },
		{ "=?utf-8?q?J=C3=B6rg?= x", "Jörg x" },
		{ "=?UTF-8?Q?a?= =?UTF-8?Q?b?=\r\n =?UTF-8?Q?c?= d", "abc d" },
		{ "=?UTF-8?Q?a?= x =?UTF-8?Q?b?=", "a x b" },
		{ "=?UTF-8?Q?=C3?= =?UTF-8?Q?=BC?=", "ü" }, /* a character split between words */
		{ "=?ISO-8859-1?Q?J=F6rg?=", "Jörg" },
		{ "=?iso-8859-1*de?Q?J=F6rg?=", "Jörg" },
		{ "=?koi8-r?B?8NLJ18XU?=", "Привет" },
		{ "=?ISO-2022-JP?B?GyRCRnxLXBsoQg==?=", "日本" },
		{ "=?windows-1252?Q?=80?=", "€" },
		{ "=?no-such-charset?Q?a?=", "=?no-such-charset?Q?a?=" },
		{ "=?UTF-8?X?a?=", "=?UTF-8?X?a?=" },
		{ "=?UTF-8?Q?unended", "=?UTF-8?Q?unended" },
		{ "=?UTF-8?Q?a=0D=0ABcc:_x?=", "a Bcc: x" },
		{ "=?UTF-8?Q?=FF?=", "\xef\xbf\xbd" },
		{ "raw \xff byte", "raw \xef\xbf\xbd byte" },
		{ "raw ü", "raw ü" },
		{ "a\x01\x7f\xc2\x85z", "a   z" },
		{ "=?", "=?" },
		{ "=??Q?a?=", "=??Q?a?=" },
		{ "", "" },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct buf out = BUF_INIT(10000);

		CHECK_INT(mail_header_decode(&out, rows[i].value, strlen(rows[i].value)), 0);
		CHECK_STR(out.s, rows[i].want);
		buf_release(&out);
	}
}

TEST(decoding_any_bytes)
{
	static const char alphabet[] = "=?UTF-8QB?= _=0A\r\n\t\xc3\xbc\xffiso-8859-1";
	unsigned int seed = 3;

	for (int round = 0; round < 100000; round++) {
		struct buf out = BUF_INIT(300);
		char text[64];
		size_t len;

		seed = seed * 1103515245u + 12345u;
		len = seed >> 16 & 63;
		for (size_t i = 0; i < len; i++) {
			seed = seed * 1103515245u + 12345u;
			text[i] = alphabet[(seed >> 16) % sizeof alphabet];
		}
		if (mail_header_decode(&out, text, len) == 0) {
			struct err err = ERR_INIT;

			if (mail_text_check(out.s, out.len, &err) < 0)
				unit_fail(__FILE__, __LINE__, "%s", err.msg);
		}
		buf_release(&out);
	}
}

TEST(scanning)
{
	const char text[] = "From: a\r\nSubject : b\r\n c\r\n\td\nX:\n\nbody";
	struct view rest = VIEW(text);
	struct mail_field f;

	CHECK_INT(mail_field_next(&rest, &f), 1);
	CHECK(mail_field_is(&f, "FROM") && !mail_field_is(&f, "Fro"));
	CHECK_MEM(f.value.s, f.value.len, " a", 2);
	CHECK_MEM(f.all.s, f.all.len, "From: a\r\n", 9);
	CHECK_INT(mail_field_next(&rest, &f), 1);
	CHECK(mail_field_is(&f, "subject"));
	CHECK_MEM(f.value.s, f.value.len, " b\r\n c\r\n\td", 10);
	CHECK_INT(mail_field_next(&rest, &f), 1);
	CHECK_INT(f.value.len, 0);
	CHECK_INT(mail_field_next(&rest, &f), 0);
	CHECK_MEM(rest.s, rest.len, "\nbody", 5);

	rest = view_str("no field\n");
	CHECK_INT(mail_field_next(&rest, &f), -1);
	rest = view_str(" x: y\n");
	CHECK_INT(mail_field_next(&rest, &f), -1);
	rest = view_str(": y\n");
	CHECK_INT(mail_field_next(&rest, &f), -1);
	rest = view_str("A: unended");
	CHECK_INT(mail_field_next(&rest, &f), 1);
	CHECK_MEM(f.value.s, f.value.len, " unended", 8);
	CHECK_INT(mail_field_next(&rest, &f), 0);
}

UNIT_MAIN()
