/*
 * Mail addresses: RFC 5322 section 3.4 (as people and headers write them) and RFC 5321 section
 * 4.1.2 (as they may stand in MAIL and RCPT), with UTF-8 as RFC 6531 and 6532 allow.
 *
 * What is parsed is kept in one canonical form: the local part unquoted where it can be, the
 * domain in ASCII (a domain with other letters becomes A-labels, RFC 5891).  No canonical address
 * holds a control character, a space outside quotes, or more than 254 bytes, so it may go into an
 * SMTP command or a header as it is.
 *
 *	struct mail_addresses to = MAIL_ADDRESSES_INIT;
 *	if (mail_addresses_parse(&to, text, strlen(text), NULL, 0, &err) < 0)
 *		return err_prefix(&err, "to");
 *	...
 *	mail_addresses_release(&to);
 */
#ifndef MAIL_ADDRESS_H
#define MAIL_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

#define MAIL_LOCAL_MAX 64	     /* bytes, RFC 5321 section 4.5.3.1.1 */
#define MAIL_DOMAIN_MAX 255	     /* section 4.5.3.1.2 */
#define MAIL_ADDRESS_MAX 254	     /* a path of section 4.5.3.1.3 without its angle brackets */
#define MAIL_ADDRESS_LIST_MAX 100000 /* addresses in one list */

struct mail_address {
	char
	    *name; /* display name in UTF-8, without control characters; NULL where there is none */
	char *addr; /* canonical addr-spec; "" is the null sender; NULL while unset */
	bool utf8;  /* the local part is not ASCII: the message needs SMTPUTF8 */
};

struct mail_addresses {
	struct mail_address *at;
	size_t count;
	size_t cap;
};

#define MAIL_ADDRESS_INIT                                                                          \
	{                                                                                          \
		NULL, NULL, false                                                                  \
	}
#define MAIL_ADDRESSES_INIT                                                                        \
	{                                                                                          \
		NULL, 0, 0                                                                         \
	}
#define AUTO_ADDRESS AUTO(mail_address_release)
#define AUTO_ADDRESSES AUTO(mail_addresses_release)

enum {
	MAIL_ADDRESS_NULL_OK = 1, /* "" and "<>" are the null sender, not an error */
	MAIL_ADDRESS_NO_NAME =
	    2,		       /* names are neither kept nor checked (raw headers may be dirty) */
	MAIL_ADDRESS_DASH = 4, /* default_domain completes what begins with "-", too */
};

/*
 * Parses exactly one address: "a@b", "Name <a@b>", "a@b (Name)", quoted strings, comments and
 * obsolete routes included.  An address without a domain ("root") gets default_domain, or is
 * refused where that is NULL.  One that begins with "-" is refused too ("-f"): it is an option in the
 * wrong place, as no user has such a name.  0 and *ret_address filled (the caller releases it); or -1 with
 * EX_DATAERR, the position and what was expected, *ret_address untouched.
 */
int mail_address_parse(const char *text, size_t len, const char *default_domain, int flags,
    struct mail_address *ret_address, struct err *err);

/*
 * Parses a comma-separated list, groups ("friends: a@b, c@d;") included, and appends its addresses
 * to list in order.  Empty elements are skipped; a list of none is not an error.  On failure list
 * is as it was.
 */
int mail_addresses_parse(struct mail_addresses *list, const char *text, size_t len,
    const char *default_domain, int flags, struct err *err);

/*
 * Checks that text is an address in the form MAIL and RCPT take, as this module makes it; so a
 * stored address can be trusted again.  The empty one is refused.
 */
int mail_address_check(const char *text, size_t len, struct err *err);

/* Appends a copy. */
void mail_addresses_add(struct mail_addresses *list, const struct mail_address *address);
/* Appends a copy of each of more that list does not hold yet (order kept, names of the first). */
void mail_addresses_add_new(struct mail_addresses *list, const struct mail_addresses *more);
/* Equal but for the case of the domain (RFC 5321 section 2.4). */
bool mail_address_same(const char *a, const char *b);
/* What follows the last '@' of a canonical address; "" where there is none. */
const char *mail_address_domain(const char *addr);

/*
 * Appends "Name <a@b>" as a person writes it: UTF-8, quoted where RFC 5322 demands it, neither
 * encoded nor folded.  -1 with E2BIG.  (For a header use mail_header_addresses.)
 */
int mail_address_text(struct buf *out, const struct mail_address *address);

void mail_address_copy(struct mail_address *ret_copy, const struct mail_address *address);
void mail_address_release(struct mail_address *address);
void mail_addresses_release(struct mail_addresses *list);

#endif
