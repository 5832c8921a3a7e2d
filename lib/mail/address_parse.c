#include <stdint.h>
#include <string.h>

#include "base/utf8.h"
#include "mail/address.h"
#include "mail/address_spec.h"
#include "mail/header.h"

#define NAME_MAX_BYTES 1000

/* Where the parser stands.  The input is a view; no recursion: comments and groups are counted. */
struct parser {
	const char *s;
	size_t len;
	size_t at;
	const char *default_domain;
	int flags;
	struct err *err;
	struct view comment; /* the last one passed over, without its parentheses */
};

static char
peek(const struct parser *p)
{
	return p->at < p->len ? p->s[p->at] : '\0';
}

static int
fail(const struct parser *p, const char *what)
{
	return err_set(p->err, EX_DATAERR, "%s at byte %zu", what, p->at + 1);
}

static int
fail_here(const struct parser *p, const char *expected)
{
	char c = peek(p);

	if (p->at >= p->len)
		return err_set(p->err, EX_DATAERR, "expected %s at the end", expected);
	if ((unsigned char)c < 0x20 || (unsigned char)c == 0x7f)
		return fail(p, c == '\n' || c == '\r' ? "line break" : "control character");
	if ((unsigned char)c >= 0x80)
		return err_set(p->err, EX_DATAERR, "expected %s at byte %zu", expected, p->at + 1);
	return err_set(p->err, EX_DATAERR, "unexpected '%c' at byte %zu (expected %s)", c,
	    p->at + 1, expected);
}

/* Past the end of the quoted string or comment (which nests) that starts at `at`; 0 where it has
 * no end. */
static size_t
end_of_quoted(const struct parser *p, size_t at)
{
	for (at++; at < p->len; at++) {
		if (p->s[at] == '"')
			return at + 1;
		if (p->s[at] == '\\')
			at++;
	}
	return 0;
}

static size_t
end_of_comment(const struct parser *p, size_t at)
{
	size_t depth = 0;

	for (; at < p->len; at++) {
		if (p->s[at] == '\\')
			at++;
		else if (p->s[at] == '(')
			depth++;
		else if (p->s[at] == ')' && --depth == 0)
			return at + 1;
	}
	return 0;
}

/* Comments and folding white space (RFC 5322 section 3.2.2). */
static int
skip_blank(struct parser *p)
{
	for (; p->at < p->len; p->at++) {
		if (peek(p) == '(') {
			size_t end = end_of_comment(p, p->at);

			if (end == 0)
				return fail(p, "a comment without its ')' begins");
			p->comment = (struct view){ p->s + p->at + 1, end - p->at - 2 };
			p->at = end - 1;
		} else if (peek(p) != ' ' && peek(p) != '\t') {
			break;
		}
	}
	return 0;
}

/*
 * What the next element of the list is: '<' for one with an angle address, ':' for the head of a
 * group, 0 for anything else; and where that character stands.
 */
static char
element_kind(const struct parser *p, size_t *ret_at)
{
	for (size_t at = p->at; at < p->len; at++) {
		size_t end = at + 1;

		switch (p->s[at]) {
		case '"':
			end = end_of_quoted(p, at);
			break;
		case '(':
			end = end_of_comment(p, at);
			break;
		case '[': /* an IPv6 literal, or "[List] Name <a@b>" */
			while (end < p->len && strchr("[]<>,\"", p->s[end]) == NULL)
				end++;
			end = end < p->len && p->s[end] == ']' ? end + 1 : at + 1;
			break;
		case '<':
		case ':':
			*ret_at = at;
			return p->s[at];
		case ',':
		case ';':
			return 0;
		default:
			break;
		}
		if (end == 0)
			return 0;
		at = end - 1;
	}
	return 0;
}

/* A quoted string, appended without its quotes and backslashes. */
static int
take_quoted(struct parser *p, struct buf *out)
{
	size_t end = end_of_quoted(p, p->at);

	if (end == 0)
		return fail(p, "a quoted string without its end begins");
	for (size_t i = p->at + 1; i < end - 1; i++) {
		if (p->s[i] == '\\')
			i++;
		if (buf_addc(out, p->s[i]) < 0)
			return fail(p, "too long a quoted string");
	}
	p->at = end;
	return 0;
}

/* Words of a name outside quotes: blanks collapsed, encoded words decoded (RFC 2047 section 5). */
static int
take_plain_name(struct parser *p, struct buf *out, size_t end)
{
	size_t start = p->at;
	struct buf words AUTO_BUF = BUF_INIT(NAME_MAX_BYTES);

	while (p->at < end && peek(p) != '"' && peek(p) != '(')
		p->at++;
	if (memmem(p->s + start, p->at - start, "=?", 2) != NULL) {
		if (out->len > 0 && p->s[start] == ' ' && buf_addc(out, ' ') < 0)
			return -1;
		if (mail_header_decode(&words, p->s + start, p->at - start) < 0 ||
		    buf_add(out, words.s, words.len) < 0)
			return -1;
		return 0;
	}
	for (size_t i = start; i < p->at; i++) {
		bool blank = p->s[i] == ' ' || p->s[i] == '\t';

		if (blank && (out->len == 0 || out->s[out->len - 1] == ' '))
			continue;
		if (buf_addc(out, blank ? ' ' : p->s[i]) < 0)
			return -1;
	}
	return 0;
}

/* The display name that stands before the '<' at `end`; empty where there is none. */
static int
take_name(struct parser *p, size_t end, struct buf *out)
{
	while (p->at < end) {
		int rc = 0;

		if (peek(p) == '"')
			rc = take_quoted(p, out);
		else if (peek(p) == '(')
			rc = skip_blank(p);
		else
			rc = take_plain_name(p, out, end);
		if (rc < 0 && (p->flags & MAIL_ADDRESS_NO_NAME) == 0)
			return err_set(p->err, EX_DATAERR, "the name is over %d bytes",
			    NAME_MAX_BYTES);
		if (rc < 0)
			break;
	}
	p->at = end;
	while (out->len > 0 && out->s[out->len - 1] == ' ')
		buf_truncate(out, out->len - 1);
	return 0;
}

/* word *("." word), where blanks around the dots are obsolete but seen. */
static int
take_local(struct parser *p, struct buf *out)
{
	bool word = false;

	for (;;) {
		size_t before = p->at;

		if (skip_blank(p) < 0)
			return -1;
		if (peek(p) == '.' && p->at < p->len) {
			if (!word)
				return fail_here(p, "a letter");
			word = false;
			p->at++;
			if (buf_addc(out, '.') < 0)
				return fail(p, "too long an address");
		} else if (peek(p) == '"' || mail_is_atext(peek(p))) {
			if (word)
				return p->at > before ?
				    fail(p, "a space outside quotes before the word") :
				    fail_here(p, "'@'");
			word = true;
			if (peek(p) == '"') {
				if (take_quoted(p, out) < 0)
					return -1;
				continue;
			}
			while (mail_is_atext(peek(p)))
				if (buf_addc(out, p->s[p->at++]) < 0)
					return fail(p, "too long an address");
		} else {
			return word ? 0 : fail_here(p, "an address");
		}
	}
}

static int
take_domain(struct parser *p, struct buf *out)
{
	if (skip_blank(p) < 0)
		return -1;
	if (peek(p) == '[') {
		const char *end = memchr(p->s + p->at, ']', p->len - p->at);

		if (end == NULL)
			return fail(p, "an address literal without its ']' begins");
		if (buf_add(out, p->s + p->at, (size_t)(end + 1 - p->s) - p->at) < 0)
			return fail(p, "too long a domain");
		p->at = (size_t)(end + 1 - p->s);
		return 0;
	}
	for (;;) {
		size_t start = p->at;

		while (mail_is_atext(peek(p)))
			p->at++;
		if (p->at == start)
			return fail_here(p, "a domain");
		if (buf_add(out, p->s + start, p->at - start) < 0)
			return fail(p, "too long a domain");
		start = p->at;
		if (skip_blank(p) < 0)
			return -1;
		if (peek(p) != '.')
			return 0;
		p->at++;
		if (buf_addc(out, '.') < 0 || skip_blank(p) < 0)
			return fail(p, "too long a domain");
	}
}

/* local@domain, or a local part that the default domain completes. */
static int
take_spec(struct parser *p, struct mail_address *ret_address)
{
	struct buf local AUTO_BUF = BUF_INIT(4 * MAIL_ADDRESS_MAX);
	struct buf domain AUTO_BUF = BUF_INIT(4 * MAIL_ADDRESS_MAX);

	if (take_local(p, &local) < 0 || skip_blank(p) < 0)
		return -1;
	if (peek(p) == '@') {
		p->at++;
		if (take_domain(p, &domain) < 0)
			return -1;
		return mail_spec_make(buf_view(&local), buf_view(&domain), ret_address, p->err);
	}
	if (p->default_domain == NULL)
		return fail_here(p, "'@' and a domain");
	if (local.s[0] == '-' && (p->flags & MAIL_ADDRESS_DASH) == 0)
		return err_set(p->err, EX_DATAERR,
		    "\"%.80s\" begins with \"-\" and has no domain: an option, and no address",
		    local.s);
	return mail_spec_make(buf_view(&local), view_str(p->default_domain), ret_address, p->err);
}

/* "<a@b>", "<@relay,@relay:a@b>", "<>", from its '<' on. */
static int
take_angle(struct parser *p, struct mail_address *ret_address)
{
	p->at++;
	if (skip_blank(p) < 0)
		return -1;
	if (peek(p) == '>' && (p->flags & MAIL_ADDRESS_NULL_OK) != 0) {
		ret_address->addr = xstrdup("");
	} else {
		if (peek(p) == '@') { /* an obsolete route, to be ignored (RFC 5321, appendix C) */
			while (p->at < p->len && strchr(":>", peek(p)) == NULL)
				p->at++;
			if (peek(p) != ':')
				return fail_here(p, "':' after the route");
			p->at++;
		}
		if (take_spec(p, ret_address) < 0 || skip_blank(p) < 0)
			return -1;
	}
	if (peek(p) != '>')
		return fail_here(p, "'>'");
	p->at++;
	return 0;
}

/* Keeps a name, if names are wanted and there is one. */
static int
set_name(struct parser *p, struct mail_address *address, const char *name, size_t len)
{
	if (len == 0 || (p->flags & MAIL_ADDRESS_NO_NAME) != 0)
		return 0;
	if (mail_text_check(name, len, p->err) < 0)
		return err_prefix(p->err, "the name");
	address->name = xstrndup(name, len);
	return 0;
}

/* One mailbox and the blanks behind it. */
static int
take_mailbox(struct parser *p, struct mail_address *ret_address)
{
	struct buf name AUTO_BUF = BUF_INIT(NAME_MAX_BYTES);
	struct mail_address found AUTO_ADDRESS = MAIL_ADDRESS_INIT;
	size_t end = 0;
	bool angle = element_kind(p, &end) == '<';

	p->comment = (struct view){ NULL, 0 };
	if (angle && (take_name(p, end, &name) < 0 || take_angle(p, &found) < 0))
		return -1;
	if (!angle && take_spec(p, &found) < 0)
		return -1;
	if (skip_blank(p) < 0)
		return -1;
	/* "a@b (Name)", as programs wrote it before there were names */
	if (!angle && p->comment.s != NULL && p->comment.len <= NAME_MAX_BYTES) {
		if (mail_header_decode(&name, p->comment.s, p->comment.len) < 0)
			buf_clear(&name);
	}
	if (set_name(p, &found, name.s, name.len) < 0)
		return -1;
	*ret_address = found;
	found = (struct mail_address)MAIL_ADDRESS_INIT;
	return 0;
}

/* Says which address of a list it was. */
static int
name_element(const struct parser *p, size_t start)
{
	size_t len = p->len - start;
	const char *comma = memchr(p->s + start, ',', len), *more = "";

	if (comma != NULL && comma > p->s + start)
		len = (size_t)(comma - p->s) - start;
	if (len > 80) {
		for (len = 80; len > 70 && ((unsigned char)p->s[start + len] & 0xc0) == 0x80;)
			len--;
		more = "...";
	}
	return err_prefix(p->err, "\"%.*s%s\"", (int)len, p->s + start, more);
}

static int
take_list(struct parser *p, struct mail_addresses *list)
{
	bool group = false;

	while (skip_blank(p) == 0) {
		struct mail_address found AUTO_ADDRESS = MAIL_ADDRESS_INIT;
		size_t start = p->at, colon;

		if (p->at == p->len && !group)
			return 0;
		if (p->at == p->len)
			return fail(p, "the end of a group, ';', is missing");
		if (peek(p) == ',' || (peek(p) == ';' && group)) {
			group = group && peek(p) != ';';
			p->at++;
			continue;
		}
		if (!group && element_kind(p, &colon) == ':') {
			p->at = colon + 1;
			group = true;
			continue;
		}
		if (take_mailbox(p, &found) < 0)
			return name_element(p, start);
		if (p->at < p->len && peek(p) != ',' && !(group && peek(p) == ';')) {
			fail_here(p, group ? "',' or ';'" : "','");
			return name_element(p, start);
		}
		if (list->count >= MAIL_ADDRESS_LIST_MAX)
			return err_set(p->err, EX_DATAERR, "more than %d addresses",
			    MAIL_ADDRESS_LIST_MAX);
		mail_addresses_add(list, &found);
	}
	return -1;
}

/* The checks that hold for the whole text, names and comments included. */
static int
check_text(const struct parser *p)
{
	if ((p->flags & MAIL_ADDRESS_NO_NAME) != 0)
		return 0;
	if (mail_text_check(p->s, p->len, p->err) < 0)
		return -1;
	return 0;
}

int
mail_addresses_parse(struct mail_addresses *list, const char *text, size_t len,
    const char *default_domain, int flags, struct err *err)
{
	struct parser p = { text, len, 0, default_domain, flags, err, { NULL, 0 } };
	size_t count = list->count;

	if (check_text(&p) == 0 && take_list(&p, list) == 0)
		return 0;
	while (list->count > count)
		mail_address_release(&list->at[--list->count]);
	return -1;
}

int
mail_address_parse(const char *text, size_t len, const char *default_domain, int flags,
    struct mail_address *ret_address, struct err *err)
{
	struct parser p = { text, len, 0, default_domain, flags, err, { NULL, 0 } };
	struct mail_address found AUTO_ADDRESS = MAIL_ADDRESS_INIT;

	if (check_text(&p) < 0 || skip_blank(&p) < 0)
		return -1;
	if (p.at == p.len) {
		if ((flags & MAIL_ADDRESS_NULL_OK) == 0)
			return err_set(err, EX_DATAERR, "expected an address, found nothing");
		found.addr = xstrdup("");
	} else if (take_mailbox(&p, &found) < 0) {
		return name_element(&p, 0);
	} else if (p.at < p.len) {
		fail_here(&p, "one address alone");
		return name_element(&p, 0);
	}
	*ret_address = found;
	found = (struct mail_address)MAIL_ADDRESS_INIT;
	return 0;
}
