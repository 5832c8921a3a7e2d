#include "cmd/submit/queue.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>

#include "base/clock.h"
#include "base/num.h"
#include "cmd/submit/parts.h"
#include "mail/compose.h"
#include "mail/magic.h"

/* So many are committed first in a thread while the next are read, then twice as many each time: few
 * enough for the two to overlap within a batch of a thousand, and many to share their syncs in a
 * long one. */
#define FIRST_TURN 250

void
add_queue_open(struct add_queue *q, const struct settings *settings, struct spool *spool,
    const char *source, add_queue_fn *each, void *arg)
{
	*q = (struct add_queue){
		.settings = settings,
		.spool = spool,
		.source = source,
		.each = each,
		.arg = arg,
		.turn = FIRST_TURN,
	};
}

void
add_queue_close(struct add_queue *q)
{
	add_queue_abandon(q, NULL);
	if (q->magic != NULL)
		mail_magic_free(q->magic);
	q->magic = NULL;
}

/* ---- the record -------------------------------------------------------------------------------- */

int
add_account(const struct settings *settings, const char *name, const struct account **ret,
    struct err *err)
{
	AUTO_BUF struct buf known = BUF_INIT(400);

	*ret = NULL;
	if (settings_resolve(settings, name, ret, 1, NULL) > 0 || name == NULL ||
	    settings_broken(settings, name))
		return 0;
	settings_list_accounts(settings, &known);
	return err_set(err, EX_DATAERR, "account_id: no account \"%.100s\" (known: %s)", name,
	    known.s);
}

int
add_record(const struct settings *settings, const struct mail_delivery *delivery,
    struct record *ret_record, struct err *err)
{
	const struct account *account;
	struct record record = {
		.id = delivery->id,
		.account = delivery->account_id,
		.batch = delivery->batch_code,
		.priority = delivery->priority >= 0 ? delivery->priority : MAIL_PRIORITY_DEFAULT,
		.due = delivery->deferred_at,
		.expires = delivery->expires_at,
		.max_attempts = delivery->max_attempts,
	};

	if (mail_delivery_check(delivery, clock_now(), err) < 0)
		return -1;
	if (record.account != NULL && add_account(settings, record.account, &account, err) < 0)
		return -1;
	if (record.account == NULL)
		record.account = (char *)"default";
	*ret_record = record;
	return 0;
}

char **
add_record_recipients(struct record *record, const struct mail_addresses *list)
{
	char **recipients = xreallocarray(NULL, list->count, sizeof *recipients);

	for (size_t i = 0; i < list->count; i++)
		recipients[i] = list->at[i].addr;
	record->recipients = recipients;
	record->recipient_count = list->count;
	return recipients;
}

char *
add_bare_id(const char *message_id)
{
	size_t len = message_id != NULL ? strlen(message_id) : 0;

	return len > 2 ? xstrndup(message_id + 1, len - 2) : NULL;
}

/* ---- a message into the draft ------------------------------------------------------------------ */

int
add_queue_count_part(struct add_queue *q, uint64_t size)
{
	uint64_t max = (uint64_t)q->settings->queue.max_message_size;
	char text[24];

	q->size += size;
	if (q->size <= max)
		return 0;
	err_set(&q->sink_err, EX_DATAERR, "the message is larger than %s (queue.max_message_size)",
	    num_size_text(max, text));
	errno = EFBIG;
	return -1;
}

static int
write_text(void *arg, const void *bytes, size_t n)
{
	struct add_queue *q = arg;

	if (add_queue_count_part(q, n) < 0)
		return -1;
	if (draft_write(q->draft, bytes, n, &q->sink_err) == 0)
		return 0;
	q->broken = true;
	errno = EIO;
	return -1;
}

struct mail_sink
add_queue_sink(struct add_queue *q)
{
	return (struct mail_sink){ write_text, q };
}

int
add_queue_open_draft(struct add_queue *q, struct err *err)
{
	const struct settings *s = q->settings;

	if (q->draft != NULL)
		return 0;
	if (spool_check_space(q->spool, (uint64_t)s->queue.min_free_bytes,
		(uint64_t)s->queue.min_free_inodes, err) < 0) {
		q->broken = true;
		return -1;
	}
	q->draft = draft_begin(q->spool);
	return 0;
}

int
add_queue_begin(struct add_queue *q, const struct record *record, struct err *err)
{
	if (add_queue_open_draft(q, err) < 0)
		return -1;
	q->size = 0;
	q->sink_err.code = 0;
	if (draft_message_begin(q->draft, record, err) < 0) {
		q->broken = err->code != EX_DATAERR;
		return -1;
	}
	return 0;
}

int
add_queue_drop(struct add_queue *q, struct err *err)
{
	if (q->sink_err.code != 0)
		*err = q->sink_err;
	draft_message_drop(q->draft);
	return -1;
}

int
add_queue_end(struct add_queue *q, const struct text_facts *facts, struct err *err)
{
	if (draft_message_end(q->draft, facts, err) == 0)
		return 0;
	q->broken = err->code != EX_DATAERR;
	return add_queue_drop(q, err);
}

int
add_queue_message(struct add_queue *q, struct mail_message *message,
    const struct mail_delivery *delivery, const struct record *more, struct err *err)
{
	struct mail_compose_options options = {
		.now = clock_now(),
		.attachment_max = (uint64_t)q->settings->attachments.max_size,
	};
	struct mail_sink sink = add_queue_sink(q);
	AUTO_ADDRESSES struct mail_addresses envelope = MAIL_ADDRESSES_INIT;
	AUTO_FREE char **recipients = NULL;
	struct text_facts facts = { 0 };
	AUTO_FREE char *message_id = add_bare_id(message->message_id);
	AUTO(add_parts_release) struct add_parts parts = { .q = q };
	struct record record;

	if (add_record(q->settings, delivery, &record, err) < 0)
		return -1;
	mail_message_envelope(message, &envelope);
	recipients = add_record_recipients(&record, &envelope);
	record.sender = (char *)mail_message_sender(message);
	record.subject = message->subject;
	record.from = message->from.addr;
	record.message_id = message_id;
	record.source = (char *)q->source;
	record.dsn_notify = more->dsn_notify;
	record.dsn_ret = more->dsn_ret;
	record.envid = more->envid;
	if (message->attachment_count > 0 && q->magic == NULL)
		q->magic = mail_magic_new();
	options.magic = q->magic;

	if (message->attachment_count > 0 &&
	    (add_parts_store(q, message, err) < 0 ||
		add_parts_plan(&parts, message, &options, &record, err) < 0))
		return -1;
	if (add_queue_begin(q, &record, err) < 0)
		return -1;
	if (mail_compose(message, &options, &sink, err) < 0)
		return add_queue_drop(q, err);
	facts.smtputf8 = facts.eight_bit = mail_message_needs_smtputf8(message);
	return add_queue_end(q, &facts, err);
}

/* ---- the commit -------------------------------------------------------------------------------- */

size_t
add_queue_count(const struct add_queue *q)
{
	return (q->draft != NULL ? draft_count(q->draft) : 0) +
	    (q->committing != NULL ? draft_count(q->committing) : 0);
}

bool
add_queue_is_full(const struct add_queue *q)
{
	return q->draft != NULL && (draft_count(q->draft) >= q->turn || draft_is_full(q->draft));
}

bool
add_queue_is_committing(const struct add_queue *q)
{
	return q->committing != NULL;
}

static int
tell(const struct add_queue *q, const struct draft *draft, struct err *err)
{
	for (size_t i = 0; i < draft_count(draft); i++)
		if (q->each(q->arg, draft_id(draft, i), draft_result(draft, i), err) < 0)
			return -1;
	return q->each(q->arg, NULL, DRAFT_OPEN, err);
}

/* Tells a draft whose commit had this result, and ends it. */
static int
conclude(struct add_queue *q, struct draft **draft, int result, struct err *err)
{
	if (result == 0) {
		result = tell(q, *draft, err);
		q->untold = result < 0;
	}
	if (result < 0)
		q->broken = true;
	draft_end(draft);
	return result;
}

/* Waits for what is being committed in the thread, and tells it. */
static int
finish_turn(struct add_queue *q, struct err *err)
{
	if (q->committing == NULL)
		return 0;
	return conclude(q, &q->committing, draft_commit_end(q->committing, err), err);
}

static void
block_signals(sigset_t *ret_before)
{
	sigset_t ending;

	sigemptyset(&ending);
	sigaddset(&ending, SIGINT);
	sigaddset(&ending, SIGTERM);
	sigaddset(&ending, SIGHUP);
	sigprocmask(SIG_BLOCK, &ending, ret_before);
}

int
add_queue_turn(struct add_queue *q, struct err *err)
{
	int result;

	if (q->committing == NULL)
		block_signals(&q->signals);
	result = finish_turn(q, err);
	/* A signal that came meanwhile ends the program here, where all that is committed is told. */
	sigprocmask(SIG_SETMASK, &q->signals, NULL);
	if (result < 0)
		return -1;
	block_signals(&q->signals);
	q->committing = q->draft;
	q->draft = NULL;
	if (q->turn < DRAFT_MESSAGES)
		q->turn *= 2;
	draft_commit_begin(q->committing);
	return 0;
}

int
add_queue_commit(struct add_queue *q, struct err *err)
{
	int result;

	if (q->committing == NULL)
		block_signals(&q->signals);
	result = finish_turn(q, err);
	if (result == 0 && q->draft != NULL)
		result = conclude(q, &q->draft, draft_commit(q->draft, err), err);
	sigprocmask(SIG_SETMASK, &q->signals, NULL);
	return result;
}

int
add_queue_abandon(struct add_queue *q, struct err *err)
{
	int result = 0;

	/* In this order, as a draft is rolled back in directories that the thread works in. */
	if (q->committing != NULL) {
		result = finish_turn(q, err);
		sigprocmask(SIG_SETMASK, &q->signals, NULL);
	}
	draft_end(&q->draft);
	return result;
}
