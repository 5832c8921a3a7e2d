/*
 * The file of a limit, for the files limit*.c; and for tests, which bring a clock of their own.  The
 * format is in mailq-spool(5): a page of text, then a ring of stamps, which are lines of a fixed
 * length, so that every update is a write in place.
 *
 * The file has its own time, in which all of its stamps are: the wall clock of its making, running on
 * by the boot clock, which nobody sets.  So a wall clock that is set back or forth neither frees a slot
 * early nor blocks one for ever, and no stamp is ever rewritten for it.  How far the two are apart
 * ("step") is in the page.  Only across a boot the wall clock is believed, and not where it says that
 * time went back.
 *
 * Leaf functions return -1 with errno; EBADMSG: the file is damaged.
 */
#ifndef SPOOL_LIMIT_PRIVATE_H
#define SPOOL_LIMIT_PRIVATE_H

#include <sys/types.h>

#include "base/auto.h"
#include "base/clock.h"
#include "spool/limit/limit.h"

#define LIMIT_DIRECTORY "limits"
#define LIMIT_HOLDERS 64	      /* processes that hold slots at the same time */
#define LIMIT_PAGE 2048		      /* bytes */
#define LIMIT_STAMP 18		      /* bytes of "SECONDS.MICROS\n", ten digits and six */
#define LIMIT_CAPACITY_MIN 64	      /* stamps */
#define LIMIT_MAX (UINT64_C(1) << 32) /* a larger max of a window counts as this one */
#define LIMIT_BLOCK 910		      /* stamps that are read or written at a time */
/* The file's time starts within these bounds, whatever the wall clock says: so that all instants have
 * ten digits, and none is negative. */
#define LIMIT_FIRST_TIME (INT64_C(315360000) * USEC)
#define LIMIT_LAST_TIME (INT64_C(9000000000) * USEC)
/* The since of a file whose limit was lifted: what left meanwhile is not in it. */
#define LIMIT_LIFTED LIMIT_LAST_TIME
#define LIMIT_NAME_SIZE (LANE_PART_MAX + LANE_DOMAIN_MAX + 2)
#define LIMIT_BOOT_SIZE 40

/* What the clocks say. */
struct limit_moment {
	int64_t wall;
	int64_t boot;	 /* since the machine was started, suspended or not; rounded down */
	int64_t boot_up; /* the same, rounded up: what has happened was not later */
	const char *id;	 /* of the boot; "" where it is not known */
};

struct limit_clock {
	void (*read)(struct limit_moment *ret, void *arg); /* all but the id */
	void *arg;
	char id[LIMIT_BOOT_SIZE];
};

struct limit_page {
	uint64_t ring;	   /* the byte at which the ring begins */
	uint64_t capacity; /* stamps in it */
	uint64_t total;	   /* stamps ever written to this ring: the n-th is in slot n % capacity */
	uint64_t sure;	   /* so many of them are known to be on disk */
	int64_t since;	   /* what left from this instant on, it knows; or LIMIT_LIFTED */
	int64_t last;	   /* the latest stamp */
	int64_t base;	   /* the file's time when the boot clock was 0 */
	int64_t step;	   /* the wall clock, less the file's time, when it was written last */
	char boot[LIMIT_BOOT_SIZE];
	uint64_t held[LIMIT_HOLDERS];
};

struct limit_file {
	const struct spool *spool;
	char name[LIMIT_NAME_SIZE];
	int dir; /* limits/; -1: not open */
	int fd;	 /* -1: not open */
	ino_t inode;
	uint64_t size; /* of the file */
	struct limit_page page;
	bool
	    doubtful; /* after another boot: stamps from sure on may be missing, and count as the last */
	uint64_t reads; /* stamps that were looked at: what the cost of a limit is measured by */
};

/* ---- file.c -------------------------------------------------------------------------- */

/* The real clocks. */
void limit_real_clock(struct limit_clock *ret);
void limit_read_clock(const struct limit_clock *clock, struct limit_moment *ret);

/* The file's time now; rounded up where up is true. */
int64_t limit_now(const struct limit_page *page, const struct limit_moment *moment, bool up);
/* Carries the file's time over a boot: a page of another one goes on from here.  True where it was of
 * another. */
bool limit_meet_boot(struct limit_page *page, const struct limit_moment *moment);

/* "ACCOUNT" or "ACCOUNT,DOMAIN"; -1 with errno as name_encode. */
int limit_name(const char *account, const char *domain, char ret[LIMIT_NAME_SIZE]);
bool limit_name_is_valid(const char *name);
/* Of a valid one: the plain parts; there is a domain where *ret_of_domain is true. */
void limit_name_split(const char *name, char ret_account[LIMIT_NAME_SIZE],
    char ret_domain[LIMIT_NAME_SIZE], bool *ret_of_domain);

/* Opens limits/NAME; with make, it is made where it is not there.  -1 with err (EX_NOINPUT: not there,
 * make is false). */
int limit_file_open(struct limit_file *file, bool make, struct err *err);
/* To write into one that is there; EX_NOINPUT where it is not. */
int limit_file_open_to_lift(struct limit_file *file, struct err *err);
void limit_file_close(struct limit_file *file);
/* 1: locked, and it still has its name; 0: locked, but that is another's now, or nobody's; -1 with
 * errno, EWOULDBLOCK where it took too long.  Unlocked by limit_file_unlock. */
int limit_file_lock(struct limit_file *file, bool shared);
void limit_file_unlock(struct limit_file *file);
/* Takes the place of a living holder (0 .. LIMIT_HOLDERS - 1), until the file is closed.  -1: it is
 * another's. */
int limit_file_live(struct limit_file *file, int place);
/* Whether another than this open file lives there. */
bool limit_file_lives(const struct limit_file *file, int place);

/* ---- page.c -------------------------------------------------------------------------- */

/* Reads the page.  1; 0: it was never finished making; -1 with errno. */
int limit_page_read(struct limit_file *file);
int limit_page_write(struct limit_file *file);
/* What can still be read of a damaged page: who holds how many.  UINT64_MAX where that is lost. */
void limit_page_salvage(const struct limit_file *file, uint64_t ret_held[LIMIT_HOLDERS]);

/* The n-th stamp, one of the last that the ring holds. */
int limit_stamp_read(struct limit_file *file, uint64_t n, int64_t *ret);
/* Writes stamps; one that is earlier than the last is as that.  The page is changed, and has yet to be
 * written. */
int limit_stamps(struct limit_file *file, const int64_t *instants, size_t count);
/* The same for count of one instant. */
int limit_stamp(struct limit_file *file, int64_t instant, uint64_t count);
/* The first one that the ring still holds. */
uint64_t limit_oldest(const struct limit_page *page);
/* Calls each(instant, arg) for the stamps from n on, in order, until it returns non-zero. */
int limit_each_stamp(struct limit_file *file, uint64_t n, int (*each)(int64_t instant, void *arg),
    void *arg);

/* ---- make.c -------------------------------------------------------------------------- */

/* What the rule needs a file to know. */
int64_t limit_reach(const struct limit_rule *rule);
uint64_t limit_capacity(const struct limit_rule *rule);
bool limit_covers(const struct limit_page *page, const struct limit_rule *rule, int64_t now);

/*
 * Makes the content anew, so that it covers the rule: from the history, and what the old one knows
 * where known says that its page is good, and it was not lifted.  The lock is held.  The file is as it was until its page is
 * written, last: killed at any point, this is done again by the next.
 */
int
limit_make(struct limit_file *file, struct spool *spool, const char *account, const char *domain,
    const struct limit_rule *rule, const struct limit_moment *moment, bool known, struct err *err);

/* ---- look.c -------------------------------------------------------------------------- */

/* How far a search has come: what was written before is older than the window. */
struct limit_cursor {
	uint64_t first[LIMIT_WINDOWS];
};

/* What counts at an instant. */
struct limit_state {
	struct limit_file *file;
	const struct limit_rule *rule;
	struct limit_cursor *cursor;
	int64_t now;	/* the file's time */
	uint64_t fresh; /* what counts as if it had left now, beside the stamps */
	uint64_t held;
};

/* Fills all of ret; next is in the file's time. */
int limit_state_look(const struct limit_state *state, struct limit_look *ret);
/* limit_open and limit_look by another clock. */
int limit_open_by(struct spool *spool, const char *account, const char *domain,
    const struct limit_rule *rule, const struct limit_clock *clock, struct limit **ret,
    struct err *err);
int limit_look_by(const struct spool *spool, const char *account, const char *domain,
    const struct limit_rule *rule, const struct limit_clock *clock, struct limit_look *ret,
    struct err *err);
/* limit->file.reads: for tests. */
uint64_t limit_reads(const struct limit *limit);

/*
 * For the spool's own check.  0: it is as it should be, or was never finished making; -1 with err
 * (EX_DATAERR: it is damaged, or is no file).  Where it is damaged, and no process has it in use,
 * set_aside (or NULL) is called while it is locked; 1 with err when that returned 0.
 */
int limit_check(const struct spool *spool, const char *name, int (*set_aside)(void *arg), void *arg,
    struct err *err);

#endif
