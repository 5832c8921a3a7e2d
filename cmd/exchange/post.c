/* One request with reports, and its answer. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/digest.h"
#include "base/log.h"
#include "base/num.h"
#include "cmd/exchange/private.h"

#define CONNECT_MAX (10 * USEC)
/* No more lines are passed over to find what is behind those that are skipped. */
#define PASSED_MAX 1000

void
exchange_batch_release(struct exchange_batch *batch)
{
	buf_release(&batch->entries);
	digest_end(&batch->attempts, NULL);
	free(batch->ids);
	free(batch->skipped);
	*batch = (struct exchange_batch){ 0 };
}

void
exchange_batch_init(struct exchange_batch *batch, size_t max, size_t skipped)
{
	buf_init(&batch->entries, SIZE_MAX);
	batch->ids = xcalloc(max + 1, sizeof *batch->ids);
	batch->skipped = xcalloc(skipped + 1, sizeof *batch->skipped);
	batch->attempts = digest_begin();
}

void
exchange_batch_add(struct exchange_batch *batch, const struct report *report)
{
	struct json_writer w = JSON_WRITER(&batch->entries);

	if (batch->n > 0)
		buf_addc(&batch->entries, ',');
	exchange_put_report(&w, report);
	batch->ids[batch->n++] = report->id;
	digest_add(batch->attempts, &report->attempts, sizeof report->attempts);
}

/* Whether it is of one of the messages that are skipped; the first so many are. */
static bool
is_skipped(struct exchange_batch *batch, const char *id, size_t skip)
{
	for (size_t i = 0; i < batch->skipped_count; i++)
		if (strcmp(batch->skipped[i], id) == 0)
			return true;
	if (batch->skipped_count == skip)
		return false;
	batch->skipped[batch->skipped_count++] = id;
	return true;
}

int
exchange_batch_gather(struct exchange *x, struct exchange_batch *batch, struct err *err)
{
	size_t max = exchange_halves_size(&x->state, (size_t)x->current.settings.sync.batch_size);
	size_t passed = 0;
	struct report report;
	int result = 0;

	exchange_batch_init(batch, max, x->state.skipped);
	while (batch->n < max && batch->entries.len < EXCHANGE_BODY_FULL && passed < PASSED_MAX &&
	    (result = reports_next(x->reports, &report, err)) > 0) {
		if (is_skipped(batch, report.id, x->state.skipped))
			passed++;
		else
			exchange_batch_add(batch, &report);
	}
	return result < 0 ? -1 : 0;
}

/* The same list under two names: those that read the one do not know the other. */
static void
make_body(const struct exchange_batch *batch, struct buf *ret)
{
	buf_reserve(ret, 2 * batch->entries.len + 64);
	buf_adds(ret, "{\"delivery_report\":[");
	buf_add(ret, batch->entries.s, batch->entries.len);
	buf_adds(ret, "],\"reports\":[");
	buf_add(ret, batch->entries.s, batch->entries.len);
	buf_adds(ret, "]}");
}

/*
 * A request has an id, the same when it is made again because its answer was not heard.  One with what was
 * rejected before is another: who passes over ids that are known would seem to acknowledge it.
 */
static void
make_id(struct exchange_batch *batch, char *ret, size_t size)
{
	unsigned char digest[DIGEST_SIZE];
	char text[DIGEST_TEXT_SIZE], token[TOKEN_SIZE];

	digest_add(batch->attempts, batch->entries.s, batch->entries.len);
	if (batch->n == 0) {
		token_make(token);
		digest_add(batch->attempts, token, strlen(token));
	}
	digest_end(&batch->attempts, digest);
	snprintf(ret, size, "msg_%.40s", digest_text(digest, text));
}

/* ---- the call ------------------------------------------------------------------------------------------ */

/* Headers of a signed request, in texts. */
struct signature {
	char id[64], timestamp[64];
	char signature[SETTINGS_SECRETS * 60 + 32];
	const char *headers[5];
};

static int
sign(struct exchange *x, struct exchange_batch *batch, const struct buf *body,
    struct signature *ret, struct err *err)
{
	AUTO_BUF struct buf words = BUF_INIT(sizeof ret->signature);
	struct exchange_keys keys;
	char id[50];
	int64_t now = clock_now() / USEC;
	size_t n = 0;

	if (exchange_keys_read(&x->current.settings, &keys, err) < 0)
		return -1;
	ret->headers[n++] = "Accept: application/json";
	if (keys.n > 0) {
		make_id(batch, id, sizeof id);
		exchange_sign(&keys, id, now, buf_view(body), &words);
		snprintf(ret->id, sizeof ret->id, "webhook-id: %s", id);
		snprintf(ret->timestamp, sizeof ret->timestamp, "webhook-timestamp: %lld",
		    (long long)now);
		snprintf(ret->signature, sizeof ret->signature, "webhook-signature: %s", words.s);
		ret->headers[n++] = ret->id;
		ret->headers[n++] = ret->timestamp;
		ret->headers[n++] = ret->signature;
	}
	ret->headers[n] = NULL;
	explicit_bzero(&keys, sizeof keys);
	return 0;
}

static int
fail_redirect(const struct http_answer *answer, struct err *err)
{
	int status = answer->status;

	if (answer->location == NULL)
		return err_set(err, EX_PROTOCOL, "it answered %d, a redirection to nowhere",
		    status);
	return err_set(err, EX_PROTOCOL, "it answered %d, a redirection to %s, not followed: %s",
	    status, answer->location,
	    status == 307 || status == 308 ? "that is another scheme, host or port" :
					     "only 307 and 308 keep what is sent");
}

int
exchange_check_status(const struct http_answer *answer, struct err *err)
{
	char words[240];

	if (answer->status / 100 == 2)
		return 0;
	if (answer->status / 100 == 3)
		return fail_redirect(answer, err);
	log_escape(words, sizeof words, answer->body.s, answer->body.len);
	return err_set(err, EX_PROTOCOL, "it answered %d%s%s", answer->status,
	    words[0] != '\0' ? ": " : "", words);
}

/* Whether a failure may be about what was sent: not where it is about who we are, or how often we come. */
static bool
is_of_content(const struct http_answer *answer, const struct err *err)
{
	if (answer->status == 0)
		return answer->reached && (err->code == EX_TEMPFAIL || err->code == EX_PROTOCOL);
	if (answer->status == 503)
		return answer->retry_after == 0;
	return answer->status / 100 != 3 && answer->status != 401 && answer->status != 407 &&
	    answer->status != 429;
}

int
exchange_post(struct exchange *x, struct exchange_batch *batch, struct exchange_answer *ret,
    struct exchange_failure *failure)
{
	const struct settings *s = &x->current.settings;
	AUTO(exchange_access_release) struct exchange_access access = { 0 };
	AUTO(http_answer_release) struct http_answer answer = HTTP_ANSWER_INIT;
	AUTO_BUF struct buf body = BUF_INIT(SIZE_MAX);
	struct err *err = &failure->err;
	struct http_client *client = exchange_client(x, err);
	struct signature signature;
	struct http_call call = { .method = "POST",
		.url = s->sync.url,
		.headers = signature.headers,
		.content_type = "application/json",
		.redirects = EXCHANGE_REDIRECTS,
		.redirects_home = true,
		.any_body = true,
		.connect_usec = s->sync.timeout < CONNECT_MAX ? s->sync.timeout : CONNECT_MAX,
		.total_usec = s->sync.timeout };

	make_body(batch, &body);
	if (client == NULL || exchange_access_sync(s, &access, err) < 0 ||
	    sign(x, batch, &body, &signature, err) < 0)
		return -1;
	exchange_access_show(&access, &call);
	call.body = buf_view(&body);
	if (http_call(client, &call, &answer, err) == 0 &&
	    exchange_check_status(&answer, err) == 0 &&
	    exchange_answer_read(answer.body.s, answer.body.len, ret, err) == 0)
		return 0;
	failure->retry_after = answer.retry_after;
	failure->of_content = is_of_content(&answer, err);
	return -1;
}
