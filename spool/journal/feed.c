#include "spool/journal/feed.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/num.h"
#include "spool/journal/merge.h"

/*
 * A cursor: HORIZON~TOKEN-OFFSET~TOKEN-OFFSET..., an instant, and how far each of some journals was given.  Of those
 * that are not named, all was given that began and ended before the horizon, and nothing of the others.  Named
 * are, so, those that may still grow, those of which there is more, and those that ended after the horizon.
 */

#define OFFSET_MAX (INT64_C(1) << 62) /* no file is longer */

/* How far the horizon lies behind what was given last: by so much the clock may be set back. */
#define WINDOW (60 * USEC)
/* With more journals than these that ended within it, it is shorter, but for this. */
#define NAMED_MAX ((size_t)100)
#define WINDOW_MIN USEC

/* Of a line that is being written, the beginning is searched for in so many bytes. */
#define TAIL_BYTES 65536

struct position {
	char token[TOKEN_SIZE];
	int64_t begin, offset;
	bool met;
};

struct feed {
	struct spool *spool;
	struct merge merge;
	struct json *value;
	int64_t until;		 /* when the listing began */
	int64_t horizon;	 /* of the cursor that was given last */
	bool now;		 /* only what comes from here on */
	bool any, ended, failed; /* a line was given; there are no more; or they cannot be read */
	char last[LINE_TIME_LEN + 1];
	struct position *positions; /* of the cursor; sorted */
	size_t position_count;
	struct merge_source **recent; /* those that a cursor may have to name */
	size_t recent_count, recent_room, next;
};

/* ---- cursors ----------------------------------------------------------------------------- */

static int
compare_positions(const void *a, const void *b)
{
	return strcmp(((const struct position *)a)->token, ((const struct position *)b)->token);
}

static int
parse_position(const char *text, size_t len, struct position *ret)
{
	const char *dash = memchr(text, '-', len);
	uint64_t offset;

	*ret = (struct position){ 0 };
	if (dash == NULL || token_parse(text, (size_t)(dash - text), ret->token, &ret->begin) < 0 ||
	    num_u64_view(dash + 1, (size_t)(text + len - dash - 1), OFFSET_MAX, &offset) < 0)
		return -1;
	ret->offset = (int64_t)offset;
	return 0;
}

static int
parse_cursor(struct feed *feed, const char *cursor)
{
	char horizon[CLOCK_TEXT_SIZE];
	size_t n = strcspn(cursor, "~"), room = 0;

	if (n >= sizeof horizon || strlen(cursor) > FEED_CURSOR_MAX)
		return -1;
	memcpy(horizon, cursor, n);
	horizon[n] = '\0';
	if (instant_parse(horizon, &feed->horizon) < 0)
		return -1;
	for (cursor += n; *cursor == '~'; cursor += n) {
		cursor++;
		n = strcspn(cursor, "~");
		if (feed->position_count == room) {
			room = room > 0 ? 2 * room : 16;
			feed->positions =
			    xreallocarray(feed->positions, room, sizeof *feed->positions);
		}
		if (parse_position(cursor, n, &feed->positions[feed->position_count++]) < 0)
			return -1;
	}
	if (feed->position_count > 1)
		qsort(feed->positions, feed->position_count, sizeof *feed->positions,
		    compare_positions);
	return 0;
}

static struct position *
find_position(const struct feed *feed, const char *token)
{
	struct position key;

	if (feed->position_count == 0)
		return NULL;
	snprintf(key.token, sizeof key.token, "%s", token);
	return bsearch(&key, feed->positions, feed->position_count, sizeof key, compare_positions);
}

/* ---- journals ---------------------------------------------------------------------------- */

/* Wherever it stands: it moves from cur/ to log/, and seldom back. */
static int
open_journal(const struct merge_source *source, void *arg)
{
	const struct spool *spool = ((struct feed *)arg)->spool;
	char cur[TOKEN_SIZE + 16], log[TOKEN_SIZE + 8];
	int fd = -1;

	snprintf(cur, sizeof cur, "%s/journal", source->token);
	snprintf(log, sizeof log, "%s.log", source->token);
	for (int i = 0; i < 3 && fd < 0 && (i == 0 || errno == ENOENT); i++)
		fd = fs_open(i == 1 ? spool->log : spool->cur, i == 1 ? log : cur, O_RDONLY, 0);
	/* In its place is something else: as if it were gone. */
	if (fd < 0 && fs_is_foreign())
		errno = ENOENT;
	return fd;
}

/* Behind the last whole line of a journal; 0 where it cannot be read. */
static int64_t
end_of(struct feed *feed, const char *token)
{
	struct merge_source source = { 0 };
	AUTO_FREE char *tail = xmalloc(TAIL_BYTES);
	AUTO_FD int fd = -1;
	const char *newline;
	struct stat st;
	int64_t from;

	snprintf(source.token, sizeof source.token, "%s", token);
	fd = open_journal(&source, feed);
	if (fd < 0 || fstat(fd, &st) < 0)
		return 0;
	from = st.st_size > TAIL_BYTES ? st.st_size - TAIL_BYTES : 0;
	if (fs_pread(fd, tail, (size_t)(st.st_size - from), from) < 0)
		return 0;
	newline = memrchr(tail, '\n', (size_t)(st.st_size - from));
	return newline != NULL ? from + (newline - tail) + 1 : st.st_size;
}

static void
add_journal(struct feed *feed, const char *token, int64_t begin)
{
	struct position *position = find_position(feed, token);

	if (position != NULL)
		position->met = true;
	merge_add(&feed->merge, token, begin,
	    position != NULL ? position->offset :
		feed->now    ? end_of(feed, token) :
			       0);
}

static int
add_runner(const char *name, unsigned char type, void *arg)
{
	char token[TOKEN_SIZE];
	int64_t begin;

	if ((type == DT_DIR || type == DT_UNKNOWN) &&
	    token_parse(name, strlen(name), token, &begin) == 0)
		add_journal(arg, token, begin);
	return 0;
}

static int
add_log(const char *name, unsigned char type, void *arg)
{
	struct feed *feed = arg;
	size_t n = strlen(name);
	char token[TOKEN_SIZE];
	struct stat st;
	int64_t begin;

	if ((type != DT_REG && type != DT_UNKNOWN) || n < 4 || strcmp(name + n - 4, ".log") != 0 ||
	    token_parse(name, n - 4, token, &begin) < 0)
		return 0;
	/* Its beginning is no later than its end: most need no look at that. */
	if (begin < feed->horizon && find_position(feed, token) == NULL &&
	    (fstatat(feed->spool->log, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		st.st_mtim.tv_sec * USEC + st.st_mtim.tv_nsec / 1000 < feed->horizon))
		return 0;
	add_journal(feed, token, begin);
	return 0;
}

/* First the runners, as their journals move to log/. */
static int
find_journals(struct feed *feed, struct err *err)
{
	const char *path = feed->spool->path;
	AUTO_FD int cur = fs_open_dir(feed->spool->root, "cur");
	AUTO_FD int log = fs_open_dir(feed->spool->root, "log");

	if (cur < 0 || fs_each(cur, add_runner, feed) < 0)
		return err_io(err, "spool %s: cur", path);
	if (log < 0 || fs_each(log, add_log, feed) < 0)
		return err_io(err, "spool %s: log", path);
	/* One that was on its way back to cur/; or it is forgotten. */
	for (size_t i = 0; i < feed->position_count; i++)
		if (!feed->positions[i].met)
			merge_add(&feed->merge, feed->positions[i].token, feed->positions[i].begin,
			    feed->positions[i].offset);
	return 0;
}

/* ---- reading ----------------------------------------------------------------------------- */

static void
add_recent(struct feed *feed, struct merge_source *source)
{
	if (feed->recent_count == feed->recent_room) {
		feed->recent_room = feed->recent_room > 0 ? 2 * feed->recent_room : 32;
		feed->recent =
		    xreallocarray(feed->recent, feed->recent_room, sizeof(struct merge_source *));
	}
	feed->recent[feed->recent_count++] = source;
}

int
feed_open(struct spool *spool, const char *cursor, uint64_t events, struct feed **ret,
    struct err *err)
{
	AUTO(feed_close) struct feed *feed = xcalloc(1, sizeof *feed);

	feed->spool = spool;
	feed->merge =
	    (struct merge){ .spool = spool, .open = open_journal, .arg = feed, .events = events };
	feed->now = cursor != NULL && strcmp(cursor, "now") == 0;
	if (cursor != NULL && *cursor != '\0' && !feed->now && parse_cursor(feed, cursor) < 0)
		return err_set(err, EX_USAGE,
		    "the cursor is invalid; expected a cursor of an earlier answer, or \"now\"");
	feed->until = clock_now();
	if (feed->now)
		feed->horizon = feed->until - WINDOW;
	if (find_journals(feed, err) < 0)
		return -1;
	merge_begin(&feed->merge, feed->until);
	for (size_t i = 0; i < feed->merge.count; i++) {
		struct merge_source *source = feed->merge.sources[i];

		if (source->mark == 0 && find_position(feed, source->token) == NULL)
			continue;
		source->in_use = 1; /* it is among the recent, whether opened or not */
		add_recent(feed, source);
	}
	*ret = feed;
	feed = NULL;
	return 0;
}

void
feed_close(struct feed **feed_at)
{
	struct feed *feed = *feed_at;

	if (feed == NULL)
		return;
	merge_release(&feed->merge);
	json_free(feed->value);
	free(feed->positions);
	free(feed->recent);
	free(feed);
	*feed_at = NULL;
}

int
feed_next(struct feed *feed, struct feed_line *ret, struct err *err)
{
	struct merge_line line;
	int result;

	json_free(feed->value);
	feed->value = NULL;
	if (feed->ended)
		return 0;
	result = feed->failed ? -1 : merge_next(&feed->merge, &line);
	feed->ended = result == 0;
	feed->failed = result < 0;
	if (result < 0)
		return err_io(err, "spool %s: cannot read the journals", feed->spool->path);
	if (result == 0)
		return 0;
	feed->any = true;
	memcpy(feed->last, line.text + LINE_TIME_AT, LINE_TIME_LEN);
	feed->value = line.value;
	*ret = (struct feed_line){ .text = line.text,
		.len = line.len,
		.value = line.value,
		.event = line.event };
	return 1;
}

/* ---- where it is ------------------------------------------------------------------------- */

/* All of it was given, and nothing comes any more. */
static bool
is_over(const struct merge_source *source)
{
	return source->gone || (source->started && !source->live && source->end >= 0);
}

static int
compare_instants(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x == y ? 0 : x > y ? -1 : 1;
}

/* The latest journals that are over are named, so many at the most. */
static int64_t
shorten(const struct feed *feed, int64_t horizon, int64_t latest)
{
	AUTO_FREE int64_t *ends = xcalloc(feed->recent_count + 1, sizeof *ends);
	size_t n = 0;

	for (size_t i = 0; i < feed->recent_count; i++)
		if (is_over(feed->recent[i]) && feed->recent[i]->mtime >= horizon)
			ends[n++] = feed->recent[i]->mtime;
	if (n <= NAMED_MAX)
		return horizon;
	qsort(ends, n, sizeof *ends, compare_instants);
	if (ends[NAMED_MAX] + 1 < latest)
		latest = ends[NAMED_MAX] + 1;
	return latest > horizon ? latest : horizon;
}

/* It never goes back: what lay behind it is not named any more. */
static void
move_horizon(struct feed *feed)
{
	int64_t base = feed->until, last, horizon;

	if (!feed->ended && !feed->any)
		return;
	if (!feed->ended && clock_parse(feed->last, 0, &last) == 0 && last < base)
		base = last;
	horizon = shorten(feed, base - WINDOW, base - WINDOW_MIN);
	if (horizon > feed->horizon)
		feed->horizon = horizon;
}

/* Takes in what was opened since, and leaves out what lies behind the horizon. */
static void
refresh_recent(struct feed *feed)
{
	size_t kept = 0;

	for (; feed->next < feed->merge.next; feed->next++)
		if (feed->merge.sources[feed->next]->in_use == 0)
			add_recent(feed, feed->merge.sources[feed->next]);
	move_horizon(feed);
	for (size_t i = 0; i < feed->recent_count; i++) {
		struct merge_source *source = feed->recent[i];

		if (!source->gone &&
		    (!is_over(source) || source->mtime >= feed->horizon ||
			source->begin >= feed->horizon))
			feed->recent[kept++] = source;
	}
	feed->recent_count = kept;
}

int
feed_cursor(struct feed *feed, struct buf *text)
{
	int result;

	refresh_recent(feed);
	buf_clear(text);
	result =
	    buf_addf(text, "%" PRId64 ".%06" PRId64, feed->horizon / USEC, feed->horizon % USEC);
	for (size_t i = 0; i < feed->recent_count && result == 0; i++)
		result =
		    buf_addf(text, "~%s-%" PRId64, feed->recent[i]->token, feed->recent[i]->at);
	return result;
}
