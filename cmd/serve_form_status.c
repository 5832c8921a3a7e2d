/* GET /api/v1/send_email/status: a row for each recipient who is still waited for. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/num.h"
#include "cmd/serve_spill.h"
#include "spool/partial.h"
#include "spool/walk.h"

/* Before the rows, whose number is known last; JSON does not mind the blanks in front. */
#define HEAD 64
#define ROW_MAX (64u * 1024)

struct listing {
	struct spool *spool;
	struct spill *out;
	struct buf row;
	uint64_t total, limit;
	bool failed; /* with err: what has been listed is of no use */
	struct err *err;
};

static int
add_row(struct listing *l, const char *email, const char *subject)
{
	struct json_writer w = JSON_WRITER(&l->row);

	if (++l->total > l->limit)
		return 0;
	buf_clear(&l->row);
	if (l->total > 1)
		buf_addc(&l->row, ',');
	json_begin_object(&w);
	json_member_int(&w, "number", (int64_t)l->total);
	json_member_str(&w, "email", email);
	json_member_str(&w, "subject", subject != NULL ? subject : "");
	json_end_object(&w);
	/* A record's subject is shorter than this; should it not be, the row is left out. */
	if (json_finish(&w) < 0)
		return 0;
	return spill_add(l->out, l->row.s, l->row.len, l->err);
}

static int
add_message(struct listing *l, const struct place *place, const struct record *record)
{
	struct partial partial = { 0 };
	struct err err = ERR_INIT;
	int result = 0;

	/* Only what was tried can be settled in part. */
	if (place->name.attempts > 0)
		partial_read(l->spool, place->name.id, &partial, &err);
	for (size_t i = 0; i < record->recipient_count && result == 0; i++)
		if (partial_find(&partial, record->recipients[i]) == NULL)
			result = add_row(l, record->recipients[i], record->subject);
	partial_release(&partial);
	return result;
}

static int
each(const struct place *place, void *arg)
{
	struct listing *l = arg;
	struct record record = { 0 };
	struct err err = ERR_INIT;

	/* It may have gone on since, and one that is damaged stops no other. */
	if (message_open(place->dir, place->text, &place->name, NULL, &record, &err) < 0)
		return 0;
	l->failed = add_message(l, place, &record) < 0;
	record_release(&record);
	return l->failed;
}

/* What has failed is in the spool, too, but not in the queue. */
static int
list_all(struct listing *l)
{
	static const enum state states[] = { STATE_CLAIMED, STATE_WAITING, STATE_DEFERRED,
		STATE_HELD, STATE_UNCERTAIN };

	for (size_t i = 0; i < sizeof states / sizeof states[0]; i++) {
		struct walk_filter filter = { .state = states[i] };

		if (walk(l->spool, &filter, each, l, l->err) < 0 || l->failed)
			return -1;
	}
	return 0;
}

static int
limit_of(struct http_request *r, uint64_t *ret)
{
	const char *limit = http_query(r, "limit");
	struct serve_faults faults;

	*ret = UINT64_MAX;
	if (limit == NULL || num_u64(limit, 0, INT64_MAX, ret) == 0)
		return 0;
	serve_faults_init(&faults);
	serve_fault(&faults, "query", "limit", "type_error.integer",
	    "value is not a valid integer");
	serve_faults_reply(r, &faults);
	return -1;
}

void
serve_form_status(struct http_request *r, void *arg)
{
	AUTO(spill_release) struct spill out = { .fd = -1 };
	AUTO_BUF struct buf row = BUF_INIT(ROW_MAX);
	struct err err = ERR_INIT;
	struct listing l = { .out = &out, .err = &err };
	char head[HEAD + 1];
	int n, result;

	spill_init(&out, arg);
	if (limit_of(r, &l.limit) < 0)
		return;
	l.spool = serve_spool_get(arg, r);
	if (l.spool == NULL)
		return;
	memset(head, ' ', HEAD);
	spill_add(&out, head, HEAD, &err);
	l.row = row;
	result = list_all(&l);
	row = l.row;
	serve_spool_put(arg, l.spool);
	n = snprintf(head, sizeof head, "{\"total\":%" PRIu64 ",\"messages\":[", l.total);
	if (result < 0 || spill_add(&out, "]}", 2, &err) < 0 ||
	    spill_patch(&out, (uint64_t)(HEAD - n), head, (size_t)n, &err) < 0)
		serve_reply_err(r, &err);
	else
		spill_reply(r, 200, "application/json", &out, (uint64_t)(HEAD - n));
}
