#include "unit.h"

#include <sys/stat.h>

#include "base/clock.h"
#include "policy/account_text.h"
#include "policy/settings.h"

static const char *const variables[] = { "API_TOKEN", "HOST", "PORT", "SMTP_HOST", "SMTP_PORT",
	"SMTP_USER", "SMTP_PASSWORD", "SMTP_USE_TLS", "FETCH_URL", "TIMEZONE", "MAILQ_CONFIG",
	"MAILQ_SPOOL", "XDG_CONFIG_HOME", "XDG_STATE_HOME" };

/* Nothing of this machine: no variables, and a home without a configuration. */
static void
clear_environment(void)
{
	char home[300];

	for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
		unsetenv(variables[i]);
	snprintf(home, sizeof home, "%s/home", unit_tmpdir());
	setenv("HOME", home, 1);
}

static const char *
write_file(const char *name, const char *text)
{
	static char path[300];
	FILE *f;

	snprintf(path, sizeof path, "%s/%s", unit_tmpdir(), name);
	f = fopen(path, "w");
	if (f == NULL || fputs(text, f) < 0 || fclose(f) != 0)
		abort();
	return path;
}

static int
load(struct settings *s, const char *text, struct err *err)
{
	*err = (struct err)ERR_INIT;
	if (settings_load(s, write_file("mailq.conf", text), err) < 0)
		return -1;
	return settings_complete(s, err);
}

TEST(settings_from_nothing)
{
	AUTO_SETTINGS struct settings s;
	struct err err = ERR_INIT;
	const struct account *a;

	clear_environment();
	CHECK_INT(load(&s, "", &err), 0);
	CHECK_STR(err.msg, "");
	CHECK_INT(s.queue.retention, 7 * 86400 * USEC);
	CHECK_INT(s.queue.min_free_bytes, 64 << 20);
	CHECK_INT(s.queue.min_free_inodes, 1000);
	CHECK_INT(s.queue.max_message_size, 64 << 20);
	CHECK(!s.queue.allow_network_fs);
	CHECK_INT(s.delivery.jobs, 10);
	CHECK(strchr(s.delivery.hostname, '.') != NULL);
	CHECK(s.server.listen.n == 1);
	CHECK_STR(s.server.listen.v[0], "127.0.0.1");
	CHECK_INT(s.server.port, 8000);
	CHECK_INT(s.sync.batch_size, 100);
	CHECK(s.sync.when_idle);
	CHECK_INT(settings_n_accounts(&s), 1);
	CHECK_INT(settings_resolve(&s, NULL, &a, 1, &err), 1);
	CHECK_STR(a->id, "capture");
	CHECK_STR(a->place, "built in");
	CHECK_INT(a->transport, ACCOUNT_CAPTURE);
}

TEST(settings_of_the_contract)
{
	static const char text[] =
	    "spool = \"/var/spool/mailq\";\n"
	    "server:    { listen = \"127.0.0.1\"; port = 8000; api_token = \"t\"; };\n"
	    "scheduler: { timezone = \"Europe/Rome\"; outside_rules = \"minute\"; };\n"
	    "fetch:     { url = \"https://app.example/mail\"; };\n"
	    "sync:      { url = \"http://u\"; user = \"u\"; password = \"p\"; token = \"t\";"
	    " batch_size = 100; when_idle = true; };\n"
	    "delivery:  { default_accounts = [ \"main\", \"backup\" ]; jobs = 10;"
	    " from = \"App <app@example.com>\"; };\n"
	    "attachments: { allow = [ \"files.example.com\", \"10.1.0.0/16\" ];"
	    " paths = [ \"/srv/outgoing\" ]; max_size = \"64 MiB\"; };\n"
	    "accounts:  ( { id = \"main\"; host = \"smtp.example.com\"; port = 587; user = \"u\";"
	    " password_command = \"pass mail\"; limit_per_minute = 30; },\n"
	    " { id = \"backup\"; host = \"b.example.com\"; } );\n";
	const struct account *list[4];
	AUTO_SETTINGS struct settings s;
	struct err err;

	clear_environment();
	CHECK_INT(load(&s, text, &err), 0);
	CHECK_STR(err.msg, "");
	CHECK_STR(s.spool, "/var/spool/mailq");
	CHECK_STR(s.scheduler.timezone, "Europe/Rome");
	CHECK_INT(s.scheduler.outside_rules, 0);
	CHECK_STR(s.delivery.from, "App <app@example.com>");
	CHECK_STR(s.attachments.paths.v[0], "/srv/outgoing");
	CHECK_INT(settings_resolve(&s, "default", list, 4, &err), 2);
	CHECK_STR(list[0]->id, "main");
	CHECK_INT(list[0]->limit_per_minute, 30);
	CHECK_INT(list[0]->tls, ACCOUNT_STARTTLS_REQUIRED);
	CHECK_STR(list[1]->id, "backup");
	CHECK_INT(list[1]->tls, ACCOUNT_STARTTLS_TRY);
	CHECK_INT(settings_resolve(&s, NULL, list, 1, &err), 1);
	CHECK_INT(settings_resolve(&s, "backup", list, 4, &err), 1);
	CHECK_STR(list[0]->id, "backup");
	CHECK_INT(settings_resolve(&s, "other", list, 4, &err), -1);
	CHECK_STR(err.msg, "there is no account \"other\"");
	CHECK_INT(err.code, EX_CONFIG);
}

TEST(settings_of_the_environment)
{
	AUTO_SETTINGS struct settings s = { 0 };
	struct err err;
	const struct account *a;

	clear_environment();
	setenv("SMTP_HOST", "smtp.example.com", 1);
	setenv("SMTP_PORT", "2525", 1);
	setenv("SMTP_USER", "u", 1);
	setenv("SMTP_PASSWORD", "secret", 1);
	setenv("SMTP_USE_TLS", "False", 1);
	setenv("API_TOKEN", "token", 1);
	setenv("HOST", "0.0.0.0", 1);
	setenv("PORT", "9000", 1);
	setenv("FETCH_URL", "", 1);
	setenv("TIMEZONE", "Europe/Rome", 1);
	CHECK_INT(load(&s,
		      "server: { port = 9001; }; accounts = ( { id = \"x\"; host = \"h\"; } );",
		      &err),
	    0);
	CHECK_STR(err.msg, "");
	CHECK_STR(s.server.api_token, "token");
	CHECK(s.server.listen.n == 1);
	CHECK_STR(s.server.listen.v[0], "0.0.0.0");
	CHECK_INT(s.server.port, 9001);
	CHECK(s.fetch.url == NULL);
	CHECK_STR(s.scheduler.timezone, "Europe/Rome");
	CHECK_INT(settings_resolve(&s, "", &a, 1, &err), 1);
	CHECK_STR(a->id, "default");
	CHECK_STR(a->host, "smtp.example.com");
	CHECK_INT(a->port, 2525);
	CHECK_STR(a->password, "secret");
	CHECK_INT(a->tls, ACCOUNT_STARTTLS_REQUIRED);
	settings_release(&s);

	/* The file's account of the same name wins. */
	CHECK_INT(load(&s, "accounts = ( { id = \"default\"; host = \"h\"; } );", &err), 0);
	CHECK_INT(settings_n_accounts(&s), 1);
	CHECK_STR(settings_account(&s, "default")->host, "h");
	settings_release(&s);

	setenv("SMTP_PORT", "many", 1);
	CHECK_INT(load(&s, "", &err), -1);
	CHECK_STR(err.msg,
	    "environment variable SMTP_PORT: expected a whole number, found a string");
	setenv("SMTP_PORT", "25", 1);
	unsetenv("SMTP_USER");
	CHECK_INT(load(&s, "", &err), -1);
	CHECK_STR(err.msg,
	    "environment variables SMTP_*: user: expected, because there is a password");
	CHECK(strstr(err.msg, "secret") == NULL);
	clear_environment();
}

static const struct {
	const char *text, *message; /* behind the file's name */
} bad[] = {
	{ "delivery: { jbos = 3; };", ":1: delivery.jbos: unknown setting" },
	{ "delivery: { jobs = 0; };", ":1: delivery.jobs: expected 1 to 1000, found 0" },
	{ "delivery: { hostname = \"a b\"; };",
	    ":1: delivery.hostname: expected a host's name, found \"a b\"" },
	{ "attachments: { paths = [ \"srv\" ]; };",
	    ":1: attachments.paths: expected directories that start with /, found srv" },
	{ "delivery: { default_accounts = [ \"x\" ]; };",
	    ": delivery.default_accounts: there is no account \"x\"" },
	{ "accounts = ( { id = \"a\"; host = \"h\"; } ,\n { id = \"a\"; host = \"i\"; } );",
	    ":2: accounts: id \"a\" is taken at " },
	{ "accounts = ( { id = \"a\"; host = \"h\"; fallback = \"b\"; } );",
	    ":1: accounts.fallback: there is no account \"b\"" },
	{ "accounts = (\n{ id = \"a\"; host = \"h\"; fallback = \"a\"; } );",
	    ":2: accounts: fallback: expected another account than itself" },
	{ "accounts = ( { id = \"a\"; host = \"h\";\n fallback = \"a/b\"; } );",
	    ":2: accounts.fallback: expected the id of an account: letters, digits, - _ . @ and no "
	    "dot first, found \"a/b\"" },
	{ "accounts = ( { id = \"a\"; host = \"h\"; domains = (\n{ domain = \"x.org\"; },"
	  "\n{ domain = \"X.ORG\"; } ); } );",
	    ":1: accounts: domains: expected each domain once, found \"x.org\" twice" },
	{ "accounts = ( { id = \"a\"; host = \"h\"; domains = ( {\n per_minute = 1; } ); } );",
	    ":1: accounts.domains: domain: expected a domain in each group" },
	{ "accounts = ( { id = \"a\"; host = \"h\"; domains = (\n"
	  "{ domain = \"x\"; per_day = -1; } ); } );",
	    ":2: accounts.domains.per_day: expected 0 to 2147483647, found a number below 0" },
	{ "accounts = ( { id = \"a\"; host = \"h\"; domains = (\n"
	  "{ domain = \"x\"; per_week = 1; } ); } );",
	    ":2: accounts.domains.per_week: unknown setting" },
	{ "accounts = ( { id = \"a\"; host = \"h\"; domains = (\n"
	  "{ domain = \"x..org\"; } ); } );",
	    ":2: accounts.domains: domain: expected a domain (with other letters: as xn--...), "
	    "found \"x..org\"" },
	{ "accounts = ( { id = \"a\"; host = \"h\"; domains = (\n{ domain = "
	  "\"a123456789.b123456789.c123456789.d123456789.e123\"; } ); } );",
	    ":2: accounts.domains: domain: expected at most 47 bytes, found " },
	{ "scheduler: { outside_rules = \"never\"; };",
	    ":1: scheduler.outside_rules: expected one of: minute wait; found never" },
};

TEST(settings_faults_name_their_place)
{
	clear_environment();
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		AUTO_SETTINGS struct settings s = { 0 };
		struct err err;
		size_t n = strlen(unit_tmpdir()) + strlen("/mailq.conf");

		CHECK_INT(load(&s, bad[i].text, &err), -1);
		CHECK_INT(err.code, EX_CONFIG);
		CHECK_ROW(err.msg,
		    strncmp(err.msg + n, bad[i].message, strlen(bad[i].message)) == 0);
	}
}

TEST(settings_find_their_file)
{
	AUTO_SETTINGS struct settings s = { 0 };
	struct err err = ERR_INIT;
	char path[300];

	clear_environment();
	snprintf(path, sizeof path, "%s/xdg", unit_tmpdir());
	setenv("XDG_CONFIG_HOME", path, 1);
	mkdir(path, 0700);
	snprintf(path, sizeof path, "%s/xdg/mailq", unit_tmpdir());
	mkdir(path, 0700);
	write_file("xdg/mailq/mailq.conf", "delivery: { jobs = 4; };");
	CHECK_INT(settings_load(&s, NULL, &err), 0);
	CHECK_INT(s.delivery.jobs, 4);
	settings_release(&s);

	setenv("MAILQ_CONFIG", write_file("named.conf", "delivery: { jobs = 5; };"), 1);
	CHECK_INT(settings_load(&s, NULL, &err), 0);
	CHECK_INT(s.delivery.jobs, 5);
	settings_release(&s);

	CHECK_INT(settings_load(&s, write_file("option.conf", "delivery: { jobs = 6; };"), &err),
	    0);
	CHECK_INT(s.delivery.jobs, 6);
	settings_release(&s);

	CHECK_INT(settings_load(&s, "/nonexistent/mailq.conf", &err), -1);
	CHECK_INT(err.code, EX_NOINPUT);
	CHECK_STR(err.msg, "/nonexistent/mailq.conf: No such file or directory");
	clear_environment();
}

static void
check_spool(const struct settings *s, const char *option, const char *want)
{
	AUTO_FREE char *path = NULL;
	struct err err = ERR_INIT;

	CHECK_INT(settings_spool(s, option, &path, &err), 0);
	CHECK_STR(path, want);
}

TEST(settings_place_the_spool)
{
	AUTO_SETTINGS struct settings s = { 0 };
	AUTO_FREE char *here = getcwd(NULL, 0);
	AUTO_FREE char *path = NULL;
	char want[5000], longest[1200];
	struct err err;

	clear_environment();
	CHECK_INT(load(&s, "spool = \"/from/file\";", &err), 0);
	setenv("MAILQ_SPOOL", "/from/environment", 1);
	snprintf(want, sizeof want, "%s/relative", here);
	check_spool(&s, "relative", want);
	check_spool(&s, NULL, "/from/environment");
	unsetenv("MAILQ_SPOOL");
	check_spool(&s, NULL, "/from/file");
	settings_release(&s);
	CHECK_INT(load(&s, "", &err), 0);
	if (geteuid() == 0) {
		check_spool(&s, NULL, SPOOLDIR);
	} else {
		snprintf(want, sizeof want, "%s/home/.local/state/mailq", unit_tmpdir());
		check_spool(&s, NULL, want);
		setenv("XDG_STATE_HOME", "/state", 1);
		check_spool(&s, NULL, "/state/mailq");
	}
	/* A sendmail's is the system's, unless one is named. */
	CHECK_INT(settings_spool_system(&s, NULL, &path, &err), 0);
	CHECK_STR(path, SPOOLDIR);
	free(path);
	path = NULL;
	CHECK_INT(settings_spool_system(&s, "/named", &path, &err), 0);
	CHECK_STR(path, "/named");
	free(path);
	path = NULL;
	CHECK_STR(settings_spool_owner(&s, SPOOLDIR), "mailq");
	CHECK(settings_spool_owner(&s, "/named") == NULL);
	memset(longest, 'x', sizeof longest);
	longest[0] = '/';
	longest[sizeof longest - 1] = '\0';
	CHECK_INT(settings_spool(&s, longest, &path, &err), -1);
	CHECK_INT(settings_spool(&s, "", &path, &err), -1);
	CHECK(path == NULL);
	clear_environment();
}

/* Adds an account of the spool, from settings as its file has them. */
static void
add(struct settings *s, const char *id, const char *text)
{
	struct account account = { 0 };
	struct err err = ERR_INIT;

	CHECK_INT(account_parse(id, text, "file", &account, &err), 0);
	CHECK_STR(err.msg, "");
	settings_add_account(s, &account);
	CHECK(account.id == NULL);
}

/* "a b c": the accounts for a name in turn, or the message where there are none. */
static void
check_chain(const struct settings *s, const char *name, size_t max, const char *want)
{
	const struct account *list[16];
	struct err err = ERR_INIT;
	char text[700] = "";
	int n = settings_resolve(s, name, list, max, &err);

	if (n < 0)
		snprintf(text, sizeof text, "%s", err.msg);
	for (int i = 0; i < n; i++)
		snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s", i > 0 ? " " : "",
		    list[i]->id);
	CHECK_STR(text, want);
}

TEST(settings_fall_back)
{
	static const char text[] = "delivery: { default_accounts = [ \"a\", \"b\" ]; };\n"
				   "accounts = ( { id = \"a\"; host = \"h\"; fallback = \"c\"; },\n"
				   "{ id = \"b\"; host = \"h\"; fallback = \"a\"; },\n"
				   "{ id = \"c\"; host = \"h\"; fallback = \"d\"; },\n"
				   "{ id = \"d\"; host = \"h\"; fallback = \"c\"; } );";
	AUTO_SETTINGS struct settings s = { 0 };
	struct err err;

	clear_environment();
	CHECK_INT(load(&s, text, &err), 0);
	CHECK_STR(err.msg, "");
	check_chain(&s, NULL, 16, "a b c d");
	check_chain(&s, NULL, 3, "a b c");
	check_chain(&s, NULL, 1, "a");
	check_chain(&s, "b", 16, "b a c d");
	check_chain(&s, "d", 16, "d c");
}

TEST(settings_with_accounts_of_the_spool)
{
	AUTO_SETTINGS struct settings s = { 0 };
	struct err err;

	clear_environment();
	CHECK_INT(load(&s, "", &err), 0);
	add(&s, "late", "host = \"h\"; fallback = \"gone\";");
	add(&s, "later", "host = \"h\"; fallback = \"late\";");
	CHECK_INT(settings_n_accounts(&s), 2);
	CHECK(settings_account(&s, "capture") == NULL);
	CHECK(settings_account(&s, "late")->kept);
	/* One file must not stop the others. */
	CHECK_INT(settings_complete(&s, &err), 0);
	check_chain(&s, NULL, 16, "late");
	check_chain(&s, "later", 16, "later late");
	add(&s, "default", "host = \"h\";");
	check_chain(&s, "default", 16, "default");
	settings_release(&s);

	/* What mailq.conf has comes first, and may name what the spool has. */
	CHECK_INT(settings_load(&s,
		      write_file("mailq.conf",
			  "delivery: { default_accounts = [ \"kept\" ]; };\n"
			  "accounts = ( { id = \"own\"; host = \"h\"; fallback = \"kept\"; } );"),
		      &err),
	    0);
	CHECK_INT(settings_complete(&s, &err), -1);
	add(&s, "kept", "host = \"h\";");
	CHECK_INT(settings_complete(&s, &err), 0);
	check_chain(&s, NULL, 16, "kept");
	check_chain(&s, "own", 16, "own kept");
}

/* Who may make accounts in the spool takes no mail from those of mailq.conf. */
TEST(settings_default_is_a_configured_account)
{
	AUTO_SETTINGS struct settings s = { 0 };
	struct err err;

	clear_environment();
	CHECK_INT(load(&s,
		      "accounts = ( { id = \"main\"; host = \"h\"; }, "
		      "{ id = \"second\"; host = \"h\"; } );",
		      &err),
	    0);
	add(&s, "default", "host = \"h\";");
	check_chain(&s, NULL, 16, "main");
	check_chain(&s, "default", 16, "main");
	CHECK(!settings_has_messages(&s, "default"));
	CHECK(settings_has_messages(&s, "main"));
	settings_add_broken(&s, "default");
	CHECK(!settings_broken(&s, "default"));
	settings_release(&s);

	/* The configured one that is called so goes before the others. */
	CHECK_INT(load(&s,
		      "accounts = ( { id = \"main\"; host = \"h\"; }, "
		      "{ id = \"default\"; host = \"h\"; } );",
		      &err),
	    0);
	check_chain(&s, NULL, 16, "default");
	CHECK(settings_has_messages(&s, "default"));
	settings_release(&s);

	/* The list holds, whatever is in it. */
	CHECK_INT(settings_load(&s,
		      write_file("mailq.conf",
			  "delivery: { default_accounts = [ \"a\", \"default\" ]; };"),
		      &err),
	    0);
	add(&s, "default", "host = \"h\";");
	add(&s, "a", "host = \"h\";");
	check_chain(&s, NULL, 16, "a default");
	CHECK(!settings_has_messages(&s, "default"));
	settings_release(&s);

	/* The environment configures, too. */
	setenv("SMTP_HOST", "env.example", 1);
	CHECK_INT(load(&s, "", &err), 0);
	add(&s, "early", "host = \"h\";");
	check_chain(&s, NULL, 16, "default");
	CHECK_STR(settings_account(&s, "default")->host, "env.example");
	clear_environment();
}

/* What would leave through an account whose file is damaged waits, and goes nowhere else. */
TEST(settings_with_damaged_accounts)
{
	AUTO_SETTINGS struct settings s = { 0 };
	struct err err;

	clear_environment();
	CHECK_INT(load(&s, "", &err), 0);
	settings_add_broken(&s, "bad");
	CHECK(settings_broken(&s, "bad"));
	CHECK(!settings_broken(&s, "good"));
	CHECK_INT(settings_n_accounts(&s), 0);
	CHECK(settings_broken(&s, "default"));
	CHECK(settings_broken(&s, ""));
	check_chain(&s, "bad", 16, "the file of account \"bad\" is damaged");
	check_chain(&s, NULL, 16, "the file of account \"bad\" is damaged");
	add(&s, "good", "host = \"h\"; fallback = \"bad\";");
	check_chain(&s, NULL, 16, "the file of account \"bad\" is damaged");
	check_chain(&s, "good", 16, "good");
	check_chain(&s, "none", 16, "there is no account \"none\"");
	settings_release(&s);

	CHECK_INT(load(&s, "", &err), 0);
	add(&s, "good", "host = \"h\";");
	settings_add_broken(&s, "bad");
	CHECK(!settings_broken(&s, "default"));
	check_chain(&s, NULL, 16, "good");
	settings_add_broken(&s, "default");
	check_chain(&s, NULL, 16, "the file of account \"default\" is damaged");
	settings_release(&s);

	/* In a list of several the next takes over. */
	CHECK_INT(settings_load(&s,
		      write_file("mailq.conf",
			  "delivery: { default_accounts = [ \"bad\", \"good\" ]; };"),
		      &err),
	    0);
	settings_add_broken(&s, "bad");
	add(&s, "good", "host = \"h\";");
	CHECK_INT(settings_complete(&s, &err), 0);
	check_chain(&s, NULL, 16, "good");
}

/* What a server does when accounts change: shares of one base, each with accounts of its own. */
TEST(settings_shares)
{
	AUTO_SETTINGS struct settings base;
	struct settings one, two;
	struct err err = ERR_INIT;

	clear_environment();
	CHECK_INT(load(&base, "accounts: ( { id = \"mine\"; host = \"h\"; } );", &err), 0);
	settings_share(&base, &one);
	settings_share(&base, &two);
	add(&one, "a", "host = \"h\";");
	settings_add_broken(&one, "b");
	add(&two, "c", "host = \"h\";");
	check_chain(&one, "a", 16, "a");
	check_chain(&one, "c", 16, "there is no account \"c\"");
	check_chain(&one, "b", 16, "the file of account \"b\" is damaged");
	check_chain(&two, "c", 16, "c");
	check_chain(&two, NULL, 16, "mine");
	settings_release(&one);
	check_chain(&two, "c", 16, "c");
	settings_release(&two);
	check_chain(&base, "mine", 16, "mine");
	CHECK_INT(settings_n_accounts(&base), 1);
	settings_release(&base);

	/* The built-in one gives way in a share, and stays where it is. */
	CHECK_INT(load(&base, "", &err), 0);
	settings_share(&base, &one);
	add(&one, "a", "host = \"h\";");
	check_chain(&one, NULL, 16, "a");
	settings_release(&one);
	check_chain(&base, NULL, 16, "capture");
}

UNIT_MAIN()
