/* What keeps mail from flowing: suspensions, accounts that rest, are full or of no use, rules. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "cmd/policy/scheduler.h"
#include "cmd/status/brakes.h"
#include "cmd/view/text.h"
#include "spool/policy/park.h"

#define CANDIDATES_MAX 16

/* ---- looking ----------------------------------------------------------------------------- */

static bool
is_known(const struct brakes *brakes, const char *account, const char *domain)
{
	for (size_t i = 0; i < brakes->limited_count; i++)
		if (strcmp(brakes->limited[i].account, account) == 0 &&
		    strcmp(brakes->limited[i].domain, domain) == 0)
			return true;
	return false;
}

/* An account, or a domain that it sends to, of which there are messages. */
static void
look_at_limit(struct brakes *brakes, const struct account *account,
    const struct account_domain *domain)
{
	struct brake_limit one = { .account = account->id,
		.domain = domain != NULL ? domain->domain : "" };
	struct err err = ERR_INIT;
	struct limit_look look;
	int full;

	if (is_known(brakes, one.account, one.domain))
		return;
	full = limits_look(brakes->spool, account, domain, &look, one.words, &err);
	if (full == 0)
		return;
	if (full < 0) {
		one.unreadable = true;
		snprintf(one.words, sizeof one.words, "%.*s", LIMITS_TEXT_SIZE - 1, err.msg);
	} else {
		one.next = look.next;
	}
	brakes->limited = xreallocarray(brakes->limited, brakes->limited_count + 1, sizeof one);
	brakes->limited[brakes->limited_count++] = one;
}

static void
note_unusable(struct brakes *brakes, const char *account, const struct err *err)
{
	struct brake_account *one;

	brakes->unusable = xreallocarray(brakes->unusable, brakes->unusable_count + 1, sizeof *one);
	one = &brakes->unusable[brakes->unusable_count++];
	snprintf(one->account, sizeof one->account, "%s", account);
	snprintf(one->reason, sizeof one->reason, "%s", err->msg);
}

/* Lanes are sorted, so those of one account follow one another. */
static void
look_at_lane(struct brakes *brakes, const struct settings *settings, const struct lane *lane,
    bool first_of_account)
{
	const struct account *candidates[CANDIDATES_MAX];
	struct err err = ERR_INIT;
	int n = settings_resolve(settings, lane->account, candidates, CANDIDATES_MAX, &err);

	if (n < 0 && first_of_account)
		note_unusable(brakes, lane->account, &err);
	for (int i = 0; i < n; i++) {
		const struct account_domain *domains = candidates[i]->domains.v;

		if (first_of_account)
			look_at_limit(brakes, candidates[i], NULL);
		for (size_t d = 0; d < candidates[i]->domains.n; d++)
			if (strcmp(domains[d].domain, lane->domain) == 0)
				look_at_limit(brakes, candidates[i], &domains[d]);
	}
}

static void
look_at_lanes(struct brakes *brakes, const struct settings *settings, const struct counts *counts)
{
	const char *last = "";

	for (size_t i = 0; i < counts->lane_count; i++) {
		const struct lane_count *lane = &counts->lanes[i];
		bool first = strcmp(lane->lane.account, last) != 0;

		if (lane->messages[STATE_WAITING] + lane->messages[STATE_DEFERRED] == 0)
			continue;
		if (first || lane->lane.domain[0] != '\0')
			look_at_lane(brakes, settings, &lane->lane, first);
		last = lane->lane.account;
	}
}

static void
look_at_rules(struct brakes *brakes, const struct settings *settings)
{
	AUTO(scheduler_release) struct scheduler scheduler = { 0 };

	if (scheduler_read(&scheduler, brakes->spool, settings, &brakes->rules_err) < 0)
		return;
	scheduler_decide(&scheduler, brakes->spool, clock_now(), &brakes->verdict);
	brakes->ruled = scheduler.rules.n > 0;
}

/* What names no account waits where every account that could send it is suspended. */
static bool
is_default_suspended(const struct brakes *brakes, const struct settings *settings)
{
	const struct account *candidates[CANDIDATES_MAX];
	int n = settings_resolve(settings, "default", candidates, CANDIDATES_MAX, NULL);

	for (int i = 0; i < n; i++)
		if (suspensions_find(&brakes->suspensions, SUSPEND_ACCOUNT, candidates[i]->id) ==
		    NULL)
			return false;
	return n > 0;
}

bool
brakes_suspended(const struct brakes *brakes, const struct lane *lane)
{
	return suspensions_of_lane(&brakes->suspensions, lane) != NULL ||
	    (brakes->default_suspended && strcmp(lane->account, "default") == 0);
}

int
brakes_read(struct brakes *ret, struct spool *spool, const struct settings *settings,
    const struct counts *counts, struct err *err)
{
	*ret = (struct brakes){ .spool = spool };
	if (suspensions_read(spool, clock_now(), &ret->suspensions, err) < 0)
		return -1;
	ret->default_suspended = is_default_suspended(ret, settings);
	look_at_lanes(ret, settings, counts);
	look_at_rules(ret, settings);
	return 0;
}

void
brakes_release(struct brakes *brakes)
{
	suspensions_release(&brakes->suspensions);
	free(brakes->limited);
	free(brakes->unusable);
	*brakes = (struct brakes){ 0 };
}

/* ---- for people -------------------------------------------------------------------------- */

static void
print_suspension(const struct suspension *one)
{
	char text[STATUS_TIME_SIZE];

	fputs(one->kind == SUSPEND_ALL	     ? "All delivery" :
		one->kind == SUSPEND_ACCOUNT ? "Account " :
					       "Batch ",
	    stdout);
	status_put(one->name);
	if (one->until != 0)
		printf(" is suspended until %s", status_time(one->until, text));
	else
		fputs(" is suspended until it is activated", stdout);
	printf(", since %s", status_time(one->since, text));
	if (one->by[0] != '\0') {
		fputs(" by ", stdout);
		status_put(one->by);
	}
	if (one->reason[0] != '\0') {
		fputs(": ", stdout);
		status_put(one->reason);
	}
	putchar('\n');
}

static int
print_parked(const char *account, const struct park *park, void *arg)
{
	char text[STATUS_TIME_SIZE];

	(void)arg;
	if (park->until <= clock_now())
		return 0;
	fputs("Account ", stdout);
	status_put(account);
	printf(" is parked until %s, %u fault%s in a row, the first %s: ",
	    status_time(park->until, text), park->faults, park->faults == 1 ? "" : "s",
	    status_age(park->since, (char[STATUS_TIME_SIZE]){ 0 }));
	status_put(park->class);
	fputs(": ", stdout);
	status_put(park->reason);
	putchar('\n');
	return 0;
}

static void
print_limited(const struct brake_limit *one)
{
	char text[STATUS_TIME_SIZE];

	fputs("Account ", stdout);
	status_put(one->account);
	fputs(one->unreadable ? " sends nothing: its limit cannot be counted: " : " is at its ",
	    stdout);
	status_put(one->words);
	if (one->next != 0)
		printf("; next slot at %s", status_time(one->next, text));
	else if (!one->unreadable)
		fputs("; a running mailq-run holds its slots", stdout);
	putchar('\n');
}

static void
print_rules(const struct brakes *brakes)
{
	const struct rule_verdict *verdict = &brakes->verdict;
	char age[STATUS_TIME_SIZE], text[STATUS_TIME_SIZE + 8] = "";

	if (brakes->rules_err.code != 0) {
		fputs("The rules cannot be followed: ", stdout);
		status_put(brakes->rules_err.msg);
		putchar('\n');
		return;
	}
	if (!brakes->ruled)
		return;
	/* The instant itself stands behind it, in the zone of the rules. */
	if (verdict->next != INT64_MAX)
		snprintf(text, sizeof text, " %s", status_age(verdict->next, age));
	if (!verdict->allowed)
		printf("No cycle is allowed now%s%s: ", text[0] != '\0' ? "; the next" : "", text);
	else if (verdict->due)
		fputs("A cycle is due: ", stdout);
	else
		printf("Next cycle%s: ", text);
	status_put(verdict->why);
	putchar('\n');
}

int
brakes_print(const struct brakes *brakes, struct err *err)
{
	for (size_t i = 0; i < brakes->suspensions.n; i++)
		print_suspension(&brakes->suspensions.v[i]);
	print_rules(brakes);
	for (size_t i = 0; i < brakes->unusable_count; i++) {
		fputs("Messages wait for account ", stdout);
		status_put(brakes->unusable[i].account);
		fputs(": ", stdout);
		status_put(brakes->unusable[i].reason);
		putchar('\n');
	}
	if (park_each(brakes->spool, print_parked, NULL, err) < 0)
		return -1;
	for (size_t i = 0; i < brakes->limited_count; i++)
		print_limited(&brakes->limited[i]);
	return 0;
}

/* ---- as JSON ----------------------------------------------------------------------------- */

static int
put_parked(const char *account, const struct park *park, void *arg)
{
	struct json_writer *w = arg;

	if (park->until <= clock_now())
		return 0;
	json_begin_object(w);
	json_member_str(w, "account", account);
	status_json_instant(w, "until", park->until);
	status_json_instant(w, "since", park->since);
	json_member_int(w, "faults", park->faults);
	json_member_str(w, "class", park->class);
	json_member_str(w, "reason", park->reason);
	json_end_object(w);
	return 0;
}

static void
put_rules(const struct brakes *brakes, struct json_writer *w)
{
	const struct rule_verdict *verdict = &brakes->verdict;

	if (!brakes->ruled && brakes->rules_err.code == 0)
		return;
	json_key(w, "next_cycle");
	json_begin_object(w);
	if (brakes->rules_err.code != 0) {
		json_member_str(w, "error", brakes->rules_err.msg);
	} else {
		status_json_instant(w, "t", verdict->next != INT64_MAX ? verdict->next : 0);
		json_member_bool(w, "due", verdict->due);
		json_member_bool(w, "allowed", verdict->allowed);
		json_member_str(w, "why", verdict->why);
	}
	json_end_object(w);
}

static void
put_limited(const struct brakes *brakes, struct json_writer *w)
{
	json_key(w, "limited");
	json_begin_array(w);
	for (size_t i = 0; i < brakes->limited_count; i++) {
		const struct brake_limit *one = &brakes->limited[i];

		json_begin_object(w);
		json_member_str(w, "account", one->account);
		json_member_str(w, "domain", one->domain[0] != '\0' ? one->domain : NULL);
		json_member_str(w, "limit", one->words);
		status_json_instant(w, "next", one->next);
		json_end_object(w);
	}
	json_end_array(w);
}

int
brakes_put(const struct brakes *brakes, struct json_writer *w, struct err *err)
{
	json_key(w, "suspended");
	json_begin_array(w);
	for (size_t i = 0; i < brakes->suspensions.n; i++) {
		json_begin_object(w);
		status_json_suspension(w, &brakes->suspensions.v[i]);
		json_end_object(w);
	}
	json_end_array(w);
	put_rules(brakes, w);
	json_key(w, "unusable");
	json_begin_array(w);
	for (size_t i = 0; i < brakes->unusable_count; i++) {
		json_begin_object(w);
		json_member_str(w, "account", brakes->unusable[i].account);
		json_member_str(w, "reason", brakes->unusable[i].reason);
		json_end_object(w);
	}
	json_end_array(w);
	json_key(w, "parked");
	json_begin_array(w);
	if (park_each(brakes->spool, put_parked, w, err) < 0)
		return -1;
	json_end_array(w);
	put_limited(brakes, w);
	return 0;
}
