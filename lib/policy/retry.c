#include "policy/retry.h"

#include <stdio.h>

#include "base/clock.h"

/* Waiting beyond the due time counts for so long at each attempt; see retry.h. */
#define LATE_MAX (3600 * USEC)
#define LATE_SHARE 4 /* of expires */

bool
retry_too_late(const struct retry_terms *terms, int64_t due, int64_t now)
{
	return terms->expires > 0 && now >= terms->expires && due <= terms->expires;
}

/* The pause after this attempt, grown by its random share of the jitter. */
static int64_t
pause_after(const struct account *account, unsigned attempts, uint32_t random)
{
	size_t step = attempts - 1 < account->retry.n ? attempts - 1 : account->retry.n - 1;
	int64_t pause = account->retry.v[step];

	/* A pause is 30 days at the most (below 2^42 microseconds), so that nothing overflows. */
	return pause + pause * account->retry_jitter / 100 * (int64_t)(random >> 16) / 65535;
}

int64_t
retry_longest(const struct account *account)
{
	int64_t longest = 0;

	for (size_t i = 0; i < account->retry.n; i++)
		if (account->retry.v[i] > longest)
			longest = account->retry.v[i];
	return longest + longest * account->retry_jitter / 100;
}

/* a + n * b, of what is not negative, or the largest number. */
static int64_t
add_times(int64_t a, uint64_t n, int64_t b)
{
	int64_t product, sum;

	return __builtin_mul_overflow(n, b, &product) || __builtin_add_overflow(a, product, &sum) ?
	    INT64_MAX :
	    sum;
}

/* All pauses before the last of so many attempts, without jitter. */
static int64_t
pauses_before(const struct account *account, unsigned attempts)
{
	unsigned pauses = attempts - 1;
	int64_t sum = 0;
	size_t i;

	for (i = 0; i < account->retry.n && i < pauses; i++)
		sum = add_times(sum, 1, account->retry.v[i]);
	return add_times(sum, pauses - i, account->retry.v[account->retry.n - 1]);
}

/* For how long it has been tried, as expires counts that. */
static int64_t
counted_age(const struct account *account, int64_t since, unsigned attempts, int64_t now)
{
	int64_t late =
	    account->expires / LATE_SHARE < LATE_MAX ? account->expires / LATE_SHARE : LATE_MAX;
	int64_t pauses = pauses_before(account, attempts), most;

	/* It was queued by a clock that was ahead. */
	if (now < since)
		return pauses;
	most = add_times(pauses, (uint64_t)account->retry_jitter, pauses / 100 + 1);
	most = add_times(most, attempts, late);
	return now - since < most ? now - since : most;
}

static struct retry
exhausted(unsigned attempts)
{
	struct retry retry = { .verdict = RETRY_EXHAUSTED };

	snprintf(retry.reason, sizeof retry.reason, "failed after %u attempt%s (max_attempts)",
	    attempts, attempts == 1 ? "" : "s");
	return retry;
}

static struct retry
expired(const struct account *account, const struct retry_terms *terms, unsigned attempts,
    int64_t now)
{
	struct retry retry = { .verdict = RETRY_EXPIRED };
	char text[CLOCK_TEXT_SIZE];

	if (terms->expires == 0)
		snprintf(retry.reason, sizeof retry.reason,
		    "failed: not delivered within %s (expires), attempts: %u",
		    clock_span(account->expires, text), attempts);
	else
		snprintf(retry.reason, sizeof retry.reason,
		    "failed: %s %s (the message's own expiry), attempts: %u",
		    now < terms->expires ? "no further attempt before" : "not delivered before",
		    clock_iso(terms->expires, text), attempts);
	return retry;
}

struct retry
retry_next(const struct account *account, const struct retry_terms *terms, unsigned attempts,
    int64_t now, uint32_t random)
{
	struct retry retry = { .verdict = RETRY_LATER };
	int64_t max = terms->max_attempts > 0 ? terms->max_attempts : account->max_attempts;
	int64_t left, pause;

	if (attempts == 0)
		attempts = 1;
	left = terms->expires > 0 ?
	    terms->expires - now :
	    account->expires - counted_age(account, terms->since, attempts, now);
	if (left <= 0)
		return expired(account, terms, attempts, now);
	if (max > 0 && attempts >= max)
		return exhausted(attempts);
	if (terms->expires > 0)
		left -= RETRY_AHEAD;
	if (left <= 0)
		return expired(account, terms, attempts, now);
	pause = pause_after(account, attempts, random);
	retry.due = now + (pause < left ? pause : left);
	return retry;
}
