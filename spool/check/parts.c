/* Checking blobs/ and parts/. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "mail/mime.h"
#include "spool/check/private.h"
#include "spool/part/private.h"
#include "spool/store/own.h"

#define LINE_CHARS 78 /* of base64, with CRLF */
#define READ_SIZE ((size_t)LINE_CHARS * 1024)

/* The name that the content deserves: -1 with errno, EBADMSG where it is no base64. */
static int
hash_of(int fd, char ret[MAIL_PART_HASH_SIZE])
{
	AUTO_FREE char *text = xmalloc(READ_SIZE);
	AUTO_BUF struct buf raw = BUF_INIT(READ_SIZE);
	struct blake2b hash;
	off_t at = 0;

	if (blake2b_load(NULL) < 0) {
		errno = ELIBACC;
		return -1;
	}
	blake2b_begin(&hash);
	for (;;) {
		size_t n = 0, fault;

		/* Whole lines, so that each piece is base64 for itself. */
		while (n < READ_SIZE) {
			ssize_t got = pread(fd, text + n, READ_SIZE - n, at + (off_t)n);

			if (got < 0 && errno == EINTR)
				continue;
			if (got < 0)
				return -1;
			if (got == 0)
				break;
			n += (size_t)got;
		}
		buf_clear(&raw);
		if (mail_base64_decode(&raw, text, n, &fault) < 0) {
			errno = EBADMSG;
			return -1;
		}
		blake2b_add(&hash, raw.s, raw.len);
		at += (off_t)n;
		if (n < READ_SIZE)
			break;
	}
	blake2b_end(&hash, ret);
	return 0;
}

struct blobs {
	struct checking *c;
	int pins;
};

static void
damaged(struct checking *c, const char *name, const char *path)
{
	char as[sizeof PART_BLOBS + MAIL_PART_HASH_SIZE];

	snprintf(as, sizeof as, PART_BLOBS "-%s", name);
	/* What needs it is damaged too, and is told so; what comes is not to be given it. */
	if (c->repair && own_set_aside(c->spool, c->dir, name, as) == 0)
		check_tell(c, CHECK_REPAIRED, path,
		    "its content is not that of its name; moved to corrupt/");
	else
		check_tell(c, CHECK_FAULT, path, "its content is not that of its name");
}

static int
look_at_blob(const char *name, unsigned char type, void *arg)
{
	struct blobs *blobs = arg;
	struct checking *c = blobs->c;
	AUTO_FD int fd = -1;
	char path[NAME_SIZE + 16], hash[MAIL_PART_HASH_SIZE] = "";
	struct stat st;

	(void)type;
	snprintf(path, sizeof path, PART_BLOBS "/%s", name);
	if (!part_is_hash(name)) {
		check_tell(c, CHECK_FAULT, path, "is not the name of a blob");
		return 0;
	}
	if (!check_kind(c, c->dir, name, path))
		return 0;
	fd = fs_open(c->dir, name, O_RDONLY, 0);
	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0 || fstat(fd, &st) < 0) {
		check_tell_unread(c, path, "cannot be opened as a file");
		return 0;
	}
	if (hash_of(fd, hash) < 0 && errno != EBADMSG)
		check_tell_unread(c, path, "cannot be read");
	else if (strcmp(hash, name) != 0)
		damaged(c, name, path);
	else if (st.st_nlink == 1 && (blobs->pins < 0 || !part_is_pinned(blobs->pins, name)))
		check_tell(c, c->repair ? CHECK_NOTE_REPAIRED : CHECK_NOTE, path,
		    "is an attachment that no message needs any more");
	return 0;
}

struct kept {
	struct checking *c;
	const char *token;
	bool has_file;
};

static int
look_at_kept(const char *name, unsigned char type, void *arg)
{
	struct kept *kept = arg;
	char path[2 * NAME_SIZE];

	(void)type;
	snprintf(path, sizeof path, PART_PARTS "/%s/%s", kept->token, name);
	if (part_is_file_name(name))
		kept->has_file = true;
	else if (!part_is_hash(name) && !part_is_remote_name(name) && name[0] != '.')
		check_tell(kept->c, CHECK_FAULT, path,
		    "is not the name of an attachment, nor of a file about one");
	return 0;
}

static int
look_at_token(const char *token, unsigned char type, void *arg)
{
	struct checking *c = arg;
	int parts = c->dir;
	struct kept kept = { c, token, false };
	bool listed;
	char path[NAME_SIZE + 16];

	(void)type;
	snprintf(path, sizeof path, PART_PARTS "/%s", token);
	if (!part_is_token(token)) {
		check_tell(c, CHECK_FAULT, path, "is not the name of a draft");
		return 0;
	}
	if (part_is_left(c->spool, token)) {
		check_tell(c, c->repair ? CHECK_NOTE_REPAIRED : CHECK_NOTE, path,
		    "are attachments of messages that are gone");
		return 0;
	}
	listed = check_each(c, parts, path, token, look_at_kept, &kept) == 0;
	c->dir = parts;
	if (listed && !kept.has_file &&
	    faccessat(c->spool->tmp, token, F_OK, AT_SYMLINK_NOFOLLOW) < 0 &&
	    faccessat(parts, token, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		check_tell(c, CHECK_FAULT, path,
		    "contains no file.INODE: it will not be removed with its messages");
	return 0;
}

void
check_parts(struct checking *c)
{
	AUTO_FD int pins = fs_open(c->spool->root, PART_PINS, O_RDONLY, 0);
	struct blobs blobs = { c, pins };

	check_each(c, c->spool->root, PART_BLOBS, PART_BLOBS, look_at_blob, &blobs);
	check_each(c, c->spool->root, PART_PARTS, PART_PARTS, look_at_token, c);
	if (c->repair && part_sweep_all(c->spool) < 0)
		check_tell_unread(c, PART_PARTS, "cannot be tidied up");
}
