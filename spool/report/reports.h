/*
 * Reports: what the application is still to be told.  There is no second copy of an outcome: its line
 * in a journal is the report.  Each journal that can hold such lines is, before the first of them, also
 * linked as reports/TOKEN,OFFSET, where OFFSET is how many of its bytes have been told.  To have told more is one
 * rename; a journal that has ended and is told whole is unlinked.  So a crash repeats a report at most,
 * forgetting a log forgets no report, and ls shows the backlog.  What the application rejects is copied to
 * reports/again/, and at last to reports/dead/.  The format is in mailq-spool(5).
 *
 *	reports_open(spool, &reports, &err)	1; 0: another process is telling
 *	while (reports_next(reports, &report, &err) > 0 && ++n < batch_size)
 *		...
 *	reports_settle(reports, rejected, count, max_attempts, &err)	or reports_back(reports)
 *	while (reports_next_alone(reports, &report, &err) > 0)
 *		reports_settle(...)	or reports_leave(reports)
 *	reports_close(&reports)
 *
 * Told are, oldest first and in order for each message: sent, failed, deferred, uncertain, corrupt, bounced,
 * and refused (fetched, and no message).  Lines that are not on disk yet are synced before they are told.
 */
#ifndef SPOOL_REPORT_REPORTS_H
#define SPOOL_REPORT_REPORTS_H

#include "base/json.h"
#include "spool/journal/journal.h"

/* Gives a journal its second name, durably: dir/name is the file, token what it is known by.  To be called
 * when the journal is locked and before its first outcome.  -1 with errno. */
int reports_link(const struct spool *spool, const char *token, int dir, const char *name);
/* The same for a dead runner's, which a recovery is to go on with.  It has one already: fine.  It has none
 * any more: what it says was told.  It is shorter than what was told of it, as it is damaged: what comes
 * from now on is not passed over. */
int reports_link_again(const struct spool *spool, const char *token, int dir, const char *name);
/* Makes dir/name from the second name of a journal that has lost its first.  1; 0: there is none; -1 with
 * errno. */
int reports_give_back(const struct spool *spool, const char *token, int dir, const char *name);

/* Of which logs something is still to be told, at one moment: for who forgets logs, after listing them. */
struct reports_held {
	char (*tokens)[TOKEN_SIZE]; /* sorted */
	size_t count, room;
	int64_t oldest; /* what was rejected stems from here on; 0: there is none */
};
int reports_held_read(const struct spool *spool, struct reports_held *ret, struct err *err);
bool reports_held_has(const struct reports_held *held, const char *token, int64_t ended);
void reports_held_release(struct reports_held *held);

struct reports;

struct report {
	const char *text; /* the line, and what it says; valid until settle or back */
	size_t len;
	const struct json *value;
	enum event event;
	const char *id;	       /* plain */
	unsigned int attempts; /* how often it was told and rejected */
};

int reports_open(struct spool *spool, struct reports **ret, struct err *err);
void reports_close(
    struct reports **reports); /* what was given and not settled is given again; for AUTO() too */
/* 1 and the next; 0: none now (those of a moment ago may be given by a later call).  -1 with err where something
 * cannot be read: what could be given before it is, with a 0 behind it, and settled first; what comes behind it waits,
 * to stay in order. */
int reports_next(struct reports *reports, struct report *ret, struct err *err);
/* All that were given since the last settle or back were heard, but those with these ids: they are given again
 * to the next who opens, or are set aside as dead when that was the attempt number max_attempts.  What follows
 * for the same message waits behind it.  -1 with err: as reports_back(), though some may be settled. */
int reports_settle(struct reports *reports, const char *const *rejected, size_t rejected_count,
    unsigned int max_attempts, struct err *err);
/* None of them was. */
void reports_back(struct reports *reports);

/*
 * What the application fails with, whatever it is told with, is kept alone: for the next who opens, who is given it by
 * reports_next_alone(), one by one, when reports_next() has no more.  Later reports of the same message wait
 * behind it.  It stays alone when it is rejected.
 */
struct reports_kept {
	const char *const *rejected; /* ids, as for reports_settle() */
	size_t rejected_count;
	const char *const *alone; /* ids: kept alone from now on; that is no attempt */
	size_t alone_count;
	unsigned int max_attempts;
};
/* As reports_settle(). */
int reports_keep(struct reports *reports, const struct reports_kept *kept, struct err *err);
/* As reports_next(). */
int reports_next_alone(struct reports *reports, struct report *ret, struct err *err);
/* What reports_next_alone() gave stays as it is, for the next who opens. */
void reports_leave(struct reports *reports);

/* The dead are to be told again, with all their attempts: how many; -1 with err. */
int64_t reports_resend(struct spool *spool, struct err *err);
/* Without an application: forgets what ended before this instant.  The dead are kept.  -1 with err. */
int reports_tidy(struct spool *spool, int64_t before, struct err *err);

struct reports_backlog {
	uint64_t waiting, rejected, dead; /* lines to be told; of them rejected before; set aside */
	int64_t oldest;			  /* the instant of the oldest of waiting; 0: none */
};
/* Reads what is not told yet, and nothing else.  Changes nothing. */
int reports_count(const struct spool *spool, struct reports_backlog *ret, struct err *err);
/* Only dead, where nobody is to be told of the rest: what is kept without an application may be much. */
int reports_count_dead(const struct spool *spool, struct reports_backlog *ret, struct err *err);

/* How the last call went: reports/state, replaced as a whole. */
struct reports_state {
	unsigned int failures; /* calls that failed in a row */
	int64_t until;	       /* none before this instant; 0: at once */
	int64_t idle_until;    /* no empty one before this instant, as the application asked */
	int64_t told;	       /* when one went well last; 0: never */
	char reason[200];      /* why the last one failed; "" where it did not */
	/* Where a call that fails is told in parts (see cmd/exchange/halves.c); 0, 0, 0: none is. */
	unsigned int suspects, skipped, room;
};
/* A file that is missing or damaged is all zeros. */
void reports_state_read(const struct spool *spool, struct reports_state *ret);
/* Not synced: it may be lost.  -1 with errno. */
int reports_state_write(const struct spool *spool, const struct reports_state *state);
/* The same of the last fetch, in reports/fetch; idle_until is not used, told is the last that went well. */
void reports_fetch_read(const struct spool *spool, struct reports_state *ret);
int reports_fetch_write(const struct spool *spool, const struct reports_state *state);

/*
 * What was refused and has not been told to the application, by 64-bit hashes of the caller's making: it hands
 * the same out until it hears of it, to each process that asks.  At most REPORTS_REFUSED_MAX are kept.
 * reports_refused_read returns how many it put into ret; 0 where the file is missing or damaged.
 * reports_refused_write replaces them, and with none removes the file; not synced.  -1 with errno.
 */
#define REPORTS_REFUSED_MAX 10000
size_t reports_refused_read(const struct spool *spool, uint64_t ret[REPORTS_REFUSED_MAX]);
int reports_refused_write(const struct spool *spool, const uint64_t *hashes, size_t count);

#endif
