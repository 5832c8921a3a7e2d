/* Rules as the API and the spool have them. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "policy/rule.h"

#define WRITE_MAX ((size_t)8 * 1024 * 1024)

static void
put_fields(const struct rule *rule, struct json_writer *w)
{
	json_member_int(w, "id", rule->id);
	json_member_str(w, "name", rule->name);
	json_member_bool(w, "enabled", rule->enabled);
	json_member_int(w, "priority", rule->priority);
	json_key(w, "days");
	json_begin_array(w);
	for (int day = 0; day < 7; day++)
		if (rule->days >> day & 1)
			json_put_int(w, day);
	json_end_array(w);
	if (rule->start_hour >= 0)
		json_member_int(w, "start_hour", rule->start_hour);
	if (rule->end_hour >= 0)
		json_member_int(w, "end_hour", rule->end_hour);
	json_member_bool(w, "cross_midnight", rule->cross_midnight);
	json_member_int(w, "interval_minutes", rule->interval);
}

void
rule_put(const struct rule *rule, struct json_writer *w)
{
	json_begin_object(w);
	put_fields(rule, w);
	json_end_object(w);
}

/* ---- the fields -------------------------------------------------------------------------- */

static int
take_bool(bool *ret, const char *key, const struct json *value, struct err *err)
{
	if (json_to_bool(value, ret) < 0)
		return err_set(err, EX_DATAERR, "%s: expected true or false, found %s", key,
		    json_kind_name(json_kind(value)));
	return 0;
}

static int
take_int(int64_t *ret, const char *key, const struct json *value, int64_t min, int64_t max,
    struct err *err)
{
	int64_t number;

	if (json_to_int(value, &number) < 0)
		return err_set(err, EX_DATAERR,
		    "%s: expected a whole number from %" PRId64 " to %" PRId64 ", found %s", key,
		    min, max, json_kind_name(json_kind(value)));
	if (number < min || number > max)
		return err_set(err, EX_DATAERR,
		    "%s: expected a whole number from %" PRId64 " to %" PRId64 ", found %" PRId64,
		    key, min, max, number);
	*ret = number;
	return 0;
}

static int
take_hour(int *ret, const char *key, const struct json *value, struct err *err)
{
	int64_t hour = -1;

	if (json_kind(value) != JSON_NULL && take_int(&hour, key, value, 0, 23, err) < 0)
		return -1;
	*ret = (int)hour;
	return 0;
}

static int
take_days(unsigned int *ret, const char *key, const struct json *value, struct err *err)
{
	unsigned int days = 0;

	if (json_kind(value) != JSON_ARRAY)
		return err_set(err, EX_DATAERR,
		    "%s: expected an array of days, 0 (Monday) to 6, found %s", key,
		    json_kind_name(json_kind(value)));
	for (size_t i = 0; i < json_length(value); i++) {
		int64_t day;

		if (take_int(&day, key, json_at(value, i), 0, 6, err) < 0)
			return -1;
		days |= 1U << day;
	}
	*ret = days;
	return 0;
}

/* The name is one line.  *ret_name is the string in the JSON's own memory, or NULL. */
static int
take_name(const char **ret_name, const char *key, const struct json *value, struct err *err)
{
	struct view name = json_string_view(value);

	if (json_kind(value) != JSON_NULL && json_kind(value) != JSON_STRING)
		return err_set(err, EX_DATAERR, "%s: expected a string, found %s", key,
		    json_kind_name(json_kind(value)));
	if (name.len > RULE_NAME_MAX)
		return err_set(err, EX_DATAERR, "%s: expected at most %d bytes, found %zu", key,
		    RULE_NAME_MAX, name.len);
	for (size_t i = 0; i < name.len; i++)
		if ((unsigned char)name.s[i] < 0x20 || name.s[i] == 0x7f)
			return err_set(err, EX_DATAERR,
			    "%s: expected one line without control characters", key);
	*ret_name = name.len > 0 ? name.s : NULL;
	return 0;
}

static int
take_id(const struct rule *rule, const char *key, const struct json *value, struct err *err)
{
	int64_t id;

	if (take_int(&id, key, value, 0, INT64_MAX, err) < 0)
		return -1;
	if (rule->id != 0 && rule->id != id)
		return err_set(err, EX_DATAERR, "%s: cannot be changed from %" PRId64, key,
		    rule->id);
	return 0;
}

static bool
is_field(const char *key)
{
	static const char *const fields[] = { "id", "name", "enabled", "priority", "days",
		"start_hour", "end_hour", "cross_midnight", "interval_minutes" };

	for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
		if (strcmp(key, fields[i]) == 0)
			return true;
	return false;
}

static int
take_field(struct rule *rule, const char **name, const char *key, const struct json *value,
    struct err *err)
{
	if (strcmp(key, "name") == 0)
		return take_name(name, key, value, err);
	if (strcmp(key, "start_hour") == 0)
		return take_hour(&rule->start_hour, key, value, err);
	if (strcmp(key, "end_hour") == 0)
		return take_hour(&rule->end_hour, key, value, err);
	if (json_kind(value) == JSON_NULL && is_field(key))
		return 0;
	if (strcmp(key, "id") == 0)
		return take_id(rule, key, value, err);
	if (strcmp(key, "enabled") == 0)
		return take_bool(&rule->enabled, key, value, err);
	if (strcmp(key, "cross_midnight") == 0)
		return take_bool(&rule->cross_midnight, key, value, err);
	if (strcmp(key, "priority") == 0)
		return take_int(&rule->priority, key, value, -RULE_PRIORITY_MAX, RULE_PRIORITY_MAX,
		    err);
	if (strcmp(key, "interval_minutes") == 0)
		return take_int(&rule->interval, key, value, 1, RULE_INTERVAL_MAX, err);
	if (strcmp(key, "days") == 0)
		return take_days(&rule->days, key, value, err);
	return err_set(err, EX_DATAERR,
	    "%s: unknown field; a rule has id, name, enabled, priority, days, start_hour, "
	    "end_hour, "
	    "cross_midnight and interval_minutes",
	    key);
}

/* except: a key that is none of the fields, and is passed over; NULL: none. */
static int
take_fields(struct rule *rule, const struct json *object, const char *except, struct err *err)
{
	struct json_iter it = JSON_ITER_INIT;
	struct rule changed = *rule;
	const char *key, *name = rule->name;
	const struct json *value;

	if (json_kind(object) != JSON_OBJECT)
		return err_set(err, EX_DATAERR, "expected a rule as an object, found %s",
		    json_kind_name(json_kind(object)));
	while (json_next(object, &it, &key, &value))
		if ((except == NULL || strcmp(key, except) != 0) &&
		    take_field(&changed, &name, key, value, err) < 0)
			return -1;
	changed.name = name != NULL ? xstrdup(name) : NULL;
	free(rule->name);
	*rule = changed;
	return 0;
}

int
rule_take(struct rule *rule, const struct json *object, struct err *err)
{
	return take_fields(rule, object, NULL, err);
}

/* ---- the file ---------------------------------------------------------------------------- */

static int
parse_rule(struct rules *rules, const struct json *object, struct err *err)
{
	const struct json *once = json_get(object, "once");
	struct rule rule;
	int64_t id;

	if (take_int(&id, "id", json_get(object, "id"), 1, rules->last_id, err) < 0)
		return -1;
	if (rules_find(rules, id) != NULL)
		return err_set(err, EX_DATAERR, "id: %" PRId64 " stands twice", id);
	if (once != NULL && json_kind(once) != JSON_STRING)
		return err_set(err, EX_DATAERR, "once: expected a string");
	if (rules->n == RULES_MAX)
		return err_set(err, EX_DATAERR, "expected at most %d rules", RULES_MAX);
	rule_init(&rule);
	rule.priority = 0;
	if (take_fields(&rule, object, "once", err) < 0)
		return -1;
	rule.once = json_string(once) != NULL ? xstrdup(json_string(once)) : NULL;
	rule.id = id;
	rules->v = xreallocarray(rules->v, rules->n + 1, sizeof *rules->v);
	rules->v[rules->n++] = rule;
	return 0;
}

static int
parse_line(struct rules *rules, const struct json *object, bool first, struct err *err)
{
	if (!first)
		return parse_rule(rules, object, err);
	if (json_get(object, "last_id") == NULL)
		return err_set(err, EX_DATAERR, "expected {\"last_id\":N} before the rules");
	return take_int(&rules->last_id, "last_id", json_get(object, "last_id"), 0, INT64_MAX - 1,
	    err);
}

int
rules_parse(const char *text, size_t len, struct rules *ret, struct err *err)
{
	const char *end = text + len;
	bool first = true;

	*ret = (struct rules){ 0 };
	for (uint64_t line = 1; text < end; line++) {
		const char *newline = memchr(text, '\n', (size_t)(end - text));
		size_t n = (size_t)((newline != NULL ? newline : end) - text);
		AUTO_JSON struct json *object = NULL;

		if (n > 0) {
			object = json_parse(text, n, line, err);
			if (object == NULL)
				return -1;
			if (parse_line(ret, object, first, err) < 0)
				return err_prefix(err, "line %" PRIu64, line);
			first = false;
		}
		text = newline != NULL ? newline + 1 : end;
	}
	rules_sort(ret);
	return 0;
}

int
rules_format(const struct rules *rules, struct buf *out)
{
	AUTO_BUF struct buf text = BUF_INIT(WRITE_MAX);
	struct json_writer w = JSON_WRITER(&text);

	json_begin_object(&w);
	json_member_int(&w, "last_id", rules->last_id);
	json_end_object(&w);
	for (size_t i = 0; i < rules->n; i++) {
		buf_addc(&text, '\n');
		w = (struct json_writer)JSON_WRITER(&text);
		json_begin_object(&w);
		put_fields(&rules->v[i], &w);
		json_member_str(&w, "once", rules->v[i].once);
		json_end_object(&w);
		if (json_finish(&w) < 0)
			return -1;
	}
	buf_addc(&text, '\n');
	return buf_add(out, text.s, text.len);
}
