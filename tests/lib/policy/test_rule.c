/* The rules that say when cycles happen: through a year, minute by minute, against a plain reading of
 * what they mean. */
#include "policy/rule.h"

#include <time.h>

#include "base/clock.h"
#include "unit.h"

#define MINUTE (60 * USEC)
#define MON_FRI "[0,1,2,3,4]"

#define HEAD "{\"last_id\":9}\n"
#define OFFICE                                                                                     \
	"{\"id\":1,\"name\":\"office hours\",\"priority\":0,\"days\":" MON_FRI                     \
	",\"start_hour\":9,\"end_hour\":18,\"interval_minutes\":5}\n"

/* What the years below are run with. */
static const struct plan {
	const char *name;
	bool waits;
	const char *text;
} plans[] = {
	{ "office, wait", true, HEAD OFFICE },
	{ "office, minute", false, HEAD OFFICE },
	{ "lunch", true,
	    HEAD OFFICE "{\"id\":2,\"priority\":1,\"days\":" MON_FRI
			",\"start_hour\":12,\"end_hour\":14,\"interval_minutes\":60}\n" },
	{ "lunch, overridden", true,
	    HEAD OFFICE "{\"id\":2,\"priority\":-1,\"days\":" MON_FRI
			",\"start_hour\":12,\"end_hour\":14,\"interval_minutes\":60}\n" },
	{ "nights", true,
	    HEAD "{\"id\":1,\"days\":[4,5],\"start_hour\":22,\"end_hour\":6,"
		 "\"cross_midnight\":true,\"interval_minutes\":15}\n" },
	{ "sunday night", true,
	    HEAD "{\"id\":1,\"days\":[6],\"start_hour\":23,\"end_hour\":1,"
		 "\"cross_midnight\":true,\"interval_minutes\":7}\n" },
	{ "the hours that change", true,
	    HEAD "{\"id\":1,\"days\":[6],\"start_hour\":1,\"end_hour\":4,"
		 "\"interval_minutes\":10}\n" },
	{ "the hour that is passed over", true,
	    HEAD "{\"id\":1,\"days\":[],\"start_hour\":2,\"end_hour\":3,"
		 "\"interval_minutes\":1}\n" },
	{ "until midnight", true,
	    HEAD "{\"id\":1,\"days\":[2],\"start_hour\":20,\"end_hour\":0,"
		 "\"cross_midnight\":true,\"interval_minutes\":30}\n" },
	{ "a day and an hour", false,
	    HEAD "{\"id\":1,\"days\":[6],\"interval_minutes\":120}\n"
		 "{\"id\":2,\"priority\":1,\"start_hour\":2,\"end_hour\":3,"
		 "\"interval_minutes\":7}\n" },
	{ "one hour absent", true,
	    HEAD "{\"id\":1,\"days\":[1],\"start_hour\":9,\"interval_minutes\":45}\n"
		 "{\"id\":2,\"days\":[3],\"end_hour\":9,\"interval_minutes\":90}\n" },
	{ "crossing, and longer than a day", true,
	    HEAD "{\"id\":1,\"days\":[0],\"start_hour\":9,\"end_hour\":18,"
		 "\"cross_midnight\":true,\"interval_minutes\":20}\n" },
	{ "disabled, wait", true, HEAD "{\"id\":1,\"enabled\":false,\"interval_minutes\":5}\n" },
	{ "disabled, minute", false, HEAD "{\"id\":1,\"enabled\":false,\"interval_minutes\":5}\n" },
	{ "disabled over enabled", true,
	    HEAD OFFICE "{\"id\":2,\"priority\":9,\"enabled\":false,\"interval_minutes\":1}\n" },
	{ "never", true,
	    HEAD "{\"id\":1,\"start_hour\":18,\"end_hour\":9,\"interval_minutes\":5}\n" },
	{ "an empty span", true,
	    HEAD "{\"id\":1,\"start_hour\":9,\"end_hour\":9,\"interval_minutes\":5}\n" },
	{ "longer than a week", true,
	    HEAD OFFICE "{\"id\":2,\"priority\":1,\"interval_minutes\":11000}\n" },
};
#define PLANS (sizeof plans / sizeof plans[0])

/* 2026 and five weeks on either side, by the C library: the hour of the week that clocks show. */
#define FIRST_MINUTE (INT64_C(1767225600) / 60 - 5 * 7 * 1440)
#define MINUTES (int)(365 * 1440 + 10 * 7 * 1440)
static uint8_t hours[365 * 1440 + 10 * 7 * 1440];

static void
fill_hours(const char *zone)
{
	setenv("TZ", zone, 1);
	tzset();
	for (int i = 0; i < MINUTES; i++) {
		const time_t at = (time_t)((FIRST_MINUTE + i) * 60);
		struct tm tm;

		localtime_r(&at, &tm);
		hours[i] = (uint8_t)((tm.tm_wday + 6) % 7 * 24 + tm.tm_hour);
	}
}

/* A week as a table: the interval of each hour, 0 where there is no cycle, and the rule's id. */
struct week {
	int64_t interval[168], rule[168];
	bool never;
};

static void
paint(struct week *week, const struct rule *rule, int day, int from, int to)
{
	for (int hour = from; hour < to; hour++) {
		int at = (day * 24 + hour) % 168;

		week->interval[at] = rule->interval;
		week->rule[at] = rule->id;
	}
}

/* Later rules are painted over earlier ones. */
static void
paint_week(struct week *week, const struct rules *rules, bool waits)
{
	for (int i = 0; i < 168; i++) {
		week->interval[i] = waits ? 0 : 1;
		week->rule[i] = 0;
	}
	for (size_t i = 0; i < rules->n; i++) {
		const struct rule *rule = &rules->v[i];

		for (int day = 0; day < 7 && rule->enabled; day++) {
			if (rule->days != 0 && !(rule->days & 1U << day))
				continue;
			if (rule->start_hour < 0 || rule->end_hour < 0) {
				paint(week, rule, day, 0, 24);
			} else if (!rule->cross_midnight) {
				paint(week, rule, day, rule->start_hour, rule->end_hour);
			} else {
				paint(week, rule, day, rule->start_hour, 24);
				paint(week, rule, day, 24, 24 + rule->end_hour);
			}
		}
	}
	week->never = true;
	for (int i = 0; i < 168; i++)
		if (week->interval[i] > 0)
			week->never = false;
}

/* For each minute, the first from it on in which some cycle is allowed. */
static int active[sizeof hours / sizeof hours[0] + 1];

static void
fill_active(const struct week *week)
{
	active[MINUTES] = MINUTES;
	for (int i = MINUTES - 1; i >= 0; i--)
		active[i] = week->interval[hours[i]] > 0 ? i : active[i + 1];
}

static bool
is_due(const struct week *week, int minute, int64_t last)
{
	int64_t interval = week->interval[hours[minute]];

	return interval > 0 && (last == 0 || FIRST_MINUTE + minute - last / MINUTE >= interval);
}

/* The first instant of a cycle from this minute on, INT64_MAX where there is none for weeks. */
#define WEEKS 2
static int64_t
next_of(const struct week *week, int minute, int64_t now, int64_t last)
{
	if (is_due(week, minute, last))
		return now;
	for (int i = active[minute + 1]; i < MINUTES && i <= minute + WEEKS * 10080;
	     i = active[i + 1])
		if (is_due(week, i, last))
			return (FIRST_MINUTE + i) * MINUTE;
	return INT64_MAX;
}

static void
read_plan(const struct plan *plan, struct rules *ret)
{
	struct err err = ERR_INIT;

	if (rules_parse(plan->text, strlen(plan->text), ret, &err) < 0)
		unit_fail(__FILE__, __LINE__, "[%s] %s", plan->name, err.msg);
}

/* Compares all that is said of one instant. */
static bool
look(const struct plan *plan, const struct week *week, const struct schedule *schedule, int minute,
    int64_t now)
{
	struct rule_verdict v;
	int hour = hours[minute];
	int64_t next;

	rule_decide(schedule, now, &v);
	next = next_of(week, minute, now, schedule->last);
	if (v.due == is_due(week, minute, schedule->last) &&
	    v.allowed == (week->interval[hour] > 0) && v.interval == week->interval[hour] &&
	    (v.rule != NULL ? v.rule->id : 0) == week->rule[hour] &&
	    (v.next == next || (next == INT64_MAX && v.next > now + WEEKS * 7 * 1440 * MINUTE)))
		return true;
	unit_fail(__FILE__, __LINE__,
	    "[%s %s] at %lld, last %lld: due %d, interval %lld, next %lld, expected %lld: %s",
	    plan->name, zone_name(schedule->zone), (long long)(now / USEC),
	    (long long)(schedule->last / USEC), v.due, (long long)v.interval,
	    (long long)(v.next / USEC), (long long)(next / USEC), v.why);
	return false;
}

/* Calls each minute, some seconds late as timers are, through all of a time; at every hour also what
 * would be said had there been no cycle since its beginning, or none at all. */
static void
run_through(const char *zone, int first, int last, int step)
{
	AUTO(zone_free) struct zone *z = NULL;
	struct err err = ERR_INIT;

	if (zone_open(zone, &z, &err) < 0) {
		unit_fail(__FILE__, __LINE__, "%s", err.msg);
		return;
	}
	fill_hours(zone);
	for (size_t i = 0; i < PLANS; i++) {
		AUTO(rules_release) struct rules rules = { 0 };
		struct schedule schedule = { &rules, z, plans[i].waits, 0 };
		struct week week;
		int64_t begun = (FIRST_MINUTE + first) * MINUTE;
		int64_t lasts[] = { 0, begun, 0 };

		read_plan(&plans[i], &rules);
		paint_week(&week, &rules, plans[i].waits);
		fill_active(&week);
		/* Where no cycle ever comes, some looks do. */
		for (int m = first; m < last; m += week.never ? 23 * step : step) {
			int64_t now = (FIRST_MINUTE + m) * MINUTE + m % 59 * USEC + 123456;

			for (int j = 0; j < 2; j++) {
				schedule.last = lasts[j > 0 ? 2 : m / step % 2];
				if (!look(&plans[i], &week, &schedule, m, now))
					return;
			}
			/* The third is what a timer would really do. */
			if (is_due(&week, m, lasts[2]))
				lasts[2] = now;
		}
	}
}

/* Minutes from the table's start to a day of 2026, 0 = January 1st. */
#define DAY_AT(day) (5 * 7 * 1440 + (day)*1440)

TEST(each_hour_of_a_year)
{
	static const char *const zones[] = { "Europe/Rome", "America/New_York",
		"Australia/Lord_Howe", "Asia/Kolkata" };

	for (size_t i = 0; i < sizeof zones / sizeof zones[0]; i++)
		run_through(zones[i], DAY_AT(0), DAY_AT(365), 60);
}

TEST(each_minute_of_the_days_on_which_clocks_change)
{
	static const struct {
		const char *zone;
		int day;
	} rows[] = {
		{ "Europe/Rome", 87 },		/* March 29th: 02:00 is 03:00 */
		{ "Europe/Rome", 297 },		/* October 25th: 03:00 is 02:00 */
		{ "America/New_York", 66 },	/* March 8th */
		{ "America/New_York", 304 },	/* November 1st */
		{ "Australia/Lord_Howe", 94 },	/* April 5th: 02:00 is 01:30 */
		{ "Australia/Lord_Howe", 276 }, /* October 4th: 02:00 is 02:30 */
		{ "Asia/Kolkata", 87 },
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		run_through(rows[i].zone, DAY_AT(rows[i].day - 1), DAY_AT(rows[i].day + 2), 1);
}

/* ---- by hand ----------------------------------------------------------------------------- */

/* "2026-03-29T01:00:00Z"; 0 of NULL. */
static int64_t
instant(const char *text)
{
	int64_t at = 0;

	if (text != NULL)
		CHECK_ROW(text, clock_parse(text, 0, &at) == 0);
	return at;
}

TEST(cases)
{
	static const struct {
		const char *plan, *zone, *last, *now;
		bool due;
		const char *next, *why;
	} rows[] = {
		{ "office, wait", "Europe/Rome", NULL, "2026-11-20T09:08:30Z", true,
		    "2026-11-20T09:08:30Z",
		    "rule 1 \"office hours\" (mon-fri 9-18): every 5 minutes; due now, Fri "
		    "2026-11-20 10:08 CET (Europe/Rome)" },
		/* Whole minutes: 4 minutes and a second are 5. */
		{ "office, wait", "Europe/Rome", "2026-11-20T09:03:59Z", "2026-11-20T09:08:00Z",
		    true, "2026-11-20T09:08:00Z", NULL },
		{ "office, wait", "Europe/Rome", "2026-11-20T09:03:01Z", "2026-11-20T09:07:59Z",
		    false, "2026-11-20T09:08:00Z",
		    "rule 1 \"office hours\" (mon-fri 9-18): every 5 minutes; last cycle Fri "
		    "2026-11-20 10:03 CET; next Fri 2026-11-20 10:08 CET (Europe/Rome)" },
		/* The last one lies ahead. */
		{ "office, wait", "Europe/Rome", "2026-11-20T09:09:00Z", "2026-11-20T09:08:30Z",
		    true, "2026-11-20T09:08:30Z", NULL },
		/* Friday evening; Monday is after the weekend. */
		{ "office, wait", "Europe/Rome", "2026-11-20T16:58:00Z", "2026-11-20T17:00:00Z",
		    false, "2026-11-23T08:00:00Z",
		    "no rule matches now, and outside of rules cycles wait; last cycle Fri "
		    "2026-11-20 17:58 CET; next Mon 2026-11-23 09:00 CET (Europe/Rome) by rule 1 "
		    "\"office hours\" (mon-fri 9-18)" },
		{ "office, minute", "Europe/Rome", "2026-11-20T17:00:10Z", "2026-11-20T17:00:20Z",
		    false, "2026-11-20T17:01:00Z",
		    "no rule matches now, and outside of rules there is a cycle each minute; last "
		    "cycle Fri 2026-11-20 18:00 CET; next Fri 2026-11-20 18:01 CET (Europe/Rome)" },
		/* At the end of the hours, the outside's minute is nearer than the rule's five. */
		{ "office, minute", "Europe/Rome", "2026-11-20T16:58:00Z", "2026-11-20T16:59:00Z",
		    false, "2026-11-20T17:00:00Z",
		    "rule 1 \"office hours\" (mon-fri 9-18): every 5 minutes; last cycle Fri "
		    "2026-11-20 17:58 CET; next Fri 2026-11-20 18:00 CET (Europe/Rome), when no "
		    "rule matches" },
		/* 02:00 to 03:00 is not there on March 29th, */
		{ "the hour that is passed over", "Europe/Rome", "2026-03-28T02:00:00Z",
		    "2026-03-28T03:00:00Z", false, "2026-03-30T00:00:00Z", NULL },
		/* and twice on October 25th. */
		{ "the hour that is passed over", "Europe/Rome", "2026-10-24T00:59:00Z",
		    "2026-10-24T03:00:00Z", false, "2026-10-25T00:00:00Z", NULL },
		{ "the hour that is passed over", "Europe/Rome", "2026-10-25T00:59:00Z",
		    "2026-10-25T01:00:00Z", true, "2026-10-25T01:00:00Z", NULL },
		{ "the hour that is passed over", "Europe/Rome", "2026-10-25T01:59:00Z",
		    "2026-10-25T02:00:00Z", false, "2026-10-26T01:00:00Z", NULL },
		/* Saturday's night is Sunday's morning, and not Monday's. */
		{ "nights", "Europe/Rome", NULL, "2026-11-22T04:59:00Z", true,
		    "2026-11-22T04:59:00Z", NULL },
		{ "nights", "Europe/Rome", NULL, "2026-11-22T05:00:00Z", false,
		    "2026-11-27T21:00:00Z", NULL },
		{ "nights", "Europe/Rome", NULL, "2026-11-22T21:00:00Z", false,
		    "2026-11-27T21:00:00Z", NULL },
		{ "never", "UTC", NULL, "2026-11-22T21:00:00Z", false, NULL,
		    "no rule matches now, and outside of rules cycles wait; no later hour permits "
		    "a cycle (UTC)" },
		{ "disabled, wait", "UTC", "2026-11-22T20:00:00Z", "2026-11-22T21:00:00Z", false,
		    NULL, NULL },
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		AUTO(zone_free) struct zone *zone = NULL;
		AUTO(rules_release) struct rules rules = { 0 };
		struct schedule schedule = { .rules = &rules, .last = instant(rows[i].last) };
		struct rule_verdict v;
		const struct plan *plan = plans;

		while (strcmp(plan->name, rows[i].plan) != 0)
			plan++;
		read_plan(plan, &rules);
		CHECK(zone_open(rows[i].zone, &zone, NULL) == 0);
		schedule.zone = zone;
		schedule.outside_waits = plan->waits;
		rule_decide(&schedule, instant(rows[i].now), &v);
		CHECK_ROW(rows[i].now, v.due == rows[i].due);
		CHECK_INT(v.next, rows[i].next != NULL ? instant(rows[i].next) : INT64_MAX);
		if (rows[i].why != NULL)
			CHECK_STR(v.why, rows[i].why);
	}
}

TEST(no_rule_at_all_needs_no_zone)
{
	struct rules none = { 0 };
	struct schedule schedule = { .rules = &none, .outside_waits = true, .last = 5 * USEC };
	struct rule_verdict v;

	rule_decide(&schedule, 6 * USEC, &v);
	CHECK(v.due && v.allowed && v.rule == NULL);
	CHECK_INT(v.interval, 0);
	CHECK_INT(v.next, 6 * USEC);
	CHECK_STR(v.why, "no rules: each call of mailq-run is a cycle");
}

/* An interval may be longer than the weeks that are looked ahead. */
TEST(an_interval_of_a_year)
{
	AUTO(zone_free) struct zone *zone = NULL;
	AUTO(rules_release) struct rules rules = { 0 };
	static const struct plan plan = { "year", true,
		HEAD "{\"id\":1,\"interval_minutes\":525600}\n"
		     "{\"id\":2,\"start_hour\":3,\"end_hour\":3,\"interval_minutes\":1}\n" };
	struct schedule schedule = { .rules = &rules, .outside_waits = true };
	struct rule_verdict v;

	read_plan(&plan, &rules);
	CHECK(zone_open("Europe/Rome", &zone, NULL) == 0);
	schedule.zone = zone;
	schedule.last = instant("2026-02-01T10:10:10Z");
	rule_decide(&schedule, instant("2026-03-01T00:00:00Z"), &v);
	CHECK(!v.due);
	CHECK_INT(v.next, instant("2027-02-01T10:10:00Z"));
}

TEST(why_fits_whatever_the_names)
{
	AUTO(zone_free) struct zone *zone = NULL;
	AUTO(rules_release) struct rules rules = { 0 };
	struct schedule schedule = { .rules = &rules };
	struct rule rule;
	struct rule_verdict v;
	char name[RULE_NAME_MAX + 1] = "x";

	for (size_t i = 1; i + 1 < RULE_NAME_MAX; i += 2)
		memcpy(name + i, "\xc3\xa9", 3);
	rule_init(&rule);
	rule.name = name;
	rule.days = 0x55;
	rule.interval = 60;
	for (int i = 0; i < 2; i++)
		CHECK(rules_add(&rules, &rule) != NULL);
	rules.v[1].start_hour = 9;
	rules.v[1].end_hour = 18;
	CHECK(zone_open("America/Argentina/Buenos_Aires", &zone, NULL) == 0);
	schedule.zone = zone;
	schedule.last = instant("2026-11-20T20:30:00Z");
	rule_decide(&schedule, instant("2026-11-20T20:59:00Z"), &v);
	CHECK(strlen(v.why) < sizeof v.why - 1);
	CHECK(strstr(v.why, "\xc3\xa9...\"") != NULL);
	CHECK(strstr(v.why, "Buenos_Aires") != NULL);
}

/* ---- days and hours in words ------------------------------------------------------------- */

TEST(days_as_people_write_them)
{
	static const struct {
		const char *text;
		int days;
		const char *shown;
	} rows[] = {
		{ "mon-fri", 0x1f, "mon-fri" },
		{ "Mon-Fri", 0x1f, "mon-fri" },
		{ "monday-FRIDAY", 0x1f, "mon-fri" },
		{ "0-4", 0x1f, "mon-fri" },
		{ "sat,sun", 0x60, "sat,sun" },
		{ "sun,sat", 0x60, "sat,sun" },
		{ "fri-mon", 0x71, "mon,fri-sun" },
		{ "sun-mon", 0x41, "mon,sun" },
		{ "wed", 0x04, "wed" },
		{ "mon,wed,fri,sun", 0x55, "mon,wed,fri,sun" },
		{ "mon-wed,fri", 0x17, "mon-wed,fri" },
		{ "mon,mon,0", 0x01, "mon" },
		{ "tue-tue", 0x02, "tue" },
		{ "mon-sun", 0x7f, "every day" },
		{ "daily", 0, "every day" },
		{ "every day", 0, "every day" },
		{ "", -1, NULL },
		{ "mon,", -1, NULL },
		{ ",mon", -1, NULL },
		{ "mon-", -1, NULL },
		{ "-mon", -1, NULL },
		{ "mon-tue-wed", -1, NULL },
		{ "mon fri", -1, NULL },
		{ "7", -1, NULL },
		{ "00", -1, NULL },
		{ "mo", -1, NULL },
		{ "mond", -1, NULL },
		{ "mon;", -1, NULL },
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		unsigned int days = 0xff;
		char text[RULE_DAYS_SIZE];
		struct err err = ERR_INIT;
		int result = rule_days_parse(rows[i].text, &days, &err);

		CHECK_ROW(rows[i].text, result == (rows[i].days < 0 ? -1 : 0));
		if (result < 0) {
			CHECK_ROW(rows[i].text, days == 0xff && err.code == EX_DATAERR);
			continue;
		}
		CHECK_INT(days, rows[i].days);
		CHECK_STR(rule_days_text(days, text), rows[i].shown);
	}
}

TEST(hours_and_intervals_in_words)
{
	static const struct {
		int start, end;
		bool cross;
		const char *want;
	} rows[] = {
		{ 9, 18, false, "9-18" },
		{ 22, 6, true, "22-6 +1" },
		{ 9, 0, true, "9-24" },
		{ 0, 0, true, "0-24" },
		{ -1, 18, false, "all day" },
		{ 9, -1, true, "all day" },
		{ 18, 9, false, "18-9, never" },
		{ 9, 9, false, "9-9, never" },
		{ 9, 18, true, "9-18 +1" },
	};
	static const struct {
		int64_t minutes;
		const char *want;
	} intervals[] = {
		{ 1, "minute" },
		{ 5, "5 minutes" },
		{ 60, "hour" },
		{ 90, "90 minutes" },
		{ 120, "2 hours" },
		{ 1440, "day" },
		{ 525600, "365 days" },
	};
	char text[RULE_INTERVAL_SIZE];

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct rule rule;

		rule_init(&rule);
		rule.start_hour = rows[i].start;
		rule.end_hour = rows[i].end;
		rule.cross_midnight = rows[i].cross;
		CHECK_STR(rule_hours_text(&rule, text), rows[i].want);
	}
	for (size_t i = 0; i < sizeof intervals / sizeof intervals[0]; i++)
		CHECK_STR(rule_interval_text(intervals[i].minutes, text), intervals[i].want);
}

/* ---- JSON and the file ------------------------------------------------------------------- */

static char *
as_json(const struct rule *rule, struct buf *out)
{
	struct json_writer w = JSON_WRITER(out);

	buf_clear(out);
	rule_put(rule, &w);
	CHECK(json_finish(&w) == 0);
	return out->s;
}

TEST(fields_are_taken_one_by_one)
{
	static const struct {
		const char *change, *want;
	} rows[] = {
		{ "{}",
		    "{\"id\":4,\"name\":\"n\",\"enabled\":true,\"priority\":3,\"days\":[1],"
		    "\"start_hour\":9,\"end_hour\":18,\"cross_midnight\":false,"
		    "\"interval_minutes\":5}" },
		{ "{\"enabled\":false}",
		    "{\"id\":4,\"name\":\"n\",\"enabled\":false,\"priority\":3,\"days\":[1],"
		    "\"start_hour\":9,\"end_hour\":18,\"cross_midnight\":false,"
		    "\"interval_minutes\":5}" },
		{ "{\"name\":null,\"start_hour\":null,\"end_hour\":null,\"days\":[],"
		  "\"priority\":null,\"enabled\":null,\"id\":null}",
		    "{\"id\":4,\"enabled\":true,\"priority\":3,\"days\":[],"
		    "\"cross_midnight\":false,\"interval_minutes\":5}" },
		{ "{\"id\":4,\"name\":\"\",\"start_hour\":0,\"end_hour\":23,"
		  "\"cross_midnight\":true,\"interval_minutes\":525600,\"days\":[6,0,6],"
		  "\"priority\":-7}",
		    "{\"id\":4,\"enabled\":true,\"priority\":-7,\"days\":[0,6],\"start_hour\":0,"
		    "\"end_hour\":23,\"cross_midnight\":true,\"interval_minutes\":525600}" },
		{ "{\"name\":\"caf\\u00e9 \\\"1\\\"\"}",
		    "{\"id\":4,\"name\":\"caf\xc3\xa9 \\\"1\\\"\",\"enabled\":true,"
		    "\"priority\":3,\"days\":[1],\"start_hour\":9,\"end_hour\":18,"
		    "\"cross_midnight\":false,\"interval_minutes\":5}" },
	};
	AUTO_BUF struct buf out = BUF_INIT(4096);

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		AUTO(rule_release)
		struct rule rule = { .id = 4,
			.name = xstrdup("n"),
			.enabled = true,
			.priority = 3,
			.days = 2,
			.start_hour = 9,
			.end_hour = 18,
			.interval = 5 };
		AUTO_JSON struct json *json =
		    json_parse(rows[i].change, strlen(rows[i].change), 1, NULL);
		struct err err = ERR_INIT;

		if (rule_take(&rule, json, &err) < 0)
			unit_fail(__FILE__, __LINE__, "%s: %s", rows[i].change, err.msg);
		CHECK_STR(as_json(&rule, &out), rows[i].want);
	}
}

TEST(what_is_wrong_changes_nothing)
{
	static const struct {
		const char *change, *message;
	} rows[] = {
		{ "[]", "expected a rule as an object, found an array" },
		{ "{\"enabled\":1}", "enabled: expected true or false, found a whole number" },
		{ "{\"enabled\":\"true\"}", "enabled: expected true or false, found a string" },
		{ "{\"start_hour\":24}",
		    "start_hour: expected a whole number from 0 to 23, found 24" },
		{ "{\"start_hour\":-1}",
		    "start_hour: expected a whole number from 0 to 23, found -1" },
		{ "{\"end_hour\":24}", "end_hour: expected a whole number from 0 to 23, found 24" },
		{ "{\"end_hour\":9.5}", "end_hour: expected a whole number from 0 to 23, found" },
		{ "{\"end_hour\":\"9\"}",
		    "end_hour: expected a whole number from 0 to 23, found a string" },
		{ "{\"interval_minutes\":0}",
		    "interval_minutes: expected a whole number from 1 to" },
		{ "{\"interval_minutes\":525601}",
		    "interval_minutes: expected a whole number from 1" },
		{ "{\"days\":[7]}", "days: expected a whole number from 0 to 6, found 7" },
		{ "{\"days\":[\"mon\"]}",
		    "days: expected a whole number from 0 to 6, found a string" },
		{ "{\"days\":3}", "days: expected an array of days" },
		{ "{\"days\":{}}", "days: expected an array of days" },
		{ "{\"priority\":9223372036854775807}", "priority: expected a whole number from" },
		{ "{\"name\":3}", "name: expected a string" },
		{ "{\"name\":\"a\\nb\"}", "name: expected one line" },
		{ "{\"name\":\"a\\u007fb\"}", "name: expected one line" },
		{ "{\"id\":5}", "id: cannot be changed from 4" },
		{ "{\"cross_midnight\":[]}", "cross_midnight: expected true or false" },
		{ "{\"name\":\"x\",\"hour\":3}", "hour: unknown field" },
		{ "{\"hour\":null}", "hour: unknown field" },
		{ "{\"name\":\"x\",\"days\":[0],\"start_hour\":3,\"enabled\":7}", "enabled: " },
	};
	static const char before[] =
	    "{\"id\":4,\"name\":\"n\",\"enabled\":true,\"priority\":3,\"days\":[1],"
	    "\"start_hour\":9,\"end_hour\":18,\"cross_midnight\":false,\"interval_minutes\":5}";
	AUTO(rule_release)
	struct rule rule = { .id = 4,
		.name = xstrdup("n"),
		.enabled = true,
		.priority = 3,
		.days = 2,
		.start_hour = 9,
		.end_hour = 18,
		.interval = 5 };
	AUTO_BUF struct buf out = BUF_INIT(4096);
	char long_name[RULE_NAME_MAX + 40];
	struct err err = ERR_INIT;

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		AUTO_JSON struct json *json =
		    json_parse(rows[i].change, strlen(rows[i].change), 1, NULL);

		err = (struct err)ERR_INIT;
		CHECK_ROW(rows[i].change, json != NULL && rule_take(&rule, json, &err) == -1);
		CHECK_ROW(rows[i].change, err.code == EX_DATAERR);
		if (strncmp(err.msg, rows[i].message, strlen(rows[i].message)) != 0)
			unit_str(__FILE__, __LINE__, rows[i].change, err.msg, rows[i].message);
		CHECK_STR(as_json(&rule, &out), before);
	}
	for (int n = RULE_NAME_MAX; n <= RULE_NAME_MAX + 1; n++) {
		int length = snprintf(long_name, sizeof long_name, "{\"name\":\"%0*d\"}", n, 7);
		AUTO_JSON struct json *json = json_parse(long_name, (size_t)length, 1, NULL);

		CHECK_INT(rule_take(&rule, json, &err), n == RULE_NAME_MAX ? 0 : -1);
	}
}

TEST(a_file_is_written_as_it_is_read)
{
	static const char text[] =
	    "{\"last_id\":12}\n"
	    "{\"id\":7,\"name\":\"first\",\"enabled\":true,\"priority\":-2,\"days\":[],"
	    "\"cross_midnight\":false,\"interval_minutes\":1}\n"
	    "{\"id\":2,\"enabled\":false,\"priority\":5,\"days\":[0,6],\"start_hour\":22,"
	    "\"end_hour\":6,\"cross_midnight\":true,\"interval_minutes\":10}\n"
	    "{\"id\":11,\"enabled\":true,\"priority\":5,\"days\":[3],\"start_hour\":1,"
	    "\"cross_midnight\":false,\"interval_minutes\":2}\n";
	static const char loose[] = "\n{\"last_id\":3}\n\n{\"id\":3}";
	AUTO(rules_release) struct rules rules = { 0 };
	AUTO_BUF struct buf out = BUF_INIT(4096);
	struct err err = ERR_INIT;

	CHECK(rules_parse(text, sizeof text - 1, &rules, &err) == 0);
	CHECK_INT(rules.n, 3);
	CHECK_INT(rules.last_id, 12);
	CHECK(rules_format(&rules, &out) == 0);
	CHECK_STR(out.s, text);
	rules_release(&rules);
	CHECK(rules_parse("", 0, &rules, &err) == 0);
	CHECK_INT(rules.n, 0);
	CHECK(rules_parse(loose, sizeof loose - 1, &rules, &err) == 0);
	CHECK_INT(rules.n, 1);
	CHECK_INT(rules.v[0].interval, 1);
	CHECK(rules.v[0].enabled);
}

TEST(damaged_files_are_named_by_line)
{
	static const struct {
		const char *text, *message;
	} rows[] = {
		{ "{\"id\":1}\n", "line 1: expected {\"last_id\":N}" },
		{ "[]\n", "line 1: expected {\"last_id\":N}" },
		{ "{\"last_id\":-1}\n", "line 1: last_id: expected" },
		{ "{\"last_id\":9}\n{\"id\":1}\n{\"id\":1}\n", "line 3: id: 1 stands twice" },
		{ "{\"last_id\":9}\n{\"id\":10}\n",
		    "line 2: id: expected a whole number from 1 to 9" },
		{ "{\"last_id\":9}\n{\"id\":0}\n", "line 2: id: expected" },
		{ "{\"last_id\":9}\n{}\n", "line 2: id: expected" },
		{ "{\"last_id\":9}\n\n{\"id\":1,\"days\":[9]}\n", "line 3: days: expected" },
		{ "{\"last_id\":9}\n{\"id\":1", "line 2" },
		{ "rubbish", "line 1" },
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		AUTO(rules_release) struct rules rules = { 0 };
		struct err err = ERR_INIT;

		CHECK_ROW(rows[i].text,
		    rules_parse(rows[i].text, strlen(rows[i].text), &rules, &err) == -1);
		CHECK_ROW(rows[i].text, err.code == EX_DATAERR);
		if (strncmp(err.msg, rows[i].message, strlen(rows[i].message)) != 0)
			unit_str(__FILE__, __LINE__, rows[i].text, err.msg, rows[i].message);
	}
}

TEST(ids_are_never_used_again_and_the_order_is_that_of_priority)
{
	AUTO(rules_release) struct rules rules = { 0 };
	struct rule rule;

	rule_init(&rule);
	CHECK_INT(rules_add(&rules, &rule)->id, 1);
	CHECK_INT(rules_add(&rules, &rule)->priority, 1);
	rule.priority = 0;
	CHECK_INT(rules_add(&rules, &rule)->id, 3);
	CHECK_INT(rules.v[0].id, 1);
	CHECK_INT(rules.v[1].id, 3);
	CHECK_INT(rules.v[2].id, 2);
	CHECK(rules_remove(&rules, 3));
	CHECK(!rules_remove(&rules, 3));
	CHECK(rules_find(&rules, 3) == NULL);
	rule.priority = RULE_PRIORITY_LAST;
	CHECK_INT(rules_add(&rules, &rule)->id, 4);
	CHECK_INT(rules.v[2].priority, 2);
	rules_find(&rules, 1)->priority = 50;
	rules_sort(&rules);
	CHECK_INT(rules.v[2].id, 1);
	while (rules.n < RULES_MAX)
		CHECK(rules_add(&rules, &rule) != NULL);
	CHECK(rules_add(&rules, &rule) == NULL);
}

UNIT_MAIN()
