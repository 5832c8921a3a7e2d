/* The parts of a message that come in numbers: extra headers and attachments. */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "mail/attachment.h"
#include "mail/header.h"
#include "mail/message.h"

/* Fields that are addresses, whoever writes them. */
static bool
is_address_field(const char *name)
{
	static const char *const names[] = { "From", "To", "Cc", "Reply-To", "Sender" };

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (strcasecmp(name, names[i]) == 0)
			return true;
	return false;
}

/* Why a field may not be given as an extra header; NULL where it may. */
static const char *
reason_against(const char *name)
{
	static const struct {
		const char *name, *reason;
	} refused[] = {
		{ "Bcc", "give these recipients in the field bcc, which never becomes a header" },
		{ "Resent-Bcc", "give these recipients in the field bcc" },
		{ "Return-Path", "give this address in the field return_path" },
		{ "Content-Type", "the message's structure decides it (see content_type)" },
		{ "Content-Transfer-Encoding", "the message's structure decides it" },
		{ "Content-Disposition", "the message's structure decides it" },
		{ "Content-ID", "the message's structure decides it" },
		{ "MIME-Version", "the message's structure decides it" },
	};

	for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
		if (strcasecmp(name, refused[i].name) == 0)
			return refused[i].reason;
	return NULL;
}

static struct mail_extra *
find_extra(const struct mail_message *m, const char *name)
{
	for (size_t i = 0; i < m->extra_count; i++)
		if (strcasecmp(m->extra[i].name, name) == 0)
			return &m->extra[i];
	return NULL;
}

const char *
mail_message_extra(const struct mail_message *m, const char *name)
{
	const struct mail_extra *extra = find_extra(m, name);

	return extra != NULL ? extra->value : NULL;
}

bool
mail_message_extra_addresses(const struct mail_message *m, const char *name,
    struct mail_addresses *list)
{
	const char *value = is_address_field(name) ? mail_message_extra(m, name) : NULL;

	return value != NULL &&
	    mail_addresses_parse(list, value, strlen(value), NULL, 0, NULL) == 0;
}

static int
check_value(const char *name, const char *value, size_t len, struct err *err)
{
	struct mail_addresses list AUTO_ADDRESSES = MAIL_ADDRESSES_INIT;
	const char *reason = reason_against(name);

	if (reason != NULL)
		return err_set(err, EX_DATAERR, "%s", reason);
	if (len > MAIL_HEADER_VALUE_MAX)
		return err_set(err, EX_DATAERR, "longer than %d bytes", MAIL_HEADER_VALUE_MAX);
	if (mail_text_check(value, len, err) < 0)
		return -1;
	if (!is_address_field(name))
		return 0;
	if (mail_addresses_parse(&list, value, len, NULL, 0, err) < 0)
		return -1;
	if (list.count == 0)
		return err_set(err, EX_DATAERR, "expected an address, found none");
	return 0;
}

int
mail_message_header(struct mail_message *m, const char *name, size_t name_len, const char *value,
    size_t value_len, struct err *err)
{
	char *name_text AUTO_FREE = xstrndup(name, name_len);
	char *value_text AUTO_FREE = xstrndup(value, value_len);
	struct mail_extra *extra;

	if (!mail_field_name_ok(name, name_len))
		return err_set(err, EX_DATAERR,
		    "headers: expected a name of 1 to %d printable ASCII characters without "
		    "blanks and ':', found \"%.80s\"",
		    MAIL_FIELD_NAME_MAX, name_text);
	if (check_value(name_text, value, value_len, err) < 0)
		return err_prefix(err, "headers.%s", name_text);
	if (strcasecmp(name_text, "Message-ID") == 0)
		return mail_message_message_id(m, value_text, err);
	extra = find_extra(m, name_text);
	if (extra == NULL) {
		if (m->extra_count >= MAIL_HEADERS_MAX)
			return err_set(err, EX_DATAERR, "headers: more than %d", MAIL_HEADERS_MAX);
		m->extra = xreallocarray(m->extra, m->extra_count + 1, sizeof *m->extra);
		extra = &m->extra[m->extra_count++];
		extra->name = name_text;
		name_text = NULL;
	} else {
		free(extra->value);
	}
	extra->value = value_text;
	value_text = NULL;
	return 0;
}

int
mail_message_header_line(struct mail_message *m, const char *line, struct err *err)
{
	size_t name = strcspn(line, ":"), value = name + 1;

	if (line[name] == '\0')
		return err_set(err, EX_DATAERR,
		    "headers: expected \"Name: value\", found \"%.80s\"", line);
	value += strspn(line + value, " ");
	return mail_message_header(m, line, name, line + value, strlen(line + value), err);
}

/* ---- attachments ---------------------------------------------------------------------------- */

/* The name without its directories, of either kind of system. */
static const char *
last_component(const char *path)
{
	const char *name = path;

	for (const char *p = path; *p != '\0'; p++)
		if (*p == '/' || *p == '\\')
			name = p + 1;
	return *name == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ? "attachment" :
										    name;
}

static struct mail_attachment *
attach(struct mail_message *m, const char *filename, struct err *err)
{
	const char *name = last_component(filename != NULL ? filename : "");
	struct mail_attachment *a;

	if (m->attachment_count >= MAIL_ATTACHMENTS_MAX) {
		err_set(err, EX_DATAERR, "attachments: more than %d", MAIL_ATTACHMENTS_MAX);
		return NULL;
	}
	if (strlen(name) > MAIL_FILENAME_MAX) {
		err_set(err, EX_DATAERR, "attachments[%zu].filename: longer than %d bytes",
		    m->attachment_count, MAIL_FILENAME_MAX);
		return NULL;
	}
	if (mail_text_check(name, strlen(name), err) < 0) {
		err_prefix(err, "attachments[%zu].filename", m->attachment_count);
		return NULL;
	}
	m->attachments =
	    xreallocarray(m->attachments, m->attachment_count + 1, sizeof *m->attachments);
	a = &m->attachments[m->attachment_count++];
	*a = (struct mail_attachment){ .filename = xstrdup(name),
		.fd = -1,
		.length = UINT64_MAX,
		.unnamed = filename == NULL || *filename == '\0' };
	buf_init(&a->bytes, SIZE_MAX / 2);
	return a;
}

struct mail_attachment *
mail_message_attach_bytes(struct mail_message *m, const char *filename, struct buf *take_bytes,
    struct err *err)
{
	struct mail_attachment *a = attach(m, filename, err);

	if (a != NULL) {
		a->bytes = *take_bytes;
		buf_init(take_bytes, take_bytes->max);
	}
	return a;
}

struct mail_attachment *
mail_message_attach_fd(struct mail_message *m, const char *filename, int fd, struct err *err)
{
	int held AUTO_FD = fd;
	struct mail_attachment *a = attach(m, filename, err);

	if (a != NULL)
		a->fd = take_fd(&held);
	return a;
}

struct mail_attachment *
mail_message_attach_range(struct mail_message *m, const char *filename, int fd, off_t start,
    uint64_t length, struct err *err)
{
	struct mail_attachment *a = attach(m, filename, err);

	if (a != NULL) {
		a->fd = fd;
		a->borrowed = true;
		a->start = start;
		a->length = length;
	}
	return a;
}

struct mail_attachment *
mail_message_attach_path(struct mail_message *m, const char *filename, const char *path,
    struct err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 || (S_ISDIR(st.st_mode) && (errno = EISDIR) != 0)) {
		err_sys(err, EX_NOINPUT, "attachments[%zu]: %s", m->attachment_count, path);
		auto_close_fd(&fd);
		return NULL;
	}
	return mail_message_attach_fd(m, filename != NULL ? filename : path, fd, err);
}

struct mail_attachment *
mail_message_attach_part(struct mail_message *m, const char *filename, const struct mail_part *part,
    struct err *err)
{
	struct mail_attachment *a = attach(m, filename, err);

	if (a != NULL)
		mail_attachment_set_part(a, part);
	return a;
}

struct mail_attachment *
mail_message_attach_remote(struct mail_message *m, const char *filename, const char *source,
    struct err *err)
{
	struct mail_attachment *a = attach(m, filename, err);

	if (a != NULL)
		a->remote = xstrdup(source);
	return a;
}

void
mail_attachment_set_part(struct mail_attachment *a, const struct mail_part *part)
{
	if (!a->borrowed)
		auto_close_fd(&a->fd);
	a->fd = -1;
	buf_release(&a->bytes);
	if (a->part == NULL)
		a->part = xcalloc(1, sizeof *a->part);
	*a->part = *part;
}

int
mail_attachment_set(struct mail_attachment *a, const char *content_type, const char *content_id,
    struct err *err)
{
	if (content_type != NULL) {
		if (!mail_type_ok(content_type))
			return err_set(err, EX_DATAERR,
			    "attachments: %s: expected a content type like image/png, not of "
			    "message/ or multipart/, found \"%.80s\"",
			    a->filename, content_type);
		free(a->content_type);
		a->content_type = xstrdup(content_type);
	}
	if (content_id != NULL) {
		size_t len = strlen(content_id);

		if (len >= 2 && content_id[0] == '<' && content_id[len - 1] == '>') {
			content_id++;
			len -= 2;
		}
		for (size_t i = 0; i < len; i++)
			if (content_id[i] <= ' ' || content_id[i] > '~' ||
			    strchr("<>()\"", content_id[i]) != NULL)
				len = 0;
		if (len == 0 || len > MAIL_FILENAME_MAX)
			return err_set(err, EX_DATAERR,
			    "attachments: %s: expected a content id of printable ASCII without "
			    "blanks and <>()\"",
			    a->filename);
		free(a->content_id);
		a->content_id = xstrndup(content_id, len);
	}
	return 0;
}
