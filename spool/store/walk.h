/*
 * Looking at messages.  Nothing here changes anything; it works on a read-only mount.  A message
 * that moves while we look may be seen twice or not at all, like a file under readdir(3).
 */
#ifndef SPOOL_STORE_WALK_H
#define SPOOL_STORE_WALK_H

#include "spool/store/record.h"
#include "spool/store/spool.h"

/* Where a message stands. */
struct place {
	enum state state;	  /* or STATE_CLAIMED */
	const char *lane;	  /* as the directory is named */
	const char *bucket;	  /* "" when claimed */
	const char *runner;	  /* token, when claimed; else NULL */
	const char *text;	  /* the name as it stands */
	int dir;		  /* the directory it stands in */
	struct message_name name; /* parsed; name.id is encoded */
};

/* Where a list goes on: a place as each() was given it.  It need not be there any more. */
struct walk_from {
	const char *runner; /* NULL unless claimed */
	const char *lane, *bucket, *text;
};

/* Which messages.  NULL and STATE_NONE mean any; account and batch are plain text. */
struct walk_filter {
	enum state state;
	const char *account, *batch;
	const char *const *ids; /* plain ids, or NULL */
	size_t id_count;
	/* Only what comes behind it in the order of this walk; state is one, and ids NULL.  What comes
	 * before is not read. */
	const struct walk_from *from;
};

/* Calls each(place, arg) for the messages that pass, by state, lane and bucket, within a bucket in
 * order, until it returns non-zero, and returns that; -1 with err.  Holds the names of one bucket
 * in memory at a time; opens no message. */
int walk(struct spool *spool, const struct walk_filter *filter,
    int (*each)(const struct place *place, void *arg), void *arg, struct err *err);

#endif
