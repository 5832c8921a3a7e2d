/* Deliveries to Postfix's smtp-sink, a server that others wrote, with the faults it can make. */
#include "smtp_play.h"

#include <netinet/in.h>
#include <sys/socket.h>

static void
loopback(struct sockaddr_in *address, uint16_t port)
{
	memset(address, 0, sizeof(*address));
	address->sin_family = AF_INET;
	address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	address->sin_port = htons(port);
}

static uint16_t
free_port(void)
{
	struct sockaddr_in address;
	socklen_t len = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	loopback(&address, 0);
	CHECK_INT(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	CHECK_INT(getsockname(fd, (struct sockaddr *)&address, &len), 0);
	close(fd);
	return ntohs(address.sin_port);
}

static bool
answers(uint16_t port)
{
	struct sockaddr_in address;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool yes;

	loopback(&address, port);
	yes = connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0;
	close(fd);
	return yes;
}

/* args: up to four.  -1 where it ended at once: somebody's connection was given the port meanwhile. */
static pid_t
sink_try(const char *const *args, uint16_t port)
{
	int64_t until = clock_monotonic() + PLAY_SECONDS * USEC;
	char *argv[10], where[32];
	int n = 0, i;
	pid_t pid;

	argv[n++] = (char *)(uintptr_t) "smtp-sink";
	if (geteuid() == 0) {
		argv[n++] = (char *)(uintptr_t) "-u";
		argv[n++] = (char *)(uintptr_t) "nobody";
	}
	for (i = 0; i < 4 && args[i] != NULL; i++)
		argv[n++] = (char *)(uintptr_t)args[i];
	snprintf(where, sizeof(where), "127.0.0.1:%u", port);
	argv[n++] = where;
	argv[n++] = (char *)(uintptr_t) "100";
	argv[n] = NULL;
	if ((pid = fork()) == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execv("/usr/sbin/smtp-sink", argv);
		_exit(127);
	}
	while (!answers(port) && clock_monotonic() < until) {
		if (waitpid(pid, NULL, WNOHANG) != 0)
			return -1;
		poll(NULL, 0, 10);
	}
	return pid;
}

/* Puts its port into *ret_port. */
static pid_t
sink_start(const char *const *args, uint16_t *ret_port)
{
	for (int attempt = 0; attempt < 20; attempt++) {
		pid_t pid;

		*ret_port = free_port();
		pid = sink_try(args, *ret_port);
		if (pid > 0)
			return pid;
	}
	fprintf(stderr, "smtp-sink cannot be started\n");
	exit(2);
}

static const struct {
	const char *args[5];
	const char *outcomes;
	int fault;
} sinks[] = {
	{ { NULL }, "SSS", -1 },
	{ { "-p", "-8" }, "SSS", -1 },
	{ { "-e" }, "SSS", -1 },
	{ { "-f", "mail" }, "FFF", -1 },
	{ { "-f", "rcpt" }, "FFF", -1 },
	{ { "-p", "-f", "rcpt" }, "FFF", -1 },
	{ { "-f", "data" }, "FFF", -1 },
	{ { "-f", "." }, "FFF", -1 },
	{ { "-r", "mail" }, "DDD", -1 },
	{ { "-r", "rcpt" }, "DDD", -1 },
	{ { "-r", "data" }, "DDD", -1 },
	{ { "-r", "." }, "DDD", -1 },
	{ { "-q", "connect" }, "AAA", SMTP_FAULT_PROTOCOL },
	{ { "-Q", "connect" }, "AAA", SMTP_FAULT_GREETING },
	{ { "-f", "connect" }, "AAA", SMTP_FAULT_GREETING },
	{ { "-q", "mail" }, "NNA", SMTP_FAULT_PROTOCOL },
	{ { "-Q", "rcpt" }, "NNA", SMTP_FAULT_GREETING },
	{ { "-q", "data" }, "NNA", SMTP_FAULT_PROTOCOL },
	{ { "-q", "." }, "UUU", -1 },
	{ { "-Q", "." }, "DDD", -1 },
	{ { "-q", "quit" }, "SSS", -1 },
};

TEST(sinks_with_faults)
{
	struct server s = { .pid = 0 };
	struct play p;
	size_t i;
	pid_t pid;

	for (i = 0; i < sizeof(sinks) / sizeof(sinks[0]); i++) {
		int failures = unit_failures;

		memset(&p, 0, sizeof(p));
		p.n_jobs = 3;
		p.limits.connections = 1;
		pid = sink_start(sinks[i].args, &s.port);
		play_run(&p, &s);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		CHECK_STR(p.outcomes, sinks[i].outcomes);
		CHECK_INT(p.n_faults, sinks[i].fault >= 0);
		if (p.n_faults > 0 && sinks[i].fault >= 0)
			CHECK_STR(smtp_fault_name(p.fault.class),
			    smtp_fault_name((enum smtp_fault_class)sinks[i].fault));
		if (unit_failures != failures)
			printf("# with %s %s\n", sinks[i].args[0], sinks[i].args[1]);
		play_free(&p);
	}
}

TEST(many_messages_over_many_connections)
{
	static const char *const no_args[] = { NULL };
	struct server s = { .pid = 0 };
	struct play p = { .n_jobs = PLAY_JOBS,
		.n_recipients = 5,
		.size = 100000,
		.limits = { .connections = 20, .messages = 4 } };
	pid_t pid = sink_start(no_args, &s.port);

	play_run(&p, &s);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	CHECK_INT(strspn(p.outcomes, "S"), PLAY_JOBS);
	play_free(&p);
}

UNIT_MAIN()
