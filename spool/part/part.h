/*
 * Parts: contents of attachments, stored once however many messages carry them (mail/part.h).
 *
 *	blobs/HASH		the base64 of one content; more links to it stand in parts/
 *	blobs/.lock		its bytes are locked, not written: see "pins"
 *	parts/TOKEN/file	a link to the file of the draft TOKEN, whose messages have parts
 *	parts/TOKEN/HASH	a link to each blob that they need: what readers open
 *	parts/TOKEN/KEY.remote	what was fetched for them (below)
 *
 * The kernel counts: when of a draft's file only parts/TOKEN/file is left, its last message has gone and
 * parts/TOKEN goes; a blob of which only blobs/HASH is left, and that nobody pins, goes too.  The last
 * line of a draft's file names its TOKEN; message_open() puts it into record.token.
 *
 * Storing:
 *
 *	pins = part_pins_new(spool)
 *	part_store_fd(pins, ...), part_store_bytes(), or for what comes in pieces:
 *	part_write_begin(pins, &terms, &err), part_write() any number of times, part_write_end(&writer, &part, &err)
 *	mail_message_attach_part(message, filename, &part, err)	any number of messages
 *	... the draft with them is begun; it has pins of its own from then on (draft_pins())
 *	part_pins_free(&pins)
 *
 * A pin is a read lock on one byte of blobs/.lock (fcntl(2), F_OFD_SETLK) at an offset that the hash
 * says: it keeps the blob until the draft that uses it has linked it, and ends with its process.
 * Whoever removes a blob holds a write lock on that byte.
 */
#ifndef SPOOL_PART_PART_H
#define SPOOL_PART_PART_H

#include "base/buf.h"
#include "mail/magic.h"
#include "mail/part.h"
#include "spool/store/record.h"
#include "spool/store/spool.h"

struct part_pins;
struct part_writer;

/* What holds for a content that is stored. */
struct part_terms {
	const char *filename;	  /* for its type; or NULL */
	struct mail_magic *magic; /* likewise */
	uint64_t max;		  /* raw bytes: EX_DATAERR above; 0: no limit */
	uint64_t min_free_bytes;  /* what must stay free: EX_TEMPFAIL below, also on the way */
	uint64_t min_free_inodes;
};

/* Pins of one owner.  Opens nothing yet; spool is borrowed.  One thread at a time. */
struct part_pins *part_pins_new(struct spool *spool);
/* Lets go of all; what no draft has linked meanwhile is removed.  Accepts NULL; for AUTO() too. */
void part_pins_free(struct part_pins **pins);
/* Pins what is stored.  1; 0: it is not there (any more); -1 with err. */
int part_pin(struct part_pins *pins, const char *hash, struct err *err);

/*
 * Stores a content, unless it is there already, and pins it.  In constant memory: of what is read twice
 * (a file, bytes) nothing is written where it is found; what comes in pieces is written to tmp/ first.
 * On disk when it returns; that it is found again after a power cut is the matter of the draft's commit.
 * EX_DATAERR: larger than terms->max; EX_NOINPUT: what is given cannot be read; else the spool's: EX_TEMPFAIL,
 * EX_IOERR.
 */
int part_store_bytes(struct part_pins *pins, const void *bytes, size_t n,
    const struct part_terms *terms, struct mail_part *ret, struct err *err);
/* length bytes (UINT64_MAX: to the end) of a file, from start on; what cannot be read twice (a pipe) is read
 * from where it stands.  The file may change meanwhile: what is stored is one reading of it. */
int part_store_fd(struct part_pins *pins, int fd, off_t start, uint64_t length,
    const struct part_terms *terms, struct mail_part *ret, struct err *err);

/* The same in pieces.  terms (and what it points to) is borrowed until the end. */
struct part_writer *
part_write_begin(struct part_pins *pins, const struct part_terms *terms, struct err *err);
int part_write(struct part_writer *writer, const void *bytes, size_t n, struct err *err);
/* What a descriptor gives from where it stands, length bytes of it or to its end. */
int part_write_fd(struct part_writer *writer, int fd, uint64_t length, struct err *err);
/* Frees the writer, whatever it returns. */
int part_write_end(struct part_writer **writer, struct mail_part *ret, struct err *err);
/* Forgets it.  Accepts NULL; for AUTO() too. */
void part_abandon(struct part_writer **writer);

/* ---- fetched later -------------------------------------------------------------------------- */

/*
 * A message may have pieces that are fetched at its first attempt (struct record_piece with kind
 * PIECE_REMOTE).  What was fetched is kept with the draft, for the retries and for every message of it
 * that says just the same of one (its json, byte for byte).
 */
struct part_remote {
	bool left_out; /* it is sent without, and then the rest is unset */
	struct buf
	    head; /* the header of its MIME part, with the empty line (mail_attachment_head) */
	struct mail_part part; /* type and utf8 are unset when read */
};

/* What is kept of a piece: 1 and *ret (release it); 0: nothing yet; -1 with err, EX_DATAERR: damaged. */
int part_remote_read(const struct spool *spool, const char *token, const char *json,
    struct part_remote *ret, struct err *err);
/* Keeps it durably, and the blob with it.  Its part was stored with pins, or is kept already with this token.
 * -1 with err; EX_NOINPUT: the blob is not there, or the draft is not. */
int part_remote_keep(struct part_pins *pins, const char *token, const char *json,
    const struct part_remote *remote, struct err *err);
void part_remote_release(struct part_remote *remote);

/* ---- freeing -------------------------------------------------------------------------------- */

/* True where any draft has parts: else nobody need look into what he removes. */
bool part_any(const struct spool *spool);
/* A message of this draft was unlinked, and fd is its file: frees what the draft kept if it was the last.
 * token may be "". */
void part_release(struct spool *spool, const char *token, int fd);
/* The same for a message that is not open: to be called before its name is unlinked; what it returns is
 * to be given to part_forget behind the unlink.  NULL where there is nothing to free. */
struct part_use *part_look(struct spool *spool, int dir, const char *text);
void part_forget(struct spool *spool, struct part_use **use);
/* In its place where the unlink failed. */
void part_keep(struct part_use **use);

/*
 * What a crash left, or a person who deleted files by hand: drafts whose last message is gone, and
 * blobs that nobody needs.  Looks at a bounded number of them and goes on there the next time.
 * How many were removed, or -1 with errno.
 */
int part_sweep(struct spool *spool);
/* The same for all of them. */
int part_sweep_all(struct spool *spool);

#endif
