/* What a server says up to the login, line by line, and what it offers (smtp/hello.h, smtp/capabilities.h). */
#include "fuzz.h"

#include "base/utf8.h"
#include "smtp/hello.h"

FUZZ(bytes, n)
{
	struct smtp_hello hello;
	struct smtp_capabilities caps = { 0 };

	smtp_hello_init(&hello);
	while (n > 0) {
		const char *end = memchr(bytes, '\n', n);
		size_t length = end != NULL ? (size_t)(end - bytes) + 1 : n;
		char *line = fuzz_copy(bytes, length), *offer = fuzz_copy(bytes, length);
		int rc = smtp_hello_line(&hello, line, length);

		smtp_capabilities_add(&caps, offer, length);
		free(line);
		free(offer);
		FUZZ_CHECK(rc >= -1 && rc <= 1);
		if (rc < 0)
			break;
		if (smtp_hello_refusal(&hello) != NULL)
			FUZZ_CHECK(smtp_hello_refusal(&hello)->code >= 400);
		bytes += length;
		n -= length;
	}
	FUZZ_CHECK(utf8_valid(hello.offers.s, hello.offers.len));
	smtp_hello_release(&hello);
}
