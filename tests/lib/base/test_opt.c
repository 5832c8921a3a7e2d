#include "unit.h"

#include "base/clock.h"
#include "base/opt.h"

struct options {
	struct opt_common common;
	bool flag;
	int64_t number;
	int64_t span;
	struct opt_list list;
	const char *maybe;
	bool maybe_given;
	const char *only_add;
};

static int
take_maybe(void *options, const char *arg, struct err *err)
{
	struct options *o = options;

	if (arg != NULL && strcmp(arg, "bad") == 0)
		return err_set(err, EX_USAGE, "not this");
	o->maybe = arg;
	o->maybe_given = true;
	return 0;
}

#define O(member) OPT_AT(struct options, member)
static const struct opt table[] = {
	OPT_COMMON,
	{ 'f', "flag", NULL, "set the flag", OPT_FLAG, O(flag) },
	{ 'n', "number", "N", "a number", OPT_INT, O(number), .min = 1, .max = 9 },
	{ 0, "big", "N", "another", OPT_INT, O(number), .min = 0, .max = INT64_MAX },
	{ 0, "span", "TIME", "a span", OPT_DURATION, O(span), .min = USEC, .max = 60 * USEC },
	{ 'l', "list", "X", "repeat", OPT_LIST, O(list) },
	{ 0, "maybe", "[X]", "optional", OPT_CALL, .call = take_maybe },
	{ 'i', NULL, NULL, NULL, OPT_FLAG, O(flag) },
	{ 0, "only-add", "X", "with add", OPT_STRING, O(only_add), .only = "add adder" },
};
static const struct opt_command commands[] = {
	{ "add", "ID...", "adds" },
	{ "list", NULL, "lists" },
};
static const struct opt_program plain = {
	.name = "mailq-x",
	.synopsis = "[OPTION...] FILE...\n--list X",
	.purpose = "Do it.",
	.options = table,
	.n_options = sizeof table / sizeof *table,
};
static const struct opt_program with_commands = {
	.name = "mailq-y",
	.synopsis = "[COMMAND]",
	.purpose = "Do that.",
	.options = table,
	.n_options = sizeof table / sizeof *table,
	.commands = commands,
	.n_commands = 2,
	.notes = "A note.",
};

/* Parses words apart by spaces; what is left is in *rest, and valid until the next call. */
static int
parse(const struct opt_program *program, const char *line, struct options *o, struct opt_rest *rest,
    struct err *err)
{
	static char text[200];
	static char *argv[20];
	char *at = text;
	int argc = 0;

	memset(o, 0, sizeof *o);
	*err = (struct err)ERR_INIT;
	snprintf(text, sizeof text, "x %s", line);
	while ((argv[argc] = strsep(&at, " ")) != NULL)
		argc++;
	return opt_parse(program, argc, argv, o, rest, err);
}

TEST(opt_fills_members)
{
	struct options o;
	struct opt_rest rest;
	struct err err;

	CHECK_INT(parse(&plain,
		      "one -fvv --number 7 -c conf -la two --list=b --spool=/s --span 30s "
		      "-- -q",
		      &o, &rest, &err),
	    OPT_RUN);
	CHECK_STR(err.msg, "");
	CHECK(o.flag);
	CHECK(!o.common.quiet);
	CHECK_INT(o.common.verbose, 2);
	CHECK_INT(o.number, 7);
	CHECK_STR(o.common.config, "conf");
	CHECK_STR(o.common.spool, "/s");
	CHECK_INT(o.span, 30 * USEC);
	CHECK_INT(o.list.n, 2);
	CHECK_STR(o.list.v[0], "a");
	CHECK_STR(o.list.v[1], "b");
	CHECK_INT(rest.argc, 3);
	CHECK_STR(rest.argv[0], "one");
	CHECK_STR(rest.argv[1], "two");
	CHECK_STR(rest.argv[2], "-q");
	CHECK(rest.command == NULL);
	opt_list_release(&o.list);
	CHECK_INT(o.list.n, 0);
}

static const struct opt_program operands_last = {
	.name = "mailq-z",
	.synopsis = "[OPTION...] FILE...",
	.purpose = "Do it so.",
	.options = table,
	.n_options = sizeof table / sizeof *table,
	.first_ends = true,
};

/* What is left, apart by spaces, and how much of it the user put behind "--". */
static const struct {
	const struct opt_program *program;
	const char *line, *left;
	int literal;
} dashes[] = {
	{ &plain, "a -f b", "a b", 0 },
	{ &plain, "-f -- a", "a", 1 },
	{ &plain, "a -f -- -b -- c", "a -b -- c", 3 },
	{ &plain, "a -- -b", "a -b", 1 },
	{ &plain, "-f --", "", 0 },
	{ &plain, "-- --", "--", 1 },
	{ &plain, "-l -- - a", "- a", 0 },
	{ &plain, "-l -- -- -a", "-a", 1 },
	{ &plain, "- -f", "-", 0 },
	{ &operands_last, "-f a b", "a b", 0 },
	{ &operands_last, "a -f b", "a -f b", 0 },
	{ &operands_last, "-f -- -a b", "-a b", 2 },
	{ &operands_last, "-f a b -- -c", "a b -c", 1 },
	{ &operands_last, "-l -- a -f", "a -f", 0 },
	{ &operands_last, "a -- b -- c", "a b -- c", 3 },
	{ &operands_last, "a -f -- b", "a -f -- b", 0 },
	{ &operands_last, "-l --", "", 0 },
	{ &with_commands, "-- list", "", 0 },
	{ &with_commands, "list -- -a", "-a", 1 },
};

TEST(opt_tells_what_stands_behind_dashes)
{
	AUTO_BUF struct buf left = BUF_INIT(200);
	struct options o;
	struct opt_rest rest;
	struct err err;

	for (size_t i = 0; i < sizeof dashes / sizeof *dashes; i++) {
		CHECK_INT(parse(dashes[i].program, dashes[i].line, &o, &rest, &err), OPT_RUN);
		opt_list_release(&o.list);
		buf_clear(&left);
		for (int at = 0; at < rest.argc; at++)
			buf_addf(&left, "%s%s", at > 0 ? " " : "", rest.argv[at]);
		CHECK_STR(left.s, dashes[i].left);
		CHECK_ROW(dashes[i].line, rest.literal == dashes[i].literal);
	}
}

TEST(opt_optional_argument_is_attached)
{
	struct options o;
	struct opt_rest rest;
	struct err err;

	CHECK_INT(parse(&plain, "--maybe x", &o, &rest, &err), OPT_RUN);
	CHECK(o.maybe_given);
	CHECK(o.maybe == NULL);
	CHECK_INT(rest.argc, 1);
	CHECK_INT(parse(&plain, "--maybe=x", &o, &rest, &err), OPT_RUN);
	CHECK_STR(o.maybe, "x");
	CHECK_INT(rest.argc, 0);
}

TEST(opt_commands)
{
	struct options o;
	struct opt_rest rest;
	struct err err;

	CHECK_INT(parse(&with_commands, "-f add --only-add=1 id", &o, &rest, &err), OPT_RUN);
	CHECK_STR(rest.command, "add");
	CHECK_STR(o.only_add, "1");
	CHECK_INT(rest.argc, 1);
	CHECK_STR(rest.argv[0], "id");
	CHECK_INT(parse(&with_commands, "-f", &o, &rest, &err), OPT_RUN);
	CHECK(rest.command == NULL);
}

TEST(opt_help_and_version_win)
{
	struct options o;
	struct opt_rest rest;
	struct err err;

	CHECK_INT(parse(&plain, "--help --nonsense", &o, &rest, &err), OPT_HELP);
	CHECK_INT(parse(&plain, "x --version", &o, &rest, &err), OPT_VERSION);
}

static const struct {
	const struct opt_program *program;
	const char *line, *message;
} misuse[] = {
	{ &plain, "--nonsense", "unknown option --nonsense" },
	{ &plain, "a --nonsense=3 b", "unknown option --nonsense" },
	{ &plain, "--sp=3", "ambiguous option --sp: --spool, --span" },
	{ &plain, "--ve", "ambiguous option --ve: --verbose, --version" },
	{ &plain, "-fz", "unknown option -z" },
	{ &plain, "-n", "--number: expected an argument (N)" },
	{ &plain, "x --number", "--number: expected an argument (N)" },
	{ &plain, "--number 10", "--number: expected a whole number from 1 to 9, not '10'" },
	{ &plain, "-n0", "--number: expected a whole number from 1 to 9, not '0'" },
	{ &plain, "-n -5", "--number: expected a whole number from 1 to 9, not '-5'" },
	{ &plain, "--big x", "--big: expected a whole number from 0, not 'x'" },
	{ &plain, "--span 5q", "--span: expected a duration such as 90s, 5m or 2h, not '5q'" },
	{ &plain, "--span 2m", "--span: expected a duration from 1s to 1m, not '2m'" },
	{ &plain, "--flag=x", "--flag takes no argument" },
	{ &plain, "--help=x", "--help takes no argument" },
	{ &plain, "--maybe=bad", "--maybe: not this" },
	{ &with_commands, "nonsense", "unknown command 'nonsense'" },
	{ &with_commands, "list --only-add x",
	    "--only-add cannot be combined with 'list' (only with: add adder)" },
	{ &with_commands, "--only-add x", "--only-add needs a command (add adder)" },
};

TEST(opt_misuse)
{
	struct options o;
	struct opt_rest rest;
	struct err err;

	for (size_t i = 0; i < sizeof misuse / sizeof *misuse; i++) {
		CHECK_INT(parse(misuse[i].program, misuse[i].line, &o, &rest, &err), -1);
		CHECK_STR(err.msg, misuse[i].message);
		CHECK_INT(err.code, EX_USAGE);
	}
}

TEST(opt_help_text)
{
	AUTO_BUF struct buf b = BUF_INIT(5000);

	opt_help(&with_commands, &b);
	CHECK_STR(b.s,
	    "Usage: mailq-y [COMMAND]\n"
	    "Do that.\n"
	    "\n"
	    "Commands:\n"
	    "  add ID...                 adds\n"
	    "  list                      lists\n"
	    "\n"
	    "Options:\n"
	    "  -c, --config FILE         read this configuration file\n"
	    "  -s, --spool DIR           use this spool\n"
	    "  -q, --quiet               print errors only\n"
	    "  -v, --verbose             say more on stderr; twice: everything\n"
	    "  -f, --flag                set the flag\n"
	    "  -n, --number N            a number\n"
	    "      --big N               another\n"
	    "      --span TIME           a span\n"
	    "  -l, --list X              repeat\n"
	    "      --maybe[=X]           optional\n"
	    "      --only-add X          with add\n"
	    "      --help                print this and exit\n"
	    "      --version             print the version and exit\n"
	    "\n"
	    "A note.\n");
	buf_clear(&b);
	opt_help(&plain, &b);
	CHECK(
	    strncmp(b.s, "Usage: mailq-x [OPTION...] FILE...\n       mailq-x --list X\nDo it.\n",
		strlen("Usage: mailq-x [OPTION...] FILE...\n       mailq-x --list X\nDo it.\n")) ==
	    0);
}

UNIT_MAIN()
