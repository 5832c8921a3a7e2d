/* What mailq-run says at its end. */
#ifndef CMD_RUN_PRINT_H
#define CMD_RUN_PRINT_H

#include <stdbool.h>

#include "cmd/deliver/deliver.h"
#include "cmd/exchange/exchange.h"
#include "cmd/run/obey.h"

/* All that a run has done. */
struct totals {
	struct deliver_counts delivered;
	struct exchange_counts exchanged;
	int64_t resent; /* reports that are told again; -1: that was not asked for */
};

/* Prints the summary where it was asked for (json, -v, a terminal) or anything happened; or, where skipped is
 * not NULL, why there was no cycle. */
void run_print(const struct totals *totals, const struct skipped *skipped, bool json);

#endif
