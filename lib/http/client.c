/* The only file of this folder that includes curl.h. */
#include "http/client.h"

#include <curl/curl.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/num.h"
#include "http/client_private.h"

enum {
	LOOK_MS = 100, /* how often the stop flag is looked at */
	KEPT = 8,      /* connections */
	FIELDS_BYTES = 256 * 1024,
};
#define CONNECT_USEC (10 * USEC)
#define RETRY_AFTER_MAX (30 * 24 * 3600)

_Static_assert(sizeof(((struct http_hop *)0)->error) >= CURL_ERROR_SIZE,
    "room for libcurl's messages");

struct http_client {
	struct http_client_config config;
	char *ca_file;
	CURLM *multi; /* the connections are its */
	CURL *easy;
};

struct http_client *
http_client_new(const struct http_client_config *config, struct err *err)
{
	struct http_client *client AUTO(http_client_free) = xcalloc(1, sizeof(*client));
	struct http_client *made;

	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
		free(client);
		client = NULL;
		err_set(err, EX_UNAVAILABLE, "libcurl cannot be initialised");
		return NULL;
	}
	client->config = *config;
	client->ca_file = config->ca_file != NULL ? xstrdup(config->ca_file) : NULL;
	client->multi = curl_multi_init();
	client->easy = curl_easy_init();
	if (client->multi == NULL || client->easy == NULL) {
		err_set(err, EX_UNAVAILABLE, "libcurl has no memory");
		return NULL;
	}
	curl_multi_setopt(client->multi, CURLMOPT_MAXCONNECTS, (long)KEPT);
	made = client;
	client = NULL;
	return made;
}

void
http_client_free(struct http_client **client)
{
	int saved = errno;

	if (*client == NULL)
		return;
	curl_easy_cleanup((*client)->easy);
	curl_multi_cleanup((*client)->multi);
	curl_global_cleanup();
	free((*client)->ca_file);
	free(*client);
	*client = NULL;
	errno = saved;
}

/* ---- URLs ---------------------------------------------------------------------------------- */

static char *
part(const struct http_url *url, CURLUPart what, unsigned flags)
{
	char *text = NULL, *copy;

	if (curl_url_get((CURLU *)url, what, &text, flags) != CURLUE_OK)
		return NULL;
	copy = xstrdup(text);
	curl_free(text);
	return copy;
}

struct http_url *
http_url_new(void)
{
	return (struct http_url *)curl_url();
}

void
http_url_free(struct http_url **url)
{
	curl_url_cleanup((CURLU *)*url);
	*url = NULL;
}

int
http_url_go(struct http_url *url, const char *text, bool as_is)
{
	CURLU *u = (CURLU *)url;

	if (curl_url_set(u, CURLUPART_URL, text,
		CURLU_URLENCODE | (as_is ? CURLU_PATH_AS_IS : 0)) != CURLUE_OK) {
		errno = EINVAL;
		return -1;
	}
	curl_url_set(u, CURLUPART_FRAGMENT, NULL, 0);
	return 0;
}

int
http_url_target(const struct http_url *url, struct http_target *ret)
{
	AUTO_FREE char *port = part(url, CURLUPART_PORT, CURLU_NO_DEFAULT_PORT);

	http_target_release(ret);
	ret->scheme = part(url, CURLUPART_SCHEME, 0);
	ret->host = part(url, CURLUPART_HOST, CURLU_PUNYCODE);
	ret->port = part(url, CURLUPART_PORT, CURLU_DEFAULT_PORT);
	ret->path = part(url, CURLUPART_PATH, 0);
	ret->query = part(url, CURLUPART_QUERY, 0);
	ret->default_port = port == NULL;
	if (ret->scheme != NULL && ret->host != NULL && ret->port != NULL && ret->path != NULL &&
	    (strcmp(ret->scheme, "http") == 0 || strcmp(ret->scheme, "https") == 0))
		return 0;
	errno = EINVAL;
	return -1;
}

char *
http_url_text(const struct http_url *url)
{
	return part(url, CURLUPART_URL, 0);
}

void
http_url_take_login(struct http_url *url, char **ret_user, char **ret_password)
{
	*ret_user = part(url, CURLUPART_USER, CURLU_URLDECODE);
	*ret_password = part(url, CURLUPART_PASSWORD, CURLU_URLDECODE);
	curl_url_set((CURLU *)url, CURLUPART_USER, NULL, 0);
	curl_url_set((CURLU *)url, CURLUPART_PASSWORD, NULL, 0);
}

/* ---- what libcurl asks and tells ----------------------------------------------------------- */

static bool
allowed(struct http_hop *hop, const struct sockaddr *address)
{
	const struct http_client_config *config = &hop->client->config;
	AUTO_FREE char *host = xstrdup(hop->target.host);
	size_t n = strlen(host);

	if (config->allow == NULL)
		return true;
	/* "[::1]" is "::1" to whoever looks at names. */
	if (host[0] == '[' && host[n - 1] == ']') {
		host[n - 1] = '\0';
		memmove(host, host + 1, n - 1);
	}
	return config->allow(address, host, config->arg);
}

static curl_socket_t
on_open(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
	struct http_hop *hop = arg;

	(void)purpose;
	if ((address->family != AF_INET && address->family != AF_INET6) ||
	    !allowed(hop, &address->addr)) {
		getnameinfo(&address->addr, (socklen_t)address->addrlen, hop->refused,
		    sizeof(hop->refused), NULL, 0, NI_NUMERICHOST);
		return CURL_SOCKET_BAD;
	}
	hop->opened++;
	return socket(address->family, address->socktype | SOCK_CLOEXEC | SOCK_NONBLOCK,
	    address->protocol);
}

const char *
http_hop_field(const struct http_hop *hop, const char *name)
{
	struct curl_header *header;

	if (curl_easy_header(hop->client->easy, name, 0, CURLH_HEADER, -1, &header) != CURLHE_OK)
		return NULL;
	return header->value;
}

static int
status_of(const struct http_hop *hop)
{
	long status = 0;

	curl_easy_getinfo(hop->client->easy, CURLINFO_RESPONSE_CODE, &status);
	return (int)status;
}

/* Known from the start to be too large. */
static bool
announced_too_large(const struct http_hop *hop)
{
	const char *text = http_hop_field(hop, "Content-Length");
	uint64_t length;

	return status_of(hop) / 100 == 2 && text != NULL &&
	    http_hop_field(hop, "Content-Encoding") == NULL &&
	    (num_u64(text, 0, UINT64_MAX, &length) == 0 ? length > hop->max_body : errno == ERANGE);
}

/* Other than the whole length returned, libcurl gives up. */
static size_t
on_field(char *line, size_t size, size_t n, void *arg)
{
	struct http_hop *hop = arg;
	bool last = n > 0 && (line[0] == '\r' || line[0] == '\n');

	hop->fields += n;
	hop->flooded = hop->fields > FIELDS_BYTES;
	hop->oversized = last && announced_too_large(hop);
	return hop->flooded || hop->oversized ? 0 : size * n;
}

static size_t
on_body(char *bytes, size_t size, size_t n, void *arg)
{
	struct http_hop *hop = arg;
	struct http_answer *answer = hop->answer;
	size_t room;

	n *= size;
	if (status_of(hop) / 100 != 2) {
		room = HTTP_REFUSAL_MAX - answer->body.len;
		hop->cut = n > room;
		buf_add(&answer->body, bytes, hop->cut ? room : n);
		return hop->cut ? 0 : n;
	}
	hop->oversized = n > hop->max_body - answer->size;
	if (hop->oversized)
		return 0;
	answer->size += n;
	if (hop->call->sink == NULL)
		return buf_add(&answer->body, bytes, n) == 0 ? n : 0;
	if (hop->call->sink(bytes, n, hop->call->sink_arg) == 0)
		return n;
	hop->failed_sink = errno != 0 ? errno : EIO;
	return 0;
}

/* ---- one request --------------------------------------------------------------------------- */

static void
set_tls(struct http_client *client)
{
	const curl_version_info_data *built = curl_version_info(CURLVERSION_NOW);
	CURL *easy = client->easy;

	curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, client->config.no_verify ? 0L : 1L);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, client->config.no_verify ? 0L : 2L);
	/* The system's certificates are read one by one from its directory, as they are needed:
	 * the file with all of them costs megabytes and milliseconds for each connection. */
	if (client->ca_file != NULL || built->capath != NULL) {
		curl_easy_setopt(easy, CURLOPT_CAINFO, client->ca_file);
		curl_easy_setopt(easy, CURLOPT_CAPATH,
		    client->ca_file != NULL ? NULL : built->capath);
	}
}

static void
set_surroundings(struct http_hop *hop)
{
	CURL *easy = hop->client->easy;

	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, hop->error);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	/* Leaves a look-up that is under way to its thread instead of waiting for it. */
	curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	/* Neither a proxy nor credentials from the environment or ~/.netrc. */
	curl_easy_setopt(easy, CURLOPT_PROXY, "");
	curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
	curl_easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	curl_easy_setopt(easy, CURLOPT_USERAGENT, "mailq/" VERSION);
	/* What is passed on as it comes is not to be packed on the way; it is unpacked if it was. */
	curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING,
	    hop->call->sink != NULL ? "identity" : "gzip, deflate");
	curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, hop->call->sink != NULL ? 65536L : 16384L);
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open);
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, hop);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_field);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, hop);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, hop);
	set_tls(hop->client);
}

static long
milliseconds(int64_t usec)
{
	int64_t ms = (usec + 999) / 1000;

	return ms < 1 ? 1 : ms > INT32_MAX ? INT32_MAX : (long)ms;
}

static void
set_request(struct http_hop *hop, int64_t left)
{
	const struct http_call *call = hop->call;
	CURL *easy = hop->client->easy;

	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, milliseconds(left));
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
	    milliseconds(call->connect_usec > 0 ? call->connect_usec : CONNECT_USEC));
	if (strcmp(call->method, "GET") != 0) {
		curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body.len);
		curl_easy_setopt(easy, CURLOPT_POSTFIELDS,
		    call->body.s != NULL ? call->body.s : "");
		curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, call->method);
	}
	if (hop->target.home && call->user != NULL && call->bearer == NULL && call->aws == NULL) {
		curl_easy_setopt(easy, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
		curl_easy_setopt(easy, CURLOPT_USERNAME, call->user);
		curl_easy_setopt(easy, CURLOPT_PASSWORD,
		    call->password != NULL ? call->password : "");
	}
}

static void
auto_list(struct curl_slist **list)
{
	curl_slist_free_all(*list);
}

/* The fields as libcurl wants them; NULL where there is no memory. */
static struct curl_slist *
make_list(const struct buf *fields)
{
	/* Nobody is asked whether a body may be sent. */
	struct curl_slist *list AUTO(auto_list) = curl_slist_append(NULL, "Expect:"), *made;
	const char *at;

	if (list == NULL)
		return NULL;
	for (at = fields->s; at < fields->s + fields->len; at += strlen(at) + 1) {
		AUTO_FREE char *line = xstrdup(at);
		size_t n = strlen(line);

		/* In libcurl's words, a field without a value. */
		if (n >= 2 && strcmp(line + n - 2, ": ") == 0)
			memcpy(line + n - 2, ";", 2);
		if ((made = curl_slist_append(list, line)) == NULL)
			return NULL;
		list = made;
	}
	made = list;
	list = NULL;
	return made;
}

static CURLcode
transfer(struct http_hop *hop)
{
	const volatile sig_atomic_t *stop = hop->client->config.stop;
	CURLM *multi = hop->client->multi;
	CURLcode code = CURLE_FAILED_INIT;
	CURLMsg *msg = NULL;
	int running = 1, left;

	if (curl_multi_add_handle(multi, hop->client->easy) != CURLM_OK)
		return code;
	while (!hop->stopped && curl_multi_perform(multi, &running) == CURLM_OK && running > 0) {
		curl_multi_poll(multi, NULL, 0, LOOK_MS, NULL);
		hop->stopped = stop != NULL && __atomic_load_n(stop, __ATOMIC_RELAXED) != 0;
	}
	while ((msg = curl_multi_info_read(multi, &left)) != NULL)
		if (msg->msg == CURLMSG_DONE)
			code = msg->data.result;
	curl_multi_remove_handle(multi, hop->client->easy);
	return code;
}

static enum http_end
ended(CURLcode code)
{
	switch (code) {
	case CURLE_OK:
		return HTTP_END_OK;
	case CURLE_COULDNT_RESOLVE_HOST:
		return HTTP_END_LOOKUP;
	case CURLE_COULDNT_CONNECT:
		return HTTP_END_CONNECT;
	case CURLE_OPERATION_TIMEDOUT:
		return HTTP_END_TIME;
	case CURLE_URL_MALFORMAT:
		return HTTP_END_URL;
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_ISSUER_ERROR:
		return HTTP_END_CERTIFICATE;
	case CURLE_UNSUPPORTED_PROTOCOL:
	case CURLE_WEIRD_SERVER_REPLY:
	case CURLE_BAD_CONTENT_ENCODING:
		return HTTP_END_NOT_HTTP;
	case CURLE_PARTIAL_FILE:
	case CURLE_GOT_NOTHING:
	case CURLE_RECV_ERROR:
		return HTTP_END_CUT;
	default:
		return HTTP_END_OTHER;
	}
}

enum http_end
http_hop_run(struct http_hop *hop, const char *url, const struct buf *fields, int64_t left)
{
	CURL *easy = hop->client->easy;
	struct curl_slist *list AUTO(auto_list) = make_list(fields);
	curl_off_t pretransfer = 0, seconds = 0;
	CURLcode code;

	curl_easy_reset(easy);
	set_surroundings(hop);
	set_request(hop, left);
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, list);
	code = list == NULL ? CURLE_OUT_OF_MEMORY : curl_easy_setopt(easy, CURLOPT_URL, url);
	if (code == CURLE_OK)
		code = transfer(hop);
	if (hop->error[0] == '\0')
		snprintf(hop->error, sizeof(hop->error), "%s", curl_easy_strerror(code));
	curl_easy_getinfo(easy, CURLINFO_PRETRANSFER_TIME_T, &pretransfer);
	curl_easy_getinfo(easy, CURLINFO_RETRY_AFTER, &seconds);
	hop->status = status_of(hop);
	hop->connected = pretransfer > 0;
	hop->retry_after = seconds < RETRY_AFTER_MAX ? seconds : RETRY_AFTER_MAX;
	/* Nothing of this call is left where a later one could use it. */
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, NULL);
	return ended(code);
}
