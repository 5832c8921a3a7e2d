#include "spool/store/owner.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/ids.h"

/* The user by whom the system's spool is served; NULL where it is another spool, or there is no such user. */
static const struct passwd *
expected_owner(const struct spool_options *options)
{
	return options->owner != NULL ? getpwnam(options->owner) : NULL;
}

/* It is root's, and mailq-run works as another user: its mail would wait for ever. */
static int
told_to_mend(const char *path, const struct passwd *owner, struct err *err)
{
	return err_set(err, EX_TEMPFAIL,
	    "it belongs to root, and is served by user %s: as root, run \"chown -hR %s: %s\"",
	    owner->pw_name, owner->pw_name, path);
}

/* A spool that root is about to make where user mailq serves one. */
static int
give_away(int root, const struct passwd *owner, struct stat *st, struct err *err)
{
	if (fchown(root, owner->pw_uid, owner->pw_gid) < 0 || fstat(root, st) < 0)
		return err_io(err, "it cannot be given to user %s", owner->pw_name);
	return 0;
}

static int
check_for_root(int root, const char *path, const struct spool_options *options, bool marked,
    struct stat *st, struct err *err)
{
	const struct passwd *owner = st->st_uid == 0 ? expected_owner(options) : NULL;

	if (owner != NULL && owner->pw_uid != 0 && !options->read_only) {
		if (marked)
			return told_to_mend(path, owner, err);
		if (give_away(root, owner, st, err) < 0)
			return -1;
	}
	/* Also for a look: an account's password_command may be part of it. */
	return st->st_uid != 0 ? ids_become(st->st_uid, st->st_gid, err) : 0;
}

static int
check_for_user(const char *path, const struct spool_options *options, const struct stat *st,
    struct err *err)
{
	const struct passwd *owner;

	if (st->st_uid == geteuid() || (st->st_mode & S_IWGRP))
		return 0;
	owner = st->st_uid == 0 ? expected_owner(options) : NULL;
	if (owner != NULL && owner->pw_uid == geteuid())
		return told_to_mend(path, owner, err);
	return err_set(err, EX_IOERR, "it belongs to user %u", (unsigned int)st->st_uid);
}

int
owner_check(int root, const char *path, const struct spool_options *options, bool marked,
    struct err *err)
{
	struct stat st;
	int result;

	if (fstat(root, &st) < 0)
		return err_io(err, "fstat");
	if (st.st_mode & 07)
		return err_set(err, EX_IOERR,
		    "its mode is %04o, open to all; expected 0700 (or 2770 for a group)",
		    (unsigned int)st.st_mode & 07777);
	result = geteuid() == 0 ? check_for_root(root, path, options, marked, &st, err) :
				  check_for_user(path, options, &st, err);
	if (result < 0)
		return -1;
	/* What this process makes in it belongs to those who share it: in a group's spool to the group. */
	if (!options->read_only)
		umask(st.st_mode & S_IWGRP ? 007 : 077);
	return 0;
}

int
owner_explain_closed(const char *path, const struct spool_options *options, struct err *err)
{
	int failure = errno;
	const struct passwd *owner = failure == EACCES ? expected_owner(options) : NULL;
	struct stat st;

	if (owner != NULL && owner->pw_uid == geteuid() && stat(path, &st) == 0 && st.st_uid == 0) {
		told_to_mend(path, owner, err);
		return err_prefix(err, "spool %s", path);
	}
	errno = failure;
	return err_io(err, "spool %s", path);
}

/* As chown(1) takes it. */
static void
owner_spec(const struct stat *st, char *ret, size_t size)
{
	const struct passwd *user = getpwuid(st->st_uid);

	if (user != NULL)
		snprintf(ret, size, "%s:", user->pw_name);
	else
		snprintf(ret, size, "%u:%u", (unsigned int)st->st_uid, (unsigned int)st->st_gid);
}

int
owner_explain(int root, const char *path, const char *name, struct err *err)
{
	int failure = errno;
	struct stat st, part;
	char spec[64];

	if (failure == EACCES && fstat(root, &st) == 0 &&
	    fstatat(root, name, &part, AT_SYMLINK_NOFOLLOW) == 0 && part.st_uid != st.st_uid) {
		owner_spec(&st, spec, sizeof spec);
		return err_set(err, EX_TEMPFAIL,
		    "%s belongs to user %u; expected %u, the spool's owner: as root, run \"chown "
		    "-hR %s %s\"",
		    name, (unsigned int)part.st_uid, (unsigned int)st.st_uid, spec, path);
	}
	errno = failure;
	return err_io(err, "cannot open %s", name);
}
