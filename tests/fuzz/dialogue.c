/*
 * A server that says anything while messages are delivered (smtp/dialogue.h): each job is settled once,
 * and as sent only by a 2xx.
 */
#include "fuzz.h"

#include "smtp/dialogue.h"

#define JOBS 4

struct play {
	struct smtp_dialogue *dialogue;
	struct smtp_job jobs[JOBS];
	struct smtp_recipient recipients[JOBS][2];
	size_t taken, settled;
	bool refuses;
};

static void
collect(struct play *play)
{
	struct smtp_job *job;

	while ((job = smtp_dialogue_settled(play->dialogue)) != NULL) {
		FUZZ_CHECK(job->outcome != SMTP_PENDING);
		FUZZ_CHECK(job->outcome != SMTP_SENT || job->reply.code / 100 == 2);
		FUZZ_CHECK(job->outcome != SMTP_UNCERTAIN || job->n_recipients > 0);
		play->settled++;
		smtp_job_reset(job);
	}
}

static void
drive(struct play *play)
{
	static const char body[] = "Subject: x\r\n\r\n.\r\nlast\r\n";
	struct smtp_dialogue *d = play->dialogue;
	size_t n;

	for (bool moves = true; moves;) {
		moves = false;
		if (play->taken < JOBS && smtp_dialogue_takes(d)) {
			smtp_dialogue_take(d, &play->jobs[play->taken++]);
			moves = true;
		}
		if ((n = smtp_dialogue_wants(d)) > 0) {
			uint64_t at = smtp_dialogue_body_at(d);

			FUZZ_CHECK(at + n <= sizeof body - 1);
			smtp_dialogue_body(d, body + at, n);
			moves = true;
		}
		if (smtp_dialogue_held(d) != NULL) {
			smtp_dialogue_release(d);
			moves = true;
		}
		if (smtp_dialogue_output(d).len > 0) {
			smtp_dialogue_sent(d, smtp_dialogue_output(d).len);
			moves = true;
		}
		collect(play);
	}
}

FUZZ(bytes, n)
{
	unsigned char choice = fuzz_choice(&bytes, &n);
	size_t piece = 1 + fuzz_choice(&bytes, &n);
	const struct smtp_capabilities caps = { .pipelining = choice & 1,
		.eight_bit = choice & 2,
		.dsn = choice & 4,
		.smtputf8 = choice & 8 };
	struct play play = { .dialogue =
				 smtp_dialogue_new(&caps, choice & 16 ? SMTP_DIALOGUE_ACROSS : 0) };
	int rc = 0;

	for (int i = 0; i < JOBS; i++) {
		play.recipients[i][0].address = "a@b.example";
		play.recipients[i][1].address = choice & 32 ? "\xc3\xbc@b.example" : "c@b.example";
		play.jobs[i] = (struct smtp_job){ .sender = i == 0 ? "" : "s@b.example",
			.recipients = play.recipients[i],
			.n_recipients = 2,
			.flags = choice & 64 ? SMTP_JOB_8BIT | SMTP_JOB_RET_HDRS : 0,
			.envid = "id",
			.fd = -1,
			.length = 23 };
	}
	drive(&play);
	for (size_t at = 0; rc == 0 && at < n; at += piece) {
		size_t length = n - at < piece ? n - at : piece;
		char *copy = fuzz_copy(bytes + at, length);

		rc = smtp_dialogue_input(play.dialogue, copy, length);
		free(copy);
		if (rc == 0)
			drive(&play);
	}
	smtp_dialogue_lost(play.dialogue, smtp_dialogue_why(play.dialogue));
	collect(&play);
	FUZZ_CHECK(play.settled == play.taken);
	smtp_dialogue_free(play.dialogue);
}
