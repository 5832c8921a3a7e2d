/*
 * fs_shutdown DIRECTORY: the file system of DIRECTORY stops at once, as if its disk were gone: what its log
 * has not written is lost, and all calls fail from then on.  ext4 and XFS know this call (ioctl_xfs_goingdown(2)).
 */
#include <err.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sysexits.h>

#define GOING_DOWN _IOR('X', 125, uint32_t)
#define WITHOUT_LOG_FLUSH 2u

int
main(int argc, char **argv)
{
	uint32_t how = WITHOUT_LOG_FLUSH;
	int fd;

	if (argc != 2)
		errx(EX_USAGE, "expected one directory");
	fd = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || ioctl(fd, GOING_DOWN, &how) < 0)
		err(EX_OSERR, "%s", argv[1]);
	return EX_OK;
}
