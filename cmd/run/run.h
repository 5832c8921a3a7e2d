/* A run of mailq-run: one cycle of delivery and exchange, or a watch, or a look. */
#ifndef CMD_RUN_RUN_H
#define CMD_RUN_RUN_H

#include "base/opt.h"

struct run_options {
	struct opt_common common;
	bool now, dry_run, watch, progress, json;
	bool no_fetch, no_sync, resend_reports;
	bool by_id;
	struct opt_list ids; /* where by_id is set */
	const char *account; /* NULL: all */
	int64_t limit, jobs; /* 0: not given */
};

/* All of it, until it is done or SIGTERM or SIGINT ends it: prints what is to be said, and returns the exit status. */
int run_mailq(const struct run_options *options);

#endif
