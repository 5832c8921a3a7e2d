/*
 * What happened, from where a reader left off: for who pulls it.  The cursor is a text that the reader keeps;
 * the spool keeps nothing for it, so there may be any number of readers.
 *
 *	AUTO(feed_close) struct feed *feed = NULL;
 *	if (feed_open(spool, cursor, FEED_EVENTS, &feed, &err) < 0)	EX_USAGE: the cursor is none
 *		return -1;
 *	while ((result = feed_next(feed, &line, &err)) > 0 && ++n < limit)
 *		...
 *	feed_cursor(feed, &text)	what was given so far is not given again to who opens with it
 *
 * Lines come oldest first across journals, and in order for each message.  Who takes up each cursor, or any of
 * them, gets every line once, while journals are written, rotated and forgotten: a log that is forgotten before it was
 * read is missing.  Given are lines from before the moment of feed_open; what is written since is for the
 * next.  Lines that are not on disk yet are synced first, unless the spool is read-only.  What holds
 * when the clock is set back is in mailq-spool(5).
 */
#ifndef SPOOL_JOURNAL_FEED_H
#define SPOOL_JOURNAL_FEED_H

#include "base/json.h"
#include "spool/journal/journal.h"

/* What feed_open() is to give: a bit for each event. */
#define FEED_EVENT(event) (UINT64_C(1) << (event))
/* All that history_read() tells without "all": what became of messages, what operators did, faults and
 * limits of accounts, what was told to the application. */
#define FEED_EVENTS (~(FEED_EVENT(EVENT_BEGIN) | FEED_EVENT(EVENT_OFFERED) | FEED_EVENT(EVENT_DOT)))

/* A cursor is shorter, mostly by far; it consists of letters, digits and . ~ - only, as URLs like it. */
#define FEED_CURSOR_MAX ((size_t)1024 * 1024)

struct feed;

struct feed_line {
	const char *text; /* a JSON object; valid until the next feed_next */
	size_t len;
	const struct json *value;
	enum event event;
};

/* cursor: NULL or "" for the beginning of what is kept; "now" for what comes from here on; else a text of
 * feed_cursor().  0, or -1 with err. */
int feed_open(struct spool *spool, const char *cursor, uint64_t events, struct feed **ret,
    struct err *err);
void feed_close(struct feed **feed);
/* 1 and the next; 0: no more; -1 with err. */
int feed_next(struct feed *feed, struct feed_line *ret, struct err *err);
/* Behind the line that was given last: into text, which is cleared.  Cheap enough for each line.  0, or -1 with
 * errno (E2BIG). */
int feed_cursor(struct feed *feed, struct buf *text);

#endif
