/* Journals (spool/journal/journal.h, journal_audit.h), and what is summed of their lines. */
#include "fuzz.h"

#include "spool/journal/audit.h"
#include "spool/journal/totals_private.h"

struct seen {
	size_t lines;
	int64_t offset;
};

static int
each(const char *text, size_t len, const struct json *value, int64_t offset, void *arg)
{
	struct seen *seen = arg;

	FUZZ_CHECK(memchr(text, '\n', len) == NULL);
	FUZZ_CHECK(json_kind(value) == JSON_OBJECT);
	FUZZ_CHECK(offset > seen->offset);
	seen->offset = offset;
	seen->lines++;
	return 0;
}

FUZZ(bytes, n)
{
	int fd = fuzz_file(bytes, n);
	struct seen read = { 0, -1 }, audited = { 0, -1 };
	struct journal_audit audit = { 0 };
	AUTO(totals_release) struct totals totals = { 0 };
	size_t bad = 0;

	FUZZ_CHECK(journal_read(fd, 0, each, &read, &bad) == 0);
	FUZZ_CHECK(journal_audit(fd, each, &audited, &audit) == 0);
	FUZZ_CHECK(bad == 0 || audit.damaged || audit.torn);
	FUZZ_CHECK(audited.lines <= read.lines);
	while (n > 0) {
		const char *end = memchr(bytes, '\n', n);
		size_t length = end != NULL ? (size_t)(end - bytes) : n;
		char *line = fuzz_copy(bytes, length);

		totals_count_line(&totals, line, length);
		free(line);
		bytes += length + (end != NULL);
		n -= length + (end != NULL);
	}
	FUZZ_CHECK(totals.account_count <= TOTALS_ACCOUNTS + 1);
}
