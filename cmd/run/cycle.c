#include "cmd/run/cycle.h"

/* So often an application that hands in more whenever it hears of the last is heard in one cycle. */
#define LATE_ROUNDS 10

static uint64_t
outcomes(const struct deliver_counts *c)
{
	return c->sent + c->deferred + c->failed + c->uncertain + c->corrupt + c->recovered;
}

static bool
goes_on(const struct delivery *d, const volatile sig_atomic_t *stop, int result)
{
	return result == 0 && !deliver_is_overtaken(d) && *stop == 0;
}

/* Delivers, and goes on with what comes in, until the application has heard all.  further: the cycle has begun. */
static int
exchange_all(struct delivery *d, struct exchange *exchange, const volatile sig_atomic_t *stop,
    bool further, struct err *err)
{
	uint64_t fetched;
	int result;

	do {
		fetched = exchange_fetched(exchange);
		result = deliver_cycle(d, further, err);
		further = true;
	} while (goes_on(d, stop, result) &&
	    exchange_wait(exchange, fetched, outcomes(deliver_counts(d)), stop) == EXCHANGE_BUSY);
	return result;
}

int
run_cycle(struct delivery *d, struct exchange *exchange, const volatile sig_atomic_t *stop,
    struct err *err)
{
	uint64_t before;
	int result;

	if (exchange == NULL)
		return deliver_cycle(d, false, err);
	for (int rounds = 0;; rounds++) {
		result = exchange_all(d, exchange, stop, rounds > 0, err);
		if (!goes_on(d, stop, result) || rounds == LATE_ROUNDS)
			return result;
		before = outcomes(deliver_counts(d));
		result = deliver_cycle(d, true, err);
		if (!goes_on(d, stop, result) || outcomes(deliver_counts(d)) == before)
			return result;
	}
}
