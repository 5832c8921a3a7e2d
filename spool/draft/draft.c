#include "spool/draft/draft.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "spool/draft/private.h"

#define WRITE_BUFFER (64u * 1024)

struct draft *
draft_begin_in_memory(struct spool *spool, size_t keep)
{
	struct draft *draft = xcalloc(1, sizeof *draft);

	draft->spool = spool;
	draft->fd = -1;
	draft->sum = checksum_begin();
	draft->keep = keep > WRITE_BUFFER ? keep : WRITE_BUFFER;
	buf_init(&draft->pending, RECORD_MAX + WRITE_BUFFER + draft->keep);
	return draft;
}

struct draft *
draft_begin(struct spool *spool)
{
	return draft_begin_in_memory(spool, WRITE_BUFFER);
}

/* Makes the draft's file and holds its lock; a recovery that was faster with the lock has removed
 * the file, and the next token is tried. */
static int
open_file(struct draft *draft, struct err *err)
{
	for (int attempt = 0; attempt < 100; attempt++) {
		struct stat st;

		token_make(draft->token);
		draft->fd =
		    fs_open(draft->spool->tmp, draft->token, O_RDWR | O_CREAT | O_EXCL, 0660);
		if (draft->fd < 0 && errno == EEXIST)
			continue;
		if (draft->fd < 0)
			return err_io(err, "spool %s: cannot write in tmp", draft->spool->path);
		if (fs_lock(draft->fd, 0) == 0 && fstat(draft->fd, &st) == 0 && st.st_nlink > 0)
			return 0;
		auto_close_fd(&draft->fd);
	}
	return err_set(err, EX_TEMPFAIL, "spool %s: cannot keep a file in tmp", draft->spool->path);
}

static int
flush(struct draft *draft, struct err *err)
{
	if (draft->pending.len == 0)
		return 0;
	if (draft->fd < 0 && open_file(draft, err) < 0)
		return -1;
	if (fs_write(draft->fd, draft->pending.s, draft->pending.len) < 0)
		return err_io(err, "spool %s: cannot write a message", draft->spool->path);
	draft->flushed += draft->pending.len;
	buf_clear(&draft->pending);
	return 0;
}

static int
name_fault(struct err *err, const char *field, size_t max)
{
	if (errno == EINVAL)
		return err_set(err, EX_DATAERR, "%s: must not be empty", field);
	return err_set(err, EX_DATAERR,
	    "%s: over its limit of %zu bytes (a byte other than letters, digits and -_@=+. counts "
	    "three)",
	    field, max);
}

/* Fills the entry's names from the record. */
static int
name_entry(struct draft *draft, struct entry *entry, const struct record *record, struct err *err)
{
	char account[LANE_PART_MAX + 1];

	if (record->id == NULL) {
		id_make(entry->name.id);
		entry->made_up = true;
	} else if (name_encode(record->id, ID_TEXT_MAX, entry->name.id) < 0) {
		return name_fault(err, "id", ID_TEXT_MAX);
	}
	if (name_encode(record->account, LANE_PART_MAX, account) < 0)
		return name_fault(err, "account_id", LANE_PART_MAX);
	if (lane_format(record->account, record->batch, NULL, entry->lane) < 0)
		return name_fault(err, "batch_code", LANE_PART_MAX);
	if (record->recipient_count > RECORD_RECIPIENTS_MAX)
		return err_set(err, EX_DATAERR,
		    "to: %zu recipients; the limit of one message is %d", record->recipient_count,
		    RECORD_RECIPIENTS_MAX);
	/* Strictly increasing within a draft: first in, first out. */
	entry->created = record->created != 0 ? record->created : clock_now();
	if (entry->created <= draft->last_created)
		entry->created = draft->last_created + 1;
	entry->state = record->due > entry->created ? STATE_DEFERRED : STATE_WAITING;
	entry->name.priority = record->priority;
	entry->name.due = entry->state == STATE_DEFERRED ? record->due : entry->created;
	entry->name.offset = draft->flushed + draft->pending.len;
	return 0;
}

static void
reserve_entry(struct draft *draft)
{
	if (draft->count < draft->room)
		return;
	draft->room = draft->room > 0 ? 2 * draft->room : 1;
	draft->entries = xreallocarray(draft->entries, draft->room, sizeof *draft->entries);
}

struct part_pins *
draft_pins(struct draft *draft)
{
	if (draft->pins == NULL)
		draft->pins = part_pins_new(draft->spool);
	return draft->pins;
}

/* Pins one, and notes that it is to be linked; neighbours mostly need the same. */
static int
need_part(struct draft *draft, const char *hash, struct err *err)
{
	int pinned = part_pin(draft_pins(draft), hash, err);

	if (pinned < 0)
		return -1;
	if (pinned == 0)
		return err_set(err, EX_NOINPUT, "spool %s: blobs/%s is not there",
		    draft->spool->path, hash);
	if (draft->hash_count > 0 && strcmp(draft->hashes[draft->hash_count - 1], hash) == 0)
		return 0;
	if (draft->hash_count == draft->hash_room) {
		draft->hash_room = draft->hash_room > 0 ? 2 * draft->hash_room : 4;
		draft->hashes =
		    xreallocarray(draft->hashes, draft->hash_room, sizeof *draft->hashes);
	}
	memcpy(draft->hashes[draft->hash_count++], hash, sizeof *draft->hashes);
	return 0;
}

static int
need_parts(struct draft *draft, const struct record *record, struct err *err)
{
	draft->hashes_before = draft->hash_count;
	for (size_t i = 0; i < record->piece_count; i++) {
		if (record->pieces[i].kind == PIECE_PART &&
		    need_part(draft, record->pieces[i].hash, err) < 0) {
			draft->hash_count = draft->hashes_before;
			return -1;
		}
	}
	return 0;
}

int
draft_message_begin(struct draft *draft, const struct record *record, struct err *err)
{
	struct record packed = *record;
	struct entry entry = { 0 };

	if (name_entry(draft, &entry, record, err) < 0 || need_parts(draft, record, err) < 0)
		return -1;
	if (record->id == NULL)
		packed.id = entry.name.id;
	packed.created = entry.created;
	if (record_pack(&packed, &draft->pending, err) < 0) {
		draft->hash_count = draft->hashes_before;
		return -1;
	}
	entry.has_pieces = record->piece_count > 0;
	entry.record_size = packed.size;
	entry.id = xstrdup(packed.id);
	reserve_entry(draft);
	draft->entries[draft->count] = entry;
	draft->writing = true;
	draft->last_created = entry.created;
	checksum_reset(draft->sum);
	checksum_add(draft->sum,
	    draft->pending.s + draft->pending.len - packed.size + RECORD_FIRST_LINE,
	    packed.size - RECORD_FIRST_LINE);
	return 0;
}

int
draft_write(struct draft *draft, const void *bytes, size_t n, struct err *err)
{
	struct entry *entry = &draft->entries[draft->count];

	checksum_add(draft->sum, bytes, n);
	entry->text_length += n;
	if (draft->pending.len + n > draft->keep && flush(draft, err) < 0)
		return -1;
	if (n <= draft->keep)
		return buf_add(&draft->pending, bytes, n) < 0 ? err_io(err, "draft") : 0;
	if (draft->fd < 0 && open_file(draft, err) < 0)
		return -1;
	if (fs_write(draft->fd, bytes, n) < 0)
		return err_io(err, "spool %s: cannot write a message", draft->spool->path);
	draft->flushed += n;
	return 0;
}

int
draft_message_end(struct draft *draft, const struct text_facts *facts, struct err *err)
{
	struct entry *entry = &draft->entries[draft->count];
	struct text_facts complete = *facts;
	char line[RECORD_FIRST_LINE + 1];

	if (entry->text_length == 0)
		return err_set(err, EX_DATAERR, "the message is empty");
	complete.length = entry->text_length;
	complete.checksum = checksum_value(draft->sum);
	record_first_line(entry->record_size, &complete, line);
	if (entry->name.offset >= draft->flushed) {
		memcpy(draft->pending.s + (entry->name.offset - draft->flushed), line,
		    RECORD_FIRST_LINE);
	} else if (fs_pwrite(draft->fd, line, RECORD_FIRST_LINE, (off_t)entry->name.offset) < 0) {
		return err_io(err, "spool %s: cannot write a message", draft->spool->path);
	}
	draft->has_pieces = draft->has_pieces || entry->has_pieces;
	draft->count++;
	draft->writing = false;
	return 0;
}

void
draft_message_drop(struct draft *draft)
{
	struct entry *entry = &draft->entries[draft->count];

	if (!draft->writing)
		return;
	draft->writing = false;
	draft->hash_count = draft->hashes_before;
	free(entry->id);
	if (entry->name.offset >= draft->flushed) {
		buf_truncate(&draft->pending, entry->name.offset - draft->flushed);
		return;
	}
	buf_clear(&draft->pending);
	draft->flushed = entry->name.offset;
	/* Should the cut fail, the rest lies behind the last message, where no name points to. */
	if (ftruncate(draft->fd, (off_t)draft->flushed) == 0)
		lseek(draft->fd, (off_t)draft->flushed, SEEK_SET);
}

bool
draft_is_in_memory(const struct draft *draft)
{
	return draft->fd < 0;
}

uint64_t
draft_size(const struct draft *draft)
{
	return draft->flushed + draft->pending.len;
}

int
draft_append(struct draft *draft, const struct draft *other, struct err *err)
{
	uint64_t start = draft_size(draft);

	for (size_t i = 0; i < other->count; i++) {
		struct entry *entry;

		reserve_entry(draft);
		entry = &draft->entries[draft->count++];
		*entry = other->entries[i];
		entry->id = xstrdup(other->entries[i].id);
		entry->name.offset += start;
	}
	for (size_t i = 0; i < other->hash_count; i++)
		if (need_part(draft, other->hashes[i], err) < 0)
			return -1;
	draft->has_pieces = draft->has_pieces || other->has_pieces;
	if (other->last_created > draft->last_created)
		draft->last_created = other->last_created;
	if (draft->pending.len + other->pending.len > draft->keep && flush(draft, err) < 0)
		return -1;
	if (other->pending.len <= draft->keep)
		return buf_add(&draft->pending, other->pending.s, other->pending.len) < 0 ?
		    err_io(err, "draft") :
		    0;
	if (draft->fd < 0 && open_file(draft, err) < 0)
		return -1;
	if (fs_write(draft->fd, other->pending.s, other->pending.len) < 0)
		return err_io(err, "spool %s: cannot write a message", draft->spool->path);
	draft->flushed += other->pending.len;
	return 0;
}

size_t
draft_count(const struct draft *draft)
{
	return draft->count;
}

bool
draft_is_full(const struct draft *draft)
{
	return draft->count >= DRAFT_MESSAGES || draft->flushed + draft->pending.len >= DRAFT_BYTES;
}

const char *
draft_id(const struct draft *draft, size_t i)
{
	return draft->entries[i].id;
}

enum draft_result
draft_result(const struct draft *draft, size_t i)
{
	return draft->entries[i].result;
}

int
draft_commit(struct draft *draft, struct err *err)
{
	int result;

	if (draft->count == 0)
		return 0;
	if (draft->has_pieces && draft->fd < 0 && open_file(draft, err) < 0)
		return -1;
	if (draft->has_pieces && buf_addf(&draft->pending, PART_TRAILER "%s\n", draft->token) < 0)
		return err_io(err, "draft");
	if (flush(draft, err) < 0)
		return -1;
	if (fs_sync_file(draft->fd) < 0)
		return err_io(err, "spool %s: cannot sync a message", draft->spool->path);
	if (draft->has_pieces &&
	    part_commit(draft_pins(draft), draft->token, draft->fd, draft->hashes,
		draft->hash_count, err) < 0)
		return -1;
	result = draft->count == 1 ? draft_publish_one(draft, err) : draft_publish_many(draft, err);
	if (result < 0)
		return -1;
	draft->committed = true;
	spool_wake(draft->spool);
	return 0;
}

bool
draft_was_visible(const struct draft *draft)
{
	return draft->visible;
}

int
draft_thread(pthread_t *thread, void *(*run)(void *arg), void *arg)
{
	sigset_t all, before;
	int result;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	result = pthread_create(thread, NULL, run, arg);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return result;
}

static void *
commit_in_thread(void *arg)
{
	struct draft *draft = arg;

	draft->thread_result = draft_commit(draft, &draft->thread_err);
	return NULL;
}

void
draft_commit_begin(struct draft *draft)
{
	draft->in_thread = draft_thread(&draft->thread, commit_in_thread, draft) == 0;
	if (!draft->in_thread)
		commit_in_thread(draft);
}

int
draft_commit_end(struct draft *draft, struct err *err)
{
	if (draft->in_thread)
		pthread_join(draft->thread, NULL);
	draft->in_thread = false;
	if (draft->thread_result < 0 && err != NULL)
		*err = draft->thread_err;
	return draft->thread_result;
}

void
draft_end(struct draft **draft)
{
	struct draft *d = *draft;

	if (d == NULL)
		return;
	if (d->in_thread)
		draft_commit_end(d, NULL);
	/* With the lock held by this process, the rollback is the same as a recovery's. */
	if (d->fd >= 0 && !d->committed)
		draft_roll_back(d->spool, d->token, d->fd);
	for (size_t i = 0; i < d->count + (d->writing ? 1 : 0); i++)
		free(d->entries[i].id);
	free(d->entries);
	auto_close_fd(&d->fd);
	free(d->hashes);
	part_pins_free(&d->pins);
	buf_release(&d->pending);
	checksum_end(&d->sum);
	free(d);
	*draft = NULL;
}
