#include "spool/policy/suspend.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "spool/policy/lock.h"
#include "spool/report/oplog.h"
#include "spool/store/lines.h"
#include "spool/store/own.h"

#define DIRECTORY "suspended"
#define FILE_MAX ((size_t)4096)
/* What history says of one that nobody lifted. */
#define OVER "its time is over"

static const char *const kind_words[] = {
	[SUSPEND_ALL] = "all",
	[SUSPEND_ACCOUNT] = "account",
	[SUSPEND_BATCH] = "batch",
};

/* ---- names and lines --------------------------------------------------------------------- */

/* "all", "account,ID" or "batch,CODE". */
static int
entry_format(enum suspend_kind kind, const char *name, char ret[NAME_SIZE], struct err *err)
{
	char encoded[LANE_PART_MAX + 1];

	if (kind == SUSPEND_ALL) {
		snprintf(ret, NAME_SIZE, "%s", kind_words[kind]);
		return 0;
	}
	if (name_encode(name, LANE_PART_MAX, encoded) < 0)
		return err_sys(err, EX_DATAERR, "%s \"%s\"", kind_words[kind], name);
	snprintf(ret, NAME_SIZE, "%s,%s", kind_words[kind], encoded);
	return 0;
}

static int
entry_parse(const char *entry, struct suspension *ret)
{
	char plain[NAME_SIZE];

	*ret = (struct suspension){ .kind = SUSPEND_ALL };
	if (strcmp(entry, kind_words[SUSPEND_ALL]) == 0)
		return 0;
	for (int kind = SUSPEND_ACCOUNT; kind <= SUSPEND_BATCH; kind++) {
		size_t n = strlen(kind_words[kind]);

		if (strncmp(entry, kind_words[kind], n) != 0 || entry[n] != ',')
			continue;
		if (strlen(entry + n + 1) > LANE_PART_MAX || name_decode(entry + n + 1, plain) < 0)
			return -1;
		ret->kind = (enum suspend_kind)kind;
		snprintf(ret->name, sizeof ret->name, "%.*s", LANE_PART_MAX, plain);
		return 0;
	}
	return -1;
}

static int
take_line(const char *key, const char *value, void *arg)
{
	struct suspension *one = arg;

	if (strcmp(key, "since") == 0)
		return instant_parse(value, &one->since);
	if (strcmp(key, "until") == 0)
		return instant_parse(value, &one->until);
	if (strcmp(key, "by") == 0)
		snprintf(one->by, sizeof one->by, "%s", value);
	else if (strcmp(key, "reason") == 0)
		snprintf(one->reason, sizeof one->reason, "%s", value);
	return 0; /* unknown keys are left for later versions */
}

/* Opened anew for each listing, and made by the first who suspends: a spool of an earlier version has
 * none.  -1 with errno. */
static int
open_suspended(const struct spool *spool, bool make)
{
	int fd = fs_open_dir(spool->root, DIRECTORY);

	if (fd >= 0 || errno != ENOENT || !make)
		return fd;
	if (spool_make_dir(spool, DIRECTORY, 0770) < 0)
		return -1;
	return fs_open_dir(spool->root, DIRECTORY);
}

/* ---- reading ----------------------------------------------------------------------------- */

/* The lines of an entry, whose name *one has already: 1; 0: it is gone; -1 with err. */
static int
read_lines(const struct spool *spool, int dir, const char *entry, struct suspension *one,
    struct err *err)
{
	AUTO_BUF struct buf text = BUF_INIT(FILE_MAX);
	struct suspension lines = *one;
	struct stat st;

	if (fstatat(dir, entry, &st, AT_SYMLINK_NOFOLLOW) == 0)
		lines.since = one->since = st.st_mtim.tv_sec * USEC + st.st_mtim.tv_nsec / 1000;
	if (fs_read_file(dir, entry, &text) < 0)
		return errno == ENOENT ?
		    0 :
		    err_io(err, "spool %s: %s/%s", spool->path, DIRECTORY, entry);
	if (lines_parse(&text, take_line, &lines) < 0)
		return err_set(err, EX_DATAERR,
		    "spool %s: %s/%s is damaged: expected lines \"since: SECONDS.MICROSECONDS\", "
		    "...; it is a suspension until \"mailq-rules activate\"",
		    spool->path, DIRECTORY, entry);
	*one = lines;
	return 1;
}

int
suspension_read(const struct spool *spool, const char *entry, struct suspension *ret,
    struct err *err)
{
	AUTO_FD int dir = open_suspended(spool, false);

	if (dir < 0 && errno == ENOENT)
		return 0;
	if (dir < 0)
		return err_io(err, "spool %s: %s", spool->path, DIRECTORY);
	if (entry_parse(entry, ret) < 0)
		return err_set(err, EX_DATAERR,
		    "spool %s: %s/%s suspends nothing: expected a name \"all\", "
		    "\"account,ID\" or \"batch,CODE\"",
		    spool->path, DIRECTORY, entry);
	return read_lines(spool, dir, entry, ret, err);
}

struct reading {
	const struct spool *spool;
	int dir;
	int64_t now;
	struct suspensions *list;
	size_t room;
};

static int
note_entry(const char *entry, unsigned char type, void *arg)
{
	struct reading *reading = arg;
	struct suspensions *list = reading->list;
	struct suspension one;

	(void)type;
	if (entry_parse(entry, &one) < 0)
		return 0;
	switch (read_lines(reading->spool, reading->dir, entry, &one, NULL)) {
	case 0:
		return 0;
	case -1:
		snprintf(one.reason, sizeof one.reason, "its file %s/%.200s cannot be understood",
		    DIRECTORY, entry);
		break;
	default:
		if (one.until != 0 && one.until <= reading->now)
			return 0;
	}
	if (list->n == reading->room) {
		reading->room = reading->room > 0 ? 2 * reading->room : 8;
		list->v = xreallocarray(list->v, reading->room, sizeof *list->v);
	}
	list->v[list->n++] = one;
	return 0;
}

static int
compare(const void *a, const void *b)
{
	const struct suspension *x = a, *y = b;

	return x->kind != y->kind ? (int)x->kind - (int)y->kind : strcmp(x->name, y->name);
}

int
suspensions_read(const struct spool *spool, int64_t now, struct suspensions *ret, struct err *err)
{
	AUTO_FD int dir = open_suspended(spool, false);
	struct reading reading = { .spool = spool, .dir = dir, .now = now, .list = ret };

	*ret = (struct suspensions){ 0 };
	if (dir < 0 && errno == ENOENT)
		return 0;
	if (dir < 0 || fs_each(dir, note_entry, &reading) < 0) {
		err_io(err, "spool %s: %s", spool->path, DIRECTORY);
		suspensions_release(ret);
		return -1;
	}
	if (ret->n > 1)
		qsort(ret->v, ret->n, sizeof *ret->v, compare);
	return 0;
}

void
suspensions_release(struct suspensions *list)
{
	free(list->v);
	*list = (struct suspensions){ 0 };
}

const struct suspension *
suspensions_find(const struct suspensions *list, enum suspend_kind kind, const char *name)
{
	size_t low = 0, high = list->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct suspension *one = &list->v[middle];
		int order =
		    one->kind != kind ? (int)one->kind - (int)kind : strcmp(one->name, name);

		if (order == 0)
			return one;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

const struct suspension *
suspensions_of_lane(const struct suspensions *list, const struct lane *lane)
{
	const struct suspension *found = suspensions_find(list, SUSPEND_ALL, "");

	if (found == NULL && lane->batch[0] != '\0')
		found = suspensions_find(list, SUSPEND_BATCH, lane->batch);
	if (found == NULL)
		found = suspensions_find(list, SUSPEND_ACCOUNT, lane->account);
	return found;
}

/* ---- changing ---------------------------------------------------------------------------- */

/* A line of history. */
static void
log_order(struct oplog *log, enum event event, const struct suspension *one, const char *words,
    int64_t until)
{
	oplog_policy(log, event, one->kind == SUSPEND_ACCOUNT ? one->name : NULL,
	    one->kind == SUSPEND_BATCH ? one->name : NULL, until, words);
}

static int
write_entry(struct spool *spool, int dir, const char *entry, const struct suspension *order,
    struct err *err)
{
	AUTO_BUF struct buf text = BUF_INIT(FILE_MAX);

	lines_add_instant(&text, "since", order->since);
	if (order->until != 0)
		lines_add_instant(&text, "until", order->until);
	if (order->by[0] != '\0')
		lines_add_words(&text, "by", order->by);
	if (order->reason[0] != '\0')
		lines_add_words(&text, "reason", order->reason);
	if (own_replace(spool, dir, DIRECTORY, entry, text.s, text.len) < 0)
		return err_io(err, "spool %s: cannot write %s/%s", spool->path, DIRECTORY, entry);
	return 0;
}

int
suspend(struct spool *spool, const struct suspension *order, struct err *err)
{
	AUTO(oplog_end) struct oplog log = { .spool = spool };
	char entry[NAME_SIZE], words[sizeof order->by + sizeof order->reason + 8];
	AUTO_FD int lock = -1;
	AUTO_FD int dir = -1;

	if (entry_format(order->kind, order->name, entry, err) < 0 ||
	    (lock = spool_lock(spool, err)) < 0)
		return -1;
	dir = open_suspended(spool, true);
	if (dir < 0)
		return err_io(err, "spool %s: %s", spool->path, DIRECTORY);
	/* The log is begun first: where that fails, nothing has happened. */
	if (oplog_begin(&log, err) < 0 || write_entry(spool, dir, entry, order, err) < 0)
		return -1;
	snprintf(words, sizeof words, "%s%s%s%s", order->by[0] != '\0' ? "by " : "", order->by,
	    order->by[0] != '\0' && order->reason[0] != '\0' ? ": " : "", order->reason);
	log_order(&log, EVENT_SUSPENDED, order, words, order->until);
	return oplog_sync(&log, err);
}

/* Unlinks the entry durably, and tells of it. */
static int
lift(struct spool *spool, int dir, const char *entry, const struct suspension *one,
    const char *words, struct oplog *log, struct err *err)
{
	if (oplog_begin(log, err) < 0)
		return -1;
	if (unlinkat(dir, entry, 0) < 0 || fs_sync_dir(dir) < 0)
		return err_io(err, "spool %s: cannot remove %s/%s", spool->path, DIRECTORY, entry);
	log_order(log, EVENT_ACTIVATED, one, words, 0);
	return 0;
}

int
activate(struct spool *spool, enum suspend_kind kind, const char *name, const char *by,
    struct err *err)
{
	AUTO(oplog_end) struct oplog log = { .spool = spool };
	char entry[NAME_SIZE], words[sizeof(((struct suspension *)0)->by) + 8];
	struct suspension one;
	AUTO_FD int lock = -1;
	AUTO_FD int dir = -1;
	bool over;

	if (entry_format(kind, name, entry, err) < 0 || (lock = spool_lock(spool, err)) < 0)
		return -1;
	dir = open_suspended(spool, false);
	if (dir < 0 && errno == ENOENT)
		return 0;
	if (dir < 0)
		return err_io(err, "spool %s: %s", spool->path, DIRECTORY);
	if (entry_parse(entry, &one) < 0 || read_lines(spool, dir, entry, &one, NULL) == 0)
		return 0;
	over = one.until != 0 && one.until <= clock_now();
	snprintf(words, sizeof words, "by %.*s", (int)sizeof one.by, by);
	if (lift(spool, dir, entry, &one, over ? OVER : words, &log, err) < 0 ||
	    oplog_sync(&log, err) < 0)
		return -1;
	spool_wake(spool);
	return over ? 0 : 1;
}

struct tidying {
	struct spool *spool;
	int dir;
	int64_t now;
	int lock; /* -1: not taken yet, as mostly nothing is to do */
	struct oplog log;
	int result;
	struct err *err;
};

static int
tidy_entry(const char *entry, unsigned char type, void *arg)
{
	struct tidying *tidying = arg;
	struct suspension one;

	(void)type;
	for (;;) {
		if (entry_parse(entry, &one) < 0 ||
		    read_lines(tidying->spool, tidying->dir, entry, &one, NULL) != 1 ||
		    one.until == 0 || one.until > tidying->now)
			return 0;
		/* Under the lock it is looked at again: it may have been replaced. */
		if (tidying->lock >= 0) {
			tidying->result = lift(tidying->spool, tidying->dir, entry, &one, OVER,
			    &tidying->log, tidying->err);
			return tidying->result != 0;
		}
		tidying->lock = spool_lock(tidying->spool, tidying->err);
		if (tidying->lock < 0) {
			tidying->result = -1;
			return 1;
		}
	}
}

int
suspensions_tidy(struct spool *spool, int64_t now, struct err *err)
{
	AUTO_FD int dir = open_suspended(spool, false);
	struct tidying tidying = { .spool = spool,
		.dir = dir,
		.now = now,
		.lock = -1,
		.log = { .spool = spool },
		.err = err };

	if (dir < 0 && errno == ENOENT)
		return 0;
	if (dir < 0 || fs_each(dir, tidy_entry, &tidying) < 0)
		tidying.result = err_io(err, "spool %s: %s", spool->path, DIRECTORY);
	if (tidying.result == 0)
		tidying.result = oplog_sync(&tidying.log, err);
	oplog_end(&tidying.log);
	auto_close_fd(&tidying.lock);
	return tidying.result;
}
