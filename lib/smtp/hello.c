#include "smtp/hello.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/log.h"

enum { OFFERS_MAX = 8 * 1024 };

void
smtp_hello_init(struct smtp_hello *hello)
{
	memset(hello, 0, sizeof(*hello));
	smtp_reply_parser_init(&hello->parser);
	buf_init(&hello->offers, OFFERS_MAX);
}

void
smtp_hello_release(struct smtp_hello *hello)
{
	buf_release(&hello->offers);
}

static bool
begins_with(const char *text, size_t len, const char *word)
{
	size_t n = strlen(word);

	return len >= n && strncasecmp(text, word, n) == 0 &&
	    (len == n || text[n] == ' ' || text[n] == '\t' || text[n] == '=');
}

/* Brings an offer of STARTTLS or AUTH, of len bytes without its line end, into the form that libcurl
 * knows.  "AUTH=PLAIN" is how servers wrote it before RFC 2554, and some still do. */
static void
spell_out(char *text, size_t len)
{
	size_t blanks = 0, i;

	while (blanks < len && (text[blanks] == ' ' || text[blanks] == '\t'))
		blanks++;
	if (!begins_with(text + blanks, len - blanks, "STARTTLS") &&
	    !begins_with(text + blanks, len - blanks, "AUTH"))
		return;
	memmove(text, text + blanks, len - blanks);
	memset(text + len - blanks, ' ', blanks);
	for (i = 0; i < len; i++)
		text[i] = (char)toupper((unsigned char)text[i]);
	if (len > 4 && memcmp(text, "AUTH", 4) == 0)
		text[4] = ' ';
}

/* A line of the list that answers EHLO, without its line end and behind its code. */
static void
take_offer(struct smtp_hello *hello, char *text, size_t len)
{
	char shown[512];

	spell_out(text, len);
	/* A new list replaces the old: what was offered before STARTTLS counts no more.  Its first line
	 * names the server; libcurl takes a STARTTLS there for an offer, and so it is one. */
	if (hello->n_lines == 0) {
		memset(&hello->caps, 0, sizeof(hello->caps));
		buf_clear(&hello->offers);
		if (!begins_with(text, len, "STARTTLS"))
			return;
	}
	smtp_capabilities_add(&hello->caps, text, len);
	log_escape(shown, sizeof(shown), text, len);
	buf_addf(&hello->offers, "%s\n", shown);
	if (hello->caps.starttls && !hello->starttls)
		hello->offered_tls = true;
}

static void
take_line(struct smtp_hello *hello, char *line, size_t len)
{
	while (len > 0 && (line[len - 1] == '\n' || line[len - 1] == '\r'))
		len--;
	if (hello->step == SMTP_HELLO_EHLO && len >= 3 && line[0] == '2')
		take_offer(hello, line + (len > 3 ? 4 : 3), len > 3 ? len - 4 : 0);
}

/* What follows a reply, as libcurl goes on after it. */
static void
take_reply(struct smtp_hello *hello, int code)
{
	hello->answered = hello->step;
	switch (hello->step) {
	case SMTP_HELLO_GREETING:
		hello->step = SMTP_HELLO_EHLO;
		break;
	case SMTP_HELLO_EHLO:
		hello->step = code / 100 == 2 ? SMTP_HELLO_LOGIN : SMTP_HELLO_HELO;
		hello->n_logins = 0;
		break;
	case SMTP_HELLO_HELO:
		hello->step = SMTP_HELLO_LOGIN;
		break;
	case SMTP_HELLO_LOGIN:
		hello->n_logins++;
		if (code == 220 && !hello->starttls) {
			hello->starttls = true;
			hello->step = SMTP_HELLO_EHLO;
		}
		if (code == 235)
			hello->authenticated = true;
		break;
	}
}

int
smtp_hello_line(struct smtp_hello *hello, char *line, size_t len)
{
	size_t used;
	int result;

	take_line(hello, line, len);
	result = smtp_reply_feed(&hello->parser, line, len, &used);
	hello->n_lines++;
	if (result <= 0)
		return result;
	hello->n_lines = 0;
	hello->n_replies++;
	take_reply(hello, hello->parser.reply.code);
	return 1;
}

const struct smtp_reply *
smtp_hello_refusal(const struct smtp_hello *hello)
{
	const struct smtp_reply_parser *p = &hello->parser;

	return p->done && p->reply.code >= 400 ? &p->reply : NULL;
}
