/* Lists of messages, page by page: never more of the queue than a bucket at a time. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/num.h"
#include "cmd/api/messages.h"

#define SKIP_MAX 10000	 /* rows of one instant that a cursor can lie behind */
#define FILL_USEC 200000 /* how long a page that is not full is looked on for */

const enum state serve_states_all[] = { STATE_WAITING, STATE_CLAIMED, STATE_DEFERRED, STATE_HELD,
	STATE_UNCERTAIN, STATE_FAILED, STATE_SENT, STATE_NONE };
const enum state serve_states_active[] = { STATE_WAITING, STATE_CLAIMED, STATE_DEFERRED, STATE_HELD,
	STATE_UNCERTAIN, STATE_NONE };

const enum state *
serve_states_of(const char *word)
{
	static const struct {
		const char *word;
		enum state states[3];
	} words[] = {
		{ "waiting", { STATE_WAITING, STATE_NONE, STATE_NONE } },
		{ "queued", { STATE_WAITING, STATE_HELD, STATE_NONE } },
		{ "pending", { STATE_WAITING, STATE_CLAIMED, STATE_NONE } },
		{ "claimed", { STATE_CLAIMED, STATE_NONE, STATE_NONE } },
		{ "deferred", { STATE_DEFERRED, STATE_NONE, STATE_NONE } },
		{ "held", { STATE_HELD, STATE_NONE, STATE_NONE } },
		{ "uncertain", { STATE_UNCERTAIN, STATE_NONE, STATE_NONE } },
		{ "failed", { STATE_FAILED, STATE_NONE, STATE_NONE } },
		{ "error", { STATE_FAILED, STATE_NONE, STATE_NONE } },
		{ "sent", { STATE_SENT, STATE_NONE, STATE_NONE } },
	};

	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (strcmp(words[i].word, word) == 0)
			return words[i].states;
	return NULL;
}

/* ---- cursors ----------------------------------------------------------------------------------------- */

/* What stands for itself in a query (RFC 3986, section 2.3), but for "~". */
static bool
is_plain(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	    c == '-' || c == '.' || c == '_';
}

void
serve_cursor_format(const struct serve_cursor *cursor, char ret[SERVE_CURSOR_SIZE])
{
	AUTO_BUF struct buf text = BUF_INIT(SERVE_CURSOR_SIZE);
	size_t used = 0;

	if (cursor->state == STATE_SENT)
		buf_addf(&text, "sent/%lld/%zu", (long long)cursor->at, cursor->skip);
	else if (!cursor->placed)
		buf_adds(&text, state_text(cursor->state));
	else
		buf_addf(&text, "%s/%s/%s/%s/%s", state_text(cursor->state), cursor->runner,
		    cursor->lane, cursor->bucket, cursor->text);
	for (size_t i = 0; i < text.len && used + 4 < SERVE_CURSOR_SIZE; i++) {
		if (is_plain(text.s[i]))
			ret[used++] = text.s[i];
		else
			used += (size_t)snprintf(ret + used, SERVE_CURSOR_SIZE - used, "~%02x",
			    (unsigned char)text.s[i]);
	}
	ret[used] = '\0';
}

static int
hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int
unescape(const char *text, char *ret, size_t size)
{
	size_t n = 0;

	for (; *text != '\0'; text++) {
		int c = (unsigned char)*text;

		if (n + 1 >= size)
			return -1;
		if (c == '~') {
			int high = hex_digit(text[1]), low = high < 0 ? -1 : hex_digit(text[2]);

			if (low < 0 || (c = high * 16 + low) == 0)
				return -1;
			text += 2;
		} else if (!is_plain(*text)) {
			return -1;
		}
		ret[n++] = (char)c;
	}
	ret[n] = '\0';
	return 0;
}

/* One part of a place; *text moves behind it. */
static int
take_part(char **text, char ret[NAME_SIZE])
{
	const char *part = strsep(text, "/");

	if (part == NULL || strlen(part) >= NAME_SIZE)
		return -1;
	snprintf(ret, NAME_SIZE, "%s", part);
	return 0;
}

static int
take_instant(char **text, struct serve_cursor *ret)
{
	const char *at = strsep(text, "/"), *skip = strsep(text, "/");
	uint64_t instant, rows;

	if (*text != NULL || skip == NULL || num_u64(at, 0, INT64_MAX, &instant) < 0 ||
	    num_u64(skip, 0, SKIP_MAX, &rows) < 0)
		return -1;
	ret->at = (int64_t)instant;
	ret->skip = (size_t)rows;
	return 0;
}

int
serve_cursor_parse(const char *text, struct serve_cursor *ret)
{
	char plain[SERVE_CURSOR_SIZE], *rest = plain;

	*ret = (struct serve_cursor){ .state = STATE_NONE };
	if (unescape(text, plain, sizeof plain) < 0)
		return -1;
	ret->state = state_parse(strsep(&rest, "/"));
	if (ret->state == STATE_NONE)
		return -1;
	if (rest == NULL)
		return 0;
	if (ret->state == STATE_SENT)
		return take_instant(&rest, ret);
	ret->placed = true;
	if (take_part(&rest, ret->runner) < 0 || take_part(&rest, ret->lane) < 0 ||
	    take_part(&rest, ret->bucket) < 0 || take_part(&rest, ret->text) < 0)
		return -1;
	return rest == NULL ? 0 : -1;
}

/* ---- a page ------------------------------------------------------------------------------------------ */

struct paging {
	struct spool *spool;
	const struct serve_list *list;
	size_t limit;
	struct serve_rows *rows;
	struct serve_cursor last; /* of the last row */
	bool more;		  /* there is at least one more */
	struct err *err;
};

static int
take_place(const struct place *place, void *arg)
{
	struct paging *paging = arg;
	struct serve_cursor *last = &paging->last;
	struct serve_row *row;

	if (paging->rows->n == paging->limit) {
		paging->more = true;
		return 1;
	}
	row = serve_rows_add(paging->rows);
	if (!serve_row_of_place(row, place, paging->list->recipients)) {
		serve_rows_drop(paging->rows, 1);
		return 0;
	}
	*last = (struct serve_cursor){ .state = place->state, .placed = true };
	snprintf(last->runner, NAME_SIZE, "%s", place->runner != NULL ? place->runner : "");
	snprintf(last->lane, NAME_SIZE, "%s", place->lane);
	snprintf(last->bucket, NAME_SIZE, "%s", place->bucket);
	snprintf(last->text, NAME_SIZE, "%s", place->text);
	return 0;
}

/* from: where it goes on in this state; NULL: at its beginning. */
static int
read_state(struct paging *paging, enum state state, const struct serve_cursor *from)
{
	struct walk_from place = { 0 };
	struct walk_filter filter = { .state = state,
		.account = paging->list->account,
		.batch = paging->list->batch };

	if (from != NULL) {
		place = (struct walk_from){ from->runner, from->lane, from->bucket, from->text };
		filter.from = &place;
	}
	return walk(paging->spool, &filter, take_place, paging, paging->err);
}

/* How many of the rows, at their end, are of the last one's instant. */
static size_t
same_instant(const struct serve_rows *rows, size_t first)
{
	size_t n = 0;

	while (rows->n - n > first &&
	    rows->v[rows->n - 1 - n].event_at == rows->v[rows->n - 1].event_at)
		n++;
	return n;
}

static int
read_sent(struct paging *paging, const struct serve_cursor *from)
{
	struct serve_rows *rows = paging->rows;
	size_t first = rows->n;
	struct serve_cursor *last = &paging->last;
	int64_t at = from != NULL ? from->at : 0, before = at;
	size_t skip = from != NULL ? from->skip : 0;
	int64_t patience = clock_monotonic() + FILL_USEC;

	if (rows->n == paging->limit) {
		*last = (struct serve_cursor){ .state = STATE_SENT };
		paging->more = true;
		return 0;
	}
	/* One look may find few where only some are wanted: so there are more, for a while. */
	do {
		if (serve_rows_sent(paging->spool, paging->list->account, paging->list->batch,
			before, before == at ? skip : 0, paging->limit - rows->n + 1, rows, &before,
			paging->err) < 0)
			return -1;
	} while (before > 0 && rows->n <= paging->limit && clock_monotonic() < patience);
	paging->more = rows->n > paging->limit || before > 0;
	if (rows->n <= paging->limit) {
		*last = (struct serve_cursor){ .state = STATE_SENT, .at = before };
		return 0;
	}
	serve_rows_drop(rows, 1);
	*last = (struct serve_cursor){ .state = STATE_SENT,
		.at = rows->v[rows->n - 1].event_at,
		.skip = same_instant(rows, first) };
	if (last->at == at)
		last->skip += skip;
	return 0;
}

static int
read_page(struct paging *paging, const struct serve_cursor *cursor)
{
	const enum state *states = paging->list->states;
	int result = 0;

	while (cursor->state != STATE_NONE && *states != cursor->state)
		states++;
	for (bool first = true; *states != STATE_NONE && !paging->more && result >= 0; states++) {
		const struct serve_cursor *from =
		    first && cursor->state == *states && (cursor->placed || cursor->at > 0) ?
		    cursor :
		    NULL;

		result = *states == STATE_SENT ? read_sent(paging, from) :
						 read_state(paging, *states, from);
		first = false;
	}
	return result < 0 ? -1 : 0;
}

static bool
is_of(const enum state *states, enum state state)
{
	while (*states != STATE_NONE && *states != state)
		states++;
	return *states == state;
}

int
serve_list_read(struct http_request *r, struct spool *spool, const struct serve_list *list,
    const struct serve_page *page, struct serve_rows *rows, char next[SERVE_CURSOR_SIZE])
{
	struct serve_cursor cursor = { .state = STATE_NONE };
	struct err err = ERR_INIT;
	struct paging paging = { .spool = spool,
		.list = list,
		.limit = (size_t)page->limit,
		.rows = rows,
		.err = &err };
	struct serve_faults faults;

	serve_faults_init(&faults);
	if (page->cursor != NULL &&
	    (serve_cursor_parse(page->cursor, &cursor) < 0 || !is_of(list->states, cursor.state)))
		serve_fault(&faults, "query", "cursor", "value_error",
		    "expected the \"next\" of an earlier answer to the same question");
	if (serve_faults_reply(r, &faults))
		return -1;
	if (read_page(&paging, &cursor) < 0 ||
	    (list->outcomes &&
		(serve_rows_outcomes(spool, rows, &err) < 0 ||
		    serve_rows_reported(spool, rows, &err) < 0))) {
		serve_reply_err(r, &err);
		return -1;
	}
	next[0] = '\0';
	if (paging.more)
		serve_cursor_format(&paging.last, next);
	return 0;
}
