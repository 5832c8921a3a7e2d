/*
 * Twins: one name in two buckets of a lane.  No program makes them; a restore into a living spool does, or
 * a person who copies a bucket.  A message of which there are two is sent once: before it is claimed, all
 * but one are taken out of the way.  One that is the same file (a link) is unlinked, and nothing is
 * lost.  One that is a file of its own may differ: it goes to corrupt/, where mailq-status check names it.
 */
#ifndef SPOOL_STORE_TWIN_H
#define SPOOL_STORE_TWIN_H

#include "spool/store/spool.h"

/*
 * Looks for what stands under this name in a lane (as its directory is named), in the states up to last.
 * Returns how many there are beside the first by state and bucket, so that several processes keep the same
 * one; -1 with err.  With settle, those are taken out of the way, durably when it returns, and each
 * is told by a warning.
 */
int twin_find(const struct spool *spool, const char *lane, const char *text, enum state last,
    bool settle, struct err *err);

/* As renameat(2), but replaces nothing: where the new name is there already, either it is the same file,
 * and the old name is unlinked; or what is there goes to corrupt/ first.  -1 with errno. */
int twin_rename(const struct spool *spool, int from_dir, const char *from_name, int to_dir,
    const char *to_name);

#endif
