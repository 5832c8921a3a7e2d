/* What the files of "mailq-rules accounts" share. */
#ifndef CMD_RULES_ACCOUNTS_H
#define CMD_RULES_ACCOUNTS_H

#include "cmd/policy/accounts.h"
#include "cmd/rules/rules.h"

/* One command at work. */
struct accounts_command {
	struct spool *spool;
	struct settings *settings;
	const struct rules_options *options;
	char **words; /* behind the command's name */
	int n;
};

/* Each prints, and returns an exit status. */
int accounts_list(const struct accounts_command *c);
int accounts_show(const struct accounts_command *c);
int accounts_test(const struct accounts_command *c);
int accounts_import(const struct accounts_command *c);

/* Reads FILE, or standard input for "-" and NULL, as one JSON value. NULL with err. */
struct json *accounts_read_json(const char *file, struct err *err);

/* For "password=-": reads one line from standard input, without echo where it is a
 * terminal.  0, or -1 with err. */
int accounts_ask_password(const char *id, struct buf *ret, struct err *err);

/* Prints a text, with what a terminal would obey escaped. */
void accounts_print(const char *text);
/* Prints one JSON value as a line, and empties the writer's buffer. */
void accounts_print_json(struct json_writer *w);

#endif
