#include "cmd/serve/runs.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "cmd/serve/state.h"

#define CYCLES_MAX 2 /* that were asked for, at a time */
/*
 * A process for messages that somebody waits for is started at once where none is at work, else when that
 * is done, or after a moment (it may be talking to a slow server): those that come meanwhile share one.  More
 * at a time cost more than they bring, as to start one is most of its work.
 */
#define DELIVERIES_FREE 1
#define DELIVERIES_PAUSE (100 * INT64_C(1000))
#define DELIVERIES_MAX 64
#define TOGETHER_MAX 100 /* messages in one process */
#define STACK ((size_t)512 * 1024)
#define ARGS_MAX (TOGETHER_MAX + 8)

extern char **environ;

struct serve_runs {
	pthread_mutex_t lock;
	pthread_cond_t changed; /* deliveries or threads */
	unsigned int users;	/* who hold it: the server, and those who wait for a cycle */
	bool closing;

	unsigned int cycles; /* at work */
	bool cycle_again;

	struct serve_wanted *first, **last;
	serve_deliver *deliver;
	unsigned int threads;	 /* for deliveries */
	unsigned int deliveries; /* of these, at work */
	bool collecting;	 /* one of them is about to take the list */
};

struct serve_runs *
serve_runs_new(void)
{
	struct serve_runs *runs = xcalloc(1, sizeof *runs);
	pthread_condattr_t attributes;

	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&runs->changed, &attributes);
	pthread_condattr_destroy(&attributes);
	pthread_mutex_init(&runs->lock, NULL);
	runs->last = &runs->first;
	runs->users = 1;
	return runs;
}

/* Under the lock, which it gives back. */
static void
let_go(struct serve_runs *runs)
{
	bool last = --runs->users == 0;

	pthread_mutex_unlock(&runs->lock);
	if (!last)
		return;
	pthread_mutex_destroy(&runs->lock);
	pthread_cond_destroy(&runs->changed);
	free(runs);
}

void
serve_runs_free(struct serve_runs *runs)
{
	if (runs == NULL)
		return;
	pthread_mutex_lock(&runs->lock);
	runs->closing = true;
	/* Their requests are answered: they only put away what they used. */
	while (runs->threads > 0)
		pthread_cond_wait(&runs->changed, &runs->lock);
	let_go(runs);
}

/* Detached: nobody waits for its end. */
static int
start_thread(void *(*run)(void *arg), void *arg)
{
	pthread_attr_t attributes;
	pthread_t thread;
	int failure;

	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attributes, STACK);
	failure = pthread_create(&thread, &attributes, run, arg);
	pthread_attr_destroy(&attributes);
	errno = failure;
	return failure == 0 ? 0 : -1;
}

/* ---- processes ------------------------------------------------------------------------------------------- */

/* The mailq-run that stands beside us; else that of PATH. */
static void
find_program(char *ret, size_t size)
{
	static const char name[] = "mailq-run";
	ssize_t n = readlink("/proc/self/exe", ret, size - sizeof name - 1);
	char *slash;

	if (n > 0) {
		ret[n] = '\0';
		slash = strrchr(ret, '/');
		if (slash != NULL) {
			memcpy(slash + 1, name, sizeof name);
			if (access(ret, X_OK) == 0)
				return;
		}
	}
	snprintf(ret, size, "%s", name);
}

/* Signals as they are for a program that was just started, and nothing of ours but stderr. */
static int
spawn(const char *program, char *const *argv, pid_t *ret)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t none, all;
	int failure;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setsigdefault(&attributes, &all);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	failure = posix_spawnp(ret, program, &actions, &attributes, argv, environ);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	errno = failure;
	return failure == 0 ? 0 : -1;
}

static int
start(struct serve *serve, const char *const *args, pid_t *ret, struct err *err)
{
	char program[4096];
	const char *config = serve_config_file(serve);
	const char *argv[ARGS_MAX + 8] = { "mailq-run", "-s", serve->spool_path };
	size_t n = 3;

	find_program(program, sizeof program);
	if (config != NULL) {
		argv[n++] = "-c";
		argv[n++] = config;
	}
	for (; *args != NULL && n < ARGS_MAX + 7; args++)
		argv[n++] = *args;
	if (spawn(program, (char *const *)(uintptr_t)argv, ret) < 0)
		return err_sys(err, EX_OSERR, "%s cannot be started", program);
	return 0;
}

/* True where it ended by itself. */
static bool
reap(pid_t pid)
{
	int status = 0;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return true; /* somebody else was faster */
	return !WIFSIGNALED(status);
}

int
serve_runs_wait(struct serve *serve, const char *const *args, struct err *err)
{
	pid_t pid;

	if (start(serve, args, &pid, err) < 0)
		return -1;
	return reap(pid) ? 0 : err_set(err, EX_TEMPFAIL, "mailq-run was killed");
}

static void *
reap_in_thread(void *arg)
{
	reap((pid_t)(intptr_t)arg);
	return NULL;
}

int
serve_start_run(struct serve *serve, const char *const *args, struct err *err)
{
	pid_t pid;

	if (start(serve, args, &pid, err) < 0)
		return -1;
	if (start_thread(reap_in_thread, (void *)(intptr_t)pid) < 0)
		log_warning("mailq-run %d will remain as a zombie when it ends: %s", (int)pid,
		    strerrordesc_np(errno));
	return 0;
}

/* ---- cycles ------------------------------------------------------------------------------------------------ */

struct cycle {
	struct serve *serve; /* not to be touched once runs->closing is true */
	struct serve_runs *runs;
	pid_t pid;
};

static int
start_cycle(struct serve *serve, pid_t *ret, struct err *err)
{
	static const char *const args[] = { "--now", "-q", NULL };

	return start(serve, args, ret, err);
}

static void *
attend_cycle(void *arg)
{
	struct cycle *cycle = arg;
	struct serve_runs *runs = cycle->runs;
	struct err err = ERR_INIT;
	bool again = true;

	while (again) {
		reap(cycle->pid);
		pthread_mutex_lock(&runs->lock);
		again = runs->cycle_again && !runs->closing;
		runs->cycle_again = false;
		if (again && start_cycle(cycle->serve, &cycle->pid, &err) < 0) {
			log_error("%s", err.msg);
			again = false;
		}
		if (again)
			pthread_mutex_unlock(&runs->lock);
	}
	runs->cycles--;
	let_go(runs);
	free(cycle);
	return NULL;
}

/* Under the lock. */
static int
begin_cycle(struct serve *serve, struct serve_runs *runs, struct err *err)
{
	struct cycle *cycle = xcalloc(1, sizeof *cycle);

	*cycle = (struct cycle){ .serve = serve, .runs = runs };
	if (start_cycle(serve, &cycle->pid, err) < 0) {
		free(cycle);
		return -1;
	}
	runs->cycles++;
	runs->users++;
	if (start_thread(attend_cycle, cycle) == 0)
		return 0;
	log_warning("mailq-run %d will remain as a zombie when it ends: %s", (int)cycle->pid,
	    strerrordesc_np(errno));
	runs->cycles--;
	runs->users--;
	free(cycle);
	return 0;
}

int
serve_runs_cycle(struct serve *serve, struct err *err)
{
	struct serve_runs *runs = serve->runs;
	int result = 0;

	pthread_mutex_lock(&runs->lock);
	if (runs->cycles < CYCLES_MAX)
		result = begin_cycle(serve, runs, err);
	else
		runs->cycle_again = true;
	pthread_mutex_unlock(&runs->lock);
	return result;
}

/* ---- messages that somebody waits for ------------------------------------------------------------------------ */

static void begin_collecting(struct serve *serve, struct serve_runs *runs);

/* The first of the list.  Under the lock. */
static struct serve_wanted *
take_list(struct serve_runs *runs)
{
	struct serve_wanted *list = runs->first, **end = &runs->first;

	for (size_t n = 0; *end != NULL && n < TOGETHER_MAX; n++)
		end = &(*end)->next;
	runs->first = *end;
	if (runs->first == NULL)
		runs->last = &runs->first;
	*end = NULL;
	return list;
}

/* Until little is under way, or a moment has gone by.  Under the lock. */
static void
pause_for_others(struct serve_runs *runs)
{
	int64_t until = clock_monotonic() + DELIVERIES_PAUSE;
	struct timespec at = { until / USEC, until % USEC * 1000 };

	while (runs->deliveries >= DELIVERIES_FREE &&
	    pthread_cond_timedwait(&runs->changed, &runs->lock, &at) == 0)
		;
}

static void *
collect(void *arg)
{
	struct serve *serve = arg;
	struct serve_runs *runs = serve->runs;

	pthread_mutex_lock(&runs->lock);
	do {
		struct serve_wanted *list;
		serve_deliver *deliver = runs->deliver;

		runs->collecting = true;
		pause_for_others(runs);
		list = take_list(runs);
		runs->collecting = false;
		runs->deliveries++;
		begin_collecting(serve, runs);
		pthread_mutex_unlock(&runs->lock);
		deliver(list, serve);
		pthread_mutex_lock(&runs->lock);
		runs->deliveries--;
		pthread_cond_broadcast(&runs->changed);
	} while (runs->first != NULL && !runs->collecting);
	runs->threads--;
	pthread_cond_broadcast(&runs->changed);
	pthread_mutex_unlock(&runs->lock);
	return NULL;
}

/* Another thread takes what is left, where there is something.  Under the lock. */
static void
begin_collecting(struct serve *serve, struct serve_runs *runs)
{
	if (runs->first == NULL || runs->collecting || runs->threads >= DELIVERIES_MAX)
		return;
	runs->threads++;
	runs->collecting = true;
	if (start_thread(collect, serve) == 0)
		return;
	/* One of those that are at work takes them when it is done. */
	runs->collecting = false;
	runs->threads--;
}

void
serve_runs_want(struct serve *serve, struct serve_wanted *wanted, serve_deliver *deliver)
{
	struct serve_runs *runs = serve->runs;
	bool alone;

	wanted->next = NULL;
	pthread_mutex_lock(&runs->lock);
	runs->deliver = deliver;
	*runs->last = wanted;
	runs->last = &wanted->next;
	begin_collecting(serve, runs);
	/* Without a thread to be had, it is done in this one. */
	alone = runs->threads == 0;
	runs->threads += alone;
	pthread_mutex_unlock(&runs->lock);
	if (alone)
		collect(serve);
}
