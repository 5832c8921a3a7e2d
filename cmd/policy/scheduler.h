/* The schedule of this spool: its rules, its zone, its last cycle.  For mailq-run, which obeys it, and
 * for those who tell of it. */
#ifndef CMD_POLICY_SCHEDULER_H
#define CMD_POLICY_SCHEDULER_H

#include "policy/rule.h"
#include "policy/settings.h"
#include "spool/store/spool.h"

/* Read the schedule rules of the spool; put others in their place.  -1 with err: EX_DATAERR if the file
 * is damaged, EX_UNAVAILABLE if the rules are too many for the file. */
int scheduler_rules_read(const struct spool *spool, struct rules *ret, struct err *err);
int scheduler_rules_write(struct spool *spool, const struct rules *rules, struct err *err);

struct scheduler {
	struct zone *zone; /* NULL where there are no rules: nothing depends on it then */
	struct rules rules;
	bool outside_waits;
};

/* Reads the rules and opens the zone.  EX_CONFIG, EX_DATAERR (the file of rules is damaged).  Release
 * it in both cases. */
int scheduler_read(struct scheduler *scheduler, const struct spool *spool,
    const struct settings *settings, struct err *err);
void scheduler_release(struct scheduler *scheduler);
/* What the rules say at an instant. */
void scheduler_decide(const struct scheduler *scheduler, const struct spool *spool, int64_t now,
    struct rule_verdict *ret);
/* 1: a cycle begins now, and is on record; 0: none is due; -1 with err.  forced: whatever the rules
 * say. */
int scheduler_begin(const struct scheduler *scheduler, struct spool *spool, int64_t now,
    bool forced, struct err *err);

#endif
