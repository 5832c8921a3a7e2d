/*
 * Command lines: a program describes itself in a table, and parsing, --help and --version follow
 * from that.  A value lands in a member of the program's own struct, which starts with a struct
 * opt_common:
 *
 *	struct list_options { struct opt_common common; const char *state; int64_t limit; };
 *	#define L(member) OPT_AT(struct list_options, member)
 *	static const struct opt table[] = {
 *		OPT_COMMON,
 *		{ .name = "state", .arg = "STATE", .help = "only this state", OPT_STRING, L(state) },
 *		{ 'n', "limit", "N", "at most N", OPT_INT, L(limit), .min = 1, .max = INT64_MAX },
 *	};
 *
 * Options may stand before, between and behind operands; "--" ends them.  Where first_ends is set, the
 * first operand ends them too.
 */
#ifndef BASE_OPT_H
#define BASE_OPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

enum opt_kind {
	OPT_FLAG,     /* bool: true */
	OPT_COUNT,    /* int: one more each time */
	OPT_STRING,   /* const char *: into argv; the last wins */
	OPT_LIST,     /* struct opt_list: each in turn */
	OPT_INT,      /* int64_t, min..max */
	OPT_DURATION, /* int64_t in microseconds, min..max where max > 0 */
	OPT_CALL,     /* the function call */
};

struct opt_list {
	const char **v; /* pointers into argv; the array is freed by opt_list_release */
	size_t n;
};
void opt_list_release(struct opt_list *list);

struct opt {
	char letter;	  /* 0: long only */
	const char *name; /* without dashes; NULL: letter only */
	const char *arg;  /* "DIR"; "[FILE]": may follow as --name=FILE or -xFILE; NULL: none */
	const char *help; /* NULL: accepted, not shown */
	enum opt_kind kind;
	size_t offset; /* of the member, see OPT_AT */
	int64_t min, max;
	const char *only; /* the commands it goes with, apart by spaces; NULL: all */
	/* For OPT_CALL: options is the program's struct, arg NULL where none was given.  An error's
	 * message gets the option's name before it. */
	int (*call)(void *options, const char *arg, struct err *err);
};
#define OPT_AT(type, member) .offset = offsetof(type, member)

struct opt_common {
	const char *config; /* NULL where not given */
	const char *spool;  /* NULL where not given */
	bool quiet;
	int verbose;
};
/* The entries -c, -s, -q, -v; --help and --version are always there. */
/* clang-format off */
#define OPT_COMMON                                                                                 \
	{ 'c', "config", "FILE", "read this configuration file", OPT_STRING,                       \
		OPT_AT(struct opt_common, config) },                                               \
	    { 's', "spool", "DIR", "use this spool", OPT_STRING,                                   \
		    OPT_AT(struct opt_common, spool) },                                            \
	    { 'q', "quiet", NULL, "print errors only", OPT_FLAG,                                   \
		    OPT_AT(struct opt_common, quiet) },                                            \
	{                                                                                          \
		'v', "verbose", NULL, "say more on stderr; twice: everything", OPT_COUNT,          \
		    OPT_AT(struct opt_common, verbose)                                             \
	}
/* clang-format on */

struct opt_command {
	const char *name;
	const char *args; /* "ID...", shown in the help; NULL: none */
	const char *help;
};

struct opt_program {
	const char *name; /* "mailq-status" */
	const char
	    *synopsis;	     /* lines behind the name, apart by \n: "[OPTION...] ADDRESS...\n..." */
	const char *purpose; /* one line */
	const struct opt *options;
	size_t n_options;
	const struct opt_command *commands; /* NULL: the program has none */
	size_t n_commands;
	const char *notes; /* shown behind the options, or NULL */
	bool first_ends; /* what follows the first operand is an operand, whatever it begins with */
};

/* What is left: operands, in order.  With commands in the table the first operand is the command
 * and is not among argv; command is NULL where none was given. */
struct opt_rest {
	const char *command;
	int argc;
	char **argv;
	int literal; /* how many of them, at the end, the user put behind "--" */
};

enum opt_result { OPT_RUN, OPT_HELP, OPT_VERSION };

/*
 * Parses argv (and reorders it) into *options.  Returns an enum opt_result, or -1 with err
 * (EX_USAGE; the message names the option and what was expected).  Uses getopt_long's state, so
 * one parse at a time.
 */
int opt_parse(const struct opt_program *program, int argc, char **argv, void *options,
    struct opt_rest *ret_rest, struct err *err);

/* Appends what --help prints. */
void opt_help(const struct opt_program *program, struct buf *b);

#endif
