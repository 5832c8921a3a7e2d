/* The journals that may still have something to tell: their links, and numbers of it. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/num.h"
#include "spool/report/private.h"
#include "spool/store/lines.h"

#define STATE_TEXT_MAX ((size_t)4096)

/* ---- links ------------------------------------------------------------------------------- */

struct second {
	const char *token;
	struct report_name name;
};

static int
is_of_token(const char *name, unsigned char type, void *arg)
{
	struct second *second = arg;

	(void)type;
	return report_name_parse(name, &second->name) == 0 &&
	    strcmp(second->name.token, second->token) == 0;
}

static int
sync_reports(const struct spool *spool, int reports)
{
	return spool_sync_dir(spool, reports) < 0 ? -1 : spool_sync_end(spool);
}

static int
link_at(const struct spool *spool, int reports, const char *token, int dir, const char *name,
    int64_t offset)
{
	char link[REPORTS_NAME_SIZE];

	report_name_format(token, offset, link);
	if (linkat(dir, name, reports, link, 0) < 0 && errno != EEXIST)
		return -1;
	return sync_reports(spool, reports);
}

int
reports_link(const struct spool *spool, const char *token, int dir, const char *name)
{
	AUTO_FD int reports = reports_open_dir(spool);

	return reports < 0 ? -1 : link_at(spool, reports, token, dir, name, 0);
}

int
reports_link_again(const struct spool *spool, const char *token, int dir, const char *name)
{
	AUTO_FD int reports = reports_open_dir(spool);
	struct second second = { .token = token };
	char from[REPORTS_NAME_SIZE], to[REPORTS_NAME_SIZE];
	struct stat st;
	int found = 0;

	if (reports < 0 || fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -1;
	if (st.st_nlink > 1)
		found = fs_each(reports, is_of_token, &second);
	/* It was linked before it said anything. */
	if (found == 0)
		return link_at(spool, reports, token, dir, name, st.st_size);
	if (found < 0 || second.name.number <= st.st_size)
		return found < 0 ? -1 : 0;
	report_name_format(token, second.name.number, from);
	report_name_format(token, st.st_size, to);
	return renameat(reports, from, reports, to) < 0 ? -1 : sync_reports(spool, reports);
}

int
reports_give_back(const struct spool *spool, const char *token, int dir, const char *name)
{
	AUTO_FD int reports = fs_open_dir(spool->root, REPORTS_DIRECTORY);
	struct second second = { .token = token };
	char link[REPORTS_NAME_SIZE];
	int found;

	if (reports < 0)
		return errno == ENOENT ? 0 : -1;
	found = fs_each(reports, is_of_token, &second);
	if (found <= 0)
		return found;
	report_name_format(token, second.name.number, link);
	if (linkat(reports, link, dir, name, 0) < 0)
		return errno == ENOENT || errno == EEXIST ? 0 : -1;
	return 1;
}

/* ---- lines ------------------------------------------------------------------------------- */

int
reports_each_line(int fd, int64_t offset, int (*each)(const char *line, size_t len, void *arg),
    void *arg)
{
	struct journal_reader reader;
	const char *line;
	int64_t at;
	size_t len;
	int result;

	journal_reader_init(&reader, fd, offset);
	while ((result = journal_next(&reader, &line, &len, &at)) == 1) {
		enum event event = line != NULL ? line_event(line, len) : EVENT_COUNT;

		if (event == EVENT_COUNT || (REPORTS_EVENTS & UINT64_C(1) << event) == 0)
			continue;
		result = each(line, len, arg);
		if (result != 0)
			break;
	}
	journal_reader_release(&reader);
	return result;
}

struct counting {
	int dir;
	bool journals; /* the number in a name is an offset, else one of attempts */
	uint64_t lines, rejected;
	char oldest[LINE_TIME_LEN + 1]; /* "" for none */
	bool attempts;
};

static int
count_line(const char *line, size_t len, void *arg)
{
	struct counting *counting = arg;

	(void)len;
	counting->lines++;
	counting->rejected += counting->attempts;
	if (counting->oldest[0] == '\0' ||
	    memcmp(line + LINE_TIME_AT, counting->oldest, LINE_TIME_LEN) < 0)
		memcpy(counting->oldest, line + LINE_TIME_AT, LINE_TIME_LEN);
	return 0;
}

static int
count_file(const char *name, unsigned char type, void *arg)
{
	struct counting *counting = arg;
	struct report_name parsed;
	AUTO_FD int fd = -1;
	struct stat st;

	if ((type != DT_REG && type != DT_UNKNOWN) ||
	    (counting->journals ? report_name_parse : segment_name_parse)(name, &parsed) < 0)
		return 0;
	fd = fs_open(counting->dir, name, O_RDONLY, 0);
	/* Told meanwhile; and what cannot be read holds up no other. */
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return 0;
	counting->attempts = !counting->journals && parsed.number > 0;
	reports_each_line(fd, counting->journals ? parsed.number : 0, count_line, counting);
	return 0;
}

/* part: NULL for the journals. */
static int
count_part(int reports, const char *part, struct counting *ret)
{
	AUTO_FD int dir = fs_open_dir(reports, part != NULL ? part : ".");

	*ret = (struct counting){ .dir = dir, .journals = part == NULL };
	if (dir < 0 && errno == ENOENT)
		return 0;
	return dir < 0 || fs_each(dir, count_file, ret) < 0 ? -1 : 0;
}

static int64_t
oldest_of(const struct counting *counting)
{
	int64_t instant;

	if (counting->oldest[0] == '\0' || clock_parse(counting->oldest, 0, &instant) < 0)
		return 0;
	return instant;
}

int
reports_count(const struct spool *spool, struct reports_backlog *ret, struct err *err)
{
	AUTO_FD int reports = fs_open_dir(spool->root, REPORTS_DIRECTORY);
	struct counting journals, again, dead;
	int64_t oldest;

	*ret = (struct reports_backlog){ 0 };
	if (reports < 0 && errno == ENOENT)
		return 0;
	if (reports < 0 || count_part(reports, NULL, &journals) < 0 ||
	    count_part(reports, REPORTS_AGAIN, &again) < 0 ||
	    count_part(reports, REPORTS_DEAD, &dead) < 0)
		return err_io(err, "spool %s: %s", spool->path, REPORTS_DIRECTORY);
	ret->waiting = journals.lines + again.lines;
	ret->rejected = again.rejected;
	ret->dead = dead.lines;
	ret->oldest = oldest_of(&journals);
	oldest = oldest_of(&again);
	if (oldest != 0 && (ret->oldest == 0 || oldest < ret->oldest))
		ret->oldest = oldest;
	return 0;
}

int
reports_count_dead(const struct spool *spool, struct reports_backlog *ret, struct err *err)
{
	AUTO_FD int reports = fs_open_dir(spool->root, REPORTS_DIRECTORY);
	struct counting dead;

	*ret = (struct reports_backlog){ 0 };
	if (reports < 0 && errno == ENOENT)
		return 0;
	if (reports < 0 || count_part(reports, REPORTS_DEAD, &dead) < 0)
		return err_io(err, "spool %s: %s", spool->path, REPORTS_DIRECTORY);
	ret->dead = dead.lines;
	return 0;
}

/* ---- what is held ------------------------------------------------------------------------ */

static int
hold_token(const char *name, unsigned char type, void *arg)
{
	struct reports_held *held = arg;
	struct report_name parsed;

	(void)type;
	if (report_name_parse(name, &parsed) < 0)
		return 0;
	if (held->count == held->room) {
		held->room = held->room > 0 ? 2 * held->room : 64;
		held->tokens = xreallocarray(held->tokens, held->room, sizeof *held->tokens);
	}
	memcpy(held->tokens[held->count++], parsed.token, sizeof parsed.token);
	return 0;
}

static int
compare_tokens(const void *a, const void *b)
{
	return strcmp(a, b);
}

int
reports_held_read(const struct spool *spool, struct reports_held *ret, struct err *err)
{
	AUTO_FD int reports = fs_open_dir(spool->root, REPORTS_DIRECTORY);
	struct counting again = { 0 };

	*ret = (struct reports_held){ 0 };
	if (reports < 0 && errno == ENOENT)
		return 0;
	if (reports < 0 || fs_each(reports, hold_token, ret) < 0 ||
	    count_part(reports, REPORTS_AGAIN, &again) < 0) {
		reports_held_release(ret);
		return err_io(err, "spool %s: %s", spool->path, REPORTS_DIRECTORY);
	}
	if (ret->count > 1)
		qsort(ret->tokens, ret->count, sizeof *ret->tokens, compare_tokens);
	ret->oldest = oldest_of(&again);
	return 0;
}

bool
reports_held_has(const struct reports_held *held, const char *token, int64_t ended)
{
	if (held->oldest != 0 && ended >= held->oldest)
		return true;
	return held->count > 0 &&
	    bsearch(token, held->tokens, held->count, sizeof *held->tokens, compare_tokens) != NULL;
}

void
reports_held_release(struct reports_held *held)
{
	free(held->tokens);
	*held = (struct reports_held){ 0 };
}

/* ---- without an application -------------------------------------------------------------- */

struct tidying {
	const struct spool *spool;
	int dir;
	int64_t before;
};

static int
tidy_file(const char *name, unsigned char type, void *arg)
{
	const struct tidying *tidying = arg;
	struct report_name parsed;
	AUTO_FD int fd = -1;
	struct stat st;

	if ((type != DT_REG && type != DT_UNKNOWN) || segment_name_parse(name, &parsed) < 0 ||
	    parsed.begin >= tidying->before)
		return 0;
	fd = fs_open(tidying->dir, name, O_RDONLY, 0);
	if (fd < 0 || fstat(fd, &st) < 0 ||
	    st.st_mtim.tv_sec * USEC + st.st_mtim.tv_nsec / 1000 >= tidying->before ||
	    journal_is_live(tidying->spool, parsed.token, fd))
		return 0;
	return unlinkat(tidying->dir, name, 0) < 0 && errno != ENOENT ? -1 : 0;
}

/* Of reports/ itself, and of what was rejected while there was an application. */
int
reports_tidy(struct spool *spool, int64_t before, struct err *err)
{
	AUTO_FD int reports = fs_open_dir(spool->root, REPORTS_DIRECTORY);
	AUTO_FD int again = -1;
	struct tidying tidying = { spool, reports, before };
	struct stat st;

	if (reports < 0 && errno == ENOENT)
		return 0;
	if (reports >= 0 && fstatat(reports, REPORTS_REFUSED, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    st.st_mtim.tv_sec < before / USEC)
		unlinkat(reports, REPORTS_REFUSED, 0);
	if (reports < 0 || fs_each(reports, tidy_file, &tidying) < 0)
		return err_io(err, "spool %s: %s", spool->path, REPORTS_DIRECTORY);
	again = tidying.dir = reports_open_part(reports, REPORTS_AGAIN, false);
	if (again < 0 && errno == ENOENT)
		return 0;
	if (again < 0 || fs_each(again, tidy_file, &tidying) < 0)
		return err_io(err, "spool %s: %s/%s", spool->path, REPORTS_DIRECTORY,
		    REPORTS_AGAIN);
	return 0;
}

/* ---- the dead ---------------------------------------------------------------------------- */

struct resending {
	int dead, again;
	struct counting counting;
};

static int
resend_file(const char *name, unsigned char type, void *arg)
{
	struct resending *resending = arg;
	char to[REPORTS_NAME_SIZE];
	struct report_name parsed;

	if ((type != DT_REG && type != DT_UNKNOWN) || segment_name_parse(name, &parsed) < 0)
		return 0;
	segment_name_format(parsed.token, 0, parsed.alone, to);
	count_file(name, type, &resending->counting);
	return renameat(resending->dead, name, resending->again, to);
}

int64_t
reports_resend(struct spool *spool, struct err *err)
{
	AUTO_FD int reports = reports_open_dir(spool);
	AUTO_FD int dead = reports < 0 ? -1 : reports_open_part(reports, REPORTS_DEAD, false);
	AUTO_FD int again = -1;
	struct resending resending = { .dead = dead, .counting = { .dir = dead } };

	if (reports >= 0 && dead < 0 && errno == ENOENT)
		return 0;
	if (dead >= 0)
		resending.again = again = reports_open_part(reports, REPORTS_AGAIN, true);
	if (again < 0 || fs_each(dead, resend_file, &resending) < 0 ||
	    spool_sync_dir(spool, again) < 0 || spool_sync_dir(spool, dead) < 0 ||
	    spool_sync_end(spool) < 0)
		return err_io(err, "spool %s: cannot move what is in %s/%s", spool->path,
		    REPORTS_DIRECTORY, REPORTS_DEAD);
	return (int64_t)resending.counting.lines;
}
