/* Forgetting: what history_read() would tell of, when it is old enough. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/num.h"
#include "spool/draft/draft.h"
#include "spool/journal/history.h"
#include "spool/journal/totals.h"
#include "spool/part/part.h"
#include "spool/queue/partial.h"
#include "spool/report/reports.h"
#include "spool/store/walk.h"

/* Failed messages are looked for so many at a time. */
#define FAILED_MAX 512

/* How old the totals become at the most while new logs come. */
#define TOTALS_OLD (3600 * USEC)

struct old_log {
	char *name;
	int64_t ended;
	bool forgotten; /* all but the file itself */
	bool stays;	/* for a while yet, as a forgotten one */
};

struct retiring {
	struct spool *spool;
	int64_t before;
	int64_t old;	/* what ended before this is not needed by limits either */
	int64_t newest; /* when the newest log began */
	struct old_log *logs;
	size_t count, room;
	char *failed[FAILED_MAX]; /* ids */
	size_t failed_count;
	uint64_t messages; /* forgotten */
	bool parts;	   /* some of them may have any */
	struct err *err;
};

static int
look_at_log(const char *name, unsigned char type, void *arg)
{
	struct retiring *retiring = arg;
	const char *dot = strrchr(name, '.');
	bool forgotten = dot != NULL && strcmp(dot, HISTORY_OLD_SUFFIX) == 0;
	int64_t before = retiring->before;
	struct stat st;
	uint64_t began;
	int64_t ended;

	(void)type;
	/* Whatever is to be kept by now: its ids are known no longer. */
	if (forgotten)
		before = retiring->old;
	/* Its name says when it began: most need no look at when they ended. */
	if (num_u64_view(name, strcspn(name, "."), INT64_MAX / USEC, &began) == 0) {
		if ((int64_t)began * USEC > retiring->newest)
			retiring->newest = (int64_t)began * USEC;
		if ((int64_t)began >= before / USEC)
			return 0;
	}
	if (dot == NULL || (!forgotten && strcmp(dot, ".log") != 0) ||
	    fstatat(retiring->spool->log, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	    !S_ISREG(st.st_mode))
		return 0;
	ended = st.st_mtim.tv_sec * USEC + st.st_mtim.tv_nsec / 1000;
	if (ended >= before)
		return 0;
	if (retiring->count == retiring->room) {
		retiring->room = retiring->room > 0 ? 2 * retiring->room : 16;
		retiring->logs =
		    xreallocarray(retiring->logs, retiring->room, sizeof *retiring->logs);
	}
	retiring->logs[retiring->count++] =
	    (struct old_log){ xstrdup(name), ended, forgotten, ended >= retiring->old };
	return 0;
}

static int
compare_logs(const void *a, const void *b)
{
	const struct old_log *x = a, *y = b;

	if (x->ended != y->ended)
		return x->ended < y->ended ? -1 : 1;
	return strcmp(x->name, y->name);
}

/* One that failed again since (after it was deleted and added anew) is a later log's to forget. */
static int
remove_failed(const struct place *place, void *arg)
{
	struct retiring *retiring = arg;
	struct spool *spool = retiring->spool;
	struct part_use *use;

	if (place->name.due >= retiring->before)
		return 0;
	if (id_forget(spool, place->name.id) < 0)
		return err_io(retiring->err, "spool %s: cannot forget the id %s", spool->path,
		    place->name.id);
	use = retiring->parts ? part_look(spool, place->dir, place->text) : NULL;
	if (unlinkat(place->dir, place->text, 0) < 0 && errno != ENOENT) {
		part_keep(&use);
		return err_io(retiring->err, "spool %s: cannot remove failed/%s/%s/%s", spool->path,
		    place->lane, place->bucket, place->text);
	}
	part_forget(spool, &use);
	partial_remove(spool, place->name.id);
	retiring->messages++;
	return 0;
}

/* Of the failed ones, those that are still in failed/: others were retried or deleted since. */
static int
forget_failed(struct retiring *retiring)
{
	struct walk_filter filter = { .state = STATE_FAILED,
		.ids = (const char *const *)retiring->failed,
		.id_count = retiring->failed_count };
	int result = 0;

	if (retiring->failed_count > 0)
		result = walk(retiring->spool, &filter, remove_failed, retiring, retiring->err);
	for (size_t i = 0; i < retiring->failed_count; i++)
		free(retiring->failed[i]);
	retiring->failed_count = 0;
	return result;
}

static int
forget_line(const char *text, size_t len, const struct json *value, int64_t offset, void *arg)
{
	struct retiring *retiring = arg;
	const char *word = json_string(json_get(value, "event"));
	const char *id = json_string(json_get(value, "id"));
	enum event event = word != NULL ? event_parse(word) : EVENT_COUNT;
	char encoded[ID_TEXT_MAX + 1];

	(void)text;
	(void)len;
	(void)offset;
	if (id == NULL || name_encode(id, ID_TEXT_MAX, encoded) < 0)
		return 0;
	if (event == EVENT_FAILED) {
		retiring->failed[retiring->failed_count++] = xstrdup(id);
		return retiring->failed_count == FAILED_MAX ? forget_failed(retiring) : 0;
	}
	retiring->messages += event == EVENT_SENT;
	if ((event == EVENT_SENT || event == EVENT_CORRUPT) &&
	    id_forget(retiring->spool, encoded) < 0)
		return err_io(retiring->err, "spool %s: cannot forget the id %s",
		    retiring->spool->path, id);
	return 0;
}

static int
retire_log(struct retiring *retiring, const char *name)
{
	struct spool *spool = retiring->spool;
	AUTO_FD int fd = fs_open(spool->log, name, O_RDONLY, 0);
	int result;

	if (fd < 0 && errno == ENOENT)
		return 0;
	retiring->err->code = 0;
	result = fd < 0 ? -1 : journal_read(fd, 0, forget_line, retiring, NULL);
	if (result == 0)
		result = forget_failed(retiring);
	else if (retiring->err->code == 0)
		err_io(retiring->err, "spool %s: log/%s", spool->path, name);
	return result;
}

/* Leaves out those of which the application has not heard yet.  Those that were made since they were listed are not
 * among them, so nothing is missed. */
static int
keep_untold(struct retiring *retiring)
{
	AUTO(reports_held_release) struct reports_held held;
	size_t kept = 0;

	if (reports_held_read(retiring->spool, &held, retiring->err) < 0)
		return -1;
	for (size_t i = 0; i < retiring->count; i++) {
		struct old_log log = retiring->logs[i];
		AUTO_FREE char *token =
		    xstrndup(log.name, (size_t)(strrchr(log.name, '.') - log.name));

		if (!log.forgotten && reports_held_has(&held, token, log.ended))
			free(log.name);
		else
			retiring->logs[kept++] = log;
	}
	retiring->count = kept;
	return 0;
}

/* What the logs say for the totals, before they are gone. */
static int
keep_totals(struct retiring *retiring, size_t count)
{
	AUTO_FREE const char **names = xcalloc(count, sizeof *names);
	size_t n = 0;

	for (size_t i = 0; i < count; i++)
		if (!retiring->logs[i].forgotten)
			names[n++] = retiring->logs[i].name;
	return n > 0 ? totals_save(retiring->spool, names, n, retiring->err) : 1;
}

/* Forgotten, it goes, or stays under a name that only limits read. */
static int
put_away(const struct spool *spool, const struct old_log *log)
{
	char name[NAME_MAX + sizeof(HISTORY_OLD_SUFFIX)];

	if (!log->stays)
		return unlinkat(spool->log, log->name, 0);
	snprintf(name, sizeof name, "%.*s" HISTORY_OLD_SUFFIX,
	    (int)(strrchr(log->name, '.') - log->name), log->name);
	return renameat(spool->log, log->name, spool->log, name);
}

static int
retire_logs(struct retiring *retiring, size_t count)
{
	struct spool *spool = retiring->spool;
	int kept = count > 0 ? keep_totals(retiring, count) : 0;
	bool any = false;

	if (kept <= 0)
		return kept; /* nothing to do, or another time */
	for (size_t i = 0; i < count; i++) {
		if (retiring->logs[i].forgotten)
			continue;
		if (retire_log(retiring, retiring->logs[i].name) < 0)
			return -1;
		any = true;
	}
	/* Once for all: were a log gone before its ids are, nobody would forget them. */
	if (any && fs_sync_all(spool->root) < 0)
		return err_io(retiring->err, "spool %s: cannot sync", spool->path);
	for (size_t i = 0; i < count; i++)
		if (put_away(spool, &retiring->logs[i]) < 0 && errno != ENOENT)
			return err_io(retiring->err, "spool %s: cannot remove log/%s", spool->path,
			    retiring->logs[i].name);
	return (int)count;
}

/* Those who may only read sum anew, each time, what is in no file yet: so that it is little. */
static void
refresh_totals(const struct retiring *retiring)
{
	int64_t saved = totals_saved(retiring->spool);

	if (retiring->newest > saved && clock_now() - saved > TOTALS_OLD)
		totals_save(retiring->spool, NULL, 0, NULL);
}

int
history_forget(struct spool *spool, int64_t before, int max_logs, bool told, uint64_t *messages,
    struct err *err)
{
	struct err own = ERR_INIT;
	struct retiring retiring = { .spool = spool,
		.before = before,
		.old = clock_now() - HISTORY_OLD,
		.err = err != NULL ? err : &own };
	AUTO_FD int log = fs_open_dir(spool->root, "log");
	size_t count;
	int result;

	retiring.parts = part_any(spool);
	if (log < 0 || fs_each(log, look_at_log, &retiring) < 0) {
		result = err_io(err, "spool %s: log", spool->path);
	} else if (told && keep_untold(&retiring) < 0) {
		result = -1;
	} else {
		if (retiring.count > 1)
			qsort(retiring.logs, retiring.count, sizeof *retiring.logs, compare_logs);
		count = retiring.count < (size_t)max_logs ? retiring.count : (size_t)max_logs;
		result = retire_logs(&retiring, count);
		refresh_totals(&retiring);
	}
	for (size_t i = 0; i < retiring.failed_count; i++)
		free(retiring.failed[i]);
	for (size_t i = 0; i < retiring.count; i++)
		free(retiring.logs[i].name);
	free(retiring.logs);
	*messages += retiring.messages;
	return result;
}

int
history_retire(struct spool *spool, int64_t before, int max_logs, bool told, struct err *err)
{
	uint64_t messages = 0;

	return history_forget(spool, before, max_logs, told, &messages, err);
}
