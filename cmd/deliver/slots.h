/*
 * Slots: what a limit grants this run, and what goes back to it.  spool/limit/limit.h keeps them for all
 * processes; here stands what one run has of one limit.
 *
 *	slots_new(...)			for an account, or for a domain that it sends to
 *	slots_ready(s)			may there be one now?  mostly without a system call
 *	slots_want(s, n)		at least one in reserve, n at the most
 *	slots_use(s)			one of the reserve belongs to a message now
 *	slots_spare(s)			the reserve goes back: there are no more messages
 *	slots_sync(s)			before the first of these messages is offered
 *	s->left++ or s->unused++	its outcome is on record
 *	slots_settle(s)			and that goes back, for a group of messages
 *	slots_free(&s)			what still belongs to a message counts as left
 */
#ifndef CMD_DELIVER_SLOTS_H
#define CMD_DELIVER_SLOTS_H

#include "policy/account.h"
#include "spool/limit/limit.h"

struct slots {
	struct spool *spool;
	const struct account *account;
	const struct account_domain *domain; /* NULL: the limit of the account itself */
	struct limit_rule rule;
	int pause;	     /* which window of the rule is the account's min_interval; -1: none */
	struct limit *limit; /* NULL until it is first used */
	uint64_t reserve;    /* taken, and no message's yet */
	uint64_t group;	     /* how many to take next, where it is not known how many are needed */
	uint64_t left, unused;	/* of messages whose outcomes are on record: to be given back */
	bool unsynced;		/* something was taken since slots_sync */
	bool full;		/* none is free until next */
	bool blocked;		/* it could not be counted for now: no space */
	struct limit_look look; /* as it was found last */
	int64_t next;		/* an instant; 0: it depends on those who hold them */
	int64_t again;		/* next is 0: when to look again (monotonic) */
	int64_t told;		/* when somebody heard last that it is full (monotonic); 0: never */
};

/* NULL where the account has no such limit. */
struct slots *
slots_new(struct spool *spool, const struct account *account, const struct account_domain *domain);
/* Accepts NULL. */
void slots_free(struct slots **slots);

/* False while it is known to be full.  True promises nothing.  Accepts NULL: no limit. */
bool slots_ready(struct slots *slots);
/* Looks, and takes nothing: for one that was not used yet in this cycle.  As slots_ready. */
bool slots_look(struct slots *slots);
/* True if one at least is in reserve now.  Where none was, up to want are taken.  A limit that cannot
 * be used is logged, and is full for a second. */
bool slots_want(struct slots *slots, uint64_t want);
/* One of the reserve is a message's. */
void slots_use(struct slots *slots);
/* A message did not need it after all, before anything was synced. */
void slots_return(struct slots *slots);
void slots_spare(struct slots *slots);
int slots_sync(struct slots *slots, struct err *err);
void slots_settle(struct slots *slots);

/* True where it is full by messages that have left, and not by the account's pause, nor by those that
 * may yet come back: what comes now is beyond the limit. */
bool slots_beyond(const struct slots *slots);
/* True where nothing but the account's pause is in the way. */
bool slots_pausing(const struct slots *slots);
/* True if the limit proper (without a pause) is full now, by a look. */
bool slots_exhausted(const struct slots *slots);
/* Which window is full: "limit of 5 a minute", "limit of 2 an hour for example.com". */
#define SLOTS_TEXT_SIZE 160
void slots_words(const struct slots *slots, char text[SLOTS_TEXT_SIZE]);

#endif
