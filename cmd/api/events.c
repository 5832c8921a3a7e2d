/* What happened, from where the client left off: GET /events. */
#include <string.h>

#include "cmd/serve/serve.h"
#include "spool/journal/feed.h"

/* Bytes of an answer: behind them it ends, with fewer events than were asked for. */
#define ANSWER_ENOUGH ((size_t)4 * 1024 * 1024)

static void
put_event(struct json_writer *w, const struct feed_line *line)
{
	/* The line is an object as it stands. */
	if (w->comma && buf_addc(w->out, ',') < 0)
		w->failed = true;
	if (buf_add(w->out, line->text, line->len) < 0)
		w->failed = true;
	w->comma = true;
}

/* The events and the cursor behind them.  0, or -1 with err. */
static int
put_events(struct feed *feed, int64_t limit, struct json_writer *w, struct err *err)
{
	AUTO_BUF struct buf cursor = BUF_INIT(FEED_CURSOR_MAX);
	struct feed_line line;
	int rc = 0;

	json_key(w, "events");
	json_begin_array(w);
	while (limit-- > 0 && w->out->len < ANSWER_ENOUGH && (rc = feed_next(feed, &line, err)) > 0)
		put_event(w, &line);
	json_end_array(w);
	if (rc < 0)
		return -1;
	if (feed_cursor(feed, &cursor) < 0)
		return err_set(err, EX_TEMPFAIL, "the cursor is too long");
	json_member_str(w, "next", cursor.s);
	return 0;
}

static void
refuse_cursor(struct http_request *r, const struct err *err)
{
	struct serve_faults faults;

	serve_faults_init(&faults);
	serve_fault(&faults, "query", "after", "value_error.cursor", "%s", err->msg);
	serve_faults_reply(r, &faults);
}

static void
reply_events(struct http_request *r, struct spool *spool, int64_t limit)
{
	AUTO(feed_close) struct feed *feed = NULL;
	struct serve_answer answer;
	struct err err = ERR_INIT;

	if (feed_open(spool, http_query(r, "after"), FEED_EVENTS, &feed, &err) < 0) {
		if (err.code == EX_USAGE)
			refuse_cursor(r, &err);
		else
			serve_reply_err(r, &err);
		return;
	}
	serve_answer_begin(&answer, true);
	if (put_events(feed, limit, &answer.w, &err) < 0) {
		buf_release(&answer.out);
		serve_reply_err(r, &err);
		return;
	}
	serve_reply(r, 200, &answer);
}

void
serve_events(struct http_request *r, void *arg)
{
	struct serve *serve = arg;
	struct serve_page page;
	struct spool *spool;

	if (serve_page_of(r, &page) < 0)
		return;
	spool = serve_spool_get(serve, r);
	if (spool == NULL)
		return;
	reply_events(r, spool, page.limit);
	serve_spool_put(serve, spool);
}
