/* What is in the way of each account that could send a message. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/utf8.h"
#include "cmd/policy/limits.h"
#include "cmd/view/text.h"
#include "cmd/view/why_private.h"
#include "mail/idn.h"
#include "spool/policy/park.h"

#define DOMAIN_SIZE 256

/* What is in the way of one account. */
struct barrier {
	struct why why;
	bool keeps; /* its messages wait for it, and do not go to the next in line */
};

int
why_resolve(struct asking *asking, struct why *ret)
{
	const char *name = asking->message->lane.account;
	struct err err = ERR_INIT;

	asking->candidate_count =
	    settings_resolve(asking->settings, name, asking->candidates, WHY_CANDIDATES_MAX, &err);
	if (asking->candidate_count > 0)
		return 0;
	if (strcmp(name, "default") == 0 || settings_broken(asking->settings, name))
		why_set(ret, WHY_ACCOUNT, 0, "an account that works: %s", err.msg);
	else
		why_set(ret, WHY_ACCOUNT, 0, "the next cycle, which gives it up: %s", err.msg);
	return 1;
}

static int
look_at_park(const struct asking *asking, const struct account *account, struct why *ret)
{
	char until[STATUS_TIME_SIZE];
	struct park park;

	/* An entry that cannot be understood parks nothing. */
	if (park_read(asking->spool, account->id, &park, NULL) != 1 || park.until <= asking->now)
		return 0;
	why_set(ret, WHY_PARKED, park.until,
	    "account %s, which is parked until %s after %u fault%s in a row: %s: %s", account->id,
	    status_time(park.until, until), park.faults, park.faults == 1 ? "" : "s", park.class,
	    park.reason);
	return 1;
}

/* The pause is the last window of an account that has one. */
static bool
is_pause(const struct account *account, const struct account_domain *domain, int window)
{
	struct limit_rule rule;

	if (domain != NULL || account->min_interval == 0)
		return false;
	limits_of_account(account, &rule);
	return window == (int)rule.count - 1;
}

/* The limit of an account, or of a domain that it sends to. */
static int
look_at_limit(const struct asking *asking, const struct account *account,
    const struct account_domain *domain, struct barrier *ret)
{
	enum why_kind kind = domain != NULL ? WHY_DOMAIN : WHY_LIMIT;
	char text[LIMITS_TEXT_SIZE], next[STATUS_TIME_SIZE];
	struct err err = ERR_INIT;
	struct limit_look look;
	bool pause;

	switch (limits_look(asking->spool, account, domain, &look, text, &err)) {
	case 0:
		return 0;
	case -1:
		why_set(&ret->why, kind, 0, "a limit of account %s that can be counted: %s",
		    account->id, err.msg);
		ret->keeps = true;
		return 1;
	default:
		break;
	}
	pause = is_pause(account, domain, look.window);
	/* For a limit, unlike a fault, the next in line steps in only where the account says so. */
	ret->keeps = pause || account->limit_behavior != ACCOUNT_LIMIT_FALLBACK;
	if (account->limit_behavior == ACCOUNT_LIMIT_REJECT && !pause && look.window >= 0 &&
	    look.held == 0)
		why_set(&ret->why, kind, 0,
		    "the next cycle, which gives %s up: %s of account %s is reached",
		    domain != NULL ? "its recipients there" : "it", text, account->id);
	else if (look.next != 0)
		why_set(&ret->why, kind, look.next, "%s of account %s; next slot at %s", text,
		    account->id, status_time(look.next, next));
	else
		why_set(&ret->why, kind, 0, "%s of account %s; a running mailq-run holds its slots",
		    text, account->id);
	return 1;
}

/* Whether an address is of this domain (lower case, A-labels). */
static bool
is_of(const char *address, const char *domain)
{
	const char *at = strrchr(address, '@');
	char ascii[DOMAIN_SIZE];

	if (at == NULL)
		return false;
	at++;
	if (!is_ascii(at, strlen(at)) &&
	    mail_idn_ascii(at, strlen(at), ascii, sizeof ascii, NULL) == 0)
		at = ascii;
	return strcasecmp(at, domain) == 0;
}

/* Whether this is the domain that the message was put aside for, or one of a recipient of its. */
static bool
is_for(const struct why_message *message, const char *domain)
{
	const struct record *record = message->record;

	if (strcmp(message->lane.domain, domain) == 0)
		return true;
	for (size_t i = 0; record != NULL && i < record->recipient_count; i++)
		if (is_of(record->recipients[i], domain))
			return true;
	return false;
}

static int
look_at_domains(const struct asking *asking, const struct account *account, struct barrier *ret)
{
	const struct account_domain *domains = account->domains.v;
	int found = 0;

	for (size_t i = 0; i < account->domains.n && found == 0; i++)
		if (is_for(asking->message, domains[i].domain))
			found = look_at_limit(asking, account, &domains[i], ret);
	return found;
}

static int
look_at_account(const struct asking *asking, const struct account *account, struct barrier *ret)
{
	const struct suspension *suspension =
	    suspensions_find(&asking->suspensions, SUSPEND_ACCOUNT, account->id);
	int found;

	if (suspension != NULL) {
		why_suspended(suspension, &ret->why);
		return 1;
	}
	found = look_at_park(asking, account, &ret->why);
	if (found == 0)
		found = look_at_limit(asking, account, NULL, ret);
	if (found == 0)
		found = look_at_domains(asking, account, ret);
	return found;
}

static bool
clears_before(const struct why *a, const struct why *b)
{
	return a->until != 0 && (b->until == 0 || a->until < b->until);
}

/* The first to clear, and the others behind it. */
static void
join(const struct barrier *barriers, int n, struct why *ret)
{
	int first = 0;

	for (int i = 1; i < n; i++)
		if (clears_before(&barriers[i].why, &barriers[first].why))
			first = i;
	*ret = barriers[first].why;
	for (int i = 0; i < n; i++) {
		size_t used = strlen(ret->text);

		if (i != first)
			snprintf(ret->text + used, sizeof ret->text - used, "; and %s",
			    barriers[i].why.text);
	}
}

int
why_accounts(const struct asking *asking, struct why *ret)
{
	struct barrier barriers[WHY_CANDIDATES_MAX] = { 0 };
	int n = 0;
	bool kept = false;

	for (; n < asking->candidate_count && !kept; n++) {
		if (look_at_account(asking, asking->candidates[n], &barriers[n]) == 0)
			return 0;
		kept = barriers[n].keeps;
	}
	join(barriers, n, ret);
	return 1;
}
