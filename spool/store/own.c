#include "spool/store/own.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"

#define CORRUPT "corrupt"
#define ASIDE_MAX 1000 /* of one name */
#define LOCK_WAIT (10 * USEC)
#define ATTEMPTS 10

/* "limits-NAME": what it was called is seen in corrupt/, too. */
#define ASIDE_SIZE (2 * NAME_SIZE)

static const char *
kind_text(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFIFO:
		return "is a FIFO";
	case S_IFSOCK:
		return "is a socket";
	case S_IFCHR:
	case S_IFBLK:
		return "is a device";
	case S_IFDIR:
		return "is a directory";
	case S_IFLNK:
		return "is a symbolic link";
	default:
		return "is of an unknown kind";
	}
}

const char *
own_fault(int dir, const struct stat *st, char ret[64])
{
	if (!S_ISREG(st->st_mode))
		snprintf(ret, 64, "%s", kind_text(st->st_mode));
	else if (!fs_is_ours(dir, st))
		snprintf(ret, 64, "belongs to user %u", (unsigned int)st->st_uid);
	else
		return NULL;
	return ret;
}

int
own_refused(const struct spool *spool, int dir, const char *where, const char *name,
    struct err *err)
{
	const char *slash = *where != '\0' ? "/" : "", *fault;
	struct stat st, root;
	char text[64];

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || fstat(spool->root, &root) < 0 ||
	    (fault = own_fault(dir, &st, text)) == NULL)
		return err_set(err, EX_DATAERR, "spool %s: %s%s%s: expected a regular file",
		    spool->path, where, slash, name);
	if (S_ISREG(st.st_mode))
		return err_set(err, EX_DATAERR,
		    "spool %s: %s%s%s: %s; expected %u, the spool's owner", spool->path, where,
		    slash, name, fault, (unsigned int)root.st_uid);
	return err_set(err, EX_DATAERR, "spool %s: %s%s%s: %s; expected a regular file",
	    spool->path, where, slash, name, fault);
}

/* corrupt/ itself, made where it is not there. */
static int
open_corrupt(const struct spool *spool)
{
	int fd = fs_open_dir(spool->root, CORRUPT);

	if (fd >= 0 || errno != ENOENT || fs_mkdir(spool->root, CORRUPT, 0770) < 0)
		return fd;
	return fs_open_dir(spool->root, CORRUPT);
}

static int
move_aside(const struct spool *spool, int corrupt, int dir, const char *name, const char *as)
{
	char to[NAME_SIZE + 16];

	for (unsigned int i = 0; i < ASIDE_MAX; i++) {
		if (i == 0)
			snprintf(to, sizeof to, "%.240s", as);
		else
			snprintf(to, sizeof to, "%.230s~%u", as, i);
		if (renameat2(dir, name, corrupt, to, RENAME_NOREPLACE) == 0) {
			if (spool_sync_dir(spool, corrupt) < 0 || spool_sync_dir(spool, dir) < 0)
				return -1;
			return spool_sync_end(spool);
		}
		if (errno != EEXIST)
			return -1;
	}
	return -1;
}

int
own_set_aside(const struct spool *spool, int dir, const char *name, const char *as)
{
	AUTO_FD int corrupt = open_corrupt(spool);

	return corrupt < 0 ? -1 : move_aside(spool, corrupt, dir, name, as);
}

/* One at a time: who comes second must not take away the file that the first has made by then. */
static int
clear(const struct spool *spool, int dir, const char *where, const char *name, bool alone)
{
	AUTO_FD int corrupt = open_corrupt(spool);
	char as[ASIDE_SIZE], text[64];
	const char *fault;
	struct stat st;

	if (corrupt < 0 || fs_lock(corrupt, LOCK_WAIT) < 0)
		return -1;
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -1;
	fault = own_fault(dir, &st, text);
	if (fault == NULL && alone && st.st_nlink > 1)
		fault = "has more than one name";
	if (fault == NULL)
		return 0;
	snprintf(as, sizeof as, "%s%s%s", where, *where != '\0' ? "-" : "", name);
	for (char *p = as; *p != '\0'; p++)
		if (*p == '/')
			*p = '-';
	if (move_aside(spool, corrupt, dir, name, as) < 0)
		return -1;
	log_warning("spool %s: %s%s%s %s; expected a file: moved to " CORRUPT "/", spool->path,
	    where, *where != '\0' ? "/" : "", name, fault);
	return 0;
}

int
own_clear(const struct spool *spool, int dir, const char *where, const char *name)
{
	return clear(spool, dir, where, name, false);
}

int
own_open(const struct spool *spool, int dir, const char *where, const char *name, int flags,
    bool alone)
{
	for (int attempt = 0;; attempt++) {
		AUTO_FD int fd = fs_open(dir, name, flags | O_CREAT, 0660);
		struct stat st;
		int saved;

		if (fd >= 0 && (!alone || (fstat(fd, &st) == 0 && st.st_nlink <= 1)))
			return take_fd(&fd);
		if (fd >= 0)
			errno = EMLINK;
		/* EACCES: a file of somebody else, who has kept it to himself. */
		if ((!fs_is_foreign() && errno != EMLINK && errno != EACCES) || attempt == ATTEMPTS)
			return -1;
		saved = errno;
		if (clear(spool, dir, where, name, alone) < 0) {
			errno = saved;
			return -1;
		}
		if (saved == EACCES && attempt > 0) {
			errno = saved;
			return -1;
		}
	}
}

int
own_replace(const struct spool *spool, int dir, const char *where, const char *name,
    const void *bytes, size_t n)
{
	char temporary[NAME_SIZE + 8];
	int saved;

	if (fs_replace_file(dir, name, bytes, n, 0660) == 0)
		return 0;
	/* A rename cannot replace a directory, and the temporary file may be none. */
	if (!fs_is_foreign() && errno != EISDIR && errno != EEXIST && errno != EACCES)
		return -1;
	saved = errno;
	snprintf(temporary, sizeof temporary, ".%.250s.tmp", name);
	if (clear(spool, dir, where, name, false) < 0 ||
	    clear(spool, dir, where, temporary, true) < 0) {
		errno = saved;
		return -1;
	}
	return fs_replace_file(dir, name, bytes, n, 0660);
}
