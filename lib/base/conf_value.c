#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/conf_private.h"
#include "base/num.h"
#include "base/utf8.h"

#define STRING_MAX 1024 /* bytes, where the item names no bound */
#define LIST_MAX 1000	/* elements */

static const char *const kind_names[] = {
	[CONF_IS_BOOL] = "true or false",
	[CONF_IS_INT] = "a whole number",
	[CONF_IS_FLOAT] = "a number with a fraction",
	[CONF_IS_STRING] = "a string",
	[CONF_IS_OTHER] = "a group or list",
};

/* The first says what was expected, in a form for the message. */
static int
fail_kind(const struct conf_value *value, const char *expected, struct err *err)
{
	return err_set(err, EX_CONFIG, "expected %s, found %s", expected, kind_names[value->kind]);
}

static void
bound_text(enum conf_type type, int64_t bound, char text[CLOCK_TEXT_SIZE])
{
	if (type == CONF_DURATION || type == CONF_DURATIONS)
		clock_span(bound, text);
	else if (type == CONF_SIZE)
		num_size_text((uint64_t)bound, text);
	else
		snprintf(text, CLOCK_TEXT_SIZE, "%" PRId64, bound);
}

static int
check_bounds(const struct conf_item *item, int64_t number, struct err *err)
{
	char low[CLOCK_TEXT_SIZE], high[CLOCK_TEXT_SIZE], found[CLOCK_TEXT_SIZE];

	if (item->max == 0 || (number >= item->min && number <= item->max))
		return 0;
	bound_text(item->type, item->min, low);
	bound_text(item->type, item->max, high);
	if (number >= 0)
		bound_text(item->type, number, found);
	else
		snprintf(found, sizeof found, "a number below 0");
	return err_set(err, EX_CONFIG, "expected %s to %s, found %s", low, high, found);
}

static int
to_int(const struct conf_item *item, const struct conf_value *value, int64_t *ret, struct err *err)
{
	if (value->kind != CONF_IS_INT)
		return fail_kind(value, kind_names[CONF_IS_INT], err);
	*ret = value->number;
	return check_bounds(item, *ret, err);
}

static int
to_duration(const struct conf_item *item, const struct conf_value *value, int64_t *ret,
    struct err *err)
{
	static const char expected[] = "a duration such as \"5m\" or \"2h\"";

	if (value->kind == CONF_IS_STRING) {
		if (num_duration(value->text, ret) < 0)
			return err_set(err, EX_CONFIG, "expected %s, found \"%s\"", expected,
			    value->text);
	} else if (value->kind != CONF_IS_INT) {
		return fail_kind(value, expected, err);
	} else if (value->number < 0 || value->number > INT64_MAX / USEC) {
		return err_set(err, EX_CONFIG, "expected %s, found %" PRId64, expected,
		    value->number);
	} else {
		*ret = value->number * USEC;
	}
	return check_bounds(item, *ret, err);
}

static int
to_size(const struct conf_item *item, const struct conf_value *value, int64_t *ret, struct err *err)
{
	static const char expected[] = "a size such as \"64 MiB\"";
	uint64_t bytes;

	if (value->kind == CONF_IS_STRING) {
		if (num_size(value->text, &bytes) < 0 || bytes > INT64_MAX)
			return err_set(err, EX_CONFIG, "expected %s, found \"%s\"", expected,
			    value->text);
		*ret = (int64_t)bytes;
	} else if (value->kind != CONF_IS_INT) {
		return fail_kind(value, expected, err);
	} else if (value->number < 0) {
		return err_set(err, EX_CONFIG, "expected %s, found %" PRId64, expected,
		    value->number);
	} else {
		*ret = value->number;
	}
	return check_bounds(item, *ret, err);
}

/* The place of text among the words of a list apart by spaces, -1 where it is none of them. */
static int
word_index(const char *words, const char *text)
{
	size_t n = strlen(text);

	for (int i = 0; *words != '\0'; i++) {
		size_t length = strcspn(words, " ");

		if (length == n && memcmp(words, text, n) == 0)
			return i;
		words += length + (words[length] == ' ');
	}
	return -1;
}

static int
to_choice(const struct conf_item *item, const struct conf_value *value, int *ret, struct err *err)
{
	int index = value->kind == CONF_IS_STRING ? word_index(item->choices, value->text) : -1;

	if (index < 0)
		return err_set(err, EX_CONFIG, "expected one of: %s; found %s%s", item->choices,
		    value->kind == CONF_IS_STRING ? "" : kind_names[value->kind],
		    value->kind == CONF_IS_STRING ? value->text : "");
	*ret = index;
	return 0;
}

static int
check_text(const struct conf_item *item, const struct conf_value *value, struct err *err)
{
	size_t max = item->max > 0 ? (size_t)item->max : STRING_MAX;

	if (value->kind != CONF_IS_STRING)
		return fail_kind(value, kind_names[CONF_IS_STRING], err);
	if (strlen(value->text) > max)
		return err_set(err, EX_CONFIG, "expected at most %zu bytes", max);
	if (!utf8_valid(value->text, strlen(value->text)))
		return err_set(err, EX_CONFIG, "expected UTF-8");
	for (const unsigned char *p = (const unsigned char *)value->text; *p != '\0'; p++) {
		if (*p < 0x20 || *p == 0x7f)
			return err_set(err, EX_CONFIG, "expected no control characters");
	}
	if (item->choices != NULL && word_index(item->choices, value->text) < 0)
		return err_set(err, EX_CONFIG, "expected words out of: %s; found %s", item->choices,
		    value->text);
	return 0;
}

/* *ret is to be freed; NULL for an empty string, which is the same as none. */
static int
to_string(const struct conf_item *item, const struct conf_value *value, char **ret, struct err *err)
{
	const char *home;

	if (check_text(item, value, err) < 0)
		return -1;
	*ret = NULL;
	if (*value->text == '\0')
		return 0;
	if (item->type != CONF_PATH || *value->text == '/') {
		*ret = xstrdup(value->text);
		return 0;
	}
	if (strncmp(value->text, "~/", 2) != 0)
		return err_set(err, EX_CONFIG, "expected a path that starts with / or ~/, found %s",
		    value->text);
	home = getenv("HOME");
	if (home == NULL || *home != '/')
		return err_set(err, EX_CONFIG, "%s: $HOME is not set", value->text);
	if (asprintf(ret, "%s%s", home, value->text + 1) < 0)
		abort();
	return 0;
}

static void
strings_release(struct strings *list)
{
	for (size_t i = 0; i < list->n; i++)
		free(list->v[i]);
	free(list->v);
	*list = (struct strings){ 0 };
}

static int
to_strings(const struct conf_item *item, const struct conf_value *values, size_t n,
    struct strings *member, struct err *err)
{
	struct strings list = { xcalloc(n, sizeof *list.v), 0 };

	for (size_t i = 0; i < n; i++) {
		if (check_text(item, &values[i], err) < 0) {
			strings_release(&list);
			return -1;
		}
		list.v[list.n++] = xstrdup(values[i].text);
	}
	strings_release(member);
	*member = list;
	return 0;
}

static int
to_durations(const struct conf_item *item, const struct conf_value *values, size_t n,
    struct durations *member, struct err *err)
{
	AUTO_FREE int64_t *spans = xcalloc(n, sizeof *spans);

	if (n == 0)
		return err_set(err, EX_CONFIG, "expected at least one duration");
	for (size_t i = 0; i < n; i++) {
		if (to_duration(item, &values[i], &spans[i], err) < 0)
			return -1;
	}
	free(member->v);
	*member = (struct durations){ spans, n };
	spans = NULL;
	return 0;
}

static int
store_scalar(const struct conf_item *item, void *member, const struct conf_value *value,
    struct err *err)
{
	int64_t number;
	char *string;
	int result;

	switch (item->type) {
	case CONF_BOOL:
	case CONF_MAYBE:
		if (value->kind != CONF_IS_BOOL)
			return fail_kind(value, kind_names[CONF_IS_BOOL], err);
		if (item->type == CONF_BOOL)
			*(bool *)member = value->number != 0;
		else
			*(int *)member = value->number != 0;
		return 0;
	case CONF_INT:
		result = to_int(item, value, &number, err);
		break;
	case CONF_DURATION:
		result = to_duration(item, value, &number, err);
		break;
	case CONF_SIZE:
		result = to_size(item, value, &number, err);
		break;
	case CONF_CHOICE:
		return to_choice(item, value, member, err);
	default:
		if (to_string(item, value, &string, err) < 0)
			return -1;
		free(*(char **)member);
		*(char **)member = string;
		return 0;
	}
	if (result == 0)
		*(int64_t *)member = number;
	return result;
}

int
conf_store(const struct conf_item *item, void *target, const struct conf_value *values, size_t n,
    bool is_list, struct err *err)
{
	void *member = (char *)target + item->offset;

	if (n > LIST_MAX)
		return err_set(err, EX_CONFIG, "expected at most %d elements", LIST_MAX);
	if (item->type == CONF_STRINGS)
		return to_strings(item, values, n, member, err);
	if (item->type == CONF_DURATIONS)
		return to_durations(item, values, n, member, err);
	if (is_list)
		return err_set(err, EX_CONFIG, "expected one value, found a list");
	return store_scalar(item, member, values, err);
}

/* Text as the environment gives it, by the type that is wanted. */
static struct conf_value
value_of_text(enum conf_type type, const char *text)
{
	static const char yes[] = "true yes on 1", no[] = "false no off 0";
	struct conf_value value = { CONF_IS_STRING, 0, text };
	uint64_t number;

	if (type == CONF_BOOL || type == CONF_MAYBE) {
		AUTO_FREE char *word = xstrdup(text);

		for (char *p = word; *p != '\0'; p++)
			*p |= *p >= 'A' && *p <= 'Z' ? 0x20 : 0;
		if (word_index(yes, word) >= 0 || word_index(no, word) >= 0)
			value =
			    (struct conf_value){ CONF_IS_BOOL, word_index(yes, word) >= 0, NULL };
	} else if (type == CONF_INT) {
		bool negative = *text == '-';

		if (num_u64(text + negative, 0, INT64_MAX, &number) == 0)
			value = (struct conf_value){ CONF_IS_INT,
				negative ? -(int64_t)number : (int64_t)number, NULL };
	}
	return value;
}

static int
store_text(const struct conf_item *item, void *target, const char *text, struct err *err)
{
	AUTO_FREE char *copy = xstrdup(text);
	AUTO_FREE struct conf_value *values = NULL;
	char *rest = copy, *word;
	size_t n = 0;

	values = xcalloc(strlen(text) + 1, sizeof *values);
	if (item->type == CONF_STRINGS || item->type == CONF_DURATIONS) {
		while ((word = strsep(&rest, ",")) != NULL) {
			word += strspn(word, " ");
			word[strcspn(word, " ")] = '\0';
			if (*word != '\0')
				values[n++] = value_of_text(item->type, word);
		}
	} else {
		values[n++] = value_of_text(item->type, text);
	}
	return conf_store(item, target, values, n, false, err);
}

int
conf_set(const struct conf_item *schema, void *target, const char *path, const char *text,
    const char *place, struct err *err)
{
	const struct conf_item *item = conf_find(schema, path);
	int result;

	if (item == NULL || item->type == CONF_GROUPS)
		abort();
	result = store_text(item, target, text, err);
	if (result == 0 && item->check != NULL)
		result = item->check((char *)target + item->offset, place, err);
	return result < 0 ? err_prefix(err, "%s", place) : 0;
}

void
conf_defaults(const struct conf_item *schema, void *target)
{
	for (const struct conf_item *item = schema; item->path != NULL; item++) {
		if (item->fallback != NULL) {
			if (store_text(item, target, item->fallback, NULL) < 0)
				abort(); /* the table is wrong */
		} else if (item->type == CONF_CHOICE || item->type == CONF_MAYBE) {
			*(int *)(void *)((char *)target + item->offset) = CONF_UNSET;
		}
	}
}

void *
conf_groups_add(const struct conf_item *item, struct conf_groups *groups)
{
	char *element;

	groups->v = xreallocarray(groups->v, groups->n + 1, item->element_size);
	element = (char *)groups->v + groups->n++ * item->element_size;
	memset(element, 0, item->element_size);
	conf_defaults(item->items, element);
	return element;
}

static void
groups_release(const struct conf_item *item, struct conf_groups *groups)
{
	for (size_t i = 0; i < groups->n; i++) {
		void *element = (char *)groups->v + i * item->element_size;

		if (item->release != NULL)
			item->release(element);
		conf_release(item->items, element);
	}
	free(groups->v);
	*groups = (struct conf_groups){ 0 };
}

void
conf_release(const struct conf_item *schema, void *target)
{
	for (const struct conf_item *item = schema; item->path != NULL; item++) {
		void *member = (char *)target + item->offset;

		switch (item->type) {
		case CONF_STRING:
		case CONF_PATH:
			free(*(char **)member);
			*(char **)member = NULL;
			break;
		case CONF_STRINGS:
			strings_release(member);
			break;
		case CONF_DURATIONS:
			free(((struct durations *)member)->v);
			*(struct durations *)member = (struct durations){ 0 };
			break;
		case CONF_GROUPS:
			groups_release(item, member);
			break;
		default:
			break;
		}
	}
}
