#include "spool/store/dirs.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "spool/store/name.h"

static int
collect(const char *name, unsigned char type, void *arg)
{
	struct dir_list *list = arg;

	if (type != DT_DIR && type != DT_UNKNOWN)
		return 0;
	if (list->count == list->room) {
		list->room = list->room > 0 ? 2 * list->room : 16;
		list->names = xreallocarray(list->names, list->room, sizeof *list->names);
	}
	list->names[list->count++] = xstrdup(name);
	return 0;
}

int
dirs_compare_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int
dirs_compare_buckets(const void *a, const void *b)
{
	const char *text_a = *(char *const *)a, *text_b = *(char *const *)b;
	struct bucket_name x, y;
	bool no_x = bucket_name_parse(text_a, &x) < 0, no_y = bucket_name_parse(text_b, &y) < 0;

	if (no_x != no_y)
		return no_x - no_y;
	if (!no_x && x.priority != y.priority)
		return x.priority - y.priority;
	if (!no_x && x.start != y.start)
		return x.start < y.start ? -1 : 1;
	return strcmp(text_a, text_b);
}

int
dirs_list(int dir, struct dir_list *ret, int (*compare)(const void *, const void *))
{
	*ret = (struct dir_list){ 0 };
	if (fs_each(dir, collect, ret) < 0) {
		dirs_release(ret);
		return -1;
	}
	if (ret->count > 1)
		qsort(ret->names, ret->count, sizeof *ret->names, compare);
	return 0;
}

void
dirs_release(struct dir_list *list)
{
	int saved = errno;

	for (size_t i = 0; i < list->count; i++)
		free(list->names[i]);
	free(list->names);
	*list = (struct dir_list){ 0 };
	errno = saved;
}

bool
dirs_is_gone(void)
{
	return errno == ENOENT || errno == ENOTDIR || errno == ELOOP;
}

int
dirs_enter(int dir, const char *name)
{
	int fd = fs_open_dir(dir, name);

	if (fd < 0 && dirs_is_gone())
		errno = 0;
	return fd;
}
