/*
 * Lines of several journals as one sequence: oldest first, and each journal's in its own order.  What report/reports.c
 * and feed.c share.
 *
 *	merge_add(merge, token, mark)		for each journal there is
 *	merge_begin(merge, until)		a pass
 *	while (merge_next(merge, &line) > 0)
 *		...
 *
 * In order for each message, although journals are being written meanwhile: given are lines from before the instant
 * until, which is to be before the journals were listed.  A message's next attempt is made after the line of the one
 * before was written, so who finds a line of the next one that is older than that finds the other, too.  A
 * line from the future is given all the same (its clock has been set back since), after all others.
 *
 * Journals are opened when the merge reaches the instant at which they began, few stay open at once, and a
 * line is parsed when it is given: memory grows by some 200 bytes for each journal, and with nothing else.
 */
#ifndef SPOOL_JOURNAL_MERGE_H
#define SPOOL_JOURNAL_MERGE_H

#include "base/clock.h"
#include "spool/journal/journal.h"

/* Every line begins with {"t":"2026-11-21T07:38:00.123456Z","event":"  so times are compared as text. */
#define LINE_TIME_AT ((size_t)6)
#define LINE_TIME_LEN ((size_t)27)
/* The event of a line of that form, without parsing it; EVENT_COUNT where it has not that form. */
enum event line_event(const char *line, size_t len);

/* Reads len bytes of text as a token, and when its maker began.  -1 where it is none. */
int token_parse(const char *text, size_t len, char ret[TOKEN_SIZE], int64_t *ret_begin);
/* Whether a journal may still be written to: it is a runner's, or somebody holds its lock.  Where it may not,
 * fd, the journal, holds a shared lock, and as long as it does, nobody goes on writing it. */
bool journal_is_live(const struct spool *spool, const char *token, int fd);

struct merge_source {
	char token[TOKEN_SIZE];
	int64_t begin; /* when its writer began */
	int64_t mark;  /* the caller's: where it is to begin */
	int64_t at;    /* before this byte, all was given or passed over */
	int64_t end;   /* its size, where all of it was; else -1 */
	int64_t mtime;
	bool started;  /* it was opened in this pass */
	bool live;     /* as journal_is_live(), when it was opened */
	bool gone;     /* it could not be opened */
	size_t in_use; /* the caller's: while it is not 0, the source stays */
	/* merge.c's own */
	int64_t synced, limit;
	char time[LINE_TIME_LEN + 1]; /* of the line at at */
	struct merge_reading *reading;
};

struct merge_line {
	const char *text; /* valid until the next merge_next */
	size_t len;
	struct json *value; /* an object; the caller's */
	enum event event;
	struct merge_source *source; /* whose at is behind the line */
};

struct merge {
	const struct spool *spool;
	/* Opens a source; -1 with errno. */
	int (*open)(const struct merge_source *source, void *arg);
	/* A journal was added twice: with this mark, less than that of the other.  May be NULL. */
	void (*twice)(const char *token, int64_t mark, void *arg);
	void *arg;
	uint64_t events; /* which lines: a bit for each event */
	char until[CLOCK_TEXT_SIZE];
	struct merge_source **sources; /* by begin and token */
	size_t count, room, next;
	struct merge_source **added; /* for the next pass */
	size_t added_count, added_room;
	struct merge_source **active; /* with a line to be given */
	size_t active_count, active_room, open_count;
	struct merge_source *given; /* whose line was given last */
};

/* For the next pass. */
void merge_add(struct merge *merge, const char *token, int64_t begin, int64_t mark);
/* Those that were added since the last pass are read; one that is known from there goes on at its at, unless its
 * mark is another by now; one that was not added again, and is not in use, is forgotten. */
void merge_begin(struct merge *merge, int64_t until);
/* 1 and the next; 0 at the end of the pass; -1 with errno where a journal cannot be read: then only another pass may
 * follow, as what comes behind it could be of the same messages. */
int merge_next(struct merge *merge, struct merge_line *ret);
/* Back to where it began: all that was given is to be given again, from the mark on, by the next pass. */
void merge_rewind(struct merge *merge, struct merge_source *source);
void merge_release(struct merge *merge);

#endif
