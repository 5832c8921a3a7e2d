/* The commands of mailq-status, and the options that they share. */
#ifndef CMD_STATUS_STATUS_H
#define CMD_STATUS_STATUS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/opt.h"
#include "policy/settings.h"
#include "spool/store/spool.h"
#include "spool/store/walk.h"

struct status_options {
	struct opt_common common;
	const char *state, *account, *batch; /* filters, NULL: any */
	int64_t limit;			     /* 0: none */
	const char *since;
	const char *after;  /* a cursor; NULL: not given */
	const char *reason; /* of hold, release, retry, delete; NULL: none */
	bool all;
	bool full;
	bool json;
	bool long_list;
	bool repair;
	bool watch;
};

/* ---- the commands: each prints, and returns an exit status ---- */

int status_summary(struct spool *spool, const struct status_options *options,
    const struct settings *settings);
int status_list(struct spool *spool, const struct status_options *options);
int status_show(struct spool *spool, const struct status_options *options,
    const struct settings *settings, char **ids, int n);
int status_cat(struct spool *spool, const char *id);
int status_log(struct spool *spool, const struct status_options *options, const char *id);
int status_metrics(struct spool *spool, const struct settings *settings);
int status_check(struct spool *spool, const struct status_options *options,
    const struct settings *settings);
/* hold, release, retry or delete; with n == 0 on all that pass the filters. */
int status_act(struct spool *spool, const struct status_options *options, const char *command,
    char **ids, int n);

/* The filters of the options, and no ids.  0, or -1 with err (EX_USAGE). */
int status_filter(const struct status_options *options, struct walk_filter *ret, struct err *err);

#endif
