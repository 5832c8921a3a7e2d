/* GET /api/v1/send_email/status: a row for each recipient who is still waited for. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/num.h"
#include "cmd/api/messages.h"
#include "cmd/serve/spill.h"
#include "spool/part/message.h"
#include "spool/queue/awaited.h"
#include "spool/queue/partial.h"

/* Before the rows, whose number is known last; JSON does not mind the blanks in front. */
#define HEAD 64
#define ROW_MAX (64u * 1024)
/* Rows where the request does not say how many. */
#define LIMIT_DEFAULT 10000

/* What has failed is in the spool, too, but not in the queue. */
static const enum state states[] = { STATE_CLAIMED, STATE_WAITING, STATE_DEFERRED, STATE_HELD,
	STATE_UNCERTAIN, STATE_NONE };

/* Where a list goes on: behind a message, or in it, where some of its rows were shown. */
struct position {
	struct serve_cursor at; /* state: STATE_NONE, at the beginning */
	uint64_t skip;		/* rows of this message that were shown; 0: all */
	uint64_t number;	/* of the last row */
};

struct listing {
	struct spool *spool;
	struct spill *out;
	struct buf row;
	uint64_t rows, limit;
	uint64_t skip;	     /* of the message at hand: rows that are not shown again */
	struct position end; /* behind the last row */
	bool more;
	bool failed; /* with err: what has been listed is of no use */
	struct err *err;
};

/* ---- rows ---------------------------------------------------------------------------------------- */

/* 0; 1 where there is no room for it; -1 with err. */
static int
add_row(struct listing *l, const char *email, const char *subject)
{
	struct json_writer w = JSON_WRITER(&l->row);

	if (l->rows == l->limit) {
		l->more = true;
		return 1;
	}
	l->rows++;
	l->end.number++;
	buf_clear(&l->row);
	if (l->rows > 1)
		buf_addc(&l->row, ',');
	json_begin_object(&w);
	json_member_int(&w, "number", (int64_t)l->end.number);
	json_member_str(&w, "email", email);
	json_member_str(&w, "subject", subject != NULL ? subject : "");
	json_end_object(&w);
	/* A record's subject is shorter than this; should it not be, the row is left out. */
	if (json_finish(&w) < 0)
		return 0;
	return spill_add(l->out, l->row.s, l->row.len, l->err);
}

static void
set_place(struct serve_cursor *cursor, const struct place *place)
{
	*cursor = (struct serve_cursor){ .state = place->state, .placed = true };
	snprintf(cursor->runner, NAME_SIZE, "%s", place->runner != NULL ? place->runner : "");
	snprintf(cursor->lane, NAME_SIZE, "%s", place->lane);
	snprintf(cursor->bucket, NAME_SIZE, "%s", place->bucket);
	snprintf(cursor->text, NAME_SIZE, "%s", place->text);
}

/* As add_row. */
static int
add_message(struct listing *l, const struct place *place, const struct record *record)
{
	struct partial partial = { 0 };
	struct err err = ERR_INIT;
	uint64_t shown = 0;
	int result = 0;

	/* Only what was tried can be settled in part. */
	if (place->name.attempts > 0)
		partial_read(l->spool, place->name.id, &partial, &err);
	for (size_t i = 0; i < record->recipient_count && result == 0; i++) {
		if (partial_find(&partial, record->recipients[i]) != NULL)
			continue;
		if (shown >= l->skip)
			result = add_row(l, record->recipients[i], record->subject);
		shown += result == 0;
	}
	partial_release(&partial);
	l->skip = 0;
	/* Where it stopped before the first of its rows, the list goes on behind the message before. */
	if (result == 0 || (result > 0 && shown > 0)) {
		set_place(&l->end.at, place);
		l->end.skip = result > 0 ? shown : 0;
	}
	return result;
}

static int
each(const struct place *place, void *arg)
{
	struct listing *l = arg;
	struct record record = { 0 };
	struct err err = ERR_INIT;
	int result;

	/* It may have gone on since, and one that is damaged stops no other. */
	if (message_open(place->dir, place->text, &place->name, NULL, &record, &err) < 0)
		return 0;
	result = add_message(l, place, &record);
	l->failed = result < 0;
	record_release(&record);
	return result != 0;
}

/* ---- where it goes on ---------------------------------------------------------------------------- */

/* The rest of the message that the last page ended in, where it still stands there. */
static void
list_rest(struct listing *l, const struct position *from)
{
	const struct serve_cursor *at = &from->at;
	bool claimed = at->state == STATE_CLAIMED;
	char path[3 * NAME_SIZE];
	struct place place = { .state = at->state,
		.lane = at->lane,
		.bucket = at->bucket,
		.runner = claimed ? at->runner : NULL,
		.text = at->text };
	AUTO_FD int dir = -1;

	snprintf(path, sizeof path, "%s/%s/%s", claimed ? "cur" : state_text(at->state),
	    claimed ? at->runner : at->lane, claimed ? at->lane : at->bucket);
	dir = fs_open_dir(l->spool->root, path);
	if (dir < 0 || message_name_parse(at->text, &place.name) < 0)
		return;
	place.dir = dir;
	l->skip = from->skip;
	each(&place, l);
	l->skip = 0;
}

static int
list_state(struct listing *l, enum state state, const struct serve_cursor *from)
{
	struct walk_filter filter = { .state = state };
	struct walk_from place = { 0 };

	if (from != NULL) {
		place = (struct walk_from){ from->runner, from->lane, from->bucket, from->text };
		filter.from = &place;
	}
	return walk(l->spool, &filter, each, l, l->err) < 0 || l->failed ? -1 : 0;
}

static int
list_all(struct listing *l, const struct position *from)
{
	const enum state *state = states;
	bool first = from->at.state != STATE_NONE;

	while (first && *state != from->at.state)
		state++;
	if (from->skip > 0)
		list_rest(l, from);
	for (; *state != STATE_NONE && !l->more && !l->failed; state++) {
		if (list_state(l, *state, first ? &from->at : NULL) < 0)
			return -1;
		first = false;
	}
	return l->failed ? -1 : 0;
}

/* ---- the request --------------------------------------------------------------------------------- */

/* A part of a place is one directory's name: it holds no slash. */
static bool
leads_up(const char *part)
{
	return strcmp(part, ".") == 0 || strcmp(part, "..") == 0;
}

/* "NUMBER.SKIP.CURSOR" */
static bool
parse_cursor(const char *text, struct position *ret)
{
	const char *number_end = strchr(text, '.');
	const char *skip_end = number_end != NULL ? strchr(number_end + 1, '.') : NULL;
	const enum state *state = states;

	if (skip_end == NULL ||
	    num_u64_view(text, (size_t)(number_end - text), INT64_MAX, &ret->number) < 0 ||
	    num_u64_view(number_end + 1, (size_t)(skip_end - number_end - 1), INT64_MAX,
		&ret->skip) < 0 ||
	    serve_cursor_parse(skip_end + 1, &ret->at) < 0)
		return false;
	while (*state != STATE_NONE && *state != ret->at.state)
		state++;
	return *state != STATE_NONE && ret->at.placed && !leads_up(ret->at.runner) &&
	    !leads_up(ret->at.lane) && !leads_up(ret->at.bucket);
}

static int
read_query(struct http_request *r, uint64_t *ret_limit, struct position *ret)
{
	const char *limit = http_query(r, "limit"), *cursor = http_query(r, "cursor");
	struct serve_faults faults;

	*ret_limit = LIMIT_DEFAULT;
	*ret = (struct position){ .at.state = STATE_NONE };
	serve_faults_init(&faults);
	if (limit != NULL && num_u64(limit, 0, INT64_MAX, ret_limit) < 0)
		serve_fault(&faults, "query", "limit", "type_error.integer",
		    "value is not a valid integer");
	if (cursor != NULL && *cursor != '\0' && !parse_cursor(cursor, ret))
		serve_fault(&faults, "query", "cursor", "value_error",
		    "expected the \"next\" of an earlier answer");
	return serve_faults_reply(r, &faults) ? -1 : 0;
}

/* All that there are: what was listed, where that was all. */
static int
count_total(struct serve *serve, const struct listing *l, bool whole, uint64_t *ret)
{
	int result;

	*ret = l->rows;
	if (whole)
		return 0;
	pthread_mutex_lock(&serve->awaited_lock);
	result = awaited_count(serve->awaited, l->spool, ret, l->err);
	pthread_mutex_unlock(&serve->awaited_lock);
	return result;
}

static int
finish(struct listing *l, uint64_t total, char head[HEAD + 1], uint64_t *ret_offset)
{
	AUTO_BUF struct buf tail = BUF_INIT(SERVE_CURSOR_SIZE + 100);
	char next[SERVE_CURSOR_SIZE];
	int n = snprintf(head, HEAD + 1, "{\"total\":%" PRIu64 ",\"messages\":[", total);

	buf_addc(&tail, ']');
	if (l->more && l->limit > 0) {
		serve_cursor_format(&l->end.at, next);
		buf_addf(&tail, ",\"next\":\"%" PRIu64 ".%" PRIu64 ".%s\"", l->end.number,
		    l->end.skip, next);
	}
	buf_addc(&tail, '}');
	*ret_offset = (uint64_t)(HEAD - n);
	return spill_add(l->out, tail.s, tail.len, l->err) < 0 ||
		spill_patch(l->out, *ret_offset, head, (size_t)n, l->err) < 0 ?
	    -1 :
	    0;
}

void
serve_form_status(struct http_request *r, void *arg)
{
	AUTO(spill_release) struct spill out = { .fd = -1 };
	struct err err = ERR_INIT;
	struct listing l = { .out = &out, .err = &err };
	struct position from;
	char head[HEAD + 1];
	uint64_t total, offset;
	int result;

	spill_init(&out, arg);
	if (read_query(r, &l.limit, &from) < 0)
		return;
	l.spool = serve_spool_get(arg, r);
	if (l.spool == NULL)
		return;
	l.end = from;
	buf_init(&l.row, ROW_MAX);
	memset(head, ' ', HEAD);
	spill_add(&out, head, HEAD, &err);
	result = list_all(&l, &from);
	if (result == 0)
		result = count_total(arg, &l, from.at.state == STATE_NONE && !l.more, &total);
	buf_release(&l.row);
	serve_spool_put(arg, l.spool);
	if (result < 0 || finish(&l, total, head, &offset) < 0)
		serve_reply_err(r, &err);
	else
		spill_reply(r, 200, "application/json", &out, offset);
}
