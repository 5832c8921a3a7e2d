#include "cmd/submit/spill.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"

#define LOOK_EACH (8u * 1024 * 1024) /* bytes between two looks at the space left */

void
spill_begin(struct spill *s, const struct spool *spool, int64_t min_free_bytes,
    int64_t min_free_inodes)
{
	*s = (struct spill){
		.spool = spool,
		.min_free_bytes = (uint64_t)min_free_bytes,
		.min_free_inodes = (uint64_t)min_free_inodes,
		.fd = -1,
	};
	buf_init(&s->held, SPILL_HELD);
}

void
spill_release(struct spill *s)
{
	buf_release(&s->held);
	auto_close_fd(&s->fd);
	s->fd = -1;
}

int
spill_clear(struct spill *s, struct err *err)
{
	if (s->fd >= 0 && s->size > 0 && ftruncate(s->fd, 0) < 0)
		return err_io(err, "spool %s: cannot empty a file in tmp", s->spool->path);
	buf_clear(&s->held);
	s->size = s->checked = 0;
	return 0;
}

static int
open_nameless(int dir)
{
	int fd = fs_open_nameless(dir, 0600);
	char name[TOKEN_SIZE];

	if (fd >= 0)
		return fd;
	/* A file system without.  What a crash leaves in between is an abandoned draft to others. */
	token_make(name);
	fd = fs_open(dir, name, O_CREAT | O_EXCL | O_RDWR, 0600);
	if (fd >= 0)
		unlinkat(dir, name, 0);
	return fd;
}

static int
check_space(struct spill *s, struct err *err)
{
	if (s->size < s->checked)
		return 0;
	s->checked = s->size + LOOK_EACH;
	return spool_check_space(s->spool, s->min_free_bytes + LOOK_EACH, s->min_free_inodes, err);
}

static int
write_at(struct spill *s, uint64_t at, const void *bytes, size_t n, struct err *err)
{
	if (fs_pwrite(s->fd, bytes, n, (off_t)at) < 0)
		return err_io(err, "spool %s: cannot write a file in tmp", s->spool->path);
	return 0;
}

/* From memory into a file. */
static int
move_out(struct spill *s, struct err *err)
{
	if (check_space(s, err) < 0)
		return -1;
	s->fd = open_nameless(s->spool->tmp);
	if (s->fd < 0)
		return err_io(err, "spool %s: cannot make a file in tmp", s->spool->path);
	if (write_at(s, 0, s->held.s, s->held.len, err) < 0)
		return -1;
	buf_release(&s->held);
	return 0;
}

int
spill_add(struct spill *s, const void *bytes, size_t n, struct err *err)
{
	if (s->fd < 0 && s->held.len + n <= s->held.max) {
		buf_add(&s->held, bytes, n);
		s->size += n;
		return 0;
	}
	if ((s->fd < 0 && move_out(s, err) < 0) || check_space(s, err) < 0 ||
	    write_at(s, s->size, bytes, n, err) < 0)
		return -1;
	s->size += n;
	return 0;
}

int
spill_sink(void *spill, const void *bytes, size_t n)
{
	struct spill *s = spill;

	if (spill_add(s, bytes, n, &s->err) == 0)
		return 0;
	errno = EIO;
	return -1;
}

int
spill_patch(struct spill *s, uint64_t at, const void *bytes, size_t n, struct err *err)
{
	if (s->fd >= 0)
		return write_at(s, at, bytes, n, err);
	memcpy(s->held.s + at, bytes, n);
	return 0;
}
