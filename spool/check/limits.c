/* Checking limits/. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/fs.h"
#include "spool/check/private.h"
#include "spool/limit/private.h"
#include "spool/store/own.h"

struct damaged {
	struct checking *c;
	const char *name;
	int dir;
};

static int
set_aside(void *arg)
{
	struct damaged *damaged = arg;
	char to[LIMIT_NAME_SIZE + 16];

	snprintf(to, sizeof to, LIMIT_DIRECTORY "-%s", damaged->name);
	return own_set_aside(damaged->c->spool, damaged->dir, damaged->name, to);
}

static int
look_at_limit(const char *name, unsigned char type, void *arg)
{
	struct checking *c = arg;
	struct damaged damaged = { c, name, c->dir };
	char path[NAME_SIZE + 16];
	struct err err = ERR_INIT;
	int result;

	(void)type;
	snprintf(path, sizeof path, LIMIT_DIRECTORY "/%s", name);
	if (!limit_name_is_valid(name)) {
		check_tell(c, CHECK_FAULT, path,
		    "its name is not an encoded account, or account and domain");
		return 0;
	}
	if (!check_kind(c, c->dir, name, path))
		return 0;
	result = limit_check(c->spool, name, c->repair ? set_aside : NULL, &damaged, &err);
	if (result < 0)
		check_tell_err(c, path, &err);
	else if (result > 0)
		check_tell(c, CHECK_REPAIRED, path, "%s; moved to corrupt/", err.msg);
	return 0;
}

void
check_limits(struct checking *c)
{
	check_each(c, c->spool->root, LIMIT_DIRECTORY, LIMIT_DIRECTORY, look_at_limit, c);
}
