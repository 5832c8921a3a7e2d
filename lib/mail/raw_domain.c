/* Domains in a raw header that are not ASCII, written as A-labels. */
#include <string.h>

#include "base/utf8.h"
#include "mail/header.h"
#include "mail/idn.h"
#include "mail/raw_private.h"

/* Where a walk over the value of an address field stands. */
struct walk {
	struct buf *out;
	struct view value;
	size_t at;
	size_t token; /* where the word that is now read begins, its quotes included */
};

/* Past the quoted string or the comment that begins here; the end where it has none. */
static size_t
end_of(const struct walk *w, char open)
{
	size_t depth = 0;

	for (size_t i = w->at; i < w->value.len; i++) {
		char c = w->value.s[i];

		if (c == '\\')
			i++;
		else if (open == '"' && c == '"' && i > w->at)
			return i + 1;
		else if (open == '(' && c == '(')
			depth++;
		else if (open == '(' && c == ')' && --depth == 0)
			return i + 1;
	}
	return w->value.len;
}

static bool
is_delimiter(char c)
{
	return c == '\0' || strchr(" \t\r\n<>,;:()[]\"@", c) != NULL;
}

/* True if an address may end here: what has an "@" within a name is left alone. */
static bool
ends_address(struct view value, size_t at)
{
	while (at < value.len && strchr(" \t\r\n", value.s[at]) != NULL && value.s[at] != '\0')
		at++;
	return at == value.len || (value.s[at] != '\0' && strchr(">,;(", value.s[at]) != NULL);
}

/* What follows an "@": as A-labels where the local part is ASCII, so that this is all that is needed. */
static int
take_domain(struct walk *w, size_t local_end)
{
	char ascii[MAIL_DOMAIN_MAX + 1];
	size_t start = w->at, n;

	while (w->at < w->value.len && !is_delimiter(w->value.s[w->at]))
		w->at++;
	n = w->at - start;
	if (is_ascii(w->value.s + start, n) ||
	    !is_ascii(w->value.s + w->token, local_end - w->token) ||
	    !ends_address(w->value, w->at) ||
	    mail_idn_ascii(w->value.s + start, n, ascii, sizeof ascii, NULL) < 0)
		return buf_add(w->out, w->value.s + start, n);
	return buf_adds(w->out, ascii);
}

static int
take_value(struct walk *w)
{
	while (w->at < w->value.len) {
		size_t start = w->at;
		char c = w->value.s[start];

		if (c == '"' || c == '(')
			w->at = end_of(w, c);
		else
			w->at++;
		if (buf_add(w->out, w->value.s + start, w->at - start) < 0)
			return -1;
		if (c == '@') {
			if (take_domain(w, start) < 0)
				return -1;
			w->token = w->at;
		} else if (c != '"' && is_delimiter(c)) {
			w->token = w->at;
		}
	}
	return 0;
}

/* The whole header into out; -1 where it does not fit. */
static int
take_header(const struct mail_raw *raw, struct buf *out)
{
	struct view rest = buf_view(&raw->header);
	struct mail_field field;

	while (mail_field_next(&rest, &field) == 1) {
		struct walk w = { out, field.value, 0, 0 };
		size_t before = (size_t)(field.value.s - field.all.s);
		const char *end = field.value.s + field.value.len;

		if (!raw_field_has_addresses(&field) || is_ascii(field.value.s, field.value.len)) {
			if (buf_add(out, field.all.s, field.all.len) < 0)
				return -1;
			continue;
		}
		if (buf_add(out, field.all.s, before) < 0 || take_value(&w) < 0 ||
		    buf_add(out, end, field.all.len - (size_t)(end - field.all.s)) < 0)
			return -1;
	}
	return buf_add(out, rest.s, rest.len);
}

static bool
is_signed(const struct mail_raw *raw)
{
	struct view rest = buf_view(&raw->header);
	struct mail_field field;

	while (mail_field_next(&rest, &field) == 1)
		if (mail_field_is(&field, "DKIM-Signature"))
			return true;
	return false;
}

void
raw_header_ascii_domains(struct mail_raw *raw)
{
	struct buf out AUTO_BUF = BUF_INIT(MAIL_RAW_HEADER_MAX);

	if (is_ascii(raw->header.s, raw->header.len) || is_signed(raw) ||
	    take_header(raw, &out) < 0)
		return;
	buf_clear(&raw->header);
	buf_add(&raw->header, out.s, out.len);
}
