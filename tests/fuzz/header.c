/* The fields of a header, read and decoded, and a text written as one (mail/header.h). */
#include "fuzz.h"

#include "base/utf8.h"
#include "mail/date.h"
#include "mail/header.h"

static void
read_fields(const char *bytes, size_t n)
{
	struct view rest = { bytes, n };
	struct mail_field field;
	int64_t date;

	while (mail_field_next(&rest, &field) == 1) {
		AUTO_BUF struct buf text = BUF_INIT(8 * n + 64);
		AUTO_FREE char *value = fuzz_text(field.value.s, field.value.len);

		FUZZ_CHECK(field.all.s >= bytes && field.all.len > 0);
		FUZZ_CHECK(rest.s == field.all.s + field.all.len);
		FUZZ_CHECK(rest.s + rest.len == bytes + n);
		if (mail_header_decode(&text, field.value.s, field.value.len) == 0)
			FUZZ_CHECK(utf8_valid(text.s, text.len));
		mail_date_parse(value, &date);
	}
}

/* What is written reads the same, but for blanks and for encoded words that were there. */
static void
write_text(const char *bytes, size_t n)
{
	AUTO_BUF struct buf field = BUF_INIT(16 * n + 256), again = BUF_INIT(16 * n + 256);
	size_t start = 0;

	if (mail_text_check(bytes, n, NULL) < 0)
		return;
	FUZZ_CHECK(mail_header_text(&field, "Subject", bytes, n) == 0);
	for (size_t i = 0; i < field.len; i++) {
		FUZZ_CHECK((unsigned char)field.s[i] < 0x80);
		if (field.s[i] != '\n')
			continue;
		FUZZ_CHECK(field.s[i - 1] == '\r' && i - 1 - start <= MAIL_LINE_MAX);
		FUZZ_CHECK(i + 1 == field.len || field.s[i + 1] == ' ' || field.s[i + 1] == '\t');
		start = i + 1;
	}
	FUZZ_CHECK(start == field.len);
	if (memmem(bytes, n, "=?", 2) != NULL || n == 0 || memchr(bytes, ' ', n) != NULL)
		return;
	FUZZ_CHECK(mail_header_decode(&again, field.s + 8, field.len - 8 - 2) == 0);
	FUZZ_CHECK(again.len == n && memcmp(again.s, bytes, n) == 0);
}

FUZZ(bytes, n)
{
	AUTO_FREE char *copy = fuzz_copy(bytes, n);

	read_fields(copy, n);
	write_text(copy, n);
}
