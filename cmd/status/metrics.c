/* The numbers for Prometheus. */
#include <stdio.h>

#include "cmd/status/status.h"
#include "cmd/view/metrics.h"

int
status_metrics(struct spool *spool, const struct settings *settings)
{
	AUTO_BUF struct buf out = BUF_INIT(METRICS_MAX);
	struct err err = ERR_INIT;

	if (metrics_text(spool, settings, &out, &err) < 0)
		return err_print(&err);
	fwrite(out.s, 1, out.len, stdout);
	return EX_OK;
}
