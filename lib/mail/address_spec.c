#include "mail/address_spec.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#include "base/utf8.h"
#include "mail/header.h"
#include "mail/idn.h"

bool
mail_is_atext(char c)
{
	if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))
		return true;
	return (unsigned char)c >= 0x80 || (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

/* A dot-atom needs no quotes. */
static bool
is_dot_atom(struct view local)
{
	for (size_t i = 0; i < local.len; i++) {
		bool inner = i > 0 && i + 1 < local.len && local.s[i - 1] != '.';

		if (local.s[i] == '.' ? !inner : !mail_is_atext(local.s[i]))
			return false;
	}
	return local.len > 0;
}

static int
add_local(struct buf *out, struct view local, struct err *err)
{
	if (local.len == 0)
		return err_set(err, EX_DATAERR, "nothing before the '@'");
	if (mail_text_check(local.s, local.len, err) < 0)
		return -1;
	if (is_dot_atom(local)) {
		if (buf_add(out, local.s, local.len) < 0)
			return -1;
	} else {
		if (buf_addc(out, '"') < 0)
			return -1;
		for (size_t i = 0; i < local.len; i++) {
			char c = local.s[i];

			if ((c == '"' || c == '\\') && buf_addc(out, '\\') < 0)
				return -1;
			if (buf_addc(out, c) < 0)
				return -1;
		}
		if (buf_addc(out, '"') < 0)
			return -1;
	}
	return out->len <= MAIL_LOCAL_MAX ? 0 : -1;
}

/* "[1.2.3.4]" and "[IPv6:...]" (RFC 5321 section 4.1.3). */
static int
check_literal(struct view domain, struct err *err)
{
	char text[INET6_ADDRSTRLEN + 8];
	struct in6_addr address;
	size_t n = domain.len - 2;
	int known = 0;

	if (domain.len >= 2 && domain.s[domain.len - 1] == ']' && n < sizeof text) {
		memcpy(text, domain.s + 1, n);
		text[n] = '\0';
		if (strncasecmp(text, "IPv6:", 5) == 0)
			known = inet_pton(AF_INET6, text + 5, &address);
		else
			known = inet_pton(AF_INET, text, &address);
	}
	if (known != 1)
		return err_set(err, EX_DATAERR,
		    "\"%.*s\" is not an address literal ([1.2.3.4] or [IPv6:2001:db8::1])",
		    (int)(domain.len < 80 ? domain.len : 80), domain.s);
	return 0;
}

/* One label: letters, digits and hyphens, none at its ends.  The underscore is no part of the
 * standard, but hosts with it receive mail. */
static int
check_label(const char *label, size_t len, struct err *err)
{
	if (len == 0)
		return err_set(err, EX_DATAERR, "an empty label in the domain");
	if (len > 63)
		return err_set(err, EX_DATAERR, "a label over 63 bytes in the domain");
	if (label[0] == '-' || label[len - 1] == '-')
		return err_set(err, EX_DATAERR, "a '-' at the end of a label in the domain");
	for (size_t i = 0; i < len; i++) {
		char c = label[i];

		if (!(c == '-' || c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			(c >= '0' && c <= '9')))
			return err_set(err, EX_DATAERR, "'%c' in the domain", c);
	}
	return 0;
}

static int
check_domain(const char *domain, size_t len, struct err *err)
{
	bool digits_only = true;
	size_t start = 0;

	if (len == 0)
		return err_set(err, EX_DATAERR, "nothing after the '@'");
	if (len > MAIL_DOMAIN_MAX)
		return err_set(err, EX_DATAERR, "the domain is over %d bytes", MAIL_DOMAIN_MAX);
	for (size_t i = 0; i <= len; i++) {
		if (i < len && domain[i] != '.') {
			digits_only = digits_only && domain[i] >= '0' && domain[i] <= '9';
			continue;
		}
		if (check_label(domain + start, i - start, err) < 0)
			return -1;
		start = i + 1;
	}
	if (digits_only)
		return err_set(err, EX_DATAERR,
		    "the domain is a number (an address literal is written [1.2.3.4])");
	return 0;
}

static int
add_domain(struct buf *out, struct view domain, struct err *err)
{
	char ascii[MAIL_DOMAIN_MAX + 1];

	if (domain.len > 0 && domain.s[0] == '[') {
		if (check_literal(domain, err) < 0)
			return -1;
	} else if (!is_ascii(domain.s, domain.len)) {
		if (mail_idn_ascii(domain.s, domain.len, ascii, sizeof ascii, err) < 0)
			return -1;
		domain = view_str(ascii);
	}
	if (domain.len == 0 || domain.s[0] != '[')
		if (check_domain(domain.s, domain.len, err) < 0)
			return -1;
	return buf_add(out, domain.s, domain.len);
}

int
mail_spec_make(struct view local, struct view domain, struct mail_address *ret_address,
    struct err *err)
{
	struct buf out AUTO_BUF = BUF_INIT(MAIL_LOCAL_MAX + 2 + MAIL_DOMAIN_MAX);
	struct err fault = ERR_INIT;

	if (add_local(&out, local, &fault) < 0) {
		if (fault.code == 0)
			err_set(&fault, EX_DATAERR, "the part before the '@' is over %d bytes",
			    MAIL_LOCAL_MAX);
	} else if (buf_addc(&out, '@') == 0 && add_domain(&out, domain, &fault) == 0 &&
	    out.len > MAIL_ADDRESS_MAX) {
		err_set(&fault, EX_DATAERR, "the address is over %d bytes", MAIL_ADDRESS_MAX);
	}
	if (fault.code != 0) {
		if (err != NULL)
			*err = fault;
		return -1;
	}
	ret_address->addr = xstrndup(out.s, out.len);
	ret_address->utf8 = !is_ascii(out.s, out.len);
	return 0;
}
