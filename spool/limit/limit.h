/*
 * Limits: no more than N messages may leave in any window of 60 s, 3600 s, 86400 s, whoever sends
 * them and whatever crashes.  limits/ACCOUNT (or limits/ACCOUNT,DOMAIN for what an account sends to
 * one domain of recipients) says when the last of them left, and which runners hold slots.
 *
 *	limit_open(spool, "main", NULL, &rule, &limit, &err)
 *	n = limit_take(limit, want, &look, &err)	before messages are claimed
 *	limit_sync(limit, &err)				before the first of them is offered
 *	limit_give(limit, left, unused, &err)		when their outcomes are on record
 *	limit_close(&limit)
 *
 * A slot that was taken counts as used from the moment it is taken until its message has left, and
 * from that moment on for the whole window.  A message leaves between the two, so the count at the
 * server never exceeds the limit in any window.  A slot whose holder died counts as if its message had
 * left when that was noticed: liveness is a kernel lock on the file.
 *
 * Where the file is missing, damaged, or reaches back less far than the rule now asks for, it is made
 * anew from the history of the account: what was sent before a limit was set counts too, and what was
 * sent between its end and its return (limit_lift).
 *
 * This is the one place that knows where slots are kept: the backend that several machines would share
 * stands behind these functions.
 */
#ifndef SPOOL_LIMIT_LIMIT_H
#define SPOOL_LIMIT_LIMIT_H

#include "spool/store/spool.h"

#define LIMIT_WINDOWS 4

struct limit_window {
	int64_t span; /* microseconds */
	uint64_t max; /* messages; at least 1 */
};

/* What is allowed.  An account's pause between messages is a window of that span with a max of 1. */
struct limit_rule {
	struct limit_window windows[LIMIT_WINDOWS];
	size_t count;
	uint64_t at_once; /* slots held at a time, by all runners together; 0: no bound */
};

/* How things stand at a moment. */
struct limit_look {
	uint64_t free; /* slots that could be taken now */
	uint64_t held; /* by living runners */
	int64_t
	    next; /* free is 0: the instant at which a slot is sure to be free, or 0 where that depends
			    on a runner that holds one */
	int window;    /* free is 0: which window is full; -1: at_once */
	uint64_t used; /* of that window: left within it, or held */
};

struct limit;

/* Adds a window to a rule; one with max 0 is none. */
void limit_rule_add(struct limit_rule *rule, int64_t span, uint64_t max);

/* account and domain (or NULL) are plain texts.  The file is made when it is not there. */
int limit_open(struct spool *spool, const char *account, const char *domain,
    const struct limit_rule *rule, struct limit **ret, struct err *err);
/* Takes up to want slots: how many (0: none is free), or -1 with err.  ret_look, which may be NULL, is
 * how things stand behind it. */
int64_t
limit_take(struct limit *limit, uint64_t want, struct limit_look *ret_look, struct err *err);
/* Makes what was taken survive a power cut.  Costs nothing where nothing was taken since. */
int limit_sync(struct limit *limit, struct err *err);
/* left messages have left now, or may have; unused slots are given back. */
int limit_give(struct limit *limit, uint64_t left, uint64_t unused, struct err *err);
/* Slots still held count as left.  Accepts NULL; for AUTO() too. */
void limit_close(struct limit **limit);

/*
 * For who sends through accounts that have no such limit now: what leaves there is stamped in no file,
 * and a file of before would not count it when a limit returns.  So the files of all limits of which
 * is_lifted(account, domain, arg) says that they do not hold (domain is NULL for that of the account)
 * are marked as knowing nothing, and removed where nobody holds slots; the history then tells.  To be
 * called before and, about once a second, while something is sent, and when it has been.  -1 with err
 * where that failed for one.  Costs next to nothing where there are no such files.
 */
int limit_lift(struct spool *spool,
    bool (*is_lifted)(const char *account, const char *domain, void *arg), void *arg,
    struct err *err);

/* The same view for those who only look (also on a read-only spool): nothing is made or changed.  A
 * file that is not there is an unused limit. */
int limit_look(const struct spool *spool, const char *account, const char *domain,
    const struct limit_rule *rule, struct limit_look *ret, struct err *err);

#endif
