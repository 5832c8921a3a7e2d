/* UTF-8 (RFC 3629): shortest forms only, no surrogates, nothing above U+10FFFF. */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* The length (1..4) of the valid sequence that starts at s, or 0 where none does.  len > 0. */
size_t utf8_sequence(const char *s, size_t len);
/* True if all len bytes are valid. */
bool utf8_valid(const char *s, size_t len);
/* True if all bytes are below 0x80. */
bool is_ascii(const char *s, size_t len);
/* How many terminal columns are safe to assume: the number of code points. */
size_t utf8_length(const char *s, size_t len);

#endif
