#include "unit.h"

#include <stdbool.h>

#include "base/buf.h"
#include "smtp/command.h"
#include "smtp/stuff.h"

static const struct {
	const char *content, *wire;
} contents[] = {
	{ "", ".\r\n" },
	{ "a\r\n", "a\r\n.\r\n" },
	{ "a", "a\r\n.\r\n" },
	{ ".\r\n", "..\r\n.\r\n" },
	{ ".", "..\r\n.\r\n" },
	{ "a\r\n.\r\nb\r\n", "a\r\n..\r\nb\r\n.\r\n" },
	{ "..a\r\n", "...a\r\n.\r\n" },
	{ "a.b\r\n", "a.b\r\n.\r\n" },
	{ "a\n.\nb\n", "a\r\n..\r\nb\r\n.\r\n" },
	{ "a\n.\r\nMAIL FROM:<x>\r\n", "a\r\n..\r\nMAIL FROM:<x>\r\n.\r\n" },
	{ "a\r\n.\nMAIL", "a\r\n..\r\nMAIL\r\n.\r\n" },
	{ "a\r.\rb", "a\r\n..\r\nb\r\n.\r\n" },
	{ "a\r\r\nb", "a\r\n\r\nb\r\n.\r\n" },
	{ "a\n\r\nb\r", "a\r\n\r\nb\r\n.\r\n" },
	{ "\r\n\r\n", "\r\n\r\n.\r\n" },
	{ "\n", "\r\n.\r\n" },
	{ "\r", "\r\n.\r\n" },
};

TEST(content_in_any_pieces)
{
	struct smtp_stuffer st;
	AUTO_BUF struct buf out = BUF_INIT(1000);
	size_t i, step, at, n, len;

	for (i = 0; i < sizeof(contents) / sizeof(contents[0]); i++) {
		len = strlen(contents[i].content);
		for (step = 1; step <= len + 1; step++) {
			st = (struct smtp_stuffer)SMTP_STUFFER_INIT;
			buf_clear(&out);
			for (at = 0; at < len; at += n) {
				n = len - at < step ? len - at : step;
				smtp_stuff(&st, &out, contents[i].content + at, n);
			}
			smtp_stuff_end(&st, &out);
			CHECK_STR(out.s, contents[i].wire);
		}
	}
}

/* Whatever the content is: each line ends with CRLF, and the only lone dot is the last line. */
TEST(random_content)
{
	struct smtp_stuffer st;
	AUTO_BUF struct buf out = BUF_INIT(10000);
	unsigned state = 3, round;
	char content[200];
	size_t i, n, len;
	const char *dot;

	for (round = 0; round < 20000; round++) {
		len = (state = state * 1103515245u + 12345u) >> 16 & 127;
		for (i = 0; i < len; i++)
			content[i] = "\r\n.a"[(state = state * 1103515245u + 12345u) >> 20 & 3];
		st = (struct smtp_stuffer)SMTP_STUFFER_INIT;
		buf_clear(&out);
		for (i = 0; i < len; i += n) {
			n = 1 + ((state = state * 1103515245u + 12345u) >> 20 & 7);
			n = n > len - i ? len - i : n;
			smtp_stuff(&st, &out, content + i, n);
		}
		smtp_stuff_end(&st, &out);
		CHECK(out.len <= 2 * len + 5);
		for (i = 0; i < out.len; i++) {
			if (out.s[i] == '\n' && (i == 0 || out.s[i - 1] != '\r'))
				CHECK_ROW("a bare LF", 0);
			if (out.s[i] == '\r' && out.s[i + 1] != '\n')
				CHECK_ROW("a bare CR", 0);
		}
		dot = strstr(out.s, "\r\n.\r\n");
		if (dot != NULL)
			CHECK(dot + 5 == out.s + out.len);
		else
			CHECK_STR(out.s, ".\r\n");
	}
}

static const struct {
	const char *address;
	bool fits, ascii;
} addresses[] = {
	{ "a@x", true, true },
	{ "postmaster", true, true },
	{ "\"a b\"@x", true, true },
	{ "\"a\\\"b>\"@x", true, true },
	{ "a@[127.0.0.1]", true, true },
	{ "\xc3\xa4@x", true, false },
	{ "", false, true },
	{ "a b@x", false, true },
	{ "a@x>", false, true },
	{ "<a@x", false, true },
	{ "\"a@x", false, true },
	{ "\"a\\", false, true },
	{ "a\r\n@x", false, true },
	{ "\"a\r\n\"@x", false, true },
	{ "\"a\\\n\"@x", false, true },
	{ "a\t@x", false, true },
	{ "a\x7f@x", false, true },
	{ "\xc3@x", false, false },
	{ "a\xc2\x85@x", false, false },
};

TEST(addresses_that_fit)
{
	static char longest[400];
	bool ascii;
	size_t i;

	for (i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
		CHECK_ROW(addresses[i].address,
		    smtp_address_fits(addresses[i].address, &ascii) == addresses[i].fits);
		CHECK_ROW(addresses[i].address, ascii == addresses[i].ascii);
	}
	memset(longest, 'a', 320);
	CHECK(smtp_address_fits(longest, &ascii));
	longest[320] = 'a';
	CHECK(!smtp_address_fits(longest, &ascii));
}

UNIT_MAIN()
