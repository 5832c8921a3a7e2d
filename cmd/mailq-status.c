/* mailq-status: looks at the queue, and acts on messages by hand. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/program.h"
#include "cmd/policy/accounts.h"
#include "cmd/status/status.h"

#define FILTERED "list hold release retry delete"
#define ACTS "hold release retry delete"

#define S(member) OPT_AT(struct status_options, member)

static const struct opt options_table[] = {
	OPT_COMMON,
	{ .name = "state",
	    .arg = "STATE",
	    .help = "only messages in this state",
	    .kind = OPT_STRING,
	    S(state),
	    .only = FILTERED },
	{ .name = "account",
	    .arg = "ACCOUNT",
	    .help = "only messages of this account",
	    .kind = OPT_STRING,
	    S(account),
	    .only = FILTERED },
	{ .name = "batch",
	    .arg = "BATCH",
	    .help = "only messages of this batch",
	    .kind = OPT_STRING,
	    S(batch),
	    .only = FILTERED },
	{ .name = "limit",
	    .arg = "N",
	    .help = "at most N messages",
	    .kind = OPT_INT,
	    S(limit),
	    .min = 1,
	    .max = INT64_MAX,
	    .only = "list" },
	{ 'l', "long", NULL, "show envelope sender, recipients and subject too", OPT_FLAG,
	    S(long_list), .only = "list" },
	{ .name = "since",
	    .arg = "TIME",
	    .help = "only events since: a time, or 2h for two hours ago",
	    .kind = OPT_STRING,
	    S(since),
	    .only = "log" },
	{ .name = "after",
	    .arg = "CURSOR",
	    .help = "with --json: only events after this cursor of an earlier call",
	    .kind = OPT_STRING,
	    S(after),
	    .only = "log" },
	{ .name = "full",
	    .help = "show also the lines before an outcome",
	    .kind = OPT_FLAG,
	    S(full),
	    .only = "log show" },
	{ .name = "repair",
	    .help = "move damaged messages to corrupt/, roll back dead drafts",
	    .kind = OPT_FLAG,
	    S(repair),
	    .only = "check" },
	{ .name = "all",
	    .help = "act on all messages that match the filters",
	    .kind = OPT_FLAG,
	    S(all),
	    .only = ACTS },
	{ .name = "reason",
	    .arg = "TEXT",
	    .help = "why; the history keeps it",
	    .kind = OPT_STRING,
	    S(reason),
	    .only = ACTS },
	{ 'j', "json", NULL, "print JSON, one value a line", OPT_FLAG, S(json) },
	{ 'w', "watch", NULL, "show the glance again each second", OPT_FLAG, S(watch) },
};

static const struct opt_command commands[] = {
	{ "list", NULL, "list the messages in the queue" },
	{ "show", "ID...", "show a message: its state, what it waits for, what happened" },
	{ "cat", "ID", "print a message as it is sent" },
	{ "log", "[ID]", "show what happened, to all messages or one" },
	{ "metrics", NULL, "print numbers for Prometheus" },
	{ "check", NULL, "read the whole spool and name each fault" },
	{ "hold", "ID...|--all", "hold messages: do not send them" },
	{ "release", "ID...|--all", "release held and uncertain messages" },
	{ "retry", "ID...|--all", "make deferred, held, uncertain or failed messages due now" },
	{ "delete", "ID...|--all", "remove messages without sending them" },
};

static const struct opt_program program = {
	.name = "mailq-status",
	.synopsis = "[OPTION...]\n[OPTION...] COMMAND [ID...]",
	.purpose = "Show the mail queue, and act on messages in it.",
	.options = options_table,
	.n_options = sizeof options_table / sizeof options_table[0],
	.commands = commands,
	.n_commands = sizeof commands / sizeof commands[0],
	.notes = "STATE is one of: waiting deferred held uncertain failed claimed.\n"
		 "Without a command: the queue at a glance.",
};

/* Until it is interrupted, or nobody reads any more. */
static int
watch(struct spool *spool, const struct status_options *options, const struct settings *settings)
{
	static const char home_and_clear[] = "\033[H\033[2J";
	bool terminal = isatty(STDOUT_FILENO) == 1;
	int code;

	for (;;) {
		if (terminal && !options->json)
			fputs(home_and_clear, stdout);
		code = status_summary(spool, options, settings);
		if (code != EX_OK || fflush(stdout) != 0)
			return code;
		clock_nanosleep(CLOCK_MONOTONIC, 0, &(struct timespec){ .tv_sec = 1 }, NULL);
		if (!terminal && !options->json)
			putchar('\n');
	}
}

static bool
is_act(const char *command)
{
	return strcmp(command, "hold") == 0 || strcmp(command, "release") == 0 ||
	    strcmp(command, "retry") == 0 || strcmp(command, "delete") == 0;
}

static bool
is_without_operands(const char *command)
{
	return strcmp(command, "list") == 0 || strcmp(command, "metrics") == 0 ||
	    strcmp(command, "check") == 0;
}

static int
check_log(const struct status_options *options, const struct opt_rest *rest)
{
	if (rest->argc > 1)
		return program_misuse(&program, "log: expected at most one id");
	if (options->after == NULL)
		return EX_OK;
	if (!options->json)
		return program_misuse(&program, "log: --after needs --json");
	if (rest->argc > 0 || options->since != NULL || options->full)
		return program_misuse(&program,
		    "log: --after cannot be combined with an id, --since or --full");
	return EX_OK;
}

/* 0, or the exit status of a misuse that has been told. */
static int
check_operands(const struct status_options *options, const struct opt_rest *rest)
{
	const char *command = rest->command;
	bool filtered =
	    options->state != NULL || options->account != NULL || options->batch != NULL;

	if (command == NULL)
		return EX_OK;
	if (options->watch)
		return program_misuse(&program, "--watch cannot be combined with a command");
	if (is_act(command)) {
		if (options->all && rest->argc > 0)
			return program_misuse(&program, "%s: expected ids or --all, not both",
			    command);
		if (!options->all && rest->argc == 0)
			return program_misuse(&program, "%s: expected ids, or --all", command);
		if (!options->all && filtered)
			return program_misuse(&program, "%s: filters need --all", command);
		return EX_OK;
	}
	if (strcmp(command, "show") == 0 && rest->argc == 0)
		return program_misuse(&program, "show: expected an id");
	if (strcmp(command, "cat") == 0 && rest->argc != 1)
		return program_misuse(&program, "cat: expected one id");
	if (strcmp(command, "log") == 0)
		return check_log(options, rest);
	if (is_without_operands(command) && rest->argc > 0)
		return program_misuse(&program, "%s: unexpected operand '%s'", command,
		    rest->argv[0]);
	return EX_OK;
}

static int
dispatch(struct spool *spool, const struct status_options *options, const struct settings *settings,
    const struct opt_rest *rest)
{
	const char *command = rest->command;

	if (command == NULL)
		return options->watch ? watch(spool, options, settings) :
					status_summary(spool, options, settings);
	if (strcmp(command, "list") == 0)
		return status_list(spool, options);
	if (strcmp(command, "show") == 0)
		return status_show(spool, options, settings, rest->argv, rest->argc);
	if (strcmp(command, "cat") == 0)
		return status_cat(spool, rest->argv[0]);
	if (strcmp(command, "log") == 0)
		return status_log(spool, options, rest->argc > 0 ? rest->argv[0] : NULL);
	if (strcmp(command, "metrics") == 0)
		return status_metrics(spool, settings);
	if (strcmp(command, "check") == 0)
		return status_check(spool, options, settings);
	return status_act(spool, options, command, rest->argv, rest->argc);
}

/*
 * Opens the spool at path, for writing first: then a missing spool is made, and the numbers of the glance
 * are stored. If it cannot be written, a command that only looks opens it for reading. named: -s gave the
 * path.
 */
static int
open_spool(struct spool *spool, const char *path, bool named, const struct settings *settings,
    bool looks, struct err *err)
{
	struct spool_options how = { .allow_network_fs = settings->queue.allow_network_fs,
		.owner = settings_spool_owner(settings, path) };
	bool is_new = faccessat(AT_FDCWD, path, F_OK, 0) < 0 && errno == ENOENT;

	if (spool_open(spool, path, &how, err) == 0) {
		/* An operator who names a spool, or looks at a terminal, expects one: perhaps the
		 * name is wrong. */
		if (is_new && (named || isatty(STDERR_FILENO) == 1))
			log_warning("%s: there was no spool; made an empty one", path);
		else if (is_new)
			log_info("%s: made an empty spool", path);
		return 0;
	}
	/* Root that could not become the owner is not to go on by half. */
	if (!looks || err->code == EX_NOPERM || err->code == EX_OSERR)
		return -1;
	how.read_only = true;
	/* If both fail, the first error is printed. */
	return spool_open(spool, path, &how, NULL);
}

static int
run(const struct status_options *options, const struct opt_rest *rest)
{
	AUTO_SETTINGS struct settings settings = { 0 };
	AUTO_FREE char *path = NULL;
	bool looks = !options->repair && (rest->command == NULL || !is_act(rest->command));
	struct spool spool;
	struct err err = ERR_INIT;
	int code = check_operands(options, rest);

	if (code != EX_OK)
		return code;
	if (settings_load(&settings, options->common.config, &err) < 0 ||
	    settings_spool(&settings, options->common.spool, &path, &err) < 0 ||
	    open_spool(&spool, path, options->common.spool != NULL, &settings, looks, &err) < 0)
		return err_print(&err);
	/* What does not fit together is no reason to look at nothing. */
	if (accounts_load(&settings, &spool, &err) < 0)
		log_warning("%s", err.msg);
	code = dispatch(&spool, options, &settings, rest);
	spool_close(&spool);
	return code;
}

int
main(int argc, char **argv)
{
	struct status_options options = { 0 };
	struct opt_rest rest;
	int code = program_start(&program, argc, argv, &options, &rest);

	if (code >= 0)
		return code;
	return program_finish(run(&options, &rest));
}
