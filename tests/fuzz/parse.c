/* A message that lies in a file, taken apart and shown (mail/parse.h). */
#include "fuzz.h"

#include "base/utf8.h"
#include "http/form.h"
#include "mail/parse.h"

FUZZ(bytes, n)
{
	static const char *const names[] = { "Subject", "From", "Date" };
	AUTO_PARSED struct mail_parsed mail = MAIL_PARSED_INIT;
	int fd = fuzz_file(bytes, n);

	FUZZ_CHECK(mail_parse(fd, n, form_parameter, &mail) == 0);
	FUZZ_CHECK(mail.count <= MAIL_PARSE_PARTS && mail.header.len <= MAIL_PARSE_HEADER);
	for (size_t i = 0; i < mail.count; i++) {
		const struct mail_parsed_part *part = &mail.parts[i];
		AUTO_BUF struct buf text = BUF_INIT((size_t)1 << 20),
				    content = BUF_INIT((size_t)1 << 20);
		const struct mail_sink sink = { mail_sink_to_buf, &content };

		FUZZ_CHECK(part->offset <= n && part->length <= n - part->offset);
		FUZZ_CHECK(utf8_valid(part->filename, strlen(part->filename)));
		FUZZ_CHECK(strchr(part->filename, '/') == NULL);
		FUZZ_CHECK(mail_part_decode(fd, part, 1000, &sink) >= 0);
		FUZZ_CHECK(content.len <= 1000);
		FUZZ_CHECK(mail_part_text(fd, part, 1000, &text) >= 0);
		FUZZ_CHECK(utf8_valid(text.s, text.len));
	}
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		AUTO_BUF struct buf value = BUF_INIT((size_t)2 << 20);

		if (mail_header_field(&mail.header, names[i], &value) == 1)
			FUZZ_CHECK(utf8_valid(value.s, value.len));
	}
}
