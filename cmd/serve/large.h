/*
 * Bodies of messages in JSON.  One of up to SERVE_HEAVY bytes is read and parsed as any other.  A longer
 * one is read piece by piece, and the contents of its attachments go to disk as they come (submit/contents.h): what
 * stays in memory, and counts for server.body_memory, is the rest of it.
 */
#ifndef CMD_SERVE_LARGE_H
#define CMD_SERVE_LARGE_H

#include "cmd/serve/serve.h"

/* For the routes' begin, piece and end, with keep_body = SERVE_HEAVY. */
http_handler serve_large_begin, serve_large_end;
http_piece serve_large_piece;

/* serve_body() for such a route: NULL after it has answered. */
struct json *serve_large_body(struct http_request *r);
/* What the JSON's reader needs for the contents that went to disk.  They last as long as the request. */
void serve_large_options(struct http_request *r, struct mail_json_options *options);
/* serve_once_begin() for such a route; behind serve_large_body. */
int serve_large_once(struct serve *serve, struct http_request *r, struct spool *spool,
    struct serve_once **ret);

#endif
