/* mailq-rules list, add, set, enable, disable, delete and next. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/num.h"
#include "cmd/policy/scheduler.h"
#include "cmd/rules/rules.h"
#include "spool/policy/lock.h"
#include "spool/policy/schedule.h"
#include "spool/policy/suspend.h"

#define LINE_MAX_BYTES ((size_t)64 * 1024)

/* ---- the rule that options describe ------------------------------------------------------ */

/* "9", "09" or "9:00". */
static int
take_hour(const char *option, const char *text, int max, int *ret, struct err *err)
{
	size_t n = strcspn(text, ":");
	uint64_t hour;

	if ((text[n] == '\0' || strcmp(text + n, ":00") == 0) && n > 0 && n <= 2 &&
	    num_u64_view(text, n, (uint64_t)max, &hour) == 0) {
		*ret = (int)hour;
		return 0;
	}
	return err_set(err, EX_USAGE, "%s: expected an hour from 0 to %d, not \"%s\"", option, max,
	    text);
}

/*
 * On the command line, hours say by themselves whether they cross midnight: 22 to 6 do.  To 24 is to
 * midnight, which is an end of 0 on the next day.
 */
static int
take_hours(struct rule *rule, const struct rules_options *o, struct err *err)
{
	int start = rule->start_hour, end = rule->end_hour;

	if (o->all_day && (o->from != NULL || o->to != NULL))
		return err_set(err, EX_USAGE, "--all-day cannot be combined with --from and --to");
	if (o->all_day) {
		rule->start_hour = rule->end_hour = -1;
		rule->cross_midnight = false;
		return 0;
	}
	if (o->from == NULL && o->to == NULL)
		return 0;
	if (start < 0 || end < 0)
		start = end = -1;
	else if (rule->cross_midnight && end == 0)
		end = 24;
	if (o->from != NULL && take_hour("--from", o->from, 23, &start, err) < 0)
		return -1;
	if (o->to != NULL && take_hour("--to", o->to, 24, &end, err) < 0)
		return -1;
	if (start < 0 || end < 0)
		return err_set(err, EX_USAGE, "%s: expected %s with it",
		    start < 0 ? "--to" : "--from", start < 0 ? "--from" : "--to");
	if (start == end)
		return err_set(err, EX_USAGE,
		    "--from and --to are both %d: expected different hours, or --all-day", start);
	rule->cross_midnight = end == 24 || end < start;
	rule->start_hour = start;
	rule->end_hour = end % 24;
	if (start == 0 && end == 24) {
		rule->start_hour = rule->end_hour = -1;
		rule->cross_midnight = false;
	}
	return 0;
}

static int
take_interval(struct rule *rule, const char *text, struct err *err)
{
	const int64_t minute = 60 * USEC;
	int64_t span;

	if (num_duration(text, &span) < 0 || span < minute || span % minute != 0 ||
	    span / minute > RULE_INTERVAL_MAX)
		return err_set(err, EX_USAGE,
		    "--every: expected a duration of whole minutes such as 5m or 2h, at most 365d, "
		    "not \"%s\"",
		    text);
	rule->interval = span / minute;
	return 0;
}

static int
take_priority(struct rule *rule, const char *text, struct err *err)
{
	bool negative = *text == '-';
	uint64_t number;

	if (num_u64(text + negative, 0, RULE_PRIORITY_MAX, &number) < 0)
		return err_set(err, EX_USAGE,
		    "--priority: expected a whole number of at most %d, not \"%s\"",
		    RULE_PRIORITY_MAX, text);
	rule->priority = negative ? -(int64_t)number : (int64_t)number;
	return 0;
}

/* The same checks as for the API's. */
static int
take_name(struct rule *rule, const char *name, struct err *err)
{
	AUTO_BUF struct buf text = BUF_INIT(LINE_MAX_BYTES);
	AUTO_JSON struct json *json = NULL;
	struct json_writer w = JSON_WRITER(&text);
	struct err reason = ERR_INIT;

	json_begin_object(&w);
	json_member_str(&w, "name", name);
	json_end_object(&w);
	json = json_finish(&w) == 0 ? json_parse(text.s, text.len, 1, NULL) : NULL;
	if (rule_take(rule, json, &reason) < 0)
		return err_set(err, EX_USAGE, "--%s", reason.msg);
	return 0;
}

static int
take_options(struct rule *rule, const struct rules_options *o, struct err *err)
{
	if (o->days != NULL && rule_days_parse(o->days, &rule->days, err) < 0) {
		err->code = EX_USAGE;
		return err_prefix(err, "--days");
	}
	if (take_hours(rule, o, err) < 0 ||
	    (o->every != NULL && take_interval(rule, o->every, err) < 0) ||
	    (o->priority != NULL && take_priority(rule, o->priority, err) < 0) ||
	    (o->name != NULL && take_name(rule, o->name, err) < 0))
		return -1;
	if (o->disabled)
		rule->enabled = false;
	return 0;
}

/* ---- changes ----------------------------------------------------------------------------- */

/* "2" as an id; 0 for what cannot be one. */
static int64_t
parse_id(const char *word)
{
	uint64_t id;

	return num_u64(word, 1, INT64_MAX, &id) == 0 ? (int64_t)id : 0;
}

static int
add(struct rules *rules, const struct rules_options *o, struct err *err)
{
	AUTO(rule_release) struct rule rule;
	const struct rule *added;

	rule_init(&rule);
	if (take_options(&rule, o, err) < 0)
		return -1;
	added = rules_add(rules, &rule);
	if (added == NULL)
		return err_set(err, EX_UNAVAILABLE, "there are %d rules already", RULES_MAX);
	return 0;
}

/* The rule that words name, or NULL and a line on stderr. */
static struct rule *
find(struct rules *rules, const char *word)
{
	struct rule *rule = rules_find(rules, parse_id(word));

	if (rule == NULL)
		log_error("there is no rule \"%s\"", word);
	return rule;
}

/* Keeps each word once, the same number written otherwise included, and returns how many are left. */
static int
drop_repeated(char **words, int n)
{
	int kept = 0;

	for (int i = 0; i < n; i++) {
		int64_t id = parse_id(words[i]);
		int k = 0;

		while (k < kept && strcmp(words[k], words[i]) != 0 &&
		    (id == 0 || parse_id(words[k]) != id))
			k++;
		if (k == kept)
			words[kept++] = words[i];
	}
	return kept;
}

/* enable, disable and delete: those that are there.  How many were not. */
static int
each_rule(struct rules *rules, const char *command, char **words, int n)
{
	int missing = 0;

	for (int i = 0; i < n; i++) {
		struct rule *rule = find(rules, words[i]);

		if (rule == NULL)
			missing++;
		else if (strcmp(command, "delete") == 0)
			rules_remove(rules, rule->id);
		else
			rule->enabled = strcmp(command, "enable") == 0;
	}
	return missing;
}

static int
set(struct rules *rules, const struct rules_options *o, const char *word, struct err *err)
{
	struct rule *rule = find(rules, word);

	if (rule == NULL)
		return 1;
	if (take_options(rule, o, err) < 0)
		return -1;
	rules_sort(rules);
	return 0;
}

static int
change(struct spool *spool, const struct rules_options *o, const char *command, char **words, int n)
{
	AUTO(rules_release) struct rules rules = { 0 };
	struct err err = ERR_INIT;
	AUTO_FD int lock = spool_lock(spool, &err);
	bool adds = strcmp(command, "add") == 0;
	int missing;

	if (lock < 0 || scheduler_rules_read(spool, &rules, &err) < 0)
		return err_print(&err);
	n = drop_repeated(words, n);
	if (adds)
		missing = add(&rules, o, &err);
	else if (strcmp(command, "set") == 0)
		missing = set(&rules, o, words[0], &err);
	else
		missing = each_rule(&rules, command, words, n);
	if (missing < 0 || (missing < n + adds && scheduler_rules_write(spool, &rules, &err) < 0))
		return err_print(&err);
	if (adds && o->json)
		printf("{\"id\":%" PRId64 "}\n", rules.last_id);
	else if (adds)
		printf("%" PRId64 "\n", rules.last_id);
	/* A watching mailq-run looks at once. */
	spool_wake(spool);
	return missing > 0 ? EX_NOINPUT : EX_OK;
}

/* ---- looking ----------------------------------------------------------------------------- */

static void
put(const char *text)
{
	char shown[4 * RULE_NAME_MAX];

	log_escape(shown, sizeof shown, text, strlen(text));
	fputs(shown, stdout);
}

static int
print_json_line(struct json_writer *w)
{
	if (json_finish(w) < 0)
		return EX_SOFTWARE;
	puts(w->out->s);
	buf_clear(w->out);
	*w = (struct json_writer)JSON_WRITER(w->out);
	return EX_OK;
}

static void
print_rule(const struct rule *rule, bool decides)
{
	char days[RULE_DAYS_SIZE], hours[RULE_HOURS_SIZE], interval[RULE_INTERVAL_SIZE];

	printf("%c %4" PRId64 "  %-3s  %8" PRId64 "  %-15s  %-9s  ", decides ? '*' : ' ', rule->id,
	    rule->enabled ? "on" : "off", rule->priority, rule_days_text(rule->days, days),
	    rule_hours_text(rule, hours));
	rule_interval_text(rule->interval, interval);
	if (rule->name != NULL) {
		printf("%-12s  ", interval);
		put(rule->name);
	} else {
		fputs(interval, stdout);
	}
	putchar('\n');
}

static int
list(const struct scheduler *scheduler, const struct rules_options *o,
    const struct rule_verdict *verdict)
{
	AUTO_BUF struct buf line = BUF_INIT(LINE_MAX_BYTES);
	struct json_writer w = JSON_WRITER(&line);
	const struct rules *rules = &scheduler->rules;

	if (!o->json && rules->n > 0)
		printf("  %4s  %-3s  %8s  %-15s  %-9s  %-12s  %s\n", "ID", "", "PRIORITY", "DAYS",
		    "HOURS", "EVERY", "NAME");
	for (size_t i = 0; i < rules->n; i++) {
		if (!o->json) {
			print_rule(&rules->v[i], &rules->v[i] == verdict->rule);
			continue;
		}
		rule_put(&rules->v[i], &w);
		if (print_json_line(&w) != EX_OK)
			return EX_SOFTWARE;
	}
	if (!o->json && rules->n == 0 && !o->common.quiet)
		puts("no rules: each call of mailq-run is a cycle");
	return EX_OK;
}

/* "in 3m 10s", "now", "never"; with the local time where there are rules, and so a zone. */
static void
print_next(const struct scheduler *scheduler, const struct rule_verdict *verdict, int64_t now)
{
	char span[CLOCK_TEXT_SIZE];
	struct zone_time t;

	if (verdict->next == INT64_MAX) {
		puts("never");
		return;
	}
	if (scheduler->zone != NULL) {
		zone_local(scheduler->zone, verdict->next, &t);
		printf("%04d-%02d-%02d %02d:%02d %s (", t.year, t.month, t.day, t.hour, t.minute,
		    t.abbreviation);
	}
	if (verdict->next <= now)
		fputs("now", stdout);
	else
		printf("in %s", clock_span(verdict->next - now, span));
	puts(scheduler->zone != NULL ? ")" : "");
}

static void
print_suspension(const struct suspension *all)
{
	char until[CLOCK_TEXT_SIZE];

	fputs("everything is suspended", stdout);
	if (all->until != 0)
		printf(" until %s", clock_iso(all->until, until));
	if (*all->reason != '\0') {
		fputs(": ", stdout);
		put(all->reason);
	}
	puts(": a cycle sends nothing");
}

static int
print_next_json(const struct rule_verdict *verdict, const struct suspension *all)
{
	AUTO_BUF struct buf line = BUF_INIT(LINE_MAX_BYTES);
	struct json_writer w = JSON_WRITER(&line);
	char text[CLOCK_TEXT_SIZE];

	json_begin_object(&w);
	if (verdict->next != INT64_MAX)
		json_member_str(&w, "next", clock_iso_usec(verdict->next, text));
	json_member_str(&w, "why", verdict->why);
	json_member_bool(&w, "due", verdict->due);
	if (verdict->rule != NULL)
		json_member_int(&w, "rule", verdict->rule->id);
	if (verdict->interval > 0)
		json_member_int(&w, "interval_minutes", verdict->interval);
	json_member_bool(&w, "active", all == NULL);
	json_end_object(&w);
	return print_json_line(&w);
}

static int
next(const struct spool *spool, const struct scheduler *scheduler, const struct rules_options *o,
    const struct rule_verdict *verdict, int64_t now)
{
	AUTO(suspensions_release) struct suspensions suspensions = { 0 };
	struct err err = ERR_INIT;
	const struct suspension *all;

	if (suspensions_read(spool, now, &suspensions, &err) < 0)
		return err_print(&err);
	all = suspensions_find(&suspensions, SUSPEND_ALL, "");
	if (o->json)
		return print_next_json(verdict, all);
	print_next(scheduler, verdict, now);
	put(verdict->why);
	putchar('\n');
	if (all != NULL)
		print_suspension(all);
	return EX_OK;
}

int
rules_schedule(struct spool *spool, const struct settings *settings,
    const struct rules_options *options, const char *command, char **words, int n)
{
	AUTO(scheduler_release) struct scheduler scheduler = { 0 };
	struct rule_verdict verdict;
	struct err err = ERR_INIT;
	int64_t now = clock_now();

	if (strcmp(command, "list") != 0 && strcmp(command, "next") != 0)
		return change(spool, options, command, words, n);
	if (scheduler_read(&scheduler, spool, settings, &err) < 0)
		return err_print(&err);
	scheduler_decide(&scheduler, spool, now, &verdict);
	if (strcmp(command, "list") == 0)
		return list(&scheduler, options, &verdict);
	return next(spool, &scheduler, options, &verdict, now);
}
