/* What the files of the form reader share. */
#ifndef HTTP_FORM_PRIVATE_H
#define HTTP_FORM_PRIVATE_H

#include "base/buf.h"
#include "http/form.h"

enum form_state {
	FORM_PREAMBLE, /* before the first boundary */
	FORM_HEADERS,
	FORM_BLANK, /* at the empty line behind them */
	FORM_DATA,
	FORM_EPILOGUE, /* behind the last boundary */
	FORM_URL_NAME, /* of application/x-www-form-urlencoded */
	FORM_URL_VALUE,
};

struct form_reader {
	struct form_callbacks callbacks;
	void *arg;
	enum form_state state;
	unsigned parts;
	char delimiter[80]; /* CR LF "--" boundary */
	size_t delimiter_len;
	struct buf in;	/* not understood yet; the name, in FORM_URL_NAME */
	char escape[3]; /* of a value: an unfinished %XX */
	size_t escape_len;
};

/* Counts the part and calls begin for it. */
int form_begin_part(struct form_reader *f, const struct form_part *part, struct err *err);
/* Reads a part's headers (lines with CR LF) and begins it. */
int form_headers(struct form_reader *f, const char *text, size_t len, struct err *err);
int form_url_feed(struct form_reader *f, const char *bytes, size_t n, struct err *err);
int form_url_end(struct form_reader *f, struct err *err);
/* The file's name alone, without what could mislead: ret has size bytes. */
void form_file_name(const char *sent, char *ret, size_t size);
/* Copies text as UTF-8 (each byte a character of ISO 8859-1 where it is not), without control
 * characters, cut to fit. */
void form_text(const char *text, size_t len, char *ret, size_t size);

#endif
