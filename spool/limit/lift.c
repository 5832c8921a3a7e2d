/* Limits that no longer hold: what leaves without them is in no file of theirs. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "spool/limit/private.h"

struct lifting {
	struct spool *spool;
	bool (*is_lifted)(const char *account, const char *domain, void *arg);
	void *arg;
	struct err *err;
};

/* The lock is held, and the file is sound.  That it knows nothing is on disk before it goes: should a
 * power cut bring it back, it still says so. */
static int
lift(struct limit_file *file)
{
	struct limit_page *page = &file->page;

	if (page->since != LIMIT_LIFTED) {
		page->since = LIMIT_LIFTED;
		if (limit_page_write(file) < 0 || fdatasync(file->fd) < 0)
			return -1;
	}
	/* Who still has slots goes on with this very file, and makes it anew. */
	for (int i = 0; i < LIMIT_HOLDERS; i++)
		if (page->held[i] > 0 || limit_file_lives(file, i))
			return 0;
	return unlinkat(file->dir, file->name, 0) < 0 && errno != ENOENT ? -1 : 0;
}

/* For fs_each: one that cannot be lifted keeps none of the others. */
static int
look_at_file(const char *name, unsigned char type, void *arg)
{
	struct lifting *lifting = arg;
	struct spool *spool = lifting->spool;
	AUTO(limit_file_close) struct limit_file file = { .spool = spool, .dir = -1, .fd = -1 };
	char account[LIMIT_NAME_SIZE], domain[LIMIT_NAME_SIZE];
	struct err err = ERR_INIT;
	bool of_domain;
	int result;

	(void)type;
	if (!limit_name_is_valid(name))
		return 0;
	limit_name_split(name, account, domain, &of_domain);
	if (!lifting->is_lifted(account, of_domain ? domain : NULL, lifting->arg))
		return 0;
	snprintf(file.name, sizeof file.name, "%s", name);
	if (limit_file_open_to_lift(&file, &err) < 0) {
		if (err.code != EX_NOINPUT)
			*lifting->err = err;
		return 0;
	}
	result = limit_file_lock(&file, false);
	/* One that is damaged, or was never finished, is made anew in any case. */
	if (result > 0)
		result = limit_page_read(&file);
	if (result > 0)
		result = lift(&file);
	if (result < 0 && errno != EBADMSG)
		err_io(lifting->err, "spool %s: cannot lift " LIMIT_DIRECTORY "/%s", spool->path,
		    name);
	return 0;
}

int
limit_lift(struct spool *spool,
    bool (*is_lifted)(const char *account, const char *domain, void *arg), void *arg,
    struct err *err)
{
	struct err fault = ERR_INIT;
	struct lifting lifting = { spool, is_lifted, arg, &fault };
	AUTO_FD int dir = fs_open_dir(spool->root, LIMIT_DIRECTORY);

	if (dir < 0 && errno == ENOENT)
		return 0;
	if (dir < 0 || fs_each(dir, look_at_file, &lifting) < 0)
		return err_io(err, "spool %s: %s", spool->path, LIMIT_DIRECTORY);
	return fault.code == 0 ? 0 : err_set(err, fault.code, "%s", fault.msg);
}
