/* Who a message is from where it does not say so itself. */
#ifndef CMD_SUBMIT_SENDER_H
#define CMD_SUBMIT_SENDER_H

#include "base/err.h"
#include "mail/address.h"
#include "policy/settings.h"

/* The domain for addresses without one. */
const char *add_domain(const struct settings *settings);

/* Checks the senders that the configuration names, delivery.from and the accounts' own, so that one
 * which is no address is told of at once and not with the first message that needs it.  -1 with err
 * (EX_CONFIG), which names the setting and, of an account, its place. */
int add_sender_check(const struct settings *settings, struct err *err);

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
