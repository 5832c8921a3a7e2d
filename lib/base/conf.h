/*
 * Configuration files in libconfig's syntax, checked against a table.  Each setting has a path, a
 * type, a default and bounds; its value lands in a member of a struct.  What the table does not
 * know is an error with file and line, also in files that were included.
 *
 *	static const struct conf_item schema[] = {
 *		{ "delivery.jobs", CONF_INT, CONF_AT(struct settings, jobs), "10", 1, 1000 },
 *		{ "spool", CONF_PATH, CONF_AT(struct settings, spool) },
 *		{ 0 },
 *	};
 */
#ifndef BASE_CONF_H
#define BASE_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

enum conf_type {
	CONF_BOOL,     /* bool */
	CONF_MAYBE,    /* int: CONF_UNSET, 0 or 1; a bool whose absence means something */
	CONF_INT,      /* int64_t */
	CONF_STRING,   /* char *; no control characters, max bytes at most (default 1024) */
	CONF_PATH,     /* char *; absolute; "~/" is the user's home */
	CONF_DURATION, /* int64_t in microseconds; "5m", or an integer in seconds */
	CONF_SIZE,     /* int64_t in bytes; "64 MiB", or an integer */
	CONF_CHOICE, /* int: the place of the word in choices, CONF_UNSET where there is no default */
	CONF_STRINGS,	/* struct strings; a list, an array, or one string alone */
	CONF_DURATIONS, /* struct durations; likewise */
	CONF_GROUPS,	/* struct conf_groups: a list of groups with a table of their own */
};
#define CONF_UNSET (-1)

struct strings {
	char **v;
	size_t n;
};

struct durations {
	int64_t *v; /* microseconds */
	size_t n;
};

struct conf_groups {
	void *v; /* an array of n structs of element_size */
	size_t n;
};

struct conf_item {
	const char *path; /* "delivery.jobs", from the root or from the element's own group */
	enum conf_type type;
	size_t offset;	      /* see CONF_AT */
	const char *fallback; /* the default as it would be written ("5m"; a list: "1m, 5m"); NULL:
				 NULL, 0, empty, CONF_UNSET */
	int64_t min, max;     /* number, microseconds, bytes, length; max 0: no bounds */
	const char *choices;  /* CONF_CHOICE, CONF_STRINGS: the words allowed, apart by spaces */
	/* CONF_GROUPS */
	const struct conf_item *items;
	size_t element_size;
	/* Called with the element after it was filled (CONF_GROUPS), or with the member; place is
	 * "file:line".  An error's message gets place and path before it. */
	int (*check)(void *value, const char *place, struct err *err);
	/* CONF_GROUPS: frees what check made of an element, before its members are; or NULL. */
	void (*release)(void *element);
};
#define CONF_AT(type, member) .offset = offsetof(type, member)

/* Sets every member of target to its default.  target must be zeroed or released before. */
void conf_defaults(const struct conf_item *schema, void *target);

/*
 * Reads the file over what target holds.  0, or -1 with err: EX_NOINPUT or EX_NOPERM where it
 * cannot be opened, EX_CONFIG for all else ("FILE:LINE: setting: what was expected").
 * Relative names in @include count from the directory of file, also in files that it includes.
 */
int conf_load(const char *file, const struct conf_item *schema, void *target, struct err *err);

/*
 * Reads text that is in memory in place of a file, for values that stand in several structs: each
 * setting goes to the first target whose table knows it, and one that none knows means nothing and is
 * passed over, in groups too.  place names the text in messages ("PLACE:LINE: setting: ..."), which
 * never quote it: there may be a password in it.  @include is refused.  0, or -1 with err (EX_CONFIG).
 */
struct conf_target {
	const struct conf_item *schema;
	void *target;
};
int conf_parse(const char *text, size_t len, const char *place, const struct conf_target *targets,
    size_t n, struct err *err);

/* The item with this path; NULL where the table has none. */
const struct conf_item *conf_find(const struct conf_item *schema, const char *path);

/* Sets one setting from text as it would stand in the file (lists apart by commas), for values
 * that come from the environment; place names their source in messages.  Not for CONF_GROUPS. */
int conf_set(const struct conf_item *schema, void *target, const char *path, const char *text,
    const char *place, struct err *err);

/* Appends the value of an item as it would stand in a file.  1; 0 where it has none (NULL, unset; then
 * nothing is appended); -1 with errno = E2BIG. */
int conf_format(const struct conf_item *item, const void *target, struct buf *out);

/* Appends a duration exactly, as num_duration reads it: "1h30m". */
int conf_format_duration(int64_t span, struct buf *out);

/* Frees what the members hold and zeroes them. */
void conf_release(const struct conf_item *schema, void *target);

/* Appends a zeroed element with its defaults to the groups of an item; returns it. */
void *conf_groups_add(const struct conf_item *item, struct conf_groups *groups);

#endif
