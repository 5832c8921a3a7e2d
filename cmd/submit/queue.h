/*
 * From a message to the queue, for every form in which mailq-add takes one: checks what the
 * configuration asks for, fills the record, gathers messages in a draft and commits it.
 *
 *	add_queue_open(&q, ...)
 *	for each message
 *		add_queue_message(&q, &message, &delivery, &err)	one made of fields
 *	    or	add_queue_begin, sink of add_queue_sink, add_queue_end	one that streams through
 *	add_queue_commit(&q, &err)		(add_queue_turn() when it is full)
 *	add_queue_close(&q)
 *
 * A fault of one message leaves the others be.  A fault of the spool does not: then q->broken is
 * true, and all that no commit has begun with is lost.
 */
#ifndef CMD_SUBMIT_QUEUE_H
#define CMD_SUBMIT_QUEUE_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "mail/message.h"
#include "mail/message_json.h"
#include "mail/mime.h"
#include "policy/settings.h"
#include "spool/draft/draft.h"

struct mail_magic;

/* Hears of each message that a commit made durable, or found known already, and with id NULL that
 * these were all of them; -1 stops. */
typedef int add_queue_fn(void *arg, const char *id, enum draft_result result, struct err *err);

struct add_queue {
	const struct settings *settings;
	struct spool *spool;
	const char *source; /* who hands in, for the record; or NULL */
	add_queue_fn *each;
	void *arg;

	/* Private. */
	struct draft *draft; /* NULL between commits; serve/commit.c puts one of its own here */
	struct draft *committing; /* in a thread, while draft is being filled; or NULL */
	struct mail_magic *magic;
	struct err sink_err; /* why the sink failed; code 0: it did not */
	uint64_t size;	     /* of the message under way */
	size_t turn;	     /* how many are committed next in the thread */
	sigset_t signals;    /* as they were before a commit began */
	bool broken;
	bool untold; /* the last commit was done, and could not be told */
};

/* Borrows all it is given; nothing is opened or made yet. */
void add_queue_open(struct add_queue *q, const struct settings *settings, struct spool *spool,
    const char *source, add_queue_fn *each, void *arg);
/* add_queue_abandon, and frees. */
void add_queue_close(struct add_queue *q);

/* The account that a message's name stands for (NULL: the default), in *ret: NULL there where its file
 * in the spool is damaged or not ours to read: then its messages are queued, and wait.  0, or -1 with
 * EX_DATAERR where there is none of this name; the message lists those that there are. */
int add_account(const struct settings *settings, const char *name, const struct account **ret,
    struct err *err);

/* What goes into every record alike: account and expires (both checked), batch, priority, due,
 * max_attempts, id.  Strings are borrowed from delivery. */
int add_record(const struct settings *settings, const struct mail_delivery *delivery,
    struct record *ret_record, struct err *err);

/* Points the record's recipients at those of list.  Returns the array, which is the caller's to
 * free once the record is packed. */
char **add_record_recipients(struct record *record, const struct mail_addresses *list);

/* A Message-ID without its brackets, as the record keeps it; to be freed.  NULL for NULL. */
char *add_bare_id(const char *message_id);

/* A message that mail_message_complete has passed.  Of more, only dsn_notify, dsn_ret and envid are
 * read.  Attachments that are large enough are stored apart; the message has them as parts afterwards, so that
 * the next message with them (or the next call) stores nothing. */
int add_queue_message(struct add_queue *q, struct mail_message *message,
    const struct mail_delivery *delivery, const struct record *more, struct err *err);

/* Makes the draft, unless it is there: a draft of its own has pins for what is stored for it. */
int add_queue_open_draft(struct add_queue *q, struct err *err);
/* The same in pieces.  A failed begin or end has dropped the message. */
int add_queue_begin(struct add_queue *q, const struct record *record, struct err *err);
struct mail_sink add_queue_sink(struct add_queue *q);
/* Counts what is stored apart, against the largest size that a message may have.  -1: then add_queue_drop tells. */
int add_queue_count_part(struct add_queue *q, uint64_t size);
int add_queue_end(struct add_queue *q, const struct text_facts *facts, struct err *err);
/* Forgets the message under way because of err, in whose place the sink's reason is put where it
 * has one.  Returns -1. */
int add_queue_drop(struct add_queue *q, struct err *err);

/* How many messages wait for the commit, and whether it is time for it. */
size_t add_queue_count(const struct add_queue *q);
bool add_queue_is_full(const struct add_queue *q);
/* True while a turn's commit is not told yet. */
bool add_queue_is_committing(const struct add_queue *q);
/* Begins to make them durable while further ones are taken; tells those of the time before. */
int add_queue_turn(struct add_queue *q, struct err *err);
/* Makes all of them durable and tells each.  Signals that end a program wait until it is done: what
 * is committed is also told. */
int add_queue_commit(struct add_queue *q, struct err *err);
/* Rolls back what no commit has begun with; what a turn has begun to commit is still told. */
int add_queue_abandon(struct add_queue *q, struct err *err);

#endif
