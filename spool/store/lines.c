#include "spool/store/lines.h"

#include <inttypes.h>
#include <string.h>

#include "base/clock.h"

void
lines_add_words(struct buf *b, const char *key, const char *text)
{
	size_t start;

	buf_addf(b, "%s: ", key);
	start = b->len;
	buf_adds(b, text);
	for (size_t i = start; i < b->len; i++)
		if ((unsigned char)b->s[i] < 0x20 || b->s[i] == 0x7f)
			b->s[i] = ' ';
	buf_addc(b, '\n');
}

void
lines_add_instant(struct buf *b, const char *key, int64_t instant)
{
	buf_addf(b, "%s: %" PRId64 ".%06" PRId64 "\n", key, instant / USEC, instant % USEC);
}

int
lines_parse(struct buf *text, int (*take)(const char *key, const char *value, void *arg), void *arg)
{
	char *line = text->s;

	if (strlen(text->s) != text->len)
		return -1;
	while (*line != '\0') {
		char *end = strchr(line, '\n'), *colon = strstr(line, ": ");

		if (end == NULL || colon == NULL || colon > end)
			return -1;
		*end = *colon = '\0';
		if (take(line, colon + 2, arg) != 0)
			return -1;
		line = end + 1;
	}
	return 0;
}
