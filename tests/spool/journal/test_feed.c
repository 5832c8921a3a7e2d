/* The feed: every line once, in order, whatever happens to the journals meanwhile. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/fs.h"
#include "spool/journal/feed.h"
#include "spool/queue/runner.h"
#include "spool/report/oplog.h"
#include "spool_fixture.h"

/* ---- journals of the past ---------------------------------------------------------------- */

#define BASE INT64_C(1732147200)

/* A line of second n in the log whose writer began in second log; its file was changed last then. */
static void
line(const struct spool *spool, int log, const char *event, const char *id, int n)
{
	char name[TOKEN_SIZE + 8], text[300], t[CLOCK_TEXT_SIZE];
	const struct timespec times[2] = { { .tv_sec = BASE + n }, { .tv_sec = BASE + n } };
	AUTO_FD int fd = -1;

	snprintf(name, sizeof name, "%lld.000000.aaaaaaaa.log", (long long)BASE + log);
	snprintf(text, sizeof text, "{\"t\":\"%s\",\"event\":\"%s\",\"id\":\"%s\"}\n",
	    clock_iso_usec((BASE + n) * USEC, t), event, id);
	fd = openat(spool->log, name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	CHECK(fd >= 0 && fs_write(fd, text, strlen(text)) == 0 && futimens(fd, times) == 0);
}

/* The ids of at most n lines from a cursor on, which is replaced. */
static const char *
pull(struct spool *spool, struct buf *cursor, int n)
{
	static char text[4000];
	AUTO(feed_close) struct feed *feed = NULL;
	struct err err = ERR_INIT;
	struct feed_line got;
	int result = 1;

	text[0] = '\0';
	CHECK_INT(feed_open(spool, cursor->s, FEED_EVENTS, &feed, &err), 0);
	CHECK_STR(err.msg, "");
	if (feed == NULL)
		return "";
	while (n-- > 0 && (result = feed_next(feed, &got, &err)) > 0) {
		const char *id = json_string(json_get(got.value, "id"));
		size_t len = strlen(text);

		snprintf(text + len, sizeof text - len, "%s%s", len > 0 ? " " : "", id);
		CHECK_STR(json_string(json_get(got.value, "event")), event_text(got.event));
	}
	CHECK(result >= 0);
	CHECK_INT(feed_cursor(feed, cursor), 0);
	CHECK(strspn(cursor->s, "0123456789.~-abcdefghijklmnopqrstuvwxyz") == cursor->len);
	return text;
}

TEST(from_the_beginning_and_on)
{
	struct spool spool = fresh_spool();
	AUTO_BUF struct buf cursor = BUF_INIT(FEED_CURSOR_MAX);

	CHECK_STR(pull(&spool, &cursor, 9), "");
	line(&spool, 0, "begin", "-", 0);
	line(&spool, 0, "sent", "a", 1);
	line(&spool, 0, "offered", "-", 1);
	line(&spool, 0, "held", "d", 20);
	line(&spool, 5, "parked", "b", 6);
	line(&spool, 10, "reported", "c", 11);
	buf_clear(&cursor);
	CHECK_STR(pull(&spool, &cursor, 9), "a b c d");
	CHECK_STR(pull(&spool, &cursor, 9), "");
	buf_clear(&cursor);
	for (int i = 0; i < 4; i++) {
		CHECK_STR(pull(&spool, &cursor, 1), ((const char *[]){ "a", "b", "c", "d" })[i]);
		CHECK_STR(pull(&spool, &cursor, 0), "");
	}
	CHECK_STR(pull(&spool, &cursor, 1), "");
	spool_close(&spool);
}

/* Each cursor of the way leads to the rest, however far apart the journals lie. */
TEST(every_cursor)
{
	for (int apart = 3; apart < 1000; apart *= 10) {
		struct spool spool = fresh_spool();
		AUTO_BUF struct buf cursor = BUF_INIT(FEED_CURSOR_MAX);
		size_t longest = 0;

		for (int i = 0; i < 60; i++)
			for (int k = 0; k < 3; k++) {
				char id[20];

				/* From three overlapping journals at a time. */
				snprintf(id, sizeof id, "%d", 3 * i + k);
				line(&spool, (i / 9 * 9 + k) * apart, "sent", id,
				    (i + 9) * apart + k);
			}
		for (int given = 0; given < 180; given += 7) {
			char want[200] = "";

			for (int i = given; i < given + 7 && i < 180; i++)
				snprintf(want + strlen(want), sizeof want - strlen(want), "%s%d",
				    i > given ? " " : "", i);
			CHECK_STR(pull(&spool, &cursor, 7), want);
			longest = cursor.len > longest ? cursor.len : longest;
		}
		CHECK_STR(pull(&spool, &cursor, 7), "");
		CHECK_INT(cursor.len, strlen("1732147200.000000"));
		CHECK(longest < 1000);
		spool_close(&spool);
	}
}

/* Very many that end within a minute: the cursor stays short. */
TEST(a_cursor_stays_short)
{
	struct spool spool = fresh_spool();
	AUTO_BUF struct buf cursor = BUF_INIT(FEED_CURSOR_MAX);
	int all = 0;

	for (int i = 0; i < 600; i++) {
		char name[TOKEN_SIZE + 8], t[CLOCK_TEXT_SIZE], text[200];
		struct timespec times[2] = { { .tv_sec = BASE + i / 20,
		    .tv_nsec = i % 20 * 50000000 } };
		AUTO_FD int fd = -1;

		times[1] = times[0];
		snprintf(name, sizeof name, "%lld.%06d.aaaaaaaa.log", (long long)BASE + i / 20,
		    i % 20 * 50000);
		snprintf(text, sizeof text, "{\"t\":\"%s\",\"event\":\"sent\",\"id\":\"%d\"}\n",
		    clock_iso_usec((BASE + i / 20) * USEC + i % 20 * 50000, t), i);
		fd = openat(spool.log, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
		CHECK(fd >= 0 && fs_write(fd, text, strlen(text)) == 0 && futimens(fd, times) == 0);
	}
	for (const char *got = "x"; *got != '\0' && all <= 600;) {
		got = pull(&spool, &cursor, 11);
		CHECK(cursor.len < 103 * (TOKEN_SIZE + 4));
		for (const char *p = got; *p != '\0'; all++) {
			CHECK_INT(atoi(p), all);
			p += strcspn(p, " ");
			p += strspn(p, " ");
		}
	}
	CHECK_INT(all, 600);
	spool_close(&spool);
}

TEST(now)
{
	struct spool spool = fresh_spool();
	AUTO_BUF struct buf cursor = BUF_INIT(FEED_CURSOR_MAX);
	struct oplog log = { .spool = &spool }, next = { .spool = &spool };
	struct journal_entry entry = { .event = EVENT_SENT, .id = "before", .attempt = 1 };

	CHECK_INT(oplog_begin(&log, NULL), 0);
	oplog_entry(&log, &entry);
	CHECK_INT(oplog_sync(&log, NULL), 0);
	buf_adds(&cursor, "now");
	CHECK_STR(pull(&spool, &cursor, 9), "");
	entry.id = "after";
	oplog_entry(&log, &entry);
	CHECK_INT(oplog_sync(&log, NULL), 0);
	oplog_end(&log);
	CHECK_INT(oplog_begin(&next, NULL), 0);
	entry.id = "another";
	oplog_entry(&next, &entry);
	CHECK_INT(oplog_sync(&next, NULL), 0);
	oplog_end(&next);
	CHECK_STR(pull(&spool, &cursor, 9), "after another");
	CHECK_STR(pull(&spool, &cursor, 9), "");
	spool_close(&spool);
}

TEST(what_is_no_cursor)
{
	static const char *const rows[] = { "x", "1", "1.5", "1.000000~", "1.000000~x",
		"1.000000~1.000000.aaaaaaaa", "1.000000~1.000000.aaaaaaaa-", "1.000000~../../etc-1",
		"1.000000~1.000000.aaaaaaaa--1", "1.000000~1.000000.aaaaaaaa-1x",
		"1.000000~1.000000.aaaaaaaa-99999999999999999999",
		"1.000000~1.000000.aaaaaaaa-9223372036854775807", "1.000000x", "-1.000000",
		"1.000000~1.000000./-1", " 1.000000", "now " };
	struct spool spool = fresh_spool();

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct feed *feed = NULL;
		struct err err = ERR_INIT;

		CHECK_ROW(rows[i], feed_open(&spool, rows[i], FEED_EVENTS, &feed, &err) == -1);
		CHECK_ROW(rows[i], feed == NULL && err.code == EX_USAGE);
	}
	/* Of another spool, or of what is forgotten; or beyond an end. */
	{
		AUTO_BUF struct buf cursor = BUF_INIT(FEED_CURSOR_MAX);

		line(&spool, 0, "sent", "a", 1);
		line(&spool, 5, "sent", "b", 6);
		buf_adds(&cursor,
		    "0.000000~1.000000.aaaaaaaa-5~1732147200.000000.aaaaaaaa-99999~2.000000.x-0");
		CHECK_STR(pull(&spool, &cursor, 9), "b");
	}
	spool_close(&spool);
}

/* ---- journals that are being written ----------------------------------------------------- */

enum { WRITERS = 3, RUNS = 40, MESSAGES = 10 };

struct writer {
	struct spool *spool;
	int number;
};

/* Runners that come and go; each message has two lines in different journals. */
static void *
write_on(void *arg)
{
	const struct writer *writer = arg;
	unsigned int seed = (unsigned int)writer->number;

	for (int run = 0; run < RUNS; run++) {
		struct spool *spool = writer->spool;
		char token[TOKEN_SIZE], log[TOKEN_SIZE + 8];
		struct journal journal;
		AUTO_FD int dir = -1;

		token_make(token);
		snprintf(log, sizeof log, "%s.log", token);
		if (mkdirat(spool->cur, token, 0700) < 0 ||
		    (dir = fs_open_dir(spool->cur, token)) < 0 ||
		    journal_create(&journal, dir, "journal", token, "test") < 0)
			abort();
		for (int i = 0; i < MESSAGES; i++) {
			char id[40];
			struct journal_entry entry = { .id = id, .attempt = 1 };

			snprintf(id, sizeof id, "%d-%d-%d", writer->number, run - 1, i);
			entry.event = EVENT_SENT;
			if (run > 0)
				journal_add(&journal, &entry);
			snprintf(id, sizeof id, "%d-%d-%d", writer->number, run, i);
			entry.event = EVENT_DEFERRED;
			journal_add(&journal, &entry);
			if (rand_r(&seed) % 3 == 0 && journal_write(&journal) < 0)
				abort();
			if (rand_r(&seed) % 3 == 0)
				usleep((useconds_t)(rand_r(&seed) % 300));
		}
		if (journal_sync(&journal) < 0 || renameat(dir, "journal", spool->log, log) < 0 ||
		    unlinkat(spool->cur, token, AT_REMOVEDIR) < 0)
			abort();
		journal_close(&journal);
	}
	return NULL;
}

TEST(nothing_is_lost_and_nothing_comes_twice)
{
	struct spool spool = fresh_spool();
	AUTO_BUF struct buf cursor = BUF_INIT(FEED_CURSOR_MAX);
	static int state[WRITERS][RUNS][MESSAGES]; /* lines that came */
	struct writer writers[WRITERS];
	pthread_t threads[WRITERS];
	int came = 0, empty = 0;
	unsigned int seed = 1;
	struct err err = ERR_INIT;
	int64_t give_up = clock_monotonic() + 120 * USEC;

	for (int i = 0; i < WRITERS; i++) {
		writers[i] = (struct writer){ &spool, i };
		CHECK_INT(pthread_create(&threads[i], NULL, write_on, &writers[i]), 0);
	}
	while (clock_monotonic() < give_up && empty < 3) {
		AUTO(feed_close) struct feed *feed = NULL;
		int n = 1 + rand_r(&seed) % 200, here = 0;
		struct feed_line got;

		CHECK_INT(feed_open(&spool, cursor.s, FEED_EVENTS, &feed, &err), 0);
		while (n-- > 0 && feed_next(feed, &got, &err) > 0) {
			int writer, run, message;

			CHECK_INT(sscanf(json_string(json_get(got.value, "id")), "%d-%d-%d",
				      &writer, &run, &message),
			    3);
			/* Deferred, then sent; each once. */
			CHECK_INT(state[writer][run][message], got.event == EVENT_SENT);
			state[writer][run][message]++;
			came++, here++;
			if (rand_r(&seed) % 10 == 0)
				CHECK_INT(feed_cursor(feed, &cursor), 0);
			else if (rand_r(&seed) % 50 == 0)
				usleep(500);
		}
		CHECK_INT(feed_cursor(feed, &cursor), 0);
		if (came == WRITERS * MESSAGES * (2 * RUNS - 1))
			empty += here == 0;
	}
	for (int i = 0; i < WRITERS; i++)
		CHECK_INT(pthread_join(threads[i], NULL), 0);
	CHECK_INT(came, WRITERS * MESSAGES * (2 * RUNS - 1));
	CHECK_STR(err.msg, "");
	spool_close(&spool);
}

UNIT_MAIN()
