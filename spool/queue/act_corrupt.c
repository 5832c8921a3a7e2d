/* Taking a message back out of corrupt/. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "spool/journal/history.h"
#include "spool/part/content.h"
#include "spool/part/message.h"
#include "spool/queue/act.h"
#include "spool/report/oplog.h"

struct looking {
	const char *encoded;  /* the id */
	char file[NAME_SIZE]; /* as it stands in corrupt/; "": not found */
	struct message_name name;
};

/* A second file of one name was set aside as NAME~1, NAME~2, ... */
static int
look_at_file(const char *file, unsigned char type, void *arg)
{
	struct looking *looking = arg;
	struct message_name name;
	char text[NAME_SIZE], *tilde;

	(void)type;
	if (strlen(file) >= sizeof text)
		return 0;
	snprintf(text, sizeof text, "%s", file);
	tilde = strrchr(text, '~');
	if (tilde != NULL && tilde[1 + strspn(tilde + 1, "0123456789")] == '\0')
		*tilde = '\0';
	if (message_name_parse(text, &name) < 0 || strcmp(name.id, looking->encoded) != 0)
		return 0;
	snprintf(looking->file, sizeof looking->file, "%s", file);
	looking->name = name;
	return 1;
}

static int
note_end(const char *text, size_t len, const struct json *value, void *arg)
{
	const char *event = json_string(json_get(value, "event"));

	(void)text;
	(void)len;
	if (event != NULL && event_parse(event) == EVENT_SENT)
		*(bool *)arg = true;
	return 0;
}

/* A copy of a message that was sent must not be sent because it looks sound. */
static int
check_unsent(struct spool *spool, const char *id, struct err *err)
{
	struct history_filter filter = { .id = id };
	bool sent = false;

	if (history_read(spool, &filter, note_end, &sent, err) < 0)
		return -1;
	if (sent)
		return err_set(err, EX_UNAVAILABLE,
		    "message \"%s\" was sent; what is in corrupt/ is a copy of it", id);
	return 0;
}

/* Record, text and attachments, each against its checksum. */
static int
check_sound(struct spool *spool, int dir, const struct looking *looking, struct record *ret,
    struct err *err)
{
	AUTO(content_close) struct content *content = NULL;
	struct content_known known = { 0 };
	AUTO_FD int fd = -1;

	if (message_open(dir, looking->file, &looking->name, &fd, ret, err) < 0)
		return -1;
	if (message_verify(fd, &looking->name, ret, err) < 0)
		return err_prefix(err, "%s", looking->file);
	if (ret->piece_count == 0)
		return 0;
	if (content_open_partly(spool, fd, &looking->name, ret, &content, err) < 0 ||
	    content_verify(content, UINT64_MAX, &known, err) < 0)
		return err_prefix(err, "%s", looking->file);
	return 0;
}

static int
put_back(struct spool *spool, int dir, const struct looking *looking, const struct record *record,
    const char *reason, struct err *err)
{
	const struct message_name *name = &looking->name;
	enum state state = name->due > clock_now() ? STATE_DEFERRED : STATE_WAITING;
	struct oplog log = { .spool = spool };
	char lane[LANE_MAX + 1], text[NAME_SIZE], words[ACT_REASON_SIZE];
	int result;

	if (lane_format(record->account, record->batch != NULL ? record->batch : "", "", lane) < 0)
		return err_io(err, "%s: its lane cannot be named", looking->file);
	if (oplog_begin(&log, err) < 0)
		return -1;
	/* As all that is done by hand: first the step, then its line. */
	result = spool_move(spool, dir, looking->file, state, lane, name);
	if (result < 0 && errno == ENOENT)
		result = err_set(err, EX_TEMPFAIL, "%s: another process was faster", looking->file);
	else if (result < 0)
		err_io(err, "spool %s: cannot move corrupt/%s to %s", spool->path, looking->file,
		    state_text(state));
	if (result == 0) {
		message_name_format(name, text);
		act_reason(reason, words);
		oplog_add(&log, EVENT_RELEASED, text, lane, 0, words);
		result = oplog_sync(&log, err);
		if (result == 0 && fs_sync_all(spool->root) < 0)
			result = err_io(err, "spool %s: cannot sync", spool->path);
	}
	oplog_end(&log);
	if (result == 0)
		spool_wake(spool);
	return result;
}

int
act_release_corrupt(struct spool *spool, const char *id, const char *reason, struct err *err)
{
	char encoded[ID_TEXT_MAX + 1];
	AUTO_FD int dir = fs_open_dir(spool->root, "corrupt");
	AUTO_FD int listed = dir < 0 ? -1 : fs_open_dir(dir, ".");
	struct looking looking = { .encoded = encoded };
	struct record record = { 0 };
	int result;

	if (name_encode(id, ID_TEXT_MAX, encoded) < 0)
		return 0;
	if (listed < 0 || fs_each(listed, look_at_file, &looking) < 0)
		return err_io(err, "spool %s: corrupt", spool->path);
	if (looking.file[0] == '\0')
		return 0;
	result = check_sound(spool, dir, &looking, &record, err);
	if (result < 0)
		err_prefix(err, "it stays in corrupt/");
	if (result == 0)
		result = check_unsent(spool, id, err);
	if (result == 0)
		result = put_back(spool, dir, &looking, &record, reason, err);
	record_release(&record);
	return result < 0 ? -1 : 1;
}
