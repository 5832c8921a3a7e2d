#include "cmd/deliver/remote.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/num.h"
#include "cmd/deliver/delivery.h"
#include "cmd/deliver/outcome.h"
#include "cmd/fetch/pool.h"
#include "policy/settings.h"
#include "smtp/pool.h"
#include "spool/part/part.h"
#include "mail/compose.h"

#define WAITING_MAX 4096
#define HEAD_MAX ((size_t)16 * 1024)

struct remote {
	struct fetch_pool *pool;
	size_t waiting;
};

static void
note_done(int fd, void *arg)
{
	/* remote_serve reads it: it is called in each turn. */
	(void)fd;
	(void)arg;
}

static struct fetch_pool *
pool_of(struct delivery *d)
{
	if (d->remote != NULL)
		return d->remote->pool;
	d->remote = xcalloc(1, sizeof *d->remote);
	d->remote->pool = fetch_pool_new(d->settings, d->spool);
	/* Without it, the next look is up to a second away. */
	smtp_engine_watch(d->engine, fetch_pool_fd(d->remote->pool), note_done, d);
	return d->remote->pool;
}

bool
remote_busy(const struct delivery *d)
{
	return d->remote != NULL && d->remote->waiting > 0;
}

bool
remote_full(const struct delivery *d)
{
	return d->remote != NULL && d->remote->waiting >= WAITING_MAX;
}

/* ---- one piece ----------------------------------------------------------------------------- */

/* What a message's pieces come to. */
struct pieces {
	struct fetch *pending;	   /* the first that is not done */
	const struct fetch *never; /* the first that can never be had, where that fails it */
	const struct fetch *later; /* the first that cannot be had now */
	struct err fault;	   /* of the spool */
	uint64_t total;		   /* bytes of what is kept, as they are sent */
};

/* What is the matter with one: its name, where the message gives it one; where it is from the error says. */
static void
explain(const struct fetch *fetch, struct err *ret)
{
	const char *name = fetch->wish.filename;

	err_set(ret, EX_UNAVAILABLE, "attachment %.200s%s%s", name != NULL ? name : "",
	    name != NULL ? ": " : "", fetch->result.err.msg);
}

/* The fetch's part is there, and pinned: with the fetch's own pins, or anew. */
static int
pin_again(struct delivery *d, struct fetch *fetch, struct err *err)
{
	if (fetch->result.pins == NULL)
		fetch->result.pins = part_pins_new(d->spool);
	return part_pin(fetch->result.pins, fetch->result.part.hash, err);
}

/* Keeps it with the message.  1; 0: it is not there any more; -1 with err. */
static int
keep(struct work *work, struct fetch *fetch, const struct record_piece *piece, struct err *err)
{
	struct delivery *d = work->outlet->delivery;
	const struct fetch_result *result = &fetch->result;
	struct fetch_wish wish = { .url = NULL };
	struct part_remote remote = { .part = result->part, .head = BUF_INIT(HEAD_MAX) };
	int pinned = pin_again(d, fetch, err), kept;

	if (pinned <= 0)
		return pinned;
	if (fetch_wish_read(piece->json, &wish, err) < 0)
		return -1;
	if (mail_attachment_head(&remote.head, result->filename,
		wish.type != NULL ? wish.type : result->part.type, result->part.utf8,
		wish.content_id) < 0)
		kept = err_set(err, EX_DATAERR, "%s: its name is too long", wish.shown);
	else
		kept = part_remote_keep(fetch->result.pins, work->claim.record.token, piece->json,
		    &remote, err);
	part_remote_release(&remote);
	fetch_wish_release(&wish);
	return kept < 0 ? -1 : 1;
}

/* The history is to name the first that is missing, also of a later attempt. */
static void
note_left_out(struct work *work, const struct fetch_wish *wish)
{
	AUTO_BUF struct buf note = BUF_INIT(2048);

	if (work->note != NULL)
		return;
	buf_addf(&note, "sent without attachment %.1000s", wish->shown);
	work->note = xstrdup(note.s);
}

/* It can never be had: the message fails, unless it is to be sent without. */
static int
give_up(struct work *work, const struct fetch *fetch, const struct record_piece *piece,
    struct pieces *pieces, struct err *err)
{
	struct delivery *d = work->outlet->delivery;
	const struct record *record = &work->claim.record;
	struct part_remote without = { .left_out = true, .head = BUF_INIT(0) };
	AUTO(part_pins_free) struct part_pins *pins = NULL;
	struct err why = ERR_INIT;

	if (!settings_sends_without(d->settings, work->outlet->account)) {
		if (pieces->never == NULL)
			pieces->never = fetch;
		return 0;
	}
	pins = part_pins_new(d->spool);
	if (part_remote_keep(pins, record->token, piece->json, &without, err) < 0)
		return -1;
	note_left_out(work, &fetch->wish);
	explain(fetch, &why);
	log_warning("%s: sent without %s", record->id, why.msg);
	return 0;
}

static int
judge(struct work *work, struct fetch *fetch, const struct record_piece *piece,
    struct pieces *pieces, struct err *err)
{
	int kept;

	switch (fetch->result.verdict) {
	case FETCH_HAVE:
		kept = keep(work, fetch, piece, err);
		if (kept > 0)
			pieces->total += fetch->result.part.size;
		return kept;
	case FETCH_NEVER:
		return give_up(work, fetch, piece, pieces, err) < 0 ? -1 : 1;
	default:
		if (pieces->later == NULL)
			pieces->later = fetch;
		return 1;
	}
}

/* One that is not kept yet. */
static int
look_at(struct work *work, const struct record_piece *piece, struct pieces *pieces)
{
	struct fetch_pool *pool = pool_of(work->outlet->delivery);
	struct fetch *fetch = fetch_pool_want(pool, piece->json, &pieces->fault);
	int result;

	if (fetch == NULL)
		return -1;
	if (fetch->done) {
		result = judge(work, fetch, piece, pieces, &pieces->fault);
		if (result != 0)
			return result < 0 ? -1 : 0;
		/* Its content was removed meanwhile, as nobody needed it. */
		if (fetch->serving)
			return err_set(&pieces->fault, EX_TEMPFAIL, "%s has gone again",
			    fetch->wish.shown);
		fetch_pool_drop(pool, fetch);
		fetch = fetch_pool_want(pool, piece->json, &pieces->fault);
		if (fetch == NULL)
			return -1;
	}
	if (pieces->pending == NULL)
		pieces->pending = fetch;
	return 0;
}

/* Whether it is kept: 1, 0, -1. */
static int
is_kept(struct work *work, const struct record_piece *piece, struct pieces *pieces)
{
	const struct claim *claim = &work->claim;
	struct part_remote remote;
	struct fetch_wish wish = { .url = NULL };
	int kept = part_remote_read(claim->runner->spool, claim->record.token, piece->json, &remote,
	    &pieces->fault);

	if (kept <= 0)
		return kept;
	if (!remote.left_out) {
		pieces->total += remote.part.size;
	} else if (fetch_wish_read(piece->json, &wish, NULL) == 0) {
		note_left_out(work, &wish);
		fetch_wish_release(&wish);
	}
	part_remote_release(&remote);
	return 1;
}

/* ---- all of a message ---------------------------------------------------------------------- */

static enum plan
fail(struct work *work, const struct fetch *fetch)
{
	struct err err = ERR_INIT;

	explain(fetch, &err);
	return outcome_failed(work, FAILURE_ATTACHMENT, err.msg);
}

/* Bytes of a content that is so long as base64 in lines of 76. */
static uint64_t
raw_size(uint64_t encoded)
{
	return encoded / 78 * 57;
}

static enum plan
decide(struct work *work, const struct pieces *pieces)
{
	const struct settings *settings = work->outlet->delivery->settings;
	char size[24], why[100];

	if (pieces->never != NULL)
		return fail(work, pieces->never);
	if (pieces->pending != NULL) {
		work->waits_for = pieces->pending;
		return work->plan = PLAN_FETCH;
	}
	if (pieces->later != NULL) {
		struct err err = ERR_INIT;

		explain(pieces->later, &err);
		return outcome_unfetched(work, &err, pieces->later->result.not_before);
	}
	if (raw_size(pieces->total) > (uint64_t)settings->attachments.max_total) {
		snprintf(why, sizeof why,
		    "attachments: larger than %s together (attachments.max_total)",
		    num_size_text((uint64_t)settings->attachments.max_total, size));
		return outcome_failed(work, FAILURE_ATTACHMENT, why);
	}
	return PLAN_NONE;
}

enum plan
remote_look(struct work *work)
{
	const struct record *record = &work->claim.record;
	struct pieces pieces = { .pending = NULL };

	for (size_t i = 0; i < record->piece_count; i++) {
		const struct record_piece *piece = &record->pieces[i];
		int kept;

		if (piece->kind == PIECE_PART) {
			pieces.total += piece->size;
			continue;
		}
		kept = is_kept(work, piece, &pieces);
		if (kept == 0)
			kept = look_at(work, piece, &pieces);
		if (kept >= 0)
			continue;
		/* What is damaged is seen again when the message's content is opened. */
		if (pieces.fault.code == EX_DATAERR)
			return PLAN_NONE;
		log_warning("%s", pieces.fault.msg);
		return work->plan = PLAN_PUT_BACK;
	}
	return decide(work, &pieces);
}

/* ---- waiting ------------------------------------------------------------------------------- */

void
remote_wait(struct work *work)
{
	struct delivery *d = work->outlet->delivery;
	struct fetch *fetch = work->waits_for;

	work->waits_for = NULL;
	work->outlet->in_hand--;
	d->remote->waiting++;
	work_close(work);
	if (fetch->waiters == NULL)
		fetch->waiters = xcalloc(1, sizeof(struct work_list));
	work_append(fetch->waiters, work);
}

int
remote_serve(struct delivery *d, int (*resume)(struct work *work, struct err *err), struct err *err)
{
	struct fetch *fetch;
	struct work *work;
	int result = 0;

	if (d->remote == NULL)
		return 0;
	while (result == 0 && (fetch = fetch_pool_done(d->remote->pool)) != NULL) {
		AUTO_FREE struct work_list *waiting = fetch->waiters;

		fetch->waiters = NULL;
		fetch->serving = true;
		while (waiting != NULL && (work = work_shift(waiting)) != NULL) {
			d->remote->waiting--;
			work->outlet->in_hand++;
			if (resume(work, err) < 0)
				result = -1;
		}
		/* Whoever needs it has it now; who comes later finds it there, or fetches it again. */
		part_pins_free(&fetch->result.pins);
		fetch->serving = false;
	}
	fetch_pool_tidy(d->remote->pool);
	return result;
}

static void
take_waiters(struct fetch *fetch, void *arg)
{
	AUTO_FREE struct work_list *waiting = fetch->waiters;
	struct work *work;

	fetch->waiters = NULL;
	while ((work = work_shift(waiting)) != NULL)
		work_append(arg, work);
}

void
remote_end(struct delivery *d, void (*give_back)(struct work *work))
{
	struct work_list all = { 0 };
	struct work *work;

	if (d->remote == NULL)
		return;
	smtp_engine_unwatch(d->engine, fetch_pool_fd(d->remote->pool));
	fetch_pool_end(d->remote->pool, take_waiters, &all);
	fetch_pool_free(d->remote->pool);
	free(d->remote);
	d->remote = NULL;
	while ((work = work_shift(&all)) != NULL) {
		work->outlet->in_hand++;
		give_back(work);
	}
}
