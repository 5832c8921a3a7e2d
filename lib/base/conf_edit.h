/*
 * Changing settings in a text of libconfig's syntax that conf_parse has accepted, with all else left
 * byte for byte as it stands: comments, order, white space, and settings that nobody here knows.
 */
#ifndef BASE_CONF_EDIT_H
#define BASE_CONF_EDIT_H

#include <stdbool.h>

#include "base/buf.h"

/*
 * Appends to out the text with a setting changed.  path: "host", or "timeouts.connect" for one in a
 * group.  value: as it stands behind the "=" ("\"x\"", "587", "( { ... } )"); NULL takes the setting
 * out, with its line where it stands alone on it (a comment behind it stays).  One that is not there is
 * added at the end, or at the end of its group.  Comments within a value that changes go with it.
 * 0, or -1 with errno: E2BIG, or EINVAL where the text is not of this syntax.
 */
int conf_edit(const char *text, const char *path, const char *value, struct buf *out);

/* The value of a setting as it stands, in text; false where it is not there before the text's end, or
 * its first fault. */
bool conf_edit_find(const char *text, const char *path, struct view *ret);

/* Appends a string in quotes, escaped.  -1 with errno = E2BIG. */
int conf_edit_quote(struct buf *out, const char *string);

#endif
