#include "spool/part/fetched.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/num.h"
#include "mail/mime.h"
#include "spool/part/private.h"
#include "spool/store/own.h"

#define DIRECTORY "fetched"
#define SOURCE_SUFFIX ".source"
#define TIDIED ".tidied"
#define ENTRY_MAX 4096 /* bytes of one */
#define ENTRIES_MAX 4096
#define TIDY_EVERY (5 * 60 * USEC)
#define NAME_SIZE_MAX (BLAKE2B_TEXT_SIZE + sizeof SOURCE_SUFFIX)

void
fetched_release(struct fetched *fetched)
{
	free(fetched->etag);
	free(fetched->filename);
	free(fetched->type);
	*fetched = (struct fetched){ .etag = NULL };
}

static void
source_name(const char *source, char ret[NAME_SIZE_MAX])
{
	blake2b_text(source, strlen(source), ret);
	memcpy(ret + BLAKE2B_TEXT_SIZE - 1, SOURCE_SUFFIX, sizeof SOURCE_SUFFIX);
}

/* ---- an entry ------------------------------------------------------------------------------ */

/* "part: RAW SIZE CHECKSUM HASH UTF8" */
static int
parse_part(const char *text, struct mail_part *ret)
{
	struct mail_part part = { .raw = 0 };
	int utf8;

	if (sscanf(text, "%" SCNu64 " %" SCNu64 " %" SCNx64 " %64[0-9a-f] %d", &part.raw,
		&part.size, &part.checksum, part.hash, &utf8) != 5 ||
	    !part_is_hash(part.hash))
		return -1;
	part.utf8 = utf8 != 0;
	*ret = part;
	return 0;
}

static void
set(char **member, const char *value)
{
	free(*member);
	*member = xstrdup(value);
}

/* Lines "key: value", of which the last is "end": an entry that is torn has none. */
static int
parse(char *text, struct fetched *ret)
{
	struct fetched one AUTO(fetched_release) = { .etag = NULL };
	char *line, *rest = text, *value;
	bool ended = false, has_part = false;

	while (!ended && (line = strsep(&rest, "\n")) != NULL && rest != NULL) {
		value = strstr(line, ": ");
		ended = strcmp(line, "end") == 0;
		if (value == NULL)
			continue;
		*value = '\0';
		value += 2;
		if (strcmp(line, "etag") == 0)
			set(&one.etag, value);
		else if (strcmp(line, "name") == 0)
			set(&one.filename, value);
		else if (strcmp(line, "type") == 0)
			set(&one.type, value);
		else if (strcmp(line, "md5") == 0)
			snprintf(one.md5, sizeof one.md5, "%s", value);
		else if (strcmp(line, "part") == 0)
			has_part = parse_part(value, &one.part) == 0;
	}
	if (!ended || !has_part)
		return -1;
	*ret = one;
	one = (struct fetched){ .etag = NULL };
	return 0;
}

static int
read_entry(int dir, const char *name, struct fetched *ret)
{
	AUTO_BUF struct buf text = BUF_INIT(ENTRY_MAX);

	if (fs_read_file(dir, name, &text) < 0 || parse(text.s, ret) < 0)
		return -1;
	return 0;
}

static void
add_line(struct buf *text, const char *key, const char *value)
{
	if (value != NULL && strpbrk(value, "\r\n") == NULL)
		buf_addf(text, "%s: %s\n", key, value);
}

/* Under a name of its own first, so that nobody reads half of it. */
static void
write_entry(int dir, const char *name, const struct fetched *fetched)
{
	AUTO_BUF struct buf text = BUF_INIT(ENTRY_MAX);
	const struct mail_part *part = &fetched->part;
	char temporary[TOKEN_SIZE + 8], token[TOKEN_SIZE];
	AUTO_FD int fd = -1;

	add_line(&text, "etag", fetched->etag);
	add_line(&text, "name", fetched->filename);
	add_line(&text, "type", fetched->type);
	add_line(&text, "md5", fetched->md5);
	if (buf_addf(&text, "part: %" PRIu64 " %" PRIu64 " %016" PRIx64 " %s %d\nend\n", part->raw,
		part->size, part->checksum, part->hash, part->utf8) < 0)
		return;
	token_make(token);
	snprintf(temporary, sizeof temporary, ".%s", token);
	fd = fs_open(dir, temporary, O_WRONLY | O_CREAT | O_EXCL, 0660);
	if (fd >= 0 &&
	    (fs_write(fd, text.s, text.len) < 0 || renameat(dir, temporary, dir, name) < 0))
		unlinkat(dir, temporary, 0);
}

/* ---- finding and keeping ------------------------------------------------------------------- */

/* What is sent again must be what came. */
static bool
is_sound(const struct part_pins *pins, const struct mail_part *part)
{
	AUTO_FD int fd = fs_open(pins->blobs, part->hash, O_RDONLY, 0);
	AUTO(checksum_end) struct checksum *sum = checksum_begin();
	AUTO_FREE char *block = xmalloc(65536);
	uint64_t size = 0;
	ssize_t n = -1;

	while (fd >= 0 && (n = read(fd, block, 65536)) > 0) {
		checksum_add(sum, block, (size_t)n);
		size += (uint64_t)n;
	}
	return n == 0 && size == part->size && checksum_value(sum) == part->checksum;
}

bool
fetched_find(struct part_pins *pins, const char *source, const char *md5, struct fetched *ret)
{
	AUTO_FD int dir = fs_open_dir(pins->spool->root, DIRECTORY);
	struct fetched one AUTO(fetched_release) = { .etag = NULL };
	char name[NAME_SIZE_MAX];

	if (dir < 0)
		return false;
	source_name(source, name);
	if (read_entry(dir, name, &one) < 0 || (md5 != NULL && strcmp(one.md5, md5) != 0))
		return false;
	if (part_pin(pins, one.part.hash, NULL) <= 0 || !is_sound(pins, &one.part)) {
		unlinkat(dir, name, 0);
		return false;
	}
	/* What is used stays. */
	utimensat(dir, name, NULL, AT_SYMLINK_NOFOLLOW);
	*ret = one;
	one = (struct fetched){ .etag = NULL };
	return true;
}

void
fetched_keep(struct part_pins *pins, const char *source, const struct fetched *fetched)
{
	AUTO_FD int dir = -1;
	char name[NAME_SIZE_MAX];

	if (fs_mkdir(pins->spool->root, DIRECTORY, 0770) < 0 ||
	    (dir = fs_open_dir(pins->spool->root, DIRECTORY)) < 0 ||
	    part_link(pins, dir, fetched->part.hash) < 0)
		return;
	source_name(source, name);
	write_entry(dir, name, fetched);
}

int
fetched_start(struct part_pins *pins, const char *hash, struct buf *ret)
{
	size_t wanted = (ret->max - ret->len + 2) / 3 * 4 / 76 * 78;
	AUTO_BUF struct buf text = BUF_INIT(wanted + 1), bytes = BUF_INIT(ret->max - ret->len + 3);
	struct mail_base64_reader reader = { 0 };
	AUTO_FD int fd = fs_open(pins->blobs, hash, O_RDONLY, 0);
	ssize_t n;

	if (fd < 0 || buf_reserve(&text, wanted) < 0)
		return -1;
	while (text.len < wanted && (n = read(fd, text.s + text.len, wanted - text.len)) > 0)
		text.len += (size_t)n;
	if (mail_base64_read(&reader, text.s, text.len, &bytes) < 0)
		return -1;
	return buf_add(ret, bytes.s,
	    bytes.len < ret->max - ret->len ? bytes.len : ret->max - ret->len);
}

/* ---- tidying ------------------------------------------------------------------------------- */

struct entry {
	char name[NAME_SIZE_MAX];
	char hash[MAIL_PART_HASH_SIZE];
	uint64_t size;
	int64_t used;
	bool keep;
};

struct tidying {
	int dir;
	struct part_pins *pins;
	struct entry *entries;
	size_t count, room;
	int64_t now, max_age;
};

static bool
ends_with(const char *name, const char *suffix)
{
	size_t n = strlen(name), len = strlen(suffix);

	return n > len && strcmp(name + n - len, suffix) == 0;
}

static int
look(const char *name, unsigned char type, void *arg)
{
	struct tidying *t = arg;
	struct fetched one AUTO(fetched_release) = { .etag = NULL };
	struct entry *entry;
	struct stat st;
	bool is_entry = ends_with(name, SOURCE_SUFFIX);

	(void)type;
	if (strcmp(name, TIDIED) == 0 || part_is_hash(name) ||
	    fstatat(t->dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	if (!is_entry || strlen(name) >= sizeof entry->name || read_entry(t->dir, name, &one) < 0 ||
	    st.st_mtim.tv_sec < (t->now - t->max_age) / USEC) {
		/* Also what was being written when somebody was killed, and the names MD5.md5 that an older
		 * version made. */
		if (is_entry || st.st_mtim.tv_sec < t->now / USEC - 3600)
			unlinkat(t->dir, name, 0);
		return 0;
	}
	if (t->count == t->room) {
		t->room = t->room > 0 ? 2 * t->room : 64;
		t->entries = xreallocarray(t->entries, t->room, sizeof *t->entries);
	}
	entry = &t->entries[t->count++];
	*entry = (struct entry){ .size = one.part.size,
		.used = (int64_t)st.st_mtim.tv_sec * USEC + st.st_mtim.tv_nsec / 1000 };
	snprintf(entry->name, sizeof entry->name, "%s", name);
	memcpy(entry->hash, one.part.hash, sizeof entry->hash);
	return 0;
}

static int
newest_first(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	return (x->used < y->used) - (x->used > y->used);
}

/* The first entry of this content among so many; NULL: none is kept. */
static const struct entry *
kept(const struct tidying *t, size_t n, const char *hash)
{
	for (size_t i = 0; i < n; i++)
		if (t->entries[i].keep && strcmp(t->entries[i].hash, hash) == 0)
			return &t->entries[i];
	return NULL;
}

static void
choose(struct tidying *t, uint64_t max_bytes)
{
	uint64_t total = 0;

	if (t->count > 0)
		qsort(t->entries, t->count, sizeof *t->entries, newest_first);
	for (size_t i = 0; i < t->count; i++) {
		struct entry *entry = &t->entries[i];
		uint64_t more = kept(t, i, entry->hash) != NULL ? 0 : entry->size;

		entry->keep = i < ENTRIES_MAX && total + more <= max_bytes;
		if (entry->keep)
			total += more;
		else
			unlinkat(t->dir, entry->name, 0);
	}
}

static int
drop_link(const char *name, unsigned char type, void *arg)
{
	struct tidying *t = arg;

	(void)type;
	if (!part_is_hash(name) || kept(t, t->count, name) != NULL)
		return 0;
	if (unlinkat(t->dir, name, 0) == 0)
		part_free_blob(t->pins->blobs, t->pins->lock, name);
	return 0;
}

/* False where that was done not long ago. */
static bool
is_time(const struct spool *spool, int dir, int64_t now)
{
	struct stat st;
	AUTO_FD int fd = -1;

	if (fstatat(dir, TIDIED, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    st.st_mtim.tv_sec <= now / USEC && st.st_mtim.tv_sec > (now - TIDY_EVERY) / USEC)
		return false;
	fd = own_open(spool, dir, DIRECTORY, TIDIED, O_WRONLY, false);
	if (fd >= 0)
		futimens(fd, NULL);
	return true;
}

int
fetched_tidy(struct spool *spool, uint64_t max_bytes, int64_t max_age)
{
	AUTO_FD int dir = fs_open_dir(spool->root, DIRECTORY);
	AUTO(part_pins_free) struct part_pins *pins = NULL;
	struct tidying t = { .dir = dir, .now = clock_now(), .max_age = max_age };
	int result;

	if (dir < 0)
		return errno == ENOENT ? 0 : -1;
	if (!is_time(spool, dir, t.now))
		return 0;
	t.pins = pins = part_pins_new(spool);
	if (part_pins_open(pins, NULL) < 0)
		return -1;
	result = fs_each(dir, look, &t);
	choose(&t, max_bytes);
	if (result == 0)
		result = fs_each(dir, drop_link, &t);
	free(t.entries);
	return result;
}
