#include "unit.h"

#include "mail/address.h"

/* What one text gives: the canonical address and the name, or the error that must hold a text. */
static const struct {
	const char *text, *addr, *name, *error;
} singles[] = {
	{ "a@b", "a@b", NULL, NULL },
	{ " a@b ", "a@b", NULL, NULL },
	{ "<a@b.example>", "a@b.example", NULL, NULL },
	{ "Name <a@b>", "a@b", "Name", NULL },
	{ "Anna  Maria   <a@b>", "a@b", "Anna Maria", NULL },
	{ "\"Muster, Max\" <max@b>", "max@b", "Muster, Max", NULL },
	{ "\"a \\\"b\\\" \\\\c\" <x@b>", "x@b", "a \"b\" \\c", NULL },
	{ "John Q. Public <j@b>", "j@b", "John Q. Public", NULL },
	{ "j@b <j@b>", "j@b", "j@b", NULL },
	{ "[List] Name <a@b>", "a@b", "[List] Name", NULL },
	{ "Иван Петров <i@b>", "i@b", "Иван Петров", NULL },
	{ "=?UTF-8?Q?J=C3=B6rg?= M <j@b>", "j@b", "Jörg M", NULL },
	{ "\"=?UTF-8?Q?J=C3=B6rg?=\" <j@b>", "j@b", "=?UTF-8?Q?J=C3=B6rg?=", NULL },
	{ "root@host (Cron Daemon)", "root@host", "Cron Daemon", NULL },
	{ "a(x)@(y)b(z(nested)z)", "a@b", "z(nested)z", NULL },
	{ "(c) Name (d) <a@b> (e)", "a@b", "Name", NULL },
	{ "<@one,@two:a@b>", "a@b", NULL, NULL },
	{ "a . b @ c . d", "a.b@c.d", NULL, NULL },
	{ "\"a\"@b", "a@b", NULL, NULL },
	{ "\"a b\"@c", "\"a b\"@c", NULL, NULL },
	{ "\"a@b\"@c", "\"a@b\"@c", NULL, NULL },
	{ "\"a\\\"b\"@c", "\"a\\\"b\"@c", NULL, NULL },
	{ "\"a..b\"@c", "\"a..b\"@c", NULL, NULL },
	{ "\"a\".b@c", "a.b@c", NULL, NULL },
	{ "a+tag=x!#$%&'*/?^_`{|}~-@b", "a+tag=x!#$%&'*/?^_`{|}~-@b", NULL, NULL },
	{ "a@[192.0.2.1]", "a@[192.0.2.1]", NULL, NULL },
	{ "a@[IPv6:2001:db8::1]", "a@[IPv6:2001:db8::1]", NULL, NULL },
	{ "N <a@[IPv6:2001:db8::1]>", "a@[IPv6:2001:db8::1]", "N", NULL },
	{ "a@B.Example", "a@B.Example", NULL, NULL },
	{ "a@under_score.example", "a@under_score.example", NULL, NULL },
	{ "a@bücher.example", "a@xn--bcher-kva.example", NULL, NULL },
	{ "a@BÜCHER.example", "a@xn--bcher-kva.example", NULL, NULL },
	{ "a@faß.example", "a@xn--fa-hia.example", NULL, NULL },
	{ "почта@пример.example", "почта@xn--e1afmkfd.example", NULL, NULL },
	{ "a@xn--bcher-kva.example", "a@xn--bcher-kva.example", NULL, NULL },

	{ "", NULL, NULL, "found nothing" },
	{ "a", NULL, NULL, "expected '@' and a domain at the end" },
	{ "a b@c", NULL, NULL, "a space outside quotes before the word at byte 3" },
	{ "a@", NULL, NULL, "expected a domain at the end" },
	{ "@b", NULL, NULL, "unexpected '@' at byte 1" },
	{ "a@b@c", NULL, NULL, "unexpected '@' at byte 4" },
	{ "a@b, c@d", NULL, NULL, "unexpected ',' at byte 4" },
	{ "a@b;", NULL, NULL, "unexpected ';' at byte 4" },
	{ "a..b@c", NULL, NULL, "at byte 3" },
	{ ".a@c", NULL, NULL, "at byte 1" },
	/* no dot before the '@' without quotes (RFC 5321 section 4.1.2) */
	{ "a.@c", NULL, NULL, "\"a.@c\": unexpected '@' at byte 3 (expected an address)" },
	{ "a@b..c", NULL, NULL, "expected a domain" },
	{ "a@.b", NULL, NULL, "expected a domain" },
	{ "a@b.", NULL, NULL, "expected a domain" },
	{ "a@-b", NULL, NULL, "'-' at the end of a label" },
	{ "a@b!c", NULL, NULL, "'!' in the domain" },
	{ "a@1.2.3.4", NULL, NULL, "the domain is a number" },
	{ "a@[1.2.3]", NULL, NULL, "not an address literal" },
	{ "a@[IPv6:xyz]", NULL, NULL, "not an address literal" },
	{ "a@[1.2.3.4", NULL, NULL, "without its ']'" },
	{ "\"\"@b", NULL, NULL, "nothing before the '@'" },
	{ "\"a@b", NULL, NULL, "a quoted string without its end begins at byte 1" },
	{ "a@b (c", NULL, NULL, "a comment without its ')'" },
	{ "N <a@b", NULL, NULL, "expected '>' at the end" },
	{ "N <a@b> x", NULL, NULL, "unexpected 'x' at byte 9" },
	{ "<>", NULL, NULL, "unexpected '>' at byte 2" },
	{ "a\n@b", NULL, NULL, "line break at byte 2" },
	{ "a\r\nBcc: x@y@b", NULL, NULL, "line break at byte 2" },
	{ "N\tM <a@b>", NULL, NULL, "control character at byte 2" },
	{ "N\x7f <a@b>", NULL, NULL, "control character at byte 2" },
	{ "N\xc2\x85 <a@b>", NULL, NULL, "control character at byte 2" },
	{ "N\xff <a@b>", NULL, NULL, "invalid UTF-8 at byte 2" },
	{ "a@b\xe2\x80.example", NULL, NULL, "invalid UTF-8" },
	{ "a@..ü", NULL, NULL, "expected a domain" },
	{ "a@\xef\xbf\xbd.example", NULL, NULL, "no valid domain" },
};

TEST(single_addresses)
{
	for (size_t i = 0; i < sizeof singles / sizeof *singles; i++) {
		struct mail_address got = MAIL_ADDRESS_INIT;
		struct err err = ERR_INIT;
		const char *text = singles[i].text;
		int rc = mail_address_parse(text, strlen(text), NULL, 0, &got, &err);

		if (singles[i].error == NULL) {
			CHECK_STR(err.msg, "");
			CHECK_STR(got.addr, singles[i].addr);
			CHECK_STR(got.name, singles[i].name);
			CHECK_INT(got.utf8, strncmp(text, "почта", 5) == 0);
			CHECK_ROW(text,
			    got.addr != NULL &&
				mail_address_check(got.addr, strlen(got.addr), NULL) == 0);
		} else {
			CHECK_ROW(text, rc == -1 && err.code == EX_DATAERR && got.addr == NULL);
			if (strstr(err.msg, singles[i].error) == NULL)
				CHECK_STR(err.msg, singles[i].error);
		}
		mail_address_release(&got);
	}
}

TEST(limits)
{
	static const struct {
		size_t local, labels, label;
		int ok;
	} rows[] = {
		{ 64, 1, 63, 1 },
		{ 65, 1, 63, 0 },
		{ 1, 1, 64, 0 },
		{ 62, 3, 63, 1 }, /* 62 + 1 + 191 = 254 */
		{ 63, 3, 63, 0 }, /* 255 */
		{ 1, 5, 63, 0 },
		{ 2000, 1, 1, 0 },
		{ 1, 100, 63, 0 },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct buf text = BUF_INIT(100000);
		struct mail_address got = MAIL_ADDRESS_INIT;
		struct err err = ERR_INIT;
		int rc;

		for (size_t n = 0; n < rows[i].local; n++)
			buf_addc(&text, 'a');
		for (size_t n = 0; n < rows[i].labels; n++) {
			buf_addc(&text, n == 0 ? '@' : '.');
			for (size_t k = 0; k < rows[i].label; k++)
				buf_addc(&text, 'b');
		}
		rc = mail_address_parse(text.s, text.len, NULL, 0, &got, &err);
		CHECK_INT(rc, rows[i].ok ? 0 : -1);
		CHECK(rc == 0 || err.msg[0] != '\0');
		mail_address_release(&got);
		buf_release(&text);
	}
}

TEST(options)
{
	struct mail_address got = MAIL_ADDRESS_INIT;
	struct err err = ERR_INIT;

	CHECK_INT(mail_address_parse("root", 4, "host.example", 0, &got, &err), 0);
	CHECK_STR(got.addr, "root@host.example");
	mail_address_release(&got);
	CHECK_INT(mail_address_parse("Me <root>", 9, "host.example", 0, &got, &err), 0);
	CHECK_STR(got.addr, "root@host.example");
	mail_address_release(&got);
	CHECK_INT(mail_address_parse("<>", 2, NULL, MAIL_ADDRESS_NULL_OK, &got, &err), 0);
	CHECK_STR(got.addr, "");
	mail_address_release(&got);
	CHECK_INT(mail_address_parse("", 0, NULL, MAIL_ADDRESS_NULL_OK, &got, &err), 0);
	CHECK_STR(got.addr, "");
	mail_address_release(&got);
	CHECK_INT(mail_address_parse("\xff\x01 <a@b>", 8, NULL, MAIL_ADDRESS_NO_NAME, &got, &err),
	    0);
	CHECK_STR(got.addr, "a@b");
	CHECK(got.name == NULL);
	mail_address_release(&got);
	CHECK_INT(mail_address_parse("a\0b@c", 5, NULL, MAIL_ADDRESS_NO_NAME, &got, &err), -1);
}

TEST(lists)
{
	static const struct {
		const char *text, *want; /* canonical addresses, a blank behind each */
	} rows[] = {
		{ "", "" },
		{ " , ,", "" },
		{ "a@b,c@d", "a@b c@d " },
		{ "a@b, ,\"x, y\" <c@d> ,", "a@b c@d " },
		{ "friends: a@b, c@d;", "a@b c@d " },
		{ "x@y, friends: a@b, c@d;, e@f", "x@y a@b c@d e@f " },
		{ "undisclosed-recipients:;", "" },
		{ "\"a:b\" <c@d>, e@[IPv6:::1]", "c@d e@[IPv6:::1] " },
		{ "(\":) c: d@e;", "d@e " },
		{ "a@b;c@d", NULL },
		{ "g: a@b", NULL },
		{ "g: h: a@b;;", NULL },
		{ "a@b c@d", NULL },
		{ "a@b, broken", NULL },
		{ "(\"):", NULL },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct mail_addresses list = MAIL_ADDRESSES_INIT;
		struct mail_address first = { NULL, (char *)"first@x", false };
		struct buf got = BUF_INIT(1000);
		struct err err = ERR_INIT;
		int rc;

		mail_addresses_add(&list, &first);
		rc = mail_addresses_parse(&list, rows[i].text, strlen(rows[i].text), NULL, 0, &err);
		CHECK_ROW(rows[i].text, rc == (rows[i].want != NULL ? 0 : -1));
		for (size_t n = 1; n < list.count; n++)
			buf_addf(&got, "%s ", list.at[n].addr);
		CHECK_STR(got.s, rows[i].want != NULL ? rows[i].want : "");
		CHECK_STR(list.at[0].addr, "first@x");
		buf_release(&got);
		mail_addresses_release(&list);
	}
}

TEST(new_ones_only)
{
	struct mail_addresses list = MAIL_ADDRESSES_INIT, more = MAIL_ADDRESSES_INIT;
	struct buf text = BUF_INIT(1 << 20);

	for (int i = 0; i < 3000; i++)
		buf_addf(&text, "u%d@Host%d.example,", i % 1000, i % 2);
	CHECK_INT(mail_addresses_parse(&more, text.s, text.len, NULL, 0, NULL), 0);
	mail_addresses_add_new(&list, &more);
	CHECK_INT(list.count, 1000);
	mail_addresses_add_new(&list, &more);
	CHECK_INT(list.count, 1000);
	CHECK(mail_address_same("a@B.c", "a@b.C"));
	CHECK(!mail_address_same("A@b.c", "a@b.c"));
	CHECK(!mail_address_same("a@b", "a@bc"));
	mail_addresses_release(&list);
	mail_addresses_release(&more);
	buf_release(&text);
}

TEST(as_people_write_them)
{
	static const struct {
		const char *name, *want;
	} rows[] = {
		{ NULL, "a@b" },
		{ "Anna", "Anna <a@b>" },
		{ "Anna Maria", "Anna Maria <a@b>" },
		{ "Jörg", "Jörg <a@b>" },
		{ "Muster, Max", "\"Muster, Max\" <a@b>" },
		{ "a \"b\" \\", "\"a \\\"b\\\" \\\\\" <a@b>" },
		{ "x ", "\"x \" <a@b>" },
		{ "a  b", "\"a  b\" <a@b>" },
		{ "=?UTF-8?Q?x?=", "\"=?UTF-8?Q?x?=\" <a@b>" },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct mail_address address = { (char *)rows[i].name, (char *)"a@b", false }, again;
		struct buf text = BUF_INIT(1000);

		CHECK_INT(mail_address_text(&text, &address), 0);
		CHECK_STR(text.s, rows[i].want);
		CHECK_INT(mail_address_parse(text.s, text.len, NULL, 0, &again, NULL), 0);
		CHECK_STR(again.addr, "a@b");
		if (rows[i].name == NULL || rows[i].name[strlen(rows[i].name) - 1] != ' ')
			CHECK_STR(again.name, rows[i].name);
		mail_address_release(&again);
		buf_release(&text);
	}
}

TEST(checked_again)
{
	static const char *const bad[] = { "", "a", "a@", "@b", "a@b\r\nX: y", "\"a@b", "a b@c",
		"a@b c", "\"a\"@b", "a@b>", "<a@b>", "a@bücher.example", "a@b\x01" };

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		CHECK_ROW(bad[i], mail_address_check(bad[i], strlen(bad[i]), NULL) == -1);
	CHECK_INT(mail_address_check("a@b\0c", 5, NULL), -1);
}

/* Whatever is parsed from any bytes is fit for an SMTP command and is its own canonical form. */
TEST(any_bytes)
{
	static const char alphabet[] = "a.@<>,:;\"\\()[] =?b1-\xc3\xbc\t\r\n";
	unsigned int seed = 7;

	for (int round = 0; round < 200000; round++) {
		struct mail_addresses list = MAIL_ADDRESSES_INIT;
		char text[24];
		size_t len;

		seed = seed * 1103515245u + 12345u;
		len = seed >> 16 & 15;
		for (size_t i = 0; i < len; i++) {
			seed = seed * 1103515245u + 12345u;
			text[i] = alphabet[(seed >> 16) % (sizeof alphabet)];
		}
		mail_addresses_parse(&list, text, len, round % 2 == 0 ? "d" : NULL,
		    round % 3 == 0 ? MAIL_ADDRESS_NO_NAME : 0, NULL);
		for (size_t i = 0; i < list.count; i++) {
			const char *addr = list.at[i].addr;

			if (mail_address_check(addr, strlen(addr), NULL) < 0)
				unit_fail(__FILE__, __LINE__, "bad address \"%s\"", addr);
		}
		mail_addresses_release(&list);
	}
}

UNIT_MAIN()
