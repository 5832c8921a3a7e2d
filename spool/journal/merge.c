#include "spool/journal/merge.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"

#define LINE_HEAD "{\"t\":\""
#define EVENT_HEAD "\",\"event\":\""
#define EVENT_AT (LINE_TIME_AT + LINE_TIME_LEN + sizeof(EVENT_HEAD) - 1)

/* So many are open at once; of more that overlap, those are opened again whose turn comes. */
#define OPEN_MAX ((size_t)32)

/* What was written longer ago than this is on disk, whoever wrote it. */
#define SYNC_AGE (3600 * USEC)

struct merge_reading {
	int fd;
	struct journal_reader reader;
	const char *line; /* the one at at */
	size_t len;
	enum event event;
};

/* ---- lines and tokens -------------------------------------------------------------------- */

enum event
line_event(const char *line, size_t len)
{
	char word[16];
	const char *end;
	size_t n;

	if (len <= EVENT_AT || memcmp(line, LINE_HEAD, LINE_TIME_AT) != 0 ||
	    memcmp(line + LINE_TIME_AT + LINE_TIME_LEN, EVENT_HEAD, sizeof(EVENT_HEAD) - 1) != 0)
		return EVENT_COUNT;
	n = len - EVENT_AT < sizeof word ? len - EVENT_AT : sizeof word;
	end = memchr(line + EVENT_AT, '"', n);
	if (end == NULL)
		return EVENT_COUNT;
	n = (size_t)(end - line) - EVENT_AT;
	memcpy(word, line + EVENT_AT, n);
	word[n] = '\0';
	return event_parse(word);
}

int
token_parse(const char *text, size_t len, char ret[TOKEN_SIZE], int64_t *ret_begin)
{
	char token[TOKEN_SIZE], instant[TOKEN_SIZE];
	size_t seconds, micros;

	if (len >= sizeof token)
		return -1;
	memcpy(token, text, len);
	token[len] = '\0';
	seconds = strspn(token, "0123456789");
	if (seconds == 0 || token[seconds] != '.')
		return -1;
	micros = strspn(token + seconds + 1, "0123456789");
	if (micros != 6 || token[seconds + 7] != '.' || token[seconds + 8] == '\0' ||
	    token[seconds + 8 +
		strspn(token + seconds + 8, "0123456789abcdefghijklmnopqrstuvwxyz")] != '\0')
		return -1;
	memcpy(instant, token, seconds + 7);
	instant[seconds + 7] = '\0';
	if (instant_parse(instant, ret_begin) < 0)
		return -1;
	memcpy(ret, token, len + 1);
	return 0;
}

bool
journal_is_live(const struct spool *spool, const char *token, int fd)
{
	char cur[TOKEN_SIZE + 16];

	snprintf(cur, sizeof cur, "%s/journal", token);
	if (faccessat(spool->cur, cur, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return true;
	if (flock(fd, LOCK_SH | LOCK_NB) < 0)
		return true;
	/* A recovery that takes it back to cur/ from here on finds it locked by us. */
	return faccessat(spool->cur, cur, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* ---- sources ----------------------------------------------------------------------------- */

static int
compare_sources(const void *a, const void *b)
{
	const struct merge_source *x = *(struct merge_source *const *)a;
	const struct merge_source *y = *(struct merge_source *const *)b;
	int by_token;

	if (x->begin != y->begin)
		return x->begin < y->begin ? -1 : 1;
	by_token = strcmp(x->token, y->token);
	if (by_token != 0)
		return by_token;
	return x->mark == y->mark ? 0 : x->mark > y->mark ? -1 : 1;
}

static void
push(struct merge_source ***list, size_t *count, size_t *room, struct merge_source *source)
{
	if (*count == *room) {
		*room = *room > 0 ? 2 * *room : 32;
		*list = xreallocarray(*list, *room, sizeof **list);
	}
	(*list)[(*count)++] = source;
}

void
merge_add(struct merge *merge, const char *token, int64_t begin, int64_t mark)
{
	struct merge_source *source = xcalloc(1, sizeof *source);

	snprintf(source->token, sizeof source->token, "%s", token);
	source->begin = begin;
	source->mark = source->at = mark;
	source->synced = -1;
	push(&merge->added, &merge->added_count, &merge->added_room, source);
}

static void
close_reading(struct merge *merge, struct merge_source *source)
{
	if (source->reading == NULL)
		return;
	journal_reader_release(&source->reading->reader);
	auto_close_fd(&source->reading->fd);
	free(source->reading);
	source->reading = NULL;
	merge->open_count--;
}

/* What was added takes the place of what was known, which goes on where it is. */
static struct merge_source *
join(struct merge_source *known, struct merge_source *added)
{
	if (known->in_use == 0 && known->mark != added->mark)
		known->mark = known->at = added->mark;
	free(added);
	return known;
}

static void
end_pass(struct merge *merge)
{
	for (size_t i = 0; i < merge->count; i++)
		close_reading(merge, merge->sources[i]);
	merge->active_count = merge->next = 0;
	merge->given = NULL;
}

void
merge_begin(struct merge *merge, int64_t until)
{
	struct merge_source **known = merge->sources;
	size_t known_count = merge->count, k = 0;

	end_pass(merge);
	merge->sources = NULL;
	merge->count = merge->room = 0;
	if (merge->added_count > 1)
		qsort(merge->added, merge->added_count, sizeof(struct merge_source *),
		    compare_sources);
	for (size_t i = 0; i < merge->added_count; i++) {
		struct merge_source *one = merge->added[i];
		struct merge_source *last =
		    merge->count > 0 ? merge->sources[merge->count - 1] : NULL;

		if (last != NULL && strcmp(last->token, one->token) == 0) {
			if (merge->twice != NULL)
				merge->twice(one->token, one->mark, merge->arg);
			free(one);
			continue;
		}
		while (k < known_count && compare_sources(&known[k], &one) < 0 &&
		    strcmp(known[k]->token, one->token) != 0) {
			if (known[k]->in_use > 0)
				push(&merge->sources, &merge->count, &merge->room, known[k]);
			else
				free(known[k]);
			k++;
		}
		if (k < known_count && strcmp(known[k]->token, one->token) == 0)
			one = join(known[k++], one);
		push(&merge->sources, &merge->count, &merge->room, one);
	}
	for (; k < known_count; k++)
		if (known[k]->in_use > 0)
			push(&merge->sources, &merge->count, &merge->room, known[k]);
		else
			free(known[k]);
	free(known);
	merge->added_count = 0;
	for (size_t i = 0; i < merge->count; i++) {
		struct merge_source *source = merge->sources[i];

		source->started = source->gone = source->live = false;
		source->end = source->limit = -1;
	}
	clock_iso_usec(until, merge->until);
}

void
merge_rewind(struct merge *merge, struct merge_source *source)
{
	close_reading(merge, source);
	source->at = source->mark;
	source->end = -1;
}

void
merge_release(struct merge *merge)
{
	end_pass(merge);
	for (size_t i = 0; i < merge->count; i++)
		free(merge->sources[i]);
	for (size_t i = 0; i < merge->added_count; i++)
		free(merge->added[i]);
	free(merge->sources);
	free(merge->added);
	free(merge->active);
	merge->sources = merge->added = merge->active = NULL;
	merge->count = merge->added_count = merge->active_room = merge->added_room = 0;
}

/* ---- reading ----------------------------------------------------------------------------- */

/* Whether a line may be given in this pass. */
static bool
is_in_time(const struct merge *merge, const char *time)
{
	char now[CLOCK_TEXT_SIZE];

	if (memcmp(time, merge->until, LINE_TIME_LEN) < 0)
		return true;
	return memcmp(time, clock_iso_usec(clock_now(), now), LINE_TIME_LEN) > 0;
}

/* Finds the next line that is wanted: 1.  0: there is none for this pass; -1 with errno. */
static int
advance(struct merge *merge, struct merge_source *source)
{
	struct merge_reading *reading = source->reading;
	const char *line;
	int64_t offset;
	size_t len;
	int result;

	while ((result = journal_next(&reading->reader, &line, &len, &offset)) == 1) {
		enum event event;

		/* Too long; or unfinished, behind which nothing comes. */
		if (line == NULL)
			continue;
		/* It came since, and is perhaps not on disk. */
		if (offset + (int64_t)len >= source->limit)
			break;
		event = line_event(line, len);
		if (event == EVENT_COUNT || (merge->events & UINT64_C(1) << event) == 0) {
			source->at = offset + (int64_t)len + 1;
			continue;
		}
		source->at = offset;
		if (!is_in_time(merge, line + LINE_TIME_AT))
			return 0;
		memcpy(source->time, line + LINE_TIME_AT, LINE_TIME_LEN);
		source->time[LINE_TIME_LEN] = '\0';
		reading->line = line;
		reading->len = len;
		reading->event = event;
		return 1;
	}
	if (result < 0)
		return -1;
	source->end = source->limit;
	return 0;
}

/* The one whose turn is farthest away gives up its descriptor. */
static void
make_room(struct merge *merge)
{
	struct merge_source *last = NULL;

	if (merge->open_count < OPEN_MAX)
		return;
	for (size_t i = 0; i < merge->active_count; i++) {
		struct merge_source *one = merge->active[i];

		if (one->reading != NULL && one != merge->given &&
		    (last == NULL || memcmp(one->time, last->time, LINE_TIME_LEN) > 0))
			last = one;
	}
	if (last != NULL)
		close_reading(merge, last);
}

/* Lines are synced before they are given, as far as they may not be on disk yet. */
static int
take_size(struct merge *merge, struct merge_source *source, int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -1;
	if (!S_ISREG(st.st_mode)) {
		errno = EINVAL;
		return -1;
	}
	source->mtime = st.st_mtim.tv_sec * USEC + st.st_mtim.tv_nsec / 1000;
	source->limit = st.st_size;
	if (merge->spool->read_only || source->synced == st.st_size ||
	    (!source->live && source->mtime < clock_now() - SYNC_AGE))
		return 0;
	if (fdatasync(fd) < 0)
		return -1;
	source->synced = st.st_size;
	return 0;
}

/* Opens it, for the first time in this pass or again: 1.  0: it has no line to be given; -1 with errno. */
static int
open_source(struct merge *merge, struct merge_source *source)
{
	AUTO_FD int fd = -1;
	bool first = !source->started;
	int result;

	make_room(merge);
	source->started = true;
	fd = merge->open(source, merge->arg);
	source->gone = fd < 0 && errno == ENOENT;
	if (fd < 0)
		return source->gone ? 0 : -1;
	if (first) {
		source->live = journal_is_live(merge->spool, source->token, fd);
		flock(fd, LOCK_UN);
		if (take_size(merge, source, fd) < 0)
			return -1;
	}
	source->reading = xcalloc(1, sizeof *source->reading);
	source->reading->fd = take_fd(&fd);
	journal_reader_init(&source->reading->reader, source->reading->fd, source->at);
	merge->open_count++;
	result = advance(merge, source);
	if (result <= 0)
		close_reading(merge, source);
	return result;
}

static void
drop_active(struct merge *merge, struct merge_source *source)
{
	for (size_t i = 0; i < merge->active_count; i++)
		if (merge->active[i] == source) {
			merge->active[i] = merge->active[--merge->active_count];
			return;
		}
}

/* Whether the next source begins before this line, or there is no line. */
static bool
next_is_due(const struct merge *merge, const struct merge_source *first)
{
	char begin[CLOCK_TEXT_SIZE];

	if (merge->next == merge->count)
		return false;
	if (first == NULL)
		return true;
	clock_iso_usec(merge->sources[merge->next]->begin, begin);
	return memcmp(begin, first->time, LINE_TIME_LEN) <= 0;
}

static struct merge_source *
first_active(const struct merge *merge)
{
	struct merge_source *first = NULL;

	for (size_t i = 0; i < merge->active_count; i++) {
		struct merge_source *one = merge->active[i];
		int by_time = first == NULL ? -1 : memcmp(one->time, first->time, LINE_TIME_LEN);

		if (by_time < 0 || (by_time == 0 && compare_sources(&one, &first) < 0))
			first = one;
	}
	return first;
}

/* Behind the line that was given.  -1 with errno. */
static int
step(struct merge *merge)
{
	struct merge_source *source = merge->given;
	int result;

	merge->given = NULL;
	if (source == NULL || source->reading == NULL || (result = advance(merge, source)) > 0)
		return 0;
	close_reading(merge, source);
	drop_active(merge, source);
	return result;
}

/* The source whose turn it is, open: 1; 0: there is none; -1 with errno. */
static int
choose(struct merge *merge, struct merge_source **ret)
{
	for (;;) {
		struct merge_source *first = first_active(merge), *one = first;
		bool new = next_is_due(merge, first);
		int result;

		if (!new &&first == NULL)
			return 0;
		*ret = first;
		if (!new && first->reading != NULL)
			return 1;
		if (new)
			one = merge->sources[merge->next++];
		result = open_source(merge, one);
		if (result > 0 && new)
			push(&merge->active, &merge->active_count, &merge->active_room, one);
		if (result <= 0 && !new)
			drop_active(merge, one);
		if (result < 0)
			return -1;
	}
}

int
merge_next(struct merge *merge, struct merge_line *ret)
{
	struct merge_source *source;
	int result;

	while (step(merge) == 0) {
		result = choose(merge, &source);
		if (result <= 0)
			return result;
		*ret = (struct merge_line){ .text = source->reading->line,
			.len = source->reading->len,
			.event = source->reading->event,
			.value = json_parse(source->reading->line, source->reading->len, 1, NULL),
			.source = source };
		source->at += (int64_t)ret->len + 1;
		merge->given = source;
		if (json_kind(ret->value) == JSON_OBJECT)
			return 1;
		json_free(ret->value);
	}
	return -1;
}
