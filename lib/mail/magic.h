/*
 * Content types by content, through libmagic.  The library and its database are loaded when the
 * first content must be typed; where they are not installed nothing is ever recognised.
 */
#ifndef MAIL_MAGIC_H
#define MAIL_MAGIC_H

#include <stddef.h>

struct mail_magic;

/* Loads nothing yet. */
struct mail_magic *mail_magic_new(void);
void mail_magic_free(struct mail_magic *magic);
/* Writes "type/subtype" into ret_type and returns 0; -1 where nothing can be said. */
int
mail_magic_type(struct mail_magic *magic, const void *bytes, size_t n, char *ret_type, size_t size);

#endif
