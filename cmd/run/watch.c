/* A watch: cycles as long as nothing ends it. */
#include <stdbool.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/clock.h"
#include "cmd/run/private.h"

static void
note_wake(int fd, void *arg)
{
	bool *woken = arg;
	char events[4096];

	while (read(fd, events, sizeof events) > 0)
		*woken = true;
}

/* The next cycle, if it is due.  --now means the first: an account that refuses us is not tried each
 * second. */
static enum run_end
watch_cycle(struct run *run, struct delivery *d, struct err *err)
{
	struct obedience *o = &run->obedience;
	struct deliver_options *options = deliver_options(d);
	bool forced = options->now;
	struct skipped skipped;
	int begun;

	obey_refresh(o);
	begun = obey_begin(o, forced, &skipped, err);
	if (begun <= 0)
		return begun < 0 ? RUN_FAILED : RUN_DONE;
	if (run->exchange != NULL)
		exchange_cycle(run->exchange);
	options->allowed = forced ? NULL : obey_may_go_on;
	/* With rules, it may be long until the next. */
	options->watch = o->scheduler.rules.n == 0;
	if (deliver_cycle(d, false, err) < 0)
		return RUN_FAILED;
	if (deliver_is_overtaken(d))
		return RUN_OVERTAKEN;
	options->now = false;
	return RUN_DONE;
}

/* Until a second has passed since the last cycle began, somebody wakes us, or a signal comes. */
static int
rest(const struct run *run, struct delivery *d, int64_t next, const bool *woken, struct err *err)
{
	while (!*run->stop && !*woken && clock_monotonic() < next)
		if (deliver_wait(d, (int)((next - clock_monotonic()) / 1000 + 1), err) < 0)
			return -1;
	return 0;
}

enum run_end
run_watch(struct run *run, struct delivery *d, struct err *err)
{
	bool woken = false;
	AUTO_FD int events = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	enum run_end end = RUN_DONE;

	if (events < 0 || inotify_add_watch(events, run->spool.path, IN_CLOSE_WRITE) < 0 ||
	    deliver_watch(d, events, note_wake, &woken) < 0) {
		err_io(err, "cannot watch %s", run->spool.path);
		return RUN_FAILED;
	}
	while (!*run->stop && end == RUN_DONE) {
		int64_t next = clock_monotonic() + USEC;

		/* Also where no cycle is due for long. */
		if (current_changed(&run->current)) {
			end = RUN_OVERTAKEN;
			break;
		}
		woken = false;
		end = watch_cycle(run, d, err);
		if (end != RUN_FAILED && deliver_rotate(d, err) < 0)
			end = RUN_FAILED;
		if (end == RUN_DONE && rest(run, d, next, &woken, err) < 0)
			end = RUN_FAILED;
	}
	deliver_unwatch(d, events);
	return end;
}
