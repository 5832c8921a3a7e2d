/*
 * The delivery engine of mailq-run: takes what is due from the spool, hands it to the accounts'
 * transports, and settles each message as its journal says.  One thread, one loop.
 *
 *	deliver_begin(&d, &settings, &spool, &options, &err)
 *	deliver_cycle(&d, &err)		once, or again and again while watching
 *	deliver_end(&d, &err)
 */
#ifndef CMD_DELIVER_DELIVER_H
#define CMD_DELIVER_DELIVER_H

#include <signal.h>

#include "base/clock.h"
#include "cmd/deliver/slots.h"
#include "policy/retry.h"
#include "policy/settings.h"
#include "smtp/pool.h"
#include "spool/policy/park.h"
#include "spool/policy/suspend.h"
#include "spool/queue/partial.h"
#include "spool/queue/recover.h"
#include "spool/queue/runner.h"

/* Texts up to so many bytes are verified against their checksum before they are sent. */
#define VERIFY_MAX (1024u * 1024)
/* And parts, once in a run; larger ones as they go out, before their last byte does. */
#define VERIFY_PART_MAX (8u * 1024 * 1024)

struct deliver_options {
	const char *const *ids; /* only these (plain), whether due or not; or NULL */
	size_t id_count;
	const char *account; /* only what this account would send; or NULL */
	int64_t limit;	     /* claim at most so many messages; 0: all */
	int64_t jobs;	     /* connections at once; 0: as configured */
	bool now;	     /* parked accounts are tried too */
	bool watch;	     /* cycle follows upon cycle: none waits for long */
	/* Asked whenever the lanes are looked at, about once a second.  False: nothing more is claimed,
	 * what is on the wire is finished, and the cycle ends.  NULL: it always may. */
	bool (*allowed)(void *arg);
	void *allowed_arg;
	/* Whether there is an account of this id by now, though the settings do not know it: then its
	 * messages wait for settings that do.  NULL: there is none. */
	bool (*has_account)(const char *id, void *arg);
	/* Asked like allowed.  True: others have changed the settings, and the cycle ends likewise, with
	 * delivery.overtaken set, to go on with new ones.  NULL: never. */
	bool (*overtaken)(void *arg);
	void *settings_arg; /* of these two */
};

struct deliver_counts {
	uint64_t sent, deferred, failed, uncertain, corrupt;
	uint64_t claimed;   /* taken in hand, including what was put back */
	uint64_t recovered; /* settled after a dead runner */
	uint64_t parked;    /* lanes that were left, as no account for them works now */
	uint64_t missing;   /* ids that were asked for and are not in the queue */
	uint64_t unknown;   /* lanes of accounts that are not configured */
	uint64_t blocked;   /* looks at limits that could not be written: EX_TEMPFAIL */
	uint64_t limited;   /* accounts and domains that were at their limit */
	uint64_t suspended; /* lanes that were left, as an operator wants them to wait */
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
	PLAN_FETCH,    /* it waits for an attachment: see cmd/deliver/fetch.h */
};

struct outlet;
struct fetch;

/* A message in hand. */
struct work {
	struct claim claim;
	struct outlet *outlet;
	struct smtp_job job;
	struct smtp_recipient *recipients;
	struct partial partial; /* settled in earlier attempts */
	struct slots **slots;	/* one of each of these is this message's */
	size_t slot_count;
	bool left;    /* its final dot may be out */
	bool unasked; /* it comes to its end without a server having been asked */
	bool *
	    beyond; /* as recipients: those that fail as their domain is at its limit; NULL: none */
	struct err fault;	 /* why its content could not be read on its way out */
	struct fetch *waits_for; /* PLAN_FETCH */
	char *note;		 /* what the history is to say when it is sent, or NULL */
	int64_t not_before;	 /* wall clock: a server asked to be left alone until then; 0 */
	enum plan plan;
	int64_t due; /* PLAN_DEFERRED */
	struct work *next;
};

struct work_list {
	struct work *first, **end;
	size_t count;
};

/* Lanes of an outlet that are taken from together, in the order in which their messages go. */
struct stream {
	struct slots *slots; /* of the domain that they wait for; NULL: the plain lanes */
	char **lanes;
	size_t lane_count;
	struct queue *queue;	  /* NULL: not looked into yet, or exhausted */
	bool exhausted;		  /* until the next plan */
	bool stale;		  /* something was put into its lanes since the queue was opened */
	struct queue_entry entry; /* the next of the queue, if it has been looked at */
	bool ahead;
};

/* An account as this run uses it. */
struct outlet {
	struct delivery *delivery;
	const struct account *account;
	struct account *unknown; /* it is not configured: what names it fails; ours, or NULL */
	char server[300];	 /* "host:port" or a path, for the journal; "" for none */
	struct smtp_pool *pool;	 /* smtp */
	struct maildir *maildir; /* capture */
	struct buf secret;
	struct stream *streams; /* the first is that of the plain lanes */
	size_t stream_count;
	int64_t longest; /* pause after an attempt, of all accounts that its lanes may leave by */
	struct slots *slots;	     /* of its limits; NULL: it has none */
	struct slots **domain_slots; /* as account->domains; NULL: of each that has not been met */
	int stay;		     /* holds the lock of the one who stays for its next slot; -1 */
	int wanted_dir;		     /* the bucket of the wanted message that comes next; -1 */
	size_t in_hand;		     /* claimed and not settled */
	size_t window;		     /* how many to have in hand: grows while they go quickly */
	int64_t filled;		     /* when it was filled last (monotonic) */
	int64_t taken;		     /* messages that were offered in this cycle */
	bool faulted;		     /* in this cycle */
	bool was_parked;	     /* has an entry in parked/ to clear at the first success */
	bool drained;		     /* its pool takes nothing: it may not send at the moment */
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
	int64_t planned; /* monotonic */
	int64_t tidied;	 /* monotonic; 0: not yet */
	char **told;	 /* unknown accounts that were warned of */
	size_t told_count;
	bool goes_on;	   /* the next deliver_cycle goes on with the one that was: what it
					      may send at the most, and who has failed, counts on */
	bool overtaken;	   /* the cycle was cut short, as its settings are old */
	bool replan;	   /* an account has failed: its lanes go to others */
	bool closing;	   /* no longer allowed: nothing more is claimed */
	int64_t lifted;	   /* monotonic; limits, the last time; 0: not yet */
	bool unlifted;	   /* something has been on its way since */
	int64_t lift_told; /* monotonic; that it did not work; 0: never */
	int64_t stayed;	   /* waited for slots in this cycle, and not for a pause */
	struct err fatal;  /* the spool cannot be written: stop */
	struct err unread; /* the first that could not be read in this cycle; code 0: none */
	const volatile sig_atomic_t *stop; /* set by a signal: finish what is on the wire */
	void (*progress)(const struct delivery *d, void *arg);
	void *progress_arg;
	char *spool_path;
	struct fetching *fetching; /* attachments; NULL: none so far */
};

/* Something (a message, by its name) cannot be read now: EX_IOERR, EX_TEMPFAIL.  It is told, nothing is
 * recorded of it, and it waits. */
void deliver_unread(struct delivery *d, const char *name, const struct err *err);
/* 0; or -1 with err where something of the last cycle waits for that. */
int deliver_tell_unread(const struct delivery *d, struct err *err);

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

/* tidy.c: forgets what is older than it is kept, at the end of a cycle. */
int deliver_tidy(struct delivery *d, struct err *err);

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
/* The outlet of an account that is not configured. */
struct outlet *outlet_unknown(struct delivery *d, const char *name);
/* Its pool takes nothing more, and gives back what it has not begun; or takes again. */
void outlet_drain(struct outlet *outlet, bool drain);

/* plan.c: which account serves which lane in this cycle. */
int plan_lanes(struct delivery *d, struct err *err);
/* Picks outlets for lanes, one after another. */
struct picking {
	struct delivery *delivery;
	struct suspensions suspensions;
	struct lane
	    last; /* the answer for it is remembered: neighbours are mostly of one account */
	struct outlet *outlet;
	int64_t longest; /* pause after an attempt, of the accounts in line */
};

/* Reads the suspensions; the pools of suspended accounts stop, others go on.  Release it. */
int picking_begin(struct picking *picking, struct delivery *d, struct err *err);
void picking_release(struct picking *picking);
/* The outlet for messages of this lane, the first of its account's candidates that works; NULL: they
 * wait. */
struct outlet *pick(struct picking *picking, const struct lane *lane);

/* plan_wanted.c: the messages that were asked for by their ids. */
/* Finds them; names and counts those that are not there. */
int plan_wanted(struct delivery *d, struct err *err);
/* The next for this outlet; false when none is left. */
bool wanted_next(struct outlet *outlet, struct queue_entry *entry);
/* One of them stays where it is for want of a slot; and at the end, all of which that is so. */
void wanted_tell(const char *id, const struct slots *slots);
void wanted_tell_left(const struct delivery *d);
void plan_release(struct delivery *d);

/* stream.c: what comes next for an outlet */
/* The stream whose entry is the next message; NULL where there is none now.  even_full: also of streams
 * whose domain has no slot. */
struct stream *stream_peek(struct outlet *outlet, bool even_full);
/* The entry was taken; another process may have been faster. */
void stream_pop(struct stream *stream);
/* False where nothing is left that could be taken now. */
bool stream_left(const struct outlet *outlet);
/* True where something waits in the lanes of this domain, slot or not. */
bool stream_waits(struct outlet *outlet, const struct slots *slots);
/* It has plain lanes, or ids that were asked for. */
void stream_begin(struct outlet *outlet);
void streams_forget(struct outlet *outlet);
/* The lane is one of this outlet's from now on. */
void stream_add_lane(struct outlet *outlet, const char *name, const struct lane *lane);

/* limited.c: limits of accounts and domains */
/* The slots of a domain with a limit (as it stands in an address); NULL: it has none. */
struct slots *limited_domain(struct outlet *outlet, const char *domain);
/* Messages behind these slots can be taken now: there may be one, or what is beyond fails. */
bool limited_passes(const struct outlet *outlet, struct slots *slots);
/* The same where they have been found full: beyond the limit, and to be failed. */
bool limited_rejects(const struct outlet *outlet, const struct slots *slots);
/* They are full: tells of it, now and then. */
void limited_tell(struct outlet *outlet, struct slots *slots);
/* The recipients of the domain behind these slots fail, and the message goes on without them.  False
 * where nobody is left to whom it could be sent. */
bool limited_fail_domain(struct work *work, const struct slots *slots);
/* What a message that is beyond them fails with. */
void limited_reason(const struct slots *slots, char *text, size_t size);
/* A slot for the message itself, of the outlet's reserve, and one for each domain in it that has a
 * limit.  NULL: it has them; else the one that is full, and it has none. */
struct slots *limited_claim(struct work *work);
/* Looks at the limits of all lanes that were planned. */
void limited_look(struct delivery *d);
/* The reserves go back; before offers, what was taken is synced; behind outcomes, slots go back. */
void limited_spare(struct outlet *outlet);
int limited_sync(struct delivery *d, struct err *err);
void limited_settle(struct delivery *d);
/* The instant of the next slot that something may wait for; INT64_MAX: none. */
int64_t limited_next(const struct delivery *d);
/* The same of those that this cycle stays for with nothing else to do; *ret_pause is true for an
 * account's pause, which does not count as waiting. */
int64_t limited_stay(struct delivery *d, bool *ret_pause);
/* Another may stay. */
void limited_leave(struct delivery *d);

/* lifted.c: files of limits that the accounts do not have any more (limit_lift) */
/* Something is about to be sent, or has been and is on record. */
void lifted_sending(struct delivery *d);
/* To be called each second, and at the end: works where something was sent meanwhile. */
void lifted_sent(struct delivery *d);

/* fill.c: claims messages */
int fill(struct outlet *outlet, struct err *err);
/* A message that had to wait for an attachment goes on. */
int fill_resume(struct work *work, struct err *err);
/* True if a fill could find something now. */
bool fill_left(const struct outlet *outlet);
/* Stopped, no longer allowed, or all claimed that may be. */
bool fill_over(const struct delivery *d);
/* The same of this outlet, in this cycle. */
bool fill_done(const struct outlet *outlet);
void settle_later(struct delivery *d, struct work *work);

/* work.c: a message in hand. */
/* Opens the claim and prepares the job.  PLAN_NONE: it can be sent; else its outcome is on record
 * already (expired, damaged) and the plan says what follows. */
enum plan work_prepare(struct work *work);
/* Its part for a message with parts: opens them, and gives the job their content.  A remote piece that is not
 * fetched yet: PLAN_PUT_BACK.  Does nothing the second time. */
enum plan work_content(struct work *work);
/* Whether the content could not be had on its way out: where it is damaged, that is on record, and its plan
 * PLAN_CORRUPT; where the disk does not give it, that is told, and its plan PLAN_PUT_BACK. */
bool work_unread(struct work *work);
/* Puts it on record (unsynced) that it fails, unsent. */
enum plan work_fail(struct work *work, enum failure why, const char *reason);
/* Moves one that was not offered to the lane in which it waits for this domain, which is named in
 * ret_lane.  The work is freed. */
int work_put_aside(struct work *work, const struct account_domain *domain,
    char ret_lane[LANE_MAX + 1], struct err *err);
/* The journal it is recorded in, and what every line about it says. */
struct journal *work_journal(const struct work *work);
struct journal_entry work_entry(const struct work *work, enum event event, const char *reason);
/* The instant from which the time of a message counts: one that was to wait has all of it from then. */
int64_t work_expiry_base(const struct record *record);
/* What the message says of its own retries. */
struct retry_terms work_terms(const struct record *record);
/* Makes the move that follows.  The work is freed. */
int work_settle(struct work *work, struct err *err);
void work_free(struct work *work);
/* Leaves what a claim is, and no more of it: work_prepare begins anew. */
void work_close(struct work *work);
void work_append(struct work_list *list, struct work *work);
struct work *work_shift(struct work_list *list);

/* outcome.c: what became of it */
/* Reads the results of the job, puts the outcome on record (unsynced) and plans what follows. */
void work_conclude(struct work *work);
/* The same for one that has no recipient left before it was offered. */
void work_conclude_unasked(struct work *work);
/* A message of the capture transport that was delivered, or (err) was not. */
void work_conclude_capture(struct work *work, const struct err *err);
/* One of which an attachment cannot be had now: deferred, at least until not_before, or given up. */
enum plan work_conclude_unfetched(struct work *work, const struct err *err, int64_t not_before);
/* One whose delivery failed when it was perhaps seen already. */
void work_conclude_unsure(struct work *work, const struct err *err);

/* capture.c: delivers all works of a list (all of one outlet). */
void capture_deliver(struct outlet *outlet, struct work_list *list);

#endif
