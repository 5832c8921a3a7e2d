/* What recover.c and recover_lock.c share. */
#ifndef SPOOL_QUEUE_RECOVER_PRIVATE_H
#define SPOOL_QUEUE_RECOVER_PRIVATE_H

#include "spool/store/spool.h"

/*
 * The journal of a dead runner, locked: 1 and *ret; 0: it lives, or nothing is left of it; -1 with errno.
 *
 * A directory without a journal is just being made or just ending, when it is empty: then it is no
 * loss.  In one that is not, either the journal was made since we looked; or a power cut has undone
 * the last moves of a runner that had ended, and its journal is in log/, from where it comes back;
 * or the journal is lost: then its other name in reports/ may have it still, or an empty one holds the
 * lock, by which all that was claimed is uncertain.
 */
int recover_lock(struct spool *spool, int dir, const char *token, int *ret);

#endif
