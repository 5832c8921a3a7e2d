/*
 * Parked accounts.  An account with a fault of its own (a refused login, a certificate, no way to
 * connect) rests until an instant, and its messages with it: none of them is tried or counted.
 * parked/ACCOUNT says so, in lines of text that a person can read, and may delete:
 *
 *	until: 1732170540.000000
 *	since: 1732170240.000000
 *	faults: 3
 *	class: auth
 *	reason: 535 5.7.8 authentication failed
 */
#ifndef SPOOL_POLICY_PARK_H
#define SPOOL_POLICY_PARK_H

#include "spool/store/spool.h"

struct park {
	int64_t since;	  /* the first fault in a row */
	int64_t until;	  /* parked while this lies ahead */
	unsigned faults;  /* in a row */
	char class[24];	  /* "auth", "tls", "connect", ... */
	char reason[400]; /* one line */
};

/* Parks an account (plain id), durably.  Control characters in the texts become spaces.  0, or -1
 * with err. */
int park_write(struct spool *spool, const char *account, const struct park *park, struct err *err);
/* 1: there is an entry (whose until may have passed: its faults still count); 0: there is none;
 * -1 with err: EX_DATAERR where it cannot be understood. */
int park_read(struct spool *spool, const char *account, struct park *ret, struct err *err);
/* The account works again: removes the entry, if there is one.  0, or -1 with err. */
int park_clear(struct spool *spool, const char *account, struct err *err);
/* Calls each(account, park, arg) for every entry, in no order, until it returns non-zero, and
 * returns that; -1 with err.  Entries that cannot be understood are passed over. */
int
park_each(struct spool *spool, int (*each)(const char *account, const struct park *park, void *arg),
    void *arg, struct err *err);

#endif
