#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "cmd/exchange/private.h"

#define CONNECT_MAX (10 * USEC)

/* fetch.url and /fetch-messages behind its path; what is behind a ? stays behind it. */
static void
make_url(const char *url, struct buf *ret)
{
	size_t path = strcspn(url, "?"), n = path;

	while (n > 0 && url[n - 1] == '/')
		n--;
	buf_add(ret, url, n);
	buf_adds(ret, "/fetch-messages");
	buf_adds(ret, url + path);
}

/* "fetch URL" for people: a query may hold what is secret. */
static void
make_source(const char *url, char *ret, size_t size)
{
	AUTO_BUF struct buf text = BUF_INIT(16384);

	buf_adds(&text, "fetch ");
	buf_add(&text, url, strcspn(url, "?"));
	log_escape(ret, size, text.s, text.len);
}

/* 0, also where the answer was 204: no messages. */
static int
call(struct exchange *x, const char *source, struct http_answer *answer, uint64_t *ret_queued,
    struct err *err)
{
	const struct settings *s = &x->current.settings;
	static const char *const headers[] = { "Accept: application/json", NULL };
	AUTO(exchange_access_release) struct exchange_access access = { 0 };
	AUTO_BUF struct buf url = BUF_INIT(16384);
	struct http_client *client = exchange_client(x, err);
	struct http_call request = { .method = "GET",
		.headers = headers,
		.connect_usec = s->fetch.timeout < CONNECT_MAX ? s->fetch.timeout : CONNECT_MAX,
		.total_usec = s->fetch.timeout,
		.max_body = (uint64_t)s->fetch.max_size,
		.redirects = EXCHANGE_REDIRECTS,
		.redirects_home = true,
		.sink = taking_bytes };
	struct err take_err = ERR_INIT;
	int result;

	if (client == NULL || exchange_access_fetch(s, &access, err) < 0)
		return -1;
	make_url(s->fetch.url, &url);
	request.url = url.s;
	exchange_access_show(&access, &request);
	request.sink_arg = taking_begin(x, source);
	result = http_call(client, &request, answer, err);
	if (result == 0)
		result = exchange_check_status(answer, err);
	if (taking_end(request.sink_arg, result == 0, ret_queued, &take_err) < 0) {
		*err = take_err;
		result = -1;
	}
	return result;
}

static void
write_state(struct exchange *x)
{
	if (reports_fetch_write(&x->spool, &x->fetch_state) < 0)
		log_warning("spool %s: cannot record how the last fetch went", x->spool.path);
}

static void
note_failure(struct exchange *x, const char *source, int64_t retry_after, const struct err *err)
{
	int64_t pause = exchange_pause(++x->fetch_state.failures, exchange_chance(), retry_after);
	char span[CLOCK_TEXT_SIZE];

	bool same = strncmp(err->msg, x->fetch_state.reason, sizeof x->fetch_state.reason - 1) == 0;

	x->fetch_state.until = clock_now() + pause;
	snprintf(x->fetch_state.reason, sizeof x->fetch_state.reason, "%s", err->msg);
	write_state(x);
	clock_span(pause, span);
	if (x->fetch_state.failures == 1 || !same)
		log_warning("%s: %s; next call in %s", source, err->msg, span);
	else
		log_info("%s: %s; next call in %s", source, err->msg, span);
}

void
exchange_fetch(struct exchange *x)
{
	AUTO(http_answer_release) struct http_answer answer = HTTP_ANSWER_INIT;
	struct err err = ERR_INIT;
	char source[200];
	uint64_t queued = 0;

	if (x->current.settings.fetch.url == NULL) {
		x->fetch_due = false;
		return;
	}
	reports_fetch_read(&x->spool, &x->fetch_state);
	if (!x->fetch_forced && exchange_is_paused(x->fetch_state.until, clock_now()))
		return;
	x->fetch_forced = x->fetch_due = false;
	make_source(x->current.settings.fetch.url, source, sizeof source);
	if (call(x, source, &answer, &queued, &err) < 0) {
		if (!exchange_stopped(x))
			note_failure(x, source, answer.retry_after, &err);
		return;
	}
	if (x->fetch_state.failures > 0) {
		log_info("%s: it works again", source);
		x->fetch_state = (struct reports_state){ .told = clock_now() };
		write_state(x);
	}
	log_info("%s: %llu new messages", source, (unsigned long long)queued);
}
