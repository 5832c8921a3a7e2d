/* What a step that was never finished leaves beside the messages. */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "spool/queue/recover.h"

#define TEMPORARY_SUFFIX ".tmp" /* of fs_replace_file */

/* A directory under its first name: empty, unless a power cut undid a rename. */
static int
remove_unnamed(const char *name, unsigned char type, void *arg)
{
	if (name[0] == '.' && (type == DT_DIR || type == DT_UNKNOWN))
		unlinkat(*(int *)arg, name, AT_REMOVEDIR);
	return 0;
}

static int
visit_lane(const char *name, unsigned char type, void *arg)
{
	int state = *(int *)arg;
	AUTO_FD int lane = -1;

	if (type != DT_DIR && type != DT_UNKNOWN)
		return 0;
	lane = fs_open_dir(state, name);
	if (lane >= 0)
		fs_each(lane, remove_unnamed, &lane);
	return remove_unnamed(name, type, arg);
}

/* A living writer holds its file locked, and looks at its name again when it has the lock. */
static int
remove_temporary(const char *name, unsigned char type, void *arg)
{
	int dir = *(int *)arg;
	size_t n = strlen(name), s = strlen(TEMPORARY_SUFFIX);
	AUTO_FD int fd = -1;

	if (name[0] != '.' || n <= s || strcmp(name + n - s, TEMPORARY_SUFFIX) != 0 ||
	    (type != DT_REG && type != DT_UNKNOWN))
		return 0;
	fd = fs_open(dir, name, O_RDONLY, 0);
	if (fd >= 0 && fs_lock(fd, 0) == 0)
		unlinkat(dir, name, 0);
	return 0;
}

void
recover_temporaries(struct spool *spool)
{
	AUTO_FD int root = fs_open_dir(spool->root, ".");

	if (root >= 0)
		fs_each(root, remove_temporary, &root);
}

void
recover_unfinished(struct spool *spool)
{
	AUTO_FD int partial = fs_open_dir(spool->root, "partial");

	for (int i = 0; i < STATE_COUNT; i++) {
		AUTO_FD int state = fs_open_dir(spool->root, state_text((enum state)i));

		if (state >= 0)
			fs_each(state, visit_lane, &state);
	}
	if (partial >= 0)
		fs_each(partial, remove_temporary, &partial);
}
