/* mailq-run, started by us: for a cycle, or for messages that somebody waits for. */
#ifndef CMD_SERVE_RUNS_H
#define CMD_SERVE_RUNS_H

#include "cmd/serve/serve.h"

struct serve_runs;

/* Never NULL.  To be freed when no request is left; what it started goes on. */
struct serve_runs *serve_runs_new(void);
void serve_runs_free(struct serve_runs *runs); /* accepts NULL */

/* Runs "mailq-run ARGS" and waits for its end: 0 where it ended by itself, whatever it said; -1 with err
 * where it could not be started, or was killed. */
int serve_runs_wait(struct serve *serve, const char *const *args, struct err *err);
/*
 * A cycle that begins after this call.  Not more than two that were asked for run at a time: one that is
 * asked for meanwhile begins when one of them ends, and stands for all that were.  -1 with err.
 */
int serve_runs_cycle(struct serve *serve, struct err *err);

/* ---- messages that somebody waits for ------------------------------------------------------------------ */

/* One of them; the caller's own struct begins with it. */
struct serve_wanted {
	struct serve_wanted *next;
	char id[ID_TEXT_MAX + 1]; /* plain */
};
/*
 * Has deliver(list, serve) called in a thread of ours, soon, with it and others that came about the same
 * time: at once where little is under way, and after a moment where much is, so that they share a process.
 * deliver takes the list over.
 */
typedef void serve_deliver(struct serve_wanted *list, struct serve *serve);
void serve_runs_want(struct serve *serve, struct serve_wanted *wanted, serve_deliver *deliver);

#endif
