/* SHA-256 against the examples of FIPS 180-4, and texts that are not to be confused. */
#include "base/digest.h"
#include "unit.h"

TEST(digests_of_the_standard)
{
	static const struct {
		const char *text, *digest;
	} rows[] = {
		{ "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
		{ "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
		{ "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
		    "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		unsigned char digest[DIGEST_SIZE], read[DIGEST_SIZE];
		char text[DIGEST_TEXT_SIZE];

		digest_sha256(rows[i].text, strlen(rows[i].text), digest);
		CHECK_STR(digest_text(digest, text), rows[i].digest);
		CHECK_INT(digest_parse(text, read), 0);
		CHECK(digest_equal(digest, read));
		read[DIGEST_SIZE - 1] ^= 1;
		CHECK(!digest_equal(digest, read));
	}
}

TEST(digests_that_are_none)
{
	static const char *const rows[] = { "", "00",
		"g3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b8555" };
	unsigned char digest[DIGEST_SIZE];

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		CHECK_ROW(rows[i], digest_parse(rows[i], digest) < 0);
}

TEST(digests_of_lists)
{
	static const char *const lists[][3] = { { "a", "bc", "" }, { "ab", "c", "" },
		{ "abc", "", "" }, { "", "abc", "" }, { "", "", "abc" } };
	unsigned char digests[5][DIGEST_SIZE];

	for (size_t i = 0; i < 5; i++) {
		digest_texts(lists[i], 3, digests[i]);
		for (size_t k = 0; k < i; k++)
			CHECK(!digest_equal(digests[i], digests[k]));
	}
}

/* RFC 4231, test cases 1, 2 and 6: the last has a key that is longer than a block. */
TEST(hmac)
{
	static const struct {
		const char *key;
		size_t key_len;
		const char *text, *want;
	} rows[] = {
		{ NULL, 20, "Hi There",
		    "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7" },
		{ "Jefe", 4, "what do ya want for nothing?",
		    "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843" },
		{ NULL, 131, "Test Using Larger Than Block-Size Key - Hash Key First",
		    "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54" },
	};
	unsigned char key[131], digest[DIGEST_SIZE];
	char text[DIGEST_TEXT_SIZE];

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		memset(key, rows[i].key_len == 20 ? 0x0b : 0xaa, sizeof key);
		digest_hmac(rows[i].key != NULL ? (const void *)rows[i].key : key, rows[i].key_len,
		    rows[i].text, strlen(rows[i].text), digest);
		CHECK_STR(digest_text(digest, text), rows[i].want);
	}
}

UNIT_MAIN()
