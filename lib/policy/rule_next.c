/* What the rules say at an instant, and when they next let a cycle begin. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "policy/rule.h"

#define MINUTE (60 * USEC)
#define HOUR (60 * MINUTE)
#define AHEAD (INT64_C(5) * 7 * 24 * HOUR)
#define NAME_SHOWN 60 /* bytes of a rule's name */

static int64_t
minute_of(int64_t instant)
{
	return instant >= 0 ? instant / MINUTE : -((-instant + MINUTE - 1) / MINUTE);
}

static bool
has_day(const struct rule *rule, int weekday)
{
	return rule->days == 0 || rule->days >> weekday & 1;
}

/* An hour as local clocks show it. */
struct hour {
	int weekday, hour;
};

/* That of an instant, where clocks are so far ahead of UTC; *ret_left is how long it lasts. */
static struct hour
hour_at(int64_t instant, int offset, int64_t *ret_left)
{
	int64_t local = instant + offset * USEC;
	int64_t hours = local / HOUR - (local % HOUR < 0);

	*ret_left = (hours + 1) * HOUR - local;
	/* 1970-01-01 was a Thursday. */
	hours = ((hours + 3 * 24) % 168 + 168) % 168;
	return (struct hour){ (int)(hours / 24), (int)(hours % 24) };
}

static bool
matches(const struct rule *rule, const struct hour *t)
{
	int start = rule->start_hour, end = rule->end_hour;

	if (!rule->enabled)
		return false;
	if (start < 0 || end < 0)
		return has_day(rule, t->weekday);
	if (!rule->cross_midnight)
		return t->hour >= start && t->hour < end && has_day(rule, t->weekday);
	return (t->hour >= start && has_day(rule, t->weekday)) ||
	    (t->hour < end && has_day(rule, (t->weekday + 6) % 7));
}

/* The rule that decides in an hour; NULL: none matches. */
static const struct rule *
decider(const struct rules *rules, const struct hour *t)
{
	for (size_t i = rules->n; i-- > 0;)
		if (matches(&rules->v[i], t))
			return &rules->v[i];
	return NULL;
}

/* Minutes between cycles; 0: none is allowed. */
static int64_t
interval_of(const struct schedule *s, const struct rule *rule)
{
	if (rule != NULL)
		return rule->interval;
	return s->outside_waits ? 0 : 1;
}

/* ---- the next cycle ---------------------------------------------------------------------- */

struct next {
	int64_t instant;
	const struct rule *rule;
	int64_t interval;
};

/* The first instant of the minute in which a cycle is due, so many minutes after the last. */
static int64_t
due_from(const struct schedule *s, int64_t interval)
{
	int64_t last = minute_of(s->last);

	if (s->last == 0)
		return INT64_MIN;
	return last > INT64_MAX / MINUTE - interval ? INT64_MAX : (last + interval) * MINUTE;
}

/* The bounds of the intervals that can ever decide. */
static void
intervals(const struct schedule *s, int64_t *ret_min, int64_t *ret_max)
{
	*ret_min = s->outside_waits ? RULE_INTERVAL_MAX : 1;
	*ret_max = 1;
	for (size_t i = 0; i < s->rules->n; i++) {
		const struct rule *rule = &s->rules->v[i];

		if (rule->enabled && rule->interval < *ret_min)
			*ret_min = rule->interval;
		if (rule->enabled && rule->interval > *ret_max)
			*ret_max = rule->interval;
	}
}

static int
offset_at(const struct zone *zone, int64_t instant)
{
	struct zone_time time;

	zone_local(zone, instant, &time);
	return time.offset;
}

static int64_t
later(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

/*
 * Goes from hour to hour of local clocks, and from change to change of the zone: between these, one rule
 * holds.  Hours that clocks pass over are not met, and those that come twice are met twice.
 */
static struct next
find_next(const struct schedule *s, int64_t now)
{
	struct next next = { .instant = INT64_MAX };
	int64_t min, max, at, end, change = INT64_MIN;
	int offset = 0;

	intervals(s, &min, &max);
	at = later(now, due_from(s, min));
	end = later(now, due_from(s, max));
	if (end >= INT64_MAX - AHEAD)
		return next;
	for (end += AHEAD; at < end;) {
		int64_t left, until, from;
		struct hour hour;

		if (at >= change) {
			offset = offset_at(s->zone, at);
			change = zone_next_change(s->zone, at);
		}
		hour = hour_at(at, offset, &left);
		until = change - at < left ? change : at + left;
		next.rule = decider(s->rules, &hour);
		next.interval = interval_of(s, next.rule);
		from = later(at, due_from(s, next.interval));
		if (next.interval > 0 && from < until) {
			next.instant = from;
			return next;
		}
		at = until;
	}
	return (struct next){ .instant = INT64_MAX };
}

/* ---- in words ---------------------------------------------------------------------------- */

/* "Mon 2026-11-23 09:00 CET" */
#define WHEN_SIZE 64
static const char *
when(const struct schedule *s, int64_t instant, char text[WHEN_SIZE])
{
	static const char names[7][4] = { "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun" };
	struct zone_time t;

	zone_local(s->zone, instant, &t);
	snprintf(text, WHEN_SIZE, "%s %04d-%02d-%02d %02d:%02d %s", names[t.weekday], t.year,
	    t.month, t.day, t.hour, t.minute, t.abbreviation);
	return text;
}

/* "rule 2 \"office hours\" (mon-fri 9-18)", the name cut where it is long. */
#define RULE_SIZE 200
static const char *
words(const struct rule *rule, char text[RULE_SIZE])
{
	char days[RULE_DAYS_SIZE], hours[RULE_HOURS_SIZE], name[NAME_SHOWN + 8] = "";
	size_t n = rule->name != NULL ? strlen(rule->name) : 0;

	if (n > NAME_SHOWN) {
		/* Not within a character. */
		for (n = NAME_SHOWN; n > 0 && ((unsigned char)rule->name[n] & 0xc0) == 0x80;)
			n--;
		snprintf(name, sizeof name, " \"%.*s...\"", (int)n, rule->name);
	} else if (n > 0) {
		snprintf(name, sizeof name, " \"%s\"", rule->name);
	}
	snprintf(text, RULE_SIZE, "rule %" PRId64 "%s (%s %s)", rule->id, name,
	    rule_days_text(rule->days, days), rule_hours_text(rule, hours));
	return text;
}

/* What does not fit is left out, part by part: only names far beyond the usual make it so long. */
static void
describe(const struct schedule *s, int64_t now, const struct next *next, struct rule_verdict *v)
{
	AUTO_BUF struct buf why = BUF_INIT(sizeof v->why - 1);
	char rule[RULE_SIZE], interval[RULE_INTERVAL_SIZE], at[WHEN_SIZE];

	if (v->rule != NULL)
		buf_addf(&why, "%s: every %s", words(v->rule, rule),
		    rule_interval_text(v->interval, interval));
	else
		buf_addf(&why, "no rule matches now, and outside of rules %s",
		    s->outside_waits ? "cycles wait" : "there is a cycle each minute");
	if (s->last > 0 && s->last <= now && !v->due)
		buf_addf(&why, "; last cycle %s", when(s, s->last, at));
	if (next->instant == INT64_MAX)
		buf_adds(&why, "; no later hour permits a cycle");
	else
		buf_addf(&why, "; %s %s", v->due ? "due now," : "next", when(s, next->instant, at));
	buf_addf(&why, " (%s)", zone_name(s->zone));
	if (next->rule != NULL && next->rule != v->rule)
		buf_addf(&why, " by %s", words(next->rule, rule));
	else if (next->instant != INT64_MAX && next->rule == NULL && v->rule != NULL)
		buf_adds(&why, ", when no rule matches");
	memcpy(v->why, why.s, why.len + 1);
}

void
rule_decide(const struct schedule *s, int64_t now, struct rule_verdict *ret)
{
	struct schedule schedule = *s;
	struct rule_verdict v = { .next = now };
	struct hour hour;
	struct next next;
	int64_t left;

	if (s->rules->n == 0) {
		v.due = v.allowed = true;
		snprintf(v.why, sizeof v.why, "no rules: each call of mailq-run is a cycle");
		*ret = v;
		return;
	}
	/* One that lies ahead is from before the clock was put back. */
	if (schedule.last > now)
		schedule.last = 0;
	hour = hour_at(now, offset_at(s->zone, now), &left);
	v.rule = decider(s->rules, &hour);
	v.interval = interval_of(s, v.rule);
	v.allowed = v.interval > 0;
	v.due = v.allowed && now >= due_from(&schedule, v.interval);
	if (v.due)
		next = (struct next){ now, v.rule, v.interval };
	else
		next = find_next(&schedule, now);
	v.next = next.instant;
	describe(&schedule, now, &next, &v);
	*ret = v;
}
