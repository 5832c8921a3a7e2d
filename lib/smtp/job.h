/*
 * One message to be delivered, its envelope, and what became of it.  The caller fills the upper
 * part and owns all memory it points to until the job comes back; the engine fills the lower.
 */
#ifndef SMTP_JOB_H
#define SMTP_JOB_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "smtp/reply.h"

enum smtp_outcome {
	SMTP_PENDING,	     /* nothing is known yet */
	SMTP_SENT,	     /* accepted: 2xx to the final dot */
	SMTP_DEFERRED,	     /* 4xx: try again later */
	SMTP_FAILED,	     /* 5xx, or it cannot be sent to this server at all */
	SMTP_UNCERTAIN,	     /* the connection was lost between the final dot and its reply */
	SMTP_UNSENT,	     /* the connection was lost before the final dot, twice */
	SMTP_UNSENT_ACCOUNT, /* never tried, as the account has a fault */
};

/* NOTIFY of RFC 3461 section 4.1; 0 leaves the parameter out. */
enum {
	SMTP_NOTIFY_NEVER = 1,
	SMTP_NOTIFY_SUCCESS = 2,
	SMTP_NOTIFY_FAILURE = 4,
	SMTP_NOTIFY_DELAY = 8
};

struct smtp_recipient {
	const char *address; /* without <>; UTF-8 only where the server has SMTPUTF8 */
	const char
	    *orcpt;	 /* "rfc822;someone@example.com" in plain (xtext is made of it), or NULL */
	unsigned notify; /* SMTP_NOTIFY_* */

	/* Results.  A recipient whose outcome is not SMTP_PENDING at submission is left out. */
	enum smtp_outcome outcome;
	struct smtp_reply *reply; /* its own, where it differs from the job's; else NULL */
};

enum {
	SMTP_JOB_8BIT = 1, /* the content has bytes above 0x7f: BODY=8BITMIME */
	SMTP_JOB_SMTPUTF8 =
	    2, /* an address in its header is not ASCII: SMTPUTF8 (RFC 6531).  Addresses of
				* the envelope ask for it by themselves, and where the server lacks it a
				* recipient fails alone. */
	SMTP_JOB_RET_FULL = 4, /* RET=FULL (RFC 3461) */
	SMTP_JOB_RET_HDRS = 8, /* RET=HDRS */
};

struct smtp_job {
	const char *sender; /* without <>; "" is the null reverse-path */
	struct smtp_recipient *recipients;
	size_t n_recipients;
	unsigned flags;	   /* SMTP_JOB_* */
	const char *envid; /* ENVID in plain (RFC 3461 section 4.4), or NULL */
	int fd;		   /* the content: CRLF lines, not dot-stuffed */
	off_t offset;
	uint64_t length;
	/* Where it comes from elsewhere: gives exactly n bytes of it, at an offset, and 0; or -1 with errno,
	 * and the final dot is never reached.  NULL: from fd. */
	int (*read)(void *content, uint64_t at, void *bytes, size_t n);
	void *content;
	void *arg; /* the caller's own */

	/*
	 * Results.  outcome is the best of the recipients': SENT if one was sent, else DEFERRED
	 * if one was deferred, else FAILED; or UNCERTAIN, UNSENT, UNSENT_ACCOUNT for all that were
	 * not settled before.  reply is what decided it: the server's words with their code,
	 * or code 0 and our own.
	 */
	enum smtp_outcome outcome;
	struct smtp_reply reply;

	/* The engine's. */
	struct smtp_job *next;
	unsigned tries;
	int64_t queued; /* clock_monotonic, when it was submitted */
};

/* Frees what the results hold (not the job, nor what the caller put in) and makes all of them
 * SMTP_PENDING again: fit to be submitted anew, or to be dropped. */
void smtp_job_reset(struct smtp_job *job);

/* The reply that decided a recipient's outcome: its own or the job's. */
const struct smtp_reply *
smtp_recipient_reply(const struct smtp_job *job, const struct smtp_recipient *recipient);

/* "sent", "deferred", "failed", "uncertain", "unsent", ... */
const char *smtp_outcome_name(enum smtp_outcome outcome);

#endif
