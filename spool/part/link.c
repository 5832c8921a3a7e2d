/* What a draft keeps while its messages are there: a directory of links. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "spool/part/private.h"

#define COPY_STEP ((size_t)1 << 20)

bool
part_is_token(const char *token)
{
	size_t n = strlen(token);

	return n > 0 && n < TOKEN_SIZE && token[0] != '.' &&
	    strspn(token, "0123456789abcdefghjkmnpqrstvwxyz.") == n;
}

int
part_open_dir(const struct spool *spool, const char *token)
{
	char path[sizeof PART_PARTS + 1 + TOKEN_SIZE];

	if (!part_is_token(token)) {
		errno = ENOENT;
		return -1;
	}
	snprintf(path, sizeof path, PART_PARTS "/%s", token);
	return fs_open_dir(spool->root, path);
}

static int
copy_all(int from, int to)
{
	for (;;) {
		ssize_t n = sendfile(to, from, NULL, COPY_STEP);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return (int)n;
	}
}

/* Puts a copy in the place of a blob to which no further link can be made.  Those there are stay as they
 * are, with the old one. */
static int
renew_blob(struct part_pins *pins, const char *hash)
{
	AUTO_FD int from = fs_open(pins->blobs, hash, O_RDONLY, 0);
	AUTO_FD int to = -1;
	char token[TOKEN_SIZE];
	int saved;

	if (from < 0 || (to = part_make_file(pins, token)) < 0)
		return -1;
	if (copy_all(from, to) == 0 && fs_sync_file(to) == 0 &&
	    renameat(pins->spool->tmp, token, pins->blobs, hash) == 0)
		return 0;
	saved = errno;
	unlinkat(pins->spool->tmp, token, 0);
	errno = saved;
	return -1;
}

int
part_link(struct part_pins *pins, int dir, const char *hash)
{
	for (int attempt = 0; attempt < 10; attempt++) {
		if (linkat(pins->blobs, hash, dir, hash, 0) == 0 || errno == EEXIST)
			return 0;
		if (errno != EMLINK || renew_blob(pins, hash) < 0)
			return -1;
	}
	return -1;
}

static int
compare_hashes(const void *a, const void *b)
{
	return strcmp(a, b);
}

int
part_commit(struct part_pins *pins, const char *token, int fd, char (*hashes)[MAIL_PART_HASH_SIZE],
    size_t count, struct err *err)
{
	struct spool *spool = pins->spool;
	AUTO_FD int parts = -1;
	AUTO_FD int dir = -1;
	char name[sizeof PART_FILE + 24];
	struct stat st;

	if (part_pins_open(pins, err) < 0)
		return -1;
	if (count > 1)
		qsort(hashes, count, sizeof *hashes, compare_hashes);
	if (fstat(fd, &st) < 0 || (parts = fs_open_dir(spool->root, PART_PARTS)) < 0 ||
	    mkdirat(parts, token, 0770) < 0 || (dir = fs_open_dir(parts, token)) < 0)
		return err_io(err, "spool %s: cannot make parts/%s", spool->path, token);
	/* First, as what stands beside it without it is nobody's. */
	snprintf(name, sizeof name, PART_FILE "%llu", (unsigned long long)st.st_ino);
	if (linkat(spool->tmp, token, dir, name, 0) < 0)
		return err_io(err, "spool %s: cannot link parts/%s/%s", spool->path, token, name);
	for (size_t i = 0; i < count; i++)
		if ((i == 0 || strcmp(hashes[i - 1], hashes[i]) != 0) &&
		    part_link(pins, dir, hashes[i]) < 0)
			return err_io(err, "spool %s: cannot link blobs/%s", spool->path,
			    hashes[i]);
	if (spool_sync_dir(spool, dir) < 0 || spool_sync_dir(spool, parts) < 0)
		return err_io(err, "spool %s: cannot sync parts/%s", spool->path, token);
	return 0;
}

int
part_read_token(int fd, off_t size, char ret[TOKEN_SIZE])
{
	char end[PART_TRAILER_SIZE + 1];
	size_t n = size < (off_t)PART_TRAILER_SIZE ? (size_t)size : PART_TRAILER_SIZE;
	char *line = NULL, *next;

	if (fs_pread(fd, end, n, size - (off_t)n) < 0)
		return -1;
	errno = EBADMSG;
	if (n == 0 || end[n - 1] != '\n' || memchr(end, '\0', n) != NULL)
		return -1;
	end[n - 1] = '\0';
	for (next = strstr(end, PART_TRAILER); next != NULL; next = strstr(next + 1, PART_TRAILER))
		line = next;
	if (line == NULL || !part_is_token(line + strlen(PART_TRAILER)))
		return -1;
	snprintf(ret, TOKEN_SIZE, "%s", line + strlen(PART_TRAILER));
	return 0;
}
