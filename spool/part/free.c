/* Freeing what nobody needs any more. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/num.h"
#include "spool/part/message.h"
#include "spool/part/private.h"
#include "spool/store/own.h"

#define SWEEP_MAX 512 /* entries that a sweep looks at */

/* ---- blobs ----------------------------------------------------------------------------------- */

static bool
is_last_link(int dir, const char *name)
{
	struct stat st;

	return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
	    st.st_nlink == 1;
}

int
part_free_blob(int blobs, int lock, const char *hash)
{
	int freed = 0;

	if (!is_last_link(blobs, hash) || part_lock_out(lock, hash) < 0)
		return 0;
	/* Whoever pins from here on waits; whoever did before may have linked it meanwhile. */
	if (is_last_link(blobs, hash) && unlinkat(blobs, hash, 0) == 0)
		freed = 1;
	part_unlock(lock, hash);
	return freed;
}

/* ---- drafts ---------------------------------------------------------------------------------- */

/* What is needed to free; opened once for many. */
struct freeing {
	struct spool *spool;
	int parts, blobs, lock;
	int count;
};

static int
freeing_open(struct freeing *f, struct spool *spool)
{
	*f = (struct freeing){ .spool = spool, .blobs = -1, .lock = -1 };
	f->parts = fs_open_dir(spool->root, PART_PARTS);
	if (f->parts >= 0)
		f->blobs = fs_open_dir(spool->root, PART_BLOBS);
	if (f->blobs >= 0)
		f->lock = own_open(spool, spool->root, "", PART_PINS, O_RDWR, true);
	return f->lock < 0 ? -1 : 0;
}

static void
freeing_close(struct freeing *f)
{
	auto_close_fd(&f->parts);
	auto_close_fd(&f->blobs);
	auto_close_fd(&f->lock);
}

struct emptying {
	struct freeing *f;
	int dir;
	bool failed;
};

bool
part_is_file_name(const char *name)
{
	return strncmp(name, PART_FILE, strlen(PART_FILE)) == 0;
}

static int
remove_kept(const char *name, unsigned char type, void *arg)
{
	struct emptying *e = arg;

	(void)type;
	/* The link to the draft's file goes last: while it is there, a sweep finds the rest. */
	if (part_is_file_name(name))
		return 0;
	if (unlinkat(e->dir, name, 0) < 0 && errno != ENOENT)
		e->failed = true;
	else if (part_is_hash(name))
		part_free_blob(e->f->blobs, e->f->lock, name);
	return 0;
}

static int
remove_file(const char *name, unsigned char type, void *arg)
{
	struct emptying *e = arg;

	(void)type;
	if (part_is_file_name(name) && unlinkat(e->dir, name, 0) < 0 && errno != ENOENT)
		e->failed = true;
	return 0;
}

/* One listing for what to remove; a directory that changes under it may need another. */
static bool
empty(struct freeing *f, const char *token,
    int (*remove)(const char *name, unsigned char type, void *arg))
{
	AUTO_FD int dir = fs_open_dir(f->parts, token);
	struct emptying e = { f, dir, false };

	return dir >= 0 && fs_each(dir, remove, &e) == 0 && !e.failed;
}

/* Removes parts/TOKEN.  Two at once do no harm. */
static void
free_token(struct freeing *f, const char *token)
{
	for (int attempt = 0; attempt < 3; attempt++) {
		if (!empty(f, token, remove_kept) || !empty(f, token, remove_file))
			return;
		if (unlinkat(f->parts, token, AT_REMOVEDIR) == 0) {
			f->count++;
			return;
		}
	}
}

struct looking {
	uint64_t inode; /* that the name says; 0: no such file */
	char name[NAME_SIZE];
};

static int
look_for_file(const char *name, unsigned char type, void *arg)
{
	struct looking *looking = arg;

	(void)type;
	if (!part_is_file_name(name) ||
	    num_u64(name + strlen(PART_FILE), 1, INT64_MAX, &looking->inode) < 0)
		return 0;
	snprintf(looking->name, sizeof looking->name, "%s", name);
	return 1;
}

/*
 * Whether the last message of a draft is gone: of its file only the link in parts/TOKEN is left.  The
 * inode in that link's name says that it is the one that was made: in a spool that was copied, the links of
 * a file may have become files of their own, and nothing follows from their numbers then.  With
 * fd, the file of a message that was just unlinked, the two are compared instead.
 */
static bool
is_left_alone(int parts, const char *token, const struct stat *file)
{
	AUTO_FD int dir = fs_open_dir(parts, token);
	struct looking looking = { 0 };
	struct stat st;

	if (dir < 0 || fs_each(dir, look_for_file, &looking) != 1 ||
	    fstatat(dir, looking.name, &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_nlink != 1)
		return false;
	return file != NULL ? st.st_ino == file->st_ino : st.st_ino == looking.inode;
}

static void
release(struct spool *spool, const char *token, const struct stat *file)
{
	struct freeing f;

	if (part_is_token(token) && freeing_open(&f, spool) == 0) {
		if (file->st_nlink == 0 || is_left_alone(f.parts, token, file))
			free_token(&f, token);
		freeing_close(&f);
	}
}

void
part_release(struct spool *spool, const char *token, int fd)
{
	struct stat st;
	int saved = errno;

	/* None at all: the spool is a copy, in which the others have files of their own. */
	if (token[0] != '\0' && fd >= 0 && fstat(fd, &st) == 0 && st.st_nlink == 1)
		release(spool, token, &st);
	errno = saved;
}

void
part_take_back(struct spool *spool, const char *token, int fd)
{
	struct stat st;
	int saved = errno;

	/* None at all: the commit ended before it had linked the file. */
	if (fstat(fd, &st) == 0 && st.st_nlink <= 1)
		release(spool, token, &st);
	errno = saved;
}

/* ---- messages that are not open -------------------------------------------------------------- */

struct part_use {
	char token[TOKEN_SIZE];
	int fd;
};

static int
stop_at_first(const char *name, unsigned char type, void *arg)
{
	(void)name;
	(void)type;
	(void)arg;
	return 1;
}

bool
part_any(const struct spool *spool)
{
	AUTO_FD int parts = fs_open_dir(spool->root, PART_PARTS);

	return parts >= 0 && fs_each(parts, stop_at_first, NULL) == 1;
}

struct part_use *
part_look(struct spool *spool, int dir, const char *text)
{
	AUTO_FD int fd = -1;
	struct message_name name;
	struct record record = { 0 };
	struct part_use *use = NULL;

	(void)spool;
	if (message_name_parse(text, &name) < 0 ||
	    message_open(dir, text, &name, &fd, &record, NULL) < 0)
		return NULL;
	if (record.token[0] != '\0') {
		use = xcalloc(1, sizeof *use);
		memcpy(use->token, record.token, sizeof use->token);
		use->fd = take_fd(&fd);
	}
	record_release(&record);
	return use;
}

void
part_keep(struct part_use **use)
{
	int saved = errno;

	if (*use == NULL)
		return;
	auto_close_fd(&(*use)->fd);
	free(*use);
	*use = NULL;
	errno = saved;
}

void
part_forget(struct spool *spool, struct part_use **use)
{
	if (*use == NULL)
		return;
	part_release(spool, (*use)->token, (*use)->fd);
	part_keep(use);
}

/* ---- sweeping -------------------------------------------------------------------------------- */

enum { SWEEP_PARTS, SWEEP_BLOBS, SWEEP_STAGES };

/* Where a sweep goes on: which directory, and the place in it as readdir(3) knows it.  A file system on
 * which that says nothing later makes it begin anywhere, which is as good. */
struct sweep_place {
	int stage;
	int64_t at;
};

static void
read_place(int lock, struct sweep_place *ret)
{
	char text[32] = "";
	uint64_t at;
	ssize_t n = pread(lock, text, sizeof text - 1, 0);

	*ret = (struct sweep_place){ SWEEP_PARTS, 0 };
	if (n < 3 || text[1] != ' ' || text[n - 1] != '\n' || text[0] < '0' ||
	    text[0] >= '0' + SWEEP_STAGES)
		return;
	text[n - 1] = '\0';
	if (num_u64(text + 2, 0, INT64_MAX, &at) == 0)
		*ret = (struct sweep_place){ text[0] - '0', (int64_t)at };
}

/* Not synced, and torn at the worst: then the next sweep begins anew. */
static void
write_place(int lock, const struct sweep_place *place)
{
	char text[32];
	int n = snprintf(text, sizeof text, "%d %" PRId64 "\n", place->stage, place->at);

	if (ftruncate(lock, 0) == 0)
		(void)!pwrite(lock, text, (size_t)n, 0);
}

/* A draft in tmp/ is being made, or rolled back by whoever recovers it. */
static bool
is_in_tmp(const struct spool *spool, const char *token)
{
	return faccessat(spool->tmp, token, F_OK, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT;
}

bool
part_is_left(const struct spool *spool, const char *token)
{
	AUTO_FD int parts = -1;

	if (!part_is_token(token) || is_in_tmp(spool, token))
		return false;
	parts = fs_open_dir(spool->root, PART_PARTS);
	return parts >= 0 && is_left_alone(parts, token, NULL);
}

static void
sweep_token(struct freeing *f, const char *token)
{
	if (!part_is_token(token) || is_in_tmp(f->spool, token))
		return;
	if (is_left_alone(f->parts, token, NULL))
		free_token(f, token);
	else if (unlinkat(f->parts, token, AT_REMOVEDIR) == 0) /* empty: somebody was killed here */
		f->count++;
}

/* One directory from a place in it on; *left entries at the most.  Returns true at its end. */
static bool
sweep_directory(struct freeing *f, struct sweep_place *place, size_t *left)
{
	const char *path = place->stage == SWEEP_PARTS ? PART_PARTS : PART_BLOBS;
	AUTO_FD int fd = fs_open_dir(f->spool->root, path);
	AUTO_DIR DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *item;

	if (dir == NULL)
		return true;
	take_fd(&fd);
	if (place->at > 0)
		seekdir(dir, (long)place->at);
	while (*left > 0 && (item = readdir(dir)) != NULL) {
		(*left)--;
		if (place->stage == SWEEP_PARTS)
			sweep_token(f, item->d_name);
		else if (part_is_hash(item->d_name))
			f->count += part_free_blob(f->blobs, f->lock, item->d_name);
	}
	place->at = *left > 0 ? 0 : telldir(dir);
	return *left > 0;
}

int
part_sweep(struct spool *spool)
{
	struct freeing f;
	struct sweep_place place, before;
	size_t left = SWEEP_MAX;

	if (freeing_open(&f, spool) < 0) {
		int saved = errno;

		freeing_close(&f);
		errno = saved;
		return saved == ENOENT ? 0 : -1;
	}
	read_place(f.lock, &place);
	before = place;
	/* On to the other, and round again to where it began at the most. */
	for (int i = 0; i <= SWEEP_STAGES && sweep_directory(&f, &place, &left); i++) {
		place.stage = (place.stage + 1) % SWEEP_STAGES;
		if (place.stage == SWEEP_PARTS && before.stage == SWEEP_PARTS && before.at == 0)
			break;
	}
	if (place.stage != before.stage || place.at != before.at)
		write_place(f.lock, &place);
	freeing_close(&f);
	return f.count;
}

int
part_sweep_all(struct spool *spool)
{
	struct freeing f;
	struct sweep_place place = { 0 };

	if (freeing_open(&f, spool) < 0) {
		int saved = errno;

		freeing_close(&f);
		errno = saved;
		return saved == ENOENT ? 0 : -1;
	}
	for (; place.stage < SWEEP_STAGES; place.stage++) {
		size_t left = SIZE_MAX;

		place.at = 0;
		sweep_directory(&f, &place, &left);
	}
	freeing_close(&f);
	return f.count;
}
