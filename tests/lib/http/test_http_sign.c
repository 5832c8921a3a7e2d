/* Signatures, against the examples that Amazon publishes: those of its test suite for version 4, and
 * those of S3's documentation. */
#include "http/sign.h"

#include "base/clock.h"
#include "unit.h"

static const struct http_aws suite = { .region = "us-east-1",
	.service = "service",
	.key = "AKIDEXAMPLE",
	.secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY" };
static const struct http_aws s3 = { .region = "us-east-1",
	.service = "s3",
	.key = "AKIAIOSFODNN7EXAMPLE",
	.secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY" };

static const char token[] =
    "AQoDYXdzEPT//////////"
    "wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeo"
    "IYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/"
    "kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5"
    "VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+"
    "scqKmlzm8FDrypNC9"
    "Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA==";

#define SUITE_TIME (INT64_C(1440938160) * USEC)
#define S3_TIME (INT64_C(1369353600) * USEC)

static const char *const twice[] = { "My-Header1: value2", "My-Header1: value2",
	"My-Header1: value1", NULL };
static const char *const spaces[] = { "My-Header1:  value1", "My-Header2: \"a   b   c\"", NULL };
static const char *const upper[] = { "My-Header1: VALUE1", NULL };
static const char *const range[] = { "Range: bytes=0-9", NULL };
static const char *const form[] = { "Content-Type: application/x-www-form-urlencoded", NULL };

static const struct {
	const char *name;
	const struct http_aws *aws;
	const char *method, *host, *path, *query;
	const char *const *headers;
	struct view body;
	bool token;
	const char *fields, *signature;
} examples[] = {
	{ "get-vanilla", &suite, "GET", "example.amazonaws.com", "/", NULL, NULL, { "", 0 }, false,
	    "host;x-amz-date", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31" },
	{ "post-vanilla", &suite, "POST", "example.amazonaws.com", "/", NULL, NULL, { "", 0 },
	    false, "host;x-amz-date",
	    "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b" },
	{ "get-vanilla-query-order-key-case", &suite, "GET", "example.amazonaws.com", "/",
	    "Param2=value2&Param1=value1", NULL, { "", 0 }, false, "host;x-amz-date",
	    "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500" },
	{ "get-header-key-duplicate", &suite, "GET", "example.amazonaws.com", "/", NULL, twice,
	    { "", 0 }, false, "host;my-header1;x-amz-date",
	    "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea" },
	{ "get-header-value-trim", &suite, "GET", "example.amazonaws.com", "/", NULL, spaces,
	    { "", 0 }, false, "host;my-header1;my-header2;x-amz-date",
	    "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736" },
	{ "post-header-key-case", &suite, "POST", "example.amazonaws.com", "/", NULL, upper,
	    { "", 0 }, false, "host;my-header1;x-amz-date",
	    "cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d" },
	{ "post-x-www-form-urlencoded", &suite, "POST", "example.amazonaws.com", "/", NULL, form,
	    { "Param1=value1", 13 }, false, "content-type;host;x-amz-date",
	    "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a" },
	{ "post-sts-header-before", &suite, "POST", "example.amazonaws.com", "/", NULL, NULL,
	    { "", 0 }, true, "host;x-amz-date;x-amz-security-token",
	    "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead" },
	{ "S3: an object", &s3, "GET", "examplebucket.s3.amazonaws.com", "/test.txt", NULL, range,
	    { "", 0 }, false, "host;range;x-amz-content-sha256;x-amz-date",
	    "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41" },
	{ "S3: a parameter without a value", &s3, "GET", "examplebucket.s3.amazonaws.com", "/",
	    "lifecycle", NULL, { "", 0 }, false, "host;x-amz-content-sha256;x-amz-date",
	    "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543" },
	{ "S3: a list", &s3, "GET", "examplebucket.s3.amazonaws.com", "/", "prefix=J&max-keys=2",
	    NULL, { "", 0 }, false, "host;x-amz-content-sha256;x-amz-date",
	    "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7" },
};

/* The line NAME: of lines, behind the name; "" where it is absent. */
static const char *
line_of(const struct buf *lines, const char *name)
{
	size_t n = strlen(name);

	for (const char *at = lines->s; at < lines->s + lines->len; at += strlen(at) + 1)
		if (strncmp(at, name, n) == 0 && strncmp(at + n, ": ", 2) == 0)
			return at + n + 2;
	return "";
}

TEST(published_examples)
{
	for (size_t i = 0; i < sizeof(examples) / sizeof(examples[0]); i++) {
		AUTO_BUF struct buf lines = BUF_INIT(8192), want = BUF_INIT(8192);
		struct http_aws aws = *examples[i].aws;
		bool is_s3 = strcmp(aws.service, "s3") == 0;
		struct http_sign_request request = { .method = examples[i].method,
			.host = examples[i].host,
			.path = examples[i].path,
			.query = examples[i].query,
			.headers = examples[i].headers,
			.body = examples[i].body,
			.now = is_s3 ? S3_TIME : SUITE_TIME };

		aws.session_token = examples[i].token ? token : NULL;
		CHECK_ROW(examples[i].name, http_sign(&aws, &request, &lines) == 0);
		buf_addf(&want,
		    "AWS4-HMAC-SHA256 Credential=%s/%s/us-east-1/%s/aws4_request,SignedHeaders=%s,"
		    "Signature=%s",
		    aws.key, is_s3 ? "20130524" : "20150830", aws.service, examples[i].fields,
		    examples[i].signature);
		CHECK_ROW(examples[i].name, strcmp(line_of(&lines, "Authorization"), want.s) == 0);
		CHECK_STR(line_of(&lines, "X-Amz-Date"),
		    is_s3 ? "20130524T000000Z" : "20150830T123600Z");
		CHECK_STR(line_of(&lines, "X-Amz-Security-Token"), examples[i].token ? token : "");
		CHECK_STR(line_of(&lines, "X-Amz-Content-Sha256"),
		    is_s3 ? "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" :
			    "");
	}
}

UNIT_MAIN()
