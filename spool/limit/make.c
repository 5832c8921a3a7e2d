/* Making the file of a limit: from the history, and from what it knew before. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "spool/journal/history.h"
#include "spool/limit/private.h"

int64_t
limit_reach(const struct limit_rule *rule)
{
	int64_t reach = 0;

	for (size_t i = 0; i < rule->count; i++)
		if (rule->windows[i].span > reach)
			reach = rule->windows[i].span;
	return reach;
}

uint64_t
limit_capacity(const struct limit_rule *rule)
{
	uint64_t capacity = LIMIT_CAPACITY_MIN;

	for (size_t i = 0; i < rule->count; i++)
		while (capacity < rule->windows[i].max && capacity < LIMIT_MAX)
			capacity *= 2;
	return capacity;
}

bool
limit_covers(const struct limit_page *page, const struct limit_rule *rule, int64_t now)
{
	return page->since != LIMIT_LIFTED && page->capacity >= limit_capacity(rule) &&
	    page->since <= now - limit_reach(rule);
}

struct making {
	struct limit_file file; /* the same, with the page that will be */
	const char *account, *domain;
	int64_t step;
	int64_t now; /* nothing in the history is later */
	int64_t ready[LIMIT_BLOCK];
	size_t count;
	int failure; /* errno */
};

static int
flush(struct making *making)
{
	if (making->failure == 0 && limit_stamps(&making->file, making->ready, making->count) < 0)
		making->failure = errno;
	making->count = 0;
	return making->failure == 0 ? 0 : 1;
}

/* For limit_each_stamp: 0, or 1 to end it. */
static int
add(int64_t instant, void *arg)
{
	struct making *making = arg;

	making->ready[making->count++] = instant < making->now ? instant : making->now;
	return making->count < LIMIT_BLOCK ? 0 : flush(making);
}

static bool
is_of_domain(const struct json *recipient, const char *domain)
{
	const char *address = json_string(json_get(recipient, "address"));
	const char *at = address != NULL ? strrchr(address, '@') : NULL;

	return at != NULL && strcasecmp(at + 1, domain) == 0;
}

static bool
was_answered(const struct json *value)
{
	int64_t code;

	return json_to_int(json_get(value, "code"), &code) == 0 && code > 0;
}

/*
 * Whether this message may have left.  What was sent has, and what is uncertain.  Of others the line
 * does not say which of the commands was refused; so those count that a server has answered, and what
 * ended without it (expired, beyond a limit, connections lost before the dot) does not.
 */
static bool
may_have_left(enum event event, const struct json *line)
{
	const struct json *recipients = json_get(line, "recipients");

	if (event == EVENT_SENT || event == EVENT_UNCERTAIN)
		return true;
	if (event != EVENT_DEFERRED && event != EVENT_FAILED)
		return false;
	for (size_t i = 0; i < json_length(recipients); i++)
		if (was_answered(json_at(recipients, i)))
			return true;
	return was_answered(line);
}

static int
take_outcome(const char *text, size_t len, const struct json *line, void *arg)
{
	struct making *making = arg;
	const char *account = json_string(json_get(line, "account"));
	const char *event = json_string(json_get(line, "event"));
	const char *t = json_string(json_get(line, "t"));
	const struct json *recipients = json_get(line, "recipients");
	/* Of a line that does not name its recipients, any may have been one. */
	bool is_ours = making->domain == NULL || json_length(recipients) == 0;
	int64_t instant;

	(void)text;
	(void)len;
	if (account == NULL || strcmp(account, making->account) != 0 || event == NULL ||
	    t == NULL || !may_have_left(event_parse(event), line))
		return 0;
	for (size_t i = 0; i < json_length(recipients) && !is_ours; i++)
		is_ours = is_of_domain(json_at(recipients, i), making->domain);
	if (!is_ours || clock_parse(t, 0, &instant) < 0)
		return 0;
	/* One from a time when the clock was set ahead counts as of now. */
	instant -= making->step;
	return add(instant > LIMIT_FIRST_TIME ? instant : LIMIT_FIRST_TIME, making);
}

/* What left between two instants of the file's time, by the history; until 0: to the end. */
static int
read_history(struct making *making, struct spool *spool, int64_t since, int64_t until,
    struct err *err)
{
	struct history_filter filter = { .since = since + making->step,
		.until = until > 0 ? until + making->step : 0,
		.forgotten = true };

	if (until > 0 && until < since)
		return 0;
	if (filter.since < 1)
		filter.since = 1;
	return history_read(spool, &filter, take_outcome, making, err) < 0 ? -1 : 0;
}

/* The old ring knows all from an instant on; what left before that, the history knows. */
static int
copy_known(struct making *making, struct limit_file *old, struct spool *spool, int64_t since,
    struct err *err)
{
	uint64_t oldest = limit_oldest(&old->page);
	int64_t from = old->page.since;

	/* Between its stamps there may have been others. */
	if (old->page.since == LIMIT_LIFTED)
		return read_history(making, spool, since, 0, err);
	if (oldest > 0 && limit_stamp_read(old, oldest, &from) < 0)
		return -1;
	if (from > since && read_history(making, spool, since, from, err) < 0)
		return -1;
	return limit_each_stamp(old, oldest, add, making) < 0 ? -1 : 0;
}

/* Spaces where the old ring was, for the eyes of people; none of it matters any more. */
static void
blank(const struct limit_file *file, const struct limit_page *old)
{
	char block[LIMIT_BLOCK * LIMIT_STAMP];
	uint64_t at = old->ring, end = old->ring + old->capacity * LIMIT_STAMP;

	if (end > file->page.ring)
		end = file->page.ring;
	memset(block, ' ', sizeof block);
	for (size_t i = 1; i <= LIMIT_BLOCK; i++)
		block[i * LIMIT_STAMP - 1] = '\n';
	while (at < end) {
		size_t n = end - at < sizeof block ? (size_t)(end - at) : sizeof block;

		if (fs_pwrite(file->fd, block, n, (off_t)at) < 0)
			return;
		at += n;
	}
}

/* The page of a file that knew nothing, or nothing that can be read. */
static int
begin_anew(struct limit_file *file, const struct limit_moment *moment, bool *ret_lost)
{
	struct limit_page *page = &file->page;
	int64_t now = moment->wall < LIMIT_FIRST_TIME ? LIMIT_FIRST_TIME :
	    moment->wall > LIMIT_LAST_TIME	      ? LIMIT_LAST_TIME :
							moment->wall;

	*page = (struct limit_page){ .ring = LIMIT_PAGE,
		.base = now - moment->boot,
		.step = moment->wall - now };
	snprintf(page->boot, sizeof page->boot, "%s", moment->id);
	*ret_lost = false;
	/* Also of a file without a byte: it may have been emptied while somebody lives in it. */
	limit_page_salvage(file, page->held);
	for (int i = 0; i < LIMIT_HOLDERS; i++) {
		if (page->held[i] != UINT64_MAX)
			continue;
		*ret_lost |= limit_file_lives(file, i);
		page->held[i] = 0;
	}
	/* What is left of the page stays until the new one is written. */
	if (ftruncate(file->fd, LIMIT_PAGE) < 0)
		return -1;
	file->size = LIMIT_PAGE;
	return 0;
}

static int
fill(struct making *making, struct limit_file *old, struct spool *spool, int64_t since, bool known,
    bool lost, struct err *err)
{
	int result = known ? copy_known(making, old, spool, since, err) :
			     read_history(making, spool, since, 0, err);

	if (result < 0)
		return -1;
	flush(making);
	/* How many a process at work holds cannot be read: it may be all. */
	if (lost && limit_stamp(&making->file, making->now, making->file.page.capacity) < 0)
		making->failure = errno;
	if (making->failure == 0 && fdatasync(making->file.fd) < 0)
		making->failure = errno;
	errno = making->failure;
	return making->failure == 0 ? 0 : -1;
}

int
limit_make(struct limit_file *file, struct spool *spool, const char *account, const char *domain,
    const struct limit_rule *rule, const struct limit_moment *moment, bool known, struct err *err)
{
	struct making making = { .account = account, .domain = domain };
	struct limit_page *page = &making.file.page;
	struct err fault = ERR_INIT;
	uint64_t capacity = limit_capacity(rule);
	bool lost = false;

	making.file = *file;
	if (!known && begin_anew(&making.file, moment, &lost) < 0)
		return err_io(err, "spool %s: cannot write %s/%s", spool->path, LIMIT_DIRECTORY,
		    file->name);
	/* Stamps of a lifted one are needed no more, and what is written over them in vain does no harm. */
	if (known)
		page->ring = file->size > LIMIT_PAGE && file->page.since != LIMIT_LIFTED ?
		    file->size :
		    LIMIT_PAGE;
	if (capacity > page->capacity)
		page->capacity = capacity;
	page->total = page->sure = 0;
	making.now = limit_now(page, moment, true);
	page->step = making.step = moment->wall - limit_now(page, moment, false);
	page->since = limit_now(page, moment, false) - limit_reach(rule);
	page->last = page->since;
	if (known && limit_oldest(&file->page) == 0 && file->page.since < page->since)
		page->since = file->page.since;
	if (fill(&making, file, spool, page->last, known, lost, &fault) < 0) {
		if (known && fault.code == 0 &&
		    errno == EBADMSG) /* it is not as good as it looked */
			return limit_make(file, spool, account, domain, rule, moment, false, err);
		if (fault.code != 0)
			return err_set(err, fault.code, "%s", fault.msg);
		return err_io(err, "spool %s: cannot write %s/%s", spool->path, LIMIT_DIRECTORY,
		    file->name);
	}
	page->sure = page->total;
	if (limit_page_write(&making.file) < 0 || fdatasync(making.file.fd) < 0 ||
	    fs_sync_dir(making.file.dir) < 0)
		return err_io(err, "spool %s: cannot write %s/%s", spool->path, LIMIT_DIRECTORY,
		    file->name);
	if (known)
		blank(&making.file, &file->page);
	making.file.reads = file->reads;
	*file = making.file;
	return 0;
}
