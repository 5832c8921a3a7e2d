/*
 * reports/again/: reports that the application has rejected, and what followed them for the same messages.
 *
 * Each file holds lines as they stood in a journal, all of them told and rejected as often as its name says.  The
 * order of the files, by more attempts, then by age, keeps each message's lines in theirs: a later line is told only
 * with or after the earlier ones, and is rejected whenever it was told with one that is; so it never has more
 * attempts than they, and if as many, it was written with or after them.
 *
 * What the application fails with stands in files of its own, and each of their lines is told alone, when all others
 * have been.  It gets there with all lines of its message that were given with it, and leaves it only when it is heard
 * or dead; later lines of its message are held back until then.  So in this kind of file a message's lines come before
 * those in others, and in the same order.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "spool/report/private.h"

/* ---- ids --------------------------------------------------------------------------------- */

uint64_t
again_hash(const char *id)
{
	uint64_t hash = UINT64_C(14695981039346656037); /* FNV-1a */

	for (const char *p = id; *p != '\0'; p++)
		hash = (hash ^ (unsigned char)*p) * UINT64_C(1099511628211);
	hash ^= hash >> 32;
	return hash != 0 ? hash : 1;
}

static struct id_count *
slot_of(struct id_count *slots, size_t count, uint64_t hash)
{
	size_t i = (size_t)hash & (count - 1);

	while (slots[i].hash != 0 && slots[i].hash != hash)
		i = (i + 1) & (count - 1);
	return &slots[i];
}

struct id_count *
again_find(const struct again *again, uint64_t hash)
{
	struct id_count *slot;

	if (again->id_slots == 0)
		return NULL;
	slot = slot_of(again->ids, again->id_slots, hash);
	return slot->hash != 0 ? slot : NULL;
}

static void
grow(struct again *again)
{
	size_t count = again->id_slots > 0 ? 2 * again->id_slots : 1024;
	struct id_count *slots = xcalloc(count, sizeof *slots);

	for (size_t i = 0; i < again->id_slots; i++)
		if (again->ids[i].hash != 0)
			*slot_of(slots, count, again->ids[i].hash) = again->ids[i];
	free(again->ids);
	again->ids = slots;
	again->id_slots = count;
}

struct id_count *
again_count(struct again *again, uint64_t hash)
{
	struct id_count *slot;

	if (2 * (again->id_count + 1) > again->id_slots)
		grow(again);
	slot = slot_of(again->ids, again->id_slots, hash);
	if (slot->hash == 0) {
		slot->hash = hash;
		again->id_count++;
	}
	return slot;
}

/* ---- segments ---------------------------------------------------------------------------- */

static int
open_segment(const struct again *again, const struct segment *segment)
{
	char name[REPORTS_NAME_SIZE];

	segment_name_format(segment->token, segment->attempts, segment->alone, name);
	return fs_open(again->dir, name, O_RDONLY, 0);
}

struct collecting {
	struct again *again;
	size_t room;
	int dir;
};

static int
add_segment(const char *name, unsigned char type, void *arg)
{
	struct collecting *collecting = arg;
	struct again *again = collecting->again;
	struct report_name parsed;

	/* What fs_replace_file() left: who writes here has the lock, and that is us. */
	if (name[0] == '.' && type == DT_REG)
		unlinkat(collecting->dir, name, 0);
	if ((type != DT_REG && type != DT_UNKNOWN) || segment_name_parse(name, &parsed) < 0)
		return 0;
	if (again->count == collecting->room) {
		collecting->room = collecting->room > 0 ? 2 * collecting->room : 16;
		again->segments =
		    xreallocarray(again->segments, collecting->room, sizeof *again->segments);
	}
	again->segments[again->count] =
	    (struct segment){ .attempts = (unsigned int)parsed.number, .alone = parsed.alone };
	memcpy(again->segments[again->count++].token, parsed.token, sizeof parsed.token);
	return 0;
}

static int
compare_segments(const void *a, const void *b)
{
	const struct segment *x = a, *y = b;

	if (x->alone != y->alone)
		return x->alone ? 1 : -1;
	if (x->attempts != y->attempts)
		return x->attempts > y->attempts ? -1 : 1;
	return strcmp(x->token, y->token);
}

struct counting {
	struct again *again;
	bool alone;
};

static int
count_line(const char *line, size_t len, void *arg)
{
	const struct counting *counting = arg;
	struct again *again = counting->again;
	AUTO_JSON struct json *value = json_parse(line, len, 1, NULL);
	const char *id = json_string(json_get(value, "id"));

	if (id != NULL && counting->alone)
		again_count(again, again_hash(id))->alone++;
	else if (id != NULL)
		again_count(again, again_hash(id))->lines++;
	/* Past that, order is kept by telling nothing else. */
	return ++again->lines > AGAIN_LINES_MAX;
}

/* Those that are told alone first: nothing of their messages is to pass them, also where there is too much. */
static int
count_lines(struct again *again)
{
	for (size_t i = again->count; i-- > 0;) {
		struct counting counting = { again, again->segments[i].alone };
		AUTO_FD int fd = open_segment(again, &again->segments[i]);
		int result = fd < 0 ? -1 : reports_each_line(fd, 0, count_line, &counting);

		if (result > 0)
			return 0;
		if (result < 0 && (fd >= 0 || errno != ENOENT))
			return -1;
	}
	return 0;
}

int
again_open(struct again *again, int reports, struct err *err)
{
	struct collecting collecting = { .again = again };
	AUTO_FD int listed = -1;

	again->dir = reports_open_part(reports, REPORTS_AGAIN, false);
	if (again->dir < 0 && errno == ENOENT)
		return 0;
	listed = again->dir < 0 ? -1 : fs_open_dir(again->dir, ".");
	collecting.dir = listed;
	if (listed < 0 || fs_each(listed, add_segment, &collecting) < 0)
		return err_io(err, REPORTS_DIRECTORY "/" REPORTS_AGAIN);
	if (again->count > 1)
		qsort(again->segments, again->count, sizeof *again->segments, compare_segments);
	if (count_lines(again) < 0)
		return err_io(err, REPORTS_DIRECTORY "/" REPORTS_AGAIN);
	return 0;
}

static void
close_segment(struct again *again)
{
	if (again->fd < 0)
		return;
	journal_reader_release(&again->reader);
	auto_close_fd(&again->fd);
}

void
again_release(struct again *again)
{
	close_segment(again);
	auto_close_fd(&again->dir);
	free(again->segments);
	free(again->ids);
}

int
again_next(struct again *again, bool alone, const char **ret_line, size_t *ret_len,
    size_t *ret_segment)
{
	for (; again->next < again->count && again->segments[again->next].alone == alone;
	     again->next++) {
		struct segment *segment = &again->segments[again->next];
		int64_t offset;
		int result;

		if (again->fd < 0) {
			again->fd = open_segment(again, segment);
			if (again->fd < 0 && errno != ENOENT)
				return -1;
			if (again->fd < 0)
				continue;
			journal_reader_init(&again->reader, again->fd, segment->start);
			again->at = segment->start;
		}
		while ((result = journal_next(&again->reader, ret_line, ret_len, &offset)) == 1) {
			if (*ret_line == NULL)
				continue;
			again->at = offset + (int64_t)*ret_len + 1;
			if (line_event(*ret_line, *ret_len) == EVENT_COUNT)
				continue;
			*ret_segment = again->next;
			return 1;
		}
		if (result < 0)
			return -1;
		close_segment(again);
	}
	return 0;
}

void
again_rewind(struct again *again, size_t segment)
{
	close_segment(again);
	again->next = segment;
}

void
again_leave(struct again *again, size_t segment)
{
	again->segments[segment].start = again->at;
}
