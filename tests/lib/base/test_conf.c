#include "unit.h"

#include <sys/stat.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/conf.h"
#include "base/num.h"

struct element {
	char *id;
	int64_t port;
	int mode;
};

struct target {
	bool yes;
	int maybe;
	int64_t number, span, size, deep;
	char *text, *path;
	int choice, no_choice;
	struct strings words, free_words;
	struct durations pauses;
	struct conf_groups groups;
};

static int
check_element(void *value, const char *place, struct err *err)
{
	const struct element *e = value;

	if (e->id == NULL)
		return err_set(err, EX_CONFIG, "id: expected");
	return strstr(place, ".conf:") != NULL ? 0 : err_set(err, EX_CONFIG, "place: %s", place);
}

static int
check_text(void *value, const char *place, struct err *err)
{
	(void)place;
	if (strcmp(*(char **)value, "forbidden") == 0)
		return err_set(err, EX_CONFIG, "expected something else");
	return 0;
}

#define E(member) CONF_AT(struct element, member)
#define T(member) CONF_AT(struct target, member)
static const struct conf_item element_schema[] = {
	{ "id", CONF_STRING, E(id) },
	{ "more.port", CONF_INT, E(port), "25", 1, 65535 },
	{ "mode", CONF_CHOICE, E(mode), "b", .choices = "a b c" },
	{ 0 },
};
static const struct conf_item schema[] = {
	{ "yes", CONF_BOOL, T(yes), "true" },
	{ "maybe", CONF_MAYBE, T(maybe) },
	{ "group.number", CONF_INT, T(number), "10", 1, 1000 },
	{ "group.span", CONF_DURATION, T(span), "5m", USEC, 3600 * USEC },
	{ "group.inner.deep", CONF_INT, T(deep), "3" },
	{ "size", CONF_SIZE, T(size), "64 MiB", 1024, INT64_C(1) << 40 },
	{ "text", CONF_STRING, T(text), .max = 10, .check = check_text },
	{ "path", CONF_PATH, T(path) },
	{ "choice", CONF_CHOICE, T(choice), "two", .choices = "one two three" },
	{ "no_choice", CONF_CHOICE, T(no_choice), .choices = "one two" },
	{ "words", CONF_STRINGS, T(words), "x, y", .choices = "x y z" },
	{ "free_words", CONF_STRINGS, T(free_words), .max = 5 },
	{ "pauses", CONF_DURATIONS, T(pauses), "1s, 2m", USEC, 3600 * USEC },
	{ "groups", CONF_GROUPS, T(groups), .items = element_schema,
	    .element_size = sizeof(struct element), .check = check_element },
	{ 0 },
};

static const char *
write_file(const char *name, const char *text, size_t n)
{
	static char path[300];
	FILE *f;

	snprintf(path, sizeof path, "%s/%s", unit_tmpdir(), name);
	f = fopen(path, "w");
	if (f == NULL || fwrite(text, 1, n, f) != n || fclose(f) != 0)
		abort();
	return path;
}

static int
load(const char *text, struct target *t, struct err *err)
{
	const char *path = write_file("x.conf", text, strlen(text));

	memset(t, 0, sizeof *t);
	*err = (struct err)ERR_INIT;
	conf_defaults(schema, t);
	return conf_load(path, schema, t, err);
}

/* The message without the directory of the file. */
static const char *
message(const struct err *err)
{
	static char text[sizeof err->msg];
	const char *directory = unit_tmpdir(), *rest = err->msg;
	size_t n = strlen(directory);

	*text = '\0';
	while (*rest != '\0') {
		size_t length = strlen(text);

		if (strncmp(rest, directory, n) == 0 && rest[n] == '/')
			rest += n + 1;
		else
			snprintf(text + length, 2, "%c", *rest++);
	}
	return text;
}

TEST(conf_has_defaults)
{
	struct target t;
	struct err err;

	CHECK_INT(load("", &t, &err), 0);
	CHECK(t.yes);
	CHECK_INT(t.maybe, CONF_UNSET);
	CHECK_INT(t.number, 10);
	CHECK_INT(t.span, 300 * USEC);
	CHECK_INT(t.deep, 3);
	CHECK_INT(t.size, 64 << 20);
	CHECK(t.text == NULL);
	CHECK_INT(t.choice, 1);
	CHECK_INT(t.no_choice, CONF_UNSET);
	CHECK_INT(t.words.n, 2);
	CHECK_STR(t.words.v[1], "y");
	CHECK_INT(t.pauses.n, 2);
	CHECK_INT(t.pauses.v[1], 120 * USEC);
	CHECK_INT(t.groups.n, 0);
	conf_release(schema, &t);
	CHECK(t.words.v == NULL);
}

TEST(conf_reads_all_types)
{
	static const char text[] =
	    "yes = false; maybe = true; # comment 99999999999\n"
	    "group: { number = 7; span = \"2m\"; inner = { deep = 0x10 } };\n"
	    "size = 5000000000L; text = \"9999999999\"; path = \"~/x\";\n"
	    "choice = \"three\"; words = ( \"z\" ); free_words = \"one\";\n"
	    "pauses = [ 1, 2 ];\n/* 99999999999\n*/\n"
	    "groups: ( { id = \"a\"; more: { port = 26; }; },\n"
	    " { id = \"b\"; mode = \"c\"; } );\n";
	const struct element *e;
	struct target t;
	struct err err;

	setenv("HOME", "/home/me", 1);
	CHECK_INT(load(text, &t, &err), 0);
	CHECK_STR(err.msg, "");
	CHECK(!t.yes);
	CHECK_INT(t.maybe, 1);
	CHECK_INT(t.number, 7);
	CHECK_INT(t.span, 120 * USEC);
	CHECK_INT(t.deep, 16);
	CHECK_INT(t.size, 5000000000);
	CHECK_STR(t.text, "9999999999");
	CHECK_STR(t.path, "/home/me/x");
	CHECK_INT(t.choice, 2);
	CHECK_INT(t.words.n, 1);
	CHECK_STR(t.words.v[0], "z");
	CHECK_STR(t.free_words.v[0], "one");
	CHECK_INT(t.pauses.v[1], 2 * USEC);
	CHECK_INT(t.groups.n, 2);
	e = t.groups.v;
	CHECK_STR(e[0].id, "a");
	CHECK_INT(e[0].port, 26);
	CHECK_INT(e[0].mode, 1);
	CHECK_INT(e[1].port, 25);
	CHECK_INT(e[1].mode, 2);
	conf_release(schema, &t);
}

static const struct {
	const char *text, *message;
} bad[] = {
	{ "\n\ngroup: {\n nmber = 1;\n};", "x.conf:4: group.nmber: unknown setting" },
	{ "nonsense: { x = 1; };", "x.conf:1: nonsense: unknown setting" },
	{ "group = 1;", "x.conf:1: group: expected a group: { ... }" },
	{ "group: { number = \"1\"; };",
	    "x.conf:1: group.number: expected a whole number, found a string" },
	{ "group: {\nnumber = 0; };", "x.conf:2: group.number: expected 1 to 1000, found 0" },
	{ "group: { number = 1001; };", "x.conf:1: group.number: expected 1 to 1000, found 1001" },
	{ "group: { number = -1; };",
	    "x.conf:1: group.number: expected 1 to 1000, found a number below 0" },
	{ "group: { number = 1.5; };",
	    "x.conf:1: group.number: expected a whole number, found a number with a fraction" },
	{ "group: { number = [1]; };", "x.conf:1: group.number: expected one value, found a list" },
	{ "group: { span = \"5q\"; };",
	    "x.conf:1: group.span: expected a duration such as \"5m\" or \"2h\", found \"5q\"" },
	{ "group: { span = \"2h\"; };", "x.conf:1: group.span: expected 1s to 1h, found 2h" },
	{ "group: { span = -1; };",
	    "x.conf:1: group.span: expected a duration such as \"5m\" or \"2h\", found -1" },
	{ "size = \"12 XB\";",
	    "x.conf:1: size: expected a size such as \"64 MiB\", found \"12 XB\"" },
	{ "size = 10;", "x.conf:1: size: expected 1 KiB to 1 TiB, found 10 B" },
	{ "size = 5000000000;",
	    "x.conf:1: a number that does not fit into 32 bits "
	    "(expected an L after it, or a string)" },
	{ "size = 99999999999999999999L;", "x.conf:1: a number that does not fit into 64 bits" },
	{ "yes = -\n99999999999;",
	    "x.conf:2: a number that does not fit into 32 bits "
	    "(expected an L after it, or a string)" },
	{ "size = --1;", "x.conf:1: syntax error" },
	{ "size = -", "x.conf:1: syntax error" },
	{ "size = 0xFFFFFFFF;",
	    "x.conf:1: a number that does not fit into 32 bits "
	    "(expected an L after it, or a string)" },
	{ "yes = 1;", "x.conf:1: yes: expected true or false, found a whole number" },
	{ "text = \"01234567890\";", "x.conf:1: text: expected at most 10 bytes" },
	{ "text = \"a\\nb\";", "x.conf:1: text: expected no control characters" },
	{ "text = \"\xff\";", "x.conf:1: text: expected UTF-8" },
	{ "text = \"forbidden\";", "x.conf:1: text: expected something else" },
	{ "path = \"x/y\";",
	    "x.conf:1: path: expected a path that starts with / or ~/, found x/y" },
	{ "choice = \"four\";", "x.conf:1: choice: expected one of: one two three; found four" },
	{ "choice = \"one two\";",
	    "x.conf:1: choice: expected one of: one two three; found one two" },
	{ "words = [ \"x\", \"q\" ];", "x.conf:1: words: expected words out of: x y z; found q" },
	{ "pauses = ( );", "x.conf:1: pauses: expected at least one duration" },
	{ "groups = { };", "x.conf:1: groups: expected a list of groups: ( { ... }, { ... } )" },
	{ "groups = ( 1 );", "x.conf:1: groups: expected a group: { ... }" },
	{ "groups = (\n{ port = 1; } );", "x.conf:2: groups.port: unknown setting" },
	{ "groups = (\n{ more: { port = 0; }; } );",
	    "x.conf:2: groups.more.port: expected 1 to 65535, found 0" },
	{ "groups = (\n{ mode = \"a\"; } );", "x.conf:2: groups: id: expected" },
	{ "yes = ;", "x.conf:1: syntax error" },
	{ "yes = true;\nyes = false;", "x.conf:2: duplicate setting name" },
	{ "\ntext = \"a\n\\", "x.conf:2: a string without its closing quote" },
	{ "\n/* a\n", "x.conf:2: a comment without its */" },
	{ "\n@include \"absent.conf\"\n", "x.conf:2: absent.conf: No such file or directory" },
	{ "@include \"x.conf\"\n", "x.conf:1: files include one another more than 10 deep" },
	{ "@include \".\"\n", "x.conf:1: .: Is a directory" },
	{ "@include nonsense\n", "x.conf:1: expected @include \"FILE\"" },
	{ "yes = true;\n@include \"inc.conf\"\n", "inc.conf:3: group.nmber: unknown setting" },
	{ "@include \"broken.conf\"\n", "broken.conf:2: syntax error" },
	{ "@include \"big.conf\"\n",
	    "big.conf:1: a number that does not fit into 32 bits "
	    "(expected an L after it, or a string)" },
};

TEST(conf_names_what_is_wrong_and_where)
{
	static const char inc[] = "\ngroup: {\n nmber = 1;\n};\n", broken[] = "\nyes = ;\n",
			  big[] = "size = 3000000000;";
	struct target t;
	struct err err;

	write_file("inc.conf", inc, sizeof inc - 1);
	write_file("broken.conf", broken, sizeof broken - 1);
	write_file("big.conf", big, sizeof big - 1);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		CHECK_INT(load(bad[i].text, &t, &err), -1);
		CHECK_STR(message(&err), bad[i].message);
		CHECK_INT(err.code, EX_CONFIG);
		conf_release(schema, &t);
	}
}

TEST(conf_includes_from_the_files_directory)
{
	struct target t;
	struct err err;

	write_file("part.conf", "group: { number = 8; };", 23);
	CHECK_INT(load("yes = false;\n  @include \"part.conf\"\nsize = 2048;", &t, &err), 0);
	CHECK_STR(err.msg, "");
	CHECK_INT(t.number, 8);
	CHECK_INT(t.size, 2048);
	conf_release(schema, &t);
}

TEST(conf_refuses_what_is_no_text_file)
{
	struct target t = { 0 };
	struct err err = ERR_INIT;

	conf_defaults(schema, &t);
	CHECK_INT(conf_load(unit_tmpdir(), schema, &t, &err), -1);
	CHECK_INT(err.code, EX_NOINPUT);
	CHECK_INT(conf_load("/nonexistent/x.conf", schema, &t, &err), -1);
	CHECK_INT(err.code, EX_NOINPUT);
	CHECK_STR(err.msg, "/nonexistent/x.conf: No such file or directory");
	CHECK_INT(conf_load(write_file("nul.conf", "yes = true;\0no = 1;", 19), schema, &t, &err),
	    -1);
	CHECK_STR(message(&err), "nul.conf: a NUL byte in it: expected text");
	conf_release(schema, &t);
}

TEST(conf_set_takes_text)
{
	static const struct {
		const char *path, *text, *message;
	} rows[] = {
		{ "yes", "OFF", "" },
		{ "maybe", "0", "" },
		{ "group.number", "12", "" },
		{ "group.number", "x", "env X: expected a whole number, found a string" },
		{ "group.number", "5000", "env X: expected 1 to 1000, found 5000" },
		{ "yes", "2", "env X: expected true or false, found a string" },
		{ "text", "forbidden", "env X: expected something else" },
		{ "free_words", "a, b,c", "" },
	};
	struct target t = { 0 };

	conf_defaults(schema, &t);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct err err = ERR_INIT;

		conf_set(schema, &t, rows[i].path, rows[i].text, "env X", &err);
		CHECK_STR(err.msg, rows[i].message);
	}
	CHECK(!t.yes);
	CHECK_INT(t.maybe, 0);
	CHECK_INT(t.number, 12);
	CHECK_INT(t.free_words.n, 3);
	CHECK_STR(t.free_words.v[2], "c");
	conf_release(schema, &t);
}

struct other {
	int64_t number;
};
static const struct conf_item other_schema[] = {
	{ "beside.number", CONF_INT, CONF_AT(struct other, number), "7", 1, 9 },
	{ 0 },
};

static int
parse(const char *text, struct target *t, struct other *other, struct err *err)
{
	const struct conf_target targets[] = { { schema, t }, { other_schema, other } };

	memset(t, 0, sizeof *t);
	*err = (struct err)ERR_INIT;
	conf_defaults(schema, t);
	conf_defaults(other_schema, other);
	return conf_parse(text, strlen(text), "x.conf", targets, 2, err);
}

TEST(conf_parses_text_for_several_structs)
{
	struct target t;
	struct other other;
	struct err err;

	CHECK_INT(parse("group: { number = 5; nobody = { knows = [ 1 ]; }; };\n"
			"this = \"neither\"; beside: { number = 8; more = 1; };\n"
			"groups = ( { id = \"i\"; what = 1; } ); # no line's end",
		      &t, &other, &err),
	    0);
	CHECK_STR(err.msg, "");
	CHECK_INT(t.number, 5);
	CHECK_INT(other.number, 8);
	CHECK_INT(t.groups.n, 1);
	CHECK_STR(((struct element *)t.groups.v)->id, "i");
	conf_release(schema, &t);
	CHECK_INT(parse("\nbeside: { number = 80; };", &t, &other, &err), -1);
	CHECK_STR(err.msg, "x.conf:2: beside.number: expected 1 to 9, found 80");
	conf_release(schema, &t);
	CHECK_INT(parse("group = 5;", &t, &other, &err), -1);
	CHECK_STR(err.msg, "x.conf:1: group: expected a group: { ... }");
	conf_release(schema, &t);
	CHECK_INT(parse("x = 1;\n  @include \"x.conf\"\n", &t, &other, &err), -1);
	CHECK_STR(err.msg, "x.conf:2: @include is not for this file");
	conf_release(schema, &t);
}

/* What lies behind the end is not looked at. */
TEST(conf_parses_no_further_than_the_text)
{
	static const char *const ends[] = { "-", "+", "0", "0x", "1.", "1L", "/", "/*", "#", "\"",
		"\"\\", "@", "@include", "a", "*" };
	struct target t;
	struct err err;
	char text[64];

	for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
		const struct conf_target target = { schema, &t };

		memset(text, '9', sizeof text);
		snprintf(text, sizeof text, "yes = %s", ends[i]);
		memset(&t, 0, sizeof t);
		conf_defaults(schema, &t);
		err = (struct err)ERR_INIT;
		CHECK_INT(conf_parse(text, strlen(text), "x.conf", &target, 1, &err), -1);
		CHECK_ROW(ends[i], strstr(err.msg, "does not fit") == NULL);
		conf_release(schema, &t);
	}
}

/* Each value as text, and what comes of reading it again, are the same. */
TEST(conf_formats_what_it_reads)
{
	static const char text[] =
	    "yes = false; maybe = true; group: { number = 77; span = \"1h\"; };\n"
	    "size = 5000000000L; text = \"a\\\"\\\\b\"; path = \"/x y\"; choice = \"three\";\n"
	    "words = [ \"z\" ]; pauses = [ \"1m30s\", \"1h\" ];\n"
	    "groups = ( { id = \"i\"; }, { id = \"j\"; mode = \"c\"; } );";
	static const struct {
		const char *path, *value; /* NULL: unset */
	} want[] = {
		{ "yes", "false" },
		{ "maybe", "true" },
		{ "group.number", "77" },
		{ "group.span", "\"1h\"" },
		{ "group.inner.deep", "3" },
		{ "size", "5000000000L" },
		{ "text", "\"a\\\"\\\\b\"" },
		{ "path", "\"/x y\"" },
		{ "choice", "\"three\"" },
		{ "no_choice", NULL },
		{ "words", "[ \"z\" ]" },
		{ "free_words", NULL },
		{ "pauses", "[ \"1m30s\", \"1h\" ]" },
	};
	struct target t;
	struct err err;

	CHECK_INT(load(text, &t, &err), 0);
	CHECK_STR(message(&err), "");
	for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
		AUTO_BUF struct buf value = BUF_INIT(1000);
		const struct conf_item *item = conf_find(schema, want[i].path);

		CHECK_INT(conf_format(item, &t, &value), want[i].value != NULL);
		CHECK_STR(value.s, want[i].value != NULL ? want[i].value : "");
	}
	conf_release(schema, &t);
	CHECK(conf_find(schema, "group") == NULL);
	CHECK(conf_find(schema, "group.numbe") == NULL);
}

TEST(conf_formats_durations)
{
	static const struct {
		int64_t span;
		const char *text;
	} table[] = {
		{ 0, "0s" },
		{ 1000, "1ms" },
		{ USEC, "1s" },
		{ 90 * USEC, "1m30s" },
		{ 86400 * USEC, "1d" },
		{ 90061 * USEC + 5000, "1d1h1m1s5ms" },
	};

	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		AUTO_BUF struct buf text = BUF_INIT(100);
		int64_t again;

		CHECK_INT(conf_format_duration(table[i].span, &text), 0);
		CHECK_STR(text.s, table[i].text);
		CHECK_INT(num_duration(text.s, &again), 0);
		CHECK_INT(again, table[i].span);
	}
}

UNIT_MAIN()
