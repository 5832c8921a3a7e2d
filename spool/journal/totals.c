#include "spool/journal/totals.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "spool/journal/journal.h"
#include "spool/journal/totals_private.h"

/* The file is written by a reader when it has read this much that it did not know of; to read less
 * again costs less than to write. */
#define MUCH_BYTES ((int64_t)1024 * 1024)
#define MUCH_LOGS ((size_t)64)
#define SAVE_WAIT (10 * USEC)
/* How often a reader begins again when the file was replaced meanwhile. */
#define READ_ATTEMPTS 100

/* An empty log that is older was left by one that died before its first line. */
#define MADE_WAIT (60 * USEC)

/* One pass over the journals. */
struct pass {
	struct spool *spool;
	struct ledger ledger;
	int64_t bytes; /* read */
	size_t closed; /* logs that were not known to be closed */
};

/* ---- a journal --------------------------------------------------------------------------- */

/* Adds the lines from offset up to size.  Returns where the next one begins, or -1 with errno. */
static int64_t
sum_lines(int fd, int64_t offset, int64_t size, struct totals *totals)
{
	struct journal_reader reader;
	const char *line;
	int64_t at, next = offset;
	size_t len;
	int result;

	journal_reader_init(&reader, fd, offset);
	while ((result = journal_next(&reader, &line, &len, &at)) == 1) {
		/* What was added since is perhaps not on disk; and the last line may be unfinished,
		 * or too long, which only the lines behind it tell. */
		if (line == NULL)
			continue;
		if (at + (int64_t)len >= size)
			break;
		totals_count_line(totals, line, len);
		next = at + (int64_t)len + 1;
	}
	journal_reader_release(&reader);
	return result < 0 ? -1 : next;
}

/* Takes in what was added to a journal.  live: it may have lines that are not on disk.  0, or -1 with
 * errno. */
static int
sum_journal(struct pass *pass, const char *token, int fd, bool live, bool closed)
{
	struct tracked *journal = ledger_track(&pass->ledger, token);
	struct stat st;
	int64_t next;

	if (fstat(fd, &st) < 0)
		return -1;
	journal->seen = true;
	/* It ended with lines that a power cut has taken: they were never on disk, or are no more. */
	if (journal->offset > st.st_size)
		journal->offset = st.st_size;
	if (st.st_size > journal->offset) {
		if (live && !pass->spool->read_only && fdatasync(fd) < 0)
			return -1;
		next = sum_lines(fd, journal->offset, st.st_size, &pass->ledger.totals);
		if (next < 0)
			return -1;
		pass->bytes += st.st_size - journal->offset;
		journal->offset = next;
	}
	if (closed && !journal->closed)
		pass->closed++;
	journal->closed = closed;
	return 0;
}

/* Tokens are what their maker made; and nothing that could break a line of our file. */
static bool
is_token(const char *text, size_t len)
{
	return len > 0 && len < TOKEN_SIZE && text[0] >= '0' && text[0] <= '9' &&
	    strspn(text, "0123456789.abcdefghijklmnopqrstuvwxyz") >= len;
}

static int
open_journal(int dir, const char *name)
{
	return fs_open(dir, name, O_RDONLY, 0);
}

/* A runner's journal: it may be at work, or dead. */
static int
look_at_runner(const char *name, unsigned char type, void *arg)
{
	struct pass *pass = arg;
	AUTO_FD int dir = -1;
	AUTO_FD int fd = -1;

	if ((type != DT_DIR && type != DT_UNKNOWN) || !is_token(name, strlen(name)))
		return 0;
	dir = fs_open_dir(pass->spool->cur, name);
	fd = dir < 0 ? -1 : open_journal(dir, "journal");
	/* It has just begun, or ended: then its journal is in log/ by now. */
	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR || fs_is_foreign() ? 0 : -1;
	return sum_journal(pass, name, fd, true, false);
}

/* Whether its writer is gone.  One that has only just made its file does not have the lock yet. */
static bool
is_closed(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 &&
	    (st.st_size > 0 || st.st_mtim.tv_sec * USEC + MADE_WAIT < clock_now()) &&
	    flock(fd, LOCK_SH | LOCK_NB) == 0;
}

static int
look_at_log(const char *name, unsigned char type, void *arg)
{
	struct pass *pass = arg;
	size_t n = strlen(name);
	struct tracked *journal;
	char token[TOKEN_SIZE];
	AUTO_FD int fd = -1;
	bool closed;

	if ((type != DT_REG && type != DT_UNKNOWN) || n < 4 || strcmp(name + n - 4, ".log") != 0 ||
	    !is_token(name, n - 4))
		return 0;
	memcpy(token, name, n - 4);
	token[n - 4] = '\0';
	journal = ledger_find(&pass->ledger, token);
	if (journal != NULL && journal->closed) {
		journal->seen = true;
		return 0;
	}
	fd = open_journal(pass->spool->log, name);
	if (fd < 0)
		return errno == ENOENT || fs_is_foreign() ? 0 : -1;
	closed = is_closed(fd);
	return sum_journal(pass, token, fd, !closed, closed);
}

/* Whether a journal that was not met is nowhere.  In the order in which it cannot slip through: a
 * recovery may take it back from log/ to cur/. */
static bool
is_gone(const char *token, void *arg)
{
	const struct spool *spool = ((struct pass *)arg)->spool;
	char log[TOKEN_SIZE + 8], cur[TOKEN_SIZE + 16];

	snprintf(log, sizeof log, "%s.log", token);
	snprintf(cur, sizeof cur, "%s/journal", token);
	return faccessat(spool->log, log, F_OK, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT &&
	    faccessat(spool->cur, cur, F_OK, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT &&
	    faccessat(spool->log, log, F_OK, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT;
}

/* ---- a pass ------------------------------------------------------------------------------ */

/* A log is closed for good in the boot in which its writer ended; after a power cut, a recovery may
 * go on with it. */
static void
check_boot(struct ledger *ledger)
{
	char boot[sizeof ledger->boot];

	boot_id(boot);
	if (boot[0] != '\0' && strcmp(boot, ledger->boot) == 0)
		return;
	for (size_t i = 0; i < ledger->count; i++)
		ledger->journals[i].closed = false;
	memcpy(ledger->boot, boot, sizeof boot);
}

/* From the file to the present moment: first the runners, as their journals move to log/. */
static int
run_pass(struct pass *pass, struct err *err)
{
	struct spool *spool = pass->spool;
	AUTO_FD int cur = fs_open_dir(spool->root, "cur");
	AUTO_FD int log = fs_open_dir(spool->root, "log");

	if (ledger_load(&pass->ledger, spool) < 0)
		return err_io(err, "spool %s: %s", spool->path, TOTALS_FILE);
	check_boot(&pass->ledger);
	if (cur < 0 || fs_each(cur, look_at_runner, pass) < 0)
		return err_io(err, "spool %s: cannot sum the journals in cur", spool->path);
	if (log < 0 || fs_each(log, look_at_log, pass) < 0)
		return err_io(err, "spool %s: cannot sum the logs", spool->path);
	totals_raise(&pass->ledger.totals, &pass->ledger.floor);
	return 0;
}

static int
store(struct pass *pass, struct err *err)
{
	ledger_prune(&pass->ledger, is_gone, pass);
	if (ledger_store(&pass->ledger, pass->spool) < 0)
		return err_io(err, "spool %s: cannot write %s", pass->spool->path, TOTALS_FILE);
	return 0;
}

/*
 * The lock of those who write the file, on the directory that it is about, so that none of them
 * replaces a file that it has not read: logs may have been forgotten on the strength of that.  Who only
 * reads needs none.
 */
static int
lock_log(const struct spool *spool, int64_t wait)
{
	AUTO_FD int log = fs_open_dir(spool->root, "log");

	if (log < 0 || fs_lock(log, wait) < 0)
		return -1;
	return take_fd(&log);
}

/* ---- what others call -------------------------------------------------------------------- */

/* A log that was summed and forgotten since the file was read would be missing: that cannot be without
 * the file being replaced first. */
static int
read_settled(struct pass *pass, struct err *err)
{
	for (int attempt = 0; attempt < READ_ATTEMPTS; attempt++) {
		if (run_pass(pass, err) < 0)
			return -1;
		if (ledger_is_current(&pass->ledger, pass->spool))
			return 0;
		ledger_release(&pass->ledger);
	}
	return err_set(err, EX_TEMPFAIL, "spool %s: %s is written again and again",
	    pass->spool->path, TOTALS_FILE);
}

/* What was much to read is remembered, if that can be done at once. */
static void
remember(struct pass *pass)
{
	bool much = pass->ledger.damaged || pass->bytes >= MUCH_BYTES || pass->closed >= MUCH_LOGS;
	AUTO_FD int lock = much && !pass->spool->read_only ? lock_log(pass->spool, 0) : -1;

	if (lock >= 0 && ledger_is_current(&pass->ledger, pass->spool))
		store(pass, NULL);
}

int
totals_read(struct spool *spool, struct totals *ret, struct err *err)
{
	struct pass pass = { .spool = spool, .ledger = LEDGER_INIT };
	int result = read_settled(&pass, err);

	*ret = (struct totals){ 0 };
	if (result == 0) {
		remember(&pass);
		*ret = pass.ledger.totals;
		pass.ledger.totals = (struct totals){ 0 };
	}
	ledger_release(&pass.ledger);
	return result;
}

/* Whether the sums hold all that these files will ever say. */
static bool
holds_all(const struct ledger *ledger, const char *const *names, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		size_t n = strlen(names[i]);
		const struct tracked *journal;
		char token[TOKEN_SIZE];

		if (n < 4 || !is_token(names[i], n - 4))
			continue; /* not a log that is summed */
		memcpy(token, names[i], n - 4);
		token[n - 4] = '\0';
		journal = ledger_find(ledger, token);
		if (journal == NULL || !journal->closed)
			return false;
	}
	return true;
}

/* Whether the file says so already. */
static bool
is_saved(const struct spool *spool, const char *const *names, size_t count)
{
	AUTO_LEDGER struct ledger ledger = LEDGER_INIT;

	if (ledger_load(&ledger, spool) < 0)
		return false;
	check_boot(&ledger);
	return !ledger.damaged && holds_all(&ledger, names, count);
}

int
totals_save(struct spool *spool, const char *const *names, size_t count, struct err *err)
{
	struct pass pass = { .spool = spool, .ledger = LEDGER_INIT };
	AUTO_FD int lock = -1;
	int result = -1;

	if (count > 0 && is_saved(spool, names, count))
		return 1;
	lock = spool->read_only ? -1 : lock_log(spool, SAVE_WAIT);
	if (lock < 0 && (spool->read_only || errno == EWOULDBLOCK))
		return 0;
	if (lock < 0)
		return err_io(err, "spool %s: cannot lock log", spool->path);
	if (run_pass(&pass, err) == 0 && store(&pass, err) == 0)
		result = holds_all(&pass.ledger, names, count) ? 1 : 0;
	ledger_release(&pass.ledger);
	return result;
}

int64_t
totals_saved(const struct spool *spool)
{
	struct stat st;

	if (fstatat(spool->root, TOTALS_FILE, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	return st.st_mtim.tv_sec * USEC + st.st_mtim.tv_nsec / 1000;
}

int
totals_check(const struct spool *spool, struct err *err)
{
	AUTO_LEDGER struct ledger ledger = LEDGER_INIT;

	if (ledger_load(&ledger, spool) < 0)
		return err_io(err, "spool %s: %s", spool->path, TOTALS_FILE);
	return ledger.damaged ? 0 : 1;
}
