/* Replies of an SMTP server (smtp/reply.h): the same ones, however they are cut. */
#include "fuzz.h"

#include "base/buf.h"
#include "base/utf8.h"
#include "smtp/reply.h"

static void
feed(const char *bytes, size_t n, size_t piece, struct buf *out)
{
	struct smtp_reply_parser parser;
	char line[SMTP_REPLY_TEXT + 32];
	size_t at = 0;

	smtp_reply_parser_init(&parser);
	while (at < n) {
		size_t length = n - at < piece ? n - at : piece, used = 0;
		char *copy = fuzz_copy(bytes + at, length);
		int rc = smtp_reply_feed(&parser, copy, length, &used);

		free(copy);
		FUZZ_CHECK(used <= length);
		if (rc < 0) {
			buf_adds(out, "none\n");
			return;
		}
		FUZZ_CHECK(rc == 1 || used == length);
		at += used;
		if (rc == 0)
			continue;
		FUZZ_CHECK(parser.reply.code >= 200 && parser.reply.code <= 599);
		FUZZ_CHECK(utf8_valid(parser.reply.text, strlen(parser.reply.text)));
		buf_addf(out, "%s|%s\n", parser.reply.status,
		    smtp_reply_line(&parser.reply, line, sizeof line));
	}
}

FUZZ(bytes, n)
{
	size_t piece = 1 + fuzz_choice(&bytes, &n);
	AUTO_BUF struct buf whole = BUF_INIT((size_t)64 << 20), cut = BUF_INIT((size_t)64 << 20);

	feed(bytes, n, n + 1, &whole);
	feed(bytes, n, piece, &cut);
	FUZZ_CHECK(whole.len == cut.len && memcmp(whole.s, cut.s, whole.len) == 0);
}
