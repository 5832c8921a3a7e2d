/*
 * For the tests of lib/smtp against a server that plays a script (tests/helpers/smtp_script.py):
 * starts it, delivers messages to it through a pool, and tells what became of them.
 */
#ifndef UNIT_SMTP_PLAY_H
#define UNIT_SMTP_PLAY_H

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/fs.h"
#include "smtp/pool.h"
#include "unit.h"

enum { PLAY_JOBS = 64, PLAY_SECONDS = 90 };

struct server {
	pid_t pid;
	int out;
	uint16_t port;
	struct buf log; /* what it printed so far */
};

/* ---- the server ---- */

UNIT_HELPER bool
server_read(struct server *s, int timeout_ms)
{
	struct pollfd fd = { .fd = s->out, .events = POLLIN };
	char bytes[4096];
	ssize_t n;

	if (poll(&fd, 1, timeout_ms) <= 0 || (n = read(s->out, bytes, sizeof(bytes))) <= 0)
		return false;
	return buf_add(&s->log, bytes, (size_t)n) == 0;
}

UNIT_HELPER unsigned
server_count(const struct server *s, const char *text)
{
	const char *at = s->log.s;
	unsigned n = 0;

	for (; (at = strstr(at, text)) != NULL; at++)
		n++;
	return n;
}

/* args: what smtp_script.py is given, up to a NULL. */
UNIT_HELPER void
server_start(struct server *s, const char *const *args)
{
	const char *top = getenv("MAILQ_TOP");
	char path[4096], *argv[40];
	int pipes[2], n = 0, i;

	snprintf(path, sizeof(path), "%s/tests/helpers/smtp_script.py", top != NULL ? top : ".");
	argv[n++] = (char *)(uintptr_t) "/usr/bin/python3";
	argv[n++] = path;
	for (i = 0; args[i] != NULL && n < 39; i++)
		argv[n++] = (char *)(uintptr_t)args[i];
	argv[n] = NULL;
	buf_init(&s->log, 10 << 20);
	if (pipe2(pipes, O_CLOEXEC) < 0 || (s->pid = fork()) < 0) {
		perror("server");
		exit(2);
	}
	if (s->pid == 0) {
		/* A test that dies leaves no server behind. */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(pipes[1], 1);
		execv(argv[0], argv);
		_exit(127);
	}
	close(pipes[1]);
	s->out = pipes[0];
	while (strchr(s->log.s, '\n') == NULL && server_read(s, PLAY_SECONDS * 1000))
		continue;
	s->port = (uint16_t)strtoul(s->log.s + (s->log.len > 5 ? 5 : 0), NULL, 10);
	CHECK(s->port > 0);
}

/* Waits until each connection that it saw has ended, then stops it. */
UNIT_HELPER void
server_stop(struct server *s)
{
	while (server_count(s, "\nconnect ") > server_count(s, "\nend ") &&
	    server_read(s, PLAY_SECONDS * 1000))
		continue;
	kill(s->pid, SIGKILL);
	waitpid(s->pid, NULL, 0);
	while (server_read(s, 0))
		continue;
	close(s->out);
}

UNIT_HELPER void
server_free(struct server *s)
{
	buf_release(&s->log);
}

/* ---- the client ---- */

struct play {
	/* Before play_run. */
	struct smtp_params params;
	struct smtp_limits limits;
	unsigned n_jobs;
	unsigned n_recipients; /* of each job; 1 by default */
	size_t size;	       /* of each message, at least; small by default */
	unsigned refuse_offer; /* before_dot() fails for this job (counted from 1) */
	bool refuse_flush;     /* flush_dots() fails, once */
	unsigned drain_after;  /* the pool is drained once so many are done */

	/* Afterwards. */
	struct smtp_job jobs[PLAY_JOBS];
	char outcomes[PLAY_JOBS + 1]; /* by job: S D F U N(unsent) A(account) */
	unsigned n_done, n_offers, n_flushes, n_faults;
	struct smtp_fault fault;
	int fd;
	struct smtp_recipient *recipients;
	struct smtp_engine *engine;
	struct smtp_pool *pool;
};

UNIT_HELPER int
play_before_dot(struct smtp_job *job, void *arg)
{
	struct play *p = arg;

	p = job->arg != NULL ? job->arg : p;
	p->n_offers++;
	return p->refuse_offer > 0 && job == &p->jobs[p->refuse_offer - 1] ? -1 : 0;
}

UNIT_HELPER int
play_flush_dots(void *arg)
{
	struct play *p = arg;
	bool refuse = p->refuse_flush;

	p->n_flushes++;
	p->refuse_flush = false;
	return refuse ? -1 : 0;
}

UNIT_HELPER void
play_done(struct smtp_pool *pool, struct smtp_job *job, void *arg)
{
	struct play *p = job->arg;

	(void)arg;
	CHECK(pool == p->pool);
	CHECK_INT(p->outcomes[job - p->jobs], '.');
	p->outcomes[job - p->jobs] = "PSDFUNA"[job->outcome];
	p->n_done++;
	if (p->drain_after > 0 && p->n_done == p->drain_after)
		smtp_pool_drain(pool);
}

UNIT_HELPER void
play_fault(struct smtp_pool *pool, const struct smtp_fault *fault, void *arg)
{
	struct play *p = smtp_pool_arg(pool);

	(void)arg;
	p->n_faults++;
	p->fault = *fault;
}

/* "message N" as the last line of each. */
UNIT_HELPER void
play_make_jobs(struct play *p)
{
	static char addresses[16][32];
	AUTO_BUF struct buf text = BUF_INIT(1 << 30);
	struct smtp_job *job;
	size_t start;
	unsigned i, j;

	if (p->n_recipients == 0)
		p->n_recipients = 1;
	p->recipients = xcalloc(p->n_jobs * p->n_recipients, sizeof(*p->recipients));
	for (i = 0; i < p->n_jobs; i++) {
		job = &p->jobs[i];
		start = text.len;
		buf_addf(&text, "Subject: number %u\r\n\r\n", i + 1);
		while (text.len - start < p->size)
			buf_adds(&text, ".a line of the message, which begins with a dot\r\n");
		buf_addf(&text, "message %u\r\n", i + 1);
		job->sender = "sender@example.com";
		job->recipients = p->recipients + i * p->n_recipients;
		job->n_recipients = p->n_recipients;
		for (j = 0; j < p->n_recipients; j++) {
			snprintf(addresses[j], sizeof(addresses[j]), "to%u@example.com", j + 1);
			job->recipients[j].address = addresses[j];
		}
		job->offset = (off_t)start;
		job->length = text.len - start;
		job->arg = p;
		p->outcomes[i] = '.';
	}
	p->fd = memfd_create("messages", MFD_CLOEXEC);
	CHECK_INT(fs_write(p->fd, text.s, text.len), 0);
	for (i = 0; i < p->n_jobs; i++)
		p->jobs[i].fd = p->fd;
}

UNIT_HELPER struct smtp_engine *
play_engine(void *arg)
{
	static const struct smtp_callbacks callbacks = { play_before_dot, play_flush_dots,
		play_done, play_fault };
	struct err err = ERR_INIT;
	struct smtp_engine *engine = smtp_engine_new(&callbacks, arg, &err);

	signal(SIGPIPE, SIG_IGN);
	CHECK_STR(err.msg, "");
	if (engine == NULL)
		exit(2);
	return engine;
}

UNIT_HELPER void
play_submit(struct play *p, struct smtp_engine *engine)
{
	unsigned i;

	play_make_jobs(p);
	p->engine = engine;
	p->pool = smtp_pool_new(engine, &p->params, &p->limits, p);
	for (i = 0; i < p->n_jobs; i++)
		CHECK_INT(smtp_pool_submit(p->pool, &p->jobs[i]), 0);
	smtp_pool_finish(p->pool);
}

/* Delivers until all is done and all connections are closed. */
UNIT_HELPER void
play_run(struct play *p, const struct server *s)
{
	int64_t until = clock_monotonic() + PLAY_SECONDS * USEC;
	struct err err = ERR_INIT;

	if (p->params.host == NULL)
		p->params.host = "127.0.0.1";
	if (p->params.port == 0)
		p->params.port = s->port;
	play_submit(p, play_engine(p));
	while (!smtp_pool_idle(p->pool) && clock_monotonic() < until)
		CHECK(smtp_engine_step(p->engine, 1000, &err) >= 0);
	CHECK(smtp_pool_idle(p->pool));
	CHECK_INT(p->n_done, p->n_jobs);
	smtp_pool_free(p->pool);
	smtp_engine_free(p->engine);
}

UNIT_HELPER void
play_free(struct play *p)
{
	unsigned i;

	for (i = 0; i < p->n_jobs; i++)
		smtp_job_reset(&p->jobs[i]);
	free(p->recipients);
	close(p->fd);
}

#endif
