/*
 * Looking at the messages of a Maildir (maildir(5)), the newest first.  A message is known by its unique
 * name, which it keeps when a mail reader moves it from new/ to cur/.
 */
#ifndef CAPTURE_BROWSE_H
#define CAPTURE_BROWSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

#define MAILDIR_NAME_SIZE 256

struct maildir_entry {
	char name[MAILDIR_NAME_SIZE]; /* the unique name */
	size_t maildir;		      /* the caller's number for where it is */
};

/* The newest of all that were listed, at most as many as it was made for. */
struct maildir_list {
	struct maildir_entry *v;
	size_t n, limit;
	uint64_t total; /* that there are, of any age */
	bool more;	/* older ones than those in v */
};

void maildir_list_init(struct maildir_list *list, size_t limit);
void maildir_list_release(struct maildir_list *list);

/* Adds the messages of the Maildir at path, of those older than before (a name; NULL: all).  A Maildir
 * that is not there is an empty one.  -1 with err. */
int maildir_list_add(struct maildir_list *list, const char *path, size_t maildir,
    const char *before, struct err *err);

/* True for what may be a unique name: printable ASCII but for "/" and ":", no dot first. */
bool maildir_name_ok(const char *name);
/* Opens a message.  -1 with errno: ENOENT where it is not there. */
int maildir_open_message(const char *path, const char *name, uint64_t *ret_size);
/* When it came, by its name, microseconds; 0: the name does not say. */
int64_t maildir_name_time(const char *name);

#endif
