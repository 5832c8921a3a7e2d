/* Reports: what is told, in which order, and what stays until it is heard. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/fs.h"
#include "spool/journal/history.h"
#include "spool/queue/runner.h"
#include "spool/report/reports.h"
#include "spool_fixture.h"

/* ---- journals ---------------------------------------------------------------------------- */

/* The instant of second n, microsecond u as a line has it; all lie in the past. */
static const char *
at(int n, int u)
{
	static char text[4][CLOCK_TEXT_SIZE];
	static int next;

	next = (next + 1) % 4;
	return clock_iso_usec((INT64_C(1732147200) + n) * USEC + u, text[next]);
}

static void
put(int dir, const char *name, const char *text)
{
	AUTO_FD int fd = openat(dir, name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	CHECK(fd >= 0 && fs_write(fd, text, strlen(text)) == 0);
}

static void
line(int dir, const char *name, const char *event, const char *id, int n, int u)
{
	char text[300];

	snprintf(text, sizeof text, "{\"t\":\"%s\",\"event\":\"%s\",\"id\":\"%s\"}\n", at(n, u),
	    event, id);
	put(dir, name, text);
}

/* The token of a writer that began in second n. */
static const char *
token_of(int n)
{
	static char text[4][TOKEN_SIZE];
	static int next;

	next = (next + 1) % 4;
	snprintf(text[next], TOKEN_SIZE, "%d.000000.aaaaaaaa", 1732147200 + n);
	return text[next];
}

/* A log that has ended, of the writer that began in second n; linked. */
static char *
log_of(const struct spool *spool, int n)
{
	static char name[TOKEN_SIZE + 8];

	snprintf(name, sizeof name, "%s.log", token_of(n));
	if (faccessat(spool->log, name, F_OK, 0) < 0) {
		put(spool->log, name, "");
		CHECK_INT(reports_link(spool, token_of(n), spool->log, name), 0);
	}
	return name;
}

static void
outcome(const struct spool *spool, int log, const char *event, const char *id, int n, int u)
{
	line(spool->log, log_of(spool, log), event, id, n, u);
}

static int
count_names(const char *name, unsigned char type, void *arg)
{
	(void)type;
	*(int *)arg += strchr(name, ',') != NULL;
	return 0;
}

static int
names_in(const struct spool *spool, const char *path)
{
	AUTO_FD int dir = fs_open_dir(spool->root, path);
	int count = 0;

	if (dir >= 0)
		fs_each(dir, count_names, &count);
	return count;
}

/* ---- a reporter -------------------------------------------------------------------------- */

static struct reports *
opened(struct spool *spool)
{
	struct reports *reports = NULL;
	struct err err = ERR_INIT;

	CHECK_INT(reports_open(spool, &reports, &err), 1);
	CHECK_STR(err.msg, "");
	return reports;
}

/* The ids of at most n reports, with a mark behind those that were rejected before. */
static const char *
take(struct reports *reports, int n)
{
	static char text[2000];
	struct err err = ERR_INIT;
	struct report report;
	int result = 1;

	text[0] = '\0';
	while (n-- > 0 && (result = reports_next(reports, &report, &err)) > 0) {
		size_t len = strlen(text);

		snprintf(text + len, sizeof text - len, "%s%s", len > 0 ? " " : "", report.id);
		len = strlen(text);
		if (report.attempts > 0)
			snprintf(text + len, sizeof text - len, "/%u", report.attempts);
		CHECK(report.len == strlen(report.text));
		CHECK_STR(json_string(json_get(report.value, "id")), report.id);
		CHECK_STR(json_string(json_get(report.value, "event")), event_text(report.event));
	}
	CHECK(result >= 0);
	CHECK_STR(err.msg, "");
	return text;
}

static void
settle(struct reports *reports, const char *rejected)
{
	char copy[500], *rest = copy;
	const char *ids[100], *id;
	struct err err = ERR_INIT;
	size_t n = 0;

	snprintf(copy, sizeof copy, "%s", rejected);
	while ((id = strsep(&rest, " ")) != NULL)
		if (*id != '\0')
			ids[n++] = id;
	CHECK_INT(reports_settle(reports, ids, n, 3, &err), 0);
	CHECK_STR(err.msg, "");
}

/* All that is told by one who opens and hears all. */
static const char *
told(struct spool *spool)
{
	AUTO(reports_close) struct reports *reports = opened(spool);
	const char *text = take(reports, 1000);

	settle(reports, "");
	return text;
}

static struct reports_backlog
backlog(const struct spool *spool)
{
	struct reports_backlog counted;
	struct err err = ERR_INIT;

	CHECK_INT(reports_count(spool, &counted, &err), 0);
	return counted;
}

/* ---- what is told ------------------------------------------------------------------------ */

TEST(nothing_to_tell)
{
	struct spool spool = fresh_spool();

	CHECK_STR(told(&spool), "");
	CHECK_INT(backlog(&spool).waiting, 0);
	CHECK_INT(backlog(&spool).oldest, 0);
	spool_close(&spool);
}

TEST(oldest_first_across_journals)
{
	struct spool spool = fresh_spool();

	outcome(&spool, 0, "sent", "a", 1, 0);
	outcome(&spool, 0, "sent", "d", 9, 0);
	outcome(&spool, 2, "failed", "b", 3, 0);
	outcome(&spool, 2, "deferred", "e", 9, 1);
	outcome(&spool, 5, "uncertain", "c", 6, 0);
	outcome(&spool, 30, "corrupt", "f", 31, 0);
	CHECK_INT(backlog(&spool).waiting, 6);
	CHECK_INT(backlog(&spool).oldest, INT64_C(1732147201) * USEC);
	CHECK_STR(told(&spool), "a b c d e f");
	CHECK_STR(told(&spool), "");
	CHECK_INT(backlog(&spool).waiting, 0);
	CHECK_INT(names_in(&spool, "reports"), 0);
	spool_close(&spool);
}

/* Seven events, and no other; each needs an id. */
TEST(which_events)
{
	struct spool spool = fresh_spool();

	for (int event = 0; event < EVENT_COUNT; event++)
		outcome(&spool, 0, event_text((enum event)event), event_text((enum event)event),
		    1 + event, 0);
	put(spool.log, log_of(&spool, 0),
	    "{\"t\":\"2024-11-21T00:05:00.000000Z\",\"event\":\"sent\"}\n"
	    "{\"t\":\"2024-11-21T00:05:00.000000Z\",\"event\":\"sent\",\"id\":7}\n"
	    "{\"event\":\"sent\",\"id\":\"no-time\"}\n"
	    "{\"t\":\"2024-11-21T00:05:00.000000Z\",\"event\":\"sent\",\"id\":\"torn\n"
	    "garbage\n"
	    "{\"t\":\"2024-11-21T00:05:00.000000Z\",\"event\":\"sent\",\"id\":\"unfinished\"}");
	CHECK_STR(told(&spool), "refused bounced sent deferred failed uncertain corrupt");
	CHECK_INT(names_in(&spool, "reports"), 0);
	spool_close(&spool);
}

/* A journal of whose lines none is a report is not looked at again. */
TEST(nothing_in_it)
{
	struct spool spool = fresh_spool();

	outcome(&spool, 0, "held", "a", 1, 0);
	CHECK_INT(names_in(&spool, "reports"), 1);
	CHECK_STR(told(&spool), "");
	CHECK_INT(names_in(&spool, "reports"), 0);
	spool_close(&spool);
}

TEST(one_at_a_time)
{
	struct spool spool = fresh_spool();
	AUTO(reports_close) struct reports *reports = opened(&spool);
	struct reports *other = NULL;
	struct err err = ERR_INIT;

	CHECK_INT(reports_open(&spool, &other, &err), 0);
	CHECK(other == NULL);
	reports_close(&reports);
	reports = opened(&spool);
	reports_close(&reports);
	spool_close(&spool);
}

/* What was given and not settled is given again: to the same one, and to the next. */
TEST(until_they_are_heard)
{
	struct spool spool = fresh_spool();
	AUTO(reports_close) struct reports *reports = NULL;

	outcome(&spool, 0, "sent", "a", 1, 0);
	outcome(&spool, 2, "sent", "b", 3, 0);
	outcome(&spool, 0, "sent", "c", 4, 0);
	outcome(&spool, 2, "sent", "d", 5, 0);
	reports = opened(&spool);
	CHECK_STR(take(reports, 3), "a b c");
	reports_back(reports);
	CHECK_STR(take(reports, 2), "a b");
	settle(reports, "");
	CHECK_STR(take(reports, 1), "c");
	reports_close(&reports);
	CHECK_INT(backlog(&spool).waiting, 2);
	reports = opened(&spool);
	CHECK_STR(take(reports, 9), "c d");
	CHECK_STR(take(reports, 9), "");
	settle(reports, "");
	reports_close(&reports);
	CHECK_STR(told(&spool), "");
	CHECK_INT(names_in(&spool, "reports"), 0);
	spool_close(&spool);
}

/* The name of a link says how far it was told; whoever copies the spool takes it along. */
TEST(the_name_says_how_far)
{
	struct spool spool = fresh_spool();
	AUTO(reports_close) struct reports *reports = NULL;
	char name[100];
	struct stat st;

	outcome(&spool, 0, "sent", "a", 1, 0);
	CHECK_INT(fstatat(spool.log, log_of(&spool, 0), &st, 0), 0);
	outcome(&spool, 0, "sent", "b", 2, 0);
	reports = opened(&spool);
	CHECK_STR(take(reports, 1), "a");
	settle(reports, "");
	snprintf(name, sizeof name, "reports/%s,%lld", token_of(0), (long long)st.st_size);
	CHECK_INT(faccessat(spool.root, name, F_OK, 0), 0);
	reports_close(&reports);
	CHECK_STR(told(&spool), "b");
	spool_close(&spool);
}

/* ---- journals that are written ----------------------------------------------------------- */

static struct journal_entry
sent(const char *id)
{
	return (struct journal_entry){ .event = EVENT_SENT, .id = id, .attempt = 1 };
}

/* A runner from its first claim to its end, as it looks from the other side. */
TEST(a_runner_at_work)
{
	struct spool spool = fresh_spool();
	AUTO(reports_close) struct reports *reports = opened(&spool);
	struct runner runner;
	struct err err = ERR_INIT;
	char token[TOKEN_SIZE], journal[TOKEN_SIZE + 16], log[TOKEN_SIZE + 8];
	struct journal_entry a = sent("a"), b = sent("b"), c = sent("c");
	AUTO_FD int dir = -1;

	token_make(token);
	snprintf(journal, sizeof journal, "%s/journal", token);
	snprintf(log, sizeof log, "%s.log", token);
	runner_init(&runner, &spool, "test");
	CHECK_INT(mkdirat(spool.cur, token, 0700), 0);
	dir = fs_open_dir(spool.cur, token);
	CHECK_INT(journal_create(&runner.journal, dir, "journal", token, "test"), 0);
	CHECK_INT(reports_link(&spool, token, dir, "journal"), 0);
	CHECK_INT(reports_link(&spool, token, dir, "journal"), 0);
	CHECK_INT(names_in(&spool, "reports"), 1);
	CHECK_STR(take(reports, 9), "");
	journal_add(&runner.journal, &a);
	CHECK_STR(take(reports, 9), ""); /* not written yet */
	CHECK_INT(journal_write(&runner.journal), 0);
	CHECK_STR(take(reports, 9), "a");
	journal_add(&runner.journal, &b);
	CHECK_INT(journal_write(&runner.journal), 0);
	CHECK_STR(take(reports, 9), "b");
	settle(reports, "");
	CHECK_STR(take(reports, 9), "");
	CHECK_INT(names_in(&spool, "reports"), 1);
	journal_add(&runner.journal, &c);
	CHECK_INT(journal_sync(&runner.journal), 0);
	CHECK_INT(renameat(dir, "journal", spool.log, log), 0);
	/* In log/, and its lock is held still: it has not ended. */
	CHECK_STR(take(reports, 9), "c");
	settle(reports, "");
	CHECK_INT(names_in(&spool, "reports"), 1);
	journal_close(&runner.journal);
	CHECK_STR(take(reports, 9), "");
	CHECK_INT(names_in(&spool, "reports"), 0);
	CHECK_STR(err.msg, "");
	spool_close(&spool);
}

/* A dead runner's journal is not done with before a recovery has settled what it had in hand. */
TEST(a_dead_runner)
{
	struct spool spool = fresh_spool();
	AUTO_FD int dir = -1;

	CHECK_INT(mkdirat(spool.cur, token_of(0), 0700), 0);
	dir = fs_open_dir(spool.cur, token_of(0));
	put(dir, "journal", "");
	CHECK_INT(reports_link(&spool, token_of(0), dir, "journal"), 0);
	line(dir, "journal", "sent", "a", 1, 0);
	put(dir, "journal", "{\"t\":\"2024-11-");
	CHECK_STR(told(&spool), "a");
	CHECK_INT(names_in(&spool, "reports"), 1);
	put(dir, "journal", "\n");
	line(dir, "journal", "uncertain", "b", 2, 0);
	CHECK_STR(told(&spool), "b");
	CHECK_INT(renameat(dir, "journal", spool.log, log_of(&spool, 0)), 0);
	CHECK_STR(told(&spool), "");
	CHECK_INT(names_in(&spool, "reports"), 0);
	/* A power cut undoes its end, a recovery goes on with it. */
	CHECK_INT(renameat(spool.log, log_of(&spool, 0), dir, "journal"), 0);
	CHECK_INT(reports_link_again(&spool, token_of(0), dir, "journal"), 0);
	CHECK_INT(reports_link_again(&spool, token_of(0), dir, "journal"), 0);
	CHECK_INT(names_in(&spool, "reports"), 1);
	line(dir, "journal", "uncertain", "c", 3, 0);
	CHECK_STR(told(&spool), "c");
	spool_close(&spool);
}

/* Its log is forgotten: what it has to tell is not. */
TEST(a_log_that_is_gone)
{
	struct spool spool = fresh_spool();

	outcome(&spool, 0, "sent", "a", 1, 0);
	CHECK_INT(unlinkat(spool.log, log_of(&spool, 0), 0), 0);
	CHECK_STR(told(&spool), "a");
	spool_close(&spool);
}

/* Lines that tell of the future (the clock was set back since) hold nothing up. */
TEST(clocks)
{
	struct spool spool = fresh_spool();
	char text[200], instant[CLOCK_TEXT_SIZE];

	for (int i = 0; i < 2; i++) {
		snprintf(text, sizeof text,
		    "{\"t\":\"%s\",\"event\":\"sent\",\"id\":\"future%d\"}\n",
		    clock_iso_usec(clock_now() + (1 + i) * 3600 * USEC, instant), i);
		put(spool.log, log_of(&spool, i), text);
		outcome(&spool, i, "sent", "behind", 50 + i, 0);
	}
	outcome(&spool, 7, "sent", "a", 9, 0);
	outcome(&spool, 7, "sent", "earlier", 8, 0);
	outcome(&spool, 7, "sent", "b", 10, 0);
	CHECK_STR(told(&spool), "a earlier b future0 behind future1 behind");
	CHECK_INT(names_in(&spool, "reports"), 0);
	spool_close(&spool);
}

/* More journals at once than may be open. */
TEST(many_journals_that_overlap)
{
	struct spool spool = fresh_spool();
	AUTO(reports_close) struct reports *reports = NULL;
	struct err err = ERR_INIT;
	struct report report;
	int count = 0, last = -1, heard = -1;

	for (int log = 0; log < 100; log++)
		for (int k = 0; k < 5; k++) {
			char id[40];

			snprintf(id, sizeof id, "%d", 100 * k + log);
			outcome(&spool, log, "sent", id, 1000 + k, log);
		}
	reports = opened(&spool);
	while (reports_next(reports, &report, &err) > 0) {
		CHECK_INT(atoi(report.id), last + 1);
		last = atoi(report.id);
		if (++count % 7 == 0) {
			settle(reports, "");
			heard = last;
		}
		if (count == 50 || count == 250) {
			reports_back(reports);
			last = heard;
		}
	}
	CHECK_INT(last, 499);
	settle(reports, "");
	CHECK_INT(names_in(&spool, "reports"), 0);
	spool_close(&spool);
}

/* Two links to one journal, by somebody's hand: what the one of them says was told is. */
TEST(two_links)
{
	struct spool spool = fresh_spool();
	AUTO_FD int reports = fs_open_dir(spool.root, "reports");
	char from[100], to[100];
	struct stat st;

	outcome(&spool, 0, "sent", "a", 1, 0);
	CHECK_INT(fstatat(spool.log, log_of(&spool, 0), &st, 0), 0);
	outcome(&spool, 0, "sent", "b", 2, 0);
	snprintf(from, sizeof from, "%s,0", token_of(0));
	snprintf(to, sizeof to, "%s,%lld", token_of(0), (long long)st.st_size);
	CHECK_INT(linkat(reports, from, reports, to, 0), 0);
	CHECK_STR(told(&spool), "b");
	CHECK_INT(names_in(&spool, "reports"), 0);
	spool_close(&spool);
}

/* ---- what is rejected -------------------------------------------------------------------- */

TEST(rejected)
{
	struct spool spool = fresh_spool();
	AUTO(reports_close) struct reports *reports = NULL;

	outcome(&spool, 0, "deferred", "a", 1, 0);
	outcome(&spool, 0, "sent", "b", 2, 0);
	outcome(&spool, 0, "sent", "a", 3, 0);
	outcome(&spool, 0, "sent", "c", 4, 0);
	reports = opened(&spool);
	CHECK_STR(take(reports, 2), "a b");
	settle(reports, "a nobody");
	CHECK_STR(take(reports, 9), "c"); /* what follows for a waits */
	settle(reports, "c");
	CHECK_STR(take(reports, 9), ""); /* once each time it is opened */
	CHECK_INT(backlog(&spool).waiting, 3);
	CHECK_INT(backlog(&spool).rejected, 2);
	CHECK_INT(names_in(&spool, "reports"), 0);
	reports_close(&reports);

	reports = opened(&spool);
	CHECK_STR(take(reports, 9), "a/1 c/1 a");
	settle(reports, "a");
	CHECK_STR(take(reports, 9), "");
	reports_close(&reports);
	reports = opened(&spool);
	CHECK_STR(take(reports, 9), "a/2 a/1");
	settle(reports, "a");
	CHECK_INT(backlog(&spool).dead, 1);
	CHECK_INT(backlog(&spool).waiting, 1);
	CHECK_STR(take(reports, 9), "");
	reports_close(&reports);
	CHECK_STR(told(&spool), "a/2");
	CHECK_STR(told(&spool), "");
	CHECK_INT(names_in(&spool, "reports/dead"), 1);
	CHECK_INT(names_in(&spool, "reports/again"), 0);
	{
		struct err err = ERR_INIT;

		CHECK_INT(reports_resend(&spool, &err), 1);
		CHECK_INT(reports_resend(&spool, &err), 0);
	}
	CHECK_INT(backlog(&spool).dead, 0);
	CHECK_STR(told(&spool), "a");
	CHECK_INT(backlog(&spool).waiting, 0);
	spool_close(&spool);
}

/* A batch ends in the middle of what was rejected. */
TEST(rejected_in_parts)
{
	struct spool spool = fresh_spool();
	AUTO(reports_close) struct reports *reports = NULL;

	for (int i = 0; i < 6; i++) {
		char id[2] = { (char)('a' + i % 3), '\0' };

		outcome(&spool, 0, "deferred", id, 1 + i, 0);
	}
	reports = opened(&spool);
	CHECK_STR(take(reports, 9), "a b c a b c");
	settle(reports, "a b c");
	CHECK_STR(take(reports, 9), "");
	reports_close(&reports);

	reports = opened(&spool);
	CHECK_STR(take(reports, 2), "a/1 b/1");
	settle(reports, "b");
	CHECK_STR(take(reports, 1), "c/1");
	reports_back(reports);
	/* The second b stays behind the first. */
	CHECK_STR(take(reports, 2), "c/1 a/1");
	settle(reports, "");
	CHECK_STR(take(reports, 9), "c/1");
	reports_back(reports);
	CHECK_STR(take(reports, 9), "c/1");
	settle(reports, "");
	CHECK_STR(take(reports, 9), "");
	CHECK_INT(backlog(&spool).waiting, 2);
	reports_close(&reports);
	CHECK_STR(told(&spool), "b/2 b/1");
	CHECK_INT(backlog(&spool).waiting, 0);
	CHECK_INT(names_in(&spool, "reports/again"), 0);
	spool_close(&spool);
}

/* What follows for rejected messages is put away although nobody is given anything. */
TEST(what_follows_is_put_away)
{
	struct spool spool = fresh_spool();
	AUTO(reports_close) struct reports *reports = NULL;
	const char *text;
	AUTO_FD int writer = -1;

	outcome(&spool, 0, "deferred", "a", 0, 0);
	writer = openat(spool.log, log_of(&spool, 0), O_RDONLY | O_CLOEXEC);
	CHECK_INT(flock(writer, LOCK_EX | LOCK_NB), 0);
	reports = opened(&spool);
	take(reports, 1);
	settle(reports, "a");
	for (int i = 1; i < 2500; i++)
		outcome(&spool, 0, "deferred", "a", i, 0);
	CHECK_STR(take(reports, 9), "");
	auto_close_fd(&writer);
	CHECK_STR(take(reports, 9), ""); /* that pass sees them */
	CHECK_INT(names_in(&spool, "reports"), 0);
	CHECK_INT(names_in(&spool, "reports/again"), 4);
	reports_close(&reports);
	CHECK_INT(backlog(&spool).waiting, 2500);
	CHECK_INT(backlog(&spool).rejected, 1);
	reports = opened(&spool);
	text = take(reports, 3);
	CHECK_STR(text, "a/1 a a");
	settle(reports, "");
	for (int i = 3; i < 2500; i++) {
		struct report report;
		struct err err = ERR_INIT;
		const char *t;

		CHECK_INT(reports_next(reports, &report, &err), 1);
		t = json_string(json_get(report.value, "t"));
		CHECK_STR(t, at(i, 0));
		if (i % 100 == 0)
			settle(reports, "");
	}
	settle(reports, "");
	CHECK_STR(take(reports, 9), "");
	CHECK_INT(backlog(&spool).waiting, 0);
	spool_close(&spool);
}

/* At random: each report is told at least once, each message's in order, and none that was heard again. */
/* "id id": kept alone, of what was given. */
static void
keep_alone(struct reports *reports, const char *alone)
{
	char copy[500], *rest = copy;
	const char *ids[10];
	struct reports_kept kept = { .alone = ids, .max_attempts = 3 };
	struct err err = ERR_INIT;

	snprintf(copy, sizeof copy, "%s", alone);
	for (char *id; (id = strsep(&rest, " ")) != NULL;)
		ids[kept.alone_count++] = id;
	CHECK_INT(reports_keep(reports, &kept, &err), 0);
	CHECK_STR(err.msg, "");
}

/* The next that is told alone, as take(). */
static const char *
take_alone(struct reports *reports)
{
	static char text[200];
	struct err err = ERR_INIT;
	struct report report;
	int result = reports_next_alone(reports, &report, &err);

	CHECK_STR(err.msg, "");
	if (result == 0)
		return "";
	snprintf(text, sizeof text, "%s/%u", report.id, report.attempts);
	return text;
}

TEST(told_alone)
{
	struct spool spool = fresh_spool();
	struct reports_backlog counted;
	struct reports *reports;

	for (int i = 0; i < 6; i++)
		outcome(&spool, 1, i == 5 ? "sent" : "deferred",
		    (const char *[]){ "a", "b", "a", "c", "d", "b" }[i], 1, i);
	reports = opened(&spool);
	CHECK_STR(take(reports, 4), "a b a c");
	keep_alone(reports, "a b");
	/* What follows for b waits behind it. */
	CHECK_STR(take(reports, 9), "d");
	settle(reports, "");
	CHECK_STR(take(reports, 9), "");
	/* Of this call they are none. */
	CHECK_STR(take_alone(reports), "");
	reports_close(&reports);
	CHECK_INT(names_in(&spool, "reports/again"), 2);
	counted = backlog(&spool);
	CHECK_INT(counted.waiting, 4);
	CHECK_INT(counted.rejected, 0);

	reports = opened(&spool);
	CHECK_STR(take(reports, 9), "");
	CHECK_STR(take_alone(reports), "a/0");
	reports_leave(reports);
	/* The second of a stays behind the first. */
	CHECK_STR(take_alone(reports), "b/0");
	settle(reports, "b");
	CHECK_STR(take_alone(reports), "");
	CHECK_STR(take(reports, 9), "");
	reports_close(&reports);

	reports = opened(&spool);
	outcome(&spool, 2, "sent", "a", 2, 0);
	outcome(&spool, 2, "sent", "e", 2, 0);
	CHECK_STR(take(reports, 9), "e");
	settle(reports, "");
	CHECK_STR(take_alone(reports), "b/1");
	settle(reports, "b");
	CHECK_STR(take_alone(reports), "a/0");
	settle(reports, "");
	CHECK_STR(take_alone(reports), "a/0");
	reports_back(reports);
	CHECK_STR(take_alone(reports), "a/0");
	settle(reports, "");
	CHECK_STR(take_alone(reports), "");
	reports_close(&reports);

	/* Heard, a has its next told as any; the third rejection of b is the last. */
	reports = opened(&spool);
	CHECK_STR(take(reports, 9), "a");
	settle(reports, "");
	CHECK_STR(take_alone(reports), "b/2");
	settle(reports, "b");
	reports_close(&reports);
	CHECK_INT(backlog(&spool).dead, 1);
	reports = opened(&spool);
	CHECK_STR(take(reports, 9), "b");
	settle(reports, "");
	reports_close(&reports);
	/* On demand it is told once more, alone. */
	{
		struct err err = ERR_INIT;

		CHECK_INT(reports_resend(&spool, &err), 1);
	}
	reports = opened(&spool);
	CHECK_STR(take(reports, 9), "");
	CHECK_STR(take_alone(reports), "b/0");
	settle(reports, "");
	reports_close(&reports);
	CHECK_INT(names_in(&spool, "reports/again") + names_in(&spool, "reports"), 0);
	spool_close(&spool);
}

TEST(at_random)
{
	for (unsigned int seed = 1; seed <= 30; seed++) {
		enum { MESSAGES = 8, EACH = 6 };
		struct spool spool = fresh_spool();
		AUTO(reports_close) struct reports *reports = NULL;
		int heard[MESSAGES] = { 0 }, all = 0;

		srandom(seed);
		for (int i = 0; i < MESSAGES * EACH; i++) {
			char id[8];

			snprintf(id, sizeof id, "m%d", i % MESSAGES);
			outcome(&spool, (int)(random() % 5), "deferred", id, 100 + i, 0);
		}
		for (int turn = 0; turn < 2000 && all < MESSAGES * EACH; turn++) {
			char rejected[200] = "";
			int given[MESSAGES] = { 0 }, n = 1 + (int)(random() % 7);
			struct err err = ERR_INIT;
			struct report report;
			bool back = random() % 5 == 0, refuses[MESSAGES];

			if (reports == NULL)
				reports = opened(&spool);
			for (int i = 0; i < MESSAGES; i++) {
				refuses[i] = random() % 4 == 0;
				if (refuses[i])
					snprintf(rejected + strlen(rejected),
					    sizeof rejected - strlen(rejected), " m%d", i);
			}
			while (n-- > 0 && reports_next(reports, &report, &err) > 0) {
				int id = atoi(report.id + 1);
				int number = heard[id] + given[id];

				CHECK_STR(json_string(json_get(report.value, "t")),
				    at(100 + number * MESSAGES + id, 0));
				given[id]++;
			}
			CHECK_STR(err.msg, "");
			if (back) {
				reports_back(reports);
			} else {
				const char *ids[MESSAGES];
				size_t count = 0;
				char names[MESSAGES][8];

				for (int i = 0; i < MESSAGES; i++) {
					snprintf(names[i], sizeof names[i], "m%d", i);
					if (refuses[i])
						ids[count++] = names[i];
					else
						heard[i] += given[i], all += given[i];
				}
				CHECK_INT(reports_settle(reports, ids, count, 1000, &err), 0);
			}
			if (random() % 3 == 0)
				reports_close(&reports);
		}
		CHECK_INT(all, MESSAGES * EACH);
		reports_close(&reports);
		CHECK_INT(backlog(&spool).waiting, 0);
		CHECK_INT(names_in(&spool, "reports") + names_in(&spool, "reports/again"), 0);
		spool_close(&spool);
	}
}

/* The same, where some are kept alone, and fail, or are left, or are heard. */
TEST(alone_at_random)
{
	enum { MESSAGES = 8, EACH = 6 };

	for (unsigned int seed = 1; seed <= 60; seed++) {
		struct spool spool = fresh_spool();
		AUTO(reports_close) struct reports *reports = NULL;
		int heard[MESSAGES] = { 0 }, all = 0;

		srandom(seed);
		for (int i = 0; i < MESSAGES * EACH; i++) {
			char id[8];

			snprintf(id, sizeof id, "m%d", i % MESSAGES);
			outcome(&spool, (int)(random() % 5), "deferred", id, 100 + i, 0);
		}
		for (int turn = 0; turn < 5000 && all < MESSAGES * EACH; turn++) {
			int given[MESSAGES] = { 0 }, n = 1 + (int)(random() % 5), got = 0;
			const char *rejected[MESSAGES], *alone[MESSAGES];
			struct reports_kept kept = { .rejected = rejected,
				.alone = alone,
				.max_attempts = 1000 };
			char names[MESSAGES][8];
			struct err err = ERR_INIT;
			struct report report;
			bool by_itself = false;
			long what = random() % 6;

			if (reports == NULL)
				reports = opened(&spool);
			while (n > 0) {
				int result = by_itself ?
				    reports_next_alone(reports, &report, &err) :
				    reports_next(reports, &report, &err);
				int id;

				if (result == 0 && !by_itself && got == 0) {
					by_itself = true;
					n = 1;
					continue;
				}
				if (result <= 0)
					break;
				id = atoi(report.id + 1);
				CHECK_STR(json_string(json_get(report.value, "t")),
				    at(100 + (heard[id] + given[id]) * MESSAGES + id, 0));
				given[id]++;
				got++;
				n--;
			}
			CHECK_STR(err.msg, "");
			for (int i = 0; i < MESSAGES; i++) {
				long fate = random() % 6;

				snprintf(names[i], sizeof names[i], "m%d", i);
				if (fate == 0)
					rejected[kept.rejected_count++] = names[i];
				else if (fate == 1 && !by_itself)
					alone[kept.alone_count++] = names[i];
				else if (what > 1)
					heard[i] += given[i], all += given[i];
			}
			if (what == 0)
				reports_back(reports);
			else if (what == 1 && by_itself)
				reports_leave(reports);
			else if (what == 1)
				reports_back(reports);
			else
				CHECK_INT(reports_keep(reports, &kept, &err), 0);
			if (got == 0 || random() % 3 == 0)
				reports_close(&reports);
		}
		CHECK_INT(all, MESSAGES * EACH);
		reports_close(&reports);
		CHECK_INT(backlog(&spool).waiting, 0);
		CHECK_INT(names_in(&spool, "reports") + names_in(&spool, "reports/again"), 0);
		spool_close(&spool);
	}
}

/* ---- what is kept ------------------------------------------------------------------------ */

static void
make_old(const struct spool *spool, const char *name, int64_t seconds)
{
	const struct timespec times[2] = { { .tv_sec = seconds }, { .tv_sec = seconds } };

	CHECK_INT(utimensat(spool->log, name, times, 0), 0);
}

/* With an application, what it has not heard of is not forgotten. */
TEST(nothing_is_forgotten_before_it_is_told)
{
	struct spool spool = fresh_spool();
	AUTO(reports_close) struct reports *reports = NULL;
	int64_t before = clock_now() - 3600 * USEC;
	struct err err = ERR_INIT;

	for (int i = 0; i < 3; i++) {
		outcome(&spool, 10 * i, "sent", i == 0 ? "a" : i == 1 ? "b" : "c", 10 * i + 1, 0);
		make_old(&spool, log_of(&spool, 10 * i), 1732147200 + 10 * i + 2);
	}
	CHECK_INT(history_retire(&spool, before, 10, true, &err), 0);
	reports = opened(&spool);
	CHECK_STR(take(reports, 1), "a");
	settle(reports, "");
	reports_close(&reports);
	CHECK_INT(history_retire(&spool, before, 10, true, &err), 1);
	reports = opened(&spool);
	CHECK_STR(take(reports, 9), "b c");
	settle(reports, "c");
	reports_close(&reports);
	/* c was not heard: its log stays, that of b, which ended before, goes. */
	CHECK_INT(history_retire(&spool, before, 10, true, &err), 1);
	CHECK_INT(faccessat(spool.log, log_of(&spool, 20), F_OK, 0), 0);
	CHECK_STR(told(&spool), "c/1");
	CHECK_INT(history_retire(&spool, before, 10, true, &err), 1);
	/* Without an application, nothing holds a log, and its link holds its content. */
	outcome(&spool, 40, "sent", "d", 41, 0);
	make_old(&spool, log_of(&spool, 40), 1732147200 + 42);
	CHECK_INT(history_retire(&spool, before, 10, false, &err), 1);
	CHECK_STR(err.msg, "");
	CHECK_STR(told(&spool), "d");
	spool_close(&spool);
}

TEST(tidy_without_an_application)
{
	struct spool spool = fresh_spool();
	AUTO(reports_close) struct reports *reports = NULL;
	struct err err = ERR_INIT;
	AUTO_FD int locked = -1;

	for (int i = 0; i < 3; i++) {
		outcome(&spool, 10 * i, "sent", "a", 10 * i + 1, 0);
		make_old(&spool, log_of(&spool, 10 * i), 1732147200 + 10 * i + 2);
	}
	/* Somebody still writes to the second. */
	locked = openat(spool.log, log_of(&spool, 10), O_RDONLY | O_CLOEXEC);
	CHECK_INT(flock(locked, LOCK_EX | LOCK_NB), 0);
	CHECK_INT(reports_tidy(&spool, (INT64_C(1732147200) + 15) * USEC, &err), 0);
	CHECK_INT(names_in(&spool, "reports"), 2);
	auto_close_fd(&locked);
	CHECK_INT(reports_tidy(&spool, (INT64_C(1732147200) + 15) * USEC, &err), 0);
	CHECK_INT(names_in(&spool, "reports"), 1);
	reports = opened(&spool);
	take(reports, 9);
	settle(reports, "a");
	reports_close(&reports);
	CHECK_INT(reports_tidy(&spool, clock_now() - 60 * USEC, &err), 0);
	CHECK_INT(backlog(&spool).waiting, 1);
	CHECK_INT(reports_tidy(&spool, clock_now() + 60 * USEC, &err), 0);
	CHECK_INT(backlog(&spool).waiting, 0);
	spool_close(&spool);
}

TEST(a_spool_that_is_read_only)
{
	struct spool spool = fresh_spool(), again;
	struct err err = ERR_INIT;
	const struct spool_options options = { .read_only = true };

	outcome(&spool, 0, "sent", "a", 1, 0);
	CHECK_INT(spool_open(&again, spool.path, &options, &err), 0);
	CHECK_INT(backlog(&again).waiting, 1);
	spool_close(&again);
	/* One of before there were reports. */
	{
		AUTO_FD int reports = fs_open_dir(spool.root, "reports");
		char name[100];

		snprintf(name, sizeof name, "%s,0", token_of(0));
		CHECK_INT(unlinkat(reports, name, 0), 0);
		CHECK_INT(unlinkat(spool.root, "reports", AT_REMOVEDIR), 0);
	}
	CHECK_INT(spool_open(&again, spool.path, &options, &err), 0);
	CHECK_INT(backlog(&again).waiting, 0);
	CHECK_INT(faccessat(spool.root, "reports", F_OK, 0), -1);
	spool_close(&again);
	CHECK_STR(told(&spool), "");
	CHECK_INT(faccessat(spool.root, "reports", F_OK, 0), 0);
	spool_close(&spool);
}

/* ---- how the last call went -------------------------------------------------------------- */

TEST(state)
{
	struct spool spool = fresh_spool();
	struct reports_state state = { .failures = 3,
		.until = INT64_C(1732147200000001),
		.idle_until = INT64_C(1732147300) * USEC,
		.told = INT64_C(1732147100) * USEC,
		.reason = "connection refused\nfailures: 9" };
	struct reports_state got;

	reports_state_read(&spool, &got);
	CHECK_INT(got.failures + got.until + got.idle_until + got.told, 0);
	CHECK_INT(reports_state_write(&spool, &state), 0);
	reports_state_read(&spool, &got);
	CHECK_INT(got.failures, 3);
	CHECK_INT(got.until, state.until);
	CHECK_INT(got.idle_until, state.idle_until);
	CHECK_INT(got.told, state.told);
	CHECK_STR(got.reason, "connection refused failures: 9");
	state = (struct reports_state){ 0 };
	CHECK_INT(reports_state_write(&spool, &state), 0);
	reports_state_read(&spool, &got);
	CHECK_INT(got.failures, 0);
	CHECK_STR(got.reason, "");
	put(spool.root, "reports/state", "failures: many\n");
	reports_state_read(&spool, &got);
	CHECK_INT(got.failures, 0);
	spool_close(&spool);
}

UNIT_MAIN()
