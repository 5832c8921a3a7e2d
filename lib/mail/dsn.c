#include "mail/dsn.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/num.h"
#include "mail/date.h"
#include "mail/dsn_private.h"
#include "mail/header.h"

#define FIELDS_MAX ((size_t)4 * 1024 * 1024) /* of a message/delivery-status */
#define TEXT_MAX ((size_t)256 * 1024)	     /* of one for people */
#define WITHIN_MAX 4			     /* forwarded in one another */
#define ENCODED_MAX ((uint64_t)16 * 1024 * 1024)

struct reading {
	mail_parameter *parameter;
	struct mail_dsn *dsn;
	/* What was met instead of a report, for words about it. */
	const char *instead;
};

/* ---- what the formats share ---------------------------------------------------------------------- */

struct mail_dsn_recipient *
dsn_add(struct mail_dsn *dsn)
{
	struct mail_dsn_recipient *r;

	if (dsn->count == MAIL_DSN_RECIPIENTS)
		return NULL;
	/* Grows by doubling: at 0, 1, 2, 4 and so on. */
	if ((dsn->count & (dsn->count - 1)) == 0)
		dsn->recipients = xreallocarray(dsn->recipients,
		    dsn->count > 0 ? 2 * dsn->count : 1, sizeof *dsn->recipients);
	r = &dsn->recipients[dsn->count++];
	*r = (struct mail_dsn_recipient){ .action = MAIL_DSN_FAILED };
	return r;
}

char *
dsn_message_id(const char *value)
{
	const char *begin = strchr(value, '<');
	const char *end = begin != NULL ? strchr(begin, '>') : NULL;
	size_t n;

	/* Without its brackets by servers that cut them off. */
	if (end == NULL) {
		begin = value + strspn(value, " \t");
		n = strcspn(begin, " \t<>");
		if (memchr(begin, '@', n) == NULL)
			return NULL;
	} else {
		begin++;
		n = (size_t)(end - begin);
	}
	return n > 0 && n <= MAIL_DSN_TEXT ? xstrndup(begin, n) : NULL;
}

/* ---- parts --------------------------------------------------------------------------------------- */

/* The first of these types, from a part on. */
static const struct mail_parsed_part *
part_from(const struct mail_parsed *mail, size_t i, const char *const *types)
{
	for (; i < mail->count; i++)
		for (const char *const *type = types; *type != NULL; type++)
			if (strcmp(mail->parts[i].type, *type) == 0)
				return &mail->parts[i];
	return NULL;
}

static const struct mail_parsed_part *
part_of(const struct mail_parsed *mail, const char *const *types)
{
	return part_from(mail, 0, types);
}

/* A copy of the message, or its header. */
static int
take_returned(int fd, const struct mail_parsed_part *part, struct mail_dsn *dsn)
{
	AUTO_BUF struct buf header = BUF_INIT(MAIL_PARSE_HEADER);
	AUTO_BUF struct buf value = BUF_INIT(MAIL_PARSE_HEADER);
	struct mail_sink sink = { mail_sink_to_buf, &header };

	if (mail_part_decode(fd, part, MAIL_PARSE_HEADER, &sink) < 0)
		return -1;
	if (mail_header_field(&header, "Message-ID", &value) == 1)
		dsn->message_id = dsn_message_id(value.s);
	return 0;
}

/* 1: it is a report of the standard, 0: not; -1 with errno. */
static int
take_standard(struct reading *reading, int fd, const struct mail_parsed *mail)
{
	static const char *const status[] = { "message/delivery-status",
		"message/global-delivery-status", NULL };
	static const char *const returned[] = { "message/rfc822", "message/global",
		"text/rfc822-headers", "message/global-headers", NULL };
	AUTO_BUF struct buf fields = BUF_INIT(4 * FIELDS_MAX);
	const struct mail_parsed_part *part = part_of(mail, status);

	if (part == NULL)
		return 0;
	if (mail_part_text(fd, part, FIELDS_MAX, &fields) < 0)
		return -1;
	dsn_fields(reading->dsn, fields.s, fields.len);
	part = part_from(mail, (size_t)(part - mail->parts), returned);
	if (part != NULL && take_returned(fd, part, reading->dsn) < 0)
		return -1;
	if (reading->dsn->count == 0)
		reading->instead = "its message/delivery-status names no recipient";
	return 1;
}

static int
take_plain(struct reading *reading, int fd, const struct mail_parsed *mail)
{
	const struct mail_parsed_part *part = mail_part_to_read(mail, "text/plain");
	AUTO_BUF struct buf text = BUF_INIT(4 * TEXT_MAX);

	if (part == NULL)
		return 0;
	if (mail_part_text(fd, part, TEXT_MAX, &text) < 0)
		return -1;
	if (dsn_qsbmf(reading->dsn, &text)) {
		if (reading->dsn->count == 0)
			reading->instead = "it is qmail's, and names no recipient";
		return 1;
	}
	return dsn_failed_recipients(reading->dsn, &mail->header, &text);
}

static bool
has(const struct mail_parsed *mail, const char *field)
{
	AUTO_BUF struct buf value = BUF_INIT(MAIL_PARSE_HEADER * 2);

	return mail_header_field(&mail->header, field, &value) == 1 &&
	    strcasecmp(value.s, "no") != 0;
}

/* In the words of whoever reads the log. */
static const char *
instead_of_report(const struct mail_parsed *mail)
{
	static const char *const read[] = { "message/disposition-notification",
		"message/global-disposition-notification", NULL };
	static const char *const complaint[] = { "message/feedback-report", NULL };

	if (part_of(mail, read) != NULL)
		return "this is a read receipt (RFC 8098)";
	if (part_of(mail, complaint) != NULL)
		return "this is a complaint (RFC 5965)";
	if (has(mail, "Auto-Submitted") || has(mail, "X-Autoreply") || has(mail, "X-Autorespond"))
		return "this is an automatic reply";
	if (has(mail, "List-Id"))
		return "this is from a mailing list";
	return "this is other mail";
}

static int
read_message(struct reading *reading, int fd, uint64_t offset, uint64_t length, int depth);

/* A message within, which may be encoded where it is one of RFC 6532. */
static int
read_within(struct reading *reading, int fd, const struct mail_parsed_part *part, int depth)
{
	AUTO_FD int decoded = -1;
	AUTO_BUF struct buf bytes = BUF_INIT(ENCODED_MAX);
	struct mail_sink sink = { mail_sink_to_buf, &bytes };

	if (part->encoding == MAIL_7BIT)
		return read_message(reading, fd, part->offset, part->length, depth);
	if (mail_part_decode(fd, part, ENCODED_MAX, &sink) < 0)
		return -1;
	decoded = memfd_create("report", MFD_CLOEXEC);
	if (decoded < 0 || fs_write(decoded, bytes.s, bytes.len) < 0)
		return -1;
	return read_message(reading, decoded, 0, bytes.len, depth);
}

static int
read_message(struct reading *reading, int fd, uint64_t offset, uint64_t length, int depth)
{
	AUTO_PARSED struct mail_parsed mail = MAIL_PARSED_INIT;
	AUTO_BUF struct buf date = BUF_INIT(MAIL_PARSE_HEADER * 2);
	AUTO_BUF struct buf id = BUF_INIT(MAIL_PARSE_HEADER * 2);
	int rc;

	if (mail_parse_at(fd, offset, length, reading->parameter, &mail) < 0)
		return -1;
	rc = take_standard(reading, fd, &mail);
	if (rc == 0)
		rc = take_plain(reading, fd, &mail);
	if (rc == 1 && mail_header_field(&mail.header, "Date", &date) == 1)
		mail_date_parse(date.s, &reading->dsn->date);
	if (rc == 1 && mail_header_field(&mail.header, "Message-ID", &id) == 1)
		reading->dsn->report_id = dsn_message_id(id.s);
	if (rc == 0 && reading->instead == NULL)
		reading->instead = instead_of_report(&mail);
	for (size_t i = 0; rc == 0 && depth < WITHIN_MAX && i < mail.count; i++)
		if (strcmp(mail.parts[i].type, "message/rfc822") == 0 ||
		    strcmp(mail.parts[i].type, "message/global") == 0)
			rc = read_within(reading, fd, &mail.parts[i], depth + 1);
	return rc;
}

int
mail_dsn_read(int fd, uint64_t size, mail_parameter *parameter, struct mail_dsn *dsn,
    struct err *err)
{
	struct reading reading = { .parameter = parameter, .dsn = dsn };
	int rc = read_message(&reading, fd, 0, size, 0);

	if (rc < 0)
		return err_io(err, "cannot read the report");
	if (size == 0)
		return err_set(err, EX_DATAERR,
		    "expected a report of delivery (RFC 3464), found nothing");
	if (dsn->count == 0)
		return err_set(err, EX_DATAERR,
		    "expected a report of delivery (RFC 3464, or qmail's), but %s",
		    reading.instead);
	return 0;
}

/* ---- what it says -------------------------------------------------------------------------------- */

bool
mail_dsn_is_hard(const struct mail_dsn_recipient *r)
{
	if (r->action != MAIL_DSN_FAILED)
		return false;
	if (r->enhanced[0] != '\0')
		return r->enhanced[0] != '4';
	return r->code < 400 || r->code >= 500;
}

char *
mail_xtext_decode(const char *text)
{
	char *ret, *to;

	if (strchr(text, '+') == NULL)
		return NULL;
	ret = to = xstrdup(text);
	for (const char *s = text; *s != '\0'; s++) {
		int byte = *s == '+' && num_hex(s[1]) >= 0 && num_hex(s[2]) >= 0 ?
		    num_hex(s[1]) * 16 + num_hex(s[2]) :
		    -1;

		if (*s == '+' && (byte < 0x20 || byte >= 0x7f)) {
			free(ret);
			return NULL;
		}
		*to++ = byte >= 0 ? (char)byte : *s;
		s += byte >= 0 ? 2 : 0;
	}
	*to = '\0';
	return ret;
}

static bool
is_about(const char *reported, const char *address)
{
	AUTO_FREE char *plain = NULL;

	if (reported == NULL)
		return false;
	if (strcasecmp(reported, address) == 0)
		return true;
	plain = mail_xtext_decode(reported);
	return plain != NULL && strcasecmp(plain, address) == 0;
}

bool
mail_dsn_is_about(const struct mail_dsn_recipient *r, const char *address)
{
	return is_about(r->original, address) || is_about(r->final, address);
}

void
mail_dsn_release(struct mail_dsn *dsn)
{
	for (size_t i = 0; i < dsn->count; i++) {
		free(dsn->recipients[i].original);
		free(dsn->recipients[i].final);
		free(dsn->recipients[i].reason);
		free(dsn->recipients[i].server);
	}
	free(dsn->recipients);
	free(dsn->envelope_id);
	free(dsn->report_id);
	free(dsn->message_id);
	free(dsn->reporter);
	*dsn = (struct mail_dsn)MAIL_DSN_INIT;
}
