/* The accounts of the spool, read and changed. */
#include "cmd/policy/accounts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "spool/policy/accounts.h"
#include "spool/policy/lock.h"

/* ---- reading ----------------------------------------------------------------------------------- */

struct found {
	struct account account; /* zeroed: its file is damaged */
	char *id;
	int64_t created;
};

struct loading {
	struct settings *settings;
	const struct spool *spool;
	struct found *v;
	size_t n, room;
};

const struct account *
accounts_configured(const struct settings *settings, const char *id)
{
	const struct account *a = settings_account(settings, id);

	return a != NULL && !a->kept && !settings->built_in ? a : NULL;
}

static int
take(const char *id, const char *text, void *arg)
{
	struct loading *loading = arg;
	const struct account *configured = accounts_configured(loading->settings, id);
	AUTO_FREE char *path = accounts_path(loading->spool, id);
	struct found found = { .id = NULL };
	struct err err = ERR_INIT;

	if (!account_id_valid(id)) {
		log_warning("%s: ignored: its name is not the id of an account", path);
		return 0;
	}
	if (configured != NULL) {
		log_warning("%s: ignored: an account of this id is at %s", path, configured->place);
		return 0;
	}
	if (text != NULL && account_parse(id, text, path, &found.account, &err) < 0) {
		log_warning("%s; what is to leave through account %s waits", err.msg, id);
		found.created = account_text_created(text);
	} else if (text != NULL) {
		found.created = found.account.created;
		if (found.account.password != NULL && !accounts_is_private(loading->spool, id))
			log_warning("%s: others can read the password in it: expected mode 0600",
			    path);
	}
	if (loading->n == loading->room) {
		loading->room = loading->room > 0 ? 2 * loading->room : 8;
		loading->v = xreallocarray(loading->v, loading->room, sizeof *loading->v);
	}
	found.id = xstrdup(id);
	loading->v[loading->n++] = found;
	return 0;
}

static int
compare_found(const void *a, const void *b)
{
	const struct found *x = a, *y = b;

	if (x->created != y->created)
		return x->created < y->created ? -1 : 1;
	return strcmp(x->id, y->id);
}

static void
tell_lost_fallbacks(const struct settings *settings)
{
	for (size_t i = 0; i < settings_n_accounts(settings); i++) {
		const struct account *a = settings_account_at(settings, i);

		if (a->kept && a->fallback != NULL &&
		    settings_account(settings, a->fallback) == NULL &&
		    !settings_broken(settings, a->fallback))
			log_warning("%s: fallback: there is no account \"%s\"", a->place,
			    a->fallback);
	}
}

int
accounts_load(struct settings *settings, const struct spool *spool, struct err *err)
{
	struct loading loading = { .settings = settings, .spool = spool };
	int result = accounts_each(spool, take, &loading, err);

	if (loading.n > 1)
		qsort(loading.v, loading.n, sizeof *loading.v, compare_found);
	for (size_t i = 0; i < loading.n; i++) {
		if (result < 0)
			account_free(&loading.v[i].account);
		else if (loading.v[i].account.id != NULL)
			settings_add_account(settings, &loading.v[i].account);
		else
			settings_add_broken(settings, loading.v[i].id);
		free(loading.v[i].id);
	}
	free(loading.v);
	if (result < 0 || settings_complete(settings, err) < 0)
		return -1;
	tell_lost_fallbacks(settings);
	return 0;
}

/* ---- changing ---------------------------------------------------------------------------------- */

static int
check_id(const struct settings *settings, const char *id, struct err *err)
{
	const struct account *configured = accounts_configured(settings, id);

	if (!account_id_valid(id))
		return err_set(err, EX_USAGE,
		    "\"%s\" cannot be an account's id: expected up to %d letters, digits, - _ . @ "
		    "and "
		    "no dot first",
		    id, ACCOUNT_ID_MAX);
	if (configured != NULL)
		return err_set(err, EX_CONFIG, "account %s is not in the spool: change it at %s",
		    id, configured->place);
	return 0;
}

/* Whether the spool has an account of this id: 1, 0, or -1 with err. */
static int
exists(const struct spool *spool, const char *id, struct err *err)
{
	AUTO_BUF struct buf text = BUF_INIT(ACCOUNT_FILE_MAX);
	int found = accounts_read(spool, id, &text, err);

	if (text.cap > 0)
		explicit_bzero(text.s, text.cap);
	return found;
}

static int
check_fallback(const struct spool *spool, const struct settings *settings,
    const struct account *account, struct err *err)
{
	int found;

	if (account->fallback == NULL || accounts_configured(settings, account->fallback) != NULL)
		return 0;
	found = exists(spool, account->fallback, err);
	if (found == 0)
		return err_set(err, EX_CONFIG, "account %s: fallback: there is no account \"%s\"",
		    account->id, account->fallback);
	return found < 0 ? -1 : 0;
}

/* What the file is before the change: its text, or the beginning of a new one. */
static int
begin_text(struct spool *spool, const char *id, enum accounts_change change, int64_t now,
    struct buf *text, struct err *err)
{
	char created[CLOCK_TEXT_SIZE];
	int found = accounts_read(spool, id, text, err);

	if (found < 0)
		return -1;
	if (found == 1 && change == ACCOUNTS_ADD)
		return err_set(err, EX_CANTCREAT,
		    "there is an account %s already (--replace takes its place)", id);
	if (found == 0 && change == ACCOUNTS_SET)
		return err_set(err, EX_NOINPUT, "there is no account %s in the spool", id);
	if (found == 0)
		buf_addf(text, "created_at = \"%s\";\n", clock_iso_usec(now, created));
	return found;
}

/* The new text, checked as a whole, in *out.  An old one that cannot even be understood is replaced as a
 * whole where that was asked for. */
static int
make_text(const struct spool *spool, const char *id, enum accounts_change change,
    const struct account_settings *list, struct buf *text, struct buf *out, struct err *err)
{
	AUTO_FREE char *path = accounts_path(spool, id);
	char created[CLOCK_TEXT_SIZE];
	struct account old = { 0 };
	int64_t made;

	if (account_text_change(text->s, list, change == ACCOUNTS_REPLACE, out, err) == 0)
		return 0;
	if (account_parse(id, text->s, path, &old, err) == 0) {
		account_free(&old);
		return err_set(err, EX_CONFIG, "%s: longer than %u KiB", path,
		    ACCOUNT_FILE_MAX / 1024);
	}
	if (change != ACCOUNTS_REPLACE)
		return -1;
	made = account_text_created(text->s);
	buf_clear(text);
	buf_clear(out);
	buf_addf(text, "created_at = \"%s\";\n",
	    clock_iso_usec(made != 0 ? made : clock_now(), created));
	return account_text_change(text->s, list, true, out, err);
}

static int
put(struct spool *spool, const struct settings *settings, const char *id,
    enum accounts_change change, const struct account_settings *list, int64_t now, struct buf *text,
    struct buf *out, struct err *err)
{
	struct account account = { 0 };
	char name[ACCOUNT_ID_MAX + 16];
	int result;

	if (begin_text(spool, id, change, now, text, err) < 0 ||
	    make_text(spool, id, change, list, text, out, err) < 0)
		return -1;
	snprintf(name, sizeof name, "account %s", id);
	if (account_parse(id, out->s, name, &account, err) < 0)
		return -1;
	result = account_settings_have(list, "fallback") ?
	    check_fallback(spool, settings, &account, err) :
	    0;
	account_free(&account);
	if (result < 0 || strcmp(text->s, out->s) == 0)
		return result < 0 ? -1 : 0;
	if (accounts_write(spool, id, out->s, out->len, err) < 0)
		return -1;
	return 1;
}

int
accounts_put_locked(struct spool *spool, const struct settings *settings, const char *id,
    enum accounts_change change, const struct account_settings *list, int64_t now, struct err *err)
{
	AUTO_BUF struct buf text = BUF_INIT(ACCOUNT_FILE_MAX), out = BUF_INIT(ACCOUNT_FILE_MAX);
	int result;

	if (check_id(settings, id, err) < 0)
		return -1;
	result = put(spool, settings, id, change, list, now, &text, &out, err);
	/* There may be a password in them. */
	if (text.cap > 0)
		explicit_bzero(text.s, text.cap);
	if (out.cap > 0)
		explicit_bzero(out.s, out.cap);
	return result;
}

/* An account of the spool that is called so takes nothing from those of mailq.conf. */
static void
tell_not_default(const struct settings *settings, const char *id)
{
	const struct account *first;

	if (strcmp(id, "default") != 0 || settings->built_in ||
	    settings_resolve(settings, NULL, &first, 1, NULL) < 1 || strcmp(first->id, id) == 0 ||
	    (first->kept && settings->delivery.default_accounts.n == 0))
		return;
	log_warning("account default: messages that name none still leave by account %s (%s)",
	    first->id, first->kept ? "delivery.default_accounts" : first->place);
}

int
accounts_put(struct spool *spool, const struct settings *settings, const char *id,
    enum accounts_change change, const struct account_settings *list, struct err *err)
{
	AUTO_FD int lock = spool_lock(spool, err);

	if (lock < 0 ||
	    accounts_put_locked(spool, settings, id, change, list, clock_now(), err) < 0)
		return -1;
	tell_not_default(settings, id);
	spool_wake(spool);
	return 0;
}

struct reference {
	const struct spool *spool;
	const char *id;
	struct err *err;
};

static int
find_reference(const char *id, const char *text, void *arg)
{
	struct reference *reference = arg;
	struct account account = { 0 };
	int result = 0;

	if (text == NULL || account_parse(id, text, id, &account, NULL) < 0)
		return 0;
	if (account.fallback != NULL && strcmp(account.fallback, reference->id) == 0)
		result = err_set(reference->err, EX_CONFIG,
		    "account %s is the fallback of account %s: that must be changed first",
		    reference->id, id);
	account_free(&account);
	return result;
}

int
accounts_check_unused(const struct spool *spool, const struct settings *settings, const char *id,
    struct err *err)
{
	struct reference reference = { spool, id, err };

	for (size_t i = 0; i < settings->delivery.default_accounts.n; i++)
		if (strcmp(settings->delivery.default_accounts.v[i], id) == 0)
			return err_set(err, EX_CONFIG,
			    "account %s is named by delivery.default_accounts: that must be "
			    "changed "
			    "first, in %s",
			    id, settings->file);
	for (size_t i = 0; i < settings_n_accounts(settings); i++) {
		const struct account *a = settings_account_at(settings, i);

		if (!a->kept && a->fallback != NULL && strcmp(a->fallback, id) == 0)
			return err_set(err, EX_CONFIG,
			    "account %s is the fallback of account %s: that must be changed first, "
			    "at %s",
			    id, a->id, a->place);
	}
	return accounts_each(spool, find_reference, &reference, err);
}

int
accounts_delete(struct spool *spool, const struct settings *settings, const char *id,
    struct err *err)
{
	AUTO_FD int lock = -1;
	int result;

	if (check_id(settings, id, err) < 0)
		return -1;
	lock = spool_lock(spool, err);
	if (lock < 0 || accounts_check_unused(spool, settings, id, err) < 0)
		return -1;
	result = accounts_remove(spool, id, err);
	if (result == 1)
		spool_wake(spool);
	return result;
}
