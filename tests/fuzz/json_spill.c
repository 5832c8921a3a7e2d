/* JSON whose long strings go elsewhere (base/json_spill.h): the same, however it is cut. */
#include "fuzz.h"

#include "base/buf.h"
#include "base/json.h"
#include "base/json_spill.h"

struct spilt {
	struct buf out, data;
	unsigned long marks, open;
};

static int
out(void *arg, const char *bytes, size_t n)
{
	struct spilt *s = arg;

	return buf_add(&s->out, bytes, n);
}

static int
begin(void *arg, size_t key, unsigned long *ret_number)
{
	struct spilt *s = arg;

	FUZZ_CHECK(key < 2 && s->open == 0);
	s->open = 1;
	*ret_number = s->marks++;
	return 0;
}

static int
data(void *arg, const char *bytes, size_t n)
{
	struct spilt *s = arg;

	FUZZ_CHECK(s->open == 1);
	return buf_add(&s->data, bytes, n);
}

static int
end(void *arg)
{
	struct spilt *s = arg;

	FUZZ_CHECK(s->open == 1);
	s->open = 0;
	return buf_addc(&s->data, '\n');
}

static void
spill(const char *bytes, size_t n, size_t piece, struct spilt *s)
{
	static const char *const keys[] = { "content", "storage_path", NULL };
	static const struct json_spill_calls calls = { keys, 8, out, begin, data, end };
	struct json_spill *spill = json_spill_new(&calls, s);
	int rc = 0;

	for (size_t at = 0; rc == 0 && at < n; at += piece) {
		size_t length = n - at < piece ? n - at : piece;
		char *copy = fuzz_copy(bytes + at, length);

		rc = json_spill_feed(spill, copy, length);
		free(copy);
	}
	FUZZ_CHECK(rc == 0 && json_spill_end(spill) == 0);
	json_spill_free(spill);
}

FUZZ(bytes, n)
{
	size_t piece = 1 + fuzz_choice(&bytes, &n);
	struct spilt whole = { BUF_INIT(40 * n + 64), BUF_INIT(40 * n + 64), 0, 0 },
		     cut = { BUF_INIT(40 * n + 64), BUF_INIT(40 * n + 64), 0, 0 };

	spill(bytes, n, n + 1, &whole);
	spill(bytes, n, piece, &cut);
	FUZZ_CHECK(whole.out.len == cut.out.len);
	FUZZ_CHECK(memcmp(whole.out.s, cut.out.s, whole.out.len) == 0);
	FUZZ_CHECK(whole.data.len == cut.data.len);
	FUZZ_CHECK(memcmp(whole.data.s, cut.data.s, whole.data.len) == 0);
	FUZZ_CHECK(whole.marks == cut.marks);
	json_free(json_parse_marked(whole.out.s, whole.out.len, 1, NULL));
	buf_release(&whole.out);
	buf_release(&whole.data);
	buf_release(&cut.out);
	buf_release(&cut.data);
}
