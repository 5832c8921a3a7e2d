/*
 * What the files of mailq-serve share.  The program is a table of routes (api/routes.c) over the
 * library of http/server.h; each route is a handler in one of the files below.
 *
 *	mailq-serve.c		options, listeners, signals, stop
 *	config.c		what a request sees of the configuration: a snapshot, replaced as a whole
 *	lend.c			open spools, lent to the threads
 *	auth.c			tokens, scopes
 *	host.c			by which names it may be asked for
 *	answer.c		bodies in, answers out: the API's own forms of both
 *	commit.c		messages made durable, many requests sharing their syncs
 *	once.c			Idempotency-Key
 *	large.c			large bodies of messages, whose attachments go to disk as they come
 *	api/add.c		add-messages
 *	api/form.c		the second service: a form, a message to each address
 *	api/form_read.c		the form on its way in: texts in memory, files on disk
 *	api/form_status.c	who is still waited for
 *	spill.c			answers out of what was written first (submit/spill.h)
 *	api/send.c		send-message, run-now: mailq-run does it
 *	api/deliver.c		what became of messages whose clients wait
 *	runs.c			how many mailq-run are started, and for what
 *	api/messages.c		lists of messages, one message
 *	api/list.c		pages and cursors, out of the queue
 *	api/outcomes.c		what history says, by bounded looks
 *	api/rows.c		a message as the API shows it
 *	api/events.c		what happened, for who pulls it
 *	api/remove.c		delete, cleanup
 *	api/rules.c, api/accounts.c, api/suspend.c
 *	api/grown.c		the routes of the first service's grown form that differ
 *	api/pages.c		health, status, metrics, OpenAPI and its pages
 *	api/captured.c		what the capture transport has caught, as JSON
 *	api/captured_page.c	the same as pages
 *
 * Handlers run in many threads.  A struct spool belongs to one thread at a time (its descriptors have
 * offsets), so a handler borrows one; a configuration is shared and counted.
 */
#ifndef CMD_SERVE_SERVE_H
#define CMD_SERVE_SERVE_H

#include "base/auto.h"
#include "base/json.h"
#include "http/server.h"
#include "mail/message_json.h"
#include "policy/settings.h"
#include "spool/draft/draft.h"
#include "spool/store/spool.h"

struct serve; /* the program's one state; handlers get it as their arg */

/* ---- what a request works with ------------------------------------------------------------------- */

/* The configuration as it is now: mailq.conf as of the start or the last SIGHUP, and the accounts of the
 * spool as of this moment.  Never NULL; give it back. */
struct serve_config {
	struct settings settings;
	unsigned int users; /* who else holds it: config.c */
			    /* more of config.c's own */
};
const struct serve_config *serve_config_get(struct serve *serve);
void serve_config_put(struct serve *serve, const struct serve_config *config);

/* An open spool, lent to this thread; NULL after it has answered 503 (it cannot be opened). */
struct spool *serve_spool_get(struct serve *serve, struct http_request *r);
void serve_spool_put(struct serve *serve, struct spool *spool);

/* For requests whose bodies are large, as what they become in memory is larger still: a few at a time,
 * some wait, and where many wait it replies 503 and returns false. */
#define SERVE_HEAVY (1024u * 1024) /* bytes of a body that is large */
bool serve_heavy_begin(struct serve *serve, struct http_request *r);
void serve_heavy_end(struct serve *serve);

/* ---- scopes ------------------------------------------------------------------------------------------ */

enum serve_scope {
	SERVE_OPEN,  /* no token: health, the documentation */
	SERVE_SEND,  /* adds messages, sends, asks for a cycle */
	SERVE_READ,  /* looks */
	SERVE_ADMIN, /* changes rules, accounts, suspensions; deletes */
};
/* A route's max_body that stands for server.max_body. */
#define SERVE_BODY_MAX SIZE_MAX
/* What http_route.info points to. */
struct serve_route_info {
	enum serve_scope scope;
	const char *openapi; /* the operationId in openapi.json */
	bool pages;	     /* shown to people, too: auth.c */
};

/* ---- bodies and answers (answer.c) --------------------------------------------------------------- */

/* Whether the client is a browser that asks for a page: its Accept names text/html. */
bool serve_asks_page(struct http_request *r);

/*
 * The body as one JSON object, strictly (json.h).  NULL after it has answered 422 with the fault, as
 * {"detail":[{"loc":["body"],"msg":...,"type":"value_error.jsondecode"}]}.  An empty body is {} where
 * optional is set.
 */
struct json *serve_body(struct http_request *r, bool optional);
/* The same for a body that is elsewhere, and that came through json_spill.h. */
struct json *serve_marked_body(struct http_request *r, struct view body);
#define SERVE_VALUES_MAX 200000 /* in one body; more are 422 */
/* 422 with a list of faults.  Each fault's own path stands behind prefix ("body", "messages", 0). */
struct serve_faults {
	struct buf json; /* the list as far as it is written */
	struct json_writer w;
	size_t count;
};
void serve_faults_init(struct serve_faults *faults);
/* path: "body.messages[3]" style is turned into ["body","messages",3]; field may be NULL. */
void serve_fault(struct serve_faults *faults, const char *path, const char *field, const char *type,
    const char *fmt, ...) __attribute__((format(printf, 5, 6)));
void
serve_fault_mail(struct serve_faults *faults, const char *path, const struct mail_fault *fault);
/* A field that is missing or of another type than the API says makes a request one that the API does not
 * know; any other fault is a matter of its message alone. */
bool serve_fault_is_of_schema(const struct mail_fault *fault);
/* Answers 422 where there is one, then returns true; releases in any case. */
bool serve_faults_reply(struct http_request *r, struct serve_faults *faults);
void serve_faults_release(struct serve_faults *faults);

/* An answer in the making: {"ok":true, ... ; json_member_* into answer.w; then serve_reply.  Fields
 * without a value are left out (the json_member functions do so for NULL). */
struct serve_answer {
	struct buf out;
	struct json_writer w;
};
void serve_answer_begin(struct serve_answer *answer, bool ok);
void serve_reply(struct http_request *r, int status, struct serve_answer *answer);
/* For who wants the text itself: closes the object.  -1 where it is too large. */
int serve_answer_end(struct serve_answer *answer);
void serve_reply_ok(struct http_request *r);
/* 200 {"ok":false,"error":"..."} */
void serve_reply_error(struct http_request *r, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* By the code of err: EX_TEMPFAIL is 503 with Retry-After, EX_DATAERR 422, anything else 500 (its
 * message goes to the log, not to the client). */
void serve_reply_err(struct http_request *r, const struct err *err);

/* limit (from 1, default 100; of more than 1000 it is 1000) and cursor of a list's query; -1 after 422. */
#define SERVE_PAGE_DEFAULT 100
#define SERVE_PAGE_MAX 1000
struct serve_page {
	int64_t limit;
	const char *cursor; /* opaque to the client; NULL: from the beginning */
};
int serve_page_of(struct http_request *r, struct serve_page *ret);

/* Who hands a message in, for its record: "mailq-serve ADDRESS NAME-OF-TOKEN". */
void serve_source(const struct http_request *r, char *ret, size_t size);

/* ---- messages into the queue (commit.c) ---------------------------------------------------------- */

struct serve_batch; /* messages of one request, composed, in memory */

struct serve_batch *serve_batch_new(struct serve *serve, const struct serve_config *config);
void serve_batch_free(struct serve_batch **batch); /* for AUTO() too */
/* Composes a message that mail_message_complete has passed.  -1 with err: EX_DATAERR names the field, and
 * the batch is as before; anything else is a fault of the spool, and the batch of no more use. */
int serve_batch_add(struct serve_batch *batch, struct mail_message *message,
    const struct mail_delivery *delivery, const char *source, struct err *err);
size_t serve_batch_count(const struct serve_batch *batch);
/*
 * Blocks until every message is durable, with all other requests that wait at this moment in one
 * commit; then serve_batch_id and _result tell of each.  -1 with err (EX_TEMPFAIL: no space, over the
 * limit): nothing of this request is stored.
 */
int serve_commit(struct serve *serve, struct serve_batch *batch, struct err *err);
/* The same without blocking, mostly: done is called later, in another thread or in this one, with err NULL
 * where it went well.  It must not block. */
typedef void serve_committed(struct serve_batch *batch, const struct err *err, void *arg);
void serve_commit_later(struct serve *serve, struct serve_batch *batch, serve_committed *done,
    void *arg);
const char *serve_batch_id(const struct serve_batch *batch, size_t i);
enum draft_result serve_batch_result(const struct serve_batch *batch, size_t i);

/* ---- Idempotency-Key (once.c) -------------------------------------------------------------------- */

#define SERVE_ONCE_HEADER "Idempotency-Key"

/*
 * Before a POST's work is done, and after what makes it a request of no sense (422) was looked for: a
 * request that is refused leaves the key unused.  0: go on (there is no key: *ret is NULL; or the work is
 * to be done: *ret is for what follows); 1: it has answered (the first answer again; 409 for another body;
 * 409 while the first request is still at work; 422 for a key that is none; 503).
 */
struct serve_once;
int serve_once_begin(struct serve *serve, struct http_request *r, struct spool *spool,
    struct serve_once **ret);
/* The same where the body is not kept, or is not the same each time (a form's boundaries differ): digest is
 * that of what must be alike (base/digest.h). */
int serve_once_begin_digest(struct serve *serve, struct http_request *r, struct spool *spool,
    const unsigned char *digest, struct serve_once **ret);
/* All that follow accept NULL, where there is no key. */
/* An id for message i that comes without one: the same when the request is repeated because its answer
 * was never stored, so that nothing is queued twice.  NULL where there is no key.  Valid until the next
 * call. */
const char *serve_once_id(struct serve_once *once, size_t i);
/* Whether an id that is known (DRAFT_DUPLICATE) was taken by an earlier try of this very request. */
bool serve_once_queued(struct serve_once *once, const char *id);
/* Whether this request was begun before, by one that died before there was an answer. */
bool serve_once_is_again(const struct serve_once *once);
/* To be called before the work is done for good.  From then on a repeated request is known for one, also
 * when there is never an answer. */
int serve_once_keep(struct serve_once *once, struct err *err);
/* Stores the answer durably, for server.keep_answers, then replies it, with or without a key. */
void serve_once_reply(struct serve_once **once, struct http_request *r, int status,
    struct serve_answer *answer);
/* Without an answer: the request did nothing, and may be tried again.  Accepts NULL; for AUTO() too. */
void serve_once_end(struct serve_once **once);

/* ---- mailq-run (api/send.c) ---------------------------------------------------------------------------- */

/* Starts "mailq-run ARGS" of the same build beside us, with our configuration and spool, reaped by us.
 * 0, or -1 with err. */
int serve_start_run(struct serve *serve, const char *const *args, struct err *err);

/* ---- the routes ------------------------------------------------------------------------------------------- */

extern const struct http_route serve_routes[];

http_handler serve_health, serve_metrics, serve_openapi, serve_swagger, serve_redoc, serve_asset;
http_handler serve_add_messages, serve_send_message, serve_run_now, serve_suspend, serve_activate,
    serve_delete_messages, serve_cleanup_messages;
http_handler serve_list_messages, serve_show_message, serve_pending, serve_deferred, serve_events;
http_handler serve_rules_list, serve_rules_create, serve_rules_change, serve_rules_delete;
http_handler serve_accounts_list, serve_account_put, serve_account_delete;
http_handler serve_form, serve_form_begin, serve_form_end, serve_form_status;
http_piece serve_form_piece;
http_handler serve_captured_list, serve_captured_show, serve_captured_html, serve_captured_part;

#endif
