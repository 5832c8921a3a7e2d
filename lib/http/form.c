#include "http/form_private.h"

#include <string.h>
#include <strings.h>

#define SLICE (16 * 1024) /* looked at a time */
#define PADDING_MAX 200	  /* blanks behind a boundary (RFC 2046 section 5.1.1) */
#define BOUNDARY_MAX 70

int
form_begin_part(struct form_reader *f, const struct form_part *part, struct err *err)
{
	if (f->parts++ == FORM_PARTS_MAX)
		return err_set(err, EX_DATAERR, "the form has more than %d parts", FORM_PARTS_MAX);
	return f->callbacks.begin(part, f->arg, err);
}

static bool
is_type(const char *field, const char *type)
{
	size_t n = strlen(type);

	return strncasecmp(field, type, n) == 0 && strchr(" \t;", field[n]) != NULL;
}

struct form_reader *
form_new(const char *content_type, const struct form_callbacks *callbacks, void *arg,
    struct err *err)
{
	struct form_reader *f;
	char boundary[BOUNDARY_MAX + 1];

	if (content_type == NULL)
		content_type = "";
	if (is_type(content_type, "multipart/form-data")) {
		if (form_parameter(content_type, "boundary", boundary, sizeof boundary) != 1 ||
		    *boundary == '\0' || boundary[strlen(boundary) - 1] == ' ') {
			err_set(err, EX_DATAERR,
			    "Content-Type: expected a boundary of 1 to %d characters",
			    BOUNDARY_MAX);
			return NULL;
		}
	} else if (!is_type(content_type, "application/x-www-form-urlencoded")) {
		err_set(err, EX_DATAERR, "Content-Type: expected multipart/form-data");
		return NULL;
	} else
		*boundary = '\0';
	f = xcalloc(1, sizeof *f);
	f->callbacks = *callbacks;
	f->arg = arg;
	if (*boundary == '\0') {
		f->state = FORM_URL_NAME;
		buf_init(&f->in, 3 * FORM_NAME_MAX);
		return f;
	}
	f->state = FORM_PREAMBLE;
	f->delimiter_len =
	    (size_t)snprintf(f->delimiter, sizeof f->delimiter, "\r\n--%s", boundary);
	buf_init(&f->in, SLICE + FORM_HEADERS_MAX + sizeof f->delimiter + PADDING_MAX);
	/* The first boundary may stand at the very beginning. */
	buf_adds(&f->in, "\r\n");
	return f;
}

void
form_free(struct form_reader *f)
{
	if (f == NULL)
		return;
	buf_release(&f->in);
	free(f);
}

/* ---- multipart --------------------------------------------------------------------------------- */

/* n bytes at the front are content, or what stands before the first part. */
static int
give(struct form_reader *f, size_t n, struct err *err)
{
	if (n == 0)
		return 0;
	if (f->state == FORM_DATA && f->callbacks.data(f->in.s, n, f->arg, err) < 0)
		return -1;
	buf_consume(&f->in, n);
	return 0;
}

/*
 * What follows a delimiter's text, s of n bytes: the length of a boundary line's end (blanks, CR LF),
 * or of "--" with *ret_last set; 0: more bytes are needed to tell; -1: it is content that looks alike.
 */
static ssize_t
line_end(const char *s, size_t n, bool *ret_last)
{
	size_t i = 0;

	*ret_last = false;
	if (n >= 1 && s[0] == '-') {
		*ret_last = true;
		return n == 1 ? 0 : s[1] == '-' ? 2 : -1;
	}
	while (i < n && (s[i] == ' ' || s[i] == '\t'))
		if (++i > PADDING_MAX)
			return -1;
	if (i == n)
		return 0;
	if (s[i] != '\r')
		return -1;
	if (i + 1 == n)
		return 0;
	return s[i + 1] == '\n' ? (ssize_t)i + 2 : -1;
}

/* Goes on to the next boundary.  1: there may be more to do; 0: more input is needed. */
static int
to_boundary(struct form_reader *f, struct err *err)
{
	const char *at = memmem(f->in.s, f->in.len, f->delimiter, f->delimiter_len);
	size_t before;
	ssize_t end;
	bool last;

	if (at == NULL) {
		before = f->in.len >= f->delimiter_len ? f->in.len - f->delimiter_len + 1 : 0;
		return give(f, before, err);
	}
	before = (size_t)(at - f->in.s);
	end = line_end(at + f->delimiter_len, f->in.len - before - f->delimiter_len, &last);
	if (end < 0) /* its CR can begin no other boundary */
		return give(f, before + 1, err) < 0 ? -1 : 1;
	if (give(f, before, err) < 0)
		return -1;
	if (end == 0)
		return 0;
	buf_consume(&f->in, f->delimiter_len + (size_t)end);
	if (f->state == FORM_DATA && f->callbacks.end(f->arg, err) < 0)
		return -1;
	f->state = last ? FORM_EPILOGUE : FORM_HEADERS;
	return 1;
}

static int
to_content(struct form_reader *f, struct err *err)
{
	const char *end;
	size_t n;

	if (f->in.len >= 2 && memcmp(f->in.s, "\r\n", 2) == 0)
		return form_headers(f, f->in.s, 0, err);
	end = memmem(f->in.s, f->in.len, "\r\n\r\n", 4);
	n = end != NULL ? (size_t)(end + 2 - f->in.s) : f->in.len;
	if (n > FORM_HEADERS_MAX)
		return err_set(err, EX_DATAERR, "the headers of a part: more than %d bytes",
		    FORM_HEADERS_MAX);
	if (end == NULL)
		return 0;
	if (form_headers(f, f->in.s, n, err) < 0)
		return -1;
	buf_consume(&f->in, n);
	f->state = FORM_BLANK;
	return 1;
}

/* At the empty line: a part without content may end with it, when its CR LF is the boundary's. */
static int
past_blank(struct form_reader *f)
{
	size_t n = f->in.len < f->delimiter_len ? f->in.len : f->delimiter_len;
	ssize_t end = -1;
	bool last;

	if (memcmp(f->in.s, f->delimiter, n) == 0)
		end = line_end(f->in.s + n, f->in.len - n, &last);
	if (end == 0)
		return 0;
	if (end < 0)
		buf_consume(&f->in, 2);
	f->state = FORM_DATA;
	return 1;
}

static int
step(struct form_reader *f, struct err *err)
{
	switch (f->state) {
	case FORM_HEADERS:
		return to_content(f, err);
	case FORM_BLANK:
		return past_blank(f);
	case FORM_EPILOGUE:
		buf_clear(&f->in);
		return 0;
	default:
		return to_boundary(f, err);
	}
}

int
form_feed(struct form_reader *f, const char *bytes, size_t n, struct err *err)
{
	if (f->state >= FORM_URL_NAME)
		return form_url_feed(f, bytes, n, err);
	while (n > 0) {
		size_t some = n < SLICE ? n : SLICE;
		int rc;

		if (buf_add(&f->in, bytes, some) < 0)
			return err_set(err, EX_SOFTWARE, "a form's buffer is full");
		bytes += some;
		n -= some;
		do
			rc = step(f, err);
		while (rc > 0);
		if (rc < 0)
			return -1;
	}
	return 0;
}

int
form_end(struct form_reader *f, struct err *err)
{
	if (f->state >= FORM_URL_NAME)
		return form_url_end(f, err);
	if (f->state != FORM_EPILOGUE)
		return err_set(err, EX_DATAERR,
		    "the form is cut off: its last boundary is missing");
	return 0;
}
