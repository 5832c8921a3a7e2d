#include "cmd/deliver/prepare.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "cmd/deliver/outcome.h"
#include "cmd/deliver/outlet.h"
#include "cmd/deliver/remote.h"
#include "policy/account.h"

static bool
is_too_late(const struct work *work)
{
	const struct message_name *name = &work->claim.name;
	struct retry_terms terms = work_terms(&work->claim.record);

	return retry_too_late(&terms, name->due, clock_now());
}

static enum plan
fail_unknown(struct work *work)
{
	char reason[LANE_PART_MAX + 40];

	snprintf(reason, sizeof reason, "there is no account \"%s\"", work->outlet->account->id);
	return outcome_failed(work, FAILURE_ACCOUNT, reason);
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

/* The parts of a message that has some become the content of its job. */
static enum plan
open_content(struct work *work)
{
	struct claim *claim = &work->claim;
	struct err err = ERR_INIT;

	if (claim->record.piece_count == 0)
		return work->plan = PLAN_NONE;
	if (record_is_remote(&claim->record) && remote_look(work) != PLAN_NONE)
		return work->plan;
	if (claim_content(claim, VERIFY_PART_MAX, &err) < 0) {
		return err.code == EX_DATAERR ? outcome_corrupt(work, &err) :
						outcome_unread(work, &err);
	}
	work->job.length = content_size(claim->content);
	return work->plan = PLAN_NONE;
}

enum plan
prepare_work(struct work *work)
{
	struct claim *claim = &work->claim;
	struct err err = ERR_INIT;

	if (claim_open(claim, VERIFY_MAX, &err) < 0) {
		/* No descriptor, no memory, an I/O error: not the message's fault. */
		return err.code == EX_DATAERR ? outcome_corrupt(work, &err) :
						outcome_unread(work, &err);
	}
	if (work->outlet->unknown != NULL)
		return fail_unknown(work);
	if (is_too_late(work))
		return outcome_failed(work, FAILURE_EXPIRED,
		    claim->name.attempts == 0 ? "expired before it could be sent" :
						"expired before its next attempt");
	if (claim->name.attempts > 0 &&
	    partial_read(claim->runner->spool, claim->name.id, &work->partial, &err) < 0) {
		/* Who has it is on disk: sending to all would be twice to some. */
		if (err.code != EX_DATAERR)
			return outcome_unread(work, &err);
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
	return open_content(work);
}
