/*
 * Domain names in other scripts: IDNA2008 with the mapping of UTS 46, non-transitional.  The
 * library behind it is loaded when the first such domain is seen, so that programs which see none
 * start without it.
 */
#ifndef MAIL_IDN_H
#define MAIL_IDN_H

#include <stddef.h>

#include "base/err.h"

/*
 * Turns a domain in UTF-8 into A-labels, written into ret_ascii and terminated: letters, digits,
 * hyphens, underscores and dots, whatever the mapping makes of fullwidth signs.  -1 with EX_DATAERR
 * where the domain is not valid, EX_UNAVAILABLE where the library is not installed.
 */
int mail_idn_ascii(const char *domain, size_t len, char *ret_ascii, size_t size, struct err *err);

#endif
