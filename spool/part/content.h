/*
 * What a message is as it is sent: its text, and at their places in it the parts that it carries.
 * Read at any offset, as with pread(2).  One blob is open at a time.
 *
 * Each blob is checked against its checksum as it is read from its beginning to its end: where it is
 * wrong, the read that would give its last byte fails, and who sends a message stops before its end.
 */
#ifndef SPOOL_PART_CONTENT_H
#define SPOOL_PART_CONTENT_H

#include "spool/part/part.h"
#include "spool/store/record.h"

struct content;

/* The blobs that were found sound of late, so that each is verified once and not for each message that needs it.
 * Begin by zeroing. */
struct content_known {
	struct {
		uint64_t inode, checksum;
	} at[64];
	unsigned int next;
};

/*
 * fd and record are those of message_open(); all is borrowed until content_close().  Opens no blob yet,
 * but looks whether each is there and has its size.  EX_DATAERR: one has not; EX_TEMPFAIL: a remote piece is
 * not fetched yet.
 */
int content_open(const struct spool *spool, int fd, const struct message_name *name,
    const struct record *record, struct content **ret, struct err *err);
/* The same where what is not fetched yet is left out. */
int content_open_partly(const struct spool *spool, int fd, const struct message_name *name,
    const struct record *record, struct content **ret, struct err *err);
uint64_t content_size(const struct content *content);
/* Exactly n bytes at an offset, all of them within content_size(). */
int content_read(struct content *content, uint64_t at, void *bytes, size_t n, struct err *err);
/* Reads all blobs of up to max bytes and compares their checksums, but for those that are known to be sound. */
int
content_verify(struct content *content, uint64_t max, struct content_known *known, struct err *err);
/* Accepts NULL; for AUTO() too. */
void content_close(struct content **content);

#endif
