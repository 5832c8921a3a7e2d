#include "base/blake2b.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>

/* The name that programs linked with this library look for; it holds for all of ABI 23. */
#define LIBRARY "libsodium.so.23"

/* As declared in sodium.h: init(state, key, keylen, outlen), update(state, in, n), final(state, out, outlen). */
static struct {
	int (*init)(void *state, const unsigned char *key, size_t key_size, size_t size);
	int (*update)(void *state, const unsigned char *bytes, unsigned long long n);
	int (*final)(void *state, unsigned char *hash, size_t size);
	int ready;
} sodium;

static void
load(void)
{
	void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
	int (*begin)(void) = NULL;
	size_t (*size)(void) = NULL;

	if (library == NULL)
		return;
	begin = (int (*)(void))dlsym(library, "sodium_init");
	size = (size_t(*)(void))dlsym(library, "crypto_generichash_statebytes");
	sodium.init = (int (*)(void *, const unsigned char *, size_t, size_t))dlsym(library,
	    "crypto_generichash_init");
	sodium.update = (int (*)(void *, const unsigned char *, unsigned long long))dlsym(library,
	    "crypto_generichash_update");
	sodium.final =
	    (int (*)(void *, unsigned char *, size_t))dlsym(library, "crypto_generichash_final");
	/* Its init finds the fastest code for this processor. */
	sodium.ready = begin != NULL && size != NULL && sodium.init != NULL &&
	    sodium.update != NULL && sodium.final != NULL && begin() >= 0 &&
	    size() <= sizeof(struct blake2b);
}

int
blake2b_load(struct err *err)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, load);
	return sodium.ready ?
	    0 :
	    err_set(err, EX_OSFILE, LIBRARY " cannot be loaded: attachments are named by it");
}

void
blake2b_begin(struct blake2b *b)
{
	/* Whoever did not ask whether it is there has no way to hear that it is not. */
	if (!sodium.ready && blake2b_load(NULL) < 0)
		abort();
	sodium.init(b->state, NULL, 0, BLAKE2B_SIZE);
}

void
blake2b_add(struct blake2b *b, const void *bytes, size_t n)
{
	sodium.update(b->state, bytes, n);
}

void
blake2b_end(struct blake2b *b, char ret_text[BLAKE2B_TEXT_SIZE])
{
	static const char digits[] = "0123456789abcdef";
	unsigned char hash[BLAKE2B_SIZE];

	sodium.final(b->state, hash, sizeof hash);
	for (size_t i = 0; i < sizeof hash; i++) {
		ret_text[2 * i] = digits[hash[i] >> 4];
		ret_text[2 * i + 1] = digits[hash[i] & 15];
	}
	ret_text[BLAKE2B_TEXT_SIZE - 1] = '\0';
}

void
blake2b_text(const void *bytes, size_t n, char ret_text[BLAKE2B_TEXT_SIZE])
{
	struct blake2b b;

	blake2b_begin(&b);
	blake2b_add(&b, bytes, n);
	blake2b_end(&b, ret_text);
}
