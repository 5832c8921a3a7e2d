#include "spool/queue/awaited.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "spool/part/message.h"
#include "spool/queue/partial.h"
#include "spool/store/dirs.h"
#include "spool/store/walk.h"

#define LIST_BYTES (64u * 1024)
#define FIRST_READ 4096 /* bytes that hold most records */
/* Time stamps of files go in steps; a change within the same step as the one before does not show. */
#define SETTLED (2 * USEC)

/* A bucket, as it was when it was counted. */
struct known {
	char *path; /* STATE/LANE/BUCKET */
	ino_t inode;
	struct timespec changed;
	uint64_t recipients;
};

struct known_list {
	struct known *v;
	size_t n, room;
};

struct awaited {
	struct known_list known; /* sorted by path */
};

struct counting {
	struct spool *spool;
	const struct known_list *before;
	struct known_list now;
	struct timespec settled; /* what changed before this may be kept */
	uint64_t total;
	/* The file that was open last: those of a batch are one file of many names. */
	int fd;
	uint64_t inode;
};

/* ---- what is known ------------------------------------------------------------------------------- */

static void
release_list(struct known_list *list)
{
	for (size_t i = 0; i < list->n; i++)
		free(list->v[i].path);
	free(list->v);
	*list = (struct known_list){ 0 };
}

struct awaited *
awaited_new(void)
{
	return xcalloc(1, sizeof(struct awaited));
}

void
awaited_free(struct awaited *a)
{
	if (a == NULL)
		return;
	release_list(&a->known);
	free(a);
}

static int
compare_known(const void *a, const void *b)
{
	return strcmp(((const struct known *)a)->path, ((const struct known *)b)->path);
}

static bool
is_earlier(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec != b->tv_sec ? a->tv_sec < b->tv_sec : a->tv_nsec < b->tv_nsec;
}

/* The bucket as it was before, where it has not changed since. */
static const struct known *
find_known(const struct counting *c, const char *path, const struct stat *st)
{
	struct known key = { .path = (char *)(uintptr_t)path };
	const struct known *found = NULL;

	if (c->before->n > 0)
		found = bsearch(&key, c->before->v, c->before->n, sizeof key, compare_known);
	if (found == NULL || found->inode != st->st_ino ||
	    found->changed.tv_sec != st->st_mtim.tv_sec ||
	    found->changed.tv_nsec != st->st_mtim.tv_nsec)
		return NULL;
	return found;
}

static void
remember(struct counting *c, const char *path, const struct stat *st, uint64_t recipients)
{
	struct known_list *list = &c->now;

	if (!is_earlier(&st->st_mtim, &c->settled))
		return;
	if (list->n == list->room) {
		list->room = list->room > 0 ? 2 * list->room : 64;
		list->v = xreallocarray(list->v, list->room, sizeof *list->v);
	}
	list->v[list->n++] = (struct known){ xstrdup(path), st->st_ino, st->st_mtim, recipients };
}

/* ---- one message --------------------------------------------------------------------------------- */

/* The lines of recipients in a record, which is whole. */
static uint64_t
count_lines(const char *record, size_t n)
{
	static const char key[] = "\nrecipient: ";
	const char *at = record + RECORD_FIRST_LINE - 1, *end = record + n;
	uint64_t count = 0;

	while ((at = memmem(at, (size_t)(end - at), key, sizeof key - 1)) != NULL) {
		count++;
		at++;
	}
	return count;
}

static uint64_t
count_record(int fd, uint64_t offset)
{
	char first[FIRST_READ];
	AUTO_FREE char *whole = NULL;
	struct text_facts facts;
	ssize_t got = pread(fd, first, sizeof first, (off_t)offset);
	size_t size;

	if (got < RECORD_FIRST_LINE || (size = record_size(first, &facts)) == 0)
		return 0;
	if (size <= (size_t)got)
		return count_lines(first, size);
	whole = xmalloc(size);
	return fs_pread(fd, whole, size, (off_t)offset) == 0 ? count_lines(whole, size) : 0;
}

/* One that was tried: without those recipients that are settled. */
static uint64_t
count_tried(struct counting *c, int dir, const char *text, const struct message_name *name)
{
	struct partial partial = { 0 };
	struct record record = { 0 };
	struct err err = ERR_INIT;
	uint64_t count = 0;

	if (partial_read(c->spool, name->id, &partial, &err) < 0)
		partial = (struct partial){ 0 };
	if (message_open(dir, text, name, NULL, &record, &err) == 0)
		for (size_t i = 0; i < record.recipient_count; i++)
			count += partial_find(&partial, record.recipients[i]) == NULL;
	record_release(&record);
	partial_release(&partial);
	return count;
}

static uint64_t
count_message(struct counting *c, int dir, const char *text, uint64_t inode)
{
	struct message_name name;

	if (message_name_parse(text, &name) < 0)
		return 0;
	if (name.attempts > 0)
		return count_tried(c, dir, text, &name);
	if (c->fd < 0 || c->inode != inode) {
		auto_close_fd(&c->fd);
		c->fd = fs_open(dir, text, O_RDONLY, 0);
		c->inode = inode;
	}
	return c->fd >= 0 ? count_record(c->fd, name.offset) : 0;
}

/* ---- the tree ------------------------------------------------------------------------------------ */

/* What is in a directory of messages: as fs_each(), but with the files' numbers. */
static int
count_names(struct counting *c, int dir, uint64_t *ret)
{
	_Alignas(struct dirent64) char block[LIST_BYTES];

	*ret = 0;
	/* By its number a file is known within one directory, and while nothing is made anew. */
	auto_close_fd(&c->fd);
	c->fd = -1;
	for (;;) {
		ssize_t got = getdents64(dir, block, sizeof block);

		if (got <= 0)
			return got < 0 && errno != ENOENT ? -1 : 0;
		for (ssize_t at = 0; at < got;) {
			const struct dirent64 *entry = (const void *)(block + at);

			at += entry->d_reclen;
			if (entry->d_type == DT_REG || entry->d_type == DT_UNKNOWN)
				*ret += count_message(c, dir, entry->d_name, entry->d_ino);
		}
	}
}

static int
count_bucket(struct counting *c, int lane_dir, const char *state, const char *lane,
    const char *bucket)
{
	AUTO_FD int dir = dirs_enter(lane_dir, bucket);
	char path[2 * NAME_SIZE + 32];
	const struct known *known;
	uint64_t recipients;
	struct stat st;

	if (dir < 0)
		return errno == 0 ? 0 : -1;
	snprintf(path, sizeof path, "%s/%s/%s", state, lane, bucket);
	if (fstat(dir, &st) < 0)
		return -1;
	known = find_known(c, path, &st);
	if (known != NULL)
		recipients = known->recipients;
	else if (count_names(c, dir, &recipients) < 0)
		return -1;
	remember(c, path, &st, recipients);
	c->total += recipients;
	return 0;
}

static int
count_lane(struct counting *c, int parent, const char *state, const char *lane)
{
	AUTO_FD int dir = dirs_enter(parent, lane);
	struct dir_list buckets;
	uint64_t recipients = 0;
	int result = 0;

	if (dir < 0)
		return errno == 0 ? 0 : -1;
	/* A runner's has no buckets. */
	if (state == NULL) {
		result = count_names(c, dir, &recipients);
		c->total += recipients;
		return result;
	}
	if (dirs_list(dir, &buckets, dirs_compare_text) < 0)
		return dirs_is_gone() ? 0 : -1;
	for (size_t i = 0; i < buckets.count && result == 0; i++)
		result = count_bucket(c, dir, state, lane, buckets.names[i]);
	dirs_release(&buckets);
	return result;
}

/* state: NULL for a runner's directory. */
static int
count_lanes(struct counting *c, int dir, const char *state)
{
	struct dir_list lanes;
	int result = 0;

	if (dirs_list(dir, &lanes, dirs_compare_text) < 0)
		return dirs_is_gone() ? 0 : -1;
	for (size_t i = 0; i < lanes.count && result == 0; i++)
		result = count_lane(c, dir, state, lanes.names[i]);
	dirs_release(&lanes);
	return result;
}

static int
count_claimed(struct counting *c)
{
	AUTO_FD int cur = fs_open_dir(c->spool->root, "cur");
	struct dir_list runners;
	int result = 0;

	if (cur < 0 || dirs_list(cur, &runners, dirs_compare_text) < 0)
		return -1;
	for (size_t i = 0; i < runners.count && result == 0; i++) {
		AUTO_FD int dir = dirs_enter(cur, runners.names[i]);

		if (dir >= 0)
			result = count_lanes(c, dir, NULL);
		else if (errno != 0)
			result = -1;
	}
	dirs_release(&runners);
	return result;
}

static int
count_all(struct counting *c)
{
	static const enum state states[] = { STATE_WAITING, STATE_DEFERRED, STATE_HELD,
		STATE_UNCERTAIN };

	for (size_t i = 0; i < sizeof states / sizeof states[0]; i++) {
		AUTO_FD int dir = fs_open_dir(c->spool->root, state_text(states[i]));

		if (dir < 0 || count_lanes(c, dir, state_text(states[i])) < 0)
			return -1;
	}
	return count_claimed(c);
}

int
awaited_count(struct awaited *a, struct spool *spool, uint64_t *ret, struct err *err)
{
	int64_t settled = clock_now() - SETTLED;
	struct counting c = { .spool = spool,
		.before = &a->known,
		.settled = { settled / USEC, settled % USEC * 1000 },
		.fd = -1 };
	int result = count_all(&c), saved = errno;

	auto_close_fd(&c.fd);
	if (result < 0) {
		release_list(&c.now);
		errno = saved;
		return err_io(err, "spool %s: cannot count what waits", spool->path);
	}
	if (c.now.n > 1)
		qsort(c.now.v, c.now.n, sizeof *c.now.v, compare_known);
	release_list(&a->known);
	a->known = c.now;
	*ret = c.total;
	return 0;
}
