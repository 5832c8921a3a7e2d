/*
 * Forms: multipart/form-data (RFC 7578), read as it comes, in memory bounded by the headers of a part;
 * and application/x-www-form-urlencoded through the same functions.
 *
 *	struct form_reader *form = form_new(content_type, &callbacks, arg, &err);
 *	form_feed(form, bytes, n, &err) ...	for each piece of the body
 *	form_end(form, &err);			the body is complete
 *	form_free(form);
 *
 * Hostile forms cost nothing but an error: a part's headers, a field's name and a file's name have
 * bounds, as has the number of parts; names are valid UTF-8 without control characters.
 */
#ifndef HTTP_FORM_H
#define HTTP_FORM_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

#define FORM_PARTS_MAX 10000
#define FORM_HEADERS_MAX 8192 /* bytes of one part's headers */
#define FORM_NAME_MAX 255     /* bytes of a field's name, and of a file's: a longer one is cut */

struct form_part {
	const char *name; /* of the field */
	/* NULL: no file.  As it was sent, it may be empty (a file field without a file, where the content
	 * is empty too).  Directories are gone, with / and with \; "", "." and ".." come as "".
	 * What a browser writes for a quote (%22) and a line's end (%0D, %0A) is put back as "
	 * and dropped. */
	const char *filename;
	const char *type; /* its Content-Type, NULL: none was given; valid text */
};

/* Each returns 0, or -1 with err, which ends the form and is what form_feed returns. */
struct form_callbacks {
	int (*begin)(const struct form_part *part, void *arg, struct err *err);
	int (*data)(const char *bytes, size_t n, void *arg, struct err *err);
	int (*end)(void *arg, struct err *err); /* the part is complete */
};

struct form_reader;

/* Judges the Content-Type field (NULL: absent).  NULL with err (EX_DATAERR) where it is no form's. */
struct form_reader *form_new(const char *content_type, const struct form_callbacks *callbacks,
    void *arg, struct err *err);
void form_free(struct form_reader *form); /* NULL is fine */

/* 0, or -1 with err (EX_DATAERR, or a callback's own); then nothing more may be fed. */
int form_feed(struct form_reader *form, const char *bytes, size_t n, struct err *err);
/* -1 where the form is cut off: its closing boundary is missing. */
int form_end(struct form_reader *form, struct err *err);

/*
 * Reads one parameter of a field such as Content-Disposition or Content-Type ('form-data; name="a";
 * filename*=UTF-8''...'), RFC 2231's forms included (charset, continuations).  Returns 1 with the
 * value, 0 where it is absent, -1 where it is malformed or does not fit; ret is then untouched.
 */
int form_parameter(const char *field, const char *name, char *ret, size_t size);

#endif
