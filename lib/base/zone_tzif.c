/* A file of the tz database: RFC 9636 section 3. */
#include <stdio.h>
#include <string.h>

#include "base/zone_private.h"

#define HEADER 44
#define FOOTER_MAX 255

static uint64_t
big_endian(const unsigned char *p, size_t n)
{
	uint64_t number = 0;

	while (n-- > 0)
		number = number << 8 | *p++;
	return number;
}

struct counts {
	size_t ut, standard, leap, times, kinds, letters;
};

/* The header at the beginning of a block, and the length of the data behind it, which are there. */
static int
read_header(const unsigned char *p, size_t left, size_t time_size, struct counts *ret,
    size_t *ret_length)
{
	size_t *const fields[] = { &ret->ut, &ret->standard, &ret->leap, &ret->times, &ret->kinds,
		&ret->letters };

	if (left < HEADER || memcmp(p, "TZif", 4) != 0)
		return -1;
	for (size_t i = 0; i < 6; i++) {
		*fields[i] = (size_t)big_endian(p + 20 + 4 * i, 4);
		if (*fields[i] > ZONE_FILE_MAX)
			return -1;
	}
	*ret_length = ret->times * (time_size + 1) + ret->kinds * 6 + ret->letters +
	    ret->leap * (time_size + 4) + ret->standard + ret->ut;
	return *ret_length > left - HEADER ? -1 : 0;
}

static int
read_kinds(struct zone *z, const unsigned char *p, const struct counts *c)
{
	const char *letters = (const char *)p + 6 * c->kinds;

	z->kinds = xcalloc(c->kinds, sizeof *z->kinds);
	z->kind_count = c->kinds;
	for (size_t i = 0; i < c->kinds; i++, p += 6) {
		int32_t offset = (int32_t)(uint32_t)big_endian(p, 4);
		const char *name = letters + p[5];

		if (offset < ZONE_OFFSET_MIN || offset > ZONE_OFFSET_MAX || p[4] > 1 ||
		    p[5] >= c->letters || memchr(name, '\0', c->letters - p[5]) == NULL)
			return -1;
		z->kinds[i].offset = offset;
		snprintf(z->kinds[i].abbreviation, sizeof z->kinds[i].abbreviation, "%.*s",
		    ZONE_ABBREVIATION - 1, name);
	}
	return 0;
}

/* Times that count leap seconds ("right/...") are not those of this system's clock. */
static int
read_block(struct zone *z, const unsigned char *p, size_t time_size, const struct counts *c)
{
	const unsigned char *after = p + c->times * time_size;

	if (c->kinds == 0 || c->kinds > 256 || c->leap > 0)
		return -1;
	z->times = xcalloc(c->times + 1, sizeof *z->times);
	z->after = xcalloc(c->times + 1, 1);
	z->count = c->times;
	for (size_t i = 0; i < c->times; i++) {
		uint64_t number = big_endian(p + i * time_size, time_size);

		z->times[i] = time_size == 4 ? (int32_t)(uint32_t)number : (int64_t)number;
		z->after[i] = after[i];
		if (after[i] >= c->kinds || (i > 0 && z->times[i] <= z->times[i - 1]))
			return -1;
	}
	return read_kinds(z, after + c->times, c);
}

/* "\nCET-1CEST,M3.5.0,M10.5.0/3\n"; an empty one says nothing of what follows. */
static int
read_footer(struct zone *z, const unsigned char *p, size_t left)
{
	const unsigned char *end;
	char text[FOOTER_MAX + 1];
	size_t n;

	if (left < 2 || *p != '\n' || (end = memchr(p + 1, '\n', left - 1)) == NULL)
		return -1;
	n = (size_t)(end - p) - 1;
	if (n == 0)
		return 0;
	if (n > FOOTER_MAX || memchr(p + 1, '\0', n) != NULL)
		return -1;
	memcpy(text, p + 1, n);
	text[n] = '\0';
	z->has_rule = true;
	return zone_posix_parse(text, &z->rule);
}

int
zone_read_tzif(struct zone *z, const struct buf *file)
{
	const unsigned char *p = (const unsigned char *)file->s;
	size_t left = file->len, length;
	struct counts counts;

	if (read_header(p, left, 4, &counts, &length) < 0)
		return -1;
	if (p[4] == '\0')
		return read_block(z, p + HEADER, 4, &counts);
	p += HEADER + length;
	left -= HEADER + length;
	if (read_header(p, left, 8, &counts, &length) < 0 ||
	    read_block(z, p + HEADER, 8, &counts) < 0)
		return -1;
	return read_footer(z, p + HEADER + length, left - HEADER - length);
}
