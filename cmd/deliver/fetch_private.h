/* What the files that fetch attachments share. */
#ifndef CMD_DELIVER_FETCH_PRIVATE_H
#define CMD_DELIVER_FETCH_PRIVATE_H

#include <pthread.h>
#include <signal.h>

#include "base/net.h"
#include "cmd/deliver/fetch.h"
#include "mail/source.h"

/* ---- fetch_source.c: one content, from where it is to the spool -------------------------------- */

/* What a remote attachment's JSON says of it (mail/source.h, and what the message said besides). */
struct fetch_wish {
	char *url, *bucket, *key, *md5;	    /* a URL, or a bucket and a key */
	char *filename, *type, *content_id; /* NULL: not said */
	char *shown; /* "report.pdf", or where it comes from, without a query: for people */
};

/* -1 with err (EX_DATAERR). */
int fetch_wish_read(const char *json, struct fetch_wish *ret, struct err *err);
void fetch_wish_release(struct fetch_wish *wish);

/* Of all that are fetched in a run. */
struct fetch_terms {
	const struct settings *settings;
	struct spool *spool;
	struct net_place *places; /* that attachments.allow opens */
	size_t place_count;
	struct settings_s3 s3;
	bool has_s3;
	struct err no_s3;	   /* why not */
	struct net_place s3_place; /* the endpoint is the operator's word: it is open */
	struct mail_magic *magic;
	pthread_mutex_t magic_lock; /* one at a time, as it is large */
	sig_atomic_t stop;
};

enum fetch_verdict {
	FETCH_HAVE,
	FETCH_NEVER, /* it is not there, not allowed, too large, no HTTP: err says */
	FETCH_LATER, /* a time-out, 5xx: err says */
	FETCH_OURS,  /* no fault of the source: the spool, a signal */
};

struct fetch_result {
	enum fetch_verdict verdict;
	struct err err;
	int64_t not_before;	/* FETCH_LATER: what the server asked for; wall clock, or 0 */
	struct mail_part part;	/* FETCH_HAVE, with what follows */
	char *filename;		/* by which it goes */
	struct part_pins *pins; /* hold the part */
};

void fetch_result_release(struct fetch_result *result);

/* What one thread has. */
struct fetch_hand {
	struct fetch_terms *terms;
	struct http_client *web, *s3; /* made when first needed */
};

void fetch_hand_release(struct fetch_hand *hand);
/* Fetches it, and blocks. */
void fetch_one(struct fetch_hand *hand, const struct fetch_wish *wish, struct fetch_result *ret);

/* ---- fetch_name.c: names and types, as far as they are found out ------------------------------- */

/* The name for what a message does not name: of the server, else of the URL; to be freed. */
char *fetch_name(const char *filename, const char *url);
/* The type: of the content and the name, else what the server says where that is harmless. */
void fetch_type(struct mail_part *part, const char *filename, const char *content_type);
/* What S3 says in its error: the text between <Code> and </Code>, "" where there is none. */
void fetch_s3_code(const char *body, char *ret, size_t size);
/* "https://host/bucket/KEY" or "https://bucket.host/KEY", the key escaped. */
int
fetch_s3_url(const struct settings_s3 *s3, const char *bucket, const char *key, struct buf *ret);

/* ---- fetch_pool.c: the threads, and what they work on ------------------------------------------ */

/* One source of one file name.  The main thread's, but result, which is a thread's until it is done. */
struct fetch {
	char *text; /* of the wish: those with the same text are the same */
	struct fetch_wish wish;
	struct fetch_result result;
	bool done, serving;
	int64_t done_at; /* monotonic */
	struct work_list waiting;
	struct fetch *next; /* in the queue, or among the done */
	struct fetch *link; /* in the table */
};

struct fetch_pool;

struct fetch_pool *fetch_pool_new(const struct settings *settings, struct spool *spool);
/* Ends what is under way, waits for the threads, and gives out whoever waits for anything. */
void fetch_pool_end(struct fetch_pool *pool, struct work_list *ret_waiting);
/* After that. */
void fetch_pool_free(struct fetch_pool *pool);
/* Readable when something is done; or -1. */
int fetch_pool_fd(const struct fetch_pool *pool);
/* The fetch of a remote attachment, begun now where it is new.  NULL with err (EX_DATAERR). */
struct fetch *fetch_pool_want(struct fetch_pool *pool, const char *json, struct err *err);
/* The next that is done and was not given out; NULL: none. */
struct fetch *fetch_pool_done(struct fetch_pool *pool);
/* Takes it out of the table and frees it: nobody waits for it. */
void fetch_pool_drop(struct fetch_pool *pool, struct fetch *fetch);
/* Drops what has been done for long. */
void fetch_pool_tidy(struct fetch_pool *pool);

#endif
