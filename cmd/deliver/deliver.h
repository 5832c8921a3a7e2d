/*
 * The delivery engine of mailq-run: takes what is due from the spool, hands it to the accounts'
 * transports, and settles each message as its journal says.  One thread, one loop.
 *
 *	d = deliver_begin(&settings, &spool, &options, &stop, &err)
 *	deliver_cycle(d, false, &err)	once, or again and again while watching
 *	deliver_end(&d, &counts, &err)
 *
 * The files of this room begin at delivery.h.
 */
#ifndef CMD_DELIVER_DELIVER_H
#define CMD_DELIVER_DELIVER_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct account;
struct delivery;
struct queue_entry;
struct settings;
struct spool;

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
	/* Asked like allowed.  True: others have changed the settings, and the cycle ends likewise:
	 * deliver_is_overtaken, to go on with new ones.  NULL: never. */
	bool (*overtaken)(void *arg);
	void *settings_arg; /* of these two */
	/* Called in each turn of the loop; in_flight: messages at the transports.  NULL: not. */
	void (*progress)(const struct deliver_counts *counts, size_t in_flight, void *arg);
	void *progress_arg;
	struct deliver_counts counted; /* by runs before, with other settings: where counts begin */
};

/* Borrows all but the options.  *stop is set by a signal: what is on the wire is finished.  NULL with err. */
struct delivery *deliver_begin(const struct settings *settings, struct spool *spool,
    const struct deliver_options *options, const volatile sig_atomic_t *stop, struct err *err);
/* Closes connections with QUIT, ends the journal, frees; ret_counts is filled in any case.  0, or -1 with err. */
int deliver_end(struct delivery **d, struct deliver_counts *ret_counts, struct err *err);

/*
 * Recovers what dead runners left, then delivers all that is due.  goes_on: the rest of the cycle before, so
 * what that may send at the most, and who has failed in it, counts on.  0, or -1 with err only where the spool
 * or the loop cannot work; what servers say is an outcome.
 */
int deliver_cycle(struct delivery *d, bool goes_on, struct err *err);
/* 0; or -1 with err where something of the last cycle waits, as it could not be read. */
int deliver_tell_unread(const struct delivery *d, struct err *err);
/* True where the last cycle was cut short, as its settings are old. */
bool deliver_is_overtaken(const struct delivery *d);
const struct deliver_counts *deliver_counts(const struct delivery *d);
/* Between cycles, now, watch and allowed may be changed. */
struct deliver_options *deliver_options(struct delivery *d);
/* What would be sent, as it is taken: calls each(entry, account, arg).  Claims nothing. */
int deliver_dry_run(struct delivery *d,
    void (*each)(const struct queue_entry *entry, const struct account *account, void *arg),
    void *arg, struct err *err);

/* ---- for a watch ----------------------------------------------------------------------------------- */

/* Ends the journal and begins another with the next claim, when it is long or old. */
int deliver_rotate(struct delivery *d, struct err *err);
/* called(fd, arg) whenever fd is readable, in cycles and in deliver_wait.  -1 with errno. */
int deliver_watch(struct delivery *d, int fd, void (*called)(int fd, void *arg), void *arg);
void deliver_unwatch(struct delivery *d, int fd);
/* Between cycles: keeps connections alive for so many milliseconds, or until something happens. */
int deliver_wait(struct delivery *d, int milliseconds, struct err *err);

#endif
