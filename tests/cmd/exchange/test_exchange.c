/* The exchange with the application, as far as it is pure: signatures, answers, reports, pauses. */
#include "base/clock.h"
#include "cmd/exchange/private.h"
#include "unit.h"

/* ---- signatures -------------------------------------------------------------------------------- */

/* The example of the Standard Webhooks libraries; the second was made with openssl. */
TEST(signatures)
{
	struct settings s = { 0 };
	char *secrets[] = { (char *)"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
		(char *)"whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=" };
	AUTO_BUF struct buf one = BUF_INIT(1000);
	AUTO_BUF struct buf two = BUF_INIT(1000);
	struct exchange_keys keys;
	struct err err = ERR_INIT;

	s.sync.secret = (struct strings){ secrets, 1 };
	CHECK_INT(exchange_keys_read(&s, &keys, &err), 0);
	CHECK_INT(keys.len[0], 24);
	exchange_sign(&keys, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330,
	    VIEW("{\"test\": 2432232314}"), &one);
	CHECK_STR(one.s, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
	s.sync.secret.n = 2;
	CHECK_INT(exchange_keys_read(&s, &keys, &err), 0);
	exchange_sign(&keys, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330,
	    VIEW("{\"test\": 2432232314}"), &two);
	CHECK(strncmp(two.s, one.s, one.len) == 0);
	CHECK_STR(two.s + one.len, " v1,woH/1mJtZGSMCmpFTxRYbStS24eLLD/oXIYr4PYyZ7g=");
}

TEST(secrets)
{
	static const struct {
		const char *secret;
		int bytes; /* 0: it is none */
	} rows[] = {
		{ "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", 24 },
		{ "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", 0 }, /* 23 */
		{ "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==", 25 },
		{ "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", 0 }, /* no padding */
		{ "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", 0 }, { "whsec_", 0 },
		{ "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAA-_", 0 },
		{ "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAA=AAAA", 0 },
#define A20 "AAAAAAAAAAAAAAAAAAAA"
		{ "whsec_" A20 A20 A20 A20 "AAAAAA==", 64 },
		{ "whsec_" A20 A20 A20 A20 "AAAAAAA=", 0 }, /* 65 */
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		char *secret = (char *)(uintptr_t)rows[i].secret;
		struct settings s = { .sync.secret = { &secret, 1 } };
		struct exchange_keys keys;
		struct err err = ERR_INIT;
		int result = exchange_keys_read(&s, &keys, &err);

		CHECK_ROW(rows[i].secret, (result == 0) == (rows[i].bytes > 0));
		CHECK_ROW(rows[i].secret, result < 0 || keys.len[0] == (size_t)rows[i].bytes);
		CHECK_ROW(rows[i].secret, result == 0 || strstr(err.msg, "AAAA") == NULL);
	}
}

/* ---- answers -------------------------------------------------------------------------------------- */

TEST(answers)
{
	static const struct {
		const char *text;
		const char *rejected; /* apart by spaces, in order; NULL: it acknowledges nothing */
		bool more;
	} rows[] = {
		{ "{}", "", false },
		{ "{\"ok\":true}", "", false },
		{ "{\"ok\":null}", "", false },
		{ "{\"status\":\"ok\",\"processed\":3}", "", false },
		{ "{\"status\":\"success\"}", "", false },
		{ "{\"ok\":true,\"queued\":0}", "", false },
		{ "{\"ok\":true,\"queued\":1}", "", true },
		{ "{\"queued\":2.0}", "", true },
		{ "{\"queued\":\"many\"}", "", false },
		{ "{\"queued\":\"2\"}", "", true },
		{ "{\"queued\":\"0\"}", "", false },
		{ "{\"queued\":\"-2\"}", "", false },
		{ "{\"queued\":true}", "", true },
		{ "{\"queued\":-1}", "", false },
		{ "{\"more_messages\":true}", "", true },
		{ "{\"more_messages\":\"true\"}", "", true },
		{ "{\"more_messages\":1}", "", true },
		{ "{\"more_messages\":false}", "", false },
		{ "{\"rejected\":[]}", "", false },
		{ "{\"rejected\":[\"b\",\"a\"],\"error\":[\"c\"],\"not_found\":[\"d\"]}", "a b c d",
		    false },
		{ "{\"rejected\":[7,{\"id\":\"x\",\"reason\":\"y\"},{\"id\":8},null,true,[\"z\"],9."
		  "0,1.5]}",
		    "7 8 9 x", false },
		{ "{\"rejected\":{\"x\":\"why\",\"y\":null,\"z\":false,\"w\":\"\"}}", "w x",
		    false },
		/* Counts, words, nothing: they reject nothing. */
		{ "{\"sent\":1,\"error\":1,\"deferred\":0}", "", false },
		{ "{\"sent\":\"1\",\"error\":\"1\"}", "", false },
		{ "{\"ok\":true,\"rejected\":2,\"not_found\":1.0}", "", false },
		{ "{\"ok\":true,\"error\":\"a word\"}", "", false },
		{ "{\"error\":null,\"rejected\":0,\"not_found\":\"\"}", "", false },
		{ "{\"error\":false}", "", false },
		{ "{\"error\":\"a word\"}", "", false },
		{ "{\"ok\":true,\"not_found\":\"a\"}", "", false },
		/* It says of itself that it failed. */
		{ "{\"ok\":false}", NULL, false },
		{ "{\"ok\":0}", NULL, false },
		{ "{\"ok\":\"false\"}", NULL, false },
		{ "{\"ok\":\"0\"}", NULL, false },
		{ "{\"ok\":\"true\"}", "", false },
		{ "{\"ok\":1}", "", false },
		{ "{\"ok\":\"\"}", "", false },
		{ "{\"ok\":[]}", "", false },
		{ "{\"ok\":false,\"rejected\":[\"a\"]}", NULL, false },
		{ "{\"status\":\"error\"}", NULL, false },
		{ "{\"status\":\"FAILED\"}", NULL, false },
		/* No object. */
		{ "[]", "", false },
		{ "[\"a\"]", "", false },
		{ "true", "", false },
		{ "\"ok\"", "", false },
		{ "null", "", false },
		{ "", "", false },
		{ "ok", "", false },
		{ "<html>{\"ok\":false}</html>", "", false },
		{ "<style>a {color:red}</style>", "", false },
		/* An object that is not quite JSON counts as far as it goes. */
		{ "{\"ok\":true", "", false },
		{ "{\"ok\":tru", "", false },
		{ "{\"ok\":false", "", false },
		{ "{\"ok\":false,", NULL, false },
		{ "{\"ok\":true} trailing", "", false },
		{ "{\"ok\":true,\"ok\":true}", "", false },
		{ "{\"ok\":false,\"ok\":false}", NULL, false },
		{ "{\"queued\":3,\"rejected\":[\"a\",{\"id\":\"b\"},\"c", "a b", true },
		{ "{\"rejected\":[\"a]\\\"\", \"b\"],\"note\":\"\xe9\"}", "a]\" b", false },
		{ "<b>Warning</b>: {x} in \"y\"\n{\"ok\":false}\n", NULL, false },
		{ "Notice: {\"a\":1}\n{\"rejected\":[\"a\"]}", "a", false },
		{ "{\"rejected\":[\"a\"]}<!-- 3 ms -->", "a", false },
		{ "{", "", false },
		{ "{\"", "", false },
		{ "{\"rejected\":", "", false },
		{ "{\"rejected\":[", "", false },
		{ "{\"rejected\":]}", "", false },
		{ "{\"a\" \"b\"}", "", false },
		{ "\xef\xbb\xbf{\"rejected\":[\"a\"]}", "a", false },
		{ "\xef\xbb\xbf", "", false },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		AUTO(exchange_answer_release) struct exchange_answer answer = { 0 };
		AUTO_BUF struct buf ids = BUF_INIT(1000);
		struct err err = ERR_INIT;
		int result =
		    exchange_answer_read(rows[i].text, strlen(rows[i].text), &answer, &err);

		CHECK_ROW(rows[i].text, (result == 0) == (rows[i].rejected != NULL));
		CHECK_ROW(rows[i].text,
		    result == 0 || (err.code == EX_PROTOCOL && *err.msg != '\0'));
		if (result < 0 || rows[i].rejected == NULL)
			continue;
		for (size_t k = 0; k < answer.n; k++) {
			buf_addf(&ids, "%s%s", k > 0 ? " " : "", answer.ids[k]);
			CHECK_ROW(rows[i].text, exchange_answer_rejects(&answer, answer.ids[k]));
		}
		CHECK_STR(ids.s, rows[i].rejected);
		CHECK_ROW(rows[i].text, !exchange_answer_rejects(&answer, "other"));
		CHECK_ROW(rows[i].text, answer.more == rows[i].more);
		CHECK_INT(answer.idle_until, 0);
	}
}

TEST(answers_in_utf16)
{
	static const char text[] = "{\"rejected\":[\"a\"]}";

	for (int form = 0; form < 4; form++) {
		AUTO(exchange_answer_release) struct exchange_answer answer = { 0 };
		AUTO_BUF struct buf wide = BUF_INIT(1000);
		struct err err = ERR_INIT;
		bool big = form % 2 == 1;

		if (form < 2)
			buf_add(&wide, big ? "\xfe\xff" : "\xff\xfe", 2);
		for (const char *c = text; *c != '\0'; c++) {
			buf_addc(&wide, big ? '\0' : *c);
			buf_addc(&wide, big ? *c : '\0');
		}
		CHECK_INT(exchange_answer_read(wide.s, wide.len, &answer, &err), 0);
		CHECK(exchange_answer_rejects(&answer, "a"));
	}
}

/* What is deep and endless costs no time that anybody notices. */
TEST(an_answer_made_to_be_slow)
{
	static const char *const pieces[] = { "{\"a\":[", "x{\"a\":{\"a\"", "{\"rejected\":[[",
		"{\"" };

	for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
		AUTO(exchange_answer_release) struct exchange_answer answer = { 0 };
		AUTO_BUF struct buf text = BUF_INIT(1 << 20);
		struct err err = ERR_INIT;

		buf_adds(&text, "x");
		while (buf_adds(&text, pieces[i]) == 0)
			;
		CHECK_INT(exchange_answer_read(text.s, text.len, &answer, &err), 0);
	}
}

TEST(when_the_application_wants_peace)
{
	static const struct {
		const char *text;
		int64_t until; /* -1: as far ahead as is believed */
	} rows[] = {
		{ "{\"next_sync_after\":1795255200}", 1795255200 * USEC },
		{ "{\"next_sync_after\":1795255200.5}", 1795255200 * USEC + USEC / 2 },
		{ "{\"next_sync_after\":\"1795255200\"}", 1795255200 * USEC },
		{ "{\"next_sync_after\":\"1795255200.5\"}", 1795255200 * USEC + USEC / 2 },
		{ "{\"next_sync_after\":\"2026-11-21T10:00:00Z\"}", 1795255200 * USEC },
		{ "{\"next_sync_after\":\"2026-11-21T11:00:00.5+01:00\"}",
		    1795255200 * USEC + USEC / 2 },
		{ "{\"next_sync_after\":\"2026-11-21T10:00:00\"}", 1795255200 * USEC },
		{ "{\"next_sync_after\":\"2999-11-21T10:00:00Z\"}", -1 },
		{ "{\"next_sync_after\":\"\"}", 0 },
		{ "{\"next_sync_after\":\"+5m\"}", 0 },
		{ "{\"next_sync_after\":false}", 0 },
		{ "{\"next_sync_after\":0}", 0 },
		{ "{\"next_sync_after\":-5}", 0 },
		{ "{\"next_sync_after\":null}", 0 },
		{ "{\"next_sync_after\":\"soon\"}", 0 },
		{ "{\"next_sync_after\":1e300}", -1 },
		{ "{\"next_sync_after\":9223372036854775807}", -1 },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		AUTO(exchange_answer_release) struct exchange_answer answer = { 0 };
		struct err err = ERR_INIT;

		CHECK_INT(exchange_answer_read(rows[i].text, strlen(rows[i].text), &answer, &err),
		    0);
		if (rows[i].until >= 0)
			CHECK_INT(answer.idle_until, rows[i].until);
		else
			CHECK_ROW(rows[i].text,
			    answer.idle_until > clock_now() &&
				answer.idle_until <= clock_now() + EXCHANGE_IDLE_MAX &&
				answer.idle_cut);
	}
}

/* ---- reports -------------------------------------------------------------------------------------- */

TEST(reports_as_the_application_reads_them)
{
#define T "{\"t\":\"2024-10-09T10:00:00.999999Z\","
	static const struct {
		enum event event;
		const char *line, *entry;
	} rows[] = {
		{ EVENT_SENT,
		    T "\"account\":\"main\",\"attempt\":2,\"code\":250,\"enhanced\":\"2.0.0\","
		      "\"reply\":\"queued\",\"recipients\":[{\"address\":\"a@b\",\"outcome\":"
		      "\"sent\"}]}",
		    "{\"id\":\"I\",\"status\":\"sent\",\"ts_send\":\"2024-10-09T10:00:00Z\","
		    "\"sent_ts\":1728468000,\"account_id\":\"main\",\"attempts\":2,\"smtp_code\":"
		    "250,"
		    "\"smtp_reply\":\"2.0.0 queued\"}" },
		{ EVENT_FAILED,
		    T "\"reason\":\"no\",\"code\":550,\"enhanced\":\"5.1.1\",\"reply\":"
		      "\"5.1.1 no\"}",
		    "{\"id\":\"I\",\"status\":\"error\",\"ts_error\":\"2024-10-09T10:00:00Z\","
		    "\"error_ts\":1728468000,\"error\":\"no\",\"smtp_code\":550,"
		    "\"smtp_reply\":\"5.1.1 no\"}" },
		{ EVENT_DEFERRED, T "\"due\":\"2024-10-09T10:05:00Z\",\"reason\":\"later\"}",
		    "{\"id\":\"I\",\"status\":\"deferred\",\"ts_deferred\":\"2024-10-09T10:00:"
		    "00Z\","
		    "\"deferred_ts\":1728468000,\"deferred_until\":1728468300,"
		    "\"deferred_reason\":\"later\",\"error\":\"later\"}" },
		{ EVENT_UNCERTAIN, T "\"then\":\"retry\",\"reason\":\"lost\"}",
		    "{\"id\":\"I\",\"status\":\"deferred\",\"ts_deferred\":\"2024-10-09T10:00:"
		    "00Z\","
		    "\"deferred_ts\":1728468000,\"deferred_until\":1728468000,"
		    "\"deferred_reason\":\"it may have been delivered: lost\",\"error\":\"it may "
		    "have been delivered: lost\",\"uncertain\":true}" },
		{ EVENT_UNCERTAIN, T "\"then\":\"hold\",\"reason\":\"lost\"}",
		    "{\"id\":\"I\",\"status\":\"deferred\",\"ts_deferred\":\"2024-10-09T10:00:"
		    "00Z\","
		    "\"deferred_ts\":1728468000,\"deferred_reason\":\"it may have been delivered: "
		    "lost\",\"error\":\"it may have been delivered: lost\","
		    "\"uncertain\":true}" },
		{ EVENT_UNCERTAIN, T "\"then\":\"fail\"}",
		    "{\"id\":\"I\",\"status\":\"error\",\"ts_error\":\"2024-10-09T10:00:00Z\","
		    "\"error_ts\":1728468000,\"error\":\"it may have been delivered: the server's "
		    "answer was never seen\","
		    "\"uncertain\":true}" },
		{ EVENT_CORRUPT, T "\"reason\":\"\"}",
		    "{\"id\":\"I\",\"status\":\"error\",\"ts_error\":\"2024-10-09T10:00:00Z\","
		    "\"error_ts\":1728468000,\"error\":\"the message was damaged in the queue\"}" },
		{ EVENT_REFUSED, T "\"reason\":\"to: field required\"}",
		    "{\"id\":\"I\",\"status\":\"error\",\"ts_error\":\"2024-10-09T10:00:00Z\","
		    "\"error_ts\":1728468000,\"error\":\"to: field required\"}" },
		{ EVENT_BOUNCED,
		    T "\"class\":\"hard\",\"recipient\":\"a@b\",\"enhanced\":\"5.1.1\","
		      "\"code\":550,\"reason\":\"unknown\"}",
		    "{\"id\":\"I\",\"status\":\"bounced\",\"ts_bounce\":\"2024-10-09T10:00:00Z\","
		    "\"bounce_ts\":1728468000,\"bounce_type\":\"hard\",\"bounce_code\":\"5.1.1\","
		    "\"bounce_reason\":\"unknown\",\"recipient\":\"a@b\",\"error\":\"unknown\","
		    "\"smtp_code\":550}" },
		{ EVENT_FAILED,
		    T
		    "\"reason\":\"no\",\"recipients\":[{\"address\":\"a@b\",\"outcome\":\"sent\"},"
		    "{\"address\":\"c@d\",\"outcome\":\"failed\",\"code\":550,\"reply\":\"no\"}]}",
		    "{\"id\":\"I\",\"status\":\"error\",\"ts_error\":\"2024-10-09T10:00:00Z\","
		    "\"error_ts\":1728468000,\"error\":\"no\",\"recipients\":["
		    "{\"address\":\"a@b\",\"status\":\"sent\"},{\"address\":\"c@d\","
		    "\"status\":\"error\",\"smtp_code\":550,\"smtp_reply\":\"no\"}]}" },
		/* A line that a stranger damaged is still a report. */
		{ EVENT_SENT, "{\"t\":7,\"account\":[],\"attempt\":\"x\",\"recipients\":{}}",
		    "{\"id\":\"I\",\"status\":\"sent\",\"ts_send\":\"1970-01-01T00:00:00Z\","
		    "\"sent_ts\":0}" },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct err err = ERR_INIT;
		AUTO_JSON struct json *value =
		    json_parse(rows[i].line, strlen(rows[i].line), 1, &err);
		AUTO_BUF struct buf out = BUF_INIT(10000);
		struct json_writer w = JSON_WRITER(&out);
		struct report report = { .value = value, .event = rows[i].event, .id = "I" };

		CHECK_STR(err.msg, "");
		exchange_put_report(&w, &report);
		CHECK_INT(json_finish(&w), 0);
		CHECK_STR(out.s, rows[i].entry);
	}
}

/* ---- halves --------------------------------------------------------------------------------------- */

#define MANY 1000

/* An application that fails with every request that has one of these reports; the reports stand in a row. */
struct choosy {
	char row[MANY]; /* a letter each: "g" good, "b" bad; what was heard or kept alone is gone */
	size_t n, max;
	bool down; /* fails with all */
	size_t heard, alone, good_alone, calls, failures;
	struct reports_state state;
};

static void
call(struct choosy *c)
{
	size_t skipped = c->state.skipped < c->n ? c->state.skipped : c->n;
	size_t n = exchange_halves_size(&c->state, c->max);
	bool bad;

	if (n > c->n - skipped)
		n = c->n - skipped;
	if (n == 0) {
		exchange_halves_again(&c->state);
		return;
	}
	c->calls++;
	bad = c->down || memchr(c->row + skipped, 'b', n) != NULL;
	if (bad) {
		c->failures++;
		c->state.failures++;
		exchange_halves_failed(&c->state, n);
		return;
	}
	c->state.failures = 0;
	exchange_halves_heard(&c->state, n, c->max);
	for (size_t i = 0; i < skipped; i++)
		c->good_alone += c->row[i] == 'g';
	c->heard += n;
	c->alone += skipped;
	c->n -= skipped + n;
	memmove(c->row, c->row + skipped + n, c->n);
}

TEST(what_fails_is_found_by_halves)
{
	static const struct {
		const char *bad; /* where they stand */
		size_t n, max, failures;
	} rows[] = {
		{ "", 1000, 100, 0 },
		{ "57", 1000, 100, 6 },
		{ "0", 1000, 100, 8 },
		{ "99", 100, 100, 100 }, /* with nothing behind it, it is never kept alone */
		{ "5", 7, 100, 3 },
		{ "1", 3, 1, 2 },
		{ "10 500 900", 1000, 100, 17 },
		{ "10 11 12 13 14 15 16 17 18 19", 1000, 100, 15 },
		{ "10 12 14 16 18 20 22 24 26 28", 1000, 100, 24 },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct choosy c = { .n = rows[i].n, .max = rows[i].max };
		const char *at = rows[i].bad;
		size_t bad = 0;
		char *end;

		memset(c.row, 'g', sizeof c.row);
		for (; *at != '\0'; at = end, bad++)
			c.row[strtoul(at, &end, 10)] = 'b';
		while (c.n > 0 && c.calls < 1000 && c.failures <= rows[i].failures)
			call(&c);
		CHECK_ROW(rows[i].bad, c.heard == rows[i].n - bad);
		CHECK_INT(c.good_alone, 0);
		CHECK_ROW(rows[i].bad, c.n > 0 || c.alone == bad);
		CHECK_ROW(rows[i].bad, c.n == 0 || c.failures > rows[i].failures);
	}
}

TEST(an_outage_moves_nothing)
{
	struct choosy c = { .n = 300, .max = 100, .down = true };

	memset(c.row, 'g', sizeof c.row);
	for (int i = 0; i < 1000; i++)
		call(&c);
	CHECK_INT(c.n, 300);
	CHECK_INT(c.alone, 0);
	c.down = false;
	c.calls = 0;
	while (c.n > 0 && c.calls < 1000)
		call(&c);
	CHECK_INT(c.heard + c.alone, 300);
	CHECK(c.calls < 20);
	/* Some are told alone for it, which is no attempt. */
	CHECK(c.alone <= 100);
	CHECK_INT(c.state.suspects + c.state.skipped, 0);
}

/* ---- pauses --------------------------------------------------------------------------------------- */

TEST(pauses)
{
	static const int64_t least[] = { 5, 10, 20, 40, 80, 160, 300, 300 };

	for (unsigned int i = 0; i < sizeof least / sizeof *least; i++) {
		CHECK_INT(exchange_pause(i + 1, 0, 0), least[i] * USEC);
		CHECK(exchange_pause(i + 1, 1023, 0) > least[i] * USEC * 119 / 100);
		CHECK(exchange_pause(i + 1, UINT32_MAX, 0) <= least[i] * USEC * 6 / 5);
	}
	CHECK_INT(exchange_pause(UINT32_MAX, 0, 0), 300 * USEC);
	CHECK_INT(exchange_pause(1, 0, 60 * USEC), 60 * USEC);
	CHECK_INT(exchange_pause(1, 0, 1000000 * USEC), EXCHANGE_ASKED_MAX);
	CHECK(exchange_is_paused(2 * USEC, USEC));
	CHECK(exchange_is_paused(USEC + EXCHANGE_ASKED_MAX, USEC));
	CHECK(!exchange_is_paused(USEC, USEC));
	CHECK(!exchange_is_paused(0, USEC));
	/* The clock was years ahead, and is right now. */
	CHECK(!exchange_is_paused(USEC + EXCHANGE_ASKED_MAX + 1, USEC));
}

UNIT_MAIN()
