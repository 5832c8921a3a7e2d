/*
 * Delivery alone, without a queue: COUNT messages of SIZE bytes to HOST:PORT.
 *
 *	smtp_pool_bench HOST PORT [COUNT [SIZE [CONNECTIONS [MESSAGES [ACROSS]]]]]
 *
 * ACROSS 1 pipelines each message's commands behind the final dot of the one before.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "smtp/pool.h"

struct bench {
	unsigned long submitted, count, outcomes[8], offers, flushes, faults;
	struct smtp_job *free_jobs;
	int fd;
	uint64_t size;
};

static int
before_dot(struct smtp_job *job, void *arg)
{
	(void)job;
	((struct bench *)arg)->offers++;
	return 0;
}

static int
flush_dots(void *arg)
{
	((struct bench *)arg)->flushes++;
	return 0;
}

static void
done(struct smtp_pool *pool, struct smtp_job *job, void *arg)
{
	struct bench *b = arg;

	(void)pool;
	b->outcomes[job->outcome]++;
	smtp_job_reset(job);
	job->next = b->free_jobs;
	b->free_jobs = job;
}

static void
fault(struct smtp_pool *pool, const struct smtp_fault *f, void *arg)
{
	char line[SMTP_REPLY_TEXT + 8];

	(void)pool;
	((struct bench *)arg)->faults++;
	fprintf(stderr, "fault: %s: %s\n", smtp_fault_name(f->class),
	    smtp_reply_line(&f->reply, line, sizeof(line)));
}

static struct smtp_job *
new_job(struct bench *b)
{
	struct smtp_job *job = b->free_jobs;

	if (job != NULL) {
		b->free_jobs = job->next;
		job->next = NULL;
		return job;
	}
	job = xcalloc(1, sizeof(*job));
	job->sender = "sender@example.com";
	job->recipients = xcalloc(1, sizeof(struct smtp_recipient));
	job->recipients[0].address = "recipient@example.com";
	job->n_recipients = 1;
	job->fd = b->fd;
	job->length = b->size;
	return job;
}

static int
make_content(uint64_t size)
{
	static const char line[] = "This line of the message is as long as most lines of mail are, "
				   "about 76 chars\r\n";
	int fd = memfd_create("message", MFD_CLOEXEC);
	AUTO_BUF struct buf text = BUF_INIT(1 << 30);

	buf_adds(&text, "Subject: bench\r\n\r\n");
	while (text.len < size)
		buf_adds(&text, line);
	buf_truncate(&text, size - 2);
	buf_adds(&text, "\r\n");
	return fd >= 0 && fs_write(fd, text.s, text.len) == 0 ? fd : -1;
}

static double
cpu_seconds(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	    (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void
run(struct bench *b, struct smtp_engine *engine, struct smtp_pool *pool)
{
	struct err err = ERR_INIT;

	while (!smtp_pool_idle(pool) || (b->submitted < b->count && b->faults == 0)) {
		while (b->submitted < b->count && smtp_pool_room(pool) > 0) {
			smtp_pool_submit(pool, new_job(b));
			b->submitted++;
		}
		if (b->submitted == b->count)
			smtp_pool_finish(pool);
		if (smtp_engine_step(engine, 1000, &err) < 0)
			exit(err_print(&err));
	}
}

static unsigned long
argument(int argc, char **argv, int i, unsigned long otherwise)
{
	return argc > i ? strtoul(argv[i], NULL, 10) : otherwise;
}

int
main(int argc, char **argv)
{
	static const struct smtp_callbacks callbacks = { before_dot, flush_dots, done, fault };
	struct bench b = { .count = argument(argc, argv, 3, 20000),
		.size = argument(argc, argv, 4, 4096) };
	struct smtp_params params = { .host = argc > 1 ? argv[1] : "127.0.0.1",
		.port = (uint16_t)argument(argc, argv, 2, 25),
		.tls = SMTP_TLS_TRY,
		.no_verify = true,
		.pipeline_messages = argument(argc, argv, 7, 0) != 0 };
	struct smtp_limits limits = { .connections = (unsigned)argument(argc, argv, 5, 10),
		.messages = (unsigned)argument(argc, argv, 6, 100) };
	struct err err = ERR_INIT;
	struct smtp_engine *engine;
	struct smtp_pool *pool;
	struct rusage u;
	int64_t start;
	double wall, cpu;

	signal(SIGPIPE, SIG_IGN);
	b.fd = make_content(b.size);
	engine = smtp_engine_new(&callbacks, &b, &err);
	if (engine == NULL || b.fd < 0)
		return err_print(&err);
	pool = smtp_pool_new(engine, &params, &limits, NULL);
	start = clock_monotonic();
	cpu = cpu_seconds();
	run(&b, engine, pool);
	wall = (double)(clock_monotonic() - start) / 1e6;
	cpu = cpu_seconds() - cpu;
	smtp_pool_free(pool);
	smtp_engine_free(engine);
	getrusage(RUSAGE_SELF, &u);
	printf("%lu sent, %lu other in %.2f s: %.0f messages/s, %.1f us of CPU a message, "
	       "%.1f offers a flush, %ld KB at most\n",
	    b.outcomes[SMTP_SENT], b.submitted - b.outcomes[SMTP_SENT], wall,
	    (double)b.outcomes[SMTP_SENT] / wall, cpu * 1e6 / (double)b.count,
	    b.flushes > 0 ? (double)b.offers / (double)b.flushes : 0.0, u.ru_maxrss);
	return b.outcomes[SMTP_SENT] == b.count ? 0 : 1;
}
