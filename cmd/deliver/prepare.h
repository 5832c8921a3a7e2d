/* A claim becomes a job. */
#ifndef CMD_DELIVER_PREPARE_H
#define CMD_DELIVER_PREPARE_H

#include "cmd/deliver/work.h"

/* Opens the claim, its content included, and prepares the job.  PLAN_NONE: it can be sent.  PLAN_FETCH: it
 * must wait (remote_wait).  Else its outcome is on record already (expired, damaged), or it is to be put back,
 * and the plan says what follows. */
enum plan prepare_work(struct work *work);

#endif
