#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/json_stream.h"
#include "base/log.h"
#include "cmd/add/forms.h"
#include "cmd/submit/attach.h"
#include "cmd/submit/contents.h"
#include "cmd/submit/sender.h"

#define CHUNK (64u * 1024)
/* How long the input may pause before what has come is committed, in milliseconds: a slow writer's
 * messages do not wait for a thousandth. */
#define PAUSE_MS 10
#define WARNED_MAX 32
/* So many faults of the syntax are told of each input, the rest is counted: what is no JSON at all is
 * so in every line. */
#define GARBLED_MAX 100

struct input {
	struct add_queue *q;
	const struct add_options *options;
	const char *name;	  /* of the file; NULL: standard input */
	uint64_t line;		  /* of the message at hand */
	uint64_t index;		  /* its number */
	uint64_t pending;	  /* line of the first message that is not committed */
	uint64_t drafting;	  /* line of the first of those that no commit has begun with */
	char *warned[WARNED_MAX]; /* unknown fields that were told of */
	size_t warned_count;
	uint64_t garbled; /* elements of this input that cannot be read */
	int code;	  /* the exit status so far */
	struct json_stream *stream;
	struct contents *contents;
};

/* Prints "FILE: line 7: messages[3]", then what the caller has to say. */
static void __attribute__((format(printf, 3, 4)))
report(struct input *in, const char *field_separator, const char *fmt, ...)
{
	AUTO_BUF struct buf text = BUF_INIT(8192);
	va_list ap;

	if (in->name != NULL)
		buf_addf(&text, "%s: ", in->name);
	buf_addf(&text, "line %" PRIu64 ": messages[%" PRIu64 "]%s", in->line, in->index,
	    field_separator);
	va_start(ap, fmt);
	buf_addv(&text, fmt, ap);
	va_end(ap);
	log_error("%s", text.s);
	in->code = EX_DATAERR;
}

static void
warn_unknown(void *arg, const char *field)
{
	struct input *in = arg;

	for (size_t i = 0; i < in->warned_count; i++)
		if (strcmp(in->warned[i], field) == 0)
			return;
	if (in->warned_count == WARNED_MAX)
		return;
	in->warned[in->warned_count++] = xstrdup(field);
	log_warning("%s%sline %" PRIu64 ": unknown field \"%s\" ignored, here and in what follows",
	    in->name != NULL ? in->name : "", in->name != NULL ? ": " : "", in->line, field);
}

static int
open_path(void *arg, const char *path, struct err *err)
{
	const struct input *in = arg;

	return attach_open((void *)in->q->settings, path, err);
}

/* ---- one message ------------------------------------------------------------------------------- */

/* The sender for a message that names none, as text into *ret; NULL where none is configured. */
static int
default_from(const struct input *in, const struct json *object, char **ret, struct err *err)
{
	const char *account = json_string(json_get(object, "account_id"));
	AUTO_ADDRESS struct mail_address address = MAIL_ADDRESS_INIT;
	AUTO_BUF struct buf text = BUF_INIT(64 * 1024);
	int found;

	if (in->options->from != NULL) {
		*ret = xstrdup(in->options->from);
		return 0;
	}
	found = add_sender_configured(in->q->settings,
	    account != NULL ? account : in->options->account, &address, err);
	if (found > 0 && mail_address_text(&text, &address) < 0)
		return err_set(err, EX_CONFIG, "from: the configured sender is too long");
	*ret = found > 0 ? xstrdup(text.s) : NULL;
	return found < 0 ? -1 : 0;
}

static void
report_faults(struct input *in, const struct mail_faults *faults)
{
	for (size_t i = 0; i < faults->count; i++) {
		AUTO_BUF struct buf text = BUF_INIT(4096);

		mail_fault_text(&text, &faults->at[i], NULL);
		report(in, faults->at[i].depth > 0 ? "." : ": ", "%s", text.s);
	}
	if (faults->truncated)
		report(in, ": ", "and more faults");
}

/* What stands between a message's place and a fault that begins with a field, or with a word. */
static const char *
between(const char *fault)
{
	size_t n = strspn(fault, "abcdefghijklmnopqrstuvwxyz_");

	return n > 0 && fault[n] != '\0' && strchr(":.[", fault[n]) != NULL ? "." : ": ";
}

/* Hands one object to the queue.  -1 only for a fault of the spool. */
static int
take_object(struct input *in, const struct json *object, struct err *err)
{
	AUTO_MESSAGE struct mail_message message = MAIL_MESSAGE_INIT;
	AUTO_DELIVERY struct mail_delivery parsed = MAIL_DELIVERY_INIT;
	AUTO_FAULTS struct mail_faults faults = MAIL_FAULTS_INIT;
	AUTO_FREE char *from = NULL;
	const struct add_options *o = in->options;
	const struct record more = { .dsn_notify = o->notify, .dsn_ret = (char *)o->ret };
	struct mail_json_options options = {
		.now = clock_now(),
		.default_domain = add_domain(in->q->settings),
		.attachment_max = (size_t)in->q->settings->attachments.max_size,
		.open_path = open_path,
		.no_s3 = attach_no_s3(in->q->settings),
		.marked = contents_marked,
		.marked_arg = in->contents,
		.unknown = warn_unknown,
		.arg = in,
	};
	struct mail_delivery delivery;

	if (json_get_set(object, "from") == NULL && default_from(in, object, &from, err) < 0) {
		report(in, between(err->msg), "%s", err->msg);
		return 0;
	}
	options.default_from = from;
	if (mail_message_from_json(object, &options, &message, &parsed, &faults) < 0) {
		report_faults(in, &faults);
		return 0;
	}
	delivery = parsed;
	if (delivery.account_id == NULL)
		delivery.account_id = (char *)o->account;
	if (delivery.batch_code == NULL)
		delivery.batch_code = (char *)o->batch;
	if (delivery.priority < 0)
		delivery.priority = o->priority;
	if (delivery.deferred_at == 0)
		delivery.deferred_at = o->due;
	if (delivery.expires_at == 0)
		delivery.expires_at = o->expires;
	if (delivery.max_attempts == 0)
		delivery.max_attempts = o->max_attempts;
	if (attach_check_total(in->q->settings, &message, err) == 0 &&
	    mail_message_complete(&message, in->q->settings->delivery.hostname, err) == 0 &&
	    add_queue_message(in->q, &message, &delivery, &more, err) == 0)
		return 0;
	if (in->q->broken)
		return -1;
	report(in, between(err->msg), "%s", err->msg);
	return 0;
}

static int
commit(struct input *in, struct err *err)
{
	if (add_queue_commit(in->q, err) < 0)
		return -1;
	in->pending = in->drafting = 0;
	return 0;
}

/* The same for what was taken before the last turn; what was taken since is begun with. */
static int
turn(struct input *in, struct err *err)
{
	if (add_queue_turn(in->q, err) < 0)
		return -1;
	in->pending = in->drafting;
	in->drafting = 0;
	return 0;
}

/* Another element that cannot be read: true where it is to be told of. */
static bool
is_told(struct input *in)
{
	in->code = EX_DATAERR;
	return ++in->garbled <= GARBLED_MAX;
}

/* A problem, or an object that can be read or not.  -1 with err only for a fault of the spool. */
static int
look_at(struct input *in, const struct json_element *element, struct err *err)
{
	AUTO_JSON struct json *object = NULL;
	struct err fault = ERR_INIT;
	int result;

	if (element->problem != NULL) {
		if (is_told(in))
			report(in, ": ", "%s", element->problem);
		return 0;
	}
	if (in->pending == 0)
		in->pending = in->line;
	if (in->drafting == 0)
		in->drafting = in->line;
	object = json_parse_marked(element->text, element->len, element->line, &fault);
	if (object == NULL && is_told(in))
		log_error("%s%s%s", in->name != NULL ? in->name : "", in->name != NULL ? ": " : "",
		    fault.msg);
	if (object == NULL)
		return 0;
	result = take_object(in, object, err);
	if (result == 0 && add_queue_is_full(in->q))
		result = turn(in, err);
	return result;
}

static int
take_element(const struct json_element *element, void *arg)
{
	struct input *in = arg;
	struct err err = ERR_INIT;
	int result;

	in->line = element->line;
	in->index = element->index;
	result = look_at(in, element, &err);
	/* What it attached is stored, or it is refused. */
	if (contents_clear(in->contents, result == 0 ? &err : NULL) < 0)
		result = -1;
	if (result < 0)
		in->code = err_print(&err);
	return result;
}

/* JSON out of which the long contents are taken. */
static int
take_json(void *arg, const char *bytes, size_t n)
{
	const struct input *in = arg;

	return json_stream_feed(in->stream, bytes, n);
}

/* ---- the input --------------------------------------------------------------------------------- */

/* The next bytes.  Before it waits for a writer that pauses it commits what there is. */
static ssize_t
read_input(struct input *in, int fd, bool regular, char *chunk, struct err *err)
{
	struct pollfd ready = { .fd = fd, .events = POLLIN };
	ssize_t n;

	if (!regular && add_queue_count(in->q) > 0 && poll(&ready, 1, PAUSE_MS) == 0 &&
	    commit(in, err) < 0)
		return -1;
	do {
		n = read(fd, chunk, CHUNK);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		err_sys(err, EX_NOINPUT, "%s", in->name != NULL ? in->name : "standard input");
	return n;
}

/* Feeds bytes, or the end where n is 0.  -1 after what ended it was printed. */
static int
feed_piece(struct input *in, const char *bytes, size_t n)
{
	struct err err = ERR_INIT;
	int result =
	    n > 0 ? contents_feed(in->contents, bytes, n, &err) : contents_end(in->contents, &err);

	if (err.code != 0)
		in->code = err_print(&err);
	if (result == 0 && n == 0)
		result = json_stream_end(in->stream);
	return result < 0 ? -1 : 0;
}

/* Feeds all of fd to the stream.  -1 after what ended it was printed. */
static int
feed(struct input *in, int fd)
{
	AUTO_FREE char *chunk = xmalloc(CHUNK);
	struct err err = ERR_INIT;
	struct stat st;
	bool regular = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);

	for (;;) {
		ssize_t n = read_input(in, fd, regular, chunk, &err);

		if (n < 0) {
			in->code = err_print(&err);
			return in->q->broken ? -1 : 0;
		}
		if (feed_piece(in, chunk, (size_t)n) < 0)
			return -1;
		if (n == 0)
			return 0;
	}
}

/* The spool is at fault: tells what of the input is queued all the same, and from where on it is
 * not. */
static void
abandon(struct input *in)
{
	bool committing = add_queue_is_committing(in->q), all = add_queue_count(in->q) == 0;
	const char *name = in->name != NULL ? in->name : "", *colon = in->name != NULL ? ": " : "";
	struct err err = ERR_INIT;
	int result = add_queue_abandon(in->q, &err);

	if (result < 0)
		err_print(&err);
	if (in->q->untold && all) {
		log_error("%s%swhat begins behind line %" PRIu64 " is not queued", name, colon,
		    in->line);
		return;
	}
	if (in->q->untold || (result == 0 && committing))
		in->pending = in->drafting;
	if (in->pending > 0)
		log_error("%s%swhat begins at line %" PRIu64 " or later is not queued", name, colon,
		    in->pending);
}

/* Reads one input; -1 where the spool is at fault and nothing more can be done. */
static int
read_file(struct input *in, const char *name)
{
	bool standard = strcmp(name, "-") == 0;
	/* What a message may take as JSON: its text once more, for what is escaped. */
	size_t max = 2 * (size_t)in->q->settings->queue.max_message_size + (1u << 20);
	struct err err = ERR_INIT;
	AUTO_FD int opened = -1;
	int result;

	in->name = standard ? NULL : name;
	in->garbled = 0;
	if (!standard) {
		opened = open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY);
		if (opened < 0) {
			err_sys(&err, EX_NOINPUT, "%s", name);
			in->code = err_print(&err);
			return 0;
		}
	}
	in->stream = json_stream_new(max, take_element, in);
	in->contents = contents_new(in->q->spool, in->q->settings, take_json, in);
	result = feed(in, standard ? STDIN_FILENO : opened);
	contents_free(&in->contents);
	json_stream_free(in->stream);
	if (in->garbled > GARBLED_MAX)
		log_error("%s%sand %" PRIu64 " more that cannot be read",
		    in->name != NULL ? in->name : "", in->name != NULL ? ": " : "",
		    in->garbled - GARBLED_MAX);
	/* Also where the input broke off: what was complete is good. */
	if (result == 0 && commit(in, &err) < 0) {
		in->code = err_print(&err);
		result = -1;
	}
	if (result < 0)
		abandon(in);
	return result;
}

int
add_json(struct add_queue *q, const struct add_options *o, const struct opt_rest *rest)
{
	struct input in = { .q = q, .options = o };
	struct mail_delivery delivery;
	struct record record;
	struct err err = ERR_INIT;

	/* What holds for all is checked before the first. */
	if (add_options_delivery(o, &delivery, &err) < 0 ||
	    add_record(q->settings, &delivery, &record, &err) < 0) {
		add_options_name_fault(o, &err);
		return err_print(&err);
	}
	if (o->json_file != NULL && read_file(&in, o->json_file) < 0)
		return in.code;
	if (o->json_file == NULL && rest->argc == 0)
		read_file(&in, "-");
	for (int i = 0; i < rest->argc; i++)
		if (read_file(&in, rest->argv[i]) < 0)
			break;
	for (size_t i = 0; i < in.warned_count; i++)
		free(in.warned[i]);
	return in.code;
}
