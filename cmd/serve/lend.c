/* What there is a limited number of: open spools, lent to one thread at a time, and room for large
 * requests. */
#include "cmd/serve/state.h"

#include <malloc.h>

#include "base/clock.h"
#include "mail/magic.h"

#define ARENAS 8
#define HEAVY_MAX 4    /* more would not be faster */
#define WAITING_MAX 24 /* workers that wait are missing for others */

void
serve_lend_init(struct serve *serve)
{
	pthread_mutex_init(&serve->lent_lock, NULL);
	pthread_cond_init(&serve->lighter, NULL);
	/* Each arena keeps what was freed in it: not one for each worker. */
	mallopt(M_ARENA_MAX, ARENAS);
}

struct serve_lent *
serve_lend(struct serve *serve, struct err *err)
{
	struct spool_options options = { .allow_network_fs = serve->allow_network_fs };
	struct serve_lent *lent;

	pthread_mutex_lock(&serve->lent_lock);
	lent = serve->idle;
	if (lent != NULL)
		serve->idle = lent->next;
	pthread_mutex_unlock(&serve->lent_lock);
	if (lent != NULL)
		return lent;
	lent = xcalloc(1, sizeof *lent);
	if (spool_open(&lent->spool, serve->spool_path, &options, err) == 0)
		return lent;
	free(lent);
	return NULL;
}

void
serve_give_back(struct serve *serve, struct serve_lent *lent)
{
	if (lent == NULL)
		return;
	pthread_mutex_lock(&serve->lent_lock);
	lent->next = serve->idle;
	serve->idle = lent;
	pthread_mutex_unlock(&serve->lent_lock);
}

void
serve_lend_release(struct serve *serve)
{
	struct serve_lent *lent;

	while ((lent = serve->idle) != NULL) {
		serve->idle = lent->next;
		spool_close(&lent->spool);
		if (lent->magic != NULL)
			mail_magic_free(lent->magic);
		free(lent);
	}
}

struct spool *
serve_spool_get(struct serve *serve, struct http_request *r)
{
	struct err err = ERR_INIT;
	struct serve_lent *lent = serve_lend(serve, &err);

	if (lent != NULL)
		return &lent->spool;
	/* For whoever asks it is the same as no space: later may be better. */
	err.code = EX_TEMPFAIL;
	serve_reply_err(r, &err);
	return NULL;
}

void
serve_spool_put(struct serve *serve, struct spool *spool)
{
	serve_give_back(serve, (struct serve_lent *)spool);
}

bool
serve_heavy_begin(struct serve *serve, struct http_request *r)
{
	const struct err err = { EX_TEMPFAIL, "too many large requests at once" };
	bool room;

	pthread_mutex_lock(&serve->lent_lock);
	room = serve->heavy < HEAVY_MAX || serve->waiting < WAITING_MAX;
	if (room) {
		serve->waiting++;
		while (serve->heavy >= HEAVY_MAX)
			pthread_cond_wait(&serve->lighter, &serve->lent_lock);
		serve->waiting--;
		serve->heavy++;
	}
	pthread_mutex_unlock(&serve->lent_lock);
	if (!room)
		serve_reply_err(r, &err);
	return room;
}

void
serve_heavy_end(struct serve *serve)
{
	int64_t now = clock_monotonic();
	bool trim;

	pthread_mutex_lock(&serve->lent_lock);
	serve->heavy--;
	pthread_cond_signal(&serve->lighter);
	trim = now - serve->trimmed > USEC;
	if (trim)
		serve->trimmed = now;
	pthread_mutex_unlock(&serve->lent_lock);
	/* What they took goes back to the system. */
	if (trim)
		malloc_trim(0);
}
