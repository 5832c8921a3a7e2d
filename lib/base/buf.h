/*
 * struct buf: bytes that grow up to a maximum that was given at birth.  s is never NULL and always
 * terminated; an append that would pass max changes nothing and fails with errno = E2BIG.  Memory
 * that cannot be had aborts: every size that a stranger chooses meets a cap first, and the spool
 * survives any crash.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdarg.h>
#include <stddef.h>

#include "base/auto.h"

struct buf {
	char *s;
	size_t len;
	size_t cap; /* allocated; 0 while s is the shared empty string */
	size_t max; /* len never passes this */
};

/* Bytes that belong to somebody else, not terminated. */
struct view {
	const char *s;
	size_t len;
};

#define VIEW(literal) ((struct view){ literal, sizeof(literal) - 1 })

extern char buf_empty[1];
#define BUF_INIT(maximum)                                                                          \
	{                                                                                          \
		buf_empty, 0, 0, maximum                                                           \
	}
#define AUTO_BUF AUTO(buf_release)

void buf_init(struct buf *b, size_t max);
void buf_release(struct buf *b); /* frees, and leaves an empty buffer that may be used again */
void buf_clear(struct buf *b);	 /* empties, keeps the memory */

/* All return 0, or -1 with errno = E2BIG and the buffer unchanged. */
int buf_reserve(struct buf *b, size_t more); /* room for more bytes at s + len */
int buf_add(struct buf *b, const void *bytes, size_t n);
int buf_adds(struct buf *b, const char *str);
int buf_addc(struct buf *b, char c);
int buf_addf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int buf_addv(struct buf *b, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));

/* Removes the first n bytes (n <= len). */
void buf_consume(struct buf *b, size_t n);
/* Shortens to len (<= the present one). */
void buf_truncate(struct buf *b, size_t len);

struct view buf_view(const struct buf *b);
struct view view_str(const char *str);
/* Equal, byte for byte, to a C string. */
int view_is(struct view v, const char *str);

/* Never return NULL; abort when there is no memory. */
void *xmalloc(size_t n);
void *xcalloc(size_t n, size_t size);
void *xrealloc(void *p, size_t n);
/* A realloc for n items of a size, which aborts where the product overflows. */
void *xreallocarray(void *p, size_t n, size_t size);
char *xstrdup(const char *s);
char *xstrndup(const char *s, size_t n);

#endif
