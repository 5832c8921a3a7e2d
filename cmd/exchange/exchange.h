/*
 * The exchange with the application: fetches messages and tells what became of them, in a thread with
 * a spool, settings and connections of its own, so that an application that hangs holds up no delivery.
 *
 *	exchange = exchange_begin(&options, &err)
 *	deliver_cycle(...)				messages that were fetched are in the spool
 *	while (exchange_wait(...) == EXCHANGE_BUSY)	a single cycle: until all is told
 *		deliver_cycle(...)
 *	exchange_end(&exchange, &counts)
 *
 * The thread reads the settings again when they have changed; with neither fetch.url nor sync.url set it
 * does nothing.  What fails is logged and tried again later; it is no failure of the cycle.
 */
#ifndef CMD_EXCHANGE_EXCHANGE_H
#define CMD_EXCHANGE_EXCHANGE_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct exchange;

struct exchange_options {
	const char *config; /* as -c gave it, or NULL */
	const char *spool;  /* the path */
	bool fetch, tell;   /* what is done, where there is a URL for it */
	bool now;	    /* the first calls are made however shortly ago others have failed */
	bool watch;	    /* not one cycle: fetch.interval and sync.interval hold */
};

struct exchange_counts {
	uint64_t reported; /* reports that were acknowledged */
	uint64_t fetched;  /* messages that were queued */
	uint64_t refused;  /* messages that were handed out and are none */
};

/* Opens what it needs, and begins the first cycle.  NULL with err. */
struct exchange *exchange_begin(const struct exchange_options *options, struct err *err);

/* In a watch: another cycle has begun. */
void exchange_cycle(struct exchange *exchange);

/* How many messages have been fetched until now: to be asked before a deliver_cycle. */
uint64_t exchange_fetched(struct exchange *exchange);

enum exchange_state {
	EXCHANGE_BUSY, /* still at work, or has brought messages: deliver, and ask again */
	EXCHANGE_DONE,
};

/*
 * For a single cycle, when there is nothing to deliver at the moment: waits, a second at the most, until
 * all is done.  fetched is what exchange_fetched said before the last delivery, outcomes a number that
 * grows with each outcome there was.  Once *stop is not 0, it returns EXCHANGE_DONE soon.
 */
enum exchange_state exchange_wait(struct exchange *exchange, uint64_t fetched, uint64_t outcomes,
    const volatile sig_atomic_t *stop);

/* Ends a call that is under way, and the thread.  Accepts NULL inside; counts may be NULL. */
void exchange_end(struct exchange **exchange, struct exchange_counts *counts);

#endif
