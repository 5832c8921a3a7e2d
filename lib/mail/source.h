/*
 * Where the content of a remote attachment comes from: what a client says of it, checked for its form and
 * written as the JSON object that mail_message_attach_remote takes.  Whether it may be fetched from there is
 * decided when it is.
 *
 *	{"url":"https://files.example.com/a%20b.pdf"}
 *	{"s3":{"bucket":"invoices","key":"2024/101.pdf"}}
 *
 * Either may have "md5", 32 lower-case hexadecimal digits: what the client says the content's MD5 is, by
 * which a copy of it may be known already.
 */
#ifndef MAIL_SOURCE_H
#define MAIL_SOURCE_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"

#define MAIL_URL_MAX 8192     /* bytes */
#define MAIL_S3_KEY_MAX 1024  /* bytes, as S3 has it */
#define MAIL_SOURCE_MAX 65536 /* bytes of the object */

struct mail_source {
	const char *url;	  /* or */
	const char *bucket, *key; /* both */
	const char *md5;	  /* as it came; or NULL */
};

/*
 * http or https, with a host and without a user's name; characters of other scripts and blanks become what
 * they are on the wire (RFC 3986, RFC 5890), a fragment is cut off.  -1 with EX_DATAERR and no prefix.
 */
int mail_source_url(const char *url, struct buf *ret, struct err *err);
/* Likewise: 3 to 63 of a-z 0-9 . - in a bucket's name, which begins and ends with one of the first. */
int mail_source_s3(const char *bucket, const char *key, struct err *err);
/* True for 32 hexadecimal digits. */
bool mail_source_is_md5(const char *text);
/* The object; md5 is NULL or 32 hexadecimal digits.  The url or the bucket and key have been checked. */
void mail_source_json(const struct mail_source *source, struct buf *ret);

/*
 * What the first service makes of "report_{MD5:0123...}.pdf": the file's name, "report.pdf", appended to
 * ret_name, and the digits (lower case, of any number) to ret_md5.  False where there is no such mark, and
 * nothing is appended.
 */
bool mail_source_marked_name(const char *filename, struct buf *ret_name, struct buf *ret_md5);

#endif
