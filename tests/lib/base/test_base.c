/* lib/base: buf, err, log, utf8, clock and num.  Files are in test_fs.c. */
#include <errno.h>
#include <stdint.h>
#include <time.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/num.h"
#include "base/utf8.h"
#include "unit.h"

TEST(buf_is_never_null)
{
	AUTO_BUF struct buf b = BUF_INIT(10);

	CHECK_STR(b.s, "");
	CHECK_INT(buf_add(&b, "x", 0), 0);
	buf_clear(&b);
	buf_truncate(&b, 0);
	buf_consume(&b, 0);
	CHECK_STR(b.s, "");
	buf_release(&b);
	CHECK_STR(b.s, "");
	CHECK_INT(b.max, 10);
}

TEST(buf_append_over_max_changes_nothing)
{
	AUTO_BUF struct buf b = BUF_INIT(5);

	CHECK_INT(buf_adds(&b, "abc"), 0);
	errno = 0;
	CHECK_INT(buf_adds(&b, "def"), -1);
	CHECK_INT(errno, E2BIG);
	CHECK_STR(b.s, "abc");
	CHECK_INT(buf_addf(&b, "%d", 123), -1);
	CHECK_STR(b.s, "abc");
	CHECK_INT(buf_reserve(&b, SIZE_MAX), -1);
	CHECK_INT(buf_addf(&b, "%d", 45), 0);
	CHECK_STR(b.s, "abc45");
	CHECK_INT(buf_addc(&b, '!'), -1);
	CHECK_INT(b.len, 5);
}

TEST(buf_consume_and_truncate)
{
	AUTO_BUF struct buf b = BUF_INIT(1000);

	for (int i = 0; i < 100; i++)
		CHECK_INT(buf_addc(&b, (char)('a' + i % 26)), 0);
	buf_consume(&b, 95);
	CHECK_MEM(b.s, b.len, "rstuv", 5);
	buf_truncate(&b, 2);
	CHECK_STR(b.s, "rs");
	CHECK_INT(buf_add(&b, "\0z", 2), 0);
	CHECK_MEM(b.s, b.len, "rs\0z", 4);
	CHECK(view_is(VIEW("rs"), "rs") && !view_is(VIEW("rs"), "r") && !view_is(VIEW("r"), "rs"));
}

TEST(err_names_errno_and_keeps_it)
{
	struct err err = ERR_INIT;

	errno = ENOENT;
	CHECK_INT(err_sys(&err, EX_NOINPUT, "cannot open %s", "x"), -1);
	CHECK_INT(errno, ENOENT);
	CHECK_INT(err.code, EX_NOINPUT);
	CHECK_STR(err.msg, "cannot open x: No such file or directory");
	err_prefix(&err, "file:%d", 3);
	CHECK_STR(err.msg, "file:3: cannot open x: No such file or directory");
	CHECK_INT(err_set(NULL, 1, "nobody hears"), -1);
}

TEST(err_io_code_is_the_retry_class)
{
	static const struct {
		int number, code;
	} rows[] = { { ENOSPC, EX_TEMPFAIL }, { EDQUOT, EX_TEMPFAIL }, { EACCES, EX_IOERR },
		{ EIO, EX_IOERR } };
	struct err err = ERR_INIT;

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		errno = rows[i].number;
		err_io(&err, "write");
		CHECK_INT(err.code, rows[i].code);
	}
}

TEST(err_message_is_one_line_and_cut)
{
	struct err err = ERR_INIT;
	char longer[2000];
	size_t n;

	err_set(&err, 65, "a\nb\x1b[31m\xff");
	CHECK_STR(err.msg, "a\\x0ab\\x1b[31m\\xff");
	memset(longer, 'x', sizeof longer - 1);
	longer[sizeof longer - 1] = '\0';
	err_set(&err, 65, "%s", longer);
	n = strlen(err.msg);
	CHECK(n < sizeof err.msg && n > sizeof err.msg - 10);
	CHECK_STR(err.msg + n - 3, "...");
}

TEST(log_escape_keeps_text_and_shows_the_rest)
{
	static const struct {
		const char *text, *want;
		size_t size;
	} rows[] = {
		{ "plain text", "plain text", 64 },
		{ "gr\xc3\xbc\xc3\x9f dich", "gr\xc3\xbc\xc3\x9f dich", 64 },
		{ "tab\there\r\n", "tab\\x09here\\x0d\\x0a", 64 },
		{ "\x7f\xc3(", "\\x7f\\xc3(", 64 },
		{ "\xc2\x9b"
		  "31m",
		    "\\xc2\\x9b31m", 64 },
		{ "a\xe2\x80\xae"
		  "b",
		    "a\\xe2\\x80\\xaeb", 64 },
		{ "a\xe2\x81\xa6"
		  "b",
		    "a\\xe2\\x81\\xa6"
		    "b",
		    64 },
		{ "\xef\xbb\xbf\xe2\x80\x93", "\\xef\\xbb\\xbf\xe2\x80\x93", 64 },
		{ "\xf0\x9f\x98\x80\xe2\x82\xac", "\xf0\x9f\x98\x80\xe2\x82\xac", 64 },
		{ "0123456789", "012...", 7 },
	};
	char out[64];

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		log_escape(out, rows[i].size, rows[i].text, strlen(rows[i].text));
		CHECK_STR(out, rows[i].want);
	}
}

TEST(utf8_sequences)
{
	static const struct {
		const char *s;
		size_t len, want;
	} rows[] = {
		{ "a", 1, 1 },
		{ "\xc3\xa9", 2, 2 },
		{ "\xc3\xa9", 1, 0 },
		{ "\xe2\x82\xac", 3, 3 },
		{ "\xf0\x9f\x93\xa7", 4, 4 },
		{ "\xc0\xaf", 2, 0 },	      /* longer than needed */
		{ "\xe0\x80\xaf", 3, 0 },     /* the same */
		{ "\xed\xa0\x80", 3, 0 },     /* a surrogate */
		{ "\xf4\x90\x80\x80", 4, 0 }, /* above U+10FFFF */
		{ "\x80", 1, 0 },
		{ "\xff", 1, 0 },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		CHECK_INT(utf8_sequence(rows[i].s, rows[i].len), rows[i].want);
	CHECK(utf8_valid("", 0) && utf8_valid("\xe2\x82\xac!", 4) && !utf8_valid("\xe2\x82", 2));
	CHECK_INT(utf8_length("\xe2\x82\xac!", 4), 2);
	CHECK(is_ascii("abc", 3) && !is_ascii("\xc3\xa9", 2));
}

TEST(num_u64_bounds)
{
	static const struct {
		const char *text;
		uint64_t min, max, want;
		int number; /* errno, 0 for success */
	} rows[] = {
		{ "0", 0, 10, 0, 0 },
		{ "007", 0, 10, 7, 0 },
		{ "18446744073709551615", 0, UINT64_MAX, UINT64_MAX, 0 },
		{ "18446744073709551616", 0, UINT64_MAX, 0, ERANGE },
		{ "99999999999999999999999", 0, UINT64_MAX, 0, ERANGE },
		{ "11", 0, 10, 0, ERANGE },
		{ "4", 5, 10, 0, ERANGE },
		{ "", 0, 10, 0, EINVAL },
		{ "-1", 0, 10, 0, EINVAL },
		{ "+1", 0, 10, 0, EINVAL },
		{ " 1", 0, 10, 0, EINVAL },
		{ "1x", 0, 10, 0, EINVAL },
		{ "0x1", 0, 10, 0, EINVAL },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		uint64_t got = 12345;

		errno = 0;
		if (num_u64(rows[i].text, rows[i].min, rows[i].max, &got) == 0)
			CHECK_ROW(rows[i].text, rows[i].number == 0 && got == rows[i].want);
		else
			CHECK_ROW(rows[i].text, errno == rows[i].number && got == 12345);
	}
}

TEST(num_durations)
{
	static const struct {
		const char *text;
		int64_t want; /* microseconds, or -EINVAL, -ERANGE */
	} rows[] = {
		{ "90", 90 * USEC },
		{ "90s", 90 * USEC },
		{ "500ms", USEC / 2 },
		{ "5m", 300 * USEC },
		{ "2h", 7200 * USEC },
		{ "4d", 345600 * USEC },
		{ "1w", 604800 * USEC },
		{ "1h30m", 5400 * USEC },
		{ "1H 30 M", 5400 * USEC },
		{ "0", 0 },
		{ "", -EINVAL },
		{ "m", -EINVAL },
		{ "5x", -EINVAL },
		{ "5mm", -EINVAL },
		{ "1h30", -EINVAL },
		{ "30 1h", -EINVAL },
		{ "-5m", -EINVAL },
		{ "1.5h", -EINVAL },
		{ "99999999999999999999w", -ERANGE },
		{ "9223372036854775807", -ERANGE },
		{ "15250284w 15250284w", -ERANGE },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		int64_t got = -7;

		errno = 0;
		if (num_duration(rows[i].text, &got) == 0)
			CHECK_ROW(rows[i].text, got == rows[i].want);
		else
			CHECK_ROW(rows[i].text, got == -7 && -errno == rows[i].want);
	}
}

TEST(num_sizes)
{
	static const struct {
		const char *text;
		uint64_t want;
		int number;
	} rows[] = {
		{ "65536", 65536, 0 },
		{ "10 B", 10, 0 },
		{ "64k", 65536, 0 },
		{ "64 KiB", 65536, 0 },
		{ "64Ki", 65536, 0 },
		{ "64 kB", 64000, 0 },
		{ "10 MB", 10000000, 0 },
		{ "64 MiB", UINT64_C(64) << 20, 0 },
		{ "1 GiB", UINT64_C(1) << 30, 0 },
		{ "1t", UINT64_C(1) << 40, 0 },
		{ "1 TB", UINT64_C(1000000000000), 0 },
		{ "", 0, EINVAL },
		{ "MiB", 0, EINVAL },
		{ "1 XiB", 0, EINVAL },
		{ "1 MiB 2", 0, EINVAL },
		{ "-1", 0, EINVAL },
		{ "18446744073709551615k", 0, ERANGE },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		uint64_t got = 77;

		errno = 0;
		if (num_size(rows[i].text, &got) == 0)
			CHECK_ROW(rows[i].text, rows[i].number == 0 && got == rows[i].want);
		else
			CHECK_ROW(rows[i].text, got == 77 && errno == rows[i].number);
	}
}

TEST(num_size_as_people_read_it)
{
	char text[24];

	CHECK_STR(num_size_text(0, text), "0 B");
	CHECK_STR(num_size_text(1023, text), "1023 B");
	CHECK_STR(num_size_text(1024, text), "1 KiB");
	CHECK_STR(num_size_text(1048575, text), "1023.9 KiB");
	CHECK_STR(num_size_text(12900000, text), "12.3 MiB");
	CHECK_STR(num_size_text(UINT64_MAX, text), "15.9 EiB");
}

/* Sets the zone for the rest of the program: each test that minds sets its own. */
static void
set_zone(const char *zone)
{
	setenv("TZ", zone, 1);
	tzset();
}

TEST(clock_texts)
{
	char text[CLOCK_TEXT_SIZE];
	int64_t instant = INT64_C(1795246680) * USEC + 123456;

	set_zone("CET-1");
	CHECK_STR(clock_iso(instant, text), "2026-11-21T07:38:00Z");
	CHECK_STR(clock_iso_usec(instant, text), "2026-11-21T07:38:00.123456Z");
	CHECK_STR(clock_rfc5322(instant, text), "Sat, 21 Nov 2026 08:38:00 +0100");
	set_zone("<-0330>3:30");
	CHECK_STR(clock_rfc5322(instant, text), "Sat, 21 Nov 2026 04:08:00 -0330");
	CHECK_STR(clock_iso_usec(-1, text), "1969-12-31T23:59:59.999999Z");
	CHECK(strlen(clock_iso_usec(INT64_MAX, text)) < CLOCK_TEXT_SIZE);
}

TEST(clock_spans)
{
	static const struct {
		int64_t span;
		const char *want;
	} rows[] = {
		{ 0, "0s" },
		{ 1, "0.1ms" },
		{ 5000, "5ms" },
		{ 200000, "0.2s" },
		{ 2 * USEC, "2s" },
		{ 2 * USEC + 590000, "2.5s" },
		{ 59 * USEC + 999999, "59s" },
		{ 60 * USEC, "1m" },
		{ 310 * USEC, "5m 10s" },
		{ 7200 * USEC + 59 * USEC, "2h" },
		{ 3 * 86400 * USEC + 4 * 3600 * USEC, "3d 4h" },
		{ -310 * USEC, "-5m 10s" },
	};
	char text[CLOCK_TEXT_SIZE];

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		CHECK_STR(clock_span(rows[i].span, text), rows[i].want);
	CHECK(strlen(clock_span(INT64_MIN, text)) < CLOCK_TEXT_SIZE);
}

#define NOW (INT64_C(1795246680) * USEC) /* 2026-11-21T07:38:00Z, 08:38 in Rome */

TEST(clock_parses)
{
	static const struct {
		const char *text;
		int64_t want; /* microseconds from NOW */
	} rows[] = {
		{ "now", 0 },
		{ "+5m", 300 * USEC },
		{ "+1h30m", 5400 * USEC },
		{ "1795246680", 0 },
		{ "1795246680.25", 250000 },
		{ "1795246680.1234567", 123456 },
		{ "2026-11-21T07:38:00Z", 0 },
		{ "2026-11-21t07:38:01z", USEC },
		{ "2026-11-21 07:38Z", 0 },
		{ "2026-11-21T08:38:00+01:00", 0 },
		{ "2026-11-21T02:08:00-0530", 0 },
		{ "2026-11-21T07:38:00.5Z", USEC / 2 },
		{ "2026-11-21T07:37:60Z", 0 },
		{ "2026-11-21T08:38:00", 0 },			/* local, winter */
		{ "2026-07-21T09:38:00", -123 * 86400 * USEC }, /* local, summer */
		{ "2026-07-21T07:38:00Z", -123 * 86400 * USEC },
		{ "08:39", 60 * USEC },
		{ "08:38", 86400 * USEC }, /* not ahead any more: tomorrow's */
		{ "08:37", 86400 * USEC - 60 * USEC },
	};

	set_zone("CET-1CEST,M3.5.0,M10.5.0/3");
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		int64_t got = 0;

		CHECK_ROW(rows[i].text, clock_parse(rows[i].text, NOW, &got) == 0);
		CHECK_ROW(rows[i].text, got == NOW + rows[i].want);
	}
}

TEST(clock_time_of_day_across_the_change_to_winter)
{
	/* 2026-10-24 20:00 CEST; the next 19:00 is 24 hours away, as the night has one more */
	int64_t now = INT64_C(1792864800) * USEC, got;

	set_zone("CET-1CEST,M3.5.0,M10.5.0/3");
	CHECK_INT(clock_parse("19:00", now, &got), 0);
	CHECK_INT(got - now, 24 * 3600 * USEC);
}

TEST(clock_refuses)
{
	static const char *const rows[] = { "", " ", "soon", "-5", "+", "+5x", "+-5m", "1e9", "12.",
		"1728470400x", "253402300800", "24:00", "12:60", "1:30", "2026-13-01T00:00Z",
		"2026-00-01T00:00Z", "2026-02-29T00:00Z", "2026-04-31T00:00Z", "2026-01-00T00:00Z",
		"2026-11-21", "2026-11-21T", "2026-11-21T25:00Z", "2026-11-21T07:38:61Z",
		"2026-11-21T07:38:00+1", "2026-11-21T07:38:00+24:00", "2026-11-21T07:38:00Zx",
		"2026-11-21T07:38:00.Z", "26-11-21T07:38Z", "99999999999999999999", "+99999999w" };

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		int64_t got = 42;

		errno = 0;
		CHECK_ROW(rows[i], clock_parse(rows[i], NOW, &got) == -1);
		CHECK_ROW(rows[i], errno == EINVAL && got == 42);
	}
}

TEST(clocks_go_forward)
{
	int64_t first = clock_monotonic();

	CHECK(clock_now() > INT64_C(1700000000) * USEC);
	CHECK(clock_monotonic() >= first);
}

UNIT_MAIN()
