/* Checking the messages: each file under each of its names. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "spool/check/private.h"
#include "spool/journal/audit.h"
#include "spool/part/message.h"
#include "spool/queue/count.h"
#include "spool/store/dirs.h"
#include "spool/store/own.h"
#include "spool/store/twin.h"

/* One of the directories in which messages stand. */
struct spot {
	struct checking *c;
	const char *lane;
	char path[4 * NAME_SIZE];
	bool in_bucket;
	struct bucket_name bucket;
	bool claimed; /* a runner has it, or will settle it: not touched */
	int dir;
};

static void
spot_path(const struct spot *spot, const char *name, char *ret, size_t size)
{
	snprintf(ret, size, "%s/%s", spot->path, name);
}

static void
damaged(const struct spot *spot, const char *name, const char *path, const struct err *why)
{
	struct checking *c = spot->c;
	bool moved = false;

	if (why->code != EX_DATAERR) {
		check_tell(c, CHECK_UNREAD, path, "%s", why->msg);
		return;
	}
	if (!c->repair || spot->claimed) {
		check_tell(c, CHECK_FAULT, path, "%s", why->msg);
		return;
	}
	/* On record first: the application is told of it, whatever comes between. */
	if (oplog_begin(&c->log, NULL) == 0) {
		oplog_add(&c->log, EVENT_CORRUPT, name, spot->lane, 0, why->msg);
		if (oplog_sync(&c->log, NULL) == 0)
			moved = own_set_aside(c->spool, spot->dir, name, name) == 0;
	}
	if (moved) {
		check_tell(c, CHECK_REPAIRED, path, "%s; moved to corrupt/", why->msg);
	} else {
		check_tell(c, CHECK_FAULT, path, "%s; cannot be moved to corrupt/: %s", why->msg,
		    strerror(errno));
	}
}

/* Whether the name stands where it should. */
static void
check_place(const struct spot *spot, const char *path, const struct message_name *name,
    const struct record *record)
{
	struct lane lane;
	const char *batch = record->batch != NULL ? record->batch : "";

	if (spot->in_bucket && name->priority != spot->bucket.priority)
		check_tell(spot->c, CHECK_FAULT, path, "is in a bucket of priority %d",
		    spot->bucket.priority);
	if (spot->in_bucket && name->due < spot->bucket.start)
		check_tell(spot->c, CHECK_FAULT, path,
		    "is due before its bucket begins, so it is sent late");
	if (lane_parse(spot->lane, &lane) < 0 || strcmp(lane.account, record->account) != 0 ||
	    strcmp(lane.batch, batch) != 0)
		check_tell(spot->c, CHECK_NOTE, path,
		    "its record names the account \"%s\" and the batch \"%s\"; its lane decides",
		    record->account, batch);
}

/* A set of names, each by its sum with its lane: 16 bytes a message. */
static bool
is_new(struct check_names *names, uint64_t sum)
{
	size_t slot;

	if (2 * names->count >= names->room) {
		struct check_names larger = { .room = names->room > 0 ? 2 * names->room : 1024 };

		larger.sums = xcalloc(larger.room, sizeof *larger.sums);
		for (size_t i = 0; i < names->room; i++)
			if (names->sums[i] != 0)
				is_new(&larger, names->sums[i]);
		free(names->sums);
		*names = larger;
	}
	sum += sum == 0; /* 0 is a free slot */
	for (slot = sum & (names->room - 1); names->sums[slot] != 0;
	     slot = (slot + 1) & (names->room - 1))
		if (names->sums[slot] == sum)
			return false;
	names->sums[slot] = sum;
	names->count++;
	return true;
}

/* One name in two buckets of a lane (spool/store/twin.h).  One that moved while we looked is met twice too,
 * so it is looked for by itself. */
static void
check_twin(const struct spot *spot, const char *text, const char *path)
{
	struct checking *c = spot->c;
	AUTO(checksum_end) struct checksum *sum = checksum_begin();
	struct err err = ERR_INIT;
	int others;

	if (!spot->in_bucket)
		return;
	checksum_add(sum, spot->lane, strlen(spot->lane) + 1);
	checksum_add(sum, text, strlen(text));
	if (is_new(&c->names, checksum_value(sum)))
		return;
	others = twin_find(c->spool, spot->lane, text, STATE_FAILED, c->repair, &err);
	if (others < 0)
		check_tell_err(c, path, &err);
	else if (others > 0)
		check_tell(c, c->repair ? CHECK_REPAIRED : CHECK_FAULT, path,
		    "stands in another bucket of its lane too; it is sent once");
}

/* Each blob is read once, however many messages need it. */
static int
verify_parts(struct checking *c, int fd, const struct message_name *name,
    const struct record *record, struct err *err)
{
	AUTO(content_close) struct content *content = NULL;

	if (record->piece_count == 0)
		return 0;
	if (content_open_partly(c->spool, fd, name, record, &content, err) < 0)
		return -1;
	return content_verify(content, UINT64_MAX, &c->known, err);
}

static int
look_at_message(const char *text, unsigned char type, void *arg)
{
	struct spot *spot = arg;
	struct message_name name;
	struct record record = { 0 };
	struct err err = ERR_INIT;
	struct stat st;
	char path[6 * NAME_SIZE], kind[64];
	AUTO_FD int fd = -1;

	(void)type;
	spot_path(spot, text, path, sizeof path);
	if (message_name_parse(text, &name) < 0) {
		check_tell(spot->c, CHECK_FAULT, path, "is not the name of a message");
		return 0;
	}
	spot->c->result->messages++;
	if (fstatat(spot->dir, text, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    own_fault(spot->dir, &st, kind) != NULL) {
		err_set(&err, EX_DATAERR, "%s; expected a file, of the spool's owner", kind);
		damaged(spot, text, path, &err);
		return 0;
	}
	if (message_open(spot->dir, text, &name, &fd, &record, &err) < 0) {
		if (err.code != EX_NOINPUT) /* it has moved on */
			damaged(spot, text, path, &err);
		return 0;
	}
	if (fstat(fd, &st) == 0)
		check_owner(spot->c, path, &st);
	if (message_verify(fd, &name, &record, &err) < 0 ||
	    verify_parts(spot->c, fd, &name, &record, &err) < 0)
		damaged(spot, text, path, &err);
	else
		check_place(spot, path, &name, &record);
	check_twin(spot, text, path);
	record_release(&record);
	return 0;
}

static void
check_spot(struct spot *spot, int parent, const char *name)
{
	AUTO_FD int dir = dirs_enter(parent, name);
	struct stat st;

	if (dir < 0) {
		if (errno != 0)
			check_tell_unread(spot->c, spot->path, "cannot be opened");
		return;
	}
	if (fstat(dir, &st) == 0)
		check_owner(spot->c, spot->path, &st);
	spot->dir = dir;
	if (fs_each(dir, look_at_message, spot) < 0)
		check_tell_unread(spot->c, spot->path, "cannot be listed");
}

/* What stands in a lane, or beside the lanes, and is no directory or has no such name. */
struct strays {
	struct checking *c;
	const char *path;
	bool (*is_right)(const char *name);
	const char *expected;
};

static int
look_at_stray(const char *name, unsigned char type, void *arg)
{
	struct strays *strays = arg;
	char path[6 * NAME_SIZE];

	snprintf(path, sizeof path, "%s/%s", strays->path, name);
	if (type != DT_DIR && type != DT_UNKNOWN)
		check_tell(strays->c, CHECK_FAULT, path, "is not a directory");
	else if (!strays->is_right(name))
		check_tell(strays->c, CHECK_FAULT, path,
		    "is not the name of %s; its contents are ignored", strays->expected);
	return 0;
}

static bool
is_bucket(const char *name)
{
	struct bucket_name bucket;

	return bucket_name_parse(name, &bucket) == 0;
}

static bool
is_lane(const char *name)
{
	struct lane lane;

	return lane_parse(name, &lane) == 0;
}

/* Lists the directories below dir and tells of all else that is there.  Returns how many. */
static size_t
list_right(struct checking *c, int dir, const char *path, bool (*is_right)(const char *name),
    const char *expected, struct dir_list *ret)
{
	struct strays strays = { c, path, is_right, expected };

	if (fs_each(dir, look_at_stray, &strays) < 0 ||
	    dirs_list(dir, ret, dirs_compare_text) < 0) {
		check_tell_unread(c, path, "cannot be listed");
		*ret = (struct dir_list){ 0 };
	}
	return ret->count;
}

/* The lane under its proper name: one that is not settled yet has more to it. */
static const char *
proper_lane(const char *name, char ret[LANE_MAX + 1])
{
	return lane_settled(name, ret) < 0 ? name : ret;
}

static void
check_lane(struct checking *c, int parent, const char *above, const char *name)
{
	AUTO_FD int dir = dirs_enter(parent, name);
	char path[2 * NAME_SIZE], lane[LANE_MAX + 1];
	struct dir_list buckets;
	size_t n;

	if (dir < 0)
		return;
	snprintf(path, sizeof path, "%s/%s", above, name);
	n = list_right(c, dir, path, is_bucket, "a bucket (PRIORITY.SECONDS[.TOKEN])", &buckets);
	for (size_t i = 0; i < n; i++) {
		struct spot spot = { .c = c, .lane = proper_lane(name, lane), .in_bucket = true };

		if (bucket_name_parse(buckets.names[i], &spot.bucket) < 0)
			continue;
		snprintf(spot.path, sizeof spot.path, "%s/%s", path, buckets.names[i]);
		check_spot(&spot, dir, buckets.names[i]);
	}
	dirs_release(&buckets);
}

static void
check_state(struct checking *c, enum state state)
{
	AUTO_FD int dir = fs_open_dir(c->spool->root, state_text(state));
	struct dir_list lanes;
	struct stat st;
	size_t n;

	if (dir < 0) {
		check_tell_unread(c, state_text(state), "cannot be opened");
		return;
	}
	if (fstat(dir, &st) == 0)
		check_owner(c, state_text(state), &st);
	n = list_right(c, dir, state_text(state), is_lane, "a lane (ACCOUNT[,BATCH])", &lanes);
	for (size_t i = 0; i < n; i++)
		if (is_lane(lanes.names[i]))
			check_lane(c, dir, state_text(state), lanes.names[i]);
	dirs_release(&lanes);
}

/* What a dead runner's journal says decides what becomes of the messages that it had claimed. */
static void
check_dead_journal(struct checking *c, int dir, const char *path, bool claimed)
{
	static const char then[] =
	    "the next mailq-run takes the messages that were claimed, and have no "
	    "outcome on record, for uncertain";
	struct journal_audit audit;
	struct stat st;
	AUTO_FD int fd = -1;

	if (fstatat(dir, "journal", &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    !check_kind(c, dir, "journal", path))
		return;
	fd = fs_open(dir, "journal", O_RDONLY, 0);
	if (fd < 0 && errno == ENOENT) {
		/* Perhaps it was settled since we looked. */
		if (claimed && faccessat(dir, ".", F_OK, 0) == 0 && fstat(dir, &st) == 0 &&
		    st.st_nlink > 0)
			check_tell(c, CHECK_FAULT, path, "is missing; %s", then);
		return;
	}
	if (fd < 0 || journal_audit(fd, NULL, NULL, &audit) < 0) {
		check_tell_unread(c, path, "cannot be read");
		return;
	}
	if (!claimed || (!audit.damaged && !audit.torn))
		return;
	if (audit.damaged || audit.same_boot)
		check_tell(c, CHECK_FAULT, path, "is damaged: %s; %s", audit.what, then);
	else
		check_tell(c, CHECK_NOTE, path, "%s, as a power cut leaves it", audit.what);
}

static void
check_runner(struct checking *c, int cur, const char *token)
{
	AUTO_FD int dir = dirs_enter(cur, token);
	bool alive = runner_is_at_work(c->spool, token);
	char path[NAME_SIZE + 32];
	struct dir_list lanes;
	size_t claimed = 0;

	if (dir < 0)
		return;
	snprintf(path, sizeof path, "cur/%s", token);
	if (!alive)
		check_tell(c, CHECK_NOTE, path,
		    "was left by a dead mailq-run; the next mailq-run settles it");
	if (dirs_list(dir, &lanes, dirs_compare_text) < 0)
		return;
	for (size_t i = 0; i < lanes.count; i++) {
		struct spot spot = { .c = c, .lane = lanes.names[i], .claimed = true };

		if (strcmp(lanes.names[i], "journal") == 0)
			continue; /* it should be a file: see below */
		claimed++;
		snprintf(spot.path, sizeof spot.path, "%s/%s", path, lanes.names[i]);
		check_spot(&spot, dir, lanes.names[i]);
	}
	snprintf(path, sizeof path, "cur/%s/journal", token);
	if (alive)
		check_journal(c, dir, "journal", path);
	else
		check_dead_journal(c, dir, path, claimed > 0);
	dirs_release(&lanes);
}

void
check_messages(struct checking *c)
{
	AUTO_FD int cur = fs_open_dir(c->spool->root, "cur");
	struct dir_list runners;

	for (int state = 0; state < STATE_COUNT; state++)
		check_state(c, (enum state)state);
	if (cur < 0 || dirs_list(cur, &runners, dirs_compare_text) < 0) {
		check_tell_unread(c, "cur", "cannot be listed");
		return;
	}
	for (size_t i = 0; i < runners.count; i++)
		check_runner(c, cur, runners.names[i]);
	dirs_release(&runners);
	free(c->names.sums);
	c->names = (struct check_names){ 0 };
}
