#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/fs.h"
#include "cmd/exchange/private.h"
#include "mail/mime.h"
#include "policy/account.h"

static void
access_init(struct exchange_access *access)
{
	buf_init(&access->user, EXCHANGE_TEXT_MAX);
	buf_init(&access->password, EXCHANGE_TEXT_MAX);
	buf_init(&access->token, EXCHANGE_TEXT_MAX);
}

void
exchange_access_release(struct exchange_access *access)
{
	buf_release(&access->user);
	account_secret_wipe(&access->password);
	account_secret_wipe(&access->token);
}

static bool
is_text(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)s[i] < 0x20 || s[i] == 0x7f)
			return false;
	return n > 0;
}

/* The first lines of a file, at most max of them, each without its end, into ret.  How many; -1 with err. */
static int
read_lines(const char *path, const char *setting, struct buf *ret, int max, struct err *err)
{
	AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	char chunk[4096];
	AUTO(account_secret_wipe) struct buf text = BUF_INIT(EXCHANGE_TEXT_MAX);
	ssize_t n = -1;
	int lines = 0;

	/* All room at once: what growing leaves behind could not be wiped. */
	buf_reserve(&text, EXCHANGE_TEXT_MAX);
	buf_reserve(ret, EXCHANGE_TEXT_MAX);
	while (fd >= 0 && (n = read(fd, chunk, sizeof chunk)) > 0 &&
	    buf_add(&text, chunk, (size_t)n) == 0)
		;
	explicit_bzero(chunk, sizeof chunk);
	if (n < 0)
		return err_sys(err, EX_CONFIG, "%s: %s", setting, path);
	for (const char *at = text.s; lines < max && *at != '\0'; lines++) {
		size_t len = strcspn(at, "\n"), end = len;

		if (end > 0 && at[end - 1] == '\r')
			end--;
		if (!is_text(at, end)) {
			if (lines > 0 && end == 0)
				break;
			return err_set(err, EX_CONFIG,
			    "%s: %s: expected a line without control characters", setting, path);
		}
		if (lines > 0)
			buf_addc(ret, '\n');
		buf_add(ret, at, end);
		at += len + (at[len] == '\n');
	}
	if (lines == 0)
		return err_set(err, EX_CONFIG, "%s: %s: the file is empty", setting, path);
	return lines;
}

struct source {
	const char *user, *password, *password_file, *token, *token_file;
	const char *password_setting, *token_setting;
};

static int
read_access(const struct source *from, struct exchange_access *ret, struct err *err)
{
	access_init(ret);
	if (from->token != NULL)
		buf_adds(&ret->token, from->token);
	else if (from->token_file != NULL &&
	    read_lines(from->token_file, from->token_setting, &ret->token, 1, err) < 0)
		return -1;
	if (from->user == NULL || ret->token.len > 0)
		return 0;
	buf_adds(&ret->user, from->user);
	if (from->password != NULL)
		buf_adds(&ret->password, from->password);
	else if (from->password_file != NULL &&
	    read_lines(from->password_file, from->password_setting, &ret->password, 1, err) < 0)
		return -1;
	return 0;
}

int
exchange_access_sync(const struct settings *s, struct exchange_access *ret, struct err *err)
{
	const struct source from = { s->sync.user, s->sync.password, s->sync.password_file,
		s->sync.token, s->sync.token_file, "sync.password_file", "sync.token_file" };

	return read_access(&from, ret, err);
}

int
exchange_access_fetch(const struct settings *s, struct exchange_access *ret, struct err *err)
{
	const struct source from = { s->fetch.user, s->fetch.password, s->fetch.password_file,
		s->fetch.token, s->fetch.token_file, "fetch.password_file", "fetch.token_file" };

	if (from.user == NULL && from.token == NULL && from.token_file == NULL)
		return exchange_access_sync(s, ret, err);
	return read_access(&from, ret, err);
}

void
exchange_access_show(const struct exchange_access *access, struct http_call *call)
{
	if (access->token.len > 0) {
		call->bearer = access->token.s;
	} else if (access->user.len > 0) {
		call->user = access->user.s;
		call->password = access->password.s;
	}
}

/* ---- secrets to sign with ------------------------------------------------------------------------ */

static int
add_key(struct exchange_keys *keys, const char *secret, struct err *err)
{
	AUTO(account_secret_wipe) struct buf key = BUF_INIT(2 * SETTINGS_SECRET_MAX);
	const char *text = strchr(secret, '_');
	size_t at;

	buf_reserve(&key, SETTINGS_SECRET_MAX);
	if (settings_secret_check(secret, err) < 0)
		return -1;
	if (mail_base64_decode(&key, text + 1, strlen(text + 1), &at) < 0)
		return err_set(err, EX_CONFIG, "the base64 of a secret cannot be read");
	memcpy(keys->v[keys->n], key.s, key.len);
	keys->len[keys->n++] = key.len;
	return 0;
}

int
exchange_keys_read(const struct settings *s, struct exchange_keys *ret, struct err *err)
{
	AUTO(account_secret_wipe) struct buf lines = BUF_INIT(EXCHANGE_TEXT_MAX);
	char *rest = NULL;

	*ret = (struct exchange_keys){ 0 };
	for (size_t i = 0; i < s->sync.secret.n && i < SETTINGS_SECRETS; i++)
		if (add_key(ret, s->sync.secret.v[i], err) < 0)
			return err_prefix(err, "sync.secret");
	if (ret->n > 0 || s->sync.secret_file == NULL)
		return 0;
	if (read_lines(s->sync.secret_file, "sync.secret_file", &lines, SETTINGS_SECRETS, err) < 0)
		return -1;
	for (char *line = strtok_r(lines.s, "\n", &rest); line != NULL;
	     line = strtok_r(NULL, "\n", &rest))
		if (add_key(ret, line, err) < 0)
			return err_prefix(err, "sync.secret_file: %s", s->sync.secret_file);
	return 0;
}
