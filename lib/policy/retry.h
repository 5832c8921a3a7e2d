/* When a message that was deferred is tried again, or that it is given up.  Pure. */
#ifndef POLICY_RETRY_H
#define POLICY_RETRY_H

#include <stdint.h>

#include "policy/account.h"

enum retry_verdict {
	RETRY_LATER,	 /* due is set */
	RETRY_EXHAUSTED, /* max_attempts were made */
	RETRY_EXPIRED,	 /* older than the account's expires */
};

struct retry {
	enum retry_verdict verdict;
	int64_t due;	  /* an instant; 0 unless RETRY_LATER */
	char reason[100]; /* "given up after 5 attempts (max_attempts)"; empty for RETRY_LATER */
};

/*
 * attempts: how many were made, the one that just failed included (>= 1; 0 counts as 1); instants in
 * microseconds; random: any 32 random bits.  The pause is that of the account's schedule for this
 * attempt, grown by up to retry_jitter percent.  A last attempt is made when the message expires,
 * never after; one that fails then is RETRY_EXPIRED.
 */
struct retry retry_next(const struct account *account, unsigned attempts, int64_t created,
    int64_t now, uint32_t random);

/* The instant at which a message that was queued at created expires under the account. */
int64_t retry_expiry(const struct account *account, int64_t created);

#endif
