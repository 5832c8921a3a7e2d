#include "spool/report/oplog.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/fs.h"
#include "spool/report/reports.h"

static void
file_name(const struct oplog *log, char ret[TOKEN_SIZE + 8])
{
	snprintf(ret, TOKEN_SIZE + 8, "%s.log", log->token);
}

int
oplog_begin(struct oplog *log, struct err *err)
{
	char name[TOKEN_SIZE + 8];

	if (log->begun)
		return 0;
	for (int attempt = 0; !log->begun && attempt < 100; attempt++) {
		token_make(log->token);
		file_name(log, name);
		if (journal_create(&log->journal, log->spool->log, name, log->token,
			program_invocation_short_name) == 0)
			log->begun = true;
		else if (errno != EEXIST && errno != ENOENT && errno != EWOULDBLOCK)
			break;
	}
	if (!log->begun)
		return err_io(err, "spool %s: cannot begin a log", log->spool->path);
	if (log->reports && reports_link(log->spool, log->token, log->spool->log, name) < 0) {
		err_io(err, "spool %s: cannot link log/%s into reports", log->spool->path, name);
		oplog_end(log);
		return -1;
	}
	return 0;
}

void
oplog_add(struct oplog *log, enum event event, const char *name, const char *lane, int64_t due,
    const char *reason)
{
	char id[ID_TEXT_MAX + 1] = "";
	struct lane parts = { 0 };
	struct journal_entry entry = { .event = event,
		.id = id,
		.name = name,
		.lane = lane,
		.account = parts.account,
		.batch = parts.batch,
		.attempt = -1,
		.due = due,
		.reason = reason };
	struct message_name parsed;

	if (message_name_parse(name, &parsed) == 0)
		name_decode(parsed.id, id);
	lane_parse(lane, &parts);
	journal_add(&log->journal, &entry);
	log->lines++;
}

void
oplog_entry(struct oplog *log, const struct journal_entry *entry)
{
	journal_add(&log->journal, entry);
	log->lines++;
}

void
oplog_reported(struct oplog *log, const char *const *ids, size_t count)
{
	journal_reported(&log->journal, ids, count);
	log->lines++;
}

void
oplog_policy(struct oplog *log, enum event event, const char *account, const char *batch,
    int64_t until, const char *reason)
{
	journal_policy(&log->journal, event, account, batch, until, reason);
	log->lines++;
}

int
oplog_sync(struct oplog *log, struct err *err)
{
	if (log->begun && journal_sync(&log->journal) < 0)
		return err_io(err, "spool %s: cannot sync log/%s.log", log->spool->path,
		    log->token);
	return 0;
}

void
oplog_end(struct oplog *log)
{
	char name[TOKEN_SIZE + 8];

	if (!log->begun)
		return;
	file_name(log, name);
	if (log->lines == 0)
		unlinkat(log->spool->log, name, 0);
	journal_close(&log->journal);
	log->begun = false;
}
