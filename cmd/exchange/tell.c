#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "cmd/exchange/private.h"

/* The log of what was told is ended when it is so old: a watch may last for months. */
#define TOLD_OLD (3600 * USEC)
#define UNKNOWN_MAX 10
/* So many calls with one that fails alone, each a time-out perhaps, until the reports are opened again. */
#define ALONE_MAX 10

static void
write_state(struct exchange *x)
{
	if (reports_state_write(&x->spool, &x->state) < 0)
		log_warning("spool %s: cannot record how the last call to the application went",
		    x->spool.path);
}

static void
note_failure(struct exchange *x, size_t n, const struct exchange_failure *failure)
{
	const char *reason = failure->err.msg;
	int64_t pause =
	    exchange_pause(++x->state.failures, exchange_chance(), failure->retry_after);
	bool same = strncmp(reason, x->state.reason, sizeof x->state.reason - 1) == 0;
	char span[CLOCK_TEXT_SIZE], lost[64] = "";

	x->state.until = clock_now() + pause;
	snprintf(x->state.reason, sizeof x->state.reason, "%.*s", (int)sizeof x->state.reason - 1,
	    reason);
	if (failure->of_content)
		exchange_halves_failed(&x->state, n);
	write_state(x);
	clock_span(pause, span);
	if (n > 0)
		snprintf(lost, sizeof lost, "; %zu report%s not acknowledged", n,
		    n == 1 ? "" : "s");
	if (x->state.failures == 1 || !same)
		log_warning("sync: %s%s; next call in %s", reason, lost, span);
	else
		log_info("sync: %s%s; next call in %s", reason, lost, span);
}

static void
note_success(struct exchange *x, size_t n, const struct exchange_answer *answer)
{
	struct reports_state fresh = { .idle_until = answer->idle_until,
		.told = clock_now(),
		.suspects = x->state.suspects,
		.skipped = x->state.skipped,
		.room = x->state.room };

	if (x->state.failures > 0)
		log_info("sync: it works again");
	if (answer->plain)
		log_debug("sync: the answer is no JSON object; all reports are acknowledged");
	if (answer->error && !answer->ok)
		log_warning("sync: it acknowledges, and says: %s", answer->words);
	if (answer->strange > 0)
		log_warning("sync: the application rejects %zu that are no ids", answer->strange);
	if (answer->idle_cut)
		log_warning(
		    "sync: next_sync_after lies more than a day ahead: expected Unix seconds; "
		    "a day is taken");
	x->state = fresh;
	exchange_halves_heard(&x->state, n, (size_t)x->current.settings.sync.batch_size);
	write_state(x);
	x->passed = true;
	x->again = x->again || answer->more;
}

/* ---- what was acknowledged ----------------------------------------------------------------------------- */

static int
compare(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void
warn_of_unknown(const struct exchange_batch *batch, const struct exchange_answer *answer)
{
	const char **sorted;
	size_t unknown = 0;

	if (answer->n == 0)
		return;
	sorted = xreallocarray(NULL, batch->n + 1, sizeof *sorted);
	memcpy(sorted, batch->ids, batch->n * sizeof *sorted);
	qsort(sorted, batch->n, sizeof *sorted, compare);
	for (size_t i = 0; i < answer->n; i++)
		if (bsearch(&answer->ids[i], sorted, batch->n, sizeof *sorted, compare) == NULL &&
		    ++unknown <= UNKNOWN_MAX)
			log_warning("sync: the application rejects \"%.200s\", which was not "
				    "reported",
			    answer->ids[i]);
	if (unknown > UNKNOWN_MAX)
		log_warning("sync: and %zu more", unknown - UNKNOWN_MAX);
	free(sorted);
}

/* For the history: when what was told. */
static void
record(struct exchange *x, const char *const *ids, size_t n)
{
	struct err err = ERR_INIT;

	if (x->told.begun && clock_monotonic() - x->told_begun > TOLD_OLD)
		oplog_end(&x->told);
	if (!x->told.begun) {
		x->told = (struct oplog){ .spool = &x->spool };
		x->told_begun = clock_monotonic();
		if (oplog_begin(&x->told, &err) < 0) {
			log_warning("%s", err.msg);
			return;
		}
	}
	journal_reported(&x->told.journal, ids, n);
	x->told.lines++;
	if (journal_write(&x->told.journal) < 0)
		log_warning("spool %s: cannot record what was reported", x->spool.path);
}

static void
log_alone(const struct exchange_batch *batch)
{
	for (size_t i = 0; i < batch->skipped_count && i < UNKNOWN_MAX; i++)
		log_info("sync: reports of \"%.200s\" are told alone: the application failed with "
			 "them and takes others",
		    batch->skipped[i]);
}

static int
settle(struct exchange *x, const struct exchange_batch *batch, const struct exchange_answer *answer,
    struct err *err)
{
	AUTO_FREE const char **heard = xreallocarray(NULL, batch->n + 1, sizeof *heard);
	AUTO_FREE const char **rejected = xreallocarray(NULL, batch->n + 1, sizeof *rejected);
	struct reports_kept kept = { .rejected = rejected,
		.alone = batch->skipped,
		.alone_count = batch->n > 0 ? batch->skipped_count : 0,
		.max_attempts = (unsigned int)x->current.settings.sync.max_attempts };
	size_t heard_count = 0;

	for (size_t i = 0; i < batch->n; i++) {
		if (exchange_answer_rejects(answer, batch->ids[i]))
			rejected[kept.rejected_count++] = batch->ids[i];
		else
			heard[heard_count++] = batch->ids[i];
	}
	warn_of_unknown(batch, answer);
	if (kept.rejected_count > 0)
		log_info("sync: the application rejects %zu of %zu reports", kept.rejected_count,
		    batch->n);
	if (heard_count > 0)
		record(x, heard, heard_count);
	log_alone(batch);
	if (reports_keep(x->reports, &kept, err) < 0)
		return -1;
	pthread_mutex_lock(&x->lock);
	x->counts.reported += heard_count;
	pthread_mutex_unlock(&x->lock);
	return 0;
}

/* ---- telling ----------------------------------------------------------------------------------------------- */

/* A watch comes back to it: a disk that was full is emptied.  Meanwhile another runner may have more luck. */
static void
spool_fault(struct exchange *x, const struct err *err)
{
	log_error("sync: %s", err->msg);
	x->broken = clock_monotonic() + exchange_pause(++x->faults, exchange_chance(), 0);
	exchange_tell_end(x);
}

/* True where we are the one who tells, and a call may be made. */
static bool
may_tell(struct exchange *x)
{
	struct err err = ERR_INIT;
	int opened;

	if (clock_monotonic() < x->broken || x->current.settings.sync.url == NULL)
		return false;
	if (x->reports == NULL) {
		opened = reports_open(&x->spool, &x->reports, &err);
		if (opened < 0)
			spool_fault(x, &err);
		if (opened <= 0)
			return false;
		reports_state_read(&x->spool, &x->state);
		x->passed = false;
		x->alone = 0;
	}
	return x->tell_forced || !exchange_is_paused(x->state.until, clock_now());
}

/* An empty list is due, and the application has not asked to be left alone, or that is passed over. */
static bool
wants_idle(const struct exchange *x)
{
	int64_t ahead = x->state.idle_until - clock_now();

	return x->idle_due && x->current.settings.sync.when_idle &&
	    (x->tell_forced || ahead <= 0 || ahead > EXCHANGE_IDLE_MAX);
}

/* What a function says that makes a call: */
enum next {
	NEXT_NONE, /* there is nothing (more) to tell, or no call may be made now */
	NEXT_MORE, /* there may be more */
	NEXT_FAILED,
};

static enum next
fail_spool(struct exchange *x, const struct err *err)
{
	spool_fault(x, err);
	return NEXT_FAILED;
}

/* An empty list: the application may answer that it has messages. */
static enum next
tell_nothing(struct exchange *x)
{
	AUTO(exchange_batch_release) struct exchange_batch batch = { 0 };
	AUTO(exchange_answer_release) struct exchange_answer answer = { 0 };
	struct exchange_failure failure = { .err = ERR_INIT };

	exchange_batch_init(&batch, 0, 0);
	x->tell_forced = x->idle_due = false;
	if (exchange_post(x, &batch, &answer, &failure) == 0) {
		note_success(x, 0, &answer);
		return NEXT_NONE;
	}
	if (!exchange_stopped(x))
		note_failure(x, 0, &failure);
	return NEXT_FAILED;
}

/*
 * One that is told alone has failed once more.  That counts as an attempt only if the application is there for others:
 * some call got through before, or an empty one does now.
 */
static enum next
fail_alone(struct exchange *x, const struct exchange_batch *batch, unsigned int attempts, bool idle,
    const struct exchange_failure *failure)
{
	struct reports_kept kept = { .rejected = batch->ids,
		.rejected_count = 1,
		.max_attempts = (unsigned int)x->current.settings.sync.max_attempts };
	struct exchange_failure down = *failure;
	struct err err = ERR_INIT;

	/* It is not one of those that are told in halves. */
	down.of_content = false;
	x->alone++;
	if (!x->passed && idle && tell_nothing(x) == NEXT_FAILED) {
		reports_leave(x->reports);
		return NEXT_FAILED;
	}
	if (!x->passed) {
		/* Others of its kind may fare better. */
		note_failure(x, 1, &down);
		reports_leave(x->reports);
		return NEXT_MORE;
	}
	if (attempts + 1 >= kept.max_attempts)
		log_warning("sync: a report of \"%.200s\" is set aside: told alone, the "
			    "application "
			    "fails with it: %s",
		    batch->ids[0], failure->err.msg);
	else
		log_info("sync: a report of \"%.200s\", told alone: %s", batch->ids[0],
		    failure->err.msg);
	return reports_keep(x->reports, &kept, &err) < 0 ? fail_spool(x, &err) : NEXT_MORE;
}

/* One that the application has failed with, when all others are told. */
static enum next
tell_alone(struct exchange *x)
{
	AUTO(exchange_batch_release) struct exchange_batch batch = { 0 };
	AUTO(exchange_answer_release) struct exchange_answer answer = { 0 };
	struct exchange_failure failure = { .err = ERR_INIT };
	bool idle = wants_idle(x);
	struct report report;
	int result;

	if (x->alone >= ALONE_MAX)
		return NEXT_NONE;
	exchange_batch_init(&batch, 1, 0);
	result = reports_next_alone(x->reports, &report, &failure.err);
	if (result < 0)
		return fail_spool(x, &failure.err);
	if (result == 0)
		return NEXT_NONE;
	exchange_batch_add(&batch, &report);
	x->tell_forced = false;
	if (exchange_post(x, &batch, &answer, &failure) == 0) {
		x->idle_due = false;
		note_success(x, 0, &answer);
		if (settle(x, &batch, &answer, &failure.err) < 0)
			return fail_spool(x, &failure.err);
		return NEXT_MORE;
	}
	if (failure.of_content)
		return fail_alone(x, &batch, report.attempts, idle, &failure);
	reports_leave(x->reports);
	if (!exchange_stopped(x))
		note_failure(x, 0, &failure);
	return NEXT_FAILED;
}

/* What is to be told when all else has been. */
static enum next
tell_rest(struct exchange *x)
{
	enum next next;

	do
		next = tell_alone(x);
	while (next == NEXT_MORE && !exchange_stopped(x));
	if (next == NEXT_NONE && wants_idle(x) && !exchange_stopped(x))
		next = tell_nothing(x);
	return next == NEXT_MORE ? NEXT_NONE : next;
}

/* One request. */
static enum next
tell_some(struct exchange *x, bool last)
{
	AUTO(exchange_batch_release) struct exchange_batch batch = { 0 };
	AUTO(exchange_answer_release) struct exchange_answer answer = { 0 };
	struct exchange_failure failure = { .err = ERR_INIT };

	if (exchange_batch_gather(x, &batch, &failure.err) < 0)
		return fail_spool(x, &failure.err);
	if (batch.n == 0 && batch.skipped_count > 0) {
		/* Nothing else could show whether the application is there. */
		reports_back(x->reports);
		exchange_halves_again(&x->state);
		return NEXT_MORE;
	}
	if (batch.n == 0)
		return last ? tell_rest(x) : NEXT_NONE;
	x->tell_forced = x->idle_due = false;
	if (exchange_post(x, &batch, &answer, &failure) < 0) {
		reports_back(x->reports);
		if (!exchange_stopped(x))
			note_failure(x, batch.n, &failure);
		return NEXT_FAILED;
	}
	note_success(x, batch.n, &answer);
	if (settle(x, &batch, &answer, &failure.err) < 0)
		return fail_spool(x, &failure.err);
	x->faults = 0;
	return NEXT_MORE;
}

void
exchange_tell(struct exchange *x, bool last)
{
	enum next next = NEXT_MORE;

	while (next == NEXT_MORE && !exchange_stopped(x) && may_tell(x))
		next = tell_some(x, last);
	/* All that was refused has been told: it may be refused anew. */
	if (x->reports != NULL && next == NEXT_NONE && x->state.failures == 0 &&
	    reports_refused_write(&x->spool, NULL, 0) < 0)
		log_warning("spool %s: cannot forget what was refused", x->spool.path);
}

void
exchange_tell_end(struct exchange *x)
{
	if (x->reports != NULL)
		reports_close(&x->reports);
	x->reports = NULL;
	oplog_end(&x->told);
}
