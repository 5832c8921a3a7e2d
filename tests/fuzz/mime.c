/* Base64 and the encodings of texts (mail/mime.h): in one piece and in several, there and back. */
#include "fuzz.h"

#include <errno.h>

#include "mail/mime.h"

static void
decode(const char *bytes, size_t n, size_t piece)
{
	AUTO_BUF struct buf whole = BUF_INIT(2 * n + 16), pieces = BUF_INIT(2 * n + 16);
	struct mail_base64_reader reader = { 0 };
	size_t fault = 0;
	int all = mail_base64_decode(&whole, bytes, n, &fault), rc = 0;

	for (size_t at = 0; rc == 0 && at < n; at += piece)
		rc =
		    mail_base64_read(&reader, bytes + at, n - at < piece ? n - at : piece, &pieces);
	if (rc == 0)
		rc = mail_base64_read_end(&reader);
	FUZZ_CHECK(all == rc);
	if (all == 0)
		FUZZ_CHECK(whole.len == pieces.len && memcmp(whole.s, pieces.s, whole.len) == 0);
	else
		FUZZ_CHECK(fault <= n);
}

static void
encode(const char *bytes, size_t n, size_t piece)
{
	AUTO_BUF struct buf text = BUF_INIT(2 * n + 16), again = BUF_INIT(2 * n + 16),
			    lines = BUF_INIT(2 * n + 16), from = BUF_INIT(2 * n + 16);
	const struct mail_sink sink = { mail_sink_to_buf, &lines };
	struct mail_base64 state = { .sink = &sink };
	size_t fault;

	FUZZ_CHECK(mail_base64_encode(&text, bytes, n) == 0);
	FUZZ_CHECK(mail_base64_decode(&again, text.s, text.len, &fault) == 0);
	FUZZ_CHECK(again.len == n && memcmp(again.s, bytes, n) == 0);
	for (size_t at = 0; at < n; at += piece)
		mail_base64_feed(&state, bytes + at, n - at < piece ? n - at : piece);
	FUZZ_CHECK(mail_base64_end(&state) == 0);
	FUZZ_CHECK(mail_base64_decode(&from, lines.s, lines.len, &fault) == 0);
	FUZZ_CHECK(from.len == n && memcmp(from.s, bytes, n) == 0);
}

FUZZ(bytes, n)
{
	size_t piece = 1 + fuzz_choice(&bytes, &n);
	AUTO_FREE char *copy = fuzz_copy(bytes, n);
	AUTO_BUF struct buf out = BUF_INIT(8 * n + 64);
	const struct mail_sink sink = { mail_sink_to_buf, &out };

	decode(copy, n, piece);
	encode(copy, n, piece);
	FUZZ_CHECK(mail_write_text(&sink, mail_encoding_for(copy, n), copy, n) == 0);
	for (size_t i = 0, start = 0; i < out.len; i++) {
		FUZZ_CHECK((unsigned char)out.s[i] < 0x80 && out.s[i] != '\0');
		if (out.s[i] != '\n')
			continue;
		FUZZ_CHECK(i > 0 && out.s[i - 1] == '\r' && i - 1 - start <= 998);
		start = i + 1;
	}
}
