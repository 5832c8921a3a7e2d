#include "smtp/dialogue.h"

#include <stdlib.h>
#include <string.h>

#include "smtp/command.h"
#include "smtp/dialogue_private.h"

struct smtp_dialogue *
smtp_dialogue_new(const struct smtp_capabilities *caps, unsigned flags)
{
	struct smtp_dialogue *d = xcalloc(1, sizeof(*d));

	d->caps = *caps;
	d->flags = flags;
	buf_init(&d->out, OUT_MAX);
	smtp_reply_parser_init(&d->parser);
	d->settled_end = &d->settled;
	return d;
}

void
smtp_dialogue_free(struct smtp_dialogue *d)
{
	if (d == NULL)
		return;
	buf_release(&d->out);
	free(d);
}

void
smtp_dialogue_push(struct smtp_dialogue *d, struct smtp_job *job)
{
	job->next = NULL;
	*d->settled_end = job;
	d->settled_end = &job->next;
}

struct smtp_job *
smtp_dialogue_settled(struct smtp_dialogue *d)
{
	struct smtp_job *job = d->settled;

	if (job != NULL) {
		d->settled = job->next;
		if (d->settled == NULL)
			d->settled_end = &d->settled;
		job->next = NULL;
	}
	return job;
}

size_t
smtp_next_pending(const struct smtp_job *job, size_t i)
{
	while (i < job->n_recipients && job->recipients[i].outcome != SMTP_PENDING)
		i++;
	return i;
}

void
smtp_settle(struct smtp_job *job, enum smtp_outcome outcome)
{
	size_t i;

	for (i = smtp_next_pending(job, 0); i < job->n_recipients;
	     i = smtp_next_pending(job, i + 1))
		job->recipients[i].outcome = outcome;
}

/* Makes a recipient's reply the job's; those who had shared the job's get copies of it. */
static void
promote_reply(struct smtp_job *job, const struct smtp_reply *reply)
{
	struct smtp_recipient *r;
	size_t i;

	for (i = 0; i < job->n_recipients; i++) {
		r = &job->recipients[i];
		if (r->reply == NULL) {
			r->reply = xmalloc(sizeof(*r->reply));
			*r->reply = job->reply;
		}
	}
	job->reply = *reply;
}

void
smtp_dialogue_finish(struct smtp_dialogue *d, struct smtp_job *job)
{
	struct smtp_recipient *best = NULL, *r;
	size_t i;

	for (i = 0; i < job->n_recipients; i++) {
		r = &job->recipients[i];
		if (best == NULL || r->outcome < best->outcome)
			best = r;
	}
	if (best == NULL) {
		smtp_reply_own(&job->reply, "", "the message has no recipient");
		job->outcome = SMTP_FAILED;
	} else {
		job->outcome = best->outcome;
		if (best->reply != NULL)
			promote_reply(job, best->reply);
	}
	smtp_dialogue_push(d, job);
}

bool
smtp_dialogue_takes(const struct smtp_dialogue *d)
{
	if (d->quitting || d->over || d->blocked)
		return false;
	if (d->n == 0)
		return true;
	/*
	 * The next message may follow in the same breath as the final dot (RFC 2920 section 3.1).
	 * But Dovecot's submission server (2.3) dies of a RCPT before it has answered that dot, and
	 * leaves the message uncertain: BURL is what it is known by, and others may be like it.
	 */
	if ((d->flags & SMTP_DIALOGUE_ACROSS) == 0 || !d->caps.pipelining || d->caps.burl)
		return false;
	return d->n == 1 && d->x[0].sent == STAGE_END && !d->x[0].stopped;
}

static void
fail_recipient(struct smtp_recipient *r, const char *status, const char *why)
{
	r->outcome = SMTP_FAILED;
	r->reply = xcalloc(1, sizeof(*r->reply));
	smtp_reply_own(r->reply, status, "%s", why);
}

/* Settles the recipients that cannot be told this server; the others can (RFC 6531 section 3.4 asks for
 * SMTPUTF8 by the transaction, and without these it needs none).  *ret_utf8: one that can is not ASCII. */
static void
admit_recipients(const struct smtp_dialogue *d, struct smtp_job *job, bool *ret_utf8)
{
	struct smtp_recipient *r;
	bool ascii;
	size_t i;

	for (i = smtp_next_pending(job, 0); i < job->n_recipients;
	     i = smtp_next_pending(job, i + 1)) {
		r = &job->recipients[i];
		if (!smtp_address_fits(r->address, &ascii))
			fail_recipient(r, "5.1.3",
			    "the address cannot be written in an SMTP command");
		else if (!ascii && !d->caps.smtputf8)
			fail_recipient(r, "5.6.7",
			    "the address needs SMTPUTF8, which the server does not offer");
		else
			*ret_utf8 |= !ascii;
	}
}

static bool
admit_sender(const struct smtp_dialogue *d, struct smtp_job *job, bool *ret_utf8)
{
	bool ascii = true;

	if (job->sender[0] == '\0')
		return true;
	if (!smtp_address_fits(job->sender, &ascii)) {
		smtp_reply_own(&job->reply, "5.1.7",
		    "the sender's address cannot be written in an SMTP command: %s", job->sender);
		return false;
	}
	if (!ascii && !d->caps.smtputf8) {
		smtp_reply_own(&job->reply, "5.6.7",
		    "the sender's address needs SMTPUTF8, which the server does not offer: %s",
		    job->sender);
		return false;
	}
	*ret_utf8 |= !ascii;
	return true;
}

/*
 * Refuses what must not be written: settles recipients that this server cannot have, and returns
 * false with job->reply filled where the whole message cannot go.
 */
static bool
admit(const struct smtp_dialogue *d, struct smtp_job *job, bool *ret_utf8)
{
	*ret_utf8 = (job->flags & SMTP_JOB_SMTPUTF8) != 0;
	if (!admit_sender(d, job, ret_utf8))
		return false;
	if (*ret_utf8 && !d->caps.smtputf8) {
		smtp_reply_own(&job->reply, "5.6.7",
		    "an address in the header is not ASCII, so the message needs SMTPUTF8 for all "
		    "its recipients, and the server does not offer that");
		return false;
	}
	admit_recipients(d, job, ret_utf8);
	if ((job->flags & SMTP_JOB_8BIT) != 0 && !d->caps.eight_bit &&
	    (d->flags & SMTP_DIALOGUE_FORCE_8BIT) == 0) {
		smtp_reply_own(&job->reply, "5.6.3",
		    "the message has 8-bit content, which the "
		    "server does not take (no 8BITMIME)");
		return false;
	}
	if (d->caps.size_limit > 0 && job->length > d->caps.size_limit) {
		smtp_reply_own(&job->reply, "5.3.4",
		    "the message of %llu bytes is larger than the "
		    "%llu that the server takes",
		    (unsigned long long)job->length, (unsigned long long)d->caps.size_limit);
		return false;
	}
	return true;
}

/* True if x's next command may be written now. */
static bool
may_write(const struct smtp_dialogue *d, const struct exchange *x)
{
	if (d->blocked || x->stopped || x->sent >= STAGE_BODY ||
	    d->out.len - d->out_pos >= OUT_FILL)
		return false;
	if (d->caps.pipelining)
		return true;
	return x->sent == x->awaited && x->sent_rcpt == x->awaited_rcpt;
}

void
smtp_dialogue_write(struct smtp_dialogue *d, struct exchange *x)
{
	struct smtp_job *job = x->job;

	while (may_write(d, x)) {
		switch (x->sent) {
		case STAGE_RSET:
			buf_adds(&d->out, "RSET\r\n");
			x->sent = STAGE_MAIL;
			break;
		case STAGE_MAIL:
			smtp_command_mail(&d->out, job, x->utf8, &d->caps);
			x->sent = STAGE_RCPT;
			break;
		case STAGE_RCPT:
			smtp_command_rcpt(&d->out, &job->recipients[x->sent_rcpt], &d->caps);
			x->sent_rcpt = smtp_next_pending(job, x->sent_rcpt + 1);
			if (x->sent_rcpt == job->n_recipients)
				x->sent = STAGE_DATA;
			break;
		case STAGE_DATA:
			buf_adds(&d->out, "DATA\r\n");
			x->sent = STAGE_BODY;
			break;
		case STAGE_BODY:
		case STAGE_DOT:
		case STAGE_END:
			return;
		}
	}
}

void
smtp_dialogue_take(struct smtp_dialogue *d, struct smtp_job *job)
{
	struct exchange x = { .job = job };

	if (!admit(d, job, &x.utf8)) {
		smtp_settle(job, SMTP_FAILED);
		smtp_dialogue_finish(d, job);
		return;
	}
	x.sent_rcpt = x.awaited_rcpt = smtp_next_pending(job, 0);
	if (x.sent_rcpt == job->n_recipients) {
		smtp_dialogue_finish(d, job);
		return;
	}
	x.sent = x.awaited = d->need_rset ? STAGE_RSET : STAGE_MAIL;
	d->need_rset = false;
	x.left = job->length;
	d->x[d->n] = x;
	smtp_dialogue_write(d, &d->x[d->n++]);
}

void
smtp_dialogue_dot(struct smtp_dialogue *d, struct exchange *x)
{
	smtp_stuff_end(&x->stuffer, &d->out);
	x->sent = STAGE_END;
	x->awaited = STAGE_DOT;
	x->dot_at = d->written + (d->out.len - d->out_pos);
	d->held = !x->empty;
}

struct smtp_job *
smtp_dialogue_body_job(const struct smtp_dialogue *d)
{
	return d->n > 0 ? d->x[0].job : NULL;
}

uint64_t
smtp_dialogue_body_at(const struct smtp_dialogue *d)
{
	return d->n > 0 ? d->x[0].job->length - d->x[0].left : 0;
}

size_t
smtp_dialogue_wants(const struct smtp_dialogue *d)
{
	const struct exchange *x = &d->x[0];

	if (d->n == 0 || d->over || x->awaited != STAGE_BODY || d->out.len > 0)
		return 0;
	return x->left < BODY_BLOCK ? (size_t)x->left : BODY_BLOCK;
}

void
smtp_dialogue_body(struct smtp_dialogue *d, const char *bytes, size_t n)
{
	struct exchange *x = &d->x[0];

	smtp_stuff(&x->stuffer, &d->out, bytes, n);
	x->left -= n;
	if (x->left == 0)
		smtp_dialogue_dot(d, x);
}

struct smtp_job *
smtp_dialogue_held(const struct smtp_dialogue *d)
{
	return d->held ? d->x[0].job : NULL;
}

void
smtp_dialogue_release(struct smtp_dialogue *d)
{
	d->held = false;
}

struct view
smtp_dialogue_output(const struct smtp_dialogue *d)
{
	if (d->held)
		return (struct view){ "", 0 };
	return (struct view){ d->out.s + d->out_pos, d->out.len - d->out_pos };
}

void
smtp_dialogue_blocked(struct smtp_dialogue *d)
{
	d->blocked = true;
}

void
smtp_dialogue_sent(struct smtp_dialogue *d, size_t n)
{
	size_t i;

	d->out_pos += n;
	d->written += n;
	d->blocked = false;
	if (d->out_pos == d->out.len) {
		buf_clear(&d->out);
		d->out_pos = 0;
	}
	for (i = 0; i < d->n; i++)
		smtp_dialogue_write(d, &d->x[i]);
}

void
smtp_dialogue_quit(struct smtp_dialogue *d)
{
	d->quitting = true;
	buf_adds(&d->out, "QUIT\r\n");
}

enum smtp_phase
smtp_dialogue_phase(const struct smtp_dialogue *d)
{
	if (d->n == 0)
		return d->quitting ? SMTP_PHASE_QUIT : SMTP_PHASE_IDLE;
	switch (d->x[0].awaited) {
	case STAGE_DATA:
		return d->x[0].sent > STAGE_DATA ? SMTP_PHASE_DATA_START : SMTP_PHASE_COMMAND;
	case STAGE_BODY:
		return SMTP_PHASE_BODY;
	case STAGE_DOT:
		return d->written < d->x[0].dot_at ? SMTP_PHASE_BODY : SMTP_PHASE_DATA_END;
	default:
		return SMTP_PHASE_COMMAND;
	}
}

unsigned long
smtp_dialogue_replies(const struct smtp_dialogue *d)
{
	return d->replies;
}
