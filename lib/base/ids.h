/*
 * Whom a program acts for.  Root that works on another user's spool becomes that user, for good:
 * what the spool says (an account's password_command, for one) is then done with that user's power.
 * A change of the file system's user alone would not do, as a command that is started is root again.
 *
 *	read what root alone may read: the configuration; open what root alone may open: ports below 1024
 *	ids_become(owner, group, &err)
 *	start the first thread, run the first command
 */
#ifndef BASE_IDS_H
#define BASE_IDS_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"

/* The user who started the program.  Stays the same after ids_become. */
uid_t ids_caller(void);

/*
 * Becomes this user for good; the process must be root's, and have one thread.  The groups become those that
 * the user has in the system's list; the primary one is group if the user is a member of it, else the user's own.
 * A user who is not in the list gets group alone, or nogroup in place of root's.  HOME, USER, LOGNAME and
 * SHELL become the user's; of the other variables, only those stay that mailq or its libraries read.  A
 * terminal is no longer the controlling one, so that no command can type into it.
 * -1 with err (EX_OSERR): the process is to end.  EX_NOPERM: root has no right to do that here.
 */
int ids_become(uid_t uid, gid_t group, struct err *err);

/* True where root was left by ids_become. */
bool ids_became(void);

/* "mailq", or "user 1000" where the user has no name.  Returns ret. */
char *ids_name(uid_t uid, char *ret, size_t size);

#endif
