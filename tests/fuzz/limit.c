/*
 * The file of a limit (spool/limit/private.h).  The bytes are those behind its checksum, which is made
 * here: by chance none would be right.
 */
#include "fuzz.h"

#include <inttypes.h>

#include "spool/limit/private.h"
#include "spool/store/record.h"

static int
look(int64_t instant, void *arg)
{
	FUZZ_CHECK(instant >= *(int64_t *)arg);
	return 0;
}

FUZZ(bytes, n)
{
	static const char magic[] = "mailq-limit 1 ";
	static char file_bytes[LIMIT_PAGE * 4];
	const size_t head = sizeof magic - 1 + 17;
	struct limit_file file = { .dir = -1 };
	uint64_t held[LIMIT_HOLDERS];
	int64_t first = INT64_MIN, stamp;

	memset(file_bytes, ' ', LIMIT_PAGE);
	if (n > sizeof file_bytes - head)
		n = sizeof file_bytes - head;
	memcpy(file_bytes + head, bytes, n);
	snprintf(file_bytes, head + 1, "%s%016" PRIx64, magic,
	    checksum_of(file_bytes + head, LIMIT_PAGE - head));
	file_bytes[head - 1] = '\n';
	file.size = head + n > LIMIT_PAGE ? head + n : LIMIT_PAGE;
	file.fd = fuzz_file(file_bytes, file.size);
	limit_page_salvage(&file, held);
	if (limit_page_read(&file) != 1)
		return;
	FUZZ_CHECK(file.page.capacity > 0 && file.page.sure <= file.page.total);
	if (limit_stamp_read(&file, limit_oldest(&file.page), &stamp) == 0)
		limit_each_stamp(&file, limit_oldest(&file.page), look, &first);
}
