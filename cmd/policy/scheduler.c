#include "cmd/policy/scheduler.h"

#include "base/auto.h"
#include "base/clock.h"
#include "spool/policy/schedule.h"

int
scheduler_rules_read(const struct spool *spool, struct rules *ret, struct err *err)
{
	AUTO_BUF struct buf text = BUF_INIT(RULES_FILE_MAX);

	if (rules_file_read(spool, &text, err) < 0)
		return -1;
	if (rules_parse(text.s, text.len, ret, err) < 0)
		return err_prefix(err, "spool %s: rules", spool->path);
	return 0;
}

int
scheduler_rules_write(struct spool *spool, const struct rules *rules, struct err *err)
{
	AUTO_BUF struct buf text = BUF_INIT(RULES_FILE_MAX);

	if (rules_format(rules, &text) < 0)
		return err_set(err, EX_UNAVAILABLE, "the rules are more than fit into %u bytes",
		    RULES_FILE_MAX);
	return rules_file_write(spool, text.s, text.len, err);
}

void
scheduler_release(struct scheduler *scheduler)
{
	zone_free(&scheduler->zone);
	rules_release(&scheduler->rules);
}

int
scheduler_read(struct scheduler *scheduler, const struct spool *spool,
    const struct settings *settings, struct err *err)
{
	*scheduler = (struct scheduler){ .outside_waits = settings->scheduler.outside_rules == 1 };
	if (scheduler_rules_read(spool, &scheduler->rules, err) < 0)
		return -1;
	if (scheduler->rules.n == 0)
		return 0;
	return zone_open(settings->scheduler.timezone, &scheduler->zone, err);
}

static struct schedule
schedule_of(const struct scheduler *scheduler, int64_t last)
{
	return (struct schedule){ .rules = &scheduler->rules,
		.zone = scheduler->zone,
		.outside_waits = scheduler->outside_waits,
		.last = last };
}

void
scheduler_decide(const struct scheduler *scheduler, const struct spool *spool, int64_t now,
    struct rule_verdict *ret)
{
	struct schedule schedule =
	    schedule_of(scheduler, scheduler->rules.n > 0 ? cycle_last(spool) : 0);

	rule_decide(&schedule, now, ret);
}

struct beginning {
	const struct scheduler *scheduler;
	int64_t now;
	bool forced;
};

static bool
is_due(int64_t last, void *arg)
{
	const struct beginning *b = arg;
	struct schedule schedule = schedule_of(b->scheduler, last);
	struct rule_verdict verdict;

	if (b->forced)
		return true;
	/* Another may have begun while this one waited for the lock: it does not lie ahead. */
	rule_decide(&schedule, last > b->now ? clock_now() : b->now, &verdict);
	return verdict.due;
}

int
scheduler_begin(const struct scheduler *scheduler, struct spool *spool, int64_t now, bool forced,
    struct err *err)
{
	struct beginning beginning = { scheduler, now, forced };

	/* Nothing depends on when the last cycle was. */
	if (scheduler->rules.n == 0)
		return 1;
	return cycle_begin(spool, now, is_due, &beginning, err);
}
