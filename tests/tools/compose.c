/*
 * compose DIR <messages.json: composes each message of an array into DIR/0.eml, DIR/1.eml, ..., as
 * the programs do.  Two members of a message are known here alone: "alternative" (the text beside
 * an HTML body) and "content_ids" (an array beside attachments).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/json.h"
#include "mail/compose.h"
#include "mail/message_json.h"

static int
write_fd(void *arg, const void *bytes, size_t n)
{
	return fs_write(*(int *)arg, bytes, n);
}

static int
set_others(struct mail_message *m, const struct json *object, struct err *err)
{
	const struct json *ids = json_get(object, "content_ids");
	const char *alternative = json_string(json_get(object, "alternative"));

	if (alternative != NULL &&
	    mail_message_alternative(m, alternative, strlen(alternative), err) < 0)
		return -1;
	for (size_t i = 0; i < json_length(ids) && i < m->attachment_count; i++)
		if (mail_attachment_set(&m->attachments[i], NULL, json_string(json_at(ids, i)),
			err) < 0)
			return -1;
	return 0;
}

static int
compose_one(const struct json *object, const char *path, struct mail_magic *magic, struct err *err)
{
	struct mail_message m AUTO_MESSAGE = MAIL_MESSAGE_INIT;
	struct mail_delivery delivery AUTO_DELIVERY = MAIL_DELIVERY_INIT;
	struct mail_faults faults AUTO_FAULTS = MAIL_FAULTS_INIT;
	struct mail_json_options options = { .attachment_max = 0 };
	struct mail_compose_options how = { .now = clock_now(), .magic = magic };
	int fd AUTO_FD = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	struct mail_sink sink = { write_fd, &fd };

	if (fd < 0)
		return err_io(err, "%s", path);
	if (mail_message_from_json(object, &options, &m, &delivery, &faults) < 0)
		return mail_faults_err(&faults, path, err);
	if (set_others(&m, object, err) < 0 || mail_message_complete(&m, "host.example", err) < 0)
		return -1;
	return mail_compose(&m, &how, &sink, err);
}

static int
compose_all(const struct json *root, const char *dir, struct mail_magic *magic, struct err *err)
{
	for (size_t i = 0; i < json_length(root); i++) {
		char path[4096];

		snprintf(path, sizeof path, "%s/%zu.eml", dir, i);
		if (compose_one(json_at(root, i), path, magic, err) < 0)
			return -1;
	}
	return 0;
}

int
main(int argc, char **argv)
{
	struct buf text AUTO_BUF = BUF_INIT((size_t)1 << 30);
	AUTO_JSON struct json *root = NULL;
	struct err err = ERR_INIT;
	struct mail_magic *magic;
	int rc;

	if (argc != 2 || fs_read_all(STDIN_FILENO, &text) < 0)
		return EX_USAGE;
	root = json_parse(text.s, text.len, 1, &err);
	if (root == NULL)
		return err_print(&err);
	magic = mail_magic_new();
	rc = compose_all(root, argv[1], magic, &err);
	mail_magic_free(magic);
	return rc < 0 ? err_print(&err) : 0;
}
