/* What the parts of conf share: conf.c reads files, conf_scan.c looks at their text before
 * libconfig does, conf_value.c knows the types of settings. */
#ifndef BASE_CONF_PRIVATE_H
#define BASE_CONF_PRIVATE_H

#include "base/buf.h"
#include "base/conf.h"

#define CONF_FILE_MAX (1u << 20) /* bytes of one file */

/* A scalar as it stands in a file. */
struct conf_value {
	enum { CONF_IS_BOOL, CONF_IS_INT, CONF_IS_FLOAT, CONF_IS_STRING, CONF_IS_OTHER } kind;
	int64_t number;	  /* CONF_IS_BOOL, CONF_IS_INT */
	const char *text; /* CONF_IS_STRING */
};

/* Checks n values (is_list: they stood in a list) against an item and puts them into its member of
 * target, whose old value is freed.  The message says what was expected, not where. */
int conf_store(const struct conf_item *item, void *target, const struct conf_value *values,
    size_t n, bool is_list, struct err *err);

/* Reads a file into text (whose maximum is CONF_FILE_MAX) and refuses what libconfig would take
 * silently or die of: NUL bytes, numbers beyond 32 bits, files to include that cannot be read. */
int conf_scan(const char *file, struct buf *text, struct err *err);

/* The same for text in memory, in which @include is refused. */
int conf_scan_text(const char *text, size_t len, const char *place, struct err *err);

/* The path of a file that @include names in file: to be freed. */
char *conf_include_path(const char *file, const char *name);

#endif
