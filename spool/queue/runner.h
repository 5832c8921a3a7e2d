/*
 * A runner: a process that claims messages and says what became of them.  It owns cur/TOKEN/, by
 * the lock on the journal in it.  The steps, in their order (ARCHITECTURE.md has the table):
 *
 *	runner_claim()		the name moves to cur/TOKEN/LANE/
 *	journal_offered(), runner_sync_claims(), journal_sync()
 *	journal_dot(), journal_write()		just before its last byte leaves
 *	journal_add(outcome), journal_sync()
 *	runner_settle_*()	the name moves on, or goes
 *
 * or, for a message that was not offered, or whose dot did not leave: runner_put_back().
 */
#ifndef SPOOL_QUEUE_RUNNER_H
#define SPOOL_QUEUE_RUNNER_H

#include "spool/journal/journal.h"
#include "spool/part/content.h"
#include "spool/queue/queue.h"
#include "spool/store/record.h"

struct claim_lane {
	char *name;	/* LANE, settled form; NULL: free for another */
	int fd;		/* cur/TOKEN/LANE */
	bool unsynced;	/* something was claimed into it since runner_sync_claims */
	size_t in_hand; /* messages that stand in it */
};

struct runner {
	struct spool *spool;
	char token[TOKEN_SIZE];
	int dir;       /* cur/TOKEN; -1 until the first claim */
	bool unsynced; /* a lane was made in it since runner_sync_claims */
	int64_t begun; /* monotonic */
	struct journal journal;
	struct claim_lane *lanes;
	size_t lane_count;
	struct content_known known;
	char program[32];
};

struct claim {
	struct runner *runner;
	struct message_name name;
	char text[NAME_SIZE];	 /* the name under which it stands */
	size_t lane;		 /* which of the runner's lanes */
	int fd;			 /* its file, or -1 */
	struct record record;	 /* valid after claim_open */
	struct content *content; /* claim_content's; NULL before, and where the text is all */
};

/* Prepares; nothing is made before the first claim.  program is for the journal's first line. */
void runner_init(struct runner *runner, struct spool *spool, const char *program);
/* Ends: the journal, if there is one, is synced and moved to log/, the empty directory removed.
 * Claims that are still open stay where they are, and are recovered by the next runner. */
int runner_end(struct runner *runner, struct err *err);

/* 1: claimed; 0: another process was faster; -1 with err. */
int runner_claim(struct runner *runner, const struct queue_entry *entry, struct claim *ret,
    struct err *err);
/* Makes the claims durable, so that a power cut cannot bring back a name of which the journal says
 * that it was offered.  Before the journal_sync() of the group. */
int runner_sync_claims(struct runner *runner, struct err *err);
/* Opens the message and reads its record; texts up to verify_max bytes are checked against their
 * checksum.  EX_DATAERR: damaged (see runner_settle_corrupt). */
int claim_open(struct claim *claim, uint64_t verify_max, struct err *err);
/* Opens the content of a message that has parts, and verifies those of up to verify_max bytes.  EX_DATAERR:
 * damaged; EX_TEMPFAIL: something is not fetched yet.  Without parts it does nothing. */
int claim_content(struct claim *claim, uint64_t verify_max, struct err *err);
/* Bytes of the message as it is sent. */
uint64_t claim_size(const struct claim *claim);
/* Closes the file, releases the record. */
void claim_close(struct claim *claim);
/* The name of its lane. */
const char *claim_lane(const struct claim *claim);

/* The moves that follow an outcome that is on record.  Each closes the claim.  -1 with err. */
int runner_settle_sent(struct claim *claim, struct err *err);
/* asked: the time is a server's, and no pause of the schedule. */
int runner_settle_deferred(struct claim *claim, int64_t due, bool asked, struct err *err);
int runner_settle_failed(struct claim *claim, struct err *err);
int runner_settle_uncertain(struct claim *claim, struct err *err); /* into uncertain/ */
int runner_settle_corrupt(struct claim *claim, struct err *err);   /* into corrupt/ */
/* Back to where it came from, under the same name: nothing has happened to it. */
int runner_put_back(struct claim *claim, struct err *err);
/* The same into another lane, where it waits for the limit of a recipient's domain. */
int runner_put_aside(struct claim *claim, const char *lane, struct err *err);

#endif
