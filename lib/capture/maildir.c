#include "capture/maildir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/fs.h"

enum {
	NAME_SIZE = 160,
	HOST_SIZE = 65,
	CHUNK = 64 * 1024,
	HEADER_MAX = 1024 * 1024,
	SYNC_ONE_BY_ONE = 3, /* up to so many files; above, one syncfs is cheaper */
};

struct maildir {
	int dir, tmp, new;
	char *path;
	char host[HOST_SIZE];
	unsigned long counter;
	char (*names)[NAME_SIZE]; /* in tmp/, waiting for the commit */
	size_t n, cap;
	int fds[SYNC_ONE_BY_ONE]; /* of the first ones */
};

/* The host's name as maildir(5) wants it in a file's name: no '/', no ':', nothing unprintable. */
static void
host_name(char host[HOST_SIZE])
{
	char *c;

	if (gethostname(host, HOST_SIZE) < 0 || host[0] == '\0')
		snprintf(host, HOST_SIZE, "localhost");
	host[HOST_SIZE - 1] = '\0';
	for (c = host; *c != '\0'; c++)
		if (!((*c >= '0' && *c <= '9') || (*c >= 'a' && *c <= 'z') ||
			(*c >= 'A' && *c <= 'Z') || *c == '-' || (*c == '.' && c != host)))
			*c = '_';
}

int
maildir_open(struct maildir **ret_maildir, const char *path, struct err *err)
{
	static const char *const names[] = { "tmp", "new", "cur" };
	struct maildir *m = xcalloc(1, sizeof(*m));
	size_t i;

	m->dir = m->tmp = m->new = -1;
	m->path = xstrdup(path);
	host_name(m->host);
	if (fs_mkdir_parents(path, 0770) < 0 ||
	    (m->dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0) {
		err_io(err, "Maildir %s", path);
		maildir_free(m);
		return -1;
	}
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (fs_mkdir(m->dir, names[i], 0770) < 0) {
			err_io(err, "Maildir %s/%s", path, names[i]);
			maildir_free(m);
			return -1;
		}
	}
	if ((m->tmp = fs_open_dir(m->dir, "tmp")) < 0 ||
	    (m->new = fs_open_dir(m->dir, "new")) < 0 || fs_sync_dir(m->dir) < 0) {
		err_io(err, "Maildir %s", path);
		maildir_free(m);
		return -1;
	}
	*ret_maildir = m;
	return 0;
}

/* ---- writing one --------------------------------------------------------------------------- */

/* time.M<microseconds>P<pid>Q<number>.host: unique by all that maildir(5) names. */
static void
make_name(struct maildir *m, char name[NAME_SIZE])
{
	int64_t now = clock_now();

	snprintf(name, NAME_SIZE, "%lld.M%06lldP%ldQ%lu.%s", (long long)(now / USEC),
	    (long long)(now % USEC), (long)getpid(), ++m->counter, m->host);
}

/* An address in a header line: control characters have no place there. */
static void
add_address(struct buf *header, const char *address)
{
	for (; *address != '\0'; address++)
		buf_addc(header,
		    (unsigned char)*address < 0x20 || *address == 0x7f ? '?' : *address);
}

static void
make_header(const struct maildir_message *message, struct buf *header)
{
	size_t i;

	buf_adds(header, "Return-Path: <");
	add_address(header, message->sender);
	buf_adds(header, ">\n");
	for (i = 0; i < message->n_recipients; i++) {
		/* Above that it is capped: the envelope is kept elsewhere. */
		if (header->len + strlen(message->recipients[i]) + 32 > header->max)
			break;
		buf_adds(header, "Delivered-To: ");
		add_address(header, message->recipients[i]);
		buf_adds(header, "\n");
	}
}

/* CRLF becomes LF, in place; a CR at the end waits in *pending for what follows it. */
static size_t
to_lf(char *s, size_t n, bool *pending)
{
	char *out = s, *in = s, *end = s + n, *cr;
	size_t run;

	while (in < end) {
		cr = memchr(in, '\r', (size_t)(end - in));
		run = cr != NULL ? (size_t)(cr - in) : (size_t)(end - in);
		memmove(out, in, run);
		out += run;
		in += run;
		if (cr == NULL)
			break;
		if (cr + 1 == end) {
			*pending = true;
			break;
		}
		if (cr[1] != '\n')
			*out++ = '\r';
		in++;
	}
	return (size_t)(out - s);
}

static int
copy_content(int fd, const struct maildir_message *message)
{
	AUTO_FREE char *chunk = xmalloc(CHUNK + 1);
	uint64_t at = 0;
	uint64_t left = message->length;
	bool pending = false;
	size_t n, head;

	while (left > 0) {
		n = left < CHUNK ? (size_t)left : CHUNK;
		head = pending;
		chunk[0] = '\r';
		if ((message->read != NULL ? message->read(message->content, at, chunk + head, n) :
					     fs_pread(message->fd, chunk + head, n,
						 message->offset + (off_t)at)) < 0)
			return -1;
		at += n;
		left -= n;
		pending = false;
		n = to_lf(chunk, head + n, &pending);
		if (fs_write(fd, chunk, n) < 0)
			return -1;
	}
	return pending ? fs_write(fd, "\r", 1) : 0;
}

static void
grow(struct maildir *m)
{
	if (m->n < m->cap)
		return;
	m->cap = m->cap > 0 ? m->cap * 2 : 16;
	m->names = xreallocarray(m->names, m->cap, sizeof(*m->names));
}

int
maildir_add(struct maildir *m, const struct maildir_message *message, struct err *err)
{
	AUTO_BUF struct buf header = BUF_INIT(HEADER_MAX);
	AUTO_FD int fd = -1;
	char name[NAME_SIZE];

	make_name(m, name);
	fd = openat(m->tmp, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0660);
	if (fd < 0)
		return err_io(err, "Maildir %s/tmp/%s", m->path, name);
	make_header(message, &header);
	if (fs_write(fd, header.s, header.len) < 0 || copy_content(fd, message) < 0) {
		err_io(err, "Maildir %s/tmp/%s", m->path, name);
		unlinkat(m->tmp, name, 0);
		return -1;
	}
	grow(m);
	memcpy(m->names[m->n], name, sizeof(name));
	if (m->n < SYNC_ONE_BY_ONE)
		m->fds[m->n] = take_fd(&fd);
	m->n++;
	return 0;
}

size_t
maildir_pending(const struct maildir *m)
{
	return m->n;
}

/* ---- making them durable ------------------------------------------------------------------- */

/* Empties the group; those that are still in tmp/ are removed from there. */
static void
drop_group(struct maildir *m, size_t first_in_tmp)
{
	int saved = errno;
	size_t i;

	for (i = 0; i < m->n; i++) {
		if (i < SYNC_ONE_BY_ONE)
			close(m->fds[i]);
		if (i >= first_in_tmp)
			unlinkat(m->tmp, m->names[i], 0);
	}
	m->n = 0;
	errno = saved;
}

static int
sync_files(struct maildir *m)
{
	size_t i;

	if (m->n > SYNC_ONE_BY_ONE)
		return fs_sync_all(m->tmp);
	for (i = 0; i < m->n; i++)
		if (fsync(m->fds[i]) < 0)
			return -1;
	return 0;
}

int
maildir_commit(struct maildir *m, struct err *err)
{
	size_t i;

	if (m->n == 0)
		return 0;
	if (sync_files(m) < 0) {
		err_io(err, "Maildir %s/tmp", m->path);
		drop_group(m, 0);
		return -1;
	}
	for (i = 0; i < m->n; i++) {
		if (renameat2(m->tmp, m->names[i], m->new, m->names[i], RENAME_NOREPLACE) < 0) {
			err_io(err, "Maildir %s/new/%s", m->path, m->names[i]);
			drop_group(m, i);
			return -1;
		}
	}
	drop_group(m, m->n);
	if (fs_sync_dir(m->new) < 0)
		return err_io(err, "Maildir %s/new", m->path);
	return 0;
}

void
maildir_free(struct maildir *m)
{
	if (m == NULL)
		return;
	drop_group(m, 0);
	if (m->new >= 0)
		close(m->new);
	if (m->tmp >= 0)
		close(m->tmp);
	if (m->dir >= 0)
		close(m->dir);
	free(m->names);
	free(m->path);
	free(m);
}
