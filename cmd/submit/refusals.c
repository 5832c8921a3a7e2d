#include "cmd/submit/refusals.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "mail/message_json.h"
#include "spool/draft/draft.h"
#include "spool/report/reports.h"

char *
refusals_id(const struct json *id)
{
	struct view text = json_string_view(id);
	AUTO_BUF struct buf number = BUF_INIT(32);
	int64_t n;

	if (json_to_int(id, &n) == 0) {
		buf_addf(&number, "%lld", (long long)n);
		text = buf_view(&number);
	}
	if (text.s == NULL || mail_id_check(text.s, text.len, NULL) < 0)
		return NULL;
	return xstrndup(text.s, text.len);
}

/* Something is in the queue under this id, or was. */
static bool
is_known(struct spool *spool, const char *id)
{
	char encoded[ID_TEXT_MAX + 1], token[TOKEN_SIZE];

	return name_encode(id, ID_TEXT_MAX, encoded) == 0 && id_lookup(spool, encoded, token) == 1;
}

static uint64_t
hash(const char *id, const char *reason)
{
	uint64_t h = UINT64_C(14695981039346656037);

	for (const char *c = id; *c != '\0'; c++)
		h = (h ^ (unsigned char)*c) * UINT64_C(1099511628211);
	h = (h ^ 0xff) * UINT64_C(1099511628211);
	for (const char *c = reason; *c != '\0'; c++)
		h = (h ^ (unsigned char)*c) * UINT64_C(1099511628211);
	return h;
}

/* True where the same was recorded a while ago, and the application has not heard of it: it comes with it until it does,
 * to each process.  So it is where there is no room to remember more. */
static bool
is_recorded(struct refusals *refusals, const char *id, const char *reason)
{
	uint64_t h = hash(id, reason);

	if (refusals->hashes == NULL) {
		refusals->hashes = xcalloc(REPORTS_REFUSED_MAX, sizeof *refusals->hashes);
		refusals->count = reports_refused_read(refusals->spool, refusals->hashes);
	}
	for (size_t i = 0; i < refusals->count; i++)
		if (refusals->hashes[i] == h)
			return true;
	refusals->full |= refusals->count == REPORTS_REFUSED_MAX;
	if (refusals->count == REPORTS_REFUSED_MAX)
		return true;
	refusals->hashes[refusals->count++] = h;
	return false;
}

int
refusals_add(struct refusals *refusals, const struct json *message, const char *id,
    const char *reason, struct err *err)
{
	const struct journal_entry entry = { .event = EVENT_REFUSED,
		.id = id,
		.account = json_string(json_get(message, "account_id")),
		.batch = json_string(json_get(message, "batch_code")),
		.attempt = -1,
		.reporter = refusals->source,
		.reason = reason };

	if (is_known(refusals->spool, id) || is_recorded(refusals, id, reason))
		return 0;
	log_info("%s: %s is refused: %s", refusals->source, id, reason);
	if (!refusals->log.begun && oplog_begin(&refusals->log, err) < 0)
		return -1;
	journal_add(&refusals->log.journal, &entry);
	refusals->log.lines++;
	return 1;
}

int64_t
refusals_sync(struct refusals *refusals, struct err *err)
{
	if (refusals->full)
		log_warning("%s: %d messages are recorded as refused and the application has not "
			    "heard "
			    "of them; further ones are not recorded",
		    refusals->source, REPORTS_REFUSED_MAX);
	refusals->full = false;
	if (!refusals->log.begun)
		return 0;
	if (oplog_sync(&refusals->log, err) < 0)
		return -1;
	if (reports_refused_write(refusals->spool, refusals->hashes, refusals->count) < 0)
		log_warning("spool %s: cannot record what was refused", refusals->spool->path);
	return (int64_t)refusals->log.lines;
}

void
refusals_release(struct refusals *refusals)
{
	oplog_end(&refusals->log);
	free(refusals->hashes);
	refusals->hashes = NULL;
	refusals->count = 0;
}
