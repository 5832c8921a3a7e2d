#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "cmd/add/forms.h"
#include "cmd/submit/sender.h"
#include "mail/header.h"
#include "mail/raw.h"

#define CHUNK (64u * 1024)

/* The next bytes of standard input; 0 at its end. */
static ssize_t
read_input(char *chunk, struct err *err)
{
	ssize_t n;

	do {
		n = read(STDIN_FILENO, chunk, CHUNK);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		err_io(err, "standard input");
	return n;
}

/* The envelope's sender and the author for a message without From: -f, else as configured, else the
 * user.  The From of the message is not asked: as with any sendmail, an author who writes through a
 * form or a list is not whom a report of failure should go to. */
static int
find_sender(const struct settings *settings, const struct add_options *o,
    struct mail_address *sender, struct mail_address *author, struct err *err)
{
	if (o->sender == NULL || o->sender[0] == '\0' || strcmp(o->sender, "<>") == 0) {
		if (add_sender_default(settings, o->account, author, err) < 0)
			return -1;
		mail_address_copy(sender, author);
		if (o->sender != NULL)
			sender->addr[0] = '\0';
	} else {
		if (mail_address_parse(o->sender, strlen(o->sender), add_domain(settings), 0,
			sender, err) < 0)
			return err_prefix(err, "-f");
		mail_address_copy(author, sender);
	}
	if (o->full_name != NULL) {
		if (mail_text_check(o->full_name, strlen(o->full_name), err) < 0)
			return err_prefix(err, "-F");
		free(author->name);
		author->name = xstrdup(o->full_name);
	}
	return 0;
}

/* Reads until the header is whole. */
static int
read_header(struct mail_raw *raw, char *chunk, struct err *err)
{
	for (;;) {
		ssize_t n = read_input(chunk, err);
		int whole;

		if (n < 0)
			return -1;
		if (n == 0)
			return mail_raw_header_end(raw, err);
		whole = mail_raw_feed(raw, chunk, (size_t)n, err);
		if (whole != 0)
			return whole < 0 ? -1 : 0;
	}
}

/* Header and body to the sink. */
static int
copy_text(struct mail_raw *raw, const struct mail_sink *sink, char *chunk, struct err *err)
{
	if (mail_raw_start(raw, sink, err) < 0)
		return -1;
	for (;;) {
		ssize_t n = read_input(chunk, err);
		int ended;

		if (n < 0)
			return -1;
		if (n == 0)
			break;
		ended = mail_raw_feed(raw, chunk, (size_t)n, err);
		if (ended < 0)
			return -1;
		if (ended > 0)
			break;
	}
	return mail_raw_end(raw, err);
}

static int
find_recipients(const struct settings *settings, const struct mail_raw *raw, bool from_header,
    const struct opt_rest *rest, struct mail_addresses *list, struct err *err)
{
	AUTO_ADDRESSES struct mail_addresses header = MAIL_ADDRESSES_INIT;
	AUTO_ADDRESSES struct mail_addresses given = MAIL_ADDRESSES_INIT;

	for (int i = 0; i < rest->argc; i++)
		if (mail_addresses_parse(&given, rest->argv[i], strlen(rest->argv[i]),
			add_domain(settings),
			i < rest->argc - rest->literal ? MAIL_ADDRESS_NO_NAME :
							 MAIL_ADDRESS_NO_NAME | MAIL_ADDRESS_DASH,
			err) < 0)
			return err_prefix(err, "recipient \"%.100s\"", rest->argv[i]);
	if (from_header && mail_raw_recipients(raw, &header, err) < 0)
		return -1;
	mail_addresses_add_new(list, &given);
	mail_addresses_add_new(list, &header);
	if (list->count > 0)
		return 0;
	return err_set(err, EX_DATAERR, "no recipient%s",
	    from_header ? ": the headers To, Cc and Bcc name no recipient" : "");
}

static int
enqueue(struct add_queue *q, const struct add_options *o, const struct opt_rest *rest,
    struct mail_raw *raw, const struct mail_address *sender, struct err *err)
{
	const struct mail_raw_info *info = mail_raw_info(raw);
	struct mail_sink sink = add_queue_sink(q);
	AUTO_ADDRESSES struct mail_addresses recipients = MAIL_ADDRESSES_INIT;
	AUTO_FREE char **array = NULL;
	AUTO_FREE char *chunk = xmalloc(CHUNK);
	AUTO_FREE char *message_id = NULL;
	struct mail_delivery delivery;
	struct text_facts facts = { 0 };
	struct record record;

	if (add_options_delivery(o, &delivery, err) < 0 ||
	    add_record(q->settings, &delivery, &record, err) < 0)
		return -1;
	if (read_header(raw, chunk, err) < 0)
		return -1;
	if (find_recipients(q->settings, raw, o->from_header, rest, &recipients, err) < 0)
		return -1;
	array = add_record_recipients(&record, &recipients);
	record.sender = sender->addr;
	record.subject = (char *)info->subject;
	record.from = (char *)info->from;
	record.message_id = message_id = add_bare_id(info->message_id);
	record.dsn_notify = o->notify;
	record.dsn_ret = (char *)o->ret;
	record.envid = (char *)o->envid;
	record.source = (char *)q->source;
	if (add_queue_begin(q, &record, err) < 0)
		return -1;
	if (copy_text(raw, &sink, chunk, err) < 0)
		return add_queue_drop(q, err);
	facts.eight_bit = info->header_8bit || info->body_8bit;
	/* Addresses of the envelope speak for themselves when they are sent to. */
	facts.smtputf8 = info->needs_smtputf8;
	return add_queue_end(q, &facts, err);
}

int
add_raw(struct add_queue *q, const struct add_options *o, const struct opt_rest *rest)
{
	AUTO_ADDRESS struct mail_address sender = MAIL_ADDRESS_INIT;
	AUTO_ADDRESS struct mail_address author = MAIL_ADDRESS_INIT;
	AUTO_RAW struct mail_raw *raw = NULL;
	struct mail_raw_options options = {
		.dot_ends = !o->ignore_dots,
		.host = q->settings->delivery.hostname,
		.default_domain = add_domain(q->settings),
		.now = clock_now(),
	};
	struct err err = ERR_INIT;

	if (find_sender(q->settings, o, &sender, &author, &err) < 0) {
		add_options_name_fault(o, &err);
		return err_print(&err);
	}
	options.from_addr = author.addr;
	options.from_name = author.name;
	raw = mail_raw_new(&options);
	if (enqueue(q, o, rest, raw, &sender, &err) < 0 || add_queue_commit(q, &err) < 0) {
		add_options_name_fault(o, &err);
		return err_print(&err);
	}
	return 0;
}
