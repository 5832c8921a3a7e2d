/*
 * settings_table		prints each setting of mailq.conf as its manual page gives it:
 *				"delivery.jobs: Number, 1 to 1000; default 10."
 * settings_table FILE...	loads each file; exits with the first fault's code
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/num.h"
#include "policy/settings.h"

static const char *const type_names[] = {
	[CONF_BOOL] = "True or false",
	[CONF_MAYBE] = "True or false",
	[CONF_INT] = "Number",
	[CONF_STRING] = "String",
	[CONF_PATH] = "Path",
	[CONF_DURATION] = "Duration",
	[CONF_SIZE] = "Size",
	[CONF_CHOICE] = "One of",
	[CONF_STRINGS] = "List of strings",
	[CONF_DURATIONS] = "List of durations",
	[CONF_GROUPS] = "List of groups",
};

static bool
is_text(enum conf_type type)
{
	return type == CONF_STRING || type == CONF_PATH || type == CONF_CHOICE;
}

static bool
is_list(enum conf_type type)
{
	return type == CONF_STRINGS || type == CONF_DURATIONS || type == CONF_GROUPS;
}

static void
print_bound(enum conf_type type, int64_t bound)
{
	char text[CLOCK_TEXT_SIZE];

	if (type == CONF_DURATION || type == CONF_DURATIONS)
		fputs(clock_span(bound, text), stdout);
	else if (type == CONF_SIZE)
		fputs(num_size_text((uint64_t)bound, text), stdout);
	else
		printf("%" PRId64, bound);
}

static void
print_bounds(const struct conf_item *item)
{
	if (is_text(item->type) || item->type == CONF_STRINGS || item->max == 0)
		return;
	if (item->max >= INT32_MAX && item->type == CONF_INT && item->min == 0)
		return;
	if (item->max == INT64_MAX && item->min == 0)
		return;
	fputs(", ", stdout);
	print_bound(item->type, item->min);
	fputs(" to ", stdout);
	print_bound(item->type, item->max);
}

static void
print_choices(const char *words)
{
	while (*words != '\0') {
		size_t n = strcspn(words, " ");

		printf(" \"%.*s\"%s", (int)n, words, words[n] != '\0' ? "," : "");
		words += n + (words[n] == ' ');
	}
}

static void
print_item(const char *prefix, const struct conf_item *item)
{
	printf("%s%s: %s", prefix, item->path,
	    item->type == CONF_STRINGS && item->choices != NULL ? "List of" :
								  type_names[item->type]);
	if (item->choices != NULL)
		print_choices(item->choices);
	print_bounds(item);
	if (item->fallback == NULL)
		printf("; %s.\n", is_list(item->type) ? "empty by default" : "no default");
	else if (is_text(item->type))
		printf("; default \"%s\".\n", item->fallback);
	else
		printf("; default %s.\n", item->fallback);
}

/* Those of a list of groups behind the list itself. */
static void
print_items(const char *prefix, const struct conf_item *items)
{
	char inner[100];

	for (; items->path != NULL; items++) {
		print_item(prefix, items);
		snprintf(inner, sizeof inner, "%s%s.", prefix, items->path);
		if (items->type == CONF_GROUPS)
			print_items(inner, items->items);
	}
}

int
main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		AUTO_SETTINGS struct settings settings = { 0 };
		struct err err = ERR_INIT;

		if (settings_load(&settings, argv[i], &err) < 0 ||
		    settings_complete(&settings, &err) < 0)
			return err_print(&err);
	}
	if (argc > 1)
		return 0;
	print_items("", settings_schema);
	return 0;
}
