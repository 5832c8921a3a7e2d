/* mailq-add --bounce: a report of delivery that a mail server sent back is put on record, for the application to
 * hear of. */
#ifndef CMD_ADD_BOUNCE_H
#define CMD_ADD_BOUNCE_H

#include "base/err.h"
#include "cmd/add/options.h"
#include "mail/dsn.h"
#include "spool/store/spool.h"

/* The whole of it; an exit status, and what went wrong was printed. */
int add_bounce(const struct add_options *options);

/* ---- which message it is about (bounce_find.c) --------------------------------------------------- */

#define BOUNCE_RECIPIENTS 100000 /* of one message; what is beyond is not told apart */

/* A message that was sent, as the journals have it. */
struct bounce_message {
	char *id;
	char *lane, *account, *batch, *message_id;
	char **recipients;
	size_t count, room;
};

#define BOUNCE_MESSAGE_INIT                                                                        \
	{                                                                                          \
		.id = NULL                                                                         \
	}
void bounce_message_release(struct bounce_message *message);

/*
 * The message that a report is about: that of our id as ENVID, else the latest with the ENVID or Message-ID that the
 * report names, else, where it names neither, the latest that went to one of its recipients before the report says
 * it arrived.  Journals are read from the latest back, and only as far as it takes.  1; 0: there is none; -1 with err.
 */
int bounce_find(struct spool *spool, const struct mail_dsn *dsn, struct bounce_message *ret,
    struct err *err);
/* Since when something may have happened to a message of this id: an instant; -1: no such id is known. */
int64_t bounce_since(struct spool *spool, const char *id);
/* Which of the message's recipients this is about, or the report's own word for it.  *ret_known: it is one of
 * them. */
const char *bounce_recipient(const struct bounce_message *message,
    const struct mail_dsn_recipient *recipient, bool *ret_known);

#endif
