#include "unit.h"

#include <stdbool.h>

#include "base/buf.h"
#include "smtp/command.h"
#include "smtp/dialogue.h"
#include "smtp/stuff.h"

enum { MAX_RECIPIENTS = 200 };

/* A dialogue with a server that the test plays. */
struct play {
	struct smtp_dialogue *d;
	struct buf said; /* what the client wrote and the test has not yet asked for */
	bool keep_held;  /* final dots are not released */
	int over;	 /* what input() last returned */
};

/* A message of a test: job.arg is its content. */
struct letter {
	struct smtp_job job;
	struct smtp_recipient to[MAX_RECIPIENTS];
};

static const struct smtp_capabilities nothing, all = { .pipelining = true, .eight_bit = true,
	.smtputf8 = true, .dsn = true, .size = true, .size_limit = 1000 };
static const struct smtp_capabilities pipelining = { .pipelining = true };

static void
begin(struct play *p, const struct smtp_capabilities *caps)
{
	memset(p, 0, sizeof(*p));
	p->d = smtp_dialogue_new(caps, false);
	buf_init(&p->said, 10 << 20);
}

static void
end(struct play *p)
{
	smtp_dialogue_free(p->d);
	buf_release(&p->said);
}

/* recipients: addresses with a space between. */
static struct smtp_job *
letter(struct letter *l, const char *sender, const char *recipients, const char *content)
{
	static char words[8][4096];
	static unsigned turn;
	char *copy = words[turn++ % 8], *word, *save;

	memset(l, 0, sizeof(*l));
	snprintf(copy, sizeof(words[0]), "%s", recipients);
	for (word = strtok_r(copy, " ", &save); word != NULL; word = strtok_r(NULL, " ", &save))
		l->to[l->job.n_recipients++].address = word;
	l->job.sender = sender;
	l->job.recipients = l->to;
	l->job.arg = (void *)(uintptr_t)content;
	l->job.length = strlen(content);
	l->job.fd = -1;
	return &l->job;
}

/* Gives the body where it is wanted, and writes all that may go out. */
static void
pump(struct play *p)
{
	struct view out;
	size_t n;

	for (;;) {
		if ((n = smtp_dialogue_wants(p->d)) > 0)
			smtp_dialogue_body(p->d, (const char *)smtp_dialogue_body_job(p->d)->arg +
			    smtp_dialogue_body_at(p->d), n);
		if (!p->keep_held && smtp_dialogue_held(p->d) != NULL)
			smtp_dialogue_release(p->d);
		out = smtp_dialogue_output(p->d);
		if (out.len == 0)
			return;
		n = out.len > 100 ? 100 : out.len;
		buf_add(&p->said, out.s, n);
		smtp_dialogue_sent(p->d, n);
	}
}

static void
server(struct play *p, const char *text)
{
	pump(p);
	p->over = smtp_dialogue_input(p->d, text, strlen(text));
	pump(p);
}

#define SAID(p, text)                                                                              \
	do {                                                                                       \
		pump(p);                                                                           \
		CHECK_STR((p)->said.s, text);                                                      \
		buf_clear(&(p)->said);                                                             \
	} while (0)

#define SETTLED(p, want_job, want_outcome)                                                         \
	do {                                                                                       \
		struct smtp_job *settled = smtp_dialogue_settled((p)->d);                          \
		CHECK(settled == (want_job));                                                      \
		if (settled != NULL)                                                               \
			CHECK_STR(smtp_outcome_name(settled->outcome),                             \
			    smtp_outcome_name(want_outcome));                                      \
	} while (0)

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
	{ "one of three fails", "250 ok\r\n250 ok\r\n550 5.1.1 who\r\n250 ok\r\n354 go\r\n250 done\r\n",
	    SMTP_SENT, { SMTP_SENT, SMTP_FAILED, SMTP_SENT }, { 250, 550, 250 }, "Hi\r\n.\r\n", false },
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
			for (s = refusals[i].replies; (eol = strchr(s, '\n')) != NULL; s = eol + 1) {
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
			CHECK_ROW(refusals[i].name, way == 1 ||
			    (strncmp(p.said.s, "RSET", 4) == 0) == refusals[i].reset);
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
		CHECK_ROW(admissions[i].name, (smtp_dialogue_output(p.d).len > 0) == admissions[i].goes);
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
	SAID(&p, "MAIL FROM:<a@x> SIZE=4 BODY=8BITMIME SMTPUTF8 RET=HDRS "
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
	struct smtp_dialogue *d = smtp_dialogue_new(&nothing, true);
	struct view out;

	letter(&l, "a@x", "b@y", "Hi\r\n");
	l.job.flags = SMTP_JOB_8BIT;
	smtp_dialogue_take(d, &l.job);
	out = smtp_dialogue_output(d);
	CHECK_MEM(out.s, out.len, "MAIL FROM:<a@x>\r\n", 17);
	smtp_dialogue_free(d);
}

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
	{ "garbage", "250 ok\r\nhello\r\n", SMTP_UNSENT, "what the server said is no SMTP reply" },
	{ "garbage for the dot's answer", "250 ok\r\n250 ok\r\n354 go\r\n<html>\r\n",
	    SMTP_UNCERTAIN, "what the server said is no SMTP reply" },
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

static const struct {
	const char *content, *wire;
} contents[] = {
	{ "", ".\r\n" },
	{ "a\r\n", "a\r\n.\r\n" },
	{ "a", "a\r\n.\r\n" },
	{ ".\r\n", "..\r\n.\r\n" },
	{ ".", "..\r\n.\r\n" },
	{ "a\r\n.\r\nb\r\n", "a\r\n..\r\nb\r\n.\r\n" },
	{ "..a\r\n", "...a\r\n.\r\n" },
	{ "a.b\r\n", "a.b\r\n.\r\n" },
	{ "a\n.\nb\n", "a\r\n..\r\nb\r\n.\r\n" },
	{ "a\n.\r\nMAIL FROM:<x>\r\n", "a\r\n..\r\nMAIL FROM:<x>\r\n.\r\n" },
	{ "a\r\n.\nMAIL", "a\r\n..\r\nMAIL\r\n.\r\n" },
	{ "a\r.\rb", "a\r\n..\r\nb\r\n.\r\n" },
	{ "a\r\r\nb", "a\r\n\r\nb\r\n.\r\n" },
	{ "a\n\r\nb\r", "a\r\n\r\nb\r\n.\r\n" },
	{ "\r\n\r\n", "\r\n\r\n.\r\n" },
	{ "\n", "\r\n.\r\n" },
	{ "\r", "\r\n.\r\n" },
};

TEST(content_in_any_pieces)
{
	struct smtp_stuffer st;
	AUTO_BUF struct buf out = BUF_INIT(1000);
	size_t i, step, at, n, len;

	for (i = 0; i < sizeof(contents) / sizeof(contents[0]); i++) {
		len = strlen(contents[i].content);
		for (step = 1; step <= len + 1; step++) {
			st = (struct smtp_stuffer)SMTP_STUFFER_INIT;
			buf_clear(&out);
			for (at = 0; at < len; at += n) {
				n = len - at < step ? len - at : step;
				smtp_stuff(&st, &out, contents[i].content + at, n);
			}
			smtp_stuff_end(&st, &out);
			CHECK_STR(out.s, contents[i].wire);
		}
	}
}

/* Whatever the content is: each line ends with CRLF, and the only lone dot is the last line. */
TEST(random_content)
{
	struct smtp_stuffer st;
	AUTO_BUF struct buf out = BUF_INIT(10000);
	unsigned state = 3, round;
	char content[200];
	size_t i, n, len;
	const char *dot;

	for (round = 0; round < 20000; round++) {
		len = (state = state * 1103515245u + 12345u) >> 16 & 127;
		for (i = 0; i < len; i++)
			content[i] = "\r\n.a"[(state = state * 1103515245u + 12345u) >> 20 & 3];
		st = (struct smtp_stuffer)SMTP_STUFFER_INIT;
		buf_clear(&out);
		for (i = 0; i < len; i += n) {
			n = 1 + ((state = state * 1103515245u + 12345u) >> 20 & 7);
			n = n > len - i ? len - i : n;
			smtp_stuff(&st, &out, content + i, n);
		}
		smtp_stuff_end(&st, &out);
		CHECK(out.len <= 2 * len + 5);
		for (i = 0; i < out.len; i++) {
			if (out.s[i] == '\n' && (i == 0 || out.s[i - 1] != '\r'))
				CHECK_ROW("a bare LF", 0);
			if (out.s[i] == '\r' && out.s[i + 1] != '\n')
				CHECK_ROW("a bare CR", 0);
		}
		dot = strstr(out.s, "\r\n.\r\n");
		if (dot != NULL)
			CHECK(dot + 5 == out.s + out.len);
		else
			CHECK_STR(out.s, ".\r\n");
	}
}

static const struct {
	const char *address;
	bool fits, ascii;
} addresses[] = {
	{ "a@x", true, true },
	{ "postmaster", true, true },
	{ "\"a b\"@x", true, true },
	{ "\"a\\\"b>\"@x", true, true },
	{ "a@[127.0.0.1]", true, true },
	{ "\xc3\xa4@x", true, false },
	{ "", false, true },
	{ "a b@x", false, true },
	{ "a@x>", false, true },
	{ "<a@x", false, true },
	{ "\"a@x", false, true },
	{ "\"a\\", false, true },
	{ "a\r\n@x", false, true },
	{ "\"a\r\n\"@x", false, true },
	{ "\"a\\\n\"@x", false, true },
	{ "a\t@x", false, true },
	{ "a\x7f@x", false, true },
	{ "\xc3@x", false, false },
	{ "a\xc2\x85@x", false, false },
};

TEST(addresses_that_fit)
{
	static char longest[400];
	bool ascii;
	size_t i;

	for (i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
		CHECK_ROW(addresses[i].address,
		    smtp_address_fits(addresses[i].address, &ascii) == addresses[i].fits);
		CHECK_ROW(addresses[i].address, ascii == addresses[i].ascii);
	}
	memset(longest, 'a', 320);
	CHECK(smtp_address_fits(longest, &ascii));
	longest[320] = 'a';
	CHECK(!smtp_address_fits(longest, &ascii));
}

UNIT_MAIN()
