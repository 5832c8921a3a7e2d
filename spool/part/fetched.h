/*
 * What was fetched before: contents that are likely to be wanted again, by the source that they came from, with
 * the tag that tells whether it has others by now (ETag, RFC 9110), and with their MD5, which a client may
 * know.  A content is found by its source alone: an MD5 proves neither that a client may have the content
 * (it is no secret: S3 shows it as ETag) nor what the content is (two contents can be made to share one).
 *
 *	fetched/KEY.source	text: what came from a source; KEY is the BLAKE2b (256 bits) of its name
 *	fetched/HASH		a link to blobs/HASH, which keeps it; HASH is the BLAKE2b (256 bits) of its content
 *	fetched/.tidied		when it was tidied last
 *
 * All of it may be lost or deleted at any time, and is written without a sync.
 */
#ifndef SPOOL_PART_FETCHED_H
#define SPOOL_PART_FETCHED_H

#include "base/md5.h"
#include "spool/part/part.h"

struct fetched {
	struct mail_part part;	 /* without its type */
	char md5[MD5_TEXT_SIZE]; /* lower case; "": not known */
	char *etag;		 /* or NULL, as the following */
	char *filename;		 /* as the source named it */
	char *type;		 /* as the source says */
};

void fetched_release(struct fetched *fetched); /* for AUTO() too */

/*
 * What a source gave when it was asked last.  md5 (32 digits, lower case; NULL: any) is what the content's
 * MD5 must be.  True if it is there, is what it was, and is pinned with pins now.
 */
bool fetched_find(struct part_pins *pins, const char *source, const char *md5, struct fetched *ret);
/* Remembers it as what source gave, as far as that works.  Its part is pinned with pins. */
void fetched_keep(struct part_pins *pins, const char *source, const struct fetched *fetched);
/* Appends the first bytes of a content, as many as ret has room for or there are.  -1 with errno. */
int fetched_start(struct part_pins *pins, const char *hash, struct buf *ret);

/* Forgets what was not used for max_age microseconds, and then the oldest until all of it is no more than
 * max_bytes.  Looks into it every few minutes only, however often it is called. */
int fetched_tidy(struct spool *spool, uint64_t max_bytes, int64_t max_age);

#endif
