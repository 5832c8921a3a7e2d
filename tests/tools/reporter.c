/*
 * reporter SPOOL BATCH [REJECT [MAX]]: tells what is to be told, as a program that calls an application would, and
 * prints a line for each report that it gives away, "ID EVENT T ATTEMPTS"; then, before it settles them, "heard ID" or
 * "rejected ID" for each of the batch.  Every REJECTth report (0: none) is rejected.  It opens again and again until
 * nothing is left: then it ends, or, when its standard input is open still, waits a moment and goes on.
 * Exits 75 while another is at it.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "spool/report/reports.h"

struct told {
	char **ids;
	bool *rejected;
	size_t count;
};

/* Up to batch of them: how many; -1 with err. */
static int
give(struct reports *reports, struct told *told, size_t batch, unsigned long reject,
    struct err *err)
{
	static unsigned long number;
	struct report report;
	int result = 1;

	told->count = 0;
	while (told->count < batch && (result = reports_next(reports, &report, err)) > 0) {
		printf("%s %s %.27s %u\n", report.id, event_text(report.event), report.text + 6,
		    report.attempts);
		told->rejected[told->count] = reject > 0 && ++number % reject == 0;
		told->ids[told->count++] = xstrdup(report.id);
	}
	fflush(stdout);
	return result < 0 ? -1 : (int)told->count;
}

static int
settle(struct reports *reports, struct told *told, unsigned int max_attempts, struct err *err)
{
	const char **ids = xcalloc(told->count, sizeof *ids);
	size_t n = 0;
	int result;

	for (size_t i = 0; i < told->count; i++)
		if (told->rejected[i])
			ids[n++] = told->ids[i];
	/* The application has answered; what becomes of that is what is tested. */
	for (size_t i = 0; i < told->count; i++) {
		bool rejected = false;

		for (size_t k = 0; k < n && !rejected; k++)
			rejected = strcmp(ids[k], told->ids[i]) == 0;
		printf("%s %s\n", rejected ? "rejected" : "heard", told->ids[i]);
	}
	fflush(stdout);
	result = reports_settle(reports, ids, n, max_attempts, err);
	for (size_t i = 0; i < told->count; i++)
		free(told->ids[i]);
	free(ids);
	return result;
}

/* All that there is at present: how many; -1 with err. */
static int64_t
tell(struct spool *spool, size_t batch, unsigned long reject, unsigned int max_attempts,
    struct err *err)
{
	struct told told = { xcalloc(batch, sizeof(char *)), xcalloc(batch, sizeof(bool)), 0 };
	AUTO(reports_close) struct reports *reports = NULL;
	int64_t all = 0;
	int n = reports_open(spool, &reports, err);

	if (n == 0)
		n = err_set(err, EX_TEMPFAIL, "another process is telling");
	while (n > 0 && (n = give(reports, &told, batch, reject, err)) > 0) {
		all += n;
		if (settle(reports, &told, max_attempts, err) < 0)
			n = -1;
	}
	free(told.ids);
	free(told.rejected);
	return n < 0 ? -1 : all;
}

int
main(int argc, char **argv)
{
	const struct spool_options options = { .allow_network_fs = true };
	struct pollfd input = { .fd = 0, .events = POLLIN };
	size_t batch = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;
	unsigned long reject = argc > 3 ? strtoul(argv[3], NULL, 10) : 0;
	unsigned int max_attempts = argc > 4 ? (unsigned int)strtoul(argv[4], NULL, 10) : 1000;
	struct err err = ERR_INIT;
	struct spool spool;
	int64_t told;
	bool over;

	if (argc < 3 || batch == 0)
		return EX_USAGE;
	if (spool_open(&spool, argv[1], &options, &err) < 0)
		return err_print(&err);
	/* Whether it was the end is asked before the last look. */
	do {
		over = poll(&input, 1, 20) != 0;
		told = tell(&spool, batch, reject, max_attempts, &err);
	} while (told > 0 || (told == 0 && !over));
	spool_close(&spool);
	return told < 0 ? err_print(&err) : EX_OK;
}
