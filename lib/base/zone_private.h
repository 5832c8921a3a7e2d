/*
 * What the files of zone.h share.  A zone is a table of changes, and a rule in the form of a POSIX
 * string, "CET-1CEST,M3.5.0,M10.5.0/3", for what lies behind the last of them.  $TZ may be such a
 * string alone.
 */
#ifndef BASE_ZONE_PRIVATE_H
#define BASE_ZONE_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

#define ZONE_ABBREVIATION 8 /* bytes, with the zero; as struct zone_time has it */
/* Seconds east of UTC that are taken for an offset (RFC 9636 section 3.2). */
#define ZONE_OFFSET_MIN (-89999)
#define ZONE_OFFSET_MAX 93599

/* What clocks show: an offset and its name. */
struct zone_kind {
	int32_t offset; /* seconds east of UTC */
	char abbreviation[ZONE_ABBREVIATION];
};

/* The day of a year and the time on it at which clocks are changed. */
struct zone_date {
	enum { ZONE_DATE_MONTH, ZONE_DATE_JULIAN, ZONE_DATE_DAY } form; /* Mm.w.d, Jn, n */
	int month, week, weekday; /* 1..12; 1..5, 5: the last; 0 = Sunday .. 6 */
	int day;		  /* Jn: 1..365, never February 29; n: 0..365 */
	int32_t time;		  /* seconds from midnight, of the clocks before the change */
};

struct zone_posix {
	struct zone_kind standard, summer;
	bool has_summer;
	struct zone_date start, end; /* of summer time */
};

struct zone {
	char *name;
	struct zone_kind *kinds;
	size_t kind_count;
	int64_t *times; /* of changes, in seconds, ascending */
	uint8_t *after; /* the kind that holds from then on */
	size_t count;
	bool has_rule; /* what holds from the last change on */
	struct zone_posix rule;
};

#define ZONE_FILE_MAX ((size_t)256 * 1024)

/* Reads a file of the tz database, versions 1 to 4 (RFC 9636 section 3).  -1: it is none, is damaged,
 * or counts leap seconds. */
int zone_read_tzif(struct zone *zone, const struct buf *file);

/* Reads such a string (POSIX.1-2024 section 8.3, with the times of RFC 9636 section 3.3.2); without
 * dates it is the second Sunday of March and the first of November.  0, or -1. */
int zone_posix_parse(const char *text, struct zone_posix *ret);
/* What holds at an instant, in seconds. */
const struct zone_kind *zone_posix_at(const struct zone_posix *posix, int64_t second);
/* The first second after this one at which the offset changes; INT64_MAX where it never does. */
int64_t zone_posix_next(const struct zone_posix *posix, int64_t second);

/* Days since 1970-01-01 of a date in the Gregorian calendar; and back. */
int64_t zone_days(int64_t year, int month, int day);
void zone_date_of(int64_t days, int64_t *ret_year, int *ret_month, int *ret_day);
/* Quotient towards minus infinity. */
int64_t zone_floor(int64_t number, int64_t divisor);

#endif
