/* Limits that the accounts of this run no longer have: what it sends is counted nowhere, and the files
 * of before would not know of it. */
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "cmd/deliver/deliver.h"
#include "cmd/policy/limits.h"

#define LIFT_EVERY (1 * USEC)
/* What goes wrong is told so often at the most. */
#define TELL_EVERY (60 * USEC)

/* For limit_lift.  Of accounts that this run does not know, it sends nothing. */
static bool
is_lifted(const char *id, const char *domain, void *arg)
{
	const struct delivery *d = arg;
	const struct account *account = settings_account(d->settings, id);
	const struct account_domain *all = account != NULL ? account->domains.v : NULL;
	struct limit_rule rule = { .count = 0 };

	if (account == NULL)
		return false;
	if (domain == NULL)
		limits_of_account(account, &rule);
	for (size_t i = 0; domain != NULL && i < account->domains.n; i++)
		if (strcasecmp(all[i].domain, domain) == 0)
			limits_of_domain(&all[i], &rule);
	return rule.count == 0 && rule.at_once == 0;
}

static void
lift(struct delivery *d)
{
	struct err err = ERR_INIT;
	int64_t now = clock_monotonic();

	d->lifted = now;
	d->unlifted = false;
	if (limit_lift(d->spool, is_lifted, d, &err) == 0 ||
	    (d->lift_told != 0 && now - d->lift_told < TELL_EVERY))
		return;
	d->lift_told = now;
	log_warning("%s", err.msg);
}

void
lifted_sending(struct delivery *d)
{
	if (d->lifted == 0 || clock_monotonic() - d->lifted >= LIFT_EVERY)
		lift(d);
	d->unlifted = true;
}

void
lifted_sent(struct delivery *d)
{
	if (d->unlifted)
		lift(d);
}
