/* Takes ids for a draft. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "spool/draft/draft.h"

/* How long to wait for another process that is just committing the same id. */
#define WAIT_FOR_COMMIT (5 * USEC)

static int
make_entry(struct spool *spool, const char *id, const char *token, const char *sibling)
{
	int dir = spool_id_dir(spool, id);

	if (dir < 0)
		return -1;
	if (sibling != NULL && linkat(spool_id_dir(spool, sibling), sibling, dir, id, 0) == 0)
		return 0;
	if (sibling != NULL && errno == EEXIST)
		return -1;
	/* Also where the link to the sibling failed: a file system may forbid it, or have too many. */
	return symlinkat(token, dir, id);
}

int
id_take(struct spool *spool, const char *id, const char *token, const char *sibling,
    struct err *err)
{
	char holder[TOKEN_SIZE], now[TOKEN_SIZE];

	for (int attempt = 0; attempt < 100; attempt++) {
		if (make_entry(spool, id, token, sibling) == 0)
			return 1;
		if (errno != EEXIST)
			return err_io(err, "cannot record the id %s", id);
		switch (id_lookup(spool, id, holder)) {
		case -1:
			return err_io(err, "cannot read the entry of the id %s", id);
		case 0:
			continue; /* given up in between */
		}
		if (strcmp(holder, token) == 0)
			return 0;
		/* A message is known from the moment that its draft is committed, not before: an id
		 * whose taker died on the way is free again. */
		switch (draft_recover_one(spool, holder, WAIT_FOR_COMMIT)) {
		case 0:
			/* Committed in between, or rolled back by others.  A rollback gives the id up
			 * before its draft goes: so it is known only if the same draft has it still,
			 * and not if another has taken it since, which may never commit. */
			if (id_lookup(spool, id, now) == 1 && strcmp(now, holder) == 0)
				return 0;
			break;
		case -1:
			if (errno == EWOULDBLOCK)
				return err_set(err, EX_TEMPFAIL,
				    "the id %s is being added by another process; try again", id);
			return err_io(err, "cannot look at the draft that has the id %s", id);
		}
	}
	return err_set(err, EX_TEMPFAIL, "the id %s is contended; try again", id);
}
