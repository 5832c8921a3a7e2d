/* Checking id/: that each entry is one, and that what it stands for is known. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "spool/check/private.h"
#include "spool/draft/draft.h"
#include "spool/journal/history.h"

/* ---- sets of ids: their hashes, as there may be millions ----------------------------------------- */

struct id_set {
	uint64_t *v;
	size_t count, slots;
};

static uint64_t
hash_of(const char *encoded)
{
	uint64_t hash = checksum_of(encoded, strlen(encoded));

	return hash != 0 ? hash : 1;
}

static uint64_t *
slot_of(const struct id_set *set, uint64_t hash)
{
	size_t i = (size_t)hash & (set->slots - 1);

	while (set->v[i] != 0 && set->v[i] != hash)
		i = (i + 1) & (set->slots - 1);
	return &set->v[i];
}

static void
set_add(struct id_set *set, const char *encoded)
{
	uint64_t *slot;

	if (2 * (set->count + 1) > set->slots) {
		struct id_set larger = { .slots = set->slots > 0 ? 2 * set->slots : 1024 };

		larger.v = xcalloc(larger.slots, sizeof *larger.v);
		for (size_t i = 0; i < set->slots; i++)
			if (set->v[i] != 0)
				*slot_of(&larger, set->v[i]) = set->v[i];
		larger.count = set->count;
		free(set->v);
		*set = larger;
	}
	slot = slot_of(set, hash_of(encoded));
	set->count += *slot == 0;
	*slot = hash_of(encoded);
}

static bool
has(const struct id_set *set, const char *encoded)
{
	return set->slots > 0 && *slot_of(set, hash_of(encoded)) != 0;
}

static void
set_release(struct id_set *set)
{
	free(set->v);
	*set = (struct id_set){ 0 };
}

/* ---- what is known ------------------------------------------------------------------------------- */

static int
note_line(const char *text, size_t len, const struct json *value, void *arg)
{
	const char *id = json_string(json_get(value, "id"));
	char encoded[ID_TEXT_MAX + 1];

	(void)text;
	(void)len;
	if (id != NULL && name_encode(id, ID_TEXT_MAX, encoded) == 0)
		set_add(arg, encoded);
	return 0;
}

static int
note_place(const struct place *place, void *arg)
{
	set_add(arg, place->name.id);
	return 0;
}

static int
note_name(const char *name, unsigned char type, void *arg)
{
	struct message_name parsed;

	(void)type;
	if (message_name_parse(name, &parsed) == 0)
		set_add(arg, parsed.id);
	return 0;
}

/* All that there is of messages; first where they stand, as whoever moves one tells of it then. */
static int
learn(struct checking *c, struct id_set *known)
{
	const struct walk_filter any = { .state = STATE_NONE };
	const struct history_filter all = { .forgotten = true };
	AUTO_FD int corrupt = fs_open_dir(c->spool->root, "corrupt");

	if (walk(c->spool, &any, note_place, known, NULL) < 0 ||
	    history_read(c->spool, &all, note_line, known, NULL) < 0)
		return -1;
	if (corrupt >= 0 && fs_each(corrupt, note_name, known) < 0)
		return -1;
	return 0;
}

/* ---- the entries --------------------------------------------------------------------------------- */

struct shard {
	struct checking *c;
	unsigned int number;
	struct id_set known;
	char **suspects; /* those that nothing is known of, at the first look */
	size_t count, room;
};

/* A draft may be at work, or dead and not rolled back yet: that is told where it stands. */
static bool
is_without_draft(struct spool *spool, const char *id)
{
	char token[TOKEN_SIZE];

	return id_lookup(spool, id, token) == 1 &&
	    (strchr(token, '/') != NULL ||
		faccessat(spool->tmp, token, F_OK, AT_SYMLINK_NOFOLLOW) < 0);
}

static int
look_at_id(const char *name, unsigned char type, void *arg)
{
	struct shard *shard = arg;
	char path[NAME_SIZE + 16], plain[NAME_SIZE];

	snprintf(path, sizeof path, "id/%x/%s", shard->number, name);
	if (name_decode(name, plain) < 0 || strlen(name) > ID_TEXT_MAX) {
		check_tell(shard->c, CHECK_FAULT, path, "its name is not an encoded id");
	} else if (spool_id_shard(name) != shard->number) {
		check_tell(shard->c, CHECK_FAULT, path, "is in the wrong directory; expected id/%x",
		    spool_id_shard(name));
	} else if (type != DT_LNK && type != DT_UNKNOWN) {
		check_tell(shard->c, CHECK_FAULT, path, "is not a symbolic link to a token");
	} else if (!has(&shard->known, name) && is_without_draft(shard->c->spool, name)) {
		if (shard->count == shard->room) {
			shard->room = shard->room > 0 ? 2 * shard->room : 64;
			shard->suspects =
			    xreallocarray(shard->suspects, shard->room, sizeof *shard->suspects);
		}
		shard->suspects[shard->count++] = xstrdup(name);
	}
	return 0;
}

/* The second look: an id without a draft at the first has a message or a line by now, or it has none. */
static void
judge(struct shard *shard, const struct id_set *known, const char *name)
{
	char path[NAME_SIZE + 16];

	if (has(known, name) || !is_without_draft(shard->c->spool, name))
		return;
	snprintf(path, sizeof path, "id/%x/%s", spool_id_shard(name), name);
	check_tell(shard->c, CHECK_FAULT, path,
	    "is known, and has neither a message, a draft nor history: whoever adds it again is "
	    "told that "
	    "it is there; delete this entry if it is to be added again");
}

void
check_ids(struct checking *c)
{
	struct id_set again = { 0 };
	struct shard shard = { .c = c };
	bool learned = learn(c, &shard.known) == 0;

	for (unsigned int i = 0; i < ID_SHARDS; i++) {
		char path[16];

		shard.number = i;
		snprintf(path, sizeof path, "id/%x", i);
		check_each(c, c->spool->root, path, path, look_at_id, &shard);
	}
	if (learned && shard.count > 0)
		learned = learn(c, &again) == 0;
	for (size_t i = 0; i < shard.count; i++) {
		if (learned)
			judge(&shard, &again, shard.suspects[i]);
		free(shard.suspects[i]);
	}
	if (!learned)
		check_tell(c, CHECK_UNREAD, "id", "cannot be compared with messages and history");
	free(shard.suspects);
	set_release(&shard.known);
	set_release(&again);
}
