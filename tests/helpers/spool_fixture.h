/* A spool of a test's own, below the program's directory. */
#ifndef UNIT_SPOOL_FIXTURE_H
#define UNIT_SPOOL_FIXTURE_H

#include "spool/store/spool.h"
#include "unit.h"

UNIT_HELPER struct spool
fresh_spool(void)
{
	static int count;
	const struct spool_options options = { .read_only = false };
	struct spool spool;
	struct err err = ERR_INIT;
	char path[320];

	snprintf(path, sizeof path, "%s/spool%d", unit_tmpdir(), count++);
	if (spool_open(&spool, path, &options, &err) < 0) {
		unit_fail(__FILE__, __LINE__, "%s", err.msg);
		exit(2);
	}
	return spool;
}

#endif
