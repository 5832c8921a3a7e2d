#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/digest.h"
#include "base/log.h"
#include "base/num.h"
#include "cmd/exchange_private.h"

#define CONNECT_MAX (10 * USEC)
/* The log of what was told is ended when it is so old: a watch may last for months. */
#define TOLD_OLD (3600 * USEC)
#define UNKNOWN_MAX 10

/* Reports that go into one request. */
struct batch {
	struct buf entries; /* objects, apart by commas */
	const char **ids;   /* of the reports, good until they are settled */
	size_t n;
	struct digest *attempts; /* of how often each was told before */
};

static void
batch_release(struct batch *batch)
{
	buf_release(&batch->entries);
	digest_end(&batch->attempts, NULL);
	free(batch->ids);
}

/* The next reports, as many as go into one request.  -1 with err. */
static int
gather(struct exchange *x, struct batch *batch, struct err *err)
{
	size_t max = (size_t)x->current.settings.sync.batch_size;
	struct report report;
	int result = 0;

	buf_init(&batch->entries, SIZE_MAX);
	batch->ids = xcalloc(max, sizeof *batch->ids);
	batch->attempts = digest_begin();
	while (batch->n < max && batch->entries.len < EXCHANGE_BODY_FULL &&
	    (result = reports_next(x->reports, &report, err)) > 0) {
		struct json_writer w = JSON_WRITER(&batch->entries);

		if (batch->n > 0)
			buf_addc(&batch->entries, ',');
		exchange_put_report(&w, &report);
		batch->ids[batch->n++] = report.id;
		digest_add(batch->attempts, &report.attempts, sizeof report.attempts);
	}
	return result < 0 ? -1 : 0;
}

/* The same list under two names: those that read the one do not know the other. */
static void
make_body(const struct batch *batch, struct buf *ret)
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
make_id(struct batch *batch, char *ret, size_t size)
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
sign(struct exchange *x, struct batch *batch, const struct buf *body, struct signature *ret,
    struct err *err)
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

/* 0 and what it acknowledges; -1 with err: nothing. */
static int
post(struct exchange *x, struct batch *batch, struct exchange_answer *ret, int64_t *ret_retry_after,
    struct err *err)
{
	const struct settings *s = &x->current.settings;
	AUTO(exchange_access_release) struct exchange_access access = { 0 };
	AUTO(http_answer_release) struct http_answer answer = HTTP_ANSWER_INIT;
	AUTO_BUF struct buf body = BUF_INIT(SIZE_MAX);
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
	if (http_call(client, &call, &answer, err) < 0)
		return -1;
	*ret_retry_after = answer.retry_after;
	if (exchange_check_status(&answer, err) < 0)
		return -1;
	return exchange_answer_read(answer.body.s, answer.body.len, ret, err);
}

static void
write_state(struct exchange *x)
{
	if (reports_state_write(&x->spool, &x->state) < 0)
		log_warning("spool %s: cannot record how the last call to the application went",
		    x->spool.path);
}

static void
note_failure(struct exchange *x, size_t n, int64_t retry_after, const struct err *err)
{
	int64_t pause = exchange_pause(++x->state.failures, exchange_chance(), retry_after);
	bool same = strncmp(err->msg, x->state.reason, sizeof x->state.reason - 1) == 0;
	char span[CLOCK_TEXT_SIZE];

	x->state.until = clock_now() + pause;
	snprintf(x->state.reason, sizeof x->state.reason, "%s", err->msg);
	write_state(x);
	clock_span(pause, span);
	if (x->state.failures == 1 || !same)
		log_warning("sync: %s; none of %zu reports is acknowledged; not again for %s",
		    err->msg, n, span);
	else
		log_info("sync: %s; none of %zu reports is acknowledged; not again for %s",
		    err->msg, n, span);
}

static void
note_success(struct exchange *x, const struct exchange_answer *answer)
{
	if (x->state.failures > 0)
		log_info("sync: it works again");
	if (answer->plain)
		log_debug("sync: its answer is no JSON object; all is acknowledged");
	if (answer->error && !answer->ok)
		log_warning("sync: it acknowledges, and says: %s", answer->words);
	if (answer->strange > 0)
		log_warning("sync: the application rejects %zu that are no ids", answer->strange);
	if (answer->idle_cut)
		log_warning(
		    "sync: next_sync_after lies more than a day ahead: expected Unix seconds; "
		    "a day is taken");
	x->state = (struct reports_state){ .idle_until = answer->idle_until, .told = clock_now() };
	write_state(x);
	x->again = x->again || answer->more;
}

/* ---- what was acknowledged ----------------------------------------------------------------------------- */

static int
compare(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void
warn_of_unknown(const struct batch *batch, const struct exchange_answer *answer)
{
	const char **sorted;
	size_t unknown = 0;

	if (answer->n == 0)
		return;
	sorted = xreallocarray(NULL, batch->n + 1, sizeof *sorted);
	memcpy(sorted, batch->ids, batch->n * sizeof *sorted);
	qsort(sorted, batch->n, sizeof *sorted, compare);
	for (size_t i = 0; i < answer->n; i++)
		if (bsearch(&answer->ids[i], sorted, batch->n, sizeof *sorted, compare) == NULL &&
		    ++unknown <= UNKNOWN_MAX)
			log_warning("sync: the application rejects \"%.200s\", which it was not "
				    "told of",
			    answer->ids[i]);
	if (unknown > UNKNOWN_MAX)
		log_warning("sync: and %zu more", unknown - UNKNOWN_MAX);
	free(sorted);
}

/* For the history: when what was told. */
static void
record(struct exchange *x, const char *const *ids, size_t n)
{
	struct err err = ERR_INIT;

	if (x->told.begun && clock_monotonic() - x->told_begun > TOLD_OLD)
		oplog_end(&x->told);
	if (!x->told.begun) {
		x->told = (struct oplog){ .spool = &x->spool };
		x->told_begun = clock_monotonic();
		if (oplog_begin(&x->told, &err) < 0) {
			log_warning("%s", err.msg);
			return;
		}
	}
	journal_reported(&x->told.journal, ids, n);
	x->told.lines++;
	if (journal_write(&x->told.journal) < 0)
		log_warning("spool %s: cannot record what was reported", x->spool.path);
}

static int
settle(struct exchange *x, const struct batch *batch, const struct exchange_answer *answer,
    struct err *err)
{
	const struct settings *s = &x->current.settings;
	const char **heard = xreallocarray(NULL, batch->n + 1, sizeof *heard);
	const char **rejected = xreallocarray(NULL, batch->n + 1, sizeof *rejected);
	size_t heard_count = 0, rejected_count = 0;
	int result;

	for (size_t i = 0; i < batch->n; i++) {
		if (exchange_answer_rejects(answer, batch->ids[i]))
			rejected[rejected_count++] = batch->ids[i];
		else
			heard[heard_count++] = batch->ids[i];
	}
	warn_of_unknown(batch, answer);
	if (rejected_count > 0)
		log_info("sync: the application rejects %zu of %zu reports", rejected_count,
		    batch->n);
	if (heard_count > 0)
		record(x, heard, heard_count);
	result = reports_settle(x->reports, rejected, rejected_count,
	    (unsigned int)s->sync.max_attempts, err);
	if (result == 0) {
		pthread_mutex_lock(&x->lock);
		x->counts.reported += heard_count;
		pthread_mutex_unlock(&x->lock);
	}
	free(heard);
	free(rejected);
	return result;
}

/* ---- telling ----------------------------------------------------------------------------------------------- */

/* A watch comes back to it: a disk that was full is emptied.  Meanwhile another runner may have more luck. */
static void
spool_fault(struct exchange *x, const struct err *err)
{
	log_error("sync: %s", err->msg);
	x->broken = clock_monotonic() + exchange_pause(++x->faults, exchange_chance(), 0);
	exchange_tell_end(x);
}

/* True where we are the one who tells, and a call may be made. */
static bool
may_tell(struct exchange *x)
{
	struct err err = ERR_INIT;
	int opened;

	if (clock_monotonic() < x->broken || x->current.settings.sync.url == NULL)
		return false;
	if (x->reports == NULL) {
		opened = reports_open(&x->spool, &x->reports, &err);
		if (opened < 0)
			spool_fault(x, &err);
		if (opened <= 0)
			return false;
		reports_state_read(&x->spool, &x->state);
	}
	return x->tell_forced || !exchange_is_paused(x->state.until, clock_now());
}

/* The application has not asked to be left alone, or that is passed over. */
static bool
wants_idle(const struct exchange *x)
{
	int64_t ahead = x->state.idle_until - clock_now();

	return x->tell_forced || ahead <= 0 || ahead > EXCHANGE_IDLE_MAX;
}

/* One request.  1: there may be more to tell; 0: there is not, or no more calls now. */
static int
tell_some(struct exchange *x, bool last)
{
	AUTO(batch_release) struct batch batch = { 0 };
	AUTO(exchange_answer_release) struct exchange_answer answer = { 0 };
	const struct settings *s = &x->current.settings;
	struct err err = ERR_INIT;
	int64_t retry_after = 0;

	if (gather(x, &batch, &err) < 0) {
		spool_fault(x, &err);
		return 0;
	}
	if (batch.n == 0 && !(last && x->idle_due && s->sync.when_idle && wants_idle(x)))
		return 0;
	x->tell_forced = x->idle_due = false;
	if (post(x, &batch, &answer, &retry_after, &err) < 0) {
		reports_back(x->reports);
		if (!exchange_stopped(x))
			note_failure(x, batch.n, retry_after, &err);
		return 0;
	}
	note_success(x, &answer);
	if (settle(x, &batch, &answer, &err) < 0) {
		spool_fault(x, &err);
		return 0;
	}
	x->faults = 0;
	return batch.n > 0;
}

void
exchange_tell(struct exchange *x, bool last)
{
	int more = 1;

	while (more > 0 && !exchange_stopped(x) && may_tell(x))
		more = tell_some(x, last);
	/* All that was refused has been told: it may be refused anew. */
	if (x->reports != NULL && more == 0 && x->state.failures == 0 &&
	    reports_refused_write(&x->spool, NULL, 0) < 0)
		log_warning("spool %s: cannot forget what was refused", x->spool.path);
}

void
exchange_tell_end(struct exchange *x)
{
	if (x->reports != NULL)
		reports_close(&x->reports);
	x->reports = NULL;
	oplog_end(&x->told);
}
