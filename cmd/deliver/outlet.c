#include "cmd/deliver/outlet.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/log.h"
#include "capture/maildir.h"
#include "cmd/deliver/delivery.h"
#include "cmd/policy/account_params.h"
#include "smtp/pool.h"
#include "spool/policy/park.h"

#define PARK_FIRST (60 * USEC)
#define JOBS_AHEAD 32
/* Descriptors for all but the messages in hand. */
#define DESCRIPTORS_SPARED 128

void
outlets_begin(struct delivery *d)
{
	struct rlimit limit;

	d->outlets.hand_max = 1;
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur >= 2 * DESCRIPTORS_SPARED)
		d->outlets.hand_max = (size_t)(limit.rlim_cur - DESCRIPTORS_SPARED) / 3;
}

size_t
outlets_room(const struct delivery *d)
{
	size_t sum = 0;

	for (size_t i = 0; i < d->outlets.n; i++)
		sum += d->outlets.v[i]->in_hand;
	return sum < d->outlets.hand_max ? d->outlets.hand_max - sum : 0;
}

static struct outlet *
add_outlet(struct delivery *d, const struct account *account, struct account *unknown)
{
	struct outlet *outlet = xcalloc(1, sizeof *outlet);

	outlet->delivery = d;
	outlet->account = account;
	outlet->window = 1;
	outlet->unknown = unknown;
	outlet->wanted_dir = -1;
	limited_begin(outlet);
	buf_init(&outlet->secret, 64 * 1024);
	d->outlets.v = xreallocarray(d->outlets.v, d->outlets.n + 1, sizeof *d->outlets.v);
	d->outlets.v[d->outlets.n++] = outlet;
	return outlet;
}

struct outlet *
outlet_get(struct delivery *d, const struct account *account)
{
	for (size_t i = 0; i < d->outlets.n; i++)
		if (d->outlets.v[i]->account == account)
			return d->outlets.v[i];
	return add_outlet(d, account, NULL);
}

struct outlet *
outlet_unknown(struct delivery *d, const char *name)
{
	struct account *account;

	for (size_t i = 0; i < d->outlets.n; i++)
		if (d->outlets.v[i]->unknown != NULL &&
		    strcmp(d->outlets.v[i]->account->id, name) == 0)
			return d->outlets.v[i];
	account = xcalloc(1, sizeof *account);
	account->id = xstrdup(name);
	return add_outlet(d, account, account);
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

/* After a fault: as new, so that a secret is fetched again with the next attempt. */
static void
reset(struct outlet *outlet)
{
	stream_forget(outlet);
	if (outlet->pool != NULL)
		smtp_pool_free(outlet->pool);
	outlet->pool = NULL;
	maildir_free(outlet->maildir);
	outlet->maildir = NULL;
	account_secret_wipe(&outlet->secret);
	outlet->faulted = outlet->drained = false;
}

void
outlets_begin_cycle(struct delivery *d)
{
	for (size_t i = 0; i < d->outlets.n; i++) {
		d->outlets.v[i]->taken = 0;
		if (d->outlets.v[i]->faulted)
			reset(d->outlets.v[i]);
	}
}

static void
close_outlet(struct outlet *outlet)
{
	/* What the end of the run has settled. */
	lifted_sent(outlet->delivery);
	reset(outlet);
	limited_end(outlet);
	auto_close_fd(&outlet->wanted_dir);
	if (outlet->unknown != NULL)
		free(outlet->unknown->id);
	free(outlet->unknown);
	free(outlet);
}

void
outlets_end(struct delivery *d)
{
	for (size_t i = 0; i < d->outlets.n; i++)
		close_outlet(d->outlets.v[i]);
	free(d->outlets.v);
}

bool
outlet_is_done(const struct outlet *outlet)
{
	const struct delivery *d = outlet->delivery;
	int64_t most = outlet->account->batch_size;

	return delivery_over(d) || outlet->faulted || outlet->drained ||
	    (most > 0 && d->options.ids == NULL && outlet->taken >= most);
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

bool
outlet_is_parked(struct outlet *outlet)
{
	struct delivery *d = outlet->delivery;
	struct err err = ERR_INIT;
	struct park park;

	if (outlet->faulted)
		return true;
	switch (park_read(d->spool, outlet->account->id, &park, &err)) {
	case 0:
		outlet->was_parked = false;
		return false;
	case 1:
		outlet->was_parked = true;
		/* One that lies further ahead was written before the clock was put back. */
		return !d->options.now && park.until > clock_now() &&
		    park.until <= clock_now() + d->settings->delivery.longest_park;
	default:
		log_warning("%s", err.msg);
		return false;
	}
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
	delivery_replan(d);
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
