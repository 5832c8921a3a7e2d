/*
 * Messages of which some recipients are settled and others are not.  The text is written once, so
 * what was settled in earlier attempts stands in a small file of its own, partial/ID: a line for
 * each recipient, "sent 250 a@example.com" or "failed 550 b@example.com".
 */
#ifndef SPOOL_QUEUE_PARTIAL_H
#define SPOOL_QUEUE_PARTIAL_H

#include "spool/journal/journal.h"

struct partial {
	struct recipient_outcome
	    *settled; /* by address; outcome SENT or FAILED; enhanced and reply are "" */
	size_t count;
	char *memory;
};

/* What was settled before: an empty list where there is none.  -1 with err.  Release it. */
int partial_read(const struct spool *spool, const char *id, struct partial *ret, struct err *err);
/* What is settled for this address; NULL where nothing is. */
const struct recipient_outcome *partial_find(const struct partial *partial, const char *address);
void partial_release(struct partial *partial);
/* Replaces the list durably.  To be called before the outcome of the attempt goes on record. */
int partial_write(const struct spool *spool, const char *id,
    const struct recipient_outcome *settled, size_t count, struct err *err);
/* When the message is finished. */
void partial_remove(const struct spool *spool, const char *id);

#endif
