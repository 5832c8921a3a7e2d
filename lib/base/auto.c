#include "base/auto.h"

#include <errno.h>
#include <unistd.h>

void
auto_close_fd(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		close(*fd);
	*fd = -1;
	errno = saved;
}

void
auto_free(void *pointer_to_pointer)
{
	int saved = errno;
	void **p = pointer_to_pointer;

	free(*p);
	*p = NULL;
	errno = saved;
}

void
auto_fclose(FILE **f)
{
	int saved = errno;

	if (*f != NULL)
		fclose(*f);
	*f = NULL;
	errno = saved;
}

void
auto_closedir(DIR **d)
{
	int saved = errno;

	if (*d != NULL)
		closedir(*d);
	*d = NULL;
	errno = saved;
}

int
take_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}
