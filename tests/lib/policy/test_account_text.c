#include "unit.h"

#include "base/clock.h"
#include "policy/account_text.h"

#define MAX ((size_t)64 * 1024)

/* ---- reading ----------------------------------------------------------------------------------- */

TEST(account_of_a_file)
{
	static const char text[] =
	    "# the relay\n"
	    "created_at = \"2026-11-21T08:00:00.123456Z\";\n"
	    "host = \"smtp.\" /* two */ \"example.com\",\n"
	    "port : 2525\n"
	    "frobnicate = { deep = ( 1, { x = \"y\" } ); };\n"
	    "domains = ( { domain = \"GMAIL.com\"; per_minute = 20; of = 1; } );\n"
	    "timeouts: { dot = \"5m\"; later = 1; }\n";
	struct account a = { 0 };
	struct err err = ERR_INIT;
	const struct account_domain *domain;

	CHECK_INT(account_parse("main", text, "accounts/main", &a, &err), 0);
	CHECK_STR(err.msg, "");
	CHECK_STR(a.id, "main");
	CHECK_STR(a.place, "accounts/main");
	CHECK_STR(a.host, "smtp.example.com");
	CHECK_INT(a.port, 2525);
	CHECK_INT(a.timeouts.dot, 300 * USEC);
	CHECK_INT(a.tls, ACCOUNT_STARTTLS_TRY);
	CHECK(a.kept);
	CHECK_INT(a.created % USEC, 123456);
	CHECK_INT(a.domains.n, 1);
	domain = a.domains.v;
	CHECK_STR(domain->domain, "gmail.com");
	CHECK_INT(domain->per_minute, 20);
	CHECK_INT(domain->per_day, 0);
	CHECK_INT(account_text_created(text), a.created);
	account_free(&a);
	CHECK(a.host == NULL);
}

/* No message says what stands in the line: it may be a password. */
static const struct {
	const char *text, *message;
} bad[] = {
	{ "", "f: host: expected the server's name or address" },
	{ "host = \"h\"\nport = 0;", "f:2: port: expected 1 to 65535, found 0" },
	{ "host = \"h\";\npassword = S3cret;", "f:2: syntax error" },
	{ "host = \"h\";\npassword = 99999999999;",
	    "f:2: a number that does not fit into 32 bits (expected an L after it, or a string)" },
	{ "host = \"h\"; user = \"u\";\npassword = 1234567;",
	    "f:2: password: expected a string, found a whole number" },
	{ "host = \"h\"; user = \"u\";\npassword = \"S3cret\\n\";",
	    "f:2: password: expected no control characters" },
	{ "password = \"S3cret", "f:1: a string without its closing quote" },
	{ "host = \"u:S3cret@h\";", "f: host: expected a name or address alone" },
	{ "password = \"S3cret\"; host = \"h\";",
	    "f: user: expected, because there is a password" },
	{ "host = \"h\"; host = \"S3cret\";", "f:1: duplicate setting name" },
	{ "@include \"/etc/shadow\"\n", "f:1: @include is not for this file" },
	{ "id = \"other\"; host = \"h\";", "f: id: expected the id in the file's name, or no id" },
	{ "host = \"h\";\ncreated_at = \"now and then\";",
	    "f:2: created_at: expected a time such as \"2026-11-21T08:00:00Z\", found \"now and "
	    "then\"" },
	{ "host = \"h\"; fallback = \"main\";",
	    "f: fallback: expected another account than itself" },
};

TEST(account_files_with_faults)
{
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct account a = { 0 };
		struct err err = ERR_INIT;

		CHECK_INT(account_parse("main", bad[i].text, "f", &a, &err), -1);
		CHECK_STR(err.msg, bad[i].message);
		CHECK_INT(err.code, EX_CONFIG);
		CHECK(a.host == NULL && a.password == NULL);
	}
}

TEST(account_creation_is_read_from_a_damaged_file)
{
	CHECK_INT(account_text_created("created_at = \"1970-01-01T00:00:05Z\";\nhost = ;"),
	    5 * USEC);
	CHECK_INT(account_text_created("host = ;\ncreated_at = \"1970-01-01T00:00:05Z\";"), 0);
	CHECK_INT(account_text_created("created_at = \"soon\";"), 0);
	CHECK_INT(account_text_created("created_at = 5;"), 0);
	CHECK_INT(account_text_created(""), 0);
}

/* ---- changing ---------------------------------------------------------------------------------- */

static const struct {
	const char *before, *path, *value, *after;
} changes[] = {
	/* a new one at the end, which may lack its line's end */
	{ "", "host", "\"h\"", "host = \"h\";\n" },
	{ "# c", "port", "25", "# c\nport = 25;\n" },
	{ "a = 1", "port", "25", "a = 1\nport = 25;\n" },
	{ "", "timeouts.dot", "\"5m\"", "timeouts: { dot = \"5m\"; };\n" },
	/* one that is there: only its value */
	{ "host: /* x */ \"a\" // y\n ;z = 1", "host", "\"b\"",
	    "host: /* x */ \"b\" // y\n ;z = 1" },
	{ "host = \"a\" # x\n \"b\" /* y */; port = 1", "host", "\"c\"",
	    "host = \"c\" /* y */; port = 1" },
	{ "d = ( { x = \") }\"; } /* ) */ ), port = 1,", "port", "2",
	    "d = ( { x = \") }\"; } /* ) */ ), port = 2," },
	{ "d = ( { port = 1; }, [ 1, 2 ] ) e = { port = 1 }\nport = 1", "port", "2",
	    "d = ( { port = 1; }, [ 1, 2 ] ) e = { port = 1 }\nport = 2" },
	{ "# port = 1\nx = \"port = 1\"; port = 0x1L;", "port", "2",
	    "# port = 1\nx = \"port = 1\"; port = 2;" },
	{ "x = \"a\\\"; port = 1; \"; port = 3", "port", "2",
	    "x = \"a\\\"; port = 1; \"; port = 2" },
	{ "timeouts: { dot = \"1m\" }", "timeouts.dot", "\"5m\"", "timeouts: { dot = \"5m\" }" },
	/* words that stand close to one another stay apart */
	{ "a = 1port=0x1Fg=2", "port", "25", "a = 1port=25 g=2" },
	{ "a = 1port = 2;L = 3", "port", NULL, "a = 1 L = 3" },
	{ "port = 1e5b = .5e-3c = -1.d = 3LLe = 4", "port", "2",
	    "port = 2 b = .5e-3c = -1.d = 3LLe = 4" },
	{ "a = .5e-3port = 5.c = 1", "port", NULL, "a = .5e-3 c = 1" },
	{ "timeouts = {dot = 1}", "timeouts.data", "2", "timeouts = {dot = 1 data = 2; }" },
	/* one more in a group */
	{ "timeouts: { dot = \"1m\"; }; x = 1", "timeouts.data", "\"5m\"",
	    "timeouts: { dot = \"1m\"; data = \"5m\"; }; x = 1" },
	{ "timeouts = {\n\tdot = \"1m\" # slow\n  };\n", "timeouts.data", "\"5m\"",
	    "timeouts = {\n\tdot = \"1m\" # slow\n  \tdata = \"5m\";\n  };\n" },
	{ "timeouts: { };", "timeouts.data", "\"5m\"", "timeouts: { data = \"5m\"; };" },
	{ "dot = 1; timeouts: { };", "timeouts.dot", "\"5m\"",
	    "dot = 1; timeouts: { dot = \"5m\"; };" },
	/* taken out: with its line where it is alone on it; comments stay */
	{ "a = 1;\n  host = \"h\" ; \nb = 2;\n", "host", NULL, "a = 1;\nb = 2;\n" },
	{ "a = 1; host = \"h\"; b = 2;", "host", NULL, "a = 1;  b = 2;" },
	{ "host = \"h\"; # why\nb = 2;", "host", NULL, " # why\nb = 2;" },
	{ "host = \"h\" /* why */; b = 2;", "host", NULL, " /* why */ b = 2;" },
	{ "host = (\n{ a = 1 },\n{ b = 2 }\n)\nb = 2", "host", NULL, "b = 2" },
	{ "a = 1\nhost = \"h\"", "host", NULL, "a = 1\n" },
	{ "timeouts: { dot = 1; };", "timeouts.dot", NULL, "timeouts: {  };" },
	/* nothing to do */
	{ "a = 1;", "host", NULL, "a = 1;" },
	{ "a = 1;", "timeouts.dot", NULL, "a = 1;" },
	{ "hostname = 1; ho = 2;", "host", NULL, "hostname = 1; ho = 2;" },
};

TEST(account_texts_change_where_they_should)
{
	for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
		AUTO(account_settings_release) struct account_settings list = { 0 };
		AUTO_BUF struct buf out = BUF_INIT(MAX);
		struct err err = ERR_INIT;

		account_settings_put(&list, changes[i].path, changes[i].value);
		CHECK_INT(account_text_change(changes[i].before, &list, false, &out, &err), 0);
		CHECK_STR(err.msg, "");
		CHECK_STR(out.s, changes[i].after);
	}
}

/* What libconfig accepts, the editor must see in the same way: each text is read before and after a
 * change, and says the same but for what changed. */
TEST(account_texts_mean_the_same_after_a_change)
{
	static const char *const texts[] = {
		"host=\"h\"port=26 connections=3",
		"host=\"h\"//x\nport=26//y\nconnections=3",
		"host/**/=/**/\"h\"/**/port/**/:/**/26/**/connections=3/**/",
		"host=\"h\";port=0x1A,connections=+3;",
		"host = \"h\" \"\"\n\"\"; port = 26L; connections = 3 # end",
		"*x-y* = 1 host = \"h\"; X = TRUE; port = 26; f = 1.5e-3 connections = 3;",
		"\r\n\fhost = \"h\";\r\n\tport = 26;\r\nconnections = 3;\r\n",
		"u=\"\\x41\\\"\\\\\"; host = \"h\" port = 26 v = [] w = () z = {} connections=3",
	};

	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		AUTO(account_settings_release) struct account_settings list = { 0 };
		AUTO_BUF struct buf out = BUF_INIT(MAX);
		struct account a = { 0 };
		struct err err = ERR_INIT;

		account_settings_put(&list, "port", NULL);
		account_settings_put(&list, "ttl", "\"7s\"");
		account_settings_put(&list, "host", "\"new\"");
		CHECK_ROW(texts[i], account_parse("a", texts[i], "f", &a, &err) == 0);
		CHECK_STR(err.msg, "");
		CHECK_INT(a.port, 26);
		account_free(&a);
		CHECK_INT(account_text_change(texts[i], &list, false, &out, &err), 0);
		CHECK_INT(account_parse("a", out.s, "f", &a, &err), 0);
		CHECK_STR(err.msg, "");
		CHECK_ROW(texts[i], a.host != NULL && strcmp(a.host, "new") == 0);
		CHECK_INT(a.port, 587);
		CHECK_INT(a.ttl, 7 * USEC);
		CHECK_INT(a.connections, 3);
		account_free(&a);
	}
}

TEST(account_texts_that_are_replaced_keep_what_is_not_known)
{
	static const char before[] = "# the relay of the shop\n"
				     "created_at = \"2026-01-01T00:00:00Z\";\n"
				     "host = \"old\"; # moved in May\n"
				     "user = \"u\";\n"
				     "frobnicate = 3;\n"
				     "timeouts: { dot = \"1m\"; nap = 2; };\n";
	static const char after[] = "# the relay of the shop\n"
				    "created_at = \"2026-01-01T00:00:00Z\";\n"
				    "host = \"new\"; # moved in May\n"
				    "frobnicate = 3;\n"
				    "timeouts: {  nap = 2; };\n"
				    "port = 25;\n";
	AUTO(account_settings_release) struct account_settings list = { 0 };
	AUTO_BUF struct buf out = BUF_INIT(MAX), small = BUF_INIT(100);
	struct err err = ERR_INIT;

	account_settings_put(&list, "host", "\"new\"");
	account_settings_put(&list, "port", "25");
	CHECK_INT(account_text_change(before, &list, true, &out, &err), 0);
	CHECK_STR(out.s, after);
	CHECK_INT(account_text_change(before, &list, true, &small, &err), -1);
	CHECK_INT(err.code, EX_CONFIG);
}

TEST(account_texts_that_are_none_are_not_changed)
{
	static const char *const texts[] = { "host", "= 1", "a = ;", "a = ( 1", "a = \"x",
		"a = { b = 1", "a = 1; }", "a 1" };

	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		AUTO(account_settings_release) struct account_settings list = { 0 };
		AUTO_BUF struct buf out = BUF_INIT(MAX);
		struct err err = ERR_INIT;

		account_settings_put(&list, "port", "25");
		CHECK_ROW(texts[i], account_text_change(texts[i], &list, false, &out, &err) == -1);
		CHECK_STR(err.msg, "port: the account's file cannot be understood");
	}
}

/* ---- words ------------------------------------------------------------------------------------- */

/* value: NULL takes the setting out; message: NULL for none */
static const struct {
	const char *word, *path, *value, *message;
} words[] = {
	{ "host=smtp.example.com", "host", "\"smtp.example.com\"", NULL },
	{ "port=587", "port", "587", NULL },
	{ "limit_per_day=2147483647", "limit_per_day", "2147483647", NULL },
	{ "use_tls=Yes", "use_tls", "true", NULL },
	{ "tls_verify=off", "tls_verify", "false", NULL },
	{ "ttl=90s", "ttl", "\"90s\"", NULL },
	{ "ttl=90", "ttl", "\"90\"", NULL },
	{ "timeouts.dot=5m", "timeouts.dot", "\"5m\"", NULL },
	{ "retry=30s, 1h", "retry", "[ \"30s\", \"1h\" ]", NULL },
	{ "dsn_notify=failure,delay", "dsn_notify", "[ \"failure\", \"delay\" ]", NULL },
	{ "uncertain=hold", "uncertain", "\"hold\"", NULL },
	{ "from=A \"B\" \\ <a@b.example>", "from", "\"A \\\"B\\\" \\\\ <a@b.example>\"", NULL },
	{ "user=", "user", NULL, NULL },
	{ "domains=", "domains", NULL, NULL },
	{ "domains=Gmail.com per_minute=20  connections=2,web.de per_hour=100", "domains",
	    "( { domain = \"gmail.com\"; per_minute = 20; connections = 2; }, { domain = "
	    "\"web.de\"; "
	    "per_hour = 100; } )",
	    NULL },
	{ "password=a=b", "password", "\"a=b\"", NULL },
	{ "port=0", NULL, NULL, "port: expected 1 to 65535, found 0" },
	{ "port=-1", NULL, NULL, "port: expected 1 to 65535, found a number below 0" },
	{ "port=many", NULL, NULL, "port: expected a whole number, found a string" },
	{ "ttl=forever", NULL, NULL,
	    "ttl: expected a duration such as \"5m\" or \"2h\", found \"forever\"" },
	{ "uncertain=maybe", NULL, NULL,
	    "uncertain: expected one of: retry hold fail; found maybe" },
	{ "frobnicate=1", NULL, NULL, "frobnicate: unknown setting" },
	{ "id=other", NULL, NULL, "id: it is the account's name, and not a setting" },
	{ "created_at=2026", NULL, NULL, "created_at: unknown setting" },
	{ "S3cret", NULL, NULL, "expected SETTING=VALUE" },
	{ "=S3cret", NULL, NULL, "expected SETTING=VALUE" },
	{ "domains=per_minute=5", NULL, NULL,
	    "domains: expected \"DOMAIN LIMIT=N ...\", found \"per_minute=5\"" },
	{ "domains=x.org 5", NULL, NULL, "domains: expected \"DOMAIN LIMIT=N ...\", found \"5\"" },
	{ "domains=x.org per_week=5", NULL, NULL, "domains: x.org: unknown setting \"per_week\"" },
	{ "domains=x.org per_day=-5", NULL, NULL,
	    "domains: x.org: per_day: expected 0 to 2147483647, found a number below 0" },
	{ "domains=x.org per_day=5,", NULL, NULL,
	    "domains: domain: expected a domain in each group" },
	{ "fallback=a b", NULL, NULL,
	    "fallback: expected the id of an account: letters, digits, - _ . @ and no dot first, "
	    "found "
	    "\"a b\"" },
};

TEST(account_settings_of_words)
{
	for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
		AUTO(account_settings_release) struct account_settings list = { 0 };
		struct err err = ERR_INIT;
		int result = account_setting_parse(words[i].word, &list, &err);

		CHECK_ROW(words[i].word, result == (words[i].message != NULL ? -1 : 0));
		CHECK_STR(err.msg, words[i].message != NULL ? words[i].message : "");
		CHECK_INT(err.code, words[i].message != NULL ? EX_USAGE : 0);
		CHECK_INT(list.n, words[i].message != NULL ? 0 : 1);
		if (list.n == 1) {
			CHECK_STR(list.v[0].path, words[i].path);
			CHECK_STR(list.v[0].value, words[i].value);
		}
	}
}

/* ---- JSON -------------------------------------------------------------------------------------- */

/* An account of the JSON, as it is after its file was written and read. */
static int
of_json(const char *text, struct account *a, struct err *err)
{
	AUTO(account_settings_release) struct account_settings list = { 0 };
	AUTO_JSON struct json *object = json_parse(text, strlen(text), 1, err);
	AUTO_BUF struct buf out = BUF_INIT(MAX);

	*a = (struct account){ 0 };
	if (object == NULL || account_settings_from_json(object, &list, err) < 0 ||
	    account_text_change("", &list, true, &out, err) < 0)
		return -1;
	return account_parse("main", out.s, "file", a, err);
}

TEST(account_of_json)
{
	struct account a;
	struct err err = ERR_INIT;
	const struct account_domain *domains;

	CHECK_INT(of_json("{\"id\":\"main\",\"host\":\"h\",\"port\":2525,\"user\":\"u\","
			  "\"password\":\"p\\\"q\",\"ttl\":60,\"limit_per_minute\":5,"
			  "\"limit_per_hour\":0,\"limit_per_day\":null,\"limit_behavior\":"
			  "\"reject\","
			  "\"use_tls\":false,\"batch_size\":50,\"min_interval_seconds\":0.25,"
			  "\"from\":\"a@b.example\",\"from_name\":\"\",\"created_at\":\"x\","
			  "\"frobnicate\":{\"a\":1},\"timeouts\":{\"dot\":\"1h\",\"nap\":1},"
			  "\"retry\":[30,\"1h\"],\"dsn_notify\":[\"failure\",\"delay\"],"
			  "\"domains\":{\"Gmail.com\":{\"per_minute\":20,\"connections\":2},"
			  "\"web.de\":{}}}",
		      &a, &err),
	    0);
	CHECK_STR(err.msg, "");
	CHECK_STR(a.host, "h");
	CHECK_INT(a.port, 2525);
	CHECK_STR(a.password, "p\"q");
	CHECK_INT(a.ttl, 60 * USEC);
	CHECK_INT(a.limit_per_minute, 5);
	CHECK_INT(a.limit_behavior, ACCOUNT_LIMIT_REJECT);
	CHECK_INT(a.use_tls, 0);
	/* STARTTLS where it is offered, and no password without it. */
	CHECK_INT(a.tls, ACCOUNT_STARTTLS_REQUIRED);
	CHECK_INT(a.batch_size, 50);
	CHECK_INT(a.min_interval, 250000);
	CHECK(a.from_name == NULL);
	CHECK_INT(a.timeouts.dot, 3600 * USEC);
	CHECK_INT(a.retry.n, 2);
	CHECK_STR(a.dsn_notify, "FAILURE,DELAY");
	CHECK_INT(a.domains.n, 2);
	domains = a.domains.v;
	CHECK_STR(domains[0].domain, "gmail.com");
	CHECK_INT(domains[0].connections, 2);
	account_free(&a);

	CHECK_INT(of_json("{\"host\":\"h\",\"use_tls\":true,\"domains\":[{\"domain\":\"x.org\","
			  "\"per_day\":1}]}",
		      &a, &err),
	    0);
	CHECK_INT(a.tls, ACCOUNT_TLS_IMPLICIT);
	CHECK_INT(a.port, 465);
	CHECK_INT(a.domains.n, 1);
	account_free(&a);
	CHECK_INT(of_json("{\"host\":\"h\",\"use_tls\":false}", &a, &err), 0);
	CHECK_INT(a.tls, ACCOUNT_STARTTLS_TRY);
	account_free(&a);
}

static const struct {
	const char *text, *message;
} bad_json[] = {
	{ "[]", "expected an object, found an array" },
	{ "{\"port\":0}", "port: expected 1 to 65535, found 0" },
	{ "{\"port\":\"25\"}", "port: expected a whole number, found a string" },
	{ "{\"port\":2.5}", "port: expected a whole number, found a number" },
	{ "{\"host\":{}}", "host: expected a string, found an object" },
	{ "{\"use_tls\":\"no\"}", "use_tls: expected true or false, found a string" },
	{ "{\"ttl\":0}", "ttl: expected 1s to 1d, found 0s" },
	{ "{\"ttl\":-5}", "ttl: expected seconds, found a number out of bounds" },
	{ "{\"ttl\":[]}",
	    "ttl: expected a number of seconds, or a string such as \"5m\", found an array" },
	{ "{\"password\":12345}", "password: expected a string, found a whole number" },
	{ "{\"limit_behavior\":\"wait\"}",
	    "limit_behavior: expected one of: defer reject fallback; found wait" },
	{ "{\"domains\":5}", "domains: expected an object or an array, found a whole number" },
	{ "{\"domains\":{\"x.org\":5}}",
	    "domains: expected an object for each domain, found a whole number" },
	{ "{\"domains\":{\"x.org\":{\"per_day\":\"5\"}}}",
	    "domains: per_day: expected a whole number, found a string" },
	{ "{\"domains\":[{\"per_day\":5}]}", "domains: domain: expected a domain in each group" },
	{ "{\"timeouts\":{\"dot\":\"soon\"}}",
	    "timeouts.dot: expected a duration such as \"5m\" or \"2h\", found \"soon\"" },
};

TEST(account_faults_in_json)
{
	for (size_t i = 0; i < sizeof bad_json / sizeof *bad_json; i++) {
		struct account a;
		struct err err = ERR_INIT;

		CHECK_INT(of_json(bad_json[i].text, &a, &err), -1);
		CHECK_STR(err.msg, bad_json[i].message);
		CHECK_INT(err.code, EX_DATAERR);
	}
}

static void
check_put(const char *text, const char *const *want, const char *const *unwanted)
{
	AUTO_BUF struct buf out = BUF_INIT(MAX);
	struct json_writer w = JSON_WRITER(&out);
	struct account a = { 0 };
	struct err err = ERR_INIT;

	CHECK_INT(account_parse("main", text, "f", &a, &err), 0);
	CHECK_STR(err.msg, "");
	json_begin_object(&w);
	account_put(&a, &w);
	json_end_object(&w);
	CHECK_INT(json_finish(&w), 0);
	for (; *want != NULL; want++)
		CHECK_ROW(*want, strstr(out.s, *want) != NULL);
	for (; *unwanted != NULL; unwanted++)
		CHECK_ROW(*unwanted, strstr(out.s, *unwanted) == NULL);
	account_free(&a);
}

TEST(account_as_json)
{
	static const char *const want[] = {
		"{\"id\":\"main\",\"transport\":\"smtp\",\"host\":\"h\"", "\"port\":587",
		"\"user\":\"u\"", "\"ttl\":300", "\"limit_per_minute\":5",
		"\"limit_behavior\":\"defer\"", "\"min_interval_seconds\":0.25",
		"\"has_password\":true", "\"created_at\":\"2026-01-01T00:00:00Z\"",
		"\"timeouts\":{\"connect\":30,", "\"dot\":600},\"force_8bit\"",
		"\"domains\":{\"x.org\":{\"per_day\":1}}", "\"retry\":[60,300,"
	};
	static const char *const unwanted[] = { "S3cret", "use_tls", "limit_per_hour", "batch_size",
		"max_attempts", "from", "maildir", NULL };
	const char *wanted[sizeof want / sizeof *want + 1] = { NULL };
	static const char *const capture[] = { "\"transport\":\"capture\"", NULL };
	static const char *const no_server[] = { "\"port\"", "\"host\"", "has_password", NULL };
	static const char *const command[] = { "\"has_password\":true", NULL };

	memcpy(wanted, want, sizeof want);
	check_put("host = \"h\"; user = \"u\"; password = \"S3cret\"; limit_per_minute = 5;"
		  "created_at = \"2026-01-01T00:00:00Z\"; min_interval_seconds = \"250ms\";"
		  "domains = ( { domain = \"x.org\"; per_day = 1; } );",
	    wanted, unwanted);
	check_put("host = \"h\"; user = \"u\"; password_command = \"echo S3cret\";", command,
	    unwanted);
	check_put("transport = \"capture\";", capture, no_server);
}

UNIT_MAIN()
