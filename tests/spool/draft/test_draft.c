/* Putting messages in: what is committed is in the queue, what is not leaves nothing behind. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "base/clock.h"
#include "base/fs.h"
#include "spool/draft/draft.h"
#include "spool/part/message.h"
#include "spool/store/walk.h"
#include "spool_fixture.h"
#include "unit.h"

static char *recipient[] = { (char *)"b@example.org" };

static struct record
a_record(const char *id)
{
	return (struct record){ .id = (char *)(uintptr_t)id,
		.account = (char *)"main",
		.priority = 2,
		.sender = (char *)"a@example.com",
		.recipients = recipient,
		.recipient_count = 1,
		.subject = (char *)"s" };
}

static int
add(struct draft *draft, const struct record *record, const char *text)
{
	const struct text_facts facts = { 0 };
	struct err err = ERR_INIT;

	if (draft_message_begin(draft, record, &err) < 0 ||
	    draft_write(draft, text, strlen(text), &err) < 0 ||
	    draft_message_end(draft, &facts, &err) < 0) {
		CHECK(err.code != 0 && err.msg[0] != '\0');
		return -1;
	}
	return 0;
}

struct seen {
	size_t count;
	enum state state;
	char first[ID_TEXT_MAX + 1], last[ID_TEXT_MAX + 1];
	char lane[LANE_MAX + 1];
	int64_t due;
	bool ordered;
};

/* Every message that is there can be read, and its checksum is right. */
static int
see(const struct place *place, void *arg)
{
	struct seen *seen = arg;
	struct record record;
	struct err err = ERR_INIT;
	int fd = -1;

	CHECK_INT(message_open(place->dir, place->text, &place->name, &fd, &record, &err), 0);
	CHECK_INT(message_verify(fd, &place->name, &record, &err), 0);
	CHECK_STR(err.msg, "");
	record_release(&record);
	close(fd);
	if (seen->count++ == 0)
		snprintf(seen->first, sizeof seen->first, "%s", place->name.id);
	else if (place->name.due <= seen->due)
		seen->ordered = false;
	snprintf(seen->last, sizeof seen->last, "%s", place->name.id);
	snprintf(seen->lane, sizeof seen->lane, "%s", place->lane);
	seen->state = place->state;
	seen->due = place->name.due;
	return 0;
}

static struct seen
look(struct spool *spool)
{
	const struct walk_filter all = { .state = STATE_NONE };
	struct seen seen = { .ordered = true };
	struct err err = ERR_INIT;

	CHECK_INT(walk(spool, &all, see, &seen, &err), 0);
	return seen;
}

static int
count_entry(const char *name, unsigned char type, void *arg)
{
	(void)name;
	(void)type;
	++*(size_t *)arg;
	return 0;
}

static size_t
entries(const struct spool *spool, const char *path)
{
	AUTO_FD int fd = fs_open_dir(spool->root, path);
	size_t count = 0;

	CHECK(fd >= 0 && fs_each(fd, count_entry, &count) == 0);
	return count;
}

static size_t
known_ids(const struct spool *spool)
{
	size_t count = 0;

	for (unsigned int i = 0; i < ID_SHARDS; i++) {
		char path[16];

		snprintf(path, sizeof path, "id/%x", i);
		count += entries(spool, path);
	}
	return count;
}

TEST(one_message)
{
	struct spool spool = fresh_spool();
	AUTO(draft_end) struct draft *draft = draft_begin(&spool);
	struct record record = a_record("MSG-1");
	struct err err = ERR_INIT;
	struct seen seen;

	CHECK_INT(add(draft, &record, "Subject: s\r\n\r\nhello\r\n"), 0);
	CHECK_INT(look(&spool).count, 0);
	CHECK_INT(draft_result(draft, 0), DRAFT_OPEN);
	CHECK_INT(draft_commit(draft, &err), 0);
	CHECK_INT(draft_result(draft, 0), DRAFT_QUEUED);
	CHECK_STR(draft_id(draft, 0), "MSG-1");
	seen = look(&spool);
	CHECK_INT(seen.count, 1);
	CHECK_INT(seen.state, STATE_WAITING);
	CHECK_STR(seen.lane, "main");
	CHECK_INT(entries(&spool, "tmp"), 0);
	CHECK_INT(known_ids(&spool), 1);
	spool_close(&spool);
}

TEST(the_same_id_twice)
{
	struct spool spool = fresh_spool();
	struct err err = ERR_INIT;

	for (int i = 0; i < 3; i++) {
		AUTO(draft_end) struct draft *draft = draft_begin(&spool);
		struct record record = a_record("a/b");

		CHECK_INT(add(draft, &record, "x\r\n"), 0);
		CHECK_INT(draft_commit(draft, &err), 0);
		CHECK_INT(draft_result(draft, 0), i == 0 ? DRAFT_QUEUED : DRAFT_DUPLICATE);
	}
	CHECK_INT(look(&spool).count, 1);
	CHECK_INT(entries(&spool, "tmp"), 0);
	spool_close(&spool);
}

TEST(a_batch)
{
	struct spool spool = fresh_spool();
	AUTO(draft_end) struct draft *draft = draft_begin(&spool);
	struct err err = ERR_INIT;
	struct seen seen;
	char id[24];

	for (int i = 0; i < 500; i++) {
		struct record record = a_record(id);

		snprintf(id, sizeof id, "m%03d", i);
		record.batch = (char *)"xmas";
		CHECK_INT(add(draft, &record, "x\r\n"), 0);
	}
	CHECK_INT(draft_count(draft), 500);
	CHECK(!draft_is_full(draft));
	CHECK_INT(draft_commit(draft, &err), 0);
	CHECK_STR(err.msg, "");
	seen = look(&spool);
	CHECK_INT(seen.count, 500);
	CHECK(seen.ordered);
	CHECK_STR(seen.first, "m000");
	CHECK_STR(seen.last, "m499");
	CHECK_STR(seen.lane, "main,xmas");
	CHECK_INT(entries(&spool, "waiting/main,xmas"), 1);
	CHECK_INT(entries(&spool, "tmp"), 0);
	CHECK_INT(known_ids(&spool), 500);
	spool_close(&spool);
}

/* A small batch over accounts, priorities and times, with an id twice in it. */
TEST(a_mixed_batch)
{
	struct spool spool = fresh_spool();
	AUTO(draft_end) struct draft *draft = draft_begin(&spool);
	const struct walk_filter deferred = { .state = STATE_DEFERRED };
	struct record first = a_record("1"), later = a_record("2"), other = a_record(NULL),
		      again = a_record("1");
	struct seen seen = { .ordered = true };
	struct err err = ERR_INIT;

	later.due = clock_now() + 3600 * USEC;
	other.account = (char *)"other";
	other.priority = 0;
	CHECK_INT(add(draft, &first, "x\r\n"), 0);
	CHECK_INT(add(draft, &later, "x\r\n"), 0);
	CHECK_INT(add(draft, &other, "x\r\n"), 0);
	CHECK_INT(add(draft, &again, "x\r\n"), 0);
	CHECK_INT(draft_commit(draft, &err), 0);
	CHECK_INT(draft_result(draft, 0), DRAFT_QUEUED);
	CHECK_INT(draft_result(draft, 1), DRAFT_QUEUED);
	CHECK_INT(draft_result(draft, 2), DRAFT_QUEUED);
	CHECK_INT(draft_result(draft, 3), DRAFT_DUPLICATE);
	CHECK_INT(look(&spool).count, 3);
	CHECK_INT(walk(&spool, &deferred, see, &seen, &err), 0);
	CHECK_INT(seen.count, 1);
	CHECK_INT(seen.due, later.due);
	CHECK_INT(known_ids(&spool), 2);
	CHECK_INT(entries(&spool, "tmp"), 0);
	spool_close(&spool);
}

TEST(what_is_not_committed_leaves_nothing)
{
	struct spool spool = fresh_spool();

	for (int n = 1; n <= 3; n++) {
		AUTO(draft_end) struct draft *draft = draft_begin(&spool);
		static char large[200000];
		struct err err = ERR_INIT;

		memset(large, 'x', sizeof large);
		for (int i = 0; i < n; i++) {
			struct record record = a_record(NULL);
			const struct text_facts facts = { 0 };

			CHECK_INT(draft_message_begin(draft, &record, &err), 0);
			CHECK_INT(draft_write(draft, large, sizeof large, &err), 0);
			if (i < 2) /* the last one is left open */
				CHECK_INT(draft_message_end(draft, &facts, &err), 0);
		}
		CHECK_INT(entries(&spool, "tmp"), 1);
	}
	CHECK_INT(entries(&spool, "tmp"), 0);
	CHECK_INT(look(&spool).count, 0);
	CHECK_INT(known_ids(&spool), 0);
	spool_close(&spool);
}

TEST(a_dropped_message_is_not_in_the_batch)
{
	struct spool spool = fresh_spool();
	AUTO(draft_end) struct draft *draft = draft_begin(&spool);
	static char large[150000];
	struct err err = ERR_INIT;
	struct seen seen;

	memset(large, 'y', sizeof large - 1);
	for (int i = 0; i < 6; i++) {
		char id[16];
		struct record record = a_record(id);
		const struct text_facts facts = { 0 };

		snprintf(id, sizeof id, "%d", i);
		CHECK_INT(draft_message_begin(draft, &record, &err), 0);
		/* Small and large ones: still in memory, and written already. */
		CHECK_INT(draft_write(draft, large, i < 3 ? 10 : sizeof large - 1, &err), 0);
		if (i % 2 == 1)
			draft_message_drop(draft);
		else
			CHECK_INT(draft_message_end(draft, &facts, &err), 0);
	}
	CHECK_INT(draft_count(draft), 3);
	CHECK_INT(draft_commit(draft, &err), 0);
	seen = look(&spool);
	CHECK_INT(seen.count, 3);
	CHECK_STR(seen.first, "0");
	CHECK_STR(seen.last, "4");
	CHECK_INT(known_ids(&spool), 3);
	spool_close(&spool);
}

TEST(bad_messages_are_refused_and_the_rest_goes_on)
{
	struct spool spool = fresh_spool();
	AUTO(draft_end) struct draft *draft = draft_begin(&spool);
	struct record good = a_record("good"), bad = a_record("bad"), empty = a_record("empty");
	const struct text_facts facts = { 0 };
	char long_id[400];
	struct err err = ERR_INIT;

	bad.subject = (char *)"two\nlines";
	CHECK_INT(add(draft, &bad, "x\r\n"), -1);
	bad = a_record(long_id);
	memset(long_id, 'x', sizeof long_id - 1);
	long_id[sizeof long_id - 1] = '\0';
	CHECK_INT(add(draft, &bad, "x\r\n"), -1);
	bad = a_record("");
	CHECK_INT(add(draft, &bad, "x\r\n"), -1);
	CHECK_INT(draft_message_begin(draft, &empty, &err), 0);
	CHECK_INT(draft_message_end(draft, &facts, &err), -1);
	CHECK_INT(err.code, EX_DATAERR);
	draft_message_drop(draft);
	CHECK_INT(add(draft, &good, "x\r\n"), 0);
	CHECK_INT(draft_commit(draft, &err), 0);
	CHECK_INT(look(&spool).count, 1);
	CHECK_INT(known_ids(&spool), 1);
	spool_close(&spool);
}

TEST(an_empty_draft)
{
	struct spool spool = fresh_spool();
	AUTO(draft_end) struct draft *draft = draft_begin(&spool);
	struct err err = ERR_INIT;

	CHECK_INT(draft_commit(draft, &err), 0);
	CHECK_INT(entries(&spool, "tmp"), 0);
	spool_close(&spool);
}

/* The length and place of the text are what was written, whatever the pieces. */
TEST(texts_come_back)
{
	struct spool spool = fresh_spool();
	AUTO(draft_end) struct draft *draft = draft_begin(&spool);
	struct record record = a_record("text"), got;
	const struct text_facts facts = { .eight_bit = true };
	static char text[300000], back[300000];
	struct err err = ERR_INIT;

	for (size_t i = 0; i < sizeof text; i++)
		text[i] = (char)(i * 7 + i / 256);
	CHECK_INT(draft_message_begin(draft, &record, &err), 0);
	for (size_t at = 0, n = 1; at < sizeof text; at += n, n = n * 3 + 1) {
		if (n > sizeof text - at)
			n = sizeof text - at;
		CHECK_INT(draft_write(draft, text + at, n, &err), 0);
	}
	CHECK_INT(draft_message_end(draft, &facts, &err), 0);
	CHECK_INT(draft_commit(draft, &err), 0);
	{
		AUTO_FD int lane = fs_open_dir(spool.states[STATE_WAITING], "main");
		AUTO_FD int bucket = -1;
		char path[64] = "";
		struct message_name name = { .priority = 2 };
		struct seen seen = look(&spool);
		AUTO_FD int fd = -1;

		snprintf(path, sizeof path, "2.%lld", (long long)(bucket_start(seen.due) / USEC));
		bucket = fs_open_dir(lane, path);
		CHECK(bucket >= 0);
		name.due = seen.due;
		snprintf(name.id, sizeof name.id, "text");
		{
			char file[NAME_SIZE];

			message_name_format(&name, file);
			CHECK_INT(message_open(bucket, file, &name, &fd, &got, &err), 0);
		}
		CHECK_INT(got.text.length, sizeof text);
		CHECK(got.text.eight_bit);
		CHECK_INT(fs_pread(fd, back, sizeof back, (off_t)got.size), 0);
		CHECK_MEM(back, sizeof back, text, sizeof text);
		record_release(&got);
	}
	spool_close(&spool);
}

/* A process that dies at any moment before the commit: its ids are free again, its files go. */
TEST(dead_drafts_are_rolled_back)
{
	for (int n = 1; n <= 3; n++) {
		struct spool spool = fresh_spool();
		struct err err = ERR_INIT;
		pid_t child = fork();
		int status;

		if (child == 0) {
			struct draft *draft = draft_begin(&spool);
			static char large[100000];

			memset(large, 'x', sizeof large - 1);
			for (int i = 0; i < n; i++) {
				char id[16];
				struct record record = a_record(id);

				snprintf(id, sizeof id, "%d", i);
				add(draft, &record, large);
			}
			_exit(0);
		}
		CHECK_INT(waitpid(child, &status, 0), child);
		CHECK_INT(entries(&spool, "tmp"), 1);
		CHECK_INT(draft_recover(&spool), 1);
		CHECK_INT(entries(&spool, "tmp"), 0);
		CHECK_INT(look(&spool).count, 0);
		{
			AUTO(draft_end) struct draft *draft = draft_begin(&spool);
			struct record record = a_record("0");

			CHECK_INT(add(draft, &record, "x\r\n"), 0);
			CHECK_INT(draft_commit(draft, &err), 0);
			CHECK_INT(draft_result(draft, 0), DRAFT_QUEUED);
		}
		spool_close(&spool);
	}
}

TEST(a_living_draft_is_left_alone)
{
	struct spool spool = fresh_spool();
	AUTO(draft_end) struct draft *draft = draft_begin(&spool);
	static char large[100000];
	struct record record = a_record("1");
	struct err err = ERR_INIT;

	memset(large, 'x', sizeof large - 1);
	CHECK_INT(add(draft, &record, large), 0);
	CHECK_INT(draft_recover(&spool), 0);
	CHECK_INT(entries(&spool, "tmp"), 1);
	CHECK_INT(draft_commit(draft, &err), 0);
	CHECK_INT(look(&spool).count, 1);
	spool_close(&spool);
}

/* An id whose taker died between taking it and the commit is free for the next. */
TEST(an_id_of_a_dead_draft_is_free)
{
	struct spool spool = fresh_spool();
	AUTO(draft_end) struct draft *draft = draft_begin(&spool);
	struct record record = a_record("MSG-1");
	const char *token = "1732170240.000000.abcdefgh";
	struct err err = ERR_INIT;
	char holder[TOKEN_SIZE];
	AUTO_BUF struct buf file = BUF_INIT(4096);
	struct record dead = a_record("MSG-1");
	struct text_facts facts = { .length = 1 };
	char line[RECORD_FIRST_LINE + 1];
	AUTO_FD int fd = openat(spool.tmp, token, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	dead.created = USEC;
	CHECK_INT(record_pack(&dead, &file, &err), 0);
	record_first_line(dead.size, &facts, line);
	memcpy(file.s, line, RECORD_FIRST_LINE);
	CHECK_INT(fs_write(fd, file.s, file.len), 0);
	CHECK_INT(id_take(&spool, "MSG-1", token, NULL, &err), 1);
	CHECK_INT(id_lookup(&spool, "MSG-1", holder), 1);
	CHECK_STR(holder, token);
	auto_close_fd(&fd);
	fd = -1;
	CHECK_INT(add(draft, &record, "x\r\n"), 0);
	CHECK_INT(draft_commit(draft, &err), 0);
	CHECK_STR(err.msg, "");
	CHECK_INT(draft_result(draft, 0), DRAFT_QUEUED);
	CHECK_INT(entries(&spool, "tmp"), 0);
	spool_close(&spool);
}

/* The file of a draft of many, dead, with these ids; and the ids taken. */
static void
leave_draft(struct spool *spool, const char *token, const char *const *ids, size_t count)
{
	AUTO_BUF struct buf file = BUF_INIT(65536);
	AUTO_FD int fd = openat(spool->tmp, token, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	struct err err = ERR_INIT;

	for (size_t i = 0; i < count; i++) {
		struct record record = a_record(ids[i]);
		struct text_facts facts = { .length = 3 };
		char line[RECORD_FIRST_LINE + 1];
		size_t at = file.len;

		record.created = USEC + (int64_t)i;
		CHECK_INT(record_pack(&record, &file, &err), 0);
		record_first_line(record.size, &facts, line);
		memcpy(file.s + at, line, RECORD_FIRST_LINE);
		CHECK_INT(buf_add(&file, "x\r\n", 3), 0);
		CHECK_INT(id_take(spool, ids[i], token, NULL, &err), 1);
	}
	CHECK_INT(fs_write(fd, file.s, file.len), 0);
}

/*
 * What a power cut leaves on a file system that logs each inode by itself: the draft's file and its ids, and not
 * the directory with its names.  Every id is free again, but for those of messages that were published.
 */
TEST(a_draft_of_many_without_its_directory)
{
	static const char *const ids[] = { "MSG-1", "MSG-2", "MSG-3", "MSG-4" };
	const char *token = "1732170240.000000.abcdefgh";
	struct spool spool = fresh_spool();
	struct err err = ERR_INIT;
	char holder[TOKEN_SIZE];
	AUTO_FD int lane = -1;
	AUTO_FD int bucket = -1;
	AUTO_FD int log = -1;

	leave_draft(&spool, token, ids, 4);
	/* The third was published; the fourth, and sent since. */
	lane = spool_open_lane(&spool, STATE_WAITING, "main");
	bucket = spool_open_bucket(lane, 2, USEC, BUCKET_PLAIN);
	CHECK_INT(linkat(spool.tmp, token, bucket, "2.1.000002.0.0.MSG-3", 0), 0);
	log = openat(spool.log, "1732170241.000000.abcdefgh.log", O_WRONLY | O_CREAT | O_CLOEXEC,
	    0600);
	dprintf(log,
	    "{\"t\":\"2024-11-21T06:24:01.000000Z\",\"event\":\"sent\",\"id\":\"MSG-4\"}\n");
	CHECK_INT(draft_recover(&spool), 1);
	CHECK_INT(id_lookup(&spool, "MSG-1", holder), 0);
	CHECK_INT(id_lookup(&spool, "MSG-2", holder), 0);
	CHECK_INT(id_lookup(&spool, "MSG-3", holder), 1);
	CHECK_INT(id_lookup(&spool, "MSG-4", holder), 1);
	CHECK_INT(entries(&spool, "tmp"), 0);
	CHECK_STR(err.msg, "");
	spool_close(&spool);
}

/* A name that stands in the queue and, brought back, in the draft's directory as well: it keeps its id. */
TEST(a_name_that_was_published_and_came_back)
{
	static const char *const ids[] = { "MSG-1", "MSG-2" };
	const char *token = "1732170240.000000.abcdefgh";
	struct spool spool = fresh_spool();
	char holder[TOKEN_SIZE];
	AUTO_FD int lane = -1;
	AUTO_FD int bucket = -1;
	AUTO_FD int group = -1;

	spool.ordered = false;
	leave_draft(&spool, token, ids, 2);
	CHECK_INT(mkdirat(spool.tmp, "1732170240.000000.abcdefgh.d", 0700), 0);
	CHECK_INT(mkdirat(spool.tmp, "1732170240.000000.abcdefgh.d/0", 0700), 0);
	group = fs_open_dir(spool.tmp, "1732170240.000000.abcdefgh.d/0");
	CHECK_INT(linkat(spool.tmp, token, group, "2.1.000001.0.0.MSG-1", 0), 0);
	CHECK_INT(linkat(spool.tmp, token, group, "2.1.000002.0.0.MSG-2", 0), 0);
	lane = spool_open_lane(&spool, STATE_WAITING, "main");
	bucket = spool_open_bucket(lane, 2, USEC, BUCKET_PLAIN);
	CHECK_INT(linkat(spool.tmp, token, bucket, "2.1.000002.0.0.MSG-2", 0), 0);
	CHECK_INT(draft_recover(&spool), 1);
	CHECK_INT(id_lookup(&spool, "MSG-1", holder), 0);
	CHECK_INT(id_lookup(&spool, "MSG-2", holder), 1);
	CHECK_INT(entries(&spool, "tmp"), 0);
	CHECK_INT(faccessat(bucket, "2.1.000002.0.0.MSG-2", F_OK, 0), 0);
	spool_close(&spool);
}

/* Without an order of the file system, all commits and moves are as they are with one. */
TEST(commits_without_an_order)
{
	struct spool spool = fresh_spool();
	AUTO(draft_end) struct draft *one = draft_begin(&spool);
	AUTO(draft_end) struct draft *many = draft_begin(&spool);
	const struct record record = a_record(NULL);
	struct err err = ERR_INIT;

	spool.ordered = false;
	CHECK_INT(add(one, &record, "x\r\n"), 0);
	CHECK_INT(draft_commit(one, &err), 0);
	CHECK_INT(add(many, &record, "x\r\n"), 0);
	CHECK_INT(add(many, &record, "x\r\n"), 0);
	CHECK_INT(draft_commit(many, &err), 0);
	CHECK_STR(err.msg, "");
	CHECK_INT(look(&spool).count, 3);
	CHECK_INT(entries(&spool, "tmp"), 0);
	spool_close(&spool);
}

/* Waits until a process has a file of this name open. */
static bool
has_open(pid_t pid, const char *name)
{
	int64_t until = clock_monotonic() + 30 * USEC;
	char path[64], target[512];

	while (clock_monotonic() < until) {
		for (int fd = 0; fd < 64; fd++) {
			ssize_t n;

			snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)pid, fd);
			n = readlink(path, target, sizeof target - 1);
			if (n < 0)
				continue;
			target[n] = '\0';
			if (strstr(target, name) != NULL)
				return true;
		}
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	}
	return false;
}

/*
 * One adder rolls a dead draft back and takes its id, while another looks at the same dead draft.  That
 * one must not take the id for known because of the first, which may die as well before it commits.
 */
TEST(an_id_taken_after_a_rollback_is_not_known_yet)
{
	struct spool spool = fresh_spool();
	const char *dead = "1732170240.000000.aaaaaaaa", *next = "1732170240.000000.bbbbbbbb";
	struct err err = ERR_INIT;
	char holder[TOKEN_SIZE], byte = 0;
	int status, ready[2];
	pid_t child;
	AUTO_FD int first = openat(spool.tmp, dead, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	AUTO_FD int second = openat(spool.tmp, next, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	/* The rollback of the dead draft is under way. */
	CHECK_INT(fs_lock(first, 0), 0);
	CHECK_INT(id_take(&spool, "MSG-1", dead, NULL, &err), 1);
	CHECK_INT(pipe2(ready, O_CLOEXEC), 0);
	child = fork();
	if (child == 0) {
		close(first);
		close(second);
		if (write(ready[1], &byte, 1) != 1)
			_exit(2);
		_exit(id_take(&spool, "MSG-1", "1732170240.000000.cccccccc", NULL, &err));
	}
	CHECK_INT(read(ready[0], &byte, 1), 1);
	CHECK(has_open(child, dead));
	CHECK_INT(id_forget(&spool, "MSG-1"), 0);
	CHECK_INT(unlinkat(spool.tmp, dead, 0), 0);
	CHECK_INT(fs_lock(second, 0), 0);
	CHECK_INT(id_take(&spool, "MSG-1", next, NULL, &err), 1);
	auto_close_fd(&first);
	/* It must wait for the second one, which dies now: what it wrote has no first line, and its id
	 * is what a recovery of a draft of many would give up. */
	CHECK(has_open(child, next));
	CHECK_INT(id_forget(&spool, "MSG-1"), 0);
	CHECK_INT(unlinkat(spool.tmp, next, 0), 0);
	auto_close_fd(&second);
	CHECK_INT(waitpid(child, &status, 0), child);
	close(ready[0]);
	close(ready[1]);
	CHECK(WIFEXITED(status));
	CHECK_INT(WEXITSTATUS(status), 1);
	CHECK_INT(id_lookup(&spool, "MSG-1", holder), 1);
	CHECK_STR(holder, "1732170240.000000.cccccccc");
	spool_close(&spool);
}

TEST(ids)
{
	struct spool spool = fresh_spool();
	struct err err = ERR_INIT;
	char holder[TOKEN_SIZE];

	CHECK_INT(id_lookup(&spool, "x", holder), 0);
	CHECK_INT(id_take(&spool, "x", "token1", NULL, &err), 1);
	CHECK_INT(id_take(&spool, "x", "token1", NULL, &err), 0);
	CHECK_INT(id_take(&spool, "y", "token1", "x", &err), 1);
	CHECK_INT(id_lookup(&spool, "y", holder), 1);
	CHECK_STR(holder, "token1");
	/* token1 is in no draft: it was committed. */
	CHECK_INT(id_take(&spool, "x", "token2", NULL, &err), 0);
	id_give_up(&spool, "x", "token2");
	CHECK_INT(id_lookup(&spool, "x", holder), 1);
	id_give_up(&spool, "x", "token1");
	CHECK_INT(id_lookup(&spool, "x", holder), 0);
	CHECK_INT(id_forget(&spool, "y"), 0);
	CHECK_INT(id_forget(&spool, "y"), 0);
	CHECK_INT(known_ids(&spool), 0);
	spool_close(&spool);
}

/* Many in memory, committed as one: all are there, and each knows what became of it. */
TEST(drafts_that_share_a_commit)
{
	struct spool spool = fresh_spool();
	struct draft *parts[3], *draft = draft_begin(&spool);
	const struct record named = a_record("mine"), made = a_record(NULL);
	char large[70000];
	struct err err = ERR_INIT;

	memset(large, 'x', sizeof large);
	memcpy(large + sizeof large - 3, "\r\n", 3);
	for (size_t i = 0; i < 3; i++) {
		parts[i] = draft_begin_in_memory(NULL, 1 << 20);
		CHECK_INT(add(parts[i], &made, "A: b\r\n\r\ntext\r\n"), 0);
		CHECK_INT(add(parts[i], &named, "A: b\r\n\r\nmine\r\n"), 0);
		if (i == 1)
			CHECK_INT(add(parts[i], &made, large), 0);
		CHECK(draft_is_in_memory(parts[i]));
		CHECK_INT(draft_append(draft, parts[i], &err), 0);
	}
	CHECK_INT(draft_count(draft), 7);
	CHECK_INT(draft_commit(draft, &err), 0);
	CHECK_STR(err.msg, "");
	CHECK_INT(draft_result(draft, 0), DRAFT_QUEUED);
	CHECK_INT(draft_result(draft, 1), DRAFT_QUEUED);
	CHECK_INT(draft_result(draft, 3), DRAFT_DUPLICATE);
	CHECK_INT(draft_result(draft, 4), DRAFT_QUEUED);
	CHECK_INT(draft_result(draft, 6), DRAFT_DUPLICATE);
	CHECK_STR(draft_id(draft, 5), draft_id(parts[2], 0));
	draft_end(&draft);
	for (size_t i = 0; i < 3; i++)
		draft_end(&parts[i]);
	CHECK_INT(look(&spool).count, 5);
	CHECK_INT(entries(&spool, "tmp"), 0);
	spool_close(&spool);
}

/* One that outgrows its memory is a draft like any other. */
TEST(draft_beyond_its_memory)
{
	struct spool spool = fresh_spool();
	struct draft *draft = draft_begin_in_memory(&spool, 100000);
	const struct record record = a_record(NULL);
	char large[70000];
	struct err err = ERR_INIT;

	memset(large, 'x', sizeof large);
	memcpy(large + sizeof large - 3, "\r\n", 3);
	CHECK_INT(add(draft, &record, large), 0);
	CHECK(draft_is_in_memory(draft));
	CHECK_INT(add(draft, &record, large), 0);
	CHECK(!draft_is_in_memory(draft));
	CHECK_INT(draft_commit(draft, &err), 0);
	CHECK(draft_was_visible(draft));
	draft_end(&draft);
	CHECK_INT(look(&spool).count, 2);
	spool_close(&spool);
}

UNIT_MAIN()
