/* The words of JSON (RFC 8259 sections 2, 6 and 7); used by json.c alone. */
#ifndef BASE_JSON_LEX_H
#define BASE_JSON_LEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

struct json_lexer {
	const char *text;
	size_t len, at;
	uint64_t line;	    /* of the byte at at */
	size_t line_start;  /* where that line begins */
	struct buf scratch; /* strings with escapes; its maximum is len */
	struct err *err;
};

struct json_number {
	bool whole;
	int64_t integer; /* where whole */
	double real;	 /* else */
};

/* The byte at at, -1 at the end. */
int json_peek(const struct json_lexer *lx);
void json_skip_space(struct json_lexer *lx);
/* At the opening quote; goes behind the closing one.  *ret lies in the text, or in scratch where
 * there were escapes, and is good until the next string. */
int json_read_string(struct json_lexer *lx, struct view *ret);
int json_read_number(struct json_lexer *lx, struct json_number *ret);

/* Fill err with line, byte and what is wrong at (the place in) the text; return -1. */
int json_fail(struct json_lexer *lx, const char *what);
int json_fail_at(struct json_lexer *lx, size_t at, const char *what);

#endif
