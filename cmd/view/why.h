/* What a message waits for: the one thing that must change before it goes, and when that is. */
#ifndef CMD_VIEW_WHY_H
#define CMD_VIEW_WHY_H

#include "policy/settings.h"
#include "spool/policy/suspend.h"
#include "spool/store/walk.h"

enum why_kind {
	WHY_NOTHING,	/* it goes with the next cycle */
	WHY_HELD,	/* by an operator */
	WHY_SUSPENDED,	/* all, its batch, or its account */
	WHY_ACCOUNT,	/* there is no such account, or its file is damaged */
	WHY_BACKOFF,	/* it was deferred: the last reply, and when it is tried again */
	WHY_NOT_BEFORE, /* it was added to wait until then */
	WHY_PARKED,	/* every account for it rests after a fault */
	WHY_LIMIT,	/* the account's limit: which window */
	WHY_DOMAIN,	/* the limit for a recipient's domain */
	WHY_RULE,	/* no rule allows a cycle now */
	WHY_UNCERTAIN,	/* a person must decide */
	WHY_FAILED,	/* it is over */
	WHY_SENDING,	/* a mailq-run has it in hand */
};

struct why {
	enum why_kind kind;
	int64_t until;	/* when it clears; 0: not known, or by hand */
	char text[800]; /* one line: "account main: limit of 5 a minute, next slot at ..." */
};

/* "nothing", "held", "suspended", "account", "backoff", "not_before", "parked", "limit", "domain",
 * "rule", "uncertain", "failed", "sending" */
const char *why_word(enum why_kind kind);

/* A message as it stands in the queue. */
struct why_message {
	enum state state;
	struct message_name name;
	struct lane lane;
	char runner[TOKEN_SIZE];     /* when claimed, else "" */
	const struct record *record; /* NULL where it cannot be read */
};

/*
 * The first of these that holds the message back, in the order of the enum but for what its state
 * decides.  Of several accounts that could send it, all must be in the way, and the one that clears
 * first is told; the others stand behind it in the text.  Reads only.
 */
int why(struct spool *spool, const struct settings *settings, const struct why_message *message,
    struct why *ret, struct err *err);

#endif
