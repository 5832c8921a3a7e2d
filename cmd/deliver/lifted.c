#include "cmd/deliver/lifted.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "cmd/deliver/delivery.h"
#include "cmd/policy/limits.h"
#include "policy/settings.h"

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

	d->lifting.at = now;
	d->lifting.pending = false;
	if (limit_lift(d->spool, is_lifted, d, &err) == 0 ||
	    (d->lifting.told != 0 && now - d->lifting.told < TELL_EVERY))
		return;
	d->lifting.told = now;
	log_warning("%s", err.msg);
}

void
lifted_sending(struct delivery *d)
{
	if (d->lifting.at == 0 || clock_monotonic() - d->lifting.at >= LIFT_EVERY)
		lift(d);
	d->lifting.pending = true;
}

void
lifted_sent(struct delivery *d)
{
	if (d->lifting.pending)
		lift(d);
}
