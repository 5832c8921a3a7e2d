#include "cmd/policy/limits.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"

#define MINUTE (60 * USEC)
#define HOUR (3600 * USEC)
#define DAY (86400 * USEC)

static void
add_windows(struct limit_rule *rule, int64_t minute, int64_t hour, int64_t day)
{
	limit_rule_add(rule, MINUTE, (uint64_t)minute);
	limit_rule_add(rule, HOUR, (uint64_t)hour);
	limit_rule_add(rule, DAY, (uint64_t)day);
}

void
limits_of_account(const struct account *account, struct limit_rule *ret)
{
	*ret = (struct limit_rule){ 0 };
	add_windows(ret, account->limit_per_minute, account->limit_per_hour,
	    account->limit_per_day);
	if (account->min_interval > 0)
		limit_rule_add(ret, account->min_interval, 1);
}

void
limits_of_domain(const struct account_domain *domain, struct limit_rule *ret)
{
	*ret = (struct limit_rule){ .at_once = (uint64_t)domain->connections };
	add_windows(ret, domain->per_minute, domain->per_hour, domain->per_day);
}

static const char *
span_word(int64_t span)
{
	return span == MINUTE ? "a minute" :
	    span == HOUR      ? "an hour" :
	    span == DAY	      ? "a day" :
				NULL;
}

char *
limits_text(const struct limit_rule *rule, int window, char text[LIMITS_TEXT_SIZE])
{
	const struct limit_window *full;
	char span[CLOCK_TEXT_SIZE];

	if (window < 0 || (size_t)window >= rule->count) {
		snprintf(text, LIMITS_TEXT_SIZE, "limit of %llu message%s at once",
		    (unsigned long long)rule->at_once, rule->at_once == 1 ? "" : "s");
		return text;
	}
	full = &rule->windows[window];
	if (span_word(full->span) != NULL)
		snprintf(text, LIMITS_TEXT_SIZE, "limit of %llu %s", (unsigned long long)full->max,
		    span_word(full->span));
	else
		snprintf(text, LIMITS_TEXT_SIZE, "pause of %s between messages",
		    clock_span(full->span, span));
	return text;
}

int
limits_look(const struct spool *spool, const struct account *account,
    const struct account_domain *domain, struct limit_look *ret, char text[LIMITS_TEXT_SIZE],
    struct err *err)
{
	struct limit_rule rule;
	size_t used;

	if (domain != NULL)
		limits_of_domain(domain, &rule);
	else
		limits_of_account(account, &rule);
	if (rule.count == 0 && rule.at_once == 0)
		return 0;
	if (limit_look(spool, account->id, domain != NULL ? domain->domain : NULL, &rule, ret,
		err) < 0)
		return -1;
	if (ret->free > 0)
		return 0;
	limits_text(&rule, ret->window, text);
	used = strlen(text);
	if (domain != NULL)
		snprintf(text + used, LIMITS_TEXT_SIZE - used, " for %s", domain->domain);
	return 1;
}
