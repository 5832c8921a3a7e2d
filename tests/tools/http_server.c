/*
 * http_server [-t CERT -k KEY] [-o NAME=NUMBER]... WHERE...	serves a few routes on each WHERE
 * ("tls:WHERE" with TLS), or on what systemd handed over; prints "listening on NAME" for each, an
 * access line for each request; stops on SIGTERM with "stopped" (exit 0) or "cut" (exit 1).
 *
 * Routes: GET /health (quick), GET /hello, POST /echo, GET /messages/{id}, GET and DELETE
 * /messages/{id}/parts/{part}, GET /slow?ms=, GET /defer?ms=, POST /count (pieces), POST /picky
 * (pieces, refused at an "x"), GET /file?path=, GET /page, POST /durable (a file in the working directory
 * for each; also /durable-worker, /durable-alone), GET /private (needs X-API-Token: secret), POST /open/ (with a slash), GET /numbers.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/num.h"
#include "http/form.h"
#include "http/server.h"

static struct http_server *server;
static int64_t stop_usec = 5 * USEC;
static int quiet;

static void
health(struct http_request *r, void *arg)
{
	(void)arg;
	http_reply_text(r, 200, "application/json", "{\"status\":\"ok\"}");
}

/* What was understood of the request. */
static void
show(struct http_request *r, void *arg)
{
	struct buf out = BUF_INIT(1 << 20);
	struct json_writer w = JSON_WRITER(&out);
	const char *name, *value = NULL;

	(void)arg;
	json_begin_object(&w);
	json_member_str(&w, "method", http_is_head(r) ? "HEAD" : http_method(r));
	json_member_str(&w, "path", http_path(r));
	json_member_str(&w, "id", http_param(r, "id"));
	json_member_str(&w, "part", http_param(r, "part"));
	json_member_str(&w, "address", http_address(r));
	json_member_bool(&w, "tls", http_is_tls(r));
	json_member_bool(&w, "cross_site", http_is_cross_site(r));
	json_member_str(&w, "x", http_header(r, "X-Test"));
	json_key(&w, "query");
	json_begin_array(&w);
	for (size_t i = 0; (name = http_query_at(r, i, &value)) != NULL; i++) {
		json_put_str(&w, name);
		json_put_str(&w, value);
	}
	json_end_array(&w);
	json_end_object(&w);
	http_reply_json(r, 200, &out);
}

static void
echo(struct http_request *r, void *arg)
{
	struct buf body = BUF_INIT(0);
	const char *type = http_header(r, "Content-Type");

	(void)arg;
	http_take_body(r, &body);
	http_reply(r, 200, type != NULL ? type : "application/octet-stream", &body);
}

static int64_t
milliseconds(struct http_request *r)
{
	const char *text = http_query(r, "ms");
	uint64_t ms = 0;

	if (text != NULL)
		num_u64(text, 0, 60000, &ms);
	return (int64_t)ms * 1000;
}

static void
slow(struct http_request *r, void *arg)
{
	usleep((useconds_t)milliseconds(r));
	health(r, arg);
}

static void *
later(void *arg)
{
	struct http_request *r = arg;

	usleep((useconds_t)milliseconds(r));
	http_reply_text(r, 200, "text/plain", "later");
	http_finish(r);
	return NULL;
}

static void
defer(struct http_request *r, void *arg)
{
	pthread_t thread;

	(void)arg;
	http_defer(r);
	pthread_create(&thread, NULL, later, r);
	pthread_detach(thread);
}

/* ---- bodies in pieces -------------------------------------------------------------------------- */

struct count {
	uint64_t bytes, pieces;
};
static atomic_int open_states;
static atomic_ullong serial, syncs;

static void
count_begin(struct http_request *r, void *arg)
{
	(void)arg;
	atomic_fetch_add(&open_states, 1);
	http_set_state(r, xcalloc(1, sizeof(struct count)));
}

static void
count_piece(struct http_request *r, const char *bytes, size_t n, void *arg)
{
	struct count *count = http_state(r);

	(void)arg;
	count->bytes += n;
	count->pieces++;
	if (strcmp(http_path(r), "/picky") == 0 && memchr(bytes, 'x', n) != NULL)
		http_reply_detail(r, 422, "No x, please");
}

static void
count_done(struct http_request *r, void *arg)
{
	struct count *count = http_state(r);
	struct buf out = BUF_INIT(1000);

	(void)arg;
	buf_addf(&out, "{\"bytes\":%llu}", (unsigned long long)count->bytes);
	http_reply_json(r, 200, &out);
}

static void
count_end(struct http_request *r, void *arg)
{
	(void)arg;
	free(http_state(r));
	atomic_fetch_sub(&open_states, 1);
}

/* ---- forms: answers "NAME FILENAME TYPE BYTES" a line --------------------------------------------- */

struct upload {
	struct form_reader *form;
	struct buf out;
	uint64_t bytes;
};

static int
part_begin(const struct form_part *part, void *arg, struct err *err)
{
	struct upload *upload = arg;

	(void)err;
	upload->bytes = 0;
	return buf_addf(&upload->out, "%s|%s|%s|", part->name,
	    part->filename != NULL ? part->filename : "-", part->type != NULL ? part->type : "-");
}

static int
part_data(const char *bytes, size_t n, void *arg, struct err *err)
{
	struct upload *upload = arg;

	(void)bytes;
	(void)err;
	upload->bytes += n;
	return 0;
}

static int
part_end(void *arg, struct err *err)
{
	struct upload *upload = arg;

	(void)err;
	return buf_addf(&upload->out, "%llu\n", (unsigned long long)upload->bytes);
}

static void
form_begin(struct http_request *r, void *arg)
{
	static const struct form_callbacks callbacks = { part_begin, part_data, part_end };
	struct upload *upload = xcalloc(1, sizeof *upload);
	struct err err = ERR_INIT;

	(void)arg;
	buf_init(&upload->out, 1 << 20);
	http_set_state(r, upload);
	upload->form = form_new(http_header(r, "Content-Type"), &callbacks, upload, &err);
	if (upload->form == NULL)
		http_reply_detail(r, 422, err.msg);
}

static void
form_piece(struct http_request *r, const char *bytes, size_t n, void *arg)
{
	struct upload *upload = http_state(r);
	struct err err = ERR_INIT;

	(void)arg;
	if (form_feed(upload->form, bytes, n, &err) < 0)
		http_reply_detail(r, 422, err.msg);
}

static void
form_done(struct http_request *r, void *arg)
{
	struct upload *upload = http_state(r);
	struct err err = ERR_INIT;

	(void)arg;
	if (form_end(upload->form, &err) < 0)
		http_reply_detail(r, 422, err.msg);
	else
		http_reply(r, 201, "text/plain; charset=utf-8", &upload->out);
}

static void
form_over(struct http_request *r, void *arg)
{
	struct upload *upload = http_state(r);

	(void)arg;
	form_free(upload->form);
	buf_release(&upload->out);
	free(upload);
}

/* ---- files ------------------------------------------------------------------------------------- */

static void
file(struct http_request *r, void *arg)
{
	const char *path = http_query(r, "path");
	struct stat st;
	char tag[64];
	int fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;

	(void)arg;
	if (fd < 0 || fstat(fd, &st) < 0) {
		http_reply_detail(r, 404, "No such file");
		return;
	}
	snprintf(tag, sizeof tag, "%llx-%llx", (unsigned long long)st.st_ino,
	    (unsigned long long)st.st_mtime);
	if (http_not_modified(r, tag, "max-age=60"))
		close(fd);
	else
		http_reply_file(r, 200, "application/octet-stream", fd, 0, (uint64_t)st.st_size);
}

static void
page(struct http_request *r, void *arg)
{
	(void)arg;
	http_page_headers(r, NULL);
	http_reply_text(r, 200, "text/html; charset=utf-8", "<!doctype html><title>Hello</title>");
}

static void
nothing(struct http_request *r, void *arg)
{
	(void)r;
	(void)arg;
}

static void
numbers(struct http_request *r, void *arg)
{
	struct http_numbers n;
	struct buf out = BUF_INIT(1000);

	(void)arg;
	http_server_numbers(server, &n);
	buf_addf(&out,
	    "{\"syncs\":%llu,\"connections\":%llu,\"requests\":%llu,\"refused\":%llu,\"states\":%"
	    "d}",
	    atomic_load(&syncs), (unsigned long long)n.connections, (unsigned long long)n.requests,
	    (unsigned long long)n.refused, atomic_load(&open_states));
	http_reply_json(r, 200, &out);
}

/* ---- durable: each body in a file of its own, one sync for all who wait -------------------------- */

struct waiting {
	struct waiting *next;
	struct http_request *r;
	int fd;
};
static pthread_mutex_t group_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t group_wake = PTHREAD_COND_INITIALIZER;
static struct waiting *group;

/* Takes all who wait, syncs once, answers them. */
static void *
commit(void *arg)
{
	(void)arg;
	for (;;) {
		struct waiting *all, *next;

		pthread_mutex_lock(&group_lock);
		while (group == NULL)
			pthread_cond_wait(&group_wake, &group_lock);
		all = group;
		group = NULL;
		pthread_mutex_unlock(&group_lock);
		if (all->next == NULL ? fsync(all->fd) < 0 : syncfs(all->fd) < 0)
			abort();
		atomic_fetch_add(&syncs, 1);
		for (; all != NULL; all = next) {
			next = all->next;
			http_reply_text(all->r, 200, "application/json", "{\"ok\":true}");
			close(all->fd);
			http_finish(all->r);
			free(all);
		}
	}
	return NULL;
}

static int
store(struct http_request *r)
{
	struct view body = http_body(r);
	unsigned long long n = atomic_fetch_add(&serial, 1);
	char name[64];
	int fd;

	snprintf(name, sizeof name, "%llu/%llu", n % 64, n);
	fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd >= 0 && fs_write(fd, body.s, body.len) == 0)
		return fd;
	http_reply_detail(r, 503, "no file");
	if (fd >= 0)
		close(fd);
	return -1;
}

static void
durable(struct http_request *r, void *arg)
{
	struct waiting *w;
	int fd = store(r);

	(void)arg;
	if (fd < 0)
		return;
	w = xmalloc(sizeof *w);
	http_defer(r);
	pthread_mutex_lock(&group_lock);
	*w = (struct waiting){ group, r, fd };
	group = w;
	pthread_mutex_unlock(&group_lock);
	pthread_cond_signal(&group_wake);
}

/* The same without a committing thread: each worker syncs its own. */
static void
durable_alone(struct http_request *r, void *arg)
{
	int fd = store(r);

	(void)arg;
	if (fd < 0)
		return;
	if (fsync(fd) < 0)
		abort();
	close(fd);
	http_reply_text(r, 200, "application/json", "{\"ok\":true}");
}

/* ---- the program ------------------------------------------------------------------------------- */

static int
admit(struct http_request *r, const struct http_route *route, void *arg)
{
	const char *token = http_header(r, "X-API-Token");

	(void)arg;
	if (route->info == NULL)
		return 0;
	if (token == NULL || strcmp(token, "secret") != 0) {
		http_reply_detail(r, 401, "Invalid or missing API token");
		return -1;
	}
	http_set_user(r, route->info);
	return 0;
}

static void
access_line(const struct http_access *access, void *arg)
{
	AUTO_BUF struct buf line = BUF_INIT(4096);

	(void)arg;
	if (quiet)
		return;
	http_access_line(&line, access);
	buf_addc(&line, '\n');
	(void)!write(1, line.s, line.len);
}

static const struct http_route routes[] = {
	{ .method = "GET", .path = "/health", .handle = health, .quick = true },
	{ .method = "GET", .path = "/hello", .handle = health },
	{ .method = "POST", .path = "/echo", .handle = echo, .max_body = 100000 },
	{ .method = "POST", .path = "/quick", .handle = echo, .max_body = 100000, .quick = true },
	{ .method = "POST", .path = "/large", .handle = echo, .max_body = 64 << 20 },
	{ .method = "GET", .path = "/messages/{id}", .handle = show },
	{ .method = "GET", .path = "/messages/{id}/parts/{part}", .handle = show },
	{ .method = "DELETE", .path = "/messages/{id}/parts/{part}", .handle = show },
	{ .method = "GET", .path = "/slow", .handle = slow },
	{ .method = "GET", .path = "/defer", .handle = defer },
	{ .method = "POST",
	    .path = "/count",
	    .begin = count_begin,
	    .piece = count_piece,
	    .handle = count_done,
	    .end = count_end,
	    .max_body = 1 << 30 },
	{ .method = "POST",
	    .path = "/picky",
	    .begin = count_begin,
	    .piece = count_piece,
	    .handle = count_done,
	    .end = count_end,
	    .max_body = 1 << 30 },
	{ .method = "POST",
	    .path = "/form",
	    .begin = form_begin,
	    .piece = form_piece,
	    .handle = form_done,
	    .end = form_over,
	    .max_body = 1 << 30 },
	{ .method = "GET", .path = "/file", .handle = file },
	{ .method = "GET", .path = "/page", .handle = page },
	{ .method = "GET", .path = "/nothing", .handle = nothing },
	{ .method = "GET", .path = "/numbers", .handle = numbers, .quick = true },
	{ .method = "POST",
	    .path = "/durable",
	    .handle = durable,
	    .max_body = 1 << 20,
	    .quick = true },
	{ .method = "POST", .path = "/durable-worker", .handle = durable, .max_body = 1 << 20 },
	{ .method = "POST",
	    .path = "/durable-alone",
	    .handle = durable_alone,
	    .max_body = 1 << 20 },
	{ .method = "GET", .path = "/quick-defer", .handle = defer, .quick = true },
	{ .method = "GET", .path = "/private", .handle = show, .info = "tester" },
	{ .method = "POST",
	    .path = "/private",
	    .handle = echo,
	    .max_body = 1 << 20,
	    .info = "tester" },
	{ .method = "POST", .path = "/open/", .handle = show },
	HTTP_ROUTES_END,
};

static void
set_number(struct http_config *config, const char *text)
{
	const char *equals = strchr(text, '=');
	size_t n = equals != NULL ? (size_t)(equals - text) : 0;
	uint64_t value;
	const struct {
		const char *name;
		unsigned *number;
		int64_t *span; /* given in milliseconds */
	} known[] = {
		{ "pollers", &config->pollers, NULL },
		{ "workers", &config->workers, NULL },
		{ "connections", &config->connections, NULL },
		{ "per_address", &config->per_address, NULL },
		{ "head", NULL, &config->head_usec },
		{ "body", NULL, &config->body_usec },
		{ "send", NULL, &config->send_usec },
		{ "idle", NULL, &config->idle_usec },
		{ "stop", NULL, &stop_usec },
	};

	if (n == 0 || num_u64(equals + 1, 0, INT32_MAX, &value) < 0)
		exit(64);
	if (strncmp(text, "body_bytes", n) == 0 && n == 10)
		config->body_bytes = value;
	for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
		if (strlen(known[i].name) != n || memcmp(known[i].name, text, n) != 0)
			continue;
		if (known[i].number != NULL)
			*known[i].number = (unsigned)value;
		else
			*known[i].span = (int64_t)value * 1000;
	}
}

static char *
read_whole(const char *path)
{
	struct buf text = BUF_INIT(1 << 20);

	if (fs_read_file(AT_FDCWD, path, &text) < 0) {
		perror(path);
		exit(66);
	}
	return text.s;
}

/* Serves until SIGTERM; the exit status. */
static int
serve(const struct http_config *config, struct http_listeners *set)
{
	struct err err = ERR_INIT;
	pthread_t committer;
	sigset_t signals;
	int got;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	if (pthread_create(&committer, NULL, commit, NULL) != 0)
		return 71;
	pthread_detach(committer);
	server = http_server_new(config, set, &err);
	if (server == NULL)
		return err_print(&err);
	for (size_t i = 0; i < set->n; i++)
		printf("listening on %s%s\n", set->v[i].name,
		    http_listeners_public(set) ? " (public)" : "");
	fflush(stdout);
	sigwait(&signals, &got);
	if (http_server_stop(server, stop_usec) < 0) {
		puts("cut");
		fflush(stdout);
		_exit(1);
	}
	http_server_free(server);
	puts("stopped");
	return 0;
}

static int
listen_all(struct http_listeners *set, char **where)
{
	struct err err = ERR_INIT;

	if (http_listen_inherited(set, &err) < 0)
		return err_print(&err);
	for (; *where != NULL; where++) {
		struct http_listen_options options = { .tls = strncmp(*where, "tls:", 4) == 0 };

		if (http_listen(set, *where + (options.tls ? 4 : 0), &options, &err) < 0)
			return err_print(&err);
	}
	return 0;
}

int
main(int argc, char **argv)
{
	struct http_listeners set = HTTP_LISTENERS_INIT;
	struct http_config config = { .routes = routes, .admit = admit, .access = access_line };
	int c, rc;

	while ((c = getopt(argc, argv, "t:k:o:q")) != -1)
		if (c == 't')
			config.tls_certificate = read_whole(optarg);
		else if (c == 'k')
			config.tls_key = read_whole(optarg);
		else if (c == 'q')
			quiet = 1;
		else if (c == 'o')
			set_number(&config, optarg);
		else
			return 64;
	signal(SIGPIPE, SIG_IGN);
	for (int i = 0; i < 64; i++) {
		char name[24];

		snprintf(name, sizeof name, "%d", i);
		mkdir(name, 0700);
	}
	rc = listen_all(&set, argv + optind);
	if (rc == 0)
		rc = serve(&config, &set);
	http_listeners_release(&set);
	free((void *)(uintptr_t)config.tls_certificate);
	free((void *)(uintptr_t)config.tls_key);
	return rc;
}
