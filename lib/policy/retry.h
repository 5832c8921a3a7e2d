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
 * that instant, and one that fails then is RETRY_EXPIRED.  Time in which the message could not be tried does
 * not count: held, suspended, its account parked, no mailq-run, a clock that was wrong.  That time is not
 * recorded, so it is told from the schedule: at each attempt, what lies between the due time and the attempt
 * counts up to an hour, and up to a quarter of expires.
 *
 * The message's own is when it ceases to be of use (a code that was good for ten minutes): it is not
 * sent from then on, whatever kept it, its last attempt comes RETRY_AHEAD before, and if there is no room
 * for that it is given up at once.
 */
struct retry retry_next(const struct account *account, const struct retry_terms *terms,
    unsigned attempts, int64_t now, uint32_t random);

/* The longest pause that retry_next can make, in microseconds. */
int64_t retry_longest(const struct account *account);

/*
 * Whether it is too late for an attempt now, by the message's own expiry (by the account's it never is).
 * due: when this attempt was to be: one that an operator asked for after the expiry is made.
 */
bool retry_too_late(const struct retry_terms *terms, int64_t due, int64_t now);

#endif
