/* The only file that includes xxhash.h: XXH3, 64 bits, compiled in from the header. */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "spool/store/record.h"

struct checksum {
	XXH3_state_t state;
};

struct checksum *
checksum_begin(void)
{
	struct checksum *sum = aligned_alloc(64, (sizeof *sum + 63) / 64 * 64);

	if (sum == NULL)
		abort();
	checksum_reset(sum);
	return sum;
}

void
checksum_reset(struct checksum *sum)
{
	XXH3_INITSTATE(&sum->state);
	XXH3_64bits_reset(&sum->state);
}

void
checksum_add(struct checksum *sum, const void *bytes, size_t n)
{
	XXH3_64bits_update(&sum->state, bytes, n);
}

uint64_t
checksum_value(const struct checksum *sum)
{
	return XXH3_64bits_digest(&sum->state);
}

uint64_t
checksum_of(const void *bytes, size_t n)
{
	return XXH3_64bits(bytes, n);
}

void
checksum_end(struct checksum **sum)
{
	free(*sum);
	*sum = NULL;
}
