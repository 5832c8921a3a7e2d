/* Checking reports/. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "spool/check/private.h"
#include "spool/report/private.h"
#include "spool/store/own.h"

struct part {
	struct checking *c;
	const char *name; /* "again" or "dead" */
	int dir;
};

static bool
is_our_file(const char *name)
{
	static const char *const names[] = { REPORTS_LOCK, REPORTS_STATE, REPORTS_FETCH,
		REPORTS_AGAIN, REPORTS_DEAD, REPORTS_REFUSED, "." REPORTS_STATE ".tmp",
		"." REPORTS_FETCH ".tmp", "." REPORTS_REFUSED ".tmp" };

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return false;
}

/* Moves a file to corrupt/ and tells of it, or only tells. */
static void
set_aside(struct checking *c, int dir, const char *name, const char *path, const char *what)
{
	char to[NAME_SIZE + 16];
	bool repaired;

	snprintf(to, sizeof to, REPORTS_DIRECTORY "-%s", name);
	repaired = c->repair && own_set_aside(c->spool, dir, name, to) == 0;
	check_tell(c, repaired ? CHECK_REPAIRED : CHECK_FAULT, path, "%s%s", what,
	    repaired ? "; moved to corrupt/" : "");
}

static int
pass_over(const char *line, size_t len, void *arg)
{
	(void)line;
	(void)len;
	(void)arg;
	return 0;
}

/* What it says is looked at where it stands else.  One that cannot be read holds up all that came later. */
static void
check_readable(struct checking *c, const char *name, const char *path)
{
	AUTO_FD int fd = fs_open(c->dir, name, O_RDONLY, 0);
	char what[200];

	if ((fd < 0 && errno == ENOENT) ||
	    (fd >= 0 && reports_each_line(fd, 0, pass_over, NULL) == 0))
		return;
	if (!check_is_misplaced()) {
		check_tell_unread(c, path, "cannot be read, and reports that are younger wait");
		return;
	}
	snprintf(what, sizeof what, "cannot be read, and reports that are younger wait: %s",
	    strerror(errno));
	set_aside(c, c->dir, name, path, what);
}

/* How many bytes of it are told stands in the name of a journal. */
static int
look_at_link(const char *name, unsigned char type, void *arg)
{
	struct checking *c = arg;
	struct report_name parsed;
	char path[NAME_SIZE + 16];
	struct stat st;

	(void)type;
	snprintf(path, sizeof path, REPORTS_DIRECTORY "/%s", name);
	if (strcmp(name, REPORTS_AGAIN) == 0 || strcmp(name, REPORTS_DEAD) == 0)
		return 0;
	if (!check_kind(c, c->dir, name, path) || is_our_file(name) ||
	    fstatat(c->dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0; /* told meanwhile */
	if (report_name_parse(name, &parsed) < 0)
		check_tell(c, CHECK_FAULT, path, "is not part of it: expected TOKEN,OFFSET");
	else if (parsed.number > st.st_size)
		check_tell(c, CHECK_FAULT, path,
		    "says that %lld bytes of a journal of %lld were reported",
		    (long long)parsed.number, (long long)st.st_size);
	else
		check_readable(c, name, path);
	return 0;
}

static int
count_good(const char *line, size_t len, void *arg)
{
	AUTO_JSON struct json *value = json_parse(line, len, 1, NULL);

	*(size_t *)arg += json_string(json_get(value, "id")) != NULL;
	return 0;
}

/* Whether each line of a file is a report: it was written at a stroke.  1, 0, or -1 with errno. */
static int
is_whole(int fd)
{
	struct journal_reader reader;
	size_t lines = 0, good = 0, len;
	const char *line;
	int64_t offset;
	int result;

	journal_reader_init(&reader, fd, 0);
	while ((result = journal_next(&reader, &line, &len, &offset)) == 1)
		lines++;
	journal_reader_release(&reader);
	if (result < 0 || reports_each_line(fd, 0, count_good, &good) < 0)
		return -1;
	return good == lines;
}

/* Reports that were rejected.  The others of a damaged file go on being told where it stays. */
static int
look_at_segment(const char *name, unsigned char type, void *arg)
{
	struct part *part = arg;
	struct checking *c = part->c;
	AUTO_FD int fd = -1;
	struct report_name parsed;
	char path[NAME_SIZE + 24];
	int whole;

	(void)type;
	/* What a process that died left is removed by the next who tells. */
	if (name[0] == '.')
		return 0;
	snprintf(path, sizeof path, REPORTS_DIRECTORY "/%s/%s", part->name, name);
	if (!check_kind(c, part->dir, name, path))
		return 0;
	fd = fs_open(part->dir, name, O_RDONLY, 0);
	if (fd < 0)
		return 0; /* told meanwhile */
	if (segment_name_parse(name, &parsed) < 0) {
		check_tell(c, CHECK_FAULT, path,
		    "is not part of it: expected a file TOKEN,ATTEMPTS or "
		    "TOKEN,ATTEMPTS" REPORTS_ALONE);
		return 0;
	}
	whole = is_whole(fd);
	if (whole < 0)
		check_tell_unread(c, path, "cannot be read");
	else if (whole == 0)
		set_aside(c, part->dir, name, path, "is damaged: a line in it is not a report");
	return 0;
}

static void
check_part(struct checking *c, const char *name)
{
	AUTO_FD int reports = fs_open_dir(c->spool->root, REPORTS_DIRECTORY);
	AUTO_FD int dir = reports < 0 ? -1 : fs_open_dir(reports, name);
	struct part part = { c, name, dir };
	char path[32];

	if (dir < 0)
		return;
	snprintf(path, sizeof path, REPORTS_DIRECTORY "/%s", name);
	check_each(c, reports, path, name, look_at_segment, &part);
}

void
check_reports(struct checking *c)
{
	check_each(c, c->spool->root, REPORTS_DIRECTORY, REPORTS_DIRECTORY, look_at_link, c);
	check_part(c, REPORTS_AGAIN);
	check_part(c, REPORTS_DEAD);
}
