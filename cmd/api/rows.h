/* Messages as the API shows them: rows, from the queue or, once they were sent, from history. */
#ifndef CMD_API_ROWS_H
#define CMD_API_ROWS_H

#include "cmd/serve/serve.h"
#include "cmd/view/why.h"
#include "spool/journal/journal.h"
#include "spool/store/walk.h"

#define SERVE_ROW_RECIPIENTS 100 /* shown in a list; the row says how many there are */

struct serve_row {
	enum state state;	  /* STATE_SENT: only history knows it */
	struct message_name name; /* priority -1: not known */
	char id[ID_TEXT_MAX + 1]; /* plain */
	struct lane lane;
	char runner[TOKEN_SIZE]; /* when claimed, else "" */

	/* As its record says, or a line of history; NULL and 0: not known. */
	char *from, *sender, *subject, *message_id;
	char **to;
	size_t to_count; /* in to */
	size_t to_all;	 /* that there are */
	int64_t created, expires;
	uint64_t size;

	/* What was recorded of it last; EVENT_COUNT: nothing is known. */
	enum event event;
	int64_t event_at;
	char *account, *server; /* that were used */
	char *error;
	int64_t reported_at; /* when the application had heard of that; 0: not known */
};

struct serve_rows {
	struct serve_row *v;
	size_t n, room;
};
void serve_rows_release(struct serve_rows *rows);
/* A new row at the end, all unknown. */
struct serve_row *serve_rows_add(struct serve_rows *rows);
void serve_rows_drop(struct serve_rows *rows, size_t n); /* the last n */

/* Fills a row from a place of a walk; recipients: how many to show at the most.  False: it has moved on. */
bool serve_row_of_place(struct serve_row *row, const struct place *place, size_t recipients);
/* The same from a line of history (EVENT_SENT and other outcomes). */
void serve_row_of_line(struct serve_row *row, const struct json *line);
/* The event of a line; EVENT_COUNT: it is of none that is known. */
enum event serve_line_event(const struct json *line);
/* What the line says of how it came to this: its reason, else the server's reply; NULL: nothing. */
char *serve_line_error(const struct json *line);
/* Notes the event, account, server and error of a line in the row. */
void serve_row_note(struct serve_row *row, const struct json *line);

/* The first service's words: "queued", "pending" (in hand), "deferred", "error", "sent". */
const char *serve_row_status(const struct serve_row *row);
/* Writes from, to and subject as members of an object that is begun. */
void serve_row_put_head(const struct serve_row *row, struct json_writer *w);
/* Writes all members of a row into an object that is begun. */
void serve_row_put(const struct serve_row *row, struct json_writer *w);
/* An instant as RFC 3339; nothing where it is 0. */
void serve_put_instant(struct json_writer *w, const char *key, int64_t instant);

/* ---- outcomes.c: what history says ------------------------------------------------------------- */

/*
 * Notes in each row that was tried what became of it last, as far as that can be found with a bounded look
 * at history: for a page of a list.
 */
int serve_rows_outcomes(struct spool *spool, struct serve_rows *rows, struct err *err);
/* Notes when the application had heard what became of each row last, if it was soon. */
int serve_rows_reported(struct spool *spool, struct serve_rows *rows, struct err *err);
/*
 * Adds rows of messages that were sent, the latest first, until there are limit of them.  at: go on behind
 * this instant, of which skip rows were shown already; 0: from now on.  account and batch may be NULL.  Where
 * it would have to read too much of history for all, *ret_before is an instant to go on at, else 0.
 */
int serve_rows_sent(struct spool *spool, const char *account, const char *batch, int64_t at,
    size_t skip, size_t limit, struct serve_rows *rows, int64_t *ret_before, struct err *err);
/* When an id came, about: an instant before which history says nothing of it; 0: not known.  *ret_known is
 * false where no message of this id can be there. */
int64_t serve_id_since(struct spool *spool, const char *id, bool *ret_known);
/* The second in which it was taken, without grace; 0: not known. */
int64_t serve_id_came(struct spool *spool, const char *id);

#endif
