#include "spool/queue/count.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/num.h"
#include "spool/store/dirs.h"
#include "spool/store/record.h"

/*
 * The cache is one line a bucket, in the order in which they are counted, so that old and new are
 * merged as two sorted lists:
 *
 *	mailq-count 1
 *	STATE/LANE/BUCKET INODE SECONDS.NANOSECONDS MESSAGES EARLIEST
 *	end CHECKSUM
 *
 * It is renamed into place and never synced; a checksum tells what a power cut left of it.
 */
#define CACHE "count"
#define CACHE_HEAD "mailq-count 1\n"
#define CACHE_END_SIZE (sizeof("end 0123456789abcdef\n") - 1)
#define CACHE_MAX ((size_t)4 * 1024 * 1024)
/* Time stamps of files go in steps of some milliseconds; a change within the same step as the one
 * before does not show. */
#define SETTLED (2 * USEC)

/* What is known of a bucket. */
struct known {
	int state;
	const char *lane, *bucket;
	uint64_t inode;
	int64_t seconds, nanoseconds;
	uint64_t messages;
	int64_t earliest;
};

struct counting {
	struct spool *spool;
	struct counts *counts;
	size_t room;	 /* of counts->lanes */
	int64_t settled; /* what changed before this instant may be cached */
	char *cache;	 /* lines not yet reached; NULL at the end */
	struct known next;
	bool have_next;
	struct buf fresh; /* the cache as it will be written */
	bool changed;	  /* fresh differs from what was read */
	struct err *err;
};

/* ---- the cache --------------------------------------------------------------------------- */

static bool
take_field(char **line, char end, char **ret)
{
	char *p = strchr(*line, end);

	if (p == NULL)
		return false;
	*p = '\0';
	*ret = *line;
	*line = p + 1;
	return true;
}

static bool
take_number(char **line, char end, uint64_t *ret)
{
	char *text;

	return take_field(line, end, &text) && num_u64(text, 0, INT64_MAX, ret) == 0;
}

static bool
parse_line(char *line, struct known *ret)
{
	char *state, *lane, *bucket;
	uint64_t seconds, nanoseconds, earliest;

	if (!take_field(&line, '/', &state) || !take_field(&line, '/', &lane) ||
	    !take_field(&line, ' ', &bucket) || !take_number(&line, ' ', &ret->inode) ||
	    !take_number(&line, '.', &seconds) || !take_number(&line, ' ', &nanoseconds) ||
	    !take_number(&line, ' ', &ret->messages) || !take_number(&line, '\n', &earliest))
		return false;
	ret->state = (int)state_parse(state);
	ret->lane = lane;
	ret->bucket = bucket;
	ret->seconds = (int64_t)seconds;
	ret->nanoseconds = (int64_t)nanoseconds;
	ret->earliest = (int64_t)earliest;
	return true;
}

/* Moves to the next line. */
static void
advance(struct counting *c)
{
	char *end = c->cache != NULL ? strchr(c->cache, '\n') : NULL;
	char *line = c->cache;

	c->have_next = false;
	if (end == NULL)
		return;
	c->cache = end + 1;
	c->have_next = parse_line(line, &c->next);
}

/* Reads the cache into text; without one, or with one that is damaged, all is counted anew. */
static void
open_cache(struct counting *c, struct buf *text)
{
	char end[CACHE_END_SIZE + 1];
	size_t head = strlen(CACHE_HEAD), body;

	c->changed = true;
	if (fs_read_file(c->spool->root, CACHE, text) < 0 || text->len < head + CACHE_END_SIZE ||
	    memchr(text->s, '\0', text->len) != NULL || strncmp(text->s, CACHE_HEAD, head) != 0)
		return;
	body = text->len - CACHE_END_SIZE;
	snprintf(end, sizeof end, "end %016" PRIx64 "\n", checksum_of(text->s, body));
	if (strcmp(text->s + body, end) != 0)
		return;
	text->s[body] = '\0';
	c->cache = text->s + head;
	c->changed = false;
	advance(c);
}

static int
compare_known(const struct known *a, const struct known *b)
{
	int order = a->state - b->state;

	if (order == 0)
		order = strcmp(a->lane, b->lane);
	return order != 0 ? order : strcmp(a->bucket, b->bucket);
}

/* Whether the cache knows this bucket as it is now; its numbers then. */
static bool
look_up(struct counting *c, struct known *bucket)
{
	int order = 1;

	while (c->have_next && (order = compare_known(&c->next, bucket)) < 0) {
		c->changed = true; /* it is gone */
		advance(c);
	}
	if (!c->have_next || order > 0)
		return false;
	if (c->next.inode != bucket->inode || c->next.seconds != bucket->seconds ||
	    c->next.nanoseconds != bucket->nanoseconds) {
		c->changed = true;
		advance(c);
		return false;
	}
	bucket->messages = c->next.messages;
	bucket->earliest = c->next.earliest;
	advance(c);
	return true;
}

/* Where the cache is full, what is left of the buckets is counted each time. */
static bool
remember(struct counting *c, const struct known *b)
{
	char line[2 * NAME_SIZE + LANE_MAX + 128];
	int n = snprintf(line, sizeof line,
	    "%s/%s/%s %" PRIu64 " %" PRId64 ".%" PRId64 " %" PRIu64 " %" PRId64 "\n",
	    state_text((enum state)b->state), b->lane, b->bucket, b->inode, b->seconds,
	    b->nanoseconds, b->messages, b->earliest);

	return n > 0 && (size_t)n < sizeof line &&
	    c->fresh.len + (size_t)n + CACHE_END_SIZE <= c->fresh.max &&
	    buf_add(&c->fresh, line, (size_t)n) == 0;
}

/* Puts the new cache in place, if that can be done.  Made in tmp/ under a token and with a lock, like
 * a draft: so a recovery clears away what a crash leaves. */
static void
save_cache(struct counting *c)
{
	char token[TOKEN_SIZE];
	AUTO_FD int fd = -1;

	if (c->spool->read_only)
		return;
	buf_addf(&c->fresh, "end %016" PRIx64 "\n", checksum_of(c->fresh.s, c->fresh.len));
	token_make(token);
	fd = fs_open(c->spool->tmp, token, O_WRONLY | O_CREAT | O_EXCL, 0660);
	if (fd < 0 || fs_lock(fd, 0) < 0)
		return;
	if (fs_write(fd, c->fresh.s, c->fresh.len) < 0 ||
	    renameat(c->spool->tmp, token, c->spool->root, CACHE) < 0)
		unlinkat(c->spool->tmp, token, 0);
}

/* ---- counting ---------------------------------------------------------------------------- */

static int
count_name(const char *name, unsigned char type, void *arg)
{
	struct known *bucket = arg;
	struct message_name parsed;

	if ((type != DT_REG && type != DT_UNKNOWN) || message_name_parse(name, &parsed) < 0)
		return 0;
	bucket->messages++;
	if (bucket->earliest == 0 || parsed.due < bucket->earliest)
		bucket->earliest = parsed.due;
	return 0;
}

static struct lane_count *
add_lane(struct counting *c, const char *name)
{
	struct counts *counts = c->counts;
	struct lane_count *lane;

	if (counts->lane_count == c->room) {
		c->room = c->room > 0 ? 2 * c->room : 16;
		counts->lanes = xreallocarray(counts->lanes, c->room, sizeof *lane);
	}
	lane = &counts->lanes[counts->lane_count];
	memset(lane, 0, sizeof *lane);
	if (lane_parse(name, &lane->lane) < 0)
		return NULL;
	counts->lane_count++;
	return lane;
}

static void
take_earliest(int64_t *earliest, int64_t due)
{
	if (due != 0 && (*earliest == 0 || due < *earliest))
		*earliest = due;
}

static void
add_bucket(struct lane_count *lane, const struct known *bucket)
{
	lane->messages[bucket->state] += bucket->messages;
	if (bucket->state == STATE_WAITING)
		take_earliest(&lane->oldest, bucket->earliest);
	if (bucket->state == STATE_DEFERRED)
		take_earliest(&lane->next_due, bucket->earliest);
}

static int
count_bucket(struct counting *c, int lane_fd, struct lane_count *lane, struct known *bucket)
{
	struct stat st;
	AUTO_FD int fd = -1;

	/* The stamp is taken before the names are: a change in between shows the next time. */
	if (fstatat(lane_fd, bucket->bucket, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return dirs_is_gone() ? 0 : -1;
	if (!S_ISDIR(st.st_mode))
		return 0;
	bucket->inode = st.st_ino;
	bucket->seconds = st.st_mtim.tv_sec;
	bucket->nanoseconds = st.st_mtim.tv_nsec;
	if (!look_up(c, bucket)) {
		fd = dirs_enter(lane_fd, bucket->bucket);
		if (fd < 0)
			return errno == 0 ? 0 : -1;
		if (fs_each(fd, count_name, bucket) < 0)
			return -1;
		if (bucket->seconds * USEC + bucket->nanoseconds / 1000 < c->settled &&
		    remember(c, bucket))
			c->changed = true;
	} else {
		remember(c, bucket);
	}
	add_bucket(lane, bucket);
	return 0;
}

static int
count_lane(struct counting *c, int state, int parent, const char *name)
{
	AUTO_FD int fd = dirs_enter(parent, name);
	struct lane_count *lane = add_lane(c, name);
	struct dir_list buckets;
	int result = 0;

	if (fd < 0 || lane == NULL)
		return fd < 0 && errno != 0 ? -1 : 0;
	if (dirs_list(fd, &buckets, dirs_compare_text) < 0)
		return -1;
	for (size_t i = 0; i < buckets.count && result == 0; i++) {
		struct known bucket = { .state = state, .lane = name, .bucket = buckets.names[i] };

		result = count_bucket(c, fd, lane, &bucket);
	}
	dirs_release(&buckets);
	return result;
}

static int
count_state(struct counting *c, int state)
{
	AUTO_FD int fd = fs_open_dir(c->spool->root, state_text((enum state)state));
	struct dir_list lanes;
	int result = 0;

	if (fd < 0 || dirs_list(fd, &lanes, dirs_compare_text) < 0)
		return err_io(c->err, "spool %s: %s", c->spool->path,
		    state_text((enum state)state));
	for (size_t i = 0; i < lanes.count && result == 0; i++)
		if (count_lane(c, state, fd, lanes.names[i]) < 0)
			result = err_io(c->err, "spool %s: %s/%s", c->spool->path,
			    state_text((enum state)state), lanes.names[i]);
	dirs_release(&lanes);
	return result;
}

/* Whether somebody holds the lock.  To ask is to take it for a moment; who wants it just then finds
 * it taken, and comes back. */
bool
runner_is_at_work(const struct spool *spool, const char *token)
{
	AUTO_FD int runner = fs_open_dir(spool->cur, token);
	AUTO_FD int fd = runner < 0 ? -1 : fs_open(runner, "journal", O_RDONLY, 0);

	return fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
}

/* The lanes of a runner hold messages without buckets. */
static int
count_runner(struct counting *c, int cur, const char *token)
{
	AUTO_FD int runner = dirs_enter(cur, token);
	struct dir_list lanes;
	int result = 0;

	if (runner < 0)
		return errno == 0 ? 0 : -1;
	if (runner_is_at_work(c->spool, token))
		c->counts->runners++;
	if (dirs_list(runner, &lanes, dirs_compare_text) < 0)
		return -1;
	for (size_t i = 0; i < lanes.count && result == 0; i++) {
		AUTO_FD int fd = dirs_enter(runner, lanes.names[i]);
		struct lane_count *lane = fd < 0 ? NULL : add_lane(c, lanes.names[i]);
		struct known all = { .state = STATE_CLAIMED };

		if (lane == NULL)
			continue;
		result = fs_each(fd, count_name, &all);
		add_bucket(lane, &all);
	}
	dirs_release(&lanes);
	return result;
}

static int
count_claimed(struct counting *c)
{
	AUTO_FD int cur = fs_open_dir(c->spool->root, "cur");
	struct dir_list runners;
	int result = 0;

	if (cur < 0 || dirs_list(cur, &runners, dirs_compare_text) < 0)
		return err_io(c->err, "spool %s: cur", c->spool->path);
	for (size_t i = 0; i < runners.count && result == 0; i++)
		if (count_runner(c, cur, runners.names[i]) < 0)
			result =
			    err_io(c->err, "spool %s: cur/%s", c->spool->path, runners.names[i]);
	dirs_release(&runners);
	return result;
}

static int
compare_lanes(const void *a, const void *b)
{
	const struct lane_count *x = a, *y = b;
	int order = strcmp(x->lane.account, y->lane.account);

	if (order == 0)
		order = strcmp(x->lane.batch, y->lane.batch);
	return order != 0 ? order : strcmp(x->lane.domain, y->lane.domain);
}

/* One entry a lane, whatever the states it was met in; those without messages go; and the sums. */
static void
merge_lanes(struct counts *counts)
{
	struct lane_count *lanes = counts->lanes;
	size_t kept = 0;

	if (counts->lane_count > 1)
		qsort(lanes, counts->lane_count, sizeof *lanes, compare_lanes);
	for (size_t i = 0; i < counts->lane_count; i++) {
		struct lane_count *lane = &lanes[i];
		uint64_t sum = 0;

		for (int state = 0; state <= STATE_COUNT; state++)
			sum += lane->messages[state];
		if (sum == 0)
			continue;
		if (kept == 0 || compare_lanes(&lanes[kept - 1], lane) != 0) {
			lanes[kept++] = *lane;
		} else {
			for (int state = 0; state <= STATE_COUNT; state++)
				lanes[kept - 1].messages[state] += lane->messages[state];
			take_earliest(&lanes[kept - 1].oldest, lane->oldest);
			take_earliest(&lanes[kept - 1].next_due, lane->next_due);
		}
		for (int state = 0; state <= STATE_COUNT; state++)
			counts->messages[state] += lane->messages[state];
		take_earliest(&counts->oldest, lane->oldest);
		take_earliest(&counts->next_due, lane->next_due);
	}
	counts->lane_count = kept;
}

int
count_messages(struct spool *spool, struct counts *ret, struct err *err)
{
	AUTO_BUF struct buf cache = BUF_INIT(CACHE_MAX);
	struct counting c = { .spool = spool, .counts = ret, .err = err };
	int result = 0;

	*ret = (struct counts){ 0 };
	c.settled = clock_now() - SETTLED;
	buf_init(&c.fresh, CACHE_MAX);
	buf_adds(&c.fresh, CACHE_HEAD);
	open_cache(&c, &cache);
	for (int state = 0; state < STATE_COUNT && result == 0; state++)
		result = count_state(&c, state);
	if (result == 0)
		result = count_claimed(&c);
	if (result == 0 && (c.changed || c.have_next))
		save_cache(&c);
	buf_release(&c.fresh);
	if (result < 0) {
		counts_release(ret);
		return -1;
	}
	merge_lanes(ret);
	return 0;
}

void
counts_release(struct counts *counts)
{
	free(counts->lanes);
	*counts = (struct counts){ 0 };
}
