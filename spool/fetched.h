/*
 * What was fetched before: contents that are likely to be wanted again, by the source that they came from, with
 * the tag that tells whether it has others by now (ETag, RFC 9110), and by their MD5, which a client may
 * know.
 *
 *	fetched/KEY.source	text: what came from a source; KEY is the BLAKE2b of its name
 *	fetched/MD5.md5		the same, by its content
 *	fetched/HASH		a link to blobs/HASH, which keeps it
 *	fetched/.tidied		when it was tidied last
 *
 * All of it may be lost or deleted at any time, and is written without a sync.
 */
#ifndef SPOOL_FETCHED_H
#define SPOOL_FETCHED_H

#include "base/md5.h"
#include "spool/part.h"

struct fetched {
	struct mail_part part; /* without its type */
	char *etag;	       /* or NULL, as the following */
	char *filename;	       /* as the source named it */
	char *type;	       /* as the source says */
};

void fetched_release(struct fetched *fetched); /* for AUTO() too */

/*
 * What a source (NULL: any) gave when it was asked last, or the content with an MD5 (NULL: any): one of
 * both is given.  True where it is there, is what it was, and is pinned with pins now.
 */
bool fetched_find(struct part_pins *pins, const char *source, const char *md5, struct fetched *ret);
/* Remembers it, as far as that works.  Its part is pinned with pins.  source is NULL where it is no use to
 * ask that again. */
void fetched_keep(struct part_pins *pins, const char *source, const char *md5,
    const struct fetched *fetched);
/* Appends the first bytes of a content, as many as ret has room for or there are.  -1 with errno. */
int fetched_start(struct part_pins *pins, const char *hash, struct buf *ret);

/* Forgets what was not used for max_age microseconds, and then the oldest until all of it is no more than
 * max_bytes.  Looks into it every few minutes only, however often it is called. */
int fetched_tidy(struct spool *spool, uint64_t max_bytes, int64_t max_age);

#endif
