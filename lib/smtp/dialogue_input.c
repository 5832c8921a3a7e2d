#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "smtp/dialogue_private.h"

enum { MIN_RECIPIENTS = 100 }; /* what each server must take (RFC 5321 section 4.5.3.1.8) */

static enum smtp_outcome
outcome_of(const struct smtp_reply *reply)
{
	return reply->code / 100 == 2 ? SMTP_SENT :
	    reply->code / 100 == 4    ? SMTP_DEFERRED :
					SMTP_FAILED;
}

static void
drop_first(struct smtp_dialogue *d)
{
	d->x[0] = d->x[1];
	d->n--;
}

static int
end(struct smtp_dialogue *d, const struct smtp_reply *why)
{
	d->over = true;
	d->why = *why;
	return -1;
}

static int
out_of_turn(struct smtp_dialogue *d, const struct smtp_reply *reply, const char *after)
{
	struct smtp_reply why;
	char line[SMTP_REPLY_TEXT];

	smtp_reply_own(&why, "", "the server broke the protocol: \"%.300s\" %s",
	    smtp_reply_line(reply, line, sizeof(line)), after);
	return end(d, &why);
}

/* Shows what is no reply, up to the end of its line; of a line that came in pieces, the last one. */
static void
unreadable(struct smtp_reply *ret_why, const char *bytes, size_t n)
{
	const char *newline = memchr(bytes, '\n', n);
	char shown[200];

	if (newline != NULL)
		n = (size_t)(newline - bytes);
	while (n > 0 && bytes[n - 1] == '\r')
		n--;
	log_escape(shown, sizeof(shown), bytes, n);
	smtp_reply_own(ret_why, "", "the server's answer is not an SMTP reply: \"%s\"", shown);
}

static int
mail_reply(struct smtp_dialogue *d, struct exchange *x, const struct smtp_reply *reply)
{
	x->awaited = STAGE_RCPT;
	if (reply->code / 100 == 2) {
		x->opened = true;
		return 0;
	}
	if (reply->code == 530 || reply->code == 534 || reply->code == 535 || reply->code == 538) {
		d->denied = true;
		return end(d, reply);
	}
	x->refused = true;
	x->job->reply = *reply;
	return 0;
}

static void
rcpt_reply(struct exchange *x, const struct smtp_reply *reply)
{
	struct smtp_job *job = x->job;
	struct smtp_recipient *r = &job->recipients[x->awaited_rcpt];

	if (reply->code / 100 == 2) {
		x->n_accepted++;
	} else if (!x->refused) {
		r->outcome = outcome_of(reply);
		/* RFC 5321 section 4.5.3.1.10: 552 here may only mean "too many recipients". */
		if (reply->code == 552 && x->n_accepted >= MIN_RECIPIENTS)
			r->outcome = SMTP_DEFERRED;
		r->reply = xmalloc(sizeof(*r->reply));
		*r->reply = *reply;
	}
	x->awaited_rcpt = smtp_next_pending(job, x->awaited_rcpt + 1);
	if (x->awaited_rcpt == job->n_recipients)
		x->awaited = STAGE_DATA;
}

/* The message is done for without a final dot of its own. */
static void
finish_refused(struct smtp_dialogue *d, struct exchange *x)
{
	struct smtp_job *job = x->job;

	d->need_rset = x->opened;
	smtp_settle(job, outcome_of(&job->reply));
	smtp_dialogue_finish(d, job);
	drop_first(d);
}

static int
data_reply(struct smtp_dialogue *d, struct exchange *x, const struct smtp_reply *reply)
{
	bool nobody = x->refused || x->n_accepted == 0;

	if (reply->code / 100 == 2)
		return out_of_turn(d, reply, "after DATA");
	if (reply->code / 100 == 3) {
		x->empty = nobody;
		x->awaited = x->sent = STAGE_BODY;
		if (nobody || x->left == 0)
			smtp_dialogue_dot(d, x);
		return 0;
	}
	if (!nobody)
		x->job->reply = *reply;
	finish_refused(d, x);
	return 0;
}

static int
dot_reply(struct smtp_dialogue *d, struct exchange *x, const struct smtp_reply *reply)
{
	struct smtp_job *job = x->job;

	if (reply->code / 100 == 3)
		return out_of_turn(d, reply, "after the final dot");
	if (x->empty) {
		x->opened = false;
		finish_refused(d, x);
	} else {
		job->reply = *reply;
		smtp_settle(job, outcome_of(reply));
		smtp_dialogue_finish(d, job);
		drop_first(d);
	}
	return reply->code == 421 ? end(d, reply) : 0;
}

/* A reply while the body is on its way: a refusal holds for the message, as the server gave it
 * before it can have seen the end; the connection is of no more use. */
static int
early_reply(struct smtp_dialogue *d, struct exchange *x, const struct smtp_reply *reply)
{
	if (reply->code / 100 < 4)
		return out_of_turn(d, reply, "while the message was being sent");
	if (reply->code != 421) {
		x->job->reply = *reply;
		finish_refused(d, x);
	}
	return end(d, reply);
}

/* No command is outstanding for a message that cannot go on: it is settled. */
static void
stop_if_refused(struct smtp_dialogue *d, struct exchange *x)
{
	bool all_answered = x->awaited == STAGE_DATA && x->n_accepted == 0;

	if (x->sent > STAGE_DATA || (!x->refused && !all_answered))
		return;
	x->stopped = true;
	if (x->awaited == x->sent && x->awaited_rcpt == x->sent_rcpt)
		finish_refused(d, x);
}

static int
take_reply(struct smtp_dialogue *d, const struct smtp_reply *reply)
{
	struct exchange *x = &d->x[0];
	int class = reply->code / 100;
	bool answers;

	d->replies++;
	if (d->n == 0)
		return d->quitting || reply->code == 421 ? end(d, reply) :
							   out_of_turn(d, reply, "unasked");
	/* Each reply answers a command that went out whole, or comes early. */
	answers = x->awaited < x->sent || (x->awaited == x->sent && x->awaited_rcpt < x->sent_rcpt);
	if (x->awaited == STAGE_BODY || (x->awaited == STAGE_DOT && d->written < x->dot_at))
		return early_reply(d, x, reply);
	if (reply->code == 421 && x->awaited != STAGE_DOT)
		return end(d, reply);
	if (!answers)
		return out_of_turn(d, reply, "unasked");
	if (class == 3 && x->awaited < STAGE_DATA)
		return out_of_turn(d, reply, "before DATA");
	switch (x->awaited) {
	case STAGE_RSET:
		if (class != 2)
			return end(d, reply);
		x->awaited = STAGE_MAIL;
		break;
	case STAGE_MAIL:
		if (mail_reply(d, x, reply) < 0)
			return -1;
		stop_if_refused(d, x);
		break;
	case STAGE_RCPT:
		rcpt_reply(x, reply);
		stop_if_refused(d, x);
		break;
	case STAGE_DATA:
		return data_reply(d, x, reply);
	case STAGE_DOT:
		return dot_reply(d, x, reply);
	case STAGE_BODY:
	case STAGE_END:
		break;
	}
	return 0;
}

int
smtp_dialogue_input(struct smtp_dialogue *d, const char *bytes, size_t n)
{
	struct smtp_reply why;
	size_t used;
	int result;

	while (n > 0 && !d->over) {
		result = smtp_reply_feed(&d->parser, bytes, n, &used);
		if (result < 0) {
			unreadable(&why, bytes, n);
			return end(d, &why);
		}
		if (result == 0)
			break;
		bytes += used;
		n -= used;
		if (take_reply(d, &d->parser.reply) < 0)
			break;
	}
	if (d->over)
		return -1;
	if (d->n > 0)
		smtp_dialogue_write(d, &d->x[0]);
	return 0;
}

const struct smtp_reply *
smtp_dialogue_why(const struct smtp_dialogue *d)
{
	return &d->why;
}

bool
smtp_dialogue_denied(const struct smtp_dialogue *d)
{
	return d->denied;
}

void
smtp_dialogue_lost(struct smtp_dialogue *d, const struct smtp_reply *why)
{
	struct exchange *x = &d->x[0];
	struct smtp_job *job;

	d->over = true;
	d->held = false;
	while (d->n > 0) {
		job = x->job;
		if (x->refused || x->empty || smtp_next_pending(job, 0) == job->n_recipients) {
			finish_refused(d, x);
			continue;
		}
		job->reply = *why;
		if (x->awaited == STAGE_DOT && d->written >= x->dot_at) {
			smtp_settle(job, SMTP_UNCERTAIN);
			job->outcome = SMTP_UNCERTAIN;
		} else {
			job->outcome = SMTP_UNSENT;
		}
		smtp_dialogue_push(d, job);
		drop_first(d);
	}
}
