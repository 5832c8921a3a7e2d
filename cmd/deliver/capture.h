/* The capture transport. */
#ifndef CMD_DELIVER_CAPTURE_H
#define CMD_DELIVER_CAPTURE_H

#include "cmd/deliver/work.h"

/* Delivers all works of a list (all of this outlet) into its Maildir, with one sync for all; each comes to
 * commit_later. */
void capture_deliver(struct outlet *outlet, struct work_list *list);

#endif
