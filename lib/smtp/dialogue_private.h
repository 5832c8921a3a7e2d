/* What dialogue.c (the output side) and dialogue_input.c (the replies) share; nobody else's. */
#ifndef SMTP_DIALOGUE_PRIVATE_H
#define SMTP_DIALOGUE_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "smtp/dialogue.h"
#include "smtp/stuff.h"

enum {
	OUT_MAX = 256 * 1024,
	OUT_FILL = 16 * 1024,	/* no more commands are written while so much waits */
	BODY_BLOCK = 16 * 1024, /* of content at a time: bounds memory and one turn's work */
};

/* In the order in which they happen; END is behind the last. */
enum stage { STAGE_RSET, STAGE_MAIL, STAGE_RCPT, STAGE_DATA, STAGE_BODY, STAGE_DOT, STAGE_END };

/* One message in hand. */
struct exchange {
	struct smtp_job *job;
	bool utf8;	 /* needs SMTPUTF8 */
	enum stage sent; /* the next to be written, with the recipient's index at RCPT */
	size_t sent_rcpt;
	enum stage awaited; /* the next to be answered */
	size_t awaited_rcpt;
	size_t n_accepted;
	bool opened;  /* MAIL was accepted: the server has a transaction */
	bool refused; /* MAIL was refused; job->reply says why */
	bool stopped; /* no more commands are written for it */
	bool empty;   /* 354 for nobody: a lone dot ends it */
	struct smtp_stuffer stuffer;
	uint64_t left;	 /* of the content */
	uint64_t dot_at; /* how much has been written when the dot is out whole */
};

struct smtp_dialogue {
	struct smtp_capabilities caps;
	unsigned flags;	      /* SMTP_DIALOGUE_* */
	struct exchange x[2]; /* x[0] is awaited first, x[1] goes behind its dot */
	size_t n;
	struct buf out;
	size_t out_pos;	  /* bytes of out that were written already */
	uint64_t written; /* on this connection, all told */
	bool held;
	bool blocked;
	bool need_rset;
	bool quitting;
	bool over;
	bool denied;
	struct smtp_reply why;
	struct smtp_reply_parser parser;
	unsigned long replies;
	struct smtp_job *settled, **settled_end;
};

/* The recipient at or behind i that has no outcome yet; n_recipients if there is none. */
size_t smtp_next_pending(const struct smtp_job *job, size_t i);
/* Gives all recipients that have none an outcome. */
void smtp_settle(struct smtp_job *job, enum smtp_outcome outcome);
/* Hands a job out by smtp_dialogue_settled(). */
void smtp_dialogue_push(struct smtp_dialogue *d, struct smtp_job *job);
/* The same when each recipient has its outcome: fills in the job's own. */
void smtp_dialogue_finish(struct smtp_dialogue *d, struct smtp_job *job);
/* Writes as many of x's commands as may go out now. */
void smtp_dialogue_write(struct smtp_dialogue *d, struct exchange *x);
/* Writes the final dot.  A lone one offers nothing, and needs no leave. */
void smtp_dialogue_dot(struct smtp_dialogue *d, struct exchange *x);

#endif
