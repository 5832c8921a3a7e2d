/*
 * struct err: a failure that a user may hear of.
 *
 * Two error conventions hold in the whole tree.  Leaf helpers return 0 or -1 with errno.  What a
 * user may hear of fills a struct err: a code of sysexits.h (which is also the retry class:
 * EX_TEMPFAIL means "try again") and a message that names the place and what was expected.  The
 * message is printed once, at the top, by the program's main().
 *
 *	struct err err = ERR_INIT;
 *	if (spool_open(&spool, path, &err) < 0)
 *		return err_print(&err);
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <sysexits.h>

struct err {
	int code;      /* 0 or a code of sysexits.h */
	char msg[600]; /* one line, without a newline, control characters escaped; cut with "..." */
};

#define ERR_INIT                                                                                   \
	{                                                                                          \
		.code = 0, .msg = ""                                                               \
	}

/* Fills err (which may be NULL) and returns -1, so that callers can "return err_set(...)". */
int err_set(struct err *err, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* The text of an errno, which may be one of base/fs.h. */
const char *err_text(int number);

/* As err_set, with ": " and the text of errno behind the message.  Keeps errno. */
int err_sys(struct err *err, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* As err_sys, with the code that errno suggests: 75 where space or quota ran out, else 74. */
int err_io(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Puts "PREFIX: " before the message (for a file and line around a deeper fault).  Returns -1. */
int err_prefix(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Prints "program: message" on stderr and returns err->code (EX_SOFTWARE if that is 0). */
int err_print(const struct err *err);

#endif
