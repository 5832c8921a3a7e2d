/* Names and types of what is fetched, as far as they are found out; and what S3 calls things. */
#ifndef CMD_FETCH_NAME_H
#define CMD_FETCH_NAME_H

#include "base/buf.h"
#include "mail/part.h"
#include "policy/settings.h"

/* The name for what a message does not name: of the server, else of the URL; to be freed. */
char *fetch_name(const char *filename, const char *url);
/* The type: of the content and the name, else what the server says where that is harmless. */
void fetch_type(struct mail_part *part, const char *filename, const char *content_type);
/* What S3 says in its error: the text between <Code> and </Code>, "" where there is none. */
void fetch_s3_code(const char *body, char *ret, size_t size);
/* "https://host/bucket/KEY" or "https://bucket.host/KEY", the key escaped. */
int
fetch_s3_url(const struct settings_s3 *s3, const char *bucket, const char *key, struct buf *ret);

#endif
