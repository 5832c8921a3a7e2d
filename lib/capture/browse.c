#include "capture/browse.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/num.h"

static const char *const places[] = { "new", "cur" };

void
maildir_list_init(struct maildir_list *list, size_t limit)
{
	*list = (struct maildir_list){ .limit = limit };
	list->v = xcalloc(limit, sizeof *list->v);
}

void
maildir_list_release(struct maildir_list *list)
{
	free(list->v);
	list->v = NULL;
	list->n = 0;
}

bool
maildir_name_ok(const char *name)
{
	size_t n = strlen(name);

	if (n == 0 || n >= MAILDIR_NAME_SIZE || name[0] == '.')
		return false;
	for (size_t i = 0; i < n; i++)
		if (name[i] <= ' ' || name[i] > '~' || name[i] == '/' || name[i] == ':')
			return false;
	return true;
}

int64_t
maildir_name_time(const char *name)
{
	uint64_t seconds, usec = 0;
	size_t n = strspn(name, "0123456789");
	const char *rest = name + n;

	if (num_u64_view(name, n, INT64_MAX / USEC - 1, &seconds) < 0 || rest[0] != '.')
		return 0;
	if (rest[1] == 'M')
		num_u64_view(rest + 2, strspn(rest + 2, "0123456789"), USEC - 1, &usec);
	return (int64_t)seconds * USEC + (int64_t)usec;
}

/* Newest first; those of one instant in an order of their own. */
static int
compare(const char *a, const char *b)
{
	int64_t at = maildir_name_time(a), bt = maildir_name_time(b);

	if (at != bt)
		return at > bt ? -1 : 1;
	return strcmp(b, a);
}

/* ---- listing ----------------------------------------------------------------------------------- */

struct listing {
	struct maildir_list *list;
	size_t maildir;
	const char *before;
};

static int
take(const char *entry, unsigned char type, void *arg)
{
	struct listing *l = arg;
	struct maildir_list *list = l->list;
	char name[MAILDIR_NAME_SIZE];
	size_t n = strcspn(entry, ":"), low = 0, high = list->n;

	(void)type;
	if (n >= sizeof name)
		return 0;
	memcpy(name, entry, n);
	name[n] = '\0';
	if (!maildir_name_ok(name))
		return 0;
	list->total++;
	if (l->before != NULL && compare(name, l->before) <= 0)
		return 0;
	while (low < high) {
		size_t middle = (low + high) / 2;

		if (compare(list->v[middle].name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (list->n == list->limit) {
		list->more = true;
		if (low == list->n)
			return 0;
		list->n--;
	}
	memmove(list->v + low + 1, list->v + low, (list->n - low) * sizeof *list->v);
	list->n++;
	memcpy(list->v[low].name, name, n + 1);
	list->v[low].maildir = l->maildir;
	return 0;
}

static int
open_place(const char *path, const char *place)
{
	AUTO_BUF struct buf full = BUF_INIT(8192);

	if (buf_addf(&full, "%s/%s", path, place) < 0) {
		errno = ENAMETOOLONG;
		return -1;
	}
	return open(full.s, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

int
maildir_list_add(struct maildir_list *list, const char *path, size_t maildir, const char *before,
    struct err *err)
{
	struct listing l = { list, maildir, before };

	for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
		AUTO_FD int dir = open_place(path, places[i]);

		if (dir < 0 && errno == ENOENT)
			continue;
		if (dir < 0 || fs_each(dir, take, &l) < 0)
			return err_io(err, "Maildir %s/%s", path, places[i]);
	}
	return 0;
}

/* ---- one message ------------------------------------------------------------------------------- */

struct search {
	const char *name;
	char found[MAILDIR_NAME_SIZE];
};

/* "NAME" or "NAME:2,FLAGS". */
static int
match(const char *entry, unsigned char type, void *arg)
{
	struct search *s = arg;
	size_t n = strlen(s->name);

	(void)type;
	if (strncmp(entry, s->name, n) != 0 || (entry[n] != '\0' && entry[n] != ':'))
		return 0;
	snprintf(s->found, sizeof s->found, "%s", entry);
	return 1;
}

/* A link is no message, nor is anything else but a file: ENOENT. */
static int
open_in(int dir, const char *name, uint64_t *ret_size)
{
	struct stat st;
	AUTO_FD int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

	if (fd < 0 && errno == ELOOP)
		errno = ENOENT;
	if (fd < 0 || fstat(fd, &st) < 0)
		return -1;
	if (!S_ISREG(st.st_mode)) {
		errno = ENOENT;
		return -1;
	}
	*ret_size = (uint64_t)st.st_size;
	return take_fd(&fd);
}

int
maildir_open_message(const char *path, const char *name, uint64_t *ret_size)
{
	for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
		AUTO_FD int dir = open_place(path, places[i]);
		struct search s = { name, "" };
		int fd = dir < 0 ? -1 : open_in(dir, name, ret_size);

		/* Most are found at once; with flags, by looking for them. */
		if (fd < 0 && dir >= 0 && errno == ENOENT && fs_each(dir, match, &s) > 0)
			fd = open_in(dir, s.found, ret_size);
		if (fd >= 0 || errno != ENOENT)
			return fd;
	}
	errno = ENOENT;
	return -1;
}
