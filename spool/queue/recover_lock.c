/* Taking the journal of a dead runner. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/fs.h"
#include "spool/queue/recover_private.h"
#include "spool/report/reports.h"
#include "spool/store/own.h"

int
recover_lock(struct spool *spool, int dir, const char *token, int *ret)
{
	const int flags = O_RDWR | O_APPEND;
	AUTO_FD int fd = fs_open(dir, "journal", flags, 0);
	char log[TOKEN_SIZE + 8], where[TOKEN_SIZE + 8];

	/* As if it were lost. */
	snprintf(where, sizeof where, "cur/%s", token);
	if (fd < 0 && fs_is_foreign() && own_clear(spool, dir, where, "journal") == 0)
		errno = ENOENT;
	if (fd < 0 && errno == ENOENT) {
		if (unlinkat(spool->cur, token, AT_REMOVEDIR) == 0)
			return 0;
		if (errno != ENOTEMPTY)
			return errno == ENOENT ? 0 : -1;
		snprintf(log, sizeof log, "%s.log", token);
		if (renameat2(spool->log, log, dir, "journal", RENAME_NOREPLACE) < 0 &&
		    errno != EEXIST &&
		    (errno != ENOENT || reports_give_back(spool, token, dir, "journal") < 0))
			return -1;
		fd = fs_open(dir, "journal", flags | O_CREAT, 0660);
	}
	if (fd < 0)
		return -1;
	if (fs_lock(fd, 0) < 0)
		return errno == EWOULDBLOCK ? 0 : -1;
	/* By its name again: it may have ended between our open and our lock. */
	if (faccessat(dir, "journal", F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -1;
	*ret = take_fd(&fd);
	return 1;
}
