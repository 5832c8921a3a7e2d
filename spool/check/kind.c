/* Checking that what has the name of a file is one, and of the spool's owner; and directories likewise. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/fs.h"
#include "spool/check/private.h"
#include "spool/store/own.h"

/* Tells of it; with repair, moves it to corrupt/ first. */
static void
tell(struct checking *c, int dir, const char *name, const char *path, const char *fault,
    const char *expected)
{
	char as[2 * NAME_SIZE];
	bool moved;

	snprintf(as, sizeof as, "%s", path);
	for (char *p = as; *p != '\0'; p++)
		if (*p == '/')
			*p = '-';
	moved = c->repair && own_set_aside(c->spool, dir, name, as) == 0;
	check_tell(c, moved ? CHECK_REPAIRED : CHECK_FAULT, path, "%s; expected %s%s", fault,
	    expected, moved ? "; moved to corrupt/" : "");
}

bool
check_kind(struct checking *c, int dir, const char *name, const char *path)
{
	char text[64], expected[64] = "a regular file";
	const char *fault;
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return false;
	fault = own_fault(dir, &st, text);
	if (fault == NULL) {
		if (st.st_mode & 07)
			check_tell(c, CHECK_FAULT, path, "its mode is %04o, open to all",
			    (unsigned int)st.st_mode & 07777);
		return true;
	}
	if (S_ISREG(st.st_mode))
		snprintf(expected, sizeof expected, "%u, the spool's owner",
		    (unsigned int)c->root.st_uid);
	tell(c, dir, name, path, fault, expected);
	return false;
}

bool
check_alone(struct checking *c, int dir, const char *name, const char *path)
{
	struct stat st;

	if (!check_kind(c, dir, name, path))
		return false;
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_nlink <= 1)
		return true;
	tell(c, dir, name, path, "has another name (a hard link)",
	    "a file that is not written with another");
	return false;
}

static bool
is_directory(struct checking *c, const char *name)
{
	char text[64];
	const char *fault;
	struct stat st;

	if (fstatat(c->spool->root, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || S_ISDIR(st.st_mode))
		return true;
	fault = own_fault(c->spool->root, &st, text);
	tell(c, c->spool->root, name, name, fault != NULL ? fault : "is a file", "a directory");
	return false;
}

void
check_root_kinds(struct checking *c)
{
	static const char *const files[] = { "mailq-spool", "rules", "lock", "count", "totals",
		"wake", ".mailq-spool.tmp", ".rules.tmp", ".totals.tmp" };
	static const char *const alone[] = { "scheduler", "pins" };
	/* Without the others no spool can be opened. */
	static const char *const made[] = { "corrupt", "partial", "parked", "reports" };
	static const char *const others[] = { "limits", "accounts", "suspended", "answers", "blobs",
		"parts", "fetched" };

	for (size_t i = 0; i < sizeof made / sizeof made[0]; i++)
		if (!is_directory(c, made[i]) && c->repair)
			spool_make_dir(c->spool, made[i], 0770);
	for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
		is_directory(c, others[i]);
	for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
		check_kind(c, c->spool->root, files[i], files[i]);
	for (size_t i = 0; i < sizeof alone / sizeof alone[0]; i++)
		check_alone(c, c->spool->root, alone[i], alone[i]);
}

static int
look_at_fetched(const char *name, unsigned char type, void *arg)
{
	struct checking *c = arg;
	char path[NAME_SIZE + 16];

	(void)type;
	snprintf(path, sizeof path, "fetched/%s", name);
	check_kind(c, c->dir, name, path);
	return 0;
}

void
check_fetched(struct checking *c)
{
	check_each(c, c->spool->root, "fetched", "fetched", look_at_fetched, c);
}
