#include "spool/journal/history.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "spool/store/dirs.h"

/* Every line begins with {"t":"2026-11-21T07:38:00.123456Z","event":": so times are compared as text,
 * and most lines can be passed over without being parsed. */
#define LINE_HEAD "{\"t\":\""
#define EVENT_HEAD "\",\"event\":\""
#define TIME_LEN ((size_t)27)
#define TIME_AT (sizeof(LINE_HEAD) - 1)
#define EVENT_AT (TIME_AT + TIME_LEN + sizeof(EVENT_HEAD) - 1)

/* So many logs are read at the same time at the most; were there more that overlap, the order of
 * their lines would be that of the logs. */
#define OPEN_MAX ((size_t)128)

/* In a log that is larger, the first line that is wanted is searched for, as its lines are in order: but for
 * clocks that were set back by less than this. */
#define SEEK_MIN ((int64_t)1024 * 1024)
#define SEEK_BLOCK ((size_t)32 * 1024)
#define SEEK_GRACE (60 * USEC)

/* A log, or the journal of a runner. */
struct source {
	char *name; /* the file's, or of the runner's directory */
	int64_t begin;
	ino_t inode;
	int fd; /* -1: not opened yet */
};

/* One that is being read. */
struct reading {
	size_t source; /* which of the history's sources */
	int fd;
	struct journal_reader reader;
	const char *line; /* the present one */
	size_t len;
};

struct history {
	struct spool *spool;
	const struct history_filter *filter;
	char since[CLOCK_TEXT_SIZE], until[CLOCK_TEXT_SIZE]; /* "" for no bound */
	char seek[CLOCK_TEXT_SIZE];			     /* since, with grace */
	char encoded[ID_TEXT_MAX + 1];			     /* the id, as it stands in names */
	bool id_is_plain;				     /* it looks the same in any line */
	struct source *sources;				     /* sorted by begin */
	size_t count, room, next;			     /* those before next were opened */
	struct reading *readings[OPEN_MAX];
	size_t reading_count;
	struct err failure; /* the first journal that could not be read; code 0: none */
	int (*each)(const char *text, size_t len, const struct json *value, void *arg);
	void *arg;
};

/* ---- which logs -------------------------------------------------------------------------- */

static void
instant_text(int64_t instant, char text[CLOCK_TEXT_SIZE])
{
	text[0] = '\0';
	if (instant > 0)
		clock_iso_usec(instant, text);
}

/* When the writer of this log began, from the token that its name starts with. */
static int
begin_of(const char *name, int64_t *ret)
{
	int64_t begin;
	char text[TOKEN_SIZE];
	size_t n = strspn(name, "0123456789");

	if (n == 0 || name[n] != '.' || n + 7 >= sizeof text)
		return -1;
	n += 1 + strspn(name + n + 1, "0123456789");
	if (n >= sizeof text)
		return -1;
	memcpy(text, name, n);
	text[n] = '\0';
	if (clock_parse(text, 0, &begin) < 0)
		return -1;
	*ret = begin;
	return 0;
}

static void
add_source(struct history *history, const char *name, int64_t begin, int fd, ino_t inode)
{
	struct source *source;

	if (history->count == history->room) {
		history->room = history->room > 0 ? 2 * history->room : 32;
		history->sources =
		    xreallocarray(history->sources, history->room, sizeof *history->sources);
	}
	source = &history->sources[history->count++];
	*source = (struct source){ xstrdup(name), begin, inode, fd };
}

static bool
begins_too_late(const struct history *history, int64_t begin)
{
	return history->filter->until != 0 && begin > history->filter->until;
}

/* What cannot be read is told at the end, behind all that can. */
static void
note_failure(struct history *history, const char *name)
{
	if (history->failure.code == 0)
		err_io(&history->failure, "spool %s: the journal %s cannot be read",
		    history->spool->path, name);
}

/* A runner at work, or a dead one: its journal is opened at once, as it may move to log/. */
static int
look_at_runner(const char *name, unsigned char type, void *arg)
{
	struct history *history = arg;
	AUTO_FD int dir = -1;
	AUTO_FD int fd = -1;
	struct stat st;
	int64_t begin;

	(void)type;
	if (begin_of(name, &begin) < 0 || begins_too_late(history, begin))
		return 0;
	dir = fs_open_dir(history->spool->cur, name);
	if (dir < 0)
		return 0;
	fd = fs_open(dir, "journal", O_RDONLY, 0);
	if (fd < 0 && errno != ENOENT && !fs_is_foreign())
		note_failure(history, name);
	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		add_source(history, name, begin, take_fd(&fd), st.st_ino);
	return 0;
}

static int
look_at_log(const char *name, unsigned char type, void *arg)
{
	struct history *history = arg;
	const char *dot = strrchr(name, '.');
	struct stat st;
	int64_t begin;

	(void)type;
	if (dot == NULL ||
	    (strcmp(dot, ".log") != 0 &&
		(!history->filter->forgotten || strcmp(dot, HISTORY_OLD_SUFFIX) != 0)) ||
	    begin_of(name, &begin) < 0 || begins_too_late(history, begin))
		return 0;
	if (fstatat(history->spool->log, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	    !S_ISREG(st.st_mode))
		return 0;
	/* A second of grace: clocks of file systems lag behind a little. */
	if (history->filter->since != 0 && (st.st_mtim.tv_sec + 1) * USEC < history->filter->since)
		return 0;
	for (size_t i = 0; i < history->count; i++)
		if (history->sources[i].fd >= 0 && history->sources[i].inode == st.st_ino)
			return 0; /* met in cur/, and moved since */
	add_source(history, name, begin, -1, st.st_ino);
	return 0;
}

static int
compare_sources(const void *a, const void *b)
{
	const struct source *x = a, *y = b;

	if (x->begin != y->begin)
		return x->begin < y->begin ? -1 : 1;
	return strcmp(x->name, y->name);
}

static int
find_sources(struct history *history, struct err *err)
{
	AUTO_FD int cur = fs_open_dir(history->spool->root, "cur");
	AUTO_FD int log = fs_open_dir(history->spool->root, "log");

	if (cur < 0 || fs_each(cur, look_at_runner, history) < 0)
		return err_io(err, "spool %s: cur", history->spool->path);
	if (log < 0 || fs_each(log, look_at_log, history) < 0)
		return err_io(err, "spool %s: log", history->spool->path);
	if (history->count > 1)
		qsort(history->sources, history->count, sizeof *history->sources, compare_sources);
	return 0;
}

/* ---- which lines ------------------------------------------------------------------------- */

static bool
is_event(const char *line, size_t len, const char *word)
{
	size_t n = strlen(word);

	return len > EVENT_AT + n && memcmp(line + EVENT_AT, word, n) == 0 &&
	    line[EVENT_AT + n] == '"';
}

/* What can be said of a line without parsing it. */
static bool
may_pass(const struct history *history, const char *line, size_t len)
{
	if (len <= EVENT_AT || memcmp(line, LINE_HEAD, TIME_AT) != 0 ||
	    memcmp(line + TIME_AT + TIME_LEN, EVENT_HEAD, sizeof(EVENT_HEAD) - 1) != 0)
		return false;
	if (history->since[0] != '\0' && memcmp(line + TIME_AT, history->since, TIME_LEN) < 0)
		return false;
	if (history->until[0] != '\0' && memcmp(line + TIME_AT, history->until, TIME_LEN) > 0)
		return false;
	if (!history->filter->all &&
	    (is_event(line, len, "offered") || is_event(line, len, "dot") ||
		is_event(line, len, "begin")))
		return false;
	if (history->filter->contains != NULL &&
	    memmem(line, len, history->filter->contains, strlen(history->filter->contains)) == NULL)
		return false;
	return history->filter->id == NULL || !history->id_is_plain ||
	    memmem(line, len, history->filter->id, strlen(history->filter->id)) != NULL;
}

static bool
is_of_id(const struct history *history, const struct json *value)
{
	const char *id = json_string(json_get(value, "id"));
	const char *name = json_string(json_get(value, "name"));
	const struct json *ids = json_get(value, "ids");
	struct message_name parsed;

	if (id != NULL)
		return strcmp(id, history->filter->id) == 0;
	for (size_t i = 0; i < json_length(ids); i++) {
		id = json_string(json_at(ids, i));
		if (id != NULL && strcmp(id, history->filter->id) == 0)
			return true;
	}
	return name != NULL && message_name_parse(name, &parsed) == 0 &&
	    strcmp(parsed.id, history->encoded) == 0;
}

static int
give(struct history *history, const struct reading *reading)
{
	AUTO_JSON struct json *value = json_parse(reading->line, reading->len, 1, NULL);

	if (json_kind(value) != JSON_OBJECT ||
	    (history->filter->id != NULL && !is_of_id(history, value)))
		return 0;
	return history->each(reading->line, reading->len, value, history->arg);
}

/* ---- the first line ---------------------------------------------------------------------- */

/* The first line that begins in these bytes, behind the end of another: its place, or n. */
static size_t
first_line(const char *bytes, size_t n)
{
	const char *newline = memchr(bytes, '\n', n);
	size_t at = newline != NULL ? (size_t)(newline + 1 - bytes) : n;

	if (n - at < TIME_AT + TIME_LEN || memcmp(bytes + at, LINE_HEAD, TIME_AT) != 0)
		return n;
	return at;
}

/* An offset at which a line begins, and before which none is wanted. */
static int64_t
seek(const struct history *history, int fd)
{
	AUTO_FREE char *block = NULL;
	int64_t low = 0, high;
	struct stat st;

	if (history->seek[0] == '\0' || fstat(fd, &st) < 0 || st.st_size < SEEK_MIN)
		return 0;
	block = xmalloc(SEEK_BLOCK);
	for (high = st.st_size; high - low > (int64_t)SEEK_BLOCK;) {
		int64_t middle = low + (high - low) / 2;
		ssize_t got = pread(fd, block, SEEK_BLOCK, middle);
		size_t n = got > 0 ? (size_t)got : 0, at = first_line(block, n);

		/* Where no line is to be seen, reading begins before it. */
		if (at < n && memcmp(block + at + TIME_AT, history->seek, TIME_LEN) < 0)
			low = middle + (int64_t)at;
		else
			high = middle;
	}
	return low;
}

/* ---- merging ----------------------------------------------------------------------------- */

static void
close_reading(struct history *history, size_t i)
{
	struct reading *reading = history->readings[i];

	journal_reader_release(&reading->reader);
	auto_close_fd(&reading->fd);
	free(reading);
	history->readings[i] = history->readings[--history->reading_count];
}

/* Moves to the next line that may pass; at the end, or where it cannot be read, closes. */
static void
advance(struct history *history, size_t i)
{
	struct reading *reading = history->readings[i];
	int64_t offset;
	int result;

	while (
	    (result = journal_next(&reading->reader, &reading->line, &reading->len, &offset)) == 1)
		if (reading->line != NULL && may_pass(history, reading->line, reading->len))
			return;
	if (result < 0)
		note_failure(history, history->sources[reading->source].name);
	close_reading(history, i);
}

static void
open_next(struct history *history)
{
	size_t number = history->next++;
	struct source *source = &history->sources[number];
	struct reading *reading;

	if (source->fd < 0)
		source->fd = fs_open(history->spool->log, source->name, O_RDONLY, 0);
	if (source->fd < 0 && errno != ENOENT && !fs_is_foreign())
		note_failure(history, source->name);
	if (source->fd < 0)
		return; /* forgotten by now */
	reading = xcalloc(1, sizeof *reading);
	reading->source = number;
	reading->fd = take_fd(&source->fd);
	journal_reader_init(&reading->reader, reading->fd, seek(history, reading->fd));
	history->readings[history->reading_count++] = reading;
	advance(history, history->reading_count - 1);
}

/* Whether the next source begins before this line, or there is no line. */
static bool
comes_first(const struct history *history, const struct reading *reading)
{
	char begin[CLOCK_TEXT_SIZE];

	if (history->next == history->count || history->reading_count == OPEN_MAX)
		return false;
	if (reading == NULL)
		return true;
	clock_iso_usec(history->sources[history->next].begin, begin);
	return memcmp(begin, reading->line + TIME_AT, TIME_LEN) <= 0;
}

/* By time; at the same microsecond the journal that began first comes first, as in spool/journal/merge.c. */
static bool
is_before(const struct reading *a, const struct reading *b)
{
	int by_time = memcmp(a->line + TIME_AT, b->line + TIME_AT, TIME_LEN);

	return by_time < 0 || (by_time == 0 && a->source < b->source);
}

static int
merge(struct history *history)
{
	int result = 0;

	while (result == 0) {
		size_t first = 0;

		for (size_t i = 1; i < history->reading_count; i++)
			if (is_before(history->readings[i], history->readings[first]))
				first = i;
		if (comes_first(history,
			history->reading_count > 0 ? history->readings[first] : NULL)) {
			open_next(history);
			continue;
		}
		if (history->reading_count == 0)
			break;
		result = give(history, history->readings[first]);
		advance(history, first);
	}
	while (history->reading_count > 0)
		close_reading(history, 0);
	return result;
}

int
history_read(struct spool *spool, const struct history_filter *filter,
    int (*each)(const char *text, size_t len, const struct json *value, void *arg), void *arg,
    struct err *err)
{
	struct history history = { .spool = spool, .filter = filter, .each = each, .arg = arg };
	int result;

	if (filter->id != NULL) {
		if (name_encode(filter->id, ID_TEXT_MAX, history.encoded) < 0)
			return 0; /* of no message */
		history.id_is_plain = strcmp(history.encoded, filter->id) == 0;
	}
	instant_text(filter->since, history.since);
	instant_text(filter->since - SEEK_GRACE, history.seek);
	instant_text(filter->until, history.until);
	result = find_sources(&history, err);
	if (result == 0)
		result = merge(&history);
	if (result == 0 && history.failure.code != 0)
		result = err_set(err, history.failure.code, "%s", history.failure.msg);
	for (size_t i = 0; i < history.count; i++) {
		auto_close_fd(&history.sources[i].fd);
		free(history.sources[i].name);
	}
	free(history.sources);
	return result;
}
