#include "spool/policy/accounts.h"

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

#define DIRECTORY "accounts"

/* The name of the account's file. */
static int
encode(const char *id, char name[LANE_PART_MAX + 1], struct err *err)
{
	if (name_encode(id, LANE_PART_MAX, name) < 0)
		return err_sys(err, EX_DATAERR, "account \"%s\"", id);
	return 0;
}

char *
accounts_path(const struct spool *spool, const char *id)
{
	char name[LANE_PART_MAX + 1] = "";
	char *path;

	encode(id, name, NULL);
	if (asprintf(&path, "%s/" DIRECTORY "/%s", spool->path, name) < 0)
		abort();
	return path;
}

/* The descriptor; -1 with errno = ENOENT where there are no accounts yet, else with err. */
static int
open_directory(const struct spool *spool, struct err *err)
{
	int fd = fs_open_dir(spool->root, DIRECTORY);

	if (fd < 0 && errno != ENOENT)
		err_io(err, "spool %s: " DIRECTORY, spool->path);
	return fd;
}

/* ---- reading ----------------------------------------------------------------------------------- */

/* Whether the file is one that a stranger cannot have put there. */
static int
check_trust(const struct spool *spool, int fd, const char *name, struct err *err)
{
	struct stat root, st;

	if (fstat(spool->root, &root) < 0 || fstat(fd, &st) < 0)
		return err_io(err, "spool %s: " DIRECTORY "/%s", spool->path, name);
	if (st.st_uid != root.st_uid && st.st_uid != 0)
		return err_set(err, EX_DATAERR,
		    "spool %s: " DIRECTORY
		    "/%s: belongs to user %u; expected %u, the spool's owner",
		    spool->path, name, (unsigned int)st.st_uid, (unsigned int)root.st_uid);
	if (st.st_mode & (S_IWGRP | S_IWOTH))
		return err_set(err, EX_DATAERR,
		    "spool %s: " DIRECTORY
		    "/%s: its mode is %04o; expected 0600, because other users may write it",
		    spool->path, name, (unsigned int)st.st_mode & 07777);
	return 0;
}

/* As accounts_read, by the encoded name. */
static int
read_entry(const struct spool *spool, int dir, const char *name, struct buf *ret, struct err *err)
{
	AUTO_FD int fd = fs_open(dir, name, O_RDONLY, 0);

	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0 && fs_is_foreign())
		return own_refused(spool, dir, DIRECTORY, name, err);
	if (fd < 0 && errno == EACCES)
		return err_sys(err, EX_NOPERM, "spool %s: " DIRECTORY "/%s", spool->path, name);
	if (fd < 0)
		return err_io(err, "spool %s: " DIRECTORY "/%s", spool->path, name);
	if (check_trust(spool, fd, name, err) < 0)
		return -1;
	if (fs_read_all(fd, ret) < 0)
		return err_io(err, "spool %s: " DIRECTORY "/%s", spool->path, name);
	if (memchr(ret->s, '\0', ret->len) != NULL)
		return err_set(err, EX_DATAERR, "spool %s: " DIRECTORY "/%s: a NUL byte in it",
		    spool->path, name);
	return 1;
}

static void
wipe(struct buf *text)
{
	if (text->cap > 0)
		explicit_bzero(text->s, text->cap);
	buf_release(text);
}

struct listing {
	struct dir_list list;
	size_t room;
};

static int
collect(const char *name, unsigned char type, void *arg)
{
	struct listing *listing = arg;
	struct dir_list *list = &listing->list;

	(void)type;
	if (name[0] == '.')
		return 0;
	if (list->count == listing->room) {
		listing->room = listing->room > 0 ? 2 * listing->room : 16;
		list->names = xreallocarray(list->names, listing->room, sizeof *list->names);
	}
	list->names[list->count++] = xstrdup(name);
	return 0;
}

/* 0, or what each returned. */
static int
show(const struct spool *spool, int dir, const char *name,
    int (*each)(const char *id, const char *text, void *arg), void *arg)
{
	AUTO_BUF struct buf text = BUF_INIT(ACCOUNT_FILE_MAX);
	char id[LANE_PART_MAX + 1];
	struct err err = ERR_INIT;
	int result;

	if (strlen(name) > LANE_PART_MAX || name_decode(name, id) < 0)
		return 0;
	result = read_entry(spool, dir, name, &text, &err);
	if (result == 0) /* removed since it was listed */
		return 0;
	if (result < 0 && err.code == EX_NOPERM)
		log_info("%s", err.msg);
	else if (result < 0)
		log_warning("%s", err.msg);
	result = each(id, result < 0 ? NULL : text.s, arg);
	wipe(&text);
	return result;
}

int
accounts_each(const struct spool *spool, int (*each)(const char *id, const char *text, void *arg),
    void *arg, struct err *err)
{
	AUTO_FD int dir = open_directory(spool, err);
	struct listing listing = { 0 };
	int result = 0;

	if (dir < 0)
		return errno == ENOENT ? 0 : -1;
	if (fs_each(dir, collect, &listing) < 0)
		result = err_io(err, "spool %s: cannot list " DIRECTORY, spool->path);
	if (listing.list.count > 1)
		qsort(listing.list.names, listing.list.count, sizeof *listing.list.names,
		    dirs_compare_text);
	for (size_t i = 0; i < listing.list.count && result == 0; i++)
		result = show(spool, dir, listing.list.names[i], each, arg);
	dirs_release(&listing.list);
	return result;
}

struct stamping {
	int dir;
	uint64_t stamp;
};

static int
add_stamp(const char *name, unsigned char type, void *arg)
{
	struct stamping *stamping = arg;
	struct stat st;

	(void)type;
	if (name[0] == '.' || fstatat(stamping->dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	/* A sum, as they come in no order. */
	stamping->stamp += ((uint64_t)st.st_ino * 31 + (uint64_t)st.st_size) * 1000003 +
	    (uint64_t)st.st_ctim.tv_sec * 1000000007 + (uint64_t)st.st_ctim.tv_nsec;
	return 0;
}

uint64_t
accounts_stamp(const struct spool *spool)
{
	AUTO_FD int dir = open_directory(spool, NULL);
	struct stamping stamping = { dir, 1 };

	if (dir < 0 || fs_each(dir, add_stamp, &stamping) < 0)
		return 0;
	return stamping.stamp;
}

struct names {
	int (*each)(const char *id, void *arg);
	void *arg;
};

static int
show_name(const char *name, unsigned char type, void *arg)
{
	const struct names *names = arg;
	char id[LANE_PART_MAX + 1];

	(void)type;
	if (name[0] == '.' || strlen(name) > LANE_PART_MAX || name_decode(name, id) < 0)
		return 0;
	return names->each(id, names->arg);
}

int
accounts_names(const struct spool *spool, int (*each)(const char *id, void *arg), void *arg,
    struct err *err)
{
	AUTO_FD int dir = open_directory(spool, err);
	struct names names = { each, arg };
	int result;

	if (dir < 0)
		return errno == ENOENT ? 0 : -1;
	errno = 0;
	result = fs_each(dir, show_name, &names);
	if (result < 0 && errno != 0)
		return err_io(err, "spool %s: cannot list " DIRECTORY, spool->path);
	return result;
}

int
accounts_read(const struct spool *spool, const char *id, struct buf *ret, struct err *err)
{
	char name[LANE_PART_MAX + 1];
	AUTO_FD int dir = -1;

	if (encode(id, name, err) < 0)
		return -1;
	dir = open_directory(spool, err);
	if (dir < 0)
		return errno == ENOENT ? 0 : -1;
	return read_entry(spool, dir, name, ret, err);
}

bool
accounts_is_private(const struct spool *spool, const char *id)
{
	char name[LANE_PART_MAX + 1];
	AUTO_FD int dir = open_directory(spool, NULL);
	struct stat st;

	return dir < 0 || encode(id, name, NULL) < 0 ||
	    fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || (st.st_mode & 077) == 0;
}

/* ---- writing ----------------------------------------------------------------------------------- */

/* As this process makes files: root has become the spool's owner (see spool_open). */
static int
check_right(const struct spool *spool, struct err *err)
{
	struct stat root;

	if (fstat(spool->root, &root) < 0)
		return err_io(err, "spool %s", spool->path);
	if (root.st_uid != geteuid() && geteuid() != 0)
		return err_set(err, EX_NOPERM,
		    "spool %s: accounts are made and changed by its owner, user %u, or by root",
		    spool->path, (unsigned int)root.st_uid);
	return 0;
}

static int
make_directory(const struct spool *spool, struct err *err)
{
	int fd = fs_open_dir(spool->root, DIRECTORY);

	if (fd >= 0 || errno != ENOENT)
		return fd < 0 ? err_io(err, "spool %s: " DIRECTORY, spool->path) : fd;
	if (spool_make_dir(spool, DIRECTORY, 0750) < 0)
		return err_io(err, "spool %s: cannot make " DIRECTORY, spool->path);
	fd = fs_open_dir(spool->root, DIRECTORY);
	return fd < 0 ? err_io(err, "spool %s: " DIRECTORY, spool->path) : fd;
}

/* fs_replace_file's temporary file, of one that was killed: whoever holds the lock knows it for that.
 * It may hold a password. */
static int
remove_leftover(const char *name, unsigned char type, void *arg)
{
	const int *dir = arg;
	size_t n = strlen(name);

	(void)type;
	if (name[0] == '.' && n > 4 && strcmp(name + n - 4, ".tmp") == 0)
		unlinkat(*dir, name, 0);
	return 0;
}

static void
tidy(int dir)
{
	AUTO_FD int listed = fs_open_dir(dir, ".");

	if (listed >= 0)
		fs_each(listed, remove_leftover, &dir);
}

int
accounts_write(struct spool *spool, const char *id, const char *text, size_t len, struct err *err)
{
	char name[LANE_PART_MAX + 1];
	AUTO_FD int dir = -1;

	if (encode(id, name, err) < 0 || check_right(spool, err) < 0 ||
	    (dir = make_directory(spool, err)) < 0)
		return -1;
	if (len > ACCOUNT_FILE_MAX)
		return err_set(err, EX_DATAERR, "account %s: longer than %u KiB", id,
		    ACCOUNT_FILE_MAX / 1024);
	if (fs_replace_file(dir, name, text, len, 0600) < 0)
		return err_io(err, "spool %s: cannot write " DIRECTORY "/%s", spool->path, name);
	tidy(dir);
	return 0;
}

int
accounts_remove(struct spool *spool, const char *id, struct err *err)
{
	char name[LANE_PART_MAX + 1];
	AUTO_FD int dir = -1;

	if (encode(id, name, err) < 0 || check_right(spool, err) < 0)
		return -1;
	dir = open_directory(spool, err);
	if (dir < 0)
		return errno == ENOENT ? 0 : -1;
	if (unlinkat(dir, name, 0) < 0) {
		if (errno == ENOENT)
			return 0;
		return err_io(err, "spool %s: cannot remove " DIRECTORY "/%s", spool->path, name);
	}
	if (fs_sync_dir(dir) < 0)
		return err_io(err, "spool %s: cannot remove " DIRECTORY "/%s", spool->path, name);
	tidy(dir);
	return 1;
}
