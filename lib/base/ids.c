#include "base/ids.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/buf.h"

#define NOGROUP ((gid_t)65534)
#define GROUPS_MAX 65536

extern char **environ;

uid_t
ids_caller(void)
{
	/* The kernel's word of when the program was started: no call changes it. */
	return (uid_t)getauxval(AT_UID);
}

bool
ids_became(void)
{
	return getauxval(AT_EUID) == 0 && geteuid() != 0;
}

char *
ids_name(uid_t uid, char *ret, size_t size)
{
	const struct passwd *user = getpwuid(uid);

	if (user != NULL)
		snprintf(ret, size, "%s", user->pw_name);
	else
		snprintf(ret, size, "user %u", (unsigned int)uid);
	return ret;
}

/* ---- the environment --------------------------------------------------------------------------- */

/* What mailq, its libraries and those who start it read.  All else is root's own affair, secrets
 * among it. */
static bool
is_ours(const char *variable)
{
	static const char *const names[] = { "PATH", "LANG", "LANGUAGE", "TERM", "TZ", "TZDIR",
		"TIMEZONE", "HOST", "PORT", "API_TOKEN", "FETCH_URL", "NOTIFY_SOCKET",
		"POSIXLY_CORRECT", "http_proxy", "https_proxy", "HTTPS_PROXY", "no_proxy",
		"NO_PROXY", "all_proxy", "ALL_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR", "MAGIC" };
	static const char *const prefixes[] = { "LC_", "MAILQ_", "SMTP_", "AWS_", "LISTEN_", "LD_",
		"ASAN_", "LSAN_", "UBSAN_" };
	size_t n = strcspn(variable, "=");

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (strlen(names[i]) == n && strncmp(variable, names[i], n) == 0)
			return true;
	for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++)
		if (strncmp(variable, prefixes[i], strlen(prefixes[i])) == 0)
			return true;
	return false;
}

static void
change_environment(const struct passwd *user)
{
	char **kept = environ;

	for (char **p = environ; p != NULL && *p != NULL; p++)
		if (is_ours(*p))
			*kept++ = *p;
	if (kept != NULL)
		*kept = NULL;
	setenv("HOME", user != NULL ? user->pw_dir : "/", 1);
	if (user == NULL)
		return;
	setenv("USER", user->pw_name, 1);
	setenv("LOGNAME", user->pw_name, 1);
	setenv("SHELL", "/bin/sh", 1);
}

/* ---- the ids ----------------------------------------------------------------------------------- */

struct ids {
	uid_t uid;
	gid_t gid;
	gid_t *groups;
	int n;
};

static void
find_groups(const struct passwd *user, gid_t group, struct ids *ids)
{
	int n = 64;

	ids->groups = xreallocarray(NULL, (size_t)n, sizeof *ids->groups);
	if (user == NULL) {
		ids->gid = group != 0 ? group : NOGROUP;
		ids->groups[0] = ids->gid;
		ids->n = 1;
		return;
	}
	while (getgrouplist(user->pw_name, user->pw_gid, ids->groups, &n) < 0 && n <= GROUPS_MAX)
		ids->groups = xreallocarray(ids->groups, (size_t)n, sizeof *ids->groups);
	ids->n = n < GROUPS_MAX ? n : GROUPS_MAX;
	ids->gid = user->pw_gid;
	for (int i = 0; i < ids->n; i++)
		if (ids->groups[i] == group)
			ids->gid = group;
}

/* True where nothing of root is left: neither an id that could be taken back, nor a right that does not
 * go with the id (as after prctl(PR_SET_SECUREBITS)). */
static bool
is_dropped(const struct ids *ids)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { { 0 } };
	uid_t r, e, s;
	gid_t rg, eg, sg;

	if (getresuid(&r, &e, &s) < 0 || getresgid(&rg, &eg, &sg) < 0 ||
	    syscall(SYS_capget, &header, data) < 0)
		return false;
	for (size_t i = 0; i < _LINUX_CAPABILITY_U32S_3; i++)
		if (data[i].effective != 0 || data[i].permitted != 0)
			return false;
	return r == ids->uid && e == ids->uid && s == ids->uid && rg == ids->gid &&
	    eg == ids->gid && sg == ids->gid && setresuid((uid_t)-1, 0, (uid_t)-1) < 0;
}

static int
drop(const struct ids *ids, struct err *err)
{
	char name[64];

	ids_name(ids->uid, name, sizeof name);
	if (setgroups((size_t)ids->n, ids->groups) < 0 ||
	    setresgid(ids->gid, ids->gid, ids->gid) < 0 ||
	    setresuid(ids->uid, ids->uid, ids->uid) < 0)
		return err_sys(err, errno == EPERM ? EX_NOPERM : EX_OSERR,
		    "cannot become %s, the spool's owner", name);
	if (!is_dropped(ids))
		return err_set(err, EX_OSERR,
		    "cannot become %s, the spool's owner: rights of root are left", name);
	return 0;
}

/* A program with the same terminal can put input into it (TIOCSTI): a command of the spool's owner must not
 * type into root's shell.  Who leads the session has no shell before it, and would hang up. */
static void
leave_terminal(void)
{
	AUTO_FD int tty = -1;

	if (getsid(0) == getpid())
		return;
	tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (tty >= 0)
		ioctl(tty, TIOCNOTTY);
}

int
ids_become(uid_t uid, gid_t group, struct err *err)
{
	const struct passwd *user = getpwuid(uid);
	struct ids ids = { .uid = uid };
	AUTO_FREE gid_t *groups = NULL;

	find_groups(user, group, &ids);
	groups = ids.groups;
	leave_terminal();
	if (drop(&ids, err) < 0)
		return -1;
	change_environment(user);
	return 0;
}
