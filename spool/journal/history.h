/* What happened: the journals of runners at work and the logs of those that ended, read as one. */
#ifndef SPOOL_JOURNAL_HISTORY_H
#define SPOOL_JOURNAL_HISTORY_H

#include "base/clock.h"
#include "spool/journal/journal.h"

/* However soon a log is forgotten, it stays for so long, as TOKEN.old: limits, whose windows reach back
 * for as long, may have to count what it tells. */
#define HISTORY_OLD (86400 * USEC)
#define HISTORY_OLD_SUFFIX ".old"

/* Which lines: of outcomes and EVENT_PARKED only, unless all is set. */
struct history_filter {
	const char *id; /* plain, or NULL */
	int64_t since;	/* instants; 0: no bound */
	int64_t until;
	const char *contains; /* only lines that hold this text, as it stands in them; NULL: any */
	bool all;	      /* begin, offered and dot lines too */
	bool forgotten; /* also from logs that have been forgotten, and are kept for the limits */
};

/*
 * Calls each(text, len, value, arg) for the lines that pass, in the order of their times, until it
 * returns non-zero, and returns that; -1 with err, also where a journal could not be read, which is told when
 * all that could be has been given.  Reads only logs that can hold such lines: a
 * log's name says when it began, its mtime when it ended.
 */
int history_read(struct spool *spool, const struct history_filter *filter,
    int (*each)(const char *text, size_t len, const struct json *value, void *arg), void *arg,
    struct err *err);

/*
 * Forgets logs that ended before an instant: for each message that came to its end in one, its id,
 * and its file in failed/, then the log itself.  One that ended within HISTORY_OLD becomes an old one
 * instead, which nothing but filter.forgotten shows; old ones are removed when their time has come.  At
 * most max_logs of both; returns how many, or -1 with err.  told, where there is an application: a log of which
 * it has not heard all yet stays, and with it what is known of its messages.
 */
int history_retire(struct spool *spool, int64_t before, int max_logs, bool told, struct err *err);
/* The same, which adds to *messages how many messages were forgotten with them. */
int history_forget(struct spool *spool, int64_t before, int max_logs, bool told, uint64_t *messages,
    struct err *err);

#endif
