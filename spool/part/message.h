/* One message: opened by the name under which it stands, and verified. */
#ifndef SPOOL_PART_MESSAGE_H
#define SPOOL_PART_MESSAGE_H

#include "spool/store/record.h"
#include "spool/store/spool.h"

/* Opens the message and reads its record (release it).  ret_fd may be NULL.  The text begins at
 * offset name.offset + record.size.  EX_NOINPUT: it is gone; EX_DATAERR: damaged. */
int message_open(int dir, const char *text, const struct message_name *name, int *ret_fd,
    struct record *ret, struct err *err);
/* Recomputes the checksum of record and text: 0, or -1 with EX_DATAERR, EX_IOERR. */
int message_verify(int fd, const struct message_name *name, const struct record *record,
    struct err *err);

#endif
