#include "cmd/add/options.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/program.h"

static int
take_mode(void *options, const char *arg, struct err *err)
{
	struct add_options *o = options;

	switch (strlen(arg) == 1 ? arg[0] : '\0') {
	case 'm': /* a message on standard input: what is done anyway */
		return 0;
	case 'p':
		o->mode = ADD_QUEUE;
		return 0;
	case 'i':
		o->mode = ADD_NOTHING;
		return 0;
	case 's':
	case 'a':
		return err_set(err, EX_USAGE,
		    "SMTP on standard input is not supported; give one message, and -t or its "
		    "recipients");
	case 'd':
	case 'D':
		return err_set(err, EX_USAGE, "mailq-add is no daemon; mailq-run delivers");
	default:
		return err_set(err, EX_USAGE, "\"%s\" is not a mode; expected m, p or i", arg);
	}
}

/* sendmail's -o: of its many settings only "i" means something to a message that is handed in;
 * delivery and errors are mailq-run's. */
static int
take_o(void *options, const char *arg, struct err *err)
{
	struct add_options *o = options;

	(void)err;
	if (arg[0] == 'i')
		o->ignore_dots = true;
	return 0;
}

static int
take_nothing(void *options, const char *arg, struct err *err)
{
	(void)options;
	(void)arg;
	(void)err;
	return 0;
}

static int
take_run(void *options, const char *arg, struct err *err)
{
	struct add_options *o = options;

	if (arg != NULL)
		return err_set(err, EX_USAGE,
		    "-q accepts no argument; for a choice of messages use mailq-run --id or "
		    "--account");
	o->mode = ADD_RUN;
	return 0;
}

static int
take_aliases(void *options, const char *arg, struct err *err)
{
	(void)arg;
	return take_mode(options, "i", err);
}

/* True if word, of len bytes, is this one, whatever its case. */
static bool
word_is(const char *word, size_t len, const char *expected)
{
	return len == strlen(expected) && strncasecmp(word, expected, len) == 0;
}

static int
take_notify(void *options, const char *arg, struct err *err)
{
	struct add_options *o = options;
	const char *word = arg;

	for (;;) {
		size_t len = strcspn(word, ",");
		bool never = word_is(word, len, "never");

		if ((never && len != strlen(arg)) ||
		    (!never && !word_is(word, len, "success") && !word_is(word, len, "failure") &&
			!word_is(word, len, "delay")))
			return err_set(err, EX_USAGE,
			    "\"%s\" is neither \"never\" nor a list of success, failure, delay",
			    arg);
		if (word[len] == '\0')
			break;
		word += len + 1;
	}
	free(o->notify);
	o->notify = xstrdup(arg);
	for (char *p = o->notify; *p != '\0'; p++)
		*p = (char)toupper((unsigned char)*p);
	return 0;
}

static int
take_envid(void *options, const char *arg, struct err *err)
{
	struct add_options *o = options;
	size_t n = strlen(arg);

	for (const char *p = arg; *p != '\0'; p++)
		if (*p <= ' ' || *p > '~')
			return err_set(err, EX_USAGE,
			    "\"%.100s\" has a character that is not printable ASCII", arg);
	if (n == 0 || n > 100)
		return err_set(err, EX_USAGE, "expected 1 to 100 characters, found %zu", n);
	o->envid = arg;
	return 0;
}

static int
take_ret(void *options, const char *arg, struct err *err)
{
	struct add_options *o = options;

	if (strcasecmp(arg, "full") == 0)
		o->ret = "FULL";
	else if (strcasecmp(arg, "hdrs") == 0)
		o->ret = "HDRS";
	else
		return err_set(err, EX_USAGE, "\"%s\" is neither \"full\" nor \"hdrs\"", arg);
	return 0;
}

static int
take_json(void *options, const char *arg, struct err *err)
{
	struct add_options *o = options;

	(void)err;
	o->json = true;
	if (arg != NULL)
		o->json_file = arg;
	return 0;
}

static int
take_bounce(void *options, const char *arg, struct err *err)
{
	struct add_options *o = options;

	if (arg != NULL && strcmp(arg, "drop") != 0)
		return err_set(err, EX_USAGE, "\"%s\" is not \"drop\"", arg);
	o->bounce = true;
	o->bounce_drop = arg != NULL;
	return 0;
}

static int
take_priority(void *options, const char *arg, struct err *err)
{
	struct add_options *o = options;
	int priority = mail_priority_parse(arg);

	if (priority < 0)
		return err_set(err, EX_USAGE,
		    "\"%s\" is not immediate, high, medium, low or 0 to 3", arg);
	o->priority = priority;
	return 0;
}

static int
take_instant(const char *arg, int64_t *ret, struct err *err)
{
	if (clock_parse(arg, clock_now(), ret) < 0)
		return err_set(err, EX_USAGE,
		    "\"%s\" is not a time; expected \"18:30\", \"+2h\", "
		    "\"2026-11-21T08:00\" or Unix seconds",
		    arg);
	return 0;
}

static int
take_time(void *options, const char *arg, struct err *err)
{
	struct add_options *o = options;

	return take_instant(arg, &o->due, err);
}

static int
take_expires(void *options, const char *arg, struct err *err)
{
	struct add_options *o = options;

	if (take_instant(arg, &o->expires, err) < 0)
		return -1;
	/* 0 would be none: it is an instant that is past. */
	if (o->expires == 0)
		o->expires = 1;
	return 0;
}

/* clang-format off */
#define O(member) OPT_AT(struct add_options, member)

#define GENERAL_OPTIONS                                                                         \
	{ .name = "id", .arg = "ID", .help = "the id of the message (default: generated)",  \
	  OPT_STRING, O(id) },                                                                    \
	{ .name = "account", .arg = "ACCOUNT", .help = "send through this account", OPT_STRING,  \
	  O(account) },                                                                           \
	{ .name = "batch", .arg = "BATCH", .help = "put the message into this batch",  \
	  OPT_STRING, O(batch) }, \
	{ .name = "priority", .arg = "PRIORITY",                                                 \
	  .help = "immediate, high, medium (default), low, or 0 to 3", OPT_CALL,                 \
	  .call = take_priority },                                                                \
	{ .name = "at", .arg = "TIME", .help = "send not before: 18:30, +2h, 2026-11-21T08:00",  \
	  OPT_CALL, .call = take_time },                                                          \
	{ .name = "expires", .arg = "TIME", .help = "send only before this time, else fail", \
	  OPT_CALL, .call = take_expires },                                                       \
	{ .name = "max-attempts", .arg = "N", .help = "fail after so many attempts", OPT_INT, \
	  O(max_attempts), .min = 1, .max = MAIL_ATTEMPTS_MAX }

#define SENDMAIL_OPTIONS                                                                        \
	{ .letter = 't', .help = "take the recipients from the header too", OPT_FLAG,            \
	  O(from_header) },                                                                       \
	{ .letter = 'f', .arg = "SENDER", .help = "the envelope sender", OPT_STRING,           \
	  O(sender) },                                                                            \
	{ .letter = 'r', .arg = "SENDER", .kind = OPT_STRING, O(sender) },                        \
	{ .letter = 'F', .arg = "NAME", .help = "the sender's name, if there is no From",      \
	  OPT_STRING, O(full_name) },                                                             \
	{ .letter = 'i', .help = "do not end the message at a single dot", OPT_FLAG,  \
	  O(ignore_dots) },                                                                       \
	{ .letter = 'N', .arg = "NOTIFY",                                                        \
	  .help = "request notifications: never, or success,failure,delay", OPT_CALL,       \
	  .call = take_notify },                                                                  \
	{ .letter = 'R', .arg = "RETURN", .help = "what a notification has: full or hdrs",   \
	  OPT_CALL, .call = take_ret },                                                           \
	{ .letter = 'V', .arg = "ENVID", .help = "the name of the message in a notification",     \
	  OPT_CALL, .call = take_envid },                                                         \
	{ .letter = 'o', .arg = "OPTION", .help = "-oi is -i; any other is ignored", OPT_CALL,   \
	  .call = take_o },                                                                       \
	{ .letter = 'b', .arg = "MODE", .help = "-bm is the default, -bp shows the queue",       \
	  OPT_CALL, .call = take_mode },                                                          \
	/* Given by callers, and without a meaning here. */                                       \
	{ .letter = 'B', .arg = "TYPE", .kind = OPT_STRING, O(ignored_text) },                    \
	{ .letter = 'L', .arg = "TAG", .kind = OPT_STRING, O(ignored_text) },                     \
	{ .letter = 'O', .arg = "OPTION", .kind = OPT_STRING, O(ignored_text) },                  \
	{ .letter = 'X', .arg = "FILE", .kind = OPT_STRING, O(ignored_text) }

static const struct opt add_table[] = {
	{ .name = "from", .arg = "ADDRESS", .help = "the From address: \"Name <a@b>\" or a@b",
	  OPT_STRING, O(from) },
	{ .name = "to", .arg = "ADDRESS", .help = "a recipient, or several separated by commas",
	  OPT_LIST, O(to) },
	{ .name = "cc", .arg = "ADDRESS", .help = "a recipient of a copy", OPT_LIST, O(cc) },
	{ .name = "bcc", .arg = "ADDRESS", .help = "a recipient that the message does not show",
	  OPT_LIST, O(bcc) },
	{ .name = "subject", .arg = "TEXT", .help = "the subject", OPT_STRING, O(subject) },
	{ .name = "body", .arg = "TEXT", .help = "the body", OPT_STRING, O(body) },
	{ .name = "body-file", .arg = "FILE",
	  .help = "the file with the body (default: standard input)",
	  OPT_STRING, O(body_file) },
	{ .name = "html", .help = "the body is HTML", OPT_FLAG, O(html) },
	{ .name = "attach", .arg = "FILE", .help = "attach this file", OPT_LIST, O(attach) },
	{ .name = "header", .arg = "HEADER", .help = "set this header, \"Name: value\"", OPT_LIST,
	  O(headers) },
	{ .name = "json", .arg = "[FILE]",
	  .help = "read messages as JSON or JSON Lines (default: standard input)", OPT_CALL,
	  .call = take_json },
	{ .name = "bounce", .arg = "[drop]",
	  .help = "read a bounce; drop: exit 0 if the input is no bounce",
	  OPT_CALL, .call = take_bounce },
	GENERAL_OPTIONS,
	SENDMAIL_OPTIONS,
	OPT_COMMON,
};

static const struct opt sendmail_table[] = {
	SENDMAIL_OPTIONS,
	{ .letter = 'q', .arg = "[WHAT]", .help = "deliver all due messages now", OPT_CALL,
	  .call = take_run },
	{ .letter = 'p', .arg = "PROTOCOL", .kind = OPT_STRING, O(ignored_text) },
	{ .letter = 'h', .arg = "HOPS", .kind = OPT_STRING, O(ignored_text) },
	{ .letter = 'A', .arg = "MODE", .kind = OPT_STRING, O(ignored_text) },
	{ .letter = 'G', .kind = OPT_FLAG, O(ignored) },
	{ .letter = 'U', .kind = OPT_FLAG, O(ignored) },
	{ .letter = 'm', .kind = OPT_FLAG, O(ignored) },
	{ .letter = 'n', .kind = OPT_FLAG, O(ignored) },
	{ .letter = 'I', .kind = OPT_CALL, .call = take_aliases },
	{ .letter = 'C', .arg = "FILE", .kind = OPT_STRING, O(ignored_text) },
	{ .letter = 'D', .arg = "FILE", .kind = OPT_STRING, O(ignored_text) },
	{ .letter = 'd', .arg = "[LEVEL]", .kind = OPT_CALL, .call = take_nothing },
	{ .letter = 'v', .help = "print the message's id, and say more on stderr", OPT_COUNT,
	  OPT_AT(struct opt_common, verbose) },
};

/* clang-format on */

const struct opt_program add_program = {
	.name = "mailq-add",
	.synopsis = "[OPTION...] RECIPIENT... <MESSAGE\n"
		    "[OPTION...] -t <MESSAGE\n"
		    "[OPTION...] --to ADDRESS --subject TEXT [--body TEXT]\n"
		    "[OPTION...] --json [FILE...]\n"
		    "[OPTION...] --bounce <REPORT",
	.purpose = "Add messages to the mail queue, and print the id of each.",
	.options = add_table,
	.n_options = sizeof add_table / sizeof add_table[0],
	.notes = "The exit status is 0 only if every message is on disk and synced.",
};

const struct opt_program add_sendmail_program = {
	.name = "sendmail",
	.synopsis = "[OPTION...] RECIPIENT... <MESSAGE\n"
		    "[OPTION...] -t <MESSAGE",
	.purpose = "Add a message to the mail queue, with the options of sendmail.",
	.options = sendmail_table,
	.n_options = sizeof sendmail_table / sizeof sendmail_table[0],
	.notes = "Further flags of sendmail are accepted and ignored; see mailq-add(1).",
	.first_ends = true,
};

int
add_options_delivery(const struct add_options *o, struct mail_delivery *ret_delivery,
    struct err *err)
{
	const struct {
		const char *name, *text;
	} ids[] = { { "--id", o->id }, { "--account", o->account }, { "--batch", o->batch } };

	for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++)
		if (ids[i].text != NULL && mail_id_check(ids[i].text, strlen(ids[i].text), err) < 0)
			return err_prefix(err, "%s", ids[i].name);
	*ret_delivery = (struct mail_delivery){
		.id = (char *)o->id,
		.account_id = (char *)o->account,
		.batch_code = (char *)o->batch,
		.priority = o->priority,
		.deferred_at = o->due,
		.expires_at = o->expires,
		.max_attempts = o->max_attempts,
	};
	return 0;
}

void
add_options_name_fault(const struct add_options *o, struct err *err)
{
	const struct {
		const char *field, *option;
	} names[] = {
		{ "from",
		    o->from != NULL	     ? "--from" :
			o->full_name != NULL ? "-F" :
					       "from" },
		{ "to", "--to" },
		{ "cc", "--cc" },
		{ "bcc", "--bcc" },
		{ "return_path", "-f" },
		{ "subject", "--subject" },
		{ "body", o->body != NULL ? "--body" : "body" },
		{ "headers", "--header" },
		{ "attachments", "--attach" },
		{ "id", "--id" },
		{ "account_id", "--account" },
		{ "batch_code", "--batch" },
		{ "expires_ts", "--expires" },
	};
	size_t n = strcspn(err->msg, ".[:");
	AUTO_FREE char *rest = xstrdup(err->msg + n);
	const char *tail = rest;

	if (*tail == '[' && strchr(tail, ']') != NULL)
		tail = strchr(tail, ']') + 1;
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (strlen(names[i].field) == n && strncmp(names[i].field, err->msg, n) == 0) {
			err_set(err, err->code, "%s%s%s", names[i].option, *tail == '.' ? " " : "",
			    *tail == '.' ? tail + 1 : tail);
			return;
		}
}

void
add_options_release(struct add_options *o)
{
	free(o->notify);
	opt_list_release(&o->to);
	opt_list_release(&o->cc);
	opt_list_release(&o->bcc);
	opt_list_release(&o->attach);
	opt_list_release(&o->headers);
}
