#include "cmd/policy/reread.h"

#include <unistd.h>

#include "base/buf.h"
#include "base/ids.h"

char *
reread_file(const struct settings *settings)
{
	return ids_became() && settings->file != NULL ? xstrdup(settings->file) : NULL;
}

int
reread_check(const char *file, struct err *err)
{
	char name[64];

	if (file == NULL || access(file, R_OK) == 0)
		return 0;
	ids_name(geteuid(), name, sizeof name);
	return err_set(err, EX_NOPERM,
	    "%s: %s, who owns the spool, cannot read it, and it is to be read again: expected mode "
	    "0640 and a group of that user",
	    file, name);
}
