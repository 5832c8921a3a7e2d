/* The attachments of a message in JSON: where their contents come from. */
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "mail/message_json_private.h"
#include "mail/mime.h"
#include "mail/source.h"

#define ATTACHMENT_MAX ((size_t)64 << 20)
#define NAME_MAX_BYTES 4096 /* of a file name as it comes, with what is cut off */

/* One attachment, and where it stands. */
struct source {
	const struct json *object;
	size_t index;
	struct buf name;      /* what of the file's name is left where it says an MD5, */
	const char *filename; /* or as it came; NULL: none */
	struct buf marked_md5;
	const char *md5; /* 32 hexadecimal digits; NULL: none */
	const char *type, *content_id;
};

static struct place
inside(const struct source *s, const char *member)
{
	return (struct place){ "attachments", NULL, (ssize_t)s->index, member };
}

static void
fault(struct reader *r, const struct source *s, const char *member, const char *msg)
{
	mail_json_fault(r, inside(s, member), "value_error", msg);
}

static size_t
max_size(const struct reader *r)
{
	return r->options->attachment_max > 0 ? r->options->attachment_max : ATTACHMENT_MAX;
}

/* What is said of the attachment beside its content; a is NULL after a fault of its name. */
static void
describe(struct reader *r, const struct source *s, struct mail_attachment *a,
    const struct err *name_err)
{
	struct err err = ERR_INIT;

	if (a == NULL) {
		mail_json_err(r, inside(s, "filename"), name_err);
		return;
	}
	if (s->type != NULL && mail_attachment_set(a, s->type, NULL, &err) < 0)
		fault(r, s,
		    json_get_set(s->object, "mime_type") != NULL ? "mime_type" : "content_type",
		    "expected a type like image/png, and neither message/ nor multipart/");
	if (s->content_id != NULL && mail_attachment_set(a, NULL, s->content_id, &err) < 0)
		fault(r, s, json_get_set(s->object, "content_id") != NULL ? "content_id" : "cid",
		    "expected printable ASCII without blanks and <>()\"");
}

/* ---- contents that are here ----------------------------------------------------------------- */

static void
too_large(struct reader *r, const struct source *s, const char *member)
{
	struct err err = ERR_INIT;

	err_set(&err, EX_DATAERR, "larger than %zu bytes", max_size(r));
	fault(r, s, member, err.msg);
}

static void
not_base64(struct reader *r, const struct source *s, const char *member, uint64_t at)
{
	struct err err = ERR_INIT;

	err_set(&err, EX_DATAERR, "invalid base64 at byte %llu", (unsigned long long)at + 1);
	fault(r, s, member, err.msg);
}

static void
read_base64(struct reader *r, const struct source *s, const char *member, const char *text)
{
	size_t at, len = strlen(text);
	struct buf bytes AUTO_BUF = BUF_INIT(len / 4 * 3 + 6);
	struct err err = ERR_INIT;

	if (mail_base64_decode(&bytes, text, len, &at) < 0)
		not_base64(r, s, member, at);
	else if (bytes.len > max_size(r))
		too_large(r, s, member);
	else
		describe(r, s, mail_message_attach_bytes(r->m, s->filename, &bytes, &err), &err);
}

/* One that was long, and is decoded already. */
static void
read_marked(struct reader *r, const struct source *s, const char *member,
    const struct mail_marked *marked)
{
	struct err err = ERR_INIT;

	if (marked->fault == MAIL_MARKED_NOT_BASE64) {
		not_base64(r, s, member, marked->fault_at);
	} else if (marked->fault == MAIL_MARKED_TOO_LARGE || marked->length > max_size(r)) {
		too_large(r, s, member);
	} else if (marked->fd >= 0) {
		describe(r, s,
		    mail_message_attach_range(r->m, s->filename, marked->fd, (off_t)marked->start,
			marked->length, &err),
		    &err);
	} else {
		struct buf bytes AUTO_BUF = BUF_INIT((size_t)marked->length);

		buf_add(&bytes, marked->bytes, (size_t)marked->length);
		describe(r, s, mail_message_attach_bytes(r->m, s->filename, &bytes, &err), &err);
	}
}

static void
read_file(struct reader *r, const struct source *s, const char *member, const char *path)
{
	const char *filename = s->filename != NULL && *s->filename != '\0' ? s->filename : path;
	struct err err = ERR_INIT;
	struct stat st;
	int fd;

	if (r->options->open_path == NULL) {
		fault(r, s, member, "files are not allowed here");
		return;
	}
	fd = r->options->open_path(r->options->arg, path, &err);
	if (fd < 0) {
		fault(r, s, member, err.msg);
		return;
	}
	if (fstat(fd, &st) == 0 && st.st_size > 0 && (uint64_t)st.st_size > max_size(r)) {
		auto_close_fd(&fd);
		too_large(r, s, member);
		return;
	}
	describe(r, s, mail_message_attach_fd(r->m, filename, fd, &err), &err);
}

/* ---- remote ones ---------------------------------------------------------------------------- */

static void
attach_remote(struct reader *r, const struct source *s, struct mail_source *source)
{
	struct buf json AUTO_BUF = BUF_INIT(MAIL_SOURCE_MAX);
	struct err err = ERR_INIT;

	source->md5 = s->md5;
	mail_source_json(source, &json);
	describe(r, s, mail_message_attach_remote(r->m, s->filename, json.s, &err), &err);
}

static void
read_url(struct reader *r, const struct source *s, const char *member, const char *text)
{
	struct buf url AUTO_BUF = BUF_INIT((size_t)4 * MAIL_URL_MAX);
	struct mail_source source = { 0 };
	struct err err = ERR_INIT;

	if (mail_source_url(text, &url, &err) < 0) {
		fault(r, s, member, err.msg);
		return;
	}
	source.url = url.s;
	attach_remote(r, s, &source);
}

static void
read_s3(struct reader *r, const struct source *s, const char *member, const char *bucket,
    const char *key)
{
	struct mail_source source = { .bucket = bucket, .key = key };
	struct err err = ERR_INIT;

	if (r->options->no_s3 != NULL)
		fault(r, s, member, r->options->no_s3);
	else if (mail_source_s3(bucket, key, &err) < 0)
		fault(r, s, member, err.msg);
	else
		attach_remote(r, s, &source);
}

static void
read_s3_object(struct reader *r, const struct source *s)
{
	const struct json *object = json_get_set(s->object, "s3");
	const char *bucket = json_string(json_get(object, "bucket"));
	const char *key = json_string(json_get(object, "key"));

	if (json_kind(object) != JSON_OBJECT)
		mail_json_fault(r, inside(s, "s3"), "type_error.dict", "value is not a valid dict");
	else if (bucket == NULL || key == NULL)
		mail_json_fault(r, inside(s, "s3"),
		    json_get_set(object, bucket == NULL ? "bucket" : "key") == NULL ?
			"value_error.missing" :
			"type_error.str",
		    bucket == NULL ? "bucket: expected a string" : "key: expected a string");
	else
		read_s3(r, s, "s3", bucket, key);
}

/* "s3:bucket/key", "s3://bucket/key", or without "s3:" where fetch_mode says it. */
static void
read_s3_path(struct reader *r, const struct source *s, const char *path)
{
	const char *slash;
	char *bucket AUTO_FREE = NULL;

	if (strncmp(path, "s3:", 3) == 0)
		path += 3;
	if (strncmp(path, "//", 2) == 0)
		path += 2;
	slash = strchr(path, '/');
	if (slash == NULL) {
		fault(r, s, "storage_path", "expected s3:BUCKET/KEY");
		return;
	}
	bucket = xstrndup(path, (size_t)(slash - path));
	read_s3(r, s, "storage_path", bucket, slash + 1);
}

/* ---- the first service's later form --------------------------------------------------------- */

enum mode { MODE_BASE64, MODE_URL, MODE_FILE, MODE_S3, MODE_ENDPOINT, MODE_STORAGE, MODE_NONE };

static bool
begins(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* By fetch_mode, in that service's words and in plain ones; MODE_NONE for any other. */
static enum mode
mode_of(const char *word)
{
	static const struct {
		const char *word;
		enum mode mode;
	} words[] = {
		{ "base64", MODE_BASE64 },
		{ "http_url", MODE_URL },
		{ "url", MODE_URL },
		{ "filesystem", MODE_FILE },
		{ "path", MODE_FILE },
		{ "s3", MODE_S3 },
		{ "endpoint", MODE_ENDPOINT },
		{ "storage", MODE_STORAGE },
	};

	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (strcmp(words[i].word, word) == 0)
			return words[i].mode;
	return MODE_NONE;
}

/* By the beginning. */
static enum mode
mode_by_beginning(const char *stored)
{
	if (begins(stored, "base64:"))
		return MODE_BASE64;
	if (strncasecmp(stored, "http://", 7) == 0 || strncasecmp(stored, "https://", 8) == 0)
		return MODE_URL;
	if (begins(stored, "s3:"))
		return MODE_S3;
	if (*stored == '/')
		return MODE_FILE;
	return *stored == '@' ? MODE_ENDPOINT : MODE_NONE;
}

static void
read_stored(struct reader *r, const struct source *s, const char *stored, enum mode mode)
{
	switch (mode) {
	case MODE_BASE64:
		read_base64(r, s, "storage_path",
		    stored + (begins(stored, "base64:") ? strlen("base64:") : 0));
		break;
	case MODE_URL:
		read_url(r, s, "storage_path", stored);
		break;
	case MODE_FILE:
		read_file(r, s, "storage_path", stored);
		break;
	case MODE_S3:
		read_s3_path(r, s, stored);
		break;
	case MODE_STORAGE:
		if (begins(stored, "s3:"))
			read_s3_path(r, s, stored);
		else
			fault(r, s, "storage_path",
			    "of all storage volumes, only s3:BUCKET/KEY is supported");
		break;
	case MODE_ENDPOINT:
		fault(r, s, "storage_path",
		    "an endpoint of the application is not asked for attachments: give content, "
		    "a URL or a path");
		break;
	case MODE_NONE:
		fault(r, s, "storage_path",
		    "expected base64:CONTENT, http(s)://..., s3:BUCKET/KEY or an absolute path");
		break;
	}
}

/* ---- one attachment ------------------------------------------------------------------------- */

/* The member as a string; *ok becomes false where it is of another kind. */
static const char *
get_member(struct reader *r, const struct source *s, const char *name, bool *ok)
{
	const struct json *value = json_get_set(s->object, name);

	if (value != NULL && json_kind(value) != JSON_STRING && json_kind(value) != JSON_MARK) {
		mail_json_fault(r, inside(s, name), "type_error.str", "str type expected");
		*ok = false;
	}
	return json_string(value);
}

/* What a mark in place of this member stands for; NULL: there is none. */
static const struct mail_marked *
get_marked(const struct reader *r, const struct source *s, const char *name)
{
	unsigned long number;

	if (r->options->marked == NULL || json_to_mark(json_get(s->object, name), &number) < 0)
		return NULL;
	return r->options->marked(r->options->marked_arg, number);
}

/* Of two names for a member, what the first of them that is there says. */
static const char *
get_either(struct reader *r, const struct source *s, const char *name, const char *other, bool *ok)
{
	const char *text = get_member(r, s, name, ok);

	return json_get_set(s->object, name) != NULL ? text : get_member(r, s, other, ok);
}

static void
read_storage_path(struct reader *r, const struct source *s)
{
	const struct mail_marked *marked = get_marked(r, s, "storage_path");
	const char *stored = json_string(json_get(s->object, "storage_path"));
	const char *word = json_string(json_get(s->object, "fetch_mode"));
	enum mode mode = word != NULL && *word != '\0' ? mode_of(word) : MODE_NONE;

	if (word != NULL && *word != '\0' && mode == MODE_NONE)
		mail_json_fault(r, inside(s, "fetch_mode"), "value_error.const",
		    "unexpected value; permitted: 'base64', 'http_url', 'filesystem', 's3'");
	else if (marked != NULL && (mode == MODE_BASE64 || (mode == MODE_NONE && marked->prefixed)))
		read_marked(r, s, "storage_path", marked);
	else if (stored == NULL)
		fault(r, s, "storage_path", "longer than any URL or path");
	else
		read_stored(r, s, stored, mode != MODE_NONE ? mode : mode_by_beginning(stored));
}

static void
read_content(struct reader *r, const struct source *s)
{
	const struct mail_marked *marked = get_marked(r, s, "content");
	const char *text = json_string(json_get(s->object, "content"));

	if (marked != NULL)
		read_marked(r, s, "content", marked);
	else if (text != NULL)
		read_base64(r, s, "content", text);
	else
		fault(r, s, "content", "it cannot be read");
}

/* The members that are strings; false where one is of another kind. */
static bool
read_members(struct reader *r, struct source *s)
{
	bool ok = true;
	const char *md5;

	s->filename = get_member(r, s, "filename", &ok);
	s->type = get_either(r, s, "mime_type", "content_type", &ok);
	s->content_id = get_either(r, s, "content_id", "cid", &ok);
	md5 = get_member(r, s, "content_md5", &ok);
	get_member(r, s, "content", &ok);
	get_member(r, s, "url", &ok);
	get_member(r, s, "path", &ok);
	get_member(r, s, "storage_path", &ok);
	get_member(r, s, "fetch_mode", &ok);
	if (!ok)
		return false;
	if (s->filename != NULL && strlen(s->filename) <= NAME_MAX_BYTES &&
	    mail_source_marked_name(s->filename, &s->name, &s->marked_md5)) {
		s->filename = s->name.s;
		s->md5 = mail_source_is_md5(s->marked_md5.s) ? s->marked_md5.s : NULL;
	}
	if (md5 != NULL && *md5 != '\0') {
		if (!mail_source_is_md5(md5))
			fault(r, s, "content_md5", "expected 32 hexadecimal digits");
		s->md5 = mail_source_is_md5(md5) ? md5 : NULL;
	}
	if (json_get_set(s->object, "auth") != NULL)
		fault(r, s, "auth", "credentials of a single attachment are not supported");
	return true;
}

static void
read_source(struct reader *r, const struct source *s)
{
	static const char *const names[] = { "content", "url", "s3", "path", "storage_path" };
	const char *found = NULL;
	size_t n = 0;

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		if (json_get_set(s->object, names[i]) == NULL)
			continue;
		found = names[i];
		n++;
	}
	if (n != 1)
		fault(r, s, NULL, "expected one of content, path, storage_path, url, s3");
	else if (strcmp(found, "content") == 0)
		read_content(r, s);
	else if (strcmp(found, "url") == 0)
		read_url(r, s, "url", json_string(json_get(s->object, "url")));
	else if (strcmp(found, "s3") == 0)
		read_s3_object(r, s);
	else if (strcmp(found, "path") == 0)
		read_file(r, s, "path", json_string(json_get(s->object, "path")));
	else
		read_storage_path(r, s);
}

static void
tell_unknown(const struct reader *r, const struct source *s)
{
	static const char *const known[] = { "filename", "content", "url", "s3", "path",
		"storage_path", "fetch_mode", "mime_type", "content_type", "content_id", "cid",
		"content_md5", "auth" };
	struct json_iter it = JSON_ITER_INIT;
	const struct json *value;
	const char *name;

	while (json_next(s->object, &it, &name, &value)) {
		char text[80];
		size_t i = 0;

		while (i < sizeof known / sizeof *known && strcmp(name, known[i]) != 0)
			i++;
		if (i < sizeof known / sizeof *known)
			continue;
		snprintf(text, sizeof text, "attachments[].%s", name);
		r->options->unknown(r->options->arg, text);
	}
}

static void
read_attachment(struct reader *r, const struct json *object, size_t index)
{
	struct source s = { .object = object,
		.index = index,
		.name = BUF_INIT(NAME_MAX_BYTES),
		.marked_md5 = BUF_INIT(NAME_MAX_BYTES) };

	if (json_kind(object) != JSON_OBJECT) {
		mail_json_fault(r, inside(&s, NULL), "type_error.dict",
		    "value is not a valid dict");
		return;
	}
	if (read_members(r, &s))
		read_source(r, &s);
	if (r->options->unknown != NULL)
		tell_unknown(r, &s);
	buf_release(&s.name);
	buf_release(&s.marked_md5);
}

void
mail_json_attachments(struct reader *r)
{
	const struct json *list = json_get_set(r->object, "attachments");

	if (list != NULL && json_kind(list) != JSON_ARRAY)
		mail_json_fault(r, FIELD("attachments"), "type_error.list",
		    "value is not a valid list");
	else if (json_length(list) > MAIL_ATTACHMENTS_MAX)
		mail_json_fault(r, FIELD("attachments"), "value_error", "too many attachments");
	else
		for (size_t i = 0; i < json_length(list); i++)
			read_attachment(r, json_at(list, i), i);
}
