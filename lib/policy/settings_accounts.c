/* The accounts among the settings: finding them, and which ones a message may leave through. */
#include <stdlib.h>
#include <string.h>

#include "policy/settings.h"
#include "policy/settings_private.h"

size_t
settings_n_accounts(const struct settings *s)
{
	return s->accounts.n;
}

const struct account *
settings_account_at(const struct settings *s, size_t i)
{
	return (const struct account *)s->accounts.v + i;
}

const struct account *
settings_account(const struct settings *s, const char *id)
{
	const struct account *found;

	for (size_t i = 0; i < s->accounts.n; i++) {
		const struct account *a = settings_account_at(s, i);

		if (strcmp(a->id, id) == 0)
			return a;
	}
	return s->more != NULL && s->more->find(s->more, id, &found) == 1 ? found : NULL;
}

bool
settings_sends_without(const struct settings *s, const struct account *account)
{
	int choice = account != NULL && account->on_attachment_error != CONF_UNSET ?
	    account->on_attachment_error :
	    s->attachments.on_error;

	return choice == ATTACHMENT_ERROR_SEND_WITHOUT;
}

void
settings_list_accounts(const struct settings *s, struct buf *ids)
{
	for (size_t i = 0; i < s->accounts.n; i++)
		if (buf_addf(ids, "%s%s", i > 0 ? ", " : "", settings_account_at(s, i)->id) < 0)
			return;
	for (size_t i = 0; i < s->broken.n; i++)
		if (buf_addf(ids, "%s%s", ids->len > 0 ? ", " : "", s->broken.v[i]) < 0)
			return;
	if (s->more != NULL)
		s->more->list(s->more, ids);
}

/* ---- those of the spool ------------------------------------------------------------------------ */

/* The built-in capture stands alone. */
static void
give_way(struct settings *s)
{
	if (!s->built_in)
		return;
	s->built_in = false;
	if (!s->shares)
		account_free(s->accounts.v);
	s->accounts.n = 0;
}

void
settings_add_account(struct settings *s, struct account *account)
{
	struct account *list;

	give_way(s);
	list = xreallocarray(s->accounts.v, s->accounts.n + 1, sizeof *list);
	list[s->accounts.n++] = *account;
	s->accounts.v = list;
	*account = (struct account){ 0 };
}

void
settings_add_broken(struct settings *s, const char *id)
{
	give_way(s);
	s->broken_first = s->broken_first || s->accounts.n == 0;
	s->broken.v = xreallocarray(s->broken.v, s->broken.n + 1, sizeof *s->broken.v);
	s->broken.v[s->broken.n++] = xstrdup(id);
}

void
settings_set_more(struct settings *s, struct settings_more *more)
{
	give_way(s);
	s->more = more;
}

void
settings_share(const struct settings *base, struct settings *ret)
{
	size_t n = base->accounts.n;

	*ret = *base;
	ret->shares = true;
	ret->accounts.v = xreallocarray(NULL, n > 0 ? n : 1, sizeof(struct account));
	if (n > 0)
		memcpy(ret->accounts.v, base->accounts.v, n * sizeof(struct account));
}

void
settings_unshare(struct settings *s)
{
	struct account *list = s->accounts.v;

	for (size_t i = 0; i < s->accounts.n; i++)
		if (list[i].kept)
			account_free(&list[i]);
	free(list);
	for (size_t i = 0; i < s->broken.n; i++)
		free(s->broken.v[i]);
	free(s->broken.v);
	memset(s, 0, sizeof *s);
}

static bool
is_broken(const struct settings *s, const char *id)
{
	const struct account *found;

	for (size_t i = 0; i < s->broken.n; i++)
		if (strcmp(s->broken.v[i], id) == 0)
			return true;
	return s->more != NULL && s->more->find(s->more, id, &found) == -1;
}

static bool
is_known(const struct settings *s, const char *id)
{
	return settings_account(s, id) != NULL || is_broken(s, id);
}

int
settings_complete(const struct settings *s, struct err *err)
{
	for (size_t i = 0; i < s->delivery.default_accounts.n; i++) {
		const char *id = s->delivery.default_accounts.v[i];

		if (!is_known(s, id))
			return err_set(err, EX_CONFIG,
			    "%s: delivery.default_accounts: there is no account \"%s\"", s->file,
			    id);
	}
	for (size_t i = 0; i < s->accounts.n; i++) {
		const struct account *a = settings_account_at(s, i);

		if (!a->kept && a->fallback != NULL && !is_known(s, a->fallback))
			return err_set(err, EX_CONFIG,
			    "%s: accounts.fallback: there is no account \"%s\"", a->place,
			    a->fallback);
	}
	return 0;
}

/* ---- which ones --------------------------------------------------------------------------------- */

struct candidates {
	const struct settings *settings;
	const struct account **v;
	size_t n, max;
};

/* Behind those that are there, unless it is one of them, or there is no more room. */
static void
propose(struct candidates *list, const struct account *account)
{
	for (size_t i = 0; i < list->n; i++)
		if (list->v[i] == account)
			return;
	if (account != NULL && list->n < list->max)
		list->v[list->n++] = account;
}

static int
fail_broken(const char *id, struct err *err)
{
	return err_set(err, EX_CONFIG, "the file of account \"%s\" is damaged", id);
}

/* The account with the id "default" among those of mailq.conf and the environment, else their first; NULL
 * if there are none.  The built-in capture counts: it is there if the spool has none either. */
static const struct account *
configured_default(const struct settings *s)
{
	const struct account *first = NULL;

	for (size_t i = 0; i < s->accounts.n; i++) {
		const struct account *a = settings_account_at(s, i);

		if (a->kept)
			continue;
		if (strcmp(a->id, "default") == 0)
			return a;
		if (first == NULL)
			first = a;
	}
	return first;
}

/* The one account that is the default where delivery.default_accounts names none.  Who may make accounts in
 * the spool must not take the mail of those that the operator has configured. */
static int
default_account(const struct settings *s, const struct account **ret, struct err *err)
{
	*ret = configured_default(s);
	if (*ret != NULL)
		return 0;
	*ret = settings_account(s, "default");
	if (*ret != NULL)
		return 0;
	if (is_broken(s, "default"))
		return fail_broken("default", err);
	/* One that came before all others: what would be sent through it must not take another way. */
	if (s->broken_first)
		return fail_broken(s->broken.v[0], err);
	if (s->accounts.n > 0)
		*ret = settings_account_at(s, 0);
	else if (s->more->first(s->more, ret) != 1)
		return err_set(err, EX_CONFIG, "the file of the first account is damaged");
	return 0;
}

static int
named_account(const struct settings *s, const char *name, const struct account **ret,
    struct err *err)
{
	*ret = settings_account(s, name);
	if (*ret != NULL)
		return 0;
	if (is_broken(s, name))
		return fail_broken(name, err);
	return err_set(err, EX_CONFIG, "there is no account \"%s\"", name);
}

int
settings_resolve(const struct settings *s, const char *name, const struct account **ret, size_t max,
    struct err *err)
{
	const struct strings *defaults = &s->delivery.default_accounts;
	struct candidates list = { s, ret, 0, max };
	bool any = name == NULL || *name == '\0' || strcmp(name, "default") == 0;
	const struct account *one = NULL;
	int result = 0;

	if (any && defaults->n > 0) {
		/* A damaged one is passed over, like one that has a fault. */
		for (size_t i = 0; i < defaults->n; i++)
			propose(&list, settings_account(s, defaults->v[i]));
		if (list.n == 0)
			return fail_broken(defaults->v[0], err);
	} else {
		result = any ? default_account(s, &one, err) : named_account(s, name, &one, err);
		propose(&list, one);
	}
	if (result < 0)
		return -1;
	for (size_t i = 0; i < list.n; i++)
		if (ret[i]->fallback != NULL)
			propose(&list, settings_account(s, ret[i]->fallback));
	return (int)list.n;
}

bool
settings_has_messages(const struct settings *s, const char *id)
{
	const struct account *named = settings_account(s, id), *first = NULL;

	return named == NULL || strcmp(id, "default") != 0 ||
	    (settings_resolve(s, NULL, &first, 1, NULL) > 0 && first == named);
}

bool
settings_broken(const struct settings *s, const char *id)
{
	const struct account *one;

	if (*id != '\0' && strcmp(id, "default") != 0)
		return is_broken(s, id);
	/* Nothing else keeps the default from being known. */
	return settings_resolve(s, NULL, &one, 1, NULL) < 0;
}
