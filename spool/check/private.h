/* What check.c and messages.c share. */
#ifndef SPOOL_CHECK_PRIVATE_H
#define SPOOL_CHECK_PRIVATE_H

#include <sys/stat.h>

#include "spool/check/check.h"
#include "spool/part/content.h"
#include "spool/policy/park.h"
#include "spool/queue/partial.h"
#include "spool/report/oplog.h"

/* Names that were met. */
struct check_names {
	uint64_t *sums;
	size_t count, room;
};

struct checking {
	struct spool *spool;
	bool repair;
	void (*fault)(const char *path, const char *text, bool repaired, void *arg);
	void *arg;
	struct check_result *result;
	struct err *err;
	struct stat root;
	int dir;		    /* the directory that check_each() is listing */
	struct oplog log;	    /* of what was repaired */
	struct content_known known; /* parts that were found sound */
	struct check_names names;
};

enum check_weight {
	CHECK_NOTE, /* worth telling, no fault */
	CHECK_NOTE_REPAIRED,
	CHECK_FAULT,
	CHECK_REPAIRED, /* a fault that was repaired */
	CHECK_UNREAD,	/* the disk does not give it: it is not known whether it is sound */
};

void check_tell(struct checking *c, enum check_weight weight, const char *path, const char *fmt,
    ...) __attribute__((format(printf, 4, 5)));
/* Tells that it cannot be read or listed (what), by errno: an error of the disk, or a fault, where something
 * else than what should be there stands in its place. */
void check_tell_unread(struct checking *c, const char *path, const char *what);
/* The same by the code of an error, whose errno is still there. */
void check_tell_err(struct checking *c, const char *path, const struct err *err);
/* Whether errno says that something else stands in the place of what should be there. */
bool check_is_misplaced(void);
/* Tells of a wrong owner or mode. */
void check_owner(struct checking *c, const char *path, const struct stat *st);
/* Lists a directory; one that is gone is no fault, one that cannot be listed is told, and -1. */
int check_each(struct checking *c, int parent, const char *path, const char *name,
    int (*each)(const char *name, unsigned char type, void *arg), void *arg);
/* False where the name is gone, or no file that may be there: then that is told, and with repair it is moved to
 * corrupt/.  check_alone: a second name for the file is a fault, too. */
bool check_kind(struct checking *c, int dir, const char *name, const char *path);
bool check_alone(struct checking *c, int dir, const char *name, const char *path);
/* What stands in the root itself. */
void check_root_kinds(struct checking *c);
void check_fetched(struct checking *c);
void check_ids(struct checking *c);
void check_journal(struct checking *c, int dir, const char *name, const char *path);

/* accounts.c */
void check_accounts(struct checking *c);

/* limits.c */
void check_limits(struct checking *c);

/* reports.c */
void check_reports(struct checking *c);

/* parts.c: what stands in blobs/ and parts/. */
void check_parts(struct checking *c);

/* All states, and what runners have claimed. */
void check_messages(struct checking *c);

#endif
