/*
 * The capture transport: messages go into a Maildir (maildir(5)) that any mail reader opens.
 *
 *	maildir_open(&m, path, &err);
 *	for each message: maildir_add(m, &message, &err);	written to tmp/, not yet seen
 *	maildir_commit(m, &err);				synced, then in new/, then synced
 *	maildir_free(m);					what was not committed is removed
 */
#ifndef CAPTURE_MAILDIR_H
#define CAPTURE_MAILDIR_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

struct maildir;

struct maildir_message {
	const char *sender; /* "" is the null reverse-path */
	const char *const *recipients;
	size_t n_recipients;
	int fd; /* the content: CRLF or LF lines */
	off_t offset;
	uint64_t length;
	/* Where it comes from elsewhere: gives exactly n bytes of it, at an offset, and 0; or -1 with errno.
	 * NULL: from fd. */
	int (*read)(void *content, uint64_t at, void *bytes, size_t n);
	void *content;
};

/* Makes path with cur, new and tmp (0700) where they are missing. */
int maildir_open(struct maildir **ret_maildir, const char *path, struct err *err);

/*
 * Writes a message to tmp/, with "Return-Path:" and one "Delivered-To:" a recipient at its top and
 * LF line ends.  The message is not seen by readers, nor safe, before maildir_commit().  -1 with
 * err: this one is not there, the others of the group are as they were.
 */
int maildir_add(struct maildir *m, const struct maildir_message *message, struct err *err);

/* How many messages were added since the last commit. */
size_t maildir_pending(const struct maildir *m);

/*
 * Makes all that was added durable and visible: one sync of the files, renames into new/, one sync
 * of new/.  -1 with err: none is to be taken as delivered (some may be visible already); all are
 * dropped from the group, and those still in tmp/ are removed.
 */
int maildir_commit(struct maildir *m, struct err *err);

void maildir_free(struct maildir *m);

#endif
