/* Dates as they stand in a header (RFC 5322 section 3.3, and the obsolete forms of 4.3). */
#ifndef MAIL_DATE_H
#define MAIL_DATE_H

#include <stdint.h>

/*
 * "Sat, 21 Nov 2026 08:38:00 +0100 (CET)": the weekday and the seconds may be missing, comments may stand behind;
 * years of two and three digits and zones by name are read as the RFC has it.  0 and an instant (microseconds, as in
 * clock.h), or -1 with errno = EINVAL; years from 1970 on.
 */
int mail_date_parse(const char *text, int64_t *ret_instant);

#endif
