/*
 * POST /commands/send-message and /commands/run-now.
 *
 * A message to be sent at once is put into the queue like any other, durably; then a mailq-run is started
 * for it, and the client waits for what that recorded.  So nothing depends on whether the client is still
 * there, or on this program: what was interrupted goes on with the next mailq-run.
 */
#include "cmd/api/send.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "cmd/serve/large.h"
#include "cmd/submit/attach.h"

/* ---- the request ---------------------------------------------------------------------------------------------------- */

struct request {
	struct serve *serve;
	struct http_request *r;
	const struct serve_config *config;
	struct serve_batch *batch;
	char source[200];
};

static int
open_path(void *arg, const char *path, struct err *err)
{
	const struct request *q = arg;

	return attach_open((void *)(uintptr_t)&q->config->settings, path, err);
}

/* A field that is missing or of another type is 422; any other fault is of this message, which cannot be
 * sent. */
static void
refuse(struct request *q, const struct mail_faults *list)
{
	struct serve_faults faults;
	struct err err = ERR_INIT;

	serve_faults_init(&faults);
	for (size_t i = 0; i < list->count; i++)
		if (serve_fault_is_of_schema(&list->at[i]))
			serve_fault_mail(&faults, "body", &list->at[i]);
	if (serve_faults_reply(q->r, &faults))
		return;
	mail_faults_err(list, NULL, &err);
	serve_reply_error(q->r, "%s", err.msg);
}

/* What concerns the message is an answer, what concerns the spool is 503. */
static int
refuse_err(struct request *q, const struct err *err)
{
	if (err->code == EX_DATAERR)
		serve_reply_error(q->r, "%s", err->msg);
	else
		serve_reply_err(q->r, err);
	return -1;
}

static int
parse(struct request *q, const struct json *body, struct mail_message *message,
    struct mail_delivery *delivery)
{
	AUTO_FAULTS struct mail_faults faults = MAIL_FAULTS_INIT;
	struct mail_json_options options = {
		.now = clock_now(),
		.attachment_max = (size_t)q->config->settings.attachments.max_size,
		.no_s3 = attach_no_s3(&q->config->settings),
		.open_path = open_path,
		.arg = q,
	};

	serve_large_options(q->r, &options);
	if (mail_message_from_json(body, &options, message, delivery, &faults) < 0) {
		refuse(q, &faults);
		return -1;
	}
	/* Where it must wait after all, it is the first to go. */
	if (delivery->priority < 0)
		delivery->priority = 0;
	return 0;
}

static int
begin_once(struct request *q, struct sending *s)
{
	if (http_header(q->r, SERVE_ONCE_HEADER) == NULL)
		return 0;
	s->spool = serve_spool_get(q->serve, q->r);
	return s->spool == NULL || serve_large_once(q->serve, q->r, s->spool, &s->once) != 0 ? -1 :
											       0;
}

/* 0: it is in the queue, durably, by now or by an earlier try of this request; -1 after a reply. */
static int
queue(struct request *q, struct sending *s, struct mail_message *message,
    struct mail_delivery *delivery)
{
	const char *hostname = q->config->settings.delivery.hostname;
	struct err err = ERR_INIT;

	if (delivery->id == NULL && s->once != NULL)
		delivery->id = xstrdup(serve_once_id(s->once, 0));
	if (attach_check_total(&q->config->settings, message, &err) < 0 ||
	    mail_message_complete(message, hostname, &err) < 0 ||
	    serve_batch_add(q->batch, message, delivery, q->source, &err) < 0 ||
	    serve_once_keep(s->once, &err) < 0 || serve_commit(q->serve, q->batch, &err) < 0)
		return refuse_err(q, &err);
	snprintf(s->wanted.id, sizeof s->wanted.id, "%s", serve_batch_id(q->batch, 0));
	if (serve_batch_result(q->batch, 0) == DRAFT_QUEUED)
		return 0;
	if (serve_once_queued(s->once, s->wanted.id)) {
		/* What became of the first try is on record perhaps. */
		s->since = 0;
		return 0;
	}
	serve_reply_error(q->r, "duplicate id");
	return -1;
}

static int
prepare(struct request *q, struct sending *s)
{
	AUTO_JSON struct json *body = serve_large_body(q->r);
	AUTO_MESSAGE struct mail_message message = MAIL_MESSAGE_INIT;
	AUTO_DELIVERY struct mail_delivery delivery = MAIL_DELIVERY_INIT;
	int result = -1;

	if (body == NULL)
		return -1;
	q->config = serve_config_get(q->serve);
	q->batch = serve_batch_new(q->serve, q->config);
	serve_source(q->r, q->source, sizeof q->source);
	s->since = clock_now();
	if (parse(q, body, &message, &delivery) == 0 && begin_once(q, s) == 0)
		result = queue(q, s, &message, &delivery);
	serve_batch_free(&q->batch);
	serve_config_put(q->serve, q->config);
	return result;
}

void
serve_send_message(struct http_request *r, void *arg)
{
	struct request q = { .serve = arg, .r = r };
	struct sending *s = xcalloc(1, sizeof *s);

	s->r = r;
	if (prepare(&q, s) < 0) {
		sending_free(q.serve, s);
		return;
	}
	http_defer(r);
	serve_runs_want(q.serve, &s->wanted, serve_send_deliver);
}

void
serve_run_now(struct http_request *r, void *arg)
{
	AUTO_JSON struct json *body = serve_body(r, true);
	struct err err = ERR_INIT;

	if (body == NULL)
		return;
	if (serve_runs_cycle(arg, &err) == 0) {
		serve_reply_ok(r);
		return;
	}
	log_error("%s", err.msg);
	serve_reply_error(r, "%s", err.msg);
}
