/* Opening files of which others may have changed the kind, and syncing. */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/fs.h"

#define BCACHEFS_MAGIC 0xca451a4eu
#define ZFS_MAGIC 0x2fc12fc1u

/* ---- opening ----------------------------------------------------------------------------- */

bool
fs_is_foreign(void)
{
	return errno == FS_NOT_A_FILE || errno == FS_NOT_OURS;
}

bool
fs_is_ours(int dir, const struct stat *st)
{
	struct stat above;

	/* Mostly the answer is here, and costs no call. */
	if (st->st_uid == geteuid() || st->st_uid == 0)
		return true;
	if (dir == AT_FDCWD || fstat(dir, &above) < 0)
		return true;
	return st->st_uid == above.st_uid || (above.st_mode & S_IWGRP) != 0;
}

/* What open(2) says of names that are no files, under one number. */
static int
refuse(void)
{
	if (errno == ELOOP || errno == EISDIR || errno == ENXIO || errno == ENODEV)
		errno = FS_NOT_A_FILE;
	return -1;
}

int
fs_open(int dir, const char *name, int flags, mode_t mode)
{
	AUTO_FD int fd =
	    openat(dir, name, (flags & ~O_TRUNC) | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, mode);
	struct stat st;

	if (fd < 0)
		return refuse();
	if (fstat(fd, &st) < 0)
		return -1;
	if (!S_ISREG(st.st_mode)) {
		errno = FS_NOT_A_FILE;
		return -1;
	}
	if (!fs_is_ours(dir, &st)) {
		errno = FS_NOT_OURS;
		return -1;
	}
	/* Not before it is known what it is. */
	if ((flags & O_TRUNC) && ftruncate(fd, 0) < 0)
		return -1;
	return take_fd(&fd);
}

int
fs_open_nameless(int dir, mode_t mode)
{
	return openat(dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, mode);
}

/* ---- syncing ----------------------------------------------------------------------------- */

int
fs_sync_file(int fd)
{
	return fsync(fd);
}

/* Fails where the file system has shut down since the directory was opened. */
static int
is_alive(int dir)
{
	AUTO_FD int again = fs_open_dir(dir, ".");

	return again < 0 ? -1 : 0;
}

int
fs_sync_dir(int dir)
{
	return fsync(dir) < 0 ? -1 : is_alive(dir);
}

int
fs_sync_dir_at(int dir, const char *name)
{
	AUTO_FD int fd = fs_open_dir(dir, name);

	return fd < 0 ? -1 : fs_sync_dir(fd);
}

int
fs_sync_all(int dir)
{
	return syncfs(dir) < 0 ? -1 : is_alive(dir);
}

bool
fs_is_ordered(int fd)
{
	struct statfs fs;

	if (fstatfs(fd, &fs) < 0)
		return false;
	switch ((unsigned int)fs.f_type) {
	case EXT4_SUPER_MAGIC:
	case XFS_SUPER_MAGIC:
	case F2FS_SUPER_MAGIC:
	case TMPFS_MAGIC:
	case BCACHEFS_MAGIC:
	case ZFS_MAGIC:
		return true;
	default:
		return false;
	}
}
