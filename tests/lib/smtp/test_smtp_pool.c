/* Deliveries to a server that goes wrong at each step, and what becomes of the messages. */
#include "smtp_play.h"

#define NO_FAULT (-1)

/* For servers that fall silent.  All others have the usual minutes: a slow machine is no fault. */
static const struct smtp_timeouts quick = { .greeting = USEC,
	.command = USEC,
	.data_start = USEC,
	.data_block = 10 * USEC,
	.data_end = USEC,
	.quit = USEC };

static bool
falls_silent(const char *const rules[3])
{
	for (size_t i = 0; i < 3 && rules[i] != NULL; i++)
		if (strstr(rules[i], "=hang") != NULL)
			return true;
	return false;
}

/* Three messages over one connection at a time, with PIPELINING and without any extension. */
static const struct {
	const char *name;
	const char *rules[3];
	const char *outcomes;
	int fault;
	unsigned accepted, connections;
} plays[] = {
	{ "all is well", { NULL }, "SSS", NO_FAULT, 3, 1 },

	/* before there is a conversation: the account's fault, the messages are untouched */
	{ "closed at once", { "connect=cut" }, "AAA", SMTP_FAULT_PROTOCOL, 0, 1 },
	{ "reset at EHLO", { "ehlo=rst" }, "AAA", SMTP_FAULT_PROTOCOL, 0, 1 },
	{ "greeting 421", { "connect=421 4.3.2 too busy" }, "AAA", SMTP_FAULT_GREETING, 0, 1 },
	{ "greeting 554", { "connect=554 no SMTP here,cut" }, "AAA", SMTP_FAULT_GREETING, 0, 1 },
	{ "greeting 554 of many lines", { "connect=554-go|554-far|554 away" }, "AAA",
	    SMTP_FAULT_GREETING, 0, 1 },
	{ "greeting of many lines", { "connect=220-a|220-b|220 c" }, "SSS", NO_FAULT, 3, 1 },
	{ "greeting byte by byte", { "connect=slow 220 here I am" }, "SSS", NO_FAULT, 3, 1 },
	{ "greeting is no SMTP", { "connect=HTTP/1.1 400 Bad Request" }, "AAA", SMTP_FAULT_PROTOCOL,
	    0, 1 },
	{ "no greeting", { "connect=hang" }, "AAA", SMTP_FAULT_TIMEOUT, 0, 1 },
	{ "greeting without end", { "connect=lines" }, "AAA", SMTP_FAULT_PROTOCOL, 0, 1 },
	{ "greeting line without end", { "connect=flood" }, "AAA", SMTP_FAULT_PROTOCOL, 0, 1 },
	{ "EHLO unknown, HELO does", { "ehlo=502 5.5.1 what" }, "SSS", NO_FAULT, 3, 1 },
	{ "EHLO and HELO refused", { "ehlo=550 no", "helo=550 5.7.1 go away" }, "AAA",
	    SMTP_FAULT_GREETING, 0, 1 },
	{ "cut at EHLO", { "ehlo=cut" }, "AAA", SMTP_FAULT_PROTOCOL, 0, 1 },
	{ "421 at EHLO", { "ehlo=421 4.7.0 later", "helo=421 4.7.0 later" }, "AAA",
	    SMTP_FAULT_GREETING, 0, 1 },
	{ "no reply to EHLO", { "ehlo=hang" }, "AAA", SMTP_FAULT_TIMEOUT, 0, 1 },

	/* lost before the final dot: at once again, on a fresh connection, once */
	{ "cut at the first MAIL", { "mail#1=cut" }, "SSS", NO_FAULT, 3, 2 },
	{ "reset at the first MAIL", { "mail#1=rst" }, "SSS", NO_FAULT, 3, 2 },
	{ "cut at the second MAIL", { "mail#2=cut" }, "SSS", NO_FAULT, 3, 2 },
	{ "421 at the second MAIL", { "mail#2=421 4.7.0 enough for now" }, "SSS", NO_FAULT, 3, 2 },
	{ "421 and cut at RCPT", { "rcpt#1=421 4.7.0 enough,cut" }, "SSS", NO_FAULT, 3, 2 },
	{ "cut at RCPT", { "rcpt#1=cut" }, "SSS", NO_FAULT, 3, 2 },
	{ "cut at DATA", { "data#1=cut" }, "SSS", NO_FAULT, 3, 2 },
	{ "no reply to MAIL", { "mail#1=hang" }, "SSS", NO_FAULT, 3, 2 },
	{ "no reply to DATA", { "data#1=hang" }, "SSS", NO_FAULT, 3, 2 },
	{ "garbage for MAIL", { "mail#1=<html>" }, "SSS", NO_FAULT, 3, 2 },
	{ "a line without end for MAIL", { "mail#1=flood" }, "SSS", NO_FAULT, 3, 2 },
	{ "lines without end for RCPT", { "rcpt#1=lines" }, "SSS", NO_FAULT, 3, 2 },
	{ "250 for DATA", { "data#1=250 ok" }, "SSS", NO_FAULT, 3, 2 },
	{ "always cut at MAIL", { "mail=cut" }, "NNA", SMTP_FAULT_PROTOCOL, 0, 4 },
	{ "always 421 at MAIL", { "mail=421 4.7.0 no" }, "NNA", SMTP_FAULT_GREETING, 0, 4 },
	{ "cut at MAIL, then gone", { "mail#1=cut", "connect#2-=cut" }, "AAA", SMTP_FAULT_PROTOCOL,
	    0, 2 },
	{ "closed between messages", { "idle#1=421 4.4.2 bye,cut" }, "SSS", NO_FAULT, 3, 2 },

	/* lost behind the dot: nobody knows */
	{ "cut at the dot", { "dot#1=cut" }, "USS", NO_FAULT, 2, 2 },
	{ "reset at the dot", { "dot#2=rst" }, "SUS", NO_FAULT, 2, 2 },
	{ "no reply to the dot", { "dot#1=hang" }, "USS", NO_FAULT, 2, 2 },
	{ "garbage for the dot", { "dot#1=ok then" }, "USS", NO_FAULT, 2, 2 },
	{ "354 for the dot", { "dot#1=354 more" }, "USS", NO_FAULT, 2, 2 },
	{ "half a reply to the dot", { "dot#1=250-so|250-far,cut" }, "USS", NO_FAULT, 3, 2 },

	/* replies about the message */
	{ "accepted, then closed", { "dot=250 2.0.0 ok,cut" }, "SSS", NO_FAULT, 3, 3 },
	{ "accepted with another 2xx", { "dot#1=259 fine" }, "SSS", NO_FAULT, 3, 1 },
	{ "reply to the dot byte by byte", { "dot=slow 250-one|250 two" }, "SSS", NO_FAULT, 3, 1 },
	{ "sender refused", { "mail#2=550 5.7.1 not you" }, "SFS", NO_FAULT, 2, 1 },
	{ "sender deferred", { "mail#2=451 4.7.1 greylisted" }, "SDS", NO_FAULT, 2, 1 },
	{ "recipient refused", { "rcpt#2=550 5.1.1 who" }, "SFS", NO_FAULT, 2, 1 },
	{ "recipient deferred", { "rcpt#2=450 4.2.0 busy" }, "SDS", NO_FAULT, 2, 1 },
	{ "recipient refused, DATA is not", { "rcpt#3=550 who", "data#3=354 go", "dot#3=554 none" },
	    "SSF", NO_FAULT, 2, 1 },
	{ "DATA refused", { "data#2=554 5.7.1 no" }, "SFS", NO_FAULT, 2, 1 },
	{ "DATA deferred", { "data#2=451 4.3.0 no" }, "SDS", NO_FAULT, 2, 1 },
	{ "dot refused", { "dot#2=554 5.7.1 spam" }, "SFS", NO_FAULT, 2, 1 },
	{ "dot deferred", { "dot#1=452 4.3.1 full" }, "DSS", NO_FAULT, 2, 1 },
	{ "dot deferred with 421", { "dot#1=421 4.3.2 going down,cut" }, "DSS", NO_FAULT, 2, 2 },
	{ "dot refused, then closed", { "dot#1=554 5.7.1 spam,cut" }, "FSS", NO_FAULT, 2, 2 },
	{ "RSET refused", { "data#1=451 no", "rset=500 what" }, "DSS", NO_FAULT, 2, 2 },
	{ "login demanded at MAIL", { "mail=530 5.7.0 Authentication required" }, "AAA",
	    SMTP_FAULT_AUTH, 0, 1 },

	/* the end */
	{ "no reply to QUIT", { "quit=hang" }, "SSS", NO_FAULT, 3, 1 },
	{ "cut at QUIT", { "quit=cut" }, "SSS", NO_FAULT, 3, 1 },
};

/* What a pipelined server was told in one piece it may not have seen when it was cut: rules that
 * need the message to be on its way are the same, all outcomes are. */
TEST(each_step_goes_wrong)
{
	const char *args[8];
	struct server s;
	struct play p;
	size_t i, j;
	int n, way;

	for (i = 0; i < sizeof(plays) / sizeof(plays[0]); i++) {
		for (way = 0; way < 2; way++) {
			int failures = unit_failures;

			n = 0;
			if (way == 1) {
				args[n++] = "-e";
				args[n++] = "none";
			}
			for (j = 0; j < 3 && plays[i].rules[j] != NULL; j++)
				args[n++] = plays[i].rules[j];
			args[n] = NULL;
			server_start(&s, args);
			memset(&p, 0, sizeof(p));
			if (falls_silent(plays[i].rules))
				p.params.timeouts = quick;
			p.params.pipeline_messages = true;
			p.limits.connections = 1;
			p.n_jobs = 3;
			play_run(&p, &s);
			server_stop(&s);
			CHECK_STR(p.outcomes, plays[i].outcomes);
			CHECK_INT(p.n_faults, plays[i].fault != NO_FAULT);
			if (p.n_faults > 0)
				CHECK_STR(smtp_fault_name(p.fault.class),
				    smtp_fault_name((enum smtp_fault_class)plays[i].fault));
			CHECK_INT(server_count(&s, "\nmessage "), plays[i].accepted);
			CHECK_INT(server_count(&s, "\nconnect "), plays[i].connections);
			if (unit_failures != failures)
				printf("# in \"%s\"%s: %s\n", plays[i].name,
				    way == 1 ? " without PIPELINING" : "", s.log.s);
			play_free(&p);
			server_free(&s);
		}
	}
}

TEST(each_recipient_has_its_own_outcome)
{
	static const char *const args[] = { "rcpt#2=550 5.1.1 who", "rcpt#4=450 4.2.1 later",
		NULL };
	static const enum smtp_outcome want[] = { SMTP_SENT, SMTP_FAILED, SMTP_SENT,
		SMTP_DEFERRED };
	struct play p = { .n_jobs = 1, .n_recipients = 4 };
	struct server s;
	int i;

	server_start(&s, args);
	play_run(&p, &s);
	server_stop(&s);
	CHECK_STR(p.outcomes, "S");
	for (i = 0; i < 4; i++)
		CHECK_INT(p.recipients[i].outcome, want[i]);
	CHECK_STR(smtp_recipient_reply(&p.jobs[0], &p.recipients[0])->text, "2.0.0 queued");
	CHECK_INT(smtp_recipient_reply(&p.jobs[0], &p.recipients[1])->code, 550);
	CHECK_STR(smtp_recipient_reply(&p.jobs[0], &p.recipients[3])->status, "4.2.1");
	CHECK_INT(server_count(&s, " to1@example.com,to3@example.com message 1\n"), 1);
	play_free(&p);
	server_free(&s);
}

/* The recipients that were refused on the connection that was lost are not tried again. */
TEST(a_second_try_keeps_refusals)
{
	static const char *const args[] = { "rcpt#1=550 5.1.1 who", "data#1=cut", NULL };
	struct play p = { .n_jobs = 1, .n_recipients = 2 };
	struct server s;

	server_start(&s, args);
	play_run(&p, &s);
	server_stop(&s);
	CHECK_STR(p.outcomes, "S");
	CHECK_INT(p.recipients[0].outcome, SMTP_FAILED);
	CHECK_INT(p.recipients[1].outcome, SMTP_SENT);
	CHECK_INT(server_count(&s, "RCPT TO:<to1@example.com>"), 1);
	CHECK_INT(server_count(&s, "RCPT TO:<to2@example.com>"), 2);
	play_free(&p);
	server_free(&s);
}

TEST(many_connections_share_the_work)
{
	static const char *const args[] = { "dot=late 250 ok", NULL };
	struct play p = { .n_jobs = 40, .limits = { .connections = 8, .messages = 3 } };
	struct server s;

	server_start(&s, args);
	play_run(&p, &s);
	server_stop(&s);
	CHECK_INT(strspn(p.outcomes, "S"), 40);
	CHECK_INT(server_count(&s, "\nmessage "), 40);
	/* None carries more than three. */
	CHECK(server_count(&s, "\nconnect ") >= 14);
	CHECK_INT(server_count(&s, "> QUIT\n"), server_count(&s, "\nconnect "));
	CHECK_INT(p.n_offers, 40);
	CHECK(p.n_flushes < 40);
	play_free(&p);
	server_free(&s);
}

/* A server that answers only when all connections have a message to be answered: as many as they are, each
 * is used, whether there is one job for each or there are some more; where one is asked for behind another
 * (pipeline_messages), too. */
TEST(each_connection_is_used_where_there_are_jobs)
{
	static const struct {
		unsigned connections, jobs;
		const char *rule;
	} cases[] = {
		{ 2, 2, "dot=meet 2,250 ok" },
		{ 2, 4, "dot=meet 2,250 ok" },
		{ 3, 3, "dot=meet 3,250 ok" },
		{ 10, 10, "dot=meet 10,250 ok" },
		{ 10, 40, "dot=meet 10,250 ok" },
		{ 32, 64, "mail=meet 32,250 ok" },
	};

	for (size_t i = 0; i < 2 * sizeof(cases) / sizeof(cases[0]); i++) {
		size_t n = i / 2;
		const char *const args[] = { cases[n].rule, NULL };
		struct play p = { .n_jobs = cases[n].jobs,
			.limits = { .connections = cases[n].connections } };
		struct server s;

		p.params.pipeline_messages = i % 2 == 1;
		server_start(&s, args);
		play_run(&p, &s);
		server_stop(&s);
		CHECK_INT(strspn(p.outcomes, "S"), cases[n].jobs);
		CHECK_INT(server_count(&s, "\nalone "), 0);
		CHECK_INT(server_count(&s, "\nconnect "), cases[n].connections);
		play_free(&p);
		server_free(&s);
	}
}

/* A wrong password is tried once, whatever the number of connections. */
TEST(the_first_connection_goes_ahead)
{
	static const char *const args[] = { "connect=421 no", NULL };
	struct play p = { .n_jobs = 40, .limits = { .connections = 10 } };
	struct server s;

	server_start(&s, args);
	play_run(&p, &s);
	server_stop(&s);
	CHECK_INT(strspn(p.outcomes, "A"), 40);
	CHECK_INT(p.n_faults, 1);
	CHECK_INT(p.fault.reply.code, 421);
	CHECK_INT(server_count(&s, "\nconnect "), 1);
	play_free(&p);
	server_free(&s);
}

TEST(fewer_connections_are_no_fault)
{
	static const char *const args[] = { "connect#3-=421 4.7.0 too many connections,cut",
		"dot=late 250 ok", NULL };
	struct play p = { .n_jobs = 12, .limits = { .connections = 6 } };
	struct server s;

	server_start(&s, args);
	play_run(&p, &s);
	server_stop(&s);
	CHECK_INT(strspn(p.outcomes, "S"), 12);
	CHECK_INT(p.n_faults, 0);
	CHECK(server_count(&s, "\nconnect ") <= 6);
	play_free(&p);
	server_free(&s);
}

TEST(a_slow_server_stalls_no_other)
{
	static const char *const slow_args[] = { "dot#1=late 250 ok", "connect=late 220 hi", NULL };
	static const char *const no_args[] = { NULL };
	struct play slow = { .n_jobs = 1 }, fast = { .n_jobs = 50 };
	struct server slow_server, fast_server;
	struct smtp_engine *engine = play_engine(&slow);
	struct err err = ERR_INIT;
	bool overtaken = false;

	server_start(&slow_server, slow_args);
	server_start(&fast_server, no_args);
	slow.params = (struct smtp_params){ .host = "127.0.0.1", .port = slow_server.port };
	fast.params = (struct smtp_params){ .host = "127.0.0.1", .port = fast_server.port };
	play_submit(&slow, engine);
	play_submit(&fast, engine);
	while (!smtp_pool_idle(slow.pool) || !smtp_pool_idle(fast.pool)) {
		CHECK(smtp_engine_step(engine, 1000, &err) >= 0);
		overtaken |= fast.n_done == 50 && slow.n_done == 0;
	}
	CHECK(overtaken);
	CHECK_STR(slow.outcomes, "S");
	CHECK_INT(strspn(fast.outcomes, "S"), 50);
	smtp_pool_free(slow.pool);
	smtp_pool_free(fast.pool);
	smtp_engine_free(engine);
	server_stop(&slow_server);
	server_stop(&fast_server);
	server_free(&slow_server);
	server_free(&fast_server);
	play_free(&slow);
	play_free(&fast);
}

TEST(an_offer_that_is_not_on_record_is_not_sent)
{
	static const char *const args[] = { NULL };
	struct play p = { .n_jobs = 3, .limits = { .connections = 1 }, .refuse_offer = 2 };
	struct server s;

	server_start(&s, args);
	play_run(&p, &s);
	server_stop(&s);
	CHECK_STR(p.outcomes, "SNS");
	CHECK_INT(server_count(&s, "\nmessage "), 2);
	CHECK_INT(p.n_offers, 3);
	play_free(&p);
	server_free(&s);
}

TEST(a_flush_that_fails_stops_its_group)
{
	static const char *const args[] = { NULL };
	struct play p = { .n_jobs = 3, .limits = { .connections = 1 }, .refuse_flush = true };
	struct server s;

	server_start(&s, args);
	play_run(&p, &s);
	server_stop(&s);
	CHECK_STR(p.outcomes, "NSS");
	CHECK_INT(server_count(&s, "\nmessage "), 2);
	play_free(&p);
	server_free(&s);
}

TEST(a_drained_pool_hands_back_what_waits)
{
	static const char *const args[] = { "-e", "none", NULL };
	struct play p = { .n_jobs = 5, .limits = { .connections = 1 }, .drain_after = 2 };
	struct server s;

	server_start(&s, args);
	play_run(&p, &s);
	server_stop(&s);
	CHECK_STR(p.outcomes, "SSNNN");
	CHECK_INT(p.jobs[3].tries, 0);
	CHECK_INT(server_count(&s, "> QUIT\n"), 1);
	play_free(&p);
	server_free(&s);
}

TEST(room_is_bounded)
{
	struct play p = { .params = { .host = "127.0.0.1", .port = 1 },
		.limits = { .connections = 3, .ahead = 2 } };
	struct smtp_engine *engine = play_engine(&p);
	struct smtp_job job = { .sender = "" };

	p.pool = smtp_pool_new(engine, &p.params, &p.limits, &p);
	CHECK(smtp_pool_arg(p.pool) == &p);
	CHECK_INT(smtp_pool_room(p.pool), 6);
	CHECK_INT(smtp_pool_submit(p.pool, &job), 0);
	CHECK_INT(smtp_pool_room(p.pool), 5);
	CHECK_INT(smtp_pool_jobs(p.pool), 1);
	smtp_pool_drain(p.pool);
	CHECK_INT(smtp_pool_room(p.pool), 0);
	CHECK_INT(smtp_pool_submit(p.pool, &job), -1);
	smtp_pool_free(p.pool);
	smtp_engine_free(engine);
}

/* After a fault and a resume, the same pool delivers. */
TEST(a_pool_recovers)
{
	static const char *const args[] = { "connect#1=421 not yet,cut", NULL };
	struct play p = { .n_jobs = 2, .limits = { .connections = 2 } };
	struct err err = ERR_INIT;
	struct server s;

	server_start(&s, args);
	p.params = (struct smtp_params){ .host = "127.0.0.1", .port = s.port };
	play_submit(&p, play_engine(&p));
	while (p.n_done < 2)
		CHECK(smtp_engine_step(p.engine, 1000, &err) >= 0);
	CHECK_STR(p.outcomes, "AA");
	CHECK_INT(smtp_pool_submit(p.pool, &p.jobs[0]), -1);
	smtp_pool_resume(p.pool);
	p.outcomes[0] = p.outcomes[1] = '.';
	CHECK_INT(smtp_pool_submit(p.pool, &p.jobs[0]), 0);
	CHECK_INT(smtp_pool_submit(p.pool, &p.jobs[1]), 0);
	smtp_pool_finish(p.pool);
	while (!smtp_pool_idle(p.pool))
		CHECK(smtp_engine_step(p.engine, 1000, &err) >= 0);
	CHECK_STR(p.outcomes, "SS");
	smtp_pool_free(p.pool);
	smtp_engine_free(p.engine);
	server_stop(&s);
	play_free(&p);
	server_free(&s);
}

/* Larger than all buffers on the way, to a server that does not read for a while. */
TEST(large_messages_arrive_whole)
{
	static const char *const args[] = { "body=late", NULL };
	struct play p = { .n_jobs = 3, .size = 6000000, .limits = { .connections = 3 } };
	struct server s;
	char line[100];

	server_start(&s, args);
	play_run(&p, &s);
	server_stop(&s);
	CHECK_STR(p.outcomes, "SSS");
	snprintf(line, sizeof(line), " %llu sender@example.com to1@example.com message 3\n",
	    (unsigned long long)p.jobs[2].length);
	CHECK_INT(server_count(&s, line), 1);
	CHECK_INT(server_count(&s, "\nmessage "), 3);
	play_free(&p);
	server_free(&s);
}

/* Lost while the body is on its way: the dot was not out, so it is sent again. */
TEST(cut_within_the_body)
{
	static const char *const args[] = { "body#1=cut", NULL };
	struct play p = { .n_jobs = 1, .size = 20000000 };
	struct server s;

	server_start(&s, args);
	play_run(&p, &s);
	server_stop(&s);
	CHECK_STR(p.outcomes, "S");
	CHECK_INT(p.n_offers, 1);
	CHECK_INT(server_count(&s, "\nmessage 2 "), 1);
	CHECK_INT(server_count(&s, "\nmessage "), 1);
	play_free(&p);
	server_free(&s);
}

TEST(a_message_that_cannot_be_read_is_not_sent)
{
	static const char *const args[] = { NULL };
	struct play p = { .n_jobs = 2, .limits = { .connections = 1 } };
	struct err err = ERR_INIT;
	struct server s;

	server_start(&s, args);
	p.params = (struct smtp_params){ .host = "127.0.0.1", .port = s.port };
	play_submit(&p, play_engine(&p));
	p.jobs[0].length = 1000000; /* more than there is */
	while (!smtp_pool_idle(p.pool))
		CHECK(smtp_engine_step(p.engine, 1000, &err) >= 0);
	CHECK_STR(p.outcomes, "NS");
	CHECK_STR(p.jobs[0].reply.status, "4.3.0");
	smtp_pool_free(p.pool);
	smtp_engine_free(p.engine);
	server_stop(&s);
	CHECK_INT(server_count(&s, "\nmessage "), 1);
	play_free(&p);
	server_free(&s);
}

/* A connection that idles is kept for its ttl and used again, then left with QUIT. */
TEST(connections_are_kept_for_their_ttl)
{
	static const char *const args[] = { NULL };
	struct play p = { .n_jobs = 2, .limits = { .connections = 1, .ttl = USEC / 5 } };
	struct err err = ERR_INIT;
	struct server s;
	int64_t idle_since;

	server_start(&s, args);
	p.params = (struct smtp_params){ .host = "127.0.0.1", .port = s.port };
	play_make_jobs(&p);
	p.engine = play_engine(&p);
	p.pool = smtp_pool_new(p.engine, &p.params, &p.limits, &p);
	CHECK_INT(smtp_pool_submit(p.pool, &p.jobs[0]), 0);
	while (p.n_done < 1)
		smtp_engine_step(p.engine, 1000, &err);
	CHECK_INT(smtp_pool_connections(p.pool), 1);
	CHECK_INT(smtp_pool_submit(p.pool, &p.jobs[1]), 0);
	while (p.n_done < 2)
		smtp_engine_step(p.engine, 1000, &err);
	idle_since = clock_monotonic();
	while (!smtp_pool_idle(p.pool))
		smtp_engine_step(p.engine, 1000, &err);
	CHECK(clock_monotonic() - idle_since >= USEC / 5);
	smtp_pool_free(p.pool);
	smtp_engine_free(p.engine);
	server_stop(&s);
	CHECK_STR(p.outcomes, "SS");
	CHECK_INT(server_count(&s, "\nconnect "), 1);
	CHECK_INT(server_count(&s, "> QUIT\n"), 1);
	play_free(&p);
	server_free(&s);
}

static void
on_ready(int fd, void *arg)
{
	char byte;

	if (read(fd, &byte, 1) == 1)
		++*(int *)arg;
}

TEST(watched_descriptors)
{
	struct play p = { .n_jobs = 0 };
	struct smtp_engine *engine = play_engine(&p);
	struct err err = ERR_INIT;
	int pipes[2], count = 0;

	CHECK_INT(pipe2(pipes, O_CLOEXEC), 0);
	CHECK_INT(smtp_engine_watch(engine, pipes[0], on_ready, &count), 0);
	CHECK_INT(smtp_engine_step(engine, 0, &err), 0);
	CHECK_INT(write(pipes[1], "x", 1), 1);
	CHECK_INT(smtp_engine_step(engine, 10000, &err), 1);
	CHECK_INT(count, 1);
	smtp_engine_unwatch(engine, pipes[0]);
	CHECK_INT(write(pipes[1], "x", 1), 1);
	CHECK_INT(smtp_engine_step(engine, 0, &err), 0);
	CHECK_INT(count, 1);
	close(pipes[0]);
	close(pipes[1]);
	smtp_engine_free(engine);
}

UNIT_MAIN()
