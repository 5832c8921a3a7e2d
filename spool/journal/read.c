/* Reading journals, line by line. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "spool/journal/journal.h"

#define READ_STEP ((size_t)32 * 1024)

void
journal_reader_init(struct journal_reader *reader, int fd, int64_t from_offset)
{
	*reader = (struct journal_reader){ .fd = fd, .offset = from_offset };
	buf_init(&reader->bytes, JOURNAL_LINE_MAX + READ_STEP);
}

void
journal_reader_release(struct journal_reader *reader)
{
	buf_release(&reader->bytes);
}

/* Reads more behind what is there: how many bytes, 0 at the end, -1 with errno. */
static ssize_t
read_more(struct journal_reader *reader)
{
	struct buf *b = &reader->bytes;

	buf_consume(b, reader->at);
	reader->offset += (int64_t)reader->at;
	reader->at = 0;
	if (b->len > JOURNAL_LINE_MAX || reader->skipping) {
		reader->skipping = true;
		reader->offset += (int64_t)b->len;
		buf_clear(b);
	}
	if (buf_reserve(b, READ_STEP) < 0)
		return -1;
	for (;;) {
		ssize_t got =
		    pread(reader->fd, b->s + b->len, READ_STEP, reader->offset + (int64_t)b->len);

		if (got < 0 && errno == EINTR)
			continue;
		if (got > 0)
			b->len += (size_t)got;
		return got;
	}
}

int
journal_next(struct journal_reader *reader, const char **ret_text, size_t *ret_len,
    int64_t *ret_offset)
{
	struct buf *b = &reader->bytes;
	size_t searched = 0;

	for (;;) {
		char *from = b->s + reader->at + searched;
		char *end = memchr(from, '\n', b->len - reader->at - searched);
		ssize_t got;

		if (end != NULL) {
			*ret_text = reader->skipping ? NULL : b->s + reader->at;
			*ret_len = reader->skipping ? 0 : (size_t)(end - b->s) - reader->at;
			*ret_offset = reader->offset + (int64_t)reader->at;
			reader->at = (size_t)(end - b->s) + 1;
			reader->skipping = false;
			return 1;
		}
		searched = b->len - reader->at;
		got = read_more(reader);
		if (got < 0)
			return -1;
		if (reader->skipping)
			searched = 0;
		if (got > 0)
			continue;
		if (b->len == 0 && !reader->skipping)
			return 0;
		/* Unfinished: perhaps its writer is just at it.  It stays unread. */
		reader->skipping = false;
		*ret_text = NULL;
		*ret_len = 0;
		*ret_offset = reader->offset;
		reader->offset += (int64_t)b->len;
		buf_clear(b);
		return 1;
	}
}

int
journal_read(int fd, int64_t from_offset,
    int (*each)(const char *text, size_t len, const struct json *value, int64_t offset, void *arg),
    void *arg, size_t *ret_bad)
{
	struct journal_reader reader;
	const char *text;
	int64_t offset;
	size_t len, bad = 0;
	int result;

	journal_reader_init(&reader, fd, from_offset);
	while ((result = journal_next(&reader, &text, &len, &offset)) == 1) {
		AUTO_JSON struct json *value = text != NULL ? json_parse(text, len, 1, NULL) : NULL;

		if (json_kind(value) != JSON_OBJECT) {
			bad++;
			continue;
		}
		result = each(text, len, value, offset, arg);
		if (result != 0)
			break;
	}
	journal_reader_release(&reader);
	if (ret_bad != NULL)
		*ret_bad = bad;
	return result;
}
