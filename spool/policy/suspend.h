/*
 * Suspension: an operator's order that nothing leaves, that one account is not used, or that one batch
 * waits.  It holds for what is added later too, until it is lifted or its time has come, across
 * restarts.  A file in suspended/ for each: "all", "account,ID", "batch,CODE" (encoded as in names),
 * with lines of text that a person can read, and may delete:
 *
 *	since: 1732170240.000000
 *	until: 1732170540.000000	(absent: until it is lifted)
 *	by: root
 *	reason: the relay is being moved
 *
 * An empty file holds like any other.
 */
#ifndef SPOOL_POLICY_SUSPEND_H
#define SPOOL_POLICY_SUSPEND_H

#include "spool/store/spool.h"

enum suspend_kind {
	SUSPEND_ALL,	 /* name is "" */
	SUSPEND_ACCOUNT, /* name is an account's id; "default": messages that name no account */
	SUSPEND_BATCH,	 /* name is a batch code */
};

struct suspension {
	enum suspend_kind kind;
	char name[LANE_PART_MAX + 1]; /* plain */
	int64_t since;		      /* of its file, where it does not say */
	int64_t until;		      /* an instant; 0: until it is lifted */
	char by[64];		      /* who gave the order */
	char reason[400];	      /* one line, or "" */
};

/* All that hold at an instant: read once, then asked for each lane without a system call. */
struct suspensions {
	struct suspension *v;
	size_t n;
};

/* Reads those that hold now; one whose time has come is none.  Entries that cannot be understood hold,
 * for ever: an operator meant something by them.  Works on a read-only spool.  Release it. */
int
suspensions_read(const struct spool *spool, int64_t now, struct suspensions *ret, struct err *err);
void suspensions_release(struct suspensions *list);
/* The entry of this kind and name; NULL where there is none. */
const struct suspension *
suspensions_find(const struct suspensions *list, enum suspend_kind kind, const char *name);
/* What holds a message of this lane: all, then its batch, then the account that it names. */
const struct suspension *
suspensions_of_lane(const struct suspensions *list, const struct lane *lane);

/* One entry by the name of its file: 1; 0: it is not there; -1 with err (EX_DATAERR) where it cannot be
 * understood. */
int suspension_read(const struct spool *spool, const char *entry, struct suspension *ret,
    struct err *err);

/* Suspends durably; one that is there is replaced.  A line of it goes to the history.  0, or -1 with
 * err. */
int suspend(struct spool *spool, const struct suspension *order, struct err *err);
/* Lifts it, by order of whom.  1: lifted, and a watching mailq-run goes on; 0: there was none; -1 with
 * err. */
int activate(struct spool *spool, enum suspend_kind kind, const char *name, const char *by,
    struct err *err);
/* Removes the entries whose time has come: for mailq-run's tidying. */
int suspensions_tidy(struct spool *spool, int64_t now, struct err *err);

#endif
