/*
 * What became of a message: puts the outcome on record (unsynced: commit.h) and says what follows from it, in
 * work->plan.
 */
#ifndef CMD_DELIVER_OUTCOME_H
#define CMD_DELIVER_OUTCOME_H

#include "cmd/deliver/work.h"
#include "spool/journal/journal.h"

/* Reads the results of the job. */
void outcome_conclude(struct work *work);
/* The same for one that has no recipient left before it was offered. */
void outcome_unasked(struct work *work);
/* A message of the capture transport that was delivered, or (err) was not. */
void outcome_captured(struct work *work, const struct err *err);
/* One whose delivery failed when it was perhaps seen already. */
void outcome_unsure(struct work *work, const struct err *err);
/* One of which an attachment cannot be had now: deferred, at least until not_before, or given up. */
enum plan outcome_unfetched(struct work *work, const struct err *err, int64_t not_before);
/* It fails, unsent. */
enum plan outcome_failed(struct work *work, enum failure why, const char *reason);
/* It is damaged: into corrupt/. */
enum plan outcome_corrupt(struct work *work, const struct err *err);
/* The disk does not give it: no fault of the message, which waits. */
enum plan outcome_unread(struct work *work, const struct err *err);
/* Whether its content could not be had on its way out: where it is damaged, that is on record, and its plan
 * PLAN_CORRUPT; where the disk does not give it, that is told, and its plan PLAN_PUT_BACK. */
bool outcome_was_unread(struct work *work);

#endif
