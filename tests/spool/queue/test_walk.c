/* Looking at the spool and acting on it: walk, count, act, history, park, check. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/time.h>

#include "base/clock.h"
#include "base/fs.h"
#include "spool/check/check.h"
#include "spool/draft/draft.h"
#include "spool/journal/history.h"
#include "spool/policy/park.h"
#include "spool/queue/act.h"
#include "spool/queue/count.h"
#include "spool/queue/partial.h"
#include "spool/store/walk.h"
#include "spool_fixture.h"
#include "unit.h"

struct wish {
	const char *id, *account, *batch;
	int priority;
	int64_t in; /* seconds from now; 0: at once */
};

static void
add(struct spool *spool, const struct wish *wishes, size_t n)
{
	static char *recipient[] = { (char *)"b@example.org" };
	AUTO(draft_end) struct draft *draft = draft_begin(spool);
	const struct text_facts facts = { 0 };
	struct err err = ERR_INIT;

	for (size_t i = 0; i < n; i++) {
		const struct wish *wish = &wishes[i];
		struct record record = { .id = (char *)(uintptr_t)wish->id,
			.account = (char *)(uintptr_t)wish->account,
			.batch = (char *)(uintptr_t)wish->batch,
			.priority = wish->priority,
			.due = wish->in != 0 ? clock_now() + wish->in * USEC : 0,
			.sender = (char *)"a@example.com",
			.recipients = recipient,
			.recipient_count = 1 };

		CHECK_INT(draft_message_begin(draft, &record, &err), 0);
		CHECK_INT(draft_write(draft, "Subject: x\r\n\r\nx\r\n", 17, &err), 0);
		CHECK_INT(draft_message_end(draft, &facts, &err), 0);
	}
	CHECK_INT(draft_commit(draft, &err), 0);
	CHECK_STR(err.msg, "");
}

static const struct wish five[] = {
	{ "w1", "main", NULL, 2, 0 },
	{ "w2", "main", "xmas", 1, 0 },
	{ "d1", "main", NULL, 2, 3600 },
	{ "w3", "default", NULL, 0, 0 },
	{ "d2", "default", "xmas", 2, 90000 },
};

static int
collect(const struct place *place, void *arg)
{
	char *text = arg;

	snprintf(text + strlen(text), 4000 - strlen(text), "%s ", place->name.id);
	return 0;
}

static const char *
ids_of(struct spool *spool, struct walk_filter filter)
{
	static char text[4000];
	struct err err = ERR_INIT;

	text[0] = '\0';
	CHECK_INT(walk(spool, &filter, collect, text, &err), 0);
	CHECK_STR(err.msg, "");
	return text;
}

TEST(walking)
{
	struct spool spool = fresh_spool();
	const char *two[] = { "d2", "nope", "w1", "w1" }, *none[] = { "nope" },
		   *odd[] = { "", "../x" };

	CHECK_STR(ids_of(&spool, (struct walk_filter){ .state = STATE_NONE }), "");
	add(&spool, five, 5);
	CHECK_STR(ids_of(&spool, (struct walk_filter){ .state = STATE_NONE }), "w3 w1 w2 d2 d1 ");
	CHECK_STR(ids_of(&spool, (struct walk_filter){ .state = STATE_DEFERRED }), "d2 d1 ");
	CHECK_STR(ids_of(&spool, (struct walk_filter){ .state = STATE_HELD }), "");
	CHECK_STR(ids_of(&spool, (struct walk_filter){ .state = STATE_CLAIMED }), "");
	CHECK_STR(ids_of(&spool, (struct walk_filter){ .state = STATE_NONE, .account = "main" }),
	    "w1 w2 d1 ");
	CHECK_STR(ids_of(&spool, (struct walk_filter){ .state = STATE_NONE, .batch = "xmas" }),
	    "w2 d2 ");
	CHECK_STR(ids_of(&spool,
		      (struct walk_filter){ .state = STATE_WAITING,
			  .account = "main",
			  .batch = "xmas" }),
	    "w2 ");
	CHECK_STR(ids_of(&spool, (struct walk_filter){ .state = STATE_NONE, .account = "mai" }),
	    "");
	CHECK_STR(ids_of(&spool,
		      (struct walk_filter){ .state = STATE_NONE, .ids = two, .id_count = 4 }),
	    "w1 d2 ");
	CHECK_STR(ids_of(&spool,
		      (struct walk_filter){ .state = STATE_NONE, .ids = none, .id_count = 1 }),
	    "");
	CHECK_STR(ids_of(&spool,
		      (struct walk_filter){ .state = STATE_NONE, .ids = odd, .id_count = 2 }),
	    "");
	CHECK_STR(ids_of(&spool,
		      (struct walk_filter){ .state = STATE_NONE, .ids = two, .id_count = 0 }),
	    "");
	spool_close(&spool);
}

static int
stop_at_second(const struct place *place, void *arg)
{
	(void)place;
	return ++*(int *)arg == 2 ? 42 : 0;
}

TEST(a_walk_can_be_stopped)
{
	struct spool spool = fresh_spool();
	struct walk_filter all = { .state = STATE_NONE };
	int count = 0;

	add(&spool, five, 5);
	CHECK_INT(walk(&spool, &all, stop_at_second, &count, NULL), 42);
	CHECK_INT(count, 2);
	spool_close(&spool);
}

/* Files and directories that are not of the spool are passed over, and stop nothing. */
TEST(strays_are_passed_over)
{
	struct spool spool = fresh_spool();
	struct counts counts;
	struct err err = ERR_INIT;

	add(&spool, five, 1);
	mkdirat(spool.states[STATE_WAITING], "a b", 0700);
	mkdirat(spool.states[STATE_WAITING], "main/lost+found", 0700);
	mkdirat(spool.states[STATE_WAITING], "main/2.0", 0700);
	mkdirat(spool.states[STATE_WAITING], "main/2.0/2.1.000000.0.0.directory", 0700);
	CHECK_INT(symlinkat("/etc/passwd", spool.states[STATE_WAITING],
		      "main/2.0/2.1.000000.0.0.link"),
	    0);
	CHECK_INT(symlinkat("/", spool.states[STATE_WAITING], "main/2.5"), 0);
	close(openat(spool.states[STATE_WAITING], "file", O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	close(openat(spool.states[STATE_WAITING], "main/2.0/README", O_CREAT | O_WRONLY | O_CLOEXEC,
	    0600));
	CHECK_STR(ids_of(&spool, (struct walk_filter){ .state = STATE_NONE }), "w1 ");
	CHECK_INT(count_messages(&spool, &counts, &err), 0);
	CHECK_INT(counts.messages[STATE_WAITING], 1);
	counts_release(&counts);
	spool_close(&spool);
}

/* Makes a bucket look as if nothing had changed in it for a minute, so that it may be cached. */
static void
age_buckets(const struct spool *spool, const char *lane)
{
	AUTO_FREE char *command = malloc(1000);

	snprintf(command, 1000,
	    "find '%s/%s' -mindepth 1 -type d -exec touch -d '-1 minute' '{}' +", spool->path,
	    lane);
	CHECK_INT(system(command), 0);
}

TEST(counting)
{
	struct spool spool = fresh_spool();
	const struct spool_options read_only = { .read_only = true };
	struct counts counts;
	struct err err = ERR_INIT;

	add(&spool, five, 5);
	for (int pass = 0; pass < 3; pass++) {
		/* The first counts, the second fills the cache, the third reads it. */
		if (pass == 1) {
			age_buckets(&spool, "waiting");
			age_buckets(&spool, "deferred");
		}
		CHECK_INT(count_messages(&spool, &counts, &err), 0);
		CHECK_STR(err.msg, "");
		CHECK_INT(counts.messages[STATE_WAITING], 3);
		CHECK_INT(counts.messages[STATE_DEFERRED], 2);
		CHECK_INT(counts.messages[STATE_CLAIMED], 0);
		CHECK_INT(counts.lane_count, 4);
		CHECK_STR(counts.lanes[0].lane.account, "default");
		CHECK_STR(counts.lanes[1].lane.batch, "xmas");
		CHECK_INT(counts.lanes[1].messages[STATE_DEFERRED], 1);
		CHECK_INT(counts.lanes[2].messages[STATE_WAITING], 1);
		CHECK_INT(counts.lanes[2].messages[STATE_DEFERRED], 1);
		CHECK(counts.next_due > clock_now() && counts.next_due < clock_now() + 3601 * USEC);
		CHECK(counts.oldest > 0 && counts.oldest <= clock_now());
		CHECK_INT(counts.runners, 0);
		counts_release(&counts);
	}
	/* What the cache says is believed while the directory is the same... */
	{
		AUTO_BUF struct buf cache = BUF_INIT(65536);

		CHECK_INT(fs_read_file(spool.root, "count", &cache), 0);
		CHECK(strncmp(cache.s, "mailq-count 1\nwaiting/default/0.", 32) == 0);
	}
	/* ...and a new message shows at once. */
	add(&spool, &(struct wish){ "w4", "main", NULL, 2, 0 }, 1);
	CHECK_INT(count_messages(&spool, &counts, &err), 0);
	CHECK_INT(counts.messages[STATE_WAITING], 4);
	counts_release(&counts);
	spool_close(&spool);
	(void)read_only;
}

/* Whatever the cache holds, the numbers are right. */
TEST(a_damaged_cache_is_not_believed)
{
	static const char *const damages[] = { "", "x", "mailq-count 1\n", "mailq-count 2\nend 0\n",
		"mailq-count 1\nwaiting/main/2.0 1 1.1 999 1\nend 0123456789abcdef\n" };
	struct spool spool = fresh_spool();
	struct err err = ERR_INIT;
	AUTO_BUF struct buf cache = BUF_INIT(65536);
	struct counts counts;

	add(&spool, five, 5);
	age_buckets(&spool, "waiting");
	CHECK_INT(count_messages(&spool, &counts, &err), 0);
	counts_release(&counts);
	CHECK_INT(fs_read_file(spool.root, "count", &cache), 0);
	for (size_t i = 0; i < sizeof damages / sizeof damages[0] + cache.len; i++) {
		size_t n = i - sizeof damages / sizeof damages[0];

		if (i < sizeof damages / sizeof damages[0])
			fs_replace_file(spool.root, "count", damages[i], strlen(damages[i]), 0600);
		else if (n % 17 == 0)
			fs_replace_file(spool.root, "count", cache.s, n, 0600);
		else
			continue;
		CHECK_INT(count_messages(&spool, &counts, &err), 0);
		CHECK_INT(counts.messages[STATE_WAITING], 3);
		CHECK_INT(counts.messages[STATE_DEFERRED], 2);
		counts_release(&counts);
	}
	/* One byte of a number changed. */
	{
		char *digit = strstr(cache.s, " 1 ");

		CHECK(digit != NULL);
		if (digit != NULL)
			digit[1] = '7';
		fs_replace_file(spool.root, "count", cache.s, cache.len, 0600);
		CHECK_INT(count_messages(&spool, &counts, &err), 0);
		CHECK_INT(counts.messages[STATE_WAITING], 3);
		counts_release(&counts);
	}
	spool_close(&spool);
}

static struct act_result
do_act(struct spool *spool, enum act what, const char *const *ids, size_t n)
{
	const struct walk_filter filter = { .state = STATE_NONE, .ids = ids, .id_count = n };
	struct act_result result;
	struct err err = ERR_INIT;

	CHECK_INT(act(spool, what, NULL, &filter, &result, &err), 0);
	CHECK_STR(err.msg, "");
	return result;
}

TEST(acting_by_id)
{
	struct spool spool = fresh_spool();
	const char *ids[] = { "w1", "d1", "nope", "w1" };
	struct act_result result;
	char token[TOKEN_SIZE];

	add(&spool, five, 5);
	result = do_act(&spool, ACT_HOLD, ids, 4);
	CHECK_INT(result.done, 2);
	CHECK_INT(result.missing_count, 1);
	CHECK_STR(result.missing[0], "nope");
	act_result_release(&result);
	CHECK_STR(ids_of(&spool, (struct walk_filter){ .state = STATE_HELD }), "w1 d1 ");

	result = do_act(&spool, ACT_HOLD, ids, 2);
	CHECK_INT(result.done, 0);
	CHECK_INT(result.unfit, 2);
	act_result_release(&result);

	/* Released: each to where it was. */
	result = do_act(&spool, ACT_RELEASE, ids, 2);
	CHECK_INT(result.done, 2);
	act_result_release(&result);
	CHECK_STR(ids_of(&spool, (struct walk_filter){ .state = STATE_HELD }), "");
	CHECK_STR(ids_of(&spool, (struct walk_filter){ .state = STATE_DEFERRED }), "d2 d1 ");

	/* Retried: due now. */
	result = do_act(&spool, ACT_RETRY, ids + 1, 1);
	CHECK_INT(result.done, 1);
	act_result_release(&result);
	CHECK_STR(ids_of(&spool, (struct walk_filter){ .state = STATE_WAITING, .account = "main" }),
	    "w1 d1 w2 ");

	CHECK_INT(id_lookup(&spool, "d1", token), 1);
	result = do_act(&spool, ACT_DELETE, ids, 2);
	CHECK_INT(result.done, 2);
	act_result_release(&result);
	CHECK_STR(ids_of(&spool, (struct walk_filter){ .state = STATE_NONE, .account = "main" }),
	    "w2 ");
	CHECK_INT(id_lookup(&spool, "d1", token), 0);
	/* The id may be used again. */
	add(&spool, five, 1);
	CHECK_STR(ids_of(&spool, (struct walk_filter){ .state = STATE_NONE, .account = "main" }),
	    "w1 w2 ");
	spool_close(&spool);
}

TEST(acting_on_all)
{
	struct spool spool = fresh_spool();
	const struct walk_filter all = { .state = STATE_NONE },
				 xmas = { .state = STATE_NONE, .batch = "xmas" };
	struct act_result result;
	struct err err = ERR_INIT;

	add(&spool, five, 5);
	CHECK_INT(act(&spool, ACT_HOLD, NULL, &xmas, &result, &err), 0);
	CHECK_INT(result.done, 2);
	CHECK_INT(result.unfit, 0);
	act_result_release(&result);
	CHECK_INT(act(&spool, ACT_HOLD, NULL, &all, &result, &err), 0);
	CHECK_INT(result.done, 3);
	CHECK_INT(result.unfit, 0);
	act_result_release(&result);
	CHECK_INT(act(&spool, ACT_DELETE, NULL, &all, &result, &err), 0);
	CHECK_INT(result.done, 5);
	act_result_release(&result);
	CHECK_STR(ids_of(&spool, all), "");
	CHECK_INT(act(&spool, ACT_DELETE, NULL, &all, &result, &err), 0);
	CHECK_INT(result.done, 0);
	act_result_release(&result);
	spool_close(&spool);
}

static int
check_size(const char *name, unsigned char type, void *arg)
{
	AUTO_FD int bucket = -1;
	struct stat st;

	(void)type;
	bucket = openat(*(int *)arg, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK_INT(fstat(bucket, &st), 0);
	CHECK_ROW(name, st.st_size <= 512 * 1024);
	return 0;
}

/* However many come together, no bucket grows beyond some thousand names. */
TEST(buckets_do_not_grow_without_bound)
{
	enum { BATCH = 1000, BATCHES = 8 };
	static char ids[BATCH][ID_TEXT_MAX + 1];
	static struct wish wishes[BATCH];
	struct spool spool = fresh_spool();
	const struct walk_filter all = { .state = STATE_NONE };
	struct act_result result;
	struct counts counts;
	struct err err = ERR_INIT;
	AUTO_FD int lane = -1;

	for (int batch = 0; batch < BATCHES; batch++) {
		for (int i = 0; i < BATCH; i++) {
			snprintf(ids[i], sizeof ids[i], "%0150d-%d", i, batch);
			wishes[i] = (struct wish){ ids[i], "main", NULL, 2, 0 };
		}
		add(&spool, wishes, BATCH);
	}
	CHECK_INT(act(&spool, ACT_HOLD, NULL, &all, &result, &err), 0);
	CHECK_STR(err.msg, "");
	CHECK_INT(result.done, BATCH * BATCHES);
	act_result_release(&result);
	CHECK_INT(count_messages(&spool, &counts, &err), 0);
	CHECK_INT(counts.messages[STATE_HELD], BATCH * BATCHES);
	CHECK_INT(counts.messages[STATE_WAITING], 0);
	counts_release(&counts);
	lane = fs_open_dir(spool.states[STATE_HELD], "main");
	CHECK_INT(fs_each(lane, check_size, &lane), 0);
	spool_close(&spool);
}

/* Claims a message as a runner would, with a journal that is locked. */
static void
claim(struct spool *spool, const char *token, const char *id, struct journal *journal)
{
	char command[1200];
	AUTO_FD int dir = -1;

	mkdirat(spool->cur, token, 0700);
	dir = fs_open_dir(spool->cur, token);
	CHECK_INT(journal_create(journal, dir, "journal", token, "test"), 0);
	mkdirat(dir, "main", 0700);
	snprintf(command, sizeof command, "mv '%s'/waiting/main/*/*.%s '%s/cur/%s/main/'",
	    spool->path, id, spool->path, token);
	CHECK_INT(system(command), 0);
}

TEST(what_is_claimed_is_not_touched)
{
	struct spool spool = fresh_spool();
	const char *ids[] = { "w1" };
	struct journal journal;
	struct act_result result;
	struct counts counts;
	struct err err = ERR_INIT;

	add(&spool, five, 5);
	claim(&spool, "1732170240.000000.abcdefgh", "w1", &journal);
	CHECK_STR(ids_of(&spool, (struct walk_filter){ .state = STATE_CLAIMED }), "w1 ");
	for (enum act what = ACT_HOLD; what <= ACT_DELETE; what++) {
		result = do_act(&spool, what, ids, 1);
		CHECK_INT(result.done, 0);
		CHECK_INT(result.claimed, 1);
		CHECK_INT(result.missing_count, 0);
		act_result_release(&result);
	}
	CHECK_INT(count_messages(&spool, &counts, &err), 0);
	CHECK_INT(counts.messages[STATE_CLAIMED], 1);
	CHECK_INT(counts.messages[STATE_WAITING], 2);
	CHECK_INT(counts.runners, 1);
	counts_release(&counts);
	CHECK(runner_is_at_work(&spool, "1732170240.000000.abcdefgh"));
	journal_close(&journal);
	CHECK(!runner_is_at_work(&spool, "1732170240.000000.abcdefgh"));
	CHECK(!runner_is_at_work(&spool, "nobody"));
	spool_close(&spool);
}

/* A log with lines of these times (seconds) and events. */
static void
write_log(const struct spool *spool, const char *name, const char *text)
{
	AUTO_FD int fd = openat(spool->log, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	CHECK_INT(fs_write(fd, text, strlen(text)), 0);
}

static int
collect_line(const char *text, size_t len, const struct json *value, void *arg)
{
	char *out = arg;
	const char *id = json_string(json_get(value, "id"));

	(void)text;
	(void)len;
	snprintf(out + strlen(out), 1000 - strlen(out), "%s:%s ",
	    json_string(json_get(value, "event")), id != NULL ? id : "");
	return 0;
}

static const char *
history_of(struct spool *spool, struct history_filter filter)
{
	static char out[1000];
	struct err err = ERR_INIT;

	out[0] = '\0';
	CHECK_INT(history_read(spool, &filter, collect_line, out, &err), 0);
	CHECK_STR(err.msg, "");
	return out;
}

#define LINE(t, rest) "{\"t\":\"2024-11-21T00:00:" t ".000000Z\",\"event\":" rest "}\n"
#define T0 (INT64_C(1732147200) * USEC)

TEST(history_is_one_story)
{
	struct spool spool = fresh_spool();

	CHECK_STR(history_of(&spool, (struct history_filter){ .all = true }), "");
	/* Two logs that overlap, one behind them, and what is no log. */
	write_log(&spool, "1732147200.000000.aaaaaaaa.log",
	    LINE("00", "\"begin\"") LINE("01", "\"sent\",\"id\":\"1\"")
		LINE("05", "\"sent\",\"id\":\"3\"")
		    LINE("05", "\"dot\",\"name\":\"2.1.000000.0.0.x\"") "torn");
	write_log(&spool, "1732147202.000000.bbbbbbbb.log",
	    LINE("02", "\"begin\"") LINE("03", "\"failed\",\"id\":\"2\"") "not JSON\n" LINE("07",
		"\"parked\",\"account\":\"a\""));
	write_log(&spool, "1732147210.000000.cccccccc.log", LINE("10", "\"sent\",\"id\":\"x\""));
	write_log(&spool, "1732147210.000000.cccccccc.bak", LINE("10", "\"sent\",\"id\":\"bak\""));
	write_log(&spool, "README.log", "hello\n");
	CHECK_STR(history_of(&spool, (struct history_filter){ 0 }),
	    "sent:1 failed:2 sent:3 parked: sent:x ");
	CHECK_STR(history_of(&spool, (struct history_filter){ .all = true }),
	    "begin: sent:1 begin: failed:2 sent:3 dot: parked: sent:x ");
	CHECK_STR(history_of(&spool, (struct history_filter){ .id = "x" }), "sent:x ");
	CHECK_STR(history_of(&spool, (struct history_filter){ .id = "x", .all = true }),
	    "dot: sent:x ");
	CHECK_STR(history_of(&spool, (struct history_filter){ .id = "nope" }), "");
	CHECK_STR(history_of(&spool, (struct history_filter){ .since = T0 + 4 * USEC }),
	    "sent:3 parked: sent:x ");
	CHECK_STR(history_of(&spool,
		      (struct history_filter){ .since = T0 + 2 * USEC, .until = T0 + 6 * USEC }),
	    "failed:2 sent:3 ");
	spool_close(&spool);
}

TEST(history_of_odd_ids)
{
	struct spool spool = fresh_spool();
	static const char *const ids[] = { "a\"b", "a\\b", "\xc3\xa9", "a/b", "a\nb", "100%" };
	struct journal journal;

	CHECK_INT(journal_create(&journal, spool.log, "1732147200.000000.aaaaaaaa.log", "t",
		      "test"),
	    0);
	for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++)
		journal_add(&journal,
		    &(struct journal_entry){ .event = EVENT_SENT, .id = ids[i], .attempt = -1 });
	CHECK_INT(journal_sync(&journal), 0);
	journal_close(&journal);
	for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
		char want[40];

		snprintf(want, sizeof want, "sent:%s ", ids[i]);
		CHECK_STR(history_of(&spool, (struct history_filter){ .id = ids[i] }), want);
	}
	spool_close(&spool);
}

/* The journal of a runner at work is part of the story. */
TEST(history_reads_journals_too)
{
	struct spool spool = fresh_spool();
	struct journal journal;

	add(&spool, five, 1);
	claim(&spool, "1732147200.000000.aaaaaaaa", "w1", &journal);
	journal_add(&journal,
	    &(struct journal_entry){ .event = EVENT_SENT, .id = "w1", .attempt = 1 });
	CHECK_INT(journal_write(&journal), 0);
	CHECK_STR(history_of(&spool, (struct history_filter){ 0 }), "sent:w1 ");
	journal_close(&journal);
	spool_close(&spool);
}

static void
age_log(const struct spool *spool, const char *name, int64_t instant)
{
	const struct timespec times[2] = { { .tv_sec = instant / USEC },
		{ .tv_sec = instant / USEC } };

	CHECK_INT(utimensat(spool->log, name, times, 0), 0);
}

/* Puts a message that is waiting into failed/. */
static void
fail(struct spool *spool, const char *id)
{
	char command[1000];

	snprintf(command, sizeof command,
	    "mkdir -p '%s'/failed/main/2.0 && mv '%s'/waiting/main/*/*.%s '%s'/failed/main/2.0/",
	    spool->path, spool->path, id, spool->path);
	CHECK_INT(system(command), 0);
}

TEST(forgetting)
{
	static const struct wish wishes[] = { { "f1", "main", NULL, 2, 0 },
		{ "f2", "main", NULL, 2, 0 }, { "f3", "main", NULL, 2, 0 } };
	struct spool spool = fresh_spool();
	int64_t later = clock_now() + USEC;
	struct err err = ERR_INIT;
	char token[TOKEN_SIZE];
	uint64_t forgotten = 0;

	add(&spool, wishes, 3);
	fail(&spool, "f1");
	/* f2 failed and was retried since: it is waiting.  s1 was sent.  f3 never was anywhere else. */
	CHECK_INT(id_take(&spool, "s1", "t", NULL, &err), 1);
	CHECK_INT(id_take(&spool, "new", "t", NULL, &err), 1);
	write_log(&spool, "1732147200.000000.aaaaaaaa.log",
	    LINE("01", "\"failed\",\"id\":\"f1\"") LINE("02", "\"failed\",\"id\":\"f2\"")
		LINE("03", "\"sent\",\"id\":\"s1\"") LINE("04", "\"deferred\",\"id\":\"f3\""));
	write_log(&spool, "1732147201.000000.bbbbbbbb.log", LINE("03", "\"sent\",\"id\":\"new\""));
	age_log(&spool, "1732147200.000000.aaaaaaaa.log", later - 60 * USEC);
	CHECK_INT(history_retire(&spool, later - 100 * USEC, 10, false, &err), 0);
	CHECK_INT(history_retire(&spool, later, 0, false, &err), 0);
	age_log(&spool, "1732147201.000000.bbbbbbbb.log", later + 60 * USEC);
	CHECK_INT(history_forget(&spool, later, 10, false, &forgotten, &err), 1);
	CHECK_INT(forgotten, 2); /* f1 and s1: f2 and f3 are still there */
	CHECK_STR(err.msg, "");
	CHECK_STR(ids_of(&spool, (struct walk_filter){ .state = STATE_NONE }), "f2 f3 ");
	CHECK_INT(id_lookup(&spool, "f1", token), 0);
	CHECK_INT(id_lookup(&spool, "s1", token), 0);
	CHECK_INT(id_lookup(&spool, "f2", token), 1);
	CHECK_INT(id_lookup(&spool, "f3", token), 1);
	CHECK_INT(id_lookup(&spool, "new", token), 1);
	CHECK_STR(history_of(&spool, (struct history_filter){ 0 }), "sent:new ");
	CHECK_INT(history_retire(&spool, later, 10, false, &err), 0);
	spool_close(&spool);
}

/* A long one: what is wanted is searched for, and found to the line, whatever stands between. */
TEST(history_of_a_long_log)
{
	enum { LINES = 30000, EACH = 20000 }; /* microseconds from line to line */
	AUTO_BUF struct buf text = BUF_INIT((size_t)16 * 1024 * 1024);
	struct spool spool = fresh_spool();
	char t[CLOCK_TEXT_SIZE], want[200];

	for (int64_t i = 0; i < LINES; i++) {
		clock_iso_usec(T0 + i * EACH, t);
		buf_addf(&text, "{\"t\":\"%s\",\"event\":\"sent\",\"id\":\"x%d\",\"subject\":\"", t,
		    (int)i);
		/* Some are longer than what is looked at at a time, and hold what looks like lines. */
		for (int k = 0; i % 5000 == 7 && k < 3000; k++)
			buf_adds(&text, "{\\\"t\\\":\\\"2030 ");
		buf_adds(&text, "a subject of some length\"}\n");
	}
	write_log(&spool, "1732147200.000000.aaaaaaaa.log", text.s);
	for (int64_t i = 0; i < LINES; i += 1777) {
		struct history_filter filter = { .since = T0 + i * EACH,
			.until = T0 + (i + 1) * EACH };

		snprintf(want, sizeof want, "sent:x%d sent:x%d ", (int)i, (int)i + 1);
		CHECK_STR(history_of(&spool, filter), want);
	}
	CHECK_STR(history_of(&spool, (struct history_filter){ .since = T0 + LINES * EACH }), "");
	/* The clock was set back by a little: a line that stands behind later ones. */
	clock_iso_usec(T0 + 560 * USEC, t);
	buf_addf(&text, "{\"t\":\"%s\",\"event\":\"sent\",\"id\":\"late\"}\n", t);
	write_log(&spool, "1732147200.000000.aaaaaaaa.log", text.s);
	CHECK_STR(history_of(&spool,
		      (struct history_filter){ .since = T0 + 580 * USEC,
			  .until = T0 + 580 * USEC }),
	    "sent:x29000 ");
	spool_close(&spool);
}

/* Each message in a walk of its own, that goes on behind the one before. */
static int
take_one(const struct place *place, void *arg)
{
	char(*at)[NAME_SIZE] = arg;

	snprintf(at[0], NAME_SIZE, "%s", place->runner != NULL ? place->runner : "");
	snprintf(at[1], NAME_SIZE, "%s", place->lane);
	snprintf(at[2], NAME_SIZE, "%s", place->bucket);
	snprintf(at[3], NAME_SIZE, "%s", place->text);
	snprintf(at[4], NAME_SIZE, "%s", place->name.id);
	return 1;
}

static const char *
ids_one_by_one(struct spool *spool, struct walk_filter filter, const char *vanishes)
{
	static char text[4000];
	char at[5][NAME_SIZE] = { { 0 } };
	AUTO_BUF struct buf path = BUF_INIT(8192);
	struct walk_from from = { at[0], at[1], at[2], at[3] };
	struct err err = ERR_INIT;

	text[0] = '\0';
	while (walk(spool, &filter, take_one, at, &err) == 1 && strlen(text) < 3000) {
		snprintf(text + strlen(text), NAME_SIZE + 2, "%s ", at[4]);
		filter.from = &from;
		/* The place from which it goes on need not be there any more. */
		buf_clear(&path);
		buf_addf(&path, "%s/%s/%s/%s/%s", spool->path, state_text(filter.state), at[1],
		    at[2], at[3]);
		if (vanishes != NULL && strcmp(at[4], vanishes) == 0)
			CHECK_INT(unlink(path.s), 0);
	}
	CHECK_STR(err.msg, "");
	return text;
}

TEST(going_on)
{
	struct spool spool = fresh_spool();
	struct walk_filter waiting = { .state = STATE_WAITING };
	struct walk_filter deferred = { .state = STATE_DEFERRED };
	struct walk_filter claimed = { .state = STATE_CLAIMED };
	char all[4000];

	add(&spool, five, 5);
	for (int i = 0; i < 70; i++) {
		char id[16];
		struct wish wish = { id, i % 3 == 0 ? "main" : "default", NULL, i % 2 + 1, 0 };

		snprintf(id, sizeof id, "x%d", i);
		add(&spool, &wish, 1);
	}
	for (int i = 0; i < 3; i++) {
		snprintf(all, sizeof all, "%s", ids_of(&spool, i == 2 ? deferred : waiting));
		if (i == 1)
			waiting.account = "main";
		if (i == 1)
			snprintf(all, sizeof all, "%s", ids_of(&spool, waiting));
		CHECK_STR(ids_one_by_one(&spool, i == 2 ? deferred : waiting, NULL), all);
	}
	snprintf(all, sizeof all, "%s", ids_of(&spool, waiting));
	CHECK_STR(ids_one_by_one(&spool, waiting, "w1"), all);
	CHECK_STR(ids_one_by_one(&spool, claimed, NULL), "");
	spool_close(&spool);
}

static int
count_parked(const char *account, const struct park *park, void *arg)
{
	CHECK_STR(account, "a/b");
	CHECK_INT(park->faults, 3);
	++*(int *)arg;
	return 0;
}

TEST(parking)
{
	struct spool spool = fresh_spool();
	struct park park = { .since = INT64_C(1732147200000001),
		.until = INT64_C(1732147260500000),
		.faults = 3,
		.class = "auth",
		.reason = "535 no\nuntil: 1.000000" };
	struct park got;
	struct err err = ERR_INIT;
	int count = 0;

	CHECK_INT(park_read(&spool, "a/b", &got, &err), 0);
	CHECK_INT(park_write(&spool, "a/b", &park, &err), 0);
	CHECK_INT(park_read(&spool, "a/b", &got, &err), 1);
	CHECK_INT(got.since, park.since);
	CHECK_INT(got.until, park.until);
	CHECK_INT(got.faults, 3);
	CHECK_STR(got.class, "auth");
	CHECK_STR(got.reason, "535 no until: 1.000000");
	/* What cannot be understood, and what a writer left, is passed over. */
	CHECK_INT(fs_replace_file(spool.root, "parked/bad", "until: soon\n", 12, 0600), 0);
	CHECK_INT(fs_replace_file(spool.root, "parked/empty", "", 0, 0600), 0);
	close(openat(spool.root, "parked/.x.tmp", O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	CHECK_INT(park_each(&spool, count_parked, &count, &err), 0);
	CHECK_INT(count, 1);
	CHECK_INT(park_read(&spool, "bad", &got, &err), -1);
	CHECK_INT(err.code, EX_DATAERR);
	CHECK_INT(park_read(&spool, "empty", &got, &err), -1);
	CHECK_INT(park_clear(&spool, "a/b", &err), 0);
	CHECK_INT(park_clear(&spool, "a/b", &err), 0);
	CHECK_INT(park_read(&spool, "a/b", &got, &err), 0);
	spool_close(&spool);
}

struct faults {
	int count;
	char text[8000];
};

static void
take_fault(const char *path, const char *text, bool repaired, void *arg)
{
	struct faults *faults = arg;
	size_t n = strlen(faults->text);

	faults->count++;
	snprintf(faults->text + n, sizeof faults->text - n, "%s: %s%s\n", path, text,
	    repaired ? " (repaired)" : "");
}

static struct check_result
check(struct spool *spool, bool repair, struct faults *faults)
{
	struct check_result result;
	struct err err = ERR_INIT;

	*faults = (struct faults){ 0 };
	CHECK_INT(check_spool(spool, repair, take_fault, faults, &result, &err), 0);
	CHECK_STR(err.msg, "");
	return result;
}

#define CHECK_TELLS(faults, words) CHECK_ROW((faults).text, strstr((faults).text, words) != NULL)

TEST(a_sound_spool)
{
	struct spool spool = fresh_spool();
	struct faults faults;
	struct check_result result;

	add(&spool, five, 5);
	result = check(&spool, false, &faults);
	CHECK_STR(faults.text, "");
	CHECK_INT(result.messages, 5);
	CHECK_INT(result.faults, 0);
	spool_close(&spool);
}

/* Changes one byte of the only file with this name. */
static void
damage(const struct spool *spool, const char *id, int64_t at)
{
	char command[1000];

	snprintf(command, sizeof command,
	    "printf X | dd of=\"$(echo '%s'/waiting/*/*/*.%s)\" bs=1 seek=%lld conv=notrunc "
	    "2>/dev/null",
	    spool->path, id, (long long)at);
	CHECK_INT(system(command), 0);
}

TEST(damage_is_found_and_set_aside)
{
	static const struct wish wishes[] = { { "good", "main", NULL, 2, 0 } };
	static const int64_t places[] = { 0, 9, 20, 40, 60, 80 };
	struct spool spool = fresh_spool();
	struct faults faults;
	struct check_result result;
	char token[TOKEN_SIZE];

	add(&spool, wishes, 1);
	for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
		char id[16];
		struct wish bad = { id, "main", NULL, 2, 0 };

		snprintf(id, sizeof id, "bad%zu", i);
		add(&spool, &bad, 1);
		damage(&spool, id, places[i]);
	}
	result = check(&spool, false, &faults);
	CHECK_INT(result.messages, 7);
	CHECK_INT(result.faults, 6);
	CHECK_INT(result.repaired, 0);
	CHECK(strstr(faults.text, "good") == NULL);
	result = check(&spool, true, &faults);
	CHECK_INT(result.faults, 6);
	CHECK_INT(result.repaired, 6);
	CHECK_STR(ids_of(&spool, (struct walk_filter){ .state = STATE_NONE }), "good ");
	CHECK_STR(history_of(&spool, (struct history_filter){ .id = "bad3" }), "corrupt:bad3 ");
	CHECK_INT(id_lookup(&spool, "bad3", token), 1);
	result = check(&spool, false, &faults);
	CHECK_INT(result.faults, 0);
	CHECK_INT(faults.count, 6); /* what is in corrupt/ is told */
	spool_close(&spool);
}

TEST(each_fault_is_named)
{
	struct spool spool = fresh_spool();
	struct faults faults;
	struct check_result result;
	char command[2000];

	add(&spool, five, 5);
	snprintf(command, sizeof command,
	    "cd '%s' && touch stray waiting/file waiting/main/file 'log/x' && mkdir 'held/a b' "
	    "&& mkdir -p held/main/lost && (cd waiting/main/2*/ && "
	    "ln -s /etc/passwd 2.1.000000.0.0.link && touch README && mkfifo 2.1.000000.0.0.fifo) "
	    "&& "
	    "chmod 644 waiting/default/*/* && "
	    "echo nonsense >parked/x && echo nonsense >partial/x && "
	    "printf 'a\\nb\\nc\\n' >log/1.000001.aaaaaaaa.log && echo draft >tmp/1.000001.bbbbbbbb "
	    "&& "
	    "ln -s token id/0/%%zz && mkdir -p deferred/main/3.0 && mv deferred/main/2*/*.d1 "
	    "deferred/main/3.0/ && mkdir -p held/other/2.0 && mv waiting/main,xmas/*/* "
	    "held/other/2.0/",
	    spool.path);
	CHECK_INT(system(command), 0);
	result = check(&spool, false, &faults);
	CHECK_TELLS(faults, "stray: is not part of a spool");
	CHECK_TELLS(faults, "waiting/file: is not a directory");
	CHECK_TELLS(faults, "waiting/main/file: is not a directory");
	CHECK_TELLS(faults, "held/a b: is not the name of a lane");
	CHECK_TELLS(faults, "held/main/lost: is not the name of a bucket");
	CHECK_TELLS(faults, "2.1.000000.0.0.link: is a symbolic link; expected a file");
	CHECK_TELLS(faults, "2.1.000000.0.0.fifo: is a FIFO; expected a file");
	CHECK_TELLS(faults, "README: is not the name of a message");
	CHECK_TELLS(faults, "its mode is 0644, open to all");
	CHECK_TELLS(faults, "parked/x: ");
	CHECK_TELLS(faults, "partial/x: ");
	CHECK_TELLS(faults, "log/x: is not a log");
	CHECK_TELLS(faults, "log/1.000001.aaaaaaaa.log: 3 lines are not JSON objects");
	CHECK_TELLS(faults, "tmp/1.000001.bbbbbbbb: was left by a process that died");
	CHECK_TELLS(faults, "id/0/%zz: its name is not an encoded id");
	CHECK_TELLS(faults, "d1: is in a bucket of priority 3");
	CHECK_TELLS(faults, "w2: is in a bucket of priority 2");
	CHECK_TELLS(faults, "w2: its record names the account \"main\" and the batch \"xmas\"");
	CHECK(result.faults >= 16);
	check(&spool, true, &faults);
	CHECK_TELLS(faults,
	    "tmp/1.000001.bbbbbbbb: was left by a process that died before it "
	    "acknowledged anything (repaired)");
	check(&spool, false, &faults);
	CHECK_ROW(faults.text, strstr(faults.text, "tmp/1.000001.bbbbbbbb") == NULL);
	CHECK_ROW(faults.text, strstr(faults.text, "2.1.000000.0.0.fifo: it") == NULL);
	CHECK_STR(ids_of(&spool, (struct walk_filter){ .state = STATE_WAITING, .account = "main" }),
	    "w1 ");
	spool_close(&spool);
}

/* Nothing of it needs leave to write. */
TEST(reading_changes_nothing)
{
	struct spool spool = fresh_spool(), reader;
	const struct spool_options read_only = { .read_only = true };
	struct faults faults;
	struct counts counts;
	struct err err = ERR_INIT;
	char command[1000], before[200], after[200];
	FILE *pipe;

	add(&spool, five, 5);
	CHECK_INT(spool_open(&reader, spool.path, &read_only, &err), 0);
	snprintf(command, sizeof command,
	    "cd '%s' && find . -printf '%%p %%C@ %%s\\n' | sort | sha1sum", spool.path);
	pipe = popen(command, "re");
	CHECK(pipe != NULL && fgets(before, sizeof before, pipe) != NULL);
	pclose(pipe);
	CHECK_INT(count_messages(&reader, &counts, &err), 0);
	counts_release(&counts);
	ids_of(&reader, (struct walk_filter){ .state = STATE_NONE });
	history_of(&reader, (struct history_filter){ .all = true });
	check(&reader, false, &faults);
	pipe = popen(command, "re");
	CHECK(pipe != NULL && fgets(after, sizeof after, pipe) != NULL);
	pclose(pipe);
	CHECK_STR(after, before);
	spool_close(&reader);
	spool_close(&spool);
}

UNIT_MAIN()
