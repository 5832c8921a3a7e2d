/*
 * JSON on its way to json_parse or json_stream, without those of its strings that may be too long to be
 * held: the value of one of some keys, where it is long, goes to a function piece by piece, and a mark with
 * a number takes its place.  json_parse_marked makes of that a value of the kind JSON_MARK.
 *
 *	static const char *const keys[] = { "content", NULL };
 *	struct json_spill_calls calls = { .keys = keys, .min = 65536, .out = ..., .begin = ... };
 *	struct json_spill *spill = json_spill_new(&calls, arg);
 *	json_spill_feed(spill, bytes, n) ...
 *	json_spill_end(spill)
 *
 * Only members of an object that is itself an element of an array are looked at.  Nobody but this writes a
 * mark: it begins with a byte that is never right in JSON, and where that comes in it goes out as another
 * that is as wrong.  What is no JSON stays none.  Memory: min bytes.
 */
#ifndef BASE_JSON_SPILL_H
#define BASE_JSON_SPILL_H

#include <stddef.h>

/* Each returns 0, or what feed and end then return, after which they are not to be called again. */
struct json_spill_calls {
	const char *const *keys; /* as written, without escapes; NULL ends them */
	size_t min;		 /* a string of more bytes than these, as JSON, is long */
	/* What goes on to the parser. */
	int (*out)(void *arg, const char *bytes, size_t n);
	/* A long string of keys[key] begins; sets the number for its mark. */
	int (*begin)(void *arg, size_t key, unsigned long *ret_number);
	/* A piece of it, without JSON's escapes.  What is not ASCII there and escaped is handed over as
	 * bytes 0xff, one each: this is for texts in which such a character is wrong anyway. */
	int (*data)(void *arg, const char *bytes, size_t n);
	int (*end)(void *arg);
};

struct json_spill;

/* calls is copied, what it points to is not. */
struct json_spill *json_spill_new(const struct json_spill_calls *calls, void *arg);
void json_spill_free(struct json_spill *spill); /* NULL is fine */

int json_spill_feed(struct json_spill *spill, const char *bytes, size_t n);
/* The input is complete. */
int json_spill_end(struct json_spill *spill);

/* For json.c: the byte that begins and ends a mark.  Between them stand the number, a blank, and how many
 * bytes the string took, in decimal. */
#define JSON_SPILL_MARK '\1'

#endif
