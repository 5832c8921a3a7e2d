/*
 * What every main() does first and last:
 *
 *	int
 *	main(int argc, char **argv)
 *	{
 *		struct list_options options = { ... defaults ... };
 *		struct opt_rest rest;
 *		int code = program_start(&program, argc, argv, &options, &rest);
 *
 *		if (code >= 0)
 *			return code;
 *		return program_finish(run(&options, &rest));
 *	}
 */
#ifndef BASE_PROGRAM_H
#define BASE_PROGRAM_H

#include "base/opt.h"

/*
 * Opens descriptors 0 to 2 on /dev/null where they are closed (so that no file of ours gets such a
 * number), raises the limit of open files, sets umask 077, ignores SIGPIPE, names the log.  Called by
 * program_start; alone only by what has no table.
 */
void program_setup(const char *name);

/*
 * program_setup, then parses the command line into *options, which starts with a struct opt_common,
 * and sets the log's level from -q and -v.  Returns -1 to go on, or the exit status: 0 after --help
 * or --version (printed on stdout), 64 after a line on stderr about misuse.
 */
int program_start(const struct opt_program *program, int argc, char **argv, void *options,
    struct opt_rest *ret_rest);

/* Flushes stdout.  Returns code, or EX_IOERR after a line on stderr where code is 0 and what was
 * printed could not be written. */
int program_finish(int code);

/* Prints "program: message" and "Try 'program --help'" for misuse that only the program can see;
 * returns EX_USAGE. */
int program_misuse(const struct opt_program *program, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

#endif
