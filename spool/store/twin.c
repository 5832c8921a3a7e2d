#include "spool/store/twin.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/log.h"
#include "spool/store/dirs.h"
#include "spool/store/own.h"

static bool
is_same_file(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_dev == b->st_dev;
}

struct settling {
	const struct spool *spool;
	const char *lane, *text;
	struct stat kept;
	bool settle;
	bool found; /* kept is set */
	int count;  /* of the others */
	struct err *err;
};

static int
fail(const struct settling *s, enum state state, const char *bucket)
{
	return err_io(s->err, "spool %s: %s/%s/%s/%s, of which there are two, cannot be set aside",
	    s->spool->path, state_text(state), s->lane, bucket, s->text);
}

/* What stands in this bucket under the name: kept if it is the first. */
static int
look_into(struct settling *s, enum state state, int lane, const char *bucket)
{
	AUTO_FD int dir = dirs_enter(lane, bucket);
	struct stat st;
	bool same;

	if (dir < 0)
		return errno == 0 ? 0 : fail(s, state, bucket);
	if (fstatat(dir, s->text, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : fail(s, state, bucket);
	if (!s->found) {
		s->found = true;
		s->kept = st;
		return 0;
	}
	s->count++;
	if (!s->settle)
		return 0;
	same = is_same_file(&s->kept, &st);
	if ((same ? unlinkat(dir, s->text, 0) : own_set_aside(s->spool, dir, s->text, s->text)) < 0)
		return errno == ENOENT ? 0 : fail(s, state, bucket);
	/* Before the other can be sent: else a power cut brings this one back. */
	if (same && (spool_sync_dir(s->spool, dir) < 0 || spool_sync_end(s->spool) < 0))
		return fail(s, state, bucket);
	log_warning("%s stood in two buckets of its lane: that in %s/%s/%s %s", s->text,
	    state_text(state), s->lane, bucket,
	    same ? "was the same file and is gone" : "is a file of its own, moved to corrupt/");
	return 0;
}

static int
look_into_lane(struct settling *s, enum state state)
{
	AUTO_FD int lane = fs_open_dir(s->spool->states[state], s->lane);
	struct dir_list buckets;
	struct bucket_name bucket;
	int result = 0;

	if (lane < 0 && errno == ENOENT)
		return 0;
	if (lane < 0 || dirs_list(lane, &buckets, dirs_compare_buckets) < 0)
		return fail(s, state, "");
	for (size_t i = 0; i < buckets.count && result == 0; i++)
		if (bucket_name_parse(buckets.names[i], &bucket) == 0)
			result = look_into(s, state, lane, buckets.names[i]);
	dirs_release(&buckets);
	return result;
}

int
twin_find(const struct spool *spool, const char *lane, const char *text, enum state last,
    bool settle, struct err *err)
{
	struct settling s = { .spool = spool,
		.lane = lane,
		.text = text,
		.settle = settle,
		.err = err };

	for (int state = 0; state <= (int)last; state++)
		if (look_into_lane(&s, (enum state)state) < 0)
			return -1;
	return s.count;
}

int
twin_rename(const struct spool *spool, int from_dir, const char *from_name, int to_dir,
    const char *to_name)
{
	struct stat from, to;

	for (int attempt = 0; attempt < 100; attempt++) {
		if (renameat2(from_dir, from_name, to_dir, to_name, RENAME_NOREPLACE) == 0)
			return 0;
		/* A file system that cannot say so: as it was before there was this. */
		if (errno == EINVAL)
			return renameat(from_dir, from_name, to_dir, to_name);
		if (errno != EEXIST)
			return -1;
		if (fstatat(from_dir, from_name, &from, AT_SYMLINK_NOFOLLOW) < 0)
			return -1;
		if (fstatat(to_dir, to_name, &to, AT_SYMLINK_NOFOLLOW) < 0) {
			if (errno != ENOENT)
				return -1;
			continue;
		}
		if (is_same_file(&from, &to))
			return unlinkat(from_dir, from_name, 0);
		if (own_set_aside(spool, to_dir, to_name, to_name) < 0 && errno != ENOENT)
			return -1;
		log_warning("%s was there already, and is another file: it is moved to corrupt/",
		    to_name);
	}
	errno = EEXIST;
	return -1;
}
