/* The names of the spool. */
#include <errno.h>

#include "base/clock.h"
#include "spool/store/name.h"
#include "unit.h"

TEST(encode_and_decode)
{
	static const struct {
		const char *text, *encoded;
	} rows[] = {
		{ "MSG-101", "MSG-101" },
		{ "a.b_c@d=e+f-g", "a.b_c@d=e+f-g" },
		{ ".hidden", "%2Ehidden" },
		{ "..", "%2E." },
		{ "a/b", "a%2Fb" },
		{ "100%", "100%25" },
		{ "a,b~c", "a%2Cb%7Ec" },
		{ "new\nline", "new%0Aline" },
		{ "\xc3\xa9t\xc3\xa9", "%C3%A9t%C3%A9" },
		{ " ", "%20" },
		{ "\x7f\x01", "%7F%01" },
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		char encoded[ID_TEXT_MAX + 1], decoded[ID_TEXT_MAX + 1];

		CHECK_INT(name_encode(rows[i].text, ID_TEXT_MAX, encoded), 0);
		CHECK_STR(encoded, rows[i].encoded);
		CHECK_INT(name_decode(encoded, decoded), 0);
		CHECK_STR(decoded, rows[i].text);
	}
}

TEST(encode_has_a_limit)
{
	char ret[8];

	CHECK_INT(name_encode("", 7, ret), -1);
	CHECK_INT(errno, EINVAL);
	CHECK_INT(name_encode("1234567", 7, ret), 0);
	CHECK_STR(ret, "1234567");
	CHECK_INT(name_encode("12345678", 7, ret), -1);
	CHECK_INT(errno, ENAMETOOLONG);
	CHECK_INT(name_encode("1234/", 7, ret), 0);
	CHECK_STR(ret, "1234%2F");
	CHECK_INT(name_encode("12345/", 7, ret), -1);
}

TEST(decode_refuses)
{
	static const char *const rows[] = { "", ".a", "a/b", "a b", "%", "%2", "%2f", "%zz", "%00",
		"a%0", "a,b", "a~b", "\xc3\xa9" };

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		char ret[32];

		CHECK_ROW(rows[i], name_decode(rows[i], ret) < 0);
	}
}

TEST(message_names)
{
	const struct message_name name = { .priority = 2,
		.due = INT64_C(1732170240123456),
		.attempts = 3,
		.offset = 418923,
		.id = "MSG-101" };
	struct message_name parsed;
	char text[NAME_SIZE];

	message_name_format(&name, text);
	CHECK_STR(text, "2.1732170240.123456.3.418923.MSG-101");
	CHECK_INT(message_name_parse(text, &parsed), 0);
	CHECK_INT(parsed.priority, 2);
	CHECK_INT(parsed.due, name.due);
	CHECK_INT(parsed.attempts, 3);
	CHECK_INT(parsed.offset, 418923);
	CHECK_STR(parsed.id, "MSG-101");
}

TEST(the_longest_message_name_is_a_file_name)
{
	struct message_name name = { .priority = PRIORITY_MAX,
		.due = INT64_MAX - USEC * 2,
		.attempts = ATTEMPTS_MAX,
		.offset = INT64_MAX },
			    parsed;
	char text[NAME_SIZE];

	memset(name.id, 'x', ID_TEXT_MAX);
	message_name_format(&name, text);
	CHECK(strlen(text) < NAME_SIZE - 1);
	CHECK_INT(message_name_parse(text, &parsed), 0);
	CHECK_INT(parsed.due, name.due);
	CHECK_INT(parsed.offset, name.offset);
	CHECK_INT(strlen(parsed.id), ID_TEXT_MAX);
}

TEST(an_id_may_have_dots)
{
	struct message_name parsed;

	CHECK_INT(message_name_parse("0.1.000001.0.0.a.b.c", &parsed), 0);
	CHECK_STR(parsed.id, "a.b.c");
	CHECK_INT(parsed.due, USEC + 1);
}

TEST(message_name_parse_refuses)
{
	static const char *const rows[] = { "", "2", "2.1.000000.0.0", "2.1.000000.0.0.",
		"4.1.000000.0.0.a", "-1.1.000000.0.0.a", "2.1.00000.0.0.a", "2.1.0000000.0.0.a",
		"2.x.000000.0.0.a", "2.1.000000.100000.0.a", "2.1.000000.0.-1.a",
		"2.1.000000.0.0..a", "2.1.000000.0.0.a/b", ".2.1.000000.0.0.a",
		"2.99999999999999999999.000000.0.0.a", "2.1.000000.0.0.%2", "2..000000.0.0.a",
		"2.1.000000..0.a", " 2.1.000000.0.0.a", "mailq-spool",
		"2.1.000000.0.99999999999999999999.a",
		/* Not as they would be written. */
		"02.1.000000.0.0.a", "2.01.000000.0.0.a", "2.1.000000.00.0.a",
		"2.1.000000.0.00.a" };

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct message_name parsed = { .priority = 77 };

		CHECK_ROW(rows[i], message_name_parse(rows[i], &parsed) < 0);
		CHECK_INT(parsed.priority, 77);
	}
}

TEST(an_id_that_is_too_long_is_refused)
{
	char text[NAME_SIZE + 64] = "2.1.000000.0.0.";
	size_t n = strlen(text);
	struct message_name parsed;

	memset(text + n, 'x', ID_TEXT_MAX + 1);
	text[n + ID_TEXT_MAX + 1] = '\0';
	CHECK(message_name_parse(text, &parsed) < 0);
	text[n + ID_TEXT_MAX] = '\0';
	CHECK_INT(message_name_parse(text, &parsed), 0);
}

TEST(order)
{
	static const char *const sorted[] = { "0.9.000000.0.0.a", "2.1.000000.5.7.z",
		"2.1.000001.0.0.a", "2.1.000001.0.3.a", "2.1.000001.0.3.b", "2.2.000000.0.0.a",
		"3.1.000000.0.0.a" };
	size_t n = sizeof sorted / sizeof sorted[0];

	for (size_t i = 0; i < n; i++) {
		for (size_t j = 0; j < n; j++) {
			struct message_name a, b;
			int order, want = i < j ? -1 : i > j;

			CHECK_INT(message_name_parse(sorted[i], &a), 0);
			CHECK_INT(message_name_parse(sorted[j], &b), 0);
			order = message_name_compare(&a, &b);
			CHECK_INT(order < 0 ? -1 : order > 0, want);
		}
	}
}

TEST(bucket_names)
{
	static const struct {
		const char *text;
		int priority;
		int64_t seconds;
		const char *token;
		bool unsettled;
	} rows[] = {
		{ "2.1732170240", 2, 1732170240, "", false },
		{ "0.0", 0, 0, "", false },
		{ "2.1732170240.1", 2, 1732170240, "1", false },
		{ "2.1732170240.1732170240.123456.abcdefgh", 2, 1732170240,
		    "1732170240.123456.abcdefgh", false },
		{ ".3.7.1.000001.0aaaaaaa", 3, 7, "1.000001.0aaaaaaa", true },
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct bucket_name bucket;
		char text[BUCKET_SIZE];

		CHECK_ROW(rows[i].text, bucket_name_parse(rows[i].text, &bucket) == 0);
		CHECK_INT(bucket.priority, rows[i].priority);
		CHECK_INT(bucket.start, rows[i].seconds * USEC);
		CHECK_STR(bucket.token, rows[i].token);
		CHECK_INT(bucket.unsettled, rows[i].unsettled);
		bucket_name_format(&bucket, text);
		CHECK_STR(text, rows[i].text);
	}
}

TEST(bucket_name_parse_refuses)
{
	static const char *const rows[] = { "", ".", "2", "4.1", "2.x", "2.1.UPPER", "2.1.a/b",
		"2.1.a b", "..2.1", "2.-1", "02.1", "2.01", "2.00", "2.99999999999999999999",
		"lost+found", "2.1.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" };

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct bucket_name bucket;

		CHECK_ROW(rows[i], bucket_name_parse(rows[i], &bucket) < 0);
	}
}

TEST(lanes)
{
	static const struct {
		const char *account, *batch, *domain, *lane;
	} rows[] = {
		{ "main", NULL, NULL, "main" },
		{ "main", "", "", "main" },
		{ "main", "xmas", NULL, "main,xmas" },
		{ "a,b", "c,d", "", "a%2Cb,c%2Cd" },
		{ ".x", ".y", NULL, "%2Ex,%2Ey" },
		{ "~", "~", "~", "%7E,%7E,%7E" },
		{ "main", "xmas", "example.org", "main,xmas,example.org" },
		{ "main", NULL, "example.org", "main,,example.org" },
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		char lane[LANE_MAX + 1], again[LANE_MAX + 1], unsettled[NAME_SIZE + 64];
		struct lane parts;

		CHECK_INT(lane_format(rows[i].account, rows[i].batch, rows[i].domain, lane), 0);
		CHECK_STR(lane, rows[i].lane);
		CHECK_INT(lane_parse(lane, &parts), 0);
		CHECK_STR(parts.account, rows[i].account);
		CHECK_STR(parts.batch, rows[i].batch != NULL ? rows[i].batch : "");
		CHECK_STR(parts.domain, rows[i].domain != NULL ? rows[i].domain : "");
		snprintf(unsettled, sizeof unsettled, ".%s~1.000001.abcdefgh", lane);
		CHECK_INT(lane_parse(unsettled, &parts), 0);
		CHECK_STR(parts.account, rows[i].account);
		CHECK_INT(lane_settled(unsettled, again), 0);
		CHECK_STR(again, lane);
	}
}

TEST(lane_parse_refuses)
{
	static const char *const rows[] = { "", ".", "a,", ",b", "a,b,", "a,,", ",,c", "a,b,c,d",
		"a/b", "a b", "%2", ".~x" };
	char long_name[LANE_PART_MAX + 2];
	struct lane lane;

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		CHECK_ROW(rows[i], lane_parse(rows[i], &lane) < 0);
	memset(long_name, 'x', sizeof long_name);
	long_name[LANE_PART_MAX + 1] = '\0';
	CHECK(lane_parse(long_name, &lane) < 0);
	long_name[LANE_PART_MAX] = '\0';
	CHECK_INT(lane_parse(long_name, &lane), 0);
}

TEST(tokens_and_ids_are_unique)
{
	enum { N = 2000 };
	static char tokens[N][TOKEN_SIZE], ids[N][ID_TEXT_MAX + 1];

	for (size_t i = 0; i < N; i++) {
		struct message_name parsed;
		char name[NAME_SIZE];

		token_make(tokens[i]);
		id_make(ids[i]);
		CHECK_INT(strlen(ids[i]), 20);
		snprintf(name, sizeof name, "2.1.000000.0.0.%s", ids[i]);
		CHECK_INT(message_name_parse(name, &parsed), 0);
	}
	qsort(tokens, N, sizeof tokens[0], (int (*)(const void *, const void *))strcmp);
	qsort(ids, N, sizeof ids[0], (int (*)(const void *, const void *))strcmp);
	for (size_t i = 1; i < N; i++) {
		CHECK(strcmp(tokens[i - 1], tokens[i]) != 0);
		CHECK(strcmp(ids[i - 1], ids[i]) != 0);
	}
}

TEST(an_id_tells_when_it_was_made)
{
	char id[ID_TEXT_MAX + 1];
	int64_t before = clock_now() / USEC, after, made;

	id_make(id);
	after = clock_now() / USEC;
	made = id_made_at(id) / USEC;
	CHECK(made >= before && made <= after);
	CHECK_INT(id_made_at("MSG-101"), 0);
	CHECK_INT(id_made_at("UUUUUUUUUUUUUUUUUUUU"), 0);
	CHECK_INT(id_made_at(""), 0);
}

TEST(bucket_starts)
{
	CHECK_INT(bucket_start(0), 0);
	CHECK_INT(bucket_start(BUCKET_SPAN * USEC - 1), 0);
	CHECK_INT(bucket_start(BUCKET_SPAN * USEC), BUCKET_SPAN * USEC);
	CHECK_INT(bucket_start(INT64_C(1732170240123456)), INT64_C(1732170240) * USEC);
}

UNIT_MAIN()
