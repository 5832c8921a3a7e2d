/* A message in hand: from its claim to the move that follows its outcome. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "cmd/deliver/deliver.h"
#include "cmd/deliver/fetch.h"
#include "policy/retry.h"

void
work_append(struct work_list *list, struct work *work)
{
	if (list->first == NULL)
		list->end = &list->first;
	work->next = NULL;
	*list->end = work;
	list->end = &work->next;
	list->count++;
}

struct work *
work_shift(struct work_list *list)
{
	struct work *work = list->first;

	if (work != NULL) {
		list->first = work->next;
		list->count--;
	}
	return work;
}

void
work_close(struct work *work)
{
	smtp_job_reset(&work->job);
	claim_close(&work->claim);
	partial_release(&work->partial);
	free(work->recipients);
	free(work->note);
	work->recipients = NULL;
	work->note = NULL;
	work->job = (struct smtp_job){ .fd = -1 };
	work->plan = PLAN_NONE;
}

void
work_free(struct work *work)
{
	work_close(work);
	free(work->slots);
	free(work->beyond);
	free(work);
}

struct journal *
work_journal(const struct work *work)
{
	return &work->outlet->delivery->runner.journal;
}

struct journal_entry
work_entry(const struct work *work, enum event event, const char *reason)
{
	const struct record *record = &work->claim.record;

	return (struct journal_entry){ .event = event,
		.id = record->id,
		.name = work->claim.text,
		.lane = claim_lane(&work->claim),
		.account = work->outlet->account->id,
		.batch = record->batch,
		.attempt = work->unasked ? -1 : (int)work->claim.name.attempts + 1,
		.from = record->from != NULL ? record->from : record->sender,
		.subject = record->subject,
		.message_id = record->message_id,
		.envid = record->envid,
		.server =
		    !work->unasked && work->outlet->server[0] != '\0' ? work->outlet->server : NULL,
		.created = record->created,
		.size = claim_size(&work->claim),
		.reason = reason };
}

int64_t
work_expiry_base(const struct record *record)
{
	/* A message that was to wait until an instant has its whole time from then on. */
	return record->due > record->created ? record->due : record->created;
}

static bool
is_too_late(const struct work *work)
{
	const struct message_name *name = &work->claim.name;
	struct retry_terms terms = work_terms(&work->claim.record);

	return retry_too_late(&terms, name->due, clock_now());
}

enum plan
work_fail(struct work *work, enum failure why, const char *reason)
{
	struct journal_entry entry;

	work->unasked = true;
	entry = work_entry(work, EVENT_FAILED, reason);
	entry.class = failure_text(why);
	journal_add(work_journal(work), &entry);
	work->outlet->delivery->counts.failed++;
	return work->plan = PLAN_FAILED;
}

static enum plan
fail_unknown(struct work *work)
{
	char reason[LANE_PART_MAX + 40];

	snprintf(reason, sizeof reason, "there is no account \"%s\"", work->outlet->account->id);
	return work_fail(work, FAILURE_ACCOUNT, reason);
}

static enum plan
set_aside(struct work *work, const struct err *err)
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

static unsigned int
notify_of(const char *words)
{
	unsigned int notify = 0;

	if (words == NULL)
		return 0;
	if (strcasestr(words, "NEVER") != NULL)
		return SMTP_NOTIFY_NEVER;
	notify |= strcasestr(words, "SUCCESS") != NULL ? SMTP_NOTIFY_SUCCESS : 0;
	notify |= strcasestr(words, "FAILURE") != NULL ? SMTP_NOTIFY_FAILURE : 0;
	notify |= strcasestr(words, "DELAY") != NULL ? SMTP_NOTIFY_DELAY : 0;
	return notify;
}

/* Of which events reports are asked for: as the message says, else as its account does. */
static unsigned int
notify_wanted(const struct work *work)
{
	const struct record *record = &work->claim.record;

	return notify_of(
	    record->dsn_notify != NULL ? record->dsn_notify : work->outlet->account->dsn_notify);
}

/* Recipients that were settled in earlier attempts are left out of this one. */
static void
fill_recipients(struct work *work)
{
	const struct record *record = &work->claim.record;
	unsigned int notify = notify_wanted(work);

	work->recipients = xcalloc(record->recipient_count, sizeof *work->recipients);
	for (size_t i = 0; i < record->recipient_count; i++) {
		const struct recipient_outcome *settled =
		    partial_find(&work->partial, record->recipients[i]);

		work->recipients[i].address = record->recipients[i];
		work->recipients[i].notify = notify;
		if (settled != NULL)
			work->recipients[i].outcome =
			    settled->outcome == EVENT_SENT ? SMTP_SENT : SMTP_FAILED;
	}
}

static unsigned int
flags_of(const struct work *work)
{
	const struct record *record = &work->claim.record;
	const struct account *account = work->outlet->account;
	unsigned int flags = 0;

	if (record->text.eight_bit)
		flags |= SMTP_JOB_8BIT;
	if (record->text.smtputf8)
		flags |= SMTP_JOB_SMTPUTF8;
	if (record->dsn_ret != NULL ? strcmp(record->dsn_ret, "FULL") == 0 :
				      account->dsn_return == ACCOUNT_DSN_FULL)
		flags |= SMTP_JOB_RET_FULL;
	else if (record->dsn_ret != NULL || account->dsn_return == ACCOUNT_DSN_HEADERS)
		flags |= SMTP_JOB_RET_HDRS;
	return flags;
}

/* Reports name the message: as its sender does, else by our id, where that is short enough (RFC 3461 section
 * 4.4).  A server reports failures where nothing was asked for, too; it handles a message with an ENVID as
 * one without.  Where no report is wanted there is nothing to name. */
static const char *
envid_of(const struct work *work)
{
	const struct record *record = &work->claim.record;

	if (record->envid != NULL)
		return record->envid;
	if (notify_wanted(work) == SMTP_NOTIFY_NEVER)
		return NULL;
	return strlen(record->id) <= 100 ? record->id : NULL;
}

/* The disk does not give it: no fault of the message, which waits. */
static enum plan
leave_unread(struct work *work, const struct err *err)
{
	deliver_unread(work->outlet->delivery, work->claim.text, err);
	return work->plan = PLAN_PUT_BACK;
}

bool
work_unread(struct work *work)
{
	if (work->fault.code == EX_OK)
		return false;
	if (work->fault.code == EX_DATAERR)
		set_aside(work, &work->fault);
	else
		leave_unread(work, &work->fault);
	return true;
}

/* For the transport; what went wrong is told by the outcome. */
static int
read_content(void *arg, uint64_t at, void *bytes, size_t n)
{
	struct work *work = arg;
	const struct claim *claim = &work->claim;
	off_t text = (off_t)(claim->name.offset + claim->record.size);
	int result;

	work->fault.code = EX_OK;
	if (claim->content != NULL)
		result = content_read(claim->content, at, bytes, n, &work->fault);
	else if ((result = fs_pread(claim->fd, bytes, n, text + (off_t)at)) < 0)
		result = errno == ENODATA ? err_set(&work->fault, EX_DATAERR, "it is cut off") :
					    err_io(&work->fault, "it cannot be read");
	return result;
}

enum plan
work_content(struct work *work)
{
	struct claim *claim = &work->claim;
	struct err err = ERR_INIT;

	if (claim->record.piece_count == 0)
		return work->plan = PLAN_NONE;
	if (record_is_remote(&claim->record) && fetch_pieces(work) != PLAN_NONE)
		return work->plan;
	if (claim_content(claim, VERIFY_PART_MAX, &err) < 0) {
		return err.code == EX_DATAERR ? set_aside(work, &err) : leave_unread(work, &err);
	}
	work->job.length = content_size(claim->content);
	return work->plan = PLAN_NONE;
}

enum plan
work_prepare(struct work *work)
{
	struct claim *claim = &work->claim;
	struct err err = ERR_INIT;

	if (claim_open(claim, VERIFY_MAX, &err) < 0) {
		/* No descriptor, no memory, an I/O error: not the message's fault. */
		return err.code == EX_DATAERR ? set_aside(work, &err) : leave_unread(work, &err);
	}
	if (work->outlet->unknown != NULL)
		return fail_unknown(work);
	if (is_too_late(work))
		return work_fail(work, FAILURE_EXPIRED,
		    claim->name.attempts == 0 ? "expired before it could be sent" :
						"expired before its next attempt");
	if (claim->name.attempts > 0 &&
	    partial_read(claim->runner->spool, claim->name.id, &work->partial, &err) < 0) {
		/* Who has it is on disk: sending to all would be twice to some. */
		if (err.code != EX_DATAERR)
			return leave_unread(work, &err);
		log_warning("%s: every recipient is tried again", err.msg);
	}
	fill_recipients(work);
	work->job = (struct smtp_job){ .sender = claim->record.sender,
		.recipients = work->recipients,
		.n_recipients = claim->record.recipient_count,
		.flags = flags_of(work),
		.envid = envid_of(work),
		.fd = claim->fd,
		.offset = (off_t)(claim->name.offset + claim->record.size),
		.length = claim->record.text.length,
		.read = read_content,
		.content = work,
		.arg = work };
	return work_content(work);
}

/* Its outcome is on record: what became of its slots. */
static void
count_slots(struct work *work)
{
	for (size_t i = 0; i < work->slot_count; i++)
		if (work->left)
			work->slots[i]->left++;
		else
			work->slots[i]->unused++;
}

int
work_put_aside(struct work *work, const struct account_domain *domain, char ret_lane[LANE_MAX + 1],
    struct err *err)
{
	struct claim *claim = &work->claim;
	struct lane lane;
	int result;

	if (lane_parse(claim_lane(claim), &lane) < 0 ||
	    lane_format(lane.account, lane.batch, domain->domain, ret_lane) < 0)
		result = err_set(err, EX_DATAERR, "%s: no lane can be named for %s", claim->text,
		    domain->domain);
	else
		result = runner_put_aside(claim, ret_lane, err);
	work_free(work);
	return result;
}

int
work_settle(struct work *work, struct err *err)
{
	struct claim *claim = &work->claim;
	int result = 0;

	switch (work->plan) {
	case PLAN_SENT:
		result = runner_settle_sent(claim, err);
		break;
	case PLAN_DEFERRED:
		result = runner_settle_deferred(claim, work->due,
		    work->not_before > 0 && work->due == work->not_before, err);
		break;
	case PLAN_FAILED:
		result = runner_settle_failed(claim, err);
		break;
	case PLAN_UNCERTAIN:
		result = runner_settle_uncertain(claim, err);
		break;
	case PLAN_CORRUPT:
		result = runner_settle_corrupt(claim, err);
		break;
	case PLAN_PUT_BACK:
	case PLAN_FETCH:
	case PLAN_NONE:
		result = runner_put_back(claim, err);
		/* Another account may take it over, now that it can be found again. */
		if (work->outlet->faulted)
			work->outlet->delivery->replan = true;
		break;
	}
	count_slots(work);
	work->outlet->in_hand--;
	work_free(work);
	return result;
}
