/*
 * Replies of a server (RFC 5321 section 4.2), parsed as the bytes come in, however they are cut.
 */
#ifndef SMTP_REPLY_H
#define SMTP_REPLY_H

#include <stdbool.h>
#include <stddef.h>

#define SMTP_REPLY_TEXT 500

struct smtp_reply {
	int code;		    /* 200..599; 0: the words are our own, not a server's */
	char status[12];	    /* enhanced status code (RFC 3463), "5.1.1", or "" */
	char text[SMTP_REPLY_TEXT]; /* all lines behind their codes, joined by a space, the status
				     * code included; control characters and invalid UTF-8 as \xNN;
				     * cut with "..." */
};

struct smtp_reply_parser {
	struct smtp_reply reply;
	size_t text_len;
	size_t line_len; /* bytes of the present line so far */
	unsigned n_lines;
	int line_code; /* digits of the present line, as they come */
	bool last;     /* the present line is the last one */
	bool done;     /* reply was handed out: the next byte starts a new one */
	bool cr;       /* a CR whose LF has not come yet */
};

void smtp_reply_parser_init(struct smtp_reply_parser *p);

/*
 * Takes bytes up to the end of one reply.  Returns 1 when p->reply is complete (valid until the
 * next call), 0 when more bytes are needed, -1 when this is no SMTP reply: not a code, lines that
 * disagree, a line above 4096 bytes, more than 200 lines.  *ret_used is how many bytes were taken.
 */
int smtp_reply_feed(struct smtp_reply_parser *p, const char *bytes, size_t n, size_t *ret_used);

/* Fills a reply with our own words: code 0, status may be "". */
void smtp_reply_own(struct smtp_reply *reply, const char *status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* "550 5.1.1 no such user", or our own words alone: one line into text (size > 8); returns text. */
char *smtp_reply_line(const struct smtp_reply *reply, char *text, size_t size);

#endif
