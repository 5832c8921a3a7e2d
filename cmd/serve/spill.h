/* submit/spill.h for the handlers of mailq-serve. */
#ifndef CMD_SERVE_SPILL_H
#define CMD_SERVE_SPILL_H

#include "cmd/serve/state.h"
#include "cmd/submit/spill.h"

/* spill_begin in the server's spool, with what its configuration says. */
void spill_init(struct spill *s, struct serve *serve);
/* Answers all from offset on; what is in it is handed over. */
void
spill_reply(struct http_request *r, int status, const char *type, struct spill *s, uint64_t offset);

#endif
