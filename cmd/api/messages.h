/* Lists of messages, page by page. */
#ifndef CMD_API_MESSAGES_H
#define CMD_API_MESSAGES_H

#include "cmd/api/rows.h"

/* Room for a cursor: names of up to NAME_MAX bytes, escaped. */
#define SERVE_CURSOR_SIZE (12 * NAME_SIZE)

/*
 * Where a list goes on, as text that stands in a query as it is: "failed~2fmain~2f2.17...".  In the queue,
 * behind a place; among what was sent, behind an instant and so many rows of that instant.
 */
struct serve_cursor {
	enum state state;
	char runner[NAME_SIZE], lane[NAME_SIZE], bucket[NAME_SIZE], text[NAME_SIZE];
	bool placed; /* else: from the beginning of this state */
	int64_t at;
	size_t skip;
};
void serve_cursor_format(const struct serve_cursor *cursor, char ret[SERVE_CURSOR_SIZE]);
/* -1 where it is none. */
int serve_cursor_parse(const char *text, struct serve_cursor *ret);

/* Which messages a list is of, in which order. */
struct serve_list {
	const enum state *states; /* one after the other; ends with STATE_NONE */
	const char *account, *batch;
	size_t recipients; /* to show of each at the most */
	bool outcomes;	   /* with what became of those that were tried */
};
/* The states of GET /messages: all, or only those that are not over. */
extern const enum state serve_states_all[], serve_states_active[];
/* The states of one word, the queue's own or the first service's; NULL where it is none. */
const enum state *serve_states_of(const char *word);

/* A page; next is "" where nothing follows.  -1 after it has answered (422 for the cursor, 500). */
int serve_list_read(struct http_request *r, struct spool *spool, const struct serve_list *list,
    const struct serve_page *page, struct serve_rows *rows, char next[SERVE_CURSOR_SIZE]);

/* One message as it is now, with its id: 1; 0: there is none; -1 with err.  *ret_why is filled where it
 * stands in the queue. */
int serve_find_message(struct spool *spool, const struct settings *settings, const char *id,
    struct serve_rows *rows, struct why *ret_why, struct err *err);

#endif
