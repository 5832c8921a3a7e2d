/* One remote content, from where it is to the spool: blocks until it is there. */
#ifndef CMD_FETCH_SOURCE_H
#define CMD_FETCH_SOURCE_H

#include <pthread.h>
#include <signal.h>

#include "base/net.h"
#include "mail/part.h"
#include "policy/settings.h"
#include "spool/part/part.h"

struct http_client;
struct mail_magic;

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

#endif
