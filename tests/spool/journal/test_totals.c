/* The totals: what a line adds, what the file says again, and how journals are followed. */
#include <fcntl.h>
#include <pthread.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/auto.h"
#include "base/clock.h"
#include "base/fs.h"
#include "spool/journal/history.h"
#include "spool/journal/totals_private.h"
#include "spool_fixture.h"

#define T "{\"t\":\"2026-11-21T07:38:10.000000Z\",\"event\":"
#define SENT(id, lane)                                                                             \
	T "\"sent\",\"id\":\"" id "\",\"name\":\"2.1.000000.0.0." id "\",\"lane\":\"" lane         \
	  "\",\"account\":\"used\",\"attempt\":1,\"created\":\"2026-11-21T07:38:07.500000Z\","     \
	  "\"code\":250,\"recipients\":[{\"address\":\"a@b\",\"outcome\":\"sent\"}]}\n"
#define TOKEN_A "1732147200.000000.aaaaaaaa"
#define TOKEN_B "1732147201.000000.bbbbbbbb"

static const struct totals_account *
account_of(const struct totals *totals, const char *name)
{
	static const struct totals_account none;

	for (size_t i = 0; i < totals->account_count; i++)
		if (strcmp(totals->accounts[i].account, name) == 0)
			return &totals->accounts[i];
	return &none;
}

/* "sent failed deferred limited uncertain attempts" */
static const char *
numbers_of(const struct totals *totals, const char *name)
{
	static char text[200];
	const struct totals_account *a = account_of(totals, name);

	snprintf(text, sizeof text, "%llu %llu %llu %llu %llu %llu",
	    (unsigned long long)a->n[TOTAL_SENT], (unsigned long long)a->n[TOTAL_FAILED],
	    (unsigned long long)a->n[TOTAL_DEFERRED], (unsigned long long)a->n[TOTAL_LIMITED],
	    (unsigned long long)a->n[TOTAL_UNCERTAIN], (unsigned long long)a->n[TOTAL_ATTEMPTS]);
	return text;
}

static uint64_t
sent_of(struct spool *spool, const char *name)
{
	AUTO(totals_release) struct totals totals = { 0 };
	struct err err = ERR_INIT;

	CHECK_INT(totals_read(spool, &totals, &err), 0);
	CHECK_STR(err.msg, "");
	return account_of(&totals, name)->n[TOTAL_SENT];
}

/* ---- lines ------------------------------------------------------------------------------- */

TEST(lines)
{
	static const struct {
		const char *what, *line, *account, *want;
	} rows[] = {
		{ "sent", T "\"sent\",\"lane\":\"main\",\"recipients\":[{}]}", "main",
		    "1 0 0 0 0 1" },
		{ "by what the message names",
		    T "\"sent\",\"lane\":\"default\",\"account\":\"main\"}", "default",
		    "1 0 0 0 0 0" },
		{ "of a batch", T "\"sent\",\"lane\":\"main,spring\"}", "main", "1 0 0 0 0 0" },
		{ "of a domain", T "\"sent\",\"lane\":\"main,,example.org\"}", "main",
		    "1 0 0 0 0 0" },
		{ "encoded", T "\"sent\",\"lane\":\"a%20b%2Fc\"}", "a b/c", "1 0 0 0 0 0" },
		{ "deferred", T "\"deferred\",\"lane\":\"main\",\"recipients\":[{}]}", "main",
		    "0 0 1 0 0 1" },
		{ "failed",
		    T "\"failed\",\"lane\":\"main\",\"class\":\"refused\",\"recipients\":[{}]}",
		    "main", "0 1 0 0 0 1" },
		{ "expired", T "\"failed\",\"lane\":\"main\",\"class\":\"expired\"}", "main",
		    "0 1 0 0 0 0" },
		{ "beyond a limit", T "\"failed\",\"lane\":\"main\",\"class\":\"limit\"}", "main",
		    "0 1 0 1 0 0" },
		{ "class in a text",
		    T "\"failed\",\"lane\":\"main\",\"reason\":\",\\\"class\\\":\\\"limit\\\"\"}",
		    "main", "0 1 0 0 0 0" },
		{ "a limit", T "\"limited\",\"account\":\"ma\\u00efn\"}", "ma\xc3\xafn",
		    "0 0 0 1 0 0" },
		{ "uncertain", T "\"uncertain\",\"lane\":\"main\",\"then\":\"hold\"}", "main",
		    "0 0 0 0 1 1" },
		{ "without a lane", T "\"sent\",\"account\":\"main\"}", "main", "1 0 0 0 0 0" },
		{ "without an account", T "\"sent\",\"id\":\"x\"}", "default", "1 0 0 0 0 0" },
		{ "white space", T " \"sent\", \"lane\": \"main\"}", "main", "0 0 0 0 0 0" },
		{ "white space behind", T "\"sent\", \"lane\": \"main\", \"recipients\": [ {} ] }",
		    "main", "1 0 0 0 0 1" },
		{ "a class with space", T "\"failed\",\"lane\":\"main\",\"class\": \"limit\"}",
		    "main", "0 1 0 1 0 0" },
		{ "torn", T "\"sent\",\"lane\":\"main\",\"acc", "main", "0 0 0 0 0 0" },
		{ "torn behind a bracket", T "\"sent\",\"lane\":\"main\",\"recipients\":[{\"a\":1}",
		    "main", "0 0 0 0 0 0" },
		{ "torn in a string", T "\"sent\",\"lane\":\"main\",\"subject\":\"}]}", "main",
		    "0 0 0 0 0 0" },
		{ "ended twice", T "\"sent\",\"lane\":\"main\"}}", "main", "0 0 0 0 0 0" },
		{ "two in one", T "\"sent\",\"lane\":\"main\"}" T "\"sent\",\"lane\":\"main\"}",
		    "main", "0 0 0 0 0 0" },
		{ "other events", T "\"held\",\"lane\":\"main\"}", "main", "0 0 0 0 0 0" },
		{ "offered", T "\"offered\",\"lane\":\"main\"}", "main", "0 0 0 0 0 0" },
		{ "no event", "{\"t\":\"2026-11-21T07:38:10.000000Z\"}", "main", "0 0 0 0 0 0" },
		{ "no line", "", "main", "0 0 0 0 0 0" },
		{ "an account that is none", T "\"sent\",\"lane\":\"a b\"}", TOTALS_OTHER,
		    "1 0 0 0 0 0" },
		{ "an empty account", T "\"sent\",\"lane\":\"\"}", TOTALS_OTHER, "1 0 0 0 0 0" },
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		AUTO(totals_release) struct totals totals = { 0 };

		totals_count_line(&totals, rows[i].line, strlen(rows[i].line));
		if (strcmp(numbers_of(&totals, rows[i].account), rows[i].want) != 0)
			unit_fail(__FILE__, __LINE__, "[%s] %s: got %s, expected %s", rows[i].what,
			    rows[i].account, numbers_of(&totals, rows[i].account), rows[i].want);
	}
}

TEST(emptied_by_a_power_cut)
{
	AUTO(totals_release) struct totals totals = { 0 };
	char line[] = T "\"sent\",\"lane\":\"main\",\"subject\":\"abcdef\"}";

	strstr(line, "cde")[0] = '\0';
	totals_count_line(&totals, line, sizeof line - 1);
	CHECK_INT(totals.account_count, 0);
}

/* Every beginning of a line, ended as a recovery ends it, adds nothing. */
TEST(torn_anywhere)
{
	static const char line[] =
	    T "\"sent\",\"lane\":\"main\",\"subject\":\"a \\\"]}\\\" b\",\"recipients\":[{\"a\":"
	      "\"x\"},{\"a\":\"]}\"}],\"x\":{\"y\":[1]}}";

	for (size_t n = 0; n <= sizeof line - 1; n++) {
		AUTO(totals_release) struct totals totals = { 0 };

		totals_count_line(&totals, line, n);
		CHECK_INT(account_of(&totals, "main")->n[TOTAL_SENT], n == sizeof line - 1);
	}
}

TEST(latency)
{
	static const struct {
		const char *created;
		int place; /* -1: none */
		uint64_t sum;
	} rows[] = {
		{ "2026-11-21T07:38:10.000000Z", 0, 0 },
		{ "2026-11-21T07:38:09.900000Z", 0, 100000 },
		{ "2026-11-21T07:38:09.899999Z", 1, 100001 },
		{ "2026-11-21T07:38:08.000000Z", 3, 2 * USEC },
		{ "2026-11-21T08:38:05+01:00", 4, 5 * USEC },
		{ "2026-11-20T07:38:10.000000Z", 12, 86400 * USEC },
		{ "2024-02-29T00:00:00.000000Z", 14, INT64_C(86081890) * USEC },
		{ "2026-11-21T07:40:00.000000Z", 0, 0 }, /* the clock was set back */
		{ "yesterday", -1, 0 },
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		AUTO(totals_release) struct totals totals = { 0 };
		const struct totals_account *a;
		char line[300];

		snprintf(line, sizeof line, T "\"sent\",\"lane\":\"main\",\"created\":\"%s\"}",
		    rows[i].created);
		totals_count_line(&totals, line, strlen(line));
		a = account_of(&totals, "main");
		CHECK_INT(a->n[TOTAL_SENT], 1);
		for (int k = 0; k <= TOTALS_BOUNDS; k++)
			if (a->latency[k] != (k == rows[i].place))
				unit_fail(__FILE__, __LINE__, "[%s] place %d: %d", rows[i].created,
				    k, (int)a->latency[k]);
		CHECK_INT(a->latency_sum, rows[i].sum);
	}
}

TEST(more_accounts_than_are_listed)
{
	AUTO(totals_release) struct totals totals = { 0 };
	char line[200];

	for (int i = 0; i < TOTALS_ACCOUNTS + 50; i++) {
		snprintf(line, sizeof line, T "\"sent\",\"lane\":\"a%d\"}", i * 7919 % 1050);
		totals_count_line(&totals, line, strlen(line));
	}
	CHECK_INT(totals.account_count, TOTALS_ACCOUNTS + 1);
	CHECK_INT(account_of(&totals, TOTALS_OTHER)->n[TOTAL_SENT], 50);
	for (size_t i = 1; i < totals.account_count; i++)
		CHECK(strcmp(totals.accounts[i - 1].encoded, totals.accounts[i].encoded) < 0);
}

TEST(a_recovery)
{
	AUTO(totals_release) struct totals totals = { 0 };
	static const char lines[][200] = {
		T "\"recovered\",\"completed\":3,\"put_back\":4,\"uncertain\":5}",
		T "\"recovered\",\"completed\":1,\"put_back\":-4}",
		T "\"corrupt\",\"lane\":\"main\"}",
	};

	for (size_t i = 0; i < 3; i++)
		totals_count_line(&totals, lines[i], strlen(lines[i]));
	CHECK_INT(totals.recoveries, 2);
	CHECK_INT(totals.recovered[RECOVERED_COMPLETED], 4);
	CHECK_INT(totals.recovered[RECOVERED_PUT_BACK], 4);
	CHECK_INT(totals.recovered[RECOVERED_UNCERTAIN], 5);
	CHECK_INT(totals.corrupt, 1);
	CHECK_INT(totals.account_count, 0);
}

/* ---- journals ---------------------------------------------------------------------------- */

static void
append(int dir, const char *name, const char *text)
{
	AUTO_FD int fd = openat(dir, name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	CHECK(fd >= 0 && fs_write(fd, text, strlen(text)) == 0);
}

/* cur/TOKEN with a journal, locked: the descriptor keeps it alive. */
static int
start_runner(struct spool *spool, const char *token, int *ret_dir)
{
	int fd;

	CHECK_INT(mkdirat(spool->cur, token, 0700), 0);
	*ret_dir = fs_open_dir(spool->cur, token);
	fd = openat(*ret_dir, "journal", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	CHECK(fd >= 0 && fs_lock(fd, 0) == 0);
	return fd;
}

static void
end_runner(struct spool *spool, const char *token, int dir)
{
	char name[TOKEN_SIZE + 8];

	snprintf(name, sizeof name, "%s.log", token);
	CHECK_INT(renameat(dir, "journal", spool->log, name), 0);
	CHECK_INT(unlinkat(spool->cur, token, AT_REMOVEDIR), 0);
}

static int
save(struct spool *spool)
{
	struct err err = ERR_INIT;
	int result = totals_save(spool, NULL, 0, &err);

	CHECK_STR(err.msg, "");
	return result;
}

TEST(a_journal_is_followed_to_its_log)
{
	struct spool spool = fresh_spool();
	AUTO_FD int dir = -1;
	int fd = start_runner(&spool, TOKEN_A, &dir);

	CHECK_INT(sent_of(&spool, "main"), 0);
	append(dir, "journal", SENT("1", "main") SENT("2", "main"));
	CHECK_INT(sent_of(&spool, "main"), 2);
	CHECK_INT(save(&spool), 1);
	/* A line that is just being written counts when it is whole. */
	append(dir, "journal", SENT("3", "main") T "\"sent\",\"lane\":\"ma");
	CHECK_INT(sent_of(&spool, "main"), 3);
	CHECK_INT(save(&spool), 1);
	append(dir, "journal", "in\"}\n");
	CHECK_INT(sent_of(&spool, "main"), 4);
	end_runner(&spool, TOKEN_A, dir);
	CHECK_INT(sent_of(&spool, "main"), 4);
	CHECK_INT(save(&spool), 1);
	/* Its lock is held still: what it adds counts. */
	append(spool.log, TOKEN_A ".log", SENT("5", "main"));
	CHECK_INT(sent_of(&spool, "main"), 5);
	auto_close_fd(&fd);
	CHECK_INT(save(&spool), 1);
	CHECK_INT(sent_of(&spool, "main"), 5);
	/* A copy of the spool has other inodes and times. */
	CHECK_INT(renameat(spool.log, TOKEN_A ".log", spool.log, "x"), 0);
	append(spool.log, TOKEN_A ".log",
	    SENT("1", "main") SENT("2", "main") SENT("3", "main") SENT("4", "main"));
	CHECK_INT(sent_of(&spool, "main"), 5);
	spool_close(&spool);
}

TEST(a_log_goes_back_to_a_recovery)
{
	struct spool spool = fresh_spool();
	AUTO_FD int dir = -1;
	int fd = start_runner(&spool, TOKEN_A, &dir);

	append(dir, "journal", SENT("1", "main"));
	end_runner(&spool, TOKEN_A, dir);
	auto_close_fd(&fd);
	CHECK_INT(save(&spool), 1);
	auto_close_fd(&dir);
	CHECK_INT(mkdirat(spool.cur, TOKEN_A, 0700), 0);
	dir = fs_open_dir(spool.cur, TOKEN_A);
	CHECK_INT(renameat(spool.log, TOKEN_A ".log", dir, "journal"), 0);
	CHECK_INT(sent_of(&spool, "main"), 1);
	append(dir, "journal", SENT("2", "main"));
	CHECK_INT(sent_of(&spool, "main"), 2);
	CHECK_INT(save(&spool), 1);
	end_runner(&spool, TOKEN_A, dir);
	CHECK_INT(sent_of(&spool, "main"), 2);
	spool_close(&spool);
}

/* What a power cut took of a journal was told, and stays told; what comes then counts. */
TEST(a_journal_that_lost_its_end)
{
	struct spool spool = fresh_spool();
	AUTO_FD int dir = -1;
	AUTO_FD int fd = start_runner(&spool, TOKEN_A, &dir);

	append(dir, "journal", SENT("1", "main") SENT("2", "main"));
	CHECK_INT(save(&spool), 1);
	CHECK_INT(ftruncate(fd, (off_t)strlen(SENT("1", "main")) + 10), 0);
	CHECK_INT(sent_of(&spool, "main"), 2);
	CHECK_INT(save(&spool), 1);
	append(dir, "journal", "\n" SENT("3", "main"));
	CHECK_INT(sent_of(&spool, "main"), 3);
	spool_close(&spool);
}

/* In another boot a recovery may have gone on with a log that was closed. */
TEST(the_exchange_with_an_application)
{
	static const char *const lines[] = {
		T "\"bounced\",\"id\":\"1\",\"lane\":\"main,spring\",\"class\":\"hard\"}\n",
		T "\"bounced\",\"id\":\"1\",\"account\":\"main\",\"class\":\"soft\"}\n",
		T "\"bounced\",\"id\":\"1\",\"account\":\"main\",\"class\":\"soft\"}\n",
		T "\"bounced\",\"id\":\"1\"}\n",
		T "\"refused\",\"id\":\"2\"}\n",
		T "\"reported\",\"ids\":[\"1\",\"2\",\"3\"]}\n",
		T "\"reported\",\"ids\":[\"4\"]}\n",
		T "\"reported\",\"ids\":[\"4\"\n",
	};
	struct spool spool = fresh_spool();

	for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
		append(spool.log, TOKEN_A ".log", lines[i]);
	/* As read from the journal, and from the file. */
	for (int i = 0; i < 2; i++) {
		AUTO(totals_release) struct totals totals = { 0 };
		struct err err = ERR_INIT;

		CHECK_INT(totals_read(&spool, &totals, &err), 0);
		CHECK_STR(numbers_of(&totals, "main"), "0 0 0 0 0 0");
		CHECK_INT(account_of(&totals, "main")->n[TOTAL_BOUNCED_HARD], 1);
		CHECK_INT(account_of(&totals, "main")->n[TOTAL_BOUNCED_SOFT], 2);
		CHECK_INT(account_of(&totals, "default")->n[TOTAL_BOUNCED_HARD], 1);
		CHECK_INT(totals.told, 4);
		CHECK_INT(totals.refused, 1);
		CHECK_INT(save(&spool), 1);
		unlinkat(spool.log, TOKEN_A ".log", 0);
	}
	spool_close(&spool);
}

TEST(another_boot)
{
	struct spool spool = fresh_spool();
	struct ledger ledger = LEDGER_INIT;

	append(spool.log, TOKEN_A ".log", SENT("1", "main"));
	CHECK_INT(save(&spool), 1);
	append(spool.log, TOKEN_A ".log", SENT("2", "main"));
	CHECK_INT(sent_of(&spool, "main"), 1);
	CHECK_INT(ledger_load(&ledger, &spool), 0);
	CHECK(ledger.boot[0] != '\0');
	snprintf(ledger.boot, sizeof ledger.boot, "another");
	CHECK_INT(ledger_store(&ledger, &spool), 0);
	ledger_release(&ledger);
	CHECK_INT(sent_of(&spool, "main"), 2);
	spool_close(&spool);
}

TEST(names_that_are_no_journals)
{
	struct spool spool = fresh_spool();

	append(spool.log, "a.log", SENT("1", "main"));
	append(spool.log, ".log", SENT("1", "main"));
	append(spool.log, "1 2.log", SENT("1", "main"));
	append(spool.log, TOKEN_A, SENT("1", "main"));
	append(spool.log, "1732147200.000000.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.log",
	    SENT("1", "main"));
	CHECK_INT(mkdirat(spool.log, TOKEN_B ".log", 0700), 0);
	CHECK_INT(mkdirat(spool.cur, TOKEN_B, 0700), 0);
	CHECK_INT(symlinkat("x", spool.cur, TOKEN_A), 0);
	CHECK_INT(sent_of(&spool, "main"), 0);
	append(spool.log, "1732147202.000000.cccccccc.log", SENT("1", "main"));
	CHECK_INT(sent_of(&spool, "main"), 1);
	spool_close(&spool);
}

TEST(nothing_is_written_where_that_is_forbidden)
{
	struct spool spool = fresh_spool(), only;
	const struct spool_options options = { .read_only = true };
	struct err err = ERR_INIT;

	append(spool.log, TOKEN_A ".log", SENT("1", "main"));
	CHECK_INT(spool_open(&only, spool.path, &options, &err), 0);
	CHECK_INT(sent_of(&only, "main"), 1);
	CHECK_INT(totals_save(&only, NULL, 0, &err), 0);
	CHECK_INT(totals_saved(&spool), 0);
	CHECK_INT(save(&spool), 1);
	CHECK(totals_saved(&spool) > clock_now() - 60 * USEC);
	CHECK_INT(sent_of(&only, "main"), 1);
	spool_close(&only);
	spool_close(&spool);
}

TEST(much_is_remembered)
{
	struct spool spool = fresh_spool();
	AUTO_FD int fd = -1;

	append(spool.log, TOKEN_A ".log", SENT("1", "main"));
	CHECK_INT(sent_of(&spool, "main"), 1);
	CHECK_INT(totals_saved(&spool), 0);
	fd = openat(spool.log, TOKEN_B ".log", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	CHECK(fd >= 0);
	for (int i = 0; i < 5000; i++)
		CHECK_INT(fs_write(fd, SENT("1", "more"), strlen(SENT("1", "more"))), 0);
	CHECK_INT(sent_of(&spool, "more"), 5000);
	CHECK(totals_saved(&spool) > 0);
	CHECK_INT(sent_of(&spool, "more"), 5000);
	CHECK_INT(sent_of(&spool, "main"), 1);
	spool_close(&spool);
}

/* ---- forgetting -------------------------------------------------------------------------- */

static void
make_old(const struct spool *spool, const char *name)
{
	const struct timespec times[2] = { { .tv_sec = 1732147300 }, { .tv_sec = 1732147300 } };

	CHECK_INT(utimensat(spool->log, name, times, 0), 0);
}

TEST(logs_are_summed_before_they_are_forgotten)
{
	struct spool spool = fresh_spool();
	struct err err = ERR_INIT;
	int64_t saved;

	append(spool.log, TOKEN_A ".log", SENT("1", "main"));
	append(spool.log, TOKEN_B ".log", SENT("2", "main"));
	append(spool.log, "1732147202.000000.cccccccc.log", "");
	make_old(&spool, TOKEN_A ".log");
	make_old(&spool, "1732147202.000000.cccccccc.log");
	CHECK_INT(history_retire(&spool, clock_now() - 3600 * USEC, 10, false, &err), 2);
	CHECK_INT(faccessat(spool.log, TOKEN_A ".log", F_OK, 0), -1);
	CHECK_INT(sent_of(&spool, "main"), 2);
	/* The second is in the file already. */
	saved = totals_saved(&spool);
	make_old(&spool, TOKEN_B ".log");
	CHECK_INT(history_retire(&spool, clock_now() - 3600 * USEC, 10, false, &err), 1);
	CHECK_INT(totals_saved(&spool), saved);
	CHECK_INT(sent_of(&spool, "main"), 2);
	CHECK_INT(save(&spool), 1);
	CHECK_INT(sent_of(&spool, "main"), 2);
	spool_close(&spool);
}

/* One that was summed while it was written, and has grown since. */
TEST(a_log_that_is_not_summed_whole_is_not_forgotten)
{
	struct spool spool = fresh_spool();
	struct err err = ERR_INIT;
	AUTO_FD int fd =
	    openat(spool.log, TOKEN_A ".log", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	CHECK_INT(fs_lock(fd, 0), 0);
	append(spool.log, TOKEN_A ".log", SENT("1", "main"));
	CHECK_INT(save(&spool), 1);
	append(spool.log, TOKEN_A ".log", SENT("2", "main"));
	make_old(&spool, TOKEN_A ".log");
	CHECK_INT(history_retire(&spool, clock_now() - 3600 * USEC, 10, false, &err), 0);
	CHECK_STR(err.msg, "");
	auto_close_fd(&fd);
	CHECK_INT(history_retire(&spool, clock_now() - 3600 * USEC, 10, false, &err), 1);
	CHECK_INT(sent_of(&spool, "main"), 2);
	spool_close(&spool);
}

/* Killed between the file and the unlink: the logs are there still, and count once. */
TEST(killed_while_forgetting)
{
	struct spool spool = fresh_spool();
	const char *const names[] = { TOKEN_A ".log" };
	struct err err = ERR_INIT;

	append(spool.log, TOKEN_A ".log", SENT("1", "main"));
	CHECK_INT(totals_save(&spool, names, 1, &err), 1);
	CHECK_INT(sent_of(&spool, "main"), 1);
	CHECK_INT(unlinkat(spool.log, TOKEN_A ".log", 0), 0);
	CHECK_INT(sent_of(&spool, "main"), 1);
	spool_close(&spool);
}

/* The lock is for those who write the file. */
TEST(a_reader_waits_for_nobody)
{
	struct spool spool = fresh_spool();
	struct err err = ERR_INIT;
	AUTO_FD int lock = fs_open_dir(spool.root, "log");

	append(spool.log, TOKEN_A ".log", SENT("1", "main"));
	make_old(&spool, TOKEN_A ".log");
	CHECK_INT(fs_lock(lock, 0), 0);
	CHECK_INT(sent_of(&spool, "main"), 1);
	auto_close_fd(&lock);
	CHECK_INT(history_retire(&spool, clock_now() - 3600 * USEC, 10, false, &err), 1);
	CHECK_INT(sent_of(&spool, "main"), 1);
	spool_close(&spool);
}

/* The file is written each hour while there is something new, for those who may not write it. */
TEST(tidying_refreshes_the_file)
{
	struct spool spool = fresh_spool();
	struct err err = ERR_INIT;
	const struct timespec old[2] = { { .tv_sec = 1000000000 }, { .tv_sec = 1000000000 } };
	int64_t first;

	CHECK_INT(history_retire(&spool, 1, 10, false, &err), 0);
	CHECK_INT(totals_saved(&spool), 0);
	append(spool.log, TOKEN_A ".log", SENT("1", "main"));
	CHECK_INT(history_retire(&spool, 1, 10, false, &err), 0);
	first = totals_saved(&spool);
	CHECK(first > 0);
	append(spool.log, TOKEN_B ".log", SENT("1", "main"));
	CHECK_INT(history_retire(&spool, 1, 10, false, &err), 0);
	CHECK_INT(totals_saved(&spool), first);
	CHECK_INT(utimensat(spool.root, "totals", old, 0), 0);
	CHECK_INT(history_retire(&spool, 1, 10, false, &err), 0);
	CHECK(totals_saved(&spool) >= first);
	spool_close(&spool);
}

/* ---- the file ---------------------------------------------------------------------------- */

TEST(the_file_says_it_again)
{
	struct spool spool = fresh_spool();
	struct ledger ledger = LEDGER_INIT, again = LEDGER_INIT;
	struct totals_account *a;

	a = totals_account(&ledger.totals, "b%20c", 5);
	for (int i = 0; i < TOTAL_COUNT; i++)
		a->n[i] = UINT64_MAX - (uint64_t)i;
	for (int i = 0; i <= TOTALS_BOUNDS; i++)
		a->latency[i] = (uint64_t)i;
	a->latency_sum = 77;
	totals_account(&ledger.totals, "a", 1)->n[0] = 5;
	ledger.totals.corrupt = 1;
	ledger.totals.recoveries = 2;
	ledger.totals.recovered[RECOVERED_UNCERTAIN] = 3;
	for (int i = 0; i < 3000; i++) {
		char token[TOKEN_SIZE];

		snprintf(token, sizeof token, "%d.000000.aaaaaaaa", i);
		ledger_track(&ledger, token)->offset = i;
		ledger_find(&ledger, token)->closed = i % 2 == 0;
	}
	CHECK_INT(ledger_store(&ledger, &spool), 0);
	CHECK_INT(ledger_load(&again, &spool), 0);
	CHECK(!again.damaged);
	CHECK_INT(again.totals.account_count, 2);
	CHECK_MEM((const char *)again.totals.accounts, 2 * sizeof *a,
	    (const char *)ledger.totals.accounts, 2 * sizeof *a);
	CHECK_STR(again.totals.accounts[1].account, "b c");
	CHECK_INT(again.totals.corrupt, 1);
	CHECK_INT(again.totals.recoveries, 2);
	CHECK_INT(again.totals.recovered[RECOVERED_UNCERTAIN], 3);
	CHECK_INT(again.count, 3000);
	CHECK_INT(ledger_find(&again, "2999.000000.aaaaaaaa")->offset, 2999);
	CHECK(!ledger_find(&again, "2999.000000.aaaaaaaa")->closed);
	CHECK(ledger_find(&again, "2.000000.aaaaaaaa")->closed);
	CHECK(ledger_find(&again, "3000.000000.aaaaaaaa") == NULL);
	ledger_release(&again);
	ledger_release(&ledger);
	spool_close(&spool);
}

/* Where the logs are there still, they tell it all again; where not, what can be read of the file is
 * the least that is told. */
TEST(a_damaged_file)
{
	struct spool spool = fresh_spool();
	AUTO_BUF struct buf text = BUF_INIT(100000);
	struct err err = ERR_INIT;

	append(spool.log, TOKEN_A ".log", SENT("1", "a") SENT("2", "b"));
	make_old(&spool, TOKEN_A ".log");
	CHECK_INT(history_retire(&spool, clock_now() - 3600 * USEC, 10, false, &err), 1);
	append(spool.log, TOKEN_B ".log", SENT("3", "a") SENT("4", "a") SENT("5", "b"));
	CHECK_INT(save(&spool), 1);
	CHECK_INT(fs_read_file(spool.root, "totals", &text), 0);
	for (size_t i = 0; i < text.len; i += 5) {
		AUTO(totals_release) struct totals totals = { 0 };
		char right = text.s[i];

		text.s[i] = right == '1' ? '\0' : '1';
		CHECK_INT(fs_replace_file(spool.root, "totals", text.s, text.len, 0600), 0);
		text.s[i] = right;
		CHECK_INT(totals_check(&spool, &err), 0);
		CHECK_INT(totals_read(&spool, &totals, &err), 0);
		/* The line of an account is lost, or two with a newline: then what the log says counts. */
		CHECK(account_of(&totals, "a")->n[TOTAL_SENT] >= 2);
		CHECK(account_of(&totals, "b")->n[TOTAL_SENT] >= 1);
		CHECK(account_of(&totals, "a")->n[TOTAL_SENT] +
			account_of(&totals, "b")->n[TOTAL_SENT] >=
		    (right == '\n' ? 3 : 4));
		CHECK(account_of(&totals, "a")->n[TOTAL_SENT] <= 3);
		CHECK(account_of(&totals, "b")->n[TOTAL_SENT] <= 2);
		/* It was written anew at once, so that what follows is added. */
		CHECK_INT(totals_check(&spool, &err), 1);
	}
	CHECK_INT(fs_replace_file(spool.root, "totals", "", 0, 0600), 0);
	CHECK_INT(sent_of(&spool, "a"), 2);
	append(spool.log, "1732147202.000000.cccccccc.log", SENT("6", "a"));
	CHECK_INT(sent_of(&spool, "a"), 3);
	CHECK_INT(unlinkat(spool.root, "totals", 0), 0);
	CHECK_INT(totals_check(&spool, &err), 1);
	CHECK_INT(sent_of(&spool, "a"), 3);
	spool_close(&spool);
}

TEST(no_counter_goes_below_a_floor)
{
	AUTO(totals_release) struct totals totals = { 0 }, floor = { 0 };
	struct totals_account *a = totals_account(&totals, "a", 1);
	struct totals_account *b = totals_account(&floor, "a", 1);
	const uint64_t want[] = { 3, 0, 4, 0, 1 };

	a->n[TOTAL_SENT] = 7;
	b->n[TOTAL_SENT] = 8;
	a->n[TOTAL_FAILED] = 2;
	b->n[TOTAL_FAILED] = 1;
	/* Up to each bound: 1 1 7 7 7 and 3 3 3 3 8. */
	a->latency[0] = 1;
	a->latency[2] = 6;
	b->latency[0] = 3;
	b->latency[4] = 5;
	floor.corrupt = 9;
	totals_account(&floor, "b", 1)->n[TOTAL_SENT] = 1;
	totals_raise(&totals, &floor);
	a = totals_account(&totals, "a", 1);
	CHECK_INT(a->n[TOTAL_SENT], 8);
	CHECK_INT(a->n[TOTAL_FAILED], 2);
	for (size_t i = 0; i < sizeof want / sizeof want[0]; i++)
		CHECK_INT(a->latency[i], want[i]);
	CHECK_INT(totals.corrupt, 9);
	CHECK_INT(account_of(&totals, "b")->n[TOTAL_SENT], 1);
}

/* ---- at once ----------------------------------------------------------------------------- */

struct race {
	struct spool *spool;
	uint64_t told;
	bool stop, went_back;
};

static void *
read_on(void *arg)
{
	struct race *race = arg;
	struct spool spool;
	const struct spool_options options = { .read_only = false };
	struct err err = ERR_INIT;
	uint64_t before = 0;

	if (spool_open(&spool, race->spool->path, &options, &err) < 0)
		return NULL;
	while (!__atomic_load_n(&race->stop, __ATOMIC_ACQUIRE)) {
		AUTO(totals_release) struct totals totals = { 0 };
		uint64_t now;

		if (totals_read(&spool, &totals, &err) < 0)
			break;
		now = account_of(&totals, "main")->n[TOTAL_SENT];
		if (now < before)
			race->went_back = true;
		before = now;
	}
	race->told = before;
	spool_close(&spool);
	return NULL;
}

/* Eight readers, a reader that may not write, runners that come and go, logs that are forgotten. */
TEST(many_at_once)
{
	struct spool spool = fresh_spool();
	struct race races[8];
	pthread_t threads[8];
	struct err err = ERR_INIT;
	uint64_t sent = 0;

	for (size_t i = 0; i < 8; i++) {
		races[i] = (struct race){ .spool = &spool };
		CHECK_INT(pthread_create(&threads[i], NULL, read_on, &races[i]), 0);
	}
	for (int i = 0; i < 100; i++) {
		char token[TOKEN_SIZE], log[TOKEN_SIZE + 8];
		AUTO_FD int dir = -1;
		int fd;

		snprintf(token, sizeof token, "%d.000000.aaaaaaaa", 1732147200 + i);
		snprintf(log, sizeof log, "%s.log", token);
		fd = start_runner(&spool, token, &dir);
		for (int k = 0; k < 30; k++, sent++)
			append(dir, "journal", SENT("1", "main"));
		end_runner(&spool, token, dir);
		auto_close_fd(&fd);
		make_old(&spool, log);
		if (i % 5 == 4)
			CHECK(
			    history_retire(&spool, clock_now() - 3600 * USEC, 3, false, &err) >= 0);
		CHECK_STR(err.msg, "");
	}
	for (size_t i = 0; i < 8; i++) {
		__atomic_store_n(&races[i].stop, true, __ATOMIC_RELEASE);
		CHECK_INT(pthread_join(threads[i], NULL), 0);
		CHECK(!races[i].went_back);
		CHECK(races[i].told <= sent);
	}
	CHECK_INT(sent_of(&spool, "main"), sent);
	spool_close(&spool);
}

UNIT_MAIN()
