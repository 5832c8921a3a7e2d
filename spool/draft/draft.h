/*
 * Putting messages in.  A draft is a file in tmp/ that holds one message or many, each a record and
 * its text; commit makes all of them durable and visible, or none where it fails.
 *
 *	draft_begin(&draft, spool)
 *	for each message
 *		draft_message_begin(draft, &record, &err)
 *		draft_write(draft, bytes, n, &err)	any number of times
 *		draft_message_end(draft, &facts, &err)	or draft_message_drop(draft)
 *	draft_commit(draft, &err)			then draft_result(draft, i) for each
 *	draft_end(&draft)				rolls back what was not committed
 *
 * Commit is: write; fsync; link the names in a private directory; take the ids; fsync; rename into
 * the queue; fsync of the directories.  A draft of one message takes a shorter way: its file is
 * itself renamed into the queue.  What a crash leaves is rolled back by draft_recover(): a name
 * still in tmp/ was never acknowledged.
 */
#ifndef SPOOL_DRAFT_DRAFT_H
#define SPOOL_DRAFT_DRAFT_H

#include "spool/part/part.h"
#include "spool/store/id.h"
#include "spool/store/record.h"
#include "spool/store/spool.h"

#define DRAFT_MESSAGES 1000	       /* after so many messages, or bytes, */
#define DRAFT_BYTES (8u * 1024 * 1024) /* draft_is_full() */

struct draft;

enum draft_result {
	DRAFT_OPEN,	 /* not committed yet */
	DRAFT_QUEUED,	 /* on disk, synced, visible */
	DRAFT_DUPLICATE, /* its id was known already; nothing was queued */
};

struct draft *draft_begin(struct spool *spool);

/*
 * For many that share one commit: the same, but up to keep bytes (DRAFT_BYTES at the most) stay in
 * memory, and nothing is made in the spool before there are more.  As long as it is in memory alone it can
 * be copied to the end of another, for which spool need not be the same, nor be open any more.
 */
struct draft *draft_begin_in_memory(struct spool *spool, size_t keep);
bool draft_is_in_memory(const struct draft *draft);
uint64_t draft_size(const struct draft *draft); /* bytes */
/* Appends a copy of every message of other, which is in memory; they are numbered on from draft_count().
 * -1 with err: the draft can only be ended. */
int draft_append(struct draft *draft, const struct draft *other, struct err *err);

/* Where to pin parts that are stored for its messages; made when first asked for. */
struct part_pins *draft_pins(struct draft *draft);

/*
 * Begins a message.  record is read, not kept; its parts are pinned from now on (EX_NOINPUT: one is not
 * there); its id may be NULL (one is made up) and its created
 * 0 (now).  EX_DATAERR names the field that is wrong; the draft is as before.
 */
int draft_message_begin(struct draft *draft, const struct record *record, struct err *err);
/* The next n bytes of the text: CRLF line ends, as it will be sent. */
int draft_write(struct draft *draft, const void *bytes, size_t n, struct err *err);
/* Ends the text.  Of facts, only eight_bit and smtputf8 are read.  EX_DATAERR for an empty text. */
int draft_message_end(struct draft *draft, const struct text_facts *facts, struct err *err);
/* Forgets the message that was begun last and all that was written of it. */
void draft_message_drop(struct draft *draft);

/* How many messages it holds (ended ones), and whether it is time to commit. */
size_t draft_count(const struct draft *draft);
bool draft_is_full(const struct draft *draft);
/* The id (plain text) and the fate of message i. */
const char *draft_id(const struct draft *draft, size_t i);
enum draft_result draft_result(const struct draft *draft, size_t i);

/* 0 when every message is queued durably or known as a duplicate; else nothing is, and err says
 * why: EX_TEMPFAIL (space, or another process holds an id at this moment), EX_IOERR. */
int draft_commit(struct draft *draft, struct err *err);
/* After a commit that failed: false where nothing had become visible by then, so that another draft may
 * try the same messages. */
bool draft_was_visible(const struct draft *draft);
/* The same in a thread, while the caller fills another draft: begin, then end, which waits and gives
 * the result.  One at a time for a spool; the draft must not be touched in between. */
void draft_commit_begin(struct draft *draft);
int draft_commit_end(struct draft *draft, struct err *err);
/* Frees; rolls back unless committed.  Accepts NULL; for AUTO() too. */
void draft_end(struct draft **draft);

/*
 * Rolls back the drafts of dead processes (their locks are free): names still in tmp/ and the ids
 * taken for them.  Linear in what they were writing.  Returns how many, or -1 with errno.
 */
int draft_recover(struct spool *spool);
/* The same for one token.  1: rolled back; 0: it is not there any more (committed, or rolled back
 * by others); -1 with errno, EWOULDBLOCK: its process lives, and did not end in wait_usec. */
int draft_recover_one(struct spool *spool, const char *token, int64_t wait_usec);

/* Takes an id for a draft: 1 taken, 0 known already, -1 err.  sibling is an id that this draft took
 * before (or NULL): the entry becomes another link to it and costs no inode. */
int id_take(struct spool *spool, const char *id, const char *token, const char *sibling,
    struct err *err);

#endif
