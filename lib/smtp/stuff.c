#include "smtp/stuff.h"

#include <string.h>

static void
end_line(struct smtp_stuffer *st, struct buf *out)
{
	buf_add(out, "\r\n", 2);
	st->inside = false;
	st->pending_cr = false;
}

void
smtp_stuff(struct smtp_stuffer *st, struct buf *out, const char *bytes, size_t n)
{
	size_t i = 0, from = 0, end;
	const char *lf, *cr;

	/* [from, i) is content that goes out as it stands, and has not yet been appended. */
	while (i < n) {
		if (st->pending_cr) {
			end_line(st, out);
			if (bytes[i] == '\n')
				from = ++i;
			continue;
		}
		if (!st->inside && bytes[i] == '.') {
			buf_add(out, bytes + from, i - from);
			buf_addc(out, '.');
			from = i;
		}
		st->inside = true;
		lf = memchr(bytes + i, '\n', n - i);
		end = lf != NULL ? (size_t)(lf - bytes) : n;
		cr = memchr(bytes + i, '\r', end - i);
		if (lf != NULL && cr == lf - 1) {
			i = end + 1;
			st->inside = false;
		} else if (cr != NULL) {
			buf_add(out, bytes + from, (size_t)(cr - bytes) - from);
			from = i = (size_t)(cr - bytes) + 1;
			st->pending_cr = true;
		} else if (lf != NULL) {
			buf_add(out, bytes + from, end - from);
			end_line(st, out);
			from = i = end + 1;
		} else {
			i = n;
		}
	}
	buf_add(out, bytes + from, i - from);
}

void
smtp_stuff_end(struct smtp_stuffer *st, struct buf *out)
{
	if (st->pending_cr || st->inside)
		end_line(st, out);
	buf_add(out, ".\r\n", 3);
}
