/* The numbers of the spool for Prometheus. */
#ifndef CMD_VIEW_METRICS_H
#define CMD_VIEW_METRICS_H

#include "base/buf.h"
#include "policy/settings.h"
#include "spool/store/spool.h"

/* No text is longer. */
#define METRICS_MAX ((size_t)16 * 1024 * 1024)
/* How a server names its form. */
#define METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"

/*
 * Appends the text (exposition format 0.0.4) to out, always in the same order.  The counters are those
 * of spool/journal/totals.h; the rest is as it is now.  Accounts that settings knows are there from the start,
 * with 0.  Any number of threads may call it at once, each with a spool of its own or with one that
 * all share.  Costs a listing of buckets that changed, of log/, and what was written to journals since.
 * 0, or -1 with err, and then out is useless.
 */
int metrics_text(struct spool *spool, const struct settings *settings, struct buf *out,
    struct err *err);

#endif
