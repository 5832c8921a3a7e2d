/*
 * Functions that no code here may call: they write without a bound, keep state that callers share,
 * hide a failure, or start a shell.  The Makefile puts this header before every file of the
 * library and the programs, so that a use is a compile error.
 */
#ifndef BASE_BANNED_H
#define BASE_BANNED_H

/* What declares them must come first. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Macros, where a compiler's fortified headers make them so. */
#undef strcpy
#undef stpcpy
#undef strcat
#undef sprintf
#undef vsprintf
#undef strncpy
#undef strncat

#pragma GCC poison strcpy stpcpy strcat sprintf vsprintf strncpy strncat gets strtok
#pragma GCC poison atoi atol atoll atof asctime ctime gmtime localtime
#pragma GCC poison system popen mktemp tmpnam

/*
 * In spool/ and cmd/: what others can put into a spool is opened by fs_open() and fs_open_dir() alone, and
 * what is acknowledged is synced by fs_sync_file(), fs_sync_dir() and fs_sync_all().
 */
#ifdef BANNED_IN_SPOOL
#pragma GCC poison openat openat64 creat fsync syncfs
#endif

#endif
