/* spool/queue: what is due, in which order. */
#include "base/clock.h"
#include "base/fs.h"
#include "spool/draft/draft.h"
#include "spool/queue/queue.h"
#include "unit.h"

static void
open_spool(struct spool *spool, const char *name)
{
	struct spool_options options = { 0 };
	struct err err = ERR_INIT;
	char path[4096];

	snprintf(path, sizeof path, "%s/%s", unit_tmpdir(), name);
	if (spool_open(spool, path, &options, &err) < 0) {
		fprintf(stderr, "%s\n", err.msg);
		exit(2);
	}
}

static void
add_to(struct draft *draft, const char *id, const char *account, const char *batch, int priority,
    int64_t due)
{
	static char recipient[] = "b@example.org";
	char *recipients[] = { recipient };
	struct text_facts facts = { 0 };
	struct err err = ERR_INIT;
	struct record record = { .id = (char *)(uintptr_t)id,
		.account = (char *)(uintptr_t)account,
		.batch = (char *)(uintptr_t)batch,
		.priority = priority,
		.due = due,
		.sender = recipient,
		.recipients = recipients,
		.recipient_count = 1 };

	CHECK_INT(draft_message_begin(draft, &record, &err), 0);
	CHECK_INT(draft_write(draft, "X: y\r\n\r\n", 8, &err), 0);
	CHECK_INT(draft_message_end(draft, &facts, &err), 0);
}

static void
commit(struct draft *draft)
{
	struct err err = ERR_INIT;

	CHECK_INT(draft_commit(draft, &err), 0);
	CHECK_STR(err.msg, "");
	draft_end(&draft);
}

static void
add_one(struct spool *spool, const char *id, const char *account, const char *batch, int priority,
    int64_t due)
{
	struct draft *draft = draft_begin(spool);

	add_to(draft, id, account, batch, priority, due);
	commit(draft);
}

/* The ids of all that is due at now, in order, with spaces between; a deferral is for longest at the most. */
static const char *
due_ids_within(const struct spool *spool, int64_t now, int64_t longest, char *ret, size_t size)
{
	struct lane_list lanes;
	struct err err = ERR_INIT;
	struct queue *queue;
	struct queue_entry entry;
	size_t n = 0;

	ret[0] = '\0';
	CHECK_INT(queue_lanes(spool, &lanes, &err), 0);
	queue = queue_open(spool, (const char *const *)lanes.names, lanes.count, now, longest);
	while (queue_next(queue, &entry))
		n += (size_t)snprintf(ret + n, size - n, "%s%s", n > 0 ? " " : "", entry.name.id);
	queue_close(&queue);
	lane_list_release(&lanes);
	return ret;
}

static const char *
due_ids(const struct spool *spool, int64_t now, char *ret, size_t size)
{
	return due_ids_within(spool, now, 0, ret, size);
}

TEST(priority_then_arrival_across_lanes_and_batches)
{
	struct spool spool;
	struct draft *draft;
	int64_t now = clock_now();
	char ids[1000];

	open_spool(&spool, "order");
	add_one(&spool, "low-1", "a", NULL, 3, 0);
	add_one(&spool, "mid-1", "a", NULL, 2, 0);
	draft = draft_begin(&spool);
	add_to(draft, "mid-2", "b", "campaign", 2, 0);
	add_to(draft, "high-1", "a", NULL, 1, 0);
	add_to(draft, "mid-3", "a", NULL, 2, 0);
	commit(draft);
	add_one(&spool, "mid-4", "b", NULL, 2, 0);
	add_one(&spool, "now-1", "b", NULL, 0, 0);
	CHECK_STR(due_ids(&spool, now + 60 * USEC, ids, sizeof ids),
	    "now-1 high-1 mid-1 mid-2 mid-3 mid-4 low-1");
	spool_close(&spool);
}

TEST(nothing_before_its_time)
{
	struct spool spool;
	int64_t now = clock_now();
	char ids[1000];

	open_spool(&spool, "time");
	add_one(&spool, "in-10s", "a", NULL, 2, now + 10 * USEC);
	add_one(&spool, "in-1h", "a", NULL, 2, now + 3600 * USEC);
	add_one(&spool, "at-once", "a", NULL, 2, 0);
	CHECK_STR(due_ids(&spool, now + 5 * USEC, ids, sizeof ids), "at-once");
	CHECK_STR(due_ids(&spool, now + 10 * USEC - 1, ids, sizeof ids), "at-once");
	CHECK_STR(due_ids(&spool, now + 10 * USEC, ids, sizeof ids), "at-once in-10s");
	CHECK_STR(due_ids(&spool, now + 3600 * USEC, ids, sizeof ids), "at-once in-10s in-1h");
	spool_close(&spool);
}

/* A message, deferred after an attempt, in a bucket of this kind. */
static void
add_deferred(struct spool *spool, const char *id, int64_t due, const char *kind)
{
	struct message_name name;
	const char *lane = "a";
	struct queue_entry entry;
	struct queue *queue;

	add_one(spool, id, "a", NULL, 2, 0);
	queue = queue_open(spool, &lane, 1, clock_now() + USEC, 0);
	CHECK(queue_next(queue, &entry));
	CHECK_STR(entry.name.id, id);
	name = entry.name;
	name.attempts = 1;
	name.due = due;
	CHECK_INT(spool_move_kind(spool, entry.dir, entry.text, STATE_DEFERRED, "a", &name, kind),
	    0);
	queue_close(&queue);
}

/* A clock that was years ahead for one cycle: what was deferred by it is due when it is right again; what a
 * client has asked for is not, nor what the schedule can have put off. */
TEST(no_deferral_lies_further_ahead_than_the_schedule)
{
	struct spool spool;
	int64_t now = clock_now(), hour = 3600 * USEC, day = 24 * hour;
	char ids[1000];

	open_spool(&spool, "astray");
	add_deferred(&spool, "r-10y", now + 3650 * day, BUCKET_RETRY);
	add_deferred(&spool, "r-1d", now + day, BUCKET_RETRY);
	add_deferred(&spool, "r-1h", now + hour, BUCKET_RETRY);
	add_deferred(&spool, "n-10y", now + 3651 * day, BUCKET_ASKED);
	add_deferred(&spool, "n-20h", now + 20 * hour, BUCKET_ASKED);
	add_deferred(&spool, "plain-10y", now + 3650 * day, BUCKET_PLAIN);
	add_one(&spool, "client-10y", "a", NULL, 2, now + 3650 * day);
	CHECK_STR(due_ids_within(&spool, now, 4 * hour, ids, sizeof ids), "r-1d r-10y n-10y");
	CHECK_STR(due_ids_within(&spool, now, hour / 2, ids, sizeof ids), "r-1h r-1d r-10y n-10y");
	CHECK_STR(due_ids_within(&spool, now, 2 * day, ids, sizeof ids), "r-10y n-10y");
	CHECK_STR(due_ids_within(&spool, now, 0, ids, sizeof ids), "");
	spool_close(&spool);
}

/* Batches interleaved with single messages keep the order of arrival: a bucket of its own and the
 * shared one are merged name by name. */
TEST(batches_and_singles_in_order_of_arrival)
{
	struct spool spool;
	struct lane_list lanes;
	struct err err = ERR_INIT;
	struct queue *queue;
	struct queue_entry entry;
	int64_t last = 0, total = 0;
	char id[32];

	open_spool(&spool, "merge");
	for (int round = 0; round < 6; round++) {
		struct draft *draft = draft_begin(&spool);

		for (int i = 0; i < 100; i++) {
			snprintf(id, sizeof id, "b%d-%d", round, i);
			add_to(draft, id, "a", NULL, 2, 0);
		}
		commit(draft);
		snprintf(id, sizeof id, "s%d", round);
		add_one(&spool, id, "a", NULL, 2, 0);
	}
	CHECK_INT(queue_lanes(&spool, &lanes, &err), 0);
	queue = queue_open(&spool, (const char *const *)lanes.names, lanes.count,
	    clock_now() + USEC, 0);
	while (queue_next(queue, &entry)) {
		CHECK(entry.name.due > last);
		last = entry.name.due;
		total++;
	}
	CHECK_INT(total, 606);
	queue_close(&queue);
	lane_list_release(&lanes);
	spool_close(&spool);
}

static int
take_bucket(const char *name, unsigned char type, void *arg)
{
	(void)type;
	CHECK_INT(bucket_name_parse(name, arg), 0);
	return 1;
}

/* A lane or bucket whose last rename was lost by a crash is read like any other. */
TEST(unsettled_directories_are_read)
{
	struct spool spool;
	AUTO_FD int lane = -1;
	char ids[1000];
	struct bucket_name bucket;
	char settled[BUCKET_SIZE], hidden[BUCKET_SIZE];

	open_spool(&spool, "unsettled");
	add_one(&spool, "one", "a", NULL, 2, 0);
	lane = fs_open_dir(spool.states[STATE_WAITING], "a");
	CHECK_INT(fs_each(lane, take_bucket, &bucket), 1);
	bucket_name_format(&bucket, settled);
	bucket.unsettled = true;
	token_make(bucket.token);
	bucket_name_format(&bucket, hidden);
	CHECK_INT(renameat(lane, settled, lane, hidden), 0);
	CHECK_INT(renameat(spool.states[STATE_WAITING], "a", spool.states[STATE_WAITING],
		      ".a~1732170240.123456.abcdefgh"),
	    0);
	CHECK_STR(due_ids(&spool, clock_now() + USEC, ids, sizeof ids), "one");
	spool_close(&spool);
}

UNIT_MAIN()
