/*
 * The spool's own files, and what may stand in their place: a FIFO, a socket, a device, a directory, a
 * link, or a file of somebody else.  Every file of the spool is opened by fs_open() (base/fs.h), which
 * refuses these; base/banned.h keeps the rest of spool/ and cmd/ from openat(2).  Files that the spool
 * can do without, as they are locks or can be made anew, are opened by the functions below: they move
 * what is in the way to corrupt/ and go on, so that it stops neither a submission nor a cycle.
 */
#ifndef SPOOL_STORE_OWN_H
#define SPOOL_STORE_OWN_H

#include <sys/stat.h>

#include "spool/store/spool.h"

/* dir is the descriptor of the directory; where is its name for people, as "limits", or "" for the
 * spool's root. */

/* As fs_open() with O_CREAT.  alone: the file is written in place, so that a second name for it (a hard
 * link) would change with it; then that is in the way, too.  -1 with errno. */
int own_open(const struct spool *spool, int dir, const char *where, const char *name, int flags,
    bool alone);

/* As fs_replace_file() with mode 0660. */
int own_replace(const struct spool *spool, int dir, const char *where, const char *name,
    const void *bytes, size_t n);

/* Moves what is in the way under this name to corrupt/, and warns of it.  0 also where by now nothing,
 * or a file, is there; -1 with errno. */
int own_clear(const struct spool *spool, int dir, const char *where, const char *name);

/* "is a FIFO", "belongs to user 7", ...; NULL where it is a file that may be there. */
const char *own_fault(int dir, const struct stat *st, char ret[64]);

/* Fills err, with EX_DATAERR, after fs_open() has refused the name: what is there, and what was expected.  -1. */
int own_refused(const struct spool *spool, int dir, const char *where, const char *name,
    struct err *err);

/* Renames whatever has the name in dir to corrupt/AS, or AS~1, AS~2... where that is taken; durably.  -1
 * with errno. */
int own_set_aside(const struct spool *spool, int dir, const char *name, const char *as);

#endif
