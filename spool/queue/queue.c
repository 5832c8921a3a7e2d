#include "spool/queue/queue.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "spool/queue/queue_private.h"

/* So many loaded buckets are kept open at the most: with a lane for each batch, any number may have
 * a message that is next. */
#define OPEN_MAX 64
/* A batch's lane without buckets goes when nothing has changed in it for so long. */
#define LANE_IDLE (600 * USEC)
/* No further bucket is loaded beside so many names: about 1 MB, and little to list again when the cycle
 * looks for what is new. */
#define ITEMS_MAX 8192

struct add_lane {
	struct lane_list *list;
	size_t room;
};

static int
add_lane(const char *name, unsigned char type, void *arg)
{
	struct add_lane *add = arg;
	struct lane lane;

	if ((type != DT_DIR && type != DT_UNKNOWN) || lane_parse(name, &lane) < 0)
		return 0;
	if (add->list->count == add->room) {
		add->room = add->room > 0 ? 2 * add->room : 8;
		add->list->names = xreallocarray(add->list->names, add->room, sizeof(char *));
	}
	add->list->names[add->list->count++] = xstrdup(name);
	return 0;
}

static int
compare_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int
queue_lanes(const struct spool *spool, struct lane_list *ret, struct err *err)
{
	struct lane_list list = { NULL, 0 };
	struct add_lane add = { &list, 0 };
	size_t kept = 0;

	for (enum state state = STATE_WAITING; state <= STATE_DEFERRED; state++) {
		AUTO_FD int fd = fs_open_dir(spool->root, state_text(state));

		if (fd < 0 || fs_each(fd, add_lane, &add) < 0) {
			lane_list_release(&list);
			return err_io(err, "spool %s: cannot list %s", spool->path,
			    state_text(state));
		}
	}
	if (list.count > 0)
		qsort(list.names, list.count, sizeof(char *), compare_text);
	for (size_t i = 0; i < list.count; i++) {
		if (kept > 0 && strcmp(list.names[kept - 1], list.names[i]) == 0)
			free(list.names[i]);
		else
			list.names[kept++] = list.names[i];
	}
	list.count = kept;
	*ret = list;
	return 0;
}

void
lane_list_release(struct lane_list *lanes)
{
	for (size_t i = 0; i < lanes->count; i++)
		free(lanes->names[i]);
	free(lanes->names);
	*lanes = (struct lane_list){ NULL, 0 };
}

/* Whether no deferral can have put off anything in this bucket until then by a clock that is right. */
static bool
is_astray(const struct queue *queue, const struct bucket_name *bucket, int64_t instant)
{
	int64_t longest = queue->longest;

	if (longest == 0)
		return false;
	if (bucket->token[0] == BUCKET_ASKED[0] && longest < BUCKET_ASKED_MAX)
		longest = BUCKET_ASKED_MAX;
	else if (bucket->token[0] != BUCKET_ASKED[0] && bucket->token[0] != BUCKET_RETRY[0])
		return false;
	return instant - queue->now > longest;
}

/* What stands in waiting/ is due at once, though a clock that was put back since may say otherwise. */
static bool
lies_ahead(const struct queue *queue, const struct bucket *bucket, int64_t instant)
{
	return bucket->state == STATE_DEFERRED && instant > queue->now &&
	    !is_astray(queue, &bucket->name, instant);
}

struct add_bucket {
	struct queue *queue;
	size_t lane;
	enum state state;
	bool empty; /* nothing stands in the lane */
};

static int
add_bucket(const char *name, unsigned char type, void *arg)
{
	struct add_bucket *add = arg;
	struct queue *queue = add->queue;
	struct bucket bucket = { .lane = add->lane, .state = add->state };

	add->empty = false;
	if ((type != DT_DIR && type != DT_UNKNOWN) || bucket_name_parse(name, &bucket.name) < 0 ||
	    lies_ahead(queue, &bucket, bucket.name.start))
		return 0;
	if (queue->bucket_count == queue->bucket_room) {
		queue->bucket_room = queue->bucket_room > 0 ? 2 * queue->bucket_room : 16;
		queue->buckets = xreallocarray(queue->buckets, queue->bucket_room, sizeof bucket);
	}
	queue->buckets[queue->bucket_count++] = bucket;
	return 0;
}

int
queue_compare_buckets(const void *a, const void *b)
{
	const struct bucket_name *x = &((const struct bucket *)a)->name;
	const struct bucket_name *y = &((const struct bucket *)b)->name;

	if (x->priority != y->priority)
		return x->priority < y->priority ? -1 : 1;
	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	/* The parts of a shared bucket are numbered, and fill in that order. */
	if (strlen(x->token) != strlen(y->token))
		return strlen(x->token) < strlen(y->token) ? -1 : 1;
	return strcmp(x->token, y->token);
}

/* Removes a lane in which nothing stands: one that never got its name is a dead process's; one of a
 * batch will hardly be used again, and each cycle would list it.  Whoever is about to put something
 * into it makes it anew. */
static void
drop_lane(const struct queue *queue, enum state state, const char *lane, int fd)
{
	struct stat st;

	if (lane[0] != '.' &&
	    (strchr(lane, ',') == NULL || fstat(fd, &st) < 0 ||
		st.st_mtim.tv_sec * USEC > clock_now() - LANE_IDLE))
		return;
	unlinkat(queue->spool->states[state], lane, AT_REMOVEDIR);
}

/* One that cannot be listed is told and passed over: it must not keep the others waiting. */
static void
cannot_list(struct queue *queue, enum state state, const char *path)
{
	struct err err;

	err_io(&err, "spool %s: cannot list %s/%s", queue->spool->path, state_text(state), path);
	log_warning("%s", err.msg);
	if (queue->fault.code == 0)
		queue->fault = err;
}

static void
list_lane(struct queue *queue, size_t lane, enum state state)
{
	struct add_bucket add = { queue, lane, state, true };
	AUTO_FD int fd = fs_open_dir(queue->spool->states[state], queue->lanes[lane]);

	if (fd < 0 && errno == ENOENT)
		return;
	if (fd < 0 || fs_each(fd, add_bucket, &add) < 0)
		cannot_list(queue, state, queue->lanes[lane]);
	else if (add.empty)
		drop_lane(queue, state, queue->lanes[lane], fd);
}

struct queue *
queue_open(const struct spool *spool, const char *const *lanes, size_t lane_count, int64_t now,
    int64_t longest)
{
	struct queue *queue = xcalloc(1, sizeof *queue);

	queue->spool = spool;
	queue->now = now;
	queue->longest = longest;
	queue->lanes = xcalloc(lane_count, sizeof(char *));
	queue->lane_count = lane_count;
	for (size_t i = 0; i < lane_count; i++)
		queue->lanes[i] = xstrdup(lanes[i]);
	for (size_t i = 0; i < lane_count; i++) {
		list_lane(queue, i, STATE_WAITING);
		list_lane(queue, i, STATE_DEFERRED);
	}
	if (queue->bucket_count > 0)
		qsort(queue->buckets, queue->bucket_count, sizeof(struct bucket),
		    queue_compare_buckets);
	return queue;
}

static int
compare_items(const void *a, const void *b)
{
	const struct item *x = a, *y = b;

	if (x->due != y->due)
		return x->due < y->due ? -1 : 1;
	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

struct add_item {
	const struct queue *queue;
	struct loaded *loaded;
	size_t room;
};

static int
add_item(const char *name, unsigned char type, void *arg)
{
	struct add_item *add = arg;
	struct loaded *loaded = add->loaded;
	struct message_name parsed;

	if ((type != DT_REG && type != DT_UNKNOWN) || message_name_parse(name, &parsed) < 0 ||
	    lies_ahead(add->queue, &loaded->bucket, parsed.due) ||
	    parsed.priority != loaded->bucket.name.priority) {
		loaded->all = false;
		return 0;
	}
	if (loaded->count == add->room) {
		add->room = add->room > 0 ? 2 * add->room : 64;
		loaded->items = xreallocarray(loaded->items, add->room, sizeof(struct item));
	}
	loaded->items[loaded->count++] =
	    (struct item){ parsed.due, parsed.offset, loaded->texts.len };
	buf_add(&loaded->texts, name, strlen(name) + 1);
	return 0;
}

void
queue_bucket_path(const struct queue *queue, const struct bucket *bucket, char *ret, size_t size)
{
	char name[BUCKET_SIZE];

	bucket_name_format(&bucket->name, name);
	snprintf(ret, size, "%s/%s", queue->lanes[bucket->lane], name);
}

static void
close_loaded(struct queue *queue, struct loaded *loaded)
{
	if (loaded->fd < 0)
		return;
	auto_close_fd(&loaded->fd);
	queue->open_count--;
}

/* Opens the bucket, if it is not open; others are closed where there are too many.  -1 with errno. */
static int
open_loaded(struct queue *queue, struct loaded *loaded)
{
	char path[LANE_MAX + TOKEN_SIZE + BUCKET_SIZE + 8];

	if (loaded->fd >= 0)
		return 0;
	if (queue->open_count >= OPEN_MAX)
		for (size_t i = 0; i < queue->loaded_count; i++)
			close_loaded(queue, &queue->loaded[i]);
	queue_bucket_path(queue, &loaded->bucket, path, sizeof path);
	loaded->fd = fs_open_dir(queue->spool->states[loaded->bucket.state], path);
	if (loaded->fd < 0)
		return -1;
	queue->open_count++;
	return 0;
}

/* Closes a bucket that was taken from to its end, and removes it if it is empty for good. */
static void
unload(struct queue *queue, size_t index)
{
	struct loaded *loaded = &queue->loaded[index];
	const struct bucket_name *name = &loaded->bucket.name;
	/* Adders go on using the shared bucket of the present span.  The bucket of a batch (its token
	 * is a draft's, with dots) gets nothing more, and one that never got its name is mostly a dead
	 * process's: a living one that is about to name it makes another.  By a clock that is right nobody
	 * uses one that is astray. */
	bool in_use = !name->unsettled && strchr(name->token, '.') == NULL &&
	    name->start + BUCKET_SPAN * USEC > queue->now && !is_astray(queue, name, name->start);
	char path[LANE_MAX + TOKEN_SIZE + BUCKET_SIZE + 8];

	if (loaded->all && !in_use && loaded->next == loaded->count) {
		queue_bucket_path(queue, &loaded->bucket, path, sizeof path);
		unlinkat(queue->spool->states[loaded->bucket.state], path, AT_REMOVEDIR);
	}
	close_loaded(queue, loaded);
	queue->item_count -= loaded->count;
	free(loaded->items);
	free(loaded->peers);
	buf_release(&loaded->texts);
	queue->loaded[index] = queue->loaded[--queue->loaded_count];
}

static void
load(struct queue *queue, const struct bucket *bucket)
{
	struct loaded loaded = { .bucket = *bucket,
		.fd = -1,
		.all = true,
		.texts = BUF_INIT(256u * 1024 * 1024) };
	struct add_item add = { queue, &loaded, 0 };
	char path[LANE_MAX + TOKEN_SIZE + BUCKET_SIZE + 8];

	if (open_loaded(queue, &loaded) < 0 || fs_each(loaded.fd, add_item, &add) < 0) {
		queue_bucket_path(queue, bucket, path, sizeof path);
		if (errno != ENOENT)
			cannot_list(queue, bucket->state, path);
		close_loaded(queue, &loaded);
		buf_release(&loaded.texts);
		free(loaded.items);
		return;
	}
	if (loaded.count > 0)
		qsort(loaded.items, loaded.count, sizeof(struct item), compare_items);
	if (queue->loaded_count == queue->loaded_room) {
		queue->loaded_room = queue->loaded_room > 0 ? 2 * queue->loaded_room : 4;
		queue->loaded = xreallocarray(queue->loaded, queue->loaded_room, sizeof loaded);
	}
	queue_find_peers(queue, &loaded);
	queue->item_count += loaded.count;
	queue->loaded[queue->loaded_count++] = loaded;
	if (loaded.count == 0)
		unload(queue, queue->loaded_count - 1);
}

/* The loaded bucket whose next message comes first, or -1. */
static ssize_t
first_loaded(const struct queue *queue)
{
	ssize_t best = -1;

	for (size_t i = 0; i < queue->loaded_count; i++) {
		const struct loaded *a = &queue->loaded[i];
		const struct loaded *b = best < 0 ? NULL : &queue->loaded[best];

		if (b == NULL || a->bucket.name.priority < b->bucket.name.priority ||
		    (a->bucket.name.priority == b->bucket.name.priority &&
			compare_items(&a->items[a->next], &b->items[b->next]) < 0))
			best = (ssize_t)i;
	}
	return best;
}

/* True if a message of the next bucket might come before the best of the loaded ones; but with so many
 * names in memory it must wait, and those that came within one span may then go a little early. */
static bool
may_precede(const struct queue *queue, const struct loaded *best)
{
	const struct bucket *bucket = &queue->buckets[queue->next];

	if (queue->item_count >= ITEMS_MAX)
		return false;
	if (bucket->name.priority != best->bucket.name.priority)
		return bucket->name.priority < best->bucket.name.priority;
	return bucket->name.start <= best->items[best->next].due;
}

bool
queue_next(struct queue *queue, struct queue_entry *ret)
{
	/* The bucket that the last call gave an entry of is unloaded only now: ret->dir was in it. */
	for (size_t i = queue->loaded_count; i-- > 0;)
		if (queue->loaded[i].next == queue->loaded[i].count)
			unload(queue, i);
	for (;;) {
		ssize_t best = first_loaded(queue);
		struct loaded *loaded = best < 0 ? NULL : &queue->loaded[best];

		if (queue->next < queue->bucket_count &&
		    (loaded == NULL || may_precede(queue, loaded))) {
			load(queue, &queue->buckets[queue->next++]);
			continue;
		}
		if (loaded == NULL)
			return false;
		if (open_loaded(queue, loaded) < 0) {
			char path[LANE_MAX + TOKEN_SIZE + BUCKET_SIZE + 8];

			/* Mostly it is gone: others have taken all that was in it. */
			queue_bucket_path(queue, &loaded->bucket, path, sizeof path);
			if (errno != ENOENT)
				cannot_list(queue, loaded->bucket.state, path);
			unload(queue, (size_t)best);
			continue;
		}
		ret->lane = queue->lanes[loaded->bucket.lane];
		ret->dir = loaded->fd;
		ret->text = loaded->texts.s + loaded->items[loaded->next++].text;
		message_name_parse(ret->text, &ret->name);
		ret->twin = queue_has_twin(queue, loaded, ret->text);
		return true;
	}
}

const struct err *
queue_fault(const struct queue *queue)
{
	return queue->fault.code != 0 ? &queue->fault : NULL;
}

void
queue_close(struct queue **queue)
{
	struct queue *q = *queue;

	if (q == NULL)
		return;
	while (q->loaded_count > 0)
		unload(q, q->loaded_count - 1);
	for (size_t i = 0; i < q->lane_count; i++)
		free(q->lanes[i]);
	free(q->lanes);
	free(q->buckets);
	free(q->loaded);
	free(q);
	*queue = NULL;
}
