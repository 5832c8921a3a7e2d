/* Whose a spool is: for spool.c alone. */
#ifndef SPOOL_STORE_OWNER_H
#define SPOOL_STORE_OWNER_H

#include <stdbool.h>

#include "spool/store/spool.h"

/*
 * Checks whether the spool (path, its open directory, and whether its marker is there) is ours to use, and
 * sets the umask that its mode asks for.  Root becomes the spool's owner, for good (base/ids.h); a directory of
 * root's that is no spool yet is given to options->owner before.  -1 with err: EX_IOERR, EX_TEMPFAIL
 * where a command that is named mends it, or as ids_become.
 */
int owner_check(int root, const char *path, const struct spool_options *options, bool marked,
    struct err *err);

/* The reason why the spool's directory cannot be opened, by errno; -1. */
int owner_explain_closed(const char *path, const struct spool_options *options, struct err *err);
/* The reason why a part of the spool (name) cannot be opened, by errno; -1. */
int owner_explain(int root, const char *path, const char *name, struct err *err);

#endif
