/*
 * Answers that were given to requests with a key of the client's own, kept for a while: the same request
 * again gets the same answer, and is not done again.  One file each, answers/KEY; the format is in
 * mailq-spool(5).
 *
 *	state = answer_open(spool, key, request, keep, &answer, &err)
 *	ANSWER_NEW	do it; answer_keep() before it is done for good, then answer_give()
 *	ANSWER_AGAIN	it was begun before, and whoever did it died before there was an answer: likewise
 *	ANSWER_GIVEN	answer_status(), answer_text()
 *	answer_end(&answer)
 *
 * The file is locked as long as it is open: so a request that is being done is told from one whose
 * process died.
 */
#ifndef SPOOL_DRAFT_ANSWERS_H
#define SPOOL_DRAFT_ANSWERS_H

#include "base/buf.h"
#include "spool/store/spool.h"

#define ANSWER_TEXT_MAX (16u * 1024 * 1024) /* bytes of an answer */
#define ANSWER_HASH_SIZE 65		    /* 64 hexadecimal digits and a NUL */

struct answer;

enum answer_state {
	ANSWER_NEW,
	ANSWER_AGAIN,
	ANSWER_GIVEN,
	ANSWER_OTHER, /* the key was used for another request */
	ANSWER_BUSY,  /* somebody is at it */
};

/*
 * key and request are hexadecimal digests: of who asks for what under which key, and of all that must be
 * the same when it is asked again.  What is older than keep (microseconds) counts as not there.  An enum
 * answer_state, or -1 with err (EX_TEMPFAIL, EX_IOERR); *ret is set for the first three, and the
 * spool must live as long as it.
 */
int answer_open(struct spool *spool, const char *key, const char *request, int64_t keep,
    struct answer **ret, struct err *err);

/* It is ANSWER_AGAIN. */
bool answer_is_again(const struct answer *answer);
/* When it was begun first: the same in each try. */
int64_t answer_begun(const struct answer *answer);
int answer_status(const struct answer *answer);
struct view answer_text(const struct answer *answer);

/* Makes durable that it was begun, where durable is true; from then on the file stays, answered or not. */
int answer_keep(struct answer *answer, bool durable, struct err *err);
/* Stores the answer, durably. */
int answer_give(struct answer *answer, int status, struct view text, struct err *err);
/* A new one that is neither kept nor given is forgotten.  Accepts NULL; for AUTO() too. */
void answer_end(struct answer **answer);

/* Forgets what is older than keep, and the oldest where there are more than max.  How many, or -1 with
 * errno. */
int64_t answers_tidy(struct spool *spool, int64_t keep, uint64_t max);

#endif
