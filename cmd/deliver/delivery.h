/*
 * A run of the delivery, as its parts see it.  One thread, one loop (deliver.h).
 *
 * What a part keeps for itself is a structure of its own in here, which its header describes and which no other
 * file writes; counts are everybody's.  The parts, each using only those above it:
 *
 *	delivery.h			what a run is given, and its state
 *	lifted.h slots.h limited.h	limits: files of old ones; one; all of an account
 *	wanted.h stream.h		what comes next for an account
 *	outlet.h			an account as this run uses it
 *	work.h outcome.h		a message in hand; what became of it, on record
 *	remote.h prepare.h		its remote attachments; the claim becomes a job
 *	settle.h			the move that follows the outcome
 *	capture.h commit.h		offers and outcomes, synced together
 *	fill.h				claims
 *	picking.h plan.h plan_wanted.h	which account serves which lane, or which ids
 *	stay.h tidy.h			the end of a cycle
 */
#ifndef CMD_DELIVER_DELIVERY_H
#define CMD_DELIVER_DELIVERY_H

#include "cmd/deliver/commit.h"
#include "cmd/deliver/deliver.h"
#include "cmd/deliver/lifted.h"
#include "cmd/deliver/outlet.h"
#include "cmd/deliver/picking.h"
#include "cmd/deliver/wanted.h"
#include "spool/queue/runner.h"

struct remote;
struct smtp_engine;

/* Whether messages are claimed. */
enum delivery_state {
	DELIVERY_OPEN,
	DELIVERY_CLOSED,    /* not in this cycle any more: what is on the wire is finished */
	DELIVERY_OVERTAKEN, /* likewise, as others have changed the settings */
	DELIVERY_BROKEN,    /* the spool cannot be written: never again, and fault says why */
};

struct delivery {
	const struct settings *settings;
	struct spool *spool;
	struct deliver_options options;
	struct deliver_counts counts;
	const volatile sig_atomic_t *stop; /* set by a signal: as DELIVERY_CLOSED */
	struct runner runner;
	struct smtp_engine *engine;
	enum delivery_state state;
	struct err fault;
	struct err unread; /* the first that could not be read in this cycle; code 0: none */

	bool replan;	 /* lanes are to be given out anew: delivery_replan */
	int64_t planned; /* monotonic: when they were; deliver.c */
	int64_t tidied;	 /* monotonic; 0: not yet; tidy.c */
	int64_t stayed;	 /* for slots, in this cycle, not counting pauses; stay.c */
	struct outlets outlets;
	struct commit commit;
	struct lifting lifting;
	struct news news;
	struct wanted_list wanted;
	struct remote *remote; /* NULL: none so far */
};

/* True while nothing more is to be claimed nor sent, for this cycle at least. */
bool delivery_stopping(const struct delivery *d);
/* That, or all is claimed that options.limit allows. */
bool delivery_over(const struct delivery *d);
/* From DELIVERY_OPEN to this state. */
void delivery_close(struct delivery *d, enum delivery_state state);
/* The spool is at fault: DELIVERY_BROKEN.  The first err is kept. */
void delivery_break(struct delivery *d, const struct err *err);
/* Something could not be read: EX_IOERR, EX_TEMPFAIL.  It is told at the end of a run (deliver_tell_unread). */
void delivery_note_unread(struct delivery *d, const struct err *err);
/* The same of a message, by its name: it is told now, too, nothing is recorded of it, and it waits. */
void delivery_unread(struct delivery *d, const char *name, const struct err *err);
/* An account has failed, or messages came back: their lanes are given out anew, in the next turn of the loop. */
void delivery_replan(struct delivery *d);

#endif
