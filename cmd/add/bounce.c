#include "cmd/add/bounce.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "http/form.h"
#include "policy/settings.h"
#include "spool/journal/history.h"
#include "spool/policy/lock.h"
#include "spool/report/oplog.h"

/* Of a report, that are looked at: what it says stands before the copy of the message. */
#define READ_MAX ((uint64_t)16 * 1024 * 1024)
#define STEP ((size_t)64 * 1024)
/* Addresses that a report names and the message does not have; so many are believed. */
#define STRANGERS_MAX 100

/* A line to be written, or one that stands in a journal. */
struct bounce {
	const char *recipient, *class, *enhanced;
	int64_t code;
	const struct mail_dsn_recipient *source; /* NULL: known already */
};

struct bounces {
	struct bounce *v;
	size_t n;
};

/* ---- input ------------------------------------------------------------------------------------------ */

/* Standard input to its end, so that whoever writes it is not cut off; its beginning as a file. */
static int
read_input(int *ret_fd, uint64_t *ret_size, struct err *err)
{
	AUTO_FREE char *step = xmalloc(STEP);
	AUTO_FD int fd = memfd_create("report", MFD_CLOEXEC);
	uint64_t size = 0;

	if (fd < 0)
		return err_sys(err, EX_TEMPFAIL, "memory for the report");
	for (;;) {
		ssize_t n = read(STDIN_FILENO, step, STEP);
		size_t room = (size_t)(READ_MAX - size), taken;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_io(err, "standard input");
		if (n == 0)
			break;
		taken = (size_t)n < room ? (size_t)n : room;
		if (fs_write(fd, step, taken) < 0)
			return err_sys(err, EX_TEMPFAIL, "memory for the report");
		size += taken;
	}
	*ret_fd = take_fd(&fd);
	*ret_size = size;
	return 0;
}

/* ---- what is known already -------------------------------------------------------------------------- */

static bool
is_same(const struct bounce *a, const struct bounce *b)
{
	return a->code == b->code && strcmp(a->class, b->class) == 0 &&
	    strcmp(a->enhanced, b->enhanced) == 0 && strcasecmp(a->recipient, b->recipient) == 0;
}

static const char *
text_of(const struct json *line, const char *key)
{
	const char *text = json_string(json_get(line, key));

	return text != NULL ? text : "";
}

/* A bounce on record: those that say the same are not told again. */
static int
take_known(const char *text, size_t len, const struct json *line, void *arg)
{
	struct bounces *bounces = arg;
	struct bounce known = { .recipient = text_of(line, "recipient"),
		.class = text_of(line, "class"),
		.enhanced = text_of(line, "enhanced") };

	(void)text;
	(void)len;
	if (strcmp(text_of(line, "event"), event_text(EVENT_BOUNCED)) != 0)
		return 0;
	json_to_int(json_get(line, "code"), &known.code);
	for (size_t i = 0; i < bounces->n; i++)
		if (is_same(&bounces->v[i], &known))
			bounces->v[i].source = NULL;
	return 0;
}

static int
drop_known(struct spool *spool, const char *id, int64_t since, struct bounces *bounces,
    struct err *err)
{
	struct history_filter filter = { .id = id, .since = since, .contains = "\"bounced\"" };

	return history_read(spool, &filter, take_known, bounces, err) < 0 ? -1 : 0;
}

/* ---- what is to be told ----------------------------------------------------------------------------- */

static bool
is_bounce(const struct mail_dsn_recipient *r)
{
	return r->action == MAIL_DSN_FAILED || r->action == MAIL_DSN_DELAYED;
}

static bool
any_bounce(const struct mail_dsn *dsn)
{
	for (size_t i = 0; i < dsn->count; i++)
		if (is_bounce(&dsn->recipients[i]))
			return true;
	return false;
}

static void
collect(const struct mail_dsn *dsn, const struct bounce_message *message, struct bounces *ret)
{
	size_t strangers = 0;

	ret->v = xcalloc(dsn->count, sizeof *ret->v);
	for (size_t i = 0; i < dsn->count; i++) {
		const struct mail_dsn_recipient *r = &dsn->recipients[i];
		bool known, twice = false;
		struct bounce one = { .class = mail_dsn_is_hard(r) ? "hard" : "soft",
			.enhanced = r->enhanced,
			.code = r->code,
			.source = r };

		if (!is_bounce(r))
			continue;
		one.recipient = bounce_recipient(message, r, &known);
		if (!known && strangers++ >= STRANGERS_MAX)
			continue;
		for (size_t k = 0; k < ret->n && !twice; k++)
			twice = is_same(&ret->v[k], &one);
		if (!twice)
			ret->v[ret->n++] = one;
	}
}

static size_t
count_new(const struct bounces *bounces)
{
	size_t n = 0;

	for (size_t i = 0; i < bounces->n; i++)
		n += bounces->v[i].source != NULL;
	return n;
}

static void
write_line(struct oplog *log, const struct mail_dsn *dsn, const struct bounce_message *message,
    const struct bounce *bounce)
{
	const struct mail_dsn_recipient *r = bounce->source;
	struct journal_entry entry = { .event = EVENT_BOUNCED,
		.id = message->id,
		.lane = message->lane,
		.account = message->account,
		.batch = message->batch,
		.attempt = -1,
		.message_id = message->message_id,
		.class = bounce->class,
		.recipient = bounce->recipient,
		.reporter = r->server != NULL ? r->server : dsn->reporter,
		.report_id = dsn->report_id,
		.reason = r->reason,
		.code = r->code,
		.enhanced = r->enhanced };

	journal_add(&log->journal, &entry);
	log->lines++;
	log_info("%s: %s bounced (%s%s%s): %s", message->id, bounce->recipient, bounce->class,
	    r->enhanced[0] != '\0' ? ", " : "", r->enhanced,
	    r->reason != NULL ? r->reason : "no reason is given");
}

/* Writes what is not known yet, of which ret_new tells how much. */
static int
record(struct spool *spool, const struct mail_dsn *dsn, const struct bounce_message *message,
    struct bounces *bounces, size_t *ret_new, struct err *err)
{
	int64_t since = bounce_since(spool, message->id), looked = clock_now();
	struct oplog log = { .spool = spool, .reports = true };
	AUTO_FD int lock = -1;
	int rc;

	if (drop_known(spool, message->id, since > 0 ? since : 0, bounces, err) < 0)
		return -1;
	*ret_new = 0;
	if (count_new(bounces) == 0)
		return 0;
	/* The same report may be handed in twice at once. */
	lock = spool_lock(spool, err);
	if (lock < 0 || drop_known(spool, message->id, looked - 60 * USEC, bounces, err) < 0)
		return -1;
	*ret_new = count_new(bounces);
	if (*ret_new == 0)
		return 0;
	if (oplog_begin(&log, err) < 0)
		return -1;
	for (size_t i = 0; i < bounces->n; i++)
		if (bounces->v[i].source != NULL)
			write_line(&log, dsn, message, &bounces->v[i]);
	rc = oplog_sync(&log, err);
	oplog_end(&log);
	return rc;
}

/* ---- the whole -------------------------------------------------------------------------------------- */

static int
not_found(const struct mail_dsn *dsn, struct err *err)
{
	if (dsn->message_id != NULL)
		return err_set(err, EX_DATAERR,
		    "the report is about Message-ID <%.200s>, which nothing that was sent has",
		    dsn->message_id);
	if (dsn->envelope_id != NULL)
		return err_set(err, EX_DATAERR,
		    "the report is about ENVID \"%.200s\", which nothing that was sent has",
		    dsn->envelope_id);
	return err_set(err, EX_DATAERR,
	    "the report names no message, and nothing was sent to %.200s in the week before",
	    dsn->recipients[0].original != NULL ? dsn->recipients[0].original :
						  dsn->recipients[0].final);
}

static int
take(struct spool *spool, const struct mail_dsn *dsn, struct err *err)
{
	AUTO(bounce_message_release) struct bounce_message message = BOUNCE_MESSAGE_INIT;
	struct bounces bounces = { .n = 0 };
	size_t fresh;
	int rc = bounce_find(spool, dsn, &message, err);

	if (rc < 0)
		return -1;
	if (rc == 0)
		return not_found(dsn, err);
	collect(dsn, &message, &bounces);
	rc = record(spool, dsn, &message, &bounces, &fresh, err);
	free(bounces.v);
	if (rc < 0)
		return -1;
	if (fresh == 0)
		log_warning("%s: this bounce is recorded already", message.id);
	else if (printf("%s\n", message.id) < 0)
		log_warning("standard output: %s", strerror(errno));
	return 0;
}

static int
open_and_take(const struct add_options *o, const struct mail_dsn *dsn, struct err *err)
{
	AUTO_SETTINGS struct settings settings = { 0 };
	AUTO_FREE char *path = NULL;
	struct spool_options options = { .read_only = false };
	struct spool spool;
	int rc;

	if (settings_load(&settings, o->common.config, err) < 0 ||
	    settings_spool(&settings, o->common.spool, &path, err) < 0)
		return -1;
	options.allow_network_fs = settings.queue.allow_network_fs;
	options.owner = settings_spool_owner(&settings, path);
	if (spool_open(&spool, path, &options, err) < 0)
		return -1;
	rc = take(&spool, dsn, err);
	spool_close(&spool);
	return rc;
}

int
add_bounce(const struct add_options *o)
{
	AUTO_DSN struct mail_dsn dsn = MAIL_DSN_INIT;
	AUTO_FD int fd = -1;
	struct err err = ERR_INIT;
	uint64_t size = 0;
	int rc, code;

	rc = read_input(&fd, &size, &err);
	if (rc == 0)
		rc = mail_dsn_read(fd, size, form_parameter, &dsn, &err);
	if (rc == 0 && !any_bounce(&dsn))
		log_warning("the input says that the message was delivered; nothing is recorded");
	else if (rc == 0)
		rc = open_and_take(o, &dsn, &err);
	if (rc == 0)
		return EX_OK;
	code = err_print(&err);
	if (code == EX_DATAERR)
		return o->bounce_drop ? EX_OK : EX_DATAERR;
	/* Whatever it is (the configuration, the spool), the report has no fault: it is to be handed in again. */
	return EX_TEMPFAIL;
}
