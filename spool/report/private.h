/* What the files of the reports share. */
#ifndef SPOOL_REPORT_PRIVATE_H
#define SPOOL_REPORT_PRIVATE_H

#include "spool/journal/merge.h"
#include "spool/report/reports.h"

#define REPORTS_DIRECTORY "reports"
#define REPORTS_AGAIN "again"
#define REPORTS_DEAD "dead"
#define REPORTS_LOCK "lock"
#define REPORTS_STATE "state"
#define REPORTS_FETCH "fetch"
#define REPORTS_REFUSED "refused"
#define REPORTS_ALONE ",alone"
#define REPORTS_NAME_SIZE (TOKEN_SIZE + 32)

/* Which lines are reports. */
#define REPORTS_EVENTS                                                                             \
	(UINT64_C(1) << EVENT_SENT | UINT64_C(1) << EVENT_FAILED | UINT64_C(1) << EVENT_DEFERRED | \
	    UINT64_C(1) << EVENT_UNCERTAIN | UINT64_C(1) << EVENT_CORRUPT |                        \
	    UINT64_C(1) << EVENT_BOUNCED | UINT64_C(1) << EVENT_REFUSED)

/* reports/TOKEN,OFFSET, and in again/ and dead/ TOKEN,ATTEMPTS or TOKEN,ATTEMPTS,alone. */
struct report_name {
	char token[TOKEN_SIZE];
	int64_t begin;
	int64_t number;
	bool alone;
};
/* Of a journal; -1 for any other name. */
int report_name_parse(const char *text, struct report_name *ret);
/* Of a file in again/ or dead/. */
int segment_name_parse(const char *text, struct report_name *ret);
void report_name_format(const char *token, int64_t number, char ret[REPORTS_NAME_SIZE]);
void
segment_name_format(const char *token, int64_t attempts, bool alone, char ret[REPORTS_NAME_SIZE]);

/* Opens reports/, made where it is not there and the spool may be written; or one of the directories in it
 * (dir is reports/).  -1 with errno. */
int reports_open_dir(const struct spool *spool);
int reports_open_part(int dir, const char *part, bool make);

/* Calls each(line, len, arg) for each report of a file from an offset on, until it returns non-zero, and
 * returns that; -1 with errno. */
int reports_each_line(int fd, int64_t offset, int (*each)(const char *line, size_t len, void *arg),
    void *arg);

/* ---- again.c: what was rejected -------------------------------------------------- */

/* reports/again/TOKEN,ATTEMPTS. */
struct segment {
	char token[TOKEN_SIZE];
	unsigned int attempts;
	bool alone;    /* each of its lines is told by itself, after all others */
	int64_t start; /* before this byte, all was looked at in an earlier batch, and stays */
};

/* How many lines of an id (by its hash) stand in again/ that were not given yet. */
struct id_count {
	uint64_t hash; /* 0: free */
	uint32_t lines;
	uint32_t
	    alone; /* the same of lines that are told alone: those come before all others of the id */
	bool rejected; /* one of them since the reports were opened */
};

struct again {
	int dir;		  /* reports/again; -1: there is none */
	struct segment *segments; /* those that there were when the reports were opened, in order */
	size_t count, next;	  /* those before next are done with */
	int fd;			  /* of segments[next], or -1 */
	struct journal_reader reader;
	int64_t at;
	struct id_count *ids;
	size_t id_slots, id_count;
	uint64_t lines;
};

/* More lines than these are not kept track of: until they are fewer, nothing else is told. */
#define AGAIN_LINES_MAX ((uint64_t)1000000)

int again_open(struct again *again, int reports, struct err *err);
void again_release(struct again *again);
/* 1 and the next line of the segments, with the place of its segment; 0: no more; -1 with errno.  Those that
 * are told alone come last, and only when asked for. */
int again_next(struct again *again, bool alone, const char **ret_line, size_t *ret_len,
    size_t *ret_segment);
/* The line that was given stays where it is, until somebody opens again. */
void again_leave(struct again *again, size_t segment);
/* The one that again_next() gives next stands in this segment, at its start. */
void again_rewind(struct again *again, size_t segment);

uint64_t again_hash(const char *id);
/* NULL where it has no line. */
struct id_count *again_find(const struct again *again, uint64_t hash);
struct id_count *again_count(struct again *again, uint64_t hash);

/* ---- reports.c --------------------------------------------------------------------------- */

/* A line that was given, or that is held back behind another of its message. */
struct given {
	char *text;
	size_t len;
	struct json *value;
	const char *id; /* in value */
	uint64_t hash;
	unsigned int attempts;
	bool held;
	struct merge_source *source; /* a journal; or NULL, and */
	size_t segment;
	bool rejected, dead, alone; /* when it is settled */
};

struct reports {
	struct spool *spool;
	int dir;  /* reports/ */
	int lock; /* held while it is not -1 */
	struct again again;
	struct merge merge;
	bool merging; /* in a pass */
	struct given *batch;
	size_t count, room;
	size_t held; /* of these */
};

/* settle.c */
void reports_drop_batch(struct reports *reports);
/* Where all of a journal is told and it has ended, it is no report any more. */
void reports_finish(struct reports *reports, struct merge_source *source);

#endif
