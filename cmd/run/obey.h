/* How mailq-run obeys the rules: whether a cycle begins, and whether one that began may go on. */
#ifndef CMD_RUN_OBEY_H
#define CMD_RUN_OBEY_H

#include "cmd/policy/scheduler.h"

struct obedience {
	struct spool *spool;
	const struct settings *settings;
	struct scheduler scheduler;
	struct err told; /* what was wrong with the rules when they were read last */
	bool resume;	 /* the next cycle is the rest of one that began */
};

/* What there was instead of a cycle. */
struct skipped {
	int64_t next; /* INT64_MAX: none will be */
	char why[sizeof((struct rule_verdict *)0)->why];
};

/* Reads the rules again.  Some that cannot be read any more are told of, once, and leave those in force
 * that were. */
void obey_refresh(struct obedience *o);
void obey_release(struct obedience *o);

/* 1: a cycle begins now, and is on record; 0: none is due, and *ret_skipped says why; -1 with err.
 * forced: whatever the rules say.  Where none is due nothing is written: that would wake a watch. */
int obey_begin(struct obedience *o, bool forced, struct skipped *ret_skipped, struct err *err);

/* True while a cycle that began may go on; reads the rules again.  Fits deliver_options.allowed, arg is
 * the struct obedience. */
bool obey_may_go_on(void *arg);

#endif
