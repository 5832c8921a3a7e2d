/* Who a message is from where it does not say so itself. */
#ifndef CMD_ADD_SENDER_H
#define CMD_ADD_SENDER_H

#include "base/err.h"
#include "mail/address.h"
#include "policy/settings.h"

/* The domain for addresses without one. */
const char *add_domain(const struct settings *settings);

/*
 * The sender that is configured for messages of this account (NULL: the default account): the
 * account's own, else delivery.from.  1 and *ret_address, 0 where none is, -1 with err.
 */
int add_sender_configured(const struct settings *settings, const char *account,
    struct mail_address *ret_address, struct err *err);

/* The same, and where none is configured the address of the user who runs the program, with the
 * name that the system knows. */
int add_sender_default(const struct settings *settings, const char *account,
    struct mail_address *ret_address, struct err *err);

#endif
