/*
 * Time.  An instant is an int64_t of microseconds since 1970-01-01T00:00:00Z, a span likewise
 * microseconds; only what crosses to people or to other programs is seconds or text.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

#define USEC INT64_C(1000000)
#define CLOCK_TEXT_SIZE 40

/* The wall clock. */
int64_t clock_now(void);
/* A clock that never steps, for time-outs; unrelated to clock_now(). */
int64_t clock_monotonic(void);

/* "2026-11-21T07:38:00Z" (RFC 3339, UTC, whole seconds) into text; returns text. */
char *clock_iso(int64_t instant, char text[CLOCK_TEXT_SIZE]);
/* "2026-11-21T07:38:00.123456Z": the same with microseconds. */
char *clock_iso_usec(int64_t instant, char text[CLOCK_TEXT_SIZE]);
/* "Sat, 21 Nov 2026 08:38:00 +0100" (RFC 5322 section 3.3, local zone). */
char *clock_rfc5322(int64_t instant, char text[CLOCK_TEXT_SIZE]);
/* "3d 4h", "5m 10s", "0.2s": a span as people say it, two units at the most. */
char *clock_span(int64_t span, char text[CLOCK_TEXT_SIZE]);

/*
 * Reads an instant as a person or program gives it: Unix seconds ("1728470400", fraction allowed),
 * RFC 3339 ("2026-11-21T08:00:00Z", "...+01:00", with a space for the T, seconds optional; without
 * a zone: local time), "HH:MM" (the next such time, local), "now", or "+5m" (a duration from
 * now; units as num_duration).  0, or -1 with errno = EINVAL.
 */
int clock_parse(const char *text, int64_t now, int64_t *ret_instant);

#endif
