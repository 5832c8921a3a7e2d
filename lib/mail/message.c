#include "mail/message.h"

#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "mail/header.h"
#include "mail/mime.h"

#define MESSAGE_ID_MAX 300

void
mail_message_release(struct mail_message *m)
{
	mail_address_release(&m->from);
	mail_addresses_release(&m->to);
	mail_addresses_release(&m->cc);
	mail_addresses_release(&m->bcc);
	mail_addresses_release(&m->reply_to);
	free(m->return_path);
	free(m->message_id);
	free(m->subject);
	free(m->body);
	free(m->alternative);
	for (size_t i = 0; i < m->extra_count; i++) {
		free(m->extra[i].name);
		free(m->extra[i].value);
	}
	free(m->extra);
	for (size_t i = 0; i < m->attachment_count; i++) {
		struct mail_attachment *a = &m->attachments[i];

		free(a->filename);
		free(a->content_type);
		free(a->content_id);
		free(a->part);
		free(a->remote);
		if (!a->borrowed)
			auto_close_fd(&a->fd);
		buf_release(&a->bytes);
	}
	free(m->attachments);
	*m = (struct mail_message)MAIL_MESSAGE_INIT;
}

static void
replace(char **field, const char *text, size_t len)
{
	free(*field);
	*field = xstrndup(text, len);
}

int
mail_message_from(struct mail_message *m, const char *text, const char *default_domain,
    struct err *err)
{
	struct mail_address found AUTO_ADDRESS = MAIL_ADDRESS_INIT;

	if (mail_address_parse(text, strlen(text), default_domain, 0, &found, err) < 0)
		return err_prefix(err, "from");
	mail_address_release(&m->from);
	m->from = found;
	found = (struct mail_address)MAIL_ADDRESS_INIT;
	return 0;
}

int
mail_message_recipients(struct mail_message *m, enum mail_recipient kind, const char *text,
    const char *default_domain, struct err *err)
{
	static const char *const names[] = { "to", "cc", "bcc" };
	struct mail_addresses *list = kind == MAIL_TO ? &m->to : kind == MAIL_CC ? &m->cc : &m->bcc;
	size_t before = list->count;

	if (mail_addresses_parse(list, text, strlen(text), default_domain, 0, err) < 0)
		return err_prefix(err, "%s", names[kind]);
	if (list->count == before)
		return err_set(err, EX_DATAERR, "%s: expected an address, found none", names[kind]);
	return 0;
}

int
mail_message_reply_to(struct mail_message *m, const char *text, const char *default_domain,
    struct err *err)
{
	struct mail_addresses found AUTO_ADDRESSES = MAIL_ADDRESSES_INIT;

	if (mail_addresses_parse(&found, text, strlen(text), default_domain, 0, err) < 0)
		return err_prefix(err, "reply_to");
	mail_addresses_release(&m->reply_to);
	m->reply_to = found;
	found = (struct mail_addresses)MAIL_ADDRESSES_INIT;
	return 0;
}

int
mail_message_return_path(struct mail_message *m, const char *text, const char *default_domain,
    struct err *err)
{
	struct mail_address found AUTO_ADDRESS = MAIL_ADDRESS_INIT;

	if (mail_address_parse(text, strlen(text), default_domain, MAIL_ADDRESS_NULL_OK, &found,
		err) < 0)
		return err_prefix(err, "return_path");
	replace(&m->return_path, found.addr, strlen(found.addr));
	return 0;
}

int
mail_message_message_id(struct mail_message *m, const char *text, struct err *err)
{
	size_t len = strlen(text);
	struct buf id AUTO_BUF = BUF_INIT(MESSAGE_ID_MAX + 2);

	if (len >= 2 && text[0] == '<' && text[len - 1] == '>') {
		text++;
		len -= 2;
	}
	if (len == 0 || len > MESSAGE_ID_MAX)
		return err_set(err, EX_DATAERR, "message_id: expected 1 to %d bytes, found %zu",
		    MESSAGE_ID_MAX, len);
	for (size_t i = 0; i < len; i++)
		if (text[i] <= ' ' || text[i] > '~' || text[i] == '<' || text[i] == '>')
			return err_set(err, EX_DATAERR,
			    "message_id: expected printable ASCII without blanks and <>, "
			    "found another character");
	buf_addf(&id, "<%.*s>", (int)len, text);
	replace(&m->message_id, id.s, id.len);
	return 0;
}

int
mail_message_subject(struct mail_message *m, const char *text, size_t len, struct err *err)
{
	if (len > MAIL_HEADER_VALUE_MAX)
		return err_set(err, EX_DATAERR, "subject: longer than %d bytes",
		    MAIL_HEADER_VALUE_MAX);
	if (mail_text_check(text, len, err) < 0)
		return err_prefix(err, "subject");
	replace(&m->subject, text, len);
	return 0;
}

/* The offset of the first byte that is not UTF-8; len where all are. */
static size_t
utf8_until(const char *text, size_t len)
{
	size_t at = 0, n;

	while (at < len) {
		unsigned long long eight;

		/* most text is ASCII, and this is the longest loop over it */
		while (len - at >= sizeof eight) {
			memcpy(&eight, text + at, sizeof eight);
			if ((eight & 0x8080808080808080ull) != 0)
				break;
			at += sizeof eight;
		}
		if (at == len)
			break;
		n = utf8_sequence(text + at, len - at);
		if (n == 0)
			break;
		at += n;
	}
	return at;
}

static int
set_body(char **body, size_t *body_len, const char *name, struct view text, struct err *err)
{
	size_t valid;

	if (text.len > MAIL_BODY_MAX)
		return err_set(err, EX_DATAERR, "%s: longer than %zu MiB", name,
		    MAIL_BODY_MAX >> 20);
	valid = utf8_until(text.s, text.len);
	if (valid < text.len)
		return err_set(err, EX_DATAERR, "%s: invalid UTF-8 at byte %zu", name, valid + 1);
	replace(body, text.s, text.len);
	*body_len = text.len;
	return 0;
}

int
mail_message_body(struct mail_message *m, const char *text, size_t len, struct err *err)
{
	return set_body(&m->body, &m->body_len, "body", (struct view){ text, len }, err);
}

int
mail_message_alternative(struct mail_message *m, const char *text, size_t len, struct err *err)
{
	return set_body(&m->alternative, &m->alternative_len, "alternative",
	    (struct view){ text, len }, err);
}

/* ---- as a whole ----------------------------------------------------------------------------- */

/* A host name that may stand in a Message-ID as it is. */
static bool
is_host(const char *host)
{
	return *host != '\0' && strlen(host) <= MAIL_DOMAIN_MAX &&
	    host[strspn(host,
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
		"-_.")] == '\0';
}

int
mail_message_complete(struct mail_message *m, const char *host, struct err *err)
{
	if (m->from.addr == NULL)
		return err_set(err, EX_DATAERR, "from: field required");
	if (m->to.count + m->cc.count + m->bcc.count == 0)
		return err_set(err, EX_DATAERR, "to: field required");
	if (m->subject == NULL)
		return err_set(err, EX_DATAERR, "subject: field required");
	if (m->body == NULL)
		return err_set(err, EX_DATAERR, "body: field required");
	if (m->message_id == NULL) {
		char random[MAIL_RANDOM_SIZE];
		struct buf id AUTO_BUF = BUF_INIT(MAIL_DOMAIN_MAX + MAIL_RANDOM_SIZE + 4);

		if (host == NULL || !is_host(host))
			host = mail_address_domain(m->from.addr);
		mail_random(random);
		buf_addf(&id, "<%s@%s>", random, host);
		replace(&m->message_id, id.s, id.len);
	}
	return 0;
}

const char *
mail_message_sender(const struct mail_message *m)
{
	return m->return_path != NULL ? m->return_path : m->from.addr;
}

void
mail_message_envelope(const struct mail_message *m, struct mail_addresses *list)
{
	mail_addresses_add_new(list, &m->to);
	mail_addresses_add_new(list, &m->cc);
	mail_addresses_add_new(list, &m->bcc);
}

static bool
any_utf8(const struct mail_addresses *list)
{
	for (size_t i = 0; i < list->count; i++)
		if (list->at[i].utf8)
			return true;
	return false;
}

/* For a field of the message's own, which an extra header of that name replaces. */
static bool
any_written(const struct mail_message *m, const char *name, const struct mail_addresses *list)
{
	return mail_message_extra(m, name) == NULL && any_utf8(list);
}

bool
mail_message_needs_smtputf8(const struct mail_message *m)
{
	const struct mail_addresses from = { (struct mail_address *)&m->from, 1, 1 };

	if (any_written(m, "From", &from) || any_written(m, "To", &m->to) ||
	    any_written(m, "Cc", &m->cc) || any_written(m, "Reply-To", &m->reply_to))
		return true;
	for (size_t i = 0; i < m->extra_count; i++) {
		struct mail_addresses list AUTO_ADDRESSES = MAIL_ADDRESSES_INIT;

		if (mail_message_extra_addresses(m, m->extra[i].name, &list) && any_utf8(&list))
			return true;
	}
	return false;
}
