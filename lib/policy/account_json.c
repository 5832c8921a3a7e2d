/* An account in the REST API's form. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/conf_edit.h"
#include "policy/account_private.h"

/* ---- domains ----------------------------------------------------------------------------------- */

static const struct conf_item *
domains_item(void)
{
	return conf_find(account_schema, "domains");
}

/* One entry of domains that is being put together. */
struct entry {
	struct account_domain domain;
	size_t n; /* of entries before it */
};

static int
set_in_domain(struct entry *entry, const char *name, const char *text, struct err *err)
{
	const struct conf_item *items = domains_item()->items;
	char place[ACCOUNT_DOMAIN_MAX + 40];

	snprintf(place, sizeof place, "domains: %.*s", ACCOUNT_DOMAIN_MAX,
	    entry->domain.domain != NULL ? entry->domain.domain : "");
	if (conf_find(items, name) == NULL)
		return err_set(err, EX_USAGE, "%s: unknown setting \"%.60s\"", place, name);
	if (conf_set(items, &entry->domain, name, text, name, err) < 0)
		return err_prefix(err, "%s", place);
	return 0;
}

static void
begin_entry(struct entry *entry)
{
	conf_defaults(domains_item()->items, &entry->domain);
}

/* Checks the entry, appends it, and empties it for the next.  result: of what filled it. */
static int
end_entry(struct entry *entry, int result, struct buf *ret, struct err *err)
{
	const struct conf_item *item = domains_item();
	struct conf_groups one = { &entry->domain, 1 };
	const struct conf_item alone = { "domains", CONF_GROUPS, 0, .items = item->items,
		.element_size = item->element_size };
	AUTO_BUF struct buf text = BUF_INIT(ACCOUNT_VALUE_MAX);

	if (result == 0 && item->check(&entry->domain, "", err) < 0)
		result = err_prefix(err, "domains");
	/* "( { ... } )": what is between the parentheses. */
	if (result == 0 &&
	    (conf_format(&alone, &one, &text) < 0 ||
		buf_addf(ret, "%s%.*s", entry->n > 0 ? ", " : "( ", (int)text.len - 4, text.s + 2) <
		    0))
		result = err_set(err, EX_USAGE, "domains: too many of them");
	conf_release(item->items, &entry->domain);
	entry->n++;
	return result;
}

static int
end_domains(const struct entry *entry, struct buf *ret, struct err *err)
{
	if (entry->n > 0 && buf_adds(ret, " )") < 0)
		return err_set(err, EX_USAGE, "domains: too many of them");
	return 0;
}

/* "gmail.com per_minute=20 connections=2" */
static int
take_words(struct entry *entry, char *text, struct err *err)
{
	char *word, *value;
	bool first = true;

	while ((word = strsep(&text, " \t")) != NULL) {
		if (*word == '\0')
			continue;
		value = strchr(word, '=');
		if (first ? value != NULL : value == NULL)
			return err_set(err, EX_USAGE,
			    "domains: expected \"DOMAIN LIMIT=N ...\", found \"%.100s\"", word);
		if (value != NULL)
			*value++ = '\0';
		if (set_in_domain(entry, first ? "domain" : word, first ? word : value, err) < 0)
			return -1;
		first = false;
	}
	return 0;
}

int
account_domains_from_text(const char *text, struct buf *ret, struct err *err)
{
	AUTO_FREE char *copy = xstrdup(text);
	char *rest = copy, *part;
	struct entry entry = { 0 };

	while ((part = strsep(&rest, ",")) != NULL) {
		begin_entry(&entry);
		if (end_entry(&entry, take_words(&entry, part, err), ret, err) < 0)
			return -1;
	}
	return end_domains(&entry, ret, err);
}

static int
take_limits(struct entry *entry, const struct json *object, struct err *err)
{
	struct json_iter it = JSON_ITER_INIT;
	const struct json *value;
	const char *key;
	char text[24];
	int64_t number;

	if (json_kind(object) != JSON_OBJECT)
		return err_set(err, EX_DATAERR,
		    "domains: expected an object for each domain, found %s",
		    json_kind_name(json_kind(object)));
	while (json_next(object, &it, &key, &value)) {
		if (strcmp(key, "domain") == 0 || json_kind(value) == JSON_NULL ||
		    conf_find(domains_item()->items, key) == NULL)
			continue;
		if (json_to_int(value, &number) < 0)
			return err_set(err, EX_DATAERR,
			    "domains: %s: expected a whole number, found %s", key,
			    json_kind_name(json_kind(value)));
		snprintf(text, sizeof text, "%" PRId64, number);
		if (set_in_domain(entry, key, text, err) < 0)
			return -1;
	}
	return 0;
}

static int
take_entry(struct entry *entry, const char *domain, const struct json *limits, struct buf *ret,
    struct err *err)
{
	int result = 0;

	begin_entry(entry);
	if (domain != NULL)
		result = set_in_domain(entry, "domain", domain, err);
	if (result == 0)
		result = take_limits(entry, limits, err);
	return end_entry(entry, result, ret, err);
}

/* { "gmail.com": { "per_minute": 20 } } or [ { "domain": "gmail.com", "per_minute": 20 } ] */
static int
domains_from_json(const struct json *value, struct buf *ret, struct err *err)
{
	struct entry entry = { 0 };
	struct json_iter it = JSON_ITER_INIT;
	const struct json *limits;
	const char *domain;

	if (json_kind(value) != JSON_OBJECT && json_kind(value) != JSON_ARRAY)
		return err_set(err, EX_DATAERR, "domains: expected an object or an array, found %s",
		    json_kind_name(json_kind(value)));
	while (json_next(value, &it, &domain, &limits))
		if (take_entry(&entry, domain, limits, ret, err) < 0)
			return -1;
	for (size_t i = 0; json_kind(value) == JSON_ARRAY && i < json_length(value); i++) {
		limits = json_at(value, i);
		if (take_entry(&entry, json_string(json_get(limits, "domain")), limits, ret, err) <
		    0)
			return -1;
	}
	return end_domains(&entry, ret, err);
}

/* ---- reading ----------------------------------------------------------------------------------- */

static int
fail_kind(const char *path, const char *expected, const struct json *value, struct err *err)
{
	return err_set(err, EX_DATAERR, "%s: expected %s, found %s", path, expected,
	    json_kind_name(json_kind(value)));
}

/* A duration as text: seconds, or a string that says its unit. */
static int
duration_text(const char *path, const struct json *value, struct buf *ret, struct err *err)
{
	double seconds;

	if (json_kind(value) == JSON_STRING)
		return buf_adds(ret, json_string(value));
	if (json_to_double(value, &seconds) < 0)
		return fail_kind(path, "a number of seconds, or a string such as \"5m\"", value,
		    err);
	if (seconds < 0 || seconds > 1e9)
		return err_set(err, EX_DATAERR,
		    "%s: expected seconds, found a number out of bounds", path);
	return buf_addf(ret, "%" PRId64 "ms", (int64_t)(seconds * 1000 + 0.5));
}

/* One element of a list, or a value alone, as conf_set takes it. */
static int
value_text(const struct conf_item *item, const struct json *value, struct buf *ret, struct err *err)
{
	int64_t number;
	bool truth;

	switch (item->type) {
	case CONF_BOOL:
	case CONF_MAYBE:
		if (json_to_bool(value, &truth) < 0)
			return fail_kind(item->path, "true or false", value, err);
		return buf_adds(ret, truth ? "true" : "false");
	case CONF_INT:
		if (json_to_int(value, &number) < 0)
			return fail_kind(item->path, "a whole number", value, err);
		return buf_addf(ret, "%" PRId64, number);
	case CONF_DURATION:
	case CONF_DURATIONS:
		return duration_text(item->path, value, ret, err);
	default:
		if (json_kind(value) != JSON_STRING)
			return fail_kind(item->path, "a string", value, err);
		return buf_adds(ret, json_string(value));
	}
}

static int
list_text(const struct conf_item *item, const struct json *list, struct buf *ret, struct err *err)
{
	for (size_t i = 0; i < json_length(list); i++)
		if ((i > 0 && buf_adds(ret, ", ") < 0) ||
		    value_text(item, json_at(list, i), ret, err) < 0)
			return -1;
	return 0;
}

static int
take_member(const char *path, const struct json *value, struct account_settings *list,
    struct err *err)
{
	const struct conf_item *item = conf_find(account_schema, path);
	AUTO_BUF struct buf text = BUF_INIT(ACCOUNT_VALUE_MAX);
	bool is_list;
	int result;

	if (item == NULL || strcmp(path, "id") == 0 || json_kind(value) == JSON_NULL)
		return 0;
	if (item->type == CONF_GROUPS) {
		result = domains_from_json(value, &text, err);
		if (result == 0)
			account_settings_put(list, path, text.len > 0 ? text.s : NULL);
	} else {
		is_list = json_kind(value) == JSON_ARRAY &&
		    (item->type == CONF_STRINGS || item->type == CONF_DURATIONS);
		if (err != NULL)
			err->code = 0;
		result = is_list ? list_text(item, value, &text, err) :
				   value_text(item, value, &text, err);
		if (result < 0 && err != NULL && err->code == 0)
			err_set(err, EX_DATAERR, "%s: too long", path);
		if (result == 0)
			result = account_settings_add(list, path, text.s, err);
	}
	if (text.cap > 0)
		explicit_bzero(text.s, text.cap);
	if (result < 0 && err != NULL)
		err->code = EX_DATAERR;
	return result;
}

/* The members of a group of settings: "timeouts". */
static int
take_group(const char *name, const struct json *group, struct account_settings *list,
    struct err *err)
{
	struct json_iter it = JSON_ITER_INIT;
	const struct json *value;
	const char *key;

	while (json_next(group, &it, &key, &value)) {
		char path[64];

		if ((size_t)snprintf(path, sizeof path, "%s.%s", name, key) < sizeof path &&
		    take_member(path, value, list, err) < 0)
			return -1;
	}
	return 0;
}

int
account_settings_from_json(const struct json *object, struct account_settings *list,
    struct err *err)
{
	struct json_iter it = JSON_ITER_INIT;
	const struct json *value;
	const char *key;
	int result = 0;

	if (json_kind(object) != JSON_OBJECT)
		return err_set(err, EX_DATAERR, "expected an object, found %s",
		    json_kind_name(json_kind(object)));
	while (result == 0 && json_next(object, &it, &key, &value))
		result = json_kind(value) == JSON_OBJECT && strcmp(key, "domains") != 0 &&
			conf_find(account_schema, key) == NULL ?
		    take_group(key, value, list, err) :
		    take_member(key, value, list, err);
	return result;
}

/* ---- writing ----------------------------------------------------------------------------------- */

static void
put_seconds(struct json_writer *w, int64_t span)
{
	if (span % USEC == 0)
		json_put_int(w, span / USEC);
	else
		json_put_double(w, (double)span / (double)USEC);
}

static void
put_word(struct json_writer *w, const char *words, int index)
{
	for (; index > 0; index--)
		words += strcspn(words, " ") + 1;
	json_put_string(w, words, strcspn(words, " "));
}

static void
put_domains(struct json_writer *w, const struct conf_groups *domains)
{
	const struct account_domain *v = domains->v;

	json_begin_object(w);
	for (size_t i = 0; i < domains->n; i++) {
		json_key(w, v[i].domain);
		json_begin_object(w);
		if (v[i].per_minute > 0)
			json_member_int(w, "per_minute", v[i].per_minute);
		if (v[i].per_hour > 0)
			json_member_int(w, "per_hour", v[i].per_hour);
		if (v[i].per_day > 0)
			json_member_int(w, "per_day", v[i].per_day);
		if (v[i].connections > 0)
			json_member_int(w, "connections", v[i].connections);
		json_end_object(w);
	}
	json_end_object(w);
}

static void
put_list(struct json_writer *w, const struct conf_item *item, const void *value)
{
	json_begin_array(w);
	if (item->type == CONF_STRINGS)
		for (size_t i = 0; i < ((const struct strings *)value)->n; i++)
			json_put_str(w, ((const struct strings *)value)->v[i]);
	else
		for (size_t i = 0; i < ((const struct durations *)value)->n; i++)
			put_seconds(w, ((const struct durations *)value)->v[i]);
	json_end_array(w);
}

static void
put_value(struct json_writer *w, const struct conf_item *item, const void *value)
{
	switch (item->type) {
	case CONF_BOOL:
		json_put_bool(w, *(const bool *)value);
		break;
	case CONF_MAYBE:
		json_put_bool(w, *(const int *)value != 0);
		break;
	case CONF_INT:
		json_put_int(w, *(const int64_t *)value);
		break;
	case CONF_DURATION:
		put_seconds(w, *(const int64_t *)value);
		break;
	case CONF_CHOICE:
		put_word(w, item->choices, *(const int *)value);
		break;
	case CONF_GROUPS:
		put_domains(w, value);
		break;
	case CONF_STRINGS:
	case CONF_DURATIONS:
		put_list(w, item, value);
		break;
	default:
		json_put_str(w, *(char *const *)value);
	}
}

/* A password, and a command that may have one in it, are nobody's to see. */
static bool
is_secret(const char *path)
{
	return strcmp(path, "password") == 0 || strcmp(path, "password_command") == 0;
}

/* A limit of 0 is none, and is left out; so is the port of what has none. */
static bool
is_no_limit(const struct conf_item *item, const void *value)
{
	bool limit = strncmp(item->path, "limit_per_", strlen("limit_per_")) == 0 ||
	    strcmp(item->path, "batch_size") == 0 || strcmp(item->path, "port") == 0 ||
	    strcmp(item->path, "min_interval_seconds") == 0 ||
	    strcmp(item->path, "max_attempts") == 0;

	return limit && *(const int64_t *)value == 0;
}

static bool
is_put(const struct conf_item *item, const struct account *account)
{
	AUTO_BUF struct buf value = BUF_INIT(ACCOUNT_VALUE_MAX);

	return !is_secret(item->path) && conf_format(item, account, &value) == 1 &&
	    !is_no_limit(item, (const char *)account + item->offset);
}

void
account_put(const struct account *account, struct json_writer *w)
{
	static const char group[] = "timeouts.";
	char created[CLOCK_TEXT_SIZE];
	bool inside = false;

	for (const struct conf_item *item = account_schema; item->path != NULL; item++) {
		bool belongs = strncmp(item->path, group, strlen(group)) == 0;

		if (!is_put(item, account))
			continue;
		if (belongs && !inside) {
			json_key(w, "timeouts");
			json_begin_object(w);
		} else if (!belongs && inside) {
			json_end_object(w);
		}
		inside = belongs;
		json_key(w, belongs ? item->path + strlen(group) : item->path);
		put_value(w, item, (const char *)account + item->offset);
	}
	if (account_has_credentials(account))
		json_member_bool(w, "has_password", true);
	if (account->created != 0)
		json_member_str(w, "created_at", clock_iso(account->created, created));
}
