/* suspend, activate. */
#include <pwd.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/ids.h"
#include "base/log.h"
#include "cmd/rules/rules.h"
#include "cmd/view/text.h"
#include "spool/policy/suspend.h"

/* So many that still hold are named. */
#define NAMED_MAX 10

/* A number where the user has no name (any more). */
static void
who(char *ret, size_t size)
{
	const struct passwd *user = getpwuid(ids_caller());

	if (user != NULL)
		snprintf(ret, size, "%s", user->pw_name);
	else
		snprintf(ret, size, "user %u", (unsigned int)ids_caller());
}

/* Those that there are, for an error. */
static void
add_accounts(const struct settings *settings, struct buf *b)
{
	for (size_t i = 0; i < settings_n_accounts(settings); i++)
		buf_addf(b, "%s, ", settings_account_at(settings, i)->id);
	for (size_t i = 0; i < settings->broken.n; i++)
		buf_addf(b, "%s, ", settings->broken.v[i]);
	buf_adds(b, "or default for messages that name no account");
}

static bool
is_account(const struct settings *settings, const char *id)
{
	return strcmp(id, "default") == 0 || settings_account(settings, id) != NULL ||
	    settings_broken(settings, id);
}

/* What is meant: kind and name.  An account that is not there any more can be activated, so that an old
 * order can be lifted. */
static int
take_target(const struct settings *settings, const struct rules_options *options, bool must_exist,
    struct suspension *ret, struct err *err)
{
	AUTO_BUF struct buf accounts = BUF_INIT(16 * 1024);
	const char *name = options->account != NULL ? options->account : options->batch;
	char encoded[LANE_PART_MAX + 1];

	if (options->account != NULL && options->batch != NULL)
		return err_set(err, EX_USAGE, "expected --account or --batch, not both");
	if (name == NULL) {
		ret->kind = SUSPEND_ALL;
		return 0;
	}
	if (name[0] == '\0' || strlen(name) >= sizeof ret->name)
		return err_set(err, EX_USAGE, "--%s: expected 1 to %d bytes",
		    options->account != NULL ? "account" : "batch", LANE_PART_MAX);
	/* In a name of a file, some bytes count three. */
	if (name_encode(name, LANE_PART_MAX, encoded) < 0)
		return err_set(err, EX_DATAERR,
		    "--%s: over its limit of %d bytes (a byte other than letters, digits and "
		    "-_@=+. counts three)",
		    options->account != NULL ? "account" : "batch", LANE_PART_MAX);
	ret->kind = options->account != NULL ? SUSPEND_ACCOUNT : SUSPEND_BATCH;
	snprintf(ret->name, sizeof ret->name, "%s", name);
	if (options->account == NULL || !must_exist || is_account(settings, name))
		return 0;
	add_accounts(settings, &accounts);
	return err_set(err, EX_USAGE, "--account: there is no account \"%s\"; expected %s", name,
	    accounts.s);
}

/* ---- what is said ------------------------------------------------------------------------ */

/* "batch spring", "account main", "all delivery". */
static const char *
target_text(const struct suspension *one, char *text, size_t size)
{
	if (one->kind == SUSPEND_ALL)
		return "all delivery";
	snprintf(text, size, "%s %s", one->kind == SUSPEND_ACCOUNT ? "account" : "batch",
	    one->name);
	return text;
}

static void
print_suspended(const struct suspension *one)
{
	char text[STATUS_TIME_SIZE], target[LANE_PART_MAX + 16];

	if (one->kind == SUSPEND_ALL) {
		fputs("the scheduler is off: no message is delivered", stdout);
	} else {
		status_put(target_text(one, target, sizeof target));
		fputs(" is suspended", stdout);
	}
	if (one->until != 0)
		printf(" until %s", status_time(one->until, text));
	else
		fputs(" until it is activated", stdout);
	if (one->reason[0] != '\0') {
		fputs(": ", stdout);
		status_put(one->reason);
	}
	putchar('\n');
}

static void
print_activated(const struct suspension *one)
{
	char target[LANE_PART_MAX + 16];

	if (one->kind == SUSPEND_ALL) {
		puts("the scheduler is on again");
		return;
	}
	status_put(target_text(one, target, sizeof target));
	puts(" is active again");
}

static void
print_json(const struct suspension *one, bool active)
{
	AUTO_BUF struct buf out = BUF_INIT(8 * 1024);
	struct json_writer w = JSON_WRITER(&out);

	json_begin_object(&w);
	json_member_bool(&w, "ok", true);
	json_member_bool(&w, "active", active);
	status_json_suspension(&w, one);
	json_end_object(&w);
	status_json_line(&w);
}

/* Who lifts one order may think that all goes now. */
static void
tell_others(struct spool *spool, const struct suspension *lifted)
{
	AUTO(suspensions_release) struct suspensions list = { 0 };
	char target[LANE_PART_MAX + 16];
	size_t named = 0;

	if (suspensions_read(spool, clock_now(), &list, NULL) < 0)
		return;
	for (size_t i = 0; i < list.n; i++) {
		if (lifted->kind != SUSPEND_ALL && list.v[i].kind != SUSPEND_ALL)
			continue;
		if (named++ < NAMED_MAX)
			log_warning("%s is still suspended",
			    target_text(&list.v[i], target, sizeof target));
	}
	if (named > NAMED_MAX)
		log_warning("and %zu more are: mailq-status shows them", named - NAMED_MAX);
}

/* ---- the commands ------------------------------------------------------------------------ */

static int
do_suspend(struct spool *spool, const struct rules_options *options, struct suspension *order,
    struct err *err)
{
	const char *reason = options->reason != NULL ? options->reason : "";

	if (strlen(reason) >= sizeof order->reason)
		return err_set(err, EX_USAGE, "--reason: expected at most %zu bytes",
		    sizeof order->reason - 1);
	snprintf(order->reason, sizeof order->reason, "%s", reason);
	order->since = clock_now();
	order->until = options->duration > 0 ? order->since + options->duration : 0;
	if (suspend(spool, order, err) < 0)
		return -1;
	if (options->json)
		print_json(order, false);
	else if (!options->common.quiet)
		print_suspended(order);
	return 0;
}

static int
do_activate(struct spool *spool, const struct settings *settings,
    const struct rules_options *options, const struct suspension *order, struct err *err)
{
	struct suspension ignored = { 0 };
	char target[LANE_PART_MAX + 16];
	int lifted = activate(spool, order->kind, order->name, order->by, err);

	if (lifted < 0)
		return -1;
	/* Nothing to lift for an account that there is not: a slip of the pen. */
	if (lifted == 0 && take_target(settings, options, true, &ignored, err) < 0)
		return -1;
	if (lifted == 0)
		log_warning("%s was not suspended", target_text(order, target, sizeof target));
	if (options->json)
		print_json(order, true);
	else if (lifted == 1 && !options->common.quiet)
		print_activated(order);
	tell_others(spool, order);
	return 0;
}

int
rules_suspend(struct spool *spool, const struct settings *settings,
    const struct rules_options *options, bool suspend)
{
	struct suspension order = { 0 };
	struct err err = ERR_INIT;
	int result;

	who(order.by, sizeof order.by);
	result = take_target(settings, options, suspend, &order, &err);
	if (result == 0)
		result = suspend ? do_suspend(spool, options, &order, &err) :
				   do_activate(spool, settings, options, &order, &err);
	return result < 0 ? err_print(&err) : EX_OK;
}
