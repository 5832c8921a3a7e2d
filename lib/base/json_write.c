#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/utf8.h"

static const char *const kind_names[] = {
	[JSON_NULL] = "null",
	[JSON_BOOL] = "true or false",
	[JSON_INT] = "a whole number",
	[JSON_DOUBLE] = "a number",
	[JSON_STRING] = "a string",
	[JSON_ARRAY] = "an array",
	[JSON_OBJECT] = "an object",
	[JSON_MARK] = "a string",
};

const char *
json_kind_name(enum json_kind kind)
{
	return kind_names[kind];
}

const struct json *
json_get_set(const struct json *object, const char *key)
{
	const struct json *value = json_get(object, key);

	return json_kind(value) == JSON_NULL ? NULL : value;
}

const char *
json_string(const struct json *value)
{
	return json_string_view(value).s;
}

static void
put(struct json_writer *w, const char *bytes, size_t n)
{
	if (!w->failed && buf_add(w->out, bytes, n) < 0)
		w->failed = true;
}

/* A whole value, or what opens one. */
static void
put_value(struct json_writer *w, const char *text, size_t n, bool comma_behind)
{
	if (w->comma)
		put(w, ",", 1);
	put(w, text, n);
	w->comma = comma_behind;
}

static void
put_end(struct json_writer *w, const char *bracket)
{
	put(w, bracket, 1);
	w->comma = true;
}

void
json_begin_object(struct json_writer *w)
{
	put_value(w, "{", 1, false);
}

void
json_end_object(struct json_writer *w)
{
	put_end(w, "}");
}

void
json_begin_array(struct json_writer *w)
{
	put_value(w, "[", 1, false);
}

void
json_end_array(struct json_writer *w)
{
	put_end(w, "]");
}

void
json_key(struct json_writer *w, const char *key)
{
	json_put_str(w, key);
	put(w, ":", 1);
	w->comma = false;
}

/* The escape for the first character of s, or NULL where it may stand as it is.  *ret_len: how many
 * bytes of s it is about.  C1 controls are escaped too: the text may end on a terminal. */
static const char *
escape(const char *s, size_t len, char text[8], size_t *ret_len)
{
	unsigned char c = (unsigned char)*s;

	*ret_len = 1;
	switch (c) {
	case '"':
		return "\\\"";
	case '\\':
		return "\\\\";
	case '\n':
		return "\\n";
	case '\r':
		return "\\r";
	case '\t':
		return "\\t";
	default:
		break;
	}
	if (c < 0x20 || c == 0x7f) {
		snprintf(text, 8, "\\u%04x", c);
		return text;
	}
	if (c < 0x80)
		return NULL;
	*ret_len = utf8_sequence(s, len);
	if (*ret_len == 0) {
		*ret_len = 1;
		return "\xef\xbf\xbd";
	}
	if (c == 0xc2 && (unsigned char)s[1] < 0xa0) {
		snprintf(text, 8, "\\u%04x", (unsigned char)s[1]);
		return text;
	}
	return NULL;
}

void
json_put_string(struct json_writer *w, const char *s, size_t len)
{
	size_t run = 0, i = 0;

	put_value(w, "\"", 1, true);
	while (i < len) {
		unsigned char c = (unsigned char)s[i];
		char text[8];
		const char *instead;
		size_t n;

		if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\') {
			i++;
			continue;
		}
		instead = escape(s + i, len - i, text, &n);

		if (instead != NULL) {
			put(w, s + run, i - run);
			put(w, instead, strlen(instead));
			run = i + n;
		}
		i += n;
	}
	put(w, s + run, i - run);
	put(w, "\"", 1);
}

void
json_put_str(struct json_writer *w, const char *str)
{
	json_put_string(w, str, strlen(str));
}

void
json_put_int(struct json_writer *w, int64_t number)
{
	char text[24];
	int n = snprintf(text, sizeof text, "%lld", (long long)number);

	put_value(w, text, (size_t)n, true);
}

void
json_put_double(struct json_writer *w, double number)
{
	char text[40];
	int n = 0;

	if (!isfinite(number)) {
		json_put_null(w);
		return;
	}
	for (int digits = 15; digits <= 17; digits++) {
		n = snprintf(text, sizeof text, "%.*g", digits, number);
		if (strtod(text, NULL) == number)
			break;
	}
	put_value(w, text, (size_t)n, true);
}

void
json_put_bool(struct json_writer *w, bool truth)
{
	put_value(w, truth ? "true" : "false", truth ? 4 : 5, true);
}

void
json_put_null(struct json_writer *w)
{
	put_value(w, "null", 4, true);
}

void
json_member_str(struct json_writer *w, const char *key, const char *str)
{
	if (str == NULL)
		return;
	json_key(w, key);
	json_put_str(w, str);
}

void
json_member_int(struct json_writer *w, const char *key, int64_t number)
{
	json_key(w, key);
	json_put_int(w, number);
}

void
json_member_bool(struct json_writer *w, const char *key, bool truth)
{
	json_key(w, key);
	json_put_bool(w, truth);
}

int
json_finish(const struct json_writer *w)
{
	if (!w->failed)
		return 0;
	errno = E2BIG;
	return -1;
}
