#include "spool/part/content.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "spool/part/private.h"

#define VERIFY_STEP ((size_t)64 * 1024)

/* A run of the message that comes from one place. */
struct segment {
	uint64_t start; /* in the message */
	uint64_t size;
	enum { SEGMENT_TEXT, SEGMENT_BYTES, SEGMENT_BLOB } kind;
	uint64_t offset;   /* of text: in the file */
	struct buf bytes;  /* of bytes: themselves */
	uint64_t checksum; /* of a blob, */
	uint64_t inode;	   /* and where it was found */
	char hash[MAIL_PART_HASH_SIZE];
};

struct content {
	int root; /* the spool's */
	int fd;
	char token[TOKEN_SIZE];
	struct segment *segments;
	size_t count;
	size_t last; /* the segment that was read last */
	uint64_t size;
	int blob; /* the blob that is open; -1: none */
	size_t blob_of;
	struct checksum *sum; /* of what was read of it so far, */
	uint64_t summed;      /* these bytes from its beginning */
};

#define PATH_SIZE (sizeof PART_PARTS + TOKEN_SIZE + 1 + MAIL_PART_HASH_SIZE)

/* parts/TOKEN/HASH */
static const char *
blob_path(const struct content *c, const char *hash, char ret[PATH_SIZE])
{
	snprintf(ret, PATH_SIZE, PART_PARTS "/%s/%s", c->token, hash);
	return ret;
}

static struct segment *
add_segment(struct content *c, uint64_t size)
{
	struct segment *segment = &c->segments[c->count++];

	*segment =
	    (struct segment){ .start = c->size, .size = size, .bytes = BUF_INIT(SIZE_MAX / 2) };
	c->size += size;
	return segment;
}

static int
add_blob(struct content *c, const char *hash, uint64_t size, uint64_t checksum, struct err *err)
{
	char path[PATH_SIZE];
	struct segment *segment;
	struct stat st;

	if (fstatat(c->root, blob_path(c, hash, path), &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno != ENOENT ?
		    err_io(err, "%s", path) :
		    err_set(err, EX_DATAERR, "an attachment of it, %s, is missing", path);
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != size)
		return err_set(err, EX_DATAERR,
		    "an attachment of it, %s, has %lld bytes; its record says %llu", path,
		    (long long)st.st_size, (unsigned long long)size);
	segment = add_segment(c, size);
	segment->kind = SEGMENT_BLOB;
	segment->checksum = checksum;
	segment->inode = st.st_ino;
	memcpy(segment->hash, hash, sizeof segment->hash);
	return 0;
}

/* 1: it is there now; 0: not fetched yet. */
static int
add_remote(struct content *c, const struct spool *spool, const struct record_piece *piece,
    struct err *err)
{
	struct part_remote remote;
	int kept = part_remote_read(spool, c->token, piece->json, &remote, err);
	struct segment *segment;
	int result = 1;

	if (kept <= 0)
		return kept;
	if (!remote.left_out) {
		segment = add_segment(c, 0);
		segment->kind = SEGMENT_BYTES;
		buf_addf(&segment->bytes, "--%s\r\n", piece->boundary);
		buf_add(&segment->bytes, remote.head.s, remote.head.len);
		segment->size = segment->bytes.len;
		c->size += segment->size;
		result =
		    add_blob(c, remote.part.hash, remote.part.size, remote.part.checksum, err) < 0 ?
		    -1 :
		    1;
	}
	part_remote_release(&remote);
	return result;
}

static void
add_text(struct content *c, uint64_t file_offset, uint64_t size)
{
	struct segment *segment;

	if (size == 0)
		return;
	segment = add_segment(c, size);
	segment->kind = SEGMENT_TEXT;
	segment->offset = file_offset;
}

static int
add_all(struct content *c, const struct spool *spool, const struct message_name *name,
    const struct record *record, bool partly, struct err *err)
{
	uint64_t text = name->offset + record->size, at = 0;

	for (size_t i = 0; i < record->piece_count; i++) {
		const struct record_piece *piece = &record->pieces[i];
		int result;

		add_text(c, text + at, piece->offset - at);
		at = piece->offset;
		if (piece->kind == PIECE_PART)
			result = add_blob(c, piece->hash, piece->size, piece->checksum, err) < 0 ?
			    -1 :
			    1;
		else
			result = add_remote(c, spool, piece, err);
		if (result == 0 && !partly)
			return err_set(err, EX_TEMPFAIL, "an attachment of it is not fetched yet");
		if (result < 0)
			return -1;
	}
	add_text(c, text + at, record->text.length - at);
	return 0;
}

static int
open_content(const struct spool *spool, int fd, const struct message_name *name,
    const struct record *record, bool partly, struct content **ret, struct err *err)
{
	AUTO(content_close) struct content *c = xcalloc(1, sizeof *c);

	c->root = spool->root;
	c->fd = fd;
	c->blob = -1;
	/* Each piece is at most a text before it, bytes and a blob. */
	c->segments = xcalloc(3 * record->piece_count + 1, sizeof *c->segments);
	memcpy(c->token, record->token, sizeof c->token);
	if (add_all(c, spool, name, record, partly, err) < 0)
		return -1;
	*ret = c;
	c = NULL;
	return 0;
}

int
content_open(const struct spool *spool, int fd, const struct message_name *name,
    const struct record *record, struct content **ret, struct err *err)
{
	return open_content(spool, fd, name, record, false, ret, err);
}

int
content_open_partly(const struct spool *spool, int fd, const struct message_name *name,
    const struct record *record, struct content **ret, struct err *err)
{
	return open_content(spool, fd, name, record, true, ret, err);
}

uint64_t
content_size(const struct content *c)
{
	return c->size;
}

/* ---- reading --------------------------------------------------------------------------------- */

static int
open_blob(struct content *c, size_t index, struct err *err)
{
	char path[PATH_SIZE];

	if (c->blob >= 0 && c->blob_of == index)
		return 0;
	auto_close_fd(&c->blob);
	c->blob = fs_open(c->root, blob_path(c, c->segments[index].hash, path), O_RDONLY, 0);
	if (c->blob < 0)
		return err_io(err, "%s", path);
	c->blob_of = index;
	c->summed = 0;
	return 0;
}

/* Takes the bytes into the sum where they are the next ones; at the end, compares. */
static int
sum_blob(struct content *c, const struct segment *segment, uint64_t at, const void *bytes, size_t n,
    struct err *err)
{
	if (at != c->summed && at != 0)
		return 0;
	if (c->sum == NULL)
		c->sum = checksum_begin();
	if (at == 0) {
		checksum_reset(c->sum);
		c->summed = 0;
	}
	checksum_add(c->sum, bytes, n);
	c->summed += n;
	if (c->summed < segment->size || checksum_value(c->sum) == segment->checksum)
		return 0;
	c->summed = 0;
	errno = EBADMSG;
	return err_set(err, EX_DATAERR,
	    "an attachment of it, " PART_PARTS "/%s/%s, is damaged: its checksum is %016llx, the "
	    "record says %016llx",
	    c->token, segment->hash, (unsigned long long)checksum_value(c->sum),
	    (unsigned long long)segment->checksum);
}

static int
read_blob(struct content *c, size_t index, uint64_t at, void *bytes, size_t n, struct err *err)
{
	const struct segment *segment = &c->segments[index];

	if (open_blob(c, index, err) < 0)
		return -1;
	if (fs_pread(c->blob, bytes, n, (off_t)at) < 0)
		return errno == ENODATA ?
		    err_set(err, EX_DATAERR,
			"an attachment of it, " PART_PARTS "/%s/%s, is cut off", c->token,
			segment->hash) :
		    err_io(err, "an attachment of it, " PART_PARTS "/%s/%s, cannot be read",
			c->token, segment->hash);
	return sum_blob(c, segment, at, bytes, n, err);
}

/* The segment that holds this byte: mostly the one of before, or the next. */
static size_t
find_segment(const struct content *c, uint64_t at)
{
	size_t i = c->last;

	if (at < c->segments[i].start)
		i = 0;
	while (at - c->segments[i].start >= c->segments[i].size)
		i++;
	return i;
}

int
content_read(struct content *c, uint64_t at, void *bytes, size_t n, struct err *err)
{
	char *to = bytes;

	if (n > c->size || at > c->size - n) {
		errno = ENODATA;
		return err_io(err, "a message is read past its end");
	}
	while (n > 0) {
		size_t i = find_segment(c, at);
		const struct segment *segment = &c->segments[i];
		uint64_t within = at - segment->start, left = segment->size - within;
		size_t take = left < n ? (size_t)left : n;
		int result = 0;

		c->last = i;
		if (segment->kind == SEGMENT_BLOB)
			result = read_blob(c, i, within, to, take, err);
		else if (segment->kind == SEGMENT_BYTES)
			memcpy(to, segment->bytes.s + within, take);
		else if (fs_pread(c->fd, to, take, (off_t)(segment->offset + within)) < 0)
			result = errno == ENODATA ? err_set(err, EX_DATAERR, "it is cut off") :
						    err_io(err, "it cannot be read");
		if (result < 0)
			return -1;
		to += take;
		at += take;
		n -= take;
	}
	return 0;
}

static bool
is_known(const struct content_known *known, const struct segment *segment)
{
	for (size_t i = 0; i < sizeof known->at / sizeof known->at[0]; i++)
		if (known->at[i].inode == segment->inode &&
		    known->at[i].checksum == segment->checksum)
			return true;
	return false;
}

int
content_verify(struct content *c, uint64_t max, struct content_known *known, struct err *err)
{
	AUTO_FREE char *block = NULL;

	for (size_t i = 0; i < c->count; i++) {
		const struct segment *segment = &c->segments[i];

		if (segment->kind != SEGMENT_BLOB || segment->size > max ||
		    is_known(known, segment))
			continue;
		if (block == NULL)
			block = xmalloc(VERIFY_STEP);
		for (uint64_t at = 0; at < segment->size;) {
			uint64_t left = segment->size - at;
			size_t n = left < VERIFY_STEP ? (size_t)left : VERIFY_STEP;

			if (read_blob(c, i, at, block, n, err) < 0)
				return -1;
			at += n;
		}
		known->at[known->next].inode = segment->inode;
		known->at[known->next].checksum = segment->checksum;
		known->next = (known->next + 1) % (sizeof known->at / sizeof known->at[0]);
	}
	return 0;
}

void
content_close(struct content **content)
{
	struct content *c = *content;

	if (c == NULL)
		return;
	for (size_t i = 0; i < c->count; i++)
		buf_release(&c->segments[i].bytes);
	free(c->segments);
	auto_close_fd(&c->blob);
	checksum_end(&c->sum);
	free(c);
	*content = NULL;
}
