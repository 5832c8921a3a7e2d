/* How connections are made: addresses, TLS, certificates, logins, and what is never done. */
#include "smtp_play.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include "smtp/probe.h"

static const char secret[] = "s3cr\"et%\xc3\xa4";

/* tests/helpers/certificates.bash makes them, once. */
static const char *
certificate(const char *name)
{
	static char directory[300], path[8][400];
	static int turn;
	const char *top = getenv("MAILQ_TOP");
	char command[1000];

	if (directory[0] == '\0') {
		snprintf(directory, sizeof(directory), "%s/certificates", unit_tmpdir());
		snprintf(command, sizeof(command),
		    "bash -c '. %s/tests/helpers/certificates.bash && "
		    "make_certificates %s && cd %s && cat server.pem server.key >both.pem && "
		    "cat stranger.pem stranger.key >stranger-both.pem'",
		    top != NULL ? top : ".", directory, directory);
		if (system(command) != 0)
			CHECK_ROW("make_certificates", 0);
	}
	snprintf(path[turn % 8], sizeof(path[0]), "%s/%s", directory, name);
	return path[turn++ % 8];
}

/* One message with these parameters to a server with these arguments. */
static void
deliver(struct play *p, struct server *s, const char *const *args)
{
	server_start(s, args);
	p->n_jobs = p->n_jobs > 0 ? p->n_jobs : 1;
	play_run(p, s);
	server_stop(s);
}

#define EXPECT_FAULT(p, want)                                                                      \
	do {                                                                                       \
		CHECK_INT((p)->n_faults, 1);                                                       \
		CHECK_STR(smtp_fault_name((p)->fault.class), smtp_fault_name(want));               \
		CHECK(strstr((p)->fault.reply.text, "s3cr") == NULL);                              \
		CHECK_INT((p)->outcomes[0], 'A');                                                  \
	} while (0)

TEST(starttls_with_our_authority)
{
	const char *args[] = { "-t", certificate("both.pem"), "-e", "none", "-s", "PIPELINING",
		"-s", "SIZE 100", NULL };
	struct play p = { .params = { .host = "localhost",
			      .tls = SMTP_TLS_REQUIRED,
			      .ca_file = certificate("ca.pem") },
		.n_jobs = 2,
		.limits = { .connections = 1 } };
	struct server s;

	deliver(&p, &s, args);
	CHECK_STR(p.outcomes, "SS");
	CHECK_INT(server_count(&s, "tls 1\n"), 1);
	/* What it offers behind TLS is what counts. */
	CHECK_INT(server_count(&s, "MAIL FROM:<sender@example.com> SIZE=32\n"), 2);
	play_free(&p);
	server_free(&s);
}

TEST(implicit_tls)
{
	const char *args[] = { "-t", certificate("both.pem"), "-i", NULL };
	struct play p = { .params = { .host = "127.0.0.1",
			      .tls = SMTP_TLS_IMPLICIT,
			      .ca_file = certificate("ca.pem") } };
	struct server s;

	deliver(&p, &s, args);
	CHECK_STR(p.outcomes, "S");
	CHECK_INT(server_count(&s, "tls 1\n"), 1);
	play_free(&p);
	server_free(&s);
}

static const struct {
	const char *name, *server, *ca;
	enum smtp_tls tls;
	bool no_verify;
	char outcome;
} certificates[] = {
	{ "of a stranger", "stranger-both.pem", "ca.pem", SMTP_TLS_REQUIRED, false, 'A' },
	{ "of a stranger, TLS tried", "stranger-both.pem", "ca.pem", SMTP_TLS_TRY, false, 'A' },
	{ "another authority", "both.pem", "other-ca.pem", SMTP_TLS_REQUIRED, false, 'A' },
	{ "the system's authorities", "both.pem", NULL, SMTP_TLS_REQUIRED, false, 'A' },
	{ "unverified", "stranger-both.pem", NULL, SMTP_TLS_REQUIRED, true, 'S' },
	{ "TLS tried", "both.pem", "ca.pem", SMTP_TLS_TRY, false, 'S' },
};

TEST(certificates_are_checked)
{
	struct server s;
	struct play p;
	size_t i;

	for (i = 0; i < sizeof(certificates) / sizeof(certificates[0]); i++) {
		const char *args[] = { "-t", certificate(certificates[i].server), NULL };

		memset(&p, 0, sizeof(p));
		p.params.host = "localhost";
		p.params.tls = certificates[i].tls;
		p.params.no_verify = certificates[i].no_verify;
		p.params.ca_file =
		    certificates[i].ca != NULL ? certificate(certificates[i].ca) : NULL;
		deliver(&p, &s, args);
		CHECK_ROW(certificates[i].name, p.outcomes[0] == certificates[i].outcome);
		if (certificates[i].outcome == 'A')
			EXPECT_FAULT(&p, SMTP_FAULT_TLS);
		else
			CHECK_INT(server_count(&s, "tls 1\n"), 1);
		play_free(&p);
		server_free(&s);
	}
}

TEST(required_tls_is_required)
{
	static const char *const not_offered[] = { NULL };
	const char *refused[] = { "-t", certificate("both.pem"), "starttls=454 4.7.0 not now",
		NULL };
	const char *lied[] = { "-t", certificate("both.pem"), "starttls=502 what", NULL };
	const char *const *servers[] = { not_offered, refused, lied };
	struct server s;
	struct play p;
	size_t i;

	for (i = 0; i < 3; i++) {
		memset(&p, 0, sizeof(p));
		p.params.tls = SMTP_TLS_REQUIRED;
		p.params.ca_file = certificate("ca.pem");
		deliver(&p, &s, servers[i]);
		EXPECT_FAULT(&p, SMTP_FAULT_TLS);
		CHECK_INT(p.fault.reply.code, i == 0 ? 0 : i == 1 ? 454 : 502);
		CHECK_INT(server_count(&s, "MAIL"), 0);
		play_free(&p);
		server_free(&s);
	}
}

TEST(tls_is_tried_or_left)
{
	static const char *const not_offered[] = { NULL };
	const char *refused[] = { "-t", certificate("both.pem"), "starttls=454 4.7.0 not now",
		NULL };
	struct play tried = { .params = { .tls = SMTP_TLS_TRY } }, left = { .n_jobs = 1 };
	struct play after = { .params = { .tls = SMTP_TLS_TRY } };
	struct server s;

	deliver(&tried, &s, not_offered);
	CHECK_STR(tried.outcomes, "S");
	server_free(&s);
	/* What is offered is a must: who can say 454 in the server's place could read the mail. */
	deliver(&after, &s, refused);
	EXPECT_FAULT(&after, SMTP_FAULT_TLS);
	CHECK_INT(after.fault.reply.code, 454);
	CHECK_INT(server_count(&s, "MAIL"), 0);
	server_free(&s);
	deliver(&left, &s, refused);
	CHECK_STR(left.outcomes, "S");
	CHECK_INT(server_count(&s, "STARTTLS"), 0);
	server_free(&s);
	play_free(&tried);
	play_free(&after);
	play_free(&left);
}

static const struct {
	const char *name, *ehlo;
	enum smtp_tls tls;
	const char *user;
} spellings[] = {
	{ "lower case", "ehlo#1=250-s|250-starttls|250 SIZE 1000", SMTP_TLS_TRY, NULL },
	{ "lower case, required", "ehlo#1=250-s|250-starttls|250 SIZE 1000", SMTP_TLS_REQUIRED,
	    NULL },
	{ "last, mixed", "ehlo#1=250-s|250 StartTls", SMTP_TLS_TRY, NULL },
	{ "blanks before it", "ehlo#1=250-s|250-  starttls|250 SIZE 1000", SMTP_TLS_TRY, NULL },
	{ "the only line", "ehlo#1=250 starttls", SMTP_TLS_TRY, NULL },
	{ "with a login", "ehlo#1=250-s|250-auth plain|250 starttls", SMTP_TLS_TRY, "user" },
};

TEST(starttls_in_any_spelling)
{
	struct server s;
	struct play p;
	size_t i;

	for (i = 0; i < sizeof(spellings) / sizeof(spellings[0]); i++) {
		const char *args[] = { "-t", certificate("both.pem"), "-s", "auth plain",
			spellings[i].ehlo, NULL };

		memset(&p, 0, sizeof(p));
		p.params.host = "localhost";
		p.params.tls = spellings[i].tls;
		p.params.user = spellings[i].user;
		p.params.password = spellings[i].user != NULL ? secret : NULL;
		p.params.ca_file = certificate("ca.pem");
		deliver(&p, &s, args);
		CHECK_ROW(spellings[i].name, p.outcomes[0] == 'S');
		CHECK_ROW(spellings[i].name, server_count(&s, "tls 1\n") == 1);
		/* The login is behind TLS. */
		CHECK_ROW(spellings[i].name,
		    server_count(&s, "AUTH PLAIN") == (spellings[i].user != NULL));
		play_free(&p);
		server_free(&s);
	}
}

static const struct {
	const char *name, *rule;
	enum smtp_tls tls;
	int code; /* of the fault; 0: it is sent after HELO */
} refusals[] = {
	{ "500", "ehlo=500 5.5.1 what?", SMTP_TLS_NONE, 0 },
	{ "502, TLS tried", "ehlo=502 what?", SMTP_TLS_TRY, 0 },
	{ "550", "ehlo=550 no", SMTP_TLS_NONE, 0 },
	{ "421", "ehlo=421 4.3.2 busy", SMTP_TLS_NONE, 421 },
	{ "421 and gone", "ehlo=421 4.3.2 busy,cut", SMTP_TLS_TRY, 421 },
	{ "450, lines", "ehlo=450-4.7.1 grey|450 4.7.1 list", SMTP_TLS_NONE, 450 },
	{ "451, TLS required", "ehlo=451 later", SMTP_TLS_REQUIRED, 451 },
	{ "454", "ehlo=454 later", SMTP_TLS_TRY, 454 },
};

/* 4xx is no word about ESMTP (RFC 5321 section 4.1.4): what HELO would leave out may be what the mail
 * needs. */
TEST(ehlo_put_off_is_no_old_server)
{
	struct server s;
	struct play p;
	size_t i;

	for (i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		const char *args[] = { refusals[i].rule, NULL };

		memset(&p, 0, sizeof(p));
		p.params.tls = refusals[i].tls;
		deliver(&p, &s, args);
		CHECK_ROW(refusals[i].name, server_count(&s, "> HELO") == (refusals[i].code == 0));
		CHECK_ROW(refusals[i].name, p.outcomes[0] == (refusals[i].code == 0 ? 'S' : 'A'));
		CHECK_ROW(refusals[i].name, p.fault.reply.code == refusals[i].code);
		if (refusals[i].code != 0)
			EXPECT_FAULT(&p, SMTP_FAULT_GREETING);
		play_free(&p);
		server_free(&s);
	}
}

TEST(what_is_no_reply_is_shown)
{
	/* The server says an e with an acute accent in Latin-1. */
	static const char *const args[] = { "ehlo=250-s|\xc3\xa9\x1b[31m no", NULL };
	struct play p = { .n_jobs = 1 };
	struct server s;

	deliver(&p, &s, args);
	EXPECT_FAULT(&p, SMTP_FAULT_PROTOCOL);
	CHECK_STR(p.fault.reply.text,
	    "the server's answer is not an SMTP reply: \"\\xe9\\x1b[31m no\"");
	play_free(&p);
	server_free(&s);
}

/* Words in clear behind the reply to STARTTLS would be taken for the server's (CVE-2021-22947). */
TEST(words_before_tls_are_no_replies)
{
	const char *args[] = { "-t", certificate("both.pem"),
		"starttls=220 go|250-injected|250 SIZE 1", NULL };
	struct play p = { .params = { .tls = SMTP_TLS_REQUIRED,
			      .ca_file = certificate("ca.pem") } };
	struct server s;

	deliver(&p, &s, args);
	CHECK_STR(p.outcomes, "A");
	CHECK_INT(p.n_faults, 1);
	play_free(&p);
	server_free(&s);
}

/* Large enough for TLS to be blocked in the middle of a record. */
TEST(large_messages_through_tls)
{
	const char *args[] = { "-t", certificate("both.pem"), "body=late", NULL };
	struct play p = { .params = { .host = "localhost",
			      .tls = SMTP_TLS_REQUIRED,
			      .ca_file = certificate("ca.pem") },
		.size = 9000000,
		.n_jobs = 4,
		.limits = { .connections = 2 } };
	struct server s;
	char line[100];

	deliver(&p, &s, args);
	CHECK_STR(p.outcomes, "SSSS");
	snprintf(line, sizeof(line), " %llu sender@example.com to1@example.com message 2\n",
	    (unsigned long long)p.jobs[1].length);
	CHECK_INT(server_count(&s, line), 1);
	play_free(&p);
	server_free(&s);
}

static const struct {
	const char *name, *offers, *rules;
	enum smtp_auth auth;
	bool bearer;
	const char *said; /* what the server hears, or NULL: a fault */
	int code;
} logins[] = {
	{ "PLAIN", "AUTH PLAIN LOGIN", NULL, SMTP_AUTH_AUTO, false,
	    "AUTH PLAIN AHVzZXJAZXhhbXBsZS5jb20AczNjciJldCXDpA==", 0 },
	{ "PLAIN where CRAM-MD5 is there", "AUTH CRAM-MD5 PLAIN", NULL, SMTP_AUTH_AUTO, false,
	    "AUTH PLAIN AHVzZXJAZXhhbXBsZS5jb20AczNjciJldCXDpA==", 0 },
	{ "LOGIN", "AUTH PLAIN LOGIN", "auth#1=334 UGFzc3dvcmQ6", SMTP_AUTH_LOGIN, false,
	    "AUTH LOGIN dXNlckBleGFtcGxlLmNvbQ==\n1> czNjciJldCXDpA==", 0 },
	{ "OAUTHBEARER", "AUTH PLAIN XOAUTH2 OAUTHBEARER", NULL, SMTP_AUTH_AUTO, true,
	    "AUTH OAUTHBEARER ", 0 },
	{ "XOAUTH2", "AUTH XOAUTH2", NULL, SMTP_AUTH_AUTO, true,
	    "AUTH XOAUTH2 dXNlcj11c2VyQGV4YW1wbGUuY29tAWF1dGg9QmVhcmVyIHRvazNuAQE=", 0 },
	{ "XOAUTH2 by choice", "AUTH XOAUTH2 OAUTHBEARER", NULL, SMTP_AUTH_XOAUTH2, true,
	    "AUTH XOAUTH2 dXNlcj11c2VyQGV4YW1wbGUuY29tAWF1dGg9QmVhcmVyIHRvazNuAQE=", 0 },
	{ "lower case", "auth plain login", NULL, SMTP_AUTH_AUTO, false,
	    "AUTH PLAIN AHVzZXJAZXhhbXBsZS5jb20AczNjciJldCXDpA==", 0 },
	{ "AUTH=", "AUTH=PLAIN", NULL, SMTP_AUTH_AUTO, false,
	    "AUTH PLAIN AHVzZXJAZXhhbXBsZS5jb20AczNjciJldCXDpA==", 0 },
	{ "no AUTH", "SIZE", NULL, SMTP_AUTH_AUTO, false, NULL, 0 },
	{ "none in common", "AUTH CRAM-MD5 GSSAPI", NULL, SMTP_AUTH_AUTO, false, NULL, 0 },
	{ "none by choice", "AUTH PLAIN", NULL, SMTP_AUTH_LOGIN, false, NULL, 0 },
	{ "refused", "AUTH PLAIN", "auth=535 5.7.8 bad credentials", SMTP_AUTH_AUTO, false, NULL,
	    535 },
	{ "refused for now", "AUTH PLAIN", "auth=454 4.7.0 later", SMTP_AUTH_AUTO, false, NULL,
	    454 },
	{ "bearer refused", "AUTH XOAUTH2", "auth=334 eyJzdGF0dXMiOiI0MDEifQ==", SMTP_AUTH_AUTO,
	    true, NULL, 0 },
};

TEST(logins_are_made_or_missed)
{
	struct server s;
	struct play p;
	size_t i;

	for (i = 0; i < sizeof(logins) / sizeof(logins[0]); i++) {
		const char *args[] = { "-e", logins[i].offers, logins[i].rules, NULL };
		int failures = unit_failures;

		memset(&p, 0, sizeof(p));
		p.params.user = "user@example.com";
		if (logins[i].bearer)
			p.params.bearer = "tok3n";
		else
			p.params.password = secret;
		p.params.auth = logins[i].auth;
		deliver(&p, &s, args);
		if (logins[i].said == NULL) {
			EXPECT_FAULT(&p, SMTP_FAULT_AUTH);
			CHECK_INT(p.fault.reply.code, logins[i].code);
			CHECK_INT(server_count(&s, "MAIL"), 0);
			/* Nothing was denied where nothing was asked. */
			if (server_count(&s, "> AUTH") == 0)
				CHECK(strstr(p.fault.reply.text, "the server offers no") != NULL);
		} else {
			CHECK_STR(p.outcomes, "S");
			CHECK_INT(server_count(&s, logins[i].said), 1);
		}
		if (unit_failures != failures)
			printf("# in \"%s\": %s%s\n", logins[i].name, s.log.s, p.fault.reply.text);
		play_free(&p);
		server_free(&s);
	}
}

/* 192.0.2.0/24 is nowhere (RFC 5737); no packet is sent to it either. */
TEST(credentials_never_cross_a_network_in_clear)
{
	static const enum smtp_tls ways[] = { SMTP_TLS_NONE, SMTP_TLS_TRY };
	static const char *const args[] = { NULL };
	struct play p;
	struct server s;

	memset(&p, 0, sizeof(p));
	p.params = (struct smtp_params){ .host = "192.0.2.1",
		.port = 25,
		.tls = ways[0],
		.user = "user",
		.password = secret };
	deliver(&p, &s, args);
	EXPECT_FAULT(&p, SMTP_FAULT_CONFIG);
	play_free(&p);
	server_free(&s);
	/* STARTTLS that is tried becomes a must with credentials; only loopback needs none. */
	CHECK(smtp_params_need_tls(
	    &(struct smtp_params){ .host = "relay.example", .tls = ways[1], .user = "u" }));
	CHECK(smtp_params_need_tls(
	    &(struct smtp_params){ .host = "127.0.0.1.example", .tls = ways[1], .user = "u" }));
	CHECK(!smtp_params_need_tls(
	    &(struct smtp_params){ .host = "::1", .tls = ways[1], .user = "u" }));
	CHECK(!smtp_params_need_tls(
	    &(struct smtp_params){ .host = "127.1.2.3", .tls = ways[1], .user = "u" }));
	CHECK(!smtp_params_need_tls(&(struct smtp_params){ .host = "relay.example",
	    .tls = ways[1],
	    .user = "u",
	    .auth_without_tls = true }));
	CHECK(!smtp_params_need_tls(
	    &(struct smtp_params){ .host = "relay.example", .tls = ways[1] }));
}

static const struct {
	const char *host;
	enum smtp_fault_class fault;
} hosts[] = {
	{ "", SMTP_FAULT_CONFIG },
	{ "a b", SMTP_FAULT_CONFIG },
	{ "relay.example/path", SMTP_FAULT_CONFIG },
	{ "user@relay.example", SMTP_FAULT_CONFIG },
	{ "relay\r\n.example", SMTP_FAULT_CONFIG },
	{ "no-such-host.invalid", SMTP_FAULT_RESOLVE },
};

TEST(hosts_that_cannot_be_reached)
{
	static const char *const args[] = { NULL };
	struct server s;
	struct play p;
	size_t i;

	for (i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
		memset(&p, 0, sizeof(p));
		p.params.host = hosts[i].host;
		deliver(&p, &s, args);
		CHECK_ROW(hosts[i].host, p.fault.class == hosts[i].fault);
		CHECK_STR(p.outcomes, "A");
		play_free(&p);
		server_free(&s);
	}
}

/* A port of our own that nobody listens on. */
TEST(a_closed_port)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in address = { .sin_family = AF_INET };
	socklen_t len = sizeof(address);
	struct play p = { .n_jobs = 1, .params = { .host = "127.0.0.1" } };
	struct server none = { .port = 0 };

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	CHECK_INT(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	CHECK_INT(getsockname(fd, (struct sockaddr *)&address, &len), 0);
	p.params.port = ntohs(address.sin_port);
	play_run(&p, &none);
	EXPECT_FAULT(&p, SMTP_FAULT_CONNECT);
	play_free(&p);
	close(fd);
}

/* A name with an IPv6 address that refuses and an IPv4 address that answers. */
TEST(another_address_is_tried)
{
	static const char *const args[] = { NULL };
	struct play p = { .params = { .host = "localhost" } };
	struct server s;

	deliver(&p, &s, args);
	CHECK_STR(p.outcomes, "S");
	play_free(&p);
	server_free(&s);
}

TEST(names_and_addresses_of_ours)
{
	static const char *const args[] = { NULL };
	struct play p = { .params = { .ehlo_name = "[127.0.0.1]", .source = "127.0.0.1" } };
	struct play odd = { .params = { .ehlo_name = "a b\r\nMAIL FROM:<x>" } };
	struct server s;

	deliver(&p, &s, args);
	CHECK_STR(p.outcomes, "S");
	CHECK_INT(server_count(&s, "1> EHLO [127.0.0.1]\n"), 1);
	server_free(&s);
	deliver(&odd, &s, args);
	CHECK_STR(odd.outcomes, "A");
	CHECK_INT(server_count(&s, "MAIL"), 0);
	server_free(&s);
	play_free(&p);
	play_free(&odd);
}

TEST(the_environment_names_no_proxy)
{
	static const char *const args[] = { NULL };
	struct play p = { .n_jobs = 1 };
	struct server s;

	setenv("ALL_PROXY", "socks5://127.0.0.1:1", 1);
	deliver(&p, &s, args);
	unsetenv("ALL_PROXY");
	CHECK_STR(p.outcomes, "S");
	play_free(&p);
	server_free(&s);
}

TEST(a_handshake_without_end_times_out)
{
	static const char *const args[] = { "connect=hang", NULL };
	struct play p = { .params = { .tls = SMTP_TLS_IMPLICIT,
			      .timeouts = { .connect = USEC / 10, .greeting = 2 * USEC } } };
	struct server s;
	int64_t start = clock_monotonic();

	deliver(&p, &s, args);
	/* The time-out for connecting is not the one that counts once there is a connection. */
	CHECK(clock_monotonic() - start >= 2 * USEC);
	EXPECT_FAULT(&p, SMTP_FAULT_TIMEOUT);
	CHECK_STR(p.fault.reply.text, "timed out waiting for the greeting");
	play_free(&p);
	server_free(&s);
}

TEST(probes)
{
	const char *args[] = { "-t", certificate("both.pem"), "-e", "AUTH LOGIN", "-s", "SIZE 5",
		"-s", "AUTH PLAIN", "-s", "X\x1b[1m", NULL };
	struct smtp_params params = { .host = "127.0.0.1",
		.tls = SMTP_TLS_REQUIRED,
		.ca_file = certificate("ca.pem"),
		.user = "u",
		.password = secret };
	struct smtp_probe probe;
	struct err err = ERR_INIT;
	char peer[64];
	struct server s;

	server_start(&s, args);
	params.port = s.port;
	CHECK_INT(smtp_probe(&params, &probe, &err), 0);
	CHECK_STR(err.msg, "");
	snprintf(peer, sizeof(peer), "127.0.0.1:%u", s.port);
	CHECK_STR(probe.peer, peer);
	CHECK(probe.tls && probe.authenticated);
	CHECK_STR(probe.capabilities.s, "SIZE 5\nAUTH PLAIN\nX\\x1b[1m\n");
	smtp_probe_release(&probe);
	params.ca_file = certificate("other-ca.pem");
	CHECK_INT(smtp_probe(&params, &probe, &err), -1);
	CHECK_INT(err.code, EX_UNAVAILABLE);
	CHECK_INT(probe.fault.class, SMTP_FAULT_TLS);
	CHECK(strstr(err.msg, "tls: ") == err.msg);
	smtp_probe_release(&probe);
	server_stop(&s);
	CHECK_INT(server_count(&s, "MAIL"), 0);
	CHECK_INT(server_count(&s, "> QUIT\n"), 1);
	server_free(&s);
}

UNIT_MAIN()
