#include "base/digest.h"
#include "cmd/exchange/private.h"
#include "mail/mime.h"

void
exchange_sign(const struct exchange_keys *keys, const char *id, int64_t timestamp, struct view body,
    struct buf *out)
{
	AUTO_BUF struct buf content = BUF_INIT(body.len + 256);

	buf_addf(&content, "%s.%lld.", id, (long long)timestamp);
	buf_add(&content, body.s, body.len);
	for (size_t i = 0; i < keys->n; i++) {
		unsigned char digest[DIGEST_SIZE];

		digest_hmac(keys->v[i], keys->len[i], content.s, content.len, digest);
		buf_adds(out, i == 0 ? "v1," : " v1,");
		mail_base64_encode(out, digest, sizeof digest);
	}
}
