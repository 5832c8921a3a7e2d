/* Attachments that are stored once: kept while a message needs them, and gone with the last. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "mail/mime.h"
#include "spool/draft/draft.h"
#include "spool/part/content.h"
#include "spool/part/message.h"
#include "spool/part/private.h"
#include "spool/store/walk.h"
#include "spool_fixture.h"
#include "unit.h"

static char *recipient[] = { (char *)"b@example.org" };
static const struct part_terms no_terms;

/* Bytes that differ by seed, in static memory. */
static const char *
bytes_of(unsigned int seed, size_t n)
{
	static char bytes[400000];

	for (size_t i = 0; i < n; i++) {
		seed = seed * 1103515245u + 12345u;
		bytes[i] = (char)(seed >> 16);
	}
	return bytes;
}

static struct mail_part
store(struct part_pins *pins, unsigned int seed, size_t n)
{
	struct mail_part part = { .size = 0 };
	struct err err = ERR_INIT;

	if (part_store_bytes(pins, bytes_of(seed, n), n, &no_terms, &part, &err) < 0)
		unit_fail(__FILE__, __LINE__, "%s", err.msg);
	return part;
}

static int
count_entry(const char *name, unsigned char type, void *arg)
{
	(void)type;
	if (name[0] != '.')
		++*(int *)arg;
	return 0;
}

/* How many entries a directory of the spool has; 0 where it is not there. */
static int
entries(const struct spool *spool, const char *path)
{
	AUTO_FD int dir = fs_open_dir(spool->root, path);
	int count = 0;

	if (dir >= 0)
		fs_each(dir, count_entry, &count);
	return count;
}

/* The base64 of what bytes_of gives. */
static void
encode(struct buf *out, unsigned int seed, size_t n)
{
	struct mail_sink sink = { mail_sink_to_buf, out };
	struct mail_base64 base64 = { .sink = &sink };

	mail_base64_feed(&base64, bytes_of(seed, n), n);
	mail_base64_end(&base64);
}

static void
piece_of(const struct mail_part *part, uint64_t offset, struct record_piece *ret)
{
	*ret = (struct record_piece){ .kind = PIECE_PART,
		.offset = offset,
		.size = part->size,
		.checksum = part->checksum };
	memcpy(ret->hash, part->hash, sizeof ret->hash);
}

/* A message whose text is "head" and "tail", with pieces in between. */
static int
add(struct draft *draft, const char *id, struct record_piece *pieces, size_t count, struct err *err)
{
	const struct text_facts facts = { 0 };
	struct record record = { .id = (char *)(uintptr_t)id,
		.account = (char *)"main",
		.priority = 2,
		.sender = (char *)"a@example.com",
		.recipients = recipient,
		.recipient_count = 1,
		.pieces = pieces,
		.piece_count = count };

	if (draft_message_begin(draft, &record, err) < 0)
		return -1;
	if (draft_write(draft, "headtail", 8, err) < 0)
		return -1;
	return draft_message_end(draft, &facts, err);
}

/* Adds messages p-0, p-1, ... with one part each, in one draft. */
static void
add_some(struct spool *spool, const char *prefix, int messages, const struct mail_part *part)
{
	AUTO(draft_end) struct draft *draft = draft_begin(spool);
	struct err err = ERR_INIT;
	struct record_piece piece;
	char id[32];

	piece_of(part, 4, &piece);
	for (int i = 0; i < messages; i++) {
		snprintf(id, sizeof id, "%s-%d", prefix, i);
		if (add(draft, id, &piece, 1, &err) < 0)
			unit_fail(__FILE__, __LINE__, "%s", err.msg);
	}
	if (draft_commit(draft, &err) < 0)
		unit_fail(__FILE__, __LINE__, "%s", err.msg);
}

struct acting {
	struct spool *spool;
	int left; /* how many more */
};

/* Removes messages as one that was sent is. */
static int
remove_one(const struct place *place, void *arg)
{
	struct acting *acting = arg;
	struct part_use *use = part_look(acting->spool, place->dir, place->text);

	CHECK(use != NULL);
	CHECK_INT(unlinkat(place->dir, place->text, 0), 0);
	part_forget(acting->spool, &use);
	return --acting->left == 0;
}

static void
remove_some(struct spool *spool, int count)
{
	struct walk_filter filter = { .state = STATE_NONE };
	struct acting acting = { .spool = spool, .left = count };
	struct err err = ERR_INIT;

	walk(spool, &filter, remove_one, &acting, &err);
	CHECK_INT(acting.left, 0);
}

TEST(blake2b_is_that_of_the_rfc)
{
	static const struct {
		size_t n;
		const char *hash;
	} rows[] = {
		{ 0, "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8" },
		{ 3, "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319" },
		{ 127, "f609ab2904b340cd075920018e0e3c6f6a90a3dae3edf03d3cccc0634a81ffe3" },
		{ 128, "0702c64922fb7635a1b799668a7e89ba9c5fe55ed7bd2fdecb001544073afad9" },
		{ 129, "490091b32bad7b3380c9e593d341bce9b73ff9d4ebcf0091ff932bdff7279897" },
		{ 256, "3d0cb2693dfbac42af5a6cc960953fea8714aa39c4bcd054ef61d6b5e98ade4a" },
		{ 1000, "a2ae1ecc90361e0bb07dab9789a4b0a724ee3cf05623ac6cefa1e6af3da4aae8" },
	};
	char bytes[1000], hash[BLAKE2B_TEXT_SIZE];

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct blake2b b;

		for (size_t k = 0; k < rows[i].n; k++)
			bytes[k] = (char)(k * 7 + rows[i].n);
		blake2b_text(rows[i].n == 3 ? "abc" : bytes, rows[i].n, hash);
		CHECK_STR(hash, rows[i].hash);
		/* The same in pieces. */
		if (rows[i].n == 3)
			continue;
		blake2b_begin(&b);
		for (size_t k = 0; k < rows[i].n; k += 37)
			blake2b_add(&b, bytes + k, rows[i].n - k < 37 ? rows[i].n - k : 37);
		blake2b_end(&b, hash);
		CHECK_STR(hash, rows[i].hash);
	}
}

TEST(a_content_is_stored_once)
{
	struct spool spool = fresh_spool();
	AUTO(part_pins_free) struct part_pins *pins = part_pins_new(&spool);
	AUTO_BUF struct buf expected = BUF_INIT(1000000);
	AUTO_BUF struct buf found = BUF_INIT(1000000);
	struct mail_part first = store(pins, 1, 100000), second;
	struct stat before, after;

	encode(&expected, 1, 100000);
	CHECK_INT(first.raw, 100000);
	CHECK_INT(first.size, (long long)expected.len);
	CHECK(first.checksum == checksum_of(expected.s, expected.len));
	CHECK_INT(fs_read_file(pins->blobs, first.hash, &found), 0);
	CHECK(found.len == expected.len && memcmp(found.s, expected.s, found.len) == 0);
	CHECK_INT(fstatat(pins->blobs, first.hash, &before, 0), 0);
	second = store(pins, 1, 100000);
	CHECK_STR(second.hash, first.hash);
	CHECK_INT(fstatat(pins->blobs, first.hash, &after, 0), 0);
	CHECK(before.st_ino == after.st_ino);
	CHECK_INT(entries(&spool, "blobs"), 1);
	CHECK_INT(entries(&spool, "tmp"), 0);
	store(pins, 2, 100000);
	CHECK_INT(entries(&spool, "blobs"), 2);
	part_pins_free(&pins);
	/* No message came of them. */
	CHECK_INT(entries(&spool, "blobs"), 0);
	spool_close(&spool);
}

TEST(files_ranges_and_pipes_are_the_same_content)
{
	struct spool spool = fresh_spool();
	AUTO(part_pins_free) struct part_pins *pins = part_pins_new(&spool);
	struct part_terms limited = { .max = 49999, .filename = "x.bin" };
	struct mail_part bytes = store(pins, 3, 50000), part;
	AUTO_FD int file = openat(spool.tmp, ".", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
	int ends[2];
	struct err err = ERR_INIT;

	fs_write(file, "before", 6);
	fs_write(file, bytes_of(3, 50000), 50000);
	CHECK_INT(part_store_fd(pins, file, 6, UINT64_MAX, &no_terms, &part, &err), 0);
	CHECK_STR(part.hash, bytes.hash);
	fs_write(file, "behind", 6);
	CHECK_INT(part_store_fd(pins, file, 6, 50000, &no_terms, &part, &err), 0);
	CHECK_STR(part.hash, bytes.hash);
	CHECK_INT(part_store_fd(pins, file, 6, 50000, &limited, &part, &err), -1);
	CHECK_INT(err.code, EX_DATAERR);
	CHECK_STR(err.msg, "x.bin is larger than 49999 bytes");
	CHECK_INT(pipe2(ends, O_CLOEXEC), 0);
	CHECK_INT(fs_write(ends[1], bytes_of(3, 50000), 50000), 0);
	close(ends[1]);
	CHECK_INT(part_store_fd(pins, ends[0], 0, UINT64_MAX, &no_terms, &part, &err), 0);
	close(ends[0]);
	CHECK_STR(part.hash, bytes.hash);
	CHECK_INT(entries(&spool, "blobs"), 1);
	CHECK_INT(entries(&spool, "tmp"), 0);
	part_pins_free(&pins);
	spool_close(&spool);
}

TEST(a_damaged_blob_is_not_given_to_new_messages)
{
	struct spool spool = fresh_spool();
	struct part_pins *pins = part_pins_new(&spool);
	struct mail_part part = store(pins, 4, 30000);
	AUTO_FD int fd = -1;
	AUTO_BUF struct buf expected = BUF_INIT(1000000);
	AUTO_BUF struct buf found = BUF_INIT(1000000);

	add_some(&spool, "m", 1, &part);
	part_pins_free(&pins);
	pins = part_pins_new(&spool);
	CHECK_INT(part_pins_open(pins, NULL), 0);
	fd = openat(pins->blobs, part.hash, O_WRONLY | O_CLOEXEC);
	CHECK_INT(fs_pwrite(fd, "!", 1, 100), 0);
	store(pins, 4, 30000);
	encode(&expected, 4, 30000);
	CHECK_INT(fs_read_file(pins->blobs, part.hash, &found), 0);
	CHECK(found.len == expected.len && memcmp(found.s, expected.s, found.len) == 0);
	part_pins_free(&pins);
	spool_close(&spool);
}

TEST(what_messages_need_goes_with_the_last)
{
	struct spool spool = fresh_spool();
	struct part_pins *pins = part_pins_new(&spool);
	struct mail_part part = store(pins, 5, 20000);

	add_some(&spool, "one", 1, &part);
	add_some(&spool, "many", 3, &part);
	part_pins_free(&pins);
	CHECK_INT(entries(&spool, "blobs"), 1);
	CHECK_INT(entries(&spool, "parts"), 2);
	remove_some(&spool, 3);
	CHECK_INT(entries(&spool, "blobs"), 1);
	CHECK(part_any(&spool));
	remove_some(&spool, 1);
	CHECK_INT(entries(&spool, "blobs"), 0);
	CHECK_INT(entries(&spool, "parts"), 0);
	CHECK(!part_any(&spool));
	spool_close(&spool);
}

TEST(a_pin_keeps_what_was_sent_meanwhile)
{
	struct spool spool = fresh_spool();
	struct part_pins *pins = part_pins_new(&spool), *other = part_pins_new(&spool);
	struct mail_part part = store(pins, 6, 20000);
	struct err err = ERR_INIT;

	add_some(&spool, "m", 1, &part);
	part_pins_free(&pins);
	CHECK_INT(part_pin(other, part.hash, &err), 1);
	remove_some(&spool, 1);
	CHECK_INT(entries(&spool, "blobs"), 1);
	CHECK_INT(part_sweep(&spool), 0);
	CHECK_INT(entries(&spool, "blobs"), 1);
	add_some(&spool, "n", 1, &part);
	remove_some(&spool, 1);
	part_pins_free(&other);
	CHECK_INT(entries(&spool, "blobs"), 0);
	spool_close(&spool);
}

TEST(a_draft_that_is_not_committed_leaves_nothing)
{
	struct spool spool = fresh_spool();
	struct draft *draft = draft_begin(&spool);
	struct mail_part part = store(draft_pins(draft), 7, 20000);
	struct record_piece piece;
	struct err err = ERR_INIT;

	piece_of(&part, 4, &piece);
	CHECK_INT(add(draft, "a", &piece, 1, &err), 0);
	draft_end(&draft);
	CHECK_INT(entries(&spool, "blobs"), 0);
	/* And one that asks for what is not there. */
	draft = draft_begin(&spool);
	CHECK_INT(add(draft, "a", &piece, 1, &err), -1);
	CHECK_INT(err.code, EX_NOINPUT);
	draft_end(&draft);
	spool_close(&spool);
}

TEST(a_duplicate_keeps_nothing)
{
	struct spool spool = fresh_spool();
	struct part_pins *pins = part_pins_new(&spool);
	struct mail_part part = store(pins, 8, 20000);

	add_some(&spool, "m", 1, &part);
	add_some(&spool, "m", 1, &part);
	CHECK_INT(entries(&spool, "parts"), 1);
	add_some(&spool, "n", 2, &part);
	add_some(&spool, "n", 2, &part);
	CHECK_INT(entries(&spool, "parts"), 2);
	part_pins_free(&pins);
	remove_some(&spool, 3);
	CHECK_INT(entries(&spool, "parts"), 0);
	CHECK_INT(entries(&spool, "blobs"), 0);
	spool_close(&spool);
}

TEST(drafts_in_memory_carry_their_parts)
{
	struct spool spool = fresh_spool();
	struct draft *first = draft_begin_in_memory(&spool, 65536);
	struct draft *second = draft_begin_in_memory(&spool, 65536);
	struct draft *both = draft_begin(&spool);
	struct mail_part a = store(draft_pins(first), 9, 20000);
	struct mail_part b = store(draft_pins(second), 10, 20000);
	struct record_piece piece;
	struct err err = ERR_INIT;

	piece_of(&a, 4, &piece);
	CHECK_INT(add(first, "a", &piece, 1, &err), 0);
	piece_of(&b, 4, &piece);
	CHECK_INT(add(second, "b", &piece, 1, &err), 0);
	CHECK(draft_is_in_memory(first));
	CHECK_INT(draft_append(both, first, &err), 0);
	CHECK_INT(draft_append(both, second, &err), 0);
	draft_end(&first);
	draft_end(&second);
	CHECK_INT(draft_commit(both, &err), 0);
	draft_end(&both);
	CHECK_INT(entries(&spool, "blobs"), 2);
	CHECK_INT(entries(&spool, "parts"), 1);
	remove_some(&spool, 2);
	CHECK_INT(entries(&spool, "blobs"), 0);
	spool_close(&spool);
}

/* ---- reading --------------------------------------------------------------------------------- */

struct opened {
	struct spool *spool;
	int fd;
	struct message_name name;
	struct record record;
	char path[600];
};

static int
open_it(const struct place *place, void *arg)
{
	struct opened *opened = arg;
	struct err err = ERR_INIT;

	opened->name = place->name;
	if (message_open(place->dir, place->text, &place->name, &opened->fd, &opened->record,
		&err) < 0)
		unit_fail(__FILE__, __LINE__, "%s", err.msg);
	return 1;
}

static struct opened
open_only(struct spool *spool)
{
	struct walk_filter filter = { .state = STATE_NONE };
	struct opened opened = { .spool = spool, .fd = -1 };
	struct err err = ERR_INIT;

	CHECK_INT(walk(spool, &filter, open_it, &opened, &err), 1);
	return opened;
}

static void
close_it(struct opened *opened)
{
	auto_close_fd(&opened->fd);
	record_release(&opened->record);
}

/* One without parts, which stood in the same file. */
static int
unlink_if(const struct place *place, void *arg)
{
	return strcmp(place->name.id, arg) == 0 && unlinkat(place->dir, place->text, 0) == 0;
}

static void
remove_plain(struct spool *spool, const char *id)
{
	struct walk_filter filter = { .state = STATE_NONE };
	char wanted[64];

	snprintf(wanted, sizeof wanted, "%s", id);
	CHECK_INT(walk(spool, &filter, unlink_if, wanted, NULL), 1);
}

TEST(content_is_text_and_parts_at_any_offset)
{
	struct spool spool = fresh_spool();
	struct draft *draft = draft_begin(&spool);
	struct mail_part a = store(draft_pins(draft), 11, 20000);
	struct mail_part b = store(draft_pins(draft), 12, 300000);
	struct record_piece pieces[3];
	AUTO_BUF struct buf expected = BUF_INIT(2000000);
	AUTO_FREE char *read = NULL;
	struct content *content = NULL;
	struct opened opened;
	struct err err = ERR_INIT;
	unsigned int seed = 1;

	piece_of(&a, 0, &pieces[0]);
	piece_of(&b, 4, &pieces[1]);
	piece_of(&a, 8, &pieces[2]);
	CHECK_INT(add(draft, "before", NULL, 0, &err), 0);
	CHECK_INT(add(draft, "m", pieces, 3, &err), 0);
	CHECK_INT(draft_commit(draft, &err), 0);
	draft_end(&draft);
	encode(&expected, 11, 20000);
	buf_adds(&expected, "head");
	encode(&expected, 12, 300000);
	buf_adds(&expected, "tail");
	encode(&expected, 11, 20000);
	remove_plain(&spool, "before");
	opened = open_only(&spool);
	CHECK_INT(record_total(&opened.record), (long long)expected.len);
	CHECK_INT(content_open(&spool, opened.fd, &opened.name, &opened.record, &content, &err), 0);
	CHECK_INT(content_size(content), (long long)expected.len);
	read = xmalloc(expected.len);
	CHECK_INT(content_read(content, 0, read, expected.len, &err), 0);
	CHECK(memcmp(read, expected.s, expected.len) == 0);
	for (int i = 0; i < 2000; i++) {
		size_t at, n;

		seed = seed * 1103515245u + 12345u;
		at = (seed >> 4) % expected.len;
		seed = seed * 1103515245u + 12345u;
		n = (seed >> 4) % 30000;
		if (n > expected.len - at)
			n = expected.len - at;
		if (content_read(content, at, read, n, &err) < 0 ||
		    memcmp(read, expected.s + at, n) != 0)
			unit_fail(__FILE__, __LINE__, "%zu bytes at %zu: %s", n, at, err.msg);
	}
	CHECK_INT(content_read(content, expected.len - 1, read, 2, &err), -1);
	content_close(&content);
	close_it(&opened);
	spool_close(&spool);
}

TEST(damage_is_found_before_the_last_byte)
{
	struct spool spool = fresh_spool();
	struct part_pins *pins = part_pins_new(&spool);
	struct mail_part part = store(pins, 13, 100000);
	struct content_known known = { 0 };
	struct content *content = NULL;
	struct opened opened;
	struct err err = ERR_INIT;
	AUTO_FD int fd = -1;
	char block[1000];
	int result = 0;
	uint64_t at;

	add_some(&spool, "m", 1, &part);
	opened = open_only(&spool);
	CHECK_INT(content_open(&spool, opened.fd, &opened.name, &opened.record, &content, &err), 0);
	CHECK_INT(content_verify(content, UINT64_MAX, &known, &err), 0);
	fd = openat(pins->blobs, part.hash, O_WRONLY | O_CLOEXEC);
	CHECK_INT(fs_pwrite(fd, "!", 1, 50), 0);
	/* Known to be sound, it is not read again; what is read is. */
	CHECK_INT(content_verify(content, UINT64_MAX, &known, &err), 0);
	known = (struct content_known){ 0 };
	CHECK_INT(content_verify(content, UINT64_MAX, &known, &err), -1);
	CHECK_INT(err.code, EX_DATAERR);
	CHECK_INT(content_verify(content, 1000, &known, &err), 0);
	for (at = 0; at < content_size(content) && result == 0; at += sizeof block) {
		size_t n = content_size(content) - at < sizeof block ?
		    (size_t)(content_size(content) - at) :
		    sizeof block;

		result = content_read(content, at, block, n, &err);
	}
	CHECK_INT(result, -1);
	CHECK_INT(err.code, EX_DATAERR);
	CHECK(at > content_size(content) - 2 * sizeof block);
	content_close(&content);
	/* Cut off, or gone. */
	CHECK_INT(ftruncate(fd, 100), 0);
	CHECK_INT(content_open(&spool, opened.fd, &opened.name, &opened.record, &content, &err),
	    -1);
	CHECK_INT(err.code, EX_DATAERR);
	close_it(&opened);
	part_pins_free(&pins);
	spool_close(&spool);
}

/* ---- fetched later --------------------------------------------------------------------------- */

#define JSON "{\"filename\":\"a.pdf\",\"source\":{\"url\":\"https://files.example.com/a.pdf\"}}"

TEST(what_was_fetched_is_kept_for_all_of_the_draft)
{
	struct spool spool = fresh_spool();
	struct draft *draft = draft_begin(&spool);
	struct part_pins *pins = part_pins_new(&spool);
	struct record_piece piece = { .kind = PIECE_REMOTE,
		.offset = 4,
		.boundary = (char *)"=_b",
		.json = (char *)JSON };
	struct part_remote remote = { .head = BUF_INIT(1000) }, found;
	AUTO_BUF struct buf expected = BUF_INIT(1000000);
	AUTO_BUF struct buf read = BUF_INIT(1000000);
	struct content *content = NULL;
	struct opened opened;
	struct err err = ERR_INIT;

	CHECK_INT(add(draft, "a", &piece, 1, &err), 0);
	CHECK_INT(add(draft, "b", &piece, 1, &err), 0);
	CHECK_INT(draft_commit(draft, &err), 0);
	draft_end(&draft);
	opened = open_only(&spool);
	CHECK(record_is_remote(&opened.record));
	CHECK_STR(opened.record.pieces[0].json, JSON);
	CHECK_STR(opened.record.pieces[0].boundary, "=_b");
	CHECK_INT(content_open(&spool, opened.fd, &opened.name, &opened.record, &content, &err),
	    -1);
	CHECK_INT(err.code, EX_TEMPFAIL);
	CHECK_INT(content_open_partly(&spool, opened.fd, &opened.name, &opened.record, &content,
		      &err),
	    0);
	CHECK_INT(content_size(content), 8);
	content_close(&content);
	CHECK_INT(part_remote_read(&spool, opened.record.token, JSON, &found, &err), 0);

	remote.part = store(pins, 14, 20000);
	buf_adds(&remote.head, "Content-Type: application/pdf\r\n\r\n");
	CHECK_INT(part_remote_keep(pins, opened.record.token, JSON, &remote, &err), 0);
	part_pins_free(&pins);
	CHECK_INT(entries(&spool, "blobs"), 1);
	CHECK_INT(part_remote_read(&spool, opened.record.token, JSON "x", &found, &err), 0);
	CHECK_INT(part_remote_read(&spool, opened.record.token, JSON, &found, &err), 1);
	CHECK_STR(found.part.hash, remote.part.hash);
	CHECK_STR(found.head.s, remote.head.s);
	part_remote_release(&found);

	buf_adds(&expected, "head--=_b\r\nContent-Type: application/pdf\r\n\r\n");
	encode(&expected, 14, 20000);
	buf_adds(&expected, "tail");
	CHECK_INT(content_open(&spool, opened.fd, &opened.name, &opened.record, &content, &err), 0);
	CHECK_INT(content_size(content), (long long)expected.len);
	buf_reserve(&read, expected.len);
	CHECK_INT(content_read(content, 0, read.s, expected.len, &err), 0);
	CHECK(memcmp(read.s, expected.s, expected.len) == 0);
	content_close(&content);

	/* Sent without it: nothing at all in its place. */
	pins = part_pins_new(&spool);
	remote.left_out = true;
	CHECK_INT(part_remote_keep(pins, opened.record.token, JSON, &remote, &err), 0);
	CHECK_INT(content_open(&spool, opened.fd, &opened.name, &opened.record, &content, &err), 0);
	CHECK_INT(content_size(content), 8);
	content_close(&content);
	/* With a draft that is not there. */
	CHECK_INT(part_remote_keep(pins, "1.000001.00000000", JSON, &remote, &err), -1);
	CHECK_INT(err.code, EX_NOINPUT);
	CHECK_INT(part_remote_keep(pins, "../waiting", JSON, &remote, &err), -1);
	part_pins_free(&pins);
	part_remote_release(&remote);
	close_it(&opened);
	remove_some(&spool, 2);
	CHECK_INT(entries(&spool, "parts"), 0);
	CHECK_INT(entries(&spool, "blobs"), 0);
	spool_close(&spool);
}

/* ---- sweeping -------------------------------------------------------------------------------- */

static int
unlink_only(const struct place *place, void *arg)
{
	(void)arg;
	return unlinkat(place->dir, place->text, 0);
}

TEST(a_sweep_takes_what_a_crash_left_and_nothing_else)
{
	struct spool spool = fresh_spool();
	struct walk_filter filter = { .state = STATE_NONE };
	struct part_pins *pins = part_pins_new(&spool);
	struct mail_part live = store(pins, 15, 20000), dead = store(pins, 16, 20000);
	struct err err = ERR_INIT;
	AUTO_FD int fd = -1;

	add_some(&spool, "dead", 2, &dead);
	/* As by hand: nobody notices. */
	CHECK_INT(walk(&spool, &filter, unlink_only, NULL, &err), 0);
	add_some(&spool, "live", 2, &live);
	part_pins_free(&pins);
	/* A blob of which nothing came, and what is left of a draft that was just begun. */
	fd = openat(spool.root,
	    "blobs/0123456789012345678901234567890123456789012345678901234567890123",
	    O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	CHECK_INT(mkdirat(spool.root, "parts/1.000001.00000000", 0700), 0);
	CHECK_INT(entries(&spool, "parts"), 3);
	CHECK_INT(entries(&spool, "blobs"), 3);
	CHECK(part_sweep(&spool) >= 3);
	CHECK_INT(entries(&spool, "parts"), 1);
	CHECK_INT(entries(&spool, "blobs"), 1);
	CHECK_INT(part_sweep(&spool), 0);
	remove_some(&spool, 2);
	CHECK_INT(entries(&spool, "blobs"), 0);
	spool_close(&spool);
}

TEST(a_sweep_is_bounded_and_goes_on)
{
	struct spool spool = fresh_spool();
	struct part_pins *pins = part_pins_new(&spool);
	char name[80];
	int sweeps = 0;

	CHECK_INT(part_pins_open(pins, NULL), 0);
	for (int i = 0; i < 3000; i++) {
		AUTO_FD int fd = -1;

		snprintf(name, sizeof name, "%064x", i);
		fd = openat(pins->blobs, name, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	}
	CHECK(part_sweep(&spool) <= 512);
	CHECK(entries(&spool, "blobs") >= 3000 - 512);
	while (entries(&spool, "blobs") > 0 && sweeps < 30) {
		part_sweep(&spool);
		sweeps++;
	}
	CHECK_INT(entries(&spool, "blobs"), 0);
	part_pins_free(&pins);
	spool_close(&spool);
}

static char copy_to[1000];
static size_t copy_from_length;

/* For nftw(3). */
static int
copy_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	AUTO_FD int from = -1, to = -1;
	char target[2000], block[4096];
	ssize_t n;

	(void)ftw;
	snprintf(target, sizeof target, "%s%s", copy_to, path + copy_from_length);
	if (type == FTW_D)
		return mkdir(target, st->st_mode & 07777);
	if (type != FTW_F)
		return 0;
	from = open(path, O_RDONLY | O_CLOEXEC);
	to = open(target, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, st->st_mode & 07777);
	while ((n = read(from, block, sizeof block)) > 0)
		if (fs_write(to, block, (size_t)n) < 0)
			return -1;
	return n < 0 || to < 0 ? -1 : 0;
}

static int
copy_tree(const char *from, const char *to)
{
	snprintf(copy_to, sizeof copy_to, "%s", to);
	copy_from_length = strlen(from);
	return nftw(from, copy_entry, 10, FTW_PHYS);
}

/* A copy in which links have become files of their own. */
TEST(a_sweep_leaves_a_copied_spool_alone)
{
	struct spool spool = fresh_spool();
	struct part_pins *pins = part_pins_new(&spool);
	struct mail_part part = store(pins, 17, 20000);
	struct opened opened;
	struct content *content = NULL;
	struct err err = ERR_INIT;
	char command[1000];
	const struct spool_options options = { .read_only = false };
	struct spool copy;

	add_some(&spool, "m", 1, &part);
	part_pins_free(&pins);
	snprintf(command, sizeof command, "%s-copy", spool.path);
	CHECK_INT(copy_tree(spool.path, command), 0);
	CHECK_INT(spool_open(&copy, command, &options, &err), 0);
	part_sweep(&copy);
	CHECK_INT(part_sweep_all(&copy), 0);
	opened = open_only(&copy);
	CHECK_INT(content_open(&copy, opened.fd, &opened.name, &opened.record, &content, &err), 0);
	content_close(&content);
	close_it(&opened);
	spool_close(&copy);
	spool_close(&spool);
}

TEST(a_blob_with_all_the_links_it_can_have_is_copied)
{
	struct spool spool = fresh_spool();
	struct part_pins *pins = part_pins_new(&spool);
	struct mail_part part = store(pins, 18, 20000);
	AUTO_FD int many = -1;
	struct stat first, second;
	char name[32];
	int links = 0;

	CHECK_INT(fstatat(pins->blobs, part.hash, &first, 0), 0);
	CHECK_INT(mkdirat(spool.root, "many", 0700), 0);
	many = fs_open_dir(spool.root, "many");
	for (; links < 70000; links++) {
		snprintf(name, sizeof name, "%d", links);
		if (linkat(pins->blobs, part.hash, many, name, 0) < 0)
			break;
	}
	/* Some file systems (tmpfs) know no such limit. */
	if (links < 70000)
		CHECK_INT(errno, EMLINK);
	add_some(&spool, "m", 1, &part);
	CHECK_INT(fstatat(pins->blobs, part.hash, &second, 0), 0);
	if (links < 70000)
		CHECK(second.st_ino != first.st_ino && second.st_nlink == 2);
	CHECK_INT(second.st_size, first.st_size);
	part_pins_free(&pins);
	remove_some(&spool, 1);
	spool_close(&spool);
}

UNIT_MAIN()
