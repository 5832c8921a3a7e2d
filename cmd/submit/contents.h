/*
 * JSON on its way in, whose attachments' contents need not fit into memory: a long one is decoded as it
 * comes and written to a spill, a mark takes its place in the JSON (base/json_spill.h), and the message
 * that is made of it attaches that range of the spill.
 *
 *	contents = contents_new(&spool, settings, out, arg)
 *	contents_feed(contents, bytes, n, &err) ...; contents_end(contents, &err)	out gets the JSON
 *	json_parse_marked(...)
 *	options.marked = contents_marked; options.marked_arg = contents
 *	mail_message_from_json(...)
 */
#ifndef CMD_SUBMIT_CONTENTS_H
#define CMD_SUBMIT_CONTENTS_H

#include "cmd/submit/spill.h"
#include "mail/message_json.h"
#include "policy/settings.h"

struct contents;

/* out: as in json_spill_calls.  Borrows spool and arg; of settings it keeps numbers. */
struct contents *contents_new(const struct spool *spool, const struct settings *settings,
    int (*out)(void *arg, const char *bytes, size_t n), void *arg);
void contents_free(struct contents **contents); /* for AUTO() too */

/* 0; what out returned; or -1 with err, which is otherwise untouched: the spill cannot be written. */
int contents_feed(struct contents *contents, const char *bytes, size_t n, struct err *err);
int contents_end(struct contents *contents, struct err *err);

/* Fits mail_json_options.marked: NULL for what was forgotten.  What it gives lasts until the next call of contents_clear. */
const struct mail_marked *contents_marked(void *contents, unsigned long number);
/* Forgets all contents: of messages that are done with. */
int contents_clear(struct contents *contents, struct err *err);

#endif
