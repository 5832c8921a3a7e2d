/*
 * Fuzzing: a harness is a file of this folder that defines one function,
 *
 *	#include "fuzz.h"
 *
 *	FUZZ(bytes, n)
 *	{
 *		...give the n bytes to the code under test; FUZZ_CHECK what holds for every input...
 *	}
 *
 * "make fuzz" links it with libFuzzer.  Without libFuzzer it is a program of its own that runs the files
 * and folders named on the command line (tests/fuzz/seeds/NAME), and of each file its prefixes too, as most
 * reads past an end are seen there: so each check runs all seeds, with any compiler.
 *
 * Harnesses write nothing to disk, and give the same result for the same bytes.
 */
#ifndef FUZZ_FUZZ_H
#define FUZZ_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/auto.h"

#define FUZZ_HELPER static __attribute__((unused))

#define FUZZ(bytes, n)                                                                             \
	int LLVMFuzzerTestOneInput(const uint8_t *fuzz_bytes, size_t fuzz_n);                      \
	static void fuzz_one(const char *bytes, size_t n);                                         \
	int LLVMFuzzerTestOneInput(const uint8_t *fuzz_bytes, size_t fuzz_n)                       \
	{                                                                                          \
		fuzz_one((const char *)fuzz_bytes, fuzz_n);                                        \
		return 0;                                                                          \
	}                                                                                          \
	FUZZ_MAIN                                                                                  \
	static void fuzz_one(const char *bytes, size_t n)

/* Ends the program, which libFuzzer takes for a crash. */
#define FUZZ_CHECK(cond)                                                                           \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			fprintf(stderr, "%s:%d: expected %s\n", __FILE__, __LINE__, #cond);        \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

/* A copy of exactly these bytes, so that a read past them is seen.  To be freed. */
FUZZ_HELPER char *
fuzz_copy(const char *bytes, size_t n)
{
	char *copy = malloc(n > 0 ? n : 1);

	if (copy == NULL)
		abort();
	return n > 0 ? memcpy(copy, bytes, n) : copy;
}

/* The same, terminated, and cut at the first NUL. */
FUZZ_HELPER char *
fuzz_text(const char *bytes, size_t n)
{
	char *text = strndup(n > 0 ? bytes : "", n);

	if (text == NULL)
		abort();
	return text;
}

/* A file that holds these bytes; the same one at each call, emptied before.  Not to be closed. */
FUZZ_HELPER int
fuzz_file(const char *bytes, size_t n)
{
	static int fd = -1;

	if (fd < 0)
		fd = memfd_create("fuzz", MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, 0) < 0 || pwrite(fd, bytes, n, 0) != (ssize_t)n ||
	    lseek(fd, 0, SEEK_SET) != 0) {
		perror("memfd");
		exit(2);
	}
	return fd;
}

/* The first byte (0 if there is none) is taken off and returned: what a harness chooses by. */
FUZZ_HELPER unsigned char
fuzz_choice(const char **bytes, size_t *n)
{
	if (*n == 0)
		return 0;
	(*n)--;
	return (unsigned char)*(*bytes)++;
}

#ifdef FUZZ_ENGINE
#define FUZZ_MAIN
#else
#include <ftw.h>

#define FUZZ_PREFIXES 400 /* of one file */

static int (*fuzz_run)(const uint8_t *bytes, size_t n);
static unsigned long fuzz_runs;

FUZZ_HELPER void
fuzz_prefix(const char *bytes, size_t n)
{
	char *copy = fuzz_copy(bytes, n);

	fuzz_run((const uint8_t *)copy, n);
	free(copy);
	fuzz_runs++;
}

FUZZ_HELPER int
fuzz_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	FILE *f = type == FTW_F ? fopen(path, "re") : NULL;
	size_t size = (size_t)st->st_size, step = size / FUZZ_PREFIXES + 1;
	char *bytes;

	(void)ftw;
	if (type != FTW_F)
		return 0;
	bytes = malloc(size + 1);
	if (f == NULL || bytes == NULL || fread(bytes, 1, size, f) != size) {
		perror(path);
		exit(2);
	}
	fclose(f);
	/* What fails comes right behind its name. */
	printf("%s\n", path);
	fflush(stdout);
	for (size_t n = 0; n < size; n += step)
		fuzz_prefix(bytes, n);
	fuzz_prefix(bytes, size);
	free(bytes);
	return 0;
}

FUZZ_HELPER int
fuzz_main(char **paths, int (*run)(const uint8_t *bytes, size_t n))
{
	fuzz_run = run;
	for (; *paths != NULL; paths++)
		if (nftw(*paths, fuzz_entry, 16, FTW_PHYS) != 0) {
			perror(*paths);
			return 2;
		}
	printf("%lu runs\n", fuzz_runs);
	return fuzz_runs > 0 ? 0 : 1;
}

#define FUZZ_MAIN                                                                                  \
	int main(int argc, char **argv)                                                            \
	{                                                                                          \
		(void)argc;                                                                        \
		return fuzz_main(argv + 1, LLVMFuzzerTestOneInput);                                \
	}
#endif

#endif
