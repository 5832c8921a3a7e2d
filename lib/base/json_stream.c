#include "base/json_stream.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/num.h"

static const char list_key[] = "messages";

enum state {
	BETWEEN,   /* between values of the top */
	SKIP_LINE, /* after a fault in JSON Lines: to the end of the line */
	SKIP_TEXT, /* after a fault in the first value, which may span lines: to the next line that
		      begins with a bracket */
	LIST,	   /* in an array, between its elements */
	ELEMENT,   /* in an element: a member of the array, or a value of the top */
	REST,	   /* behind the array of {"messages": [...]}, to the end of that object */
};

/* What a list expects next. */
enum expect { ELEMENT_OR_END, ELEMENT_ONLY, COMMA_OR_END };

struct json_stream {
	json_element_fn *each;
	void *arg;
	uint64_t line, index;
	enum state state;
	enum expect expect;
	int bom;	/* bytes of a byte order mark seen at the start; 3: it is over */
	bool fresh;	/* nothing but blanks so far on this line, */
	bool at_start;	/* nor those */
	bool lines;	/* it is JSON Lines: a value was complete on one line */
	bool in_list;	/* the element belongs to an array ... */
	bool in_object; /* ... and the array to {"messages": ...} */

	/* The element: */
	struct buf text;
	const char *problem; /* its first; then text is no longer kept */
	uint64_t first_line;
	char kinds[JSON_MAX_DEPTH + 1]; /* the brackets that are open */
	size_t depth, too_deep;
	bool in_string, escaped;
	char before;	  /* the last byte that was no white space; a string counts as its quote */
	size_t key_match; /* bytes of list_key's text seen in a key of the outermost object, */
	bool is_key;	  /* while it agrees; true too behind the key, until ':' and '[' */

	char too_long[64];
};

struct json_stream *
json_stream_new(size_t max, json_element_fn *each, void *arg)
{
	struct json_stream *js = xcalloc(1, sizeof *js);
	char size[24];

	js->each = each;
	js->arg = arg;
	js->line = 1;
	js->fresh = js->at_start = true;
	buf_init(&js->text, max);
	snprintf(js->too_long, sizeof js->too_long, "longer than %s", num_size_text(max, size));
	return js;
}

void
json_stream_free(struct json_stream *js)
{
	if (js == NULL)
		return;
	buf_release(&js->text);
	free(js);
}

static bool
is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void
set_problem(struct json_stream *js, const char *problem)
{
	if (js->problem != NULL)
		return;
	js->problem = problem;
	buf_release(&js->text);
}

static void
keep(struct json_stream *js, const char *bytes, size_t n)
{
	if (js->problem == NULL && js->state != REST && buf_add(&js->text, bytes, n) < 0)
		set_problem(js, js->too_long);
}

static int
emit(struct json_stream *js, uint64_t line, const char *problem)
{
	struct json_element element = { .line = line, .index = js->index++, .problem = problem };

	if (problem == NULL) {
		element.text = js->text.s;
		element.len = js->text.len;
	}
	return js->each(&element, js->arg);
}

/* The element, or what stood in its place, is over. */
static int
finish(struct json_stream *js)
{
	int result = 0;
	bool one_line = js->first_line == js->line;

	if (js->state == REST) {
		js->in_object = false;
		if (js->problem != NULL)
			result = emit(js, js->first_line, js->problem);
	} else {
		result = emit(js, js->first_line, js->problem);
		if (!js->in_list && js->problem == NULL && one_line)
			js->lines = true;
	}
	js->state = js->in_list ? LIST : BETWEEN;
	js->expect = COMMA_OR_END;
	js->problem = NULL;
	buf_clear(&js->text);
	return result;
}

/* A value of the top cannot be followed further. */
static int
give_up(struct json_stream *js, const char *problem, bool at_line_end)
{
	int result;

	set_problem(js, problem);
	result = finish(js);
	if (!js->lines)
		js->state = SKIP_TEXT;
	else if (!at_line_end)
		js->state = SKIP_LINE;
	return result;
}

static void
begin(struct json_stream *js)
{
	js->state = ELEMENT;
	js->first_line = js->line;
	js->depth = js->too_deep = 0;
	js->in_string = js->escaped = js->is_key = false;
	js->before = '\0';
}

static void
begin_list(struct json_stream *js)
{
	js->state = LIST;
	js->in_list = true;
	js->expect = ELEMENT_OR_END;
}

/* The array ends. */
static int
end_list(struct json_stream *js)
{
	int result = 0;

	if (js->expect == ELEMENT_ONLY)
		result = emit(js, js->line, "a comma before \"]\": expected an element after it");
	js->in_list = false;
	js->state = BETWEEN;
	if (js->in_object) {
		begin(js);
		js->state = REST;
		js->kinds[js->depth++] = '{';
		js->before = ']';
	}
	return result;
}

static void
open_bracket(struct json_stream *js, char c)
{
	if (js->depth < JSON_MAX_DEPTH && js->too_deep == 0) {
		js->kinds[js->depth++] = c;
		return;
	}
	js->too_deep++;
	set_problem(js, "nested deeper than 64");
}

/* Closes the innermost bracket of this kind, and those inside it that were left open.  False where
 * the element has none open. */
static bool
close_bracket(struct json_stream *js, char c)
{
	char kind = c == '}' ? '{' : '[';
	size_t depth = js->depth;

	if (js->too_deep > 0) {
		js->too_deep--;
		return true;
	}
	while (depth > 0 && js->kinds[depth - 1] != kind)
		depth--;
	if (depth == 0)
		return false;
	if (depth != js->depth)
		set_problem(js, "brackets do not match");
	js->depth = depth - 1;
	return true;
}

/* A '{' can stand at the start, behind ':' and '[', and behind a ',' in an array. */
static bool
may_open_object(const struct json_stream *js)
{
	switch (js->before) {
	case '\0':
	case ':':
	case '[':
		return true;
	case ',':
		return js->depth == 0 || js->kinds[js->depth - 1] == '[';
	default:
		return false;
	}
}

/* True at a key of the outermost object of a value of the top. */
static bool
at_outer_key(const struct json_stream *js)
{
	return !js->in_list && js->depth == 1 && js->too_deep == 0 && js->kinds[0] == '{' &&
	    (js->before == '{' || js->before == ',');
}

static int
string_byte(struct json_stream *js, char c)
{
	keep(js, &c, 1);
	if (c == '\n') {
		/* Strings hold no line breaks: the quote that is missing was meant before. */
		js->in_string = js->escaped = false;
		js->before = '"';
		if (!js->in_list && js->state == ELEMENT)
			return give_up(js, "line break in a string", true);
		set_problem(js, "line break in a string");
	} else if (js->escaped) {
		js->escaped = false;
		js->is_key = false;
	} else if (c == '\\') {
		js->escaped = true;
	} else if (c == '"') {
		js->in_string = false;
		js->before = '"';
		js->is_key = js->is_key && js->key_match == sizeof list_key - 1;
		if (js->depth == 0)
			return finish(js);
	}
	return 0;
}

/* "messages" in the outermost object turned out to be an array. */
static void
enter_messages(struct json_stream *js)
{
	if (js->state == REST) {
		set_problem(js, "\"messages\" occurs twice in its object");
		open_bracket(js, '[');
		return;
	}
	buf_clear(&js->text);
	js->problem = NULL;
	js->in_object = true;
	begin_list(js);
}

static int list_byte(struct json_stream *js, char c);

static int
closing_byte(struct json_stream *js, char c)
{
	int result;

	if (close_bracket(js, c)) {
		if (js->depth > 0 || js->too_deep > 0)
			return 0;
		return finish(js);
	}
	if (js->state == ELEMENT && js->in_list && c == ']') {
		/* It is the list's own, and the element's are missing (or it is a scalar). */
		if (js->depth > 0)
			set_problem(js, "brackets do not match");
		result = finish(js);
		return result != 0 ? result : list_byte(js, c);
	}
	if (!js->in_list && js->state == ELEMENT)
		return give_up(js, "brackets do not match", false);
	set_problem(js, "brackets do not match");
	return 0;
}

static int
element_byte(struct json_stream *js, char c)
{
	bool scalar = js->depth == 0 && js->before != '\0';
	bool was_key = js->is_key;
	int result;

	if (is_space(c)) {
		if (scalar)
			return finish(js);
		keep(js, &c, 1);
		if (c == '\n' && js->lines && !js->in_list && js->state == ELEMENT)
			return give_up(js, "not complete at the end of its line", true);
		return 0;
	}
	if (scalar && c == ',') {
		result = finish(js);
		return result != 0 ? result : list_byte(js, c);
	}
	if (c == ']' || c == '}') {
		if (!scalar)
			keep(js, &c, 1);
		js->before = c;
		return closing_byte(js, c);
	}
	keep(js, &c, 1);
	js->is_key = false;
	if (c == '"') {
		js->in_string = true;
		js->is_key = at_outer_key(js);
		js->key_match = 0;
	} else if (c == ':') {
		js->is_key = was_key;
	} else if (c == '[' && was_key && js->before == ':') {
		enter_messages(js);
	} else if (c == '{' || c == '[') {
		open_bracket(js, c);
	}
	js->before = c;
	return 0;
}

static int
list_byte(struct json_stream *js, char c)
{
	bool missing_comma = js->expect == COMMA_OR_END;

	if (is_space(c))
		return 0;
	switch (c) {
	case ']':
		return end_list(js);
	case ',':
		if (js->expect == COMMA_OR_END) {
			js->expect = ELEMENT_ONLY;
			return 0;
		}
		js->expect = ELEMENT_ONLY;
		return emit(js, js->line, "expected an element before \",\"");
	case '}':
	case ':':
		return emit(js, js->line, "expected an element, \",\" or \"]\"");
	default:
		begin(js);
		if (missing_comma)
			set_problem(js, "expected \",\" before this element");
		return element_byte(js, c);
	}
}

static int
between_byte(struct json_stream *js, char c)
{
	if (is_space(c))
		return 0;
	if (c == '[') {
		begin_list(js);
		return 0;
	}
	begin(js);
	if (c == '{')
		return element_byte(js, c);
	return give_up(js, "expected \"{\" or \"[\"", false);
}

static int
step(struct json_stream *js, char c)
{
	int result;

	switch (js->state) {
	case BETWEEN:
		return between_byte(js, c);
	case SKIP_LINE:
		if (c == '\n')
			js->state = BETWEEN;
		return 0;
	case SKIP_TEXT:
		if (!js->at_start || (c != '{' && c != '['))
			return 0;
		return between_byte(js, c);
	case LIST:
		return list_byte(js, c);
	default:
		break;
	}
	if (js->in_string)
		return string_byte(js, c);
	if (c == '{' && js->fresh && !js->in_list && js->state == ELEMENT && !may_open_object(js)) {
		/* A line that begins another value, while this one was never closed. */
		result = give_up(js, "not complete when the next begins", false);
		return result != 0 ? result : between_byte(js, c);
	}
	return element_byte(js, c);
}

/* How many of n bytes are nothing but the inside of a string. */
static size_t
plain(const char *p, size_t n)
{
	size_t i = 0;

	while (i < n && p[i] != '"' && p[i] != '\\' && p[i] != '\n')
		i++;
	return i;
}

static void
match_key(struct json_stream *js, const char *bytes, size_t n)
{
	size_t left = sizeof list_key - 1 - js->key_match;

	if (n > left || memcmp(list_key + js->key_match, bytes, n) != 0)
		js->is_key = false;
	else
		js->key_match += n;
}

int
json_stream_feed(struct json_stream *js, const void *bytes, size_t n)
{
	static const char mark[] = "\xef\xbb\xbf"; /* a byte order mark may stand first */
	const char *p = bytes;
	size_t run;

	for (size_t i = 0; i < n; i++) {
		int result;

		if (js->in_string && !js->escaped && (js->state == ELEMENT || js->state == REST)) {
			run = plain(p + i, n - i);
			keep(js, p + i, run);
			if (js->is_key && run > 0)
				match_key(js, p + i, run);
			i += run;
			if (i == n)
				break;
		}
		if (js->bom < 3 && p[i] == mark[js->bom]) {
			js->bom++;
			continue;
		}
		js->bom = 3;
		result = step(js, p[i]);
		if (result != 0)
			return result;
		js->at_start = p[i] == '\n';
		js->fresh = js->at_start || (js->fresh && is_space(p[i]));
		js->line += js->at_start;
	}
	return 0;
}

int
json_stream_end(struct json_stream *js)
{
	switch (js->state) {
	case LIST:
		return emit(js, js->line, "the input ends before the \"]\" of its array");
	case REST:
		js->problem = "the input ends before the \"}\" after its messages";
		return finish(js);
	case ELEMENT:
		set_problem(js, "the input ends inside this element");
		return finish(js);
	default:
		return 0;
	}
}
