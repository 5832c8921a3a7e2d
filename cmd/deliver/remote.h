/*
 * Remote attachments, fetched at a message's first attempt: from URLs and from S3, several at once, by the
 * threads of cmd/fetch/pool.h, while the loop goes on delivering other messages.
 *
 * A claimed message of which something is missing is put aside here, with its claim and nothing else of
 * it in memory; when all is there it goes on where it was (remote_serve calls resume), and what was
 * fetched is kept with it in the spool, for its retries (spool/part/part.h).  What can never be had fails the
 * message, or is left out, as on_attachment_error says; what may be had later defers it.
 *
 * Messages that want the same thing share one fetch, and its outcome for a minute.
 */
#ifndef CMD_DELIVER_REMOTE_H
#define CMD_DELIVER_REMOTE_H

#include "cmd/deliver/work.h"

struct delivery;

/*
 * For a message that is open, with remote pieces.  PLAN_NONE: all is there.  PLAN_FETCH: it must wait, see
 * remote_wait.  Else its outcome is on record, or it is to be put back.
 */
enum plan remote_look(struct work *work);
/* Takes over a message whose plan is PLAN_FETCH; it does not count as in hand meanwhile. */
void remote_wait(struct work *work);
/* True while messages wait. */
bool remote_busy(const struct delivery *d);
/* True where so many wait that no more are to be claimed. */
bool remote_full(const struct delivery *d);
/* Calls resume for each message that need not wait any more: it is in hand again.  -1 with err from that. */
int remote_serve(struct delivery *d, int (*resume)(struct work *work, struct err *err),
    struct err *err);
/* Gives up: each is taken to give_back, in hand again.  The threads end. */
void remote_end(struct delivery *d, void (*give_back)(struct work *work));

#endif
