/* SHA-256 (FIPS 180-4), HMAC with it, and comparing secrets. */
#ifndef BASE_DIGEST_H
#define BASE_DIGEST_H

#include <stdbool.h>
#include <stddef.h>

#define DIGEST_SIZE 32
#define DIGEST_TEXT_SIZE (2 * DIGEST_SIZE + 1)

void digest_sha256(const void *bytes, size_t n, unsigned char ret[DIGEST_SIZE]);
/* The digest of several texts, each with its length before it, so that no two lists of texts are alike. */
void digest_texts(const char *const *texts, size_t n, unsigned char ret[DIGEST_SIZE]);
/* The same piece by piece.  digest_end frees; it accepts NULL, and ret may be NULL. */
struct digest;
struct digest *digest_begin(void);
void digest_add(struct digest *d, const void *bytes, size_t n);
void digest_end(struct digest **d, unsigned char ret[DIGEST_SIZE]);
/* HMAC-SHA256 (RFC 2104) under a key of any length. */
void digest_hmac(const void *key, size_t key_len, const void *bytes, size_t n,
    unsigned char ret[DIGEST_SIZE]);
/* Hexadecimal, lower case; returns ret. */
char *digest_text(const unsigned char digest[DIGEST_SIZE], char ret[DIGEST_TEXT_SIZE]);
/* Reads 64 hexadecimal digits.  -1 where text is something else. */
int digest_parse(const char *text, unsigned char ret[DIGEST_SIZE]);
/* True where they are equal; takes the same time for all. */
bool digest_equal(const unsigned char a[DIGEST_SIZE], const unsigned char b[DIGEST_SIZE]);

#endif
