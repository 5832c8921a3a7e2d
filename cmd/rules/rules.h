/* What the files of mailq-rules share. */
#ifndef CMD_RULES_RULES_H
#define CMD_RULES_RULES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/opt.h"
#include "policy/settings.h"
#include "spool/store/spool.h"

struct rules_options {
	struct opt_common common;
	bool json;
	/* add, set */
	const char *name, *days;
	const char *from, *to; /* hours */
	bool all_day;	       /* none */
	const char *every;     /* a duration of whole minutes */
	const char *priority;
	bool disabled;
	/* accounts */
	bool replace;	     /* add */
	bool force;	     /* delete */
	const char *move_to; /* delete */
	/* suspend, activate */
	const char *account, *batch, *reason;
	int64_t duration; /* --for, microseconds; 0: until it is lifted */
};

/* ---- the commands: each prints, and returns an exit status ---- */

/* schedule.c: list, add, set, enable, disable, delete, next */
int rules_schedule(struct spool *spool, const struct settings *settings,
    const struct rules_options *options, const char *command, char **words, int n);
/* accounts.c: accounts list|show|add|set|delete|test|import.  Calls accounts_load() itself. */
int rules_accounts(struct spool *spool, struct settings *settings,
    const struct rules_options *options, char **words, int n);
/* suspend.c: suspend, activate */
int rules_suspend(struct spool *spool, const struct settings *settings,
    const struct rules_options *options, bool suspend);

#endif
