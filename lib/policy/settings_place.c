#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fs.h"
#include "policy/settings.h"
#include "policy/settings_private.h"

#ifndef SYSCONFDIR
#error "the build defines SYSCONFDIR"
#endif
#ifndef SPOOLDIR
#error "the build defines SPOOLDIR"
#endif

#define HOSTS_MAX (1u << 20)
#define SPOOL_PATH_MAX 1000 /* names below it must fit into PATH_MAX */

static char *
join(const char *directory, const char *name)
{
	char *path;

	if (asprintf(&path, "%s/%s", directory, name) < 0)
		abort();
	return path;
}

/* A directory of the XDG specification, which has it ignored unless it is absolute: to be freed. */
static char *
user_directory(const char *variable, const char *below_home)
{
	const char *directory = getenv(variable), *home = getenv("HOME");

	if (directory != NULL && *directory == '/')
		return xstrdup(directory);
	if (home != NULL && *home == '/')
		return join(home, below_home);
	return NULL;
}

static char *
existing(char *path)
{
	if (path != NULL && access(path, F_OK) == 0)
		return path;
	free(path);
	return NULL;
}

char *
settings_file(const char *option)
{
	AUTO_FREE char *directory = NULL;
	char *path = NULL;

	if (option == NULL)
		option = getenv("MAILQ_CONFIG");
	if (option != NULL && *option != '\0')
		return xstrdup(option);
	directory = user_directory("XDG_CONFIG_HOME", ".config");
	if (directory != NULL)
		path = existing(join(directory, "mailq/mailq.conf"));
	return path != NULL ? path : existing(xstrdup(SYSCONFDIR "/mailq.conf"));
}

/* Absolute, to be freed; NULL with errno. */
static char *
absolute(const char *path)
{
	AUTO_FREE char *here = NULL;

	if (*path == '/')
		return xstrdup(path);
	here = getcwd(NULL, 0);
	return here != NULL ? join(here, path) : NULL;
}

/* ---- the spool --------------------------------------------------------------------------------- */

static const char system_file[] = SYSCONFDIR "/mailq.conf";

/* The system's spool as it is installed: to be freed.  s may have been read from another file. */
static int
system_spool(const struct settings *s, char **ret_path, struct err *err)
{
	AUTO_SETTINGS struct settings theirs = { 0 };
	const char *named = s->spool;

	if (s->file == NULL || strcmp(s->file, system_file) != 0) {
		named = NULL;
		if (access(system_file, F_OK) == 0) {
			if (settings_load(&theirs, system_file, err) < 0)
				return -1;
			named = theirs.spool;
		}
	}
	*ret_path = xstrdup(named != NULL ? named : SPOOLDIR);
	return 0;
}

/* True for root, and for the user by whom the system's spool is served: what they do is about that one. */
static bool
serves_system(void)
{
	const struct passwd *user;
	struct stat st;

	if (geteuid() == 0 || (stat(SPOOLDIR, &st) == 0 && st.st_uid == geteuid()))
		return true;
	user = getpwuid(geteuid());
	return user != NULL && strcmp(user->pw_name, SETTINGS_SPOOL_USER) == 0;
}

static int
own_spool(char **ret_path, struct err *err)
{
	AUTO_FREE char *directory = user_directory("XDG_STATE_HOME", ".local/state");

	if (directory == NULL)
		return err_set(err, EX_CONFIG,
		    "no place for the spool: expected $HOME, $MAILQ_SPOOL or --spool");
	*ret_path = join(directory, "mailq");
	return 0;
}

static int
find_spool(const struct settings *s, const char *option, bool for_all, char **ret_path,
    struct err *err)
{
	const char *named = option != NULL ? option : getenv("MAILQ_SPOOL");
	AUTO_FREE char *path = NULL;

	if (option != NULL && *option == '\0')
		return err_set(err, EX_CONFIG, "--spool: expected a directory");
	if (named == NULL || *named == '\0')
		named = s->spool;
	if (named != NULL) {
		path = absolute(named);
		if (path == NULL)
			return err_sys(err, EX_CONFIG, "%s: the present directory has no name",
			    named);
	} else if ((for_all || serves_system() ? system_spool(s, &path, err) :
						 own_spool(&path, err)) < 0) {
		return -1;
	}
	if (strlen(path) > SPOOL_PATH_MAX)
		return err_set(err, EX_CONFIG, "the spool's path is longer than %d bytes",
		    SPOOL_PATH_MAX);
	*ret_path = path;
	path = NULL;
	return 0;
}

int
settings_spool(const struct settings *s, const char *option, char **ret_path, struct err *err)
{
	return find_spool(s, option, false, ret_path, err);
}

int
settings_spool_system(const struct settings *s, const char *option, char **ret_path,
    struct err *err)
{
	return find_spool(s, option, true, ret_path, err);
}

const char *
settings_spool_owner(const struct settings *s, const char *path)
{
	AUTO_FREE char *theirs = NULL;

	if (system_spool(s, &theirs, NULL) < 0 || strcmp(theirs, path) != 0)
		return NULL;
	return SETTINGS_SPOOL_USER;
}

/* ---- the host's name --------------------------------------------------------------------------- */

/* The canonical name (hosts(5): the first) of the line that has name among its aliases, if it has
 * a domain. */
static bool
canonical_of_line(char *line, const char *name, char *ret, size_t size)
{
	static const char space[] = " \t\r";
	const char *canonical;
	char *word;

	line[strcspn(line, "#")] = '\0';
	word = line + strspn(line, space);
	word += strcspn(word, space); /* behind the address */
	canonical = word += strspn(word, space);
	for (bool first = true; *word != '\0'; first = false) {
		char *end = word + strcspn(word, space);
		char *next = end + strspn(end, space);

		*end = '\0';
		if (first && strchr(canonical, '.') == NULL)
			return false;
		if (!first && strcasecmp(word, name) == 0)
			return (size_t)snprintf(ret, size, "%s", canonical) < size;
		word = next;
	}
	return false;
}

static bool
canonical_of_hosts(const char *name, char *ret, size_t size)
{
	AUTO_BUF struct buf text = BUF_INIT(HOSTS_MAX);
	AUTO_FD int fd = open("/etc/hosts", O_RDONLY | O_CLOEXEC);
	char *line, *rest;

	if (fd < 0 || fs_read_all(fd, &text) < 0 || text.len == 0)
		return false;
	rest = text.s;
	while ((line = strsep(&rest, "\n")) != NULL) {
		if (canonical_of_line(line, name, ret, size))
			return true;
	}
	return false;
}

bool
settings_is_host_name(const char *name)
{
	for (const char *p = name; *p != '\0'; p++) {
		if (!isalnum((unsigned char)*p) && (strchr("-.", *p) == NULL || p == name))
			return false;
	}
	return *name != '\0';
}

char *
settings_hostname(void)
{
	char name[256] = "", full[256];

	if (gethostname(name, sizeof name - 1) < 0 || !settings_is_host_name(name))
		return xstrdup("localhost.localdomain");
	if (strchr(name, '.') != NULL)
		return xstrdup(name);
	if (canonical_of_hosts(name, full, sizeof full) && settings_is_host_name(full))
		return xstrdup(full);
	/* A server that looks at the form wants a domain. */
	snprintf(full, sizeof full, "%.200s.localdomain", name);
	return xstrdup(full);
}
