/* What account_text.c and account_json.c share. */
#ifndef POLICY_ACCOUNT_PRIVATE_H
#define POLICY_ACCOUNT_PRIVATE_H

#include "policy/account_text.h"

#define ACCOUNT_VALUE_MAX ((size_t)128 * 1024) /* bytes of one value in a file */

/* "gmail.com per_minute=20 connections=2, web.de per_hour=100", as people type domains, becomes the value
 * as it stands in a file.  -1 with err. */
int account_domains_from_text(const char *text, struct buf *ret, struct err *err);

#endif
