#include "cmd/run/obey.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"

void
obey_release(struct obedience *o)
{
	scheduler_release(&o->scheduler);
}

void
obey_refresh(struct obedience *o)
{
	struct scheduler fresh;
	struct err err = ERR_INIT;

	if (scheduler_read(&fresh, o->spool, o->settings, &err) < 0) {
		scheduler_release(&fresh);
		if (strcmp(err.msg, o->told.msg) != 0)
			log_error("%s; still using the previous configuration", err.msg);
		o->told = err;
		return;
	}
	o->told = (struct err)ERR_INIT;
	scheduler_release(&o->scheduler);
	o->scheduler = fresh;
}

bool
obey_may_go_on(void *arg)
{
	struct obedience *o = arg;
	struct rule_verdict verdict;

	obey_refresh(o);
	scheduler_decide(&o->scheduler, o->spool, clock_now(), &verdict);
	if (!verdict.allowed)
		log_info("the cycle ends early: %s", verdict.why);
	return verdict.allowed;
}

int
obey_begin(struct obedience *o, bool forced, struct skipped *skipped, struct err *err)
{
	struct rule_verdict verdict;
	int64_t now = clock_now();
	int result = 0;

	if (o->resume) {
		o->resume = false;
		return 1;
	}
	scheduler_decide(&o->scheduler, o->spool, now, &verdict);
	if (forced || verdict.due)
		result = scheduler_begin(&o->scheduler, o->spool, now, forced, err);
	if (result != 0)
		return result;
	/* Another has just taken this one. */
	if (verdict.due)
		scheduler_decide(&o->scheduler, o->spool, clock_now(), &verdict);
	skipped->next = verdict.next;
	memcpy(skipped->why, verdict.why, sizeof skipped->why);
	return 0;
}
