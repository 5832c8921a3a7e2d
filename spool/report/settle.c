/* What follows when the application has answered. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "spool/report/private.h"

/* Of one batch; what is more cannot have been held in memory. */
#define SEGMENT_MAX ((size_t)4 * 1024 * 1024 * 1024)

void
reports_drop_batch(struct reports *reports)
{
	for (size_t i = 0; i < reports->count; i++) {
		struct given *one = &reports->batch[i];

		if (one->source != NULL)
			one->source->in_use = 0;
		free(one->text);
		json_free(one->value);
	}
	reports->count = reports->held = 0;
}

static bool
is_from_alone(const struct reports *reports, const struct given *one)
{
	return one->source == NULL && reports->again.segments[one->segment].alone;
}

/* A line of again/ that was given and is to be given once more. */
static void
count_back(struct reports *reports, const struct given *one)
{
	struct id_count *ids = again_count(&reports->again, one->hash);

	if (is_from_alone(reports, one))
		ids->alone++;
	else
		ids->lines++;
}

void
reports_leave(struct reports *reports)
{
	for (size_t i = 0; i < reports->count; i++) {
		const struct given *one = &reports->batch[i];

		if (!one->held)
			count_back(reports, one);
		again_count(&reports->again, one->hash)->rejected = true;
		if (one->segment == reports->again.next)
			again_leave(&reports->again, one->segment);
	}
	reports_drop_batch(reports);
}

void
reports_back(struct reports *reports)
{
	size_t segment = SIZE_MAX;

	for (size_t i = 0; i < reports->count; i++) {
		struct given *one = &reports->batch[i];

		if (one->source != NULL) {
			merge_rewind(&reports->merge, one->source);
			continue;
		}
		if (!one->held)
			count_back(reports, one);
		if (one->segment < segment)
			segment = one->segment;
	}
	if (segment != SIZE_MAX)
		again_rewind(&reports->again, segment);
	reports_drop_batch(reports);
	/* Another pass, as lines that were passed over in this one come before those given now. */
	reports->merging = false;
}

/* ---- what was rejected ------------------------------------------------------------------- */

static int
compare_ids(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* A sorted copy, to be freed. */
static const char **
sorted(const char *const *ids, size_t count)
{
	const char **copy = xcalloc(count + 1, sizeof *copy);

	for (size_t i = 0; i < count; i++)
		copy[i] = ids[i];
	qsort(copy, count, sizeof *copy, compare_ids);
	return copy;
}

static void
mark_kept(struct reports *reports, const struct reports_kept *kept)
{
	AUTO_FREE const char **rejected = sorted(kept->rejected, kept->rejected_count);
	AUTO_FREE const char **alone = sorted(kept->alone, kept->alone_count);

	for (size_t i = 0; i < reports->count; i++) {
		struct given *one = &reports->batch[i];

		one->rejected = one->dead = one->alone = false;
		if (one->held)
			continue;
		one->alone = kept->alone_count > 0 &&
		    bsearch(&one->id, alone, kept->alone_count, sizeof *alone, compare_ids) != NULL;
		one->rejected = !one->alone && kept->rejected_count > 0 &&
		    bsearch(&one->id, rejected, kept->rejected_count, sizeof *rejected,
			compare_ids) != NULL;
		one->dead = one->rejected && one->attempts + 1 >= kept->max_attempts;
		one->alone |= one->rejected && is_from_alone(reports, one);
	}
}

/* How often a line that stays will have been rejected; -1: it does not come into a file of its own. */
static int64_t
attempts_of(const struct given *one)
{
	if (one->rejected)
		return (int64_t)one->attempts + 1;
	if (one->alone)
		return one->attempts;
	return one->held && one->source != NULL ? 0 : -1;
}

/* A kind of file: where it stands, and what its name says. */
struct kind {
	bool dead, alone;
	int64_t attempts;
};

static bool
is_of_kind(const struct given *one, const struct kind *kind)
{
	return one->dead == kind->dead && one->alone == kind->alone &&
	    attempts_of(one) == kind->attempts;
}

/* The lines of the batch that are of a kind, as a file. */
static int
write_segment(const struct reports *reports, int dir, const struct kind *kind)
{
	AUTO_BUF struct buf text = BUF_INIT(SEGMENT_MAX);
	char token[TOKEN_SIZE], name[REPORTS_NAME_SIZE];

	for (size_t i = 0; i < reports->count; i++) {
		const struct given *one = &reports->batch[i];

		if (is_of_kind(one, kind) &&
		    (buf_add(&text, one->text, one->len) < 0 || buf_addc(&text, '\n') < 0))
			return -1;
	}
	token_make(token);
	segment_name_format(token, kind->attempts, kind->alone, name);
	return fs_replace_file(dir, name, text.s, text.len, 0660);
}

/* A file for each number of attempts, the highest first, so that they are in their order. */
static int
write_segments(struct reports *reports, const char *part, bool dead, bool alone)
{
	AUTO_FD int dir = -1;
	int64_t below = INT64_MAX;

	for (;;) {
		struct kind kind = { dead, alone, -1 };

		for (size_t i = 0; i < reports->count; i++) {
			const struct given *one = &reports->batch[i];

			if (one->dead == dead && one->alone == alone && attempts_of(one) < below &&
			    attempts_of(one) > kind.attempts)
				kind.attempts = attempts_of(one);
		}
		if (kind.attempts < 0)
			return 0;
		if (dir < 0 && (dir = reports_open_part(reports->dir, part, true)) < 0)
			return -1;
		if (write_segment(reports, dir, &kind) < 0)
			return -1;
		below = kind.attempts;
	}
}

/* From here on, what follows for these messages waits behind them. */
static void
count_kept(struct reports *reports)
{
	for (size_t i = 0; i < reports->count; i++) {
		const struct given *one = &reports->batch[i];
		struct id_count *ids;

		if (one->dead || attempts_of(one) < 0)
			continue;
		ids = again_count(&reports->again, one->hash);
		if (one->alone)
			ids->alone++;
		else
			ids->lines++;
		ids->rejected |= one->rejected || one->alone;
		reports->again.lines++;
	}
}

/* ---- what is done with ------------------------------------------------------------------- */

/* The first n bytes of a file, and all from at on where rest is true, around what text has. */
static int
keep_parts(int fd, int64_t n, int64_t at, bool rest, struct buf *text)
{
	AUTO_BUF struct buf held = BUF_INIT(SEGMENT_MAX);
	struct stat st;

	if (fstat(fd, &st) < 0 || buf_add(&held, text->s, text->len) < 0)
		return -1;
	buf_clear(text);
	if (buf_reserve(text, (size_t)n) < 0 || fs_pread(fd, text->s, (size_t)n, 0) < 0)
		return -1;
	text->len = (size_t)n;
	if (buf_add(text, held.s, held.len) < 0)
		return -1;
	if (!rest || st.st_size <= at)
		return 0;
	n = st.st_size - at;
	if (buf_reserve(text, (size_t)n) < 0 ||
	    fs_pread(fd, text->s + text->len, (size_t)n, at) < 0)
		return -1;
	text->len += (size_t)n;
	return 0;
}

/* A file of again/ of which the batch had lines: it goes, or those of its lines stay that were held back or not
 * looked at yet. */
static int
settle_segment(struct reports *reports, size_t index)
{
	struct again *again = &reports->again;
	struct segment *segment = &again->segments[index];
	AUTO_BUF struct buf text = BUF_INIT(SEGMENT_MAX);
	char name[REPORTS_NAME_SIZE];
	bool partly = index == again->next && again->fd >= 0;
	AUTO_FD int fd = -1;
	int64_t held;

	for (size_t i = 0; i < reports->count; i++) {
		const struct given *one = &reports->batch[i];

		if (one->source == NULL && one->segment == index && one->held &&
		    (buf_add(&text, one->text, one->len) < 0 || buf_addc(&text, '\n') < 0))
			return -1;
	}
	held = segment->start + (int64_t)text.len;
	segment_name_format(segment->token, segment->attempts, segment->alone, name);
	if (!partly && held == 0)
		return unlinkat(again->dir, name, 0) < 0 && errno != ENOENT ? -1 : 0;
	fd = fs_open(again->dir, name, O_RDONLY, 0);
	if (fd < 0 || keep_parts(fd, segment->start, again->at, partly, &text) < 0)
		return -1;
	segment->start = held;
	if (partly)
		again_rewind(again, index);
	if (text.len == 0)
		return unlinkat(again->dir, name, 0) < 0 && errno != ENOENT ? -1 : 0;
	return fs_replace_file(again->dir, name, text.s, text.len, 0660);
}

static int
settle_segments(struct reports *reports)
{
	for (size_t i = 0; i < reports->count; i++) {
		const struct given *one = &reports->batch[i];
		bool met = false;

		for (size_t k = i; k-- > 0 && !met;)
			met = reports->batch[k].source == NULL &&
			    reports->batch[k].segment == one->segment;
		if (one->source == NULL && !met && settle_segment(reports, one->segment) < 0)
			return -1;
	}
	return 0;
}

/* All before at is settled.  Behind that, up to its end, there may be lines that are no reports.  True where the link
 * is gone. */
static bool
finish(struct reports *reports, struct merge_source *source)
{
	char name[REPORTS_NAME_SIZE];
	AUTO_FD int fd = -1;
	struct stat st;

	report_name_format(source->token, source->mark, name);
	fd = fs_open(reports->dir, name, O_RDONLY, 0);
	/* While we have its lock, a recovery cannot begin to write to it again. */
	if (fd < 0 || journal_is_live(reports->spool, source->token, fd) || fstat(fd, &st) < 0 ||
	    (st.st_size != source->at && st.st_size != source->end))
		return false;
	return unlinkat(reports->dir, name, 0) == 0;
}

void
reports_finish(struct reports *reports, struct merge_source *source)
{
	if (!source->live)
		finish(reports, source);
}

/* One step says that all before at was told. */
static int
settle_journal(struct reports *reports, struct merge_source *source)
{
	char from[REPORTS_NAME_SIZE], to[REPORTS_NAME_SIZE];

	if (finish(reports, source))
		return 0;
	report_name_format(source->token, source->mark, from);
	report_name_format(source->token, source->at, to);
	if (source->at != source->mark && renameat(reports->dir, from, reports->dir, to) < 0 &&
	    errno != ENOENT)
		return -1;
	source->mark = source->at;
	return 0;
}

static int
settle_journals(struct reports *reports)
{
	for (size_t i = 0; i < reports->count; i++) {
		struct merge_source *source = reports->batch[i].source;

		if (source == NULL || source->in_use == 0)
			continue;
		source->in_use = 0;
		if (settle_journal(reports, source) < 0)
			return -1;
	}
	return 0;
}

int
reports_keep(struct reports *reports, const struct reports_kept *kept, struct err *err)
{
	struct spool *spool = reports->spool;

	mark_kept(reports, kept);
	/* What stays is on disk before what it was read from goes: a crash in between repeats it. */
	if (write_segments(reports, REPORTS_DEAD, true, false) < 0 ||
	    write_segments(reports, REPORTS_DEAD, true, true) < 0 ||
	    write_segments(reports, REPORTS_AGAIN, false, false) < 0 ||
	    write_segments(reports, REPORTS_AGAIN, false, true) < 0) {
		err_io(err, "spool %s: cannot write to %s", spool->path, REPORTS_DIRECTORY);
		reports_back(reports);
		return -1;
	}
	count_kept(reports);
	if (settle_segments(reports) < 0 || settle_journals(reports) < 0) {
		err_io(err, "spool %s: cannot settle reports in %s", spool->path,
		    REPORTS_DIRECTORY);
		reports_back(reports);
		return -1;
	}
	reports_drop_batch(reports);
	return 0;
}

int
reports_settle(struct reports *reports, const char *const *rejected, size_t rejected_count,
    unsigned int max_attempts, struct err *err)
{
	const struct reports_kept kept = { .rejected = rejected,
		.rejected_count = rejected_count,
		.max_attempts = max_attempts };

	return reports_keep(reports, &kept, err);
}
