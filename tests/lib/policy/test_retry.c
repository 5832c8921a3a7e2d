#include "unit.h"

#include "base/clock.h"
#include "policy/retry.h"

#define MINUTE (60 * USEC)
#define HOUR (60 * MINUTE)
#define CREATED (INT64_C(1700000000) * USEC) /* 2023-11-14T22:13:20Z */

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
	    "failed: not delivered within 1d (expires), attempts: 9" },
	{ 9, 500 * HOUR, 0, 0, 0, RETRY_EXPIRED, 0,
	    "failed: not delivered within 1d (expires), attempts: 9" },
	{ 4, 0, 0, 5, 0, RETRY_LATER, HOUR, "" },
	{ 5, 0, 0, 5, 0, RETRY_EXHAUSTED, 0, "failed after 5 attempts (max_attempts)" },
	{ 6, 0, 0, 5, 0, RETRY_EXHAUSTED, 0, "failed after 6 attempts (max_attempts)" },
	{ 1, 0, 0, 1, 0, RETRY_EXHAUSTED, 0, "failed after 1 attempt (max_attempts)" },
	/* A clock that was set back: the age is negative, and nothing expires early. */
	{ 1, -HOUR, 0, 0, 0, RETRY_LATER, MINUTE, "" },
};

TEST(retry_schedule)
{
	const struct retry_terms terms = { .since = CREATED };

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct account a = account(rows[i].jitter, rows[i].max_attempts);
		int64_t now = CREATED + rows[i].age;
		struct retry r = retry_next(&a, &terms, rows[i].attempts, now, rows[i].random);

		CHECK_INT(r.verdict, rows[i].verdict);
		CHECK_INT(r.due, r.verdict == RETRY_LATER ? now + rows[i].pause : 0);
		CHECK_STR(r.reason, rows[i].reason);
	}
}

/* What a message says itself goes before what its account says, in both directions. */
static const struct {
	unsigned attempts;
	int64_t age;
	int64_t expires, max_attempts; /* the message's; expires from CREATED on */
	int64_t account_max;
	enum retry_verdict verdict;
	int64_t pause;
	const char *reason;
} own[] = {
	{ 1, 0, 0, 2, 0, RETRY_LATER, MINUTE, "" },
	{ 2, 0, 0, 2, 0, RETRY_EXHAUSTED, 0, "failed after 2 attempts (max_attempts)" },
	{ 2, 0, 0, 2, 9, RETRY_EXHAUSTED, 0, "failed after 2 attempts (max_attempts)" },
	{ 2, 0, 0, 9, 2, RETRY_LATER, 5 * MINUTE, "" },
	{ 9, 0, 0, 9, 2, RETRY_EXHAUSTED, 0, "failed after 9 attempts (max_attempts)" },
	{ 2, 0, HOUR, 0, 2, RETRY_EXHAUSTED, 0, "failed after 2 attempts (max_attempts)" },
	/* Longer than the account's day. */
	{ 7, 30 * HOUR, 48 * HOUR, 0, 0, RETRY_LATER, 4 * HOUR, "" },
	/* Another attempt fits; the last one is a minute ahead; none fits. */
	{ 3, 0, HOUR, 0, 0, RETRY_LATER, 15 * MINUTE, "" },
	{ 3, 44 * MINUTE - 1, HOUR, 0, 0, RETRY_LATER, 15 * MINUTE, "" },
	{ 3, 44 * MINUTE + 1, HOUR, 0, 0, RETRY_LATER, 15 * MINUTE - 1, "" },
	{ 4, 50 * MINUTE, HOUR, 0, 0, RETRY_LATER, 9 * MINUTE, "" },
	{ 4, 59 * MINUTE - 1, HOUR, 0, 0, RETRY_LATER, 1, "" },
	{ 4, 59 * MINUTE, HOUR, 0, 0, RETRY_EXPIRED, 0,
	    "failed: no further attempt before 2023-11-14T23:13:20Z (the message's own expiry), "
	    "attempts: 4" },
	{ 1, 0, 30 * USEC, 0, 0, RETRY_EXPIRED, 0,
	    "failed: no further attempt before 2023-11-14T22:13:50Z (the message's own expiry), "
	    "attempts: 1" },
	{ 4, HOUR, HOUR, 0, 0, RETRY_EXPIRED, 0,
	    "failed: not delivered before 2023-11-14T23:13:20Z (the message's own expiry), "
	    "attempts: 4" },
	/* Both are over: the expiry is what is told. */
	{ 2, HOUR, HOUR, 2, 0, RETRY_EXPIRED, 0,
	    "failed: not delivered before 2023-11-14T23:13:20Z (the message's own expiry), "
	    "attempts: 2" },
};

TEST(what_a_message_says_itself)
{
	for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
		struct account a = account(0, own[i].account_max);
		const struct retry_terms terms = { .since = CREATED,
			.expires = own[i].expires > 0 ? CREATED + own[i].expires : 0,
			.max_attempts = own[i].max_attempts };
		int64_t now = CREATED + own[i].age;
		struct retry r = retry_next(&a, &terms, own[i].attempts, now, 0);

		CHECK_INT(r.verdict, own[i].verdict);
		CHECK_INT(r.due, r.verdict == RETRY_LATER ? now + own[i].pause : 0);
		CHECK_STR(r.reason, own[i].reason);
	}
}

/* Whatever the random bits, a pause is within its bounds, and they are spread over them. */
TEST(jitter_is_spread_over_its_range)
{
	struct account a = account(20, 0);
	const struct retry_terms terms = { .since = CREATED };
	unsigned tenths[10] = { 0 };

	for (uint32_t i = 0; i < 10000; i++) {
		int64_t pause =
		    retry_next(&a, &terms, 4, CREATED, i * UINT32_C(429496)).due - CREATED;

		CHECK(pause >= HOUR && pause <= HOUR + HOUR / 5);
		tenths[(pause - HOUR) * 10 / (HOUR / 5 + 1)]++;
	}
	for (int i = 0; i < 10; i++)
		CHECK(tenths[i] > 900 && tenths[i] < 1100);
}

TEST(too_late)
{
	static const struct {
		int64_t expires; /* the message's own, from CREATED on */
		int64_t due, age;
		bool want;
	} lates[] = {
		/* By the account's expiry no attempt is. */
		{ 0, 0, 24 * HOUR - 1, false },
		{ 0, 0, 24 * HOUR, false },
		{ 0, 24 * HOUR, 2400 * HOUR, false },
		/* By the message's each is, but what an operator wants afterwards. */
		{ HOUR, 0, HOUR - 1, false },
		{ HOUR, 0, HOUR, true },
		{ HOUR, 59 * MINUTE, HOUR - 1, false },
		{ HOUR, 59 * MINUTE, HOUR, true },
		{ HOUR, HOUR, HOUR, true },
		{ HOUR, 2 * HOUR, 2 * HOUR, false },
		{ 48 * HOUR, 0, 30 * HOUR, false },
	};

	for (size_t i = 0; i < sizeof lates / sizeof *lates; i++) {
		const struct retry_terms terms = { .since = CREATED,
			.expires = lates[i].expires > 0 ? CREATED + lates[i].expires : 0 };

		CHECK_INT(retry_too_late(&terms, CREATED + lates[i].due, CREATED + lates[i].age),
		    lates[i].want);
	}
}

/* Held, suspended, parked, not run, queued in 1970: what was not tried meanwhile has its time still. */
TEST(time_in_which_it_could_not_be_tried_does_not_count)
{
	static const struct {
		unsigned attempts;
		int64_t age, expires;
		enum retry_verdict verdict;
		int64_t pause;
	} waits[] = {
		{ 1, 7 * 24 * HOUR, 24 * HOUR, RETRY_LATER, MINUTE },
		{ 1, CREATED, 24 * HOUR, RETRY_LATER, MINUTE },
		{ 2, 7 * 24 * HOUR, 24 * HOUR, RETRY_LATER, 5 * MINUTE },
		{ 6, 7 * 24 * HOUR, 24 * HOUR, RETRY_LATER, 4 * HOUR },
		/* 8 pauses are 15 h 21 min, and 9 times up to an hour of waiting. */
		{ 8, 7 * 24 * HOUR, 24 * HOUR, RETRY_LATER, 4 * HOUR },
		{ 9, 7 * 24 * HOUR, 24 * HOUR, RETRY_EXPIRED, 0 },
		/* Of a short time, a quarter: so there is always another attempt. */
		{ 1, 7 * 24 * HOUR, 20 * MINUTE, RETRY_LATER, MINUTE },
		{ 2, 7 * 24 * HOUR, 20 * MINUTE, RETRY_LATER, 5 * MINUTE },
		{ 3, 7 * 24 * HOUR, 20 * MINUTE, RETRY_EXPIRED, 0 },
		/* A clock that was ahead when it was queued does not make it live for ever. */
		{ 8, -8760 * HOUR, 24 * HOUR, RETRY_LATER, 4 * HOUR },
		{ 12, -8760 * HOUR, 24 * HOUR, RETRY_EXPIRED, 0 },
	};
	const struct retry_terms terms = { .since = CREATED };

	for (size_t i = 0; i < sizeof waits / sizeof *waits; i++) {
		struct account a = account(0, 0);
		int64_t now = CREATED + waits[i].age;
		struct retry r;

		a.expires = waits[i].expires;
		r = retry_next(&a, &terms, waits[i].attempts, now, 0);
		CHECK_INT(r.verdict, waits[i].verdict);
		CHECK_INT(r.due, r.verdict == RETRY_LATER ? now + waits[i].pause : 0);
	}
}

TEST(longest_pause)
{
	struct account a = account(10, 0);

	CHECK_INT(retry_longest(&a), 4 * HOUR + 24 * MINUTE);
	for (uint32_t i = 0; i < 1000; i++) {
		const struct retry_terms terms = { .since = CREATED };

		CHECK(retry_next(&a, &terms, 1 + i % 9, CREATED, UINT32_MAX).due - CREATED <=
		    retry_longest(&a));
	}
}

TEST(retry_never_overflows)
{
	struct account a = { .retry = { once, 1 }, .retry_jitter = 100, .expires = INT64_MAX };
	const struct retry_terms terms = { .since = 5 };

	CHECK_INT(retry_next(&a, &terms, 1, 10, 0).due, 10 + USEC);
	a.retry.v = (int64_t[]){ INT64_MAX / 200 };
	CHECK_INT(retry_next(&a, &terms, UINT32_MAX, 10, 0).due, 10 + INT64_MAX / 200);
}

UNIT_MAIN()
