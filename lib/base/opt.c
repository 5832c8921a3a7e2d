#include "base/opt.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/num.h"

/* getopt_long's values: the table's entries from FIRST on, and the two that each program has. */
enum { VALUE_HELP = 1000, VALUE_VERSION, VALUE_FIRST };

#define HELP_COLUMN 28 /* where the texts begin, unless the option is longer */

void
opt_list_release(struct opt_list *list)
{
	free(list->v);
	*list = (struct opt_list){ 0 };
}

static void
list_add(struct opt_list *list, const char *text)
{
	list->v = xreallocarray(list->v, list->n + 1, sizeof *list->v);
	list->v[list->n++] = text;
}

/* "--spool", or "-i" for one that has no long name. */
static const char *
opt_name(const struct opt *o, char text[64])
{
	if (o->name != NULL)
		snprintf(text, 64, "--%s", o->name);
	else
		snprintf(text, 64, "-%c", o->letter);
	return text;
}

static int
store_int(const struct opt *o, const char *arg, int64_t *member, struct err *err)
{
	char name[64];
	uint64_t number;

	if (num_u64(arg, (uint64_t)o->min, (uint64_t)o->max, &number) == 0) {
		*member = (int64_t)number;
		return 0;
	}
	if (o->max == INT64_MAX)
		return err_set(err, EX_USAGE, "%s: expected a whole number from %lld, not '%s'",
		    opt_name(o, name), (long long)o->min, arg);
	return err_set(err, EX_USAGE, "%s: expected a whole number from %lld to %lld, not '%s'",
	    opt_name(o, name), (long long)o->min, (long long)o->max, arg);
}

static int
store_duration(const struct opt *o, const char *arg, int64_t *member, struct err *err)
{
	char name[64], min[CLOCK_TEXT_SIZE], max[CLOCK_TEXT_SIZE];
	int64_t span;

	if (num_duration(arg, &span) < 0)
		return err_set(err, EX_USAGE,
		    "%s: expected a duration such as 90s, 5m or 2h, not '%s'", opt_name(o, name),
		    arg);
	if (o->max > 0 && (span < o->min || span > o->max))
		return err_set(err, EX_USAGE, "%s: expected a duration from %s to %s, not '%s'",
		    opt_name(o, name), clock_span(o->min, min), clock_span(o->max, max), arg);
	*member = span;
	return 0;
}

static int
store(const struct opt *o, const char *arg, void *options, struct err *err)
{
	void *member = (char *)options + o->offset;
	char name[64];

	switch (o->kind) {
	case OPT_FLAG:
		*(bool *)member = true;
		return 0;
	case OPT_COUNT:
		++*(int *)member;
		return 0;
	case OPT_STRING:
		*(const char **)member = arg;
		return 0;
	case OPT_LIST:
		list_add(member, arg);
		return 0;
	case OPT_INT:
		return store_int(o, arg, member, err);
	case OPT_DURATION:
		return store_duration(o, arg, member, err);
	case OPT_CALL:
		if (o->call(options, arg, err) == 0)
			return 0;
		return err_prefix(err, "%s", opt_name(o, name));
	}
	return 0;
}

/* The two forms of the table that getopt_long wants. */
struct getopt_tables {
	char *letters;
	struct option *names;
};

static void
tables_release(struct getopt_tables *t)
{
	free(t->letters);
	free(t->names);
}

static void
tables_make(const struct opt_program *p, struct getopt_tables *t)
{
	size_t letters = 0, names = 0;

	t->letters = xcalloc(3 * p->n_options + 3, 1);
	t->names = xcalloc(p->n_options + 3, sizeof *t->names);
	if (p->first_ends)
		t->letters[letters++] = '+';
	t->letters[letters++] = ':'; /* a missing argument is told from an unknown option */
	for (size_t i = 0; i < p->n_options; i++) {
		const struct opt *o = &p->options[i];
		int has_arg = o->arg == NULL ? no_argument :
		    *o->arg == '['	     ? optional_argument :
					       required_argument;

		if (o->letter != 0) {
			t->letters[letters++] = o->letter;
			for (int colons = has_arg; colons > 0; colons--)
				t->letters[letters++] = ':';
		}
		if (o->name != NULL)
			t->names[names++] =
			    (struct option){ o->name, has_arg, NULL, VALUE_FIRST + (int)i };
	}
	t->names[names++] = (struct option){ "help", no_argument, NULL, VALUE_HELP };
	t->names[names++] = (struct option){ "version", no_argument, NULL, VALUE_VERSION };
}

static const struct opt *
find_option(const struct opt_program *p, int value)
{
	if (value >= VALUE_FIRST && value < VALUE_FIRST + (int)p->n_options)
		return &p->options[value - VALUE_FIRST];
	for (size_t i = 0; i < p->n_options; i++) {
		if (value != 0 && p->options[i].letter == value)
			return &p->options[i];
	}
	return NULL;
}

/* "unknown option --x", or "ambiguous option --x: --xa, --xb". */
static int
fail_name(const struct opt_program *p, const char *word, int length, struct err *err)
{
	static const char *const general[] = { "help", "version" };
	AUTO_BUF struct buf matches = BUF_INIT(400);
	size_t n = length > 2 && strncmp(word, "--", 2) == 0 ? (size_t)length - 2 : 0;

	for (size_t i = 0; n > 0 && i < p->n_options + 2; i++) {
		const char *name =
		    i < p->n_options ? p->options[i].name : general[i - p->n_options];

		if (name != NULL && strncmp(name, word + 2, n) == 0 &&
		    buf_addf(&matches, "%s--%s", matches.len > 0 ? ", " : "", name) < 0)
			break;
	}
	if (matches.len > 0)
		return err_set(err, EX_USAGE, "ambiguous option %.*s: %s", length, word, matches.s);
	return err_set(err, EX_USAGE, "unknown option %.*s", length, word);
}

/* getopt_long returned '?' or ':'; word is the argument that it has just passed: a long option's
 * own, while it names a letter in optopt. */
static int
fail_option(const struct opt_program *p, int value, const char *word, struct err *err)
{
	const struct opt *o = find_option(p, optopt);
	int length = (int)strcspn(word, "=");
	char name[64];

	if (value == ':' && o != NULL)
		return err_set(err, EX_USAGE, "%s: expected an argument (%s)", opt_name(o, name),
		    o->arg);
	if (optopt >= VALUE_HELP)
		return err_set(err, EX_USAGE, "%.*s takes no argument", length, word);
	if (optopt != 0)
		return err_set(err, EX_USAGE, "unknown option -%c", optopt);
	return fail_name(p, word, length, err);
}

/* How many words stand behind the "--" that comes next, if only operands come before it; else 0.  To be
 * asked before getopt passes it: getopt moves words, and a "--" may be an option's argument too. */
static int
behind_dashes(int argc, char **argv, int at)
{
	while (at < argc && (argv[at][0] != '-' || argv[at][1] == '\0'))
		at++;
	return at < argc && strcmp(argv[at], "--") == 0 ? argc - at - 1 : 0;
}

/* Takes the "--" out that getopt left among the operands, as the first of them had ended the options. */
static void
drop_dashes(struct opt_rest *rest)
{
	int at = rest->argc - rest->literal - 1;

	if (at < 0 || strcmp(rest->argv[at], "--") != 0)
		return;
	memmove(rest->argv + at, rest->argv + at + 1, (size_t)rest->literal * sizeof *rest->argv);
	rest->argc--;
}

/* True if word is among the words of list, apart by spaces. */
static bool
word_in(const char *list, const char *word)
{
	size_t n = strlen(word);

	for (const char *at = list; (at = strstr(at, word)) != NULL; at++) {
		if ((at == list || at[-1] == ' ') && (at[n] == ' ' || at[n] == '\0'))
			return true;
	}
	return false;
}

static int
take_command(const struct opt_program *p, const bool *used, struct opt_rest *rest, struct err *err)
{
	char name[64];
	size_t i;

	if (p->commands == NULL)
		return 0;
	if (rest->argc > 0) {
		for (i = 0; i < p->n_commands; i++) {
			if (strcmp(p->commands[i].name, rest->argv[0]) == 0)
				break;
		}
		if (i == p->n_commands)
			return err_set(err, EX_USAGE, "unknown command '%s'", rest->argv[0]);
		rest->command = p->commands[i].name;
		rest->argv++;
		rest->argc--;
		if (rest->literal > rest->argc)
			rest->literal = rest->argc;
	}
	for (i = 0; i < p->n_options; i++) {
		const struct opt *o = &p->options[i];

		if (!used[i] || o->only == NULL)
			continue;
		if (rest->command == NULL)
			return err_set(err, EX_USAGE, "%s needs a command (%s)", opt_name(o, name),
			    o->only);
		if (!word_in(o->only, rest->command))
			return err_set(err, EX_USAGE,
			    "%s cannot be combined with '%s' (only with: %s)", opt_name(o, name),
			    rest->command, o->only);
	}
	return 0;
}

int
opt_parse(const struct opt_program *p, int argc, char **argv, void *options,
    struct opt_rest *ret_rest, struct err *err)
{
	AUTO(tables_release) struct getopt_tables t = { 0 };
	AUTO_FREE bool *used = xcalloc(p->n_options, sizeof *used);
	struct opt_rest rest = { 0 };
	int value;

	tables_make(p, &t);
	opterr = 0;
	optind = 0; /* getopt starts anew, and reads its environment again */
	for (;;) {
		const struct opt *o;

		rest.literal = behind_dashes(argc, argv, optind > 0 ? optind : 1);
		value = getopt_long(argc, argv, t.letters, t.names, NULL);
		if (value == -1)
			break;
		if (value == VALUE_HELP)
			return OPT_HELP;
		if (value == VALUE_VERSION)
			return OPT_VERSION;
		if (value == '?' || value == ':')
			return fail_option(p, value, argv[optind - 1], err);
		o = find_option(p, value);
		used[o - p->options] = true;
		if (store(o, optarg, options, err) < 0)
			return -1;
	}
	rest.argc = argc - optind;
	rest.argv = argv + optind;
	drop_dashes(&rest);
	if (take_command(p, used, &rest, err) < 0)
		return -1;
	*ret_rest = rest;
	return OPT_RUN;
}

/* "LEFT     text", the text in its column or two spaces behind. */
static void
help_line(struct buf *b, const char *left, const char *text)
{
	int pad = HELP_COLUMN - 2 - (int)strlen(left);

	buf_addf(b, "  %s%*s%s\n", left, pad > 2 ? pad : 2, "", text);
}

static void
help_option(struct buf *b, const struct opt *o)
{
	char left[160], letter[8] = "    ";
	const char *arg = o->arg != NULL ? o->arg : "";
	/* "--json[=FILE]", "-q[WHAT]": after a blank it would be another argument. */
	bool optional = *arg == '[';
	const char *between = *arg == '\0' ? "" : !optional ? " " : o->name != NULL ? "[=" : "[";

	if (o->letter != 0)
		snprintf(letter, sizeof letter, o->name != NULL ? "-%c, " : "-%c", o->letter);
	snprintf(left, sizeof left, "%s%s%s%s%s", letter, o->name != NULL ? "--" : "",
	    o->name != NULL ? o->name : "", between, arg + optional);
	help_line(b, left, o->help);
}

void
opt_help(const struct opt_program *p, struct buf *b)
{
	static const struct opt always[] = {
		{ .name = "help", .help = "print this and exit" },
		{ .name = "version", .help = "print the version and exit" },
	};
	const char *line = p->synopsis;
	char left[160];

	for (const char *label = "Usage:"; line != NULL; label = "      ") {
		size_t n = strcspn(line, "\n");

		buf_addf(b, "%s %s%s%.*s\n", label, p->name, n > 0 ? " " : "", (int)n, line);
		line = line[n] == '\n' ? line + n + 1 : NULL;
	}
	buf_addf(b, "%s\n", p->purpose);
	if (p->n_commands > 0)
		buf_adds(b, "\nCommands:\n");
	for (size_t i = 0; i < p->n_commands; i++) {
		const struct opt_command *c = &p->commands[i];

		snprintf(left, sizeof left, "%s%s%s", c->name, c->args != NULL ? " " : "",
		    c->args != NULL ? c->args : "");
		help_line(b, left, c->help);
	}
	buf_adds(b, "\nOptions:\n");
	for (size_t i = 0; i < p->n_options; i++) {
		if (p->options[i].help != NULL)
			help_option(b, &p->options[i]);
	}
	help_option(b, &always[0]);
	help_option(b, &always[1]);
	if (p->notes != NULL)
		buf_addf(b, "\n%s\n", p->notes);
}
