#include "smtp/hello.h"

#include <string.h>

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

static void
take_line(struct smtp_hello *hello, const char *line, size_t len)
{
	char text[512];

	if (len < 4 || memcmp(line, "250", 3) != 0)
		return;
	/* A new list replaces the old: what was offered before STARTTLS counts no more. */
	if (hello->n_lines == 0) {
		memset(&hello->caps, 0, sizeof(hello->caps));
		buf_clear(&hello->offers);
		return;
	}
	while (len > 4 && (line[len - 1] == '\n' || line[len - 1] == '\r'))
		len--;
	smtp_capabilities_add(&hello->caps, line + 4, len - 4);
	log_escape(text, sizeof(text), line + 4, len - 4);
	buf_addf(&hello->offers, "%s\n", text);
}

int
smtp_hello_line(struct smtp_hello *hello, const char *line, size_t len)
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
	if (hello->parser.reply.code == 220 && hello->n_replies > 1)
		hello->starttls = true;
	if (hello->parser.reply.code == 235)
		hello->authenticated = true;
	return 1;
}

const struct smtp_reply *
smtp_hello_refusal(const struct smtp_hello *hello)
{
	const struct smtp_reply_parser *p = &hello->parser;

	return p->done && p->reply.code >= 400 ? &p->reply : NULL;
}
