#include "spool/queue/partial.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/num.h"
#include "spool/store/own.h"

/* As much as 10,000 recipients of the longest kind. */
#define PARTIAL_MAX (4u * 1024 * 1024)

static int
open_directory(const struct spool *spool)
{
	return fs_open_dir(spool->root, "partial");
}

/* One line; it is cut up in place. */
static int
take_line(char *line, struct recipient_outcome *ret)
{
	char *code = strchr(line, ' ');
	char *address = code != NULL ? strchr(code + 1, ' ') : NULL;
	uint64_t number;

	if (address == NULL)
		return -1;
	*code++ = '\0';
	*address++ = '\0';
	ret->outcome = event_parse(line);
	if ((ret->outcome != EVENT_SENT && ret->outcome != EVENT_FAILED) ||
	    num_u64(code, 0, 999, &number) < 0 || *address == '\0')
		return -1;
	ret->code = (int)number;
	ret->address = address;
	ret->enhanced = ret->reply = "";
	return 0;
}

static int
compare_addresses(const void *a, const void *b)
{
	const struct recipient_outcome *x = a, *y = b;

	return strcmp(x->address, y->address);
}

int
partial_read(const struct spool *spool, const char *id, struct partial *ret, struct err *err)
{
	AUTO_FD int dir = open_directory(spool);
	AUTO_BUF struct buf text = BUF_INIT(PARTIAL_MAX);
	struct partial partial = { 0 };
	size_t lines = 0;
	char *next, *line;

	if (dir < 0 || fs_read_file(dir, id, &text) < 0) {
		if (errno != ENOENT)
			return err_io(err, "spool %s: partial/%s", spool->path, id);
		*ret = partial;
		return 0;
	}
	for (const char *p = text.s; *p != '\0'; p++)
		lines += *p == '\n';
	partial.memory = next = xstrndup(text.s, text.len);
	partial.settled = xcalloc(lines + 1, sizeof *partial.settled);
	while (partial.count < lines && (line = strsep(&next, "\n")) != NULL) {
		if (take_line(line, &partial.settled[partial.count]) < 0) {
			partial_release(&partial);
			return err_set(err, EX_DATAERR,
			    "spool %s: partial/%s: line %zu is not "
			    "\"sent|failed CODE ADDRESS\"",
			    spool->path, id, partial.count + 1);
		}
		partial.count++;
	}
	if (partial.count > 1)
		qsort(partial.settled, partial.count, sizeof *partial.settled, compare_addresses);
	*ret = partial;
	return 0;
}

const struct recipient_outcome *
partial_find(const struct partial *partial, const char *address)
{
	struct recipient_outcome key = { .address = address };

	if (partial->count == 0)
		return NULL;
	return bsearch(&key, partial->settled, partial->count, sizeof key, compare_addresses);
}

void
partial_release(struct partial *partial)
{
	free(partial->settled);
	free(partial->memory);
	*partial = (struct partial){ 0 };
}

int
partial_write(const struct spool *spool, const char *id, const struct recipient_outcome *settled,
    size_t count, struct err *err)
{
	AUTO_FD int dir = open_directory(spool);
	AUTO_BUF struct buf text = BUF_INIT(PARTIAL_MAX);

	for (size_t i = 0; i < count; i++)
		if (buf_addf(&text, "%s %d %s\n", event_text(settled[i].outcome), settled[i].code,
			settled[i].address) < 0)
			return err_io(err, "spool %s: partial/%s", spool->path, id);
	if (dir < 0 || own_replace(spool, dir, "partial", id, text.s, text.len) < 0)
		return err_io(err, "spool %s: partial/%s", spool->path, id);
	return 0;
}

void
partial_remove(const struct spool *spool, const char *id)
{
	AUTO_FD int dir = open_directory(spool);

	if (dir >= 0)
		unlinkat(dir, id, 0);
}
