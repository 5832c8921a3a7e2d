#include "spool/limit/stay.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/fs.h"
#include "spool/limit/private.h"

/* Behind the bytes of the holders. */
#define STAY_BYTE (LIMIT_PAGE - 1)

int
stay_lock(const struct spool *spool, const char *account, struct err *err)
{
	struct flock lock = { .l_type = F_WRLCK,
		.l_whence = SEEK_SET,
		.l_start = STAY_BYTE,
		.l_len = 1 };
	char name[LIMIT_NAME_SIZE];
	AUTO_FD int dir = fs_open_dir(spool->root, LIMIT_DIRECTORY);
	int fd = -1;

	if (dir >= 0 && limit_name(account, NULL, name) == 0)
		fd = fs_open(dir, name, O_RDWR, 0);
	if (fd < 0)
		return err_io(err, "spool %s: %s of account %s", spool->path, LIMIT_DIRECTORY,
		    account);
	if (fcntl(fd, F_OFD_SETLK, &lock) == 0)
		return fd;
	if (errno == EAGAIN || errno == EACCES)
		err_set(err, EX_TEMPFAIL, "another mailq-run stays for account %s", account);
	else
		err_io(err, "spool %s: cannot lock %s/%s", spool->path, LIMIT_DIRECTORY, name);
	auto_close_fd(&fd);
	return -1;
}
