/* The accounts of the spool, each read when it is first asked for. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "cmd/policy/accounts.h"
#include "spool/policy/accounts.h"

struct entry {
	struct account account; /* where state is 1 */
	char *id;
	int state; /* as settings_more.find */
	struct entry *next;
};

struct accounts_lazy {
	struct settings_more more; /* first: the settings know it as this */
	const struct spool *spool;
	struct entry *entries;
	char *first; /* the id of the one made first; NULL: not looked for yet */
};

static struct entry *
add_entry(struct accounts_lazy *lazy, const char *id, int state)
{
	struct entry *entry = xcalloc(1, sizeof *entry);

	entry->id = xstrdup(id);
	entry->state = state;
	entry->next = lazy->entries;
	lazy->entries = entry;
	return entry;
}

static struct entry *
read_entry(struct accounts_lazy *lazy, const char *id)
{
	AUTO(account_secret_wipe) struct buf text = BUF_INIT(ACCOUNT_FILE_MAX);
	AUTO_FREE char *path = accounts_path(lazy->spool, id);
	struct err err = ERR_INIT;
	int found = account_id_valid(id) ? accounts_read(lazy->spool, id, &text, &err) : 0;
	struct entry *entry = add_entry(lazy, id, found);

	if (found == 1 && account_parse(id, text.s, path, &entry->account, &err) < 0)
		entry->state = -1;
	/* One that we may not read is the business of who sends. */
	if (entry->state < 0 && err.code == EX_NOPERM)
		log_info("%s", err.msg);
	else if (entry->state < 0)
		log_warning("%s; what is to leave through account %s waits", err.msg, id);
	return entry;
}

static int
find(struct settings_more *more, const char *id, const struct account **ret)
{
	struct accounts_lazy *lazy = (struct accounts_lazy *)more;
	struct entry *entry = lazy->entries;

	while (entry != NULL && strcmp(entry->id, id) != 0)
		entry = entry->next;
	if (entry == NULL)
		entry = read_entry(lazy, id);
	if (entry->state == 1)
		*ret = &entry->account;
	return entry->state;
}

struct earliest {
	char *id;
	int64_t created;
};

static int
note_earliest(const char *id, const char *text, void *arg)
{
	struct earliest *earliest = arg;
	int64_t created = text != NULL ? account_text_created(text) : 0;

	if (!account_id_valid(id) || (earliest->id != NULL && created >= earliest->created))
		return 0;
	free(earliest->id);
	*earliest = (struct earliest){ xstrdup(id), created };
	return 0;
}

static int
first(struct settings_more *more, const struct account **ret)
{
	struct accounts_lazy *lazy = (struct accounts_lazy *)more;
	struct earliest earliest = { NULL, 0 };
	struct err err = ERR_INIT;

	if (lazy->first == NULL && accounts_each(lazy->spool, note_earliest, &earliest, &err) < 0)
		log_warning("%s", err.msg);
	if (lazy->first == NULL)
		lazy->first = earliest.id;
	return lazy->first != NULL ? find(more, lazy->first, ret) : -1;
}

static int
add_name(const char *id, void *arg)
{
	struct buf *ids = arg;

	return buf_addf(ids, "%s%s", ids->len > 0 ? ", " : "", id) < 0;
}

static void
list(struct settings_more *more, struct buf *ids)
{
	const struct accounts_lazy *lazy = (const struct accounts_lazy *)more;

	accounts_names(lazy->spool, add_name, ids, NULL);
}

static int
note_any(const char *id, void *arg)
{
	(void)arg;
	return account_id_valid(id);
}

int
accounts_open(struct settings *settings, const struct spool *spool, struct accounts_lazy **ret,
    struct err *err)
{
	int any = accounts_names(spool, note_any, NULL, err);

	if (any < 0)
		return -1;
	if (any > 0) {
		*ret = xcalloc(1, sizeof **ret);
		(*ret)->more = (struct settings_more){ find, first, list };
		(*ret)->spool = spool;
		settings_set_more(settings, &(*ret)->more);
	}
	return settings_complete(settings, err);
}

void
accounts_close(struct accounts_lazy **lazy)
{
	struct entry *entry, *next;

	if (*lazy == NULL)
		return;
	for (entry = (*lazy)->entries; entry != NULL; entry = next) {
		next = entry->next;
		account_free(&entry->account);
		free(entry->id);
		free(entry);
	}
	free((*lazy)->first);
	free(*lazy);
	*lazy = NULL;
}
