#include "policy/retry.h"

#include <stdio.h>

#include "base/clock.h"

int64_t
retry_expiry(const struct account *account, int64_t since)
{
	int64_t expiry;

	return __builtin_add_overflow(since, account->expires, &expiry) ? INT64_MAX : expiry;
}

bool
retry_too_late(const struct account *account, const struct retry_terms *terms, unsigned attempts,
    int64_t due, int64_t now)
{
	if (terms->expires > 0)
		return now >= terms->expires && due <= terms->expires;
	return attempts == 0 && now >= retry_expiry(account, terms->since);
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

static struct retry
exhausted(unsigned attempts)
{
	struct retry retry = { .verdict = RETRY_EXHAUSTED };

	snprintf(retry.reason, sizeof retry.reason, "given up after %u attempt%s (max_attempts)",
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
		    "given up: not delivered within %s (expires), attempts: %u",
		    clock_span(account->expires, text), attempts);
	else
		snprintf(retry.reason, sizeof retry.reason,
		    "given up: %s %s (the message's own expiry), attempts: %u",
		    now < terms->expires ? "no further attempt before" : "not delivered before",
		    clock_iso(terms->expires, text), attempts);
	return retry;
}

struct retry
retry_next(const struct account *account, const struct retry_terms *terms, unsigned attempts,
    int64_t now, uint32_t random)
{
	struct retry retry = { .verdict = RETRY_LATER };
	int64_t expiry = terms->expires > 0 ? terms->expires : retry_expiry(account, terms->since);
	int64_t last = terms->expires > 0 ? expiry - RETRY_AHEAD : expiry;
	int64_t max = terms->max_attempts > 0 ? terms->max_attempts : account->max_attempts;

	if (attempts == 0)
		attempts = 1;
	if (now >= expiry)
		return expired(account, terms, attempts, now);
	if (max > 0 && attempts >= max)
		return exhausted(attempts);
	retry.due = now + pause_after(account, attempts, random);
	if (retry.due < last)
		return retry;
	if (now >= last)
		return expired(account, terms, attempts, now);
	retry.due = last;
	return retry;
}
