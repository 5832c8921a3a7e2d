#include <sys/random.h>

#include "base/clock.h"
#include "cmd/exchange/private.h"

#define PAUSE_FIRST (5 * USEC)
#define PAUSE_LONGEST (300 * USEC)

uint32_t
exchange_chance(void)
{
	uint32_t chance = 0;

	return getrandom(&chance, sizeof chance, GRND_NONBLOCK) < 0 ? 0 : chance;
}

int64_t
exchange_pause(unsigned int failures, uint32_t chance, int64_t asked)
{
	int64_t pause = PAUSE_FIRST;

	for (unsigned int i = 1; i < failures && pause < PAUSE_LONGEST; i++)
		pause *= 2;
	if (pause > PAUSE_LONGEST)
		pause = PAUSE_LONGEST;
	pause += pause / 5 * (chance % 1024) / 1024;
	if (asked > EXCHANGE_ASKED_MAX)
		asked = EXCHANGE_ASKED_MAX;
	return pause > asked ? pause : asked;
}

bool
exchange_is_paused(int64_t until, int64_t now)
{
	return now < until && until - now <= EXCHANGE_ASKED_MAX;
}
