#include "unit.h"

#include "base/clock.h"
#include "policy/account.h"

/* An account from settings "path=text" apart by newlines, with id "a". */
static int
make(struct account *a, const char *settings, struct err *err)
{
	AUTO_FREE char *copy = xstrdup(settings);
	char *rest = copy, *line;

	memset(a, 0, sizeof *a);
	*err = (struct err)ERR_INIT;
	conf_defaults(account_schema, a);
	a->id = xstrdup("a");
	while ((line = strsep(&rest, "\n")) != NULL) {
		char *path = strsep(&line, "=");

		if (line != NULL && conf_set(account_schema, a, path, line, "t", err) < 0)
			return -1;
	}
	return account_check(a, "mailq.conf:7", err);
}

static void
release(struct account *a)
{
	account_release(a);
	conf_release(account_schema, a);
}

#define CREDENTIALS "\nuser=u\npassword=p"

static const struct {
	const char *settings;
	int tls;
	int port;
} protections[] = {
	{ "host=h", ACCOUNT_STARTTLS_TRY, 587 },
	{ "host=h\nport=465", ACCOUNT_TLS_IMPLICIT, 465 },
	{ "host=h\nuse_tls=true", ACCOUNT_TLS_IMPLICIT, 465 },
	{ "host=h\nuse_tls=true\nport=2465", ACCOUNT_TLS_IMPLICIT, 2465 },
	{ "host=h\nuse_tls=false\nport=465", ACCOUNT_STARTTLS_TRY, 465 },
	{ "host=h\nuse_tls=false", ACCOUNT_STARTTLS_TRY, 587 },
	{ "host=h\nstarttls=required", ACCOUNT_STARTTLS_REQUIRED, 587 },
	{ "host=h\nstarttls=required\nport=465", ACCOUNT_STARTTLS_REQUIRED, 465 },
	{ "host=h\nstarttls=never\nport=25", ACCOUNT_TLS_NEVER, 25 },
	{ "host=h" CREDENTIALS, ACCOUNT_STARTTLS_REQUIRED, 587 },
	{ "host=h\nuse_tls=false" CREDENTIALS, ACCOUNT_STARTTLS_REQUIRED, 587 },
	{ "host=h\nallow_plaintext_auth=true" CREDENTIALS, ACCOUNT_STARTTLS_TRY, 587 },
	{ "host=h\nstarttls=never\nallow_plaintext_auth=true" CREDENTIALS, ACCOUNT_TLS_NEVER, 587 },
	{ "host=localhost\nstarttls=never" CREDENTIALS, ACCOUNT_TLS_NEVER, 587 },
	{ "host=127.0.0.1" CREDENTIALS, ACCOUNT_STARTTLS_TRY, 587 },
	{ "host=::1" CREDENTIALS, ACCOUNT_STARTTLS_TRY, 587 },
	{ "host=127.example.com" CREDENTIALS, ACCOUNT_STARTTLS_REQUIRED, 587 },
};

TEST(account_protection)
{
	for (size_t i = 0; i < sizeof protections / sizeof *protections; i++) {
		struct account a;
		struct err err;

		CHECK_INT(make(&a, protections[i].settings, &err), 0);
		CHECK_STR(err.msg, "");
		CHECK_ROW(protections[i].settings, a.tls == protections[i].tls);
		CHECK_ROW(protections[i].settings, a.port == protections[i].port);
		CHECK_STR(a.place, "mailq.conf:7");
		release(&a);
	}
}

#define EXPOSED                                                                                    \
	"starttls: the password could cross the network in clear: expected \"required\", or "      \
	"allow_plaintext_auth = true"

static const struct {
	const char *settings, *message;
} bad[] = {
	{ "", "host: expected the server's name or address" },
	{ "host=a b", "host: expected a name or address alone, found \"a b\"" },
	{ "host=smtp://h", "host: expected a name or address alone, found \"smtp://h\"" },
	{ "host=[::1]", "host: expected a name or address alone, found \"[::1]\"" },
	{ "host=smtp://user:secret@h", "host: expected a name or address alone" },
	{ "id=\nhost=h", "id: expected an id for each account" },
	{ "id=../x\nhost=h",
	    "id: expected letters, digits, - _ . @ and no dot first, found \"../x\"" },
	{ "id=.x\nhost=h", "id: expected letters, digits, - _ . @ and no dot first, found \".x\"" },
	{ "host=h\nuser=u", "user: expected password, password_file or password_command with it" },
	{ "host=h\npassword=p", "user: expected, because there is a password" },
	{ "host=h\npassword_file=/p\npassword_command=c\nuser=u",
	    "expected one of password, password_file and password_command" },
	{ "host=h\nclient_key=/k", "client_key: expected client_cert with it" },
	{ "host=h\nuse_tls=true\nstarttls=required",
	    "starttls: cannot be combined with use_tls = true (TLS from the first byte)" },
	{ "host=h\nstarttls=never" CREDENTIALS, EXPOSED },
	{ "host=h\nstarttls=try" CREDENTIALS, EXPOSED },
	{ "host=h\ndsn_notify=never,delay", "dsn_notify: expected \"never\" alone" },
	{ "host=h\ndsn_notify=sometimes",
	    "t: expected words out of: never success failure delay; found sometimes" },
	{ "host=h\nretry=0", "t: expected 1s to 30d, found 0s" },
};

TEST(account_faults)
{
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct account a;
		struct err err;

		CHECK_INT(make(&a, bad[i].settings, &err), -1);
		CHECK_STR(err.msg, bad[i].message);
		CHECK_INT(err.code, EX_CONFIG);
		release(&a);
	}
}

TEST(account_defaults)
{
	struct account a;
	struct err err;

	CHECK_INT(make(&a, "transport=capture\ndsn_notify=failure,delay", &err), 0);
	CHECK_INT(a.transport, ACCOUNT_CAPTURE);
	CHECK_STR(a.dsn_notify, "FAILURE,DELAY");
	CHECK_INT(a.dsn_return, ACCOUNT_DSN_UNSET);
	CHECK_INT(a.uncertain, ACCOUNT_UNCERTAIN_RETRY);
	CHECK_INT(a.retry.n, 6);
	CHECK_INT(a.retry.v[5], 4 * 3600 * USEC);
	CHECK_INT(a.expires, 5 * 86400 * USEC);
	CHECK_INT(a.ttl, 300 * USEC);
	CHECK_INT(a.timeouts.dot, 600 * USEC);
	CHECK(a.tls_verify);
	CHECK(!account_has_credentials(&a));
	release(&a);
}

TEST(account_ids)
{
	char longest[ACCOUNT_ID_MAX + 2];

	memset(longest, 'x', sizeof longest);
	longest[ACCOUNT_ID_MAX] = '\0';
	CHECK(account_id_valid(longest));
	longest[ACCOUNT_ID_MAX] = 'x';
	longest[ACCOUNT_ID_MAX + 1] = '\0';
	CHECK(!account_id_valid(longest));
	CHECK(account_id_valid("app@example.com"));
	CHECK(!account_id_valid(""));
	CHECK(!account_id_valid("a/b"));
	CHECK(!account_id_valid("a b"));
	CHECK(!account_id_valid("\xc3\xa9"));
}

/* A way to the secret, and what comes of it. */
static const struct {
	const char *settings, *secret, *message;
	int code;
} secrets[] = {
	{ "password=p w", "p w", "", 0 },
	{ "password_command=echo one; echo two", "one", "", 0 },
	{ "password_command=printf 'no newline'", "no newline", "", 0 },
	{ "password_command=printf 'crlf\\r\\n'", "crlf", "", 0 },
	{ "password_command=cat; echo eof", "eof", "", 0 },
	{ "password_command=echo out; exit 3", "", "account a: password_command: exit status 3",
	    EX_TEMPFAIL },
	{ "password_command=kill -9 $$", "", "account a: password_command: ended by signal 9",
	    EX_TEMPFAIL },
	{ "password_command=true", "",
	    "account a: password_command: expected the password in the first line", EX_CONFIG },
	{ "password_command=printf 'a\\tb'", "",
	    "account a: password_command: a control character in the first line", EX_CONFIG },
	{ "password_command=yes", "",
	    "account a: password_command: expected one line, got 64 KiB or more", EX_CONFIG },
	{ "password_file=/nonexistent/p", "",
	    "account a: password_file: /nonexistent/p: No such file or directory", EX_CONFIG },
};

TEST(account_secrets)
{
	for (size_t i = 0; i < sizeof secrets / sizeof *secrets; i++) {
		AUTO_BUF struct buf secret = BUF_INIT(ACCOUNT_SECRET_MAX);
		char settings[200];
		struct account a;
		struct err err;

		snprintf(settings, sizeof settings, "host=localhost\nuser=u\n%s",
		    secrets[i].settings);
		CHECK_INT(make(&a, settings, &err), 0);
		CHECK_INT(account_secret(&a, &secret, &err), secrets[i].code == 0 ? 0 : -1);
		CHECK_STR(secret.s, secrets[i].secret);
		CHECK_STR(err.msg, secrets[i].message);
		CHECK_INT(err.code, secrets[i].code);
		account_secret_wipe(&secret);
		CHECK_INT(secret.len, 0);
		release(&a);
	}
}

TEST(account_secret_of_a_file)
{
	AUTO_BUF struct buf secret = BUF_INIT(ACCOUNT_SECRET_MAX);
	char path[300], settings[400];
	struct account a;
	struct err err;
	FILE *f;

	snprintf(path, sizeof path, "%s/secret", unit_tmpdir());
	f = fopen(path, "w");
	CHECK(f != NULL && fputs("from a file\nmore\n", f) >= 0 && fclose(f) == 0);
	snprintf(settings, sizeof settings, "host=localhost\nuser=u\npassword_file=%s", path);
	CHECK_INT(make(&a, settings, &err), 0);
	CHECK_INT(account_secret(&a, &secret, &err), 0);
	CHECK_STR(secret.s, "from a file");
	account_secret_wipe(&secret);
	release(&a);
}

UNIT_MAIN()
