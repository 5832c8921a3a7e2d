#include "spool/policy/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/clock.h"
#include "base/fs.h"
#include "spool/store/own.h"

#define WAIT_MAX (10 * USEC)

int
spool_lock(struct spool *spool, struct err *err)
{
	int fd = own_open(spool, spool->root, "", "lock", O_RDWR, false);

	if (fd < 0)
		return err_io(err, "spool %s: cannot open lock", spool->path);
	if (fs_lock(fd, WAIT_MAX) == 0)
		return fd;
	if (errno == EWOULDBLOCK)
		err_set(err, EX_TEMPFAIL,
		    "spool %s: another program has been changing its settings for too long",
		    spool->path);
	else
		err_io(err, "spool %s: cannot lock lock", spool->path);
	auto_close_fd(&fd);
	return -1;
}
