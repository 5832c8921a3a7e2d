/* A message that is sent while its client waits: what send.c and deliver.c share. */
#ifndef CMD_API_SEND_H
#define CMD_API_SEND_H

#include "cmd/serve/runs.h"

struct sending {
	struct serve_wanted wanted; /* first */
	struct http_request *r;	    /* deferred */
	struct spool *spool;	    /* of once; NULL where there is none */
	struct serve_once *once;
	int64_t since; /* what became of it was recorded after this */
	bool answered;
	struct json *line; /* the last outcome; NULL: none is on record */
};
void sending_free(struct serve *serve, struct sending *s);

/* Has them sent, answers each when its outcome is known, and frees them.  Fits serve_runs_want. */
serve_deliver serve_send_deliver;

#endif
