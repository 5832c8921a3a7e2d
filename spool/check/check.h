/* The spool's own fsck. */
#ifndef SPOOL_CHECK_CHECK_H
#define SPOOL_CHECK_CHECK_H

#include "spool/store/walk.h"

struct check_result {
	uint64_t messages; /* looked at */
	uint64_t faults;
	uint64_t repaired;
	uint64_t
	    unread; /* what an error of the disk kept from being looked at: no faults, and never moved */
};

/*
 * Reads every message, verifies its checksum, and looks for what should not be there: names that
 * are none, files in the wrong place, wrong owners or modes, links and devices, journals that do
 * not parse, leftovers of dead processes (told, not a fault).  Calls fault(path, text, repaired,
 * arg) for each.  With repair, a damaged file is moved to corrupt/ (never deleted), leftovers are
 * recovered, and the rest is left as it is and told.  Runs beside adders and runners.
 */
int check_spool(struct spool *spool, bool repair,
    void (*fault)(const char *path, const char *text, bool repaired, void *arg), void *arg,
    struct check_result *ret, struct err *err);

#endif
