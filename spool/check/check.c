#include "spool/check/check.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "spool/check/private.h"
#include "spool/draft/draft.h"
#include "spool/journal/history.h"
#include "spool/journal/totals.h"
#include "spool/policy/suspend.h"
#include "spool/queue/count.h"
#include "spool/store/dirs.h"

/* Everything that stands in the root of a spool. */
static const char *const root_names[] = { "mailq-spool", "tmp", "id", "cur", "log", "partial",
	"parked", "corrupt", "count", "totals", "wake", "captured", "lost+found", "waiting",
	"deferred", "held", "uncertain", "failed", "rules", "scheduler", "lock", "limits",
	"accounts", "suspended", "answers", "reports", "blobs", "parts", "pins", "fetched" };

void
check_tell(struct checking *c, enum check_weight weight, const char *path, const char *fmt, ...)
{
	char text[800];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	if (weight == CHECK_FAULT || weight == CHECK_REPAIRED)
		c->result->faults++;
	if (weight == CHECK_UNREAD)
		c->result->unread++;
	if (weight == CHECK_REPAIRED)
		c->result->repaired++;
	c->fault(path, text, weight == CHECK_REPAIRED || weight == CHECK_NOTE_REPAIRED, c->arg);
}

bool
check_is_misplaced(void)
{
	return errno == ENOTDIR || errno == EISDIR || errno == ELOOP || errno == ENXIO ||
	    errno == EINVAL || errno == ESPIPE;
}

void
check_tell_err(struct checking *c, const char *path, const struct err *err)
{
	bool unread = err->code == EX_IOERR || err->code == EX_TEMPFAIL;

	check_tell(c, unread && !check_is_misplaced() ? CHECK_UNREAD : CHECK_FAULT, path, "%s",
	    err->msg);
}

void
check_tell_unread(struct checking *c, const char *path, const char *what)
{
	check_tell(c, check_is_misplaced() ? CHECK_FAULT : CHECK_UNREAD, path, "%s: %s", what,
	    strerror(errno));
}

/* Who may own what is in the spool: its owner; in a group's spool (2770), the group's members. */
void
check_owner(struct checking *c, const char *path, const struct stat *st)
{
	if (st->st_uid != c->root.st_uid && !(c->root.st_mode & S_IWGRP))
		check_tell(c, CHECK_FAULT, path,
		    "belongs to user %u; expected %u, the spool's owner", (unsigned int)st->st_uid,
		    (unsigned int)c->root.st_uid);
	if (st->st_mode & 07)
		check_tell(c, CHECK_FAULT, path, "its mode is %04o, open to all",
		    (unsigned int)st->st_mode & 07777);
}

int
check_each(struct checking *c, int parent, const char *path, const char *name,
    int (*each)(const char *name, unsigned char type, void *arg), void *arg)
{
	AUTO_FD int dir = fs_open_dir(parent, name);
	struct stat st;

	if (dir < 0 && errno == ENOENT)
		return 0;
	if (dir < 0) {
		check_tell_unread(c, path, "cannot be opened as a directory");
		return -1;
	}
	if (fstat(dir, &st) == 0)
		check_owner(c, path, &st);
	c->dir = dir;
	if (fs_each(dir, each, arg) >= 0)
		return 0;
	check_tell_unread(c, path, "cannot be listed");
	return -1;
}

/* ---- what is around the messages --------------------------------------------------------- */

static int
look_at_root(const char *name, unsigned char type, void *arg)
{
	(void)type;
	/* What fs_replace_file() left is taken over by the next who replaces. */
	if (strcmp(name, ".mailq-spool.tmp") == 0 || strcmp(name, ".rules.tmp") == 0 ||
	    strcmp(name, ".totals.tmp") == 0)
		return 0;
	for (size_t i = 0; i < sizeof root_names / sizeof root_names[0]; i++)
		if (strcmp(name, root_names[i]) == 0)
			return 0;
	check_tell(arg, CHECK_FAULT, name, "is not part of a spool");
	return 0;
}

/* Answers to requests with a key: forgotten in their time, and damaged ones count as not given. */
static int
look_at_answer(const char *name, unsigned char type, void *arg)
{
	struct checking *c = arg;
	char path[NAME_SIZE + 16];

	(void)type;
	snprintf(path, sizeof path, "answers/%.200s", name);
	if (check_alone(c, c->dir, name, path) &&
	    (strlen(name) != 64 || strspn(name, "0123456789abcdef") != 64))
		check_tell(c, CHECK_FAULT, path, "is not the file of an answer");
	return 0;
}

static bool
is_locked(int dir, const char *name)
{
	AUTO_FD int fd = fs_open(dir, name, O_RDONLY, 0);

	if (fd < 0)
		return errno == ENOENT;
	return flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
}

/* Dead drafts.  The directory of one (TOKEN.d) is told with its file, or alone where it has none. */
static int
look_at_draft(const char *name, unsigned char type, void *arg)
{
	struct checking *c = arg;
	char path[NAME_SIZE + 8], token[NAME_SIZE];
	size_t n = strlen(name);

	(void)type;
	if (n >= sizeof token)
		return 0;
	memcpy(token, name, n + 1);
	if (n > 2 && strcmp(token + n - 2, ".d") == 0) {
		token[n - 2] = '\0';
		if (faccessat(c->spool->tmp, token, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
			return 0;
	} else if (is_locked(c->spool->tmp, name)) {
		return 0;
	}
	snprintf(path, sizeof path, "tmp/%s", name);
	check_tell(c, c->repair ? CHECK_NOTE_REPAIRED : CHECK_NOTE, path,
	    "was left by a process that died before it acknowledged anything");
	return 0;
}

static int
take_any(const char *text, size_t len, const struct json *value, int64_t offset, void *arg)
{
	(void)text;
	(void)len;
	(void)value;
	(void)offset;
	(void)arg;
	return 0;
}

void
check_journal(struct checking *c, int dir, const char *name, const char *path)
{
	AUTO_FD int fd = -1;
	size_t bad = 0;

	if (!check_kind(c, dir, name, path))
		return;
	fd = fs_open(dir, name, O_RDONLY, 0);
	if (fd < 0) {
		if (errno != ENOENT)
			check_tell_unread(c, path, "cannot be opened");
		return;
	}
	if (journal_read(fd, 0, take_any, NULL, &bad) < 0)
		check_tell_unread(c, path, "cannot be read");
	/* A crash leaves one line unfinished, and that is no fault; nor is the end of a line that is
	 * just being written. */
	if (bad > 1)
		check_tell(c, CHECK_FAULT, path, "%zu lines are not JSON objects", bad);
}

static int
look_at_log(const char *name, unsigned char type, void *arg)
{
	struct checking *c = arg;
	const char *dot = strrchr(name, '.');
	char path[NAME_SIZE + 8];

	(void)type;
	snprintf(path, sizeof path, "log/%s", name);
	if (dot == NULL || (strcmp(dot, ".log") != 0 && strcmp(dot, HISTORY_OLD_SUFFIX) != 0))
		check_tell(c, CHECK_FAULT, path, "is not a log: expected TOKEN.log");
	else
		check_journal(c, c->spool->log, name, path);
	return 0;
}

static int
look_at_partial(const char *name, unsigned char type, void *arg)
{
	struct checking *c = arg;
	struct partial partial;
	struct err err = ERR_INIT;
	char path[NAME_SIZE + 16];

	(void)type;
	if (name[0] == '.')
		return 0;
	snprintf(path, sizeof path, "partial/%s", name);
	if (!check_kind(c, c->dir, name, path))
		return 0;
	if (partial_read(c->spool, name, &partial, &err) < 0)
		check_tell_err(c, path, &err);
	else
		partial_release(&partial);
	return 0;
}

static int
look_at_parked(const char *name, unsigned char type, void *arg)
{
	struct checking *c = arg;
	char path[NAME_SIZE + 16], account[NAME_SIZE];
	struct err err = ERR_INIT;
	struct park park;

	(void)type;
	if (name[0] == '.')
		return 0;
	snprintf(path, sizeof path, "parked/%s", name);
	if (!check_kind(c, c->dir, name, path))
		return 0;
	if (strlen(name) > LANE_PART_MAX || name_decode(name, account) < 0)
		check_tell(c, CHECK_FAULT, path, "its name is not an encoded account");
	else if (park_read(c->spool, account, &park, &err) < 0)
		check_tell_err(c, path, &err);
	return 0;
}

static int
look_at_suspended(const char *name, unsigned char type, void *arg)
{
	struct checking *c = arg;
	char path[NAME_SIZE + 16];
	struct suspension one;
	struct err err = ERR_INIT;

	(void)type;
	if (name[0] == '.')
		return 0;
	snprintf(path, sizeof path, "suspended/%s", name);
	if (!check_kind(c, c->dir, name, path))
		return 0;
	if (suspension_read(c->spool, name, &one, &err) < 0)
		check_tell_err(c, path, &err);
	return 0;
}

/* Of the sums, what the logs still tell is made anew, and no counter goes below what can be read. */
static void
check_totals(struct checking *c)
{
	struct err err = ERR_INIT;
	int whole = totals_check(c->spool, &err);
	bool repaired;

	if (whole < 0)
		check_tell_err(c, "totals", &err);
	if (whole != 0)
		return;
	repaired = c->repair && totals_save(c->spool, NULL, 0, NULL) == 1;
	check_tell(c, repaired ? CHECK_REPAIRED : CHECK_FAULT, "totals",
	    "is damaged: its checksum is wrong, or a line of it");
}

static int
look_at_corrupt(const char *name, unsigned char type, void *arg)
{
	char path[NAME_SIZE + 16];

	(void)type;
	snprintf(path, sizeof path, "corrupt/%s", name);
	check_tell(arg, CHECK_NOTE, path,
	    "is a damaged message; you may look at it, release it if it is sound, or delete it");
	return 0;
}

int
check_spool(struct spool *spool, bool repair,
    void (*fault)(const char *path, const char *text, bool repaired, void *arg), void *arg,
    struct check_result *ret, struct err *err)
{
	struct checking c = { .spool = spool,
		.repair = repair,
		.fault = fault,
		.arg = arg,
		.result = ret,
		.err = err,
		.dir = -1,
		.log = { .spool = spool, .reports = true } };

	*ret = (struct check_result){ 0 };
	if (fstat(spool->root, &c.root) < 0)
		return err_io(err, "spool %s", spool->path);
	check_owner(&c, ".", &c.root);
	check_each(&c, spool->root, ".", ".", look_at_root, &c);
	check_root_kinds(&c);
	check_each(&c, spool->root, "tmp", "tmp", look_at_draft, &c);
	if (repair && draft_recover(spool) < 0)
		return err_io(err, "spool %s: cannot tidy up tmp", spool->path);
	check_messages(&c);
	check_parts(&c);
	check_each(&c, spool->root, "log", "log", look_at_log, &c);
	check_ids(&c);
	check_each(&c, spool->root, "partial", "partial", look_at_partial, &c);
	check_totals(&c);
	check_each(&c, spool->root, "parked", "parked", look_at_parked, &c);
	check_each(&c, spool->root, "suspended", "suspended", look_at_suspended, &c);
	check_accounts(&c);
	check_limits(&c);
	check_reports(&c);
	check_each(&c, spool->root, "answers", "answers", look_at_answer, &c);
	check_fetched(&c);
	check_each(&c, spool->root, "corrupt", "corrupt", look_at_corrupt, &c);
	if (oplog_sync(&c.log, err) < 0)
		return -1;
	oplog_end(&c.log);
	return 0;
}
