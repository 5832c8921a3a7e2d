#include "cmd/submit/contents.h"

#include <stdlib.h>
#include <string.h>

#include "base/json_spill.h"
#include "mail/mime.h"

#define CONTENT_MIN (32u * 1024) /* bytes as JSON from which on it is worth it */

enum { KEY_CONTENT, KEY_STORAGE_PATH };

/* What a storage_path that is content begins with, or would, were it said beside it (fetch_mode). */
static const char prefix[] = "base64:";
#define PREFIX (sizeof prefix - 1)

struct contents {
	struct json_spill *json;
	struct spill spill;
	int (*out)(void *arg, const char *bytes, size_t n);
	void *arg;
	uint64_t max; /* bytes of one */
	struct mail_marked *at;
	size_t count, room;
	unsigned long first; /* the number of at[0]: none is given twice */

	/* The one at hand. */
	struct mail_base64_reader reader;
	char prefix[PREFIX]; /* of a storage_path, while it may be the prefix, */
	size_t prefix_len;
	bool at_prefix; /* which is still to be seen */
	struct buf bytes;
	struct err err; /* why the spill failed */
};

static int
pass_on(void *arg, const char *bytes, size_t n)
{
	const struct contents *c = arg;

	return c->out(c->arg, bytes, n);
}

static int
begin(void *arg, size_t key, unsigned long *ret_number)
{
	struct contents *c = arg;

	if (c->count == c->room) {
		c->room = c->room * 2 + 16;
		c->at = xreallocarray(c->at, c->room, sizeof *c->at);
	}
	*ret_number = c->first + c->count;
	c->at[c->count++] = (struct mail_marked){ .start = c->spill.size };
	c->reader = (struct mail_base64_reader){ 0 };
	c->at_prefix = key == KEY_STORAGE_PATH;
	c->prefix_len = 0;
	return 0;
}

static struct mail_marked *
current(const struct contents *c)
{
	return &c->at[c->count - 1];
}

/* Text of the content, behind the prefix. */
static int
decode(struct contents *c, const char *text, size_t n)
{
	struct mail_marked *m = current(c);

	if (m->fault != MAIL_MARKED_GOOD)
		return 0;
	buf_clear(&c->bytes);
	if (mail_base64_read(&c->reader, text, n, &c->bytes) < 0) {
		m->fault = MAIL_MARKED_NOT_BASE64;
		m->fault_at = c->reader.at;
	} else if (m->length + c->bytes.len > c->max) {
		m->fault = MAIL_MARKED_TOO_LARGE;
	} else if (c->bytes.len > 0) {
		m->length += c->bytes.len;
		return spill_add(&c->spill, c->bytes.s, c->bytes.len, &c->err);
	}
	return 0;
}

/* The prefix is passed over, where it is there. */
static int
see_prefix(struct contents *c)
{
	struct mail_marked *m = current(c);

	c->at_prefix = false;
	m->prefixed = c->prefix_len == PREFIX && memcmp(c->prefix, prefix, PREFIX) == 0;
	return m->prefixed ? 0 : decode(c, c->prefix, c->prefix_len);
}

static int
data(void *arg, const char *bytes, size_t n)
{
	struct contents *c = arg;

	while (c->at_prefix && n > 0) {
		c->prefix[c->prefix_len++] = *bytes++;
		n--;
		if (c->prefix_len == PREFIX && see_prefix(c) < 0)
			return -1;
	}
	return n > 0 ? decode(c, bytes, n) : 0;
}

static int
end(void *arg)
{
	struct contents *c = arg;
	struct mail_marked *m = current(c);

	if (c->at_prefix && see_prefix(c) < 0)
		return -1;
	if (m->fault == MAIL_MARKED_GOOD && mail_base64_read_end(&c->reader) < 0) {
		m->fault = MAIL_MARKED_NOT_BASE64;
		m->fault_at = c->reader.at;
	}
	return 0;
}

struct contents *
contents_new(const struct spool *spool, const struct settings *settings,
    int (*out)(void *arg, const char *bytes, size_t n), void *arg)
{
	static const char *const keys[] = {
		[KEY_CONTENT] = "content",
		[KEY_STORAGE_PATH] = "storage_path",
		NULL,
	};
	const struct json_spill_calls calls = { keys, CONTENT_MIN, pass_on, begin, data, end };
	struct contents *c = xcalloc(1, sizeof *c);

	c->out = out;
	c->arg = arg;
	c->max = (uint64_t)settings->attachments.max_size;
	spill_begin(&c->spill, spool, settings->queue.min_free_bytes,
	    settings->queue.min_free_inodes);
	buf_init(&c->bytes, SIZE_MAX / 2);
	c->json = json_spill_new(&calls, c);
	return c;
}

void
contents_free(struct contents **contents)
{
	struct contents *c = *contents;

	if (c == NULL)
		return;
	json_spill_free(c->json);
	spill_release(&c->spill);
	buf_release(&c->bytes);
	free(c->at);
	free(c);
	*contents = NULL;
}

/* What ended it was the spill, or else out. */
static int
conclude(const struct contents *c, int result, struct err *err)
{
	if (result != 0 && c->err.code != 0)
		*err = c->err;
	return result;
}

int
contents_feed(struct contents *c, const char *bytes, size_t n, struct err *err)
{
	return conclude(c, json_spill_feed(c->json, bytes, n), err);
}

int
contents_end(struct contents *c, struct err *err)
{
	return conclude(c, json_spill_end(c->json), err);
}

const struct mail_marked *
contents_marked(void *contents, unsigned long number)
{
	const struct contents *c = contents;
	struct mail_marked *m;

	if (number < c->first || number - c->first >= c->count)
		return NULL;
	m = &c->at[number - c->first];
	m->fd = c->spill.fd;
	m->bytes = m->fd < 0 ? c->spill.held.s + m->start : NULL;
	return m;
}

int
contents_clear(struct contents *c, struct err *err)
{
	c->first += c->count;
	c->count = 0;
	return spill_clear(&c->spill, err);
}
