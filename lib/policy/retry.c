#include "policy/retry.h"

#include <stdio.h>

#include "base/clock.h"

int64_t
retry_expiry(const struct account *account, int64_t created)
{
	int64_t expiry;

	return __builtin_add_overflow(created, account->expires, &expiry) ? INT64_MAX : expiry;
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

struct retry
retry_next(const struct account *account, unsigned attempts, int64_t created, int64_t now,
    uint32_t random)
{
	struct retry retry = { .verdict = RETRY_LATER };
	int64_t expiry = retry_expiry(account, created);
	char span[CLOCK_TEXT_SIZE];

	if (attempts == 0)
		attempts = 1;
	if (now >= expiry) {
		retry.verdict = RETRY_EXPIRED;
		snprintf(retry.reason, sizeof retry.reason,
		    "given up: not delivered within %s (expires), attempts: %u",
		    clock_span(account->expires, span), attempts);
		return retry;
	}
	if (account->max_attempts > 0 && attempts >= account->max_attempts) {
		retry.verdict = RETRY_EXHAUSTED;
		snprintf(retry.reason, sizeof retry.reason,
		    "given up after %u attempt%s (max_attempts)", attempts,
		    attempts == 1 ? "" : "s");
		return retry;
	}
	retry.due = now + pause_after(account, attempts, random);
	if (retry.due > expiry)
		retry.due = expiry;
	return retry;
}
