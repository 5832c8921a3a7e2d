/* mailq-rules: who may send what, and when. */
#include <string.h>

#include "base/clock.h"
#include "base/program.h"
#include "cmd/policy/accounts.h"
#include "cmd/rules/rules.h"

#define RULE "add set"
#define SUSPENSION "suspend activate"

#define R(member) OPT_AT(struct rules_options, member)

static const struct opt options_table[] = {
	OPT_COMMON,
	{ .name = "days",
	    .arg = "DAYS",
	    .help = "the days of the rule: mon-fri, \"sat,sun\", daily",
	    .kind = OPT_STRING,
	    R(days),
	    .only = RULE },
	{ .name = "from",
	    .arg = "HOUR",
	    .help = "the first hour of the rule: 0 to 23",
	    .kind = OPT_STRING,
	    R(from),
	    .only = RULE },
	{ .name = "to",
	    .arg = "HOUR",
	    .help = "the hour at which the rule ends: 0 to 24",
	    .kind = OPT_STRING,
	    R(to),
	    .only = RULE },
	{ .name = "all-day",
	    .help = "the whole day: remove the hours",
	    .kind = OPT_FLAG,
	    R(all_day),
	    .only = RULE },
	{ .name = "every",
	    .arg = "DURATION",
	    .help = "the time between cycles: 5m, 2h; whole minutes",
	    .kind = OPT_STRING,
	    R(every),
	    .only = RULE },
	{ .name = "name",
	    .arg = "NAME",
	    .help = "the name of the rule",
	    .kind = OPT_STRING,
	    R(name),
	    .only = RULE },
	{ .name = "priority",
	    .arg = "N",
	    .help = "the place: of all matching rules, the highest decides",
	    .kind = OPT_STRING,
	    R(priority),
	    .only = RULE },
	{ .name = "disabled",
	    .help = "make the rule disabled",
	    .kind = OPT_FLAG,
	    R(disabled),
	    .only = RULE },
	{ .name = "replace",
	    .help = "accounts add: replace an existing account",
	    .kind = OPT_FLAG,
	    R(replace),
	    .only = "accounts" },
	{ .name = "force",
	    .help = "accounts delete: even if messages wait for it; they fail",
	    .kind = OPT_FLAG,
	    R(force),
	    .only = "accounts" },
	{ .name = "move-to",
	    .arg = "ID",
	    .help = "accounts delete: move its messages to this account",
	    .kind = OPT_STRING,
	    R(move_to),
	    .only = "accounts" },
	{ .name = "account",
	    .arg = "ID",
	    .help = "only this account",
	    .kind = OPT_STRING,
	    R(account),
	    .only = SUSPENSION },
	{ .name = "batch",
	    .arg = "BATCH",
	    .help = "only this batch",
	    .kind = OPT_STRING,
	    R(batch),
	    .only = SUSPENSION },
	{ .name = "reason",
	    .arg = "TEXT",
	    .help = "why; mailq-status shows it",
	    .kind = OPT_STRING,
	    R(reason),
	    .only = "suspend" },
	{ .name = "for",
	    .arg = "DURATION",
	    .help = "end the suspension after this time: 2h",
	    .kind = OPT_DURATION,
	    R(duration),
	    .min = USEC,
	    .max = 10 * 365 * 24 * 3600 * USEC,
	    .only = "suspend" },
	{ 'j', "json", NULL, "print JSON, one value a line", OPT_FLAG, R(json) },
};

static const struct opt_command commands[] = {
	{ "list", NULL, "list the rules, in the order of their priority" },
	{ "add", NULL, "make a rule" },
	{ "set", "ID", "change a rule" },
	{ "enable", "ID...", "enable rules" },
	{ "disable", "ID...", "disable rules without deleting them" },
	{ "delete", "ID...", "delete rules" },
	{ "next", NULL, "show when the next cycle is, and why" },
	{ "accounts", "COMMAND...", "list, show, add, set, delete, test or import accounts" },
	{ "suspend", NULL, "stop all delivery, or that of an account or batch" },
	{ "activate", NULL, "end a suspension" },
};

static const struct opt_program program = {
	.name = "mailq-rules",
	.synopsis = "[OPTION...] list|next\n"
		    "[OPTION...] add [--days DAYS] [--from HOUR --to HOUR] [--every DURATION]\n"
		    "[OPTION...] set|enable|disable|delete ID...\n"
		    "[OPTION...] accounts list|show|add|set|delete|test|import [ARGUMENT...]\n"
		    "[OPTION...] suspend|activate [--account ID | --batch BATCH]",
	.purpose = "Change accounts, schedule rules and suspensions.",
	.options = options_table,
	.n_options = sizeof options_table / sizeof options_table[0],
	.commands = commands,
	.n_commands = sizeof commands / sizeof commands[0],
	.notes =
	    "HOUR is a local hour in scheduler.timezone. A rule without hours matches all day.",
};

static bool
is(const char *word, const char *one)
{
	return strcmp(word, one) == 0;
}

/* 0, or the exit status of a misuse that has been told. */
static int
check_operands(const struct opt_rest *rest)
{
	const char *command = rest->command;

	if (command == NULL)
		return program_misuse(&program, "expected a command: list, add, next, ...");
	if (is(command, "accounts"))
		return rest->argc > 0 ? EX_OK :
					program_misuse(&program,
					    "accounts: expected list, show, add, set, delete, "
					    "test or import");
	if (is(command, "set"))
		return rest->argc == 1 ? EX_OK :
					 program_misuse(&program, "set: expected the id of a rule");
	if (is(command, "enable") || is(command, "disable") || is(command, "delete"))
		return rest->argc > 0 ?
		    EX_OK :
		    program_misuse(&program, "%s: expected ids of rules", command);
	if (rest->argc > 0)
		return program_misuse(&program, "%s: unexpected operand '%s'", command,
		    rest->argv[0]);
	return EX_OK;
}

static int
dispatch(struct spool *spool, struct settings *settings, const struct rules_options *options,
    const struct opt_rest *rest)
{
	const char *command = rest->command;

	if (is(command, "accounts"))
		return rules_accounts(spool, settings, options, rest->argv, rest->argc);
	if (is(command, "suspend") || is(command, "activate"))
		return rules_suspend(spool, settings, options, is(command, "suspend"));
	return rules_schedule(spool, settings, options, command, rest->argv, rest->argc);
}

/* What only looks does without where the spool cannot be written. */
static int
open_spool(struct spool *spool, const char *path, const struct settings *settings,
    const struct opt_rest *rest, struct err *err)
{
	struct spool_options how = { .allow_network_fs = settings->queue.allow_network_fs,
		.owner = settings_spool_owner(settings, path) };
	bool looks = is(rest->command, "list") || is(rest->command, "next") ||
	    (is(rest->command, "accounts") &&
		(is(rest->argv[0], "list") || is(rest->argv[0], "show") ||
		    is(rest->argv[0], "test")));

	if (spool_open(spool, path, &how, err) == 0)
		return 0;
	/* Root that could not become the owner is not to go on by half. */
	if (!looks || err->code == EX_NOPERM || err->code == EX_OSERR)
		return -1;
	how.read_only = true;
	/* The first failure is the one to tell. */
	return spool_open(spool, path, &how, NULL);
}

static int
run(const struct rules_options *options, const struct opt_rest *rest)
{
	AUTO_SETTINGS struct settings settings = { 0 };
	AUTO_FREE char *path = NULL;
	struct spool spool;
	struct err err = ERR_INIT;
	int code = check_operands(rest);

	if (code != EX_OK)
		return code;
	if (settings_load(&settings, options->common.config, &err) < 0 ||
	    settings_spool(&settings, options->common.spool, &path, &err) < 0 ||
	    open_spool(&spool, path, &settings, rest, &err) < 0)
		return err_print(&err);
	/* rules_accounts() loads them itself: where they do not fit together, it is there to mend that. */
	if (!is(rest->command, "accounts") && accounts_load(&settings, &spool, &err) < 0)
		code = err_print(&err);
	else
		code = dispatch(&spool, &settings, options, rest);
	spool_close(&spool);
	return code;
}

int
main(int argc, char **argv)
{
	struct rules_options options = { 0 };
	struct opt_rest rest;
	int code = program_start(&program, argc, argv, &options, &rest);

	if (code >= 0)
		return code;
	return program_finish(run(&options, &rest));
}
