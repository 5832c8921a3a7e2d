#include "unit.h"

#include "base/clock.h"
#include "policy/retry.h"

#define MINUTE (60 * USEC)
#define HOUR (60 * MINUTE)

static int64_t usual[] = { MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR, 2 * HOUR, 4 * HOUR };
static int64_t once[] = { USEC };

/* An account whose messages live for a day. */
static struct account
account(int64_t jitter, int64_t max_attempts)
{
	return (struct account){ .retry = { usual, 6 },
		.retry_jitter = jitter,
		.expires = 24 * HOUR,
		.max_attempts = max_attempts };
}

static const struct {
	unsigned attempts;
	int64_t age, jitter, max_attempts;
	uint32_t random;
	enum retry_verdict verdict;
	int64_t pause; /* from now */
	const char *reason;
} rows[] = {
	{ 1, 0, 0, 0, 0, RETRY_LATER, MINUTE, "" },
	{ 0, 0, 0, 0, 0, RETRY_LATER, MINUTE, "" },
	{ 2, MINUTE, 0, 0, 0, RETRY_LATER, 5 * MINUTE, "" },
	{ 3, HOUR, 0, 0, 0, RETRY_LATER, 15 * MINUTE, "" },
	{ 4, HOUR, 0, 0, 0, RETRY_LATER, HOUR, "" },
	{ 5, HOUR, 0, 0, 0, RETRY_LATER, 2 * HOUR, "" },
	{ 6, HOUR, 0, 0, 0, RETRY_LATER, 4 * HOUR, "" },
	{ 7, HOUR, 0, 0, 0, RETRY_LATER, 4 * HOUR, "" },
	{ UINT32_MAX, HOUR, 0, 0, 0, RETRY_LATER, 4 * HOUR, "" },
	/* Jitter only ever adds. */
	{ 1, 0, 10, 0, 0, RETRY_LATER, MINUTE, "" },
	{ 1, 0, 10, 0, UINT32_MAX, RETRY_LATER, MINUTE + 6 * USEC, "" },
	{ 1, 0, 100, 0, UINT32_MAX, RETRY_LATER, 2 * MINUTE, "" },
	/* The last attempt is at the end of its life. */
	{ 9, 23 * HOUR, 0, 0, 0, RETRY_LATER, HOUR, "" },
	{ 9, 24 * HOUR - 1, 0, 0, 0, RETRY_LATER, 1, "" },
	{ 9, 24 * HOUR, 0, 0, 0, RETRY_EXPIRED, 0,
	    "given up: not delivered within 1d (expires), attempts: 9" },
	{ 9, 500 * HOUR, 0, 0, 0, RETRY_EXPIRED, 0,
	    "given up: not delivered within 1d (expires), attempts: 9" },
	{ 4, 0, 0, 5, 0, RETRY_LATER, HOUR, "" },
	{ 5, 0, 0, 5, 0, RETRY_EXHAUSTED, 0, "given up after 5 attempts (max_attempts)" },
	{ 6, 0, 0, 5, 0, RETRY_EXHAUSTED, 0, "given up after 6 attempts (max_attempts)" },
	{ 1, 0, 0, 1, 0, RETRY_EXHAUSTED, 0, "given up after 1 attempt (max_attempts)" },
	/* A clock that was set back: the age is negative, and nothing expires early. */
	{ 1, -HOUR, 0, 0, 0, RETRY_LATER, MINUTE, "" },
};

TEST(retry_schedule)
{
	const int64_t created = INT64_C(1700000000) * USEC;

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct account a = account(rows[i].jitter, rows[i].max_attempts);
		int64_t now = created + rows[i].age;
		struct retry r = retry_next(&a, rows[i].attempts, created, now, rows[i].random);

		CHECK_INT(r.verdict, rows[i].verdict);
		CHECK_INT(r.due, r.verdict == RETRY_LATER ? now + rows[i].pause : 0);
		CHECK_STR(r.reason, rows[i].reason);
	}
}

TEST(retry_never_overflows)
{
	struct account a = { .retry = { once, 1 }, .expires = INT64_MAX };

	CHECK_INT(retry_expiry(&a, INT64_C(1700000000) * USEC), INT64_MAX);
	CHECK_INT(retry_next(&a, 1, 5, 10, 0).due, 10 + USEC);
}

UNIT_MAIN()
