#include "cmd/deliver/outcome.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/log.h"
#include "cmd/deliver/delivery.h"
#include "policy/settings.h"

/* Tallies of a message's recipients over all its attempts. */
struct tally {
	size_t sent, failed, deferred;
	struct recipient_outcome *now; /* of this attempt */
	size_t now_count;
	struct recipient_outcome *settled; /* of this and earlier ones */
	size_t settled_count;
	/* Of this attempt: the first put off, else refused by a server, else beyond a limit. */
	const struct smtp_recipient *blame;
};

static bool
is_beyond(const struct work *work, const struct smtp_recipient *recipient)
{
	return work->beyond != NULL && work->beyond[recipient - work->recipients];
}

static int
weight(const struct work *work, const struct smtp_recipient *recipient)
{
	if (recipient == NULL)
		return 0;
	if (is_beyond(work, recipient))
		return 1;
	return recipient->outcome == SMTP_FAILED ? 2 : 3;
}

static enum event
event_of(enum smtp_outcome outcome)
{
	return outcome == SMTP_SENT ? EVENT_SENT :
	    outcome == SMTP_FAILED  ? EVENT_FAILED :
				      EVENT_DEFERRED;
}

static void
tally(const struct work *work, struct tally *ret)
{
	struct tally t = { 0 };

	t.now = xcalloc(work->job.n_recipients, sizeof *t.now);
	t.settled = xcalloc(work->job.n_recipients, sizeof *t.settled);
	for (size_t i = 0; i < work->job.n_recipients; i++) {
		const struct smtp_recipient *recipient = &work->recipients[i];
		const struct smtp_reply *reply = smtp_recipient_reply(&work->job, recipient);
		bool before = partial_find(&work->partial, recipient->address) != NULL;
		struct recipient_outcome one = { .address = recipient->address,
			.outcome = event_of(recipient->outcome),
			.code = before ? 0 : reply->code,
			.enhanced = before ? "" : reply->status,
			.reply = before ? "" : reply->text };

		t.sent += one.outcome == EVENT_SENT;
		t.failed += one.outcome == EVENT_FAILED;
		t.deferred += one.outcome == EVENT_DEFERRED;
		if (!before)
			t.now[t.now_count++] = one;
		if (one.outcome != EVENT_DEFERRED)
			t.settled[t.settled_count++] = one;
		if (!before && one.outcome != EVENT_SENT &&
		    weight(work, recipient) > weight(work, t.blame))
			t.blame = recipient;
	}
	*ret = t;
}

static void
tally_release(struct tally *t)
{
	free(t->now);
	free(t->settled);
}

#define OTHERS_SIZE 48

/* Writes how many recipients have the message, " (sent to 2 others)", or "" if no recipient has it. */
static const char *
others_text(const struct tally *t, char ret[OTHERS_SIZE])
{
	ret[0] = '\0';
	if (t->sent > 0)
		snprintf(ret, OTHERS_SIZE, " (sent to %zu other%s)", (size_t)t->sent,
		    t->sent == 1 ? "" : "s");
	return ret;
}

/* Explains a message whose only failed recipients failed in an earlier attempt; the history has those
 * replies. */
static void
explain_earlier(const struct work *work, const char *others, char *text, size_t size)
{
	for (size_t i = 0; i < work->partial.count; i++) {
		const struct recipient_outcome *one = &work->partial.settled[i];

		if (one->outcome != EVENT_FAILED)
			continue;
		if (one->code > 0)
			snprintf(text, size, "%s: %d in an earlier attempt%s", one->address,
			    one->code, others);
		else
			snprintf(text, size, "%s: failed in an earlier attempt%s", one->address,
			    others);
		return;
	}
}

/* Writes one line that says why: the decisive reply and, if there are several recipients, whose it is. */
static void
explain(const struct work *work, const struct tally *t, char *text, size_t size)
{
	char line[SMTP_REPLY_TEXT + 40], others[OTHERS_SIZE];
	const struct smtp_reply *reply =
	    t->blame != NULL ? smtp_recipient_reply(&work->job, t->blame) : &work->job.reply;

	if (t->blame == NULL && t->failed > 0) {
		explain_earlier(work, others_text(t, others), text, size);
		return;
	}
	smtp_reply_line(reply, line, sizeof line);
	if (work->job.n_recipients > 1 && t->blame != NULL && t->blame->reply != NULL)
		snprintf(text, size, "%s: %s%s", t->blame->address, line, others_text(t, others));
	else
		snprintf(text, size, "%s", line);
}

static struct retry
next_attempt(const struct work *work)
{
	struct retry_terms terms = work_terms(&work->claim.record);
	uint32_t random = 0;

	if (getrandom(&random, sizeof random, 0) < 0)
		random = (uint32_t)clock_now();
	return retry_next(work->outlet->account, &terms, work->claim.name.attempts + 1, clock_now(),
	    random);
}

/* Why a message of which somebody was put off will not be tried again. */
static const char *
given_up_class(const struct retry *retry)
{
	return failure_text(retry->verdict == RETRY_EXPIRED ? FAILURE_EXPIRED : FAILURE_EXHAUSTED);
}

/* Why one fails of which nobody was put off. */
static const char *
refused_class(const struct work *work, const struct tally *t)
{
	bool beyond = t->blame != NULL && is_beyond(work, t->blame);

	return failure_text(beyond ? FAILURE_LIMIT : FAILURE_REFUSED);
}

/* The list of settled recipients, before the outcome goes on record.  A message that failed keeps
 * only those that were sent: a retry by hand tries all others again. */
static int
write_partial(struct work *work, const struct tally *t, bool final, struct err *err)
{
	struct spool *spool = work->claim.runner->spool;
	size_t count = t->settled_count;

	if (final) {
		count = 0;
		for (size_t i = 0; i < t->settled_count; i++)
			if (t->settled[i].outcome == EVENT_SENT)
				t->settled[count++] = t->settled[i];
	}
	if (count == 0) {
		if (work->partial.count > 0)
			partial_remove(spool, work->claim.name.id);
		return 0;
	}
	return partial_write(spool, work->claim.name.id, t->settled, count, err);
}

/* It is not known, or cannot be recorded, who has the message. */
static void
conclude_uncertain(struct work *work, const char *reason)
{
	struct journal_entry entry = work_entry(work, EVENT_UNCERTAIN, reason);
	struct retry retry = next_attempt(work);
	int policy = work->outlet->account->uncertain;
	char given_up[1400];

	work->outlet->delivery->counts.uncertain++;
	/* What is on record here is what a recovery would do: it must not try again what is given up. */
	entry.then = policy == ACCOUNT_UNCERTAIN_HOLD			     ? "hold" :
	    policy == ACCOUNT_UNCERTAIN_FAIL || retry.verdict != RETRY_LATER ? "fail" :
									       "retry";
	journal_add(work_journal(work), &entry);
	entry.then = NULL;
	if (policy == ACCOUNT_UNCERTAIN_HOLD) {
		work->plan = PLAN_UNCERTAIN;
		return;
	}
	if (policy == ACCOUNT_UNCERTAIN_RETRY && retry.verdict == RETRY_LATER) {
		entry.event = EVENT_DEFERRED;
		entry.due = work->due = retry.due;
		work->plan = PLAN_DEFERRED;
		journal_add(work_journal(work), &entry);
		return;
	}
	entry.event = EVENT_FAILED;
	entry.class = failure_text(FAILURE_UNCERTAIN);
	if (policy == ACCOUNT_UNCERTAIN_RETRY) {
		entry.class = given_up_class(&retry);
		snprintf(given_up, sizeof given_up, "%s; last: %s", retry.reason, reason);
		entry.reason = given_up;
	}
	work->plan = PLAN_FAILED;
	journal_add(work_journal(work), &entry);
}

/* Words and a text, as the reason of an uncertain outcome. */
static void
conclude_uncertain_for(struct work *work, const char *words, const char *text)
{
	char reason[sizeof(((struct err *)0)->msg) + SMTP_REPLY_TEXT + 80];

	snprintf(reason, sizeof reason, "%s: %s", words, text);
	conclude_uncertain(work, reason);
}

static void
conclude_attempt(struct work *work)
{
	struct deliver_counts *counts = &work->outlet->delivery->counts;
	struct journal_entry entry = work_entry(work, EVENT_SENT, NULL);
	char reason[1200], given_up[1400];
	struct retry retry = { 0 };
	const struct smtp_reply *reply = &work->job.reply;
	struct err err = ERR_INIT;
	struct tally t;

	tally(work, &t);
	explain(work, &t, reason, sizeof reason);
	/* Our own words decide nothing where a server spoke as well. */
	if (work->beyond != NULL && t.blame != NULL)
		reply = smtp_recipient_reply(&work->job, t.blame);
	entry.code = reply->code;
	entry.enhanced = reply->status;
	entry.reply = reply->text;
	entry.recipients = t.now;
	entry.recipient_count = t.now_count;
	if (t.deferred > 0)
		retry = next_attempt(work);
	if (t.deferred > 0 && retry.verdict == RETRY_LATER) {
		if (t.settled_count > 0 && write_partial(work, &t, false, &err) < 0) {
			conclude_uncertain_for(work,
			    "the recipients that have it cannot be recorded", err.msg);
			tally_release(&t);
			return;
		}
		entry.event = EVENT_DEFERRED;
		entry.due = work->due = retry.due > work->not_before ? retry.due : work->not_before;
		entry.reason = reason;
		work->plan = PLAN_DEFERRED;
		counts->deferred++;
	} else if (t.deferred > 0 || t.failed > 0) {
		snprintf(given_up, sizeof given_up, "%s%s%s", t.deferred > 0 ? retry.reason : "",
		    t.deferred > 0 ? "; last: " : "", reason);
		entry.event = EVENT_FAILED;
		entry.class = t.deferred > 0 ? given_up_class(&retry) : refused_class(work, &t);
		entry.reason = given_up;
		work->plan = PLAN_FAILED;
		counts->failed++;
		if (write_partial(work, &t, true, &err) < 0)
			log_error("%s; \"mailq-status retry\" will send the message also to "
				  "recipients that have it",
			    err.msg);
	} else {
		entry.reason = work->note;
		work->plan = PLAN_SENT;
		counts->sent++;
		outlet_unpark(work->outlet);
	}
	journal_add(work_journal(work), &entry);
	tally_release(&t);
}

/* ---- without an attempt ------------------------------------------------------------------------- */

enum plan
outcome_failed(struct work *work, enum failure why, const char *reason)
{
	struct journal_entry entry;

	work->unasked = true;
	entry = work_entry(work, EVENT_FAILED, reason);
	entry.class = failure_text(why);
	journal_add(work_journal(work), &entry);
	work->outlet->delivery->counts.failed++;
	return work->plan = PLAN_FAILED;
}

enum plan
outcome_corrupt(struct work *work, const struct err *err)
{
	char id[ID_TEXT_MAX + 1];
	struct journal_entry entry = { .event = EVENT_CORRUPT,
		.attempt = -1,
		.name = work->claim.text,
		.lane = claim_lane(&work->claim),
		.reason = err->msg };

	if (name_decode(work->claim.name.id, id) == 0)
		entry.id = id;
	journal_add(work_journal(work), &entry);
	log_error("%s: damaged, moved to corrupt/: %s", work->claim.text, err->msg);
	work->outlet->delivery->counts.corrupt++;
	return work->plan = PLAN_CORRUPT;
}

enum plan
outcome_unread(struct work *work, const struct err *err)
{
	delivery_unread(work->outlet->delivery, work->claim.text, err);
	return work->plan = PLAN_PUT_BACK;
}

bool
outcome_was_unread(struct work *work)
{
	if (work->fault.code == EX_OK)
		return false;
	if (work->fault.code == EX_DATAERR)
		outcome_corrupt(work, &work->fault);
	else
		outcome_unread(work, &work->fault);
	return true;
}

/* ---- after one ---------------------------------------------------------------------------------- */

void
outcome_conclude(struct work *work)
{
	if (work->job.outcome == SMTP_UNSENT && outcome_was_unread(work))
		return;
	switch (work->job.outcome) {
	case SMTP_UNCERTAIN:
		conclude_uncertain_for(work, "no answer to the final dot", work->job.reply.text);
		break;
	case SMTP_UNSENT_ACCOUNT:
		work->plan = PLAN_PUT_BACK;
		break;
	case SMTP_UNSENT:
		if (work->outlet->drained || work->outlet->faulted ||
		    *work->outlet->delivery->stop) {
			work->plan = PLAN_PUT_BACK;
			break;
		}
		conclude_attempt(work);
		break;
	default:
		conclude_attempt(work);
		break;
	}
}

void
outcome_unasked(struct work *work)
{
	work->unasked = true;
	work->job.outcome = SMTP_FAILED;
	conclude_attempt(work);
}

void
outcome_captured(struct work *work, const struct err *err)
{
	for (size_t i = 0; i < work->job.n_recipients; i++)
		if (work->recipients[i].outcome == SMTP_PENDING)
			work->recipients[i].outcome = err == NULL ? SMTP_SENT : SMTP_DEFERRED;
	smtp_reply_own(&work->job.reply, "", "%s", err == NULL ? "captured" : err->msg);
	conclude_attempt(work);
}

enum plan
outcome_unfetched(struct work *work, const struct err *err, int64_t not_before)
{
	work->unasked = true;
	work->not_before = not_before;
	for (size_t i = 0; i < work->job.n_recipients; i++)
		if (work->recipients[i].outcome == SMTP_PENDING)
			work->recipients[i].outcome = SMTP_DEFERRED;
	smtp_reply_own(&work->job.reply, "", "%s", err->msg);
	conclude_attempt(work);
	return work->plan;
}

void
outcome_unsure(struct work *work, const struct err *err)
{
	conclude_uncertain_for(work, "perhaps captured", err->msg);
}
