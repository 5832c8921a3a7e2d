/* URLs of attachments (mail/source.h): the host is a plain name or address, and the URL reads the same. */
#include "fuzz.h"

#include "mail/source.h"

FUZZ(bytes, n)
{
	AUTO_FREE char *url = fuzz_text(bytes, n);
	AUTO_BUF struct buf out = BUF_INIT(4 * MAIL_URL_MAX), again = BUF_INIT(4 * MAIL_URL_MAX),
			    name = BUF_INIT(n + 1), md5 = BUF_INIT(n + 1);
	struct err err = ERR_INIT;
	const char *host;

	mail_source_marked_name(url, &name, &md5);
	if (mail_source_url(url, &out, &err) < 0) {
		FUZZ_CHECK(err.code == EX_DATAERR);
		return;
	}
	host = strstr(out.s, "://") + 3;
	FUZZ_CHECK(strcspn(host, "/") > 0);
	for (const char *p = host; *p != '/'; p++)
		FUZZ_CHECK(*p != '\0' && strchr("@?#\\%\"<> ", *p) == NULL);
	for (const char *p = host; *p != '\0'; p++)
		FUZZ_CHECK(*p > ' ' && *p < 0x7f);
	if (out.len <= MAIL_URL_MAX) {
		FUZZ_CHECK(mail_source_url(out.s, &again, &err) == 0);
		FUZZ_CHECK(strcmp(out.s, again.s) == 0);
	}
}
