/* What holds for the attachments of a message by the configuration, however it came in. */
#ifndef CMD_SUBMIT_ATTACH_H
#define CMD_SUBMIT_ATTACH_H

#include "base/err.h"
#include "mail/message.h"
#include "policy/settings.h"

/*
 * Opens a file that a message in JSON names: whoever wrote that may be a stranger.  A regular file below one of
 * attachments.paths, to which no symbolic link leads and no ".."; all else is the same EX_NOPERM to him, who
 * learns nothing of what is there.  Fits mail_json_options.open_path, with a const struct settings * as arg.
 * Returns a descriptor, or -1.
 */
int attach_open(void *settings, const char *path, struct err *err);

/* Why nothing can be attached from S3, for mail_json_options.no_s3; NULL: it can. */
const char *attach_no_s3(const struct settings *settings);

/* Adds up what is known of the attachments' sizes: EX_DATAERR where they are more than attachments.max_total
 * together. */
int attach_check_total(const struct settings *settings, const struct mail_message *message,
    struct err *err);

#endif
