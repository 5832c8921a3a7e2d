/*
 * libmicrohttpd reads and writes; what a request means is decided elsewhere.  As 0.9.75 does it: the
 * library's handler is called once for the head, then for pieces of the body, then at the end; a reply
 * queued at the head closes the connection afterwards, one cannot be queued amid the body, and a
 * suspended connection is left alone until it is resumed, when the handler is called again with what
 * it did not take.
 */
#include "http/server_private.h"

#include <microhttpd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"

/* ---- answering --------------------------------------------------------------------------------- */

static struct MHD_Response *
make_response(struct reply *reply)
{
	struct MHD_Response *response;
	struct buf *body = &reply->body;

	if (reply->fd >= 0) {
		response = MHD_create_response_from_fd_at_offset64(reply->size, reply->fd,
		    (uint64_t)reply->offset);
		if (response != NULL)
			reply->fd = -1;
		return response;
	}
	reply->size = body->len;
	if (body->cap == 0)
		return MHD_create_response_from_buffer(0, buf_empty, MHD_RESPMEM_PERSISTENT);
	response = MHD_create_response_from_buffer(body->len, body->s, MHD_RESPMEM_MUST_FREE);
	if (response != NULL)
		buf_init(body, body->max);
	return response;
}

static enum MHD_Result
queue(struct http_request *r)
{
	struct http_server *s = r->conn->server;
	const struct buf *fields = &r->reply.fields;
	struct MHD_Response *response = make_response(&r->reply);
	enum MHD_Result result = MHD_NO;

	r->step = STEP_QUEUED;
	if (response == NULL)
		return MHD_NO;
	for (size_t at = 0; at < fields->len;) {
		const char *name = fields->s + at, *value = name + strlen(name) + 1;

		MHD_add_response_header(response, name, value);
		at += (size_t)(value + strlen(value) + 1 - name);
	}
	MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
	if (r->reply.close || atomic_load(&s->stopping))
		MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
	if (conn_enter(r->conn, PHASE_SEND, s->config.send_usec))
		result = MHD_queue_response(r->mhd, (unsigned)r->reply.status, response);
	MHD_destroy_response(response);
	return result;
}

/* ---- the head ---------------------------------------------------------------------------------- */

static bool
judge(struct http_request *r)
{
	const struct http_config *config = &r->conn->server->config;
	size_t bound;

	if (head_uri(r) < 0 || route_find(r) < 0)
		return false;
	if (config->admit != NULL && config->admit(r, r->route, config->arg) != 0) {
		if (r->reply.status == 0)
			http_reply_detail(r, 403, "Forbidden");
		return false;
	}
	bound = r->route->max_body > 0 ? r->route->max_body : DRAIN_MAX;
	if (r->expected == UINT64_MAX || r->expected <= bound)
		return true;
	http_reply_detail(r, 413, "Content Too Large");
	return false;
}

static enum MHD_Result
take_head(struct http_request *r, const char *method, const char *version)
{
	struct http_conn *conn = r->conn;
	bool clear = head_fields(r, method, version) == 0;

	r->step = STEP_BODY;
	r->refused = !clear || !judge(r);
	/* A small body is read and dropped, so that the client hears the answer and the connection
	 * stays; one that is not sent yet, or is large, is not waited for. */
	if (!clear ||
	    (r->refused &&
		(r->expected > DRAIN_MAX ||
		    (r->expected > 0 && http_header(r, "Expect") != NULL)))) {
		http_close(r);
		conn->linger = true;
		return queue(r);
	}
	return conn_enter(conn, PHASE_BODY, conn->server->config.body_usec) ? MHD_YES : MHD_NO;
}

/* ---- the body ---------------------------------------------------------------------------------- */

/* There is an answer and the body goes on.  Its end is waited for where it is near.  Else the answer is
 * written past the library, which takes none here, and the connection closed; TLS cannot be written
 * past, so there more is read in vain before that. */
static enum MHD_Result
answer_amid(struct http_request *r, size_t n)
{
	struct http_conn *conn = r->conn;
	uint64_t rest = r->expected == UINT64_MAX ? UINT64_MAX : r->expected - r->received;

	r->refused = true;
	r->drained += n;
	if (rest <= DRAIN_MAX || (conn->tls && r->drained <= 16 * DRAIN_MAX))
		return MHD_YES;
	if (conn->tls || !conn_enter(conn, PHASE_SEND, conn->server->config.send_usec))
		return MHD_NO;
	r->bare = conn_bare_reply(conn->fd, &r->reply) == 0;
	conn->linger = true;
	return MHD_NO;
}

/* The body is kept, or dropped where none is wanted. */
static void
keep(struct http_request *r, const char *bytes, size_t n)
{
	if (r->route->max_body > 0)
		request_body(r, bytes, n);
	else if (r->received > DRAIN_MAX)
		http_reply_detail(r, 413, "Content Too Large");
}

/* Hands a piece to a worker.  The library keeps it meanwhile, and brings it again; but it moves what stands
 * behind a chunk's size, when we return, so that is copied. */
static enum MHD_Result
hand_over(struct http_request *r, const char *bytes, size_t n)
{
	if (!conn_enter(r->conn, PHASE_WORK, -1))
		return MHD_NO;
	r->piece = bytes;
	r->piece_len = n;
	if (r->expected == UINT64_MAX) {
		buf_clear(&r->copy);
		buf_add(&r->copy, bytes, n);
		r->piece = r->copy.s;
	}
	mhd_suspend(r);
	worker_submit(r);
	return MHD_YES;
}

static enum MHD_Result
take_body(struct http_request *r, const char *bytes, size_t *n)
{
	size_t all = *n;

	if (r->piece != NULL) {
		*n -= r->piece_len;
		r->piece = NULL;
		return conn_enter(r->conn, PHASE_BODY, -1) ? MHD_YES : MHD_NO;
	}
	r->received += all;
	if (r->reply.status == 0 && r->route->piece != NULL && r->received > r->route->keep_body) {
		if (r->received <= r->route->max_body)
			return hand_over(r, bytes, all);
		http_reply_detail(r, 413, "Content Too Large");
	}
	*n = 0;
	if (r->reply.status == 0)
		keep(r, bytes, all);
	return r->reply.status == 0 ? MHD_YES : answer_amid(r, all);
}

/* ---- what the library calls -------------------------------------------------------------------- */

static enum MHD_Result
finish(struct http_request *r)
{
	if (r->step == STEP_QUEUED)
		return MHD_YES;
	if (r->step == STEP_WORK || r->reply.status != 0)
		return queue(r);
	/* From here on it is answered, however long that takes. */
	if (!conn_enter(r->conn, PHASE_WORK, 0))
		return MHD_NO;
	if (r->route->quick && (r->route->quick_body == 0 || r->received <= r->route->quick_body))
		return worker_run_here(r) ? queue(r) : MHD_YES;
	mhd_suspend(r);
	r->step = STEP_WORK;
	worker_submit(r);
	return MHD_YES;
}

static enum MHD_Result
handle(void *arg, struct MHD_Connection *connection, const char *url, const char *method,
    const char *version, const char *bytes, size_t *n, void **context)
{
	struct http_request *r = *context;

	(void)arg;
	(void)connection;
	(void)url;
	if (r == NULL)
		return MHD_NO;
	r->suspended = false;
	if (r->step == STEP_HEAD)
		return take_head(r, method, version);
	return *n > 0 ? take_body(r, bytes, n) : finish(r);
}

static struct http_conn *
conn_of(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info =
	    MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	return info != NULL ? info->socket_context : NULL;
}

/* The first that is known of a request: its target, before anything was done to it. */
static void *
begin(void *arg, const char *uri, struct MHD_Connection *connection)
{
	struct http_conn *conn = conn_of(connection);

	(void)arg;
	if (conn == NULL || !conn_enter(conn, PHASE_HEAD, -1))
		return NULL;
	conn->request.mhd = connection;
	conn->request.started = clock_monotonic();
	if (buf_adds(&conn->request.uri, uri) < 0)
		return NULL;
	return &conn->request;
}

static void
tell(struct http_request *r, struct MHD_Connection *connection, bool whole)
{
	struct http_server *s = r->conn->server;
	AUTO_BUF struct buf path = BUF_INIT(HEAD_MEMORY);
	const union MHD_ConnectionInfo *info;
	struct http_access access = {
		.address = r->conn->address,
		.method = *r->method == '\0' ? "-" :
		    r->head_only	     ? "HEAD" :
					       r->method,
		.user = r->user,
		.status = r->step == STEP_QUEUED || r->bare ? r->reply.status : 0,
		.complete = r->bare || (whole && r->step == STEP_QUEUED),
		.received = r->received,
		.sent = r->head_only ? 0 : r->reply.size,
		.usec = clock_monotonic() - r->started,
	};

	/* The library refuses some heads by itself. */
	if (access.status == 0 && atomic_load(&r->conn->phase) == PHASE_CUT)
		access.status = 408;
	else if (access.status == 0) {
		info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_HTTP_STATUS);
		if (info != NULL && info->http_status > 0) {
			access.status = (int)info->http_status;
			r->conn->linger = true;
		}
	}
	buf_add(&path, r->uri.s, strcspn(r->uri.s, "?"));
	access.path = path.s;
	atomic_fetch_add(&s->requests, 1);
	if (s->config.access != NULL)
		s->config.access(&access, s->config.arg);
}

static void
completed(void *arg, struct MHD_Connection *connection, void **context,
    enum MHD_RequestTerminationCode code)
{
	struct http_request *r = *context;
	struct http_conn *conn;

	(void)arg;
	*context = NULL;
	if (r == NULL)
		return;
	conn = r->conn;
	tell(r, connection, code == MHD_REQUEST_TERMINATED_COMPLETED_OK);
	request_reset(r);
	conn_enter(conn, PHASE_IDLE, conn->server->config.idle_usec);
}

static void
notify(void *arg, struct MHD_Connection *connection, void **context,
    enum MHD_ConnectionNotificationCode code)
{
	const union MHD_ConnectionInfo *info;

	if (code == MHD_CONNECTION_NOTIFY_STARTED) {
		info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
		*context = info != NULL ? accept_claim(arg, info->connect_fd) : NULL;
	} else if (*context != NULL) {
		accept_forget(*context);
		*context = NULL;
	}
}

/* Targets are decoded elsewhere, once. */
static size_t
leave_alone(void *arg, struct MHD_Connection *connection, char *text)
{
	(void)arg;
	(void)connection;
	return strlen(text);
}

/* ---- the rest of the server's side ------------------------------------------------------------- */

void
mhd_suspend(struct http_request *r)
{
	r->suspended = true;
	MHD_suspend_connection(r->mhd);
}

void
mhd_resume(struct http_request *r)
{
	MHD_resume_connection(r->mhd);
}

struct each {
	header_fn *call;
	void *arg;
	int result;
};

static enum MHD_Result
each_header(void *arg, enum MHD_ValueKind kind, const char *name, size_t name_len,
    const char *value, size_t value_len)
{
	struct each *each = arg;

	(void)kind;
	if (value == NULL)
		value = "";
	each->result = each->call(each->arg, name, name_len, value, value_len);
	return each->result == 0 ? MHD_YES : MHD_NO;
}

int
mhd_each_header(struct http_request *r, header_fn *call, void *arg)
{
	struct each each = { call, arg, 0 };

	MHD_get_connection_values_n(r->mhd, MHD_HEADER_KIND, each_header, &each);
	return each.result;
}

size_t
mhd_head_size(struct http_request *r)
{
	const union MHD_ConnectionInfo *info =
	    MHD_get_connection_info(r->mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);

	return info != NULL ? info->header_size : 0;
}

int
mhd_add(struct http_conn *conn, const struct sockaddr *addr, socklen_t len)
{
	struct http_server *s = conn->server;
	void *daemon;

	pthread_mutex_lock(&s->lock);
	daemon = conn->daemon = s->daemons[conn->tls];
	pthread_mutex_unlock(&s->lock);
	return MHD_add_connection(daemon, conn->fd, addr, len) == MHD_YES ? 0 : -1;
}

/* Keeps what the library says while it starts: why TLS cannot be had is told nowhere else. */
static void __attribute__((format(printf, 2, 0))) hear(void *arg, const char *fmt, va_list ap)
{
	struct http_server *s = arg;

	if (atomic_load(&s->starting) && *s->said == '\0') /* the first is the cause */
		vsnprintf(s->said, sizeof s->said, fmt, ap);
}

static struct MHD_Daemon *
start(struct http_server *s, bool tls)
{
	const struct http_config *c = &s->config;
	unsigned flags = MHD_USE_EPOLL | MHD_USE_INTERNAL_POLLING_THREAD |
	    MHD_USE_NO_LISTEN_SOCKET | MHD_USE_ITC | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
	/* The accepting side counts; the library's own bounds must never be met. */
	struct MHD_OptionItem tls_options[] = {
		{ MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)(uintptr_t)c->tls_certificate },
		{ MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)(uintptr_t)c->tls_key },
		{ MHD_OPTION_HTTPS_PRIORITIES, 0,
		    (void *)(uintptr_t) "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2" },
		{ MHD_OPTION_END, 0, NULL },
	};
	struct MHD_OptionItem pool[] = {
		{ MHD_OPTION_THREAD_POOL_SIZE, c->pollers, NULL },
		{ MHD_OPTION_END, 0, NULL },
	};
	struct MHD_OptionItem none[] = { { MHD_OPTION_END, 0, NULL } };

	return MHD_start_daemon(flags | (tls ? MHD_USE_TLS : 0), 0, NULL, NULL, handle, s,
	    MHD_OPTION_EXTERNAL_LOGGER, hear, s, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
	    (size_t)HEAD_MEMORY, MHD_OPTION_CONNECTION_LIMIT,
	    (c->connections + LINGER_MAX) * c->pollers, MHD_OPTION_URI_LOG_CALLBACK, begin, s,
	    MHD_OPTION_UNESCAPE_CALLBACK, leave_alone, NULL, MHD_OPTION_NOTIFY_COMPLETED, completed,
	    s, MHD_OPTION_NOTIFY_CONNECTION, notify, s, MHD_OPTION_STRICT_FOR_CLIENT, 0,
	    MHD_OPTION_ARRAY, tls ? tls_options : none, MHD_OPTION_ARRAY,
	    c->pollers > 1 ? pool : none, MHD_OPTION_END);
}

int
mhd_start(struct http_server *s, struct err *err)
{
	sigset_t all, old;

	atomic_store(&s->starting, true);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	for (size_t i = 0; i < s->listeners->n; i++) {
		bool tls = s->listeners->v[i].tls;

		if (s->daemons[tls] == NULL)
			s->daemons[tls] = start(s, tls);
		if (s->daemons[tls] == NULL)
			break;
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	atomic_store(&s->starting, false);
	for (size_t i = 0; i < s->listeners->n; i++)
		if (s->daemons[s->listeners->v[i].tls] == NULL) {
			mhd_stop(s);
			return err_set(err, EX_UNAVAILABLE, "cannot start the server: %.*s",
			    (int)strcspn(s->said, "\n"), s->said);
		}
	return 0;
}

int
mhd_renew(struct http_server *s, struct err *err)
{
	void *daemon;
	sigset_t all, old;

	if (s->daemons[1] == NULL)
		return 0;
	*s->said = '\0';
	atomic_store(&s->starting, true);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	daemon = start(s, true);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	atomic_store(&s->starting, false);
	if (daemon == NULL)
		return err_set(err, EX_CONFIG, "the certificate and its key cannot be used: %.*s",
		    (int)strcspn(s->said, "\n"), s->said);
	daemon_replace(s, daemon);
	accept_wake(s);
	return 0;
}

void
mhd_tidy(struct http_server *s)
{
	void *daemon;

	while ((daemon = daemon_unused(s)) != NULL)
		MHD_stop_daemon(daemon);
}

void
mhd_stop(struct http_server *s)
{
	mhd_tidy(s);
	for (int i = 0; i < 2; i++) {
		if (s->daemons[i] != NULL)
			MHD_stop_daemon(s->daemons[i]);
		s->daemons[i] = NULL;
	}
}
