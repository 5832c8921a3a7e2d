#include "cmd/view/why.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "cmd/policy/scheduler.h"
#include "cmd/view/text.h"
#include "cmd/view/why_private.h"
#include "policy/retry.h"
#include "spool/queue/count.h"

const char *
why_word(enum why_kind kind)
{
	static const char *const words[] = {
		[WHY_NOTHING] = "nothing",
		[WHY_HELD] = "held",
		[WHY_SUSPENDED] = "suspended",
		[WHY_ACCOUNT] = "account",
		[WHY_BACKOFF] = "backoff",
		[WHY_NOT_BEFORE] = "not_before",
		[WHY_PARKED] = "parked",
		[WHY_LIMIT] = "limit",
		[WHY_DOMAIN] = "domain",
		[WHY_RULE] = "rule",
		[WHY_UNCERTAIN] = "uncertain",
		[WHY_FAILED] = "failed",
		[WHY_SENDING] = "sending",
	};

	return words[kind];
}

void
why_set(struct why *why, enum why_kind kind, int64_t until, const char *fmt, ...)
{
	va_list ap;

	why->kind = kind;
	why->until = until;
	va_start(ap, fmt);
	vsnprintf(why->text, sizeof why->text, fmt, ap);
	va_end(ap);
}

/* ---- what its state says ----------------------------------------------------------------- */

static int
say_sending(const struct asking *asking, struct why *ret)
{
	if (runner_is_at_work(asking->spool, asking->message->runner))
		why_set(ret, WHY_SENDING, 0, "a mailq-run has claimed it");
	else
		why_set(ret, WHY_SENDING, 0,
		    "the mailq-run that had claimed it is dead; the next mailq-run settles it");
	return 0;
}

/* ---- what stands before all accounts ----------------------------------------------------- */

void
why_suspended(const struct suspension *one, struct why *ret)
{
	static const char *const words[] = { [SUSPEND_ALL] = "of all delivery",
		[SUSPEND_ACCOUNT] = "of account ",
		[SUSPEND_BATCH] = "of batch " };
	char until[STATUS_TIME_SIZE] = "it is lifted", since[STATUS_TIME_SIZE];

	if (one->until != 0)
		status_time(one->until, until);
	why_set(ret, WHY_SUSPENDED, one->until,
	    "the end of the suspension %s%s, until %s; since %s%s%s%s%s", words[one->kind],
	    one->name, until, status_time(one->since, since), one->by[0] != '\0' ? " by " : "",
	    one->by, one->reason[0] != '\0' ? ": " : "", one->reason);
}

/* No deferral lies so far ahead, unless the clock was wrong then: the next cycle takes it. */
static bool
is_astray(const struct asking *asking)
{
	const struct message_name *name = &asking->message->name;
	int64_t longest = BUCKET_ASKED_MAX;

	for (int i = 0; i < asking->candidate_count; i++)
		if (retry_longest(asking->candidates[i]) > longest)
			longest = retry_longest(asking->candidates[i]);
	return name->attempts > 0 && name->due - asking->now > longest;
}

/* The instant before which it is not tried: one that was added to wait, or its next attempt. */
static int
look_at_due(const struct asking *asking, struct why *ret, struct err *err)
{
	const struct why_message *message = asking->message;
	char text[STATUS_TIME_SIZE];

	if (message->state != STATE_DEFERRED || message->name.due <= asking->now ||
	    is_astray(asking))
		return 0;
	if (message->name.attempts > 0)
		return why_backoff(asking, ret, err) < 0 ? -1 : 1;
	why_set(ret, WHY_NOT_BEFORE, message->name.due, "its time: it is not to go before %s",
	    status_time(message->name.due, text));
	return 1;
}

/* ---- rules ------------------------------------------------------------------------------- */

/* Nothing else is in the way. */
static void
look_at_rules(const struct asking *asking, struct why *ret)
{
	AUTO(scheduler_release) struct scheduler scheduler = { 0 };
	struct rule_verdict verdict;
	char age[STATUS_TIME_SIZE], text[STATUS_TIME_SIZE + 8] = "";
	struct err err = ERR_INIT;
	int64_t next;

	if (scheduler_read(&scheduler, asking->spool, asking->settings, &err) < 0) {
		why_set(ret, WHY_RULE, 0, "rules that can be followed: %s", err.msg);
		return;
	}
	scheduler_decide(&scheduler, asking->spool, asking->now, &verdict);
	next = verdict.next != INT64_MAX ? verdict.next : 0;
	/* The instant itself stands behind it, in the zone of the rules. */
	if (next != 0)
		snprintf(text, sizeof text, " %s", status_age(next, age));
	if (!verdict.allowed)
		why_set(ret, WHY_RULE, next, "a cycle, and none is allowed now%s%s: %s",
		    next != 0 ? "; the next" : "", text, verdict.why);
	else if (verdict.due)
		why_set(ret, WHY_NOTHING, 0, "the next mailq-run");
	else
		why_set(ret, WHY_NOTHING, next, "the next cycle,%s: %s", text, verdict.why);
}

/* ------------------------------------------------------------------------------------------ */

/* A message that waits to be sent: the first thing in its way. */
static int
look_at_waiting(struct asking *asking, struct why *ret, struct err *err)
{
	const struct suspension *suspension =
	    suspensions_of_lane(&asking->suspensions, &asking->message->lane);
	int found;

	if (suspension != NULL) {
		why_suspended(suspension, ret);
		return 0;
	}
	found = why_resolve(asking, ret);
	if (found == 0)
		found = look_at_due(asking, ret, err);
	if (found == 0)
		found = why_accounts(asking, ret);
	if (found == 0)
		look_at_rules(asking, ret);
	return found < 0 ? -1 : 0;
}

int
why(struct spool *spool, const struct settings *settings, const struct why_message *message,
    struct why *ret, struct err *err)
{
	struct asking asking = { .spool = spool,
		.settings = settings,
		.message = message,
		.now = clock_now() };
	int result;

	switch (message->state) {
	case STATE_HELD:
		return why_held(&asking, ret, err);
	case STATE_UNCERTAIN:
		return why_uncertain(&asking, ret, err);
	case STATE_FAILED:
		return why_failed(&asking, ret, err);
	case STATE_CLAIMED:
		return say_sending(&asking, ret);
	default:
		break;
	}
	if (suspensions_read(spool, asking.now, &asking.suspensions, err) < 0)
		return -1;
	result = look_at_waiting(&asking, ret, err);
	suspensions_release(&asking.suspensions);
	return result;
}
