#include "cmd/fetch/pool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "mail/magic.h"
#include "mail/source.h"

enum { TABLE_SIZE = 1024, STACK_SIZE = 512 * 1024 };
/* What is done serves those who come after it for so long: the messages of a batch, mostly. */
#define FRESH (60 * USEC)
#define FRESH_FAULT (20 * USEC) /* it may be gone by then */

struct queue_of {
	struct fetch *first, **end;
};

struct fetch_pool {
	struct fetch_terms terms;
	int wake; /* eventfd */
	pthread_t *threads;
	size_t thread_count;
	struct fetch *table[TABLE_SIZE]; /* the main thread's */
	int64_t tidied;

	pthread_mutex_t lock; /* for what follows */
	pthread_cond_t more;
	struct queue_of queued, done;
	size_t idle, queued_count;
	bool ending;
};

/* ---- queues -------------------------------------------------------------------------------- */

static void
put(struct queue_of *queue, struct fetch *fetch)
{
	if (queue->first == NULL)
		queue->end = &queue->first;
	fetch->next = NULL;
	*queue->end = fetch;
	queue->end = &fetch->next;
}

static struct fetch *
take(struct queue_of *queue)
{
	struct fetch *fetch = queue->first;

	if (fetch != NULL)
		queue->first = fetch->next;
	return fetch;
}

/* ---- threads ------------------------------------------------------------------------------- */

/* The next to fetch; NULL: it is over. */
static struct fetch *
next_to_fetch(struct fetch_pool *pool)
{
	struct fetch *fetch = NULL;

	pthread_mutex_lock(&pool->lock);
	pool->idle++;
	while (!pool->ending && pool->queued.first == NULL)
		pthread_cond_wait(&pool->more, &pool->lock);
	pool->idle--;
	if (!pool->ending) {
		fetch = take(&pool->queued);
		pool->queued_count--;
	}
	pthread_mutex_unlock(&pool->lock);
	return fetch;
}

static void *
work_off(void *arg)
{
	struct fetch_pool *pool = arg;
	struct fetch_hand hand = { .terms = &pool->terms };
	struct fetch *fetch;
	uint64_t one = 1;

	while ((fetch = next_to_fetch(pool)) != NULL) {
		fetch_one(&hand, &fetch->wish, &fetch->result);
		pthread_mutex_lock(&pool->lock);
		put(&pool->done, fetch);
		pthread_mutex_unlock(&pool->lock);
		(void)!write(pool->wake, &one, sizeof one);
	}
	fetch_hand_release(&hand);
	return NULL;
}

/* Signals are the main thread's. */
static int
start_thread(struct fetch_pool *pool)
{
	pthread_attr_t attributes;
	sigset_t all, before;
	int failure;

	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK_SIZE);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	failure = pthread_create(&pool->threads[pool->thread_count], &attributes, work_off, pool);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	if (failure != 0)
		return -1;
	pool->thread_count++;
	return 0;
}

/* ---- the pool ------------------------------------------------------------------------------ */

static void
read_s3(struct fetch_terms *terms)
{
	const char *host;
	AUTO_FREE char *place = NULL;

	terms->has_s3 = settings_s3(terms->settings, &terms->s3, &terms->no_s3) == 0;
	if (!terms->has_s3)
		return;
	host = strstr(terms->s3.endpoint, "://") + 3;
	place = xstrndup(host, strcspn(host, "/"));
	/* What is no place opens nothing, and the fetch says what is wrong with the URL. */
	if (net_place_parse(place, &terms->s3_place, NULL) < 0)
		terms->s3_place = (struct net_place){ .prefix = 128 };
}

struct fetch_pool *
fetch_pool_new(const struct settings *settings, struct spool *spool)
{
	struct fetch_pool *pool = xcalloc(1, sizeof *pool);
	const struct strings *allow = &settings->attachments.allow;
	struct fetch_terms *terms = &pool->terms;

	terms->settings = settings;
	terms->spool = spool;
	terms->places = xcalloc(allow->n + 1, sizeof *terms->places);
	for (size_t i = 0; i < allow->n; i++)
		if (net_place_parse(allow->v[i], &terms->places[terms->place_count], NULL) == 0)
			terms->place_count++;
	read_s3(terms);
	terms->magic = mail_magic_new();
	pthread_mutex_init(&terms->magic_lock, NULL);
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->more, NULL);
	pool->threads = xcalloc((size_t)settings->attachments.fetches, sizeof *pool->threads);
	pool->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return pool;
}

int
fetch_pool_fd(const struct fetch_pool *pool)
{
	return pool->wake;
}

static void
fetch_free(struct fetch *fetch)
{
	fetch_wish_release(&fetch->wish);
	fetch_result_release(&fetch->result);
	free(fetch->text);
	free(fetch);
}

void
fetch_pool_end(struct fetch_pool *pool, void (*each)(struct fetch *fetch, void *arg), void *arg)
{
	pthread_mutex_lock(&pool->lock);
	pool->ending = true;
	__atomic_store_n(&pool->terms.stop, 1, __ATOMIC_RELAXED);
	pthread_cond_broadcast(&pool->more);
	pthread_mutex_unlock(&pool->lock);
	for (size_t i = 0; i < pool->thread_count; i++)
		pthread_join(pool->threads[i], NULL);
	for (size_t i = 0; i < TABLE_SIZE; i++)
		for (struct fetch *fetch = pool->table[i]; fetch != NULL; fetch = fetch->link)
			if (fetch->waiters != NULL)
				each(fetch, arg);
}

void
fetch_pool_free(struct fetch_pool *pool)
{
	for (size_t i = 0; i < TABLE_SIZE; i++) {
		struct fetch *fetch, *next;

		for (fetch = pool->table[i]; fetch != NULL; fetch = next) {
			next = fetch->link;
			fetch_free(fetch);
		}
	}
	mail_magic_free(pool->terms.magic);
	settings_s3_release(&pool->terms.s3);
	free(pool->terms.places);
	free(pool->threads);
	pthread_mutex_destroy(&pool->terms.magic_lock);
	pthread_mutex_destroy(&pool->lock);
	pthread_cond_destroy(&pool->more);
	auto_close_fd(&pool->wake);
	free(pool);
}

/* ---- fetches ------------------------------------------------------------------------------- */

/* FNV-1a: what is in the table is not more than waits, and who fills a bucket slows himself. */
static size_t
bucket_of(const char *text)
{
	uint64_t hash = UINT64_C(14695981039346656037);

	for (; *text != '\0'; text++)
		hash = (hash ^ (unsigned char)*text) * UINT64_C(1099511628211);
	return (hash ^ hash >> 32) % TABLE_SIZE;
}

/* The wish without what is of the message alone. */
static char *
text_of(const struct fetch_wish *wish)
{
	AUTO_BUF struct buf text = BUF_INIT(MAIL_SOURCE_MAX * 2);
	const char *const parts[] = { wish->url, wish->bucket, wish->key, wish->md5,
		wish->filename };

	for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
		buf_addf(&text, "%s\n", parts[i] != NULL ? parts[i] : "");
	return xstrdup(text.s);
}

void
fetch_pool_drop(struct fetch_pool *pool, struct fetch *fetch)
{
	struct fetch **link = &pool->table[bucket_of(fetch->text)];

	while (*link != fetch)
		link = &(*link)->link;
	*link = fetch->link;
	fetch_free(fetch);
}

static int
submit(struct fetch_pool *pool, struct fetch *fetch, struct err *err)
{
	bool more;

	pthread_mutex_lock(&pool->lock);
	put(&pool->queued, fetch);
	pool->queued_count++;
	more = pool->idle < pool->queued_count;
	pthread_cond_signal(&pool->more);
	pthread_mutex_unlock(&pool->lock);
	if (more && pool->thread_count < (size_t)pool->terms.settings->attachments.fetches &&
	    start_thread(pool) < 0 && pool->thread_count == 0) {
		pthread_mutex_lock(&pool->lock);
		take(&pool->queued);
		pool->queued_count--;
		pthread_mutex_unlock(&pool->lock);
		return err_set(err, EX_OSERR, "no thread can be started");
	}
	return 0;
}

struct fetch *
fetch_pool_want(struct fetch_pool *pool, const char *json, struct err *err)
{
	struct fetch_wish wish = { .url = NULL };
	AUTO_FREE char *text = NULL;
	struct fetch *fetch;
	size_t bucket;

	if (fetch_wish_read(json, &wish, err) < 0)
		return NULL;
	text = text_of(&wish);
	bucket = bucket_of(text);
	for (fetch = pool->table[bucket]; fetch != NULL; fetch = fetch->link)
		if (strcmp(fetch->text, text) == 0)
			break;
	if (fetch != NULL) {
		fetch_wish_release(&wish);
		return fetch;
	}
	fetch = xcalloc(1, sizeof *fetch);
	fetch->wish = wish;
	fetch->text = text;
	text = NULL;
	if (submit(pool, fetch, err) < 0) {
		fetch_free(fetch);
		return NULL;
	}
	fetch->link = pool->table[bucket];
	pool->table[bucket] = fetch;
	return fetch;
}

struct fetch *
fetch_pool_done(struct fetch_pool *pool)
{
	struct fetch *fetch;
	uint64_t count;

	(void)!read(pool->wake, &count, sizeof count);
	pthread_mutex_lock(&pool->lock);
	fetch = take(&pool->done);
	pthread_mutex_unlock(&pool->lock);
	if (fetch != NULL) {
		fetch->done = true;
		fetch->done_at = clock_monotonic();
	}
	return fetch;
}

static bool
is_old(const struct fetch *fetch, int64_t now)
{
	/* The result is a thread's until it is done. */
	if (!fetch->done || fetch->waiters != NULL)
		return false;
	return now - fetch->done_at > (fetch->result.verdict == FETCH_HAVE ? FRESH : FRESH_FAULT);
}

void
fetch_pool_tidy(struct fetch_pool *pool)
{
	int64_t now = clock_monotonic();

	if (now - pool->tidied < USEC)
		return;
	pool->tidied = now;
	for (size_t i = 0; i < TABLE_SIZE; i++) {
		struct fetch *fetch, *next;

		for (fetch = pool->table[i]; fetch != NULL; fetch = next) {
			next = fetch->link;
			if (is_old(fetch, now))
				fetch_pool_drop(pool, fetch);
		}
	}
}
