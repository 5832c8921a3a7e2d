/* Lanes and buckets: opened, durably made, and what is moved into them. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "spool/store/spool.h"
#include "spool/store/twin.h"

/* A directory of more than this holds some thousand names, and is counted and sorted at a stroke;
 * the next message goes into another.  What a file system reports as a directory's size differs,
 * but grows with its entries on all that we know (ext4, xfs, btrfs, f2fs, tmpfs). */
#define BUCKET_FULL (256 * 1024)
#define BUCKET_PARTS 1000000u

/* Makes the directory hidden, durably, and gives it its name; also fine where somebody else was
 * faster with the name, or took the hidden one for a dead process's and removed it. */
static int
make_hidden(int parent, const char *name, const char *hidden)
{
	int saved;

	if (mkdirat(parent, hidden, 0770) < 0 && errno != EEXIST)
		return -1;
	/* Without an order of the file system, what is acknowledged later is synced with all of it. */
	if ((!fs_is_ordered(parent) || fs_sync_dir(parent) == 0) &&
	    renameat2(parent, hidden, parent, name, RENAME_NOREPLACE) == 0)
		return 0;
	saved = errno;
	unlinkat(parent, hidden, AT_REMOVEDIR);
	errno = saved;
	return saved == EEXIST || saved == ENOENT ? 0 : -1;
}

/* Opens or durably makes the directory name in parent; hidden is the name it is made under. */
static int
open_or_make(int parent, const char *name, const char *hidden)
{
	for (int attempt = 0; attempt < 100; attempt++) {
		int fd = fs_open_dir(parent, name);

		if (fd >= 0 || errno != ENOENT)
			return fd;
		if (make_hidden(parent, name, hidden) < 0)
			return -1;
	}
	errno = EBUSY;
	return -1;
}

int
spool_open_lane(const struct spool *spool, enum state state, const char *lane)
{
	int fd = fs_open_dir(spool->states[state], lane);
	char hidden[LANE_MAX + TOKEN_SIZE + 3], token[TOKEN_SIZE];

	if (fd >= 0 || errno != ENOENT)
		return fd;
	token_make(token);
	snprintf(hidden, sizeof hidden, ".%s~%s", lane, token);
	return open_or_make(spool->states[state], lane, hidden);
}

static void
part_name(struct bucket_name *bucket, const char *kind, unsigned int part, char ret[BUCKET_SIZE])
{
	snprintf(bucket->token, sizeof bucket->token, "%s", kind);
	if (part > 0)
		snprintf(bucket->token, sizeof bucket->token, "%s%u", kind, part);
	bucket_name_format(bucket, ret);
}

static bool
is_full(int lane, struct bucket_name *bucket, const char *kind, unsigned int part)
{
	char name[BUCKET_SIZE];
	struct stat st;

	part_name(bucket, kind, part, name);
	return fstatat(lane, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_size >= BUCKET_FULL;
}

/* A part that is not full, behind one that is: by doubling, then halving, so that the hundredth costs
 * little more than the second. */
static unsigned int
next_part(int lane, struct bucket_name *bucket, const char *kind, unsigned int full)
{
	unsigned int step = 1, room;

	while (step < BUCKET_PARTS && is_full(lane, bucket, kind, full + step)) {
		full += step;
		step *= 2;
	}
	room = full + step;
	while (room - full > 1) {
		unsigned int middle = full + (room - full) / 2;

		if (is_full(lane, bucket, kind, middle))
			full = middle;
		else
			room = middle;
	}
	return room;
}

int
spool_open_bucket(int lane, int priority, int64_t due, const char *kind)
{
	struct bucket_name bucket = { .priority = priority, .start = bucket_start(due) };
	struct bucket_name maker = { .priority = priority,
		.start = bucket.start,
		.unsettled = true };
	char name[BUCKET_SIZE], hidden[BUCKET_SIZE];
	struct stat st;

	for (unsigned int part = 0; part < BUCKET_PARTS;
	     part = next_part(lane, &bucket, kind, part)) {
		int fd;

		part_name(&bucket, kind, part, name);
		fd = fs_open_dir(lane, name);
		if (fd < 0 && errno == ENOENT) {
			token_make(maker.token);
			bucket_name_format(&maker, hidden);
			fd = open_or_make(lane, name, hidden);
		}
		if (fd < 0)
			return -1;
		if (fstat(fd, &st) == 0 && st.st_size < BUCKET_FULL)
			return fd;
		close(fd);
	}
	errno = ENOSPC;
	return -1;
}

const char *
spool_bucket_kind(enum state state, const struct message_name *name)
{
	return state == STATE_DEFERRED && name->attempts > 0 ? BUCKET_RETRY : BUCKET_PLAIN;
}

int
spool_move(const struct spool *spool, int from_dir, const char *from_name, enum state state,
    const char *lane, const struct message_name *name)
{
	return spool_move_kind(spool, from_dir, from_name, state, lane, name,
	    spool_bucket_kind(state, name));
}

int
spool_move_kind(const struct spool *spool, int from_dir, const char *from_name, enum state state,
    const char *lane, const struct message_name *name, const char *kind)
{
	char text[NAME_SIZE];

	message_name_format(name, text);
	for (int attempt = 0; attempt < 100; attempt++) {
		AUTO_FD int lane_fd = spool_open_lane(spool, state, lane);
		AUTO_FD int bucket = -1;

		if (lane_fd < 0)
			return -1;
		bucket = spool_open_bucket(lane_fd, name->priority, name->due, kind);
		if (bucket < 0) {
			if (errno == ENOENT)
				continue;
			return -1;
		}
		if (twin_rename(spool, from_dir, from_name, bucket, text) == 0)
			return 0;
		if (errno != ENOENT ||
		    faccessat(from_dir, from_name, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
			return -1;
		/* The bucket was removed in between: it was empty.  Make it again. */
	}
	errno = EBUSY;
	return -1;
}
