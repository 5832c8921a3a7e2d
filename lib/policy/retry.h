/* When a message that was deferred is tried again, or that it is given up.  Pure. */
#ifndef POLICY_RETRY_H
#define POLICY_RETRY_H

#include <stdbool.h>
#include <stdint.h>

#include "policy/account.h"

enum retry_verdict {
	RETRY_LATER,	 /* due is set */
	RETRY_EXHAUSTED, /* max_attempts were made */
	RETRY_EXPIRED,	 /* its time is up, or will be before another attempt */
};

struct retry {
	enum retry_verdict verdict;
	int64_t due;	  /* an instant; 0 unless RETRY_LATER */
	char reason[160]; /* "given up after 5 attempts (max_attempts)"; empty for RETRY_LATER */
};

/* What a message says of it itself; 0: as the account does. */
struct retry_terms {
	int64_t since;	      /* the instant from which the account's expires counts */
	int64_t expires;      /* an instant */
	int64_t max_attempts; /* at least 1 */
};

/* A message that says when it expires has its last attempt so long before, since a mailq-run that is
 * called each minute must still find it in time. */
#define RETRY_AHEAD (60 * USEC)

/*
 * attempts: how many were made, the one that just failed included (>= 1; 0 counts as 1); instants in
 * microseconds; random: any 32 random bits.  The pause is that of the account's schedule for this
 * attempt, grown by up to retry_jitter percent.
 *
 * The two kinds of expiry differ.  The account's is when we cease to try: a last attempt is made at
 * that instant, and one that fails then is RETRY_EXPIRED.  The message's own is when it ceases to be
 * of use (a code that was good for ten minutes): it is not sent from then on, its last attempt comes
 * RETRY_AHEAD before, and where there is no room for that it is given up at once.
 */
struct retry retry_next(const struct account *account, const struct retry_terms *terms,
    unsigned attempts, int64_t now, uint32_t random);

/* The instant at which a message expires by its account, whose time began at since. */
int64_t retry_expiry(const struct account *account, int64_t since);

/*
 * Whether it is too late for an attempt now.  attempts: how many were made before; due: when this one
 * was to be.  By the account's expiry only a first attempt is ever too late, by the message's own each,
 * but for one that an operator asked for afterwards (its due time lies behind the expiry).
 */
bool retry_too_late(const struct account *account, const struct retry_terms *terms,
    unsigned attempts, int64_t due, int64_t now);

#endif
