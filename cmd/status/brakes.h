/*
 * What keeps mail from flowing, for the queue at a glance: suspensions, rules that allow no cycle yet,
 * accounts that are not there, rest after a fault, or are at a limit.  Costs a few small files for each
 * account that has messages.
 */
#ifndef CMD_STATUS_BRAKES_H
#define CMD_STATUS_BRAKES_H

#include "cmd/policy/limits.h"
#include "cmd/status/status.h"
#include "policy/rule.h"
#include "spool/policy/suspend.h"
#include "spool/queue/count.h"

struct brake_limit {
	const char *account, *domain; /* the settings'; domain may be "" */
	char words[LIMITS_TEXT_SIZE]; /* which one: "limit of 5 a minute" */
	int64_t next;		      /* 0: it depends on who holds slots */
	bool unreadable;	      /* words say why */
};

struct brake_account {
	char account[LANE_PART_MAX + 1];
	char reason[200];
};

struct brakes {
	struct spool *spool;
	struct suspensions suspensions;
	bool default_suspended; /* all accounts for messages that name none are */
	struct brake_limit *limited;
	size_t limited_count;
	struct brake_account *unusable; /* not configured, or its file is damaged */
	size_t unusable_count;
	bool ruled; /* there are rules, and verdict is what they say */
	struct rule_verdict verdict;
	struct err rules_err; /* or they cannot be followed */
};

/* Looks; settings must outlive it.  0, or -1 with err.  Release it in both cases. */
int brakes_read(struct brakes *ret, struct spool *spool, const struct settings *settings,
    const struct counts *counts, struct err *err);
void brakes_release(struct brakes *brakes);
/* Whether messages of this lane wait for a suspension to end. */
bool brakes_suspended(const struct brakes *brakes, const struct lane *lane);
/* A line for each. */
int brakes_print(const struct brakes *brakes, struct err *err);
/* The members "suspended", "next_cycle", "unusable", "parked" and "limited". */
int brakes_put(const struct brakes *brakes, struct json_writer *w, struct err *err);

#endif
