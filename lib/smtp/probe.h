/* Connects, logs in, says what the server offers, and leaves with QUIT.  Sends nothing. */
#ifndef SMTP_PROBE_H
#define SMTP_PROBE_H

#include <stdbool.h>

#include "base/buf.h"
#include "smtp/params.h"
#include "smtp/pool.h"

struct smtp_probe {
	bool tls;		 /* the connection is encrypted */
	bool authenticated;	 /* 235 was received */
	char peer[64];		 /* address and port reached: "192.0.2.1:587", "[::1]:25" */
	struct buf capabilities; /* EHLO's list, one a line, control characters escaped */
	struct smtp_fault fault; /* where it failed */
};

/* Blocks until done, for as long as the time-outs allow.  0, or -1 with probe->fault and err (69,
 * 75, 77 or 78) filled.  Release with smtp_probe_release in both cases. */
int smtp_probe(const struct smtp_params *params, struct smtp_probe *ret_probe, struct err *err);
void smtp_probe_release(struct smtp_probe *probe);

#endif
