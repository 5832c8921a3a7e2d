/*
 * The state of mailq-serve, for the files that keep a part of it.  Handlers have no need of it but
 * through the functions of serve.h.
 */
#ifndef CMD_SERVE_STATE_H
#define CMD_SERVE_STATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/opt.h"
#include "cmd/serve/auth.h"
#include "cmd/serve/serve.h"

struct mail_magic;
struct serve_loaded;
struct serve_queue;
struct serve_runs;
struct awaited;

struct serve_options {
	struct opt_common common;
	struct opt_list listen;
	bool insecure;
};

/* What a thread borrows: things that cost something to open, and that only one may use at a time. */
struct serve_lent {
	struct spool spool; /* first: serve_spool_get gives it out as this */
	struct mail_magic *magic;
	struct serve_lent *next;
};

struct serve {
	const struct serve_options *options;
	char *
	    config_file; /* what to read again, where options do not say it (cmd/policy/reread.h); or NULL */
	char *spool_path;
	struct http_server *server; /* NULL until it is there: for its numbers */
	bool public;		    /* others than this machine reach it */

	/* config.c */
	pthread_mutex_t config_lock, reload_lock;
	struct serve_config *config;
	struct serve_loaded *unused; /* read, and not taken by serve_config_load yet */
	struct spool spool; /* for looking at accounts/: under reload_lock, but for its root */

	/* lend.c */
	pthread_mutex_t lent_lock;
	struct serve_lent *idle;
	bool allow_network_fs;
	pthread_cond_t lighter;	     /* under lent_lock, as the next two */
	unsigned int heavy, waiting; /* large requests in work, and that would like to be */
	int64_t trimmed;	     /* monotonic */

	struct serve_queue *queue; /* commit.c */
	struct serve_runs *runs;   /* runs.c */
	atomic_size_t forms;	   /* api/form_read.c: bytes of texts of forms on their way in */

	/* api/form_status.c */
	pthread_mutex_t awaited_lock;
	struct awaited *awaited;
};

/* ---- config.c ------------------------------------------------------------------------------ */

/* Reads mailq.conf and the tokens' files before there is a spool, for the first serve_config_load; *ret is
 * to be used until then. */
int serve_config_read(struct serve *serve, const struct settings **ret, struct err *err);
/* Reads mailq.conf, and the tokens' files, in place of what there was.  -1 with err: all is as before. */
int serve_config_load(struct serve *serve, struct err *err);
void serve_config_release(struct serve *serve);
/* What is read, as -c says it; or NULL. */
const char *serve_config_file(const struct serve *serve);
/* As serve_config_get, without looking whether accounts have changed: quick. */
const struct serve_config *serve_config_peek(struct serve *serve);
const struct serve_tokens *serve_config_tokens(const struct serve_config *config);

/* ---- lend.c -------------------------------------------------------------------------------- */

struct serve_lent *serve_lend(struct serve *serve, struct err *err);
void serve_give_back(struct serve *serve, struct serve_lent *lent);
void serve_lend_init(struct serve *serve);
void serve_lend_release(struct serve *serve);

/* ---- commit.c ------------------------------------------------------------------------------ */

/* Starts the threads that commit; NULL with err. */
struct serve_queue *serve_queue_new(struct serve *serve, struct err *err);
/* When no request is left.  Accepts NULL. */
void serve_queue_free(struct serve_queue *queue);

/* ---- once.c -------------------------------------------------------------------------------- */

/* Forgets answers that are older than server.keep_answers, or more than server.max_answers. */
void serve_once_tidy(struct serve *serve);

#endif
