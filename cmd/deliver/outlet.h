/* An account as this run uses it: its connections or Maildir, and its rest after a fault. */
#ifndef CMD_DELIVER_OUTLET_H
#define CMD_DELIVER_OUTLET_H

#include "base/buf.h"
#include "cmd/deliver/limited.h"
#include "cmd/deliver/stream.h"

struct account;
struct delivery;
struct maildir;
struct smtp_pool;

struct outlet {
	struct delivery *delivery;
	const struct account *account;
	struct account *unknown; /* it is not configured: what names it fails; ours, or NULL */
	char server[300];	 /* "host:port" or a path, for the journal; "" for none */
	struct smtp_pool *pool;	 /* smtp */
	struct maildir *maildir; /* capture */
	struct buf secret;
	bool faulted;	 /* in this cycle */
	bool was_parked; /* has an entry in parked/ to clear at the first success */
	bool drained;	 /* its pool takes nothing: it may not send at the moment */

	int64_t
	    longest; /* pause after an attempt, of all accounts that its lanes may leave by; picking.c */
	struct streams streams;
	struct outlet_limits limits;
	int wanted_dir; /* the bucket of the wanted message that comes next; -1; wanted.c */
	size_t in_hand; /* claimed and not settled */
	int64_t taken;	/* messages that were offered in this cycle */
	size_t window;	/* how many to have in hand: grows while they go quickly; fill.c */
	int64_t filled; /* when it was filled last (monotonic); fill.c */
};

/* All of a run.  outlet.c's own. */
struct outlets {
	struct outlet **v;
	size_t n;
	size_t hand_max; /* messages in hand at once */
};

/* As many messages may be in hand as there are descriptors for: each has its file open, perhaps a lane of
 * its own and, being captured, a new file. */
void outlets_begin(struct delivery *d);
/* Another cycle: who had a fault in the last one is tried again. */
void outlets_begin_cycle(struct delivery *d);
/* How many more messages may be in hand. */
size_t outlets_room(const struct delivery *d);
void outlets_end(struct delivery *d);

struct outlet *outlet_get(struct delivery *d, const struct account *account);
/* The outlet of an account that is not configured. */
struct outlet *outlet_unknown(struct delivery *d, const char *name);
/* Makes its transport ready: reads the secret, opens the Maildir.  -1: it is faulted and parked. */
int outlet_open(struct outlet *outlet);
/* True where it claims nothing more in this cycle: it may not, or has sent all that it may. */
bool outlet_is_done(const struct outlet *outlet);

/* True if the account rests. */
bool outlet_is_parked(struct outlet *outlet);
/* Rests the account, longer each time. */
void outlet_park(struct outlet *outlet, const char *class, const char *reason);
void outlet_unpark(struct outlet *outlet);
/* Its pool takes nothing more, and gives back what it has not begun; or takes again. */
void outlet_drain(struct outlet *outlet, bool drain);

#endif
