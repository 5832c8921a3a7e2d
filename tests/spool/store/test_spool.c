/* Making and opening a spool. */
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/auto.h"
#include "spool/store/spool.h"
#include "unit.h"

#define ROUNDS 30
#define PROCESSES 6

/* All at the same moment: the one who comes last may find the others' spool half made, or made between
 * two of its own looks. */
TEST(many_make_one_spool)
{
	const struct spool_options options = { .read_only = false };
	char path[320], byte = 0;

	for (int round = 0; round < ROUNDS; round++) {
		pid_t children[PROCESSES];
		int gate[2];

		snprintf(path, sizeof path, "%s/many%d", unit_tmpdir(), round);
		CHECK_INT(mkdir(path, 0700), 0);
		CHECK_INT(pipe2(gate, O_CLOEXEC), 0);
		for (int i = 0; i < PROCESSES; i++) {
			children[i] = fork();
			if (children[i] == 0) {
				struct spool spool;
				struct err err = ERR_INIT;

				close(gate[1]);
				if (read(gate[0], &byte, 1) != 0)
					_exit(2);
				if (spool_open(&spool, path, &options, &err) == 0)
					_exit(0);
				printf("# %s\n", err.msg);
				fflush(stdout);
				_exit(1);
			}
		}
		close(gate[0]);
		close(gate[1]);
		for (int i = 0; i < PROCESSES; i++) {
			int status = -1;

			CHECK_INT(waitpid(children[i], &status, 0), children[i]);
			CHECK_INT(status, 0);
		}
	}
}

/* Lets a traced child run up to its next call of this number; false where it ended before. */
static bool
run_to_call(pid_t child, uint64_t number)
{
	struct __ptrace_syscall_info info;
	int status;

	for (;;) {
		if (ptrace(PTRACE_SYSCALL, child, NULL, NULL) < 0 ||
		    waitpid(child, &status, 0) != child || !WIFSTOPPED(status))
			return false;
		if (ptrace(PTRACE_GET_SYSCALL_INFO, child, sizeof info, &info) < 0)
			return false;
		if (info.op == PTRACE_SYSCALL_INFO_ENTRY && info.entry.nr == number)
			return true;
	}
}

/* One finds no marker; before it looks at what else is there, another has made the whole spool. */
TEST(a_spool_that_was_made_since_is_one)
{
	const struct spool_options options = { .read_only = false };
	struct err err = ERR_INIT;
	struct spool spool;
	char path[320];
	int status = -1;
	pid_t child;

	snprintf(path, sizeof path, "%s/since", unit_tmpdir());
	CHECK_INT(mkdir(path, 0700), 0);
	child = fork();
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
			_exit(77);
		raise(SIGSTOP);
		if (spool_open(&spool, path, &options, &err) == 0)
			_exit(0);
		printf("# %s\n", err.msg);
		fflush(stdout);
		_exit(1);
	}
	CHECK_INT(waitpid(child, &status, 0), child);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
		printf("# processes may not be traced here\n");
		return;
	}
	CHECK_INT(ptrace(PTRACE_SETOPTIONS, child, NULL, PTRACE_O_TRACESYSGOOD), 0);
	CHECK(run_to_call(child, SYS_getdents64));
	CHECK_INT(spool_open(&spool, path, &options, &err), 0);
	CHECK_INT(mkdirat(spool.root, "of-a-later-version", 0700), 0);
	spool_close(&spool);
	CHECK_INT(ptrace(PTRACE_DETACH, child, NULL, NULL), 0);
	CHECK_INT(waitpid(child, &status, 0), child);
	CHECK_INT(status, 0);
}

TEST(what_is_no_spool_is_refused)
{
	const struct spool_options options = { .read_only = false };
	struct err err = ERR_INIT;
	struct spool spool;
	char path[320], file[400];

	snprintf(path, sizeof path, "%s/home", unit_tmpdir());
	snprintf(file, sizeof file, "%s/notes.txt", path);
	CHECK_INT(mkdir(path, 0700), 0);
	close(open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	CHECK_INT(spool_open(&spool, path, &options, &err), -1);
	CHECK_INT(err.code, EX_CONFIG);
	CHECK(strstr(err.msg, "and not empty") != NULL);
	/* Nothing was made in it. */
	CHECK_INT(unlink(file), 0);
	CHECK_INT(rmdir(path), 0);
}

UNIT_MAIN()
