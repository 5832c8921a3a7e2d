/* The file of a limit: its clock, its name, its locks. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "spool/journal/journal.h"
#include "spool/limit/private.h"
#include "spool/store/own.h"

/* An operation holds the lock for microseconds; who makes a file from a long history, for seconds. */
#define LOCK_WAIT (10 * USEC)
#define LOCK_STEP_MAX (INT64_C(1) * 1000)

/* ---- clocks ------------------------------------------------------------------------------ */

static void
read_real_clock(struct limit_moment *ret, void *arg)
{
	struct timespec boot;

	(void)arg;
	clock_gettime(CLOCK_BOOTTIME, &boot);
	ret->boot = (int64_t)boot.tv_sec * USEC + boot.tv_nsec / 1000;
	ret->boot_up = ret->boot + (boot.tv_nsec % 1000 != 0);
	ret->wall = clock_now();
}

void
limit_real_clock(struct limit_clock *ret)
{
	char id[64];

	boot_id(id);
	*ret = (struct limit_clock){ .read = read_real_clock };
	snprintf(ret->id, sizeof ret->id, "%.*s", (int)sizeof ret->id - 1, id);
}

void
limit_read_clock(const struct limit_clock *clock, struct limit_moment *ret)
{
	clock->read(ret, clock->arg);
	ret->id = clock->id;
}

int64_t
limit_now(const struct limit_page *page, const struct limit_moment *moment, bool up)
{
	return page->base + (up ? moment->boot_up : moment->boot);
}

bool
limit_meet_boot(struct limit_page *page, const struct limit_moment *moment)
{
	int64_t now = limit_now(page, moment, true);

	bool told = page->boot[0] != '\0' && moment->id[0] != '\0';

	/* Where boots cannot be told apart, one whose clock has gone back is another; for any else, the
	 * time since the stamps is at least what the clock has made of it. */
	if (told ? strcmp(page->boot, moment->id) == 0 : now >= page->last)
		return false;
	now = moment->wall - page->step;
	if (now > LIMIT_LAST_TIME)
		now = LIMIT_LAST_TIME;
	if (now < page->last)
		now = page->last;
	page->base = now - moment->boot;
	snprintf(page->boot, sizeof page->boot, "%s", moment->id);
	return true;
}

/* ---- names and locks --------------------------------------------------------------------- */

int
limit_name(const char *account, const char *domain, char ret[LIMIT_NAME_SIZE])
{
	char lower[LANE_DOMAIN_MAX + 1];
	size_t n;

	if (name_encode(account, LANE_PART_MAX, ret) < 0)
		return -1;
	if (domain == NULL)
		return 0;
	n = strlen(domain);
	if (n > LANE_DOMAIN_MAX) {
		errno = ENAMETOOLONG;
		return -1;
	}
	for (size_t i = 0; i <= n; i++)
		lower[i] = (char)tolower((unsigned char)domain[i]);
	n = strlen(ret);
	ret[n] = ',';
	return name_encode(lower, LANE_DOMAIN_MAX, ret + n + 1);
}

bool
limit_name_is_valid(const char *name)
{
	char account[LIMIT_NAME_SIZE], plain[LIMIT_NAME_SIZE];
	size_t n = strcspn(name, ",");

	if (n > LANE_PART_MAX)
		return false;
	memcpy(account, name, n);
	account[n] = '\0';
	if (name_decode(account, plain) < 0)
		return false;
	return name[n] == '\0' ||
	    (strlen(name + n + 1) <= LANE_DOMAIN_MAX && name_decode(name + n + 1, plain) == 0);
}

void
limit_name_split(const char *name, char ret_account[LIMIT_NAME_SIZE],
    char ret_domain[LIMIT_NAME_SIZE], bool *ret_of_domain)
{
	char account[LIMIT_NAME_SIZE];
	size_t n = strcspn(name, ",");

	memcpy(account, name, n);
	account[n] = '\0';
	name_decode(account, ret_account);
	*ret_of_domain = name[n] != '\0';
	if (*ret_of_domain)
		name_decode(name + n + 1, ret_domain);
}

/* The directory is made by the first who needs it: spools of before there were limits have none. */
static int
open_directory(const struct limit_file *file, bool make)
{
	int root = file->spool->root;
	int fd = fs_open_dir(root, LIMIT_DIRECTORY);

	if (fd >= 0 || errno != ENOENT || !make)
		return fd;
	if (spool_make_dir(file->spool, LIMIT_DIRECTORY, 0770) < 0)
		return -1;
	return fs_open_dir(root, LIMIT_DIRECTORY);
}

static int
open_file(struct limit_file *file, bool make, int flags, struct err *err)
{
	const char *path = file->spool->path;
	struct stat st;
	AUTO_FD int fd = -1;

	if (file->dir < 0)
		file->dir = open_directory(file, make);
	/* What is in the way goes: the file is made anew from the journals. */
	if (file->dir >= 0 && make)
		fd = own_open(file->spool, file->dir, LIMIT_DIRECTORY, file->name, flags, false);
	else if (file->dir >= 0)
		fd = fs_open(file->dir, file->name, flags, 0);
	if (fd >= 0 && fstat(fd, &st) == 0) {
		file->inode = st.st_ino;
		file->size = (uint64_t)st.st_size;
		file->fd = take_fd(&fd);
		return 0;
	}
	if (fs_is_foreign())
		return err_sys(err, EX_DATAERR, "spool %s: %s/%s", path, LIMIT_DIRECTORY,
		    file->name);
	if (!make && errno == ENOENT)
		return err_sys(err, EX_NOINPUT, "spool %s: %s/%s", path, LIMIT_DIRECTORY,
		    file->name);
	return err_io(err, "spool %s: cannot open %s/%s", path, LIMIT_DIRECTORY, file->name);
}

int
limit_file_open(struct limit_file *file, bool make, struct err *err)
{
	return open_file(file, make, make ? O_RDWR : O_RDONLY, err);
}

int
limit_file_open_to_lift(struct limit_file *file, struct err *err)
{
	return open_file(file, false, O_RDWR, err);
}

void
limit_file_close(struct limit_file *file)
{
	auto_close_fd(&file->fd);
	auto_close_fd(&file->dir);
}

/* Locks belong to the open file: neither a fork nor another descriptor of this process ends them. */
static int
lock_byte(int fd, int command, short type, off_t at)
{
	struct flock lock = { .l_type = type, .l_whence = SEEK_SET, .l_start = at, .l_len = 1 };

	if (fcntl(fd, command, &lock) < 0)
		return -1;
	return lock.l_type;
}

void
limit_file_unlock(struct limit_file *file)
{
	int saved = errno;

	if (file->fd >= 0)
		lock_byte(file->fd, F_OFD_SETLK, F_UNLCK, 0);
	errno = saved;
}

int
limit_file_lock(struct limit_file *file, bool shared)
{
	int64_t step = 20, until = 0;
	struct stat st;

	while (lock_byte(file->fd, F_OFD_SETLK, shared ? F_RDLCK : F_WRLCK, 0) < 0) {
		if (errno != EAGAIN && errno != EACCES && errno != EINTR)
			return -1;
		if (until == 0)
			until = clock_monotonic() + LOCK_WAIT;
		if (clock_monotonic() > until) {
			errno = EWOULDBLOCK;
			return -1;
		}
		nanosleep(&(struct timespec){ .tv_nsec = step * 1000 }, NULL);
		step = step * 2 < LOCK_STEP_MAX ? step * 2 : LOCK_STEP_MAX;
	}
	if (fstatat(file->dir, file->name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		if (errno == ENOENT)
			return 0;
		limit_file_unlock(file);
		return -1;
	}
	if (st.st_ino != file->inode)
		return 0;
	file->size = (uint64_t)st.st_size;
	return 1;
}

int
limit_file_live(struct limit_file *file, int place)
{
	return lock_byte(file->fd, F_OFD_SETLK, F_WRLCK, 1 + place) < 0 ? -1 : 0;
}

bool
limit_file_lives(const struct limit_file *file, int place)
{
	/* What cannot be told is taken for alive. */
	return lock_byte(file->fd, F_OFD_GETLK, F_RDLCK, 1 + place) != F_UNLCK;
}
