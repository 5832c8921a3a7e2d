/* What the capture transport has caught: found, read, and shown as JSON or as pages. */
#ifndef CMD_API_CAPTURED_H
#define CMD_API_CAPTURED_H

#include "capture/browse.h"
#include "cmd/serve/spill.h"
#include "mail/parse.h"

/* A Maildir that messages are captured in. */
struct captured_place {
	char *path;
	char *account; /* that captures there */
};

struct captured_places {
	struct captured_place *v;
	size_t n;
};

/* Those of all accounts that capture, and that of the built-in one. */
void captured_places(struct serve *serve, struct captured_places *ret);
void captured_places_release(struct captured_places *places);

/* One message, opened. */
struct captured {
	const char *id;
	const char *account;
	int fd;
	uint64_t size;
	struct mail_parsed mail; /* for lists: its header only */
};
#define CAPTURED_INIT                                                                              \
	{                                                                                          \
		.fd = -1, .mail = MAIL_PARSED_INIT                                                 \
	}
void captured_release(struct captured *c);
/* The texts that are shown, as far as they go. */
#define CAPTURED_TEXT_MAX ((size_t)1024 * 1024)
#define CAPTURED_HTML_MAX ((size_t)4 * 1024 * 1024)

/* ---- captured_page.c: for people ---------------------------------------------------------- */

struct captured_row {
	char *id, *subject, *from, *to;
	int64_t at;
	uint64_t size;
};
/* next: the cursor of the page with older ones, or NULL. */
void captured_reply_list(struct http_request *r, const struct captured_row *rows, size_t n,
    uint64_t total, const char *next, int64_t limit);
void captured_reply_message(struct http_request *r, const struct captured *c);
/* The HTML, with its images in it and nothing else that a browser would have to fetch. */
void captured_reply_html(struct http_request *r, const struct captured *c,
    const struct mail_parsed_part *html);
/* A text as one segment of a path, or a value of a query. */
void captured_add_escaped(struct buf *out, const char *text);

#endif
