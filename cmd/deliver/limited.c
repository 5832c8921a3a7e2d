/* Limits of accounts and of domains, as the outlets of a run meet them. */
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "cmd/deliver/deliver.h"
#include "mail/idn.h"
#include "spool/limit/stay.h"

/* A cycle stays for slots that come so soon, in sum: one that is called each minute does not miss its
 * minute by a hair. */
#define STAY_MAX (2 * USEC)
/* It stays for all messages of an account with a pause between them that is no longer. */
#define PAUSE_MAX (60 * USEC)
/* That a limit is reached is told so often at the most. */
#define TELL_EVERY (60 * USEC)
#define DOMAIN_SIZE 256

struct slots *
limited_domain(struct outlet *outlet, const char *domain)
{
	const struct account *account = outlet->account;
	const struct account_domain *all = account->domains.v;

	for (size_t i = 0; i < account->domains.n; i++) {
		if (strcasecmp(all[i].domain, domain) != 0)
			continue;
		if (outlet->domain_slots == NULL)
			outlet->domain_slots =
			    xcalloc(account->domains.n, sizeof *outlet->domain_slots);
		if (outlet->domain_slots[i] == NULL)
			outlet->domain_slots[i] =
			    slots_new(outlet->delivery->spool, account, &all[i]);
		return outlet->domain_slots[i];
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
	if (outlet->slots != NULL)
		add_slot(work, outlet->slots);
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

/* Calls each for all slots that the outlet has met, until it returns non-zero, and returns that. */
static int
each_slots(struct outlet *outlet, int (*each)(struct slots *slots, void *arg), void *arg)
{
	int result = outlet->slots != NULL ? each(outlet->slots, arg) : 0;

	for (size_t i = 0; outlet->domain_slots != NULL && i < outlet->account->domains.n; i++)
		if (result == 0 && outlet->domain_slots[i] != NULL)
			result = each(outlet->domain_slots[i], arg);
	return result;
}

static int
look_at(struct outlet *outlet, struct slots *slots)
{
	if (!slots_look(slots))
		limited_tell(outlet, slots);
	return 0;
}

void
limited_look(struct delivery *d)
{
	lifted_sent(d);
	for (size_t i = 0; i < d->outlet_count; i++) {
		struct outlet *outlet = d->outlets[i];

		if (outlet->stream_count > 0 && outlet->slots != NULL)
			look_at(outlet, outlet->slots);
		for (size_t j = 0; j < outlet->stream_count; j++)
			if (outlet->streams[j].slots != NULL)
				look_at(outlet, outlet->streams[j].slots);
	}
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
	each_slots(outlet, spare, NULL);
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
	for (size_t i = 0; i < d->outlet_count; i++)
		if (each_slots(d->outlets[i], sync_one, err) < 0)
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
	for (size_t i = 0; i < d->outlet_count; i++)
		each_slots(d->outlets[i], settle, NULL);
}

static int
earliest(struct slots *slots, void *arg)
{
	int64_t *next = arg;

	if (slots->full && slots->next > clock_now() && slots->next < *next)
		*next = slots->next;
	return 0;
}

int64_t
limited_next(const struct delivery *d)
{
	int64_t next = INT64_MAX;

	for (size_t i = 0; i < d->outlet_count; i++)
		if (d->outlets[i]->stream_count > 0)
			each_slots(d->outlets[i], earliest, &next);
	return next;
}

/* True where this process is the one that stays for the account: others leave it to it. */
static bool
may_stay(struct outlet *outlet)
{
	struct err err = ERR_INIT;

	if (outlet->stay < 0)
		outlet->stay = stay_lock(outlet->delivery->spool, outlet->account->id, &err);
	if (outlet->stay < 0 && err.code != EX_TEMPFAIL)
		log_warning("%s", err.msg);
	return outlet->stay >= 0;
}

struct staying {
	struct outlet *outlet;
	int64_t until;
	bool pause;
};

static int
consider(struct slots *slots, void *arg)
{
	struct staying *staying = arg;
	struct outlet *outlet = staying->outlet;
	const struct delivery *d = outlet->delivery;
	bool pause =
	    slots_pausing(slots) && outlet->account->min_interval <= PAUSE_MAX && !d->options.watch;

	if (!slots->full || slots->next == 0 || slots->next >= staying->until ||
	    (!pause && slots->next - clock_now() > STAY_MAX - d->stayed))
		return 0;
	if (slots->domain == NULL ? stream_peek(outlet, true) == NULL :
				    !stream_waits(outlet, slots))
		return 0;
	if (!may_stay(outlet))
		return 0;
	staying->until = slots->next;
	staying->pause = pause;
	return 0;
}

int64_t
limited_stay(struct delivery *d, bool *ret_pause)
{
	struct staying staying = { .until = INT64_MAX };

	for (size_t i = 0; i < d->outlet_count; i++) {
		staying.outlet = d->outlets[i];
		if (!fill_done(staying.outlet))
			each_slots(staying.outlet, consider, &staying);
	}
	*ret_pause = staying.pause;
	return staying.until;
}

void
limited_leave(struct delivery *d)
{
	lifted_sent(d);
	for (size_t i = 0; i < d->outlet_count; i++)
		auto_close_fd(&d->outlets[i]->stay);
}
