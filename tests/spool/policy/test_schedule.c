/* What the scheduler keeps in the spool, and who has a cycle. */
#include "spool/policy/schedule.h"

#include <fcntl.h>

#include "base/clock.h"
#include "base/fs.h"
#include "cmd/policy/scheduler.h"
#include "spool_fixture.h"

static void
put_file(const struct spool *spool, const char *name, const char *text)
{
	CHECK(fs_replace_file(spool->root, name, text, strlen(text), 0600) == 0);
}

/* Rules of this text, read for a spool of settings that say nothing. */
static void
read_rules(struct spool *spool, const char *text, struct scheduler *ret)
{
	const struct settings settings = { 0 };
	struct err err = ERR_INIT;

	CHECK(rules_file_write(spool, text, strlen(text), &err) == 0);
	if (scheduler_read(ret, spool, &settings, &err) < 0)
		unit_fail(__FILE__, __LINE__, "%s", err.msg);
}

#define HOURLY "{\"last_id\":1}\n{\"id\":1,\"interval_minutes\":60}\n"

TEST(the_rules_are_text)
{
	struct spool spool = fresh_spool();
	AUTO_BUF struct buf text = BUF_INIT(RULES_FILE_MAX);
	AUTO_FREE char *big = xcalloc(RULES_FILE_MAX + 2, 1);
	struct err err = ERR_INIT;

	CHECK(rules_file_read(&spool, &text, &err) == 0);
	CHECK_INT(text.len, 0);
	CHECK(rules_file_write(&spool, "abc\n", 4, &err) == 0);
	CHECK(rules_file_read(&spool, &text, &err) == 0);
	CHECK_STR(text.s, "abc\n");
	memset(big, 'x', RULES_FILE_MAX + 1);
	put_file(&spool, "rules", big);
	CHECK(rules_file_read(&spool, &text, &err) == -1);
	CHECK_INT(err.code, EX_DATAERR);
	/* What was read before is still there. */
	CHECK_STR(text.s, "abc\n");
	CHECK(unlinkat(spool.root, "rules", 0) == 0);
	CHECK(symlinkat("/etc/passwd", spool.root, "rules") == 0);
	CHECK(rules_file_read(&spool, &text, &err) == -1);
	spool_close(&spool);
}

struct asked {
	int64_t last;
	int times;
	bool answer;
};

static bool
answer(int64_t last, void *arg)
{
	struct asked *asked = arg;

	asked->last = last;
	asked->times++;
	return asked->answer;
}

TEST(a_cycle_is_on_record_when_it_begins)
{
	struct spool spool = fresh_spool();
	struct asked asked = { .answer = true };
	struct err err = ERR_INIT;
	int64_t now = INT64_C(1795260721539281);

	CHECK_INT(cycle_last(&spool), 0);
	CHECK_INT(cycle_begin(&spool, now, answer, &asked, &err), 1);
	CHECK_INT(asked.last, 0);
	CHECK_INT(cycle_last(&spool), now);
	asked.answer = false;
	CHECK_INT(cycle_begin(&spool, now + 5, answer, &asked, &err), 0);
	CHECK_INT(asked.last, now);
	CHECK_INT(cycle_last(&spool), now);
	/* A shorter line over a longer text. */
	put_file(&spool, "scheduler", "last: 1795260721.539281\nremark: all of this goes\n");
	CHECK_INT(cycle_last(&spool), now);
	asked.answer = true;
	CHECK_INT(cycle_begin(&spool, now + 60 * USEC, answer, &asked, &err), 1);
	CHECK_INT(cycle_last(&spool), now + 60 * USEC);
	CHECK_INT(asked.times, 3);
	spool_close(&spool);
}

TEST(a_text_that_is_none_is_no_cycle)
{
	static const char *const rows[] = { "", "last: 1795260721.5392", "last: ", "last:", "last",
		"last: 99999999999999999999.000000\n", "\n", "last: x\n" };
	struct spool spool = fresh_spool();

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		put_file(&spool, "scheduler", rows[i]);
		CHECK_ROW(rows[i], cycle_last(&spool) == 0);
	}
	spool_close(&spool);
}

TEST(whoever_waited_for_the_lock_does_not_begin_it_again)
{
	AUTO(scheduler_release) struct scheduler scheduler = { 0 };
	struct spool spool = fresh_spool();
	struct err err = ERR_INIT;
	int64_t now = clock_now();

	read_rules(&spool, HOURLY, &scheduler);
	CHECK_INT(scheduler_begin(&scheduler, &spool, now - USEC, false, &err), 1);
	/* This one looked at its clock before, and had the lock after. */
	CHECK_INT(scheduler_begin(&scheduler, &spool, now - 2 * USEC, false, &err), 0);
	CHECK_INT(cycle_last(&spool), now - USEC);
	CHECK_INT(scheduler_begin(&scheduler, &spool, now, true, &err), 1);
	CHECK_INT(cycle_last(&spool), now);
	spool_close(&spool);
}

TEST(a_last_cycle_that_lies_ahead_is_none)
{
	AUTO(scheduler_release) struct scheduler scheduler = { 0 };
	struct spool spool = fresh_spool();
	struct asked asked = { .answer = true };
	struct err err = ERR_INIT;
	struct rule_verdict verdict;
	int64_t now = clock_now();

	read_rules(&spool, HOURLY, &scheduler);
	CHECK_INT(cycle_begin(&spool, now + 3600 * USEC, answer, &asked, &err), 1);
	scheduler_decide(&scheduler, &spool, now, &verdict);
	CHECK(verdict.due);
	CHECK_INT(scheduler_begin(&scheduler, &spool, now, false, &err), 1);
	CHECK_INT(cycle_last(&spool), now);
	spool_close(&spool);
}

TEST(without_rules_nothing_is_written_and_no_zone_is_needed)
{
	AUTO(scheduler_release) struct scheduler scheduler = { 0 };
	struct spool spool = fresh_spool();
	struct err err = ERR_INIT;
	struct rule_verdict verdict;

	setenv("TZ", "Nowhere/City", 1);
	read_rules(&spool, "{\"last_id\":4}\n", &scheduler);
	unsetenv("TZ");
	scheduler_decide(&scheduler, &spool, clock_now(), &verdict);
	CHECK(verdict.due && verdict.allowed);
	CHECK_INT(scheduler_begin(&scheduler, &spool, clock_now(), false, &err), 1);
	CHECK(faccessat(spool.root, "scheduler", F_OK, 0) == -1);
	spool_close(&spool);
}

UNIT_MAIN()
