/*
 * The conversation that delivers messages (RFC 5321 section 3.3) on a connection that has been
 * through EHLO, STARTTLS and AUTH.  Pure: bytes in, bytes out, no descriptor and no clock.
 *
 * Messages are taken one at a time.  Their commands go out together where the server offers
 * PIPELINING (RFC 2920); where we are told to, those of the next go behind the final dot of one,
 * so that up to two are in hand.  The turn of things:
 *
 *	take() a job while takes()
 *	give body() as many bytes as wants() says
 *	if held() is a job: its final dot stands in the output, which is withheld until release()
 *	write what output() shows, and say sent()
 *	give what was read to input()
 *	collect jobs from settled()
 */
#ifndef SMTP_DIALOGUE_H
#define SMTP_DIALOGUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "smtp/capabilities.h"
#include "smtp/job.h"
#include "smtp/reply.h"

struct smtp_dialogue;

/* What the server is awaited for: decides which time-out holds. */
enum smtp_phase {
	SMTP_PHASE_IDLE,
	SMTP_PHASE_COMMAND,    /* the reply to MAIL, RCPT or RSET */
	SMTP_PHASE_DATA_START, /* the 354 */
	SMTP_PHASE_BODY,       /* nothing: the body is being sent */
	SMTP_PHASE_DATA_END,   /* the reply to the final dot */
	SMTP_PHASE_QUIT,
};

enum {
	SMTP_DIALOGUE_FORCE_8BIT = 1, /* 8-bit content goes to a server without 8BITMIME too */
	SMTP_DIALOGUE_ACROSS = 2,     /* pipelines the next message behind the final dot of one */
};

/* flags: SMTP_DIALOGUE_* */
struct smtp_dialogue *smtp_dialogue_new(const struct smtp_capabilities *caps, unsigned flags);
/* Jobs still in hand are forgotten: lost() settles them. */
void smtp_dialogue_free(struct smtp_dialogue *d);

/* True when a message may be given to take() now. */
bool smtp_dialogue_takes(const struct smtp_dialogue *d);
/* Takes a job; one that cannot be sent to this server is settled at once, unsent, as
 * SMTP_FAILED: nothing that would break the protocol is ever written. */
void smtp_dialogue_take(struct smtp_dialogue *d, struct smtp_job *job);

/* How many bytes of the body of body_job() are wanted next; 0: none now. */
size_t smtp_dialogue_wants(const struct smtp_dialogue *d);
struct smtp_job *smtp_dialogue_body_job(const struct smtp_dialogue *d);
/* How many bytes of it were taken already. */
uint64_t smtp_dialogue_body_at(const struct smtp_dialogue *d);
/* The next n bytes (1 <= n <= wants()) of the content.  Lines that begin with a dot get another,
 * and a CR or LF alone becomes CRLF, so that nothing in the content can end it early. */
void smtp_dialogue_body(struct smtp_dialogue *d, const char *bytes, size_t n);

/* The job whose final dot waits for release(), or NULL. */
struct smtp_job *smtp_dialogue_held(const struct smtp_dialogue *d);
void smtp_dialogue_release(struct smtp_dialogue *d);

/* Bytes to write now (len 0: none), valid until the next call; sent() says how many were. */
struct view smtp_dialogue_output(const struct smtp_dialogue *d);
void smtp_dialogue_sent(struct smtp_dialogue *d, size_t n);
/* The network takes no more for now: the output stays as it is, byte and address, until sent(), as
 * TLS wants to be given the same again. */
void smtp_dialogue_blocked(struct smtp_dialogue *d);

/*
 * Takes what the server said.  0; or -1 when the conversation is over: QUIT was answered, the
 * server said 421, or what came was out of turn.  why() says which; then call lost().
 */
int smtp_dialogue_input(struct smtp_dialogue *d, const char *bytes, size_t n);
const struct smtp_reply *smtp_dialogue_why(const struct smtp_dialogue *d);
/* True if MAIL was refused as the login is missing or too weak (530, 534, 535, 538: RFC 4954
 * section 6): a fault of the account, not of the message. */
bool smtp_dialogue_denied(const struct smtp_dialogue *d);

/* The connection is gone: settles what is in hand as SMTP_UNCERTAIN where all of the final dot was
 * written, by the replies where they had decided already, else as SMTP_UNSENT. */
void smtp_dialogue_lost(struct smtp_dialogue *d, const struct smtp_reply *why);

/* The next job that is settled, or NULL. */
struct smtp_job *smtp_dialogue_settled(struct smtp_dialogue *d);

/* Says QUIT; nothing may be in hand. */
void smtp_dialogue_quit(struct smtp_dialogue *d);

enum smtp_phase smtp_dialogue_phase(const struct smtp_dialogue *d);
/* Replies taken so far: a reply that trickles in is no progress until it is whole. */
unsigned long smtp_dialogue_replies(const struct smtp_dialogue *d);

#endif
