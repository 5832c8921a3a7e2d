/* An account as this run uses it: its connections or Maildir, and its rest after a fault. */
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/log.h"
#include "capture/maildir.h"
#include "cmd/deliver/deliver.h"
#include "cmd/policy/account_params.h"

#define PARK_FIRST (60 * USEC)
#define JOBS_AHEAD 32
/* Descriptors for all but the messages in hand. */
#define DESCRIPTORS_SPARED 128

size_t
outlet_hand_max(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur < 2 * DESCRIPTORS_SPARED)
		return 1;
	return (size_t)(limit.rlim_cur - DESCRIPTORS_SPARED) / 3;
}

size_t
outlet_room(const struct delivery *d)
{
	size_t sum = 0;

	for (size_t i = 0; i < d->outlet_count; i++)
		sum += d->outlets[i]->in_hand;
	return sum < d->hand_max ? d->hand_max - sum : 0;
}

static struct outlet *
add_outlet(struct delivery *d, const struct account *account)
{
	struct outlet *outlet = xcalloc(1, sizeof *outlet);

	outlet->delivery = d;
	outlet->account = account;
	outlet->window = 1;
	outlet->stay = outlet->wanted_dir = -1;
	buf_init(&outlet->secret, 64 * 1024);
	d->outlets = xreallocarray(d->outlets, d->outlet_count + 1, sizeof *d->outlets);
	d->outlets[d->outlet_count++] = outlet;
	return outlet;
}

struct outlet *
outlet_get(struct delivery *d, const struct account *account)
{
	struct outlet *outlet;

	for (size_t i = 0; i < d->outlet_count; i++)
		if (d->outlets[i]->account == account)
			return d->outlets[i];
	outlet = add_outlet(d, account);
	outlet->slots = slots_new(d->spool, account, NULL);
	return outlet;
}

struct outlet *
outlet_unknown(struct delivery *d, const char *name)
{
	struct account *account;
	struct outlet *outlet;

	for (size_t i = 0; i < d->outlet_count; i++)
		if (d->outlets[i]->unknown != NULL && strcmp(d->outlets[i]->account->id, name) == 0)
			return d->outlets[i];
	account = xcalloc(1, sizeof *account);
	account->id = xstrdup(name);
	outlet = add_outlet(d, account);
	outlet->unknown = account;
	return outlet;
}

static void
open_pool(struct outlet *outlet)
{
	const struct account *account = outlet->account;
	const struct delivery *d = outlet->delivery;
	struct smtp_params params;
	struct smtp_limits limits = {
		.connections = (unsigned int)account->connections,
		.messages = (unsigned int)account->messages_per_connection,
		.ttl = account->ttl,
		.ahead = JOBS_AHEAD,
	};

	account_params(account, d->settings, outlet->secret.s, &params);
	outlet->pool = smtp_pool_new(d->engine, &params, &limits, outlet);
}

static int
open_maildir(struct outlet *outlet, struct err *err)
{
	const char *path = outlet->account->maildir;

	if (path != NULL)
		snprintf(outlet->server, sizeof outlet->server, "%s", path);
	else
		snprintf(outlet->server, sizeof outlet->server, "%s/captured",
		    outlet->delivery->spool->path);
	return maildir_open(&outlet->maildir, outlet->server, err);
}

int
outlet_open(struct outlet *outlet)
{
	const struct account *account = outlet->account;
	struct err err = ERR_INIT;

	if (outlet->pool != NULL || outlet->maildir != NULL)
		return 0;
	if (account->transport == ACCOUNT_CAPTURE) {
		if (open_maildir(outlet, &err) == 0)
			return 0;
		outlet_park(outlet, "maildir", err.msg);
		return -1;
	}
	snprintf(outlet->server, sizeof outlet->server,
	    strchr(account->host, ':') ? "[%s]:%d" : "%s:%d", account->host, (int)account->port);
	if (account->user != NULL && account_secret(account, &outlet->secret, &err) < 0) {
		outlet_park(outlet, "auth", err.msg);
		return -1;
	}
	open_pool(outlet);
	return 0;
}

void
outlet_reset(struct outlet *outlet)
{
	streams_forget(outlet);
	if (outlet->pool != NULL)
		smtp_pool_free(outlet->pool);
	outlet->pool = NULL;
	maildir_free(outlet->maildir);
	outlet->maildir = NULL;
	account_secret_wipe(&outlet->secret);
	outlet->faulted = outlet->drained = false;
}

void
outlet_drain(struct outlet *outlet, bool drain)
{
	if (outlet->drained == drain)
		return;
	outlet->drained = drain;
	if (outlet->pool == NULL)
		return;
	if (drain)
		smtp_pool_drain(outlet->pool);
	else if (!outlet->faulted)
		smtp_pool_resume(outlet->pool);
}

void
outlet_close(struct outlet *outlet)
{
	/* What the end of the run has settled. */
	lifted_sent(outlet->delivery);
	outlet_reset(outlet);
	slots_free(&outlet->slots);
	for (size_t i = 0; outlet->domain_slots != NULL && i < outlet->account->domains.n; i++)
		slots_free(&outlet->domain_slots[i]);
	free(outlet->domain_slots);
	auto_close_fd(&outlet->stay);
	auto_close_fd(&outlet->wanted_dir);
	if (outlet->unknown != NULL)
		free(outlet->unknown->id);
	free(outlet->unknown);
	free(outlet);
}

void
outlet_park(struct outlet *outlet, const char *class, const char *reason)
{
	struct delivery *d = outlet->delivery;
	struct park park = { 0 };
	struct err err = ERR_INIT;
	int64_t now = clock_now(), rest = PARK_FIRST, longest = d->settings->delivery.longest_park;

	if (park_read(d->spool, outlet->account->id, &park, NULL) != 1)
		park = (struct park){ .since = now };
	for (unsigned int i = 0; i < park.faults && rest < longest; i++)
		rest *= 2;
	park.faults++;
	park.until = now + (rest < longest ? rest : longest);
	snprintf(park.class, sizeof park.class, "%s", class);
	snprintf(park.reason, sizeof park.reason, "%s", reason);
	outlet->faulted = outlet->was_parked = true;
	d->replan = true;
	log_warning("account %s: %s: %s", outlet->account->id, class, reason);
	if (park_write(d->spool, outlet->account->id, &park, &err) < 0)
		log_warning("%s", err.msg);
	if (d->runner.dir >= 0)
		journal_policy(&d->runner.journal, EVENT_PARKED, outlet->account->id, NULL,
		    park.until, reason);
}

void
outlet_unpark(struct outlet *outlet)
{
	struct err err = ERR_INIT;

	if (!outlet->was_parked)
		return;
	outlet->was_parked = false;
	if (park_clear(outlet->delivery->spool, outlet->account->id, &err) < 0)
		log_warning("%s", err.msg);
	else
		log_info("account %s: works again", outlet->account->id);
}
