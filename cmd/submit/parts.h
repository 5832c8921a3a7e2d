/*
 * The attachments of a message that goes into the queue: the large ones are stored apart (spool/part/part.h),
 * and the record says where in the text they belong.
 *
 * The record stands before the text, so those places must be known before the text is written: a message with
 * parts is composed twice, the first time only to count.  Its large contents are stored by then, the others
 * are in memory, and both compositions are of the same lengths.
 */
#ifndef CMD_SUBMIT_PARTS_H
#define CMD_SUBMIT_PARTS_H

#include "cmd/submit/queue.h"
#include "mail/compose.h"

struct add_parts {
	struct add_queue *q;
	struct record_piece *pieces;
	size_t count, room;
	size_t next;   /* of the second composition */
	uint64_t text; /* bytes counted by the first */
	bool planned;
	struct mail_boundaries boundaries; /* of both */
	struct err err;			   /* why a callback of the first failed */
};

/* Stores what is large enough, pinned by q's draft; the message's attachments are parts then, or bytes. */
int add_parts_store(struct add_queue *q, struct mail_message *message, struct err *err);
/* The first composition: fills record->pieces, which parts owns, and sets what options needs for the second.
 * A message without parts is left alone. */
int add_parts_plan(struct add_parts *parts, const struct mail_message *message,
    struct mail_compose_options *options, struct record *record, struct err *err);
void add_parts_release(struct add_parts *parts);

#endif
