#include "policy/rule.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *const day_names[7] = { "monday", "tuesday", "wednesday", "thursday", "friday",
	"saturday", "sunday" };

void
rule_init(struct rule *rule)
{
	*rule = (struct rule){ .enabled = true,
		.priority = RULE_PRIORITY_LAST,
		.start_hour = -1,
		.end_hour = -1,
		.interval = 1 };
}

void
rule_release(struct rule *rule)
{
	free(rule->name);
	free(rule->once);
	rule->name = rule->once = NULL;
}

void
rules_release(struct rules *rules)
{
	for (size_t i = 0; i < rules->n; i++)
		rule_release(&rules->v[i]);
	free(rules->v);
	*rules = (struct rules){ 0 };
}

static int
compare(const void *left, const void *right)
{
	const struct rule *a = left, *b = right;

	if (a->priority != b->priority)
		return a->priority < b->priority ? -1 : 1;
	return a->id < b->id ? -1 : a->id > b->id;
}

void
rules_sort(struct rules *rules)
{
	if (rules->n > 1)
		qsort(rules->v, rules->n, sizeof *rules->v, compare);
}

struct rule *
rules_add(struct rules *rules, const struct rule *rule)
{
	struct rule *added;
	int64_t id = rules->last_id + 1, priority = rule->priority;

	if (rules->n >= RULES_MAX || rules->last_id == INT64_MAX)
		return NULL;
	if (priority == RULE_PRIORITY_LAST)
		priority = rules->n > 0 ? rules->v[rules->n - 1].priority + 1 : 0;
	if (priority > RULE_PRIORITY_MAX)
		priority = RULE_PRIORITY_MAX;
	rules->v = xreallocarray(rules->v, rules->n + 1, sizeof *rules->v);
	added = &rules->v[rules->n++];
	*added = *rule;
	added->name = rule->name != NULL ? xstrdup(rule->name) : NULL;
	added->once = rule->once != NULL ? xstrdup(rule->once) : NULL;
	added->id = rules->last_id = id;
	added->priority = priority;
	rules_sort(rules);
	return rules_find(rules, id);
}

struct rule *
rules_find(struct rules *rules, int64_t id)
{
	for (size_t i = 0; i < rules->n; i++)
		if (rules->v[i].id == id)
			return &rules->v[i];
	return NULL;
}

struct rule *
rules_find_once(struct rules *rules, const char *once)
{
	for (size_t i = 0; i < rules->n; i++)
		if (rules->v[i].once != NULL && strcmp(rules->v[i].once, once) == 0)
			return &rules->v[i];
	return NULL;
}

bool
rules_remove(struct rules *rules, int64_t id)
{
	struct rule *rule = rules_find(rules, id);

	if (rule == NULL)
		return false;
	rule_release(rule);
	rules->n--;
	memmove(rule, rule + 1, (size_t)(rules->v + rules->n - rule) * sizeof *rule);
	return true;
}

/* ---- for people -------------------------------------------------------------------------- */

char *
rule_days_text(unsigned int days, char text[RULE_DAYS_SIZE])
{
	size_t n = 0;

	if ((days & 0x7f) == 0 || (days & 0x7f) == 0x7f) {
		snprintf(text, RULE_DAYS_SIZE, "every day");
		return text;
	}
	text[0] = '\0';
	for (int day = 0; day < 7; day++) {
		int last = day;

		if (!(days >> day & 1))
			continue;
		while (last < 6 && days >> (last + 1) & 1)
			last++;
		/* "sat,sun", but "fri-sun" */
		if (last < day + 2)
			last = day;
		n += (size_t)snprintf(text + n, RULE_DAYS_SIZE - n, "%s%.3s", n > 0 ? "," : "",
		    day_names[day]);
		if (last > day)
			n += (size_t)snprintf(text + n, RULE_DAYS_SIZE - n, "-%.3s",
			    day_names[last]);
		day = last;
	}
	return text;
}

/* "mon", "Monday" or "0"; -1 where it is no day. */
static int
find_day(const char *word, size_t n)
{
	if (n == 1 && *word >= '0' && *word <= '6')
		return *word - '0';
	for (int day = 0; day < 7; day++)
		if ((n == 3 || n == strlen(day_names[day])) &&
		    strncasecmp(word, day_names[day], n) == 0)
			return day;
	return -1;
}

int
rule_days_parse(const char *text, unsigned int *ret, struct err *err)
{
	unsigned int days = 0;
	const char *at = text;

	if (strcasecmp(text, "daily") == 0 || strcasecmp(text, "every day") == 0) {
		*ret = 0;
		return 0;
	}
	for (;; at++) {
		size_t n = strcspn(at, ",-");
		int first = find_day(at, n), last = first;

		at += n;
		if (*at == '-') {
			n = strcspn(++at, ",");
			last = find_day(at, n);
			at += n;
		}
		if (first < 0 || last < 0)
			break;
		for (int day = first;; day = (day + 1) % 7) {
			days |= 1U << day;
			if (day == last)
				break;
		}
		if (*at == '\0') {
			*ret = days;
			return 0;
		}
	}
	return err_set(err, EX_DATAERR,
	    "expected days such as mon-fri, \"sat,sun\" or daily, not \"%s\"", text);
}

char *
rule_hours_text(const struct rule *rule, char text[RULE_HOURS_SIZE])
{
	int start = rule->start_hour, end = rule->end_hour;

	if (start < 0 || end < 0)
		snprintf(text, RULE_HOURS_SIZE, "all day");
	else if (rule->cross_midnight && end == 0)
		snprintf(text, RULE_HOURS_SIZE, "%d-24", start);
	else if (rule->cross_midnight)
		snprintf(text, RULE_HOURS_SIZE, "%d-%d +1", start, end);
	else
		snprintf(text, RULE_HOURS_SIZE, "%d-%d%s", start, end,
		    start >= end ? ", never" : "");
	return text;
}

char *
rule_interval_text(int64_t minutes, char text[RULE_INTERVAL_SIZE])
{
	static const struct {
		int64_t minutes;
		const char *name;
	} units[] = { { 1440, "day" }, { 60, "hour" }, { 1, "minute" } };
	size_t i = 0;

	while (minutes % units[i].minutes != 0)
		i++;
	if (minutes == units[i].minutes)
		snprintf(text, RULE_INTERVAL_SIZE, "%s", units[i].name);
	else
		snprintf(text, RULE_INTERVAL_SIZE, "%" PRId64 " %ss", minutes / units[i].minutes,
		    units[i].name);
	return text;
}
