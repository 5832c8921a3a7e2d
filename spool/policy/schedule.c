#include "spool/policy/schedule.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/clock.h"
#include "base/fs.h"
#include "spool/store/lines.h"
#include "spool/store/own.h"

#define RULES "rules"
#define SCHEDULER "scheduler"
#define SCHEDULER_MAX ((size_t)4096)
/* Whoever holds the lock reads and writes one line. */
#define WAIT_MAX (10 * USEC)

/* Whether the file is one that a stranger cannot have put there, nor changed.  In a group's spool its
 * members make rules. */
static int
check_trust(const struct spool *spool, int fd, struct err *err)
{
	struct stat root, st;

	if (fstat(spool->root, &root) < 0 || fstat(fd, &st) < 0)
		return err_io(err, "spool %s: " RULES, spool->path);
	if (st.st_uid != root.st_uid && st.st_uid != 0 && !(root.st_mode & S_IWGRP))
		return err_set(err, EX_DATAERR,
		    "spool %s: " RULES " belongs to user %u; expected %u, the spool's owner",
		    spool->path, (unsigned int)st.st_uid, (unsigned int)root.st_uid);
	if (st.st_mode & (root.st_mode & S_IWGRP ? S_IWOTH : S_IWOTH | S_IWGRP))
		return err_set(err, EX_DATAERR,
		    "spool %s: " RULES
		    ": its mode is %04o; expected %04o, because other users may write it",
		    spool->path, (unsigned int)st.st_mode & 07777,
		    root.st_mode & S_IWGRP ? 0660U : 0600U);
	return 0;
}

int
rules_file_read(const struct spool *spool, struct buf *ret, struct err *err)
{
	AUTO_BUF struct buf text = BUF_INIT(RULES_FILE_MAX);
	AUTO_FD int fd = fs_open(spool->root, RULES, O_RDONLY, 0);

	if (fd < 0 && fs_is_foreign())
		return own_refused(spool, spool->root, "", RULES, err);
	if (fd >= 0 && check_trust(spool, fd, err) < 0)
		return -1;
	if (fd < 0 || fs_read_all(fd, &text) < 0) {
		if (errno == E2BIG)
			return err_set(err, EX_DATAERR,
			    "spool %s: " RULES " is longer than %u bytes", spool->path,
			    RULES_FILE_MAX);
		if (errno != ENOENT)
			return err_io(err, "spool %s: cannot read " RULES, spool->path);
	}
	buf_release(ret);
	*ret = text;
	text = (struct buf)BUF_INIT(RULES_FILE_MAX);
	return 0;
}

int
rules_file_write(struct spool *spool, const char *text, size_t len, struct err *err)
{
	if (own_replace(spool, spool->root, "", RULES, text, len) < 0)
		return err_io(err, "spool %s: cannot write " RULES, spool->path);
	return 0;
}

static int
take_line(const char *key, const char *value, void *arg)
{
	return strcmp(key, "last") == 0 ? instant_parse(value, arg) : 0;
}

/* What a power cut left half-written is no cycle: at the worst one comes a little early. */
static int64_t
read_last(int fd)
{
	AUTO_BUF struct buf text = BUF_INIT(SCHEDULER_MAX);
	int64_t last = 0;

	if (fs_read_all(fd, &text) < 0 || lines_parse(&text, take_line, &last) < 0)
		return 0;
	return last;
}

int64_t
cycle_last(const struct spool *spool)
{
	AUTO_FD int fd = fs_open(spool->root, SCHEDULER, O_RDONLY, 0);

	return fd < 0 ? 0 : read_last(fd);
}

/* In place, and not synced: the file is its own lock, so it stays the same one. */
static int
write_last(int fd, int64_t last)
{
	AUTO_BUF struct buf text = BUF_INIT(SCHEDULER_MAX);

	lines_add_instant(&text, "last", last);
	if (fs_pwrite(fd, text.s, text.len, 0) < 0)
		return -1;
	return ftruncate(fd, (off_t)text.len);
}

int
cycle_begin(struct spool *spool, int64_t now, bool (*due)(int64_t last, void *arg), void *arg,
    struct err *err)
{
	AUTO_FD int fd = own_open(spool, spool->root, "", SCHEDULER, O_RDWR, true);

	if (fd < 0)
		return err_io(err, "spool %s: cannot open " SCHEDULER, spool->path);
	if (fs_lock(fd, WAIT_MAX) < 0) {
		if (errno == EWOULDBLOCK)
			return err_set(err, EX_TEMPFAIL,
			    "spool %s: another program has held " SCHEDULER " for too long",
			    spool->path);
		return err_io(err, "spool %s: cannot lock " SCHEDULER, spool->path);
	}
	if (!due(read_last(fd), arg))
		return 0;
	if (write_last(fd, now) < 0)
		return err_io(err, "spool %s: cannot write " SCHEDULER, spool->path);
	return 1;
}
