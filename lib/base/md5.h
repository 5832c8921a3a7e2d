/*
 * MD5 (RFC 1321; libmd's), for names that others have given to contents.  It proves nothing to anybody: who wants to can
 * make two contents with the same.
 */
#ifndef BASE_MD5_H
#define BASE_MD5_H

#include <stddef.h>
#include <stdint.h>

#define MD5_TEXT_SIZE 33

/* A value; nothing to release. */
struct md5 {
	uint64_t state[16];
};

void md5_begin(struct md5 *md5);
void md5_add(struct md5 *md5, const void *bytes, size_t n);
/* 32 hexadecimal digits, lower case.  The sum cannot be added to afterwards. */
void md5_end(struct md5 *md5, char ret[MD5_TEXT_SIZE]);

#endif
