#include "cmd/deliver/slots.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "cmd/policy/limits.h"

/* A limit whose next slot depends on others is looked at again after so long. */
#define LOOK_AGAIN (1 * USEC)
/* So many of a domain's are taken at a time. */
#define GROUP_MAX 64
/* A slot that was said to be free by now, and is not. */
#define MISSED (2 * INT64_C(1000))

struct slots *
slots_new(struct spool *spool, const struct account *account, const struct account_domain *domain)
{
	struct slots s = { .spool = spool, .account = account, .domain = domain, .pause = -1 };
	struct slots *ret;

	if (domain != NULL)
		limits_of_domain(domain, &s.rule);
	else
		limits_of_account(account, &s.rule);
	/* The pause is the last of an account's windows. */
	if (domain == NULL && account->min_interval > 0)
		s.pause = (int)s.rule.count - 1;
	if (s.rule.count == 0 && s.rule.at_once == 0)
		return NULL;
	s.group = 1;
	ret = xmalloc(sizeof *ret);
	*ret = s;
	return ret;
}

void
slots_free(struct slots **slots)
{
	if (*slots == NULL)
		return;
	limit_close(&(*slots)->limit);
	free(*slots);
	*slots = NULL;
}

static const char *
domain_of(const struct slots *s)
{
	return s->domain != NULL ? s->domain->domain : NULL;
}

static void
note_full(struct slots *s, const struct limit_look *look)
{
	s->full = true;
	s->look = *look;
	s->next = look->next;
	s->again = clock_monotonic() + LOOK_AGAIN;
	if (s->next > 0 && s->next < clock_now() + MISSED)
		s->next = clock_now() + MISSED;
}

/* It cannot be used: nothing is sent that would have to be counted. */
static void
note_broken(struct slots *s, const struct err *err)
{
	struct limit_look look = { .window = -1 };

	log_error("account %s: %s: its messages wait", s->account->id, err->msg);
	note_full(s, &look);
	s->blocked = err->code == EX_TEMPFAIL;
}

bool
slots_ready(struct slots *s)
{
	if (s == NULL || !s->full || s->reserve > 0)
		return true;
	/* Where others hold some, these may come back at any time. */
	if (s->next == 0 || s->look.held > 0)
		s->full = clock_monotonic() < s->again;
	if (s->full && s->next > 0)
		s->full = clock_now() < s->next;
	return !s->full;
}

bool
slots_look(struct slots *s)
{
	struct limit_look look;

	if (!slots_ready(s))
		return false;
	if (s == NULL || s->reserve > 0)
		return true;
	/* Whoever takes one mends what is damaged, or hears of it. */
	if (limit_look(s->spool, s->account->id, domain_of(s), &s->rule, &look, NULL) < 0)
		look = (struct limit_look){ .free = UINT64_MAX };
	if (look.free == 0)
		note_full(s, &look);
	else
		s->look = look;
	return !s->full;
}

bool
slots_want(struct slots *s, uint64_t want)
{
	struct err err = ERR_INIT;
	struct limit_look look = { 0 };
	int64_t n;

	if (s->reserve > 0)
		return true;
	if (!slots_ready(s))
		return false;
	if (s->limit == NULL &&
	    limit_open(s->spool, s->account->id, domain_of(s), &s->rule, &s->limit, &err) < 0) {
		note_broken(s, &err);
		return false;
	}
	n = limit_take(s->limit, want > 0 ? want : 1, &look, &err);
	if (n < 0)
		note_broken(s, &err);
	else if (n == 0)
		note_full(s, &look);
	if (n <= 0)
		return false;
	s->reserve = (uint64_t)n;
	s->unsynced = true;
	s->group = s->group < GROUP_MAX ? 2 * s->group : s->group;
	return true;
}

void
slots_use(struct slots *s)
{
	s->reserve--;
}

void
slots_return(struct slots *s)
{
	s->reserve++;
}

static void
give(struct slots *s, uint64_t left, uint64_t unused)
{
	struct err err = ERR_INIT;

	/* What cannot be given back stays taken until the end: the limit errs on the safe side. */
	if (limit_give(s->limit, left, unused, &err) < 0)
		log_warning("account %s: %s", s->account->id, err.msg);
	/* There is a slot perhaps, or it is known by now when there will be one. */
	s->full = false;
}

void
slots_spare(struct slots *s)
{
	uint64_t n = s->reserve;

	s->reserve = 0;
	s->group = 1;
	if (n > 0)
		give(s, 0, n);
}

int
slots_sync(struct slots *s, struct err *err)
{
	if (s->unsynced && limit_sync(s->limit, err) < 0)
		return -1;
	s->unsynced = false;
	return 0;
}

void
slots_settle(struct slots *s)
{
	uint64_t left = s->left, unused = s->unused;

	s->left = s->unused = 0;
	if (left + unused > 0)
		give(s, left, unused);
}

bool
slots_pausing(const struct slots *s)
{
	return s->full && s->pause >= 0 && s->look.window == s->pause;
}

bool
slots_beyond(const struct slots *s)
{
	return s->full && s->look.window >= 0 && s->look.window != s->pause && s->look.held == 0;
}

bool
slots_exhausted(const struct slots *s)
{
	struct limit_rule proper = s->rule;
	struct limit_look look;

	if (s->pause >= 0)
		proper.count = (size_t)s->pause;
	if (s->reserve > 0 || (proper.count == 0 && proper.at_once == 0))
		return false;
	return limit_look(s->spool, s->account->id, domain_of(s), &proper, &look, NULL) == 0 &&
	    look.free == 0;
}

void
slots_words(const struct slots *s, char text[SLOTS_TEXT_SIZE])
{
	char window[LIMITS_TEXT_SIZE];

	snprintf(text, SLOTS_TEXT_SIZE, "%s%s%s", limits_text(&s->rule, s->look.window, window),
	    s->domain != NULL ? " for " : "", s->domain != NULL ? s->domain->domain : "");
}
