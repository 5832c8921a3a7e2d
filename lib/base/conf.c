#include "base/conf.h"

#include <libconfig.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/conf_private.h"

#define PATH_MAX_TEXT 200 /* "accounts.timeouts.connect" and the like */

struct load {
	const char *file;
	bool lenient; /* what is not known is passed over */
	struct err *err;
};

static int load_group(const struct load *load, const config_setting_t *group, const char *prefix,
    const char *shown, const struct conf_item *schema, void *target);

/* "FILE:LINE" of a setting: to be freed. */
static char *
place_of(const struct load *load, const config_setting_t *setting)
{
	const char *name = config_setting_source_file(setting);
	AUTO_FREE char *path = NULL;
	char *place;

	path = name != NULL ? conf_include_path(load->file, name) : xstrdup(load->file);
	if (asprintf(&place, "%s:%u", path, (unsigned)config_setting_source_line(setting)) < 0)
		abort();
	return place;
}

/* Prefixes the message with place and path. */
static int
fail(const struct load *load, const config_setting_t *setting, const char *path)
{
	AUTO_FREE char *place = place_of(load, setting);

	return err_prefix(load->err, "%s: %s", place, path);
}

static struct conf_value
value_of(const config_setting_t *setting)
{
	switch (config_setting_type(setting)) {
	case CONFIG_TYPE_BOOL:
		return (struct conf_value){ CONF_IS_BOOL, config_setting_get_bool(setting), NULL };
	case CONFIG_TYPE_INT:
	case CONFIG_TYPE_INT64:
		return (struct conf_value){ CONF_IS_INT, config_setting_get_int64(setting), NULL };
	case CONFIG_TYPE_FLOAT:
		return (struct conf_value){ CONF_IS_FLOAT, 0, NULL };
	case CONFIG_TYPE_STRING:
		return (struct conf_value){ CONF_IS_STRING, 0, config_setting_get_string(setting) };
	default:
		return (struct conf_value){ CONF_IS_OTHER, 0, NULL };
	}
}

/* A scalar, or a list of them. */
static int
load_values(const struct load *load, const config_setting_t *setting, const char *path,
    const struct conf_item *item, void *target)
{
	AUTO_FREE struct conf_value *values = NULL;
	AUTO_FREE char *place = NULL;
	bool is_list = config_setting_is_list(setting) || config_setting_is_array(setting);
	size_t n = is_list ? (size_t)config_setting_length(setting) : 1;

	values = xcalloc(n, sizeof *values);
	for (size_t i = 0; i < n; i++)
		values[i] =
		    value_of(is_list ? config_setting_get_elem(setting, (unsigned)i) : setting);
	if (conf_store(item, target, values, n, is_list, load->err) < 0)
		return fail(load, setting, path);
	if (item->check == NULL)
		return 0;
	place = place_of(load, setting);
	if (item->check((char *)target + item->offset, place, load->err) < 0)
		return fail(load, setting, path);
	return 0;
}

static int
load_groups(const struct load *load, const config_setting_t *list, const char *path,
    const struct conf_item *item, void *target)
{
	struct conf_groups *groups = (void *)((char *)target + item->offset);

	if (!config_setting_is_list(list)) {
		err_set(load->err, EX_CONFIG, "expected a list of groups: ( { ... }, { ... } )");
		return fail(load, list, path);
	}
	for (int i = 0; i < config_setting_length(list); i++) {
		const config_setting_t *group = config_setting_get_elem(list, (unsigned)i);
		AUTO_FREE char *place = place_of(load, group);
		void *element;

		if (!config_setting_is_group(group)) {
			err_set(load->err, EX_CONFIG, "expected a group: { ... }");
			return fail(load, group, path);
		}
		element = conf_groups_add(item, groups);
		if (load_group(load, group, "", path, item->items, element) < 0)
			return -1;
		if (item->check != NULL && item->check(element, place, load->err) < 0)
			return fail(load, group, path);
	}
	return 0;
}

static bool
has_settings_below(const struct conf_item *schema, const char *path)
{
	size_t n = strlen(path);

	for (; schema->path != NULL; schema++) {
		if (strncmp(schema->path, path, n) == 0 && schema->path[n] == '.')
			return true;
	}
	return false;
}

const struct conf_item *
conf_find(const struct conf_item *schema, const char *path)
{
	for (; schema->path != NULL; schema++) {
		if (strcmp(schema->path, path) == 0)
			return schema;
	}
	return NULL;
}

/* prefix: where the group stands in the schema's table; shown: where in the file. */
static int
load_setting(const struct load *load, const config_setting_t *setting, const char *prefix,
    const char *shown, const struct conf_item *schema, void *target)
{
	const char *name = config_setting_name(setting);
	const struct conf_item *item;
	char path[PATH_MAX_TEXT], where[PATH_MAX_TEXT];

	snprintf(path, sizeof path, "%s%s%s", prefix, *prefix != '\0' ? "." : "", name);
	snprintf(where, sizeof where, "%s%s%s", shown, *shown != '\0' ? "." : "", name);
	item = conf_find(schema, path);
	if (item != NULL && item->type == CONF_GROUPS)
		return load_groups(load, setting, where, item, target);
	if (item != NULL)
		return load_values(load, setting, where, item, target);
	if (!has_settings_below(schema, path) && load->lenient)
		return 0;
	if (!has_settings_below(schema, path))
		err_set(load->err, EX_CONFIG, "unknown setting");
	else if (!config_setting_is_group(setting))
		err_set(load->err, EX_CONFIG, "expected a group: { ... }");
	else
		return load_group(load, setting, path, where, schema, target);
	return fail(load, setting, where);
}

static int
load_group(const struct load *load, const config_setting_t *group, const char *prefix,
    const char *shown, const struct conf_item *schema, void *target)
{
	for (int i = 0; i < config_setting_length(group); i++) {
		if (load_setting(load, config_setting_get_elem(group, (unsigned)i), prefix, shown,
			schema, target) < 0)
			return -1;
	}
	return 0;
}

static int
fail_syntax(const struct load *load, const config_t *config)
{
	const char *name = config_error_file(config);
	AUTO_FREE char *path = NULL;

	path = name != NULL ? conf_include_path(load->file, name) : xstrdup(load->file);
	return err_set(load->err, EX_CONFIG, "%s:%d: %s", path, config_error_line(config),
	    config_error_text(config));
}

/* libconfig (1.5) takes a comment in the last line for an error where no line break ends it. */
static int
read_text(config_t *config, const char *text, size_t len)
{
	char *ended = xmalloc(len + 2);
	int result;

	memcpy(ended, text, len);
	memcpy(ended + len, "\n", 2);
	result = config_read_string(config, ended);
	explicit_bzero(ended, len); /* there may be a password in it */
	free(ended);
	return result;
}

int
conf_load(const char *file, const struct conf_item *schema, void *target, struct err *err)
{
	AUTO_BUF struct buf text = BUF_INIT(CONF_FILE_MAX);
	AUTO(config_destroy) config_t config;
	AUTO_FREE char *directory = NULL;
	struct load load = { .file = file, .err = err };

	config_init(&config);
	if (conf_scan(file, &text, err) < 0)
		return -1;
	directory = conf_include_path(file, ".");
	config_set_include_dir(&config, directory);
	if (read_text(&config, text.s, text.len) != CONFIG_TRUE)
		return fail_syntax(&load, &config);
	return load_group(&load, config_root_setting(&config), "", "", schema, target);
}

static bool
knows(const struct conf_item *schema, const char *name)
{
	return conf_find(schema, name) != NULL || has_settings_below(schema, name);
}

int
conf_parse(const char *text, size_t len, const char *place, const struct conf_target *targets,
    size_t n, struct err *err)
{
	AUTO(config_destroy) config_t config;
	struct load load = { .file = place, .lenient = true, .err = err };
	const config_setting_t *root;

	config_init(&config);
	if (conf_scan_text(text, len, place, err) < 0)
		return -1;
	if (read_text(&config, text, len) != CONFIG_TRUE)
		return fail_syntax(&load, &config);
	root = config_root_setting(&config);
	for (int i = 0; i < config_setting_length(root); i++) {
		const config_setting_t *setting = config_setting_get_elem(root, (unsigned)i);
		size_t t = 0;

		while (t < n && !knows(targets[t].schema, config_setting_name(setting)))
			t++;
		if (t < n &&
		    load_setting(&load, setting, "", "", targets[t].schema, targets[t].target) < 0)
			return -1;
	}
	return 0;
}
