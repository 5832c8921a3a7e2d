/* MD5: the test suite of RFC 1321 (A.5), and lengths around those of a block. */
#include "base/md5.h"

#include "base/buf.h"
#include "unit.h"

static const struct {
	const char *text, *sum;
} suite[] = {
	{ "", "d41d8cd98f00b204e9800998ecf8427e" },
	{ "a", "0cc175b9c0f1b6a831c399e269772661" },
	{ "abc", "900150983cd24fb0d6963f7d28e17f72" },
	{ "message digest", "f96b697d7cb7938d525a2f31aaf161d0" },
	{ "abcdefghijklmnopqrstuvwxyz", "c3fcd3d76192e4007dfb496cca67e13b" },
	{ "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
	    "d174ab98d277d9f5a5611c2c9f419d9f" },
	{ "12345678901234567890123456789012345678901234567890123456789012345678901234567890",
	    "57edf4a22be3c955ac49da2e2107b67a" },
};

TEST(published)
{
	for (size_t i = 0; i < sizeof(suite) / sizeof(suite[0]); i++) {
		struct md5 md5;
		char sum[MD5_TEXT_SIZE];

		md5_begin(&md5);
		md5_add(&md5, suite[i].text, strlen(suite[i].text));
		md5_end(&md5, sum);
		CHECK_STR(sum, suite[i].sum);
	}
}

/* The sum of the sums of 0 to 299 bytes "x", each taken in pieces of 1 to 9; as md5sum(1) has it. */
TEST(every_length_in_pieces)
{
	AUTO_BUF struct buf all = BUF_INIT(65536);
	struct md5 md5;
	char sum[MD5_TEXT_SIZE], bytes[300];

	memset(bytes, 'x', sizeof bytes);
	for (size_t n = 0; n < sizeof bytes; n++) {
		md5_begin(&md5);
		for (size_t at = 0, piece; at < n; at += piece) {
			piece = 1 + at % 9;
			if (piece > n - at)
				piece = n - at;
			md5_add(&md5, bytes + at, piece);
		}
		md5_end(&md5, sum);
		buf_adds(&all, sum);
	}
	md5_begin(&md5);
	md5_add(&md5, all.s, all.len);
	md5_end(&md5, sum);
	CHECK_STR(sum, "c8cf0aebceae3562833d06d2c1f26d10");
}

UNIT_MAIN()
