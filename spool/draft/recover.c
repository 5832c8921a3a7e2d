/* Rolling back what an adder left in tmp/: after a crash, or when its commit failed. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "spool/draft/private.h"

void
draft_private_name(const char *token, char ret[PRIVATE_SIZE])
{
	snprintf(ret, PRIVATE_SIZE, "%.*s" PRIVATE_SUFFIX, TOKEN_SIZE - 1, token);
}

/*
 * Gives up the ids of the names that still stand in a private group, and removes these.  A message of which we
 * know that it was published keeps its id: the name here is one that a power cut has brought back.  -1 where
 * some could not be: the next recovery tries again.
 */
static int
roll_back_group(struct spool *spool, int private, const char *group, const char *token,
    const struct draft_ids *ids)
{
	AUTO_FD int fd = fs_open_dir(private, group);
	AUTO_DIR DIR *dir = NULL;
	struct dirent *item;
	int listing, result = 0;

	if (fd < 0 || (listing = dup(fd)) < 0)
		return -1;
	dir = fdopendir(listing);
	while (dir != NULL && (item = readdir(dir)) != NULL) {
		struct message_name name;

		if (fs_is_dots(item->d_name))
			continue;
		if (message_name_parse(item->d_name, &name) == 0 &&
		    !draft_ids_published(ids, name.id) && id_give_up(spool, name.id, token) < 0)
			result = -1;
		else if (unlinkat(fd, item->d_name, 0) < 0)
			result = -1;
	}
	return result;
}

static int
roll_back_private(struct spool *spool, int private, const char *token, const struct draft_ids *ids)
{
	AUTO_DIR DIR *dir = NULL;
	struct dirent *item;
	int listing = dup(private), result = 0;

	if (listing < 0)
		return -1;
	dir = fdopendir(listing);
	if (dir == NULL)
		close(listing);
	while (dir != NULL && (item = readdir(dir)) != NULL)
		if (!fs_is_dots(item->d_name) &&
		    roll_back_group(spool, private, item->d_name, token, ids) < 0)
			result = -1;
	return dir == NULL ? -1 : result;
}

static int
remove_group(const char *name, unsigned char type, void *arg)
{
	(void)type;
	unlinkat(*(int *)arg, name, AT_REMOVEDIR);
	return 0;
}

static void
remove_private(struct spool *spool, int private, const char *name)
{
	fs_each(private, remove_group, &private);
	unlinkat(spool->tmp, name, AT_REMOVEDIR);
}

/*
 * The private directory outlives the file: a file without it is that of a draft of one message, whose
 * id is given up.  And the file outlives the ids: one whose draft is gone counts as committed.
 *
 * That holds where the file system keeps an order.  Where it does not, or a power cut has shown so (a file with
 * many messages, or with other names, and no directory), nothing is believed but the draft's own records: an
 * id is given up unless its message is in the queue, or in a journal since.
 */
int
draft_roll_back(struct spool *spool, const char *token, int fd)
{
	AUTO(draft_ids_release) struct draft_ids ids = { 0 };
	char name[PRIVATE_SIZE];
	AUTO_FD int private = -1;
	bool one;
	int result = -1;

	draft_private_name(token, name);
	private = fs_open_dir(spool->tmp, name);
	one = private < 0;
	if (one && errno != ENOENT)
		return -1;
	if ((one || !spool->ordered) && draft_ids_read(&ids, fd) < 0)
		return -1;
	if ((!spool->ordered || (one && draft_ids_are_many(&ids, fd))) &&
	    draft_ids_look(&ids, spool, token) < 0)
		return -1;
	result = one ? 0 : roll_back_private(spool, private, token, &ids);
	if (result == 0 && one)
		result = draft_ids_give_up(&ids, spool, token);
	if (result == 0 && unlinkat(spool->tmp, token, 0) < 0 && errno != ENOENT)
		result = -1;
	if (result == 0)
		part_take_back(spool, token, fd);
	if (result == 0 && private >= 0)
		remove_private(spool, private, name);
	return result;
}

int
draft_recover_one(struct spool *spool, const char *token, int64_t wait_usec)
{
	AUTO_FD int fd = -1;
	struct stat held, named;

	/* The text of an entry in id/ that is no token is of no draft. */
	if (strchr(token, '/') != NULL)
		return 0;
	fd = fs_open(spool->tmp, token, O_RDONLY, 0);
	if (fd < 0)
		return errno == ENOENT ? 0 : -1;
	if (fs_lock(fd, wait_usec) < 0)
		return -1;
	if (fstat(fd, &held) < 0)
		return -1;
	if (fstatat(spool->tmp, token, &named, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -1;
	if (held.st_ino != named.st_ino)
		return 0;
	return draft_roll_back(spool, token, fd) < 0 ? -1 : 1;
}

int
draft_recover(struct spool *spool)
{
	AUTO_FD int fd = fs_open_dir(spool->root, "tmp");
	AUTO_DIR DIR *dir = NULL;
	struct dirent *item;
	int count = 0;

	if (fd < 0)
		return -1;
	dir = fdopendir(fd);
	if (dir == NULL)
		return -1;
	take_fd(&fd);
	while ((item = readdir(dir)) != NULL) {
		size_t n = strlen(item->d_name), s = strlen(PRIVATE_SUFFIX);
		char token[PRIVATE_SIZE];

		if (fs_is_dots(item->d_name) || n >= sizeof token)
			continue;
		memcpy(token, item->d_name, n + 1);
		if (n > s && strcmp(token + n - s, PRIVATE_SUFFIX) == 0) {
			/* Without its file, a private directory is empty: its draft is published. */
			AUTO_FD int private = fs_open_dir(spool->tmp, token);

			token[n - s] = '\0';
			if (private >= 0 &&
			    faccessat(spool->tmp, token, F_OK, AT_SYMLINK_NOFOLLOW) < 0 &&
			    errno == ENOENT)
				remove_private(spool, private, item->d_name);
			continue;
		}
		if (draft_recover_one(spool, token, 0) > 0)
			count++;
	}
	return count;
}
