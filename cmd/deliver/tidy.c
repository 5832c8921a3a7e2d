#include "cmd/deliver/tidy.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "cmd/deliver/delivery.h"
#include "policy/settings.h"
#include "spool/journal/history.h"
#include "spool/part/fetched.h"
#include "spool/part/part.h"
#include "spool/report/reports.h"

/* Old logs that one cycle forgets at the most, and how often they are looked for while watching. */
#define RETIRE_MAX 50
#define RETIRE_EVERY (60 * USEC)

/* Contents of attachments that nobody needs: room is lost without it, and nothing else. */
static void
tidy_contents(struct delivery *d)
{
	const struct settings *s = d->settings;

	if (fetched_tidy(d->spool, (uint64_t)s->attachments.cache_size, s->attachments.cache_age) <
	    0)
		log_warning("spool %s: cannot tidy up fetched: %s", d->spool->path,
		    strerrordesc_np(errno));
	if (part_sweep(d->spool) < 0)
		log_warning("spool %s: cannot tidy up parts and blobs: %s", d->spool->path,
		    strerrordesc_np(errno));
}

int
tidy_spool(struct delivery *d, struct err *err)
{
	int64_t now = clock_now();
	bool told = d->settings->sync.url != NULL; /* there is an application: it is told first */

	if (d->tidied != 0 && clock_monotonic() - d->tidied < RETIRE_EVERY)
		return 0;
	d->tidied = clock_monotonic();
	if (suspensions_tidy(d->spool, now, err) < 0)
		return -1;
	if (!told && reports_tidy(d->spool, now - d->settings->sync.retention, err) < 0)
		return -1;
	tidy_contents(d);
	return history_retire(d->spool, now - d->settings->queue.retention, RETIRE_MAX, told, err) <
		0 ?
	    -1 :
	    0;
}
