/* The messages of an endless text (base/json_stream.h): the same ones, however it is cut. */
#include "fuzz.h"

#include "base/buf.h"
#include "base/json_stream.h"

#define ELEMENT_MAX 200

static int
each(const struct json_element *element, void *arg)
{
	struct buf *out = arg;

	FUZZ_CHECK((element->text == NULL) == (element->problem != NULL));
	FUZZ_CHECK(element->text == NULL || element->len <= ELEMENT_MAX);
	buf_addf(out, "%llu %llu ", (unsigned long long)element->index,
	    (unsigned long long)element->line);
	if (element->text != NULL)
		buf_add(out, element->text, element->len);
	else
		buf_adds(out, element->problem);
	return buf_addc(out, '\n');
}

static void
feed(const char *bytes, size_t n, size_t piece, struct buf *out)
{
	struct json_stream *stream = json_stream_new(ELEMENT_MAX, each, out);

	for (size_t at = 0; at < n; at += piece) {
		size_t length = n - at < piece ? n - at : piece;
		char *copy = fuzz_copy(bytes + at, length);

		FUZZ_CHECK(json_stream_feed(stream, copy, length) == 0);
		free(copy);
	}
	FUZZ_CHECK(json_stream_end(stream) == 0);
	json_stream_free(stream);
}

FUZZ(bytes, n)
{
	size_t piece = 1 + fuzz_choice(&bytes, &n);
	AUTO_BUF struct buf whole = BUF_INIT((size_t)256 << 20), cut = BUF_INIT((size_t)256 << 20);

	feed(bytes, n, n + 1, &whole);
	feed(bytes, n, piece, &cut);
	FUZZ_CHECK(whole.len == cut.len && memcmp(whole.s, cut.s, whole.len) == 0);
}
