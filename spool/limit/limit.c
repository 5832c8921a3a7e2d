/*
 * Why no window ever sees more than its max.  Let a message leave at the instant L.  Its slot was taken
 * at R <= L, and given at G >= L; from R to G it is counted as held, and from then on its stamp C >= G
 * is in the file.  All operations on a limit follow one another, each under the file's lock, and
 * limit_take at the instant t grants only so many that, for each window, the slots held and the stamps
 * C > t - span, together with what it grants, are at most max.
 *
 * Take any window [x, x + span), all messages that left in it, and of these the one whose slot was
 * taken last, at t < x + span.  Each of the others had its slot by then.  Either it was still held at
 * t, and counted; or it had left, at some L >= x, with a stamp C >= L >= x > t - span, and was counted
 * too.  So with the last one they are at most max.  Nothing here depends on how long sending takes, on
 * the order of messages, nor on who sends; it needs a clock that never goes back, which is the file's
 * own (private.h), and that no slot is ever counted for a shorter time:
 *
 * - a stamp is taken after the message left, and never lies before the one in front of it;
 * - a slot is written down as held before it is granted, and (limit_sync) is on disk before its message
 *   may leave; stamps are written before the page that says that they are no longer held;
 * - who dies has left its number of held slots in the page: whoever finds its lock free stamps them
 *   with that moment, which is later than any of these messages left;
 * - after a power cut, stamps of which it is not known that they were on disk are written again with
 *   the instant of the last one, which the page itself has;
 * - where anything fails, nothing is granted.
 */
#include "spool/limit/private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"

struct limit {
	struct spool *spool;
	char *account, *domain;
	struct limit_rule rule;
	struct limit_clock clock;
	struct limit_file file;
	struct limit_moment moment; /* of the present operation */
	struct limit_cursor cursor;
	uint64_t ring; /* which content the cursor and the number below speak of */
	int64_t since;
	uint64_t written; /* stamps that were in its page when we saw or wrote it last */
	uint64_t synced;  /* so many of them are on disk by our own sync */
	int place;	  /* -1: all are taken by others */
	uint64_t held;	  /* by us: this, and not what the page says */
	bool unsynced;
	int failure; /* errno of a sync that failed; it stays */
};

void
limit_rule_add(struct limit_rule *rule, int64_t span, uint64_t max)
{
	if (max == 0 || span <= 0)
		return;
	if (rule->count == LIMIT_WINDOWS)
		abort();
	rule->windows[rule->count++] = (struct limit_window){ span, max };
}

static int
fail(const struct limit *limit, const char *what, struct err *err)
{
	if (errno == EWOULDBLOCK)
		return err_set(err, EX_TEMPFAIL,
		    "spool %s: " LIMIT_DIRECTORY "/%s has been locked by another for too long",
		    limit->spool->path, limit->file.name);
	return err_io(err, "spool %s: cannot %s " LIMIT_DIRECTORY "/%s", limit->spool->path, what,
	    limit->file.name);
}

/* ---- an operation: from the lock to the page ----------------------------------------------- */

/* Opens and locks the file that has the name.  It may be another than before: one that was moved or
 * deleted has no say any more, and what we hold goes over to the next. */
static int
lock(struct limit *limit, struct err *err)
{
	for (;;) {
		int named;

		if (limit->file.fd < 0) {
			limit->place = -1;
			if (limit_file_open(&limit->file, true, err) < 0)
				return -1;
		}
		named = limit_file_lock(&limit->file, false);
		if (named < 0)
			return fail(limit, "lock", err);
		if (named > 0)
			return 0;
		limit_file_close(&limit->file);
	}
}

static uint64_t
all_held(const struct limit *limit)
{
	uint64_t sum = 0;

	for (int i = 0; i < LIMIT_HOLDERS; i++)
		sum += limit->file.page.held[i];
	return sum;
}

/* What dead ones held has left by now.  Returns -1 with errno, or whether there were any. */
static int
bury(struct limit *limit)
{
	struct limit_file *file = &limit->file;
	int found = 0;

	for (int i = 0; i < LIMIT_HOLDERS; i++) {
		if (i == limit->place || file->page.held[i] == 0 || limit_file_lives(file, i))
			continue;
		if (limit_stamp(file, limit_now(&file->page, &limit->moment, true),
			file->page.held[i]) < 0)
			return -1;
		file->page.held[i] = 0;
		found = 1;
	}
	return found;
}

static void
find_place(struct limit *limit)
{
	for (int i = 0; i < LIMIT_HOLDERS && limit->place < 0; i++)
		if (limit->file.page.held[i] == 0 && limit_file_live(&limit->file, i) == 0)
			limit->place = i;
}

static int
write_page(struct limit *limit)
{
	struct limit_page *page = &limit->file.page;

	page->step = limit->moment.wall - limit_now(page, &limit->moment, false);
	if (page->sure < limit->synced)
		page->sure = limit->synced;
	if (limit_page_write(&limit->file) < 0)
		return -1;
	limit->written = page->total;
	return 0;
}

/* Goes on from another boot: stamps that are not known to have been on disk are written again, as the
 * last of them, which none was later than. */
static int
begin_boot(struct limit *limit)
{
	struct limit_page *page = &limit->file.page;
	uint64_t unsure = page->total - page->sure;

	if (!limit_meet_boot(page, &limit->moment))
		return 0;
	page->total = page->sure;
	if (limit_stamp(&limit->file, page->last, unsure) < 0)
		return -1;
	return write_page(limit);
}

/* The content is another than the one that we knew. */
static void
forget(struct limit *limit)
{
	limit->ring = limit->file.page.ring;
	limit->since = limit->file.page.since;
	limit->cursor = (struct limit_cursor){ { 0 } };
	limit->synced = 0;
}

static int
make(struct limit *limit, bool known, struct err *err)
{
	if (limit_make(&limit->file, limit->spool, limit->account, limit->domain, &limit->rule,
		&limit->moment, known, err) < 0)
		return -1;
	forget(limit);
	return 0;
}

/* Brings the page, and what we know of it, up to date.  The lock is held. */
static int
update(struct limit *limit, struct err *err)
{
	struct limit_page *page = &limit->file.page;
	int known = limit_page_read(&limit->file);

	limit_read_clock(&limit->clock, &limit->moment);
	if (known < 0 && errno != EBADMSG)
		return fail(limit, "read", err);
	if (known > 0 && (page->ring != limit->ring || page->since != limit->since))
		forget(limit); /* made anew by another */
	if (known > 0 && begin_boot(limit) < 0)
		return fail(limit, "write", err);
	if ((known <= 0 ||
		!limit_covers(page, &limit->rule, limit_now(page, &limit->moment, false))) &&
	    make(limit, known > 0, err) < 0)
		return -1;
	limit->written = page->total;
	/* Reading a long history took time, in which others died. */
	limit_read_clock(&limit->clock, &limit->moment);
	known = bury(limit);
	if (limit->place < 0)
		find_place(limit);
	if (limit->place >= 0 && page->held[limit->place] != limit->held) {
		page->held[limit->place] = limit->held;
		known = known < 0 ? -1 : 1;
	}
	if (known < 0 || (known > 0 && write_page(limit) < 0))
		return fail(limit, "write", err);
	return 0;
}

static int
begin(struct limit *limit, struct err *err)
{
	if (limit->failure != 0) {
		errno = limit->failure;
		return fail(limit, "sync", err);
	}
	if (lock(limit, err) < 0)
		return -1;
	if (update(limit, err) == 0)
		return 0;
	limit_file_unlock(&limit->file);
	return -1;
}

static void
end(struct limit *limit)
{
	limit_file_unlock(&limit->file);
}

/* ---- the interface ------------------------------------------------------------------------- */

int
limit_open_by(struct spool *spool, const char *account, const char *domain,
    const struct limit_rule *rule, const struct limit_clock *clock, struct limit **ret,
    struct err *err)
{
	AUTO(limit_close) struct limit *limit = xcalloc(1, sizeof *limit);

	limit->file.fd = limit->file.dir = limit->place = -1;
	limit->file.spool = limit->spool = spool;
	limit->account = xstrdup(account);
	limit->domain = domain != NULL ? xstrdup(domain) : NULL;
	limit->rule = *rule;
	limit->clock = *clock;
	if (limit_name(account, domain, limit->file.name) < 0)
		return err_sys(err, EX_DATAERR, "account \"%s\"%s%s", account,
		    domain != NULL ? ", domain " : "", domain != NULL ? domain : "");
	if (begin(limit, err) < 0)
		return -1;
	end(limit);
	*ret = limit;
	limit = NULL;
	return 0;
}

int
limit_open(struct spool *spool, const char *account, const char *domain,
    const struct limit_rule *rule, struct limit **ret, struct err *err)
{
	struct limit_clock clock;

	limit_real_clock(&clock);
	return limit_open_by(spool, account, domain, rule, &clock, ret, err);
}

static int
look(struct limit *limit, struct limit_look *ret)
{
	struct limit_page *page = &limit->file.page;
	struct limit_state state = { .file = &limit->file,
		.rule = &limit->rule,
		.cursor = &limit->cursor,
		.now = limit_now(page, &limit->moment, false),
		.held = all_held(limit) };

	if (limit_state_look(&state, ret) < 0)
		return -1;
	if (ret->next != 0)
		ret->next += limit->moment.wall - state.now;
	if (limit->place < 0) {
		ret->free = 0;
		ret->next = 0;
	}
	return 0;
}

/* Grants under the lock.  -1 with errno. */
static int64_t
grant(struct limit *limit, uint64_t want, struct limit_look *ret)
{
	uint64_t granted;

	if (look(limit, ret) < 0)
		return -1;
	granted = want < ret->free ? want : ret->free;
	if (granted > LIMIT_MAX - limit->held)
		granted = LIMIT_MAX - limit->held;
	if (granted == 0)
		return 0;
	limit->file.page.held[limit->place] = limit->held + granted;
	if (write_page(limit) < 0)
		return -1;
	limit->held += granted;
	limit->unsynced = true;
	ret->free -= granted;
	ret->held += granted;
	ret->used += granted;
	if (ret->free == 0 && look(limit, ret) < 0) {
		/* They are taken; when there are more is for the next to find. */
		*ret = (struct limit_look){ .held = ret->held, .window = -1 };
	}
	return (int64_t)granted;
}

int64_t
limit_take(struct limit *limit, uint64_t want, struct limit_look *ret_look, struct err *err)
{
	struct limit_look result;
	int64_t granted;

	if (begin(limit, err) < 0)
		return -1;
	granted = grant(limit, want, &result);
	if (granted < 0 && errno == EBADMSG) {
		if (make(limit, false, err) < 0) {
			end(limit);
			return -1;
		}
		granted = grant(limit, want, &result);
	}
	if (granted < 0)
		fail(limit, "use", err);
	end(limit);
	if (granted >= 0 && ret_look != NULL)
		*ret_look = result;
	return granted;
}

int
limit_sync(struct limit *limit, struct err *err)
{
	if (limit->failure == 0 && !limit->unsynced)
		return 0;
	if (limit->failure == 0 && fdatasync(limit->file.fd) < 0)
		limit->failure = errno;
	if (limit->failure != 0) {
		errno = limit->failure;
		return fail(limit, "sync", err);
	}
	limit->unsynced = false;
	limit->synced = limit->written;
	return 0;
}

int
limit_give(struct limit *limit, uint64_t left, uint64_t unused, struct err *err)
{
	struct limit_page *page = &limit->file.page;
	int result;

	/* More than we hold cannot have left with our leave. */
	if (left > limit->held)
		left = limit->held;
	if (unused > limit->held - left)
		unused = limit->held - left;
	if (left + unused == 0)
		return 0;
	if (begin(limit, err) < 0)
		return -1;
	result = limit_stamp(&limit->file, limit_now(page, &limit->moment, true), left);
	if (result == 0) {
		if (limit->place >= 0)
			page->held[limit->place] = limit->held - left - unused;
		result = write_page(limit);
	}
	if (result < 0)
		fail(limit, "write", err);
	else
		limit->held -= left + unused;
	end(limit);
	return result;
}

void
limit_close(struct limit **limit)
{
	struct limit *one = *limit;
	int saved = errno;

	if (one == NULL)
		return;
	/* Where that fails, they count as those of a dead one. */
	limit_give(one, one->held, 0, NULL);
	limit_file_close(&one->file);
	free(one->account);
	free(one->domain);
	free(one);
	*limit = NULL;
	errno = saved;
}

uint64_t
limit_reads(const struct limit *limit)
{
	return limit->file.reads;
}
