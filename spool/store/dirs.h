/* Lists of directories below a directory, for what looks at the spool as it is (walk.c, queue/count.c,
 * check/check.c, journal/history.c). */
#ifndef SPOOL_STORE_DIRS_H
#define SPOOL_STORE_DIRS_H

#include <stdbool.h>
#include <stddef.h>

struct dir_list {
	char **names;
	size_t count, room;
};

/* For qsort over char *: strcmp, and buckets by priority, then age (what is none comes last). */
int dirs_compare_text(const void *a, const void *b);
int dirs_compare_buckets(const void *a, const void *b);

/* Lists what may be directories below dir, sorted.  Release with dirs_release.  -1 with errno. */
int dirs_list(int dir, struct dir_list *ret, int (*compare)(const void *, const void *));
void dirs_release(struct dir_list *list);

/* Opens a directory below dir; -1 with errno, which is 0 where it is gone or is something else. */
int dirs_enter(int dir, const char *name);
/* Whether errno says that what was looked for is gone or is no directory. */
bool dirs_is_gone(void);

#endif
