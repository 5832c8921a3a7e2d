/*
 * Small files that are lines of text, "key: value", which a person can read and a program replaces as
 * a whole.  An instant is SECONDS.MICROSECONDS, as in names.
 */
#ifndef SPOOL_STORE_LINES_H
#define SPOOL_STORE_LINES_H

#include <stdint.h>

#include "base/buf.h"

/* "key: text" as one line, whatever the text: control characters become spaces. */
void lines_add_words(struct buf *b, const char *key, const char *text);
void lines_add_instant(struct buf *b, const char *key, int64_t instant);

/* Calls take(key, value, arg) for each line of text, which is taken apart.  0, or -1 where a line is
 * not of this form, the last has no newline, or take returned non-zero. */
int lines_parse(struct buf *text, int (*take)(const char *key, const char *value, void *arg),
    void *arg);

#endif
