#include "unit.h"

#include "base/buf.h"
#include "base/json.h"
#include "base/json_spill.h"

#define MIN 8

/* What goes on, and what went elsewhere, as "[KEY:TEXT]" behind one another. */
struct seen {
	struct buf out, spilled;
	unsigned long count;
};

static int
out(void *arg, const char *bytes, size_t n)
{
	struct seen *seen = arg;

	return buf_add(&seen->out, bytes, n);
}

static int
begin(void *arg, size_t key, unsigned long *ret_number)
{
	struct seen *seen = arg;

	*ret_number = seen->count++;
	return buf_addf(&seen->spilled, "[%zu:", key);
}

static int
data(void *arg, const char *bytes, size_t n)
{
	struct seen *seen = arg;

	return buf_add(&seen->spilled, bytes, n);
}

static int
end(void *arg)
{
	struct seen *seen = arg;

	return buf_adds(&seen->spilled, "]");
}

static void
spill(const char *text, size_t len, size_t chunk, struct seen *seen)
{
	static const char *const keys[] = { "content", "path", NULL };
	const struct json_spill_calls calls = { keys, MIN, out, begin, data, end };
	struct json_spill *s = json_spill_new(&calls, seen);

	for (size_t i = 0; i < len; i += chunk) {
		size_t n = len - i < chunk ? len - i : chunk;
		char *copy = xmalloc(n); /* so that a read past the chunk is seen */

		memcpy(copy, text + i, n);
		CHECK_INT(json_spill_feed(s, copy, n), 0);
		free(copy);
	}
	CHECK_INT(json_spill_end(s), 0);
	json_spill_free(s);
}

#define MARK(number, length) "\1" number " " length "\1"

static const struct {
	const char *text, *out, *spilled;
} rows[] = {
	/* Nothing to do. */
	{ "", "", "" },
	{ "{\"a\":[1,\"x\\\"y\",null]}\n", "{\"a\":[1,\"x\\\"y\",null]}\n", "" },
	/* A string of 8 bytes with its quotes is short, one of 9 is long. */
	{ "[{\"content\":\"123456\"}]", "[{\"content\":\"123456\"}]", "" },
	{ "[{\"content\":\"1234567\"}]", "[{\"content\":" MARK("0", "9") "}]", "[0:1234567]" },
	{ "[{\"content\": \"\"}]", "[{\"content\": \"\"}]", "" },
	{ "[ { \"content\" : \n \"123456789012\" , \"x\":1}]",
	    "[ { \"content\" : \n " MARK("0", "14") " , \"x\":1}]", "[0:123456789012]" },
	{ "[{\"path\":\"aaaaaaaaaaaa\",\"content\":\"bbbbbbbbbbbb\"}]",
	    "[{\"path\":" MARK("0", "14") ",\"content\":" MARK("1", "14") "}]",
	    "[1:aaaaaaaaaaaa][0:bbbbbbbbbbbb]" },
	/* Only keys, only those, only in an object of an array. */
	{ "[{\"a\":\"content\",\"b\":\"1234567890\"}]",
	    "[{\"a\":\"content\",\"b\":\"1234567890\"}]", "" },
	{ "[{\"contents\":\"1234567890\"}]", "[{\"contents\":\"1234567890\"}]", "" },
	{ "[{\"conten\":\"1234567890\"}]", "[{\"conten\":\"1234567890\"}]", "" },
	{ "[{\"h\":{\"content\":\"1234567890\"}}]", "[{\"h\":{\"content\":\"1234567890\"}}]", "" },
	{ "{\"content\":\"1234567890\"}", "{\"content\":\"1234567890\"}", "" },
	{ "[\"content\",\"1234567890\"]", "[\"content\",\"1234567890\"]", "" },
	{ "[{\"content\":[\"1234567890\"]}]", "[{\"content\":[\"1234567890\"]}]", "" },
	{ "[{\"content\",\"1234567890\"}]", "[{\"content\",\"1234567890\"}]", "" },
	{ "{\"a\":[{\"b\":[{}],\"content\":\"1234567890\"}]}",
	    "{\"a\":[{\"b\":[{}],\"content\":" MARK("0", "12") "}]}", "[0:1234567890]" },
	/* Escapes. */
	{ "[{\"content\":\"ab\\/c\\n\\u002b\\r\\\"\\\\d\"}]", "[{\"content\":" MARK("0", "22") "}]",
	    "[0:ab/c\n+\r\"\\d]" },
	{ "[{\"content\":\"12345\\u00e9\\u0000\\ud83d\"}]", "[{\"content\":" MARK("0", "25") "}]",
	    "[0:12345\xff\xff\xff]" },
	{ "[{\"content\":\"\\\"\\\"\"}]", "[{\"content\":\"\\\"\\\"\"}]", "" },
	{ "[{\"content\":\"\\\"\\\"\\\"\\\"\"}]", "[{\"content\":" MARK("0", "10") "}]",
	    "[0:\"\"\"\"]" },
	/* What is wrong stays so, and is followed by what follows it. */
	{ "[{\"content\":\"1234567890\\x\", \"a\":\"b\"}]", "[{\"content\":\"\\x\", \"a\":\"b\"}]",
	    "[0:1234567890]" },
	{ "[{\"content\":\"\\x234567890\", \"a\":\"b\"}]",
	    "[{\"content\":\"\\x234567890\", \"a\":\"b\"}]", "[0:]" },
	{ "[{\"content\":\"1234567890\\u00g1\"}]", "[{\"content\":\"\\ug1\"}]", "[0:1234567890]" },
	{ "[{\"content\":\"1234567890\\u00\"}]", "[{\"content\":\"\\u\"}]", "[0:1234567890]" },
	{ "[{\"content\":\"1234567890\n[{\"content\":\"1234567890\"}]",
	    "[{\"content\":\"\n[{\"content\":" MARK("1", "12") "}]",
	    "[0:1234567890][0:1234567890]" },
	{ "[{\"content\":\"12\n[{\"content\":\"1234567890\"}]",
	    "[{\"content\":\"12\n[{\"content\":" MARK("0", "12") "}]", "[0:1234567890]" },
	{ "[{\"a\":\"12\n[{\"content\":\"1234567890\"}]",
	    "[{\"a\":\"12\n[{\"content\":" MARK("0", "12") "}]", "[0:1234567890]" },
	{ "[{\"content\":\"1234567890", "[{\"content\":\"", "[0:1234567890]" },
	{ "[{\"content\":\"123", "[{\"content\":\"123", "" },
	{ "[{\"content\":", "[{\"content\":", "" },
	/* Nobody else's mark comes through. */
	{ "[{\"a\":" MARK("0", "9") "}]",
	    "[{\"a\":\2"
	    "0 9\2}]",
	    "" },
	{ "[{\"content\":" MARK("0", "9") "}]",
	    "[{\"content\":\2"
	    "0 9\2}]",
	    "" },
	{ "[{\"content\":\"1\1\"}]", "[{\"content\":\"1\2\"}]", "" },
	{ "[{\"content\":\"1234567890\1\"}]", "[{\"content\":\"\2\"}]", "[0:1234567890]" },
	{ "[{\"a\":\"1\1\"}]", "[{\"a\":\"1\2\"}]", "" },
	{ "[{\"con\1tent\":\"1234567890\"}]", "[{\"con\2tent\":\"1234567890\"}]", "" },
	{ "[{\"content\":\1\"1234567890\"}]", "[{\"content\":\2\"1234567890\"}]", "" },
};

TEST(json_spill_takes_long_values_out)
{
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		size_t len = strlen(rows[i].text);

		for (size_t chunk = 1; chunk <= len + 1; chunk++) {
			struct seen seen = { BUF_INIT(4096), BUF_INIT(4096), 0 };

			spill(rows[i].text, len, chunk, &seen);
			CHECK_STR(seen.out.s, rows[i].out);
			CHECK_STR(seen.spilled.s, rows[i].spilled);
			buf_release(&seen.out);
			buf_release(&seen.spilled);
		}
	}
}

/* What comes out is read by json_parse_marked alone, and places behind a mark are told as they came. */
TEST(json_spill_and_parse_agree)
{
	static const char text[] = "[{\"content\":\"1234567890\"}, {\"content\":\"abcdefghij\"}]";
	static const char wrong[] = "[{\"content\":\"1234567890\"}, nothing]";
	struct seen seen = { BUF_INIT(4096), BUF_INIT(4096), 0 };
	struct err err = ERR_INIT, plain = ERR_INIT;
	struct json *json;
	unsigned long number = 9;
	bool truth;

	spill(text, sizeof text - 1, 5, &seen);
	CHECK(json_parse(seen.out.s, seen.out.len, 1, &err) == NULL);
	json = json_parse_marked(seen.out.s, seen.out.len, 1, &err);
	CHECK(json != NULL);
	CHECK(json_kind(json_get(json_at(json, 1), "content")) == JSON_MARK);
	CHECK_INT(json_to_mark(json_get(json_at(json, 0), "content"), &number), 0);
	CHECK_INT(number, 0);
	CHECK_INT(json_to_mark(json_get(json_at(json, 1), "content"), &number), 0);
	CHECK_INT(number, 1);
	CHECK(json_string(json_get(json_at(json, 1), "content")) == NULL);
	CHECK_INT(json_to_bool(json_get(json_at(json, 1), "content"), &truth), -1);
	json_free(json);

	buf_clear(&seen.out);
	spill(wrong, sizeof wrong - 1, 5, &seen);
	CHECK(json_parse_marked(seen.out.s, seen.out.len, 1, &err) == NULL);
	CHECK(json_parse(wrong, sizeof wrong - 1, 1, &plain) == NULL);
	CHECK_STR(err.msg, plain.msg);
	buf_release(&seen.out);
	buf_release(&seen.spilled);
}

/* Marks that nobody wrote are no values. */
TEST(json_spill_half_marks_are_no_values)
{
	static const char *const texts[] = { "\1",
		"\1"
		"1",
		"\1"
		"1 ",
		"\1"
		"1 2",
		"\1"
		"1 2\2",
		"\1"
		"1\1" };
	struct err err;

	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		err = (struct err)ERR_INIT;
		CHECK(json_parse_marked(texts[i], strlen(texts[i]), 1, &err) == NULL);
		CHECK(err.code != 0);
	}
}

UNIT_MAIN()
