#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "smtp/connection_private.h"

/* libcurl's own time-outs: ours rule, and are shorter. */
enum { NO_TIMEOUT_SECONDS = 24 * 3600 };

_Static_assert(sizeof(((struct smtp_connection *)0)->error) >= CURL_ERROR_SIZE,
    "room for libcurl's messages");

/* ---- the event loop's part ----------------------------------------------------------------- */

/* Once libcurl reads from a connected socket of ours, it is through with connecting. */
static void
note_peer(CURL *easy, int fd, int what)
{
	struct sockaddr_storage peer;
	socklen_t len = sizeof(peer);
	struct smtp_connection *conn;
	void *private;

	if (what != CURL_POLL_IN || getpeername(fd, (struct sockaddr *)&peer, &len) < 0 ||
	    (peer.ss_family != AF_INET && peer.ss_family != AF_INET6))
		return;
	curl_easy_getinfo(easy, CURLINFO_PRIVATE, &private);
	conn = private;
	conn->has_peer = true;
}

static int
on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *known)
{
	struct smtp_net *net = arg;
	struct epoll_event event = { .data.u64 = (uint64_t)net->tag << 32 | (uint32_t)fd };

	note_peer(easy, fd, what);
	if (what == CURL_POLL_REMOVE) {
		epoll_ctl(net->epoll, EPOLL_CTL_DEL, fd, NULL);
		return 0;
	}
	if (what == CURL_POLL_IN || what == CURL_POLL_INOUT)
		event.events |= EPOLLIN;
	if (what == CURL_POLL_OUT || what == CURL_POLL_INOUT)
		event.events |= EPOLLOUT;
	if (known != NULL && epoll_ctl(net->epoll, EPOLL_CTL_MOD, fd, &event) == 0)
		return 0;
	if (epoll_ctl(net->epoll, EPOLL_CTL_ADD, fd, &event) < 0 && errno == EEXIST)
		epoll_ctl(net->epoll, EPOLL_CTL_MOD, fd, &event);
	curl_multi_assign(net->multi, fd, net);
	return 0;
}

static int
on_timer(CURLM *multi, long ms, void *arg)
{
	struct smtp_net *net = arg;

	(void)multi;
	net->curl_deadline = ms < 0 ? INT64_MAX : clock_monotonic() + ms * (USEC / 1000);
	return 0;
}

struct smtp_net *
smtp_net_new(int epoll, uint32_t tag, struct err *err)
{
	struct smtp_net *net;
	CURLM *multi;

	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
		err_set(err, EX_UNAVAILABLE, "libcurl cannot be initialised");
		return NULL;
	}
	/* Without it, looking up a name would stop every conversation. */
	if ((curl_version_info(CURLVERSION_NOW)->features & CURL_VERSION_ASYNCHDNS) == 0 ||
	    (multi = curl_multi_init()) == NULL) {
		curl_global_cleanup();
		err_set(err, EX_UNAVAILABLE, "libcurl %s cannot resolve names asynchronously",
		    curl_version_info(CURLVERSION_NOW)->version);
		return NULL;
	}
	net = xcalloc(1, sizeof(*net));
	net->multi = multi;
	net->epoll = epoll;
	net->tag = tag;
	net->curl_deadline = INT64_MAX;
	curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, net);
	curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timer);
	curl_multi_setopt(multi, CURLMOPT_TIMERDATA, net);
	return net;
}

void
smtp_net_free(struct smtp_net *net)
{
	if (net == NULL)
		return;
	curl_multi_cleanup(net->multi);
	curl_global_cleanup();
	free(net);
}

/* ---- faults -------------------------------------------------------------------------------- */

static enum smtp_fault_class
fault_class(CURLcode code)
{
	switch (code) {
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
		return SMTP_FAULT_RESOLVE;
	case CURLE_COULDNT_CONNECT:
	case CURLE_INTERFACE_FAILED:
		return SMTP_FAULT_CONNECT;
	case CURLE_OPERATION_TIMEDOUT:
		return SMTP_FAULT_TIMEOUT;
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_SSL_CIPHER:
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_USE_SSL_FAILED:
	case CURLE_SSL_ISSUER_ERROR:
	case CURLE_SSL_INVALIDCERTSTATUS:
	case CURLE_SSL_SHUTDOWN_FAILED:
		return SMTP_FAULT_TLS;
	case CURLE_LOGIN_DENIED:
	case CURLE_AUTH_ERROR:
		return SMTP_FAULT_AUTH;
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_ENGINE_NOTFOUND:
	case CURLE_URL_MALFORMAT:
	case CURLE_UNSUPPORTED_PROTOCOL:
	case CURLE_NOT_BUILT_IN:
	case CURLE_UNKNOWN_OPTION:
	case CURLE_BAD_FUNCTION_ARGUMENT:
		return SMTP_FAULT_CONFIG;
	default:
		return SMTP_FAULT_PROTOCOL;
	}
}

static void
fail_by_curl(struct smtp_connection *conn, CURLcode code)
{
	const struct smtp_reply *reply = smtp_hello_refusal(&conn->hello);
	enum smtp_fault_class class = fault_class(code);

	if (conn->failed)
		return;
	if (conn->kept_home) {
		smtp_connection_fail(conn, SMTP_FAULT_CONFIG,
		    "the credentials would cross the network without TLS");
		return;
	}
	if (class == SMTP_FAULT_AUTH && conn->hello.n_logins == 0) {
		smtp_connection_fail_login(conn);
		return;
	}
	if (reply != NULL && class == SMTP_FAULT_PROTOCOL)
		class = SMTP_FAULT_GREETING;
	smtp_connection_fail(conn, class,
	    conn->error[0] != '\0' ? conn->error : curl_easy_strerror(code));
	if (reply != NULL)
		conn->fault.reply = *reply;
}

static void
collect(struct smtp_net *net)
{
	struct smtp_connection *conn;
	curl_socket_t fd;
	CURLMsg *msg;
	void *private;
	int left;

	while ((msg = curl_multi_info_read(net->multi, &left)) != NULL) {
		if (msg->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &private);
		conn = private;
		if (!smtp_list_remove(&net->connecting, conn))
			continue;
		if (msg->data.result != CURLE_OK)
			fail_by_curl(conn, msg->data.result);
		else if (curl_easy_getinfo(conn->easy, CURLINFO_ACTIVESOCKET, &fd) != CURLE_OK ||
		    fd == CURL_SOCKET_BAD)
			smtp_connection_fail(conn, SMTP_FAULT_PROTOCOL,
			    "the connection was lost after the login");
		else
			conn->fd = fd;
		if (!conn->failed)
			smtp_connection_check(conn);
		smtp_list_push(&net->finished, conn);
	}
}

/* Once there is a connection, what follows is not to be measured by the time-out for that. */
static void
note_connected(struct smtp_connection *conn, int64_t now)
{
	if (conn->connected || !conn->has_peer)
		return;
	conn->connected = true;
	conn->deadline = now + conn->params.timeouts.greeting;
	curl_easy_setopt(conn->easy, CURLOPT_CONNECTTIMEOUT, (long)NO_TIMEOUT_SECONDS);
}

static void
act(struct smtp_net *net, curl_socket_t fd, int mask)
{
	struct smtp_connection *conn;
	int64_t now;
	int running;

	curl_multi_socket_action(net->multi, fd, mask, &running);
	collect(net);
	now = clock_monotonic();
	for (conn = net->connecting; conn != NULL; conn = conn->next)
		note_connected(conn, now);
}

void
smtp_net_event(struct smtp_net *net, int fd, uint32_t events)
{
	int mask = 0;

	if ((events & EPOLLIN) != 0)
		mask |= CURL_CSELECT_IN;
	if ((events & EPOLLOUT) != 0)
		mask |= CURL_CSELECT_OUT;
	if ((events & (EPOLLERR | EPOLLHUP)) != 0)
		mask |= CURL_CSELECT_ERR;
	act(net, fd, mask);
}

void
smtp_net_expire(struct smtp_net *net, int64_t now)
{
	struct smtp_connection *conn, *next;

	if (net->curl_deadline <= now) {
		net->curl_deadline = INT64_MAX;
		act(net, CURL_SOCKET_TIMEOUT, 0);
	}
	for (conn = net->connecting; conn != NULL; conn = next) {
		next = conn->next;
		if (conn->deadline > now)
			continue;
		smtp_connection_fail(conn, SMTP_FAULT_TIMEOUT,
		    !conn->connected ? "timed out connecting" :
			conn->hello.n_replies == 0 ?
				       "timed out waiting for the greeting" :
				       "timed out waiting for the reply to EHLO, STARTTLS or AUTH");
		smtp_list_remove(&net->connecting, conn);
		smtp_list_push(&net->finished, conn);
	}
}

/* ---- what the server says until it is ready ------------------------------------------------ */

/* Other than the full length returned, libcurl gives up. */
static size_t
on_line(char *line, size_t size, size_t n, void *arg)
{
	struct smtp_connection *conn = arg;

	if (!smtp_connection_heard(conn, line, size * n))
		return 0;
	/* What is offered must not fail to clear text: not by a 454 to STARTTLS either. */
	if (smtp_connection_must_encrypt(conn))
		curl_easy_setopt(conn->easy, CURLOPT_USE_SSL, (long)CURLUSESSL_ALL);
	return size * n;
}

/* The body of nothing: SMTP has none here. */
static size_t
on_data(char *bytes, size_t size, size_t n, void *arg)
{
	(void)bytes;
	(void)arg;
	return size * n;
}

static curl_socket_t
on_open(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
	struct smtp_connection *conn = arg;

	(void)purpose;
	if (conn->loopback_only && !smtp_is_loopback(&address->addr)) {
		conn->kept_home = true;
		return CURL_SOCKET_BAD;
	}
	return socket(address->family, address->socktype | SOCK_CLOEXEC | SOCK_NONBLOCK,
	    address->protocol);
}

/* ---- making one ---------------------------------------------------------------------------- */

/* Sets a string option; a NULL stands for libcurl's default. */
static CURLcode
set_text(CURL *easy, CURLoption option, const char *value)
{
	return value != NULL ? curl_easy_setopt(easy, option, value) : CURLE_OK;
}

static CURLcode
set_tls(CURL *easy, const struct smtp_params *p, bool required)
{
	const curl_version_info_data *built = curl_version_info(CURLVERSION_NOW);
	CURLcode code = CURLE_OK;

	curl_easy_setopt(easy, CURLOPT_USE_SSL,
	    (long)(p->tls == SMTP_TLS_NONE ? CURLUSESSL_NONE :
		    required		   ? CURLUSESSL_ALL :
					     CURLUSESSL_TRY));
	curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, p->no_verify ? 0L : 1L);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, p->no_verify ? 0L : 2L);
	/* The system's certificates are read one by one from its directory, as they are needed:
	 * the file with all of them costs megabytes and milliseconds for each connection. */
	if (p->ca_file != NULL || p->ca_dir != NULL || built->capath != NULL) {
		curl_easy_setopt(easy, CURLOPT_CAINFO, p->ca_file);
		curl_easy_setopt(easy, CURLOPT_CAPATH,
		    p->ca_dir != NULL || p->ca_file != NULL ? p->ca_dir : built->capath);
	}
	code = set_text(easy, CURLOPT_SSLCERT, p->cert_file);
	if (code == CURLE_OK)
		code = set_text(easy, CURLOPT_SSLKEY, p->key_file);
	return code;
}

static CURLcode
set_login(CURL *easy, const struct smtp_params *p)
{
	CURLcode code;

	if (p->user == NULL)
		return CURLE_OK;
	curl_easy_setopt(easy, CURLOPT_SASL_IR, 1L);
	code = curl_easy_setopt(easy, CURLOPT_LOGIN_OPTIONS, smtp_params_login(p));
	if (code == CURLE_OK)
		code = curl_easy_setopt(easy, CURLOPT_USERNAME, p->user);
	if (code == CURLE_OK)
		code = curl_easy_setopt(easy, CURLOPT_PASSWORD,
		    p->password != NULL ? p->password : "");
	if (code == CURLE_OK)
		code = set_text(easy, CURLOPT_XOAUTH2_BEARER, p->bearer);
	return code;
}

static void
set_callbacks(struct smtp_connection *conn)
{
	CURL *easy = conn->easy;

	curl_easy_setopt(easy, CURLOPT_PRIVATE, conn);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, conn->error);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_line);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, conn);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_data);
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open);
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, conn);
}

static void
begin(struct smtp_connection *conn)
{
	const struct smtp_params *p = &conn->params;
	AUTO_BUF struct buf url = BUF_INIT(4096);
	bool required;
	CURLcode code;

	if (smtp_params_url(p, &url) < 0) {
		smtp_connection_fail(conn, SMTP_FAULT_CONFIG,
		    "the relay's host is not a name or an address");
		return;
	}
	required = smtp_params_need_tls(p);
	if (required && p->tls == SMTP_TLS_NONE) {
		smtp_connection_fail(conn, SMTP_FAULT_CONFIG,
		    "the credentials would cross the network without TLS");
		return;
	}
	conn->loopback_only = p->user != NULL && !p->auth_without_tls && !required;
	if ((conn->easy = curl_easy_init()) == NULL) {
		smtp_connection_fail(conn, SMTP_FAULT_CONFIG, "libcurl has no memory");
		return;
	}
	set_callbacks(conn);
	curl_easy_setopt(conn->easy, CURLOPT_CONNECT_ONLY, 1L);
	curl_easy_setopt(conn->easy, CURLOPT_FRESH_CONNECT, 1L);
	curl_easy_setopt(conn->easy, CURLOPT_NOSIGNAL, 1L);
	/* Leaves a look-up that is under way to its thread instead of waiting for it. */
	curl_easy_setopt(conn->easy, CURLOPT_QUICK_EXIT, 1L);
	/* Replies are short, and of these buffers there is one for each attempt. */
	curl_easy_setopt(conn->easy, CURLOPT_BUFFERSIZE, 4096L);
	/* Neither a proxy nor credentials from the environment or ~/.netrc. */
	curl_easy_setopt(conn->easy, CURLOPT_PROXY, "");
	curl_easy_setopt(conn->easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	curl_easy_setopt(conn->easy, CURLOPT_CONNECTTIMEOUT_MS,
	    (long)(p->timeouts.connect / (USEC / 1000)) + 1000);
	curl_easy_setopt(conn->easy, CURLOPT_SERVER_RESPONSE_TIMEOUT, (long)NO_TIMEOUT_SECONDS);
	code = curl_easy_setopt(conn->easy, CURLOPT_URL, url.s);
	if (code == CURLE_OK)
		code = set_tls(conn->easy, p, required);
	if (code == CURLE_OK)
		code = set_login(conn->easy, p);
	if (code == CURLE_OK)
		code = set_text(conn->easy, CURLOPT_INTERFACE, p->source);
	if (code == CURLE_OK && curl_multi_add_handle(conn->net->multi, conn->easy) != CURLM_OK)
		code = CURLE_FAILED_INIT;
	if (code != CURLE_OK)
		smtp_connection_fail(conn, fault_class(code), curl_easy_strerror(code));
}

struct smtp_connection *
smtp_connection_new(struct smtp_net *net, const struct smtp_params *params, void *arg)
{
	struct smtp_connection *conn = xcalloc(1, sizeof(*conn));

	conn->net = net;
	conn->params = *params;
	smtp_timeouts_fill(&conn->params.timeouts);
	conn->arg = arg;
	conn->fd = -1;
	conn->deadline = clock_monotonic() + conn->params.timeouts.connect;
	smtp_hello_init(&conn->hello);
	begin(conn);
	smtp_list_push(conn->failed ? &net->finished : &net->connecting, conn);
	return conn;
}

void
smtp_connection_free(struct smtp_connection *conn)
{
	if (conn == NULL)
		return;
	if (!smtp_list_remove(&conn->net->connecting, conn))
		smtp_list_remove(&conn->net->finished, conn);
	if (conn->easy != NULL) {
		curl_multi_remove_handle(conn->net->multi, conn->easy);
		curl_easy_cleanup(conn->easy);
	}
	smtp_hello_release(&conn->hello);
	free(conn);
}

/* ---- a ready one --------------------------------------------------------------------------- */

void
smtp_connection_peer(const struct smtp_connection *conn, char text[64])
{
	char *address = NULL;
	long port = 0;

	text[0] = '\0';
	if (conn->easy == NULL)
		return;
	curl_easy_getinfo(conn->easy, CURLINFO_PRIMARY_IP, &address);
	curl_easy_getinfo(conn->easy, CURLINFO_PRIMARY_PORT, &port);
	if (address != NULL && address[0] != '\0')
		snprintf(text, 64, strchr(address, ':') != NULL ? "[%s]:%ld" : "%s:%ld", address,
		    port);
}

ssize_t
smtp_connection_send(struct smtp_connection *conn, const char *bytes, size_t n)
{
	size_t sent = 0;
	CURLcode code = curl_easy_send(conn->easy, bytes, n, &sent);

	if (code == CURLE_OK && sent > 0)
		return (ssize_t)sent;
	errno = code == CURLE_OK || code == CURLE_AGAIN ? EAGAIN : ECONNRESET;
	return -1;
}

ssize_t
smtp_connection_recv(struct smtp_connection *conn, char *bytes, size_t size)
{
	size_t got = 0;
	CURLcode code = curl_easy_recv(conn->easy, bytes, size, &got);

	if (code == CURLE_OK)
		return (ssize_t)got;
	errno = code == CURLE_AGAIN ? EAGAIN : ECONNRESET;
	return -1;
}
