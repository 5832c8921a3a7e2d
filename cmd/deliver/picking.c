#include "cmd/deliver/picking.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "cmd/deliver/delivery.h"
#include "policy/retry.h"
#include "policy/settings.h"

#define CANDIDATES_MAX 16
/* So many accounts that are not configured are warned of, once each. */
#define TOLD_MAX 100

/* True the first time: a watch looks every second. */
static bool
is_news(struct delivery *d, const char *name)
{
	for (size_t i = 0; i < d->news.n; i++)
		if (strcmp(d->news.told[i], name) == 0)
			return false;
	if (d->news.n == TOLD_MAX)
		return false;
	d->news.told = xreallocarray(d->news.told, d->news.n + 1, sizeof *d->news.told);
	d->news.told[d->news.n++] = xstrdup(name);
	return true;
}

void
news_release(struct news *news)
{
	for (size_t i = 0; i < news->n; i++)
		free(news->told[i]);
	free(news->told);
}

int
picking_begin(struct picking *picking, struct delivery *d, struct err *err)
{
	const struct suspensions *list = &picking->suspensions;

	*picking = (struct picking){ .delivery = d };
	if (suspensions_read(d->spool, clock_now(), &picking->suspensions, err) < 0)
		return -1;
	for (size_t i = 0; i < d->outlets.n; i++) {
		const char *id = d->outlets.v[i]->account->id;

		outlet_drain(d->outlets.v[i],
		    suspensions_find(list, SUSPEND_ALL, "") != NULL ||
			suspensions_find(list, SUSPEND_ACCOUNT, id) != NULL);
	}
	return 0;
}

void
picking_release(struct picking *picking)
{
	suspensions_release(&picking->suspensions);
}

/* The outlet of an account that is not there.  Its messages fail; but those of one whose file is
 * damaged wait for it to be mended. */
static struct outlet *
pick_unknown(struct delivery *d, const char *name, const struct err *err)
{
	d->counts.unknown++;
	if (settings_broken(d->settings, name)) {
		if (is_news(d, name))
			log_warning("account %s: its file in the spool is damaged: its messages "
				    "wait",
			    name);
		return NULL;
	}
	if (d->options.account != NULL)
		return NULL;
	if (d->options.has_account != NULL && d->options.has_account(name, d->options.settings_arg))
		return NULL;
	if (is_news(d, name))
		log_warning("%s: its messages fail", err->msg);
	return outlet_unknown(d, name);
}

/* The next account in line takes over while this one has no slot for these messages. */
static bool
gives_way(struct outlet *outlet, const struct lane *lane)
{
	const struct slots *domain;

	if (outlet->account->limit_behavior != ACCOUNT_LIMIT_FALLBACK)
		return false;
	if (outlet->limits.own != NULL && slots_exhausted(outlet->limits.own))
		return true;
	domain = lane->domain[0] != '\0' ? limited_domain(outlet, lane->domain) : NULL;
	return domain != NULL && slots_exhausted(domain);
}

/* The longest pause that any of these can have put off a message for. */
static int64_t
longest_pause(const struct account *const *candidates, int count)
{
	int64_t longest = 0;

	for (int i = 0; i < count; i++)
		if (retry_longest(candidates[i]) > longest)
			longest = retry_longest(candidates[i]);
	return longest;
}

static struct outlet *
pick_anew(struct picking *picking, const struct lane *lane)
{
	struct delivery *d = picking->delivery;
	const struct account *candidates[CANDIDATES_MAX];
	struct outlet *limited = NULL, *outlet;
	struct err err = ERR_INIT;
	int count = settings_resolve(d->settings, lane->account, candidates, CANDIDATES_MAX, &err);
	int suspended = 0;

	picking->longest = 0;
	if (count < 0)
		return pick_unknown(d, lane->account, &err);
	picking->longest = longest_pause(candidates, count);
	for (int i = 0; i < count; i++) {
		outlet = outlet_get(d, candidates[i]);
		if (suspensions_find(&picking->suspensions, SUSPEND_ACCOUNT, candidates[i]->id) !=
		    NULL) {
			suspended++;
			continue;
		}
		if (outlet_is_parked(outlet))
			continue;
		if (d->options.account != NULL &&
		    strcmp(d->options.account, candidates[i]->id) != 0)
			return NULL;
		if (!gives_way(outlet, lane))
			return outlet;
		if (limited == NULL)
			limited = outlet;
	}
	/* With all of them at their limits, the first one's next slot is waited for. */
	if (limited == NULL && suspended == count)
		d->counts.suspended++;
	else if (limited == NULL)
		d->counts.parked++;
	return limited;
}

struct outlet *
picking_outlet(struct picking *picking, const struct lane *lane)
{
	if (strcmp(lane->account, picking->last.account) != 0 ||
	    strcmp(lane->domain, picking->last.domain) != 0) {
		picking->outlet = pick_anew(picking, lane);
		picking->last = *lane;
		if (picking->outlet != NULL && picking->longest > picking->outlet->longest)
			picking->outlet->longest = picking->longest;
	}
	return picking->outlet;
}
