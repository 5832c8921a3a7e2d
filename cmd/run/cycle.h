/* A single cycle of mailq-run, with or without an application. */
#ifndef CMD_RUN_CYCLE_H
#define CMD_RUN_CYCLE_H

#include <signal.h>

#include "cmd/deliver/deliver.h"
#include "cmd/exchange/exchange.h"

/*
 * Delivers, and goes on with what comes in, until the application has heard all; exchange NULL: there is none.  It may
 * hand in more when it hears of the last: that leaves in the same cycle, and is told, ten times over at the most.
 * Ends soon when *stop is not 0.  0, or -1 with err, as deliver_cycle().
 */
int run_cycle(struct delivery *d, struct exchange *exchange, const volatile sig_atomic_t *stop,
    struct err *err);

#endif
