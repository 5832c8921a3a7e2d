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

/* Opens a directory below dir: O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC. */
int fs_open_dir(int dir, const char *name);
/* mkdir that is content where the directory is there already. */
int fs_mkdir(int dir, const char *name, mode_t mode);
/* Makes path and what it needs above it. */
int fs_mkdir_parents(const char *path, mode_t mode);
/* fsync of a directory given by name below dir. */
int fs_sync_dir(int dir, const char *name);

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
