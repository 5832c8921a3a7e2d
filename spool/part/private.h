/* What the files that keep parts share, and nobody else sees. */
#ifndef SPOOL_PART_PRIVATE_H
#define SPOOL_PART_PRIVATE_H

#include "spool/part/part.h"

#define PART_BLOBS "blobs"
#define PART_PARTS "parts"
#define PART_PINS "pins"	     /* locked by its bytes; its text says where a sweep goes on */
#define PART_FILE "file."	     /* parts/TOKEN/file.INODE */
#define PART_REMOTE_SUFFIX ".remote" /* parts/TOKEN/KEY.remote */
#define PART_TRAILER "mailq-parts "  /* the last line of a draft's file; the token follows */
#define PART_TRAILER_SIZE (sizeof PART_TRAILER + TOKEN_SIZE) /* at the most */

struct part_pins {
	struct spool *spool;
	int blobs; /* -1: not opened yet */
	int lock;
	char (*hashes)[MAIL_PART_HASH_SIZE]; /* what is pinned; the last may be again and again */
	size_t count, room;
	char sound[MAIL_PART_HASH_SIZE]; /* the blob that was verified last */
};

/* Opens blobs/ and the file of the pins, made durably where they are not there. */
int part_pins_open(struct part_pins *pins, struct err *err);
/* blobs/HASH or parts/TOKEN/HASH: "HASH" is 64 hexadecimal digits. */
bool part_is_hash(const char *name);
/* A token as it comes from a file: no more than the letters that one has. */
bool part_is_token(const char *token);
/* Write-locks the byte of a hash for whoever removes a blob; 0, or -1 where somebody pins it. */
int part_lock_out(int lock, const char *hash);
void part_unlock(int lock, const char *hash);

/* parts/TOKEN as a descriptor; -1 with errno. */
int part_open_dir(const struct spool *spool, const char *token);
/* Makes a link to blobs/HASH in dir.  Already there is fine.  A blob that has as many links as its file
 * system takes is copied, and the copy takes its place.  -1 with errno. */
int part_link(struct part_pins *pins, int dir, const char *hash);
/* What a draft needs, before it becomes visible: parts/TOKEN with a link to its file (tmp/TOKEN, open as fd) and
 * to each blob, durably. */
int part_commit(struct part_pins *pins, const char *token, int fd,
    char (*hashes)[MAIL_PART_HASH_SIZE], size_t count, struct err *err);
/* The draft whose file is open as fd was unlinked from tmp/: takes back what was made for it, where none of its
 * messages became visible, or all are gone by now. */
void part_take_back(struct spool *spool, const char *token, int fd);
/* Whether the draft is neither being made nor has a message any more. */
bool part_is_left(const struct spool *spool, const char *token);
/* Whether somebody pins this content; pins is the file PART_PINS, open for reading at least. */
bool part_is_pinned(int pins, const char *hash);
/* "file.INODE" of parts/TOKEN, and "KEY.remote". */
bool part_is_file_name(const char *name);
bool part_is_remote_name(const char *name);
/* The token in the last line of a draft's file of this size: 0, or -1 where there is none. */
int part_read_token(int fd, off_t size, char ret[TOKEN_SIZE]);

/* A locked file in tmp/, for what is being made: recovery removes it when its process has gone. */
int part_make_file(struct part_pins *pins, char ret_token[TOKEN_SIZE]);
/* Removes blobs/HASH where no draft has a link to it and nobody pins it: 1; 0: it is needed. */
int part_free_blob(int blobs, int lock, const char *hash);

#endif
