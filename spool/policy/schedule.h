/* What the scheduler keeps in the spool: the rules, as text, and when the last cycle began. */
#ifndef SPOOL_POLICY_SCHEDULE_H
#define SPOOL_POLICY_SCHEDULE_H

#include "base/buf.h"
#include "spool/store/spool.h"

#define RULES_FILE_MAX (4u * 1024 * 1024)

/* The text of the file "rules"; empty where there is none.  0, or -1 with err: EX_DATAERR, too, where it
 * is another's than the spool's owner's or root's, or writable by others (a group's spool: by the
 * group, it may be). */
int rules_file_read(const struct spool *spool, struct buf *ret, struct err *err);
/* Replaces it durably; the caller holds spool_lock(). */
int rules_file_write(struct spool *spool, const char *text, size_t len, struct err *err);

/* When the last cycle began; 0: none is on record. */
int64_t cycle_last(const struct spool *spool);
/*
 * Begins a cycle: asks due(last, arg) under a lock, and where that is true notes now as the beginning
 * of the last one.  1: begun; 0: not due; -1 with err.  So of several mailq-run that are started in one
 * minute one has the cycle.
 */
int cycle_begin(struct spool *spool, int64_t now, bool (*due)(int64_t last, void *arg), void *arg,
    struct err *err);

#endif
