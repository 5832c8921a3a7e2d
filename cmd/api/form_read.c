/* A form on its way in: texts are held, files go to disk. */
#include "cmd/api/form.h"

#include <stdio.h>
#include <string.h>

/* ---- texts ------------------------------------------------------------------------------------- */

/* Appends to b, whose memory is out of what all forms together may hold. */
static int
hold(struct upload *u, struct buf *b, const char *bytes, size_t n, struct err *err)
{
	atomic_size_t *all = &u->serve->forms;

	if (n > b->max - b->len)
		return err_set(err, EX_DATAERR, "longer than %zu bytes", b->max);
	if (atomic_fetch_add(all, n) + n > u->memory_max) {
		atomic_fetch_sub(all, n);
		return err_set(err, EX_TEMPFAIL,
		    "forms on their way in hold all of server.body_memory");
	}
	u->memory += n;
	return buf_add(b, bytes, n);
}

/* ---- addresses --------------------------------------------------------------------------------- */

/* One address; or several with commas between, as the original's page for trying out sent them. */
static void
take_emails(struct upload *u)
{
	struct err err = ERR_INIT;
	size_t before = u->emails.count;
	char path[64];

	snprintf(path, sizeof path, "body.emails[%zu]", u->email_count++);
	if (mail_addresses_parse(&u->emails, u->text.s, u->text.len, NULL, 0, &err) < 0)
		serve_fault(&u->faults, path, NULL, "value_error.email",
		    "value is not a valid email address: %s", err.msg);
	else if (u->emails.count == before)
		serve_fault(&u->faults, path, NULL, "value_error.email",
		    "value is not a valid email address: it is empty");
	else if (before <= UPLOAD_EMAILS_MAX && u->emails.count > UPLOAD_EMAILS_MAX)
		serve_fault(&u->faults, "body", "emails", "value_error.list.max_items",
		    "ensure this value has at most %d items", UPLOAD_EMAILS_MAX);
}

/* ---- files ------------------------------------------------------------------------------------- */

static void
file_begin(struct upload *u, const char *filename)
{
	if (u->file_count == UPLOAD_FILES_MAX) {
		serve_fault(&u->faults, "body", "files", "value_error.list.max_items",
		    "ensure this value has at most %d items", UPLOAD_FILES_MAX);
		u->skip = true;
		return;
	}
	u->file = xreallocarray(u->file, u->file_count + 1, sizeof *u->file);
	u->file[u->file_count++] =
	    (struct upload_file){ .filename = xstrdup(filename), .start = u->files.size };
}

static int
file_data(struct upload *u, const char *bytes, size_t n, struct err *err)
{
	if (!u->is_file) {
		serve_fault(&u->faults, "body", "files", "value_error", "expected a file");
		u->skip = true;
		return 0;
	}
	u->file[u->file_count - 1].length += n;
	return spill_add(&u->files, bytes, n, err);
}

/* A browser sends a field for a file where none was chosen. */
static void
file_end(struct upload *u)
{
	struct upload_file *file = &u->file[u->file_count - 1];

	if (file->length > 0 || file->filename[0] != '\0')
		return;
	free(file->filename);
	u->file_count--;
}

/* ---- parts ------------------------------------------------------------------------------------- */

static void
note(struct upload *u, const char *text)
{
	if (u->digest != NULL)
		digest_add(u->digest, text, strlen(text) + 1);
}

static enum upload_field
field_of(const char *name)
{
	static const char *const names[] = { [UPLOAD_EMAILS] = "emails",
		[UPLOAD_SUBJECT] = "subject",
		[UPLOAD_BODY] = "body",
		[UPLOAD_FILES] = "files" };

	for (unsigned int i = UPLOAD_EMAILS; i < sizeof names / sizeof names[0]; i++)
		if (strcmp(names[i], name) == 0)
			return (enum upload_field)i;
	return UPLOAD_OTHER;
}

/* Where the texts of a field go; NULL: it has none. */
static struct buf *
text_of(struct upload *u)
{
	switch (u->field) {
	case UPLOAD_EMAILS:
		return &u->text;
	case UPLOAD_SUBJECT:
		return &u->subject;
	case UPLOAD_BODY:
		return &u->body;
	default:
		return NULL;
	}
}

static int
part_begin(const struct form_part *part, void *arg, struct err *err)
{
	struct upload *u = arg;

	(void)err;
	u->field = field_of(part->name);
	u->is_file = part->filename != NULL;
	u->skip = u->field == UPLOAD_OTHER;
	u->part_bytes = 0;
	if (u->skip)
		return 0;
	note(u, part->name);
	note(u, u->is_file ? part->filename : "");
	if (u->field == UPLOAD_FILES) {
		if (u->is_file)
			file_begin(u, part->filename);
		return 0;
	}
	if (u->is_file) {
		serve_fault(&u->faults, "body", part->name, "type_error.str", "str type expected");
		u->skip = true;
	}
	/* Of a field that may be there once, the last one counts. */
	buf_clear(text_of(u));
	return 0;
}

static int
part_data(const char *bytes, size_t n, void *arg, struct err *err)
{
	struct upload *u = arg;

	if (u->digest != NULL && u->field != UPLOAD_OTHER)
		digest_add(u->digest, bytes, n);
	u->part_bytes += n;
	if (u->skip)
		return 0;
	if (u->field == UPLOAD_FILES)
		return file_data(u, bytes, n, err);
	if (hold(u, text_of(u), bytes, n, err) == 0)
		return 0;
	if (err->code == EX_DATAERR) {
		serve_fault(&u->faults, "body",
		    u->field == UPLOAD_EMAILS	   ? "emails" :
			u->field == UPLOAD_SUBJECT ? "subject" :
						     "body",
		    "value_error.any_str.max_length", "%s", err->msg);
		u->skip = true;
		return 0;
	}
	return -1;
}

static int
part_end(void *arg, struct err *err)
{
	struct upload *u = arg;

	(void)err;
	if (u->digest != NULL && u->field != UPLOAD_OTHER)
		digest_add(u->digest, &u->part_bytes, sizeof u->part_bytes);
	if (u->skip)
		return 0;
	if (u->field == UPLOAD_EMAILS)
		take_emails(u);
	if (u->field == UPLOAD_FILES && u->is_file)
		file_end(u);
	return 0;
}

/* ---- the request ------------------------------------------------------------------------------- */

/* The form cannot be read on. */
static void
reply_broken(struct http_request *r, const struct err *err)
{
	struct serve_faults faults;

	if (err->code != EX_DATAERR) {
		serve_reply_err(r, err);
		return;
	}
	serve_faults_init(&faults);
	serve_fault(&faults, "body", NULL, "value_error.form", "%s", err->msg);
	serve_faults_reply(r, &faults);
}

void
serve_form_begin(struct http_request *r, void *arg)
{
	static const struct form_callbacks callbacks = { part_begin, part_data, part_end };
	struct upload *u = xcalloc(1, sizeof *u);
	const struct serve_config *config = serve_config_peek(arg);
	struct err err = ERR_INIT;

	http_set_state(r, u);
	u->serve = arg;
	u->memory_max = (size_t)config->settings.server.body_memory;
	buf_init(&u->text, UPLOAD_TEXT_MAX);
	buf_init(&u->subject, MAIL_HEADER_VALUE_MAX);
	buf_init(&u->body, (size_t)config->settings.queue.max_message_size);
	serve_config_put(arg, config);
	spill_init(&u->files, arg);
	serve_faults_init(&u->faults);
	if (http_header(r, SERVE_ONCE_HEADER) != NULL)
		u->digest = digest_begin();
	u->form = form_new(http_header(r, "Content-Type"), &callbacks, u, &err);
	if (u->form == NULL)
		reply_broken(r, &err);
}

void
serve_form_piece(struct http_request *r, const char *bytes, size_t n, void *arg)
{
	struct upload *u = http_state(r);
	struct err err = ERR_INIT;

	(void)arg;
	if (form_feed(u->form, bytes, n, &err) < 0)
		reply_broken(r, &err);
}

bool
upload_end(struct http_request *r, struct upload *u)
{
	struct err err = ERR_INIT;

	if (form_end(u->form, &err) == 0)
		return true;
	reply_broken(r, &err);
	return false;
}

void
serve_form_end(struct http_request *r, void *arg)
{
	struct upload *u = http_state(r);

	(void)arg;
	form_free(u->form);
	atomic_fetch_sub(&u->serve->forms, u->memory);
	mail_addresses_release(&u->emails);
	for (size_t i = 0; i < u->file_count; i++)
		free(u->file[i].filename);
	free(u->file);
	spill_release(&u->files);
	buf_release(&u->text);
	buf_release(&u->subject);
	buf_release(&u->body);
	serve_faults_release(&u->faults);
	digest_end(&u->digest, NULL);
	free(u);
}
