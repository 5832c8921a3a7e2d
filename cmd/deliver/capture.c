#include "cmd/deliver/capture.h"

#include "base/log.h"
#include "capture/maildir.h"
#include "cmd/deliver/delivery.h"
#include "cmd/deliver/outcome.h"

static int
add_message(struct maildir *maildir, struct work *work, struct err *err)
{
	AUTO_FREE const char **open = xcalloc(work->job.n_recipients, sizeof *open);
	struct maildir_message message = { .sender = work->job.sender,
		.recipients = open,
		.fd = work->job.fd,
		.offset = work->job.offset,
		.length = work->job.length,
		.read = work->job.read,
		.content = work->job.content };

	/* Those that were settled in earlier attempts, at a server perhaps, are left out. */
	for (size_t i = 0; i < work->job.n_recipients; i++)
		if (work->recipients[i].outcome == SMTP_PENDING)
			open[message.n_recipients++] = work->recipients[i].address;
	return maildir_add(maildir, &message, err);
}

void
capture_deliver(struct outlet *outlet, struct work_list *list)
{
	struct delivery *d = outlet->delivery;
	struct work_list added = { 0 };
	struct err err = ERR_INIT;
	struct work *work;
	int committed;

	for (work = list->first; work != NULL; work = work->next)
		journal_dot(&d->runner.journal, work->claim.text);
	if (journal_write(&d->runner.journal) < 0) {
		/* The journal is lost: nothing more may leave.  The next sync tells. */
		while ((work = work_shift(list)) != NULL) {
			work->plan = PLAN_PUT_BACK;
			commit_later(work);
		}
		return;
	}
	while ((work = work_shift(list)) != NULL) {
		if (add_message(outlet->maildir, work, &err) == 0) {
			work->left = true;
			work_append(&added, work);
			continue;
		}
		if (!outcome_was_unread(work))
			outcome_captured(work, &err);
		commit_later(work);
	}
	committed = maildir_commit(outlet->maildir, &err);
	if (committed < 0)
		log_error("%s", err.msg);
	while ((work = work_shift(&added)) != NULL) {
		if (committed < 0)
			outcome_unsure(work, &err);
		else
			outcome_captured(work, NULL);
		commit_later(work);
	}
}
