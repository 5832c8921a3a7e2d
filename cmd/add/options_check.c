/* Which form of a message the options mean, and whether they go together. */
#include <string.h>

#include "base/program.h"
#include "cmd/add/options.h"

/* The first option given that makes a message from flags, or NULL. */
static const char *
message_flag(const struct add_options *o)
{
	const struct {
		bool given;
		const char *name;
	} flags[] = {
		{ o->to.n > 0, "--to" },
		{ o->cc.n > 0, "--cc" },
		{ o->bcc.n > 0, "--bcc" },
		{ o->subject != NULL, "--subject" },
		{ o->body != NULL, "--body" },
		{ o->body_file != NULL, "--body-file" },
		{ o->html, "--html" },
		{ o->attach.n > 0, "--attach" },
		{ o->headers.n > 0, "--header" },
	};

	for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++)
		if (flags[i].given)
			return flags[i].name;
	return NULL;
}

static int
check_flags(const struct add_options *o, const struct opt_rest *rest)
{
	if (o->from_header)
		return program_misuse(&add_program,
		    "-t reads a whole message; it cannot be combined with %s",
		    message_flag(o) != NULL ? message_flag(o) : "--from");
	if (rest->argc > 0)
		return program_misuse(&add_program,
		    "\"%s\": recipients as arguments need a whole message on standard input; "
		    "expected --to, --cc or --bcc",
		    rest->argv[0]);
	if (o->to.n + o->cc.n + o->bcc.n == 0)
		return program_misuse(&add_program, "no recipient; expected --to, --cc or --bcc");
	if (o->subject == NULL)
		return program_misuse(&add_program, "no --subject (it may be empty)");
	if (o->body != NULL && o->body_file != NULL)
		return program_misuse(&add_program, "--body and --body-file exclude each other");
	return 0;
}

static int
check_json(const struct add_options *o)
{
	const char *flag = message_flag(o);

	if (flag == NULL && o->from_header)
		flag = "-t";
	if (flag == NULL && o->sender != NULL)
		flag = "-f";
	if (flag == NULL && o->full_name != NULL)
		flag = "-F";
	if (flag == NULL && o->id != NULL)
		flag = "--id";
	if (flag != NULL)
		return program_misuse(&add_program,
		    "%s cannot be combined with --json: each message has its own", flag);
	return 0;
}

/* It goes with none of what makes a message, or says how one goes out. */
static int
check_bounce(const struct add_options *o, const struct opt_rest *rest)
{
	const struct {
		bool given;
		const char *name;
	} others[] = {
		{ message_flag(o) != NULL, message_flag(o) },
		{ o->json, "--json" },
		{ o->from != NULL, "--from" },
		{ o->from_header, "-t" },
		{ o->sender != NULL, "-f" },
		{ o->full_name != NULL, "-F" },
		{ o->notify != NULL, "-N" },
		{ o->ret != NULL, "-R" },
		{ o->envid != NULL, "-V" },
		{ o->id != NULL, "--id" },
		{ o->account != NULL, "--account" },
		{ o->batch != NULL, "--batch" },
		{ o->priority >= 0, "--priority" },
		{ o->due != 0, "--at" },
		{ o->expires != 0, "--expires" },
		{ o->max_attempts != 0, "--max-attempts" },
	};

	for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
		if (others[i].given)
			return program_misuse(&add_program,
			    "%s cannot be combined with --bounce: nothing is sent", others[i].name);
	if (rest->argc > 0)
		return program_misuse(&add_program,
		    "\"%s\": --bounce reads standard input and takes no operands", rest->argv[0]);
	return 0;
}

static bool
is_dashed(const char *text)
{
	return text[strspn(text, " \t")] == '-';
}

/* For the argument of an option.  "-- Team -- <a@b>" says clearly enough what is the address. */
static int
refuse_dashed(const struct opt_program *program, const char *option, const struct opt_list *list)
{
	for (size_t i = 0; i < list->n; i++)
		if (is_dashed(list->v[i]) && strchr(list->v[i], '<') == NULL)
			return program_misuse(program,
			    "%s: \"%.100s\" begins with \"-\": an option, and no address", option,
			    list->v[i]);
	return 0;
}

/*
 * What begins with "-" is an option in the wrong place: a script's empty variable made -f take the next
 * option, or options stand behind the first recipient.  To take it for an address loses mail, and to
 * obey it lets a stranger who chose a recipient choose options.
 */
static int
check_dashes(const struct add_options *o, const struct opt_rest *rest,
    const struct opt_program *program)
{
	const struct opt_list sender = { (const char **)&o->sender, o->sender != NULL };
	const struct opt_list from = { (const char **)&o->from, o->from != NULL };
	int code = refuse_dashed(program, "-f", &sender);

	if (code == 0)
		code = refuse_dashed(program, "--from", &from);
	if (code == 0)
		code = refuse_dashed(program, "--to", &o->to);
	if (code == 0)
		code = refuse_dashed(program, "--cc", &o->cc);
	if (code == 0)
		code = refuse_dashed(program, "--bcc", &o->bcc);
	for (int i = 0; code == 0 && !o->json && i < rest->argc - rest->literal; i++)
		if (is_dashed(rest->argv[i]))
			code = program_misuse(program,
			    "\"%.100s\" %s: options go before the recipients, and an address that "
			    "begins with \"-\" after \"--\"",
			    rest->argv[i], i > 0 ? "follows a recipient" : "is not a recipient");
	return code;
}

int
add_options_check(const struct add_options *o, const struct opt_rest *rest, enum add_form *ret_form)
{
	enum add_form form = (enum add_form)o->mode;
	const struct opt_program *program = o->as_sendmail ? &add_sendmail_program : &add_program;
	int code = check_dashes(o, rest, program);

	if (code != 0)
		return code;
	if (form == ADD_RAW && o->bounce)
		form = ADD_BOUNCE;
	else if (form == ADD_RAW && o->json)
		form = ADD_JSON;
	else if (form == ADD_RAW && (message_flag(o) != NULL || o->from != NULL))
		form = ADD_FLAGS;
	if (form == ADD_JSON)
		code = check_json(o);
	else if (form == ADD_BOUNCE)
		code = check_bounce(o, rest);
	else if (form == ADD_FLAGS)
		code = check_flags(o, rest);
	else if (form == ADD_RAW && rest->argc == 0 && !o->from_header)
		code = program_misuse(program,
		    "no recipient; expected recipients as arguments, or -t");
	if (code == 0)
		*ret_form = form;
	return code;
}
