/* message/delivery-status: groups of fields, one for the message and one for each recipient (RFC 3464 section 2). */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/utf8.h"
#include "mail/date.h"
#include "mail/dsn_private.h"
#include "mail/header.h"

/* Of a value, at the most: what is kept is less, but may be encoded. */
#define VALUE_MAX 4000

char *
dsn_text(const char *value, size_t len)
{
	AUTO_BUF struct buf text = BUF_INIT(4 * VALUE_MAX);

	if (mail_header_decode(&text, value, len < VALUE_MAX ? len : VALUE_MAX) < 0 ||
	    text.len == 0)
		return NULL;
	if (text.len > MAIL_DSN_TEXT) {
		size_t n = MAIL_DSN_TEXT;

		/* Cut between characters. */
		while (n > 0 && (text.s[n] & 0xc0) == 0x80)
			n--;
		buf_truncate(&text, n);
	}
	/* A NUL would end it. */
	return *text.s != '\0' ? xstrndup(text.s, text.len) : NULL;
}

/* ---- codes ------------------------------------------------------------------------------------- */

/* How many bytes at s are "5.1.1" (RFC 3463 section 2), with nothing of its kind behind; 0: none. */
static size_t
enhanced_length(const char *s)
{
	size_t at = 2, n;

	if (strchr("245", *s) == NULL || *s == '\0' || s[1] != '.')
		return 0;
	n = strspn(s + at, "0123456789");
	if (n < 1 || n > 3 || s[at + n] != '.')
		return 0;
	at += n + 1;
	n = strspn(s + at, "0123456789");
	if (n < 1 || n > 3 || (s[at + n] == '.' && isdigit((unsigned char)s[at + n + 1])))
		return 0;
	return at + n;
}

static void
take_enhanced(const char *s, struct mail_dsn_recipient *r)
{
	size_t n = enhanced_length(s);

	if (r->enhanced[0] == '\0' && n > 0 && n < sizeof r->enhanced)
		snprintf(r->enhanced, sizeof r->enhanced, "%.*s", (int)n, s);
}

void
dsn_codes(const char *words, struct mail_dsn_recipient *r)
{
	for (const char *s = words; *s != '\0'; s++) {
		bool begins = s == words || strchr(" \t(#:;[\"-", s[-1]) != NULL;

		if (!begins || !isdigit((unsigned char)*s))
			continue;
		take_enhanced(s, r);
		if (r->code == 0 && strchr("45", *s) != NULL && strspn(s, "0123456789") == 3 &&
		    strchr(" -#:", s[3]) != NULL)
			r->code = (s[0] - '0') * 100 + (s[1] - '0') * 10 + (s[2] - '0');
	}
}

/* ---- values ------------------------------------------------------------------------------------ */

/* What stands behind the type of "dns; mx.example.org" and its like. */
static const char *
behind_type(const char *value)
{
	size_t n = strcspn(value, "; \t(");

	n += strspn(value + n, " \t");
	value += value[n] == ';' ? n + 1 : 0;
	return value + strspn(value, " \t");
}

static void
replace(char **text, char *by)
{
	if (*text != NULL || by == NULL) {
		free(by); /* the first one holds */
		return;
	}
	*text = by;
}

/* "\x{44F}" of a utf-8-addr-xtext or utf-8-addr-unitext (RFC 6533 section 3). */
static void
decode_unitext(char *s)
{
	char *to = s;

	while (*s != '\0') {
		char *end;
		unsigned long c = strncmp(s, "\\x{", 3) == 0 ? strtoul(s + 3, &end, 16) : 0;
		bool surrogate = c >= 0xd800 && c < 0xe000;

		/* What would be a control character stays as it is written.  Of what remains none is longer than
		 * its escape. */
		if (c <= 0x20 || (c >= 0x7f && c < 0xa0) || c > 0x10ffff || surrogate ||
		    *end != '}') {
			*to++ = *s++;
			continue;
		}
		s = end + 1;
		if (c < 0x80) {
			*to++ = (char)c;
			continue;
		}
		if (c >= 0x10000)
			*to++ = (char)(0xf0 | c >> 18);
		else if (c >= 0x800)
			*to++ = (char)(0xe0 | c >> 12);
		else
			*to++ = (char)(0xc0 | c >> 6);
		if (c >= 0x10000)
			*to++ = (char)(0x80 | (c >> 12 & 0x3f));
		if (c >= 0x800)
			*to++ = (char)(0x80 | (c >> 6 & 0x3f));
		*to++ = (char)(0x80 | (c & 0x3f));
	}
	*to = '\0';
}

/* The address of "rfc822; a@b", without angle brackets and comments.  NULL: none. */
static char *
address_of(const char *value)
{
	const char *s = behind_type(value);
	bool utf8 = strncasecmp(value, "utf-8", 5) == 0;
	char *address, *end;

	s += *s == '<';
	address = xstrdup(s);
	/* A quoted local part may hold blanks. */
	end = address;
	if (*end == '"')
		for (end++; *end != '\0' && *end != '"'; end++)
			end += *end == '\\' && end[1] != '\0';
	end += strcspn(end, " \t>");
	*end = '\0';
	if (utf8)
		decode_unitext(address);
	if (*address == '\0') {
		free(address);
		return NULL;
	}
	return address;
}

static void
take_action(const char *value, struct mail_dsn_recipient *r, bool *ret_given)
{
	static const char *const words[] = { "failed", "delayed", "delivered", "relayed",
		"expanded" };
	size_t n = strcspn(value, " \t(;");

	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (strlen(words[i]) == n && strncasecmp(value, words[i], n) == 0) {
			r->action = (enum mail_dsn_action)i;
			*ret_given = true;
		}
}

/* ---- groups ------------------------------------------------------------------------------------ */

/* One recipient in the making. */
struct group {
	struct mail_dsn_recipient recipient;
	bool action;
	char *status;
};

static void
take_date(const char *value, int64_t *ret)
{
	if (*ret == 0)
		mail_date_parse(value, ret);
}

static void
take_field(struct mail_dsn *dsn, struct group *group, const struct mail_field *field)
{
	struct mail_dsn_recipient *r = &group->recipient;
	AUTO_FREE char *value = dsn_text(field->value.s, field->value.len);

	if (value == NULL)
		return;
	if (mail_field_is(field, "Original-Envelope-Id"))
		replace(&dsn->envelope_id, xstrdup(value));
	else if (mail_field_is(field, "Reporting-MTA"))
		replace(&dsn->reporter, xstrdup(behind_type(value)));
	else if (mail_field_is(field, "Arrival-Date"))
		take_date(value, &dsn->arrived);
	else if (mail_field_is(field, "Original-Recipient"))
		replace(&r->original, address_of(value));
	else if (mail_field_is(field, "Final-Recipient"))
		replace(&r->final, address_of(value));
	else if (mail_field_is(field, "Action"))
		take_action(value, r, &group->action);
	else if (mail_field_is(field, "Status"))
		replace(&group->status, xstrdup(value));
	else if (mail_field_is(field, "Remote-MTA"))
		replace(&r->server, xstrdup(behind_type(value)));
	else if (mail_field_is(field, "Diagnostic-Code"))
		replace(&r->reason, xstrdup(behind_type(value)));
}

/* The end of a group: if it was about a recipient, it is one. */
static void
end_group(struct mail_dsn *dsn, struct group *group)
{
	struct mail_dsn_recipient *r = &group->recipient, *kept = NULL;

	if (group->status != NULL)
		take_enhanced(group->status, r);
	if (r->reason != NULL)
		dsn_codes(r->reason, r);
	if (!group->action) /* required, and forgotten by some */
		r->action = r->enhanced[0] == '4' ? MAIL_DSN_DELAYED :
		    r->enhanced[0] == '2'	  ? MAIL_DSN_DELIVERED :
						    MAIL_DSN_FAILED;
	if ((r->original != NULL || r->final != NULL) &&
	    (group->action || r->enhanced[0] != '\0' || r->reason != NULL))
		kept = dsn_add(dsn);
	if (kept != NULL) {
		*kept = *r;
	} else {
		free(r->original);
		free(r->final);
		free(r->reason);
		free(r->server);
	}
	free(group->status);
	*group = (struct group){ .action = false };
}

void
dsn_fields(struct mail_dsn *dsn, const char *text, size_t len)
{
	struct view rest = { text, len };
	struct group group = { .action = false };

	while (rest.len > 0) {
		struct mail_field field;
		int rc = mail_field_next(&rest, &field);
		const char *newline;

		if (rc > 0) {
			take_field(dsn, &group, &field);
			continue;
		}
		/* A blank line ends a group; a line that is no field is passed over. */
		if (rc == 0)
			end_group(dsn, &group);
		newline = memchr(rest.s, '\n', rest.len);
		if (newline == NULL)
			break;
		rest.len -= (size_t)(newline + 1 - rest.s);
		rest.s = newline + 1;
	}
	end_group(dsn, &group);
}
