#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

#define READ_STEP ((size_t)65536)
#define LIST_BYTES ((size_t)32768)
#define LOCK_STEP_MAX (INT64_C(50) * 1000)
#define REPLACE_WAIT (10 * USEC)

int
fs_write(int fd, const void *bytes, size_t n)
{
	const char *p = bytes;

	while (n > 0) {
		ssize_t done = write(fd, p, n);

		if (done < 0) {
			if (errno == EINTR)
				continue;
			return -1;
		}
		p += done;
		n -= (size_t)done;
	}
	return 0;
}

int
fs_pwrite(int fd, const void *bytes, size_t n, off_t offset)
{
	const char *p = bytes;

	while (n > 0) {
		ssize_t done = pwrite(fd, p, n, offset);

		if (done < 0) {
			if (errno == EINTR)
				continue;
			return -1;
		}
		p += done;
		n -= (size_t)done;
		offset += done;
	}
	return 0;
}

int
fs_pread(int fd, void *bytes, size_t n, off_t offset)
{
	char *p = bytes;

	while (n > 0) {
		ssize_t done = pread(fd, p, n, offset);

		if (done < 0) {
			if (errno == EINTR)
				continue;
			return -1;
		}
		if (done == 0) {
			errno = ENODATA;
			return -1;
		}
		p += done;
		n -= (size_t)done;
		offset += done;
	}
	return 0;
}

/* How much to ask for next: what the file says is left and one byte to meet its end, or a step. */
static size_t
next_read(int fd, const struct buf *b)
{
	size_t want = READ_STEP;
	struct stat st;

	if (b->len == 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0)
		want = (size_t)st.st_size < SIZE_MAX ? (size_t)st.st_size + 1 : SIZE_MAX;
	if (want > b->max - b->len)
		want = b->max - b->len;
	return want;
}

int
fs_read_all(int fd, struct buf *b)
{
	for (;;) {
		size_t want = next_read(fd, b);
		char beyond;
		ssize_t got;

		if (want > 0 && buf_reserve(b, want) < 0)
			return -1;
		got = want > 0 ? read(fd, b->s + b->len, want) : read(fd, &beyond, 1);
		if (got < 0) {
			if (errno == EINTR)
				continue;
			return -1;
		}
		if (got == 0)
			return 0;
		if (want == 0) {
			errno = E2BIG;
			return -1;
		}
		b->len += (size_t)got;
		b->s[b->len] = '\0';
	}
}

int
fs_read_file(int dir, const char *name, struct buf *b)
{
	AUTO_FD int fd = fs_open(dir, name, O_RDONLY, 0);

	return fd < 0 ? -1 : fs_read_all(fd, b);
}

int
fs_open_dir(int dir, const char *name)
{
	return openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

int
fs_mkdir(int dir, const char *name, mode_t mode)
{
	struct stat st;

	if (mkdirat(dir, name, mode) == 0)
		return 0;
	if (errno != EEXIST)
		return -1;
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -1;
	if (!S_ISDIR(st.st_mode)) {
		errno = ENOTDIR;
		return -1;
	}
	return 0;
}

int
fs_mkdir_parents(const char *path, mode_t mode)
{
	AUTO_FREE char *copy = xstrdup(path);
	struct stat st;

	if (*path == '\0') {
		errno = ENOENT;
		return -1;
	}
	/* A link on the way is the administrator's and is followed, and so is the path itself. */
	for (char *p = copy + 1;; p++) {
		char end = *p;

		if (end != '/' && end != '\0')
			continue;
		*p = '\0';
		if (mkdir(copy, mode) < 0) {
			int saved = errno;

			if (stat(copy, &st) < 0 || !S_ISDIR(st.st_mode)) {
				errno = saved == EEXIST ? ENOTDIR : saved;
				return -1;
			}
		}
		if (end == '\0')
			return 0;
		*p = '/';
	}
}

/*
 * Opens and locks the temporary file of fs_replace_file.  Its name is fixed, so that the next
 * writer takes over what a dead one left; the lock keeps two writers apart, and the name is looked
 * at again under it, since the one before us may have renamed the file we waited for.
 */
static int
open_temporary(int dir, const char *name, mode_t mode)
{
	for (;;) {
		AUTO_FD int fd = fs_open(dir, name, O_WRONLY | O_CREAT, mode);
		struct stat mine, named;

		if (fd < 0 || fs_lock(fd, REPLACE_WAIT) < 0 || fstat(fd, &mine) < 0)
			return -1;
		if (fstatat(dir, name, &named, AT_SYMLINK_NOFOLLOW) < 0) {
			if (errno == ENOENT)
				continue;
			return -1;
		}
		if (mine.st_ino != named.st_ino || mine.st_dev != named.st_dev)
			continue;
		/* Another name for it would see its content replaced: not a file of ours. */
		if (mine.st_nlink != 1) {
			errno = EEXIST;
			return -1;
		}
		if (ftruncate(fd, 0) < 0) {
			int saved = errno;

			unlinkat(dir, name, 0);
			errno = saved;
			return -1;
		}
		return take_fd(&fd);
	}
}

static int
write_and_rename(int dir, int fd, const char *temporary, const char *name, struct view content)
{
	if (fs_write(fd, content.s, content.len) < 0 || fsync(fd) < 0 ||
	    renameat(dir, temporary, dir, name) < 0) {
		int saved = errno;

		unlinkat(dir, temporary, 0);
		errno = saved;
		return -1;
	}
	return fs_sync_dir(dir);
}

int
fs_replace_file(int dir, const char *name, const void *bytes, size_t n, mode_t mode)
{
	const char *slash = strrchr(name, '/');
	const char *base = slash != NULL ? slash + 1 : name;
	AUTO_FREE char *above = slash == NULL ?
	    xstrdup(".") :
	    xstrndup(name, slash > name ? (size_t)(slash - name) : 1);
	AUTO_FD int parent = fs_open_dir(dir, above);
	AUTO_FD int fd = -1;
	char temporary[NAME_MAX + 1];

	if (parent < 0)
		return -1;
	if ((size_t)snprintf(temporary, sizeof temporary, ".%s.tmp", base) >= sizeof temporary) {
		errno = ENAMETOOLONG;
		return -1;
	}
	fd = open_temporary(parent, temporary, mode);
	if (fd < 0)
		return -1;
	return write_and_rename(parent, fd, temporary, base, (struct view){ bytes, n });
}

int
fs_lock(int fd, int64_t wait_usec)
{
	int64_t until = wait_usec > 0 ? clock_monotonic() + wait_usec : 0;
	int64_t step = 200;

	for (;;) {
		if (flock(fd, LOCK_EX | LOCK_NB) == 0)
			return 0;
		if (errno == EINTR)
			continue;
		if (errno != EWOULDBLOCK)
			return -1;
		if (wait_usec <= 0 || clock_monotonic() + step > until) {
			errno = EWOULDBLOCK;
			return -1;
		}
		nanosleep(&(struct timespec){ .tv_nsec = step * 1000 }, NULL);
		step = step * 2 < LOCK_STEP_MAX ? step * 2 : LOCK_STEP_MAX;
	}
}

bool
fs_is_dots(const char *name)
{
	return name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0'));
}

/* Entries come straight from the kernel: nothing is allocated, whatever the directory's size. */
int
fs_each(int dir, int (*each)(const char *name, unsigned char d_type, void *arg), void *arg)
{
	_Alignas(struct dirent64) char block[LIST_BYTES];

	if (lseek(dir, 0, SEEK_SET) < 0)
		return -1;
	for (;;) {
		ssize_t got = getdents64(dir, block, sizeof block);

		/* One that was removed since it was opened holds nothing; the kernel says ENOENT. */
		if (got <= 0)
			return got < 0 && errno != ENOENT ? -1 : 0;
		for (ssize_t at = 0; at < got;) {
			const struct dirent64 *entry = (const void *)(block + at);
			int result;

			at += entry->d_reclen;
			if (fs_is_dots(entry->d_name))
				continue;
			result = each(entry->d_name, entry->d_type, arg);
			if (result != 0)
				return result;
		}
	}
}
