#include "spool/queue/act.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/ids.h"
#include "spool/draft/draft.h"
#include "spool/part/part.h"
#include "spool/queue/partial.h"
#include "spool/report/oplog.h"
#include "spool/store/twin.h"

/*
 * The rename (or unlink) comes first and its line after it.  A message's state is where its name
 * stands, and nobody derives it from these lines: so a crash between the two loses a line of history
 * and nothing else, while a line that came first could tell of something that never happened,
 * where a runner was faster.
 */

/* Bytes of a reason that are kept. */
#define REASON_MAX 400

/* An id that was asked for. */
struct wanted {
	char encoded[ID_TEXT_MAX + 1]; /* "" where it is none */
	const char *id;
	bool seen;
};

/* The bucket into which messages were moved last: neighbours mostly go to the same. */
struct target {
	int fd; /* -1: none */
	enum state state;
	char lane[LANE_MAX + 1];
	int priority;
	int64_t start;
	const char *kind;
	unsigned int moves; /* into it since it was opened */
};

struct acting {
	struct spool *spool;
	enum act what;
	const struct walk_filter *filter;
	struct act_result *result;
	struct err *err;
	struct oplog log;
	struct target target;
	char reason[ACT_REASON_SIZE];
	int64_t due;		       /* of the last one that was retried */
	struct wanted *wanted;	       /* for each of filter->ids; sorted */
	bool parts;		       /* some message may have any */
	char left[2 * NAME_SIZE + 16]; /* the bucket that was acted in last, from the root */
};

/* A bucket takes some thousand names before it is full. */
#define TARGET_MOVES 500

/* Which states an act goes with: one letter each, in the order of enum state. */
static const struct act_kind {
	const char *states; /* waiting deferred held uncertain failed */
	enum event event;
} kinds[] = {
	[ACT_HOLD] = { "wd-uf", EVENT_HELD },
	[ACT_RELEASE] = { "--hu-", EVENT_RELEASED },
	[ACT_RETRY] = { "-dhuf", EVENT_RETRIED },
	[ACT_DELETE] = { "wdhuf", EVENT_DELETED },
};

/* A bucket that nothing is left in goes; one that is not empty stays by itself. */
static void
leave_bucket(struct acting *acting, const struct place *next)
{
	char path[sizeof acting->left] = "";

	if (next != NULL)
		snprintf(path, sizeof path, "%s/%s/%s", state_text(next->state), next->lane,
		    next->bucket);
	if (strcmp(path, acting->left) == 0)
		return;
	if (acting->left[0] != '\0')
		unlinkat(acting->spool->root, acting->left, AT_REMOVEDIR);
	memcpy(acting->left, path, sizeof path);
}

/* Opens the bucket that this move asks for, unless it is open.  It may be filling up, so it is not
 * kept for ever. */
static void
open_target(struct acting *acting, enum state state, const char *lane,
    const struct message_name *name)
{
	struct target *target = &acting->target;
	int64_t start = bucket_start(name->due);
	const char *kind = spool_bucket_kind(state, name);
	AUTO_FD int lane_fd = -1;

	if (target->fd >= 0 && target->moves < TARGET_MOVES && target->state == state &&
	    target->priority == name->priority && target->start == start &&
	    strcmp(target->kind, kind) == 0 && strcmp(target->lane, lane) == 0)
		return;
	auto_close_fd(&target->fd);
	*target = (struct target){ .fd = -1,
		.state = state,
		.priority = name->priority,
		.start = start,
		.kind = kind };
	snprintf(target->lane, sizeof target->lane, "%s", lane);
	lane_fd = spool_open_lane(acting->spool, state, lane);
	if (lane_fd >= 0)
		target->fd = spool_open_bucket(lane_fd, name->priority, name->due, kind);
}

static int
move_to(struct acting *acting, const struct place *place, enum state state,
    const struct message_name *name)
{
	struct target *target = &acting->target;
	char lane[LANE_MAX + 1], text[NAME_SIZE];

	/* By its proper name, where the lane is one that is not settled. */
	if (lane_settled(place->lane, lane) < 0)
		return -1;
	open_target(acting, state, lane, name);
	message_name_format(name, text);
	if (target->fd >= 0 &&
	    twin_rename(acting->spool, place->dir, place->text, target->fd, text) == 0) {
		target->moves++;
		return 0;
	}
	/* The bucket may be gone, as it was empty, or the message: this tells. */
	auto_close_fd(&target->fd);
	target->fd = -1;
	return spool_move(acting->spool, place->dir, place->text, state, lane, name);
}

static int
remove_message(struct acting *acting, const struct place *place)
{
	struct part_use *use =
	    acting->parts ? part_look(acting->spool, place->dir, place->text) : NULL;

	if (unlinkat(place->dir, place->text, 0) < 0) {
		part_keep(&use);
		return -1;
	}
	part_forget(acting->spool, &use);
	/* After the unlink: an id may be known a moment too long, and not too short. */
	partial_remove(acting->spool, place->name.id);
	return id_forget(acting->spool, place->name.id);
}

static int
take_step(struct acting *acting, const struct place *place)
{
	struct message_name name = place->name;
	int64_t now = clock_now();

	switch (acting->what) {
	case ACT_HOLD:
		return move_to(acting, place, STATE_HELD, &name);
	case ACT_RELEASE:
		return move_to(acting, place, name.due > now ? STATE_DEFERRED : STATE_WAITING,
		    &name);
	case ACT_RETRY:
		/* Strictly increasing: in the order in which we meet them. */
		acting->due = name.due = now > acting->due ? now : acting->due + 1;
		return move_to(acting, place, STATE_WAITING, &name);
	case ACT_DELETE:
		return remove_message(acting, place);
	}
	return -1;
}

static int
compare_wanted(const void *a, const void *b)
{
	return strcmp(((const struct wanted *)a)->encoded, ((const struct wanted *)b)->encoded);
}

static void
sort_wanted(struct acting *acting)
{
	size_t n = acting->filter->id_count;

	acting->wanted = xcalloc(n + 1, sizeof *acting->wanted);
	for (size_t i = 0; i < n; i++) {
		struct wanted *wanted = &acting->wanted[i];

		wanted->id = acting->filter->ids[i];
		if (name_encode(wanted->id, ID_TEXT_MAX, wanted->encoded) < 0)
			wanted->encoded[0] = '\0';
	}
	if (n > 1)
		qsort(acting->wanted, n, sizeof *acting->wanted, compare_wanted);
}

/* All of them, where one was asked for twice. */
static void
mark_seen(struct acting *acting, const char *encoded)
{
	size_t low = 0, high = acting->filter->id_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(acting->wanted[middle].encoded, encoded) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < acting->filter->id_count && strcmp(acting->wanted[low].encoded, encoded) == 0;
	     low++)
		acting->wanted[low].seen = true;
}

static int
act_on(const struct place *place, void *arg)
{
	struct acting *acting = arg;
	struct act_result *result = acting->result;

	mark_seen(acting, place->name.id);
	if (place->state == STATE_CLAIMED) {
		result->claimed++;
		return 0;
	}
	if (kinds[acting->what].states[place->state] == '-') {
		/* Where all are meant, just those that it goes with are. */
		if (acting->filter->ids != NULL)
			result->unfit++;
		return 0;
	}
	if (oplog_begin(&acting->log, acting->err) < 0)
		return -1;
	leave_bucket(acting, place);
	if (take_step(acting, place) < 0) {
		if (errno == ENOENT) { /* a runner was faster */
			result->claimed++;
			return 0;
		}
		return err_io(acting->err, "spool %s: cannot %s %s/%s/%s/%s", acting->spool->path,
		    acting->what == ACT_DELETE ? "delete" : "move", state_text(place->state),
		    place->lane, place->bucket, place->text);
	}
	result->done++;
	oplog_add(&acting->log, kinds[acting->what].event, place->text, place->lane,
	    acting->what == ACT_RETRY ? acting->due : 0, acting->reason);
	return 0;
}

/* One that moved while we looked may have been passed over: so those are looked for again. */
static int
act_again(struct acting *acting)
{
	const struct walk_filter *all = acting->filter;
	struct walk_filter left = *all;
	const char **ids = xcalloc(all->id_count + 1, sizeof *ids);
	size_t n = 0;
	int result = 0;

	for (size_t i = 0; i < all->id_count; i++)
		if (!acting->wanted[i].seen)
			ids[n++] = acting->wanted[i].id;
	left.ids = ids;
	left.id_count = n;
	if (n > 0)
		result = walk(acting->spool, &left, act_on, acting, acting->err);
	free(ids);
	return result;
}

static void
tell_missing(struct acting *acting)
{
	struct act_result *result = acting->result;

	result->missing = xcalloc(acting->filter->id_count + 1, sizeof *result->missing);
	for (size_t i = 0; i < acting->filter->id_count; i++)
		if (!acting->wanted[i].seen)
			result->missing[result->missing_count++] = xstrdup(acting->wanted[i].id);
}

/* Once for all: renames of many directories, ids and lines. */
static int
sync_all(struct acting *acting)
{
	leave_bucket(acting, NULL);
	if (acting->result->done == 0)
		return 0;
	if (oplog_sync(&acting->log, acting->err) < 0)
		return -1;
	if (fs_sync_all(acting->spool->root) < 0)
		return err_io(acting->err, "spool %s: cannot sync", acting->spool->path);
	return 0;
}

/* "by user 0: the customer asked for it" */
void
act_reason(const char *reason, char ret[ACT_REASON_SIZE])
{
	bool given = reason != NULL && reason[0] != '\0';

	snprintf(ret, ACT_REASON_SIZE, "by user %u%s%.*s", (unsigned int)ids_caller(),
	    given ? ": " : "", REASON_MAX, given ? reason : "");
}

int
act(struct spool *spool, enum act what, const char *reason, const struct walk_filter *filter,
    struct act_result *ret, struct err *err)
{
	struct acting acting = { .spool = spool,
		.what = what,
		.filter = filter,
		.result = ret,
		.err = err,
		.log = { .spool = spool },
		.target = { .fd = -1 } };
	int result;

	*ret = (struct act_result){ 0 };
	acting.parts = what == ACT_DELETE && part_any(spool);
	act_reason(reason, acting.reason);
	sort_wanted(&acting);
	result = walk(spool, filter, act_on, &acting, err);
	if (result == 0)
		result = act_again(&acting);
	if (sync_all(&acting) < 0)
		result = -1;
	oplog_end(&acting.log);
	auto_close_fd(&acting.target.fd);
	tell_missing(&acting);
	if (ret->done > 0 && (what == ACT_RELEASE || what == ACT_RETRY))
		spool_wake(spool);
	free(acting.wanted);
	return result;
}

void
act_result_release(struct act_result *result)
{
	for (size_t i = 0; i < result->missing_count; i++)
		free(result->missing[i]);
	free(result->missing);
	*result = (struct act_result){ 0 };
}
