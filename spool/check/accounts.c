/* Checking accounts/: names, owners and modes.  What is in the files is for others to judge. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "spool/check/private.h"

static int
look_at_account(const char *name, unsigned char type, void *arg)
{
	struct checking *c = arg;
	char path[NAME_SIZE + 16], id[NAME_SIZE];
	struct stat st;

	(void)type;
	snprintf(path, sizeof path, "accounts/%s", name);
	if (!check_kind(c, c->dir, name, path) ||
	    fstatat(c->dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	if (name[0] == '.')
		check_tell(c, CHECK_NOTE, path,
		    "was left by a process that died while it wrote; the next change removes it");
	else if (strlen(name) > LANE_PART_MAX || name_decode(name, id) < 0)
		check_tell(c, CHECK_FAULT, path, "its name is not an encoded account");
	else if (st.st_uid != c->root.st_uid && st.st_uid != 0)
		check_tell(c, CHECK_FAULT, path,
		    "belongs to user %u, and does not count for it; expected %u, the spool's owner",
		    (unsigned int)st.st_uid, (unsigned int)c->root.st_uid);
	else if (st.st_mode & 077)
		check_tell(c, CHECK_FAULT, path,
		    "its mode is %04o; expected 0600, because it may contain a password%s",
		    (unsigned int)st.st_mode & 07777,
		    st.st_mode & 022 ? "; ignored, because other users may write it" : "");
	return 0;
}

void
check_accounts(struct checking *c)
{
	check_each(c, c->spool->root, "accounts", "accounts", look_at_account, c);
}
