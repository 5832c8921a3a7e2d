#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/num.h"
#include "base/program.h"
#include "cmd/add/forms.h"
#include "cmd/submit/attach.h"
#include "cmd/submit/sender.h"

/* Reads the body from its file or standard input into text. */
static int
read_body(const struct add_options *o, struct buf *text, struct err *err)
{
	bool standard = o->body_file == NULL || strcmp(o->body_file, "-") == 0;
	const char *name = standard ? "standard input" : o->body_file;
	AUTO_FD int opened = -1;
	char limit[24];

	if (!standard) {
		opened = open(o->body_file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
		if (opened < 0)
			return err_sys(err, EX_NOINPUT, "%s", name);
	}
	if (fs_read_all(standard ? STDIN_FILENO : opened, text) == 0)
		return 0;
	if (errno == E2BIG)
		return err_set(err, EX_DATAERR, "body: larger than %s (queue.max_message_size)",
		    num_size_text(text->max, limit));
	return err_sys(err, EX_NOINPUT, "%s", name);
}

static int
set_body(struct mail_message *m, const struct settings *settings, const struct add_options *o,
    struct err *err)
{
	AUTO_BUF struct buf text = BUF_INIT((size_t)settings->queue.max_message_size);

	m->html = o->html;
	if (o->body != NULL)
		return mail_message_body(m, o->body, strlen(o->body), err);
	if (read_body(o, &text, err) < 0)
		return -1;
	return mail_message_body(m, text.s, text.len, err);
}

static int
set_from(struct mail_message *m, const struct settings *settings, const struct add_options *o,
    struct err *err)
{
	AUTO_ADDRESS struct mail_address address = MAIL_ADDRESS_INIT;

	if (o->from != NULL)
		return mail_message_from(m, o->from, add_domain(settings), err);
	if (add_sender_default(settings, o->account, &address, err) < 0)
		return -1;
	if (o->full_name != NULL) {
		free(address.name);
		address.name = xstrdup(o->full_name);
	}
	/* By way of its text, so that the name is checked as any other. */
	AUTO_BUF struct buf text = BUF_INIT(64 * 1024);
	if (mail_address_text(&text, &address) < 0)
		return err_set(err, EX_DATAERR, "from: the name is too long");
	return mail_message_from(m, text.s, NULL, err);
}

static int
set_recipients(struct mail_message *m, enum mail_recipient kind, const struct opt_list *list,
    const char *domain, struct err *err)
{
	for (size_t i = 0; i < list->n; i++)
		if (mail_message_recipients(m, kind, list->v[i], domain, err) < 0)
			return -1;
	return 0;
}

static int
fill(struct mail_message *m, const struct settings *settings, const struct add_options *o,
    struct err *err)
{
	const char *domain = add_domain(settings);

	if (set_from(m, settings, o, err) < 0)
		return -1;
	if (o->sender != NULL && mail_message_return_path(m, o->sender, domain, err) < 0)
		return -1;
	if (set_recipients(m, MAIL_TO, &o->to, domain, err) < 0 ||
	    set_recipients(m, MAIL_CC, &o->cc, domain, err) < 0 ||
	    set_recipients(m, MAIL_BCC, &o->bcc, domain, err) < 0)
		return -1;
	if (mail_message_subject(m, o->subject, strlen(o->subject), err) < 0)
		return -1;
	for (size_t i = 0; i < o->headers.n; i++)
		if (mail_message_header_line(m, o->headers.v[i], err) < 0)
			return -1;
	for (size_t i = 0; i < o->attach.n; i++) {
		const char *path = o->attach.v[i];

		if (mail_message_attach_path(m, path, path, err) == NULL)
			return -1;
	}
	if (attach_check_total(settings, m, err) < 0 || set_body(m, settings, o, err) < 0)
		return -1;
	return mail_message_complete(m, settings->delivery.hostname, err);
}

int
add_flags(struct add_queue *q, const struct add_options *o)
{
	AUTO_MESSAGE struct mail_message message = MAIL_MESSAGE_INIT;
	struct record more = { .dsn_notify = o->notify,
		.dsn_ret = (char *)o->ret,
		.envid = (char *)o->envid };
	struct mail_delivery delivery;
	struct err err = ERR_INIT;

	if (o->body == NULL && o->body_file == NULL && isatty(STDIN_FILENO))
		return program_misuse(&add_program,
		    "no body; expected --body, --body-file or a text on standard input");
	if (add_options_delivery(o, &delivery, &err) < 0 ||
	    fill(&message, q->settings, o, &err) < 0 ||
	    add_queue_message(q, &message, &delivery, &more, &err) < 0 ||
	    add_queue_commit(q, &err) < 0) {
		add_options_name_fault(o, &err);
		return err_print(&err);
	}
	return 0;
}
