/* For the tests of the SMTP dialogue: the test plays the server. */
#ifndef UNIT_DIALOGUE_PLAY_H
#define UNIT_DIALOGUE_PLAY_H

#include <stdbool.h>

#include "base/buf.h"
#include "smtp/dialogue.h"
#include "unit.h"

enum { MAX_RECIPIENTS = 200 };

/* A dialogue with a server that the test plays. */
struct play {
	struct smtp_dialogue *d;
	struct buf said; /* what the client wrote and the test has not yet asked for */
	bool keep_held;	 /* final dots are not released */
	int over;	 /* what input() last returned */
};

/* A message of a test: job.arg is its content. */
struct letter {
	struct smtp_job job;
	struct smtp_recipient to[MAX_RECIPIENTS];
};

static const struct smtp_capabilities nothing, pipelining = { .pipelining = true };

UNIT_HELPER void
begin(struct play *p, const struct smtp_capabilities *caps)
{
	memset(p, 0, sizeof(*p));
	p->d = smtp_dialogue_new(caps, SMTP_DIALOGUE_ACROSS);
	buf_init(&p->said, 10 << 20);
}

UNIT_HELPER void
end(struct play *p)
{
	smtp_dialogue_free(p->d);
	buf_release(&p->said);
}

/* recipients: addresses with a space between. */
UNIT_HELPER struct smtp_job *
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
UNIT_HELPER void
pump(struct play *p)
{
	struct view out;
	size_t n;

	for (;;) {
		if ((n = smtp_dialogue_wants(p->d)) > 0)
			smtp_dialogue_body(p->d,
			    (const char *)smtp_dialogue_body_job(p->d)->arg +
				smtp_dialogue_body_at(p->d),
			    n);
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

UNIT_HELPER void
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

#endif
