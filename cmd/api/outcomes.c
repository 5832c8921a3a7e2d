/* What history says of messages: bounded looks at what may be long. */
#include <string.h>

#include "base/clock.h"
#include "cmd/api/rows.h"
#include "cmd/view/text.h"
#include "spool/journal/history.h"
#include "spool/report/reports.h"

/* Lines of history that a page of a list may cost. */
#define LINES_MAX 50000
/* A message is moved this soon after its outcome was recorded, where no process died in between. */
#define SOON (60 * USEC)
/* An application that answers hears of an outcome this soon. */
#define HEARD_SOON (300 * USEC)
/* How far back is looked first, and how much farther each time when that was not enough. */
#define BACK_FIRST USEC
#define BACK_GROWTH 8
#define BACK_MAX (10 * 366 * 86400 * USEC)
#define BACK_EXACT 1000 /* microseconds: a window is not made narrower than to that */
/* So many lines may be read in vain for each row that is wanted, and so many in any case. */
#define VAIN_EACH 4
#define VAIN_ANYWAY 4000
/* Where only some of them are wanted, more. */
#define VAIN_FILTERED 50000
/* An id is taken this long before its message's first line of history, at the least: clocks step. */
#define ID_GRACE (60 * USEC)

/* ---- what became of them last ------------------------------------------------------------------------ */

struct looking {
	struct serve_row **rows; /* sorted by id */
	size_t n, left;		 /* left: of which nothing is known yet */
	size_t lines;		 /* read so far */
};

static int
compare_rows(const void *a, const void *b)
{
	return strcmp((*(struct serve_row *const *)a)->id, (*(struct serve_row *const *)b)->id);
}

static int
compare_id(const void *key, const void *element)
{
	return strcmp(key, (*(struct serve_row *const *)element)->id);
}

/* The event that a state comes of. */
static enum event
cause(enum state state)
{
	return state == STATE_FAILED ? EVENT_FAILED :
	    state == STATE_UNCERTAIN ? EVENT_UNCERTAIN :
				       EVENT_DEFERRED;
}

static int
look_at_line(const char *text, size_t len, const struct json *line, void *arg)
{
	struct looking *looking = arg;
	const char *id = json_string(json_get(line, "id"));
	struct serve_row **found;

	(void)text;
	(void)len;
	if (++looking->lines > LINES_MAX)
		return 1;
	if (id == NULL)
		return 0;
	found = bsearch(id, looking->rows, looking->n, sizeof *looking->rows, compare_id);
	if (found == NULL || serve_line_event(line) != cause((*found)->state))
		return 0;
	looking->left -= (*found)->event == EVENT_COUNT;
	serve_row_note(*found, line);
	return 0;
}

/* 1: no more lines may be read. */
static int
look(struct spool *spool, struct looking *looking, int64_t since, int64_t until, struct err *err)
{
	struct history_filter filter = { .since = since > 0 ? since : 0, .until = until };

	return history_read(spool, &filter, look_at_line, looking, err);
}

/* Those that were given up: their names say when they were moved. */
static int
look_at_ended(struct spool *spool, struct looking *looking, struct err *err)
{
	int64_t first = INT64_MAX, last = 0, oldest = INT64_MAX;
	int result;

	for (size_t i = 0; i < looking->n; i++) {
		const struct serve_row *row = looking->rows[i];

		first = row->name.due < first ? row->name.due : first;
		last = row->name.due > last ? row->name.due : last;
		oldest = row->created < oldest ? row->created : oldest;
	}
	result = look(spool, looking, first - SOON, last + USEC, err);
	if (result == 0 && looking->left > 0)
		result = look(spool, looking, oldest, first, err);
	return result;
}

/* Those that will be tried again: the latest first. */
static int
look_at_deferred(struct spool *spool, struct looking *looking, struct err *err)
{
	int64_t now = clock_now(), oldest = now;
	int result = 0;

	for (size_t i = 0; i < looking->n; i++)
		if (looking->rows[i]->created < oldest)
			oldest = looking->rows[i]->created;
	for (int64_t back = BACK_FIRST; result == 0 && looking->left > 0; back *= BACK_GROWTH) {
		result = look(spool, looking, now - back, 0, err);
		if (now - back < oldest || back > BACK_MAX)
			break;
	}
	return result;
}

static bool
is_ended(const struct serve_row *row)
{
	return row->state == STATE_FAILED || row->state == STATE_UNCERTAIN;
}

static bool
is_deferred(const struct serve_row *row)
{
	return row->state == STATE_DEFERRED && row->name.attempts > 0;
}

static int
look_for(struct spool *spool, struct serve_rows *rows, bool (*wanted)(const struct serve_row *row),
    int (*how)(struct spool *spool, struct looking *looking, struct err *err), struct err *err)
{
	AUTO_FREE struct serve_row **list = xcalloc(rows->n + 1, sizeof *list);
	struct looking looking = { .rows = list };

	for (size_t i = 0; i < rows->n; i++)
		if (wanted(&rows->v[i]))
			list[looking.n++] = &rows->v[i];
	looking.left = looking.n;
	if (looking.n == 0)
		return 0;
	qsort(list, looking.n, sizeof *list, compare_rows);
	return how(spool, &looking, err) < 0 ? -1 : 0;
}

int
serve_rows_outcomes(struct spool *spool, struct serve_rows *rows, struct err *err)
{
	if (look_for(spool, rows, is_ended, look_at_ended, err) < 0)
		return -1;
	return look_for(spool, rows, is_deferred, look_at_deferred, err);
}

/* ---- of which the application has heard ------------------------------------------------------------- */

static int
take_reported(const char *text, size_t len, const struct json *line, void *arg)
{
	struct looking *looking = arg;
	const struct json *ids = json_get(line, "ids");
	int64_t t = status_instant(json_get(line, "t"));

	(void)text;
	(void)len;
	if (serve_line_event(line) != EVENT_REPORTED)
		return 0;
	for (size_t i = 0; i < json_length(ids); i++) {
		const char *id = json_string(json_at(ids, i));
		struct serve_row **found = id == NULL ?
		    NULL :
		    bsearch(id, looking->rows, looking->n, sizeof *looking->rows, compare_id);

		if (found != NULL && (*found)->reported_at == 0 && t >= (*found)->event_at) {
			(*found)->reported_at = t;
			looking->left--;
		}
	}
	return looking->left == 0;
}

int
serve_rows_reported(struct spool *spool, struct serve_rows *rows, struct err *err)
{
	AUTO_FREE struct serve_row **list = xcalloc(rows->n + 1, sizeof *list);
	struct looking looking = { .rows = list };
	struct history_filter filter = { .since = INT64_MAX, .contains = "\"reported\"" };
	struct reports_state state;

	reports_state_read(spool, &state);
	for (size_t i = 0; i < rows->n; i++) {
		struct serve_row *row = &rows->v[i];

		if (row->event_at == 0 || row->event_at > state.told)
			continue;
		list[looking.n++] = row;
		if (row->event_at < filter.since)
			filter.since = row->event_at;
		if (row->event_at + HEARD_SOON > filter.until)
			filter.until = row->event_at + HEARD_SOON;
	}
	looking.left = looking.n;
	if (looking.n == 0)
		return 0;
	qsort(list, looking.n, sizeof *list, compare_rows);
	return history_read(spool, &filter, take_reported, &looking, err) < 0 ? -1 : 0;
}

/* ---- what was sent ------------------------------------------------------------------------------------ */

/* The last rows of a window, in the order of time; the first of them is at n % room once it is full. */
struct sent {
	struct spool *spool;
	const char *account, *batch;
	int64_t end; /* of the window; 0: now */
	struct serve_rows ring;
	size_t n, room;	      /* n: those that passed */
	size_t lines, enough; /* read; and so many are too many */
};

static bool
is_filtered(const struct sent *sent)
{
	return sent->account != NULL || sent->batch != NULL;
}

static bool
passes(const struct sent *sent, const struct json *line)
{
	const char *text = json_string(json_get(line, "lane"));
	struct lane lane;

	if (!is_filtered(sent))
		return true;
	if (text == NULL || lane_parse(text, &lane) < 0)
		return false;
	return (sent->account == NULL || strcmp(sent->account, lane.account) == 0) &&
	    (sent->batch == NULL || strcmp(sent->batch, lane.batch) == 0);
}

static int
take_sent(const char *text, size_t len, const struct json *line, void *arg)
{
	struct sent *sent = arg;
	struct serve_rows one = { 0 };
	struct serve_row *oldest, row;

	(void)text;
	(void)len;
	if (++sent->lines > sent->enough)
		return 1;
	if (serve_line_event(line) != EVENT_SENT || !passes(sent, line))
		return 0;
	if (sent->ring.n < sent->room) {
		serve_row_of_line(serve_rows_add(&sent->ring), line);
	} else {
		/* The oldest goes, with the list that this one is made in. */
		serve_row_of_line(serve_rows_add(&one), line);
		oldest = &sent->ring.v[sent->n % sent->room];
		row = *oldest;
		*oldest = one.v[0];
		one.v[0] = row;
		serve_rows_release(&one);
	}
	sent->n++;
	return 0;
}

/* Reads the window from an instant on (0: all): 0, or 1 where that are too many lines, or -1 with err. */
static int
read_window(struct sent *sent, int64_t since, struct err *err)
{
	struct history_filter filter = { .since = since, .until = sent->end };

	serve_rows_drop(&sent->ring, sent->ring.n);
	sent->n = sent->lines = 0;
	return history_read(sent->spool, &filter, take_sent, sent, err);
}

/*
 * Finds a window that ends where it should and holds enough rows, and not many more lines than that takes:
 * there may be a million behind the next instant.  What it begins with, or 0 where all that there is was
 * read; -1 with err.
 */
static int64_t
find_window(struct sent *sent, struct err *err)
{
	int64_t from = sent->end > 0 ? sent->end : clock_now() + ID_GRACE;
	int64_t few = 0, many = 0, back = BACK_FIRST;

	for (;;) {
		int64_t since = back < BACK_MAX && from > back ? from - back : 0;
		int result = read_window(sent, since, err);

		if (result < 0)
			return -1;
		if (result == 0 && (sent->n >= sent->room || since == 0))
			return since;
		if (result == 0)
			few = back;
		else
			many = back;
		/* No more rows without too many lines: so it is what there is for now. */
		if (many > 0 && many - few <= (is_filtered(sent) ? few / 4 : 0) + BACK_EXACT) {
			sent->enough = SIZE_MAX;
			return few > 0 && read_window(sent, from - few, err) == 0 ? from - few :
			    read_window(sent, from - many, err) == 0		  ? from - many :
										    -1;
		}
		back = many > 0 ? few + (many - few) / 2 : back * BACK_GROWTH;
	}
}

/* The k-th from the end. */
static struct serve_row *
from_end(struct sent *sent, size_t k)
{
	return &sent->ring.v[(sent->n - 1 - k) % sent->room];
}

/* Moves rows over: the latest first, without those of the window's end that were shown. */
static void
take_over(struct sent *sent, size_t skip, size_t limit, struct serve_rows *rows)
{
	for (size_t k = 0; k < sent->ring.n && limit > 0; k++) {
		struct serve_row *row = from_end(sent, k);

		if (skip > 0 && row->event_at == sent->end) {
			skip--;
			continue;
		}
		*serve_rows_add(rows) = *row;
		*row = (struct serve_row){ 0 };
		limit--;
	}
}

int
serve_rows_sent(struct spool *spool, const char *account, const char *batch, int64_t at,
    size_t skip, size_t limit, struct serve_rows *rows, int64_t *ret_before, struct err *err)
{
	struct sent sent = { .spool = spool,
		.account = account,
		.batch = batch,
		.end = at,
		.room = limit + skip,
		.enough = VAIN_ANYWAY + VAIN_EACH * (limit + skip) };
	int64_t since;

	if (is_filtered(&sent))
		sent.enough += VAIN_FILTERED;
	since = find_window(&sent, err);
	*ret_before = since > 0 && sent.n < sent.room ? since - 1 : 0;
	if (since >= 0)
		take_over(&sent, skip, limit, rows);
	serve_rows_release(&sent.ring);
	return since < 0 ? -1 : 0;
}

/* ---- ids ------------------------------------------------------------------------------------------------ */

/* As serve_id_since, without grace. */
static int64_t
came_at(struct spool *spool, const char *id, bool *ret_known)
{
	char encoded[ID_TEXT_MAX + 1], token[TOKEN_SIZE];
	int64_t came;

	*ret_known = name_encode(id, ID_TEXT_MAX, encoded) == 0;
	if (!*ret_known)
		return 0;
	switch (id_lookup(spool, encoded, token)) {
	case 1:
		came = strtoll(token, NULL, 10);
		return came > 0 && came < INT64_MAX / USEC ? came * USEC : 0;
	case 0:
		came = id_made_at(encoded);
		*ret_known = came != 0; /* one of the client's own would be on record */
		return came;
	default:
		return 0;
	}
}

int64_t
serve_id_since(struct spool *spool, const char *id, bool *ret_known)
{
	int64_t came = came_at(spool, id, ret_known);

	return came > ID_GRACE ? came - ID_GRACE : 0;
}

int64_t
serve_id_came(struct spool *spool, const char *id)
{
	bool known;

	return came_at(spool, id, &known);
}
