/*
 * An HTTP client (RFC 9110) over libcurl: one call after another, on connections that are kept.
 *
 *	struct http_client *client AUTO(http_client_free) = http_client_new(&config, &err);
 *	struct http_call call = { .method = "POST", .url = url, .body = VIEW(...), ... };
 *	struct http_answer answer AUTO(http_answer_release) = HTTP_ANSWER_INIT;
 *	if (http_call(client, &call, &answer, &err) == 0 && answer.status / 100 == 2)
 *		...
 *
 * Only http and https; no proxy, no .netrc, no cookies, no other environment.  A client belongs to one thread
 * at a time; any number of clients may work at once.
 */
#ifndef HTTP_CLIENT_H
#define HTTP_CLIENT_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/buf.h"
#include "base/err.h"

struct http_client;

struct http_client_config {
	/* Asked for each address, numeric, just before it is connected to, redirects too: false refuses
	 * it.  host is the name it was found under, as in the URL.  NULL: all are allowed. */
	bool (*allow)(const struct sockaddr *address, const char *host, void *arg);
	void *arg;
	/* Once not 0, what is under way ends soon; or NULL.  Set by a signal's handler, or by another
	 * thread, which then must do so atomically. */
	const volatile sig_atomic_t *stop;
	const char *ca_file; /* PEM; NULL: the system's */
	bool no_verify;	     /* takes any certificate */
};

struct http_client *http_client_new(const struct http_client_config *config, struct err *err);
void http_client_free(struct http_client **client); /* accepts NULL inside; for AUTO() too */

/* Signature version 4 of Amazon's services. */
struct http_aws {
	const char *region, *service; /* "eu-central-1", "s3" */
	const char *key, *secret;
	const char *session_token; /* or NULL */
};

struct http_call {
	const char *method; /* "GET", "POST" */
	const char *url;
	const char *const
	    *headers; /* "Name: value", the last is NULL; or NULL.  Without line breaks. */
	const char *user, *password; /* Basic; NULL: what the URL says, if anything */
	const char *bearer;	     /* a token; or NULL */
	const struct http_aws *aws;  /* or NULL */
	const char *content_type;    /* of body */
	struct view body;
	int64_t connect_usec; /* microseconds until connected, TLS included; 0: 10 s */
	int64_t total_usec;   /* until the last byte; 0: 30 s */
	uint64_t max_body;    /* bytes of the answer's body, decoded; more is an error.  0: 1 MiB */
	/* How many redirects are followed, for GET only; 0: a 3xx is the answer.  User, password, bearer,
	 * aws and headers (but Accept and such) never go to another host, port or scheme. */
	unsigned redirects;
	/* Redirects are followed with any method, which is kept as are body and headers, but only 307 and 308 to
	 * the same scheme, host and port (RFC 9110 sections 15.4.8 and 15.4.9); any other is the answer. */
	bool redirects_home;
	/* A 2xx is an answer although its body breaks off, is too large or cannot be decoded: what came of it is
	 * kept.  One that is not there in time is none, as ever. */
	bool any_body;
	/* Takes the body of a 2xx piece by piece; -1 with errno ends the call.  NULL: it is kept in
	 * the answer, as is that of any other status: of that the first 64 KiB, the rest is not read. */
	int (*sink)(const void *bytes, size_t n, void *arg);
	void *sink_arg;
};

struct http_answer {
	int status;
	struct buf body;
	char *content_type; /* or NULL, as the following */
	char *etag;
	char
	    *filename; /* of Content-Disposition (RFC 6266): UTF-8, as it came, not to be trusted */
	char *url;     /* where it came from in the end; never NULL after success */
	char *
	    location; /* where a redirect that was not followed leads, whole, for people; or NULL */
	int64_t retry_after; /* microseconds from now; 0: not said */
	bool no_store;	     /* Cache-Control says so (RFC 9111 section 5.2.2.5) */
	uint64_t size;	     /* bytes of the body */
	bool
	    reached; /* after a failure too: there was a connection, so the request may have arrived */
};

#define HTTP_ANSWER_INIT                                                                           \
	{                                                                                          \
		.body = BUF_INIT(0)                                                                \
	}
void http_answer_release(struct http_answer *answer);

/*
 * 0 when there was an answer, whatever its status; else -1 with err, which names the URL without
 * user, password and query: EX_NOHOST: the name does not exist; EX_NOPERM: every address it has is refused by
 * config.allow; EX_USAGE: no URL for us; EX_DATAERR: the body is larger than max_body; EX_PROTOCOL: what came
 * is no HTTP, or redirects too often or to where it must not (from https to http neither); EX_CONFIG: the
 * certificate is not accepted; EX_IOERR: sink failed; EX_SOFTWARE with "stopped": config.stop; EX_TEMPFAIL:
 * anything else (refused, a time-out, an answer that was cut off, no name server).
 */
int http_call(struct http_client *client, const struct http_call *call, struct http_answer *ret,
    struct err *err);

#endif
