/*
 * BLAKE2b with 32 bytes of result and no key (RFC 7693): the name of a content; `b2sum -l 256` says the same.
 * It is libsodium's, which is loaded when it is first needed: programs that name no content start without.
 */
#ifndef BASE_BLAKE2B_H
#define BASE_BLAKE2B_H

#include <stddef.h>

#include "base/err.h"

#define BLAKE2B_SIZE 32
#define BLAKE2B_TEXT_SIZE (2 * BLAKE2B_SIZE + 1)

/* A value; nothing to release. */
struct blake2b {
	_Alignas(64) unsigned char state[384];
};

/* Loads the library.  To be called, and to succeed, before any of the others; any thread may, any number of
 * times.  -1 with EX_OSFILE where it is not installed. */
int blake2b_load(struct err *err);

void blake2b_begin(struct blake2b *b);
void blake2b_add(struct blake2b *b, const void *bytes, size_t n);
/* Ends it.  ret_text: hexadecimal, lower case. */
void blake2b_end(struct blake2b *b, char ret_text[BLAKE2B_TEXT_SIZE]);
/* Of n bytes at once. */
void blake2b_text(const void *bytes, size_t n, char ret_text[BLAKE2B_TEXT_SIZE]);

#endif
