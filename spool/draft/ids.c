/* What the records of a draft say of it, when the directories cannot be believed: see draft_roll_back(). */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "spool/draft/private.h"
#include "spool/journal/history.h"
#include "spool/store/walk.h"

static int
compare(const void *a, const void *b)
{
	return strcmp(((const struct draft_id *)a)->encoded, ((const struct draft_id *)b)->encoded);
}

static struct draft_id *
find(const struct draft_ids *ids, const char *encoded)
{
	struct draft_id key;

	if (ids->count == 0 || strlen(encoded) > ID_TEXT_MAX)
		return NULL;
	snprintf(key.encoded, sizeof key.encoded, "%s", encoded);
	return bsearch(&key, ids->v, ids->count, sizeof key, compare);
}

void
draft_ids_release(struct draft_ids *ids)
{
	free(ids->v);
	*ids = (struct draft_ids){ 0 };
}

/* The record at offset: 1, and where the next one begins; 0 where there is none that is whole. */
static int
read_one(struct draft_ids *ids, int fd, off_t size, off_t *offset)
{
	AUTO_BUF struct buf head = BUF_INIT(RECORD_MAX);
	char line[RECORD_FIRST_LINE];
	struct record record = { 0 };
	struct text_facts facts;
	struct draft_id *one;
	size_t length;

	if (size - *offset < (off_t)sizeof line)
		return 0;
	/* Not read: its id is not known, and stays. */
	if (fs_pread(fd, line, sizeof line, *offset) < 0)
		return errno == ENODATA ? 0 : -1;
	length = record_size(line, &facts);
	/* Ids are taken when all is written: a draft that is cut off has none behind that. */
	if (length == 0 || (off_t)length > size - *offset)
		return 0;
	if (buf_reserve(&head, length) < 0)
		return 0;
	if (fs_pread(fd, head.s, length, *offset) < 0)
		return errno == ENODATA ? 0 : -1;
	if (record_unpack(head.s, length, &record, NULL) < 0)
		return 0;
	if (ids->count == ids->room) {
		ids->room = ids->room > 0 ? 2 * ids->room : 1;
		ids->v = xreallocarray(ids->v, ids->room, sizeof *ids->v);
	}
	one = &ids->v[ids->count];
	one->published = false;
	if (name_encode(record.id, ID_TEXT_MAX, one->encoded) == 0)
		ids->count++;
	record_release(&record);
	if (facts.length > (uint64_t)(size - *offset) - length)
		return 0;
	*offset += (off_t)length + (off_t)facts.length;
	return 1;
}

int
draft_ids_read(struct draft_ids *ids, int fd)
{
	off_t offset = 0;
	struct stat st;
	int result;

	if (fstat(fd, &st) < 0)
		return -1;
	ids->inode = st.st_ino;
	while ((result = read_one(ids, fd, st.st_size, &offset)) > 0)
		;
	if (ids->count > 1)
		qsort(ids->v, ids->count, sizeof *ids->v, compare);
	return result;
}

bool
draft_ids_are_many(const struct draft_ids *ids, int fd)
{
	struct stat st;

	return ids->count > 1 || fstat(fd, &st) < 0 || st.st_nlink > 1;
}

/* A name in the queue, if it is one of this very file. */
static int
note_place(const struct place *place, void *arg)
{
	const struct draft_ids *ids = arg;
	struct draft_id *one = find(ids, place->name.id);
	struct stat st;

	if (one != NULL && !one->published &&
	    fstatat(place->dir, place->text, &st, AT_SYMLINK_NOFOLLOW) == 0)
		one->published = st.st_ino == ids->inode;
	return 0;
}

static int
note_line(const char *text, size_t len, const struct json *value, void *arg)
{
	const char *id = json_string(json_get(value, "id"));
	char encoded[ID_TEXT_MAX + 1];
	struct draft_id *one;

	(void)text;
	(void)len;
	if (id == NULL || name_encode(id, ID_TEXT_MAX, encoded) < 0)
		return 0;
	one = find(arg, encoded);
	if (one != NULL)
		one->published = true;
	return 0;
}

int
draft_ids_look(struct draft_ids *ids, struct spool *spool, const char *token)
{
	struct walk_filter all = { .state = STATE_NONE };
	struct history_filter since = { .since = strtoll(token, NULL, 10) * USEC };

	if (ids->count == 0)
		return 0;
	if (walk(spool, &all, note_place, ids, NULL) < 0 ||
	    history_read(spool, &since, note_line, ids, NULL) < 0) {
		errno = EIO;
		return -1;
	}
	return 0;
}

bool
draft_ids_published(const struct draft_ids *ids, const char *encoded)
{
	const struct draft_id *one = find(ids, encoded);

	return one != NULL && one->published;
}

int
draft_ids_give_up(const struct draft_ids *ids, struct spool *spool, const char *token)
{
	int result = 0;

	for (size_t i = 0; i < ids->count; i++)
		if (!ids->v[i].published && id_give_up(spool, ids->v[i].encoded, token) < 0)
			result = -1;
	return result;
}
