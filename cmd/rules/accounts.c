/* mailq-rules accounts: those of the spool are made, changed and removed here. */
#include "cmd/rules/accounts.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "spool/policy/accounts.h"
#include "spool/policy/park.h"
#include "spool/queue/count.h"

static int
misuse(const char *message)
{
	struct err err = ERR_INIT;

	err_set(&err, EX_USAGE, "accounts %s", message);
	return err_print(&err);
}

/* ---- add, set ---------------------------------------------------------------------------------- */

static int
add_password(const char *id, const char *value, struct account_settings *list, struct err *err)
{
	AUTO_BUF struct buf secret = BUF_INIT(ACCOUNT_SECRET_MAX);
	int result;

	if (*value == '\0')
		return account_settings_add(list, "password", "", err);
	if (strcmp(value, "-") != 0)
		return err_set(err, EX_USAGE,
		    "password: other users see the command line, and the shell's history keeps it: "
		    "expected password=- (reads it from standard input), password_file or "
		    "password_command");
	result = accounts_ask_password(id, &secret, err);
	if (result == 0)
		result = account_settings_add(list, "password", secret.s, err);
	account_secret_wipe(&secret);
	return result;
}

static int
take_words(const char *id, char **words, int n, struct account_settings *list, struct err *err)
{
	static const char password[] = "password=";

	for (int i = 0; i < n; i++) {
		bool secret = strncmp(words[i], password, strlen(password)) == 0;

		if ((secret ? add_password(id, words[i] + strlen(password), list, err) :
			      account_setting_parse(words[i], list, err)) < 0)
			return -1;
	}
	return 0;
}

/* A password from another place than before: then it does not come from there any more. */
static void
replace_password(struct account_settings *list)
{
	static const char *const sources[] = { "password", "password_file", "password_command" };
	size_t given = 0;

	for (size_t i = 0; i < 3; i++)
		given += account_settings_have(list, sources[i]);
	for (size_t i = 0; given == 1 && i < 3; i++)
		if (!account_settings_have(list, sources[i]))
			account_settings_put(list, sources[i], NULL);
}

static int
add_from_json(const struct accounts_command *c, enum accounts_change change, struct err *err)
{
	AUTO_JSON struct json *object = accounts_read_json(c->n > 0 ? c->words[0] : NULL, err);
	AUTO(account_settings_release) struct account_settings list = { 0 };
	const char *id = json_string(json_get(object, "id"));

	if (object == NULL || account_settings_from_json(object, &list, err) < 0)
		return -1;
	if (id == NULL)
		return err_set(err, EX_DATAERR, "id: expected a string");
	return accounts_put(c->spool, c->settings, id, change, &list, err);
}

static int
add_from_words(const struct accounts_command *c, enum accounts_change change, struct err *err)
{
	AUTO(account_settings_release) struct account_settings list = { 0 };

	if (take_words(c->words[0], c->words + 1, c->n - 1, &list, err) < 0)
		return -1;
	if (change == ACCOUNTS_SET)
		replace_password(&list);
	return accounts_put(c->spool, c->settings, c->words[0], change, &list, err);
}

static int
add(const struct accounts_command *c)
{
	enum accounts_change change = c->options->replace ? ACCOUNTS_REPLACE : ACCOUNTS_ADD;
	struct err err = ERR_INIT;
	int result;

	if (c->options->json && c->n > 1)
		return misuse("add: expected one FILE with --json, or no file for standard input");
	if (!c->options->json && c->n < 2)
		return misuse("add: expected an id and SETTING=VALUE ..., or --json [FILE]");
	result =
	    c->options->json ? add_from_json(c, change, &err) : add_from_words(c, change, &err);
	return result < 0 ? err_print(&err) : EX_OK;
}

static int
set(const struct accounts_command *c)
{
	struct err err = ERR_INIT;

	if (c->n < 2)
		return misuse("set: expected an id and SETTING=VALUE ...");
	return add_from_words(c, ACCOUNTS_SET, &err) < 0 ? err_print(&err) : EX_OK;
}

/* ---- delete ------------------------------------------------------------------------------------ */

/* What waits for the account.  Messages that name none wait for it too where it is the last: without it
 * they would be captured, and seem sent. */
static int
count_waiting(const struct accounts_command *c, const char *id, uint64_t *ret, struct err *err)
{
	uint64_t unnamed = 0;

	if (accounts_messages(c->spool, c->settings, id, ret, err) < 0)
		return -1;
	if (settings_n_accounts(c->settings) == 1 && strcmp(id, "default") != 0 &&
	    accounts_messages(c->spool, c->settings, "default", &unnamed, err) < 0)
		return -1;
	*ret += unnamed;
	return 0;
}

static int
check_target(const struct accounts_command *c, const char *id, const char *to, struct err *err)
{
	if (strcmp(id, to) == 0)
		return err_set(err, EX_USAGE, "--move-to: expected another account than %s", id);
	if (settings_account(c->settings, to) == NULL)
		return err_set(err, EX_USAGE, "--move-to: there is no account \"%s\"", to);
	return 0;
}

static int
move_messages(const struct accounts_command *c, const char *id, const char *to, struct err *err)
{
	uint64_t moved, left;

	if (accounts_move(c->spool, c->settings, id, to, &moved, err) < 0 ||
	    accounts_messages(c->spool, c->settings, id, &left, err) < 0)
		return -1;
	if (moved > 0 && !c->options->common.quiet)
		printf("%" PRIu64 " message%s moved to account %s\n", moved, moved == 1 ? "" : "s",
		    to);
	if (left > 0)
		return err_set(err, EX_TEMPFAIL,
		    "account %s stays: %" PRIu64
		    " message%s being sent at this moment; delete it again "
		    "when they are done",
		    id, left, left == 1 ? " is" : "s are");
	return 0;
}

static int
delete_account(const struct accounts_command *c, const char *id, struct err *err)
{
	const char *to = c->options->move_to;
	uint64_t waiting, moved;
	int removed;

	if (count_waiting(c, id, &waiting, err) < 0)
		return -1;
	if (waiting > 0 && to == NULL && !c->options->force)
		return err_set(err, EX_DATAERR,
		    "account %s has %" PRIu64
		    " message%s: --force deletes it all the same (they end with "
		    "an error), --move-to ACCOUNT moves them",
		    id, waiting, waiting == 1 ? "" : "s");
	if (to != NULL && move_messages(c, id, to, err) < 0)
		return -1;
	removed = accounts_delete(c->spool, c->settings, id, err);
	if (removed < 0)
		return -1;
	if (removed == 0)
		return err_set(err, EX_NOINPUT, "there is no account %s", id);
	park_clear(c->spool, id, NULL);
	/* What was added while it was being removed. */
	return to != NULL ? accounts_move(c->spool, c->settings, id, to, &moved, err) : 0;
}

static int delete (const struct accounts_command *c)
{
	const char *id = c->n == 1 ? c->words[0] : NULL;
	const struct account *configured;
	struct err err = ERR_INIT;

	if (id == NULL)
		return misuse("delete: expected the id of an account");
	if (c->options->force && c->options->move_to != NULL)
		return misuse("delete: --force cannot be combined with --move-to");
	configured = accounts_configured(c->settings, id);
	if (configured != NULL)
		err_set(&err, EX_CONFIG, "account %s is not in the spool: remove it at %s", id,
		    configured->place);
	else if (settings_account(c->settings, id) == NULL && !settings_broken(c->settings, id))
		err_set(&err, EX_NOINPUT, "there is no account %s", id);
	else if ((c->options->move_to == NULL ||
		     check_target(c, id, c->options->move_to, &err) == 0) &&
	    accounts_check_unused(c->spool, c->settings, id, &err) == 0 &&
	    delete_account(c, id, &err) == 0)
		return EX_OK;
	return err_print(&err);
}

/* ---- what mailq.conf names and is not there ----------------------------------------------------- */

static bool
is_missing(const struct accounts_command *c, const char *id)
{
	AUTO_BUF struct buf text = BUF_INIT(ACCOUNT_FILE_MAX);
	int found;

	if (accounts_configured(c->settings, id) != NULL)
		return false;
	found = accounts_read(c->spool, id, &text, NULL);
	if (text.cap > 0)
		explicit_bzero(text.s, text.cap);
	return found == 0;
}

/* After a change: what was missing before it may be there. */
static void
tell_missing(const struct accounts_command *c)
{
	const struct settings *s = c->settings;
	const struct strings *defaults = &s->delivery.default_accounts;

	for (size_t i = 0; i < defaults->n; i++)
		if (is_missing(c, defaults->v[i]))
			log_warning("%s: delivery.default_accounts: there is no account \"%s\" yet",
			    s->file, defaults->v[i]);
	for (size_t i = 0; i < settings_n_accounts(s); i++) {
		const struct account *a = settings_account_at(s, i);

		if (!a->kept && a->fallback != NULL && is_missing(c, a->fallback))
			log_warning("%s: accounts.fallback: there is no account \"%s\" yet",
			    a->place, a->fallback);
	}
}

/* ------------------------------------------------------------------------------------------------ */

int
rules_accounts(struct spool *spool, struct settings *settings, const struct rules_options *options,
    char **words, int n)
{
	static const struct {
		const char *name;
		int (*run)(const struct accounts_command *c);
		bool changes;
	} commands[] = {
		{ "list", accounts_list, false },
		{ "show", accounts_show, false },
		{ "add", add, true },
		{ "set", set, true },
		{ "delete", delete, true },
		{ "test", accounts_test, false },
		{ "import", accounts_import, true },
	};
	struct accounts_command c = { spool, settings, options, words + 1, n - 1 };
	struct err err = ERR_INIT;

	int loaded = accounts_load(settings, spool, &err), code;

	for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
		bool mends = commands[i].changes && err.code == EX_CONFIG;

		if (strcmp(words[0], commands[i].name) != 0)
			continue;
		/* Where they do not fit together, these commands are there to mend that. */
		if (loaded < 0 && !mends)
			log_warning("%s", err.msg);
		code = commands[i].run(&c);
		if (loaded < 0 && mends)
			tell_missing(&c);
		return code;
	}
	err_set(&err, EX_USAGE,
	    "accounts: expected list, show, add, set, delete, test or import, found \"%s\"",
	    words[0]);
	return err_print(&err);
}
