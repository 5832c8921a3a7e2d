/* mailq-serve: the REST API. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/program.h"
#include "cmd/policy/reread.h"
#include "cmd/serve/runs.h"
#include "cmd/serve/state.h"
#include "spool/queue/awaited.h"

#define TIDY_EACH 60 /* seconds */
#define PEM_MAX (1024u * 1024)

#define AT(member) OPT_AT(struct serve_options, member)

static const struct opt options_table[] = {
	OPT_COMMON,
	{ .name = "listen",
	    .arg = "ADDR:PORT",
	    .help = "listen there, or on the path of a Unix socket; repeatable",
	    .kind = OPT_LIST,
	    AT(listen) },
	{ .name = "insecure",
	    .help = "let other machines connect without a token",
	    .kind = OPT_FLAG,
	    AT(insecure) },
};

static const struct opt_program program = {
	.name = "mailq-serve",
	.synopsis = "[OPTION...]",
	.purpose = "Serve the REST API of the mail queue.",
	.options = options_table,
	.n_options = sizeof options_table / sizeof options_table[0],
};

/* ---- where it listens -------------------------------------------------------------------------- */

/* "127.0.0.1" and "::1" get server.port, what names a port or a path is complete. */
static void
complete_address(const char *text, int64_t port, struct buf *ret)
{
	const char *colon = strchr(text, ':');
	bool bare6 = *text != '[' && colon != NULL && strchr(colon + 1, ':') != NULL;
	bool bracket6 =
	    *text == '[' && strchr(text, ']') != NULL && *(strchr(text, ']') + 1) == '\0';

	if (*text == '/' || strncmp(text, "unix:", 5) == 0)
		buf_adds(ret, text);
	else if (bare6)
		buf_addf(ret, "[%s]:%lld", text, (long long)port);
	else if (colon == NULL || bracket6)
		buf_addf(ret, "%s:%lld", text, (long long)port);
	else
		buf_adds(ret, text);
}

static int
open_address(struct http_listeners *set, const char *text, const struct settings *s, bool tls,
    struct err *err)
{
	AUTO_BUF struct buf where = BUF_INIT(1024);
	struct http_listen_options options = { .mode = server_socket_mode(s) };

	complete_address(text, s->server.port, &where);
	/* Whoever reaches a socket in the file system is on this machine. */
	options.tls = tls && *where.s != '/' && strncmp(where.s, "unix:", 5) != 0;
	return http_listen(set, where.s, &options, err);
}

static bool
is_path(const char *text)
{
	return *text == '/' || strncmp(text, "unix:", 5) == 0;
}

/* Sockets handed over by systemd, else those of --listen, else those of mailq.conf: first the ports, some of
 * which are root's alone, and once it is clear as whom we run, the paths, which are to belong to that user. */
static int
open_listeners(struct http_listeners *set, const struct serve_options *o, const struct settings *s,
    bool paths, struct err *err)
{
	bool tls = s->server.tls_certificate != NULL;
	bool by_option = o->listen.n > 0;
	char *const *where = by_option ? (char *const *)(uintptr_t)o->listen.v : s->server.listen.v;
	size_t n = by_option ? o->listen.n : s->server.listen.n;

	for (size_t i = 0; i < n; i++)
		if (is_path(where[i]) == paths && open_address(set, where[i], s, tls, err) < 0)
			return -1;
	if (paths && !by_option && s->server.socket != NULL)
		return open_address(set, s->server.socket, s, false, err);
	return 0;
}

/* How many were handed over; -1 with err. */
static int
take_inherited(struct http_listeners *set, const struct settings *s, struct err *err)
{
	int n = http_listen_inherited(set, err);

	for (size_t i = 0; n >= 0 && i < set->n; i++)
		set->v[i].tls =
		    s->server.tls_certificate != NULL && strncmp(set->v[i].name, "unix:", 5) != 0;
	return n;
}

static int
read_pem(const char *path, const char *setting, struct buf *ret, struct err *err)
{
	if (fs_read_file(AT_FDCWD, path, ret) < 0)
		return err_sys(err, EX_CONFIG, "%s: %s", setting, path);
	return 0;
}

/* The certificate and key, where TLS is configured. */
static int
read_tls(const struct settings *s, struct buf *certificate, struct buf *key, struct err *err)
{
	if ((s->server.tls_certificate == NULL) != (s->server.tls_key == NULL))
		return err_set(err, EX_CONFIG,
		    "server: expected tls_certificate and tls_key together");
	if (s->server.tls_certificate == NULL)
		return 0;
	if (read_pem(s->server.tls_certificate, "server.tls_certificate", certificate, err) < 0)
		return -1;
	return read_pem(s->server.tls_key, "server.tls_key", key, err);
}

/* ---- the server -------------------------------------------------------------------------------- */

static void
log_access(const struct http_access *access, void *arg)
{
	AUTO_BUF struct buf line = BUF_INIT(8192);

	(void)arg;
	if (!log_wants(LOG_LEVEL_INFO))
		return;
	http_access_line(&line, access);
	log_info("%s", line.s);
}

/* The table, with the sizes that the configuration says. */
static struct http_route *
make_routes(const struct settings *s)
{
	struct http_route *routes;
	size_t n = 0;

	while (serve_routes[n].method != NULL)
		n++;
	routes = xreallocarray(NULL, n + 1, sizeof *routes);
	memcpy(routes, serve_routes, (n + 1) * sizeof *routes);
	for (size_t i = 0; i < n; i++)
		if (routes[i].max_body == SERVE_BODY_MAX)
			routes[i].max_body = (size_t)s->server.max_body;
	return routes;
}

static struct http_config
make_config(struct serve *serve, const struct settings *s, const struct http_route *routes,
    const struct buf *certificate, const struct buf *key)
{
	int64_t memory = s->server.body_memory;

	return (struct http_config){
		.routes = routes,
		.arg = serve,
		.admit = serve_admit,
		.access = log_access,
		.tls_certificate = certificate->len > 0 ? certificate->s : NULL,
		.tls_key = key->len > 0 ? key->s : NULL,
		.workers = (unsigned int)s->server.workers,
		.connections = (unsigned int)s->server.connections,
		.per_address = (unsigned int)s->server.per_address,
		.body_bytes = (size_t)(memory > s->server.max_body ? memory : s->server.max_body),
		.head_usec = s->server.head_timeout,
		.body_usec = s->server.body_timeout,
		.send_usec = s->server.send_timeout,
		.idle_usec = s->server.idle_timeout,
	};
}

/* ---- signals ----------------------------------------------------------------------------------- */

static void
block_signals(sigset_t *ret_set)
{
	sigemptyset(ret_set);
	sigaddset(ret_set, SIGTERM);
	sigaddset(ret_set, SIGINT);
	sigaddset(ret_set, SIGHUP);
	pthread_sigmask(SIG_BLOCK, ret_set, NULL);
}

/* The certificate as its file is now, where TLS is spoken since the start. */
static void
renew_tls(struct serve *serve)
{
	const struct serve_config *config = serve_config_peek(serve);
	AUTO_BUF struct buf certificate = BUF_INIT(PEM_MAX), key = BUF_INIT(PEM_MAX);
	struct err err = ERR_INIT;
	int result = read_tls(&config->settings, &certificate, &key, &err);

	if (result == 0 && certificate.len > 0)
		result = http_server_renew_tls(serve->server, certificate.s, key.s, &err);
	serve_config_put(serve, config);
	if (result < 0)
		log_error("%s; still using the previous certificate", err.msg);
}

static void
reload(struct serve *serve)
{
	struct err err = ERR_INIT;

	if (serve_config_load(serve, &err) < 0) {
		log_error("%s; still using the previous configuration", err.msg);
		return;
	}
	renew_tls(serve);
	log_info("the configuration was read again");
}

/* Until a signal ends it. */
static void
attend(struct serve *serve, const sigset_t *signals)
{
	struct timespec each = { TIDY_EACH, 0 };
	int64_t tidied = clock_monotonic();

	for (;;) {
		int signal = sigtimedwait(signals, NULL, &each);

		if (signal == SIGHUP)
			reload(serve);
		else if (signal > 0)
			return;
		if (clock_monotonic() - tidied < TIDY_EACH * USEC)
			continue;
		serve_once_tidy(serve);
		tidied = clock_monotonic();
	}
}

/* ---- running ----------------------------------------------------------------------------------- */

/* What was opened and read while we were whoever started us. */
struct opened {
	struct http_listeners listeners;
	struct buf certificate, key;
};

static void
release(struct opened *opened)
{
	http_listeners_release(&opened->listeners);
	buf_release(&opened->certificate);
	buf_release(&opened->key);
}

static int
serve_until_told(struct serve *serve, struct opened *opened, const sigset_t *signals,
    struct err *err)
{
	const struct serve_config *config = serve_config_peek(serve);
	const struct settings *s = &config->settings;
	struct http_listeners *listeners = &opened->listeners;
	AUTO_FREE struct http_route *routes = make_routes(s);
	int64_t bound = s->server.stop_timeout;
	struct http_config http = make_config(serve, s, routes, &opened->certificate, &opened->key);

	serve->server = http_server_new(&http, listeners, err);
	serve_config_put(serve, config);
	if (serve->server == NULL)
		return -1;
	for (size_t i = 0; i < listeners->n; i++)
		log_info("listening on %s", listeners->v[i].name);
	attend(serve, signals);
	/* A second signal ends the program at once; what was answered is on disk. */
	pthread_sigmask(SIG_UNBLOCK, signals, NULL);
	log_info("stopping");
	if (http_server_stop(serve->server, bound) < 0) {
		log_warning("some requests were not done in time and are cut off");
		/* Their threads still use what would be released. */
		_exit(EX_OK);
	}
	http_server_free(serve->server);
	serve->server = NULL;
	return 0;
}

/* With spool_open, root has become the spool's owner: what is root's alone is read and opened before. */
static int
open_all(struct serve *serve, const struct serve_options *o, struct opened *ret, struct err *err)
{
	const struct settings *s;
	struct spool_options options = { 0 };
	int inherited;

	if (serve_config_read(serve, &s, err) < 0 ||
	    settings_spool(s, o->common.spool, &serve->spool_path, err) < 0 ||
	    read_tls(s, &ret->certificate, &ret->key, err) < 0)
		return -1;
	inherited = take_inherited(&ret->listeners, s, err);
	if (inherited < 0 ||
	    (inherited == 0 && open_listeners(&ret->listeners, o, s, false, err) < 0))
		return -1;
	serve->allow_network_fs = options.allow_network_fs = s->queue.allow_network_fs;
	options.owner = settings_spool_owner(s, serve->spool_path);
	if (spool_open(&serve->spool, serve->spool_path, &options, err) < 0)
		return -1;
	/* The mailq-run that is started reads it, and SIGHUP. */
	serve->config_file = reread_file(s);
	if (reread_check(serve->config_file, err) < 0 ||
	    (inherited == 0 && open_listeners(&ret->listeners, o, s, true, err) < 0))
		return -1;
	if (ret->listeners.n == 0)
		return err_set(err, EX_CONFIG,
		    "server.listen: expected an address, and server.socket is not set either");
	serve->public = http_listeners_public(&ret->listeners);
	return 0;
}

static int
run_opened(struct serve *serve, struct opened *opened, const sigset_t *signals, struct err *err)
{
	int result;

	serve->queue = serve_queue_new(serve, err);
	result = serve->queue != NULL ? serve_config_load(serve, err) : -1;
	if (result == 0)
		result = serve_until_told(serve, opened, signals, err);
	serve_runs_free(serve->runs);
	serve->runs = NULL;
	serve_queue_free(serve->queue);
	return result;
}

static int
run(const struct serve_options *o)
{
	struct serve serve = { .options = o, .spool = { .root = -1 } };
	AUTO(release)
	struct opened opened = { HTTP_LISTENERS_INIT, BUF_INIT(PEM_MAX), BUF_INIT(PEM_MAX) };
	struct err err = ERR_INIT;
	sigset_t signals;
	int result;

	block_signals(&signals);
	pthread_mutex_init(&serve.config_lock, NULL);
	pthread_mutex_init(&serve.reload_lock, NULL);
	serve_lend_init(&serve);
	serve.runs = serve_runs_new();
	pthread_mutex_init(&serve.awaited_lock, NULL);
	serve.awaited = awaited_new();
	result = open_all(&serve, o, &opened, &err);
	if (result == 0)
		result = run_opened(&serve, &opened, &signals, &err);
	serve_config_release(&serve);
	serve_lend_release(&serve);
	if (serve.spool.root >= 0)
		spool_close(&serve.spool);
	serve_runs_free(serve.runs);
	awaited_free(serve.awaited);
	free(serve.spool_path);
	free(serve.config_file);
	return result < 0 ? err_print(&err) : EX_OK;
}

int
main(int argc, char **argv)
{
	struct serve_options options = { 0 };
	struct opt_rest rest;
	int code = program_start(&program, argc, argv, &options, &rest);

	if (code >= 0)
		return code;
	if (rest.argc > 0)
		return program_misuse(&program, "unexpected argument \"%s\"", rest.argv[0]);
	/* It says who asked for what, unless it is told not to. */
	if (!options.common.quiet)
		log_set_level(options.common.verbose > 0 ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
	code = run(&options);
	opt_list_release(&options.listen);
	return program_finish(code);
}
