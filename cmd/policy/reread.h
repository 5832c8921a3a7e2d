/*
 * Reading the configuration again after root has become the spool's owner (spool_open): the same file, though
 * HOME is another's by now, if that user may read it.
 */
#ifndef CMD_POLICY_REREAD_H
#define CMD_POLICY_REREAD_H

#include "policy/settings.h"

/* The file to name from now on (-c), to be freed; NULL where nothing has changed, or there is no file. */
char *reread_file(const struct settings *settings);
/* -1 with err (EX_NOPERM) where that file (NULL: fine) cannot be read any more. */
int reread_check(const char *file, struct err *err);

#endif
