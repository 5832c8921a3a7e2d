#include "cmd/exchange/exchange.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "cmd/exchange/private.h"

/* How often it is looked for new reports, and how soon a signal is noticed. */
#define LOOK_EVERY USEC
#define SIGNAL_LOOK (USEC / 10)
#define STACK ((size_t)2 * 1024 * 1024)

bool
exchange_stopped(const struct exchange *x)
{
	return __atomic_load_n(&x->stop, __ATOMIC_RELAXED) != 0;
}

/* ---- what it works with -------------------------------------------------------------------------- */

static int
open_spool(struct exchange *x, struct err *err)
{
	const struct spool_options options = {
		.allow_network_fs = x->current.settings.queue.allow_network_fs,
	};

	return spool_open(&x->spool, x->options.spool, &options, err);
}

/* Settings that cannot be read any more leave the old ones in force; the other thread tells of it. */
static void
refresh_settings(struct exchange *x)
{
	struct current fresh = { .config = x->options.config, .spool = &x->spool };

	if (!current_changed(&x->current) || settings_load(&fresh.settings, fresh.config, NULL) < 0)
		return;
	if (current_begin(&fresh, NULL) < 0) {
		current_release(&fresh);
		return;
	}
	current_release(&x->current);
	x->current = fresh;
	if (x->current.settings.sync.url == NULL)
		exchange_tell_end(x);
}

struct http_client *
exchange_client(struct exchange *x, struct err *err)
{
	struct http_client_config config = { .stop = &x->stop,
		.ca_file = x->current.settings.sync.ca_file };

	/* Another file of authorities may stand in the settings by now. */
	if (x->client != NULL && (x->ca_file == NULL) == (config.ca_file == NULL) &&
	    (x->ca_file == NULL || strcmp(x->ca_file, config.ca_file) == 0))
		return x->client;
	http_client_free(&x->client);
	free(x->ca_file);
	x->ca_file = config.ca_file != NULL ? xstrdup(config.ca_file) : NULL;
	config.ca_file = x->ca_file;
	x->client = http_client_new(&config, err);
	return x->client;
}

/* ---- the thread ------------------------------------------------------------------------------------- */

static void
begin_rounds(struct exchange *x)
{
	x->rounds = 0;
	x->again = false;
}

/* A cycle has begun: what is due once in each of them is due again, in a watch after its interval. */
static void
take_cycle(struct exchange *x, bool begun)
{
	int64_t now = clock_monotonic();
	const struct settings *s = &x->current.settings;

	x->cycles_fetch |= begun;
	x->cycles_tell |= begun;
	if (x->cycles_fetch && now >= x->fetch_next) {
		x->cycles_fetch = false;
		x->fetch_next = now + s->fetch.interval;
		x->fetch_due = true;
		begin_rounds(x);
	}
	if (x->cycles_tell && now >= x->tell_next) {
		x->cycles_tell = false;
		x->tell_next = now + s->sync.interval;
		x->idle_due = true;
		begin_rounds(x);
		/* What was rejected is told again once in each. */
		exchange_tell_end(x);
	}
}

static bool
is_final(struct exchange *x)
{
	bool final;

	pthread_mutex_lock(&x->lock);
	final = x->options.watch || (x->finish && x->delivered == x->counts.fetched);
	pthread_mutex_unlock(&x->lock);
	return final;
}

/* What can be done now.  True where the other thread has nothing to deliver, and all is told. */
static bool
work(struct exchange *x)
{
	bool final;

	do {
		x->again = false;
		if (x->fetch_due && x->options.fetch)
			exchange_fetch(x);
		/* What was fetched is to be delivered first, and then told. */
		final = is_final(x);
		if (x->options.tell)
			exchange_tell(x, final);
		if (!x->again || x->rounds >= EXCHANGE_ROUNDS)
			return final && is_final(x);
		/* The application has messages for us: another round at once. */
		x->rounds++;
		x->fetch_due = x->idle_due = true;
	} while (!exchange_stopped(x));
	return final;
}

/* Until something changes, or it is time to look again.  Under the lock. */
static void
rest(struct exchange *x)
{
	int64_t until = clock_monotonic() + LOOK_EVERY;
	struct timespec at = { until / USEC, until % USEC * 1000 };

	while (!x->poked && !x->quit && clock_monotonic() < until)
		pthread_cond_timedwait(&x->changed, &x->lock, &at);
	x->poked = false;
}

static void *
run(void *arg)
{
	struct exchange *x = arg;

	pthread_mutex_lock(&x->lock);
	while (!x->quit) {
		bool begun = x->cycle, done;

		x->cycle = false;
		pthread_mutex_unlock(&x->lock);
		refresh_settings(x);
		take_cycle(x, begun);
		done = work(x);
		pthread_mutex_lock(&x->lock);
		/* Unless there was more to deliver in the meantime. */
		if (done && !x->poked) {
			x->done = true;
			pthread_cond_broadcast(&x->changed);
		}
		rest(x);
	}
	pthread_mutex_unlock(&x->lock);
	exchange_tell_end(x);
	return NULL;
}

/* ---- for the other thread ------------------------------------------------------------------------ */

static void
release(struct exchange *x)
{
	http_client_free(&x->client);
	free(x->ca_file);
	current_release(&x->current);
	if (x->spool.path != NULL)
		spool_close(&x->spool);
	pthread_cond_destroy(&x->changed);
	pthread_mutex_destroy(&x->lock);
	free(x);
}

static int
start(struct exchange *x, struct err *err)
{
	pthread_attr_t attributes;
	sigset_t all, before;
	int failure;

	/* Signals are for the thread that delivers. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK);
	failure = pthread_create(&x->thread, &attributes, run, x);
	pthread_attr_destroy(&attributes);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	errno = failure;
	if (failure != 0)
		return err_sys(err, EX_OSERR, "cannot start a thread");
	return 0;
}

struct exchange *
exchange_begin(const struct exchange_options *options, struct err *err)
{
	struct exchange *x = xcalloc(1, sizeof *x);
	pthread_condattr_t attributes;

	x->options = *options;
	x->cycle = true;
	x->fetch_forced = x->tell_forced = options->now;
	x->current = (struct current){ .config = options->config, .spool = &x->spool };
	pthread_mutex_init(&x->lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&x->changed, &attributes);
	pthread_condattr_destroy(&attributes);
	if (settings_load(&x->current.settings, options->config, err) == 0 &&
	    open_spool(x, err) == 0 && current_begin(&x->current, err) == 0 && start(x, err) == 0)
		return x;
	release(x);
	return NULL;
}

void
exchange_cycle(struct exchange *x)
{
	pthread_mutex_lock(&x->lock);
	x->cycle = true;
	pthread_mutex_unlock(&x->lock);
}

uint64_t
exchange_fetched(struct exchange *x)
{
	uint64_t fetched;

	pthread_mutex_lock(&x->lock);
	fetched = x->counts.fetched;
	pthread_mutex_unlock(&x->lock);
	return fetched;
}

enum exchange_state
exchange_wait(struct exchange *x, uint64_t fetched, uint64_t outcomes,
    const volatile sig_atomic_t *stop)
{
	int64_t until = clock_monotonic() + LOOK_EVERY, now;
	bool done;

	pthread_mutex_lock(&x->lock);
	if (outcomes != x->outcomes || fetched != x->delivered)
		x->done = false;
	x->outcomes = outcomes;
	x->delivered = fetched;
	x->finish = true;
	if (!x->done) {
		x->poked = true;
		pthread_cond_broadcast(&x->changed);
	}
	while (!x->done && x->counts.fetched == fetched && *stop == 0 &&
	    (now = clock_monotonic()) < until) {
		int64_t look = now + SIGNAL_LOOK;
		struct timespec at = { look / USEC, look % USEC * 1000 };

		pthread_cond_timedwait(&x->changed, &x->lock, &at);
	}
	done = *stop != 0 || (x->done && x->counts.fetched == fetched);
	pthread_mutex_unlock(&x->lock);
	return done ? EXCHANGE_DONE : EXCHANGE_BUSY;
}

void
exchange_end(struct exchange **exchange, struct exchange_counts *counts)
{
	struct exchange *x = *exchange;

	if (x == NULL)
		return;
	__atomic_store_n(&x->stop, 1, __ATOMIC_RELAXED);
	pthread_mutex_lock(&x->lock);
	x->quit = true;
	pthread_cond_broadcast(&x->changed);
	pthread_mutex_unlock(&x->lock);
	pthread_join(x->thread, NULL);
	if (counts != NULL)
		*counts = x->counts;
	release(x);
	*exchange = NULL;
}
