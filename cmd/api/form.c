/*
 * The second service: POST /api/v1/send_email/, a form, and a message to each address in it.
 *
 * The form is read as it comes (form_read.c): texts in memory that all requests share a bound of,
 * files into one file without a name in the spool's tmp/.  When it is whole, each file is stored once as a
 * part (spool/part/part.h), and each address gets a message of its own that carries it.
 */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/num.h"
#include "cmd/api/form.h"
#include "cmd/submit/attach.h"
#include "cmd/submit/sender.h"
#include "mail/magic.h"
#include "spool/part/part.h"

#define STATUS                                                                                     \
	"В очередь на отправку "                                                 \
	"добавлены сообщения в количестве: "

/* The work of one request, when its form is whole. */
struct sending {
	struct serve *serve;
	struct http_request *r;
	struct upload *upload;
	const struct serve_config *config;
	struct spool *spool;
	struct serve_once *once;
	struct serve_batch *batch;
	struct serve_lent *lent;     /* of pins */
	struct part_pins *pins;	     /* of the files, until the messages' own hold them */
	struct mail_message message; /* all but its recipient */
	char source[200];
};

static void
release(struct sending *s)
{
	mail_message_release(&s->message);
	serve_batch_free(&s->batch);
	part_pins_free(&s->pins);
	serve_give_back(s->serve, s->lent);
	serve_once_end(&s->once);
	if (s->spool != NULL)
		serve_spool_put(s->serve, s->spool);
	serve_config_put(s->serve, s->config);
}

/* ---- what all have in common ------------------------------------------------------------------- */

static int
set_sender(struct sending *s, struct err *err)
{
	AUTO_ADDRESS struct mail_address address = MAIL_ADDRESS_INIT;
	AUTO_BUF struct buf text = BUF_INIT(64 * 1024);
	const struct settings *settings = &s->config->settings;
	int found = add_sender_configured(settings, NULL, &address, err);

	if (found < 0)
		return -1;
	if ((found > 0 ? mail_address_text(&text, &address) :
			 buf_addf(&text, "mailq@%s", settings->delivery.hostname)) < 0)
		return err_set(err, EX_CONFIG, "from: the configured sender is too long");
	return mail_message_from(&s->message, text.s, NULL, err);
}

/* A fault of a field whose name stands at the front of what err says. */
static void
fault_of(struct serve_faults *faults, const char *field, const struct err *err)
{
	const char *msg = err->msg;
	size_t n = strlen(field);

	if (strncmp(msg, field, n) == 0 && strncmp(msg + n, ": ", 2) == 0)
		msg += n + 2;
	serve_fault(faults, "body", field, "value_error", "%s", msg);
}

/* The sizes that the configuration allows. */
static int
check_sizes(const struct sending *s, struct err *err)
{
	const struct settings *settings = &s->config->settings;
	uint64_t max = (uint64_t)settings->attachments.max_size;
	char text[24];

	for (size_t i = 0; i < s->upload->file_count; i++)
		if (s->upload->file[i].length > max)
			return err_set(err, EX_DATAERR,
			    "%.100s is larger than %s (attachments.max_size)",
			    s->upload->file[i].filename, num_size_text(max, text));
	return attach_check_total(settings, &s->message, err);
}

static int
set_attachments(struct sending *s, struct err *err)
{
	const struct upload *u = s->upload;

	for (size_t i = 0; i < u->file_count; i++) {
		const struct upload_file *f = &u->file[i];
		struct mail_attachment *a;

		if (u->files.fd >= 0) {
			a = mail_message_attach_range(&s->message, f->filename, u->files.fd,
			    (off_t)f->start, f->length, err);
		} else {
			struct buf bytes = BUF_INIT(SPILL_HELD);

			buf_add(&bytes, u->files.held.s + f->start, (size_t)f->length);
			a = mail_message_attach_bytes(&s->message, f->filename, &bytes, err);
			buf_release(&bytes);
		}
		if (a == NULL)
			return -1;
	}
	return check_sizes(s, err);
}

/* The message but for its recipient; what is wrong with it goes to the faults.  -1 with err where it is
 * not the client's fault. */
static int
make_message(struct sending *s, struct err *err)
{
	struct upload *u = s->upload;
	struct err fault = ERR_INIT;

	if (u->email_count == 0 && u->faults.count == 0)
		serve_fault(&u->faults, "body", "emails", "value_error.missing", "field required");
	if (u->subject.len == 0)
		serve_fault(&u->faults, "body", "subject", "value_error.missing", "field required");
	else if (mail_message_subject(&s->message, u->subject.s, u->subject.len, &fault) < 0)
		fault_of(&u->faults, "subject", &fault);
	if (u->body.len == 0)
		serve_fault(&u->faults, "body", "body", "value_error.missing", "field required");
	else if (mail_message_body(&s->message, u->body.s, u->body.len, &fault) < 0)
		fault_of(&u->faults, "body", &fault);
	s->message.html = true;
	if (set_attachments(s, &fault) < 0)
		serve_fault(&u->faults, "body", "files", "value_error", "%s", fault.msg);
	return set_sender(s, err);
}

/* ---- a message to each ------------------------------------------------------------------------- */

/* True for a file that is not worth a part: each message holds it for itself. */
static bool
is_small(const struct upload_file *file)
{
	return file->length < MAIL_PART_MIN;
}

/* What all of it takes must be there before it is begun with. */
static int
check_space(const struct sending *s, struct err *err)
{
	const struct upload *u = s->upload;
	const struct settings *settings = &s->config->settings;
	uint64_t once = 0, each = u->body.len * 4 / 3 + 4096;

	/* Base64 in lines. */
	for (size_t i = 0; i < u->file_count; i++)
		*(is_small(&u->file[i]) ? &each : &once) += u->file[i].length / 57 * 78 + 78;
	return spool_check_space(&s->serve->spool,
	    (uint64_t)settings->queue.min_free_bytes + once + each * u->emails.count,
	    (uint64_t)settings->queue.min_free_inodes, err);
}

/* Stores the files, each once for all messages. */
static int
store_files(struct sending *s, struct err *err)
{
	const struct settings *settings = &s->config->settings;
	struct mail_part part;

	for (size_t i = 0; i < s->upload->file_count; i++) {
		struct mail_attachment *a = &s->message.attachments[i];
		struct part_terms terms = {
			.filename = a->filename,
			.max = (uint64_t)settings->attachments.max_size,
			.min_free_bytes = (uint64_t)settings->queue.min_free_bytes,
			.min_free_inodes = (uint64_t)settings->queue.min_free_inodes,
		};

		if (is_small(&s->upload->file[i]))
			continue;
		if (s->lent == NULL) {
			s->lent = serve_lend(s->serve, err);
			if (s->lent == NULL)
				return -1;
			if (s->lent->magic == NULL)
				s->lent->magic = mail_magic_new();
			s->pins = part_pins_new(&s->lent->spool);
		}
		terms.magic = s->lent->magic;
		if ((a->fd >= 0 ?
			    part_store_fd(s->pins, a->fd, a->start, a->length, &terms, &part, err) :
			    part_store_bytes(s->pins, a->bytes.s, a->bytes.len, &terms, &part,
				err)) < 0)
			return -1;
		mail_attachment_set_part(a, &part);
	}
	return 0;
}

static int
add_message(struct sending *s, size_t i, struct err *err)
{
	AUTO_DELIVERY struct mail_delivery delivery = MAIL_DELIVERY_INIT;
	const char *id = serve_once_id(s->once, i);
	struct mail_message *m = &s->message;

	mail_addresses_release(&m->to);
	mail_addresses_add(&m->to, &s->upload->emails.at[i]);
	free(m->message_id);
	m->message_id = NULL;
	if (id != NULL)
		delivery.id = xstrdup(id);
	if (mail_message_complete(m, s->config->settings.delivery.hostname, err) < 0)
		return -1;
	return serve_batch_add(s->batch, m, &delivery, s->source, err);
}

static size_t
count_queued(const struct sending *s)
{
	size_t n = 0;

	for (size_t i = 0; i < serve_batch_count(s->batch); i++)
		n += serve_batch_result(s->batch, i) == DRAFT_QUEUED ||
		    serve_once_queued(s->once, serve_batch_id(s->batch, i));
	return n;
}

static void
reply(struct sending *s)
{
	struct serve_answer answer;
	char text[200];

	snprintf(text, sizeof text, STATUS "%zu", count_queued(s));
	/* The second service's own form, which has no "ok". */
	buf_init(&answer.out, 1024);
	answer.w = (struct json_writer)JSON_WRITER(&answer.out);
	json_begin_object(&answer.w);
	json_member_str(&answer.w, "status", text);
	serve_once_reply(&s->once, s->r, 201, &answer);
}

static void
send_all(struct sending *s)
{
	struct upload *u = s->upload;
	struct err err = ERR_INIT;

	if (make_message(s, &err) < 0) {
		serve_reply_err(s->r, &err);
		return;
	}
	if (u->faults.count > 0) {
		serve_faults_reply(s->r, &u->faults);
		return;
	}
	if (u->digest != NULL) {
		unsigned char digest[DIGEST_SIZE];

		digest_end(&u->digest, digest);
		s->spool = serve_spool_get(s->serve, s->r);
		if (s->spool == NULL ||
		    serve_once_begin_digest(s->serve, s->r, s->spool, digest, &s->once) != 0)
			return;
	}
	s->batch = serve_batch_new(s->serve, s->config);
	for (size_t i = 0; i < u->emails.count; i++)
		if ((i == 0 && (check_space(s, &err) < 0 || store_files(s, &err) < 0)) ||
		    add_message(s, i, &err) < 0) {
			serve_reply_err(s->r, &err);
			return;
		}
	if (serve_once_keep(s->once, &err) < 0 || serve_commit(s->serve, s->batch, &err) < 0)
		serve_reply_err(s->r, &err);
	else
		reply(s);
}

void
serve_form(struct http_request *r, void *arg)
{
	struct upload *u = http_state(r);
	struct sending s = { .serve = arg, .r = r, .upload = u, .message = MAIL_MESSAGE_INIT };

	if (!upload_end(r, u))
		return;
	serve_source(r, s.source, sizeof s.source);
	s.config = serve_config_get(s.serve);
	send_all(&s);
	release(&s);
}
