/* Storing contents, and keeping them from being removed while nobody has a link to them yet. */
#include "spool/part/part.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/fs.h"
#include "mail/compose.h"
#include "mail/mime.h"
#include "spool/part/private.h"
#include "spool/store/own.h"

#define WRITE_BUFFER ((size_t)64 * 1024)
#define SPACE_STEP ((uint64_t)8 << 20) /* bytes between two looks at what is free */
#define PIN_TRIES 10000		       /* of a millisecond each, while one removes the blob */

/* ---- pins ------------------------------------------------------------------------------------ */

struct part_pins *
part_pins_new(struct spool *spool)
{
	struct part_pins *pins = xcalloc(1, sizeof *pins);

	pins->spool = spool;
	pins->blobs = pins->lock = -1;
	return pins;
}

void
part_pins_free(struct part_pins **pins)
{
	if (*pins == NULL)
		return;
	/*
	 * What no draft has linked goes, and also what was sent and freed but for the pin.  The pin first:
	 * so whoever frees it now can, and whoever could not before has left it for us to see.
	 */
	for (size_t i = 0; i < (*pins)->count; i++) {
		part_unlock((*pins)->lock, (*pins)->hashes[i]);
		part_free_blob((*pins)->blobs, (*pins)->lock, (*pins)->hashes[i]);
	}
	free((*pins)->hashes);
	auto_close_fd(&(*pins)->blobs);
	auto_close_fd(&(*pins)->lock);
	free(*pins);
	*pins = NULL;
}

static bool
is_pinned(const struct part_pins *pins, const char *hash)
{
	return pins->count > 0 && strcmp(pins->hashes[pins->count - 1], hash) == 0;
}

static void
note_pin(struct part_pins *pins, const char *hash)
{
	if (is_pinned(pins, hash))
		return;
	if (pins->count == pins->room) {
		pins->room = pins->room > 0 ? 2 * pins->room : 4;
		pins->hashes = xreallocarray(pins->hashes, pins->room, sizeof *pins->hashes);
	}
	memcpy(pins->hashes[pins->count++], hash, sizeof *pins->hashes);
}

int
part_pins_open(struct part_pins *pins, struct err *err)
{
	struct spool *spool = pins->spool;

	if (pins->lock >= 0)
		return 0;
	if (blake2b_load(err) < 0)
		return -1;
	auto_close_fd(&pins->blobs);
	pins->blobs = fs_open_dir(spool->root, PART_BLOBS);
	/* Both are made with the first, and durable before anything is in them. */
	if (pins->blobs < 0 && errno == ENOENT && fs_mkdir(spool->root, PART_PARTS, 0770) == 0 &&
	    spool_make_dir(spool, PART_BLOBS, 0770) == 0)
		pins->blobs = fs_open_dir(spool->root, PART_BLOBS);
	if (pins->blobs >= 0)
		pins->lock = own_open(spool, spool->root, "", PART_PINS, O_RDWR, true);
	return pins->lock < 0 ? err_io(err, "spool %s: cannot open blobs or pins", spool->path) : 0;
}

/* Where in the file of the pins a content is locked: two that share a byte are kept a little longer. */
static off_t
pin_offset(const char *hash)
{
	uint64_t offset = 0;

	for (int i = 0; i < 15; i++)
		offset =
		    offset << 4 | (uint64_t)(hash[i] <= '9' ? hash[i] - '0' : hash[i] - 'a' + 10);
	return (off_t)offset;
}

static int
set_lock(int lock, const char *hash, short type)
{
	struct flock at = { .l_type = type,
		.l_whence = SEEK_SET,
		.l_start = pin_offset(hash),
		.l_len = 1 };

	return fcntl(lock, F_OFD_SETLK, &at);
}

int
part_lock_out(int lock, const char *hash)
{
	return set_lock(lock, hash, F_WRLCK);
}

bool
part_is_pinned(int pins, const char *hash)
{
	struct flock at = { .l_type = F_WRLCK,
		.l_whence = SEEK_SET,
		.l_start = pin_offset(hash),
		.l_len = 1 };

	return fcntl(pins, F_OFD_GETLK, &at) == 0 && at.l_type != F_UNLCK;
}

void
part_unlock(int lock, const char *hash)
{
	set_lock(lock, hash, F_UNLCK);
}

static int
lock_shared(struct part_pins *pins, const char *hash, struct err *err)
{
	const struct timespec moment = { .tv_nsec = 1000000 };

	for (int i = 0; i < PIN_TRIES; i++) {
		if (set_lock(pins->lock, hash, F_RDLCK) == 0)
			return 0;
		if (errno != EAGAIN && errno != EACCES && errno != EINTR)
			break;
		nanosleep(&moment, NULL);
	}
	return err_io(err, "spool %s: cannot lock a part", pins->spool->path);
}

int
part_pin(struct part_pins *pins, const char *hash, struct err *err)
{
	if (is_pinned(pins, hash))
		return 1;
	if (part_pins_open(pins, err) < 0 || lock_shared(pins, hash, err) < 0)
		return -1;
	if (faccessat(pins->blobs, hash, F_OK, AT_SYMLINK_NOFOLLOW) < 0) {
		int saved = errno;

		set_lock(pins->lock, hash, F_UNLCK);
		errno = saved;
		return saved == ENOENT ? 0 :
					 err_io(err, "spool %s: blobs/%s", pins->spool->path, hash);
	}
	note_pin(pins, hash);
	return 1;
}

bool
part_is_hash(const char *name)
{
	return strlen(name) == MAIL_PART_HASH_SIZE - 1 &&
	    strspn(name, "0123456789abcdef") == MAIL_PART_HASH_SIZE - 1;
}

/* ---- writing --------------------------------------------------------------------------------- */

/* Encodes, counts and sums what it is given; and writes it, unless it only measures. */
struct part_writer {
	struct part_pins *pins;
	const struct part_terms *terms;
	struct blake2b hash;
	struct checksum *sum;
	struct mail_sink sink;
	struct mail_base64 base64;
	struct buf start;   /* the first raw bytes, for the type */
	struct buf pending; /* encoded, not written yet */
	uint64_t raw, size, looked;
	bool measures;
	char token[TOKEN_SIZE]; /* its name in tmp/ */
	int fd;
};

int
part_make_file(struct part_pins *pins, char token[TOKEN_SIZE])
{
	int tmp = pins->spool->tmp;

	for (int attempt = 0; attempt < 100; attempt++) {
		AUTO_FD int fd = -1;
		struct stat st;

		token_make(token);
		fd = fs_open(tmp, token, O_RDWR | O_CREAT | O_EXCL, 0660);
		if (fd < 0 && errno != EEXIST)
			return -1;
		/* A recovery that was faster with the lock has removed it. */
		if (fd >= 0 && fs_lock(fd, 0) == 0 && fstat(fd, &st) == 0 && st.st_nlink > 0)
			return take_fd(&fd);
	}
	errno = EBUSY;
	return -1;
}

static int
check_space(const struct part_writer *w, struct err *err)
{
	return spool_check_space(w->pins->spool, w->terms->min_free_bytes,
	    w->terms->min_free_inodes, err);
}

static int
write_encoded(void *arg, const void *bytes, size_t n)
{
	struct part_writer *w = arg;

	checksum_add(w->sum, bytes, n);
	w->size += n;
	if (w->measures)
		return 0;
	if (w->pending.len + n > WRITE_BUFFER) {
		if (fs_write(w->fd, w->pending.s, w->pending.len) < 0)
			return -1;
		buf_clear(&w->pending);
	}
	return buf_add(&w->pending, bytes, n);
}

static struct part_writer *
writer_new(struct part_pins *pins, const struct part_terms *terms, bool measures)
{
	struct part_writer *w = xcalloc(1, sizeof *w);

	w->pins = pins;
	w->terms = terms;
	w->measures = measures;
	w->fd = -1;
	w->sum = checksum_begin();
	w->sink = (struct mail_sink){ write_encoded, w };
	w->base64.sink = &w->sink;
	blake2b_begin(&w->hash);
	buf_init(&w->start, MAIL_SNIFF_SIZE);
	buf_init(&w->pending, WRITE_BUFFER);
	return w;
}

struct part_writer *
part_write_begin(struct part_pins *pins, const struct part_terms *terms, struct err *err)
{
	AUTO(part_abandon) struct part_writer *w = NULL;
	struct part_writer *ret;

	if (part_pins_open(pins, err) < 0)
		return NULL;
	w = ret = writer_new(pins, terms, false);
	if (check_space(w, err) < 0)
		return NULL;
	w->fd = part_make_file(pins, w->token);
	if (w->fd < 0) {
		err_io(err, "spool %s: cannot write in tmp", pins->spool->path);
		return NULL;
	}
	w = NULL;
	return ret;
}

int
part_write(struct part_writer *w, const void *bytes, size_t n, struct err *err)
{
	size_t wanted = w->start.max - w->start.len;

	w->raw += n;
	if (w->terms->max > 0 && w->raw > w->terms->max)
		return err_set(err, EX_DATAERR, "%s is larger than %llu bytes",
		    w->terms->filename != NULL ? w->terms->filename : "it",
		    (unsigned long long)w->terms->max);
	if (!w->measures && w->raw - w->looked > SPACE_STEP) {
		w->looked = w->raw;
		if (check_space(w, err) < 0)
			return -1;
	}
	if (wanted > 0)
		buf_add(&w->start, bytes, n < wanted ? n : wanted);
	blake2b_add(&w->hash, bytes, n);
	if (mail_base64_feed(&w->base64, bytes, n) < 0)
		return err_io(err, "spool %s: cannot write a part", w->pins->spool->path);
	return 0;
}

void
part_abandon(struct part_writer **writer)
{
	struct part_writer *w = *writer;

	if (w == NULL)
		return;
	if (w->fd >= 0)
		unlinkat(w->pins->spool->tmp, w->token, 0);
	auto_close_fd(&w->fd);
	checksum_end(&w->sum);
	buf_release(&w->start);
	buf_release(&w->pending);
	free(w);
	*writer = NULL;
}

/* Whether the blob that is there is what it should be: damage must not spread to new messages. */
static bool
is_sound(struct part_pins *pins, const struct mail_part *part)
{
	AUTO(checksum_end) struct checksum *sum = NULL;
	AUTO_FREE char *block = NULL;
	AUTO_FD int fd = -1;
	struct stat st;
	ssize_t n;

	if (strcmp(pins->sound, part->hash) == 0)
		return true;
	fd = fs_open(pins->blobs, part->hash, O_RDONLY, 0);
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ||
	    (uint64_t)st.st_size != part->size)
		return false;
	sum = checksum_begin();
	block = xmalloc(WRITE_BUFFER);
	while ((n = read(fd, block, WRITE_BUFFER)) > 0)
		checksum_add(sum, block, (size_t)n);
	if (n < 0 || checksum_value(sum) != part->checksum)
		return false;
	memcpy(pins->sound, part->hash, sizeof pins->sound);
	return true;
}

/* Ends the encoding; what the part is. */
static int
conclude(struct part_writer *w, struct mail_part *ret, struct err *err)
{
	if (mail_base64_end(&w->base64) < 0)
		return err_io(err, "spool %s: cannot write a part", w->pins->spool->path);
	if (w->raw == 0)
		return err_set(err, EX_DATAERR, "it is empty");
	*ret = (struct mail_part){ .raw = w->raw,
		.size = w->size,
		.checksum = checksum_value(w->sum),
		.utf8 = mail_starts_as_utf8(w->start.s, w->start.len) };
	blake2b_end(&w->hash, ret->hash);
	mail_type_of(w->terms->filename, w->start.s, w->start.len, w->terms->magic, ret->type);
	return 0;
}

/* 1 where it is stored already and pinned, 0 where not. */
static int
find(struct part_pins *pins, const struct mail_part *part, struct err *err)
{
	int pinned = part_pin(pins, part->hash, err);

	return pinned > 0 ? is_sound(pins, part) : pinned;
}

/* Gives the file its name, in place of a damaged one where there is one. */
static int
name_blob(struct part_writer *w, const struct mail_part *part, struct err *err)
{
	struct part_pins *pins = w->pins;
	const char *path = pins->spool->path;

	if (fs_write(w->fd, w->pending.s, w->pending.len) < 0)
		return err_io(err, "spool %s: cannot write a part", path);
	if (fs_sync_file(w->fd) < 0)
		return err_io(err, "spool %s: cannot sync a part", path);
	if (lock_shared(pins, part->hash, err) < 0)
		return -1;
	if (renameat(pins->spool->tmp, w->token, pins->blobs, part->hash) < 0)
		return err_io(err, "spool %s: cannot name a part", path);
	auto_close_fd(&w->fd);
	note_pin(pins, part->hash);
	memcpy(pins->sound, part->hash, sizeof pins->sound);
	return 0;
}

int
part_write_end(struct part_writer **writer, struct mail_part *ret, struct err *err)
{
	AUTO(part_abandon) struct part_writer *w = *writer;
	int found;

	*writer = NULL;
	if (conclude(w, ret, err) < 0)
		return -1;
	found = find(w->pins, ret, err);
	return found != 0 ? (found < 0 ? -1 : 0) : name_blob(w, ret, err);
}

/* ---- what can be read twice ------------------------------------------------------------------ */

int
part_store_bytes(struct part_pins *pins, const void *bytes, size_t n,
    const struct part_terms *terms, struct mail_part *ret, struct err *err)
{
	AUTO(part_abandon) struct part_writer *measure = NULL;
	AUTO(part_abandon) struct part_writer *w = NULL;
	int found;

	if (part_pins_open(pins, err) < 0)
		return -1;
	measure = writer_new(pins, terms, true);
	if (part_write(measure, bytes, n, err) < 0 || conclude(measure, ret, err) < 0)
		return -1;
	found = find(pins, ret, err);
	if (found != 0)
		return found < 0 ? -1 : 0;
	w = part_write_begin(pins, terms, err);
	if (w == NULL || part_write(w, bytes, n, err) < 0)
		return -1;
	return part_write_end(&w, ret, err);
}

/* From start on; where that is -1, from where the file stands. */
static int
feed(struct part_writer *w, int fd, off_t start, uint64_t length, struct err *err)
{
	AUTO_FREE char *block = xmalloc(WRITE_BUFFER);
	uint64_t done = 0;

	while (done < length) {
		size_t want = length - done < WRITE_BUFFER ? (size_t)(length - done) : WRITE_BUFFER;
		ssize_t n = start >= 0 ? pread(fd, block, want, start + (off_t)done) :
					 read(fd, block, want);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, EX_NOINPUT, "%s",
			    w->terms->filename != NULL ? w->terms->filename : "an attachment");
		if (n == 0)
			break;
		if (part_write(w, block, (size_t)n, err) < 0)
			return -1;
		done += (uint64_t)n;
	}
	return 0;
}

int
part_write_fd(struct part_writer *w, int fd, uint64_t length, struct err *err)
{
	return feed(w, fd, -1, length, err);
}

int
part_store_fd(struct part_pins *pins, int fd, off_t start, uint64_t length,
    const struct part_terms *terms, struct mail_part *ret, struct err *err)
{
	AUTO(part_abandon) struct part_writer *measure = NULL;
	AUTO(part_abandon) struct part_writer *w = NULL;
	bool twice = lseek(fd, 0, SEEK_CUR) >= 0;

	if (twice) {
		int found;

		if (part_pins_open(pins, err) < 0)
			return -1;
		measure = writer_new(pins, terms, true);
		if (feed(measure, fd, start, length, err) < 0 || conclude(measure, ret, err) < 0)
			return -1;
		found = find(pins, ret, err);
		if (found != 0)
			return found < 0 ? -1 : 0;
	}
	w = part_write_begin(pins, terms, err);
	if (w == NULL || feed(w, fd, twice ? start : -1, length, err) < 0)
		return -1;
	return part_write_end(&w, ret, err);
}
