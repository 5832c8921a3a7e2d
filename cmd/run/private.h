/* What the files of a run share. */
#ifndef CMD_RUN_PRIVATE_H
#define CMD_RUN_PRIVATE_H

#include <signal.h>

#include "cmd/policy/current.h"
#include "cmd/run/cycle.h"
#include "cmd/run/obey.h"
#include "cmd/run/print.h"
#include "cmd/run/run.h"

struct delivery;

/* How a part of a run has ended. */
enum run_end {
	RUN_FAILED = -1, /* err says why */
	RUN_DONE,
	RUN_OVERTAKEN, /* others have changed the settings: it goes on with those */
};

struct run {
	const struct run_options *options;
	const volatile sig_atomic_t *stop; /* set by a signal */
	struct spool spool;
	struct current current; /* the settings */
	char *reread;		/* the file of the settings, named for the spool's owner; or NULL */
	struct obedience obedience;
	struct exchange *exchange; /* NULL: nothing is exchanged */
	struct totals totals;
	bool now; /* the next cycle comes whatever the rules say, and parked accounts are tried */
};

/* watch.c: cycle after cycle, at each wake and each second where one is due. */
enum run_end run_watch(struct run *run, struct delivery *d, struct err *err);

#endif
