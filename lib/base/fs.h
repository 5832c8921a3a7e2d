/*
 * Files.  Everything works on held directory descriptors with names relative to them; links are
 * never followed and descriptors never inherited.  Functions return 0 (or a descriptor), or -1
 * with errno.
 */
#ifndef BASE_FS_H
#define BASE_FS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "base/buf.h"

/* Writes all n bytes, through short writes and EINTR. */
int fs_write(int fd, const void *bytes, size_t n);
/* The same at an offset. */
int fs_pwrite(int fd, const void *bytes, size_t n, off_t offset);
/* Reads exactly n bytes at an offset; fewer in the file: -1 with errno = ENODATA, which no
 * fault of a disk gives. */
int fs_pread(int fd, void *bytes, size_t n, off_t offset);
/* Reads a whole file into b (whose max bounds it: E2BIG). */
int fs_read_all(int fd, struct buf *b);
/* Opens name below dir (AT_FDCWD allowed), a regular file, and reads it whole. */
int fs_read_file(int dir, const char *name, struct buf *b);

/*
 * Opens a regular file below dir.  flags and mode are those of open(2); O_NOFOLLOW, O_NONBLOCK and
 * O_CLOEXEC are added, so that neither a link nor a FIFO can lead astray or hold up.  -1 with errno:
 * FS_NOT_A_FILE for a FIFO, socket, device, directory or link; FS_NOT_OURS if the file belongs to
 * somebody who may not have put it there, as told by fs_is_ours().
 */
int fs_open(int dir, const char *name, int flags, mode_t mode);
#define FS_NOT_A_FILE EMEDIUMTYPE /* err.h has words for both */
#define FS_NOT_OURS EKEYREJECTED
/* True where errno is one of the two. */
bool fs_is_foreign(void);
/* True if a file in dir belongs to this user, root, or the owner of dir; or if dir is a group's. */
bool fs_is_ours(int dir, const struct stat *st);
/* Opens a new file for reading and writing that has no name, in dir. */
int fs_open_nameless(int dir, mode_t mode);

/* Opens a directory below dir: O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC. */
int fs_open_dir(int dir, const char *name);
/* mkdir that is content where the directory is there already. */
int fs_mkdir(int dir, const char *name, mode_t mode);
/* Makes path and what it needs above it. */
int fs_mkdir_parents(const char *path, mode_t mode);
/*
 * Syncing.  A result of 0 may be acknowledged.  fsync(2) of a directory alone may not: after XFS has
 * shut down, it succeeds for entries that were dropped.  To open a file or directory does not: so a
 * directory is opened again when it has been synced, which costs a microsecond.
 */
int fs_sync_file(int fd);
/* fsync of a directory; by name below dir; and of all of its file system. */
int fs_sync_dir(int dir);
int fs_sync_dir_at(int dir, const char *name);
int fs_sync_all(int dir);
/*
 * True if whatever was done on the file system before is durable with any fsync, in the order in which
 * it was done (a journal for all).  False for one that logs each inode by itself (btrfs), or that is
 * not known: then only fs_sync_all() keeps an order.
 */
bool fs_is_ordered(int fd);

/*
 * Replaces a small file in one durable step: writes name's new content under a temporary name
 * beside it, fsyncs, renames over name, fsyncs the directory.  Readers see the old or the new.
 */
int fs_replace_file(int dir, const char *name, const void *bytes, size_t n, mode_t mode);

/* Takes an exclusive flock; wait_usec 0 means do not wait.  -1 with errno = EWOULDBLOCK when it is
 * held by another.  The lock is gone with the last descriptor of this open file. */
int fs_lock(int fd, int64_t wait_usec);

/* True for "." and "..". */
bool fs_is_dots(const char *name);

/* Calls each(name, d_type, arg) for every entry but the dots, in no order, until it returns
 * non-zero, and returns that; -1 with errno where the directory cannot be read.  dir is a
 * descriptor to list; its offset is used, so one listing at a time per open descriptor. */
int fs_each(int dir, int (*each)(const char *name, unsigned char d_type, void *arg), void *arg);

#endif
