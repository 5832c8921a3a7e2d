#include "base/program.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"

#ifndef VERSION
#error "the build defines VERSION"
#endif

#define HELP_MAX 65536
#define DESCRIPTORS 65536

/* open takes the lowest free number, so that closed ones below 3 are filled in turn. */
static void
open_std_fds(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR); /* inherited on purpose, as 0 to 2 always are */
		if (fd < 0)
			abort();
	} while (fd <= STDERR_FILENO);
	close(fd);
}

/* A queue of many batches and accounts has many directories and files open at a time: as many as may
 * be had.  Where that cannot be done, the usual number it is. */
static void
raise_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= DESCRIPTORS)
		return;
	limit.rlim_cur = limit.rlim_max < DESCRIPTORS ? limit.rlim_max : DESCRIPTORS;
	setrlimit(RLIMIT_NOFILE, &limit);
}

void
program_setup(const char *name)
{
	if (fcntl(STDIN_FILENO, F_GETFD) < 0 || fcntl(STDOUT_FILENO, F_GETFD) < 0 ||
	    fcntl(STDERR_FILENO, F_GETFD) < 0)
		open_std_fds();
	raise_descriptors();
	umask(077);
	signal(SIGPIPE, SIG_IGN);
	log_set_name(name);
}

static int
print_help(const struct opt_program *program)
{
	AUTO_BUF struct buf text = BUF_INIT(HELP_MAX);

	opt_help(program, &text);
	fwrite(text.s, 1, text.len, stdout);
	return program_finish(EX_OK);
}

static void
set_log_level(const struct opt_common *common)
{
	if (common->verbose > 0)
		log_set_level(common->verbose > 1 ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
	else if (common->quiet)
		log_set_level(LOG_LEVEL_ERROR);
}

int
program_start(const struct opt_program *program, int argc, char **argv, void *options,
    struct opt_rest *ret_rest)
{
	struct err err = ERR_INIT;

	program_setup(program->name);
	switch (opt_parse(program, argc, argv, options, ret_rest, &err)) {
	case OPT_RUN:
		set_log_level(options);
		return -1;
	case OPT_HELP:
		return print_help(program);
	case OPT_VERSION:
		printf("%s %s\n", program->name, VERSION);
		return program_finish(EX_OK);
	default:
		return program_misuse(program, "%s", err.msg);
	}
}

/* True where standard output is a pipe that nobody reads any more, as before "| head". */
static bool
reader_is_gone(void)
{
	struct pollfd out = { .fd = STDOUT_FILENO };

	return poll(&out, 1, 0) > 0 && (out.revents & (POLLERR | POLLHUP));
}

int
program_finish(int code)
{
	int flushed;

	errno = 0;
	flushed = fflush(stdout);
	if (flushed == 0 && !ferror(stdout))
		return code;
	if (code != EX_OK && flushed == 0)
		return code; /* what failed before has been told */
	if (!reader_is_gone())
		log_error("standard output: %s",
		    errno != 0 ? strerror(errno) : "not all could be written");
	return code != EX_OK ? code : EX_IOERR;
}

int
program_misuse(const struct opt_program *program, const char *fmt, ...)
{
	struct err err = ERR_INIT;
	char text[sizeof err.msg];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	err_set(&err, EX_USAGE, "%s", text);
	log_error("%s (Try '%s --help')", err.msg, program->name);
	return EX_USAGE;
}
