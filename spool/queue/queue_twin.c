/* Names that stand in two buckets of a lane. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "spool/queue/queue_private.h"

/* So many other buckets are looked into for each name; and so many names of a bucket tell whether another
 * shares any. */
#define PEERS_MAX 8
#define PROBES ((size_t)5)

static bool
stands_in(const struct queue *queue, const struct bucket *bucket, const char *text)
{
	char path[LANE_MAX + TOKEN_SIZE + BUCKET_SIZE + NAME_SIZE + 8];
	size_t n;

	queue_bucket_path(queue, bucket, path, sizeof path - NAME_SIZE - 1);
	n = strlen(path);
	snprintf(path + n, sizeof path - n, "/%s", text);
	return faccessat(queue->spool->states[bucket->state], path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Whether the bucket may hold what is due between these instants. */
static bool
may_hold(const struct loaded *loaded, const struct bucket *other)
{
	int64_t first = loaded->items[0].due, last = loaded->items[loaded->count - 1].due;
	bool batch = strchr(other->name.token, '.') != NULL;

	if (other->lane != loaded->bucket.lane ||
	    other->name.priority != loaded->bucket.name.priority || other->name.start > last)
		return false;
	/* That of a batch is named by the second of its first message. */
	return other->name.start + (batch ? 2 * USEC : BUCKET_SPAN * USEC) > first;
}

/* A few of the names, in all of the bucket. */
static bool
shares_names(const struct queue *queue, const struct loaded *loaded, const struct bucket *other)
{
	for (size_t i = 0; i < PROBES; i++)
		if (stands_in(queue, other,
			loaded->texts.s +
			    loaded->items[i * (loaded->count - 1) / (PROBES - 1)].text))
			return true;
	return false;
}

void
queue_find_peers(const struct queue *queue, struct loaded *loaded)
{
	size_t near = 0;

	for (size_t i = 0; loaded->count > 0 && i < queue->bucket_count; i++)
		near += may_hold(loaded, &queue->buckets[i]);
	if (near <= 1) /* itself */
		return;
	loaded->peers = xcalloc(near, sizeof *loaded->peers);
	for (size_t i = 0; i < queue->bucket_count; i++) {
		const struct bucket *other = &queue->buckets[i];

		if (!may_hold(loaded, other) ||
		    (other->state == loaded->bucket.state &&
			queue_compare_buckets(other, &loaded->bucket) == 0))
			continue;
		if (near <= PEERS_MAX || shares_names(queue, loaded, other))
			loaded->peers[loaded->peer_count++] = *other;
	}
}

bool
queue_has_twin(const struct queue *queue, const struct loaded *loaded, const char *text)
{
	for (size_t i = 0; i < loaded->peer_count; i++)
		if (stands_in(queue, &loaded->peers[i], text))
			return true;
	return false;
}
