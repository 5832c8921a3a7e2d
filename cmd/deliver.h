/*
 * The delivery engine of mailq-run: takes what is due from the spool, hands it to the accounts'
 * transports, and settles each message as its journal says.  One thread, one loop.
 *
 *	deliver_begin(&d, &settings, &spool, &options, &err)
 *	deliver_cycle(&d, &err)		once, or again and again while watching
 *	deliver_end(&d, &err)
 */
#ifndef CMD_DELIVER_H
#define CMD_DELIVER_H

#include <signal.h>

#include "base/clock.h"
#include "policy/settings.h"
#include "smtp/pool.h"
#include "spool/park.h"
#include "spool/partial.h"
#include "spool/recover.h"
#include "spool/runner.h"

/* An account rests no longer than this after a fault. */
#define PARK_MAX (3600 * USEC)
/* Texts up to so many bytes are verified against their checksum before they are sent. */
#define VERIFY_MAX (1024u * 1024)

struct deliver_options {
	const char *const *ids; /* only these (plain), whether due or not; or NULL */
	size_t id_count;
	const char *account; /* only what this account would send; or NULL */
	int64_t limit;	     /* claim at most so many messages; 0: all */
	int64_t jobs;	     /* connections at once; 0: as configured */
	bool now;	     /* parked accounts are tried too */
};

struct deliver_counts {
	uint64_t sent, deferred, failed, uncertain, corrupt;
	uint64_t claimed;   /* taken in hand, including what was put back */
	uint64_t recovered; /* settled after a dead runner */
	uint64_t parked;    /* lanes that were left, as no account for them works now */
	uint64_t missing;   /* ids that were asked for and are not in the queue */
	uint64_t unknown;   /* lanes of accounts that are not configured */
};

/* What follows for a message once its outcome is on record. */
enum plan {
	PLAN_NONE,
	PLAN_SENT,
	PLAN_DEFERRED,
	PLAN_FAILED,
	PLAN_UNCERTAIN, /* into uncertain/ */
	PLAN_CORRUPT,
	PLAN_PUT_BACK, /* nothing has happened */
};

struct outlet;

/* A message in hand. */
struct work {
	struct claim claim;
	struct outlet *outlet;
	struct smtp_job job;
	struct smtp_recipient *recipients;
	struct partial partial; /* settled in earlier attempts */
	enum plan plan;
	int64_t due; /* PLAN_DEFERRED */
	struct work *next;
};

struct work_list {
	struct work *first, **end;
	size_t count;
};

/* An account as this run uses it. */
struct outlet {
	struct delivery *delivery;
	const struct account *account;
	char server[300];	 /* "host:port" or a path, for the journal */
	struct smtp_pool *pool;	 /* smtp */
	struct maildir *maildir; /* capture */
	struct buf secret;
	char **lanes; /* lane directories that it serves in this cycle */
	size_t lane_count;
	struct queue *queue; /* NULL: exhausted */
	size_t in_hand;	     /* claimed and not settled */
	size_t window;	     /* how many to have in hand: grows while they go quickly */
	int64_t filled;	     /* when it was filled last (monotonic) */
	bool faulted;	     /* in this cycle */
	bool was_parked;     /* has an entry in parked/ to clear at the first success */
};

/* A message that was asked for by its id. */
struct wanted {
	struct outlet *outlet;
	enum state state;
	char *lane, *bucket, *text;
	bool taken;
};

struct delivery {
	const struct settings *settings;
	struct spool *spool;
	struct deliver_options options;
	struct deliver_counts counts;
	struct runner runner;
	bool running; /* runner has begun */
	struct smtp_engine *engine;
	struct outlet **outlets;
	size_t outlet_count;
	struct work_list offered;  /* claimed; to be sent after the next sync */
	struct work_list settling; /* outcome pending; to be moved after the next sync */
	int64_t settle_by;	   /* monotonic; when the oldest of them must be */
	size_t in_flight;	   /* jobs at the pools */
	size_t hand_max;	   /* messages in hand at once, of all outlets */
	struct wanted *wanted;
	size_t wanted_count;
	int wanted_dir;	 /* the bucket of the one that was handed out last, or -1 */
	int64_t planned; /* monotonic */
	int64_t tidied;	 /* monotonic; 0: not yet */
	char **told;	 /* unknown accounts that were warned of */
	size_t told_count;
	bool replan;			   /* an account has failed: its lanes go to others */
	struct err fatal;		   /* the spool cannot be written: stop */
	const volatile sig_atomic_t *stop; /* set by a signal: finish what is on the wire */
	void (*progress)(const struct delivery *d, void *arg);
	void *progress_arg;
	char *spool_path;
};

int deliver_begin(struct delivery *d, const struct settings *settings, struct spool *spool,
    const struct deliver_options *options, const volatile sig_atomic_t *stop, struct err *err);
/* Recovers what dead runners left, then delivers all that is due.  -1 with err only where the spool
 * or the loop cannot work; what servers say is an outcome. */
int deliver_cycle(struct delivery *d, struct err *err);
/* What would be sent, as it is taken: calls each(entry, account, arg).  Claims nothing. */
int deliver_dry_run(struct delivery *d,
    void (*each)(const struct queue_entry *entry, const struct account *account, void *arg),
    void *arg, struct err *err);
/* Closes connections with QUIT, ends the journal. */
int deliver_end(struct delivery *d, struct err *err);
/* Ends the journal and begins another with the next claim, when it is long or old: for --watch. */
int deliver_rotate(struct delivery *d, struct err *err);

/* outlet.c */
/* How many messages may be in hand at once, with so many descriptors: each has its file open, perhaps
 * a lane of its own and, being captured, a new file. */
size_t outlet_hand_max(void);
/* How many more that are now. */
size_t outlet_room(const struct delivery *d);
struct outlet *outlet_get(struct delivery *d, const struct account *account);
/* Makes its transport ready: reads the secret, opens the Maildir.  -1: it is faulted and parked. */
int outlet_open(struct outlet *outlet);
/* After a fault: as new, so that a secret is fetched again with the next attempt. */
void outlet_reset(struct outlet *outlet);
void outlet_close(struct outlet *outlet);
/* Rests the account, longer each time. */
void outlet_park(struct outlet *outlet, const char *class, const char *reason);
void outlet_unpark(struct outlet *outlet);
void outlet_forget_lanes(struct outlet *outlet);
void outlet_add_lane(struct outlet *outlet, const char *lane);

/* plan.c: which account serves which lane in this cycle. */
int plan_lanes(struct delivery *d, struct err *err);
/* The next message for this outlet; false when none is left. */
bool plan_next(struct outlet *outlet, struct queue_entry *entry);
/* Finds the messages of options.ids; names and counts those that are not there. */
int plan_wanted(struct delivery *d, struct err *err);
void plan_release(struct delivery *d);

/* work.c: a message in hand. */
/* Opens the claim and prepares the job.  PLAN_NONE: it can be sent; else its outcome is on record
 * already (expired, damaged) and the plan says what follows. */
enum plan work_prepare(struct work *work);
/* The journal it is recorded in, and what every line about it says. */
struct journal *work_journal(const struct work *work);
struct journal_entry work_entry(const struct work *work, enum event event, const char *reason);
/* The instant from which the time of a message counts: one that was to wait has all of it from then. */
int64_t work_expiry_base(const struct record *record);
/* Makes the move that follows.  The work is freed. */
int work_settle(struct work *work, struct err *err);
void work_free(struct work *work);
void work_append(struct work_list *list, struct work *work);
struct work *work_shift(struct work_list *list);

/* outcome.c: what became of it */
/* Reads the results of the job, puts the outcome on record (unsynced) and plans what follows. */
void work_conclude(struct work *work);
/* A message of the capture transport that was delivered, or (err) was not. */
void work_conclude_capture(struct work *work, const struct err *err);
/* One whose delivery failed when it was perhaps seen already. */
void work_conclude_unsure(struct work *work, const struct err *err);

/* deliver_capture.c: delivers all works of a list (all of one outlet). */
void capture_deliver(struct outlet *outlet, struct work_list *list);

#endif
