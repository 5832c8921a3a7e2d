#include "dialogue_play.h"

static const struct smtp_capabilities all = { .pipelining = true,
	.eight_bit = true,
	.smtputf8 = true,
	.dsn = true,
	.size = true,
	.size_limit = 1000 };

TEST(one_command_at_a_time)
{
	struct letter l;
	struct play p;

	begin(&p, &nothing);
	CHECK(smtp_dialogue_takes(p.d));
	smtp_dialogue_take(p.d, letter(&l, "a@x", "b@y c@z", "Hi\r\n"));
	CHECK(!smtp_dialogue_takes(p.d));
	SAID(&p, "MAIL FROM:<a@x>\r\n");
	CHECK_INT(smtp_dialogue_phase(p.d), SMTP_PHASE_COMMAND);
	server(&p, "250 ok\r\n");
	SAID(&p, "RCPT TO:<b@y>\r\n");
	server(&p, "250 ok\r\n");
	SAID(&p, "RCPT TO:<c@z>\r\n");
	server(&p, "251 will forward\r\n");
	SAID(&p, "DATA\r\n");
	CHECK_INT(smtp_dialogue_phase(p.d), SMTP_PHASE_DATA_START);
	server(&p, "354 go\r\n");
	SAID(&p, "Hi\r\n.\r\n");
	CHECK_INT(smtp_dialogue_phase(p.d), SMTP_PHASE_DATA_END);
	CHECK(!smtp_dialogue_takes(p.d));
	server(&p, "250 2.0.0 queued as 1\r\n");
	SETTLED(&p, &l.job, SMTP_SENT);
	CHECK_STR(l.job.reply.text, "2.0.0 queued as 1");
	CHECK_INT(l.to[0].outcome, SMTP_SENT);
	CHECK_INT(l.to[1].outcome, SMTP_SENT);
	CHECK_INT(smtp_dialogue_phase(p.d), SMTP_PHASE_IDLE);
	smtp_dialogue_quit(p.d);
	SAID(&p, "QUIT\r\n");
	server(&p, "221 bye\r\n");
	CHECK_INT(p.over, -1);
	end(&p);
}

TEST(pipelined_across_messages)
{
	struct letter l, next;
	struct play p;

	begin(&p, &pipelining);
	smtp_dialogue_take(p.d, letter(&l, "a@x", "b@y c@z", "Hi\r\n"));
	CHECK(!smtp_dialogue_takes(p.d));
	SAID(&p, "MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nRCPT TO:<c@z>\r\nDATA\r\n");
	server(&p, "250 1\r\n250 2\r\n250 3\r\n354 go\r\n");
	SAID(&p, "Hi\r\n.\r\n");
	CHECK(smtp_dialogue_takes(p.d));
	smtp_dialogue_take(p.d, letter(&next, "", "d@y", "Ho\r\n"));
	CHECK(!smtp_dialogue_takes(p.d));
	SAID(&p, "MAIL FROM:<>\r\nRCPT TO:<d@y>\r\nDATA\r\n");
	server(&p, "451 4.0.0 later\r\n250 ok\r\n");
	SETTLED(&p, &l.job, SMTP_DEFERRED);
	server(&p, "250 ok\r\n354 go\r\n");
	SAID(&p, "Ho\r\n.\r\n");
	server(&p, "250 ok\r\n");
	SETTLED(&p, &next.job, SMTP_SENT);
	end(&p);
}

/* Nothing goes behind a final dot unless we are told to. */
TEST(pipelined_within_a_message)
{
	struct smtp_dialogue *d = smtp_dialogue_new(&pipelining, 0);
	struct letter l;
	struct play p = { .d = d };

	buf_init(&p.said, 1000);
	smtp_dialogue_take(d, letter(&l, "a@x", "b@y", "Hi\r\n"));
	server(&p, "250 1\r\n250 2\r\n354 go\r\n");
	SAID(&p, "MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nDATA\r\nHi\r\n.\r\n");
	CHECK(!smtp_dialogue_takes(d));
	server(&p, "250 ok\r\n");
	SETTLED(&p, &l.job, SMTP_SENT);
	CHECK(smtp_dialogue_takes(d));
	end(&p);
}

/* Nor to a server that is known to die of it. */
TEST(not_pipelined_across_messages_where_it_harms)
{
	static const struct smtp_capabilities dovecot = { .pipelining = true, .burl = true };
	struct letter l;
	struct play p;

	begin(&p, &dovecot);
	smtp_dialogue_take(p.d, letter(&l, "a@x", "b@y", "Hi\r\n"));
	server(&p, "250 1\r\n250 2\r\n354 go\r\n");
	CHECK(!smtp_dialogue_takes(p.d));
	server(&p, "250 ok\r\n");
	SETTLED(&p, &l.job, SMTP_SENT);
	CHECK(smtp_dialogue_takes(p.d));
	end(&p);
}

/* The final dot, and what stands behind it, waits for leave; what stands before it does not. */
TEST(the_dot_is_held)
{
	static char big[40000];
	struct letter l, next;
	struct play p;

	memset(big, 'x', sizeof(big) - 3);
	memcpy(big + sizeof(big) - 3, "\r\n", 3);
	begin(&p, &pipelining);
	p.keep_held = true;
	smtp_dialogue_take(p.d, letter(&l, "a@x", "b@y", big));
	server(&p, "250 1\r\n250 2\r\n354 go\r\n");
	CHECK(smtp_dialogue_held(p.d) == &l.job);
	CHECK(p.said.len > 20000 && p.said.len < 40000);
	CHECK(strstr(p.said.s, "\r\n.\r\n") == NULL);
	smtp_dialogue_take(p.d, letter(&next, "", "d@y", "Ho\r\n"));
	CHECK_INT(smtp_dialogue_output(p.d).len, 0);
	CHECK_INT(smtp_dialogue_phase(p.d), SMTP_PHASE_BODY);
	smtp_dialogue_release(p.d);
	pump(&p);
	CHECK(strstr(p.said.s, "xx\r\n.\r\nMAIL FROM:<>\r\nRCPT TO:<d@y>\r\nDATA\r\n") != NULL);
	CHECK_INT(smtp_dialogue_phase(p.d), SMTP_PHASE_DATA_END);
	end(&p);
}

static const struct {
	const char *name, *replies;
	enum smtp_outcome job, to[3];
	int codes[3];
	const char *said; /* behind DATA */
	bool reset;	  /* the next message begins with RSET */
} refusals[] = {
	{ "one of three fails",
	    "250 ok\r\n250 ok\r\n550 5.1.1 who\r\n250 ok\r\n354 go\r\n250 done\r\n", SMTP_SENT,
	    { SMTP_SENT, SMTP_FAILED, SMTP_SENT }, { 250, 550, 250 }, "Hi\r\n.\r\n", false },
	{ "one fails, one is deferred, then the dot fails",
	    "250 ok\r\n450 later\r\n550 who\r\n250 ok\r\n354 go\r\n554 spam\r\n", SMTP_DEFERRED,
	    { SMTP_DEFERRED, SMTP_FAILED, SMTP_FAILED }, { 450, 550, 554 }, "Hi\r\n.\r\n", false },
	{ "all fail, DATA too", "250 ok\r\n550 a\r\n551 b\r\n552 c\r\n554 none\r\n", SMTP_FAILED,
	    { SMTP_FAILED, SMTP_FAILED, SMTP_FAILED }, { 550, 551, 552 }, "", true },
	{ "all fail, DATA does not: a lone dot",
	    "250 ok\r\n550 a\r\n450 b\r\n552 c\r\n354 go\r\n554 none\r\n", SMTP_DEFERRED,
	    { SMTP_FAILED, SMTP_DEFERRED, SMTP_FAILED }, { 550, 450, 552 }, ".\r\n", false },
	{ "a lone dot is accepted: nobody has it all the same",
	    "250 ok\r\n550 a\r\n550 b\r\n550 c\r\n354 go\r\n250 queued\r\n", SMTP_FAILED,
	    { SMTP_FAILED, SMTP_FAILED, SMTP_FAILED }, { 550, 550, 550 }, ".\r\n", false },
	{ "the sender is refused", "550 5.7.1 you\r\n503 a\r\n503 b\r\n503 c\r\n503 d\r\n",
	    SMTP_FAILED, { SMTP_FAILED, SMTP_FAILED, SMTP_FAILED }, { 550, 550, 550 }, "", false },
	{ "the sender is deferred", "451 wait\r\n503 a\r\n503 b\r\n503 c\r\n503 d\r\n",
	    SMTP_DEFERRED, { SMTP_DEFERRED, SMTP_DEFERRED, SMTP_DEFERRED }, { 451, 451, 451 }, "",
	    false },
	{ "the sender is refused, all else is not",
	    "550 you\r\n250 a\r\n250 b\r\n250 c\r\n354 d\r\n250 hm\r\n", SMTP_FAILED,
	    { SMTP_FAILED, SMTP_FAILED, SMTP_FAILED }, { 550, 550, 550 }, ".\r\n", false },
	{ "DATA is refused", "250 ok\r\n250 a\r\n250 b\r\n250 c\r\n451 busy\r\n", SMTP_DEFERRED,
	    { SMTP_DEFERRED, SMTP_DEFERRED, SMTP_DEFERRED }, { 451, 451, 451 }, "", true },
	{ "DATA is refused for those who are left",
	    "250 ok\r\n450 a\r\n250 b\r\n250 c\r\n554 no\r\n", SMTP_DEFERRED,
	    { SMTP_DEFERRED, SMTP_FAILED, SMTP_FAILED }, { 450, 554, 554 }, "", true },
};

TEST(refusals_pipelined_and_not)
{
	struct letter l, next;
	struct play p;
	size_t i, j;
	const char *s, *eol;
	char line[100];
	int way;

	for (i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		for (way = 0; way < 2; way++) {
			begin(&p, way == 0 ? &pipelining : &nothing);
			smtp_dialogue_take(p.d, letter(&l, "a@x", "b@y c@y d@y", "Hi\r\n"));
			pump(&p);
			/* Without pipelining, replies to what was never said are not given. */
			for (s = refusals[i].replies; (eol = strchr(s, '\n')) != NULL;
			     s = eol + 1) {
				if (way == 1 && l.job.outcome != SMTP_PENDING)
					break;
				snprintf(line, sizeof(line), "%.*s", (int)(eol + 1 - s), s);
				if (strncmp(line, "354", 3) == 0)
					buf_clear(&p.said);
				server(&p, line);
				CHECK_ROW(refusals[i].name, p.over == 0);
				if (strcmp(refusals[i].said, "") == 0)
					buf_clear(&p.said);
			}
			CHECK_ROW(refusals[i].name, l.job.outcome == refusals[i].job);
			for (j = 0; j < 3; j++) {
				CHECK_ROW(refusals[i].name, l.to[j].outcome == refusals[i].to[j]);
				CHECK_INT(smtp_recipient_reply(&l.job, &l.to[j])->code,
				    refusals[i].codes[j]);
			}
			if (way == 0)
				SAID(&p, refusals[i].said);
			buf_clear(&p.said);
			SETTLED(&p, &l.job, refusals[i].job);
			CHECK(smtp_dialogue_takes(p.d));
			smtp_dialogue_take(p.d, letter(&next, "", "d@y", "Ho\r\n"));
			pump(&p);
			CHECK_ROW(refusals[i].name,
			    way == 1 || (strncmp(p.said.s, "RSET", 4) == 0) == refusals[i].reset);
			smtp_job_reset(&l.job);
			end(&p);
		}
	}
}

TEST(nobody_left_without_pipelining)
{
	struct letter l, next;
	struct play p;

	begin(&p, &nothing);
	smtp_dialogue_take(p.d, letter(&l, "a@x", "b@y", "Hi\r\n"));
	server(&p, "250 ok\r\n");
	server(&p, "550 who\r\n");
	SETTLED(&p, &l.job, SMTP_FAILED);
	buf_clear(&p.said);
	smtp_dialogue_take(p.d, letter(&next, "a@x", "c@y", "Hi\r\n"));
	SAID(&p, "RSET\r\n");
	server(&p, "250 ok\r\n");
	SAID(&p, "MAIL FROM:<a@x>\r\n");
	smtp_job_reset(&l.job);
	end(&p);
}

/* A recipient that was settled before is left out. */
TEST(settled_recipients_are_left_out)
{
	struct letter l;
	struct play p;

	begin(&p, &pipelining);
	letter(&l, "a@x", "b@y c@y d@y", "Hi\r\n");
	l.to[0].outcome = SMTP_SENT;
	l.to[2].outcome = SMTP_FAILED;
	smtp_dialogue_take(p.d, &l.job);
	SAID(&p, "MAIL FROM:<a@x>\r\nRCPT TO:<c@y>\r\nDATA\r\n");
	end(&p);
}

static const struct {
	const char *name, *sender, *recipient;
	unsigned flags;
	uint64_t length;
	bool goes;
	const char *status;
} admissions[] = {
	{ "plain", "a@x", "b@y", 0, 4, true, "" },
	{ "too large", "a@x", "b@y", 0, 1001, false, "5.3.4" },
	{ "as large as can be", "a@x", "b@y", 0, 1000, true, "" },
	{ "8-bit", "a@x", "b@y", SMTP_JOB_8BIT, 4, false, "5.6.3" },
	{ "UTF-8 header", "a@x", "b@y", SMTP_JOB_SMTPUTF8, 4, false, "5.6.7" },
	{ "UTF-8 sender", "\xc3\xa4@x", "b@y", 0, 4, false, "5.6.7" },
	{ "UTF-8 recipient", "a@x", "\xc3\xa4@x", 0, 4, false, "5.6.7" },
	{ "a line in the sender", "a@x>\r\nRCPT TO:<c@z", "b@y", 0, 4, false, "5.1.7" },
	{ "a line in the recipient", "a@x", "b@y>\r\nDATA", 0, 4, false, "5.1.3" },
	{ "a bracket in the sender", "a@x> SIZE=1", "b@y", 0, 4, false, "5.1.7" },
	{ "an empty recipient", "a@x", "", 0, 4, false, "5.1.3" },
};

TEST(what_cannot_go_is_never_written)
{
	struct smtp_capabilities caps = { .pipelining = true, .size = true, .size_limit = 1000 };
	struct letter l;
	struct play p;
	size_t i;

	for (i = 0; i < sizeof(admissions) / sizeof(admissions[0]); i++) {
		begin(&p, &caps);
		letter(&l, admissions[i].sender, "x", "");
		l.to[0].address = admissions[i].recipient;
		l.job.flags = admissions[i].flags;
		l.job.length = admissions[i].length;
		smtp_dialogue_take(p.d, &l.job);
		CHECK_ROW(admissions[i].name,
		    (smtp_dialogue_output(p.d).len > 0) == admissions[i].goes);
		if (!admissions[i].goes) {
			SETTLED(&p, &l.job, SMTP_FAILED);
			CHECK_STR(l.job.reply.status, admissions[i].status);
			CHECK_INT(l.job.reply.code, 0);
			CHECK_INT(l.to[0].outcome, SMTP_FAILED);
		}
		smtp_job_reset(&l.job);
		end(&p);
	}
}

/* A bad address fails alone. */
TEST(a_bad_recipient_fails_alone)
{
	struct letter l;
	struct play p;

	begin(&p, &pipelining);
	letter(&l, "a@x", "b@y c@y", "Hi\r\n");
	l.to[0].address = "b@y\r\nDATA";
	smtp_dialogue_take(p.d, &l.job);
	SAID(&p, "MAIL FROM:<a@x>\r\nRCPT TO:<c@y>\r\nDATA\r\n");
	server(&p, "250 ok\r\n250 ok\r\n354 go\r\n");
	server(&p, "250 done\r\n");
	SETTLED(&p, &l.job, SMTP_SENT);
	CHECK_INT(l.to[0].outcome, SMTP_FAILED);
	CHECK(strchr(l.to[0].reply->text, '\n') == NULL);
	CHECK_INT(l.to[1].outcome, SMTP_SENT);
	smtp_job_reset(&l.job);
	end(&p);
}

/* One that needs SMTPUTF8 does not keep the message from the others. */
TEST(a_utf8_recipient_fails_alone)
{
	struct letter l;
	struct play p;

	begin(&p, &pipelining);
	letter(&l, "a@x", "b@y \xc3\xa4@y c@y", "Hi\r\n");
	smtp_dialogue_take(p.d, &l.job);
	SAID(&p, "MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nRCPT TO:<c@y>\r\nDATA\r\n");
	server(&p, "250 ok\r\n250 ok\r\n450 later\r\n354 go\r\n");
	server(&p, "250 done\r\n");
	SETTLED(&p, &l.job, SMTP_SENT);
	CHECK_INT(l.to[0].outcome, SMTP_SENT);
	CHECK_INT(l.to[1].outcome, SMTP_FAILED);
	CHECK_STR(l.to[1].reply->status, "5.6.7");
	CHECK_STR(l.to[1].reply->text,
	    "the address needs SMTPUTF8, which the server does not offer");
	CHECK_INT(l.to[2].outcome, SMTP_DEFERRED);
	smtp_job_reset(&l.job);
	end(&p);
	/* Where the server has it, all go in one transaction. */
	begin(&p, &all);
	letter(&l, "a@x", "b@y \xc3\xa4@y", "Hi\r\n");
	smtp_dialogue_take(p.d, &l.job);
	SAID(&p,
	    "MAIL FROM:<a@x> SIZE=4 SMTPUTF8\r\nRCPT TO:<b@y>\r\nRCPT TO:<\xc3\xa4@y>\r\nDATA\r\n");
	end(&p);
	/* The header is everybody's. */
	begin(&p, &pipelining);
	letter(&l, "a@x", "b@y \xc3\xa4@y", "Hi\r\n");
	l.job.flags = SMTP_JOB_SMTPUTF8;
	smtp_dialogue_take(p.d, &l.job);
	SAID(&p, "");
	SETTLED(&p, &l.job, SMTP_FAILED);
	CHECK(strstr(l.job.reply.text, "in the header") != NULL);
	smtp_job_reset(&l.job);
	end(&p);
}

TEST(parameters)
{
	struct letter l;
	struct play p;

	begin(&p, &all);
	letter(&l, "a@x", "b@y c@y d@y \xc3\xa4@y", "Hi\r\n");
	l.job.flags = SMTP_JOB_8BIT | SMTP_JOB_RET_HDRS;
	l.job.envid = "id+1 =\r\n\xc3";
	l.to[0].notify = SMTP_NOTIFY_NEVER | SMTP_NOTIFY_DELAY;
	l.to[1].notify = SMTP_NOTIFY_SUCCESS | SMTP_NOTIFY_FAILURE | SMTP_NOTIFY_DELAY;
	l.to[1].orcpt = "rfc822;c+d@y z";
	l.to[2].orcpt = "no type";
	l.to[3].orcpt = "rfc822;\xc3\xa4@y";
	smtp_dialogue_take(p.d, &l.job);
	SAID(&p,
	    "MAIL FROM:<a@x> SIZE=4 BODY=8BITMIME SMTPUTF8 RET=HDRS "
	    "ENVID=id+2B1+20+3D+0D+0A+C3\r\n"
	    "RCPT TO:<b@y> NOTIFY=NEVER\r\n"
	    "RCPT TO:<c@y> NOTIFY=SUCCESS,FAILURE,DELAY ORCPT=rfc822;c+2Bd@y+20z\r\n"
	    "RCPT TO:<d@y>\r\nRCPT TO:<\xc3\xa4@y>\r\nDATA\r\n");
	end(&p);
	begin(&p, &nothing);
	letter(&l, "a@x", "b@y", "Hi\r\n");
	l.job.flags = SMTP_JOB_RET_FULL;
	l.job.envid = "id";
	l.to[0].notify = SMTP_NOTIFY_NEVER;
	smtp_dialogue_take(p.d, &l.job);
	server(&p, "250 ok\r\n");
	SAID(&p, "MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\n");
	end(&p);
}

TEST(forced_8bit)
{
	struct letter l;
	struct smtp_dialogue *d = smtp_dialogue_new(&nothing, SMTP_DIALOGUE_FORCE_8BIT);
	struct view out;

	letter(&l, "a@x", "b@y", "Hi\r\n");
	l.job.flags = SMTP_JOB_8BIT;
	smtp_dialogue_take(d, &l.job);
	out = smtp_dialogue_output(d);
	CHECK_MEM(out.s, out.len, "MAIL FROM:<a@x>\r\n", 17);
	smtp_dialogue_free(d);
}

/* 552 behind a hundred that were taken means "too many" (RFC 5321 section 4.5.3.1.10). */
TEST(too_many_recipients)
{
	struct letter l;
	struct play p;
	int i;

	begin(&p, &pipelining);
	letter(&l, "a@x", "", "Hi\r\n");
	for (i = 0; i < 102; i++)
		l.to[i].address = "b@y";
	l.job.n_recipients = 102;
	smtp_dialogue_take(p.d, &l.job);
	server(&p, "250 a\r\n552 full\r\n");
	for (i = 0; i < 100; i++)
		server(&p, "250 b\r\n");
	server(&p, "552 too many\r\n");
	server(&p, "354 go\r\n");
	server(&p, "250 ok\r\n");
	SETTLED(&p, &l.job, SMTP_SENT);
	CHECK_INT(l.to[0].outcome, SMTP_FAILED);
	CHECK_INT(l.to[1].outcome, SMTP_SENT);
	CHECK_INT(l.to[101].outcome, SMTP_DEFERRED);
	smtp_job_reset(&l.job);
	end(&p);
}

/* Ten thousand recipients do not make an output without bound. */
TEST(many_recipients_go_in_parts)
{
	struct smtp_recipient *to = xcalloc(10000, sizeof(*to));
	struct letter l;
	struct play p;
	size_t i, most = 0;

	begin(&p, &pipelining);
	letter(&l, "a@x", "", "Hi\r\n");
	for (i = 0; i < 10000; i++)
		to[i].address = "somebody.with.a.long.name@department.example.com";
	l.job.recipients = to;
	l.job.n_recipients = 10000;
	smtp_dialogue_take(p.d, &l.job);
	most = smtp_dialogue_output(p.d).len;
	CHECK(most < 20000);
	server(&p, "250 ok\r\n");
	for (i = 0; i < 10000; i++) {
		server(&p, "250 ok\r\n");
		if (smtp_dialogue_output(p.d).len > most)
			most = smtp_dialogue_output(p.d).len;
	}
	CHECK(most < 20000);
	server(&p, "354 go\r\n");
	server(&p, "250 ok\r\n");
	SETTLED(&p, &l.job, SMTP_SENT);
	free(to);
	end(&p);
}

UNIT_MAIN()
