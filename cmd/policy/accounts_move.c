/* The messages of an account: counted, and given to another. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/ids.h"
#include "base/log.h"
#include "cmd/policy/accounts.h"
#include "spool/queue/count.h"
#include "spool/queue/move.h"
#include "spool/report/oplog.h"

/* failed: those that are over, too. */
static int
count(struct spool *spool, const char *id, bool failed, uint64_t *ret, struct err *err)
{
	struct counts counts;

	*ret = 0;
	if (count_messages(spool, &counts, err) < 0)
		return -1;
	for (size_t i = 0; i < counts.lane_count; i++) {
		const struct lane_count *lane = &counts.lanes[i];

		if (strcmp(lane->lane.account, id) != 0)
			continue;
		for (int state = 0; state <= STATE_COUNT; state++)
			if (failed || state != STATE_FAILED)
				*ret += lane->messages[state];
	}
	counts_release(&counts);
	return 0;
}

int
accounts_messages(struct spool *spool, const struct settings *settings, const char *id,
    uint64_t *ret, struct err *err)
{
	*ret = 0;
	if (!settings_has_messages(settings, id))
		return 0;
	return count(spool, id, false, ret, err);
}

static void
record(struct spool *spool, const char *from, const char *to, uint64_t n)
{
	struct oplog log = { .spool = spool };
	char reason[200];
	struct err err = ERR_INIT;

	snprintf(reason, sizeof reason, "%" PRIu64 " message%s to account %s, by user %u", n,
	    n == 1 ? "" : "s", to, (unsigned int)ids_caller());
	if (oplog_begin(&log, &err) == 0) {
		oplog_policy(&log, EVENT_MOVED, from, NULL, 0, reason);
		if (oplog_sync(&log, &err) < 0)
			log_warning("%s", err.msg);
		oplog_end(&log);
	} else {
		log_warning("%s", err.msg);
	}
}

int
accounts_move(struct spool *spool, const struct settings *settings, const char *from,
    const char *to, uint64_t *ret, struct err *err)
{
	uint64_t before, after;
	int result;

	*ret = 0;
	if (!settings_has_messages(settings, to))
		return err_set(err, EX_CONFIG,
		    "nothing is moved to account %s: it is not the default, and messages that name "
		    "it leave by the default account",
		    to);
	if (!settings_has_messages(settings, from))
		return 0;
	if (count(spool, from, true, &before, err) < 0)
		return -1;
	if (before == 0)
		return 0;
	result = move_account(spool, from, to, err);
	if (count(spool, from, true, &after, result == 0 ? err : NULL) < 0)
		return -1;
	*ret = before > after ? before - after : 0;
	if (*ret > 0) {
		record(spool, from, to, *ret);
		spool_wake(spool);
	}
	return result;
}
