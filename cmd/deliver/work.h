/* A message in hand: its claim, the job that is made of it, and what follows. */
#ifndef CMD_DELIVER_WORK_H
#define CMD_DELIVER_WORK_H

#include "policy/retry.h"
#include "smtp/job.h"
#include "spool/queue/partial.h"
#include "spool/queue/runner.h"

struct fetch;
struct outlet;
struct slots;

/* Up to how many bytes are verified against their checksum before they are sent: of a text; and of a part, once
 * in a run.  What is larger is verified as it goes out, before its last byte does. */
#define VERIFY_MAX (1024u * 1024)
#define VERIFY_PART_MAX (8u * 1024 * 1024)

/* What follows for a message once its outcome is on record. */
enum plan {
	PLAN_NONE,
	PLAN_SENT,
	PLAN_DEFERRED,
	PLAN_FAILED,
	PLAN_UNCERTAIN, /* into uncertain/ */
	PLAN_CORRUPT,
	PLAN_PUT_BACK, /* nothing has happened */
	PLAN_FETCH,    /* it waits for an attachment: remote.h */
};

struct work {
	struct claim claim;
	struct outlet *outlet;
	struct smtp_job job;
	struct smtp_recipient *recipients;
	struct partial partial; /* settled in earlier attempts */
	struct slots **slots;	/* one of each of these is this message's */
	size_t slot_count;
	bool left;    /* its final dot may be out */
	bool unasked; /* it comes to its end without a server having been asked */
	bool *
	    beyond; /* as recipients: those that fail as their domain is at its limit; NULL: none */
	struct err fault;	 /* why its content could not be read on its way out */
	struct fetch *waits_for; /* PLAN_FETCH */
	char *note;		 /* what the history is to say when it is sent, or NULL */
	int64_t not_before;	 /* wall clock: a server asked to be left alone until then; 0 */
	enum plan plan;
	int64_t due; /* PLAN_DEFERRED */
	struct work *next;
};

/* In order; all zero is an empty one. */
struct work_list {
	struct work *first, **end;
	size_t count;
};

void work_append(struct work_list *list, struct work *work);
/* The first; NULL: it is empty. */
struct work *work_shift(struct work_list *list);

/* Leaves what a claim is, and no more of it: prepare_work begins anew. */
void work_close(struct work *work);
void work_free(struct work *work);

/* The journal it is recorded in, and what every line about it says. */
struct journal *work_journal(const struct work *work);
struct journal_entry work_entry(const struct work *work, enum event event, const char *reason);
/* What the message says of its own retries. */
struct retry_terms work_terms(const struct record *record);

#endif
