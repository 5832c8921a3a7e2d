/*
 * Unit tests.  A file is a program of its own:
 *
 *	#include "unit.h"
 *
 *	TEST(buf_grows)
 *	{
 *		CHECK_INT(b.len, 3);
 *	}
 *
 *	UNIT_MAIN()
 *
 * Tests run in the order of the file; a test goes on after a failed check, and its line tells the
 * first: "ok NAME" or "not ok NAME: FILE:LINE: what was expected".  Further failures follow as
 * comments.  With arguments the program runs only the tests so named.  It exits 1 if any failed.
 */
#ifndef UNIT_UNIT_H
#define UNIT_UNIT_H

#include <ftw.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct unit_test {
	const char *name;
	void (*run)(void);
	struct unit_test *next;
};

static struct unit_test *unit_first, **unit_last = &unit_first;
static const char *unit_current;
static int unit_failures; /* in the current test */

#define UNIT_HELPER static __attribute__((unused))

#define TEST(test_name)                                                                            \
	static void test_name(void);                                                               \
	static struct unit_test unit_##test_name = { #test_name, test_name, NULL };                \
	__attribute__((constructor)) static void unit_register_##test_name(void)                   \
	{                                                                                          \
		*unit_last = &unit_##test_name;                                                    \
		unit_last = &unit_##test_name.next;                                                \
	}                                                                                          \
	static void test_name(void)

/* For a table's loop: name says which row, printed with what failed. */
#define CHECK_ROW(name, cond)                                                                      \
	do {                                                                                       \
		if (!(cond))                                                                       \
			unit_fail(__FILE__, __LINE__, "[%s] expected %s", name, #cond);            \
	} while (0)
#define CHECK(cond)                                                                                \
	do {                                                                                       \
		if (!(cond))                                                                       \
			unit_fail(__FILE__, __LINE__, "expected %s", #cond);                       \
	} while (0)
#define CHECK_INT(got, want) unit_int(__FILE__, __LINE__, #got, (intmax_t)(got), (intmax_t)(want))
#define CHECK_STR(got, want) unit_str(__FILE__, __LINE__, #got, got, want)
#define CHECK_MEM(got, got_len, want, want_len)                                                    \
	unit_mem(__FILE__, __LINE__, #got, got, got_len, want, want_len)

UNIT_HELPER __attribute__((format(printf, 3, 4))) void
unit_fail(const char *file, int line, const char *fmt, ...)
{
	va_list ap;

	if (unit_failures++ == 0)
		printf("not ok %s: %s:%d: ", unit_current, file, line);
	else
		printf("# %s: %s:%d: ", unit_current, file, line);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
}

UNIT_HELPER void
unit_int(const char *file, int line, const char *what, intmax_t got, intmax_t want)
{
	if (got != want)
		unit_fail(file, line, "%s is %" PRIdMAX ", expected %" PRIdMAX, what, got, want);
}

/* Prints bytes so that every one of them is seen. */
UNIT_HELPER void
unit_quote(const char *label, const void *bytes, size_t n)
{
	const unsigned char *p = bytes;

	printf("#   %s ", label);
	if (bytes == NULL) {
		puts("NULL");
		return;
	}
	putchar('"');
	for (size_t i = 0; i < n; i++) {
		if (p[i] == '\n')
			printf("\\n");
		else if (p[i] == '\r')
			printf("\\r");
		else if (p[i] == '\t')
			printf("\\t");
		else if (p[i] == '"' || p[i] == '\\')
			printf("\\%c", p[i]);
		else if (p[i] < 0x20 || p[i] >= 0x7f)
			printf("\\x%02x", p[i]);
		else
			putchar(p[i]);
	}
	puts("\"");
}

UNIT_HELPER void
unit_mem(const char *file, int line, const char *what, const void *got, size_t got_len,
    const void *want, size_t want_len)
{
	if (got_len == want_len && (want_len == 0 || memcmp(got, want, want_len) == 0))
		return;
	unit_fail(file, line, "%s is not as expected (%zu bytes, expected %zu)", what, got_len,
	    want_len);
	unit_quote("got ", got, got_len);
	unit_quote("want", want, want_len);
}

UNIT_HELPER void
unit_str(const char *file, int line, const char *what, const char *got, const char *want)
{
	if (got == want || (got != NULL && want != NULL && strcmp(got, want) == 0))
		return;
	unit_fail(file, line, "%s is not as expected", what);
	unit_quote("got ", got, got != NULL ? strlen(got) : 0);
	unit_quote("want", want, want != NULL ? strlen(want) : 0);
}

UNIT_HELPER int
unit_remove(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static char unit_directory[256];

UNIT_HELPER void
unit_cleanup(void)
{
	nftw(unit_directory, unit_remove, 16, FTW_DEPTH | FTW_PHYS);
}

/* A directory of this program's own, made at the first call and removed at exit. */
UNIT_HELPER const char *
unit_tmpdir(void)
{
	const char *above = getenv("TMPDIR");

	if (*unit_directory != '\0')
		return unit_directory;
	snprintf(unit_directory, sizeof unit_directory, "%s/unit-XXXXXX",
	    above != NULL ? above : "/tmp");
	if (mkdtemp(unit_directory) == NULL) {
		perror(unit_directory);
		exit(2);
	}
	atexit(unit_cleanup);
	return unit_directory;
}

UNIT_HELPER int
unit_wanted(const char *name, char **names)
{
	if (*names == NULL)
		return 1;
	for (; *names != NULL; names++)
		if (strcmp(name, *names) == 0)
			return 1;
	return 0;
}

UNIT_HELPER int
unit_run_all(char **names)
{
	int failed = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (const struct unit_test *test = unit_first; test != NULL; test = test->next) {
		if (!unit_wanted(test->name, names))
			continue;
		unit_current = test->name;
		unit_failures = 0;
		test->run();
		if (unit_failures == 0)
			printf("ok %s\n", test->name);
		else
			failed = 1;
	}
	return failed;
}

#define UNIT_MAIN()                                                                                \
	int main(int argc, char **argv)                                                            \
	{                                                                                          \
		(void)argc;                                                                        \
		return unit_run_all(argv + 1);                                                     \
	}

#endif
