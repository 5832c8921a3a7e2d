/*
 * The threads that fetch remote contents, and what they work on.  All functions are called by one thread, the main
 * one.  Who wants the same content shares a fetch, and its outcome for a minute.
 *
 *	fetch = fetch_pool_want(pool, json, &err)	begun now, unless it was
 *	fetch->waiters = ...				until it is done
 *	fetch_pool_done(pool)				each that is done, once
 *	fetch_pool_tidy(pool)				now and then: drops what has been done for long
 *	fetch_pool_end(pool, each, arg)			gives out who still waits
 */
#ifndef CMD_FETCH_POOL_H
#define CMD_FETCH_POOL_H

#include "cmd/fetch/source.h"

/* One source of one file name. */
struct fetch {
	char *text; /* of the wish: those with the same text are the same */
	struct fetch_wish wish;
	struct fetch_result result; /* a thread's until done is true */
	bool done;
	int64_t done_at;    /* monotonic */
	void *waiters;	    /* the caller's; NULL: nobody waits, and it may be dropped */
	bool serving;	    /* the caller's */
	struct fetch *next; /* in the queue, or among the done */
	struct fetch *link; /* in the table */
};

struct fetch_pool;

struct fetch_pool *fetch_pool_new(const struct settings *settings, struct spool *spool);
/* Ends what is under way, waits for the threads, and calls each for every fetch that has waiters. */
void
fetch_pool_end(struct fetch_pool *pool, void (*each)(struct fetch *fetch, void *arg), void *arg);
/* After that. */
void fetch_pool_free(struct fetch_pool *pool);
/* Readable when something is done; or -1. */
int fetch_pool_fd(const struct fetch_pool *pool);
/* The fetch of a remote attachment, begun now where it is new.  NULL with err (EX_DATAERR). */
struct fetch *fetch_pool_want(struct fetch_pool *pool, const char *json, struct err *err);
/* The next that is done and was not given out; NULL: none. */
struct fetch *fetch_pool_done(struct fetch_pool *pool);
/* Takes it out of the table and frees it: nobody waits for it. */
void fetch_pool_drop(struct fetch_pool *pool, struct fetch *fetch);
/* Drops what has been done for long. */
void fetch_pool_tidy(struct fetch_pool *pool);

#endif
