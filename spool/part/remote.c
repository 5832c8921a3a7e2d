/* What was fetched for messages that are not sent yet: parts/TOKEN/KEY.remote. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/num.h"
#include "spool/part/private.h"

/*
 *	part: SIZE CHECKSUM HASH	or "left-out"
 *	(an empty line, then the header of the MIME part)
 */
#define HEAD_MAX ((size_t)64 * 1024)
#define LEFT_OUT "left-out\n\n"
#define NAME_MAX_SIZE (BLAKE2B_TEXT_SIZE + sizeof PART_REMOTE_SUFFIX)

static void
remote_name(const char *json, char ret[NAME_MAX_SIZE])
{
	blake2b_text(json, strlen(json), ret);
	memcpy(ret + BLAKE2B_TEXT_SIZE - 1, PART_REMOTE_SUFFIX, sizeof PART_REMOTE_SUFFIX);
}

bool
part_is_remote_name(const char *name)
{
	char key[BLAKE2B_TEXT_SIZE];

	if (strlen(name) != NAME_MAX_SIZE - 2 ||
	    strcmp(name + BLAKE2B_TEXT_SIZE - 1, PART_REMOTE_SUFFIX) != 0)
		return false;
	memcpy(key, name, sizeof key - 1);
	key[sizeof key - 1] = '\0';
	return part_is_hash(key);
}

/* "part: SIZE CHECKSUM HASH" up to the empty line; what follows is the head. */
static int
parse(struct buf *text, struct part_remote *ret)
{
	uint64_t size, checksum;
	char *end = strstr(text->s, "\n\n"), *rest;

	if (strcmp(text->s, LEFT_OUT) == 0) {
		ret->left_out = true;
		return 0;
	}
	if (end == NULL || strncmp(text->s, "part: ", 6) != 0)
		return -1;
	*end = '\0';
	rest = strchr(text->s + 6, ' ');
	if (rest == NULL ||
	    num_u64_view(text->s + 6, (size_t)(rest - text->s - 6), INT64_MAX, &size) < 0 ||
	    size == 0)
		return -1;
	errno = 0;
	checksum = strtoull(rest + 1, &rest, 16);
	if (errno != 0 || *rest != ' ' || !part_is_hash(rest + 1))
		return -1;
	ret->part = (struct mail_part){ .size = size, .checksum = checksum };
	memcpy(ret->part.hash, rest + 1, sizeof ret->part.hash);
	buf_init(&ret->head, HEAD_MAX);
	return buf_add(&ret->head, end + 2, text->len - (size_t)(end + 2 - text->s));
}

int
part_remote_read(const struct spool *spool, const char *token, const char *json,
    struct part_remote *ret, struct err *err)
{
	AUTO_BUF struct buf text = BUF_INIT(HEAD_MAX + 256);
	AUTO_FD int dir = part_open_dir(spool, token);
	struct part_remote remote = { .head = BUF_INIT(HEAD_MAX) };
	char name[NAME_MAX_SIZE];

	if (blake2b_load(err) < 0)
		return -1;
	remote_name(json, name);
	if (dir < 0 || fs_read_file(dir, name, &text) < 0)
		return errno == ENOENT ? 0 :
		    errno == E2BIG     ? err_set(err, EX_DATAERR,
					     "parts/%s/%s is damaged: it is longer than any", token,
					     name) :
					 err_io(err, "parts/%s/%s", token, name);
	if (parse(&text, &remote) < 0) {
		part_remote_release(&remote);
		return err_set(err, EX_DATAERR,
		    "parts/%s/%s is damaged: expected \"part: SIZE CHECKSUM HASH\" and a header",
		    token, name);
	}
	*ret = remote;
	return 1;
}

int
part_remote_keep(struct part_pins *pins, const char *token, const char *json,
    const struct part_remote *remote, struct err *err)
{
	AUTO_BUF struct buf text = BUF_INIT(HEAD_MAX + 256);
	AUTO_FD int dir = -1;
	const char *path = pins->spool->path;
	char name[NAME_MAX_SIZE];

	if (part_pins_open(pins, err) < 0)
		return -1;
	dir = part_open_dir(pins->spool, token);
	if (dir < 0)
		return err_set(err, errno == ENOENT ? EX_NOINPUT : EX_IOERR,
		    "spool %s: parts/%s: %s", path, token, strerrordesc_np(errno));
	if (!remote->left_out && part_link(pins, dir, remote->part.hash) < 0)
		return errno == ENOENT ?
		    err_set(err, EX_NOINPUT, "spool %s: blobs/%s is not there", path,
			remote->part.hash) :
		    err_io(err, "spool %s: cannot link blobs/%s", path, remote->part.hash);
	remote_name(json, name);
	if ((remote->left_out ?
		    buf_adds(&text, LEFT_OUT) :
		    buf_addf(&text, "part: %" PRIu64 " %016" PRIx64 " %s\n\n", remote->part.size,
			remote->part.checksum, remote->part.hash)) < 0 ||
	    (!remote->left_out && buf_add(&text, remote->head.s, remote->head.len) < 0))
		return err_set(err, EX_DATAERR, "the header of an attachment is too long");
	/* Syncs the directory, with the link to the blob in it. */
	if (fs_replace_file(dir, name, text.s, text.len, 0660) < 0)
		return err_io(err, "spool %s: cannot write parts/%s/%s", path, token, name);
	return 0;
}

void
part_remote_release(struct part_remote *remote)
{
	buf_release(&remote->head);
	*remote = (struct part_remote){ .head = BUF_INIT(0) };
}
