/* The only file that includes sodium.h. */
#include "base/digest.h"

#include <sodium.h>
#include <stdint.h>
#include <string.h>

#include "base/buf.h"

_Static_assert(DIGEST_SIZE == crypto_hash_sha256_BYTES, "the size of a SHA-256");

void
digest_sha256(const void *bytes, size_t n, unsigned char ret[DIGEST_SIZE])
{
	crypto_hash_sha256(ret, bytes, n);
}

void
digest_texts(const char *const *texts, size_t n, unsigned char ret[DIGEST_SIZE])
{
	crypto_hash_sha256_state state;

	crypto_hash_sha256_init(&state);
	for (size_t i = 0; i < n; i++) {
		uint64_t len = strlen(texts[i]);
		unsigned char prefix[8];

		for (size_t k = 0; k < sizeof prefix; k++)
			prefix[k] = (unsigned char)(len >> (8 * k));
		crypto_hash_sha256_update(&state, prefix, sizeof prefix);
		crypto_hash_sha256_update(&state, (const unsigned char *)texts[i], len);
	}
	crypto_hash_sha256_final(&state, ret);
}

struct digest {
	crypto_hash_sha256_state state;
};

struct digest *
digest_begin(void)
{
	struct digest *d = xcalloc(1, sizeof *d);

	crypto_hash_sha256_init(&d->state);
	return d;
}

void
digest_add(struct digest *d, const void *bytes, size_t n)
{
	crypto_hash_sha256_update(&d->state, bytes, n);
}

void
digest_end(struct digest **d, unsigned char ret[DIGEST_SIZE])
{
	if (*d != NULL && ret != NULL)
		crypto_hash_sha256_final(&(*d)->state, ret);
	free(*d);
	*d = NULL;
}

void
digest_hmac(const void *key, size_t key_len, const void *bytes, size_t n,
    unsigned char ret[DIGEST_SIZE])
{
	crypto_auth_hmacsha256_state state;

	crypto_auth_hmacsha256_init(&state, key, key_len);
	crypto_auth_hmacsha256_update(&state, bytes, n);
	crypto_auth_hmacsha256_final(&state, ret);
	sodium_memzero(&state, sizeof state);
}

char *
digest_text(const unsigned char digest[DIGEST_SIZE], char ret[DIGEST_TEXT_SIZE])
{
	return sodium_bin2hex(ret, DIGEST_TEXT_SIZE, digest, DIGEST_SIZE);
}

int
digest_parse(const char *text, unsigned char ret[DIGEST_SIZE])
{
	size_t n;

	if (strlen(text) != 2 * DIGEST_SIZE ||
	    sodium_hex2bin(ret, DIGEST_SIZE, text, strlen(text), NULL, &n, NULL) != 0)
		return -1;
	return n == DIGEST_SIZE ? 0 : -1;
}

bool
digest_equal(const unsigned char a[DIGEST_SIZE], const unsigned char b[DIGEST_SIZE])
{
	return sodium_memcmp(a, b, DIGEST_SIZE) == 0;
}
