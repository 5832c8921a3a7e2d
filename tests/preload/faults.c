/*
 * Preloaded into a program, makes its file system fail, or the program die, at a chosen call.
 *
 * Calls that change something below a directory are counted from 1: mkdir, open with O_CREAT,
 * write, truncate, fsync, link, symlink, rename, unlink and their like.  The environment says
 *
 *	FAULTS_UNDER	the directory; calls elsewhere are let through and not counted
 *	FAULTS_AT	the number of the call; 0: none
 *	FAULTS_ACT	what happens there:
 *			eio, enospc	it fails so
 *			broken		it and every later one fails with EIO
 *			full		it and every later one that needs space fails with ENOSPC
 *			before, after	the process is killed before or after it
 *			torn		of a write, half is written, then the process is killed
 *			unread		calls that change something are neither counted nor touched; those that
 *					read (read, pread, open without O_CREAT, stat of a name, listings) are, and
 *					the chosen one fails with EIO
 *	FAULTS_LOG	a file that gets a line for each call: "NUMBER NAME PATH", and for a sync that
 *			succeeded "synced SIZE PATH"
 *
 * The real work is done by system calls, so that no symbol must be looked up.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum act {
	ACT_NONE,
	ACT_EIO,
	ACT_ENOSPC,
	ACT_BROKEN,
	ACT_FULL,
	ACT_BEFORE,
	ACT_AFTER,
	ACT_TORN,
	ACT_UNREAD
};

static const char *const act_words[] = { "none", "eio", "enospc", "broken", "full", "before",
	"after", "torn", "unread" };

static struct {
	bool ready;
	char under[PATH_MAX];
	size_t under_len;
	long at;
	atomic_long count;
	enum act act;
	int log;
} faults = { .log = -1 };

static void
prepare(void)
{
	const char *under = getenv("FAULTS_UNDER"), *at = getenv("FAULTS_AT"),
		   *act = getenv("FAULTS_ACT"), *log = getenv("FAULTS_LOG");

	faults.ready = true;
	if (under == NULL)
		return;
	faults.under_len = (size_t)snprintf(faults.under, sizeof faults.under, "%s", under);
	faults.at = at != NULL ? strtol(at, NULL, 10) : 0;
	for (int i = 0; act != NULL && i <= ACT_UNREAD; i++)
		if (strcmp(act, act_words[i]) == 0)
			faults.act = (enum act)i;
	if (log != NULL)
		faults.log = (int)syscall(SYS_openat, AT_FDCWD, log,
		    O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static void
die(void)
{
	syscall(SYS_kill, (pid_t)syscall(SYS_getpid), SIGKILL);
	for (;;)
		pause();
}

/* The path behind a descriptor; false where it is no file below the directory. */
static bool
path_of(int fd, char path[PATH_MAX])
{
	char link[64];
	ssize_t n;

	if (fd == AT_FDCWD)
		n = (ssize_t)syscall(SYS_readlinkat, AT_FDCWD, "/proc/self/cwd", path,
		    PATH_MAX - 1);
	else {
		snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
		n = (ssize_t)syscall(SYS_readlinkat, AT_FDCWD, link, path, PATH_MAX - 1);
	}
	if (n < 0)
		return false;
	path[n] = '\0';
	return true;
}

static bool
is_under(const char *path)
{
	return faults.under_len > 0 && strncmp(path, faults.under, faults.under_len) == 0 &&
	    (path[faults.under_len] == '/' || path[faults.under_len] == '\0');
}

/* Whether this call is one of those counted; path is for the log. */
static bool
is_counted(int dir, const char *name, char path[2 * PATH_MAX])
{
	int saved = errno;
	size_t n;

	if (!faults.ready)
		prepare();
	path[0] = '\0';
	if (name == NULL || name[0] != '/') {
		if (!path_of(dir, path)) {
			errno = saved;
			return false;
		}
	}
	n = strlen(path);
	if (name != NULL)
		snprintf(path + n, (size_t)(2 * PATH_MAX) - n, "%s%s", n > 0 ? "/" : "", name);
	errno = saved;
	return is_under(path);
}

static void
note(const char *line, int n)
{
	if (faults.log >= 0 && n > 0)
		syscall(SYS_write, faults.log, line, (size_t)n);
}

enum verdict { GO_ON, FAIL, GO_ON_AND_DIE, TEAR };

/* Counts the call and says what becomes of it.  FAIL: errno is set. */
static enum verdict
judge_any(const char *call, int dir, const char *name, bool needs_space)
{
	char path[2 * PATH_MAX], line[2 * PATH_MAX + 64];
	bool now, since;
	long number;

	if (!is_counted(dir, name, path))
		return GO_ON;
	number = atomic_fetch_add(&faults.count, 1) + 1;
	note(line, snprintf(line, sizeof line, "%ld %s %s\n", number, call, path));
	now = faults.at > 0 && number == faults.at;
	since = faults.at > 0 && number >= faults.at;
	switch (faults.act) {
	case ACT_EIO:
	case ACT_BROKEN:
		if (faults.act == ACT_EIO ? !now : !since)
			return GO_ON;
		errno = EIO;
		return FAIL;
	case ACT_ENOSPC:
	case ACT_FULL:
		if (faults.act == ACT_ENOSPC ? !now : !since || !needs_space)
			return GO_ON;
		errno = ENOSPC;
		return FAIL;
	case ACT_BEFORE:
		if (now)
			die();
		return GO_ON;
	case ACT_AFTER:
		return now ? GO_ON_AND_DIE : GO_ON;
	case ACT_TORN:
		return now ? TEAR : GO_ON;
	case ACT_UNREAD:
		if (!now)
			return GO_ON;
		errno = EIO;
		return FAIL;
	default:
		return GO_ON;
	}
}

static enum verdict
judge(const char *call, int dir, const char *name, bool needs_space)
{
	if (!faults.ready)
		prepare();
	return faults.act == ACT_UNREAD ? GO_ON : judge_any(call, dir, name, needs_space);
}

/* The same of one that reads. */
static enum verdict
judge_read(const char *call, int dir, const char *name)
{
	if (!faults.ready)
		prepare();
	return faults.act == ACT_UNREAD ? judge_any(call, dir, name, false) : GO_ON;
}

/* The call itself, between the judgement and what follows from it. */
#define DO(judgement, type, system_call)                                                           \
	do {                                                                                       \
		enum verdict verdict_ = (judgement);                                               \
		type result_;                                                                      \
		if (verdict_ == FAIL)                                                              \
			return -1;                                                                 \
		result_ = (type)(system_call);                                                     \
		if (verdict_ == GO_ON_AND_DIE || verdict_ == TEAR)                                 \
			die();                                                                     \
		return result_;                                                                    \
	} while (0)

/* ---- files --------------------------------------------------------------------------------------- */

/* The directory that this thread synced last. */
static _Thread_local int synced = -1;

/* Whether a directory is opened again as it has been synced, to see whether that is to be believed: fails with
 * the syncs, not with what reads. */
static bool
is_of_sync(int dir, const char *name)
{
	bool is = dir >= 0 && dir == synced && strcmp(name, ".") == 0;

	synced = -1;
	return is;
}

static int
open_at(int dir, const char *name, int flags, mode_t mode)
{
	if (is_of_sync(dir, name))
		DO(judge("reopen", dir, name, true), int,
		    syscall(SYS_openat, dir, name, flags, mode));
	if (!(flags & O_CREAT))
		DO(judge_read("open", dir, name), int, syscall(SYS_openat, dir, name, flags, mode));
	DO(judge("open", dir, name, true), int, syscall(SYS_openat, dir, name, flags, mode));
}

#define MODE_OF(flags, last, mode)                                                                 \
	mode_t mode = 0;                                                                           \
	if ((flags) & (O_CREAT | O_TMPFILE)) {                                                     \
		va_list ap;                                                                        \
		va_start(ap, last);                                                                \
		mode = va_arg(ap, mode_t);                                                         \
		va_end(ap);                                                                        \
	}

int
open(const char *name, int flags, ...)
{
	MODE_OF(flags, flags, mode)
	return open_at(AT_FDCWD, name, flags, mode);
}

int
open64(const char *name, int flags, ...)
{
	MODE_OF(flags, flags, mode)
	return open_at(AT_FDCWD, name, flags, mode);
}

int
openat(int dir, const char *name, int flags, ...)
{
	MODE_OF(flags, flags, mode)
	return open_at(dir, name, flags, mode);
}

int
openat64(int dir, const char *name, int flags, ...)
{
	MODE_OF(flags, flags, mode)
	return open_at(dir, name, flags, mode);
}

/* Regular files only: what goes to a socket or a pipe is no matter of the file system. */
static enum verdict
judge_write(const char *call, int fd)
{
	struct stat st;
	int saved = errno;
	bool regular = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);

	errno = saved;
	return regular ? judge(call, fd, NULL, true) : GO_ON;
}

ssize_t
write(int fd, const void *bytes, size_t n)
{
	enum verdict verdict = judge_write("write", fd);

	if (verdict == TEAR)
		n /= 2;
	DO(verdict, ssize_t, syscall(SYS_write, fd, bytes, n));
}

static ssize_t
pwrite_at(int fd, const void *bytes, size_t n, off_t offset)
{
	enum verdict verdict = judge_write("pwrite", fd);

	if (verdict == TEAR)
		n /= 2;
	DO(verdict, ssize_t, syscall(SYS_pwrite64, fd, bytes, n, offset));
}

ssize_t
pwrite(int fd, const void *bytes, size_t n, off_t offset)
{
	return pwrite_at(fd, bytes, n, offset);
}

ssize_t
pwrite64(int fd, const void *bytes, size_t n, off64_t offset)
{
	return pwrite_at(fd, bytes, n, offset);
}

ssize_t
writev(int fd, const struct iovec *parts, int count)
{
	DO(judge_write("writev", fd), ssize_t, syscall(SYS_writev, fd, parts, count));
}

ssize_t
copy_file_range(int in, off64_t *in_offset, int out, off64_t *out_offset, size_t n,
    unsigned int flags)
{
	DO(judge_write("copy_file_range", out), ssize_t,
	    syscall(SYS_copy_file_range, in, in_offset, out, out_offset, n, flags));
}

int
ftruncate(int fd, off_t length)
{
	DO(judge_write("ftruncate", fd), int, syscall(SYS_ftruncate, fd, length));
}

int
ftruncate64(int fd, off64_t length)
{
	DO(judge_write("ftruncate", fd), int, syscall(SYS_ftruncate, fd, length));
}

/* ---- reads --------------------------------------------------------------------------------------- */

static enum verdict
judge_reading(const char *call, int fd)
{
	struct stat st;
	int saved = errno;
	bool regular = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);

	errno = saved;
	return regular ? judge_read(call, fd, NULL) : GO_ON;
}

ssize_t
read(int fd, void *bytes, size_t n)
{
	DO(judge_reading("read", fd), ssize_t, syscall(SYS_read, fd, bytes, n));
}

ssize_t
pread(int fd, void *bytes, size_t n, off_t offset)
{
	DO(judge_reading("pread", fd), ssize_t, syscall(SYS_pread64, fd, bytes, n, offset));
}

ssize_t
pread64(int fd, void *bytes, size_t n, off64_t offset)
{
	DO(judge_reading("pread", fd), ssize_t, syscall(SYS_pread64, fd, bytes, n, offset));
}

int
faccessat(int dir, const char *name, int mode, int flags)
{
	DO(judge_read("faccessat", dir, name), int,
	    syscall(SYS_faccessat2, dir, name, mode, flags));
}

int
fstatat(int dir, const char *name, struct stat *st, int flags)
{
	DO(judge_read("fstatat", dir, name), int, syscall(SYS_newfstatat, dir, name, st, flags));
}

int
fstatat64(int dir, const char *name, struct stat64 *st, int flags)
{
	DO(judge_read("fstatat", dir, name), int, syscall(SYS_newfstatat, dir, name, st, flags));
}

ssize_t
readlinkat(int dir, const char *name, char *text, size_t n)
{
	DO(judge_read("readlinkat", dir, name), ssize_t,
	    syscall(SYS_readlinkat, dir, name, text, n));
}

ssize_t
getdents64(int fd, void *bytes, size_t n)
{
	DO(judge_read("getdents", fd, NULL), ssize_t, syscall(SYS_getdents64, fd, bytes, n));
}

/* ---- syncs --------------------------------------------------------------------------------------- */

static int
note_sync(int fd, int result)
{
	char path[2 * PATH_MAX], line[2 * PATH_MAX + 64];
	struct stat st;
	int saved = errno;

	if (result == 0 && is_counted(fd, NULL, path) && fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		note(line,
		    snprintf(line, sizeof line, "synced %lld %s\n", (long long)st.st_size, path));
	errno = saved;
	return result;
}

int
fsync(int fd)
{
	synced = fd;
	DO(judge("fsync", fd, NULL, true), int, note_sync(fd, (int)syscall(SYS_fsync, fd)));
}

int
fdatasync(int fd)
{
	DO(judge("fdatasync", fd, NULL, true), int, note_sync(fd, (int)syscall(SYS_fdatasync, fd)));
}

int
syncfs(int fd)
{
	synced = fd;
	DO(judge("syncfs", fd, NULL, true), int, syscall(SYS_syncfs, fd));
}

/* ---- names --------------------------------------------------------------------------------------- */

int
mkdir(const char *name, mode_t mode)
{
	DO(judge("mkdir", AT_FDCWD, name, true), int, syscall(SYS_mkdirat, AT_FDCWD, name, mode));
}

int
mkdirat(int dir, const char *name, mode_t mode)
{
	DO(judge("mkdir", dir, name, true), int, syscall(SYS_mkdirat, dir, name, mode));
}

int
linkat(int from_dir, const char *from, int to_dir, const char *to, int flags)
{
	DO(judge("link", to_dir, to, true), int,
	    syscall(SYS_linkat, from_dir, from, to_dir, to, flags));
}

int
link(const char *from, const char *to)
{
	return linkat(AT_FDCWD, from, AT_FDCWD, to, 0);
}

int
symlinkat(const char *text, int dir, const char *name)
{
	DO(judge("symlink", dir, name, true), int, syscall(SYS_symlinkat, text, dir, name));
}

int
symlink(const char *text, const char *name)
{
	return symlinkat(text, AT_FDCWD, name);
}

int
renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned int flags)
{
	DO(judge("rename", to_dir, to, false), int,
	    syscall(SYS_renameat2, from_dir, from, to_dir, to, flags));
}

int
renameat(int from_dir, const char *from, int to_dir, const char *to)
{
	return renameat2(from_dir, from, to_dir, to, 0);
}

int
rename(const char *from, const char *to)
{
	return renameat2(AT_FDCWD, from, AT_FDCWD, to, 0);
}

int
unlinkat(int dir, const char *name, int flags)
{
	DO(judge(flags & AT_REMOVEDIR ? "rmdir" : "unlink", dir, name, false), int,
	    syscall(SYS_unlinkat, dir, name, flags));
}

int
unlink(const char *name)
{
	return unlinkat(AT_FDCWD, name, 0);
}

int
rmdir(const char *name)
{
	return unlinkat(AT_FDCWD, name, AT_REMOVEDIR);
}
