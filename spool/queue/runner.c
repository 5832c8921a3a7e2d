#include "spool/queue/runner.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "spool/part/message.h"
#include "spool/part/part.h"
#include "spool/queue/partial.h"
#include "spool/report/reports.h"
#include "spool/store/own.h"
#include "spool/store/twin.h"
#include "spool/store/walk.h"

/* A runner that has more lanes than this removes each when nothing stands in it any more: there may
 * be one for each batch, and each keeps a descriptor. */
#define LANES_KEPT 64

void
runner_init(struct runner *runner, struct spool *spool, const char *program)
{
	memset(runner, 0, sizeof *runner);
	runner->spool = spool;
	runner->dir = -1;
	runner->journal.fd = -1;
	snprintf(runner->program, sizeof runner->program, "%s", program);
}

/* Makes cur/TOKEN with its journal, locked.  A recovery that finds the directory before the lock is
 * held takes it for a dead runner's and removes it; then another token is tried. */
static int
make_directory(struct runner *runner, struct err *err)
{
	struct spool *spool = runner->spool;

	for (int attempt = 0; attempt < 100; attempt++) {
		token_make(runner->token);
		if (mkdirat(spool->cur, runner->token, 0770) < 0)
			return err_io(err, "spool %s: cannot make a directory in cur", spool->path);
		runner->dir = fs_open_dir(spool->cur, runner->token);
		if (runner->dir >= 0 &&
		    journal_create(&runner->journal, runner->dir, "journal", runner->token,
			runner->program) == 0) {
			/* Only now: the lock is held, and the directory is durable.  The first line is
			 * too, before anything is claimed: so one that lacks it is damaged. */
			if (journal_sync(&runner->journal) < 0 ||
			    spool_sync_dir(spool, runner->dir) < 0 ||
			    spool_sync_dir(spool, spool->cur) < 0)
				return err_io(err, "spool %s: cannot sync cur", spool->path);
			if (reports_link(spool, runner->token, runner->dir, "journal") < 0)
				return err_io(err, "spool %s: cannot link the journal into reports",
				    spool->path);
			runner->begun = clock_monotonic();
			return 0;
		}
		if (errno != ENOENT && errno != EWOULDBLOCK)
			return err_io(err, "spool %s: cannot begin a journal", spool->path);
		auto_close_fd(&runner->dir);
	}
	return err_set(err, EX_TEMPFAIL, "spool %s: cannot keep a directory in cur", spool->path);
}

/* The index of cur/TOKEN/LANE, which is made when it is not there; -1 with errno. */
static ssize_t
lane_index(struct runner *runner, const char *entry_lane)
{
	char lane[LANE_MAX + 1];
	const char *name = entry_lane;
	size_t slot = runner->lane_count;
	int fd;

	if (entry_lane[0] == '.') { /* a lane that is not settled: its proper name */
		if (lane_settled(entry_lane, lane) < 0)
			return -1;
		name = lane;
	}
	for (size_t i = runner->lane_count; i-- > 0;) {
		if (runner->lanes[i].name == NULL)
			slot = i;
		else if (strcmp(runner->lanes[i].name, name) == 0)
			return (ssize_t)i;
	}
	if (fs_mkdir(runner->dir, name, 0770) < 0 || (fd = fs_open_dir(runner->dir, name)) < 0)
		return -1;
	if (slot == runner->lane_count)
		runner->lanes =
		    xreallocarray(runner->lanes, ++runner->lane_count, sizeof *runner->lanes);
	runner->lanes[slot] = (struct claim_lane){ xstrdup(name), fd, true, 0 };
	runner->unsynced = true;
	return (ssize_t)slot;
}

/* The claim.  It replaces nothing: a twin of what is in hand must not take its place. */
static int
claim_name(const struct queue_entry *entry, int lane)
{
	int result = renameat2(entry->dir, entry->text, lane, entry->text, RENAME_NOREPLACE);

	if (result < 0 && errno == EINVAL) /* a file system that cannot say so */
		result = renameat(entry->dir, entry->text, lane, entry->text);
	return result;
}

/* A message of this name is in hand: this one is not sent as well.  0, or -1 with err. */
static int
set_aside_twin(struct runner *runner, const struct queue_entry *entry, struct err *err)
{
	if (own_set_aside(runner->spool, entry->dir, entry->text, entry->text) < 0 &&
	    errno != ENOENT)
		return err_io(err, "spool %s: cannot set %s aside", runner->spool->path,
		    entry->text);
	log_warning("%s is in hand, and stood in a bucket once more: that was moved to corrupt/",
	    entry->text);
	return 0;
}

int
runner_claim(struct runner *runner, const struct queue_entry *entry, struct claim *ret,
    struct err *err)
{
	ssize_t lane;

	if (runner->dir < 0 && make_directory(runner, err) < 0)
		return -1;
	lane = lane_index(runner, entry->lane);
	if (lane < 0)
		return err_io(err, "spool %s: cannot make cur/%s/%s", runner->spool->path,
		    runner->token, entry->lane);
	if (claim_name(entry, runner->lanes[lane].fd) < 0) {
		if (errno == ENOENT)
			return 0;
		if (errno == EEXIST)
			return set_aside_twin(runner, entry, err);
		return err_io(err, "spool %s: cannot claim %s", runner->spool->path, entry->text);
	}
	runner->lanes[lane].unsynced = true;
	runner->lanes[lane].in_hand++;
	ret->runner = runner;
	ret->name = entry->name;
	snprintf(ret->text, sizeof ret->text, "%s", entry->text);
	ret->lane = (size_t)lane;
	ret->fd = -1;
	ret->content = NULL;
	memset(&ret->record, 0, sizeof ret->record);
	return 1;
}

int
claim_open(struct claim *claim, uint64_t verify_max, struct err *err)
{
	struct record record;

	if (message_open(claim->runner->lanes[claim->lane].fd, claim->text, &claim->name,
		&claim->fd, &record, err) < 0)
		return -1;
	claim->record = record;
	if (record.text.length <= verify_max)
		return message_verify(claim->fd, &claim->name, &claim->record, err);
	return 0;
}

int
claim_content(struct claim *claim, uint64_t verify_max, struct err *err)
{
	struct runner *runner = claim->runner;

	if (claim->record.piece_count == 0 || claim->content != NULL)
		return 0;
	if (content_open(runner->spool, claim->fd, &claim->name, &claim->record, &claim->content,
		err) < 0)
		return err_prefix(err, "%s", claim->text);
	if (content_verify(claim->content, verify_max, &runner->known, err) == 0)
		return 0;
	content_close(&claim->content);
	return err_prefix(err, "%s", claim->text);
}

uint64_t
claim_size(const struct claim *claim)
{
	return claim->content != NULL ? content_size(claim->content) : record_total(&claim->record);
}

void
claim_close(struct claim *claim)
{
	content_close(&claim->content);
	auto_close_fd(&claim->fd);
	record_release(&claim->record);
}

const char *
claim_lane(const struct claim *claim)
{
	return claim->runner->lanes[claim->lane].name;
}

static int
move_fault(const struct claim *claim, const char *where, struct err *err)
{
	return err_io(err, "spool %s: cannot move cur/%s/%s/%s to %s", claim->runner->spool->path,
	    claim->runner->token, claim_lane(claim), claim->text, where);
}

/* The message stands there no more; perhaps the lane can go. */
static void
leave_lane(const struct claim *claim)
{
	struct runner *runner = claim->runner;
	struct claim_lane *lane = &runner->lanes[claim->lane];

	if (--lane->in_hand > 0 || runner->lane_count <= LANES_KEPT ||
	    unlinkat(runner->dir, lane->name, AT_REMOVEDIR) < 0)
		return;
	auto_close_fd(&lane->fd);
	free(lane->name);
	*lane = (struct claim_lane){ .fd = -1 };
}

/* Every settling move.  ENOENT would mean that somebody else moved a message out of our directory:
 * nobody does, so it is told. */
static int
move_to(struct claim *claim, enum state state, const char *lane, const struct message_name *name,
    const char *kind, struct err *err)
{
	int result = spool_move_kind(claim->runner->spool, claim->runner->lanes[claim->lane].fd,
	    claim->text, state, lane, name, kind);

	if (result < 0)
		move_fault(claim, state_text(state), err);
	else
		leave_lane(claim);
	claim_close(claim);
	return result;
}

static int
move(struct claim *claim, enum state state, const struct message_name *name, struct err *err)
{
	return move_to(claim, state, claim_lane(claim), name, spool_bucket_kind(state, name), err);
}

int
runner_settle_sent(struct claim *claim, struct err *err)
{
	int result = unlinkat(claim->runner->lanes[claim->lane].fd, claim->text, 0);

	if (result < 0)
		move_fault(claim, "nowhere", err);
	else
		leave_lane(claim);
	if (result == 0)
		part_release(claim->runner->spool, claim->record.token, claim->fd);
	if (result == 0 && claim->name.attempts > 0)
		partial_remove(claim->runner->spool, claim->name.id);
	claim_close(claim);
	return result;
}

/* The name after one more attempt. */
static struct message_name
attempted(const struct claim *claim, int64_t due)
{
	struct message_name name = claim->name;

	if (name.attempts < ATTEMPTS_MAX)
		name.attempts++;
	name.due = due;
	return name;
}

int
runner_settle_deferred(struct claim *claim, int64_t due, bool asked, struct err *err)
{
	struct message_name name = attempted(claim, due);

	return move_to(claim, STATE_DEFERRED, claim_lane(claim), &name,
	    asked ? BUCKET_ASKED : BUCKET_RETRY, err);
}

int
runner_settle_failed(struct claim *claim, struct err *err)
{
	struct message_name name = attempted(claim, clock_now());

	return move(claim, STATE_FAILED, &name, err);
}

int
runner_settle_uncertain(struct claim *claim, struct err *err)
{
	struct message_name name = attempted(claim, clock_now());

	return move(claim, STATE_UNCERTAIN, &name, err);
}

int
runner_settle_corrupt(struct claim *claim, struct err *err)
{
	AUTO_FD int corrupt = fs_open_dir(claim->runner->spool->root, "corrupt");
	int result = corrupt < 0 ?
	    -1 :
	    renameat(claim->runner->lanes[claim->lane].fd, claim->text, corrupt, claim->text);

	if (result < 0)
		move_fault(claim, "corrupt", err);
	else
		leave_lane(claim);
	claim_close(claim);
	return result;
}

int
runner_put_aside(struct claim *claim, const char *lane, struct err *err)
{
	enum state state = claim->name.due > clock_now() ? STATE_DEFERRED : STATE_WAITING;

	return move_to(claim, state, lane, &claim->name, spool_bucket_kind(state, &claim->name),
	    err);
}

int
runner_put_back(struct claim *claim, struct err *err)
{
	return runner_put_aside(claim, claim_lane(claim), err);
}

int
runner_sync_claims(struct runner *runner, struct err *err)
{
	const struct spool *spool = runner->spool;
	bool any = runner->unsynced;
	int result = 0;

	for (size_t i = 0; i < runner->lane_count && result == 0; i++) {
		if (!runner->lanes[i].unsynced)
			continue;
		any = true;
		result = spool_sync_dir(spool, runner->lanes[i].fd);
	}
	if (result == 0 && runner->unsynced)
		result = spool_sync_dir(spool, runner->dir);
	if (result == 0 && any)
		result = spool_sync_end(spool);
	if (result < 0)
		return err_io(err, "spool %s: cannot sync cur/%s", spool->path, runner->token);
	for (size_t i = 0; i < runner->lane_count; i++)
		runner->lanes[i].unsynced = false;
	runner->unsynced = false;
	return 0;
}

int
runner_end(struct runner *runner, struct err *err)
{
	struct spool *spool = runner->spool;
	char name[TOKEN_SIZE + 8];
	bool empty = true;
	int result = 0;

	for (size_t i = 0; i < runner->lane_count; i++) {
		auto_close_fd(&runner->lanes[i].fd);
		if (runner->lanes[i].name != NULL &&
		    unlinkat(runner->dir, runner->lanes[i].name, AT_REMOVEDIR) < 0)
			empty = false;
		free(runner->lanes[i].name);
	}
	free(runner->lanes);
	runner->lanes = NULL;
	runner->lane_count = 0;
	if (runner->dir < 0)
		return 0;
	snprintf(name, sizeof name, "%s.log", runner->token);
	if (journal_sync(&runner->journal) < 0)
		result = err_io(err, "spool %s: cannot sync the journal", spool->path);
	/* With messages left in it, the directory is a dead runner's: the next one recovers it. */
	if (result == 0 && empty) {
		if (renameat(runner->dir, "journal", spool->log, name) < 0 ||
		    spool_sync_dir(spool, spool->log) < 0 || spool_sync_end(spool) < 0)
			result =
			    err_io(err, "spool %s: cannot move the journal to log", spool->path);
		else
			unlinkat(spool->cur, runner->token, AT_REMOVEDIR);
	}
	journal_close(&runner->journal);
	auto_close_fd(&runner->dir);
	return result;
}
