/*
 * Whether a journal is as its writer left it.  What it says decides whether a message that was claimed
 * may have been sent (spool/queue/recover.h), so it is believed only as far as it can be.
 *
 * A writer makes a runner's journal in this order: the line "begin", synced before the first claim;
 * whole lines, each a JSON object with a known event; for a message "offered" before "dot".  A kill or
 * a power cut can leave its last line without an end, and nothing else of what is found here.
 */
#ifndef SPOOL_JOURNAL_AUDIT_H
#define SPOOL_JOURNAL_AUDIT_H

#include "spool/journal/journal.h"

struct journal_audit {
	bool same_boot; /* it was begun in the boot that we live in */
	bool torn;	/* its last line has no end */
	bool damaged;	/* it is not what any writer leaves */
	char what[120]; /* in words, where torn or damaged: "line 3 is not one of a journal" */
};

/*
 * Reads a journal as journal_read does and calls each for its good lines (each may be NULL); fills *ret
 * in.  0; what each returned to end the reading, and then *ret is of what was read; or -1 with errno
 * where the file cannot be read, which says nothing of what is in it.
 */
int journal_audit(int fd,
    int (*each)(const char *text, size_t len, const struct json *value, int64_t offset, void *arg),
    void *arg, struct journal_audit *ret);

#endif
