/* mailq-add, also called as sendmail: puts messages into the queue. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/ids.h"
#include "base/log.h"
#include "base/program.h"
#include "cmd/add/bounce.h"
#include "cmd/add/forms.h"
#include "cmd/policy/accounts.h"
#include "cmd/submit/sender.h"

/* Becomes the program of this name that stands beside this one, with the configuration and the spool that
 * this one would use. */
static int
become(const struct add_options *o, const char *name, const char *argument)
{
	AUTO_SETTINGS struct settings settings = { 0 };
	AUTO_FREE char *spool = NULL;
	char path[4096];
	ssize_t n = readlink("/proc/self/exe", path, sizeof path);
	char *slash = n > 0 && (size_t)n < sizeof path ? memrchr(path, '/', (size_t)n) : NULL;
	char *const argv[] = { (char *)name, (char *)argument, NULL };
	struct err err = ERR_INIT;

	if (slash == NULL ||
	    (size_t)snprintf(slash + 1, (size_t)(path + sizeof path - slash - 1), "%s", name) >=
		(size_t)(path + sizeof path - slash - 1))
		snprintf(path, sizeof path, "%s/%s", BINDIR, name);
	if (settings_load(&settings, o->common.config, &err) < 0 ||
	    settings_spool_system(&settings, o->common.spool, &spool, &err) < 0)
		return err_print(&err);
	setenv("MAILQ_SPOOL", spool, 1);
	if (o->common.config != NULL)
		setenv("MAILQ_CONFIG", o->common.config, 1);
	execv(path, argv);
	err_sys(&err, EX_UNAVAILABLE, "%s", path);
	return err_print(&err);
}

/* One id a line, as soon as the message is durable; a sendmail is silent unless asked with -v. */
static int
tell(void *arg, const char *id, enum draft_result result, struct err *err)
{
	const struct add_options *o = arg;

	if (result == DRAFT_DUPLICATE) {
		log_warning("duplicate id \"%s\"; not queued", id);
		return 0;
	}
	if (o->as_sendmail && o->common.verbose == 0)
		return 0;
	if ((id != NULL ? printf("%s\n", id) : fflush(stdout)) < 0)
		return err_sys(err, EX_IOERR,
		    "the ids of queued messages cannot be printed: standard output");
	return 0;
}

/*
 * Opens the spool.  Whoever hands in a mail as to sendmail cannot know where a spool of one's own would be
 * served: it is the system's, or one that is named, and where that cannot be reached, the mail is the caller's
 * still (75), be it for want of a right or of the spool.
 */
static int
open_spool(const struct add_options *o, bool for_all, struct settings *settings,
    struct spool *spool, struct err *err)
{
	AUTO_FREE char *path = NULL;
	struct spool_options options = { .read_only = false };
	char name[64];

	if (settings_load(settings, o->common.config, err) < 0) {
		if (err->code == EX_NOPERM && for_all && o->common.config == NULL)
			err->code = EX_TEMPFAIL;
		return -1;
	}
	if (add_sender_check(settings, err) < 0)
		return -1;
	if ((for_all ? settings_spool_system : settings_spool)(settings, o->common.spool, &path,
		err) < 0)
		return err->code == EX_NOPERM ? (err->code = EX_TEMPFAIL, -1) : -1;
	options.allow_network_fs = settings->queue.allow_network_fs;
	options.owner = settings_spool_owner(settings, path);
	if (spool_open(spool, path, &options, err) == 0)
		return 0;
	if (!for_all || options.owner == NULL)
		return -1;
	err->code = EX_TEMPFAIL;
	if (geteuid() == 0)
		return -1;
	return err_prefix(err,
	    "%s cannot hand in mail to the system's spool (mailq-add -s names another)",
	    ids_name(ids_caller(), name, sizeof name));
}

static int
add(const struct add_options *o, const struct opt_rest *rest, enum add_form form)
{
	AUTO_SETTINGS struct settings settings = { 0 };
	AUTO(accounts_close) struct accounts_lazy *accounts = NULL;
	struct spool spool;
	struct add_queue q;
	struct err err = ERR_INIT;
	char source[40];
	int code;

	if (open_spool(o, o->as_sendmail || form == ADD_RAW, &settings, &spool, &err) < 0)
		return err_print(&err);
	if (accounts_open(&settings, &spool, &accounts, &err) < 0) {
		spool_close(&spool);
		return err_print(&err);
	}
	snprintf(source, sizeof source, "%s uid=%u", o->as_sendmail ? "sendmail" : "mailq-add",
	    (unsigned int)ids_caller());
	add_queue_open(&q, &settings, &spool, source, tell, (void *)o);
	switch (form) {
	case ADD_JSON:
		code = add_json(&q, o, rest);
		break;
	case ADD_FLAGS:
		code = add_flags(&q, o);
		break;
	default:
		code = add_raw(&q, o, rest);
	}
	add_queue_close(&q);
	spool_close(&spool);
	return code;
}

static int
run(const struct add_options *o, const struct opt_rest *rest)
{
	enum add_form form;
	int code = add_options_check(o, rest, &form);

	if (code != 0)
		return code;
	switch (form) {
	case ADD_QUEUE:
		return become(o, "mailq-status", "list");
	case ADD_RUN:
		return become(o, "mailq-run", "--now");
	case ADD_BOUNCE:
		return add_bounce(o);
	case ADD_NOTHING:
		return 0;
	default:
		return add(o, rest, form);
	}
}

int
main(int argc, char **argv)
{
	struct add_options options = ADD_OPTIONS_INIT;
	const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL;
	const char *name = argc == 0 ? "" : slash != NULL ? slash + 1 : argv[0];
	const struct opt_program *program;
	struct opt_rest rest;
	int code;

	options.as_sendmail = strcmp(name, "sendmail") == 0;
	program = options.as_sendmail ? &add_sendmail_program : &add_program;
	code = program_start(program, argc, argv, &options, &rest);
	if (code < 0)
		code = program_finish(run(&options, &rest));
	add_options_release(&options);
	return code;
}
