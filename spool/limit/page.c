/* What is in the file of a limit: the page, and the ring of stamps. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/fs.h"
#include "base/num.h"
#include "spool/limit/private.h"
#include "spool/store/record.h"

#define MAGIC "mailq-limit 1 "
#define HOLDER "holder "
#define HEAD_LEN (sizeof(MAGIC) - 1 + 16 + 1)

/* ---- the page ---------------------------------------------------------------------------- */

static void
put_instant(struct buf *b, const char *key, int64_t instant)
{
	buf_addf(b, "%s: %s%" PRId64 ".%06" PRId64 "\n", key, instant < 0 ? "-" : "",
	    instant < 0 ? -(instant / USEC) : instant / USEC,
	    instant < 0 ? -(instant % USEC) : instant % USEC);
}

static void
put_digits(struct buf *b, uint64_t number)
{
	char digits[20];
	size_t n = sizeof digits;

	do {
		digits[--n] = (char)('0' + number % 10);
		number /= 10;
	} while (number > 0);
	buf_add(b, digits + n, sizeof digits - n);
}

/* By hand: there are many of these lines, and by printf and its like they were most of what taking a
 * slot costs. */
static void
put_holder(struct buf *b, unsigned int place, uint64_t held)
{
	buf_add(b, HOLDER, sizeof(HOLDER) - 1);
	put_digits(b, place);
	buf_add(b, ": ", 2);
	put_digits(b, held);
	buf_addc(b, '\n');
}

int
limit_page_write(struct limit_file *file)
{
	static const char hint[] = "\nBelow is when each message left; the line after the latest "
				   "is the oldest.  See mailq-spool(5).\n";
	AUTO_BUF struct buf b = BUF_INIT(LIMIT_PAGE);
	const struct limit_page *page = &file->page;
	char head[HEAD_LEN + 1];

	buf_addf(&b, "%s%016x\n", MAGIC, 0);
	buf_addf(&b,
	    "ring: %" PRIu64 "\ncapacity: %" PRIu64 "\ntotal: %" PRIu64 "\nsure: %" PRIu64 "\n",
	    page->ring, page->capacity, page->total, page->sure);
	put_instant(&b, "since", page->since);
	put_instant(&b, "last", page->last);
	put_instant(&b, "base", page->base);
	put_instant(&b, "step", page->step);
	buf_addf(&b, "boot: %s\n", page->boot);
	for (int i = 0; i < LIMIT_HOLDERS; i++)
		put_holder(&b, (unsigned int)i, page->held[i]);
	buf_adds(&b, hint);
	if (buf_reserve(&b, LIMIT_PAGE - b.len) < 0) {
		errno = EOVERFLOW;
		return -1;
	}
	memset(b.s + b.len, ' ', LIMIT_PAGE - b.len);
	b.s[LIMIT_PAGE - 1] = '\n';
	snprintf(head, sizeof head, "%s%016" PRIx64 "\n", MAGIC,
	    checksum_of(b.s + HEAD_LEN, LIMIT_PAGE - HEAD_LEN));
	memcpy(b.s, head, HEAD_LEN);
	return fs_pwrite(file->fd, b.s, LIMIT_PAGE, 0);
}

/* Takes "key: value\n" off *p; the value is terminated in place. */
static const char *
take_line(char **p, const char *key)
{
	size_t n = strlen(key);
	char *value = *p, *end = strchr(*p, '\n');

	if (end == NULL || strncmp(value, key, n) != 0 || strncmp(value + n, ": ", 2) != 0)
		return NULL;
	*end = '\0';
	*p = end + 1;
	return value + n + 2;
}

static bool
take_number(char **p, const char *key, uint64_t *ret)
{
	const char *value = take_line(p, key);

	return value != NULL && num_u64(value, 0, UINT64_MAX, ret) == 0;
}

static bool
take_instant(char **p, const char *key, int64_t *ret)
{
	const char *value = take_line(p, key);
	bool negative = value != NULL && value[0] == '-';

	if (value == NULL || instant_parse(value + negative, ret) < 0)
		return false;
	if (negative)
		*ret = -*ret;
	return true;
}

/* Digits at *p; moves behind them, and the text that has to follow. */
static bool
skip_number(char **p, const char *behind, uint64_t *ret)
{
	size_t n = strspn(*p, "0123456789");

	if (num_u64_view(*p, n, LIMIT_MAX, ret) < 0 || strncmp(*p + n, behind, strlen(behind)) != 0)
		return false;
	*p += n + strlen(behind);
	return true;
}

static bool
take_holder(char **p, uint64_t place, uint64_t *ret)
{
	uint64_t number;

	if (strncmp(*p, HOLDER, sizeof(HOLDER) - 1) != 0)
		return false;
	*p += sizeof(HOLDER) - 1;
	return skip_number(p, ": ", &number) && number == place && skip_number(p, "\n", ret);
}

static bool
parse_page(char *text, struct limit_page *ret)
{
	const char *boot;

	if (!take_number(&text, "ring", &ret->ring) ||
	    !take_number(&text, "capacity", &ret->capacity) ||
	    !take_number(&text, "total", &ret->total) || !take_number(&text, "sure", &ret->sure) ||
	    !take_instant(&text, "since", &ret->since) ||
	    !take_instant(&text, "last", &ret->last) || !take_instant(&text, "base", &ret->base) ||
	    !take_instant(&text, "step", &ret->step))
		return false;
	boot = take_line(&text, "boot");
	if (boot == NULL || strlen(boot) >= sizeof ret->boot)
		return false;
	snprintf(ret->boot, sizeof ret->boot, "%s", boot);
	for (unsigned int i = 0; i < LIMIT_HOLDERS; i++)
		if (!take_holder(&text, i, &ret->held[i]))
			return false;
	return ret->ring >= LIMIT_PAGE && ret->ring <= INT64_MAX / 2 && ret->capacity > 0 &&
	    ret->capacity <= 2 * LIMIT_MAX && ret->sure <= ret->total;
}

/* The page's bytes, as far as there are any; zeros where not. */
static int
read_bytes(const struct limit_file *file, char bytes[LIMIT_PAGE + 1])
{
	size_t n = file->size < LIMIT_PAGE ? (size_t)file->size : LIMIT_PAGE;

	memset(bytes, 0, LIMIT_PAGE + 1);
	return n > 0 ? fs_pread(file->fd, bytes, n, 0) : 0;
}

int
limit_page_read(struct limit_file *file)
{
	char bytes[LIMIT_PAGE + 1], head[HEAD_LEN + 1];
	struct limit_page page;
	size_t zeros = 0;

	if (read_bytes(file, bytes) < 0)
		return -1;
	while (zeros < LIMIT_PAGE && bytes[zeros] == '\0')
		zeros++;
	if (zeros == LIMIT_PAGE)
		return 0;
	snprintf(head, sizeof head, "%s%016" PRIx64 "\n", MAGIC,
	    checksum_of(bytes + HEAD_LEN, LIMIT_PAGE - HEAD_LEN));
	if (memcmp(bytes, head, HEAD_LEN) != 0 || !parse_page(bytes + HEAD_LEN, &page)) {
		errno = EBADMSG;
		return -1;
	}
	file->page = page;
	return 1;
}

void
limit_page_salvage(const struct limit_file *file, uint64_t ret_held[LIMIT_HOLDERS])
{
	char bytes[LIMIT_PAGE + 1], key[24];

	if (read_bytes(file, bytes) < 0)
		memset(bytes, 0, sizeof bytes);
	for (size_t i = 0; i < LIMIT_PAGE; i++)
		if (bytes[i] == '\0')
			bytes[i] = ' ';
	for (int i = 0; i < LIMIT_HOLDERS; i++) {
		char *line, *end;

		ret_held[i] = UINT64_MAX;
		snprintf(key, sizeof key, "\n" HOLDER "%d: ", i);
		line = strstr(bytes, key);
		end = line != NULL ? strchr(line + 1, '\n') : NULL;
		if (end == NULL)
			continue;
		line += strlen(key);
		if (num_u64_view(line, (size_t)(end - line), LIMIT_MAX, &ret_held[i]) < 0)
			ret_held[i] = UINT64_MAX;
	}
}

/* ---- stamps ------------------------------------------------------------------------------ */

static off_t
place_of(const struct limit_page *page, uint64_t n)
{
	return (off_t)(page->ring + n % page->capacity * LIMIT_STAMP);
}

static int
parse_stamp(const char *line, int64_t *ret)
{
	char text[LIMIT_STAMP];

	memcpy(text, line, LIMIT_STAMP - 1);
	text[LIMIT_STAMP - 1] = '\0';
	if (line[LIMIT_STAMP - 1] == '\n' && instant_parse(text, ret) == 0)
		return 0;
	errno = EBADMSG;
	return -1;
}

static void
format_stamp(char line[LIMIT_STAMP], int64_t instant)
{
	line[LIMIT_STAMP - 1] = '\n';
	for (int i = LIMIT_STAMP - 2; i >= 0; i--) {
		if (i == LIMIT_STAMP - 8) {
			line[i] = '.';
			continue;
		}
		line[i] = (char)('0' + instant % 10);
		instant /= 10;
	}
}

int
limit_stamp_read(struct limit_file *file, uint64_t n, int64_t *ret)
{
	off_t at = place_of(&file->page, n);
	char line[LIMIT_STAMP];

	if (file->doubtful && n >= file->page.sure) {
		*ret = file->page.last;
		return 0;
	}
	file->reads++;
	if ((uint64_t)at + LIMIT_STAMP > file->size) {
		errno = EBADMSG;
		return -1;
	}
	return fs_pread(file->fd, line, sizeof line, at) < 0 ? -1 : parse_stamp(line, ret);
}

uint64_t
limit_oldest(const struct limit_page *page)
{
	return page->total > page->capacity ? page->total - page->capacity : 0;
}

/* How many stamps can be read or written from the n-th on at a stroke, of count. */
static size_t
stroke(const struct limit_page *page, uint64_t n, uint64_t count)
{
	uint64_t to_end = page->capacity - n % page->capacity;

	if (count > LIMIT_BLOCK)
		count = LIMIT_BLOCK;
	return (size_t)(count < to_end ? count : to_end);
}

int
limit_each_stamp(struct limit_file *file, uint64_t n, int (*each)(int64_t instant, void *arg),
    void *arg)
{
	char block[LIMIT_BLOCK * LIMIT_STAMP];
	const struct limit_page *page = &file->page;
	int64_t instant;

	while (n < page->total) {
		size_t count = stroke(page, n, page->total - n);
		off_t at = place_of(page, n);

		if ((uint64_t)at + count * LIMIT_STAMP > file->size) {
			errno = EBADMSG;
			return -1;
		}
		if (fs_pread(file->fd, block, count * LIMIT_STAMP, at) < 0)
			return -1;
		for (size_t i = 0; i < count; i++) {
			int result = parse_stamp(block + i * LIMIT_STAMP, &instant);

			if (result == 0)
				result = each(instant, arg);
			if (result != 0)
				return result;
		}
		n += count;
	}
	return 0;
}

/* Blank lines behind the end of the file, as far as the ring goes; many at a time, since a sync that
 * also must record a file's new size costs twice that of one which does not. */
static int
grow(struct limit_file *file, uint64_t needed)
{
	char block[LIMIT_BLOCK * LIMIT_STAMP];
	uint64_t end = file->page.ring + file->page.capacity * LIMIT_STAMP;
	uint64_t more;

	if (needed <= file->size)
		return 0;
	memset(block, ' ', sizeof block);
	for (size_t i = 1; i <= LIMIT_BLOCK; i++)
		block[i * LIMIT_STAMP - 1] = '\n';
	while (file->size < needed) {
		/* Whole lines from where a line begins. */
		more = end - file->size < sizeof block ? end - file->size : sizeof block;
		if (fs_pwrite(file->fd, block, (size_t)more, (off_t)file->size) < 0)
			return -1;
		file->size += more;
	}
	return 0;
}

int
limit_stamps(struct limit_file *file, const int64_t *instants, size_t count)
{
	char block[LIMIT_BLOCK * LIMIT_STAMP];
	struct limit_page *page = &file->page;

	while (count > 0) {
		size_t n = stroke(page, page->total, count);
		off_t at = place_of(page, page->total);

		for (size_t i = 0; i < n; i++) {
			if (instants[i] > page->last)
				page->last = instants[i];
			format_stamp(block + i * LIMIT_STAMP, page->last);
		}
		if (grow(file, (uint64_t)at + n * LIMIT_STAMP) < 0 ||
		    fs_pwrite(file->fd, block, n * LIMIT_STAMP, at) < 0)
			return -1;
		page->total += n;
		instants += n;
		count -= n;
	}
	return 0;
}

int
limit_stamp(struct limit_file *file, int64_t instant, uint64_t count)
{
	int64_t instants[LIMIT_BLOCK];
	struct limit_page *page = &file->page;

	/* No more than the ring holds is ever written. */
	if (count > page->capacity) {
		page->total += count - page->capacity;
		count = page->capacity;
	}
	for (size_t i = 0; i < LIMIT_BLOCK && i < count; i++)
		instants[i] = instant;
	while (count > 0) {
		size_t n = count < LIMIT_BLOCK ? (size_t)count : LIMIT_BLOCK;

		if (limit_stamps(file, instants, n) < 0)
			return -1;
		count -= n;
	}
	return 0;
}
