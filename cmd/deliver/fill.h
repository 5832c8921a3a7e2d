/* Claims messages: how many, in which order, and for which of them there is a slot. */
#ifndef CMD_DELIVER_FILL_H
#define CMD_DELIVER_FILL_H

#include <stdbool.h>

#include "base/err.h"

struct outlet;
struct work;

/* Claims what this outlet should have in hand now. */
int fill_outlet(struct outlet *outlet, struct err *err);
/* A message that had to wait for an attachment goes on. */
int fill_resume(struct work *work, struct err *err);
/* True if a fill could find something now. */
bool fill_left(const struct outlet *outlet);

#endif
