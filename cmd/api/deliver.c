/* Sends messages whose clients wait: starts mailq-run for them, and finds out what became of each. */
#include "cmd/api/send.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "cmd/api/rows.h"
#include "cmd/serve/state.h"
#include "cmd/view/text.h"
#include "spool/journal/history.h"
#include "spool/part/message.h"

/* A message that another mailq-run has in hand is waited for: looked at this often at first, then less and
 * less, and given up after some minutes. */
#define LOOK_FIRST (10 * INT64_C(1000))
#define LOOK_MAX (USEC / 2)
#define LOOK_LONGEST (300 * USEC)
/* One that is nowhere after this: the clock was set back perhaps, and its outcome seems to be older than
 * it, by less than that. */
#define LOOK_WIDER (2 * USEC)
#define LOOK_BACK (3600 * USEC)

void
sending_free(struct serve *serve, struct sending *s)
{
	serve_once_end(&s->once);
	if (s->spool != NULL)
		serve_spool_put(serve, s->spool);
	json_free(s->line);
	free(s);
}

/* ---- answers --------------------------------------------------------------------------------------------- */

/* What is said of one; texts may be NULL, instants 0. */
struct result {
	const char *status, *account, *error, *server, *reply;
	int64_t code, until, at;
};

static void
answer(struct serve *serve, struct sending *s, const struct result *result)
{
	struct http_request *r = s->r;
	struct serve_answer answer;
	char text[CLOCK_TEXT_SIZE];

	serve_answer_begin(&answer, strcmp(result->status, "sent") == 0);
	json_key(&answer.w, "result");
	json_begin_object(&answer.w);
	json_member_str(&answer.w, "id", s->wanted.id);
	json_member_str(&answer.w, "status", result->status);
	if (result->until != 0)
		json_member_int(&answer.w, "deferred_until", result->until / USEC);
	json_member_str(&answer.w, "error", result->error);
	json_member_str(&answer.w, "timestamp",
	    clock_iso_usec(result->at != 0 ? result->at : clock_now(), text));
	json_member_str(&answer.w, "account", result->account);
	json_member_str(&answer.w, "server", result->server);
	if (result->code != 0)
		json_member_int(&answer.w, "smtp_code", result->code);
	json_member_str(&answer.w, "smtp_reply", result->reply);
	json_end_object(&answer.w);
	serve_once_reply(&s->once, r, 200, &answer);
	s->answered = true;
	/* All is put away before the request ends: behind it, the program may. */
	serve_once_end(&s->once);
	if (s->spool != NULL)
		serve_spool_put(serve, s->spool);
	s->spool = NULL;
	http_finish(r);
}

/* An outcome that is on record. */
static void
answer_line(struct serve *serve, struct sending *s)
{
	const struct json *line = s->line;
	AUTO_FREE char *error = NULL;
	struct result result = { .account = json_string(json_get(line, "account")),
		.server = json_string(json_get(line, "server")),
		.reply = json_string(json_get(line, "reply")),
		.at = status_instant(json_get(line, "t")) };
	const char *then = json_string(json_get(line, "then"));

	json_to_int(json_get(line, "code"), &result.code);
	switch (serve_line_event(line)) {
	case EVENT_SENT:
		result.status = "sent";
		break;
	case EVENT_DEFERRED:
		result.status = "deferred";
		result.until = status_instant(json_get(line, "due"));
		break;
	case EVENT_UNCERTAIN:
		result.status = then != NULL && strcmp(then, "retry") == 0 ? "deferred" : "error";
		break;
	case EVENT_FAILED:
	case EVENT_CORRUPT:
	case EVENT_DELETED:
		result.status = "error";
		break;
	default: /* by hand: it waits */
		result.status = "deferred";
		break;
	}
	if (strcmp(result.status, "sent") != 0)
		error = serve_line_error(line);
	result.error = error;
	answer(serve, s, &result);
}

/* It waits in the queue. */
static void
answer_waiting(struct serve *serve, struct sending *s, const struct why_message *message,
    const struct why *why)
{
	bool waits = message->state == STATE_WAITING || message->state == STATE_DEFERRED;
	char error[sizeof why->text + 16];
	struct result result = { .status = "deferred",
		.account = message->lane.account,
		.error = error,
		.until = why->until };

	snprintf(error, sizeof error, "%s%s", waits ? "it waits for " : "", why->text);
	answer(serve, s, &result);
}

static void
answer_lost(struct serve *serve, struct sending *s, const char *status, const char *error)
{
	struct result result = { .status = status, .error = error };

	answer(serve, s, &result);
}

/* ---- what became of them ------------------------------------------------------------------------------------ */

struct waiting {
	struct serve *serve;
	struct spool *spool;
	struct sending **v; /* sorted by id */
	size_t n, left;
};

static int
compare_sendings(const void *a, const void *b)
{
	return strcmp((*(struct sending *const *)a)->wanted.id,
	    (*(struct sending *const *)b)->wanted.id);
}

static int
compare_id(const void *key, const void *element)
{
	return strcmp(key, (*(struct sending *const *)element)->wanted.id);
}

static struct sending *
find(const struct waiting *w, const char *id)
{
	struct sending **found = bsearch(id, w->v, w->n, sizeof *w->v, compare_id);

	return found != NULL && !(*found)->answered ? *found : NULL;
}

static int
take_line(const char *text, size_t len, const struct json *line, void *arg)
{
	struct waiting *w = arg;
	const char *id = json_string(json_get(line, "id"));
	struct sending *s = id != NULL ? find(w, id) : NULL;

	if (s == NULL || serve_line_event(line) < EVENT_SENT)
		return 0;
	json_free(s->line);
	s->line = json_parse(text, len, 1, NULL);
	return 0;
}

static int
read_lines(struct waiting *w, struct err *err)
{
	struct history_filter filter = { .since = INT64_MAX };

	for (size_t i = 0; i < w->n; i++)
		if (!w->v[i]->answered && w->v[i]->since < filter.since)
			filter.since = w->v[i]->since;
	if (history_read(w->spool, &filter, take_line, w, err) < 0)
		return -1;
	for (size_t i = 0; i < w->n; i++) {
		if (w->v[i]->answered || w->v[i]->line == NULL)
			continue;
		answer_line(w->serve, w->v[i]);
		w->left--;
	}
	return 0;
}

/* Those of which nothing is on record: what holds them up. */
static int
take_place(const struct place *place, void *arg)
{
	struct waiting *w = arg;
	const struct serve_config *config;
	struct why_message message = { .state = place->state, .name = place->name };
	char id[ID_TEXT_MAX + 1];
	struct record record = { 0 };
	struct err err = ERR_INIT;
	struct why why_it = { 0 };
	struct sending *s;

	/* In hand: there will be an outcome. */
	if (place->state == STATE_CLAIMED || name_decode(place->name.id, id) < 0 ||
	    (s = find(w, id)) == NULL)
		return 0;
	lane_parse(place->lane, &message.lane);
	if (message_open(place->dir, place->text, &place->name, NULL, &record, &err) == 0)
		message.record = &record;
	config = serve_config_get(w->serve);
	if (why(w->spool, &config->settings, &message, &why_it, &err) < 0)
		snprintf(why_it.text, sizeof why_it.text, "%s", "the next mailq-run");
	serve_config_put(w->serve, config);
	record_release(&record);
	answer_waiting(w->serve, s, &message, &why_it);
	w->left--;
	return 0;
}

static int
look_at_queue(struct waiting *w, struct err *err)
{
	AUTO_FREE const char **ids = xcalloc(w->n + 1, sizeof *ids);
	struct walk_filter filter = { .state = STATE_NONE, .ids = ids };

	for (size_t i = 0; i < w->n; i++)
		if (!w->v[i]->answered)
			ids[filter.id_count++] = w->v[i]->wanted.id;
	return filter.id_count > 0 && walk(w->spool, &filter, take_place, w, err) < 0 ? -1 : 0;
}

static void
pause_for(int64_t span)
{
	struct timespec time = { span / USEC, span % USEC * 1000 };

	nanosleep(&time, NULL);
}

/*
 * Reads history first, then looks at the queue: what moves on between the two is met in the next round.  One
 * that is in neither may be in hand, or was deleted; both will be on record.
 */
static void
find_out(struct waiting *w)
{
	int64_t begun = clock_monotonic(), pause = LOOK_FIRST;
	struct err err = ERR_INIT;
	bool wide = false;

	while (
	    read_lines(w, &err) == 0 && w->left > 0 && look_at_queue(w, &err) == 0 && w->left > 0) {
		int64_t passed = clock_monotonic() - begun;

		if (passed > LOOK_LONGEST) {
			err_set(&err, EX_TEMPFAIL, "it is still being delivered");
			break;
		}
		for (size_t i = 0; passed > LOOK_WIDER && !wide && i < w->n; i++)
			w->v[i]->since -= w->v[i]->since > LOOK_BACK ? LOOK_BACK : 0;
		wide = passed > LOOK_WIDER;
		pause_for(pause);
		pause = 2 * pause < LOOK_MAX ? 2 * pause : LOOK_MAX;
	}
	for (size_t i = 0; i < w->n; i++)
		if (!w->v[i]->answered)
			answer_lost(w->serve, w->v[i], "deferred", err.msg);
}

/* ---- in a thread of their own ---------------------------------------------------------------------------------- */

/* "mailq-run -q --id=..." for all of them.  A second time where the first was killed: what it had in hand is
 * settled then. */
static int
run(const struct waiting *w, struct err *err)
{
	AUTO_FREE const char **args = xcalloc(w->n + 2, sizeof *args);
	AUTO_FREE char *ids = xcalloc(w->n, ID_TEXT_MAX + 8);
	int result = -1;

	args[0] = "-q";
	for (size_t i = 0; i < w->n; i++) {
		char *word = ids + i * (ID_TEXT_MAX + 8);

		snprintf(word, ID_TEXT_MAX + 8, "--id=%s", w->v[i]->wanted.id);
		args[i + 1] = word;
	}
	for (int attempt = 0; attempt < 2 && result < 0; attempt++)
		result = serve_runs_wait(w->serve, args, err);
	return result;
}

void
serve_send_deliver(struct serve_wanted *list, struct serve *serve)
{
	struct waiting w = { .serve = serve };
	struct serve_lent *lent;
	struct err err = ERR_INIT;

	for (struct serve_wanted *s = list; s != NULL; s = s->next)
		w.n++;
	w.left = w.n;
	w.v = xcalloc(w.n + 1, sizeof *w.v);
	for (size_t i = 0; list != NULL; list = list->next)
		w.v[i++] = (struct sending *)list;
	if (w.n > 1)
		qsort(w.v, w.n, sizeof *w.v, compare_sendings);
	if (run(&w, &err) < 0)
		log_error("%s", err.msg);
	lent = serve_lend(serve, &err);
	if (lent != NULL) {
		w.spool = &lent->spool;
		find_out(&w);
		serve_give_back(serve, lent);
	}
	for (size_t i = 0; i < w.n; i++) {
		if (!w.v[i]->answered)
			answer_lost(serve, w.v[i], "deferred", "what became of it cannot be read");
		sending_free(serve, w.v[i]);
	}
	free(w.v);
}
