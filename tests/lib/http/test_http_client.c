/* The HTTP client, against a server that misbehaves (tests/helpers/http_play.py). */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "http/client.h"
#include "unit.h"

/* ---- the server ---------------------------------------------------------------------------- */

struct server {
	pid_t pid;
	int in, out;
	unsigned port;
	struct buf log;
};

static const char *
top(void)
{
	const char *path = getenv("MAILQ_TOP");

	return path != NULL ? path : ".";
}

/* Reads what the server says until text is in it; false when nothing more came for a long time. */
static bool
server_says(struct server *s, const char *text)
{
	struct pollfd fd = { .fd = s->out, .events = POLLIN };
	char bytes[4096];
	ssize_t n;

	while (strstr(s->log.s, text) == NULL) {
		if (poll(&fd, 1, 90000) <= 0 || (n = read(s->out, bytes, sizeof(bytes))) <= 0)
			return false;
		buf_add(&s->log, bytes, (size_t)n);
	}
	return true;
}

static void
server_start(struct server *s, const char *tls, const char *address)
{
	char path[4096];
	int in[2], out[2];
	const char *at;

	snprintf(path, sizeof(path), "%s/tests/helpers/http_play.py", top());
	buf_init(&s->log, 1 << 20);
	if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0 || (s->pid = fork()) < 0)
		exit(2);
	if (s->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(in[0], 0);
		dup2(out[1], 1);
		execl("/usr/bin/python3", "python3", path, "--address", address,
		    tls != NULL ? "--tls" : NULL, tls, NULL);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	s->in = in[1];
	s->out = out[0];
	s->port = server_says(s, "\n") && (at = strstr(s->log.s, "port ")) != NULL ?
	    (unsigned)strtoul(at + 5, NULL, 10) :
	    0;
	CHECK(s->port != 0);
}

static void
server_stop(struct server *s)
{
	close(s->in);
	waitpid(s->pid, NULL, 0);
	close(s->out);
	buf_release(&s->log);
}

/* tests/helpers/certificates.bash makes them, once. */
static const char *
certificate(const char *name)
{
	static char directory[300], path[8][400];
	static int turn;
	char command[1000];

	if (directory[0] == '\0') {
		snprintf(directory, sizeof(directory), "%s/certificates", unit_tmpdir());
		snprintf(command, sizeof(command),
		    "bash -c '. %s/tests/helpers/certificates.bash && make_certificates %s && "
		    "cd %s && cat server.pem server.key >both.pem && "
		    "cat stranger.pem stranger.key >stranger-both.pem'",
		    top(), directory, directory);
		if (system(command) != 0)
			CHECK_ROW("make_certificates", 0);
	}
	snprintf(path[turn % 8], sizeof(path[0]), "%s/%s", directory, name);
	return path[turn++ % 8];
}

/* ---- asking -------------------------------------------------------------------------------- */

struct question {
	struct http_client_config config;
	struct http_call call;
	struct http_answer answer;
	struct err err;
	int rc;
};

static const char *
url_of(const struct server *s, const char *path)
{
	static char url[8][4096];
	static int turn;
	char *at = url[turn++ % 8];

	snprintf(at, sizeof(url[0]), "http://127.0.0.1:%u%s", s->port, path);
	return at;
}

/* Asks with a client of its own. */
static void
ask(struct question *q)
{
	struct http_client *client AUTO(http_client_free) = http_client_new(&q->config, &q->err);

	CHECK(client != NULL);
	if (q->call.method == NULL)
		q->call.method = "GET";
	q->answer = (struct http_answer)HTTP_ANSWER_INIT;
	q->rc = http_call(client, &q->call, &q->answer, &q->err);
}

#define EXPECT_ERR(q, want_code, want_text)                                                        \
	do {                                                                                       \
		CHECK_INT((q)->rc, -1);                                                            \
		CHECK_INT((q)->err.code, want_code);                                               \
		if (strstr((q)->err.msg, want_text) == NULL)                                       \
			CHECK_STR((q)->err.msg, want_text);                                        \
	} while (0)

#define EXPECT_STATUS(q, want)                                                                     \
	do {                                                                                       \
		CHECK_STR((q)->err.msg, "");                                                       \
		CHECK_INT((q)->rc, 0);                                                             \
		CHECK_INT((q)->answer.status, want);                                               \
	} while (0)

static bool
has_line(const struct http_answer *answer, const char *line)
{
	const char *at = strstr(answer->body.s, line);

	return at != NULL && (at == answer->body.s || at[-1] == '\n') && at[strlen(line)] == '\n';
}

TEST(get_and_post_on_one_connection)
{
	static const char *const headers[] = { "X-One: 1", "X-Empty: ", "Accept: text/plain",
		NULL };
	struct http_client_config config = { .allow = NULL };
	struct err err = ERR_INIT;
	struct http_client *client AUTO(http_client_free) = http_client_new(&config, &err);
	struct http_answer answer AUTO(http_answer_release) = HTTP_ANSWER_INIT;
	struct http_call call = { .method = "GET", .headers = headers };
	struct server s;

	server_start(&s, NULL, "127.0.0.1");
	call.url = url_of(&s, "/echo?a=b#part");
	CHECK_INT(http_call(client, &call, &answer, &err), 0);
	CHECK_INT(answer.status, 200);
	CHECK(has_line(&answer, "GET /echo?a=b HTTP/1.1"));
	CHECK(has_line(&answer, "X-One: 1"));
	CHECK(has_line(&answer, "X-Empty:"));
	CHECK(has_line(&answer, "Accept: text/plain"));
	CHECK(strstr(answer.body.s, "Authorization") == NULL);
	CHECK_STR(answer.url, url_of(&s, "/echo?a=b"));
	CHECK_INT(answer.size, answer.body.len);

	call = (struct http_call){ .method = "POST",
		.url = url_of(&s, "/echo"),
		.content_type = "application/json",
		.body = VIEW("{\"a\":1}"),
		.user = "me",
		.password = "pa:ss" };
	CHECK_INT(http_call(client, &call, &answer, &err), 0);
	CHECK(has_line(&answer, "POST /echo HTTP/1.1"));
	CHECK(has_line(&answer, "Content-Type: application/json"));
	CHECK(has_line(&answer, "Content-Length: 7"));
	CHECK(has_line(&answer, "Authorization: Basic bWU6cGE6c3M="));
	CHECK(strstr(answer.body.s, "\n\n{\"a\":1}") != NULL);
	CHECK(strstr(answer.body.s, "Expect") == NULL);
	CHECK(strstr(answer.body.s, "X-One") == NULL);

	call =
	    (struct http_call){ .method = "POST", .url = url_of(&s, "/echo"), .bearer = "t0ken" };
	CHECK_INT(http_call(client, &call, &answer, &err), 0);
	CHECK(has_line(&answer, "Authorization: Bearer t0ken"));
	CHECK(has_line(&answer, "Content-Length: 0"));
	CHECK(strstr(answer.body.s, "Basic") == NULL);
	/* Who is named in the URL, and is not kept for the next. */
	call = (struct http_call){ .method = "GET" };
	{
		char url[200];

		snprintf(url, sizeof(url), "http://us%%65r:p%%40ss@127.0.0.1:%u/echo", s.port);
		call.url = url;
		CHECK_INT(http_call(client, &call, &answer, &err), 0);
		CHECK(has_line(&answer, "Authorization: Basic dXNlcjpwQHNz"));
		CHECK_STR(answer.url, url_of(&s, "/echo"));
	}
	call.url = url_of(&s, "/echo");
	CHECK_INT(http_call(client, &call, &answer, &err), 0);
	CHECK(strstr(answer.body.s, "Authorization") == NULL);
	CHECK_STR(err.msg, "");
	CHECK(server_says(&s, "1 GET /echo\n"));
	CHECK(strstr(s.log.s, "\n2 ") == NULL);
	server_stop(&s);
}

TEST(nothing_of_the_environment)
{
	struct question q = { .err = ERR_INIT };
	char netrc[400];
	FILE *f;
	struct server s;

	snprintf(netrc, sizeof(netrc), "%s/.netrc", unit_tmpdir());
	f = fopen(netrc, "w");
	fprintf(f, "machine 127.0.0.1 login me password secret\n");
	fclose(f);
	setenv("HOME", unit_tmpdir(), 1);
	setenv("http_proxy", "http://127.0.0.1:1", 1);
	setenv("ALL_PROXY", "http://127.0.0.1:1", 1);
	server_start(&s, NULL, "127.0.0.1");
	q.call.url = url_of(&s, "/echo");
	ask(&q);
	EXPECT_STATUS(&q, 200);
	CHECK(strstr(q.answer.body.s, "Authorization") == NULL);
	http_answer_release(&q.answer);
	server_stop(&s);
	unsetenv("http_proxy");
	unsetenv("ALL_PROXY");
}

static const struct {
	const char *path;
	int code;
	const char *text;
} faults[] = {
	{ "/silent", EX_TEMPFAIL, "no answer within" },
	{ "/drip?wait=0.05", EX_TEMPFAIL, "timed out after" },
	{ "/empty", EX_TEMPFAIL, "cut off" },
	{ "/claims/1000/10", EX_TEMPFAIL, "cut off" },
	{ "/claims/0/10?chunked", EX_TEMPFAIL, "cut off" },
	{ "/garbage", EX_PROTOCOL, "not HTTP" },
	{ "/old", EX_PROTOCOL, "not HTTP" },
	{ "/fields", EX_PROTOCOL, "endless header fields" },
	{ "/file/20001", EX_DATAERR, "too large: expected at most 19.5 KiB" },
	{ "/file/20001?chunked", EX_DATAERR, "too large" },
	{ "/gzip/20001", EX_DATAERR, "too large" },
	{ "/claims/99999999999999999999999/1", EX_DATAERR, "too large" },
	{ "/claims/20001/0", EX_DATAERR, "too large" },
	{ "/loop", EX_PROTOCOL, "redirected more than 3 times" },
	{ "/to/302?url=file:///etc/passwd", EX_PROTOCOL,
	    "redirects to file:///etc/passwd, expected http or https" },
	{ "/to/301?url=gopher://x/", EX_PROTOCOL, "expected http or https" },
	{ "/to/307?url=http://", EX_PROTOCOL, "expected http or https" },
	{ "/to/302?url=http://u:secret@127.0.0.1:1/x?secret", EX_TEMPFAIL,
	    "http://127.0.0.1:1/x: " },
};

TEST(faults_by_their_kind)
{
	struct server s;

	server_start(&s, NULL, "127.0.0.1");
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		struct question q = { .err = ERR_INIT };
		int64_t begun = clock_monotonic();

		q.call.url = url_of(&s, faults[i].path);
		q.call.max_body = 20000;
		q.call.redirects = 3;
		q.call.total_usec = strncmp(faults[i].path, "/silent", 7) == 0 ||
			strncmp(faults[i].path, "/drip", 5) == 0 ?
		    USEC / 2 :
		    60 * USEC;
		ask(&q);
		CHECK_ROW(faults[i].path, q.rc == -1);
		CHECK_ROW(faults[i].path, q.err.code == faults[i].code);
		CHECK_ROW(faults[i].path, strstr(q.err.msg, faults[i].text) != NULL);
		CHECK_ROW(faults[i].path, strstr(q.err.msg, "secret") == NULL);
		CHECK_ROW(faults[i].path, clock_monotonic() - begun < 50 * USEC);
		http_answer_release(&q.answer);
	}
	server_stop(&s);
}

static const struct {
	const char *url;
	int code;
	const char *text;
} places[] = {
	{ "ftp://127.0.0.1/x", EX_USAGE, "\"ftp://127.0.0.1/x\" is not an http or https URL" },
	{ "file:///etc/passwd", EX_USAGE, "is not an http or https URL" },
	{ "127.0.0.1/x", EX_USAGE, "is not an http or https URL" },
	{ "", EX_USAGE, "is not an http or https URL" },
	{ "http://", EX_USAGE, "is not an http or https URL" },
	{ "http://127.0.0.1:99999/", EX_USAGE, "is not an http or https URL" },
	{ "http://user:secret@127.0.0.1:x/", EX_USAGE,
	    "\"...127.0.0.1:x/\" is not an http or https URL" },
	{ "gopher://h/?secret", EX_USAGE, "\"gopher://h/\" is not an http or https URL" },
	{ "http://127.0.0.1/\n", EX_USAGE, "is not an http or https URL" },
	{ "http://nowhere.invalid/x", EX_NOHOST, "there is no host nowhere.invalid" },
	{ "http://127.0.0.1:1/x", EX_TEMPFAIL, "http://127.0.0.1:1/x: " },
};

TEST(places_that_are_none)
{
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		struct question q = { .err = ERR_INIT, .call = { .url = places[i].url } };

		ask(&q);
		/* Where there is no network, there is nobody to say that there is no such name. */
		if (places[i].code == EX_NOHOST && q.err.code == EX_TEMPFAIL &&
		    strstr(q.err.msg, "cannot be looked up") != NULL)
			continue;
		CHECK_ROW(places[i].url, q.rc == -1);
		CHECK_ROW(places[i].url, q.err.code == places[i].code);
		CHECK_ROW(places[i].url, strstr(q.err.msg, places[i].text) != NULL);
		CHECK_ROW(places[i].url, strstr(q.err.msg, "secret") == NULL);
	}
}

TEST(headers_hold_no_lines)
{
	static const char *const bad[] = { "X: a\r\nY: b", NULL },
				 *const none[] = { "nothing", NULL };
	struct question q = { .err = ERR_INIT,
		.call = { .url = "http://127.0.0.1:1/", .headers = bad } };

	ask(&q);
	EXPECT_ERR(&q, EX_USAGE, "a control character in the value of X");
	q.call.headers = none;
	ask(&q);
	EXPECT_ERR(&q, EX_USAGE, "is not the name of a header field");
	q.call.headers = NULL;
	q.call.bearer = "a\nb";
	ask(&q);
	EXPECT_ERR(&q, EX_USAGE, "a control character");
}

TEST(answers_that_are_no_success)
{
	struct question q = { .err = ERR_INIT };
	struct server s;

	server_start(&s, NULL, "127.0.0.1");
	q.call.url = url_of(&s, "/status/503?retry=77&size=10");
	ask(&q);
	EXPECT_STATUS(&q, 503);
	CHECK_INT(q.answer.retry_after, 77 * USEC);
	CHECK_STR(q.answer.body.s, "eeeeeeeeee");
	http_answer_release(&q.answer);
	q.call.url = url_of(&s, "/status/429?retry=date");
	ask(&q);
	EXPECT_STATUS(&q, 429);
	CHECK(q.answer.retry_after > 60 * USEC && q.answer.retry_after <= 121 * USEC);
	http_answer_release(&q.answer);
	q.call.url = url_of(&s, "/status/429?retry=99999999999999999999");
	ask(&q);
	CHECK(q.answer.retry_after >= 0 && q.answer.retry_after <= 31 * 24 * 3600 * USEC);
	http_answer_release(&q.answer);
	/* An endless page of error is no reason not to hear the error. */
	q.call.url = url_of(&s, "/status/404?size=5000000");
	q.call.max_body = 1000;
	ask(&q);
	EXPECT_STATUS(&q, 404);
	CHECK_INT(q.answer.body.len, 65536);
	http_answer_release(&q.answer);
	/* A redirect is an answer where none are followed. */
	q.call.url = url_of(&s, "/to/302?url=/echo");
	ask(&q);
	EXPECT_STATUS(&q, 302);
	CHECK_STR(q.answer.url, q.call.url);
	http_answer_release(&q.answer);
	q.call.method = "POST";
	q.call.redirects = 3;
	ask(&q);
	EXPECT_STATUS(&q, 302);
	http_answer_release(&q.answer);
	server_stop(&s);
}

TEST(what_an_answer_says)
{
	static const char *const known[] = { "If-None-Match: \"v1\"", NULL };
	struct question q = { .err = ERR_INIT };
	struct server s;

	server_start(&s, NULL, "127.0.0.1");
	q.call.url = url_of(&s, "/file/5?type=text/plain&name=a.txt&etag=v1");
	ask(&q);
	EXPECT_STATUS(&q, 200);
	CHECK_STR(q.answer.content_type, "text/plain");
	CHECK_STR(q.answer.filename, "a.txt");
	CHECK_STR(q.answer.etag, "\"v1\"");
	CHECK_INT(q.answer.size, 5);
	http_answer_release(&q.answer);
	q.call.headers = known;
	ask(&q);
	EXPECT_STATUS(&q, 304);
	http_answer_release(&q.answer);
	q.call.headers = NULL;
	q.call.url = url_of(&s, "/gzip/1000");
	ask(&q);
	EXPECT_STATUS(&q, 200);
	CHECK_INT(q.answer.size, 1000);
	CHECK_INT(q.answer.body.len, 1000);
	http_answer_release(&q.answer);
	server_stop(&s);
}

static const struct {
	const char *field, *name;
} dispositions[] = {
	{ "attachment", NULL },
	{ "attachment;%20filename=plain.txt", "plain.txt" },
	{ "attachment;%20filename=%22a%20b.txt%22", "a b.txt" },
	{ "attachment;%20filename=%22x.txt%22;%20filename*=UTF-8%27%27%25e2%2582%25ac.txt",
	    "\xe2\x82\xac.txt" },
	{ "attachment;%20filename*=iso-8859-1%27en%27%25a3.txt", "\xc2\xa3.txt" },
	{ "attachment;%20filename=%22caf%C3%A9.txt%22", "caf\xc3\xa9.txt" },
	{ "inline;%20filename=%22..%2F..%2Fetc%2Fpasswd%22", "../../etc/passwd" },
	{ "attachment;%20filename=", NULL },
};

TEST(names_of_files)
{
	struct server s;

	server_start(&s, NULL, "127.0.0.1");
	for (size_t i = 0; i < sizeof(dispositions) / sizeof(dispositions[0]); i++) {
		struct question q = { .err = ERR_INIT };
		char path[300];

		snprintf(path, sizeof(path), "/name?field=%s", dispositions[i].field);
		q.call.url = url_of(&s, path);
		ask(&q);
		EXPECT_STATUS(&q, 200);
		CHECK_STR(q.answer.filename, dispositions[i].name);
		http_answer_release(&q.answer);
	}
	server_stop(&s);
}

/* ---- redirects ----------------------------------------------------------------------------- */

TEST(credentials_stay_at_home)
{
	static const char *const headers[] = { "X-Secret: yes", "Accept: image/*", NULL };
	struct question q = {
		.err = ERR_INIT,
		.call = { .user = "me", .password = "secret", .headers = headers, .redirects = 2 }
	};
	struct server here, there;
	char path[300];

	server_start(&here, NULL, "127.0.0.1");
	server_start(&there, NULL, "127.0.0.1");
	q.call.url = url_of(&here, "/to/302?url=/to/301?url=../echo");
	ask(&q);
	EXPECT_STATUS(&q, 200);
	CHECK(strstr(q.answer.body.s, "Authorization: Basic") != NULL);
	CHECK(strstr(q.answer.body.s, "X-Secret: yes") != NULL);
	/* Relative to where it was. */
	CHECK_STR(q.answer.url, url_of(&here, "/echo"));
	http_answer_release(&q.answer);

	snprintf(path, sizeof(path), "/to/307?url=http://other:secret@127.0.0.1:%u/echo",
	    there.port);
	q.call.url = url_of(&here, path);
	ask(&q);
	EXPECT_STATUS(&q, 200);
	CHECK(strstr(q.answer.body.s, "Authorization") == NULL);
	CHECK(strstr(q.answer.body.s, "X-Secret") == NULL);
	CHECK(has_line(&q.answer, "Accept: image/*"));
	CHECK_STR(q.answer.url, url_of(&there, "/echo"));
	http_answer_release(&q.answer);

	q.call.user = NULL;
	q.call.bearer = "t0ken";
	ask(&q);
	EXPECT_STATUS(&q, 200);
	CHECK(strstr(q.answer.body.s, "Authorization") == NULL);
	http_answer_release(&q.answer);
	server_stop(&here);
	server_stop(&there);
}

/* With any method, which is kept; nowhere else. */
TEST(redirects_at_home)
{
	static const char *const headers[] = { "X-Secret: yes", NULL };
	struct question q = { .err = ERR_INIT,
		.call = { .method = "POST",
		    .user = "me",
		    .password = "secret",
		    .headers = headers,
		    .content_type = "text/plain",
		    .body = VIEW("what is sent"),
		    .redirects = 2,
		    .redirects_home = true } };
	static const int codes[] = { 301, 302, 303, 307, 308 };
	struct server here, there;
	char path[300];

	server_start(&here, NULL, "127.0.0.1");
	server_start(&there, NULL, "127.0.0.1");
	q.call.url = url_of(&here, "/to/307?url=/to/308?url=../echo");
	ask(&q);
	EXPECT_STATUS(&q, 200);
	CHECK(has_line(&q.answer, "POST /echo HTTP/1.1"));
	CHECK(has_line(&q.answer, "Content-Type: text/plain"));
	CHECK(strstr(q.answer.body.s, "Authorization: Basic") != NULL);
	CHECK(has_line(&q.answer, "X-Secret: yes"));
	CHECK(strstr(q.answer.body.s, "\n\nwhat is sent") != NULL);
	CHECK(q.answer.location == NULL);
	CHECK(q.answer.reached);
	http_answer_release(&q.answer);
	for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
		snprintf(path, sizeof path, "/to/%d?url=http://me:pw@127.0.0.1:%u/echo?key=1",
		    codes[i], there.port);
		q.call.url = url_of(&here, path);
		ask(&q);
		EXPECT_STATUS(&q, codes[i]);
		CHECK_STR(q.answer.location, url_of(&there, "/echo"));
		http_answer_release(&q.answer);
		snprintf(path, sizeof path, "/to/%d?url=/echo", codes[i]);
		q.call.url = url_of(&here, path);
		ask(&q);
		EXPECT_STATUS(&q, codes[i] < 307 ? codes[i] : 200);
		http_answer_release(&q.answer);
	}
	q.call.url = url_of(&here, "/to/307?url=file:///etc/passwd");
	ask(&q);
	EXPECT_STATUS(&q, 307);
	http_answer_release(&q.answer);
	q.call.url = url_of(&here, "/to/308?url=/to/308?url=/to/308?url=/echo");
	ask(&q);
	EXPECT_ERR(&q, EX_PROTOCOL, "redirected more than 2 times");
	server_stop(&here);
	server_stop(&there);
}

TEST(an_answer_without_its_body)
{
	struct question q = { .err = ERR_INIT, .call = { .max_body = 1000, .any_body = true } };
	static const char *const paths[] = { "/claims/100/10", "/claims/0/10?chunked", "/file/5000",
		"/file/5000?chunked", "/gzip/5000" };
	struct server s;

	server_start(&s, NULL, "127.0.0.1");
	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
		q.call.url = url_of(&s, paths[i]);
		q.call.any_body = true;
		ask(&q);
		EXPECT_STATUS(&q, 200);
		CHECK(q.answer.body.len <= 1000);
		http_answer_release(&q.answer);
		q.call.any_body = false;
		ask(&q);
		CHECK_INT(q.rc, -1);
		q.err = (struct err)ERR_INIT;
	}
	q.call.any_body = true;
	q.call.max_body = 20000;
	q.call.total_usec = USEC;
	q.call.url = url_of(&s, "/drip");
	ask(&q);
	EXPECT_ERR(&q, EX_TEMPFAIL, "timed out after");
	CHECK(q.answer.reached);
	q.call.url = url_of(&s, "/empty");
	ask(&q);
	CHECK_INT(q.rc, -1);
	CHECK(q.answer.reached);
	q.call.url = "http://127.0.0.1:1/";
	ask(&q);
	CHECK_INT(q.rc, -1);
	CHECK(!q.answer.reached);
	server_stop(&s);
}

/* ---- TLS ----------------------------------------------------------------------------------- */

TEST(certificates)
{
	struct question q = { .err = ERR_INIT, .config = { .ca_file = certificate("ca.pem") } };
	char url[500], path[300];
	struct server s, strange, plain;

	server_start(&s, certificate("both.pem"), "127.0.0.1");
	server_start(&strange, certificate("stranger-both.pem"), "127.0.0.1");
	server_start(&plain, NULL, "127.0.0.1");
	snprintf(url, sizeof(url), "https://127.0.0.1:%u/echo", s.port);
	q.call.url = url;
	ask(&q);
	EXPECT_STATUS(&q, 200);
	http_answer_release(&q.answer);
	q.config.ca_file = certificate("other-ca.pem");
	ask(&q);
	EXPECT_ERR(&q, EX_CONFIG, "the certificate is not accepted");
	q.config.ca_file = NULL;
	ask(&q);
	EXPECT_ERR(&q, EX_CONFIG, "the certificate is not accepted");
	q.config.no_verify = true;
	q.err = (struct err)ERR_INIT;
	ask(&q);
	EXPECT_STATUS(&q, 200);
	http_answer_release(&q.answer);
	q.config = (struct http_client_config){ .ca_file = certificate("ca.pem") };
	snprintf(url, sizeof(url), "https://127.0.0.1:%u/echo", strange.port);
	ask(&q);
	EXPECT_ERR(&q, EX_CONFIG, "the certificate is not accepted");
	/* From where nobody listens in to where anybody can. */
	snprintf(path, sizeof(path), "/to/302?url=%s", url_of(&plain, "/echo"));
	snprintf(url, sizeof(url), "https://127.0.0.1:%u%s", s.port, path);
	q.call.redirects = 3;
	ask(&q);
	EXPECT_ERR(&q, EX_PROTOCOL, "redirects from https to http");
	snprintf(url, sizeof(url), "https://127.0.0.1:%u/echo", plain.port);
	ask(&q);
	EXPECT_ERR(&q, EX_TEMPFAIL, "https://127.0.0.1");
	server_stop(&s);
	server_stop(&strange);
	server_stop(&plain);
}

/* ---- who may be connected to ----------------------------------------------------------------- */

struct gate {
	int family;    /* that is refused; 0: all */
	unsigned port; /* that alone is refused; 0: every */
	unsigned asked;
	char host[100];
};

static bool
gate(const struct sockaddr *address, const char *host, void *arg)
{
	struct gate *g = arg;
	const struct sockaddr_in *in = (const struct sockaddr_in *)address;

	g->asked++;
	snprintf(g->host, sizeof(g->host), "%s", host);
	if (g->family != 0)
		return address->sa_family != g->family;
	return g->port != 0 && ntohs(in->sin_port) != g->port;
}

TEST(addresses_are_asked_for)
{
	struct gate g = { .family = 0 };
	struct question q = { .err = ERR_INIT, .config = { .allow = gate, .arg = &g } };
	struct server here, there;
	char url[300];

	server_start(&here, NULL, "127.0.0.1");
	server_start(&there, NULL, "127.0.0.1");
	q.call.url = url_of(&here, "/echo");
	ask(&q);
	EXPECT_ERR(&q, EX_NOPERM, "connecting to 127.0.0.1 is not allowed");
	CHECK_INT(g.asked, 1);
	CHECK_STR(g.host, "127.0.0.1");
	snprintf(url, sizeof(url), "http://[::1]:%u/", here.port);
	q.call.url = url;
	ask(&q);
	EXPECT_ERR(&q, EX_NOPERM, "connecting to ::1 is not allowed");
	CHECK_STR(g.host, "::1");
	/* However it is written. */
	snprintf(url, sizeof(url), "http://0x7f.1:%u/", here.port);
	ask(&q);
	EXPECT_ERR(&q, EX_NOPERM, "connecting to 127.0.0.1 is not allowed");
	/* One address of a name refused, the other taken. */
	snprintf(url, sizeof(url), "http://localhost:%u/echo", here.port);
	g.family = AF_INET6;
	g.asked = 0;
	q.err = (struct err)ERR_INIT;
	ask(&q);
	EXPECT_STATUS(&q, 200);
	CHECK_STR(g.host, "localhost");
	http_answer_release(&q.answer);
	/* A redirect is asked for again. */
	g = (struct gate){ .port = there.port };
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/to/302?url=http://127.0.0.1:%u/echo",
	    here.port, there.port);
	q.call.redirects = 3;
	ask(&q);
	EXPECT_ERR(&q, EX_NOPERM, "connecting to 127.0.0.1 is not allowed");
	CHECK_INT(g.asked, 2);
	CHECK(strstr(there.log.s, "GET") == NULL);
	server_stop(&here);
	server_stop(&there);
}

/* ---- sinks, and stopping --------------------------------------------------------------------- */

struct sunk {
	uint64_t bytes, fail_at;
	char first[8];
};

static int
sink(const void *bytes, size_t n, void *arg)
{
	struct sunk *sunk = arg;

	if (sunk->bytes == 0)
		memcpy(sunk->first, bytes, n < 7 ? n : 7);
	sunk->bytes += n;
	if (sunk->fail_at == 0 || sunk->bytes < sunk->fail_at)
		return 0;
	errno = ENOSPC;
	return -1;
}

TEST(bodies_that_are_not_kept)
{
	struct sunk sunk = { 0 };
	struct question q = { .err = ERR_INIT,
		.call = { .sink = sink, .sink_arg = &sunk, .max_body = 30 << 20, .redirects = 1 } };
	struct server s;

	server_start(&s, NULL, "127.0.0.1");
	q.call.url = url_of(&s, "/to/302?url=/file/30000000?chunked");
	ask(&q);
	EXPECT_STATUS(&q, 200);
	CHECK_INT(sunk.bytes, 30000000);
	CHECK_STR(sunk.first, ":300000");
	CHECK_INT(q.answer.body.len, 0);
	CHECK_INT(q.answer.size, 30000000);
	http_answer_release(&q.answer);
	/* It is packed only by those who do not listen. */
	memset(&sunk, 0, sizeof(sunk));
	q.call.url = url_of(&s, "/gzip/100000");
	ask(&q);
	CHECK_INT(sunk.bytes, 100000);
	http_answer_release(&q.answer);
	/* What is no success is not for the sink. */
	memset(&sunk, 0, sizeof(sunk));
	q.call.url = url_of(&s, "/status/404?size=9");
	ask(&q);
	EXPECT_STATUS(&q, 404);
	CHECK_INT(sunk.bytes, 0);
	CHECK_STR(q.answer.body.s, "eeeeeeeee");
	http_answer_release(&q.answer);
	sunk.fail_at = 1000;
	q.call.url = url_of(&s, "/file/5000000");
	ask(&q);
	EXPECT_ERR(&q, EX_IOERR, "cannot keep what came: No space left on device");
	server_stop(&s);
}

static volatile sig_atomic_t stop;

static void *
stop_soon(void *arg)
{
	server_says(arg, "GET /silent\n");
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	return NULL;
}

TEST(stopping)
{
	struct question q = { .err = ERR_INIT, .config = { .stop = &stop } };
	int64_t begun = clock_monotonic();
	pthread_t thread;
	struct server s;

	server_start(&s, NULL, "127.0.0.1");
	pthread_create(&thread, NULL, stop_soon, &s);
	q.call.url = url_of(&s, "/silent");
	q.call.total_usec = 600 * USEC;
	ask(&q);
	pthread_join(thread, NULL);
	EXPECT_ERR(&q, EX_SOFTWARE, "stopped");
	CHECK(clock_monotonic() - begun < 60 * USEC);
	server_stop(&s);
}

UNIT_MAIN()
