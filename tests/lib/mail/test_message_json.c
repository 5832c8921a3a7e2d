#include "unit.h"

#include <fcntl.h>

#include "base/clock.h"
#include "base/json.h"
#include "mail/message_json.h"

static int
open_in_tmpdir(void *arg, const char *path, struct err *err)
{
	int fd;

	(void)arg;
	if (strncmp(path, unit_tmpdir(), strlen(unit_tmpdir())) != 0)
		return err_set(err, EX_NOPERM, "%s: not below a configured directory", path);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd >= 0 ? fd : err_sys(err, EX_NOINPUT, "%s", path);
}

static void
note_unknown(void *arg, const char *field)
{
	buf_addf(arg, "%s ", field);
}

/* Reads a text; the faults as lines, "; " between them. */
static int
load(const char *text, const struct mail_json_options *options, struct mail_message *m,
    struct mail_delivery *delivery, struct buf *lines)
{
	struct mail_faults faults AUTO_FAULTS = MAIL_FAULTS_INIT;
	struct err err = ERR_INIT;
	AUTO_JSON struct json *root = json_parse(text, strlen(text), 1, &err);
	int rc;

	CHECK_STR(err.msg, "");
	rc = mail_message_from_json(root, options, m, delivery, &faults);
	CHECK_INT(rc, faults.count > 0 ? -1 : 0);
	for (size_t i = 0; i < faults.count; i++) {
		buf_adds(lines, i > 0 ? "; " : "");
		mail_fault_text(lines, &faults.at[i], NULL);
	}
	return rc;
}

#define MESSAGE(more) "{\"from\":\"a@b\",\"to\":\"c@d\",\"subject\":\"s\",\"body\":\"t\"" more "}"

TEST(a_whole_message)
{
	struct mail_message m AUTO_MESSAGE = MAIL_MESSAGE_INIT;
	struct mail_delivery delivery AUTO_DELIVERY = MAIL_DELIVERY_INIT;
	struct buf lines AUTO_BUF = BUF_INIT(10000), unknown AUTO_BUF = BUF_INIT(1000);
	struct mail_json_options options = { .unknown = note_unknown, .arg = &unknown };
	const char *text =
	    "{\"id\":\"m-1\",\"account_id\":\"main\",\"from\":\"Jörg <j@b>\","
	    "\"to\":[\"A <a@b>\",\"c@d, e@f\"],\"cc\":\"g@h, i@j\",\"bcc\":[\"k@l\"],"
	    "\"reply_to\":\"r@s\",\"return_path\":\"bounce@b\",\"message_id\":\"x@y\","
	    "\"subject\":\"Привет\",\"body\":\"<p>1\\n2</p>\",\"content_type\":\"html\","
	    "\"headers\":{\"X-A\":\"1\",\"X-B\":null,\"X-C\":7},"
	    "\"attachments\":[{\"filename\":\"a.txt\",\"content\":\"aGVsbG8=\"},"
	    "{\"storage_path\":\"base64:aGk=\",\"filename\":\"b\"},"
	    "{\"storage_path\":\"aGk=\",\"fetch_mode\":\"base64\"}],"
	    "\"priority\":\"high\",\"deferred_ts\":1728470400,\"batch_code\":\"spring\","
	    "\"expires_ts\":1728470401.5,\"max_attempts\":3,"
	    "\"other\":1,\"more\":{}}";

	CHECK_INT(load(text, &options, &m, &delivery, &lines), 0);
	CHECK_STR(lines.s, "");
	CHECK_STR(delivery.id, "m-1");
	CHECK_STR(delivery.account_id, "main");
	CHECK_STR(delivery.batch_code, "spring");
	CHECK_INT(delivery.priority, 1);
	CHECK_INT(delivery.deferred_at, INT64_C(1728470400000000));
	CHECK_INT(delivery.expires_at, INT64_C(1728470401500000));
	CHECK_INT(delivery.max_attempts, 3);
	CHECK_STR(m.from.name, "Jörg");
	CHECK_INT(m.to.count, 3);
	CHECK_STR(m.to.at[2].addr, "e@f");
	CHECK_INT(m.cc.count, 2);
	CHECK_INT(m.bcc.count, 1);
	CHECK_STR(m.reply_to.at[0].addr, "r@s");
	CHECK_STR(m.return_path, "bounce@b");
	CHECK_STR(m.message_id, "<x@y>");
	CHECK_STR(m.subject, "Привет");
	CHECK_MEM(m.body, m.body_len, "<p>1\n2</p>", 10);
	CHECK(m.html);
	CHECK_STR(mail_message_extra(&m, "x-a"), "1");
	CHECK(mail_message_extra(&m, "X-B") == NULL);
	CHECK_STR(mail_message_extra(&m, "X-C"), "7");
	CHECK_INT(m.attachment_count, 3);
	CHECK_STR(m.attachments[0].filename, "a.txt");
	CHECK_STR(m.attachments[0].bytes.s, "hello");
	CHECK_STR(m.attachments[1].bytes.s, "hi");
	CHECK_STR(m.attachments[2].filename, "attachment");
	CHECK_STR(unknown.s, "other more ");
}

TEST(the_least)
{
	struct mail_message m AUTO_MESSAGE = MAIL_MESSAGE_INIT;
	struct mail_delivery delivery AUTO_DELIVERY = MAIL_DELIVERY_INIT;
	struct buf lines AUTO_BUF = BUF_INIT(10000);
	struct mail_json_options options = { .default_from = "App <app@b>", .default_domain = "d" };

	CHECK_INT(load("{\"to\":\"root\",\"cc\":\"\",\"bcc\":[],\"id\":null,\"subject\":\"\","
		       "\"body\":\"\",\"message_id\":\"\"}",
		      &options, &m, &delivery, &lines),
	    0);
	CHECK_STR(lines.s, "");
	CHECK_STR(m.from.addr, "app@b");
	CHECK_STR(m.to.at[0].addr, "root@d");
	CHECK_INT(delivery.priority, -1);
	CHECK_INT(delivery.expires_at, 0);
	CHECK_INT(delivery.max_attempts, 0);
	CHECK(delivery.id == NULL && m.message_id == NULL);
}

TEST(faults)
{
	static const struct {
		const char *text, *want;
	} rows[] = {
		{ "{}",
		    "from: field required; to: field required; subject: field required; "
		    "body: field required" },
		{ "[]", "value is not a valid dict" },
		{ "{\"from\":1,\"to\":2,\"subject\":[],\"body\":{}}",
		    "from: str type expected; to: a list of strings or one comma-separated string "
		    "expected; subject: str type expected; body: str type expected" },
		{ "{\"from\":\"a@b\",\"to\":[],\"subject\":\"a\\nb\",\"body\":\"\"}",
		    "to: expected an address, found none; subject: line break at byte 2" },
		{ "{\"from\":\"a@b\",\"to\":[\"c@d\",\"x\",5],\"subject\":\"\",\"body\":\"\"}",
		    "to[1]: \"x\": expected '@' and a domain at the end; to[2]: str type "
		    "expected" },
		{ "{\"from\":\"a\\r\\n@b\",\"to\":\"\",\"subject\":\"\",\"body\":\"\"}",
		    "from: line break at byte 2; to: expected an address, found none" },
		{ MESSAGE(",\"content_type\":\"xml\""),
		    "content_type: unexpected value; permitted: 'plain', 'html'" },
		{ MESSAGE(
		      ",\"headers\":{\"X-A\":\"a\\nb\",\"Bcc\":\"x@y\",\"a b\":\"c\",\"X\":[]}"),
		    "headers.X-A: line break at byte 2; headers.Bcc: give these recipients in the "
		    "field bcc, which never becomes a header; headers.a b: expected a name of 1 to "
		    "128 printable ASCII characters without blanks and ':', found \"a b\"; "
		    "headers.X: str type expected" },
		{ MESSAGE(",\"headers\":[]"), "headers: value is not a valid dict" },
		{ MESSAGE(",\"priority\":4"),
		    "priority: expected 0 to 3, or immediate, high, medium or low" },
		{ MESSAGE(",\"priority\":\"urgent\""),
		    "priority: expected 0 to 3, or immediate, high, medium or low" },
		{ MESSAGE(",\"deferred_ts\":-1"),
		    "deferred_ts: expected Unix seconds, 0 to the year 9999" },
		{ MESSAGE(",\"deferred_ts\":1e300"),
		    "deferred_ts: expected Unix seconds, 0 to the year 9999" },
		{ MESSAGE(",\"deferred_ts\":\"x\""), "deferred_ts: value is not a valid integer" },
		{ MESSAGE(",\"expires_ts\":1e300"),
		    "expires_ts: expected Unix seconds, 0 to the year 9999" },
		{ MESSAGE(",\"expires_ts\":true"), "expires_ts: value is not a valid integer" },
		{ MESSAGE(",\"expires_ts\":0"),
		    "expires_ts: expected a time in the future, found 1970-01-01T00:00:00Z" },
		{ MESSAGE(",\"expires_ts\":1000000000"),
		    "expires_ts: expected a time in the future, found 2001-09-09T01:46:40Z" },
		{ MESSAGE(",\"deferred_ts\":1000000002,\"expires_ts\":1000000002"),
		    "expires_ts: expected a time after 2001-09-09T01:46:42Z, before which the "
		    "message is not sent; found 2001-09-09T01:46:42Z" },
		{ MESSAGE(",\"deferred_ts\":\"x\",\"expires_ts\":1,\"max_attempts\":1.5"),
		    "deferred_ts: value is not a valid integer; expires_ts: expected a time in the "
		    "future, found 1970-01-01T00:00:01Z; max_attempts: value is not a valid "
		    "integer" },
		{ MESSAGE(",\"max_attempts\":0"), "max_attempts: expected 1 to 1000000" },
		{ MESSAGE(",\"max_attempts\":1000001"), "max_attempts: expected 1 to 1000000" },
		{ MESSAGE(",\"max_attempts\":\"3\""),
		    "max_attempts: value is not a valid integer" },
		{ MESSAGE(",\"id\":\"\""), "id: expected 1 to 200 bytes, found 0" },
		{ MESSAGE(",\"id\":\"a\\tb\""), "id: control character at byte 2" },
		{ MESSAGE(",\"id\":5"), "id: str type expected" },
		{ MESSAGE(",\"attachments\":{}"), "attachments: value is not a valid list" },
		{ MESSAGE(",\"attachments\":[1,{},{\"content\":\"a\"},{\"content\":\"aGk=\","
			  "\"filename\":\"a\\nb\"},{\"content\":\"aGk=\",\"path\":\"/x\"}]"),
		    "attachments[0]: value is not a valid dict; attachments[1]: expected one of "
		    "content, path, storage_path, url, s3; attachments[2].content: invalid base64 "
		    "at byte 2; attachments[3].filename: line break at byte 2; attachments[4]: "
		    "expected one of content, path, storage_path, url, s3" },
		{ MESSAGE(",\"attachments\":[{\"url\":\"ftp://x/y\"},{\"url\":\"http://u:p@x/\"},"
			  "{\"storage_path\":\"https://\"},{\"url\":7},{\"url\":\"http://"
			  "x\",\"s3\":{}},"
			  "{\"url\":\"http://x\\ny\"}]"),
		    "attachments[0].url: expected a URL that begins with http:// or https://; "
		    "attachments[1].url: expected a URL without a user's name or password; "
		    "attachments[2].storage_path: expected a host in the URL; attachments[3].url: "
		    "str type expected; attachments[4]: expected one of content, path, "
		    "storage_path, url, s3; attachments[5].url: control character in the URL at "
		    "byte 9" },
		{ MESSAGE(",\"attachments\":[{\"s3\":{\"bucket\":\"B_\",\"key\":\"k\"}},"
			  "{\"s3\":{\"bucket\":\"abc\"}},{\"s3\":{\"bucket\":1,\"key\":\"k\"}},"
			  "{\"s3\":\"abc/k\"},{\"storage_path\":\"s3:abc\"},"
			  "{\"storage_path\":\"s3:abc/\"}]"),
		    "attachments[0].s3: bucket: expected 3 to 63 of a-z, 0-9, dots and hyphens, "
		    "found \"B_\"; attachments[1].s3: key: expected a string; attachments[2].s3: "
		    "bucket: expected a string; attachments[3].s3: value is not a valid dict; "
		    "attachments[4].storage_path: expected s3:BUCKET/KEY; "
		    "attachments[5].storage_path: key: expected 1 to 1024 bytes, found 0" },
		{ MESSAGE(",\"attachments\":[{\"storage_path\":\"doc_id=1\"},"
			  "{\"storage_path\":\"@doc\"},{\"storage_path\":\"x\",\"fetch_mode\":"
			  "\"endpoint\"},{\"storage_path\":\"vol:x\",\"fetch_mode\":\"storage\"},"
			  "{\"storage_path\":\"x\",\"fetch_mode\":\"carrier\"},"
			  "{\"storage_path\":\"x\",\"fetch_mode\":\"http_url\"}]"),
		    "attachments[0].storage_path: expected base64:CONTENT, http(s)://..., "
		    "s3:BUCKET/KEY or an absolute path; attachments[1].storage_path: an endpoint "
		    "of the application is not asked for attachments: give content, a URL or a "
		    "path; attachments[2].storage_path: an endpoint of the application is not "
		    "asked for attachments: give content, a URL or a path; "
		    "attachments[3].storage_path: of all storage volumes, only s3:BUCKET/KEY is "
		    "supported; attachments[4].fetch_mode: unexpected value; permitted: 'base64', "
		    "'http_url', 'filesystem', 's3'; attachments[5].storage_path: expected a URL "
		    "that begins with http:// or https://" },
		{ MESSAGE(
		      ",\"attachments\":[{\"content\":\"\",\"mime_type\":\"text\"},"
		      "{\"content\":\"\",\"content_type\":\"message/rfc822\"},"
		      "{\"content\":\"\",\"cid\":\"a b\"},{\"content\":\"\",\"content_md5\":\"1\"},"
		      "{\"content\":\"\",\"auth\":{\"method\":\"none\"}}]"),
		    "attachments[0].mime_type: expected a type like image/png, and neither "
		    "message/ nor multipart/; attachments[1].content_type: expected a type like "
		    "image/png, and neither message/ nor multipart/; attachments[2].cid: expected "
		    "printable ASCII without blanks and <>()\"; attachments[3].content_md5: "
		    "expected 32 hexadecimal digits; attachments[4].auth: credentials of a single "
		    "attachment are not supported" },
		{ MESSAGE(",\"attachments\":[{\"path\":\"/etc/passwd\"},{\"storage_path\":\"/x\"},"
			  "{\"content\":7}]"),
		    "attachments[0].path: /etc/passwd: not below a configured directory; "
		    "attachments[1].storage_path: /x: not below a configured directory; "
		    "attachments[2].content: str type expected" },
		{ MESSAGE(",\"attachments\":[{\"content\":\"MDEyMzQ1Njc4OTAxMjM0NQ==\"}]"),
		    "attachments[0].content: larger than 15 bytes" },
	};
	struct mail_json_options options = { .now = INT64_C(1000000000) * USEC,
		.open_path = open_in_tmpdir,
		.attachment_max = 15 };

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct mail_message m AUTO_MESSAGE = MAIL_MESSAGE_INIT;
		struct mail_delivery delivery AUTO_DELIVERY = MAIL_DELIVERY_INIT;
		struct buf lines AUTO_BUF = BUF_INIT(10000);

		CHECK_INT(load(rows[i].text, &options, &m, &delivery, &lines), -1);
		CHECK_STR(lines.s, rows[i].want);
	}
}

TEST(files)
{
	struct mail_message m AUTO_MESSAGE = MAIL_MESSAGE_INIT;
	struct mail_delivery delivery AUTO_DELIVERY = MAIL_DELIVERY_INIT;
	struct buf lines AUTO_BUF = BUF_INIT(10000), text AUTO_BUF = BUF_INIT(10000);
	struct mail_json_options options = { .open_path = open_in_tmpdir }, none = { .arg = NULL };
	char path[300];
	int fd;

	snprintf(path, sizeof path, "%s/report.csv", unit_tmpdir());
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	CHECK(fd >= 0 && write(fd, "a,b\n", 4) == 4);
	close(fd);
	buf_addf(&text,
	    "{\"from\":\"a@b\",\"to\":\"c@d\",\"subject\":\"\",\"body\":\"\",\"attachments\":"
	    "[{\"path\":\"%s\"},{\"storage_path\":\"%s\",\"filename\":\"x.csv\"}]}",
	    path, path);
	CHECK_INT(load(text.s, &options, &m, &delivery, &lines), 0);
	CHECK_STR(lines.s, "");
	CHECK_STR(m.attachments[0].filename, "report.csv");
	CHECK_STR(m.attachments[1].filename, "x.csv");
	mail_message_release(&m);
	CHECK_INT(load(text.s, &none, &m, &delivery, &lines), -1);
	CHECK(strstr(lines.s, "attachments[0].path: files are not allowed here") != NULL);
}

/* Every source that is fetched later, and what is said beside it. */
TEST(remote)
{
	static const struct {
		const char *attachment, *filename, *json;
	} rows[] = {
		{ "\"url\":\"https://files.example.com/a.pdf\"", NULL,
		    "{\"url\":\"https://files.example.com/a.pdf\"}" },
		{ "\"url\":\"HTTP://[2001:db8::1]:8080?x=1#top\",\"filename\":\"a.pdf\"", "a.pdf",
		    "{\"url\":\"http://[2001:db8::1]:8080/?x=1\"}" },
		{ "\"url\":\"http://x.org:/\\u00e9 \\\"b\"", NULL,
		    "{\"url\":\"http://x.org/%C3%A9%20%22b\"}" },
		{ "\"storage_path\":\"https://x.org/1\",\"filename\":\"a_{MD5:0123456789ABCDEF"
		  "0123456789abcdef}.pdf\"",
		    "a.pdf",
		    "{\"url\":\"https://x.org/1\",\"md5\":\"0123456789abcdef0123456789abcdef\"}" },
		{ "\"storage_path\":\"https://x.org/1\",\"fetch_mode\":\"http_url\",\"filename\":"
		  "\"__a__b_{MD5:12}_.pdf\"",
		    "a_b.pdf", "{\"url\":\"https://x.org/1\"}" },
		{ "\"url\":\"http://x.org/1\",\"content_md5\":\"ABCDEF0123456789abcdef0123456789\"",
		    NULL,
		    "{\"url\":\"http://x.org/1\",\"md5\":\"abcdef0123456789abcdef0123456789\"}" },
		{ "\"s3\":{\"bucket\":\"inv-2\",\"key\":\"a/b c.pdf\"}", NULL,
		    "{\"s3\":{\"bucket\":\"inv-2\",\"key\":\"a/b c.pdf\"}}" },
		{ "\"storage_path\":\"s3:inv-2/a/b.pdf\"", NULL,
		    "{\"s3\":{\"bucket\":\"inv-2\",\"key\":\"a/b.pdf\"}}" },
		{ "\"storage_path\":\"s3://inv-2/b.pdf\",\"fetch_mode\":\"storage\"", NULL,
		    "{\"s3\":{\"bucket\":\"inv-2\",\"key\":\"b.pdf\"}}" },
		{ "\"storage_path\":\"inv-2/b.pdf\",\"fetch_mode\":\"s3\"", NULL,
		    "{\"s3\":{\"bucket\":\"inv-2\",\"key\":\"b.pdf\"}}" },
	};
	const struct mail_json_options options = { .arg = NULL },
				       no_s3 = { .no_s3 = "S3 is not configured here" };

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct mail_message m AUTO_MESSAGE = MAIL_MESSAGE_INIT;
		struct mail_delivery delivery AUTO_DELIVERY = MAIL_DELIVERY_INIT;
		struct buf lines AUTO_BUF = BUF_INIT(10000), text AUTO_BUF = BUF_INIT(10000);
		bool s3 = strstr(rows[i].json, "s3") != NULL;

		buf_addf(&text, MESSAGE(",\"attachments\":[{%s}]"), rows[i].attachment);
		CHECK_INT(load(text.s, &options, &m, &delivery, &lines), 0);
		CHECK_STR(lines.s, "");
		CHECK_STR(m.attachments[0].remote, rows[i].json);
		CHECK_INT(m.attachments[0].unnamed, rows[i].filename == NULL);
		if (rows[i].filename != NULL)
			CHECK_STR(m.attachments[0].filename, rows[i].filename);
		mail_message_release(&m);
		CHECK_INT(load(text.s, &no_s3, &m, &delivery, &lines), s3 ? -1 : 0);
		CHECK_INT(strstr(lines.s, ": S3 is not configured here") != NULL, s3);
	}
}

TEST(described)
{
	const char *text =
	    MESSAGE(",\"attachments\":[{\"content\":\"aGk=\",\"filename\":\"a\","
		    "\"mime_type\":\"image/png\",\"content_id\":\"<logo@x>\"},"
		    "{\"content\":\"aGk=\",\"content_type\":\"image/gif\",\"cid\":\"b\"},"
		    "{\"storage_path\":\"base64:aGk=\",\"filename\":\"r_{MD5:ab}.csv\"},"
		    "{\"storage_path\":\"aGk=\",\"fetch_mode\":\"base64\"},"
		    "{\"storage_path\":\"base64:aGk=\",\"fetch_mode\":\"base64\"}]");
	struct mail_message m AUTO_MESSAGE = MAIL_MESSAGE_INIT;
	struct mail_delivery delivery AUTO_DELIVERY = MAIL_DELIVERY_INIT;
	struct buf lines AUTO_BUF = BUF_INIT(10000);
	const struct mail_json_options options = { .arg = NULL };

	CHECK_INT(load(text, &options, &m, &delivery, &lines), 0);
	CHECK_STR(lines.s, "");
	CHECK_STR(m.attachments[0].content_type, "image/png");
	CHECK_STR(m.attachments[0].content_id, "logo@x");
	CHECK_STR(m.attachments[1].content_type, "image/gif");
	CHECK_STR(m.attachments[1].content_id, "b");
	CHECK_STR(m.attachments[2].filename, "r.csv");
	for (size_t i = 0; i < 5; i++)
		CHECK_STR(m.attachments[i].bytes.s, "hi");
}

TEST(faults_have_places)
{
	const char *text =
	    "{\"to\":[\"x\"],\"subject\":\"\",\"body\":\"\",\"attachments\":[{\"content\":\"!\"}]}";
	struct mail_message m AUTO_MESSAGE = MAIL_MESSAGE_INIT;
	struct mail_delivery delivery AUTO_DELIVERY = MAIL_DELIVERY_INIT;
	struct mail_faults faults AUTO_FAULTS = MAIL_FAULTS_INIT;
	struct mail_json_options options = { .arg = NULL };
	AUTO_JSON struct json *root = json_parse(text, strlen(text), 1, NULL);
	struct err err = ERR_INIT;

	CHECK_INT(mail_message_from_json(root, &options, &m, &delivery, &faults), -1);
	CHECK_INT(faults.count, 3);
	CHECK_STR(faults.at[0].type, "value_error.missing");
	CHECK_STR(faults.at[0].loc[0].key, "from");
	CHECK_INT(faults.at[1].depth, 2);
	CHECK_STR(faults.at[1].loc[0].key, "to");
	CHECK(faults.at[1].loc[1].key == NULL);
	CHECK_INT(faults.at[1].loc[1].index, 0);
	CHECK_INT(faults.at[2].depth, 3);
	CHECK_STR(faults.at[2].loc[2].key, "content");
	CHECK_INT(mail_faults_err(&faults, "messages[3]", &err), -1);
	CHECK_STR(err.msg, "messages[3].from: field required (and 2 more faults)");
	CHECK_INT(err.code, EX_DATAERR);
}

TEST(priorities)
{
	CHECK_INT(mail_priority_parse("immediate"), 0);
	CHECK_INT(mail_priority_parse("LOW"), 3);
	CHECK_INT(mail_priority_parse("2"), 2);
	CHECK_INT(mail_priority_parse("4"), -1);
	CHECK_INT(mail_priority_parse(""), -1);
	CHECK_INT(mail_priority_parse("22"), -1);
	CHECK_STR(mail_priority_name(2), "medium");
}

UNIT_MAIN()
