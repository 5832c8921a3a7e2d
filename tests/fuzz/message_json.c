/* A message as JSON (mail/message_json.h), checked, completed and composed: what comes out may be sent. */
#include "fuzz.h"

#include "base/json.h"
#include "mail/compose.h"
#include "mail/message_json.h"

static int
remote(void *arg, const struct mail_attachment *a, const char *boundary)
{
	(void)arg;
	(void)a;
	FUZZ_CHECK(*boundary != '\0');
	return 0;
}

static void
check_text(const struct buf *out)
{
	size_t start = 0;

	for (size_t i = 0; i < out->len; i++) {
		FUZZ_CHECK(out->s[i] != '\0');
		FUZZ_CHECK(out->s[i] != '\r' || out->s[i + 1] == '\n');
		if (out->s[i] != '\n')
			continue;
		FUZZ_CHECK(i > 0 && out->s[i - 1] == '\r' && i - 1 - start <= 998);
		start = i + 1;
	}
}

FUZZ(bytes, n)
{
	AUTO_FREE char *copy = fuzz_copy(bytes, n);
	AUTO_JSON struct json *object = json_parse(copy, n, 1, NULL);
	AUTO_MESSAGE struct mail_message m = MAIL_MESSAGE_INIT;
	AUTO_DELIVERY struct mail_delivery delivery = MAIL_DELIVERY_INIT;
	AUTO_FAULTS struct mail_faults faults = MAIL_FAULTS_INIT;
	AUTO_BUF struct buf out = BUF_INIT((size_t)64 << 20);
	const struct mail_sink sink = { mail_sink_to_buf, &out };
	const struct mail_json_options options = { .now = 1732170240000000 };
	const struct mail_compose_options how = { .now = 1732170240000000, .remote = remote };
	struct err err = ERR_INIT;

	if (object == NULL || json_kind(object) != JSON_OBJECT)
		return;
	if (mail_message_from_json(object, &options, &m, &delivery, &faults) < 0) {
		FUZZ_CHECK(faults.count > 0);
		return;
	}
	if (mail_message_complete(&m, "host.example", &err) < 0)
		return;
	FUZZ_CHECK(mail_compose(&m, &how, &sink, &err) == 0);
	check_text(&out);
}
