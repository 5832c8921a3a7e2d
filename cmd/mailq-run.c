/* mailq-run: one cycle of delivery, or a watch. */
#include <stdlib.h>

#include "base/program.h"
#include "cmd/run/run.h"

static int
take_id(void *options, const char *arg, struct err *err)
{
	struct run_options *o = options;

	if (arg[0] == '\0')
		return err_set(err, EX_USAGE, "an id must not be empty");
	o->by_id = true;
	o->ids.v = xreallocarray(o->ids.v, o->ids.n + 1, sizeof *o->ids.v);
	o->ids.v[o->ids.n++] = arg;
	return 0;
}

#define AT(member) OPT_AT(struct run_options, member)

static const struct opt options_table[] = {
	OPT_COMMON,
	{ .name = "now",
	    .help = "do a cycle whatever the rules say; use parked accounts too",
	    .kind = OPT_FLAG,
	    AT(now) },
	{ .name = "id",
	    .arg = "ID",
	    .help = "deliver only this message, due or not; more ids may follow",
	    .kind = OPT_CALL,
	    .call = take_id },
	{ .name = "account",
	    .arg = "A",
	    .help = "deliver only messages of this account",
	    .kind = OPT_STRING,
	    AT(account) },
	{ .name = "limit",
	    .arg = "N",
	    .help = "deliver at most N messages",
	    .kind = OPT_INT,
	    AT(limit),
	    .min = 1,
	    .max = INT64_MAX },
	{ .name = "jobs",
	    .arg = "N",
	    .help = "open at most N connections at once",
	    .kind = OPT_INT,
	    AT(jobs),
	    .min = 1,
	    .max = 1000 },
	{ .name = "no-fetch",
	    .help = "do not fetch messages from the application",
	    .kind = OPT_FLAG,
	    AT(no_fetch) },
	{ .name = "no-sync",
	    .help = "do not send reports to the application",
	    .kind = OPT_FLAG,
	    AT(no_sync) },
	{ .name = "resend-reports",
	    .help = "send rejected reports again that were set aside",
	    .kind = OPT_FLAG,
	    AT(resend_reports) },
	{ .name = "dry-run",
	    .help = "print what would be sent, and send nothing",
	    .kind = OPT_FLAG,
	    AT(dry_run) },
	{ .name = "watch",
	    .help = "stay, and deliver new messages at once",
	    .kind = OPT_FLAG,
	    AT(watch) },
	{ .name = "progress",
	    .help = "show on stderr how many messages were sent",
	    .kind = OPT_FLAG,
	    AT(progress) },
	{ .name = "json", .help = "print the summary as JSON", .kind = OPT_FLAG, AT(json) },
};

static const struct opt_program program = {
	.name = "mailq-run",
	.synopsis = "[OPTION...]\n[OPTION...] --id ID [ID...]",
	.purpose = "Deliver all due messages of the mail queue, then exit.",
	.options = options_table,
	.n_options = sizeof options_table / sizeof options_table[0],
};

int
main(int argc, char **argv)
{
	struct run_options options = { 0 };
	struct opt_rest rest;
	int code = program_start(&program, argc, argv, &options, &rest);

	if (code >= 0)
		return code;
	if (rest.argc > 0 && !options.by_id)
		return program_misuse(&program, "unexpected argument \"%s\"", rest.argv[0]);
	if (options.watch && (options.dry_run || options.by_id))
		return program_misuse(&program, "--watch cannot be combined with %s",
		    options.dry_run ? "--dry-run" : "--id");
	if (options.resend_reports && (options.dry_run || options.by_id))
		return program_misuse(&program, "--resend-reports cannot be combined with %s",
		    options.dry_run ? "--dry-run" : "--id");
	for (int i = 0; i < rest.argc; i++)
		if (take_id(&options, rest.argv[i], NULL) < 0)
			return program_misuse(&program, "an id must not be empty");
	if (options.by_id && options.watch)
		return program_misuse(&program, "--watch cannot be combined with --id");
	code = program_finish(run_mailq(&options));
	free(options.ids.v);
	return code;
}
