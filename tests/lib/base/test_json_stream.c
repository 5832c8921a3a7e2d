#include "unit.h"

#include "base/buf.h"
#include "base/json_stream.h"

#define CAP 60

/* What comes out, a line each: "LINE INDEX TEXT" or "LINE INDEX ! PROBLEM". */
static int
take(const struct json_element *element, void *arg)
{
	struct buf *out = arg;

	buf_addf(out, "%d %d ", (int)element->line, (int)element->index);
	if (element->problem != NULL)
		buf_addf(out, "! %s\n", element->problem);
	else
		buf_addf(out, "%.*s\n", (int)element->len, element->text);
	return 0;
}

static void
split(const char *text, size_t len, size_t chunk, struct buf *out)
{
	struct json_stream *js = json_stream_new(CAP, take, out);

	for (size_t i = 0; i < len; i += chunk) {
		size_t n = len - i < chunk ? len - i : chunk;
		char *copy = xmalloc(n); /* so that a read past the chunk is seen */

		memcpy(copy, text + i, n);
		CHECK_INT(json_stream_feed(js, copy, n), 0);
		free(copy);
	}
	CHECK_INT(json_stream_end(js), 0);
	json_stream_free(js);
}

#define LONG "\"0123456789012345678901234567890123456789012345678901234567890123456789\""

static const struct {
	const char *text, *out;
} rows[] = {
	/* The four forms. */
	{ "", "" },
	{ " \n\n", "" },
	{ "{\"a\":1}", "1 0 {\"a\":1}\n" },
	{ "\xef\xbb\xbf{\"a\":1}", "1 0 {\"a\":1}\n" },
	{ "\n{\n \"a\": {\"b\": [1]}\n}\n", "2 0 {\n \"a\": {\"b\": [1]}\n}\n" },
	{ "[]", "" },
	{ "[{\"a\":1},\n {\"b\":\"]}\\\"\"}]\n", "1 0 {\"a\":1}\n2 1 {\"b\":\"]}\\\"\"}\n" },
	{ "[1, \"x\", null ,[2]]", "1 0 1\n1 1 \"x\"\n1 2 null\n1 3 [2]\n" },
	{ "{\"messages\":[]}", "" },
	{ "{ \"x\": {\"messages\": [0]}, \"messages\" : [ {\"a\":1}, {\"b\":2} ], \"y\": [\"}\"] }",
	    "1 0 {\"a\":1}\n1 1 {\"b\":2}\n" },
	{ "{\"messages\":1}", "1 0 {\"messages\":1}\n" },
	{ "{\"a\":\"messages\"}", "1 0 {\"a\":\"messages\"}\n" },
	{ "{\"messagesx\":[1]}", "1 0 {\"messagesx\":[1]}\n" },
	{ "{\"message\":[1]}", "1 0 {\"message\":[1]}\n" },
	{ "{\"a\":1}\n{\"b\":2}\r\n\n{\"c\":3}", "1 0 {\"a\":1}\n2 1 {\"b\":2}\n4 2 {\"c\":3}\n" },
	{ "{\"a\":1}{\"b\":2}", "1 0 {\"a\":1}\n1 1 {\"b\":2}\n" },
	{ "[{\"a\":1}]\n[{\"b\":2}]", "1 0 {\"a\":1}\n2 1 {\"b\":2}\n" },
	/* JSON Lines with bad ones. */
	{ "{\"a\":1}\nrubbish\nmore\n{\"b\":2}\n",
	    "1 0 {\"a\":1}\n2 1 ! expected \"{\" or \"[\"\n3 2 ! expected \"{\" or \"[\"\n4 3 "
	    "{\"b\":2}\n" },
	{ "{\"a\":1}\n{\"b\":\"x\n{\"c\":3}\n",
	    "1 0 {\"a\":1}\n2 1 ! line break in a string\n3 2 {\"c\":3}\n" },
	{ "{\"a\":1}\n{\"b\":{\n{\"c\":3}\n",
	    "1 0 {\"a\":1}\n2 1 ! not complete at the end of its line\n3 2 {\"c\":3}\n" },
	{ "{\"a\":1}\n{\"b\":]}\n{\"c\":3}\n",
	    "1 0 {\"a\":1}\n2 1 ! brackets do not match\n3 2 {\"c\":3}\n" },
	{ "{\"a\":1} x\n{\"c\":3}\n",
	    "1 0 {\"a\":1}\n1 1 ! expected \"{\" or \"[\"\n2 2 {\"c\":3}\n" },
	{ "{\"a\":1},\n{\"c\":3}\n",
	    "1 0 {\"a\":1}\n1 1 ! expected \"{\" or \"[\"\n2 2 {\"c\":3}\n" },
	{ "{\"a\":{\n{\"b\":2}\n{\"c\":3}\n",
	    "1 0 ! not complete when the next begins\n2 1 {\"b\":2}\n3 2 {\"c\":3}\n" },
	{ "{\"a\":\"x\n{\"b\":2}\n", "1 0 ! line break in a string\n2 1 {\"b\":2}\n" },
	{ "{\"a\":\"x\n  {\"y\":2}\n}\n{\"b\":2}\n",
	    "1 0 ! line break in a string\n4 1 {\"b\":2}\n" },
	{ "rubbish\nmore\n{\"b\":2}\n", "1 0 ! expected \"{\" or \"[\"\n3 1 {\"b\":2}\n" },
	{ "{\"a\":1}\n{\"b\":", "1 0 {\"a\":1}\n2 1 ! the input ends inside this element\n" },
	{ "{\"a\":" LONG "}\n{\"b\":2}\n", "1 0 ! longer than 60 B\n2 1 {\"b\":2}\n" },
	/* Arrays with bad ones. */
	{ "[{\"a\":" LONG "},{\"b\":2}]", "1 0 ! longer than 60 B\n1 1 {\"b\":2}\n" },
	{ "[{\"a\":\"x\n},\n{\"b\":2}]", "1 0 ! line break in a string\n3 1 {\"b\":2}\n" },
	{ "[{\"a\":[1},{\"b\":2}]", "1 0 ! brackets do not match\n1 1 {\"b\":2}\n" },
	{ "[{\"a\":1]},{\"b\":2}]",
	    "1 0 ! brackets do not match\n1 1 ! expected \"{\" or \"[\"\n" },
	{ "[{\"a\":1},,{\"b\":2},]",
	    "1 0 {\"a\":1}\n1 1 ! expected an element before \",\"\n1 2 {\"b\":2}\n"
	    "1 3 ! a comma before \"]\": expected an element after it\n" },
	{ "[{\"a\":1} {\"b\":2},3]",
	    "1 0 {\"a\":1}\n1 1 ! expected \",\" before this element\n1 2 3\n" },
	{ "[{\"a\":1},{\"b\":2", "1 0 {\"a\":1}\n1 1 ! the input ends inside this element\n" },
	{ "[{\"a\":1},\n", "1 0 {\"a\":1}\n2 1 ! the input ends before the \"]\" of its array\n" },
	{ "[}{\"a\":1}]", "1 0 ! expected an element, \",\" or \"]\"\n1 1 {\"a\":1}\n" },
	{ "[{\"a\":1}] x", "1 0 {\"a\":1}\n1 1 ! expected \"{\" or \"[\"\n" },
	{ "{\"messages\":[{\"a\":1}]",
	    "1 0 {\"a\":1}\n1 1 ! the input ends before the \"}\" after its messages\n" },
	{ "{\"messages\":[{\"a\":1}],\"messages\":[{\"b\":2}]}",
	    "1 0 {\"a\":1}\n1 1 ! \"messages\" occurs twice in its object\n" },
	{ "{\"x\":" LONG ",\"messages\":[{\"a\":1}],\"y\":" LONG "}", "1 0 {\"a\":1}\n" },
};

TEST(json_stream_finds_elements)
{
	static const size_t chunks[] = { 1, 2, 3, 7, 1000 };

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		for (size_t k = 0; k < sizeof chunks / sizeof *chunks; k++) {
			AUTO_BUF struct buf out = BUF_INIT(10000);

			split(rows[i].text, strlen(rows[i].text), chunks[k], &out);
			if (strcmp(out.s, rows[i].out) != 0)
				unit_fail(__FILE__, __LINE__, "row [%s] in chunks of %zu",
				    rows[i].text, chunks[k]);
			CHECK_STR(out.s, rows[i].out);
		}
	}
}

TEST(json_stream_bounds_depth)
{
	AUTO_BUF struct buf text = BUF_INIT(10000), out = BUF_INIT(1000);
	struct json_stream *js = json_stream_new(100000, take, &out);

	buf_adds(&text, "[");
	for (int i = 0; i < 2000; i++)
		buf_addc(&text, i % 2 == 0 ? '[' : '{');
	for (int i = 0; i < 2000; i++)
		buf_addc(&text, i % 2 == 0 ? '}' : ']');
	buf_adds(&text, ",{\"a\":1}]");
	CHECK_INT(json_stream_feed(js, text.s, text.len), 0);
	CHECK_INT(json_stream_end(js), 0);
	CHECK_STR(out.s, "1 0 ! nested deeper than 64\n1 1 {\"a\":1}\n");
	json_stream_free(js);
}

static int
stop_at_second(const struct json_element *element, void *arg)
{
	++*(int *)arg;
	return element->index == 1 ? 7 : 0;
}

TEST(json_stream_ends_when_told)
{
	int calls = 0;
	struct json_stream *js = json_stream_new(CAP, stop_at_second, &calls);

	CHECK_INT(json_stream_feed(js, "{}\n{}\n{}\n", 9), 7);
	CHECK_INT(calls, 2);
	json_stream_free(js);
}

UNIT_MAIN()
