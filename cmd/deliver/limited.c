#include "cmd/deliver/limited.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "cmd/deliver/delivery.h"
#include "mail/idn.h"

/* That a limit is reached is told so often at the most. */
#define TELL_EVERY (60 * USEC)
#define DOMAIN_SIZE 256

void
limited_begin(struct outlet *outlet)
{
	outlet->limits = (struct outlet_limits){ .stay = -1 };
	if (outlet->unknown == NULL)
		outlet->limits.own = slots_new(outlet->delivery->spool, outlet->account, NULL);
}

void
limited_end(struct outlet *outlet)
{
	slots_free(&outlet->limits.own);
	for (size_t i = 0; outlet->limits.domains != NULL && i < outlet->account->domains.n; i++)
		slots_free(&outlet->limits.domains[i]);
	free(outlet->limits.domains);
	auto_close_fd(&outlet->limits.stay);
}

struct slots *
limited_domain(struct outlet *outlet, const char *domain)
{
	const struct account *account = outlet->account;
	const struct account_domain *all = account->domains.v;

	for (size_t i = 0; i < account->domains.n; i++) {
		if (strcasecmp(all[i].domain, domain) != 0)
			continue;
		if (outlet->limits.domains == NULL)
			outlet->limits.domains =
			    xcalloc(account->domains.n, sizeof *outlet->limits.domains);
		if (outlet->limits.domains[i] == NULL)
			outlet->limits.domains[i] =
			    slots_new(outlet->delivery->spool, account, &all[i]);
		return outlet->limits.domains[i];
	}
	return NULL;
}

bool
limited_rejects(const struct outlet *outlet, const struct slots *slots)
{
	return outlet->account->limit_behavior == ACCOUNT_LIMIT_REJECT && slots_beyond(slots);
}

bool
limited_passes(const struct outlet *outlet, struct slots *slots)
{
	return slots_ready(slots) || limited_rejects(outlet, slots);
}

void
limited_tell(struct outlet *outlet, struct slots *slots)
{
	struct delivery *d = outlet->delivery;
	char words[SLOTS_TEXT_SIZE], until[CLOCK_TEXT_SIZE];
	int64_t now = clock_monotonic();

	/* A pause is nothing to tell of, nor that all slots are in use at the moment. */
	if (!slots->full || slots_pausing(slots) || slots->look.window < 0 || slots->next == 0 ||
	    (slots->told != 0 && now - slots->told < TELL_EVERY))
		return;
	if (slots->told == 0)
		d->counts.limited++;
	slots->told = now;
	slots_words(slots, words);
	log_info("account %s: %s is reached, until %s", outlet->account->id, words,
	    clock_iso(slots->next, until));
	if (d->runner.dir >= 0)
		journal_policy(&d->runner.journal, EVENT_LIMITED, outlet->account->id, NULL,
		    slots->next, words);
}

void
limited_reason(const struct slots *slots, char *text, size_t size)
{
	char words[SLOTS_TEXT_SIZE];

	slots_words(slots, words);
	snprintf(text, size, "%s of account %s is reached", words, slots->account->id);
}

static bool
has_slot(const struct work *work, const struct slots *slots)
{
	for (size_t i = 0; i < work->slot_count; i++)
		if (work->slots[i] == slots)
			return true;
	return false;
}

static void
add_slot(struct work *work, struct slots *slots)
{
	slots_use(slots);
	work->slots = xreallocarray(work->slots, work->slot_count + 1, sizeof(struct slots *));
	work->slots[work->slot_count++] = slots;
}

/* The slots of the domain behind an address. */
static struct slots *
slots_of_address(struct outlet *outlet, const char *address)
{
	const char *at = strrchr(address, '@');
	char ascii[DOMAIN_SIZE];

	if (at == NULL)
		return NULL;
	for (const char *p = ++at; *p != '\0'; p++) {
		if ((unsigned char)*p < 0x80)
			continue;
		if (mail_idn_ascii(at, strlen(at), ascii, sizeof ascii, NULL) < 0)
			return NULL;
		at = ascii;
		break;
	}
	return limited_domain(outlet, at);
}

struct slots *
limited_claim(struct work *work)
{
	struct outlet *outlet = work->outlet;
	size_t recipients = outlet->account->domains.n > 0 ? work->job.n_recipients : 0;

	for (size_t i = 0; i < recipients; i++) {
		struct slots *slots;

		if (work->recipients[i].outcome != SMTP_PENDING)
			continue;
		slots = slots_of_address(outlet, work->recipients[i].address);
		if (slots == NULL || has_slot(work, slots))
			continue;
		if (!slots_want(slots, slots->group)) {
			while (work->slot_count > 0)
				slots_return(work->slots[--work->slot_count]);
			return slots;
		}
		add_slot(work, slots);
	}
	if (outlet->limits.own != NULL)
		add_slot(work, outlet->limits.own);
	return NULL;
}

bool
limited_fail_domain(struct work *work, const struct slots *slots)
{
	char reason[400];
	size_t n = work->job.n_recipients;
	bool others = false;

	limited_reason(slots, reason, sizeof reason);
	if (work->beyond == NULL)
		work->beyond = xcalloc(n, sizeof *work->beyond);
	for (size_t i = 0; i < n; i++) {
		struct smtp_recipient *one = &work->recipients[i];

		if (one->outcome != SMTP_PENDING)
			continue;
		if (slots_of_address(work->outlet, one->address) != slots) {
			others = true;
			continue;
		}
		work->beyond[i] = true;
		one->outcome = SMTP_FAILED;
		one->reply = xcalloc(1, sizeof *one->reply);
		smtp_reply_own(one->reply, "", "%s", reason);
	}
	return others;
}

int
limited_each(struct outlet *outlet, int (*each)(struct slots *slots, void *arg), void *arg)
{
	int result = outlet->limits.own != NULL ? each(outlet->limits.own, arg) : 0;

	for (size_t i = 0; outlet->limits.domains != NULL && i < outlet->account->domains.n; i++)
		if (result == 0 && outlet->limits.domains[i] != NULL)
			result = each(outlet->limits.domains[i], arg);
	return result;
}

static int
spare(struct slots *slots, void *arg)
{
	(void)arg;
	slots_spare(slots);
	return 0;
}

void
limited_spare(struct outlet *outlet)
{
	limited_each(outlet, spare, NULL);
}

static int
sync_one(struct slots *slots, void *arg)
{
	return slots_sync(slots, arg);
}

int
limited_sync(struct delivery *d, struct err *err)
{
	lifted_sending(d);
	for (size_t i = 0; i < d->outlets.n; i++)
		if (limited_each(d->outlets.v[i], sync_one, err) < 0)
			return -1;
	return 0;
}

static int
settle(struct slots *slots, void *arg)
{
	(void)arg;
	slots_settle(slots);
	return 0;
}

void
limited_settle(struct delivery *d)
{
	for (size_t i = 0; i < d->outlets.n; i++)
		limited_each(d->outlets.v[i], settle, NULL);
}
