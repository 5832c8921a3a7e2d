/* What "mailq-rules accounts" reads and prints with. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/log.h"
#include "cmd/rules/accounts.h"

#define JSON_FILE_MAX ((size_t)4 * 1024 * 1024)
#define PRINT_MAX 4096

void
accounts_print(const char *text)
{
	char shown[PRINT_MAX];

	log_escape(shown, sizeof shown, text, strlen(text));
	fputs(shown, stdout);
}

void
accounts_print_json(struct json_writer *w)
{
	puts(w->out->s);
	buf_clear(w->out);
	w->comma = false;
}

struct json *
accounts_read_json(const char *file, struct err *err)
{
	bool standard = file == NULL || strcmp(file, "-") == 0;
	AUTO_BUF struct buf text = BUF_INIT(JSON_FILE_MAX);
	AUTO_FD int fd = standard ? dup(STDIN_FILENO) : open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	const char *shown = standard ? "standard input" : file;
	struct json *value;

	if (fd < 0 || fs_read_all(fd, &text) < 0) {
		err_sys(err, errno == E2BIG ? EX_DATAERR : EX_NOINPUT, "%s", shown);
		return NULL;
	}
	value = json_parse(text.s, text.len, 1, err);
	/* There are passwords in it. */
	if (text.cap > 0)
		explicit_bzero(text.s, text.cap);
	if (value == NULL)
		err_prefix(err, "%s", shown);
	return value;
}

/* One line, without its end, byte by byte: what is behind it is not ours.  1, 0 at the end of input, -1 with
 * errno. */
static int
read_line(struct buf *ret)
{
	char c;
	ssize_t n;

	for (;;) {
		n = read(STDIN_FILENO, &c, 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -1 : ret->len > 0;
		if (c == '\n' || c == '\r')
			return 1;
		if (buf_addc(ret, c) < 0)
			return -1;
	}
}

/* The same from a terminal, which shows nothing meanwhile.  What would end the program waits until the
 * terminal is as it was; ^C comes as a byte. */
static int
read_hidden(const char *id, struct buf *ret)
{
	struct termios before, hidden;
	sigset_t ending, old;
	int result;

	if (tcgetattr(STDIN_FILENO, &before) < 0)
		return -1;
	sigemptyset(&ending);
	sigaddset(&ending, SIGTERM);
	sigaddset(&ending, SIGHUP);
	sigaddset(&ending, SIGINT);
	sigaddset(&ending, SIGTSTP);
	sigprocmask(SIG_BLOCK, &ending, &old);
	hidden = before;
	hidden.c_lflag &= ~(tcflag_t)(ECHO | ISIG);
	hidden.c_cc[VEOL] = 3;
	fprintf(stderr, "Password of account %s: ", id);
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden);
	result = read_line(ret);
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
	fputc('\n', stderr);
	sigprocmask(SIG_SETMASK, &old, NULL);
	if (ret->len > 0 && ret->s[ret->len - 1] == 3)
		return 0;
	return result;
}

int
accounts_ask_password(const char *id, struct buf *ret, struct err *err)
{
	int result;

	/* Growing moves the bytes, and what is left behind could not be wiped: all room at once. */
	if (buf_reserve(ret, ret->max) < 0)
		return err_sys(err, EX_TEMPFAIL, "password");
	result = isatty(STDIN_FILENO) == 1 ? read_hidden(id, ret) : read_line(ret);
	if (result < 0)
		return err_sys(err, EX_NOINPUT, "password: standard input");
	if (result == 0 || ret->len == 0)
		return err_set(err, EX_NOINPUT, "password: expected a line on standard input");
	return 0;
}
