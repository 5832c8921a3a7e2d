/*
 * JSON (RFC 8259), read strictly and written safely.
 *
 * One text is one value.  Refused, with line and byte: anything but white space behind the value,
 * comments, NaN and Infinity, leading zeros, numbers that do not fit (a whole number beyond 64 bits,
 * a fraction beyond a double), a key twice in one object, bytes that are not UTF-8, lone surrogates,
 * \u0000, raw control characters, nesting deeper than JSON_MAX_DEPTH, more values than
 * JSON_MAX_VALUES.  So every string that comes out is valid UTF-8 without a NUL.
 *
 *	AUTO_JSON struct json *root = json_parse(text, len, 1, &err);
 *	if (root == NULL)
 *		return -1;
 *	const char *subject = json_string(json_get(root, "subject"));
 */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

#define JSON_MAX_DEPTH 64
#define JSON_MAX_VALUES 1000000

enum json_kind {
	JSON_NULL,
	JSON_BOOL,
	JSON_INT,    /* a number without fraction and exponent; fits int64_t */
	JSON_DOUBLE, /* any other number; finite */
	JSON_STRING,
	JSON_ARRAY,
	JSON_OBJECT,
	JSON_MARK, /* a string that went elsewhere on its way here: json_parse_marked */
};

/* A value.  The root is owned by who parsed it; all others live as long as their root. */
struct json;

/*
 * Reads len bytes that hold one value; first_line is the number of the text's first line in its
 * file, for messages ("line 7, byte 12: ...", the byte counted from 1 in its line).  Returns the
 * root, or NULL with err (EX_DATAERR).  text need not outlive the call.
 */
struct json *json_parse(const char *text, size_t len, uint64_t first_line, struct err *err);
/* The same for what came through json_spill.h, which alone can write marks. */
struct json *json_parse_marked(const char *text, size_t len, uint64_t first_line, struct err *err);
void json_free(struct json *root); /* NULL is fine */

#define AUTO_JSON AUTO(auto_json_free)
void auto_json_free(struct json **root);

/* All accept NULL (an absent value), which is of the kind JSON_NULL. */
enum json_kind json_kind(const struct json *value);
/* "a string", "an array", ...: for "expected a string, found an array". */
const char *json_kind_name(enum json_kind kind);

/* The member of an object; NULL where it is absent or value is no object.  A member that is null
 * is not NULL: it is of the kind JSON_NULL. */
const struct json *json_get(const struct json *object, const char *key);
/* As json_get, but NULL for a member that is null too: absent and null mean the same mostly. */
const struct json *json_get_set(const struct json *object, const char *key);
/* The i-th element (from 0) of an array; NULL where there is none. */
const struct json *json_at(const struct json *array, size_t i);
/* How many members or elements; 0 for other types. */
size_t json_length(const struct json *value);

/* The text of a string, terminated and without a NUL inside; NULL for other types. */
const char *json_string(const struct json *value);
/* The same with its length; {NULL, 0} for other types. */
struct view json_string_view(const struct json *value);
/* 0, or -1 where value is of another kind (JSON_INT; any number; JSON_BOOL); then *ret is untouched. */
int json_to_int(const struct json *value, int64_t *ret);
int json_to_double(const struct json *value, double *ret);
int json_to_bool(const struct json *value, bool *ret);
/* The number of a JSON_MARK. */
int json_to_mark(const struct json *value, unsigned long *ret);

/*
 * Walks the members of an object in their order in the text:
 *
 *	struct json_iter it = JSON_ITER_INIT;
 *	while (json_next(object, &it, &key, &value))
 */
struct json_iter {
	const void *at;
	bool started;
};
#define JSON_ITER_INIT                                                                             \
	{                                                                                          \
		NULL, false                                                                        \
	}
bool json_next(const struct json *object, struct json_iter *it, const char **ret_key,
    const struct json **ret_value);

/*
 * The writer appends to a buffer and puts the commas itself.  Values that outgrow the buffer's
 * maximum are remembered: json_finish tells.  Without line breaks, so a value is a line.
 *
 *	struct json_writer w = JSON_WRITER(&out);
 *	json_begin_object(&w);
 *	json_key(&w, "id");
 *	json_put_str(&w, id);
 *	json_end_object(&w);
 *	if (json_finish(&w) < 0) ...
 */
struct json_writer {
	struct buf *out;
	bool comma;
	bool failed;
};
#define JSON_WRITER(buffer)                                                                        \
	{                                                                                          \
		(buffer), false, false                                                             \
	}

void json_begin_object(struct json_writer *w);
void json_end_object(struct json_writer *w);
void json_begin_array(struct json_writer *w);
void json_end_array(struct json_writer *w);
void json_key(struct json_writer *w, const char *key);
/* Always valid JSON and UTF-8: bytes that are not UTF-8 become U+FFFD, one for each byte. */
void json_put_string(struct json_writer *w, const char *s, size_t len);
void json_put_str(struct json_writer *w, const char *str);
void json_put_int(struct json_writer *w, int64_t number);
/* As short as it is exact; NaN and infinities become null. */
void json_put_double(struct json_writer *w, double number);
void json_put_bool(struct json_writer *w, bool truth);
void json_put_null(struct json_writer *w);
/* json_key and the value in one; the first writes nothing where str is NULL. */
void json_member_str(struct json_writer *w, const char *key, const char *str);
void json_member_int(struct json_writer *w, const char *key, int64_t number);
void json_member_bool(struct json_writer *w, const char *key, bool truth);
/* 0, or -1 with errno = E2BIG where the buffer was too small for all (its content is then useless). */
int json_finish(const struct json_writer *w);

#endif
