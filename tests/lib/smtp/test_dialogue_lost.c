#include "dialogue_play.h"

/* Behind the dot, before and after its answer, with another message pipelined behind. */
TEST(lost_behind_the_dot)
{
	static const char *const replies[] = { "250 a\r\n", "250 b\r\n", "550 c\r\n", "354 d\r\n",
		"250 e\r\n" };
	struct smtp_reply why;
	struct letter l, next;
	struct play p;
	size_t cut, i;

	smtp_reply_own(&why, "", "lost");
	for (cut = 4; cut <= 5; cut++) {
		begin(&p, &pipelining);
		smtp_dialogue_take(p.d, letter(&l, "a@x", "b@y c@y", "Hi\r\n"));
		for (i = 0; i < cut; i++)
			server(&p, replies[i]);
		smtp_dialogue_take(p.d, letter(&next, "a@x", "b@y", "Hi\r\n"));
		smtp_dialogue_lost(p.d, &why);
		SETTLED(&p, &l.job, cut == 4 ? SMTP_UNCERTAIN : SMTP_SENT);
		CHECK_INT(l.to[0].outcome, cut == 4 ? SMTP_UNCERTAIN : SMTP_SENT);
		CHECK_INT(l.to[1].outcome, SMTP_FAILED);
		SETTLED(&p, &next.job, SMTP_UNSENT);
		CHECK_INT(next.to[0].outcome, SMTP_PENDING);
		CHECK_STR(next.job.reply.text, "lost");
		smtp_job_reset(&l.job);
		end(&p);
	}
}

TEST(lost_before_the_dot)
{
	static const char *const replies[] = { "250 a\r\n", "250 b\r\n", "550 c\r\n" };
	struct smtp_reply why;
	struct letter l;
	struct play p;
	size_t cut, i;

	smtp_reply_own(&why, "", "lost");
	for (cut = 0; cut <= 3; cut++) {
		begin(&p, &pipelining);
		smtp_dialogue_take(p.d, letter(&l, "a@x", "b@y c@y", "Hi\r\n"));
		for (i = 0; i < cut; i++)
			server(&p, replies[i]);
		smtp_dialogue_lost(p.d, &why);
		SETTLED(&p, &l.job, SMTP_UNSENT);
		CHECK_INT(l.to[0].outcome, SMTP_PENDING);
		CHECK_INT(l.to[1].outcome, cut == 3 ? SMTP_FAILED : SMTP_PENDING);
		smtp_job_reset(&l.job);
		end(&p);
	}
}

/* Byte by byte: only the one that ends the final dot's line makes it uncertain. */
TEST(lost_within_the_dot)
{
	static const char content[] = "Hi\r\n.x\r\n"; /* goes out as 9 bytes and 3 */
	struct smtp_reply why;
	struct letter l;
	struct view out;
	struct play p;
	size_t sent;

	smtp_reply_own(&why, "", "lost");
	for (sent = 1; sent <= 12; sent++) {
		begin(&p, &pipelining);
		p.keep_held = true;
		smtp_dialogue_take(p.d, letter(&l, "a@x", "b@y", content));
		server(&p, "250 a\r\n250 b\r\n354 go\r\n");
		CHECK(smtp_dialogue_held(p.d) != NULL);
		smtp_dialogue_release(p.d);
		out = smtp_dialogue_output(p.d);
		CHECK_MEM(out.s, out.len, "Hi\r\n..x\r\n.\r\n", 12);
		smtp_dialogue_sent(p.d, sent);
		smtp_dialogue_lost(p.d, &why);
		SETTLED(&p, &l.job, sent == 12 ? SMTP_UNCERTAIN : SMTP_UNSENT);
		end(&p);
	}
	begin(&p, &pipelining);
	p.keep_held = true;
	smtp_dialogue_take(p.d, letter(&l, "a@x", "b@y", content));
	server(&p, "250 a\r\n250 b\r\n354 go\r\n");
	smtp_dialogue_lost(p.d, &why);
	SETTLED(&p, &l.job, SMTP_UNSENT);
	end(&p);
}

static const struct {
	const char *name, *replies;
	enum smtp_outcome outcome;
	const char *why;
} breaks[] = {
	{ "421 at MAIL", "421 4.3.2 closing\r\n", SMTP_UNSENT, "4.3.2 closing" },
	{ "421 at RCPT", "250 ok\r\n421 closing\r\n", SMTP_UNSENT, "closing" },
	{ "421 at DATA", "250 ok\r\n250 ok\r\n421 closing\r\n", SMTP_UNSENT, "closing" },
	{ "421 at the dot is its answer", "250 ok\r\n250 ok\r\n354 go\r\n421 closing\r\n",
	    SMTP_DEFERRED, "closing" },
	{ "garbage", "250 ok\r\nhello\r\n", SMTP_UNSENT,
	    "the server's answer is not an SMTP reply: \"hello\"" },
	{ "garbage for the dot's answer", "250 ok\r\n250 ok\r\n354 go\r\n<html>\r\n",
	    SMTP_UNCERTAIN, "the server's answer is not an SMTP reply: \"<html>\"" },
	{ "354 at MAIL", "354 go\r\n", SMTP_UNSENT,
	    "the server broke the protocol: \"354 go\" before DATA" },
	{ "250 at DATA", "250 ok\r\n250 ok\r\n250 ok\r\n", SMTP_UNSENT,
	    "the server broke the protocol: \"250 ok\" after DATA" },
	{ "354 at the dot", "250 ok\r\n250 ok\r\n354 go\r\n354 more\r\n", SMTP_UNCERTAIN,
	    "the server broke the protocol: \"354 more\" after the final dot" },
};

TEST(broken_conversations)
{
	struct letter l;
	struct play p;
	size_t i;

	for (i = 0; i < sizeof(breaks) / sizeof(breaks[0]); i++) {
		begin(&p, &pipelining);
		smtp_dialogue_take(p.d, letter(&l, "a@x", "b@y", "Hi\r\n"));
		const char *s = breaks[i].replies, *eol;

		/* One at a time, as the body goes out between. */
		for (; (eol = strchr(s, '\n')) != NULL; s = eol + 1) {
			char line[100];

			snprintf(line, sizeof(line), "%.*s", (int)(eol + 1 - s), s);
			server(&p, line);
		}
		CHECK_ROW(breaks[i].name, p.over == -1);
		CHECK_STR(smtp_dialogue_why(p.d)->text, breaks[i].why);
		smtp_dialogue_lost(p.d, smtp_dialogue_why(p.d));
		SETTLED(&p, &l.job, breaks[i].outcome);
		CHECK(!smtp_dialogue_takes(p.d));
		CHECK(!smtp_dialogue_denied(p.d));
		end(&p);
	}
}

TEST(an_early_refusal_is_an_answer)
{
	static char big[40000];
	struct letter l;
	struct play p;

	memset(big, 'x', sizeof(big) - 1);
	begin(&p, &pipelining);
	smtp_dialogue_take(p.d, letter(&l, "a@x", "b@y", big));
	pump(&p);
	CHECK_INT(smtp_dialogue_input(p.d, "250 a\r\n250 b\r\n354 go\r\n", 22), 0);
	smtp_dialogue_body(p.d, big, smtp_dialogue_wants(p.d));
	CHECK_INT(smtp_dialogue_input(p.d, "552 5.3.4 too much\r\n", 20), -1);
	SETTLED(&p, &l.job, SMTP_FAILED);
	CHECK_INT(l.job.reply.code, 552);
	end(&p);
}

TEST(denied_at_mail)
{
	struct letter l;
	struct play p;

	begin(&p, &pipelining);
	smtp_dialogue_take(p.d, letter(&l, "a@x", "b@y", "Hi\r\n"));
	server(&p, "530 5.7.0 Authentication required\r\n");
	CHECK_INT(p.over, -1);
	CHECK(smtp_dialogue_denied(p.d));
	smtp_dialogue_lost(p.d, smtp_dialogue_why(p.d));
	SETTLED(&p, &l.job, SMTP_UNSENT);
	end(&p);
}

TEST(words_while_idle)
{
	struct play p;

	begin(&p, &pipelining);
	server(&p, "421 4.4.2 timeout\r\n");
	CHECK_INT(p.over, -1);
	CHECK_INT(smtp_dialogue_why(p.d)->code, 421);
	end(&p);
	begin(&p, &pipelining);
	server(&p, "250 surprise\r\n");
	CHECK_INT(p.over, -1);
	CHECK_STR(smtp_dialogue_why(p.d)->text,
	    "the server broke the protocol: \"250 surprise\" unasked");
	end(&p);
}

/* ---- a server without sense ---- */

static unsigned
next_random(unsigned *state)
{
	*state = *state * 1103515245u + 12345u;
	return *state >> 16;
}

/* Bytes of no sense, or a reply that might be one; in pieces of any size. */
static size_t
nonsense(unsigned *state, char text[64])
{
	static const char *const replies[] = { "250 ok", "250-more", "354 go", "550 no",
		"450 later", "421 bye", "530 login", "252 perhaps", "552 full", "503 order", "" };
	size_t n, i;

	if (next_random(state) % 16 == 0) {
		n = next_random(state) % 20;
		for (i = 0; i < n; i++)
			text[i] = (char)next_random(state);
		return n;
	}
	/* Good replies are frequent, so that it gets as far as the body. */
	i = next_random(state) % 3 == 0 ? next_random(state) % 11 : next_random(state) % 2 * 2;
	return (size_t)snprintf(text, 64, "%s\r\n", replies[i]);
}

/* Whatever the server says: each job is settled once, with an outcome for each recipient. */
TEST(any_replies_settle_each_job_once)
{
	static const char content[] = "Subject: x\r\n\r\n.hello\r\n";
	struct smtp_reply why;
	struct smtp_job *job;
	struct letter letters[12];
	struct play p;
	unsigned state = 11, round, taken, settled;
	char text[64];
	size_t n;

	smtp_reply_own(&why, "", "lost");
	for (round = 0; round < 20000; round++) {
		begin(&p, round % 3 == 0 ? &nothing : &pipelining);
		taken = settled = 0;
		for (n = 0; n < 60 && p.over == 0; n++) {
			if (taken < 12 && smtp_dialogue_takes(p.d) && next_random(&state) % 2 == 0)
				smtp_dialogue_take(p.d,
				    letter(&letters[taken++], "a@x", "b@y c@y", content));
			pump(&p);
			size_t len = nonsense(&state, text);

			p.over = smtp_dialogue_input(p.d, text, len);
		}
		smtp_dialogue_lost(p.d, &why);
		while ((job = smtp_dialogue_settled(p.d)) != NULL) {
			settled++;
			if (job->outcome == SMTP_PENDING || job->outcome == SMTP_UNSENT_ACCOUNT)
				CHECK_ROW("an outcome", 0);
			for (size_t i = 0; i < 2; i++)
				if ((job->recipients[i].outcome == SMTP_PENDING) &&
				    job->outcome != SMTP_UNSENT)
					CHECK_ROW("an outcome for each recipient", 0);
		}
		if (settled != taken)
			CHECK_ROW("each job settled once", 0);
		for (n = 0; n < taken; n++)
			smtp_job_reset(&letters[n].job);
		end(&p);
	}
}

UNIT_MAIN()
