#include "spool/report/reports.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/log.h"
#include "base/num.h"
#include "spool/report/private.h"
#include "spool/store/own.h"

/* So many lines are held back in memory before they are written. */
#define HELD_MAX 1000

/* ---- names and directories --------------------------------------------------------------- */

int
report_name_parse(const char *text, struct report_name *ret)
{
	const char *comma = strchr(text, ',');
	uint64_t number;

	if (comma == NULL ||
	    token_parse(text, (size_t)(comma - text), ret->token, &ret->begin) < 0 ||
	    num_u64(comma + 1, 0, INT64_MAX, &number) < 0)
		return -1;
	ret->number = (int64_t)number;
	ret->alone = false;
	return 0;
}

int
segment_name_parse(const char *text, struct report_name *ret)
{
	char plain[REPORTS_NAME_SIZE];
	size_t n = strlen(text), end = strlen(REPORTS_ALONE);
	bool alone = n > end && strcmp(text + n - end, REPORTS_ALONE) == 0;

	if (n >= sizeof plain)
		return -1;
	memcpy(plain, text, n + 1);
	if (alone)
		plain[n - end] = '\0';
	if (report_name_parse(plain, ret) < 0 || ret->number > UINT32_MAX)
		return -1;
	ret->alone = alone;
	return 0;
}

void
report_name_format(const char *token, int64_t number, char ret[REPORTS_NAME_SIZE])
{
	snprintf(ret, REPORTS_NAME_SIZE, "%s,%lld", token, (long long)number);
}

void
segment_name_format(const char *token, int64_t attempts, bool alone, char ret[REPORTS_NAME_SIZE])
{
	snprintf(ret, REPORTS_NAME_SIZE, "%s,%lld%s", token, (long long)attempts,
	    alone ? REPORTS_ALONE : "");
}

/* Made durably: what is linked into it is not to be lost with it. */
static int
open_or_make(int parent, const char *name, bool make)
{
	int fd = fs_open_dir(parent, name);

	if (fd >= 0 || errno != ENOENT || !make)
		return fd;
	if (fs_mkdir(parent, name, 0770) < 0 || fs_sync_dir(parent) < 0)
		return -1;
	return fs_open_dir(parent, name);
}

int
reports_open_dir(const struct spool *spool)
{
	return open_or_make(spool->root, REPORTS_DIRECTORY, !spool->read_only);
}

int
reports_open_part(int dir, const char *part, bool make)
{
	return open_or_make(dir, part, make);
}

/* ---- opening ----------------------------------------------------------------------------- */

static int
open_journal(const struct merge_source *source, void *arg)
{
	const struct reports *reports = arg;
	char name[REPORTS_NAME_SIZE];
	int fd;

	report_name_format(source->token, source->mark, name);
	fd = fs_open(reports->dir, name, O_RDONLY, 0);
	/* No journal, and not to hold up the others. */
	if (fd < 0 && fs_is_foreign() &&
	    own_clear(reports->spool, reports->dir, REPORTS_DIRECTORY, name) == 0)
		errno = ENOENT;
	return fd;
}

/* A journal that has two links: by somebody's hand.  That of which less was told goes. */
static void
remove_twin(const char *token, int64_t mark, void *arg)
{
	const struct reports *reports = arg;
	char name[REPORTS_NAME_SIZE];

	report_name_format(token, mark, name);
	unlinkat(reports->dir, name, 0);
}

/* 1, 0: somebody else has it; -1 with errno. */
static int
lock(struct reports *reports)
{
	reports->lock =
	    own_open(reports->spool, reports->dir, REPORTS_DIRECTORY, REPORTS_LOCK, O_RDWR, false);
	if (reports->lock < 0)
		return -1;
	if (fs_lock(reports->lock, 0) < 0)
		return errno == EWOULDBLOCK ? 0 : -1;
	return 1;
}

int
reports_open(struct spool *spool, struct reports **ret, struct err *err)
{
	AUTO(reports_close) struct reports *reports = xcalloc(1, sizeof *reports);
	int result;

	reports->spool = spool;
	reports->lock = reports->again.dir = reports->again.fd = -1;
	reports->merge = (struct merge){ .spool = spool,
		.open = open_journal,
		.twice = remove_twin,
		.arg = reports,
		.events = REPORTS_EVENTS };
	reports->dir = reports_open_dir(spool);
	if (reports->dir < 0)
		return err_io(err, "spool %s: cannot open %s", spool->path, REPORTS_DIRECTORY);
	result = lock(reports);
	if (result < 0)
		return err_io(err, "spool %s: cannot lock %s/%s", spool->path, REPORTS_DIRECTORY,
		    REPORTS_LOCK);
	if (result == 0)
		return 0;
	if (again_open(&reports->again, reports->dir, err) < 0)
		return err_prefix(err, "spool %s", spool->path);
	*ret = reports;
	reports = NULL;
	return 1;
}

void
reports_close(struct reports **reports_at)
{
	struct reports *reports = *reports_at;

	if (reports == NULL)
		return;
	reports_drop_batch(reports);
	free(reports->batch);
	merge_release(&reports->merge);
	again_release(&reports->again);
	auto_close_fd(&reports->lock);
	auto_close_fd(&reports->dir);
	free(reports);
	*reports_at = NULL;
}

/* ---- what is told ------------------------------------------------------------------------ */

static int
add_journal(const char *name, unsigned char type, void *arg)
{
	struct reports *reports = arg;
	struct report_name parsed;

	if ((type == DT_REG || type == DT_UNKNOWN) && report_name_parse(name, &parsed) == 0)
		merge_add(&reports->merge, parsed.token, parsed.begin, parsed.number);
	return 0;
}

static int
begin_pass(struct reports *reports)
{
	int64_t until = clock_now();
	AUTO_FD int listed = fs_open_dir(reports->dir, ".");

	if (listed < 0 || fs_each(listed, add_journal, reports) < 0)
		return -1;
	merge_begin(&reports->merge, until);
	reports->merging = true;
	return 0;
}

/* At its end, what has nothing more to tell. */
static void
end_pass(struct reports *reports)
{
	for (size_t i = 0; i < reports->merge.count; i++)
		if (reports->merge.sources[i]->in_use == 0)
			reports_finish(reports, reports->merge.sources[i]);
	reports->merging = false;
}

static struct given *
add_given(struct reports *reports, const char *text, size_t len, struct json *value)
{
	struct given *one;

	if (reports->count == reports->room) {
		reports->room = reports->room > 0 ? 2 * reports->room : 128;
		reports->batch =
		    xreallocarray(reports->batch, reports->room, sizeof *reports->batch);
	}
	one = &reports->batch[reports->count++];
	*one = (struct given){ .text = xstrndup(text, len),
		.len = len,
		.value = value,
		.id = json_string(json_get(value, "id")) };
	one->hash = again_hash(one->id);
	return one;
}

/* Whether a line of again/ stays behind another of its message; if not, it is given. */
static bool
is_behind(struct reports *reports, const struct given *one, bool alone)
{
	struct id_count *ids = again_count(&reports->again, one->hash);
	uint32_t *lines = alone ? &ids->alone : &ids->lines;

	if (ids->rejected || (!alone && ids->alone > 0))
		return true;
	if (*lines > 0)
		--*lines;
	return false;
}

/* Of what was rejected.  What follows for a message that was so again stays behind it. */
static int
next_again(struct reports *reports, bool alone, struct given **ret)
{
	const char *line;
	size_t len, segment;
	int result;

	while ((result = again_next(&reports->again, alone, &line, &len, &segment)) > 0) {
		struct json *value = json_parse(line, len, 1, NULL);
		struct given *one;

		if (json_string(json_get(value, "id")) == NULL) {
			log_warning("spool %s: a report that was rejected is damaged, and passed "
				    "over: %.*s",
			    reports->spool->path, len < 300 ? (int)len : 300, line);
			json_free(value);
			continue;
		}
		one = add_given(reports, line, len, value);
		one->segment = segment;
		one->attempts = reports->again.segments[segment].attempts;
		one->held = is_behind(reports, one, alone);
		*ret = one;
		return 1;
	}
	return result;
}

/* Of the journals.  What follows for a message of which something was rejected joins that. */
static int
next_outcome(struct reports *reports, struct given **ret)
{
	struct merge_line line;
	int result;

	if (reports->again.lines > AGAIN_LINES_MAX)
		return 0;
	if (!reports->merging && begin_pass(reports) < 0)
		return -1;
	while ((result = merge_next(&reports->merge, &line)) > 0) {
		struct id_count *ids;

		if (json_string(json_get(line.value, "id")) == NULL) {
			json_free(line.value);
			continue;
		}
		*ret = add_given(reports, line.text, line.len, line.value);
		(*ret)->source = line.source;
		line.source->in_use++;
		ids = again_find(&reports->again, (*ret)->hash);
		(*ret)->held = ids != NULL && (ids->lines > 0 || ids->alone > 0);
		return 1;
	}
	if (result == 0)
		end_pass(reports);
	reports->merging = false;
	return result;
}

/* 1, 0 or -1 with errno. */
static int
next_given(struct reports *reports, bool alone, struct given **ret)
{
	int result = next_again(reports, alone, ret);

	return result != 0 || alone ? result : next_outcome(reports, ret);
}

static int
next(struct reports *reports, bool alone, struct report *ret, struct err *err)
{
	struct given *one;
	int result;

	while ((result = next_given(reports, alone, &one)) > 0) {
		if (!one->held) {
			*ret = (struct report){ .text = one->text,
				.len = one->len,
				.value = one->value,
				.event = line_event(one->text, one->len),
				.id = one->id,
				.attempts = one->attempts };
			return 1;
		}
		reports->held++;
		if (reports->held == reports->count && reports->held >= HELD_MAX &&
		    reports_settle(reports, NULL, 0, 0, err) < 0)
			return -1;
	}
	/* What can be told is; the fault is met again. */
	if (result < 0 && reports->held == reports->count)
		return err_io(err, "spool %s: cannot read what is in %s", reports->spool->path,
		    REPORTS_DIRECTORY);
	/* Nobody will settle what nobody was given. */
	if (reports->held > 0 && reports->held == reports->count)
		return reports_settle(reports, NULL, 0, 0, err);
	return 0;
}

int
reports_next(struct reports *reports, struct report *ret, struct err *err)
{
	return next(reports, false, ret, err);
}

int
reports_next_alone(struct reports *reports, struct report *ret, struct err *err)
{
	return next(reports, true, ret, err);
}
