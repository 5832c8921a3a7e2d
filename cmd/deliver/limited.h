/* Limits of accounts and of domains, as the outlets of a run meet them. */
#ifndef CMD_DELIVER_LIMITED_H
#define CMD_DELIVER_LIMITED_H

#include "cmd/deliver/slots.h"

struct delivery;
struct outlet;
struct work;

/* What an outlet has of them.  limited.c's own; stay is stay.c's. */
struct outlet_limits {
	struct slots *own;	/* of its account; NULL: it has none */
	struct slots **domains; /* as account->domains; NULL: of each that has not been met */
	int stay;		/* holds the lock of the one who stays for its next slot; -1 */
};

/* NULL where there are none to be kept: an account that is not configured. */
void limited_begin(struct outlet *outlet);
void limited_end(struct outlet *outlet);

/* The slots of a domain with a limit (as it stands in an address); NULL: it has none. */
struct slots *limited_domain(struct outlet *outlet, const char *domain);
/* Messages behind these slots can be taken now: there may be a slot, or what is beyond the limit fails.
 * Accepts NULL. */
bool limited_passes(const struct outlet *outlet, struct slots *slots);
/* These slots are full, the message is beyond the limit, and the account says that it fails then. */
bool limited_rejects(const struct outlet *outlet, const struct slots *slots);
/* They are full: tells of it, now and then. */
void limited_tell(struct outlet *outlet, struct slots *slots);
/* What a message that is beyond them fails with. */
void limited_reason(const struct slots *slots, char *text, size_t size);

/* A slot for the message itself, of the outlet's reserve, and one for each domain in it that has a
 * limit.  NULL: it has them; else the one that is full, and it has none. */
struct slots *limited_claim(struct work *work);
/* The recipients of the domain behind these slots fail, and the message goes on without them.  False
 * where nobody is left to whom it could be sent. */
bool limited_fail_domain(struct work *work, const struct slots *slots);

/* Calls each for all slots that the outlet has met, until it returns non-zero, and returns that. */
int limited_each(struct outlet *outlet, int (*each)(struct slots *slots, void *arg), void *arg);
/* The reserves go back; before offers, what was taken is synced; behind outcomes, slots go back. */
void limited_spare(struct outlet *outlet);
int limited_sync(struct delivery *d, struct err *err);
void limited_settle(struct delivery *d);

#endif
