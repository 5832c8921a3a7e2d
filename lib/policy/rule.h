/*
 * When cycles of delivery happen.  Of the enabled rules that match now, the last in priority order
 * says how many minutes pass between cycles.  Pure: rules, a zone and instants in, a verdict out.
 */
#ifndef POLICY_RULE_H
#define POLICY_RULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "base/zone.h"

#define RULES_MAX 1000
#define RULE_INTERVAL_MAX 525600 /* minutes */
#define RULE_NAME_MAX 200	 /* bytes */
#define RULE_PRIORITY_MAX 1000000000
#define RULE_PRIORITY_LAST INT64_MIN /* of a rule that goes behind all others, see rules_add */

struct rule {
	int64_t id; /* from 1, never used again */
	char *name; /* or NULL */
	bool enabled;
	int64_t priority;	  /* in order: a later one overrides */
	unsigned int days;	  /* bit 0 = Monday .. 6 = Sunday; 0: every day */
	int start_hour, end_hour; /* 0..23; -1: absent, and either absent is all day */
	bool cross_midnight;	  /* hour >= start or hour < end; days name the evening's day */
	int64_t interval;	  /* minutes between cycles, 1..RULE_INTERVAL_MAX */
	char *once; /* names the request that made it, which makes no other; or NULL */
};

/* In priority order, then by id. */
struct rules {
	struct rule *v;
	size_t n;
	int64_t last_id; /* the highest that was ever given */
};

void rules_release(struct rules *rules);

/* The file of all rules, JSON Lines: {"last_id":3}, then a rule a line, in the REST API's form, and "once"
 * where it has that; an empty text is no rules.  rules_parse: EX_DATAERR with the line; *ret is to be released in any case.
 * rules_format appends; -1 with errno = E2BIG. */
int rules_parse(const char *text, size_t len, struct rules *ret, struct err *err);
int rules_format(const struct rules *rules, struct buf *out);
/* One rule as the API has it: {"id","name"?,"enabled","priority","days",...}. */
void rule_put(const struct rule *rule, struct json_writer *w);
/*
 * Changes the fields of *rule that object has, and checks them: EX_DATAERR names the field and what
 * was expected.  For a new rule, *rule has its defaults before (rule_init).  On failure it is as it
 * was.  A field that is not known is refused.  null takes a name or an hour away, and changes no other
 * field.  An id must be the rule's own; for a new rule it means nothing.
 */
int rule_take(struct rule *rule, const struct json *object, struct err *err);
/* Each minute of each day, behind all others. */
void rule_init(struct rule *rule);
void rule_release(struct rule *rule);

/* Puts a copy of rule in: its id is given (rules->last_id), its priority where that is
 * RULE_PRIORITY_LAST (the last one's + 1, from 0).  Returns it, or NULL where there are RULES_MAX
 * already.  It stays where it is until rules are added, removed or sorted. */
struct rule *rules_add(struct rules *rules, const struct rule *rule);
struct rule *rules_find(struct rules *rules, int64_t id);
struct rule *rules_find_once(struct rules *rules, const char *once);
bool rules_remove(struct rules *rules, int64_t id);
void rules_sort(struct rules *rules); /* after a priority was changed */

/* "mon-fri" of 0x1f, "every day" of 0. */
#define RULE_DAYS_SIZE 40
char *rule_days_text(unsigned int days, char text[RULE_DAYS_SIZE]);
/* "mon-fri", "sat,sun", "fri-mon", "0-4", "every day" and "daily"; -1 with EX_DATAERR. */
int rule_days_parse(const char *text, unsigned int *ret, struct err *err);

/* "9-18", "22-6 +1" (to 6 on the next day), "9-24", "all day"; "18-9, never" where no hour matches. */
#define RULE_HOURS_SIZE 32
char *rule_hours_text(const struct rule *rule, char text[RULE_HOURS_SIZE]);
/* An interval: "5 minutes", "2 hours", "minute" of 1. */
#define RULE_INTERVAL_SIZE 40
char *rule_interval_text(int64_t minutes, char text[RULE_INTERVAL_SIZE]);

/* What holds a schedule together. */
struct schedule {
	const struct rules *rules;
	const struct zone *zone; /* may be NULL where there are no rules */
	bool outside_waits;	 /* scheduler.outside_rules = "wait" */
	int64_t last;		 /* when the last cycle began; 0: never */
};

struct rule_verdict {
	bool due;		 /* a cycle may begin at this instant */
	bool allowed;		 /* some cycle may run in this hour: one that began may go on */
	const struct rule *rule; /* which rule decides; NULL: none matches, or there is none */
	int64_t interval; /* minutes; 0: each call is a cycle (no rules), or none is allowed */
	int64_t next;	  /* the instant of the next cycle; INT64_MAX: never */
	char why[400];	  /* "rule 2 \"office hours\" (mon-fri 9-18): every 5 minutes; ..." */
};

/*
 * Cycles are counted in whole minutes: one is due where the minute of now lies at least the interval
 * behind the minute of the last cycle, so that a timer which is a little late misses none.  A last
 * cycle that lies ahead (the clock was put back) counts for nothing.  next looks 5 weeks ahead, and
 * behind the longest interval.
 */
void rule_decide(const struct schedule *schedule, int64_t now, struct rule_verdict *ret);

#endif
