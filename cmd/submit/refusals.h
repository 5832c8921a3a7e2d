/*
 * Messages that are none, of which the application is to hear: it hands them out, or posts them, and knows them by
 * their ids.  Each is recorded once, as a line that is reported as "error" (EVENT_REFUSED), until the application has
 * heard of it; then the same is recorded anew.
 *
 *	struct refusals refusals AUTO(refusals_release) = REFUSALS(&spool, source);
 *	id = refusals_id(json_get(object, "id"))
 *	if (id != NULL && refusals_add(&refusals, object, id, reason, &err) < 0) ...
 *	refusals_sync(&refusals, &err)
 */
#ifndef CMD_SUBMIT_REFUSALS_H
#define CMD_SUBMIT_REFUSALS_H

#include "base/json.h"
#include "spool/report/oplog.h"

struct refusals {
	struct spool *spool;
	const char *source; /* where from, for the records */
	struct oplog log;
	uint64_t *hashes; /* of what is recorded, and not told yet; NULL: not read */
	size_t count;
	bool full; /* something was not recorded, as there are too many */
};

#define REFUSALS(spool_, source_)                                                                  \
	{                                                                                          \
		.spool = (spool_), .source = (source_),                                            \
		.log = {.spool = (spool_),                                                         \
			.reports = true }                                                          \
	}

/* The id of a message, as text, if it can be one (a number too): to be freed; else NULL. */
char *refusals_id(const struct json *id);
/* A message, under this id, and why it is none.  1: recorded; 0: the id is known in the spool, so it is not to be told of as an error, or the same is recorded
 * already, or there is no room; -1 with err. */
int refusals_add(struct refusals *refusals, const struct json *message, const char *id,
    const char *reason, struct err *err);
/* Makes them durable.  How many: 0 or more; -1 with err. */
int64_t refusals_sync(struct refusals *refusals, struct err *err);
void refusals_release(struct refusals *refusals); /* for AUTO() too */

#endif
