#include "unit.h"

#include <math.h>

#include "base/json.h"

/* A text that must be refused, and where and why. */
static const struct {
	const char *text, *message;
} bad[] = {
	{ "", "line 1, byte 1: the text ends before its value does" },
	{ "  \n ", "line 2, byte 2: the text ends before its value does" },
	{ "{\"a\":1} x", "line 1, byte 9: expected nothing after the value" },
	{ "{\"a\":1}{}", "line 1, byte 8: expected nothing after the value" },
	{ "{\"a\":1,\n \"b\":2,\n \"a\":3}",
	    "line 3, byte 2: this key occurs twice in its object" },
	{ "{\"a\":1,\"\\u0061\":3}", "line 1, byte 8: this key occurs twice in its object" },
	{ "{\"a\":1,}", "line 1, byte 8: expected a key in quotes" },
	{ "[1,]", "line 1, byte 4: expected a value" },
	{ "[1 2]", "line 1, byte 4: expected \",\" or \"]\"" },
	{ "{\"a\" 1}", "line 1, byte 6: expected \":\"" },
	{ "{\"a\":1 \"b\":2}", "line 1, byte 8: expected \",\" or \"}\"" },
	{ "{a:1}", "line 1, byte 2: expected a key in quotes" },
	{ "{'a':1}", "line 1, byte 2: expected a key in quotes" },
	{ "[1] // c", "line 1, byte 5: expected nothing after the value" },
	{ "/* c */ 1", "line 1, byte 1: expected a value" },
	{ "NaN", "line 1, byte 1: expected a value" },
	{ "-NaN", "line 1, byte 2: expected a value" },
	{ "Infinity", "line 1, byte 1: expected a value" },
	{ "-Infinity", "line 1, byte 2: expected a value" },
	{ "nul", "line 1, byte 1: expected a value" },
	{ "True", "line 1, byte 1: expected a value" },
	{ "NULL", "line 1, byte 1: expected a value" },
	{ "truex", "line 1, byte 5: expected nothing after the value" },
	{ "01", "line 1, byte 1: a number cannot start with 0" },
	{ "-01", "line 1, byte 2: a number cannot start with 0" },
	{ "+1", "line 1, byte 1: expected a value" },
	{ ".5", "line 1, byte 1: expected a value" },
	{ "1.", "line 1, byte 3: the text ends before its value does" },
	{ "[1.]", "line 1, byte 4: expected a digit after the point" },
	{ "[1e]", "line 1, byte 4: expected a digit in the exponent" },
	{ "0x10", "line 1, byte 2: expected nothing after the value" },
	{ "9223372036854775808", "line 1, byte 1: the number does not fit into 64 bits" },
	{ "-9223372036854775809", "line 1, byte 1: the number does not fit into 64 bits" },
	{ "[1e999]", "line 1, byte 2: the number is too large" },
	{ "\"a", "line 1, byte 3: the text ends before its value does" },
	{ "\"a\nb\"", "line 1, byte 3: line break in a string" },
	{ "\"a\tb\"", "line 1, byte 3: control character in a string" },
	{ "\"\\x\"", "line 1, byte 3: expected one of \" \\ / b f n r t u after the backslash" },
	{ "\"\\u12g4\"", "line 1, byte 6: expected four hexadecimal digits after \\u" },
	{ "\"\\u0000\"", "line 1, byte 2: \\u0000 is not permitted in a string here" },
	{ "\"\\ud800\"", "line 1, byte 2: the first half of a surrogate pair has no second half" },
	{ "\"\\ud800\\u0041\"",
	    "line 1, byte 2: the first half of a surrogate pair has no second half" },
	{ "\"\\ud800x\\udc00\"",
	    "line 1, byte 2: the first half of a surrogate pair has no second half" },
	{ "\"\\udc00\"", "line 1, byte 2: the second half of a surrogate pair has no first half" },
	{ "\"\xff\"", "line 1, byte 2: not UTF-8" },
	{ "\"\xc0\xaf\"", "line 1, byte 2: not UTF-8" },
	{ "\"\xed\xa0\x80\"", "line 1, byte 2: not UTF-8" },
	{ "{\"\xff\":1}", "line 1, byte 3: not UTF-8" },
};

TEST(json_refuses)
{
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct err err = ERR_INIT;
		struct json *root = json_parse(bad[i].text, strlen(bad[i].text), 1, &err);

		CHECK_ROW(bad[i].text, root == NULL);
		CHECK_STR(err.msg, bad[i].message);
		CHECK_INT(err.code, EX_DATAERR);
		json_free(root);
	}
}

/* What is read, and as what it is written again. */
static const struct {
	const char *text, *again;
} good[] = {
	{ "null", "null" },
	{ " true\n", "true" },
	{ "[false , null]", "[false,null]" },
	{ "0", "0" },
	{ "-0", "0" },
	{ "9223372036854775807", "9223372036854775807" },
	{ "-9223372036854775808", "-9223372036854775808" },
	{ "[1.5,1e3,1E-2,0.1]", "[1.5,1000,0.01,0.1]" },
	{ "\"\"", "\"\"" },
	{ "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\\"\\\\/\\u0008\\u000c\\n\\r\\t\"" },
	{ "\"\\u00e9\\u20ac\\ud83d\\ude00\"", "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"" },
	{ "\"\\u007f\\u0085\"", "\"\\u007f\\u0085\"" },
	{ "{}", "{}" },
	{ "[]", "[]" },
	{ "{\"b\":[{}],\"a\":{\"c\":\"d\"},\"\":1}", "{\"b\":[{}],\"a\":{\"c\":\"d\"},\"\":1}" },
};

static void
write_value(struct json_writer *w, const struct json *value)
{
	struct json_iter it = JSON_ITER_INIT;
	const struct json *member;
	const char *key;
	int64_t integer;
	double real;
	bool truth;

	switch (json_kind(value)) {
	case JSON_MARK: /* json_parse makes none */
	case JSON_NULL:
		json_put_null(w);
		break;
	case JSON_BOOL:
		CHECK_INT(json_to_bool(value, &truth), 0);
		json_put_bool(w, truth);
		break;
	case JSON_INT:
		CHECK_INT(json_to_int(value, &integer), 0);
		json_put_int(w, integer);
		break;
	case JSON_DOUBLE:
		CHECK_INT(json_to_double(value, &real), 0);
		json_put_double(w, real);
		break;
	case JSON_STRING:
		json_put_str(w, json_string(value));
		break;
	case JSON_ARRAY:
		json_begin_array(w);
		for (size_t i = 0; i < json_length(value); i++)
			write_value(w, json_at(value, i));
		json_end_array(w);
		break;
	case JSON_OBJECT:
		json_begin_object(w);
		while (json_next(value, &it, &key, &member)) {
			json_key(w, key);
			write_value(w, member);
		}
		json_end_object(w);
		break;
	}
}

TEST(json_reads_and_writes)
{
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		AUTO_BUF struct buf out = BUF_INIT(1000);
		struct json_writer w = JSON_WRITER(&out);
		struct err err = ERR_INIT;
		AUTO_JSON struct json *root =
		    json_parse(good[i].text, strlen(good[i].text), 1, &err);

		CHECK_STR(err.msg, "");
		CHECK_ROW(good[i].text, root != NULL);
		write_value(&w, root);
		CHECK_INT(json_finish(&w), 0);
		CHECK_STR(out.s, good[i].again);
	}
}

TEST(json_bounds_depth_and_values)
{
	AUTO_BUF struct buf text = BUF_INIT(4u << 20);
	struct err err = ERR_INIT;
	struct json *root;

	for (int i = 0; i < 64; i++)
		buf_addc(&text, '[');
	for (int i = 0; i < 64; i++)
		buf_addc(&text, ']');
	root = json_parse(text.s, text.len, 1, &err);
	CHECK(root != NULL);
	json_free(root);

	buf_clear(&text);
	for (int i = 0; i < 1000000; i++)
		buf_addc(&text, '[');
	CHECK(json_parse(text.s, text.len, 1, &err) == NULL);
	CHECK_STR(err.msg, "line 1, byte 65: nested deeper than 64");

	buf_clear(&text);
	buf_addc(&text, '[');
	for (int i = 0; i < JSON_MAX_VALUES; i++)
		buf_adds(&text, "1,");
	buf_adds(&text, "1]");
	CHECK(json_parse(text.s, text.len, 1, &err) == NULL);
	CHECK_STR(err.msg, "line 1, byte 2000000: more than a million values");
}

TEST(json_counts_lines_from_the_first)
{
	static const char text[] = "{\n\"a\": x}";
	struct err err = ERR_INIT;

	CHECK(json_parse(text, sizeof text - 1, 41, &err) == NULL);
	CHECK_STR(err.msg, "line 42, byte 6: expected a value");
	CHECK(json_parse("\"a\0b\"", 5, 1, &err) == NULL);
	CHECK_STR(err.msg, "line 1, byte 3: control character in a string");
	CHECK(json_parse("1\0", 2, 1, &err) == NULL);
}

TEST(json_getters_keep_to_their_kind)
{
	static const char text[] =
	    "{\"n\":null,\"i\":7,\"d\":7.5,\"s\":\"x\",\"b\":true,\"a\":[1]}";
	AUTO_JSON struct json *root = json_parse(text, sizeof text - 1, 1, NULL);
	int64_t i = 3;
	double d = 3;
	bool b = false;

	CHECK(json_get(root, "absent") == NULL);
	CHECK(json_get(root, "n") != NULL);
	CHECK(json_get_set(root, "n") == NULL);
	CHECK_INT(json_kind(json_get(root, "n")), JSON_NULL);
	CHECK_INT(json_kind(NULL), JSON_NULL);
	CHECK_INT(json_to_int(json_get(root, "d"), &i), -1);
	CHECK_INT(json_to_int(json_get(root, "s"), &i), -1);
	CHECK_INT(json_to_int(NULL, &i), -1);
	CHECK_INT(i, 3);
	CHECK_INT(json_to_int(json_get(root, "i"), &i), 0);
	CHECK_INT(i, 7);
	CHECK_INT(json_to_double(json_get(root, "i"), &d), 0);
	CHECK(d == 7.0);
	CHECK_INT(json_to_double(json_get(root, "b"), &d), -1);
	CHECK_INT(json_to_bool(json_get(root, "i"), &b), -1);
	CHECK_INT(json_to_bool(json_get(root, "b"), &b), 0);
	CHECK(b);
	CHECK(json_string(json_get(root, "i")) == NULL);
	CHECK_STR(json_string(json_get(root, "s")), "x");
	CHECK(json_get(json_get(root, "s"), "x") == NULL);
	CHECK_INT(json_length(root), 6);
	CHECK_INT(json_length(json_get(root, "a")), 1);
	CHECK(json_at(json_get(root, "a"), 1) == NULL);
	CHECK(json_at(root, 0) == NULL);
	CHECK_STR(json_kind_name(JSON_ARRAY), "an array");
}

TEST(json_writer_is_always_valid)
{
	AUTO_BUF struct buf out = BUF_INIT(200);
	struct json_writer w = JSON_WRITER(&out);

	json_begin_array(&w);
	json_put_string(&w, "a\0\x1b\xff\xed\xa0\x80z", 8);
	json_put_double(&w, NAN);
	json_put_double(&w, -INFINITY);
	json_put_double(&w, 0.1 + 0.2);
	json_end_array(&w);
	CHECK_INT(json_finish(&w), 0);
	CHECK_STR(out.s,
	    "[\"a\\u0000\\u001b\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz\","
	    "null,null,0.30000000000000004]");
}

TEST(json_writer_tells_what_did_not_fit)
{
	AUTO_BUF struct buf out = BUF_INIT(20);
	struct json_writer w = JSON_WRITER(&out);

	json_begin_object(&w);
	json_member_str(&w, "none", NULL);
	json_member_int(&w, "a", -5);
	json_member_bool(&w, "b", true);
	json_end_object(&w);
	CHECK_INT(json_finish(&w), 0);
	CHECK_STR(out.s, "{\"a\":-5,\"b\":true}");
	json_put_str(&w, "more than there is room for");
	CHECK_INT(json_finish(&w), -1);
}

UNIT_MAIN()
