/* The three forms in which mailq-add takes messages.  Each hands all it reads to the queue and
 * commits; the exit status comes back, and what went wrong was printed. */
#ifndef CMD_ADD_FORMS_H
#define CMD_ADD_FORMS_H

#include "cmd/add/options.h"
#include "cmd/submit/queue.h"

/* As sendmail: a raw message on standard input, recipients as arguments or in its header. */
int add_raw(struct add_queue *q, const struct add_options *options, const struct opt_rest *rest);
/* --subject and its like. */
int add_flags(struct add_queue *q, const struct add_options *options);
/* --json: from each file among rest, or standard input. */
int add_json(struct add_queue *q, const struct add_options *options, const struct opt_rest *rest);

#endif
