/*
 * Signature version 4 of Amazon's services, in header fields, as their documentation describes it
 * ("Signing AWS requests").  Pure: the time is given.
 */
#ifndef HTTP_SIGN_H
#define HTTP_SIGN_H

#include <stdint.h>

#include "base/buf.h"
#include "http/client.h"

#define HTTP_SIGN_FIELDS_MAX 32 /* header fields that are signed */
#define HTTP_SIGN_QUERY_MAX 64	/* parameters of a query */

struct http_sign_request {
	const char *method;
	const char *host;  /* as the field Host says it, with a port other than the scheme's */
	const char *path;  /* as it goes over the wire, percent-encoded, beginning with "/" */
	const char *query; /* likewise, without "?"; or NULL */
	const char *const
	    *headers; /* "Name: value" of all others to sign, the last is NULL; or NULL */
	struct view body;
	int64_t now;
};

/*
 * Appends the fields to be sent besides, as "Name: value" with a NUL behind each: X-Amz-Date,
 * X-Amz-Security-Token with a session token, X-Amz-Content-Sha256 for the service "s3", and
 * Authorization.  The path is encoded a second time for services other than "s3".  -1 with errno = E2BIG
 * where there are more fields or parameters than the limits above or lines is full.
 */
int
http_sign(const struct http_aws *aws, const struct http_sign_request *request, struct buf *lines);

#endif
