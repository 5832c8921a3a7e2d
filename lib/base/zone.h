/*
 * Time zones of the tz database, without the process-wide TZ: any number of them at once, from any
 * thread.  Reads the files that the system has (RFC 9636, versions 1 to 4), the rule behind their last
 * change included.
 */
#ifndef BASE_ZONE_H
#define BASE_ZONE_H

#include <stdint.h>

#include "base/err.h"

struct zone;

struct zone_time {
	int year, month, day;	  /* 2026, 1..12, 1..31 */
	int hour, minute, second; /* 0..23, 0..59, 0..59 */
	int weekday;		  /* 0 = Monday .. 6 = Sunday */
	int offset;		  /* seconds east of UTC */
	char abbreviation[8];	  /* "CEST" */
};

/*
 * name: "Europe/Rome", "UTC"; NULL or "": the system's own ($TZ, else /etc/localtime, else UTC).
 * EX_CONFIG where there is no such zone (the message names it, and a near one where only the case
 * differs) or its file is damaged.  To be freed.
 */
int zone_open(const char *name, struct zone **ret, struct err *err);
void zone_free(struct zone **zone); /* accepts NULL; for AUTO() too */
/* "Europe/Rome"; what can be told of the system's own, "local time" otherwise. */
const char *zone_name(const struct zone *zone);

/* What clocks show there at an instant. */
void zone_local(const struct zone *zone, int64_t instant, struct zone_time *ret);
/* The first instant after this one at which the offset changes; INT64_MAX where none will. */
int64_t zone_next_change(const struct zone *zone, int64_t instant);

#endif
