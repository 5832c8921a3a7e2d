#include "cmd/submit/parts.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/num.h"
#include "mail/magic.h"
#include "spool/part/part.h"

/* What a record says of an attachment that is fetched later. */
#define REMOTE_MAX ((size_t)64 * 1024)

/* ---- storing --------------------------------------------------------------------------------- */

/* The first bytes of an attachment's file, as many as make it a part. */
static int
read_start(const struct mail_attachment *a, struct buf *start, struct err *err)
{
	size_t wanted = a->length < MAIL_PART_MIN ? (size_t)a->length : (size_t)MAIL_PART_MIN;

	(void)lseek(a->fd, a->start, SEEK_SET); /* a pipe is read as it comes */
	buf_reserve(start, wanted);
	while (start->len < wanted) {
		ssize_t n = read(a->fd, start->s + start->len, wanted - start->len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, EX_NOINPUT, "%s", a->filename);
		if (n == 0)
			break;
		start->len += (size_t)n;
	}
	return 0;
}

/* A small one is bytes from now on. */
static void
keep_in_memory(struct mail_attachment *a, struct buf *start)
{
	if (!a->borrowed)
		auto_close_fd(&a->fd);
	a->fd = -1;
	buf_release(&a->bytes);
	a->bytes = *start;
	buf_init(start, start->max);
}

static int
store_file(struct part_pins *pins, struct mail_attachment *a, const struct part_terms *terms,
    struct err *err)
{
	AUTO_BUF struct buf start = BUF_INIT(MAIL_PART_MIN);
	AUTO(part_abandon) struct part_writer *writer = NULL;
	struct mail_part part;

	if (read_start(a, &start, err) < 0)
		return -1;
	if (start.len < MAIL_PART_MIN) {
		keep_in_memory(a, &start);
		return 0;
	}
	if (lseek(a->fd, 0, SEEK_CUR) >= 0) {
		if (part_store_fd(pins, a->fd, a->start, a->length, terms, &part, err) < 0)
			return -1;
	} else {
		writer = part_write_begin(pins, terms, err);
		if (writer == NULL || part_write(writer, start.s, start.len, err) < 0 ||
		    part_write_fd(writer, a->fd,
			a->length == UINT64_MAX ? a->length : a->length - start.len, err) < 0 ||
		    part_write_end(&writer, &part, err) < 0)
			return -1;
	}
	mail_attachment_set_part(a, &part);
	return 0;
}

static int
store(struct part_pins *pins, struct mail_attachment *a, const struct part_terms *terms,
    struct err *err)
{
	struct mail_part part;

	if (a->part != NULL || a->remote != NULL)
		return 0;
	if (a->fd >= 0)
		return store_file(pins, a, terms, err);
	if (a->bytes.len < MAIL_PART_MIN)
		return 0;
	if (part_store_bytes(pins, a->bytes.s, a->bytes.len, terms, &part, err) < 0)
		return -1;
	mail_attachment_set_part(a, &part);
	return 0;
}

int
add_parts_store(struct add_queue *q, struct mail_message *message, struct err *err)
{
	const struct settings *s = q->settings;
	struct part_terms terms = { .magic = q->magic,
		.max = (uint64_t)s->attachments.max_size,
		.min_free_bytes = (uint64_t)s->queue.min_free_bytes,
		.min_free_inodes = (uint64_t)s->queue.min_free_inodes };

	if (add_queue_open_draft(q, err) < 0)
		return -1;
	for (size_t i = 0; i < message->attachment_count; i++) {
		struct mail_attachment *a = &message->attachments[i];

		terms.filename = a->filename;
		if (store(draft_pins(q->draft), a, &terms, err) == 0)
			continue;
		/* Of the message, unless it is the spool's own. */
		if (err->code == EX_DATAERR || err->code == EX_NOINPUT)
			return err_prefix(err, "attachments[%zu]", i);
		q->broken = true;
		return err_prefix(err, "attachments[%zu]", i);
	}
	return 0;
}

/* ---- their places ---------------------------------------------------------------------------- */

static int
count_text(void *arg, const void *bytes, size_t n)
{
	struct add_parts *parts = arg;

	(void)bytes;
	parts->text += n;
	return 0;
}

/* The second time all must be as it was the first. */
static int
confirm(struct add_parts *parts, const struct record_piece *piece)
{
	const struct record_piece *planned = &parts->pieces[parts->next];

	if (parts->next < parts->count && planned->kind == piece->kind &&
	    strcmp(planned->hash, piece->hash) == 0) {
		parts->next++;
		return 0;
	}
	return err_set(&parts->q->sink_err, EX_SOFTWARE,
	    "the message changed while it was written");
}

static struct record_piece *
add_piece(struct add_parts *parts, const struct record_piece *piece)
{
	if (parts->count == parts->room) {
		parts->room = parts->room > 0 ? 2 * parts->room : 4;
		parts->pieces = xreallocarray(parts->pieces, parts->room, sizeof *parts->pieces);
	}
	parts->pieces[parts->count] = *piece;
	parts->pieces[parts->count].offset = parts->text;
	return &parts->pieces[parts->count++];
}

static int
take_part(void *arg, const struct mail_part *part)
{
	struct add_parts *parts = arg;
	struct record_piece piece = { .kind = PIECE_PART,
		.size = part->size,
		.checksum = part->checksum };

	memcpy(piece.hash, part->hash, sizeof piece.hash);
	if (parts->planned)
		return add_queue_count_part(parts->q, part->size) < 0 ? -1 : confirm(parts, &piece);
	add_piece(parts, &piece);
	return 0;
}

/* {"filename"?, "content_type"?, "content_id"?, "source": what the message said} */
static char *
describe(const struct mail_attachment *a)
{
	AUTO_BUF struct buf out = BUF_INIT(REMOTE_MAX);
	struct json_writer w = JSON_WRITER(&out);

	json_begin_object(&w);
	json_member_str(&w, "filename", a->unnamed ? NULL : a->filename);
	json_member_str(&w, "content_type", a->content_type);
	json_member_str(&w, "content_id", a->content_id);
	json_key(&w, "source");
	if (json_finish(&w) < 0 || buf_adds(&out, a->remote) < 0 || buf_addc(&out, '}') < 0)
		return NULL;
	return xstrdup(out.s);
}

static int
take_remote(void *arg, const struct mail_attachment *a, const char *boundary)
{
	struct add_parts *parts = arg;
	struct record_piece piece = { .kind = PIECE_REMOTE };

	if (parts->planned)
		return confirm(parts, &piece);
	piece.json = describe(a);
	if (piece.json == NULL)
		return err_set(&parts->err, EX_DATAERR,
		    "attachments: what is said of %s is too long", a->filename);
	piece.boundary = xstrdup(boundary);
	add_piece(parts, &piece);
	return 0;
}

int
add_parts_plan(struct add_parts *parts, const struct mail_message *message,
    struct mail_compose_options *options, struct record *record, struct err *err)
{
	struct mail_sink counting = { count_text, parts };
	bool any = false;

	for (size_t i = 0; i < message->attachment_count; i++)
		any = any || message->attachments[i].part != NULL ||
		    message->attachments[i].remote != NULL;
	if (!any)
		return 0;
	mail_make_boundaries(&parts->boundaries);
	options->boundaries = &parts->boundaries;
	options->part = take_part;
	options->remote = take_remote;
	options->arg = parts;
	if (mail_compose(message, options, &counting, err) < 0) {
		if (parts->err.code != EX_OK)
			*err = parts->err;
		return -1;
	}
	parts->planned = true;
	record->pieces = parts->pieces;
	record->piece_count = parts->count;
	return 0;
}

void
add_parts_release(struct add_parts *parts)
{
	for (size_t i = 0; i < parts->count; i++) {
		free(parts->pieces[i].boundary);
		free(parts->pieces[i].json);
	}
	free(parts->pieces);
}
