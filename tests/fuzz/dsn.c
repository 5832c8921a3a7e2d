/* Reports of mail servers (mail/dsn.h): every text that is kept is one line of UTF-8. */
#include "fuzz.h"

#include "base/utf8.h"
#include "http/form.h"
#include "mail/dsn.h"

static void
check(const char *text)
{
	if (text == NULL)
		return;
	FUZZ_CHECK(strlen(text) <= MAIL_DSN_TEXT && utf8_valid(text, strlen(text)));
	for (; *text != '\0'; text++)
		FUZZ_CHECK((unsigned char)*text >= 0x20 && *text != 0x7f);
}

FUZZ(bytes, n)
{
	AUTO_DSN struct mail_dsn dsn = MAIL_DSN_INIT;
	AUTO_FREE char *text = fuzz_text(bytes, n);
	struct err err = ERR_INIT;

	free(mail_xtext_decode(text));
	if (mail_dsn_read(fuzz_file(bytes, n), n, form_parameter, &dsn, &err) < 0) {
		FUZZ_CHECK(err.code == EX_DATAERR && dsn.count == 0);
		return;
	}
	FUZZ_CHECK(dsn.count > 0 && dsn.count <= MAIL_DSN_RECIPIENTS);
	check(dsn.envelope_id);
	check(dsn.report_id);
	check(dsn.message_id);
	check(dsn.reporter);
	for (size_t i = 0; i < dsn.count; i++) {
		const struct mail_dsn_recipient *r = &dsn.recipients[i];

		FUZZ_CHECK(r->original != NULL || r->final != NULL);
		FUZZ_CHECK(r->code == 0 || (r->code >= 200 && r->code <= 599));
		check(r->original);
		check(r->final);
		check(r->reason);
		check(r->server);
		check(r->enhanced);
		mail_dsn_is_hard(r);
		mail_dsn_is_about(r, "a@b.example");
	}
}
