#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/json_stream.h"
#include "base/log.h"
#include "cmd/exchange/private.h"
#include "cmd/submit/attach.h"
#include "cmd/submit/queue.h"
#include "cmd/submit/refusals.h"
#include "cmd/submit/sender.h"

/* So many faults of an answer are logged one by one. */
#define TOLD_MAX 20

struct taking {
	struct exchange *x;
	const char *source;
	struct add_queue q;
	struct json_stream *stream;
	struct refusals refusals;
	uint64_t good;	  /* elements that were messages, or had an id to refuse */
	uint64_t bad;	  /* elements that were neither */
	uint64_t queued;  /* durable */
	struct err alien; /* of the first that was neither */
	struct err fatal; /* the spool is at fault; code 0: it is not */
};

static int
count_queued(void *arg, const char *id, enum draft_result result, struct err *err)
{
	struct taking *t = arg;

	(void)err;
	if (id == NULL || result != DRAFT_QUEUED)
		return 0;
	t->queued++;
	pthread_mutex_lock(&t->x->lock);
	t->x->counts.fetched++;
	pthread_mutex_unlock(&t->x->lock);
	return 0;
}

static int
commit(struct taking *t)
{
	if (t->fatal.code == 0 && add_queue_count(&t->q) > 0 &&
	    add_queue_commit(&t->q, &t->fatal) < 0 && t->fatal.code == 0)
		t->fatal.code = EX_IOERR;
	return t->fatal.code == 0 ? 0 : -1;
}

/* ---- one that is none -------------------------------------------------------------------------------- */

/* It is about to be in the queue, under this id. */
static bool
is_at_hand(struct taking *t, const char *id)
{
	for (size_t i = t->q.draft != NULL ? draft_count(t->q.draft) : 0; i-- > 0;)
		if (strcmp(draft_id(t->q.draft, i), id) == 0)
			return true;
	return false;
}

static void
refuse(struct taking *t, const struct json *object, uint64_t index, const char *reason)
{
	AUTO_FREE char *id = refusals_id(json_get(object, "id"));

	if (id == NULL) {
		if (t->bad++ < TOLD_MAX)
			log_warning("%s: messages[%llu]: %s", t->source, (unsigned long long)index,
			    reason);
		if (t->alien.code == 0)
			err_set(&t->alien, EX_PROTOCOL, "messages[%llu]: %s",
			    (unsigned long long)index, reason);
		return;
	}
	t->good++;
	if (!is_at_hand(t, id))
		refusals_add(&t->refusals, object, id, reason, &t->fatal);
}

/* ---- one message ------------------------------------------------------------------------------------- */

static int
open_path(void *arg, const char *path, struct err *err)
{
	const struct taking *t = arg;

	return attach_open((void *)(uintptr_t)t->q.settings, path, err);
}

/* As mailq-add does: the sender for one that names none. */
static int
default_from(const struct taking *t, const struct json *object, struct buf *ret, struct err *err)
{
	const char *account = json_string(json_get(object, "account_id"));
	AUTO_ADDRESS struct mail_address address = MAIL_ADDRESS_INIT;
	int found = add_sender_configured(t->q.settings, account, &address, err);

	if (found <= 0)
		return found;
	if (mail_address_text(ret, &address) < 0)
		return err_set(err, EX_CONFIG, "from: the configured sender is too long");
	return 1;
}

static void
take_message(struct taking *t, const struct json *object, uint64_t index)
{
	AUTO_MESSAGE struct mail_message message = MAIL_MESSAGE_INIT;
	AUTO_DELIVERY struct mail_delivery delivery = MAIL_DELIVERY_INIT;
	AUTO_FAULTS struct mail_faults faults = MAIL_FAULTS_INIT;
	AUTO_BUF struct buf from = BUF_INIT(64 * 1024);
	const struct record more = { 0 };
	struct err err = ERR_INIT;
	struct mail_json_options options = {
		.now = clock_now(),
		.default_domain = add_domain(t->q.settings),
		.attachment_max = (size_t)t->q.settings->attachments.max_size,
		.no_s3 = attach_no_s3(t->q.settings),
		.open_path = open_path,
		.arg = t,
	};
	int found = default_from(t, object, &from, &err);

	if (found > 0)
		options.default_from = from.s;
	if (found >= 0 &&
	    mail_message_from_json(object, &options, &message, &delivery, &faults) < 0) {
		mail_faults_err(&faults, NULL, &err);
		refuse(t, object, index, err.msg);
		return;
	}
	if (found >= 0 && attach_check_total(t->q.settings, &message, &err) == 0 &&
	    mail_message_complete(&message, t->q.settings->delivery.hostname, &err) == 0 &&
	    add_queue_message(&t->q, &message, &delivery, &more, &err) == 0)
		t->good++;
	else if (t->q.broken)
		t->fatal = err;
	else
		refuse(t, object, index, err.msg);
}

/* Nothing that a message has: the answer says something else. */
static bool
is_alien(const struct json *object)
{
	static const char *const keys[] = { "id", "from", "to", "subject", "body" };

	if (json_kind(object) != JSON_OBJECT)
		return true;
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
		if (json_get(object, keys[i]) != NULL)
			return false;
	return true;
}

/* Also null, but not absent. */
static bool
is_list(const struct json *value)
{
	return value != NULL && (json_kind(value) == JSON_ARRAY || json_kind(value) == JSON_NULL);
}

/* Such an answer that means that there are no messages. */
static bool
is_none(const struct json *object)
{
	const char *status = json_string(json_get(object, "status"));
	bool ok = false;

	if (json_kind(object) != JSON_OBJECT)
		return false;
	json_to_bool(json_get(object, "ok"), &ok);
	return ok || json_length(object) == 0 || is_list(json_get(object, "messages")) ||
	    (status != NULL && strcmp(status, "ok") == 0);
}

static int
take_element(const struct json_element *element, void *arg)
{
	struct taking *t = arg;
	AUTO_JSON struct json *object = NULL;
	struct err err = ERR_INIT;

	if (element->problem == NULL)
		object = json_parse(element->text, element->len, element->line, &err);
	else
		err_set(&err, EX_PROTOCOL, "%s", element->problem);
	if (object != NULL && is_alien(object) && element->index == 0 && is_none(object))
		return 0;
	if (object != NULL && is_alien(object))
		err_set(&err, EX_PROTOCOL, "expected {\"messages\": [...]}, found %.60s",
		    element->text);
	if (err.code != 0)
		refuse(t, NULL, element->index, err.msg);
	else
		take_message(t, object, element->index);
	if (t->fatal.code == 0 && add_queue_is_full(&t->q))
		commit(t);
	return t->fatal.code != 0 || exchange_stopped(t->x) ? -1 : 0;
}

/* ---- the answer -------------------------------------------------------------------------------------- */

struct taking *
taking_begin(struct exchange *x, const char *source)
{
	struct taking *t = xcalloc(1, sizeof *t);
	const struct settings *s = &x->current.settings;
	/* What a message may take as JSON: its text once more, for what is escaped. */
	size_t max = 2 * (size_t)s->queue.max_message_size + (1u << 20);

	t->x = x;
	t->source = source;
	t->refusals = (struct refusals)REFUSALS(&x->spool, source);
	t->stream = json_stream_new(max, take_element, t);
	add_queue_open(&t->q, s, &x->spool, source, count_queued, t);
	return t;
}

int
taking_bytes(const void *bytes, size_t n, void *arg)
{
	struct taking *t = arg;

	if (json_stream_feed(t->stream, bytes, n) == 0)
		return 0;
	errno = t->fatal.code != 0 ? EIO : EINTR;
	return -1;
}

static void
end_refusals(struct taking *t)
{
	int64_t refused = refusals_sync(&t->refusals, &t->fatal);

	if (refused > 0) {
		pthread_mutex_lock(&t->x->lock);
		t->x->counts.refused += (uint64_t)refused;
		pthread_mutex_unlock(&t->x->lock);
	}
	refusals_release(&t->refusals);
}

int
taking_end(struct taking *t, bool ended, uint64_t *ret_queued, struct err *err)
{
	int result = 0;

	if (ended && t->fatal.code == 0)
		json_stream_end(t->stream);
	commit(t);
	end_refusals(t);
	*ret_queued = t->queued;
	if (t->fatal.code != 0) {
		*err = t->fatal;
		result = -1;
	} else if (t->good == 0 && t->bad > 0) {
		*err = t->alien;
		result = -1;
	}
	if (t->bad > TOLD_MAX)
		log_warning("%s: %llu more that are no messages", t->source,
		    (unsigned long long)(t->bad - TOLD_MAX));
	add_queue_close(&t->q);
	json_stream_free(t->stream);
	free(t);
	return result;
}
