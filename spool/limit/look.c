/* How a limit stands: what counts at an instant, and when that changes. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "spool/limit/private.h"

static uint64_t
max_of(const struct limit_window *window)
{
	return window->max < LIMIT_MAX ? window->max : LIMIT_MAX;
}

/*
 * Finds the first stamp that is later than an instant, or as many as max before the end.  From where
 * the last search ended it goes on in steps that double, then halve: a limit costs as much as has
 * changed since, whatever its size.
 *
 * A process that was killed, or a power cut, can have left stamps newer than their place at the oldest
 * end of the ring.  What follows them is in order, so that this finds the place looked for, or one
 * before it: too many are counted then, never too few.
 */
static int
find_first(const struct limit_state *state, size_t window, int64_t after, uint64_t *ret)
{
	uint64_t max = max_of(&state->rule->windows[window]), total = state->file->page.total,
		 high = total;
	uint64_t low = state->cursor->first[window], step = 1;
	int64_t instant;

	if (low < limit_oldest(&state->file->page))
		low = limit_oldest(&state->file->page);
	if (total > max && low < total - max)
		low = total - max;
	for (uint64_t at = low; at < total; at = low + step - 1, step *= 2) {
		if (limit_stamp_read(state->file, at, &instant) < 0)
			return -1;
		if (instant > after) {
			high = at;
			break;
		}
		low = at + 1;
	}
	while (low < high) {
		uint64_t middle = low + (high - low) / 2;

		if (limit_stamp_read(state->file, middle, &instant) < 0)
			return -1;
		if (instant > after)
			high = middle;
		else
			low = middle + 1;
	}
	*ret = state->cursor->first[window] = low;
	return 0;
}

/* The instant at which the n-th latest (from 0) of what has left is out of a window. */
static int
leaves_at(const struct limit_state *state, int64_t span, uint64_t n, int64_t *ret)
{
	int64_t instant = state->now;

	if (n >= state->fresh &&
	    limit_stamp_read(state->file, state->file->page.total - 1 - (n - state->fresh),
		&instant) < 0)
		return -1;
	*ret = instant + span;
	return 0;
}

/* One window as if it were alone. */
static int
look_at_window(const struct limit_state *state, size_t i, struct limit_look *ret)
{
	const struct limit_window *window = &state->rule->windows[i];
	uint64_t max = max_of(window), first;

	*ret = (struct limit_look){ .held = state->held, .window = (int)i };
	if (find_first(state, i, state->now - window->span, &first) < 0)
		return -1;
	ret->used = state->file->page.total - first + state->fresh + state->held;
	if (ret->used < max) {
		ret->free = max - ret->used;
		return 0;
	}
	/* Only as many as the others of the window, and those that are held, leave room for. */
	if (state->held < max)
		return leaves_at(state, window->span, max - state->held - 1, &ret->next);
	return 0;
}

/* The tighter of two: the one with less room; of two that are full, the one that is so for longer. */
static bool
is_tighter(const struct limit_look *a, const struct limit_look *b)
{
	if (a->free != b->free || a->free > 0)
		return a->free < b->free;
	return b->next != 0 && (a->next == 0 || a->next > b->next);
}

int
limit_state_look(const struct limit_state *state, struct limit_look *ret)
{
	struct limit_look tightest = { .free = UINT64_MAX, .held = state->held, .window = -1 };
	struct limit_look one;
	uint64_t at_once = state->rule->at_once;

	for (size_t i = 0; i < state->rule->count; i++) {
		if (look_at_window(state, i, &one) < 0)
			return -1;
		if (is_tighter(&one, &tightest))
			tightest = one;
	}
	one = (struct limit_look){ .held = state->held, .window = -1, .used = state->held };
	one.free = at_once > state->held ? at_once - state->held : 0;
	if (at_once > 0 && is_tighter(&one, &tightest))
		tightest = one;
	*ret = tightest;
	return 0;
}

static int
fail(const struct limit_file *file, struct err *err)
{
	const char *path = file->spool->path;

	if (errno == EBADMSG)
		return err_set(err, EX_DATAERR,
		    "spool %s: " LIMIT_DIRECTORY "/%s is damaged; it is made anew from the history "
		    "when it is needed",
		    path, file->name);
	if (errno == EWOULDBLOCK)
		return err_set(err, EX_TEMPFAIL, "spool %s: " LIMIT_DIRECTORY "/%s is busy", path,
		    file->name);
	return err_io(err, "spool %s: " LIMIT_DIRECTORY "/%s", path, file->name);
}

/* Opens, locks and reads.  1; 0: there is nothing; -1 with err. */
static int
read_file(struct limit_file *file, struct err *err)
{
	struct err fault = ERR_INIT;
	int named = 0, known;

	while (named == 0) {
		limit_file_close(file);
		if (limit_file_open(file, false, &fault) < 0) {
			if (fault.code == EX_NOINPUT)
				return 0;
			return err_set(err, fault.code, "%s", fault.msg);
		}
		named = limit_file_lock(file, true);
	}
	known = named < 0 ? -1 : limit_page_read(file);
	return known < 0 ? fail(file, err) : known;
}

int
limit_look_by(const struct spool *spool, const char *account, const char *domain,
    const struct limit_rule *rule, const struct limit_clock *clock, struct limit_look *ret,
    struct err *err)
{
	AUTO(limit_file_close) struct limit_file file = { .spool = spool, .dir = -1, .fd = -1 };
	struct limit_cursor cursor = { { 0 } };
	struct limit_state state = { .file = &file, .rule = rule, .cursor = &cursor };
	struct limit_moment moment;
	int known;

	if (limit_name(account, domain, file.name) < 0)
		return err_sys(err, EX_DATAERR, "account \"%s\"", account);
	known = read_file(&file, err);
	if (known < 0)
		return -1;
	limit_read_clock(clock, &moment);
	if (known > 0) {
		/* As limit_take would find it, which would then write it so. */
		file.doubtful = limit_meet_boot(&file.page, &moment);
		state.now = limit_now(&file.page, &moment, false);
	}
	for (int i = 0; known > 0 && i < LIMIT_HOLDERS; i++) {
		if (file.page.held[i] == 0)
			continue;
		if (limit_file_lives(&file, i))
			state.held += file.page.held[i];
		else
			state.fresh += file.page.held[i];
	}
	if (limit_state_look(&state, ret) < 0)
		return fail(&file, err);
	if (ret->next != 0)
		ret->next += moment.wall - state.now;
	return 0;
}

int
limit_look(const struct spool *spool, const char *account, const char *domain,
    const struct limit_rule *rule, struct limit_look *ret, struct err *err)
{
	struct limit_clock clock;

	limit_real_clock(&clock);
	return limit_look_by(spool, account, domain, rule, &clock, ret, err);
}

static int
take_any(int64_t instant, void *arg)
{
	(void)instant;
	(void)arg;
	return 0;
}

/* Whether any process has it open to take slots. */
static bool
is_in_use(const struct limit_file *file)
{
	for (int i = 0; file->fd >= 0 && i < LIMIT_HOLDERS; i++)
		if (limit_file_lives(file, i))
			return true;
	return false;
}

int
limit_check(const struct spool *spool, const char *name, int (*set_aside)(void *arg), void *arg,
    struct err *err)
{
	AUTO(limit_file_close) struct limit_file file = { .spool = spool, .dir = -1, .fd = -1 };
	struct err fault = ERR_INIT;
	int known;

	snprintf(file.name, sizeof file.name, "%s", name);
	known = read_file(&file, &fault);
	if (known == 1 && limit_each_stamp(&file, limit_oldest(&file.page), take_any, NULL) < 0)
		known = fail(&file, &fault);
	if (known >= 0)
		return 0;
	err_set(err, fault.code, "%s", fault.msg);
	/* Still locked: nobody can begin to use it. */
	if (fault.code != EX_DATAERR || set_aside == NULL || is_in_use(&file))
		return -1;
	return set_aside(arg) < 0 ? err_io(err, "%s; it cannot be moved", fault.msg) : 1;
}
