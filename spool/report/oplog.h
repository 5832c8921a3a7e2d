/* The log of a program that changes messages' states, or orders of another kind, by hand: log/TOKEN.log,
 * begun when the first line is due. */
#ifndef SPOOL_REPORT_OPLOG_H
#define SPOOL_REPORT_OPLOG_H

#include "spool/journal/journal.h"

struct oplog {
	struct spool *spool;
	bool reports; /* set before it begins: some of its lines are for the application */
	struct journal journal; /* once it has begun */
	bool begun;
	char token[TOKEN_SIZE];
	uint64_t lines;
};

/* Zeroed, but for the spool and reports, it is ready.  0, or -1 with err.  One of reports (EVENT_CORRUPT,
 * BOUNCED, REFUSED) is kept until they are told, and what they say is so from oplog_sync() on. */
int oplog_begin(struct oplog *log, struct err *err);
/* A line about the message that stands, or stood, under this name: of an event, with a reason; due
 * 0: none. */
void oplog_add(struct oplog *log, enum event event, const char *name, const char *lane, int64_t due,
    const char *reason);
/* Any line about a message. */
void oplog_entry(struct oplog *log, const struct journal_entry *entry);
/* EVENT_REPORTED, as journal_reported. */
void oplog_reported(struct oplog *log, const char *const *ids, size_t count);
/* A line about no message, as journal_policy. */
void oplog_policy(struct oplog *log, enum event event, const char *account, const char *batch,
    int64_t until, const char *reason);
/* Syncs what was added.  0, or -1 with err. */
int oplog_sync(struct oplog *log, struct err *err);
/* Closes; one without lines leaves no file. */
void oplog_end(struct oplog *log);

#endif
