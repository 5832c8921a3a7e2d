/* What a raw header says: the envelope, what is shown of it, and what it lacks. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/utf8.h"
#include "mail/header.h"
#include "mail/raw_private.h"

#define SUBJECT_MAX 8192 /* bytes of a value that is decoded for display */

bool
raw_field_is_hidden(const struct mail_field *field)
{
	return mail_field_is(field, "Bcc") || mail_field_is(field, "Resent-Bcc");
}

static bool
is_one_of(const struct mail_field *field, const char *const *names)
{
	for (; *names != NULL; names++)
		if (mail_field_is(field, *names))
			return true;
	return false;
}

bool
raw_field_has_addresses(const struct mail_field *field)
{
	static const char *const names[] = { "From", "Sender", "Reply-To", "To", "Cc",
		"Resent-From", "Resent-Sender", "Resent-To", "Resent-Cc", NULL };

	return is_one_of(field, names);
}

static const char *const recipients[] = { "To", "Cc", "Bcc", NULL };
static const char *const resent[] = { "Resent-To", "Resent-Cc", "Resent-Bcc", NULL };

/* The addresses of a field; names may be in any state and do not matter. */
static int
parse_field(const struct mail_raw *raw, const struct mail_field *field, struct mail_addresses *list,
    struct err *err)
{
	struct buf text AUTO_BUF = BUF_INIT(MAIL_RAW_HEADER_MAX);

	for (size_t i = 0; i < field->value.len; i++)
		if (strchr(text.len > 0 ? "\r\n" : "\r\n\t ", field->value.s[i]) == NULL ||
		    field->value.s[i] == '\0')
			buf_addc(&text, field->value.s[i]);
	if (mail_addresses_parse(list, text.s, text.len, raw->options.default_domain,
		MAIL_ADDRESS_NO_NAME, err) < 0)
		return err_prefix(err, "%.*s", (int)field->name.len, field->name.s);
	return 0;
}

int
mail_raw_recipients(const struct mail_raw *raw, struct mail_addresses *list, struct err *err)
{
	struct mail_addresses found AUTO_ADDRESSES = MAIL_ADDRESSES_INIT;
	const char *const *names = recipients;
	struct view rest = buf_view(&raw->header);
	struct mail_field field;

	while (mail_field_next(&rest, &field) == 1)
		if (is_one_of(&field, resent))
			names = resent;
	rest = buf_view(&raw->header);
	while (mail_field_next(&rest, &field) == 1)
		if (is_one_of(&field, names) && parse_field(raw, &field, &found, err) < 0)
			return -1;
	mail_addresses_add_new(list, &found);
	return 0;
}

/* True if a domain is (still) written in other letters than ASCII: it passes as it is. */
static bool
has_wide_domain(struct view value)
{
	bool domain = false;

	for (size_t i = 0; i < value.len; i++) {
		if (domain && (unsigned char)value.s[i] >= 0x80)
			return true;
		if (value.s[i] == '@')
			domain = true;
		else if (value.s[i] == '\0' || strchr(" \t\r\n>,;)\"", value.s[i]) != NULL)
			domain = false;
	}
	return false;
}

/* Fields with addresses: the first From is kept, and whether one needs SMTPUTF8. */
static void
look_at_addresses(struct mail_raw *raw, const struct mail_field *field)
{
	struct mail_addresses list AUTO_ADDRESSES = MAIL_ADDRESSES_INIT;
	bool wide = !is_ascii(field->value.s, field->value.len);
	bool from = mail_field_is(field, "From") && raw->from == NULL;

	if ((!from && !wide) || !raw_field_has_addresses(field))
		return;
	if (wide && has_wide_domain(field->value))
		raw->info.needs_smtputf8 = true;
	if (parse_field(raw, field, &list, NULL) < 0)
		return;
	for (size_t i = 0; i < list.count; i++)
		raw->info.needs_smtputf8 = raw->info.needs_smtputf8 || list.at[i].utf8;
	if (from && list.count > 0)
		raw->from = xstrdup(list.at[0].addr);
}

static char *
decoded(struct view value)
{
	struct buf text AUTO_BUF = BUF_INIT(4 * SUBJECT_MAX);

	if (mail_header_decode(&text, value.s, value.len < SUBJECT_MAX ? value.len : SUBJECT_MAX) <
	    0)
		return NULL;
	return xstrndup(text.s, text.len);
}

/* Which of the fields that a message must have are there. */
struct present {
	bool date, message_id, from;
};

static void
look_at_field(struct mail_raw *raw, const struct mail_field *field, struct present *present)
{
	if (mail_field_is(field, "Date")) {
		present->date = true;
	} else if (mail_field_is(field, "Message-ID")) {
		present->message_id = true;
		if (raw->message_id == NULL)
			raw->message_id = decoded(field->value);
	} else if (mail_field_is(field, "Subject")) {
		if (raw->subject == NULL)
			raw->subject = decoded(field->value);
	} else {
		present->from = present->from || mail_field_is(field, "From");
		look_at_addresses(raw, field);
	}
}

static int
add_from(struct mail_raw *raw, struct err *err)
{
	const char *name = raw->options.from_name;
	struct mail_address from = { (char *)(name != NULL && *name != '\0' ? name : NULL),
		(char *)raw->options.from_addr, false };
	struct mail_addresses list = { &from, 1, 1 };

	if (from.addr == NULL || *from.addr == '\0')
		return 0;
	if (from.name != NULL && mail_text_check(from.name, strlen(from.name), err) < 0)
		return err_prefix(err, "the sender's name");
	if (mail_header_addresses(&raw->added, "From", &list) < 0)
		return err_set(err, EX_DATAERR, "the sender's name is too long");
	if (!is_ascii(from.addr, strlen(from.addr)))
		raw->info.needs_smtputf8 = raw->info.header_8bit = true;
	raw->from = xstrdup(from.addr);
	return 0;
}

static int
add_missing(struct mail_raw *raw, const struct present *present, struct err *err)
{
	char random[MAIL_RANDOM_SIZE], date[CLOCK_TEXT_SIZE];

	if (!present->from && add_from(raw, err) < 0)
		return -1;
	if (!present->date)
		buf_addf(&raw->added, "Date: %s\r\n", clock_rfc5322(raw->options.now, date));
	if (!present->message_id) {
		struct buf id AUTO_BUF = BUF_INIT(1024);

		mail_random(random);
		buf_addf(&id, "<%s@%s>", random, raw->options.host);
		buf_addf(&raw->added, "Message-ID: %s\r\n", id.s);
		raw->message_id = xstrdup(id.s);
	}
	return 0;
}

static bool
has_long_line(const struct buf *header)
{
	const char *line = header->s, *end = header->s + header->len, *newline;

	for (; line < end; line = newline + 1) {
		newline = memchr(line, '\n', (size_t)(end - line));
		if (newline == NULL || newline - line > MAIL_LINE_MAX + 1)
			return true;
	}
	return false;
}

int
raw_header_finish(struct mail_raw *raw, struct err *err)
{
	struct mail_addresses list AUTO_ADDRESSES = MAIL_ADDRESSES_INIT;
	struct present present = { false, false, false };
	struct view rest;
	struct mail_field field;

	raw_header_ascii_domains(raw);
	rest = buf_view(&raw->header);
	raw->info.header_8bit = !is_ascii(raw->header.s, raw->header.len);
	raw->info.has_nul = memchr(raw->header.s, '\0', raw->header.len) != NULL;
	raw->info.long_line = has_long_line(&raw->header);
	while (mail_field_next(&rest, &field) == 1)
		look_at_field(raw, &field, &present);
	if (add_missing(raw, &present, err) < 0)
		return -1;
	raw->info.has_recipients = mail_raw_recipients(raw, &list, NULL) == 0 && list.count > 0;
	raw->info.subject = raw->subject;
	raw->info.from = raw->from;
	raw->info.message_id = raw->message_id;
	return 0;
}
