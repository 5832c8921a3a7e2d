#include "cmd/submit/attach.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/num.h"

/* ---- paths ------------------------------------------------------------------------------------- */

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

/* True where ".." is one of the names.  The kernel would resolve one that stays below the directory, and tell
 * by it what directories there are. */
static bool
goes_up(const char *name)
{
	for (const char *p = name; p != NULL; p = strchr(p, '/')) {
		p += strspn(p, "/");
		if (strncmp(p, "..", 2) == 0 && (p[2] == '/' || p[2] == '\0'))
			return true;
	}
	return false;
}

/* A regular file below a directory; -1 for whatever else there is. */
static int
open_below(const char *directory, const char *name)
{
	/* A device is told from a file before it is opened, as opening one can do something. */
	struct open_how how = {
		.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};
	AUTO_FD int dir = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	AUTO_FD int fd = -1;
	struct stat st;

	if (dir < 0)
		return -1;
	fd = (int)syscall(SYS_openat2, dir, name, &how, sizeof how);
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return -1;
	auto_close_fd(&fd);
	/* O_NONBLOCK: nor must a named pipe hold us up that has taken its place. */
	how.flags = O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
	fd = (int)syscall(SYS_openat2, dir, name, &how, sizeof how);
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return -1;
	return take_fd(&fd);
}

int
attach_open(void *arg, const char *path, struct err *err)
{
	const struct settings *settings = arg;

	for (size_t i = 0; i < settings->attachments.paths.n; i++) {
		const char *name = below(settings->attachments.paths.v[i], path);
		int fd;

		if (name == NULL || goes_up(name))
			continue;
		fd = open_below(settings->attachments.paths.v[i], name);
		if (fd >= 0)
			return fd;
	}
	return err_set(err, EX_NOPERM,
	    "%s: expected a file that can be read below a directory of attachments.paths", path);
}

const char *
attach_no_s3(const struct settings *settings)
{
	return settings_has_s3(settings) ?
	    NULL :
	    "no S3 is configured here (attachments.s3 in mailq.conf)";
}

/* ---- sizes ------------------------------------------------------------------------------------- */

/* As far as it is known: a remote one's is not. */
static uint64_t
size_of(const struct mail_attachment *a)
{
	struct stat st;

	if (a->part != NULL)
		return a->part->raw;
	if (a->fd < 0)
		return a->bytes.len;
	if (a->length != UINT64_MAX)
		return a->length;
	return fstat(a->fd, &st) == 0 && S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
}

int
attach_check_total(const struct settings *settings, const struct mail_message *message,
    struct err *err)
{
	uint64_t max = (uint64_t)settings->attachments.max_total, total = 0;
	char text[24];

	for (size_t i = 0; i < message->attachment_count; i++) {
		total += size_of(&message->attachments[i]);
		if (total > max)
			return err_set(err, EX_DATAERR,
			    "attachments: larger than %s together (attachments.max_total)",
			    num_size_text(max, text));
	}
	return 0;
}
