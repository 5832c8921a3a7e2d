/* Files that a message in JSON may name: whoever wrote it may be a stranger. */
#ifndef CMD_ADD_PATH_H
#define CMD_ADD_PATH_H

#include "base/err.h"
#include "policy/settings.h"

/*
 * Opens a regular file below one of attachments.paths; links that lead out of that directory are
 * not followed.  Fits mail_json_options.open_path, with a const struct settings * as arg.  Returns
 * a descriptor, or -1 with EX_NOPERM where the file may not be read at all, and EX_NOINPUT.
 */
int add_path_open(void *settings, const char *path, struct err *err);

#endif
