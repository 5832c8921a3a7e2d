/*
 * Forms (http/form.h): a line with the Content-Type, then the body.  However it is cut, the same fields and
 * files come out.
 */
#include "fuzz.h"

#include "base/buf.h"
#include "base/utf8.h"
#include "http/form.h"

static int
begin(const struct form_part *part, void *arg, struct err *err)
{
	(void)err;
	FUZZ_CHECK(utf8_valid(part->name, strlen(part->name)));
	FUZZ_CHECK(part->filename == NULL || strpbrk(part->filename, "/\\") == NULL);
	return buf_addf(arg, "[%s] [%s] [%s]\n", part->name,
	    part->filename != NULL ? part->filename : "-", part->type != NULL ? part->type : "-");
}

static int
data(const char *bytes, size_t n, void *arg, struct err *err)
{
	(void)err;
	return buf_add(arg, bytes, n);
}

static int
end(void *arg, struct err *err)
{
	(void)err;
	return buf_addc(arg, '\n');
}

static int
feed(const char *type, const char *bytes, size_t n, size_t piece, struct buf *out)
{
	static const struct form_callbacks callbacks = { begin, data, end };
	struct err err = ERR_INIT;
	struct form_reader *form = form_new(type, &callbacks, out, &err);
	int rc = form != NULL ? 0 : -1;

	for (size_t at = 0; rc == 0 && at < n; at += piece) {
		size_t length = n - at < piece ? n - at : piece;
		char *copy = fuzz_copy(bytes + at, length);

		rc = form_feed(form, copy, length, &err);
		free(copy);
	}
	if (rc == 0)
		rc = form_end(form, &err);
	FUZZ_CHECK(rc == 0 || err.code != 0);
	form_free(form);
	return rc;
}

FUZZ(bytes, n)
{
	size_t piece = 1 + fuzz_choice(&bytes, &n), line = 0;
	AUTO_BUF struct buf whole = BUF_INIT((size_t)64 << 20), cut = BUF_INIT((size_t)64 << 20);
	AUTO_FREE char *type = NULL;
	char value[64];
	int rc;

	while (line < n && bytes[line] != '\n')
		line++;
	type = fuzz_text(bytes, line);
	form_parameter(type, "boundary", value, sizeof value);
	form_parameter(type, "filename", value, sizeof value);
	line += line < n;
	rc = feed(type, bytes + line, n - line, n + 1, &whole);
	FUZZ_CHECK(feed(type, bytes + line, n - line, piece, &cut) == rc);
	/* How much of a damaged form is handed over before its fault depends on the pieces. */
	if (rc == 0)
		FUZZ_CHECK(whole.len == cut.len && memcmp(whole.s, cut.s, whole.len) == 0);
}
