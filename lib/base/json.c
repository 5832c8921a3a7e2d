/*
 * The reader is our own: json-c's lets pass, even when told to be strict, what RFC 8259 forbids or
 * leaves to chance (a key twice, numbers cut to 64 bits, lone surrogates).  json-c keeps the tree:
 * its objects are the members in order and a seeded hash table.
 */
#include <json-c/json_object.h>
#include <json-c/linkhash.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/json_lex.h"
#include "base/json_spill.h"

/* json-c has no object for null. */
static const char null_mark;
#define NULL_VALUE ((const struct json *)(const void *)&null_mark)

struct reader {
	struct json_lexer lx;
	size_t values;
	bool marked; /* there may be marks */
};

static int read_value(struct reader *r, int depth, struct json_object **ret);

static int
read_number(struct json_lexer *lx, struct json_object **ret)
{
	struct json_number number;

	if (json_read_number(lx, &number) < 0)
		return -1;
	*ret = number.whole ? json_object_new_int64(number.integer) :
			      json_object_new_double(number.real);
	return 0;
}

static int
read_array(struct reader *r, int depth, struct json_object *array)
{
	struct json_lexer *lx = &r->lx;

	lx->at++;
	json_skip_space(lx);
	if (json_peek(lx) == ']') {
		lx->at++;
		return 0;
	}
	for (;;) {
		struct json_object *value;

		if (read_value(r, depth + 1, &value) < 0)
			return -1;
		if (json_object_array_add(array, value) < 0)
			abort();
		json_skip_space(lx);
		if (json_peek(lx) == ']')
			break;
		if (json_peek(lx) != ',')
			return json_fail(lx, "expected \",\" or \"]\"");
		lx->at++;
	}
	lx->at++;
	return 0;
}

static int
read_member(struct reader *r, int depth, struct json_object *object)
{
	struct json_lexer *lx = &r->lx;
	struct json_object *value;
	AUTO_FREE char *key = NULL;
	struct view name;
	size_t start = lx->at;

	if (json_peek(lx) != '"')
		return json_fail(lx, "expected a key in quotes");
	if (json_read_string(lx, &name) < 0)
		return -1;
	key = xstrndup(name.s, name.len);
	if (json_object_object_get_ex(object, key, NULL))
		return json_fail_at(lx, start, "this key occurs twice in its object");
	json_skip_space(lx);
	if (json_peek(lx) != ':')
		return json_fail(lx, "expected \":\"");
	lx->at++;
	if (read_value(r, depth + 1, &value) < 0)
		return -1;
	if (json_object_object_add_ex(object, key, value, JSON_C_OBJECT_ADD_KEY_IS_NEW) < 0)
		abort();
	return 0;
}

static int
read_object(struct reader *r, int depth, struct json_object *object)
{
	struct json_lexer *lx = &r->lx;

	lx->at++;
	json_skip_space(lx);
	if (json_peek(lx) == '}') {
		lx->at++;
		return 0;
	}
	for (;;) {
		json_skip_space(lx);
		if (read_member(r, depth, object) < 0)
			return -1;
		json_skip_space(lx);
		if (json_peek(lx) == '}')
			break;
		if (json_peek(lx) != ',')
			return json_fail(lx, "expected \",\" or \"}\"");
		lx->at++;
	}
	lx->at++;
	return 0;
}

static int
read_word(struct json_lexer *lx, struct json_object **ret)
{
	static const char *const words[] = { "true", "false", "null" };

	for (size_t i = 0; i < 3; i++) {
		size_t n = strlen(words[i]);

		if (lx->len - lx->at >= n && memcmp(lx->text + lx->at, words[i], n) == 0) {
			lx->at += n;
			*ret = i < 2 ? json_object_new_boolean(i == 0) : NULL;
			return 0;
		}
	}
	return json_fail(lx, "expected a value");
}

/* A mark is a boolean with something beside it: its number, and one more so that this is not NULL. */
static int
read_mark(struct json_lexer *lx, struct json_object **ret)
{
	size_t start = lx->at;
	unsigned long long number[2] = { 0, 0 };

	lx->at++;
	for (int i = 0; i < 2; i++, lx->at++)
		while (json_peek(lx) >= '0' && json_peek(lx) <= '9')
			number[i] = number[i] * 10 + (unsigned long long)(lx->text[lx->at++] - '0');
	if (lx->at > lx->len || lx->text[lx->at - 1] != JSON_SPILL_MARK) {
		lx->at = start;
		return json_fail(lx, "expected a value");
	}
	/* Places behind it are told as the client wrote them. */
	lx->line_start -= (size_t)number[1] - (lx->at - start);
	*ret = json_object_new_boolean(0);
	json_object_set_userdata(*ret, (void *)(uintptr_t)(number[0] + 1), NULL);
	return 0;
}

/* *ret is json-c's own, where NULL is null. */
static int
read_value(struct reader *r, int depth, struct json_object **ret)
{
	struct json_lexer *lx = &r->lx;
	struct json_object *made;
	struct view string;
	int c;

	json_skip_space(lx);
	c = json_peek(lx);
	if (++r->values > JSON_MAX_VALUES)
		return json_fail(lx, "more than a million values");
	if (c == '{' || c == '[') {
		if (depth >= JSON_MAX_DEPTH)
			return json_fail(lx, "nested deeper than 64");
		made = c == '{' ? json_object_new_object() : json_object_new_array();
		if ((c == '{' ? read_object(r, depth, made) : read_array(r, depth, made)) < 0) {
			json_object_put(made);
			return -1;
		}
		*ret = made;
		return 0;
	}
	if (c == '"') {
		if (json_read_string(lx, &string) < 0)
			return -1;
		*ret = json_object_new_string_len(string.s, (int)string.len);
		return 0;
	}
	if (c == '-' || (c >= '0' && c <= '9'))
		return read_number(lx, ret);
	if (c == JSON_SPILL_MARK && r->marked)
		return read_mark(lx, ret);
	return read_word(lx, ret);
}

static const struct json *
wrap(const struct json_object *value)
{
	return value != NULL ? (const struct json *)value : NULL_VALUE;
}

static struct json_object *
unwrap(const struct json *value)
{
	return value != NULL_VALUE ? (struct json_object *)(uintptr_t)value : NULL;
}

static struct json *
parse(const char *text, size_t len, uint64_t first_line, bool marked, struct err *err)
{
	struct reader r = {
		.lx = { .text = text, .len = len, .line = first_line, .err = err },
		.marked = marked,
	};
	struct json_object *root = NULL;
	int result;

	if (len > INT32_MAX) {
		err_set(err, EX_DATAERR, "the JSON text is longer than 2 GiB");
		return NULL;
	}
	buf_init(&r.lx.scratch, len);
	result = read_value(&r, 0, &root);
	if (result == 0) {
		json_skip_space(&r.lx);
		if (r.lx.at < r.lx.len) {
			result = json_fail(&r.lx, "expected nothing after the value");
			json_object_put(root);
		}
	}
	buf_release(&r.lx.scratch);
	return result < 0 ? NULL : (struct json *)(uintptr_t)wrap(root);
}

struct json *
json_parse(const char *text, size_t len, uint64_t first_line, struct err *err)
{
	return parse(text, len, first_line, false, err);
}

struct json *
json_parse_marked(const char *text, size_t len, uint64_t first_line, struct err *err)
{
	return parse(text, len, first_line, true, err);
}

void
json_free(struct json *root)
{
	if (root != NULL)
		json_object_put(unwrap(root));
}

void
auto_json_free(struct json **root)
{
	json_free(*root);
}

enum json_kind
json_kind(const struct json *value)
{
	switch (json_object_get_type(unwrap(value))) {
	case json_type_boolean:
		return json_object_get_userdata(unwrap(value)) != NULL ? JSON_MARK : JSON_BOOL;
	case json_type_int:
		return JSON_INT;
	case json_type_double:
		return JSON_DOUBLE;
	case json_type_string:
		return JSON_STRING;
	case json_type_array:
		return JSON_ARRAY;
	case json_type_object:
		return JSON_OBJECT;
	default:
		return JSON_NULL;
	}
}

const struct json *
json_get(const struct json *object, const char *key)
{
	struct json_object *value;

	if (json_kind(object) != JSON_OBJECT ||
	    !json_object_object_get_ex(unwrap(object), key, &value))
		return NULL;
	return wrap(value);
}

const struct json *
json_at(const struct json *array, size_t i)
{
	if (json_kind(array) != JSON_ARRAY || i >= json_object_array_length(unwrap(array)))
		return NULL;
	return wrap(json_object_array_get_idx(unwrap(array), i));
}

size_t
json_length(const struct json *value)
{
	switch (json_kind(value)) {
	case JSON_ARRAY:
		return json_object_array_length(unwrap(value));
	case JSON_OBJECT:
		return (size_t)json_object_object_length(unwrap(value));
	default:
		return 0;
	}
}

struct view
json_string_view(const struct json *value)
{
	if (json_kind(value) != JSON_STRING)
		return (struct view){ NULL, 0 };
	return (struct view){ json_object_get_string(unwrap(value)),
		(size_t)json_object_get_string_len(unwrap(value)) };
}

int
json_to_int(const struct json *value, int64_t *ret)
{
	if (json_kind(value) != JSON_INT)
		return -1;
	*ret = json_object_get_int64(unwrap(value));
	return 0;
}

int
json_to_double(const struct json *value, double *ret)
{
	if (json_kind(value) != JSON_INT && json_kind(value) != JSON_DOUBLE)
		return -1;
	*ret = json_object_get_double(unwrap(value));
	return 0;
}

int
json_to_bool(const struct json *value, bool *ret)
{
	if (json_kind(value) != JSON_BOOL)
		return -1;
	*ret = json_object_get_boolean(unwrap(value));
	return 0;
}

int
json_to_mark(const struct json *value, unsigned long *ret)
{
	if (json_kind(value) != JSON_MARK)
		return -1;
	*ret = (unsigned long)(uintptr_t)json_object_get_userdata(unwrap(value)) - 1;
	return 0;
}

bool
json_next(const struct json *object, struct json_iter *it, const char **ret_key,
    const struct json **ret_value)
{
	const struct lh_entry *entry = it->at;

	if (json_kind(object) != JSON_OBJECT)
		return false;
	if (!it->started)
		entry = lh_table_head(json_object_get_object(unwrap(object)));
	else if (entry != NULL)
		entry = lh_entry_next(entry);
	it->started = true;
	it->at = entry;
	if (entry == NULL)
		return false;
	*ret_key = lh_entry_k(entry);
	*ret_value = wrap(lh_entry_v(entry));
	return true;
}
