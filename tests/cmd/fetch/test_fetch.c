/* Names, types and places of what is fetched. */
#include "cmd/fetch/name.h"
#include "cmd/fetch/source.h"

#include "mail/attachment.h"
#include "unit.h"

static const struct {
	const char *filename, *url, *want;
} names[] = {
	{ NULL, "http://h/a.pdf", "a.pdf" },
	{ NULL, "http://h/x/a%20b.pdf?c=d/e#f", "a b.pdf" },
	{ NULL, "http://h/%C3%BC.pdf", "\xc3\xbc.pdf" },
	{ NULL, "http://h/%FF.pdf", "attachment" },
	{ NULL, "http://h/a%0Ab.pdf", "attachment" },
	{ NULL, "http://h/a%00b.pdf", "attachment" },
	{ NULL, "http://h/..%2F..%2Fetc%2Fpasswd", "passwd" },
	{ NULL, "http://h/%2e%2e", "attachment" },
	{ NULL, "http://h/x/", "attachment" },
	{ NULL, "http://h", "attachment" },
	{ NULL, "http://h?a=/b", "attachment" },
	{ NULL, "bucket/key.txt", "key.txt" },
	{ "b.txt", "http://h/a.pdf", "b.txt" },
	{ "../../b.txt", "http://h/a.pdf", "b.txt" },
	{ "C:\\x\\b.txt", "http://h/a.pdf", "b.txt" },
	{ "a\nb", "http://h/a.pdf", "a.pdf" },
	{ "", "http://h/a.pdf", "a.pdf" },
	{ "..", "http://h/a.pdf", "a.pdf" },
};

TEST(names_are_found)
{
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		AUTO_FREE char *name = fetch_name(names[i].filename, names[i].url);

		CHECK_STR(name, names[i].want);
	}
}

TEST(long_names_keep_their_end)
{
	char url[1100] = "http://h/";
	size_t n = strlen(url);

	while (n < 1000) {
		memcpy(url + n, "%C3%BC", 6);
		n += 6;
	}
	memcpy(url + n, ".pdf", 5);
	{
		AUTO_FREE char *name = fetch_name(NULL, url);

		CHECK(strlen(name) <= 255 && strlen(name) > 250);
		CHECK((unsigned char)name[0] == 0xc3);
		CHECK_STR(name + strlen(name) - 4, ".pdf");
	}
}

static const struct {
	const char *found, *filename, *says, *want;
} types[] = {
	{ "application/octet-stream", "x", "image/png", "image/png" },
	{ "application/octet-stream", "x", "Image/PNG; a=b", "image/png" },
	{ "text/plain", "x", "text/csv; charset=utf-8", "text/csv" },
	{ "application/octet-stream", "x", NULL, "application/octet-stream" },
	/* What the content or the name says counts for more. */
	{ "application/pdf", "x", "image/png", "application/pdf" },
	{ "application/octet-stream", "x.txt", "image/png", "application/octet-stream" },
	/* What a reader would run. */
	{ "application/octet-stream", "x", "text/html", "application/octet-stream" },
	{ "text/plain", "x", "text/html", "text/plain" },
	{ "text/plain", "x", "image/svg+xml", "text/plain" },
	{ "text/plain", "x", "application/javascript", "text/plain" },
	{ "application/octet-stream", "x", "application/x-msdownload", "application/octet-stream" },
	/* What is none, or may not be encoded. */
	{ "text/plain", "x", "message/rfc822", "text/plain" },
	{ "text/plain", "x", "image", "text/plain" },
	{ "text/plain", "x", "image/a\"", "text/plain" },
};

TEST(types_are_believed_where_that_is_harmless)
{
	for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
		struct mail_part part = { .raw = 1 };

		snprintf(part.type, sizeof part.type, "%s", types[i].found);
		fetch_type(&part, types[i].filename, types[i].says);
		if (strcmp(part.type, types[i].want) != 0)
			CHECK_ROW(types[i].says, 0);
	}
}

TEST(errors_of_s3)
{
	static const struct {
		const char *body, *code;
	} rows[] = {
		{ "<?xml version=\"1.0\"?>\n<Error><Code>NoSuchKey</Code><Key>x</Key></Error>",
		    "NoSuchKey" },
		{ "<Error><Code></Code></Error>", "" },
		{ "<Error><Code>No\nSuch</Code></Error>", "" },
		{ "<Error><Code>Unfinished", "" },
		{ "not found", "" },
		{ "<Code>AnErrorOfWhichTheNameIsSoMuchLongerThanAnyThatThereIs</Code>", "" },
	};
	char code[32];

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		fetch_s3_code(rows[i].body, code, sizeof code);
		CHECK_STR(code, rows[i].code);
	}
}

TEST(places_in_s3)
{
	static const struct {
		const char *endpoint;
		bool path_style;
		const char *bucket, *key, *url;
	} rows[] = {
		{ "https://s3.eu-central-1.amazonaws.com", false, "b-1", "a/b.pdf",
		    "https://b-1.s3.eu-central-1.amazonaws.com/a/b.pdf" },
		{ "https://s3.eu-central-1.amazonaws.com", false, "b.1", "a/b.pdf",
		    "https://s3.eu-central-1.amazonaws.com/b.1/a/b.pdf" },
		{ "http://[::1]:9000", true, "b", "a b+c%41?d#e&f=\xc3\xbc",
		    "http://[::1]:9000/b/a%20b%2Bc%2541%3Fd%23e%26f%3D%C3%BC" },
		{ "http://h/below", true, "b", "../x", "http://h/below/b/../x" },
		{ "http://h", true, "b", "/x//y", "http://h/b//x//y" },
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		AUTO_BUF struct buf url = BUF_INIT(1024);
		char endpoint[100];
		struct settings_s3 s3 = { .endpoint = endpoint, .path_style = rows[i].path_style };

		snprintf(endpoint, sizeof endpoint, "%s", rows[i].endpoint);
		CHECK_INT(fetch_s3_url(&s3, rows[i].bucket, rows[i].key, &url), 0);
		CHECK_STR(url.s, rows[i].url);
	}
}

TEST(wishes)
{
	struct fetch_wish wish = { .url = NULL };
	struct err err = ERR_INIT;

	CHECK_INT(fetch_wish_read("{\"filename\":\"a\",\"content_id\":\"c\",\"source\":{\"url\":"
				  "\"http://h/x?secret\",\"md5\":\"00\"}}",
		      &wish, &err),
	    0);
	CHECK_STR(wish.url, "http://h/x?secret");
	CHECK_STR(wish.filename, "a");
	CHECK_STR(wish.content_id, "c");
	CHECK_STR(wish.md5, "00");
	CHECK_STR(wish.shown, "a");
	fetch_wish_release(&wish);
	CHECK_INT(fetch_wish_read("{\"source\":{\"url\":\"http://h/x?secret\"}}", &wish, &err), 0);
	CHECK_STR(wish.shown, "http://h/x");
	fetch_wish_release(&wish);
	CHECK_INT(fetch_wish_read("{\"source\":{\"s3\":{\"bucket\":\"b\",\"key\":\"k\"}}}", &wish,
		      &err),
	    0);
	CHECK_STR(wish.shown, "s3:b/k");
	fetch_wish_release(&wish);
	CHECK_INT(fetch_wish_read("{\"source\":{\"s3\":{\"bucket\":\"b\"}}}", &wish, &err), -1);
	CHECK_INT(fetch_wish_read("{}", &wish, &err), -1);
	CHECK_INT(fetch_wish_read("[", &wish, &err), -1);
	CHECK_INT(err.code, EX_DATAERR);
}

/* What is configured, and what the environment says where it is not. */
TEST(who_asks_s3)
{
	struct settings settings = { .attachments.s3 = { .path_style = CONF_UNSET } };
	struct settings_s3 s3 = { .endpoint = NULL };
	struct err err = ERR_INIT;
	char secret[400], key[] = "key";
	FILE *f;

	unsetenv("AWS_ACCESS_KEY_ID");
	unsetenv("AWS_SECRET_ACCESS_KEY");
	unsetenv("AWS_REGION");
	unsetenv("AWS_ENDPOINT_URL");
	unsetenv("AWS_ENDPOINT_URL_S3");
	setenv("AWS_DEFAULT_REGION", "eu-west-9", 1);
	setenv("AWS_SESSION_TOKEN", "", 1);
	CHECK(!settings_has_s3(&settings));
	CHECK_INT(settings_s3(&settings, &s3, &err), -1);
	CHECK_INT(err.code, EX_CONFIG);
	setenv("AWS_ACCESS_KEY_ID", "id", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "env", 1);
	CHECK(settings_has_s3(&settings));
	CHECK_INT(settings_s3(&settings, &s3, &err), 0);
	CHECK_STR(s3.endpoint, "https://s3.eu-west-9.amazonaws.com");
	CHECK_STR(s3.region, "eu-west-9");
	CHECK_STR(s3.secret_key, "env");
	CHECK_STR(s3.session_token, NULL);
	CHECK(!s3.path_style);
	settings_s3_release(&s3);

	snprintf(secret, sizeof secret, "%s/secret", unit_tmpdir());
	settings.attachments.s3.secret_key_file = secret;
	settings.attachments.s3.access_key = key;
	setenv("AWS_ENDPOINT_URL", "http://other/", 1);
	CHECK_INT(settings_s3(&settings, &s3, &err), -1);
	CHECK_INT(err.code, EX_NOINPUT);
	f = fopen(secret, "w");
	fputs("file\r\nmore\n", f);
	fclose(f);
	CHECK_INT(settings_s3(&settings, &s3, &err), 0);
	CHECK_STR(s3.secret_key, "file");
	CHECK_STR(s3.access_key, "key");
	CHECK_STR(s3.endpoint, "http://other");
	CHECK(s3.path_style);
	settings_s3_release(&s3);
	setenv("AWS_ENDPOINT_URL_S3", "other", 1);
	CHECK_INT(settings_s3(&settings, &s3, &err), -1);
	CHECK_INT(err.code, EX_CONFIG);
}

UNIT_MAIN()
