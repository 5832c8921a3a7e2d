/* The configuration that requests see: what mailq.conf said when it was read last, shared by all, and
 * over it the accounts of the spool as they are now. */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/log.h"
#include "cmd/policy/accounts.h"
#include "cmd/serve/state.h"
#include "cmd/submit/sender.h"

/* A directory that changes twice within a tick of the kernel's clock (10 ms at the most) shows the same
 * time for both. */
#define TICK (20 * INT64_C(1000))

/* What was read from mailq.conf; counted by the configurations that share it, under config_lock. */
struct serve_loaded {
	struct settings settings;
	struct serve_tokens *tokens;
	unsigned int users;
};

/* accounts/, as it was when it was read. */
struct stamp {
	ino_t inode; /* 0: there is none */
	struct timespec changed;
};

struct config {
	struct serve_config public; /* first */
	struct serve_loaded *loaded;
	struct stamp stamp;
	bool settled; /* a further change would show */
};

static void
free_loaded(struct serve_loaded *loaded)
{
	settings_release(&loaded->settings);
	serve_tokens_free(loaded->tokens);
	free(loaded);
}

/* ---- those who hold it ------------------------------------------------------------------------- */

static void
let_go(struct config *config)
{
	if (--config->public.users > 0)
		return;
	settings_release(&config->public.settings);
	if (--config->loaded->users == 0)
		free_loaded(config->loaded);
	free(config);
}

void
serve_config_put(struct serve *serve, const struct serve_config *config)
{
	pthread_mutex_lock(&serve->config_lock);
	let_go((struct config *)(uintptr_t)config);
	pthread_mutex_unlock(&serve->config_lock);
}

const struct serve_config *
serve_config_peek(struct serve *serve)
{
	struct serve_config *config;

	pthread_mutex_lock(&serve->config_lock);
	config = serve->config;
	config->users++;
	pthread_mutex_unlock(&serve->config_lock);
	return config;
}

const struct serve_tokens *
serve_config_tokens(const struct serve_config *config)
{
	return ((const struct config *)config)->loaded->tokens;
}

static void
replace(struct serve *serve, struct config *config)
{
	pthread_mutex_lock(&serve->config_lock);
	if (serve->config != NULL)
		let_go((struct config *)serve->config);
	serve->config = &config->public;
	pthread_mutex_unlock(&serve->config_lock);
}

void
serve_config_release(struct serve *serve)
{
	if (serve->config != NULL)
		serve_config_put(serve, serve->config);
	serve->config = NULL;
	if (serve->unused != NULL)
		free_loaded(serve->unused);
	serve->unused = NULL;
}

/* ---- the accounts ------------------------------------------------------------------------------ */

static struct stamp
look(const struct serve *serve)
{
	struct stat st;

	if (fstatat(serve->spool.root, "accounts", &st, AT_SYMLINK_NOFOLLOW) < 0)
		return (struct stamp){ 0 };
	return (struct stamp){ st.st_ino, st.st_mtim };
}

static bool
same(const struct stamp *a, const struct stamp *b)
{
	return a->inode == b->inode && a->changed.tv_sec == b->changed.tv_sec &&
	    a->changed.tv_nsec == b->changed.tv_nsec;
}

/* With the accounts as they are now; NULL with err.  Under reload_lock. */
static struct config *
make(struct serve *serve, struct serve_loaded *loaded, struct err *err)
{
	struct config *config = xcalloc(1, sizeof *config);
	int64_t changed;

	config->public.users = 1;
	config->loaded = loaded;
	config->stamp = look(serve);
	changed = config->stamp.changed.tv_sec * USEC + config->stamp.changed.tv_nsec / 1000;
	config->settled = config->stamp.inode == 0 || clock_now() - changed > TICK;
	settings_share(&loaded->settings, &config->public.settings);
	if (accounts_load(&config->public.settings, &serve->spool, err) == 0 &&
	    add_sender_check(&config->public.settings, err) == 0) {
		pthread_mutex_lock(&serve->config_lock);
		loaded->users++;
		pthread_mutex_unlock(&serve->config_lock);
		return config;
	}
	settings_release(&config->public.settings);
	free(config);
	return NULL;
}

/* Under reload_lock.  Where the whole does not fit together any more, what there was goes on, until the
 * accounts change again. */
static void
reload_accounts(struct serve *serve)
{
	struct config *old = (struct config *)serve->config, *config;
	struct err err = ERR_INIT;

	config = make(serve, old->loaded, &err);
	if (config != NULL) {
		replace(serve, config);
		return;
	}
	log_error("%s; still using the previous accounts", err.msg);
	pthread_mutex_lock(&serve->config_lock);
	old->stamp = look(serve);
	old->settled = true;
	pthread_mutex_unlock(&serve->config_lock);
}

/* One more holder of the configuration there is, or NULL where the accounts have changed since. */
static const struct serve_config *
get_current(struct serve *serve)
{
	struct stamp now = look(serve);
	struct config *config;
	bool current;

	pthread_mutex_lock(&serve->config_lock);
	config = (struct config *)serve->config;
	current = config->settled && same(&config->stamp, &now);
	if (current)
		config->public.users++;
	pthread_mutex_unlock(&serve->config_lock);
	return current ? &config->public : NULL;
}

const struct serve_config *
serve_config_get(struct serve *serve)
{
	const struct serve_config *config = get_current(serve);

	if (config != NULL)
		return config;
	pthread_mutex_lock(&serve->reload_lock);
	/* Somebody else may have been faster. */
	config = get_current(serve);
	if (config == NULL) {
		reload_accounts(serve);
		config = serve_config_peek(serve);
	}
	pthread_mutex_unlock(&serve->reload_lock);
	return config;
}

/* ---- mailq.conf -------------------------------------------------------------------------------- */

const char *
serve_config_file(const struct serve *serve)
{
	return serve->config_file != NULL ? serve->config_file : serve->options->common.config;
}

static struct serve_loaded *
load(struct serve *serve, struct err *err)
{
	struct serve_loaded *loaded = xcalloc(1, sizeof *loaded);

	if (settings_load(&loaded->settings, serve_config_file(serve), err) < 0) {
		free(loaded);
		return NULL;
	}
	loaded->tokens = serve_tokens_new(&loaded->settings, err);
	if (loaded->tokens == NULL) {
		free_loaded(loaded);
		return NULL;
	}
	return loaded;
}

int
serve_config_read(struct serve *serve, const struct settings **ret, struct err *err)
{
	serve->unused = load(serve, err);
	if (serve->unused == NULL)
		return -1;
	*ret = &serve->unused->settings;
	return 0;
}

int
serve_config_load(struct serve *serve, struct err *err)
{
	struct serve_loaded *loaded = serve->unused != NULL ? serve->unused : load(serve, err);
	struct config *config;

	serve->unused = NULL;
	if (loaded == NULL)
		return -1;
	if (serve->public && serve_tokens_none(loaded->tokens) && !serve->options->insecure) {
		free_loaded(loaded);
		return err_set(err, EX_CONFIG,
		    "other machines can connect and no token is set: expected server.api_token, or "
		    "--insecure");
	}
	pthread_mutex_lock(&serve->reload_lock);
	config = make(serve, loaded, err);
	if (config != NULL)
		replace(serve, config);
	pthread_mutex_unlock(&serve->reload_lock);
	if (config != NULL)
		return 0;
	free_loaded(loaded);
	return -1;
}
