/*
 * disk_limit DIR BATCH ROUNDS: what the file system gives to anybody, as a limit to compare with:
 * BATCH messages of 4 KiB appended to one file, a hard link for each, fsync of the file and of the
 * directory, then one acknowledgement; ROUNDS times.  Prints messages a second.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"

static void
need(int ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "disk_limit: %s: %s\n", what, strerror(errno));
	exit(74);
}

static void
write_batch(int dir, long round, long batch)
{
	static char text[4096];
	char file[32], name[32], sub[32];
	int fd, links;

	snprintf(file, sizeof file, "f%ld", round);
	snprintf(sub, sizeof sub, "d%ld", round);
	need(mkdirat(dir, sub, 0700) == 0, "mkdir");
	links = openat(dir, sub, O_RDONLY | O_DIRECTORY);
	fd = openat(dir, file, O_WRONLY | O_CREAT | O_EXCL, 0600);
	need(fd >= 0 && links >= 0, "open");
	for (long i = 0; i < batch; i++)
		need(write(fd, text, sizeof text) == (ssize_t)sizeof text, "write");
	need(fsync(fd) == 0, "fsync");
	for (long i = 0; i < batch; i++) {
		snprintf(name, sizeof name, "%ld", i);
		need(linkat(dir, file, links, name, 0) == 0, "link");
	}
	need(fsync(links) == 0 && fsync(dir) == 0, "fsync");
	close(links);
	close(fd);
}

int
main(int argc, char **argv)
{
	long batch, rounds;
	int64_t start;
	int dir;

	if (argc != 4)
		return 64;
	dir = open(argv[1], O_RDONLY | O_DIRECTORY);
	need(dir >= 0, argv[1]);
	batch = atol(argv[2]);
	rounds = atol(argv[3]);
	start = clock_monotonic();
	for (long i = 0; i < rounds; i++)
		write_batch(dir, i, batch);
	printf("%.0f\n", (double)(batch * rounds) / ((double)(clock_monotonic() - start) / 1e6));
	return 0;
}
