#include "unit.h"

#include "base/buf.h"
#include "smtp/capabilities.h"
#include "smtp/hello.h"
#include "smtp/reply.h"

/* Feeds input in pieces of at most step bytes, up to the first reply or fault. */
static int
feed(struct smtp_reply_parser *p, const char *input, size_t len, size_t step, size_t *ret_taken)
{
	size_t at = 0, used, n;
	int result = 0;

	smtp_reply_parser_init(p);
	while (at < len && result == 0) {
		n = len - at < step ? len - at : step;
		result = smtp_reply_feed(p, input + at, n, &used);
		if (result >= 0)
			at += used;
	}
	*ret_taken = at;
	return result;
}

static const struct {
	const char *name, *input;
	int result, code;
	const char *status, *text, *rest;
} replies[] = {
	{ "plain", "250 ok\r\n", 1, 250, "", "ok", "" },
	{ "the next one is left", "250 ok\r\n354 go\r\n", 1, 250, "", "ok", "354 go\r\n" },
	{ "enhanced", "550 5.1.1 no such user\r\n", 1, 550, "5.1.1", "5.1.1 no such user", "" },
	{ "long enhanced", "450 4.123.999 x\r\n", 1, 450, "4.123.999", "4.123.999 x", "" },
	{ "enhanced alone", "250 2.0.0\r\n", 1, 250, "2.0.0", "2.0.0", "" },
	{ "enhanced of another class", "550 4.1.1 hm\r\n", 1, 550, "", "4.1.1 hm", "" },
	{ "not enhanced: an address", "220 2.3.4.5 ready\r\n", 1, 220, "", "2.3.4.5 ready", "" },
	{ "not enhanced: four digits", "250 2.1.1234 x\r\n", 1, 250, "", "2.1.1234 x", "" },
	{ "several lines", "250-one\r\n250-two\r\n250 three\r\n", 1, 250, "", "one two three", "" },
	{ "codes differ in detail", "550-no\r\n554 never\r\n", 1, 554, "", "no never", "" },
	{ "codes disagree", "250-yes\r\n550 no\r\n", -1, 0, NULL, NULL, NULL },
	{ "no text", "250\r\n", 1, 250, "", "", "" },
	{ "no text, LF", "250\n", 1, 250, "", "", "" },
	{ "empty text", "250 \r\n", 1, 250, "", "", "" },
	{ "LF alone", "250 ok\n", 1, 250, "", "ok", "" },
	{ "a CR within", "250 a\rb\r\n", 1, 250, "", "a\\x0db", "" },
	{ "CR CR LF", "250 a\r\r\n", 1, 250, "", "a\\x0d", "" },
	{ "control characters", "250 a\x1b[31mb\r\n", 1, 250, "", "a\\x1b[31mb", "" },
	{ "UTF-8", "250 gr\xc3\xbc\xc3\x9f\r\n", 1, 250, "", "gr\xc3\xbc\xc3\x9f", "" },
	{ "not UTF-8", "250 gr\xfc\r\n", 1, 250, "", "gr\\xfc", "" },
	{ "incomplete", "250 ok", 0, 0, NULL, NULL, NULL },
	{ "incomplete lines", "250-ok\r\n", 0, 0, NULL, NULL, NULL },
	{ "garbage", "HTTP/1.1 200 OK\r\n", -1, 0, NULL, NULL, NULL },
	{ "code out of range", "150 hm\r\n", -1, 0, NULL, NULL, NULL },
	{ "code out of range", "650 hm\r\n", -1, 0, NULL, NULL, NULL },
	{ "four digits", "2500 ok\r\n", -1, 0, NULL, NULL, NULL },
	{ "two digits", "25 ok\r\n", -1, 0, NULL, NULL, NULL },
	{ "an empty line", "\r\n", -1, 0, NULL, NULL, NULL },
	{ "binary", "\x16\x03\x01", -1, 0, NULL, NULL, NULL },
};

/* Each reply means the same however the network cuts it. */
TEST(replies_in_any_pieces)
{
	static const size_t steps[] = { 1, 2, 3, 5, 7, 1000 };
	struct smtp_reply_parser p;
	size_t i, j, taken;
	int result;

	for (i = 0; i < sizeof(replies) / sizeof(replies[0]); i++) {
		for (j = 0; j < sizeof(steps) / sizeof(steps[0]); j++) {
			result =
			    feed(&p, replies[i].input, strlen(replies[i].input), steps[j], &taken);
			CHECK_ROW(replies[i].name, result == replies[i].result);
			if (result != 1 || replies[i].result != 1)
				continue;
			CHECK_INT(p.reply.code, replies[i].code);
			CHECK_STR(p.reply.status, replies[i].status);
			CHECK_STR(p.reply.text, replies[i].text);
			CHECK_STR(replies[i].input + taken, replies[i].rest);
		}
	}
}

TEST(long_text_is_cut)
{
	AUTO_BUF struct buf input = BUF_INIT(100000);
	struct smtp_reply_parser p;
	size_t i, taken;

	for (i = 0; i < 20; i++)
		buf_addf(&input, "550-%0100zu\r\n", i);
	buf_adds(&input, "550 end\r\n");
	CHECK_INT(feed(&p, input.s, input.len, 11, &taken), 1);
	CHECK_INT(taken, input.len);
	CHECK(strlen(p.reply.text) < SMTP_REPLY_TEXT);
	CHECK(strlen(p.reply.text) > SMTP_REPLY_TEXT - 10);
	CHECK_STR(p.reply.text + strlen(p.reply.text) - 3, "...");
}

TEST(an_endless_line_is_no_reply)
{
	struct smtp_reply_parser p;
	char line[5000];
	size_t taken;

	memset(line, 'x', sizeof(line));
	memcpy(line, "250 ", 4);
	CHECK_INT(feed(&p, line, sizeof(line), 100, &taken), -1);
	CHECK(taken <= 4200);
}

TEST(endless_lines_are_no_reply)
{
	AUTO_BUF struct buf input = BUF_INIT(100000);
	struct smtp_reply_parser p;
	size_t i, taken;

	for (i = 0; i < 300; i++)
		buf_adds(&input, "250-again\r\n");
	CHECK_INT(feed(&p, input.s, input.len, 64, &taken), -1);
}

/* A small generator of our own: the same bytes on each machine. */
static unsigned
next_random(unsigned *state)
{
	*state = *state * 1103515245u + 12345u;
	return *state >> 16;
}

/* Any bytes: parsing goes on or stops, in bounds, and says the same for any split. */
TEST(random_bytes_in_random_pieces)
{
	static const char alphabet[] = "0123456789- \r\n.\x00\xff\xc3\xbc"
				       "a25";
	struct smtp_reply_parser whole, pieces;
	unsigned state = 7, round;
	size_t i, len, used_whole, used;
	char input[300];
	int result;

	for (round = 0; round < 50000; round++) {
		len = next_random(&state) % sizeof(input);
		for (i = 0; i < len; i++)
			input[i] = alphabet[next_random(&state) % (sizeof(alphabet) - 1)];
		if (round % 2 == 0 && len >= 4)
			memcpy(input, round % 4 == 0 ? "250-" : "554 ", 4);
		result = feed(&whole, input, len, len + 1, &used_whole);
		if (feed(&pieces, input, len, 1 + next_random(&state) % 9, &used) != result)
			CHECK_ROW("same result", 0);
		if (result == 1 &&
		    (used != used_whole ||
			memcmp(&whole.reply, &pieces.reply, sizeof(whole.reply)) != 0))
			CHECK_ROW("same reply", 0);
		if (result == 1 && strpbrk(whole.reply.text, "\r\n\x1b") != NULL)
			CHECK_ROW("one clean line", 0);
	}
}

TEST(own_words)
{
	struct smtp_reply reply;
	char line[600];

	smtp_reply_own(&reply, "5.3.4", "larger than %d", 10);
	CHECK_INT(reply.code, 0);
	CHECK_STR(smtp_reply_line(&reply, line, sizeof(line)), "larger than 10");
	reply.code = 552;
	CHECK_STR(smtp_reply_line(&reply, line, sizeof(line)), "552 larger than 10");
}

TEST(capabilities)
{
	struct smtp_capabilities caps = { 0 };
	static const char *const lines[] = { "PIPELINING\r\n", "size 1000000", "8BitMime\n",
		"AUTH PLAIN LOGIN CRAM-MD5\r\n", "AUTH=LOGIN", "DSN", "SMTPUTF8", "XFOO", "" };
	size_t i;

	for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		smtp_capabilities_add(&caps, lines[i], strlen(lines[i]));
	CHECK(caps.pipelining && caps.eight_bit && caps.dsn && caps.smtputf8 && caps.size);
	CHECK(!caps.starttls);
	CHECK_INT(caps.size_limit, 1000000);
	CHECK_INT(caps.auth, SMTP_MECH_PLAIN | SMTP_MECH_LOGIN | SMTP_MECH_OTHER);
	memset(&caps, 0, sizeof(caps));
	smtp_capabilities_add(&caps, "SIZE 99999999999999999999999", 28);
	CHECK(caps.size);
	CHECK_INT(caps.size_limit, 0);
	smtp_capabilities_add(&caps, "PIPELININGS", 11);
	CHECK(!caps.pipelining);
}

/* smtp_hello_line() writes into what it is given. */
static int
hear(struct smtp_hello *hello, const char *said)
{
	char line[200];

	snprintf(line, sizeof(line), "%s", said);
	return smtp_hello_line(hello, line, strlen(line));
}

/* What was offered before STARTTLS is void: another could have written it. */
TEST(the_list_after_starttls_counts)
{
	static const char *const lines[] = { "220 hello\r\n", "250-relay\r\n", "250-PIPELINING\r\n",
		"250-AUTH PLAIN\r\n", "250 STARTTLS\r\n", "220 go\r\n", "250-relay\r\n",
		"250-SIZE 5\r\n", "250 DSN\r\n", "235 welcome\r\n" };
	struct smtp_hello hello;
	size_t i;

	smtp_hello_init(&hello);
	for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		CHECK(hear(&hello, lines[i]) >= 0);
		if (i == 4)
			CHECK(hello.caps.pipelining && hello.caps.auth && !hello.starttls);
	}
	CHECK(!hello.caps.pipelining && hello.caps.auth == 0 && hello.caps.dsn);
	CHECK(hello.starttls && hello.authenticated);
	CHECK_STR(hello.offers.s, "SIZE 5\nDSN\n");
	CHECK(smtp_hello_refusal(&hello) == NULL);
	CHECK_INT(hear(&hello, "535 5.7.8 no\r\n"), 1);
	CHECK(smtp_hello_refusal(&hello) != NULL);
	CHECK_INT(hear(&hello, "what?\r\n"), -1);
	smtp_hello_release(&hello);
}

/* How an offer reaches libcurl, which knows upper case alone. */
static const struct {
	const char *said, *passed;
	bool tls;
	unsigned auth;
} offers[] = {
	{ "250-STARTTLS\r\n", "250-STARTTLS\r\n", true, 0 },
	{ "250-starttls\r\n", "250-STARTTLS\r\n", true, 0 },
	{ "250 StartTLS\n", "250 STARTTLS\n", true, 0 },
	{ "250- \tstarttls \r\n", "250-STARTTLS   \r\n", true, 0 },
	{ "250-StartTls required\r\n", "250-STARTTLS REQUIRED\r\n", true, 0 },
	{ "250-starttlsx\r\n", "250-starttlsx\r\n", false, 0 },
	{ "250-x starttls\r\n", "250-x starttls\r\n", false, 0 },
	{ "250-auth Plain login\r\n", "250-AUTH PLAIN LOGIN\r\n", false,
	    SMTP_MECH_PLAIN | SMTP_MECH_LOGIN },
	{ "250-AUTH=login\r\n", "250-AUTH LOGIN\r\n", false, SMTP_MECH_LOGIN },
	{ "250-  auth\tplain\r\n", "250-AUTH PLAIN  \r\n", false, SMTP_MECH_PLAIN },
	{ "250-auth\r\n", "250-AUTH\r\n", false, 0 },
	{ "250-authplain\r\n", "250-authplain\r\n", false, 0 },
	{ "250-X-auth plain\r\n", "250-X-auth plain\r\n", false, 0 },
	{ "250-\r\n", "250-\r\n", false, 0 },
	{ "250\r\n", "250\r\n", false, 0 },
};

TEST(offers_are_known_in_any_case)
{
	struct smtp_hello hello;
	char line[100];
	size_t i;

	for (i = 0; i < sizeof(offers) / sizeof(offers[0]); i++) {
		smtp_hello_init(&hello);
		hear(&hello, "220 hi\r\n");
		hear(&hello, "250-relay\r\n");
		snprintf(line, sizeof(line), "%s", offers[i].said);
		CHECK(smtp_hello_line(&hello, line, strlen(line)) >= 0);
		CHECK_STR(line, offers[i].passed);
		CHECK_ROW(offers[i].said, hello.caps.starttls == offers[i].tls);
		CHECK_ROW(offers[i].said, hello.offered_tls == offers[i].tls);
		CHECK_ROW(offers[i].said, hello.caps.auth == offers[i].auth);
		smtp_hello_release(&hello);
	}
	/* Where the server's name should be: libcurl takes that for an offer. */
	smtp_hello_init(&hello);
	hear(&hello, "220 hi\r\n");
	CHECK_INT(hear(&hello, "250 starttls\r\n"), 1);
	CHECK(hello.offered_tls);
	smtp_hello_release(&hello);
	/* Lists are in the answer to EHLO alone. */
	smtp_hello_init(&hello);
	hear(&hello, "220-hi\r\n");
	hear(&hello, "220 STARTTLS\r\n");
	hear(&hello, "502 what?\r\n");
	CHECK_INT(hello.answered, SMTP_HELLO_EHLO);
	hear(&hello, "250-old\r\n");
	hear(&hello, "250 STARTTLS\r\n");
	CHECK_INT(hello.answered, SMTP_HELLO_HELO);
	CHECK(!hello.offered_tls && !hello.caps.starttls);
	smtp_hello_release(&hello);
}

UNIT_MAIN()
