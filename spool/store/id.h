/*
 * Known ids.  An entry in id/SHARD/ is a symbolic link whose text is the token of the draft that
 * took it (id_take in spool/draft/draft.h): made atomically with its content, needing no block on disk, and telling
 * a recovery whose it is.  Ids that mailq made up are not entered: they cannot be met twice.
 */
#ifndef SPOOL_STORE_ID_H
#define SPOOL_STORE_ID_H

#include "spool/store/spool.h"

/* Gives an id up where token took it.  -1 with errno where that cannot be told or done. */
int id_give_up(struct spool *spool, const char *id, const char *token);
/* Forgets an id, whoever took it. */
int id_forget(struct spool *spool, const char *id);
/* Whether it is known: 1 and the token under which it was taken; 0; -1 with errno. */
int id_lookup(struct spool *spool, const char *id, char token[TOKEN_SIZE]);

#endif
