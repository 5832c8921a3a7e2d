/*
 * Which reports the application chokes on.  A request that fails twice is told in halves, each failure halves again,
 * until one report is alone.  That it fails alone says nothing yet: the application may be down.  So it is skipped, where it
 * stands, and the next one is told; when that is heard, those that were skipped are kept alone (spool/report/reports.h) and hold
 * up nothing any more.  While nothing is heard, nothing moves: an outage leaves all as it was.
 *
 *	suspects	among so many of the next reports is one that fails
 *	skipped		the first so many messages have failed alone, and nothing was heard since
 *	room		not more at once, twice as many after each success: such reports come in swarms
 */
#include "cmd/exchange/private.h"

/* After so many, which is an outage or a swarm of them, it begins at the first again. */
#define SKIPPED_MAX 100

static bool
is_searching(const struct reports_state *s)
{
	return s->suspects > 0 || s->skipped > 0 || s->room > 0;
}

size_t
exchange_halves_size(const struct reports_state *s, size_t max)
{
	size_t n = max;

	if (s->suspects > 0)
		n = s->suspects / 2;
	else if (s->skipped > 0)
		n = 1;
	else if (s->room > 0)
		n = s->room;
	return n < 1 ? 1 : n > max ? max : n;
}

void
exchange_halves_failed(struct reports_state *s, size_t n)
{
	/* The first time, as it was: the application may know it by its id. */
	if (n == 0 || (!is_searching(s) && s->failures < 2))
		return;
	if (n > 1) {
		s->suspects = (unsigned int)n;
		return;
	}
	s->suspects = 0;
	s->room = 1;
	s->skipped = s->skipped < SKIPPED_MAX ? s->skipped + 1 : 0;
}

void
exchange_halves_heard(struct reports_state *s, size_t n, size_t max)
{
	if (n == 0)
		return;
	s->suspects = s->suspects > n ? s->suspects - (unsigned int)n : 0;
	s->skipped = 0;
	if (s->room > 0)
		s->room *= 2;
	if (s->room >= max)
		s->room = 0;
}

void
exchange_halves_again(struct reports_state *s)
{
	s->suspects = s->skipped = 0;
	s->room = 1;
}
