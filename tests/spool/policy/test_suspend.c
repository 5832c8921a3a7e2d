/* Suspensions: written, read, found for a lane, lifted, over. */
#include "spool/policy/suspend.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/fs.h"
#include "spool/journal/history.h"
#include "spool_fixture.h"

#define NOW (INT64_C(1795000000) * USEC)

static struct suspension
order(enum suspend_kind kind, const char *name, int64_t until, const char *reason)
{
	struct suspension one = { .kind = kind, .since = NOW - 5, .until = until };

	snprintf(one.name, sizeof one.name, "%s", name);
	snprintf(one.by, sizeof one.by, "alice");
	snprintf(one.reason, sizeof one.reason, "%s", reason);
	return one;
}

static void
put(struct spool *spool, enum suspend_kind kind, const char *name, int64_t until,
    const char *reason)
{
	struct suspension one = order(kind, name, until, reason);
	struct err err = ERR_INIT;

	if (suspend(spool, &one, &err) < 0)
		unit_fail(__FILE__, __LINE__, "%s", err.msg);
}

/* A file as a person, or a fault, leaves it. */
static void
put_file(struct spool *spool, const char *entry, const char *text, size_t n)
{
	AUTO_FD int dir = -1;

	fs_mkdir(spool->root, "suspended", 0770);
	dir = fs_open_dir(spool->root, "suspended");
	CHECK(fs_replace_file(dir, entry, text, n, 0660) == 0);
}

static struct suspensions
read_all(struct spool *spool, int64_t now)
{
	struct suspensions list;
	struct err err = ERR_INIT;

	if (suspensions_read(spool, now, &list, &err) < 0)
		unit_fail(__FILE__, __LINE__, "%s", err.msg);
	return list;
}

TEST(none_where_nobody_suspended)
{
	AUTO(spool_close) struct spool spool = fresh_spool();
	AUTO(suspensions_release) struct suspensions list = read_all(&spool, NOW);
	struct lane lane = { .account = "main", .batch = "spring" };

	CHECK_INT(list.n, 0);
	CHECK(suspensions_of_lane(&list, &lane) == NULL);
	CHECK_INT(activate(&spool, SUSPEND_BATCH, "spring", "bob", NULL), 0);
	CHECK_INT(suspensions_tidy(&spool, NOW, NULL), 0);
}

TEST(what_is_written_is_read)
{
	AUTO(spool_close) struct spool spool = fresh_spool();
	const struct suspension *one;
	struct suspensions list;

	put(&spool, SUSPEND_BATCH, "spring/\xc3\xa9,1", NOW + 7, "moved\nuntil: 1.000000\x1b");
	put(&spool, SUSPEND_ACCOUNT, "main", 0, "");
	put(&spool, SUSPEND_ALL, "", 0, "all of it");
	list = read_all(&spool, NOW);
	CHECK_INT(list.n, 3);
	one = suspensions_find(&list, SUSPEND_BATCH, "spring/\xc3\xa9,1");
	CHECK(one != NULL);
	if (one != NULL) {
		CHECK_INT(one->since, NOW - 5);
		CHECK_INT(one->until, NOW + 7);
		CHECK_STR(one->by, "alice");
		CHECK_STR(one->reason, "moved until: 1.000000 ");
	}
	one = suspensions_find(&list, SUSPEND_ACCOUNT, "main");
	CHECK(one != NULL && one->until == 0 && one->reason[0] == '\0');
	CHECK(suspensions_find(&list, SUSPEND_ALL, "") != NULL);
	CHECK(suspensions_find(&list, SUSPEND_BATCH, "main") == NULL);
	CHECK(suspensions_find(&list, SUSPEND_ACCOUNT, "other") == NULL);
	suspensions_release(&list);
}

TEST(one_is_found_among_many)
{
	AUTO(spool_close) struct spool spool = fresh_spool();
	struct suspensions list;
	char name[16];

	put(&spool, SUSPEND_ACCOUNT, "main", 0, "");
	for (int i = 0; i < 60; i++) {
		snprintf(name, sizeof name, "b%d", i);
		put(&spool, SUSPEND_BATCH, name, 0, name);
	}
	list = read_all(&spool, NOW);
	CHECK_INT(list.n, 61);
	for (int i = 0; i < 61; i++) {
		const struct suspension *one;

		snprintf(name, sizeof name, "b%d", i);
		one = suspensions_find(&list, SUSPEND_BATCH, name);
		CHECK_ROW(name,
		    i < 60 ? one != NULL && strcmp(one->reason, name) == 0 : one == NULL);
	}
	suspensions_release(&list);
}

TEST(a_lane_is_held_by_all_then_batch_then_account)
{
	static const struct row {
		const char *account, *batch, *by; /* by: the reason, NULL: it goes */
	} rows[] = {
		{ "main", "", "account" },
		{ "main", "spring", "batch" },
		{ "other", "spring", "batch" },
		{ "other", "", NULL },
		{ "other", "main", NULL },
		{ "spring", "", NULL },
		{ "default", "", "default" },
	};
	AUTO(spool_close) struct spool spool = fresh_spool();
	struct suspensions list;

	put(&spool, SUSPEND_ACCOUNT, "main", 0, "account");
	put(&spool, SUSPEND_ACCOUNT, "default", 0, "default");
	put(&spool, SUSPEND_BATCH, "spring", 0, "batch");
	list = read_all(&spool, NOW);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct lane lane = { .domain = "example.org" };
		const struct suspension *one;

		snprintf(lane.account, sizeof lane.account, "%s", rows[i].account);
		snprintf(lane.batch, sizeof lane.batch, "%s", rows[i].batch);
		one = suspensions_of_lane(&list, &lane);
		CHECK_STR(one != NULL ? one->reason : NULL, rows[i].by);
	}
	suspensions_release(&list);
	put(&spool, SUSPEND_ALL, "", 0, "all");
	list = read_all(&spool, NOW);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct lane lane = { .account = "other" };
		const struct suspension *one = suspensions_of_lane(&list, &lane);

		CHECK_STR(one != NULL ? one->reason : NULL, "all");
	}
	suspensions_release(&list);
}

TEST(again_replaces_and_activate_lifts)
{
	AUTO(spool_close) struct spool spool = fresh_spool();
	struct suspensions list;

	put(&spool, SUSPEND_ACCOUNT, "main", NOW + 5, "first");
	put(&spool, SUSPEND_ACCOUNT, "main", 0, "second");
	list = read_all(&spool, NOW + 10);
	CHECK_INT(list.n, 1);
	if (list.n == 1)
		CHECK_STR(list.v[0].reason, "second");
	suspensions_release(&list);
	CHECK_INT(activate(&spool, SUSPEND_BATCH, "main", "bob", NULL), 0);
	CHECK_INT(activate(&spool, SUSPEND_ACCOUNT, "main", "bob", NULL), 1);
	CHECK_INT(activate(&spool, SUSPEND_ACCOUNT, "main", "bob", NULL), 0);
	list = read_all(&spool, NOW);
	CHECK_INT(list.n, 0);
	suspensions_release(&list);
	/* Whoever watches is woken. */
	CHECK(faccessat(spool.root, "wake", F_OK, 0) == 0);
}

TEST(its_time_comes_to_the_microsecond)
{
	AUTO(spool_close) struct spool spool = fresh_spool();
	struct suspensions list;

	put(&spool, SUSPEND_BATCH, "spring", NOW + 5, "");
	list = read_all(&spool, NOW + 4);
	CHECK_INT(list.n, 1);
	suspensions_release(&list);
	list = read_all(&spool, NOW + 5);
	CHECK_INT(list.n, 0);
	suspensions_release(&list);
	/* A clock that was put back: it holds, however far ahead. */
	list = read_all(&spool, NOW - 400 * 86400 * USEC);
	CHECK_INT(list.n, 1);
	suspensions_release(&list);
}

TEST(tidying_removes_what_is_over)
{
	AUTO(spool_close) struct spool spool = fresh_spool();
	struct suspensions list;

	put(&spool, SUSPEND_BATCH, "old", NOW - 1, "");
	put(&spool, SUSPEND_BATCH, "running", NOW + 1, "");
	put(&spool, SUSPEND_ACCOUNT, "main", 0, "");
	put_file(&spool, "batch,odd", "what", 4);
	CHECK_INT(suspensions_tidy(&spool, NOW, NULL), 0);
	CHECK(faccessat(spool.root, "suspended/batch,old", F_OK, 0) < 0);
	list = read_all(&spool, 0);
	CHECK_INT(list.n, 3);
	suspensions_release(&list);
	/* One that is over is none: there is nothing to lift. */
	put(&spool, SUSPEND_BATCH, "old", clock_now() - 1, "");
	CHECK_INT(activate(&spool, SUSPEND_BATCH, "old", "bob", NULL), 0);
	CHECK(faccessat(spool.root, "suspended/batch,old", F_OK, 0) < 0);
}

TEST(what_cannot_be_understood_holds)
{
	static const struct row {
		const char *entry, *text;
		size_t n;
	} rows[] = {
		{ "all", "until", 5 },
		{ "account,a", "until: soon\n", 12 },
		{ "account,b", "until: 1.000000", 15 },
		{ "account,c", "until: 1.000000\nsince\n", 22 },
		{ "account,d", "until: 1.000000\n\0", 17 },
		{ "account,e", "\n", 1 },
		{ "batch,%2F", "until: -1.000000\n", 17 },
	};
	AUTO(spool_close) struct spool spool = fresh_spool();
	struct suspensions list;
	struct suspension one;
	struct err err = ERR_INIT;

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		put_file(&spool, rows[i].entry, rows[i].text, rows[i].n);
		CHECK_INT(suspension_read(&spool, rows[i].entry, &one, &err), -1);
		CHECK_INT(err.code, EX_DATAERR);
	}
	CHECK(mkdirat(spool.root, "suspended/account,f", 0770) == 0);
	CHECK(symlinkat("/etc/passwd", spool.root, "suspended/account,g") == 0);
	list = read_all(&spool, NOW);
	CHECK_INT(list.n, 9);
	for (size_t i = 0; i < list.n; i++) {
		CHECK_INT(list.v[i].until, 0);
		CHECK_ROW(list.v[i].name, strstr(list.v[i].reason, "cannot be understood") != NULL);
	}
	CHECK(suspensions_find(&list, SUSPEND_BATCH, "/") != NULL);
	suspensions_release(&list);
	CHECK_INT(activate(&spool, SUSPEND_ACCOUNT, "a", "bob", NULL), 1);
	CHECK_INT(activate(&spool, SUSPEND_ACCOUNT, "g", "bob", NULL), 1);
}

TEST(names_that_suspend_nothing)
{
	static const char *const names[] = { "everything", "account", "account,", "account,a/b%2",
		"account,%2f", "batch,.x", ".all.tmp" };
	AUTO(spool_close) struct spool spool = fresh_spool();
	struct suspensions list;
	struct suspension one;
	struct err err = ERR_INIT;

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		if (strchr(names[i], '/') == NULL)
			put_file(&spool, names[i], "", 0);
		CHECK_INT(suspension_read(&spool, names[i], &one, &err), -1);
	}
	list = read_all(&spool, NOW);
	CHECK_INT(list.n, 0);
	suspensions_release(&list);
}

TEST(a_person_may_touch_and_later_versions_may_say_more)
{
	static const char text[] = "since: 5.000000\ncolour: red\nreason: x\n";
	AUTO(spool_close) struct spool spool = fresh_spool();
	struct suspension one;

	put_file(&spool, "all", "", 0);
	CHECK_INT(suspension_read(&spool, "all", &one, NULL), 1);
	CHECK_INT(one.until, 0);
	CHECK(one.since > clock_now() - 3600 * USEC && one.since <= clock_now());
	put_file(&spool, "account,main", text, sizeof text - 1);
	CHECK_INT(suspension_read(&spool, "account,main", &one, NULL), 1);
	CHECK_INT(one.since, 5 * USEC);
	CHECK_STR(one.reason, "x");
	CHECK_INT(suspension_read(&spool, "account,other", &one, NULL), 0);
}

static int
take_event(const char *text, size_t len, const struct json *value, void *arg)
{
	struct buf *b = arg;
	const char *account = json_string(json_get(value, "account"));
	const char *batch = json_string(json_get(value, "batch"));
	const char *reason = json_string(json_get(value, "reason"));

	(void)text;
	(void)len;
	return buf_addf(b, "%s %s %s %s %d;", json_string(json_get(value, "event")),
	    account != NULL ? account : "-", batch != NULL ? batch : "-",
	    reason != NULL ? reason : "-", json_get(value, "until") != NULL);
}

TEST(history_tells)
{
	AUTO(spool_close) struct spool spool = fresh_spool();
	AUTO_BUF struct buf b = BUF_INIT(4096);
	struct history_filter filter = { 0 };

	put(&spool, SUSPEND_ALL, "", 0, "");
	put(&spool, SUSPEND_ACCOUNT, "main", NOW, "moved");
	activate(&spool, SUSPEND_ALL, "", "bob", NULL);
	activate(&spool, SUSPEND_ALL, "", "bob", NULL);
	put(&spool, SUSPEND_BATCH, "spring", NOW, "");
	suspensions_tidy(&spool, NOW, NULL);
	CHECK_INT(history_read(&spool, &filter, take_event, &b, NULL), 0);
	CHECK(strstr(b.s,
		  "suspended - - by alice 0;suspended main - by alice: moved 1;"
		  "activated - - by bob 0;suspended - spring by alice 1;") == b.s);
	CHECK(strstr(b.s, "activated main - its time is over 0;") != NULL);
	CHECK(strstr(b.s, "activated - spring its time is over 0;") != NULL);
}

TEST(what_is_no_name_is_refused)
{
	AUTO(spool_close) struct spool spool = fresh_spool();
	char name[LANE_PART_MAX + 1] = "";
	struct suspension one = order(SUSPEND_BATCH, "", 0, "");
	struct err err = ERR_INIT;

	CHECK_INT(suspend(&spool, &one, &err), -1);
	CHECK_INT(err.code, EX_DATAERR);
	memset(name, '/', sizeof name - 1);
	CHECK_INT(activate(&spool, SUSPEND_BATCH, name, "bob", &err), -1);
	CHECK_INT(err.code, EX_DATAERR);
}

UNIT_MAIN()
