/* What the files of dsn.h share. */
#ifndef MAIL_DSN_PRIVATE_H
#define MAIL_DSN_PRIVATE_H

#include "mail/dsn.h"

/* The recipient that comes next, zeroed but for its action (FAILED); NULL where there are too many. */
struct mail_dsn_recipient *dsn_add(struct mail_dsn *dsn);
/* A value as it is kept: one line, decoded, cut.  NULL where nothing is left.  To be freed. */
char *dsn_text(const char *value, size_t len);
/* Finds a reply code and an enhanced code in words such as "said: 550 5.1.1 ..." and "(#5.1.1)"; leaves alone what is
 * known already. */
void dsn_codes(const char *words, struct mail_dsn_recipient *recipient);
/* A Message-ID out of a field's value: "a@b" of "<a@b>"; NULL: none.  To be freed. */
char *dsn_message_id(const char *value);

/* The fields of a message/delivery-status. */
void dsn_fields(struct mail_dsn *dsn, const char *text, size_t len);

/* What servers wrote before there was a standard; text is a report's first text.  true: it was such a one. */
bool dsn_qsbmf(struct mail_dsn *dsn, const struct buf *text);
bool dsn_failed_recipients(struct mail_dsn *dsn, const struct buf *header, const struct buf *text);

#endif
