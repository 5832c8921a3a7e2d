/* A call: its requests, where it is sent on to, and what is said of its faults. */
#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/num.h"
#include "http/client_private.h"

#define TOTAL_USEC (30 * USEC)
#define MAX_BODY (UINT64_C(1) << 20)

enum { TEXT_MAX = 64 * 1024 };

/* ---- faults -------------------------------------------------------------------------------- */

/* libcurl says only that it found no address: whether there is none, or nobody to ask. */
static int
fail_lookup(const struct http_hop *hop, struct err *err)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_IDN }, *list = NULL;
	int rc = getaddrinfo(hop->target.host, NULL, &hints, &list);

	if (rc == 0)
		freeaddrinfo(list);
	if (rc == EAI_NONAME || rc == EAI_NODATA || rc == EAI_IDN_ENCODE || rc == EAI_ADDRFAMILY)
		return err_set(err, EX_NOHOST, "%s: there is no host %s", hop->text,
		    hop->target.host);
	return err_set(err, EX_TEMPFAIL, "%s: the name %s cannot be looked up%s%s", hop->text,
	    hop->target.host, rc != 0 ? ": " : "", rc != 0 ? gai_strerror(rc) : "");
}

static int
fail_time(const struct http_hop *hop, int64_t total, struct err *err)
{
	char span[CLOCK_TEXT_SIZE], size[24];

	if (!hop->connected)
		return err_set(err, EX_TEMPFAIL, "%s: timed out connecting", hop->text);
	clock_span(total, span);
	if (hop->status == 0)
		return err_set(err, EX_TEMPFAIL, "%s: no answer within %s", hop->text, span);
	return err_set(err, EX_TEMPFAIL, "%s: timed out after %s and %s", hop->text, span,
	    num_size_text(hop->answer->size, size));
}

static int
fail_end(const struct http_hop *hop, enum http_end end, int64_t total, struct err *err)
{
	switch (end) {
	case HTTP_END_LOOKUP:
		return fail_lookup(hop, err);
	case HTTP_END_TIME:
		return fail_time(hop, total, err);
	case HTTP_END_CONNECT:
		if (hop->refused[0] != '\0' && hop->opened == 0)
			return err_set(err, EX_NOPERM, "%s: connecting to %s is not allowed",
			    hop->text, hop->refused);
		return err_set(err, EX_TEMPFAIL, "%s: %s", hop->text, hop->error);
	case HTTP_END_URL:
		return err_set(err, EX_USAGE, "%s: %s", hop->text, hop->error);
	case HTTP_END_CERTIFICATE:
		return err_set(err, EX_CONFIG, "%s: the certificate is not accepted: %s", hop->text,
		    hop->error);
	case HTTP_END_NOT_HTTP:
		return err_set(err, EX_PROTOCOL, "%s: what came is not HTTP: %s", hop->text,
		    hop->error);
	case HTTP_END_CUT:
		return err_set(err, EX_TEMPFAIL, "%s: the answer was cut off: %s", hop->text,
		    hop->error);
	default:
		return err_set(err, EX_TEMPFAIL, "%s: %s", hop->text, hop->error);
	}
}

/* Nothing is wrong with an answer but its body, for a call that can do without. */
static bool
is_answered(const struct http_hop *hop, enum http_end end)
{
	if (!hop->call->any_body || hop->status / 100 != 2 || hop->stopped || hop->flooded ||
	    hop->failed_sink != 0)
		return false;
	return hop->oversized || end == HTTP_END_CUT || end == HTTP_END_NOT_HTTP;
}

/* 0 where there is an answer. */
static int
judge(const struct http_hop *hop, enum http_end end, int64_t total, struct err *err)
{
	char size[24];

	if (is_answered(hop, end))
		return 0;
	if (hop->stopped)
		return err_set(err, EX_SOFTWARE, "stopped");
	if (hop->failed_sink != 0) {
		errno = hop->failed_sink;
		return err_sys(err, EX_IOERR, "%s: cannot keep what came", hop->text);
	}
	if (hop->oversized)
		return err_set(err, EX_DATAERR, "%s: too large: expected at most %s", hop->text,
		    num_size_text(hop->max_body, size));
	if (hop->flooded)
		return err_set(err, EX_PROTOCOL, "%s: what came is not HTTP: endless header fields",
		    hop->text);
	return end == HTTP_END_OK || hop->cut ? 0 : fail_end(hop, end, total, err);
}

/* ---- requests ------------------------------------------------------------------------------ */

static int
run_hop(struct http_hop *hop, const struct http_url *url, int64_t started, struct err *err)
{
	int64_t total = hop->call->total_usec > 0 ? hop->call->total_usec : TOTAL_USEC;
	int64_t left = total - (clock_monotonic() - started);
	AUTO_FREE char *text = http_url_text(url);
	AUTO_BUF struct buf shown = BUF_INIT(TEXT_MAX), fields = BUF_INIT(128 * 1024);

	http_target_text(&hop->target, &shown);
	log_escape(hop->text, sizeof(hop->text), shown.s, shown.len);
	if (text == NULL)
		return err_set(err, EX_USAGE, "%s: no URL", hop->text);
	if (left <= 0)
		return err_set(err, EX_TEMPFAIL, "%s: timed out", hop->text);
	if (http_request_fields(hop->call, &hop->target, clock_now(), &fields, err) < 0)
		return err_prefix(err, "%s", hop->text);
	return judge(hop, http_hop_run(hop, text, &fields, left), total, err);
}

static char *
copy_field(const struct http_hop *hop, const char *name)
{
	const char *value = http_hop_field(hop, name);

	return value != NULL ? xstrdup(value) : NULL;
}

/* Where place leads from url; in ret, to be released.  -1: nowhere. */
static int
look_ahead(const struct http_url *url, const char *place, struct http_target *ret)
{
	struct http_url *next AUTO(http_url_free) = http_url_new();
	AUTO_FREE char *text = http_url_text(url);

	return next == NULL || text == NULL || http_url_go(next, text, true) < 0 ||
		http_url_go(next, place, false) < 0 || http_url_target(next, ret) < 0 ?
	    -1 :
	    0;
}

/* Where a redirect leads that is not followed: its URL without user, password and query. */
static char *
shown_location(const struct http_hop *hop, const struct http_url *url)
{
	struct http_target next AUTO(http_target_release) = { .scheme = NULL };
	AUTO_BUF struct buf text = BUF_INIT(TEXT_MAX);
	AUTO_FREE char *place = copy_field(hop, "Location");
	char shown[300];

	if (hop->status / 100 != 3 || place == NULL)
		return NULL;
	if (look_ahead(url, place, &next) == 0)
		http_target_text(&next, &text);
	else
		http_hide(place, &text);
	log_escape(shown, sizeof shown, text.s, text.len);
	return xstrdup(shown);
}

static void
take_answer(struct http_hop *hop, const struct http_url *url)
{
	struct http_answer *answer = hop->answer;
	AUTO_FREE char *disposition = copy_field(hop, "Content-Disposition");
	const char *control;

	answer->status = hop->status;
	answer->content_type = copy_field(hop, "Content-Type");
	answer->etag = copy_field(hop, "ETag");
	answer->filename = disposition != NULL ? http_disposition_name(disposition) : NULL;
	answer->url = http_url_text(url);
	answer->location = shown_location(hop, url);
	control = http_hop_field(hop, "Cache-Control");
	answer->no_store = control != NULL && strcasestr(control, "no-store") != NULL;
	answer->retry_after = hop->retry_after * USEC;
	if (answer->status / 100 != 2)
		answer->size = answer->body.len;
}

/* True where the call goes on there. */
static bool
may_follow(const struct http_hop *hop, const struct http_url *url, const char *place)
{
	struct http_target next AUTO(http_target_release) = { .scheme = NULL };

	if (hop->call->redirects == 0)
		return false;
	if (!hop->call->redirects_home)
		return strcmp(hop->call->method, "GET") == 0;
	return (hop->status == 307 || hop->status == 308) && look_ahead(url, place, &next) == 0 &&
	    http_target_same(&hop->target, &next);
}

/* Where the answer sends us on to; NULL where it does not. */
static char *
sent_on(const struct http_hop *hop, const struct http_url *url)
{
	int status = hop->status;
	AUTO_FREE char *place = NULL;
	char *ret;

	if (status != 301 && status != 302 && status != 303 && status != 307 && status != 308)
		return NULL;
	place = copy_field(hop, "Location");
	if (place == NULL || !may_follow(hop, url, place))
		return NULL;
	ret = place;
	place = NULL;
	return ret;
}

/* Follows to place: no further than the call allows, nowhere but to http and https, and not from
 * where it cannot be overheard to where it can. */
static int
follow(const struct http_hop *hop, struct http_url *url, const char *place, unsigned followed,
    struct err *err)
{
	struct http_target next AUTO(http_target_release) = { .scheme = NULL };
	AUTO_BUF struct buf shown = BUF_INIT(TEXT_MAX);

	if (followed > hop->call->redirects)
		return err_set(err, EX_PROTOCOL, "%s: redirected more than %u times", hop->text,
		    hop->call->redirects);
	if (http_url_go(url, place, hop->call->aws != NULL) < 0 ||
	    http_url_target(url, &next) < 0) {
		http_hide(place, &shown);
		return err_set(err, EX_PROTOCOL, "%s: redirects to %s, expected http or https",
		    hop->text, shown.s);
	}
	if (strcmp(hop->target.scheme, "https") == 0 && strcmp(next.scheme, "https") != 0)
		return err_set(err, EX_PROTOCOL, "%s: redirects from https to http", hop->text);
	return 0;
}

/* The next request of the same call: nothing of the last one's answer is left. */
static void
next_hop(struct http_hop *hop)
{
	struct http_hop clean = { .client = hop->client,
		.call = hop->call,
		.answer = hop->answer,
		.max_body = hop->max_body };

	http_target_release(&hop->target);
	*hop = clean;
	buf_clear(&hop->answer->body);
	hop->answer->size = 0;
}

static int
run_call(struct http_hop *hop, struct http_url *url, struct err *err)
{
	struct http_target home AUTO(http_target_release) = { .scheme = NULL };
	int64_t started = clock_monotonic();
	int rc;

	http_url_target(url, &home);
	for (unsigned followed = 0;;) {
		AUTO_FREE char *place = NULL, *user = NULL, *password = NULL;

		/* Whoever sends us on does not say as whom we go. */
		http_url_take_login(url, &user, &password);
		http_url_target(url, &hop->target);
		hop->target.home = http_target_same(&hop->target, &home);
		rc = run_hop(hop, url, started, err);
		hop->answer->reached |= hop->connected;
		if (rc < 0)
			return -1;
		if ((place = sent_on(hop, url)) == NULL)
			break;
		if (follow(hop, url, place, ++followed, err) < 0)
			return -1;
		next_hop(hop);
	}
	take_answer(hop, url);
	return 0;
}

int
http_call(struct http_client *client, const struct http_call *call, struct http_answer *ret,
    struct err *err)
{
	struct http_url *url AUTO(http_url_free) = http_url_new();
	AUTO_FREE char *user = NULL, *password = NULL;
	struct http_target target AUTO(http_target_release) = { .scheme = NULL };
	struct http_call whole = *call;
	struct http_hop hop = { .client = client, .call = &whole, .answer = ret };
	AUTO_BUF struct buf shown = BUF_INIT(TEXT_MAX);
	bool reached;
	int rc;

	http_answer_release(ret);
	if (url == NULL)
		return err_set(err, EX_TEMPFAIL, "out of memory");
	if (http_url_go(url, call->url, call->aws != NULL) < 0 ||
	    http_url_target(url, &target) < 0) {
		http_hide(call->url, &shown);
		return err_set(err, EX_USAGE, "\"%s\" is not an http or https URL", shown.s);
	}
	http_url_take_login(url, &user, &password);
	if (call->user == NULL) {
		whole.user = user;
		whole.password = password;
	}
	hop.max_body = call->max_body > 0 ? call->max_body : MAX_BODY;
	buf_init(&ret->body,
	    call->sink == NULL && hop.max_body > HTTP_REFUSAL_MAX ? hop.max_body :
								    HTTP_REFUSAL_MAX);
	rc = run_call(&hop, url, err);
	http_target_release(&hop.target);
	reached = ret->reached;
	if (rc < 0)
		http_answer_release(ret);
	ret->reached = reached;
	return rc;
}
