/* Raw mail on its way through, in pieces of any size (mail/raw.h): what comes out are whole lines. */
#include "fuzz.h"

#include "mail/raw.h"

static void
check_lines(const struct buf *out)
{
	FUZZ_CHECK(out->len >= 2 && memcmp(out->s + out->len - 2, "\r\n", 2) == 0);
	for (size_t i = 0; i < out->len; i++)
		FUZZ_CHECK((out->s[i] == '\r') ==
		    (i + 1 < out->len && out->s[i] != '\n' && out->s[i + 1] == '\n'));
}

FUZZ(bytes, n)
{
	unsigned char choice = fuzz_choice(&bytes, &n);
	size_t piece = choice & 2 ? (size_t)1 + fuzz_choice(&bytes, &n) : n + 1, at = 0;
	const struct mail_raw_options options = {
		.dot_ends = choice & 1,
		.from_addr = choice & 4 ? "a@b.example" : NULL,
		.from_name = "A B",
		.host = "host.example",
		.default_domain = choice & 8 ? "b.example" : NULL,
		.now = 1732170240000000,
	};
	AUTO_RAW struct mail_raw *raw = mail_raw_new(&options);
	AUTO_ADDRESSES struct mail_addresses to = MAIL_ADDRESSES_INIT;
	AUTO_BUF struct buf out = BUF_INIT((size_t)64 << 20);
	const struct mail_sink sink = { mail_sink_to_buf, &out };
	struct err err = ERR_INIT;
	int state = 0;

	for (; state == 0 && at < n; at += piece) {
		size_t length = n - at < piece ? n - at : piece;
		char *copy = fuzz_copy(bytes + at, length);

		state = mail_raw_feed(raw, copy, length, &err);
		free(copy);
	}
	if (state < 0 || (state == 0 && mail_raw_header_end(raw, &err) < 0))
		return;
	mail_raw_recipients(raw, &to, &err);
	state = mail_raw_start(raw, &sink, &err);
	for (; state == 0 && at < n; at += piece) {
		size_t length = n - at < piece ? n - at : piece;
		char *copy = fuzz_copy(bytes + at, length);

		state = mail_raw_feed(raw, copy, length, &err);
		free(copy);
	}
	if (state < 0 || mail_raw_end(raw, &err) < 0)
		return;
	FUZZ_CHECK(mail_raw_info(raw)->size == out.len);
	check_lines(&out);
}
