#include "smtp/command.h"

#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

/* Longest local part and domain with the @ between (RFC 5321 section 4.5.3.1). */
enum { ADDRESS_MAX = 64 + 1 + 255, ENVID_MAX = 100, ORCPT_MAX = 500 };

bool
smtp_address_fits(const char *address, bool *ret_ascii)
{
	size_t len = strlen(address), i;
	bool quoted = false;
	unsigned char c;

	*ret_ascii = is_ascii(address, len);
	if (len == 0 || len > ADDRESS_MAX || (!*ret_ascii && !utf8_valid(address, len)))
		return false;
	for (i = 0; i < len; i++) {
		c = (unsigned char)address[i];
		if (c < 0x20 || c == 0x7f)
			return false;
		/* C1 controls, as UTF-8 */
		if (c == 0xc2 && (unsigned char)address[i + 1] < 0xa0)
			return false;
		if (quoted && c == '\\') {
			c = (unsigned char)address[++i];
			if (c < 0x20 || c > 0x7e)
				return false;
		} else if (c == '"') {
			quoted = !quoted;
		} else if (!quoted && (c == ' ' || c == '<' || c == '>')) {
			return false;
		}
	}
	return !quoted;
}

/* xtext of RFC 3461 section 4. */
static void
add_xtext(struct buf *out, const char *text)
{
	static const char hex[] = "0123456789ABCDEF";
	unsigned char c;

	for (; (c = (unsigned char)*text) != '\0'; text++) {
		if (c > ' ' && c < 0x7f && c != '+' && c != '=') {
			buf_addc(out, (char)c);
		} else {
			buf_addc(out, '+');
			buf_addc(out, hex[c >> 4]);
			buf_addc(out, hex[c & 15]);
		}
	}
}

void
smtp_command_mail(struct buf *out, const struct smtp_job *job, bool utf8,
    const struct smtp_capabilities *caps)
{
	buf_adds(out, "MAIL FROM:<");
	buf_adds(out, job->sender);
	buf_addc(out, '>');
	if (caps->size)
		buf_addf(out, " SIZE=%llu", (unsigned long long)job->length);
	if ((job->flags & SMTP_JOB_8BIT) != 0 && caps->eight_bit)
		buf_adds(out, " BODY=8BITMIME");
	if (utf8)
		buf_adds(out, " SMTPUTF8");
	if (caps->dsn) {
		if ((job->flags & SMTP_JOB_RET_FULL) != 0)
			buf_adds(out, " RET=FULL");
		else if ((job->flags & SMTP_JOB_RET_HDRS) != 0)
			buf_adds(out, " RET=HDRS");
		if (job->envid != NULL && job->envid[0] != '\0' &&
		    strlen(job->envid) <= ENVID_MAX) {
			buf_adds(out, " ENVID=");
			add_xtext(out, job->envid);
		}
	}
	buf_adds(out, "\r\n");
}

static void
add_notify(struct buf *out, unsigned notify)
{
	static const struct {
		unsigned bit;
		const char *name;
	} words[] = {
		{ SMTP_NOTIFY_SUCCESS, "SUCCESS" },
		{ SMTP_NOTIFY_FAILURE, "FAILURE" },
		{ SMTP_NOTIFY_DELAY, "DELAY" },
	};
	const char *before = " NOTIFY=";
	size_t i;

	/* NEVER stands alone (RFC 3461 section 4.1). */
	if ((notify & SMTP_NOTIFY_NEVER) != 0) {
		buf_adds(out, " NOTIFY=NEVER");
		return;
	}
	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if ((notify & words[i].bit) == 0)
			continue;
		buf_adds(out, before);
		buf_adds(out, words[i].name);
		before = ",";
	}
}

/* An atom before the ';' of ORCPT: letters, digits, hyphens. */
static size_t
address_type(const char *orcpt)
{
	size_t n = strspn(orcpt, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-");

	return orcpt[n] == ';' ? n : 0;
}

void
smtp_command_rcpt(struct buf *out, const struct smtp_recipient *recipient,
    const struct smtp_capabilities *caps)
{
	const char *orcpt = recipient->orcpt;
	size_t type;

	buf_adds(out, "RCPT TO:<");
	buf_adds(out, recipient->address);
	buf_addc(out, '>');
	if (caps->dsn) {
		add_notify(out, recipient->notify);
		/* An address with UTF-8 would need RFC 6533's own type: it is left out. */
		if (orcpt != NULL && strlen(orcpt) <= ORCPT_MAX && is_ascii(orcpt, strlen(orcpt)) &&
		    (type = address_type(orcpt)) > 0) {
			buf_adds(out, " ORCPT=");
			buf_add(out, orcpt, type + 1);
			add_xtext(out, orcpt + type + 1);
		}
	}
	buf_adds(out, "\r\n");
}
