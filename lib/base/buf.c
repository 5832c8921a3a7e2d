#include "base/buf.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

char buf_empty[1];

void
buf_init(struct buf *b, size_t max)
{
	*b = (struct buf)BUF_INIT(max);
}

void
buf_release(struct buf *b)
{
	int saved = errno;

	if (b->cap > 0)
		free(b->s);
	buf_init(b, b->max);
	errno = saved;
}

void
buf_clear(struct buf *b)
{
	b->len = 0;
	if (b->cap > 0)
		b->s[0] = '\0';
}

int
buf_reserve(struct buf *b, size_t more)
{
	size_t need, cap;

	if (more > b->max || b->len > b->max - more) {
		errno = E2BIG;
		return -1;
	}
	need = b->len + more + 1;
	if (need <= b->cap)
		return 0;
	cap = b->cap > 0 ? b->cap : 64;
	while (cap < need)
		cap = cap > SIZE_MAX / 2 ? need : cap * 2;
	if (b->cap > 0) {
		b->s = xrealloc(b->s, cap);
	} else {
		b->s = xmalloc(cap);
		b->s[0] = '\0';
	}
	b->cap = cap;
	return 0;
}

int
buf_add(struct buf *b, const void *bytes, size_t n)
{
	if (n == 0)
		return 0;
	if (buf_reserve(b, n) < 0)
		return -1;
	memcpy(b->s + b->len, bytes, n);
	b->len += n;
	b->s[b->len] = '\0';
	return 0;
}

int
buf_adds(struct buf *b, const char *str)
{
	return buf_add(b, str, strlen(str));
}

int
buf_addc(struct buf *b, char c)
{
	return buf_add(b, &c, 1);
}

int
buf_addv(struct buf *b, const char *fmt, va_list ap)
{
	size_t room = b->cap > b->len ? b->cap - b->len : 0;
	va_list again;
	int n;

	/* Mostly it fits where there is room already; else it is measured by this first try. */
	va_copy(again, ap);
	n = vsnprintf(room > 0 ? b->s + b->len : NULL, room, fmt, again);
	va_end(again);
	if (n < 0 || (size_t)n >= room || (size_t)n > b->max - b->len) {
		if (room > 0)
			b->s[b->len] = '\0';
		if (n < 0 || buf_reserve(b, (size_t)n) < 0)
			return -1;
		if (n > 0)
			vsnprintf(b->s + b->len, (size_t)n + 1, fmt, ap);
	}
	b->len += (size_t)n;
	return 0;
}

int
buf_addf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	int result;

	va_start(ap, fmt);
	result = buf_addv(b, fmt, ap);
	va_end(ap);
	return result;
}

void
buf_consume(struct buf *b, size_t n)
{
	if (n == 0)
		return;
	b->len -= n;
	memmove(b->s, b->s + n, b->len);
	b->s[b->len] = '\0';
}

void
buf_truncate(struct buf *b, size_t len)
{
	b->len = len;
	if (b->cap > 0)
		b->s[len] = '\0';
}

struct view
buf_view(const struct buf *b)
{
	return (struct view){ b->s, b->len };
}

struct view
view_str(const char *str)
{
	return (struct view){ str, strlen(str) };
}

int
view_is(struct view v, const char *str)
{
	return v.len == strlen(str) && memcmp(v.s, str, v.len) == 0;
}

void *
xmalloc(size_t n)
{
	void *p = malloc(n > 0 ? n : 1);

	if (p == NULL)
		abort();
	return p;
}

void *
xcalloc(size_t n, size_t size)
{
	void *p = calloc(n > 0 ? n : 1, size > 0 ? size : 1);

	if (p == NULL)
		abort();
	return p;
}

void *
xrealloc(void *p, size_t n)
{
	p = realloc(p, n > 0 ? n : 1);
	if (p == NULL)
		abort();
	return p;
}

void *
xreallocarray(void *p, size_t n, size_t size)
{
	p = reallocarray(p, n > 0 ? n : 1, size > 0 ? size : 1);
	if (p == NULL)
		abort();
	return p;
}

char *
xstrdup(const char *s)
{
	return xstrndup(s, strlen(s));
}

char *
xstrndup(const char *s, size_t n)
{
	char *copy = xmalloc(n + 1);

	memcpy(copy, s, n);
	copy[n] = '\0';
	return copy;
}
