#include "base/md5.h"

#include <md5.h>
#include <string.h>

_Static_assert(sizeof(MD5_CTX) <= sizeof(struct md5), "the library's state fits");

void
md5_begin(struct md5 *md5)
{
	MD5_CTX state;

	MD5Init(&state);
	memcpy(md5->state, &state, sizeof state);
}

void
md5_add(struct md5 *md5, const void *bytes, size_t n)
{
	MD5_CTX state;

	memcpy(&state, md5->state, sizeof state);
	MD5Update(&state, bytes, n);
	memcpy(md5->state, &state, sizeof state);
}

void
md5_end(struct md5 *md5, char ret[MD5_TEXT_SIZE])
{
	MD5_CTX state;

	memcpy(&state, md5->state, sizeof state);
	MD5End(&state, ret);
}
