/* The canonical form of an addr-spec, for address.c and address_parse.c alone. */
#ifndef MAIL_ADDRESS_SPEC_H
#define MAIL_ADDRESS_SPEC_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "mail/address.h"

/* True for a character that an atom may hold (RFC 5322 section 3.2.3), bytes of UTF-8 included. */
bool mail_is_atext(char c);

/*
 * Puts an address together from its local part, without quotes, and its domain (or an address
 * literal with its brackets), checks both (RFC 5321 section 4.1.2) and fills addr and utf8 of
 * ret_address.  -1 with EX_DATAERR.
 */
int mail_spec_make(struct view local, struct view domain, struct mail_address *ret_address,
    struct err *err);

#endif
