/* What why.c, why_history.c and why_accounts.c share. */
#ifndef CMD_VIEW_WHY_PRIVATE_H
#define CMD_VIEW_WHY_PRIVATE_H

#include "cmd/view/why.h"

#define WHY_CANDIDATES_MAX 16

/* A question in hand. */
struct asking {
	struct spool *spool;
	const struct settings *settings;
	const struct why_message *message;
	int64_t now;
	struct suspensions suspensions;			      /* of a message that waits */
	const struct account *candidates[WHY_CANDIDATES_MAX]; /* see why_resolve */
	int candidate_count;
};

void why_set(struct why *why, enum why_kind kind, int64_t until, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void why_suspended(const struct suspension *one, struct why *ret);

/* why_history.c: what history says of it.  0, or -1 with err. */
int why_held(const struct asking *asking, struct why *ret, struct err *err);
int why_uncertain(const struct asking *asking, struct why *ret, struct err *err);
int why_failed(const struct asking *asking, struct why *ret, struct err *err);
int why_backoff(const struct asking *asking, struct why *ret, struct err *err);

/* why_accounts.c.  1: ret says what is in the way; 0: nothing is. */
/* Finds the candidates; in the way is an account that is unknown or broken. */
int why_resolve(struct asking *asking, struct why *ret);
/* In the way is what all of them have: suspended, parked, at a limit of theirs or of a domain. */
int why_accounts(const struct asking *asking, struct why *ret);

#endif
