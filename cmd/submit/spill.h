/*
 * Bytes that are written piece by piece and read later: in memory while they are few, else in a file of
 * the spool's tmp/ that has no name and is gone with its descriptor, whatever happens.  So neither an
 * answer nor what was sent to us has to fit into memory.
 */
#ifndef CMD_SUBMIT_SPILL_H
#define CMD_SUBMIT_SPILL_H

#include "base/buf.h"
#include "spool/store/spool.h"

#define SPILL_HELD (64u * 1024)

struct spill {
	const struct spool *spool;
	uint64_t min_free_bytes, min_free_inodes;
	struct buf held; /* all, while fd is -1 */
	int fd;
	uint64_t size, checked;
	struct err err; /* what spill_sink failed for */
};

/* Borrows spool, of which it uses the descriptors of directories alone.  What must stay free on its disk:
 * queue.min_free_space, queue.min_free_inodes. */
void spill_begin(struct spill *s, const struct spool *spool, int64_t min_free_bytes,
    int64_t min_free_inodes);
void spill_release(struct spill *s); /* for AUTO() too */
/* Forgets what was written, and keeps the file for what comes. */
int spill_clear(struct spill *s, struct err *err);

/* Appends.  -1 with err: EX_TEMPFAIL where less than it must would stay free on the disk. */
int spill_add(struct spill *s, const void *bytes, size_t n, struct err *err);
/* As mail_sink.write, with a struct spill as arg; a fault stands in s->err. */
int spill_sink(void *spill, const void *bytes, size_t n);
/* Writes over n bytes that are there already. */
int spill_patch(struct spill *s, uint64_t at, const void *bytes, size_t n, struct err *err);

#endif
