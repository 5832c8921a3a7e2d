/* Small files of a spool that are lines of text (spool/store/lines.h). */
#include "fuzz.h"

#include "spool/store/lines.h"

static int
take(const char *key, const char *value, void *arg)
{
	size_t *total = arg;

	*total += strlen(key) + strlen(value) + 3; /* ": " and the line's end */
	FUZZ_CHECK(strchr(value, '\n') == NULL);
	return 0;
}

FUZZ(bytes, n)
{
	AUTO_BUF struct buf text = BUF_INIT(n + 1), out = BUF_INIT(n + 64);
	AUTO_FREE char *value = fuzz_text(bytes, n);
	size_t total = 0;

	buf_add(&text, bytes, n);
	if (lines_parse(&text, take, &total) == 0)
		FUZZ_CHECK(total <= n);
	lines_add_words(&out, "key", value);
	total = 0;
	FUZZ_CHECK(lines_parse(&out, take, &total) == 0);
}
