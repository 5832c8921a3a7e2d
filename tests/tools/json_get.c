/*
 * json_get [-lps] NAME EXPRESSION [FILE]: a value out of JSON, for shell tests, without the start of an
 * interpreter.  NAME stands for the JSON of FILE (or of the standard input).  EXPRESSION is of the part of
 * Python that such looks consist of:
 *
 *	a["messages"][0]["id"]     a["list"][-1]     a.get("next")     a.get("next", "")
 *	len(a["events"])           "text"            12
 *	[a["ok"], a["id"]]         (a["ok"], a["id"])
 *	[m["id"] for m in a["messages"]]             [a[k] for k in ("x", "y")]
 *
 * A string is printed as it is, all else as JSON.  Exits 2 where the expression is of another form: the
 * caller asks Python (json_look in tests/helpers/common.bash); 1 where there is no such value, or no JSON.
 *
 * -l  each line of FILE is a JSON text; one value a line
 * -p  true, false and null as Python prints them; arrays and objects are of another form
 * -s  with a blank behind commas and colons
 */
#include <ctype.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/json.h"

#define EXIT_OTHER_FORM 2
#define VARIABLES 4
#define OUT_MAX ((size_t)64 << 20)

struct value {
	enum { NODE, STRING, NUMBER, WRITTEN } kind;
	const struct json *node; /* NODE */
	char text[256];		 /* STRING, of the expression itself */
	int64_t number;
	/* WRITTEN: an array, which was put out */
};

struct variable {
	char name[32];
	struct value value;
};

struct look {
	const char *p;
	struct variable variables[VARIABLES];
	size_t count;
	bool dry; /* the expression is only passed over */
	bool spaced, printed;
	struct buf out;
};

static void
other_form(void)
{
	exit(EXIT_OTHER_FORM);
}

static void
fail(const char *what)
{
	fprintf(stderr, "json_get: %s\n", what);
	exit(1);
}

/* ---- the expression's signs ------------------------------------------------------------------- */

static void
skip_blanks(struct look *l)
{
	l->p += strspn(l->p, " \t\n");
}

static bool
take(struct look *l, const char *sign)
{
	size_t n = strlen(sign);

	skip_blanks(l);
	if (strncmp(l->p, sign, n) != 0 ||
	    (isalpha((unsigned char)sign[n - 1]) &&
		(isalnum((unsigned char)l->p[n]) || l->p[n] == '_')))
		return false;
	l->p += n;
	return true;
}

static void
need(struct look *l, const char *sign)
{
	if (!take(l, sign))
		other_form();
}

static void
take_name(struct look *l, char *ret, size_t size)
{
	size_t n = 0;

	skip_blanks(l);
	while (isalnum((unsigned char)l->p[n]) || l->p[n] == '_')
		n++;
	if (n == 0 || n >= size)
		other_form();
	snprintf(ret, size, "%.*s", (int)n, l->p);
	l->p += n;
}

/* ---- output ----------------------------------------------------------------------------------- */

static void
put_string(struct look *l, const char *text)
{
	struct json_writer w = JSON_WRITER(&l->out);

	json_put_str(&w, text);
}

static void
put_node(struct look *l, const struct json *node)
{
	struct json_iter it = JSON_ITER_INIT;
	struct json_writer w = JSON_WRITER(&l->out);
	const struct json *member;
	const char *key;
	int64_t whole;
	double number;
	bool truth, first = true;

	if (node == NULL) {
		json_put_null(&w);
	} else if (json_string(node) != NULL) {
		put_string(l, json_string(node));
	} else if (json_to_int(node, &whole) == 0) {
		json_put_int(&w, whole);
	} else if (json_to_double(node, &number) == 0) {
		json_put_double(&w, number);
	} else if (json_to_bool(node, &truth) == 0) {
		json_put_bool(&w, truth);
	} else if (json_kind(node) == JSON_ARRAY) {
		buf_addc(&l->out, '[');
		for (size_t i = 0; i < json_length(node); i++) {
			buf_adds(&l->out, i == 0 ? "" : l->spaced ? ", " : ",");
			put_node(l, json_at(node, i));
		}
		buf_addc(&l->out, ']');
	} else if (json_kind(node) == JSON_OBJECT) {
		buf_addc(&l->out, '{');
		for (; json_next(node, &it, &key, &member); first = false) {
			buf_adds(&l->out, first ? "" : l->spaced ? ", " : ",");
			put_string(l, key);
			buf_adds(&l->out, l->spaced ? ": " : ":");
			put_node(l, member);
		}
		buf_addc(&l->out, '}');
	} else {
		json_put_null(&w);
	}
}

static void
put_value(struct look *l, const struct value *value)
{
	if (l->dry || value->kind == WRITTEN)
		return;
	if (value->kind == NODE)
		put_node(l, value->node);
	else if (value->kind == STRING)
		put_string(l, value->text);
	else
		buf_addf(&l->out, "%" PRId64, value->number);
}

/* The value of the whole expression, which is no array. */
static void
print_value(struct look *l, const struct value *value)
{
	const struct json *node = value->kind == NODE ? value->node : NULL;
	const char *text = value->kind == STRING ? value->text : NULL;
	bool truth = false;

	if (node != NULL)
		text = json_string(node);

	if (text != NULL)
		buf_adds(&l->out, text);
	else if (!l->printed || value->kind != NODE)
		put_value(l, value);
	else if (node == NULL || json_kind(node) == JSON_NULL)
		buf_adds(&l->out, "None");
	else if (json_to_bool(node, &truth) == 0)
		buf_adds(&l->out, truth ? "True" : "False");
	else if (json_kind(node) == JSON_INT)
		put_value(l, value);
	else
		other_form();
}

/* ---- evaluation --------------------------------------------------------------------------------- */

static struct value evaluate(struct look *l);

static struct value
string_literal(struct look *l)
{
	struct value value = { .kind = STRING };
	char quote = *l->p++;
	size_t n = strcspn(l->p, quote == '"' ? "\"\\" : "'\\");

	if (l->p[n] != quote || n >= sizeof value.text)
		other_form();
	snprintf(value.text, sizeof value.text, "%.*s", (int)n, l->p);
	l->p += n + 1;
	return value;
}

static struct value
member(struct look *l, const struct value *of, const struct value *key,
    const struct value *otherwise)
{
	struct value found = { .kind = NODE };
	const char *name = key->kind == STRING ? key->text : NULL;
	int64_t i = key->number;

	if (l->dry)
		return found;
	if (of->kind != NODE || of->node == NULL)
		other_form();
	if (key->kind == NODE)
		name = json_string(key->node);
	if (name != NULL) {
		found.node = json_get(of->node, name);
	} else if (key->kind == NUMBER && json_kind(of->node) == JSON_ARRAY) {
		i += i < 0 ? (int64_t)json_length(of->node) : 0;
		found.node = i < 0 ? NULL : json_at(of->node, (size_t)i);
	} else {
		other_form();
	}
	if (found.node == NULL && otherwise != NULL)
		return *otherwise;
	if (found.node == NULL)
		fail("no such value");
	return found;
}

static struct value
path(struct look *l)
{
	struct value value = { .kind = NODE };
	char name[32];
	size_t i = l->count;

	take_name(l, name, sizeof name);
	while (i > 0 && strcmp(l->variables[i - 1].name, name) != 0)
		i--;
	if (i > 0)
		value = l->variables[i - 1].value;
	else if (!l->dry)
		other_form();
	for (;;) {
		struct value key, otherwise = { .kind = NODE };

		if (take(l, "[")) {
			key = evaluate(l);
			need(l, "]");
			value = member(l, &value, &key, NULL);
		} else if (take(l, ".get(")) {
			key = evaluate(l);
			if (take(l, ","))
				otherwise = evaluate(l);
			need(l, ")");
			value = member(l, &value, &key, &otherwise);
		} else {
			return value;
		}
	}
}

/* Behind "[BODY for": binds the name to each element, and goes back to the body. */
static void
comprehension(struct look *l, const char *body)
{
	struct variable *variable = &l->variables[l->count];
	char name[32];
	struct value source = { .kind = NODE };
	const char *list = NULL, *end;
	size_t n = 0;

	take_name(l, name, sizeof name);
	need(l, "in");
	skip_blanks(l);
	if (*l->p == '(') {
		bool dry = l->dry;

		list = ++l->p;
		l->dry = true;
		do {
			evaluate(l);
			n++;
		} while (take(l, ","));
		l->dry = dry;
		need(l, ")");
	} else {
		source = path(l);
		n = source.node != NULL ? json_length(source.node) : 0;
		if (source.node != NULL && json_kind(source.node) != JSON_ARRAY)
			other_form();
	}
	need(l, "]");
	end = l->p;
	if (l->dry || l->count == VARIABLES) {
		if (!l->dry)
			other_form();
		return;
	}
	snprintf(variable->name, sizeof variable->name, "%s", name);
	for (size_t i = 0; i < n; i++) {
		struct value value = { .kind = NODE };

		if (list != NULL) {
			l->p = list;
			value = evaluate(l);
			need(l, i + 1 < n ? "," : ")");
			list = l->p;
		} else {
			value.node = json_at(source.node, i);
		}
		variable->value = value;
		l->count++;
		buf_adds(&l->out, i == 0 ? "" : l->spaced ? ", " : ",");
		l->p = body;
		value = evaluate(l);
		put_value(l, &value);
		l->count--;
	}
	l->p = end;
}

/* At "[" or "(", which is passed. */
static struct value
array(struct look *l, const char *end)
{
	struct value value, written = { .kind = WRITTEN };
	const char *body = l->p;
	bool dry = l->dry;

	if (!dry)
		buf_addc(&l->out, '[');
	if (!take(l, end)) {
		/* Which of the two forms it is shows behind the first value. */
		l->dry = true;
		evaluate(l);
		l->dry = dry;
		if (*end == ']' && take(l, "for")) {
			comprehension(l, body);
		} else {
			size_t i = 0;

			l->p = body;
			do {
				if (i > 0 && take(l, end)) {
					l->p -= strlen(end);
					break;
				}
				if (!dry && i > 0)
					buf_adds(&l->out, l->spaced ? ", " : ",");
				value = evaluate(l);
				put_value(l, &value);
				i++;
			} while (take(l, ","));
			need(l, end);
			if (*end == ')' && i == 1) /* parentheses alone */
				other_form();
		}
	}
	if (!dry)
		buf_addc(&l->out, ']');
	return written;
}

static struct value
evaluate(struct look *l)
{
	struct value value = { .kind = NUMBER };
	char *end;

	skip_blanks(l);
	if (*l->p == '"' || *l->p == '\'')
		return string_literal(l);
	if (isdigit((unsigned char)*l->p) || *l->p == '-') {
		value.number = strtoll(l->p, &end, 10);
		if (end == l->p || *end == '.')
			other_form();
		l->p = end;
		return value;
	}
	if (take(l, "["))
		return array(l, "]");
	if (take(l, "("))
		return array(l, ")");
	if (take(l, "len(")) {
		struct value of = path(l);

		need(l, ")");
		if (!l->dry && (of.kind != NODE || json_string(of.node) != NULL))
			other_form();
		value.number = l->dry ? 0 : (int64_t)json_length(of.node);
		return value;
	}
	return path(l);
}

static void
look_at(struct look *l, const char *expression, const char *text, size_t n, uint64_t line)
{
	struct err err = ERR_INIT;
	AUTO_JSON struct json *root = json_parse(text, n, line, &err);
	struct value value;

	if (root == NULL)
		fail(err.msg);
	l->variables[0].value = (struct value){ .kind = NODE, .node = root };
	l->count = 1;
	l->p = expression;
	value = evaluate(l);
	skip_blanks(l);
	if (*l->p != '\0' || (l->printed && value.kind == WRITTEN))
		other_form();
	if (value.kind != WRITTEN)
		print_value(l, &value);
	buf_addc(&l->out, '\n');
}

int
main(int argc, char **argv)
{
	struct look l = { .out = BUF_INIT(OUT_MAX) };
	AUTO_BUF struct buf text = BUF_INIT(OUT_MAX);
	bool lines = false;
	uint64_t line = 1;
	int c, fd = STDIN_FILENO;

	while ((c = getopt(argc, argv, "lps")) != -1) {
		lines |= c == 'l';
		l.printed |= c == 'p';
		l.spaced |= c == 's';
	}
	if (argc - optind < 2)
		fail("usage: json_get [-lps] NAME EXPRESSION [FILE]");
	snprintf(l.variables[0].name, sizeof l.variables[0].name, "%s", argv[optind]);
	if (argc - optind > 2 && (fd = open(argv[optind + 2], O_RDONLY | O_CLOEXEC)) < 0)
		fail(argv[optind + 2]);
	if (fs_read_all(fd, &text) < 0)
		fail("cannot read");
	for (const char *p = text.s, *end = text.s + text.len; p < end; line++) {
		const char *newline = lines ? memchr(p, '\n', (size_t)(end - p)) : NULL;
		size_t n = (size_t)((newline != NULL ? newline : end) - p);

		look_at(&l, argv[optind + 1], p, n, line);
		p += n + (newline != NULL);
	}
	/* All at once: where the form is another one, nothing was printed. */
	fwrite(l.out.s, 1, l.out.len, stdout);
	buf_release(&l.out);
	return fflush(stdout) == 0 ? 0 : 1;
}
