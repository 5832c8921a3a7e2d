#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "policy/account.h"

#define COMMAND_TIMEOUT (30 * USEC)
#define WAIT_STEP_MS 5

extern char **environ;

void
account_secret_wipe(struct buf *secret)
{
	if (secret->cap > 0)
		explicit_bzero(secret->s, secret->cap);
	buf_release(secret);
}

/* Leaves the first line, which must not be empty nor hold control characters. */
static int
first_line(struct buf *b, const char *setting, struct err *err)
{
	size_t n = 0;

	while (n < b->len && b->s[n] != '\n')
		n++;
	if (n > 0 && b->s[n - 1] == '\r')
		n--;
	buf_truncate(b, n);
	for (size_t i = 0; i < n; i++) {
		if ((unsigned char)b->s[i] < 0x20 || b->s[i] == 0x7f)
			return err_set(err, EX_CONFIG, "%s: a control character in the first line",
			    setting);
	}
	if (n == 0)
		return err_set(err, EX_CONFIG, "%s: expected the password in the first line",
		    setting);
	return 0;
}

/* Adds what fd has to b.  1, 0 at its end, -1 with errno.  The bytes pass through no other memory. */
static int
read_some(int fd, struct buf *b)
{
	ssize_t n;

	if (buf_reserve(b, 4096) < 0)
		return -1;
	do
		n = read(fd, b->s + b->len, 4096);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return (int)n;
	b->len += (size_t)n;
	b->s[b->len] = '\0';
	return 1;
}

/* Growing moves the bytes, and what is left behind could not be wiped: all room at once. */
static void
make_room(struct buf *b)
{
	buf_reserve(b, ACCOUNT_SECRET_MAX);
}

static int
from_file(const char *path, struct buf *ret, struct err *err)
{
	AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	int more;

	if (fd < 0)
		return err_sys(err, EX_CONFIG, "password_file: %s", path);
	make_room(ret);
	do
		more = read_some(fd, ret);
	while (more > 0);
	if (more < 0)
		return err_sys(err, EX_CONFIG, "password_file: %s", path);
	return first_line(ret, "password_file", err);
}

/* Starts the command in a process group of its own, its output into a pipe: *ret_fd. */
static int
start_command(const char *command, pid_t *ret_pid, int *ret_fd)
{
	char *argv[] = { (char *)"sh", (char *)"-c", (char *)(uintptr_t)command, NULL };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	AUTO_FD int reader = -1;
	AUTO_FD int writer = -1;
	sigset_t none, all;
	int ends[2], error;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -1;
	reader = ends[0];
	writer = ends[1];
	sigemptyset(&none);
	sigfillset(&all);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, writer, STDOUT_FILENO);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setpgroup(&attributes, 0);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setsigdefault(&attributes, &all);
	posix_spawnattr_setflags(&attributes,
	    POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	error = posix_spawn(ret_pid, "/bin/sh", &actions, &attributes, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attributes);
	if (error != 0) {
		errno = error;
		return -1;
	}
	*ret_fd = take_fd(&reader);
	return 0;
}

/* Reads until the command closes its output.  0, or -1 with errno (ETIME, E2BIG, ...). */
static int
read_output(int fd, int64_t deadline, struct buf *ret)
{
	int more = 1;

	while (more > 0) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		int64_t left = deadline - clock_monotonic();
		int ready = left > 0 ? poll(&p, 1, (int)(left / 1000) + 1) : 0;

		if (ready == 0)
			errno = ETIME;
		if (ready == 0 || (ready < 0 && errno != EINTR))
			return -1;
		if (ready > 0)
			more = read_some(fd, ret);
	}
	return more;
}

/* The exit status as waitpid gives it, or -1 where the command had to be killed. */
static int
end_command(pid_t pid, bool failed, int64_t deadline)
{
	int status = -1;

	while (!failed) {
		pid_t done = waitpid(pid, &status, WNOHANG);

		if (done == pid)
			return status;
		if (done < 0 && errno != EINTR)
			return -1;
		failed = clock_monotonic() >= deadline;
		if (!failed)
			poll(NULL, 0, WAIT_STEP_MS);
	}
	kill(-pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		continue;
	return -1;
}

static int
from_command(const char *command, struct buf *ret, struct err *err)
{
	int64_t deadline = clock_monotonic() + COMMAND_TIMEOUT;
	AUTO_FD int fd = -1;
	int result, status, error;
	pid_t pid;

	make_room(ret);
	if (start_command(command, &pid, &fd) < 0)
		return err_sys(err, EX_TEMPFAIL, "password_command: /bin/sh");
	result = read_output(fd, deadline, ret);
	error = errno;
	status = end_command(pid, result < 0, deadline);
	if (result < 0 && error == E2BIG)
		return err_set(err, EX_CONFIG,
		    "password_command: expected one line, got 64 KiB or more");
	if (result < 0 && error != ETIME) {
		errno = error;
		return err_sys(err, EX_TEMPFAIL, "password_command");
	}
	if (status == -1)
		return err_set(err, EX_TEMPFAIL, "password_command: not done after 30 s");
	if (WIFSIGNALED(status))
		return err_set(err, EX_TEMPFAIL, "password_command: ended by signal %d",
		    WTERMSIG(status));
	if (WEXITSTATUS(status) != 0)
		return err_set(err, EX_TEMPFAIL, "password_command: exit status %d",
		    WEXITSTATUS(status));
	return first_line(ret, "password_command", err);
}

int
account_secret(const struct account *a, struct buf *ret, struct err *err)
{
	int result = -1;

	account_secret_wipe(ret);
	if (a->password != NULL)
		result = buf_adds(ret, a->password) < 0 ? err_sys(err, EX_CONFIG, "password") : 0;
	else if (a->password_file != NULL)
		result = from_file(a->password_file, ret, err);
	else if (a->password_command != NULL)
		result = from_command(a->password_command, ret, err);
	else
		err_set(err, EX_CONFIG, "expected password, password_file or password_command");
	if (result == 0)
		return 0;
	account_secret_wipe(ret);
	return err_prefix(err, "account %s", a->id);
}
