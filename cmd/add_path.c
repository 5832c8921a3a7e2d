#include "cmd/add_path.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The part of path below directory, or NULL where it does not lie there. */
static const char *
below(const char *directory, const char *path)
{
	size_t len = strlen(directory);

	while (len > 0 && directory[len - 1] == '/')
		len--;
	if (strncmp(path, directory, len) != 0 || path[len] != '/')
		return NULL;
	path += len + strspn(path + len, "/");
	return *path != '\0' ? path : NULL;
}

static int
open_below(const char *directory, const char *name)
{
	/* O_NONBLOCK: a named pipe must not hold us up before it is seen to be one. */
	struct open_how how = {
		.flags = O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
	};
	AUTO_FD int dir = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (dir < 0)
		return -1;
	return (int)syscall(SYS_openat2, dir, name, &how, sizeof how);
}

int
add_path_open(void *arg, const char *path, struct err *err)
{
	const struct settings *settings = arg;

	for (size_t i = 0; i < settings->attachments.paths.n; i++) {
		const char *name = below(settings->attachments.paths.v[i], path);
		AUTO_FD int fd = -1;
		struct stat st;

		if (name == NULL)
			continue;
		fd = open_below(settings->attachments.paths.v[i], name);
		if (fd < 0 && (errno == EXDEV || errno == ELOOP))
			break;
		if (fd < 0 || fstat(fd, &st) < 0)
			return err_sys(err, EX_NOINPUT, "%s", path);
		if (!S_ISREG(st.st_mode))
			return err_set(err, EX_NOINPUT, "%s: not a regular file", path);
		return take_fd(&fd);
	}
	return err_set(err, EX_NOPERM, "%s: not below a directory of attachments.paths", path);
}
