/* What the files of the totals share. */
#ifndef SPOOL_JOURNAL_TOTALS_PRIVATE_H
#define SPOOL_JOURNAL_TOTALS_PRIVATE_H

#include "base/buf.h"
#include "spool/journal/totals.h"

#define TOTALS_FILE "totals"

/* A journal, by its token: how much of it is in the sums. */
struct tracked {
	char token[TOKEN_SIZE];
	int64_t offset;
	bool closed; /* nobody writes to it any more, in this boot */
	bool seen;   /* in the present pass */
};

/* The sums, and what they are of. */
struct ledger {
	struct totals totals;
	struct tracked *journals;
	size_t count, room;
	uint32_t *slots; /* places in journals, plus one, by the hash of the token */
	size_t slot_count;
	char boot[64];	     /* in which closed was found out */
	bool damaged;	     /* the file was; the sums are what could be saved of it */
	struct totals floor; /* damaged: no counter goes below these */
	int fd; /* the file that was read, held so that no other takes its number; -1: none */
};

#define LEDGER_INIT                                                                                \
	{                                                                                          \
		.fd = -1                                                                           \
	}
#define AUTO_LEDGER AUTO(ledger_release)

void ledger_release(struct ledger *ledger); /* leaves an empty one */
/* NULL where it is not known. */
struct tracked *ledger_find(const struct ledger *ledger, const char *token);
/* The same, made where it is not there; good until the next is made. */
struct tracked *ledger_track(struct ledger *ledger, const char *token);
/* Forgets those that were not seen and for which gone(token, arg) is true. */
void ledger_prune(struct ledger *ledger, bool (*gone)(const char *token, void *arg), void *arg);

/* The sums of an account (len bytes, encoded), made where they are not there yet. */
struct totals_account *totals_account(struct totals *totals, const char *encoded, size_t len);
/* Raises each counter to that of floor. */
void totals_raise(struct totals *totals, const struct totals *floor);

/* Reads the file into an empty ledger, which stays so where there is none.  0, or -1 with errno. */
int ledger_load(struct ledger *ledger, const struct spool *spool);
/* Whether the file is the one that was read still: nobody has replaced it since. */
bool ledger_is_current(const struct ledger *ledger, const struct spool *spool);
/* Replaces the file durably.  0, or -1 with errno. */
int ledger_store(const struct ledger *ledger, const struct spool *spool);

/* Adds what a line says. */
void totals_count_line(struct totals *totals, const char *line, size_t len);

#endif
