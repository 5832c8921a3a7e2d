/*
 * Accounts that were made by mailq-rules or the API: one file each, accounts/ID, 0600, in the syntax of
 * mailq.conf.  What is in the text is the business of policy/account_text.h.
 *
 * Such a file may name a command that is run, and a file that is read, by whoever runs mailq-run.  So
 * it counts only where it belongs to the spool's owner or root and nobody else may write it: in a
 * spool that a group shares, its members may use accounts, and not make them.
 */
#ifndef SPOOL_POLICY_ACCOUNTS_H
#define SPOOL_POLICY_ACCOUNTS_H

#include "base/buf.h"
#include "spool/store/spool.h"

#define ACCOUNT_FILE_MAX (256u * 1024)

/* Calls each(id, text, arg) for every file, in the order of their ids, until it returns non-zero, and
 * returns that; -1 with err.  One that cannot be read, or does not count, comes with text NULL (and the reason is
 * logged: as a warning, unless this user may not read it). */
int accounts_each(const struct spool *spool,
    int (*each)(const char *id, const char *text, void *arg), void *arg, struct err *err);
/* Calls each(id, arg) for every file, in no order, likewise, and opens none. */
int accounts_names(const struct spool *spool, int (*each)(const char *id, void *arg), void *arg,
    struct err *err);
/* 1 and its text; 0: there is none; -1 with err (EX_NOPERM, EX_DATAERR, EX_IOERR). */
int accounts_read(const struct spool *spool, const char *id, struct buf *ret, struct err *err);
/* Nobody but its owner may read its file (or there is none). */
bool accounts_is_private(const struct spool *spool, const char *id);
/* Writes durably, new or over the old; the caller holds spool_lock().  EX_NOPERM: this user may not. */
int
accounts_write(struct spool *spool, const char *id, const char *text, size_t len, struct err *err);
/* 1: removed; 0: there was none; -1 with err.  The caller holds spool_lock(). */
int accounts_remove(struct spool *spool, const char *id, struct err *err);
/* A number that differs once a file was made, changed or removed. */
uint64_t accounts_stamp(const struct spool *spool);
/* "PATH/accounts/ID", for messages; to be freed. */
char *accounts_path(const struct spool *spool, const char *id);

#endif
