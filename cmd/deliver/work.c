#include "cmd/deliver/work.h"

#include <stdlib.h>

#include "cmd/deliver/delivery.h"

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

/* The time from which that of a message counts. */
static int64_t
expiry_base(const struct record *record)
{
	/* A message that was to wait until an instant has its whole time from then on. */
	return record->due > record->created ? record->due : record->created;
}

struct retry_terms
work_terms(const struct record *record)
{
	return (struct retry_terms){ .since = expiry_base(record),
		.expires = record->expires,
		.max_attempts = record->max_attempts };
}
