/* Values of settings as text of a file. */
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/conf.h"
#include "base/conf_edit.h"

static const void *
member(const struct conf_item *item, const void *target)
{
	return (const char *)target + item->offset;
}

int
conf_format_duration(int64_t span, struct buf *out)
{
	static const struct {
		int64_t span;
		const char *name;
	} units[] = { { 86400 * USEC, "d" }, { 3600 * USEC, "h" }, { 60 * USEC, "m" },
		{ USEC, "s" }, { 1000, "ms" } };

	if (span < 1000)
		return buf_adds(out, "0s");
	for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
		if (span >= units[i].span &&
		    buf_addf(out, "%" PRId64 "%s", span / units[i].span, units[i].name) < 0)
			return -1;
		span %= units[i].span;
	}
	return 0;
}

static int
add_duration(int64_t span, struct buf *out)
{
	return buf_addc(out, '"') < 0 || conf_format_duration(span, out) < 0 ? -1 :
									       buf_addc(out, '"');
}

static int
add_choice(const struct conf_item *item, int index, struct buf *out)
{
	const char *word = item->choices;

	for (; index > 0; index--)
		word += strcspn(word, " ") + 1;
	return buf_addf(out, "\"%.*s\"", (int)strcspn(word, " "), word);
}

static int
add_strings(const struct strings *list, struct buf *out)
{
	int result = buf_adds(out, "[ ");

	for (size_t i = 0; i < list->n && result == 0; i++) {
		result = i > 0 ? buf_adds(out, ", ") : 0;
		if (result == 0)
			result = conf_edit_quote(out, list->v[i]);
	}
	return result == 0 ? buf_adds(out, " ]") : -1;
}

static int
add_durations(const struct durations *list, struct buf *out)
{
	int result = buf_adds(out, "[ ");

	for (size_t i = 0; i < list->n && result == 0; i++) {
		result = i > 0 ? buf_adds(out, ", ") : 0;
		if (result == 0)
			result = add_duration(list->v[i], out);
	}
	return result == 0 ? buf_adds(out, " ]") : -1;
}

/* "{ domain = "x.org"; per_minute = 5; }": what is set, and is not the default. */
static int
add_group(const struct conf_item *items, const void *element, struct buf *out)
{
	int result = buf_adds(out, "{ ");

	for (const struct conf_item *item = items; item->path != NULL && result == 0; item++) {
		AUTO_BUF struct buf value = BUF_INIT(out->max);
		int is_set = conf_format(item, element, &value);

		if (is_set < 0)
			return -1;
		if (is_set == 1 && (item->fallback == NULL || strcmp(item->fallback, value.s) != 0))
			result = buf_addf(out, "%s = %s; ", item->path, value.s);
	}
	return result == 0 ? buf_addc(out, '}') : -1;
}

static int
add_groups(const struct conf_item *item, const struct conf_groups *groups, struct buf *out)
{
	int result = buf_adds(out, "( ");

	for (size_t i = 0; i < groups->n && result == 0; i++) {
		result = i > 0 ? buf_adds(out, ", ") : 0;
		if (result == 0)
			result = add_group(item->items,
			    (const char *)groups->v + i * item->element_size, out);
	}
	return result == 0 ? buf_adds(out, " )") : -1;
}

static bool
is_unset(const struct conf_item *item, const void *value)
{
	switch (item->type) {
	case CONF_STRING:
	case CONF_PATH:
		return *(char *const *)value == NULL;
	case CONF_MAYBE:
	case CONF_CHOICE:
		return *(const int *)value == CONF_UNSET;
	case CONF_STRINGS:
		return ((const struct strings *)value)->n == 0;
	case CONF_DURATIONS:
		return ((const struct durations *)value)->n == 0;
	case CONF_GROUPS:
		return ((const struct conf_groups *)value)->n == 0;
	default:
		return false;
	}
}

static int
add_value(const struct conf_item *item, const void *value, struct buf *out)
{
	int64_t number;

	switch (item->type) {
	case CONF_BOOL:
		return buf_adds(out, *(const bool *)value ? "true" : "false");
	case CONF_MAYBE:
		return buf_adds(out, *(const int *)value ? "true" : "false");
	case CONF_INT:
	case CONF_SIZE:
		number = *(const int64_t *)value;
		return buf_addf(out, "%" PRId64 "%s", number, number > INT32_MAX ? "L" : "");
	case CONF_DURATION:
		return add_duration(*(const int64_t *)value, out);
	case CONF_CHOICE:
		return add_choice(item, *(const int *)value, out);
	case CONF_STRINGS:
		return add_strings(value, out);
	case CONF_DURATIONS:
		return add_durations(value, out);
	case CONF_GROUPS:
		return add_groups(item, value, out);
	default:
		return conf_edit_quote(out, *(char *const *)value);
	}
}

int
conf_format(const struct conf_item *item, const void *target, struct buf *out)
{
	const void *value = member(item, target);

	if (is_unset(item, value))
		return 0;
	return add_value(item, value, out) < 0 ? -1 : 1;
}
