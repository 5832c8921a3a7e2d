/* What queue.c and queue_twin.c share. */
#ifndef SPOOL_QUEUE_QUEUE_PRIVATE_H
#define SPOOL_QUEUE_QUEUE_PRIVATE_H

#include "base/buf.h"
#include "spool/queue/queue.h"

struct bucket {
	size_t lane; /* which of the queue's lanes */
	enum state state;
	struct bucket_name name;
};

/* The name of a message in a loaded bucket: what its order needs, and its text. */
struct item {
	int64_t due;
	uint64_t offset;
	size_t text; /* where it begins in the bucket's texts */
};

struct loaded {
	struct bucket bucket;
	int fd; /* -1: closed, to be opened again when it is next */
	struct item *items;
	size_t count, next;
	struct buf texts;
	bool all; /* no item was left out as not yet due */
	/* Buckets in which names of this one may stand too. */
	struct bucket *peers;
	size_t peer_count;
};

struct queue {
	const struct spool *spool;
	char **lanes;
	size_t lane_count;
	int64_t now;
	int64_t longest;	/* pause after an attempt; 0: any */
	struct bucket *buckets; /* sorted; those before next have been loaded */
	size_t bucket_count, bucket_room, next;
	struct loaded *loaded;
	size_t loaded_count, loaded_room;
	size_t item_count; /* of all loaded buckets */
	size_t open_count; /* of the loaded ones */
	struct err fault;  /* the first lane or bucket that could not be listed; code 0: none */
};

int queue_compare_buckets(const void *a, const void *b);
/* LANE/BUCKET, below the directory of the state. */
void
queue_bucket_path(const struct queue *queue, const struct bucket *bucket, char *ret, size_t size);

/*
 * Where each name of the bucket is looked for when its turn comes: mostly nowhere, as few buckets lie in
 * one span.  Where many do, that would cost more than the claims, and those are taken in which some names
 * of this one are found.
 */
void queue_find_peers(const struct queue *queue, struct loaded *loaded);
/* Whether this name of the bucket stands in another one too. */
bool queue_has_twin(const struct queue *queue, const struct loaded *loaded, const char *text);

#endif
