/*
 * Bytes that are written piece by piece and read later: in memory while they are few, else in a file of
 * the spool's tmp/ that has no name and is gone with its descriptor, whatever happens.  So neither an
 * answer nor what was sent to us has to fit into memory.
 */
#ifndef CMD_SERVE_SPILL_H
#define CMD_SERVE_SPILL_H

#include "cmd/serve_state.h"

#define SPILL_HELD (64u * 1024)

struct spill {
	struct serve *serve;
	struct buf held; /* all, while fd is -1 */
	int fd;
	uint64_t size, checked;
	struct err err; /* what spill_sink failed for */
};

void spill_init(struct spill *s, struct serve *serve);
void spill_release(struct spill *s); /* for AUTO() too */

/* Appends.  -1 with err: EX_TEMPFAIL where less would stay free on the disk than queue.min_free_space. */
int spill_add(struct spill *s, const void *bytes, size_t n, struct err *err);
/* As mail_sink.write, with a struct spill as arg; a fault stands in s->err. */
int spill_sink(void *spill, const void *bytes, size_t n);
/* Writes over n bytes that are there already. */
int spill_patch(struct spill *s, uint64_t at, const void *bytes, size_t n, struct err *err);
/* Answers all from offset on; what is in it is handed over. */
void
spill_reply(struct http_request *r, int status, const char *type, struct spill *s, uint64_t offset);

#endif
