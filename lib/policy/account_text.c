#include "policy/account_text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/conf_edit.h"
#include "policy/account_private.h"

/* What an account's file says beside the settings that mailq.conf knows too. */
struct kept {
	char *created_at;
};

static int
check_instant(void *value, const char *place, struct err *err)
{
	const char *text = *(char **)value;
	int64_t instant;

	(void)place;
	if (text != NULL && clock_parse(text, 0, &instant) < 0)
		return err_set(err, EX_CONFIG,
		    "expected a time such as \"2026-11-21T08:00:00Z\", found \"%s\"", text);
	return 0;
}

static const struct conf_item kept_schema[] = {
	{ "created_at", CONF_STRING, CONF_AT(struct kept, created_at), .max = CLOCK_TEXT_SIZE,
	    .check = check_instant },
	{ 0 },
};

static int
parse(const char *id, const char *text, const char *place, struct account *ret, struct kept *kept,
    struct err *err)
{
	const struct conf_target targets[] = { { account_schema, ret }, { kept_schema, kept } };

	if (conf_parse(text, strlen(text), place, targets, 2, err) < 0)
		return -1;
	if (ret->id != NULL && strcmp(ret->id, id) != 0)
		return err_set(err, EX_CONFIG,
		    "%s: id: expected the id in the file's name, or no id", place);
	free(ret->id);
	ret->id = xstrdup(id);
	if (account_check(ret, place, err) < 0)
		return err_prefix(err, "%s", place);
	if (kept->created_at != NULL)
		clock_parse(kept->created_at, 0, &ret->created);
	return 0;
}

int
account_parse(const char *id, const char *text, const char *place, struct account *ret,
    struct err *err)
{
	struct kept kept = { 0 };
	int result;

	conf_defaults(account_schema, ret);
	ret->kept = true;
	result = parse(id, text, place, ret, &kept, err);
	conf_release(kept_schema, &kept);
	if (result < 0)
		account_free(ret);
	return result;
}

int64_t
account_text_created(const char *text)
{
	char instant[CLOCK_TEXT_SIZE];
	struct view value;
	int64_t created;

	if (!conf_edit_find(text, "created_at", &value) || value.len < 3 ||
	    value.len - 2 >= sizeof instant || *value.s != '"')
		return 0;
	memcpy(instant, value.s + 1, value.len - 2);
	instant[value.len - 2] = '\0';
	return clock_parse(instant, 0, &created) < 0 ? 0 : created;
}

/* ---- settings to change ----------------------------------------------------------------------- */

void
account_settings_release(struct account_settings *list)
{
	for (size_t i = 0; i < list->n; i++) {
		/* It may be a password. */
		if (list->v[i].value != NULL)
			explicit_bzero(list->v[i].value, strlen(list->v[i].value));
		free(list->v[i].value);
		free(list->v[i].path);
	}
	free(list->v);
	*list = (struct account_settings){ 0 };
}

void
account_settings_put(struct account_settings *list, const char *path, const char *value)
{
	list->v = xreallocarray(list->v, list->n + 1, sizeof *list->v);
	list->v[list->n++] =
	    (struct account_setting){ xstrdup(path), value != NULL ? xstrdup(value) : NULL };
}

bool
account_settings_have(const struct account_settings *list, const char *path)
{
	for (size_t i = 0; i < list->n; i++)
		if (strcmp(list->v[i].path, path) == 0)
			return true;
	return false;
}

/* The setting of this name; NULL with err where there is none, or it is none to set. */
static const struct conf_item *
settable(const char *path, struct err *err)
{
	const struct conf_item *item = conf_find(account_schema, path);

	if (item == NULL)
		err_set(err, EX_USAGE, "%s: unknown setting", path);
	else if (strcmp(path, "id") == 0)
		err_set(err, EX_USAGE, "id: it is the account's name, and not a setting");
	else
		return item;
	return NULL;
}

/* Text as people type it becomes text as it stands in a file. */
static int
convert(const struct conf_item *item, const char *text, struct buf *ret, struct err *err)
{
	struct account scratch = { 0 };
	int result;

	conf_defaults(account_schema, &scratch);
	result = conf_set(account_schema, &scratch, item->path, text, item->path, err);
	/* A duration stays as it was typed. */
	if (result == 0)
		result = item->type == CONF_DURATION ? conf_edit_quote(ret, text) :
						       conf_format(item, &scratch, ret);
	if (scratch.password != NULL)
		explicit_bzero(scratch.password, strlen(scratch.password));
	account_free(&scratch);
	return result < 0 ? -1 : 0;
}

int
account_settings_add(struct account_settings *list, const char *path, const char *text,
    struct err *err)
{
	AUTO_BUF struct buf value = BUF_INIT(ACCOUNT_VALUE_MAX);
	const struct conf_item *item = settable(path, err);
	int result = 0;

	if (item == NULL)
		return -1;
	if (*text == '\0')
		account_settings_put(list, path, NULL);
	else if (item->type == CONF_GROUPS)
		result = account_domains_from_text(text, &value, err);
	else
		result = convert(item, text, &value, err);
	if (result == 0 && *text != '\0')
		account_settings_put(list, path, value.len > 0 ? value.s : NULL);
	if (value.cap > 0)
		explicit_bzero(value.s, value.cap);
	if (result < 0 && err != NULL)
		err->code = EX_USAGE;
	return result;
}

int
account_setting_parse(const char *word, struct account_settings *list, struct err *err)
{
	const char *equals = strchr(word, '=');
	AUTO_FREE char *path = NULL;

	/* Not quoted: it may be a password that lacks its name. */
	if (equals == NULL || equals == word)
		return err_set(err, EX_USAGE, "expected SETTING=VALUE");
	path = xstrndup(word, (size_t)(equals - word));
	return account_settings_add(list, path, equals + 1, err);
}

/* ---- changing the text ------------------------------------------------------------------------ */

static void
swap(struct buf *a, struct buf *b)
{
	struct buf c = *a;

	*a = *b;
	*b = c;
	if (b->cap > 0)
		explicit_bzero(b->s, b->cap);
	buf_clear(b);
}

/* text becomes the text with one setting changed; other is room for it. */
static int
edit(struct buf *text, struct buf *other, const char *path, const char *value, struct err *err)
{
	if (conf_edit(text->s, path, value, other) == 0) {
		swap(text, other);
		return 0;
	}
	if (errno == E2BIG)
		return err_set(err, EX_CONFIG, "%s: the account's file would become too long",
		    path);
	return err_set(err, EX_CONFIG, "%s: the account's file cannot be understood", path);
}

static int
change(struct buf *text, struct buf *other, const struct account_settings *list, bool all,
    struct err *err)
{
	const struct conf_item *item = account_schema;

	for (; all && item->path != NULL; item++)
		if (!account_settings_have(list, item->path) &&
		    edit(text, other, item->path, NULL, err) < 0)
			return -1;
	for (size_t i = 0; i < list->n; i++)
		if (edit(text, other, list->v[i].path, list->v[i].value, err) < 0)
			return -1;
	return 0;
}

int
account_text_change(const char *text, const struct account_settings *list, bool replace,
    struct buf *out, struct err *err)
{
	AUTO_BUF struct buf now = BUF_INIT(out->max), other = BUF_INIT(out->max);
	int result;

	if (buf_adds(&now, text) < 0)
		return err_set(err, EX_CONFIG, "the account's file is too long");
	result = change(&now, &other, list, replace, err);
	if (result == 0 && buf_add(out, now.s, now.len) < 0)
		result = err_set(err, EX_CONFIG, "the account's file would become too long");
	/* There may be a password in them. */
	if (now.cap > 0)
		explicit_bzero(now.s, now.cap);
	if (other.cap > 0)
		explicit_bzero(other.s, other.cap);
	return result;
}
