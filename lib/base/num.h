/* Numbers, durations and sizes as people write them.  All return 0, or -1 with errno = EINVAL
 * (not a number of this form) or ERANGE (outside the bounds); *ret is untouched on failure. */
#ifndef BASE_NUM_H
#define BASE_NUM_H

#include <stddef.h>
#include <stdint.h>

/* Decimal digits only, the whole of text, min <= value <= max. */
int num_u64(const char *text, uint64_t min, uint64_t max, uint64_t *ret);
/* The same for len bytes that are not terminated. */
int num_u64_view(const char *s, size_t len, uint64_t max, uint64_t *ret);
/* "90", "90s", "5m", "2h", "4d", "1w", "500ms", or several in a row ("1h30m"), as microseconds.
 * A number alone is seconds. */
int num_duration(const char *text, int64_t *ret_usec);
/* "65536", "64 KiB", "64k", "10 MB", "64 MiB", "1 GiB": K, M, G, T and Ki... are powers of 1024,
 * KB, MB, GB and TB powers of 1000; case does not matter, the B is optional. */
int num_size(const char *text, uint64_t *ret_bytes);
/* The value of a hexadecimal digit of either case; -1 if c is another character. */
int num_hex(char c);
/* "12.3 MiB": a size as people read it. */
char *num_size_text(uint64_t bytes, char text[24]);

#endif
