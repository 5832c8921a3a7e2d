#include "cmd/fetch/source.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/digest.h"
#include "base/json.h"
#include "base/num.h"
#include "cmd/fetch/name.h"
#include "mail/source.h"
#include "http/address.h"
#include "http/client.h"
#include "spool/part/fetched.h"

#define SOURCE_NAME_MAX (2 * MAIL_SOURCE_MAX + 1024)
#define ETAG_MAX 1024			  /* bytes; a longer one is not sent back */
#define NOT_BEFORE_MAX (24 * 3600 * USEC) /* no server has a message wait for longer */

/* ---- what is wanted ------------------------------------------------------------------------ */

static char *
copy_member(const struct json *object, const char *name)
{
	const char *text = json_string(json_get(object, name));

	return text != NULL ? xstrdup(text) : NULL;
}

/* Where it is, without a query, which may hold a secret. */
static void
add_place(struct buf *out, const struct fetch_wish *wish)
{
	size_t n = wish->url != NULL ? strcspn(wish->url, "?#") : 0;

	if (wish->url != NULL)
		buf_addf(out, "%.*s", (int)(n < 1000 ? n : 1000), wish->url);
	else
		buf_addf(out, "s3:%s/%.1000s", wish->bucket, wish->key);
}

int
fetch_wish_read(const char *json, struct fetch_wish *ret, struct err *err)
{
	AUTO_JSON struct json *root = json_parse(json, strlen(json), 1, err);
	const struct json *source = json_get(root, "source"), *s3 = json_get(source, "s3");
	struct fetch_wish wish = { .url = NULL };
	AUTO_BUF struct buf shown = BUF_INIT(4096);

	if (root == NULL)
		return -1;
	wish.url = copy_member(source, "url");
	wish.bucket = copy_member(s3, "bucket");
	wish.key = copy_member(s3, "key");
	wish.md5 = copy_member(source, "md5");
	wish.filename = copy_member(root, "filename");
	wish.type = copy_member(root, "content_type");
	wish.content_id = copy_member(root, "content_id");
	if (wish.url == NULL && (wish.bucket == NULL || wish.key == NULL)) {
		fetch_wish_release(&wish);
		return err_set(err, EX_DATAERR, "a remote attachment without \"url\" or \"s3\"");
	}
	if (wish.filename != NULL)
		buf_addf(&shown, "%.300s", wish.filename);
	else
		add_place(&shown, &wish);
	wish.shown = xstrdup(shown.s);
	*ret = wish;
	return 0;
}

void
fetch_wish_release(struct fetch_wish *wish)
{
	free(wish->url);
	free(wish->bucket);
	free(wish->key);
	free(wish->md5);
	free(wish->filename);
	free(wish->type);
	free(wish->content_id);
	free(wish->shown);
	*wish = (struct fetch_wish){ .url = NULL };
}

void
fetch_result_release(struct fetch_result *result)
{
	part_pins_free(&result->pins);
	free(result->filename);
	*result = (struct fetch_result){ .verdict = FETCH_OURS };
}

/* ---- whom we speak to ---------------------------------------------------------------------- */

static bool
allow(const struct sockaddr *address, const char *host, void *arg)
{
	const struct fetch_terms *terms = arg;

	return http_address_allowed(address, host, terms->places, terms->place_count);
}

/* The endpoint is named by who runs this, and a bucket may be a name below it. */
static bool
allow_s3(const struct sockaddr *address, const char *host, void *arg)
{
	const struct fetch_terms *terms = arg;
	struct net_place below = terms->s3_place;

	below.below = true;
	return net_place_holds(&terms->s3_place, address, host) ||
	    (below.name[0] != '\0' && net_place_holds(&below, address, host)) ||
	    allow(address, host, arg);
}

static struct http_client *
client_of(struct fetch_hand *hand, bool s3, struct err *err)
{
	struct http_client **client = s3 ? &hand->s3 : &hand->web;
	struct http_client_config config = { .allow = s3 ? allow_s3 : allow,
		.arg = hand->terms,
		.stop = &hand->terms->stop,
		.ca_file = hand->terms->settings->attachments.ca_file };

	if (*client == NULL)
		*client = http_client_new(&config, err);
	return *client;
}

void
fetch_hand_release(struct fetch_hand *hand)
{
	http_client_free(&hand->web);
	http_client_free(&hand->s3);
}

/* ---- how it goes --------------------------------------------------------------------------- */

struct sinking {
	struct part_writer *writer;
	struct md5 md5;
	struct err err; /* why the spool did not take it */
};

static int
sink(const void *bytes, size_t n, void *arg)
{
	struct sinking *s = arg;

	md5_add(&s->md5, bytes, n);
	if (part_write(s->writer, bytes, n, &s->err) == 0)
		return 0;
	errno = EIO;
	return -1;
}

static enum fetch_verdict
verdict_of(const struct err *err)
{
	switch (err->code) {
	case EX_NOHOST:
	case EX_NOPERM:
	case EX_USAGE:
	case EX_DATAERR:
	case EX_PROTOCOL:
		return FETCH_NEVER;
	case EX_IOERR:
	case EX_SOFTWARE:
		return FETCH_OURS;
	default:
		return FETCH_LATER;
	}
}

static const char *
words_of(int status)
{
	switch (status) {
	case 400:
		return "Bad Request";
	case 401:
		return "Unauthorized";
	case 403:
		return "Forbidden";
	case 404:
		return "Not Found";
	case 408:
		return "Request Timeout";
	case 410:
		return "Gone";
	case 429:
		return "Too Many Requests";
	case 500:
		return "Internal Server Error";
	case 502:
		return "Bad Gateway";
	case 503:
		return "Service Unavailable";
	case 504:
		return "Gateway Timeout";
	default:
		return status / 100 == 3 ? "a redirect that cannot be followed" : "";
	}
}

/* Faults of our credentials and our clock, and what S3 itself says will pass. */
static bool
is_passing_in_s3(const char *code)
{
	static const char *const codes[] = { "InvalidAccessKeyId", "SignatureDoesNotMatch",
		"ExpiredToken", "InvalidToken", "TokenRefreshRequired", "RequestTimeTooSkewed",
		"RequestTimeout", "SlowDown", "OperationAborted", "AuthorizationHeaderMalformed",
		"PermanentRedirect", "TemporaryRedirect", "InternalError" };

	for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
		if (strcmp(code, codes[i]) == 0)
			return true;
	return false;
}

/* An answer that is not the content. */
static void
judge_answer(const struct fetch_wish *wish, const struct http_answer *answer,
    struct fetch_result *ret)
{
	int status = answer->status;
	AUTO_BUF struct buf where = BUF_INIT(2048);
	char code[64] = "";
	const char *words;

	if (wish->url == NULL)
		fetch_s3_code(answer->body.s, code, sizeof code);
	words = code[0] != '\0' ? code : words_of(status);
	add_place(&where, wish);
	ret->verdict = status >= 500 || status == 408 || status == 425 || status == 429 ||
		is_passing_in_s3(code) ?
	    FETCH_LATER :
	    FETCH_NEVER;
	err_set(&ret->err, ret->verdict == FETCH_LATER ? EX_TEMPFAIL : EX_UNAVAILABLE, "%s: %d%s%s",
	    where.s, status, words[0] != '\0' ? " " : "", words);
	if (answer->retry_after > 0)
		ret->not_before = clock_now() +
		    (answer->retry_after < NOT_BEFORE_MAX ? answer->retry_after : NOT_BEFORE_MAX);
}

/* ---- what is known from before ------------------------------------------------------------- */

/*
 * What a source is called among those: where it is, and which places attachments.allow opens.  What was
 * fetched from a place that is closed since is not handed out any more, nor what another S3 server
 * has under that name.
 */
static void
source_of(const struct fetch_terms *terms, const struct fetch_wish *wish, struct buf *ret)
{
	const struct strings *open_places = &terms->settings->attachments.allow;
	const char *const *places = (const char *const *)open_places->v;
	unsigned char digest[DIGEST_SIZE];
	char text[DIGEST_TEXT_SIZE];

	digest_texts(places, open_places->n, digest);
	buf_addf(ret, "allow:%s ", digest_text(digest, text));
	if (wish->url != NULL)
		buf_adds(ret, wish->url);
	else
		buf_addf(ret, "s3:%s %s/%s", terms->s3.endpoint, wish->bucket, wish->key);
}

/* The content was fetched before, and is the one that is wanted. */
static void
take_known(struct fetch_terms *terms, const struct fetch_wish *wish, const struct fetched *known,
    struct fetch_result *ret)
{
	AUTO_BUF struct buf start = BUF_INIT(MAIL_SNIFF_SIZE);

	ret->part = known->part;
	ret->filename = wish->filename != NULL ?
	    xstrdup(wish->filename) :
	    fetch_name(known->filename, wish->url != NULL ? wish->url : wish->key);
	if (ret->part.raw > (uint64_t)terms->settings->attachments.max_size) {
		err_set(&ret->err, EX_DATAERR, "larger than attachments.max_size");
		ret->verdict = FETCH_NEVER;
		return;
	}
	fetched_start(ret->pins, ret->part.hash, &start);
	pthread_mutex_lock(&terms->magic_lock);
	mail_type_of(ret->filename, start.s, start.len, terms->magic, ret->part.type);
	pthread_mutex_unlock(&terms->magic_lock);
	fetch_type(&ret->part, ret->filename, known->type);
	ret->verdict = FETCH_HAVE;
}

/* What came is remembered, for whoever wants it next. */
static void
remember(const struct fetch_terms *terms, const struct fetch_wish *wish,
    const struct http_answer *answer, struct sinking *s, struct fetch_result *ret)
{
	AUTO_BUF struct buf source = BUF_INIT(SOURCE_NAME_MAX);
	struct fetched fetched = { .part = ret->part,
		.etag = answer->etag,
		.filename = answer->filename,
		.type = answer->content_type };

	md5_end(&s->md5, fetched.md5);
	if (answer->no_store || ret->part.size > (uint64_t)terms->settings->attachments.cache_size)
		return;
	source_of(terms, wish, &source);
	fetched_keep(ret->pins, source.s, &fetched);
}

/* ---- fetching ------------------------------------------------------------------------------ */

/* The content is written: gives it its name and its type. */
static void
take_content(struct fetch_hand *hand, const struct fetch_wish *wish,
    const struct http_answer *answer, struct part_terms *part, struct sinking *s,
    struct fetch_result *ret)
{
	struct fetch_terms *terms = hand->terms;
	int stored;

	ret->filename = wish->filename != NULL ? xstrdup(wish->filename) :
						 fetch_name(answer->filename, answer->url);
	part->filename = ret->filename;
	pthread_mutex_lock(&terms->magic_lock);
	part->magic = terms->magic;
	stored = part_write_end(&s->writer, &ret->part, &ret->err);
	pthread_mutex_unlock(&terms->magic_lock);
	if (stored < 0) {
		ret->verdict = ret->err.code == EX_DATAERR ? FETCH_NEVER : FETCH_OURS;
		return;
	}
	fetch_type(&ret->part, ret->filename, answer->content_type);
	remember(terms, wish, answer, s, ret);
	ret->verdict = FETCH_HAVE;
}

/* The call for this wish; url is filled where it is of S3. */
static int
make_call(struct fetch_hand *hand, const struct fetch_wish *wish, struct http_call *call,
    struct http_aws *aws, struct buf *url, struct err *err)
{
	const struct fetch_terms *terms = hand->terms;

	call->url = wish->url;
	if (wish->url != NULL)
		return 0;
	if (!terms->has_s3) {
		*err = terms->no_s3;
		return -1;
	}
	if (fetch_s3_url(&terms->s3, wish->bucket, wish->key, url) < 0)
		return err_set(err, EX_DATAERR, "s3:%s: the key is too long", wish->bucket);
	*aws = (struct http_aws){ .region = terms->s3.region,
		.service = "s3",
		.key = terms->s3.access_key,
		.secret = terms->s3.secret_key,
		.session_token = terms->s3.session_token };
	call->url = url->s;
	call->aws = aws;
	call->redirects = 0;
	return 0;
}

/* Asks for it; known is what is there from before, or has no etag. */
static void
ask(struct fetch_hand *hand, const struct fetch_wish *wish, const struct fetched *known,
    struct http_client *client, struct http_call *call, struct fetch_result *ret)
{
	const struct settings *settings = hand->terms->settings;
	struct part_terms part = { .max = (uint64_t)settings->attachments.max_size,
		.min_free_bytes = (uint64_t)settings->queue.min_free_bytes,
		.min_free_inodes = (uint64_t)settings->queue.min_free_inodes };
	struct sinking s = { .err = ERR_INIT };
	struct http_answer answer AUTO(http_answer_release) = HTTP_ANSWER_INIT;

	md5_begin(&s.md5);
	s.writer = part_write_begin(ret->pins, &part, &ret->err);
	if (s.writer == NULL)
		return;
	call->sink = sink;
	call->sink_arg = &s;
	if (http_call(client, call, &answer, &ret->err) < 0) {
		ret->verdict = verdict_of(&ret->err);
		if (s.err.code != 0) {
			ret->verdict = s.err.code == EX_DATAERR ? FETCH_NEVER : FETCH_OURS;
			ret->err = s.err;
		}
	} else if (answer.status == 304 && known->etag != NULL) {
		take_known(hand->terms, wish, known, ret);
	} else if (answer.status == 200 || answer.status == 203) {
		take_content(hand, wish, &answer, &part, &s, ret);
	} else {
		judge_answer(wish, &answer, ret);
	}
	part_abandon(&s.writer);
}

/* From before, without asking: a client who says its MD5 wants what this source gave then. */
static bool
have_already(struct fetch_hand *hand, const struct fetch_wish *wish, const char *source,
    struct fetch_result *ret)
{
	struct fetched known AUTO(fetched_release) = { .etag = NULL };

	if (wish->md5 == NULL || hand->terms->settings->attachments.cache_size == 0 ||
	    !fetched_find(ret->pins, source, wish->md5, &known))
		return false;
	take_known(hand->terms, wish, &known, ret);
	return true;
}

void
fetch_one(struct fetch_hand *hand, const struct fetch_wish *wish, struct fetch_result *ret)
{
	const struct settings *settings = hand->terms->settings;
	AUTO_BUF struct buf url = BUF_INIT(16384), source = BUF_INIT(SOURCE_NAME_MAX),
			    if_other = BUF_INIT(ETAG_MAX + 32);
	struct fetched known AUTO(fetched_release) = { .etag = NULL };
	const char *headers[] = { if_other.s, NULL };
	struct http_aws aws;
	struct http_call call = { .method = "GET",
		.connect_usec = settings->attachments.connect_timeout,
		.total_usec = settings->attachments.fetch_timeout,
		.max_body = (uint64_t)settings->attachments.max_size,
		.redirects = (unsigned)settings->attachments.redirects };
	struct http_client *client;

	*ret = (struct fetch_result){ .verdict = FETCH_OURS };
	ret->pins = part_pins_new(hand->terms->spool);
	client = client_of(hand, wish->url == NULL, &ret->err);
	if (client == NULL)
		return;
	if (make_call(hand, wish, &call, &aws, &url, &ret->err) < 0) {
		ret->verdict = FETCH_LATER;
		return;
	}
	source_of(hand->terms, wish, &source);
	if (have_already(hand, wish, source.s, ret))
		return;
	if (settings->attachments.cache_size > 0 &&
	    fetched_find(ret->pins, source.s, NULL, &known) && known.etag != NULL &&
	    strlen(known.etag) < ETAG_MAX) {
		buf_addf(&if_other, "If-None-Match: %s", known.etag);
		headers[0] = if_other.s;
		call.headers = headers;
	}
	ask(hand, wish, &known, client, &call, ret);
}
