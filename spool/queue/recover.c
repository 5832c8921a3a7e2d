#include "spool/queue/recover.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "spool/draft/draft.h"
#include "spool/journal/audit.h"
#include "spool/part/message.h"
#include "spool/part/part.h"
#include "spool/queue/partial.h"
#include "spool/queue/recover_private.h"
#include "spool/report/reports.h"
#include "spool/store/walk.h"

/* What the journal says of one message that still stands in the dead runner's directory. */
struct remnant {
	char *text; /* its name */
	char lane[LANE_MAX + 1];
	int lane_fd;
	bool offered, dot;
	enum event outcome; /* EVENT_COUNT: none on record */
	int64_t due;
	char then; /* of an uncertain one: 'r', 'h', 'f' */
};

struct wreck {
	struct spool *spool;
	char token[TOKEN_SIZE];
	int dir;		/* cur/TOKEN */
	struct journal journal; /* the dead one's, to which our own lines are added */
	struct journal_audit audit;
	struct remnant *remnants; /* sorted by text */
	size_t count, room;
	int *lane_fds;
	size_t lane_count;
	uncertain_policy *policy;
	void *policy_arg;
	struct recover_result *result;
	bool parts; /* some message may have any */
};

static int
compare_remnants(const void *a, const void *b)
{
	return strcmp(((const struct remnant *)a)->text, ((const struct remnant *)b)->text);
}

static struct remnant *
find_remnant(const struct wreck *wreck, const char *text)
{
	struct remnant key = { .text = (char *)(uintptr_t)text };

	if (text == NULL || wreck->count == 0)
		return NULL;
	return bsearch(&key, wreck->remnants, wreck->count, sizeof key, compare_remnants);
}

struct lane_listing {
	struct wreck *wreck;
	const char *lane;
	int fd;
};

static int
add_remnant(const char *name, unsigned char type, void *arg)
{
	struct lane_listing *listing = arg;
	struct wreck *wreck = listing->wreck;
	struct message_name parsed;
	struct remnant *remnant;

	if ((type != DT_REG && type != DT_UNKNOWN) || message_name_parse(name, &parsed) < 0)
		return 0;
	if (wreck->count == wreck->room) {
		wreck->room = wreck->room > 0 ? 2 * wreck->room : 64;
		wreck->remnants = xreallocarray(wreck->remnants, wreck->room, sizeof *remnant);
	}
	remnant = &wreck->remnants[wreck->count++];
	*remnant = (struct remnant){ .text = xstrdup(name),
		.lane_fd = listing->fd,
		.outcome = EVENT_COUNT };
	snprintf(remnant->lane, sizeof remnant->lane, "%s", listing->lane);
	return 0;
}

static int
list_lane(const char *name, unsigned char type, void *arg)
{
	struct wreck *wreck = arg;
	struct lane lane;
	struct lane_listing listing = { wreck, name, -1 };

	if ((type != DT_DIR && type != DT_UNKNOWN) || lane_parse(name, &lane) < 0)
		return 0;
	listing.fd = fs_open_dir(wreck->dir, name);
	if (listing.fd < 0)
		return errno == ENOTDIR ? 0 : -1;
	wreck->lane_fds = xreallocarray(wreck->lane_fds, wreck->lane_count + 1, sizeof(int));
	wreck->lane_fds[wreck->lane_count++] = listing.fd;
	return fs_each(listing.fd, add_remnant, &listing) < 0 ? -1 : 0;
}

static int
take_line(const char *text, size_t len, const struct json *value, int64_t offset, void *arg)
{
	struct wreck *wreck = arg;
	const char *word = json_string(json_get(value, "event"));
	const char *then = json_string(json_get(value, "then"));
	const char *due = json_string(json_get(value, "due"));
	enum event event = word != NULL ? event_parse(word) : EVENT_COUNT;
	struct remnant *remnant = find_remnant(wreck, json_string(json_get(value, "name")));

	(void)text;
	(void)len;
	(void)offset;
	if (remnant == NULL)
		return 0;
	switch (event) {
	case EVENT_OFFERED:
		remnant->offered = true;
		break;
	case EVENT_DOT:
		remnant->dot = true;
		break;
	case EVENT_SENT:
	case EVENT_DEFERRED:
	case EVENT_FAILED:
	case EVENT_UNCERTAIN:
	case EVENT_CORRUPT:
		remnant->outcome = event;
		remnant->then = then != NULL ? then[0] : 'r';
		if (due == NULL || clock_parse(due, clock_now(), &remnant->due) < 0)
			remnant->due = clock_now();
		break;
	default:
		break;
	}
	return 0;
}

static int
move_to(struct wreck *wreck, const struct remnant *remnant, enum state state,
    const struct message_name *name, struct err *err)
{
	if (spool_move(wreck->spool, remnant->lane_fd, remnant->text, state, remnant->lane, name) ==
	    0)
		return 0;
	return err_io(err, "spool %s: cannot move cur/%s/%s/%s to %s", wreck->spool->path,
	    wreck->token, remnant->lane, remnant->text, state_text(state));
}

/* Why it is not known whether the message was sent. */
static void
uncertain_reason(const struct wreck *wreck, const struct remnant *remnant, char *ret, size_t size)
{
	if (remnant->offered || remnant->dot)
		snprintf(ret, size,
		    "mailq-run died after it had offered the message and before it recorded the "
		    "server's answer");
	else
		snprintf(ret, size,
		    "mailq-run died while it had the message, and its journal is damaged: %s",
		    wreck->audit.what);
}

/* What follows for an uncertain message, as a word for the journal and for us: 'r', 'h' or 'f'.  Asks
 * the account, and puts it on record (unsynced). */
static char
record_uncertain(struct wreck *wreck, const struct remnant *remnant,
    const struct message_name *name)
{
	struct lane lane;
	struct record record = { 0 };
	char why[RECOVER_REASON] = "", reason[RECOVER_REASON + 300], unsure[250];
	struct journal_entry entry = { .event = EVENT_UNCERTAIN,
		.name = remnant->text,
		.lane = remnant->lane,
		.attempt = (int)name->attempts + 1,
		.reason = unsure };
	bool read = message_open(remnant->lane_fd, remnant->text, name, NULL, &record, NULL) == 0;
	char then = 'r', id[ID_TEXT_MAX + 1];

	uncertain_reason(wreck, remnant, unsure, sizeof unsure);
	lane_parse(remnant->lane, &lane);
	if (wreck->policy != NULL)
		then = wreck->policy(lane.account, name->attempts + 1, read ? &record : NULL, why,
		    wreck->policy_arg);
	entry.id = record.id;
	if (entry.id == NULL && name_decode(name->id, id) == 0)
		entry.id = id;
	entry.from = record.from;
	entry.subject = record.subject;
	entry.message_id = record.message_id;
	entry.envid = record.envid;
	entry.created = record.created;
	entry.account = lane.account;
	entry.batch = lane.batch;
	entry.then = then == 'r' ? "retry" : then == 'h' ? "hold" : "fail";
	journal_add(&wreck->journal, &entry);
	if (entry.id != NULL && then != 'r' && then != 'h') {
		entry.event = EVENT_FAILED;
		entry.then = NULL;
		entry.class = failure_text(then == 'x' ? FAILURE_EXHAUSTED :
			then == 'e'		       ? FAILURE_EXPIRED :
							 FAILURE_UNCERTAIN);
		snprintf(reason, sizeof reason, "%s%s%s", why, why[0] != '\0' ? "; last: " : "",
		    entry.reason);
		entry.reason = reason;
		journal_add(&wreck->journal, &entry);
	}
	record_release(&record);
	return then == 'r' || then == 'h' ? then : 'f';
}

/* An uncertain message: what follows is on record before it is done. */
static int
settle_uncertain(struct wreck *wreck, struct remnant *remnant, const struct message_name *old,
    struct err *err)
{
	struct message_name name = *old;
	char then = remnant->then;

	if (remnant->outcome != EVENT_UNCERTAIN) {
		then = record_uncertain(wreck, remnant, old);
		if (journal_sync(&wreck->journal) < 0)
			return err_io(err, "spool %s: cannot sync cur/%s/journal",
			    wreck->spool->path, wreck->token);
	}
	if (name.attempts < ATTEMPTS_MAX)
		name.attempts++;
	name.due = clock_now();
	return move_to(wreck, remnant,
	    then == 'h'	    ? STATE_UNCERTAIN :
		then == 'f' ? STATE_FAILED :
			      STATE_WAITING,
	    &name, err);
}

/*
 * Whether a message without an outcome may have been sent.
 *
 * A dot leaves only behind its line, which is in the page cache by then: in the boot of its writer a
 * sound journal names all of them.  After a power cut its end may be lost; but before a message is
 * handed to a transport, its "offered" is synced, and so is all that stands before that.  So a torn last
 * line is then no loss: what it would have said was never synced, and nothing followed from it.
 *
 * In the boot of its writer a line is torn only by a kill in the middle of write(2), and then no dot of
 * that write has left; but damage looks the same, and what it took away may have been dots.  The same
 * holds, in any boot, for a journal that is damaged, empty or gone: the first line is synced before the
 * first claim, so that with messages in hand there is always a sound beginning.  Then all that was claimed may
 * have been sent.
 */
static bool
may_be_sent(const struct wreck *wreck, const struct remnant *remnant)
{
	const struct journal_audit *audit = &wreck->audit;

	if (audit->damaged || (audit->torn && audit->same_boot))
		return true;
	return audit->same_boot ? remnant->dot : remnant->offered;
}

static int
settle(struct wreck *wreck, struct remnant *remnant, struct err *err)
{
	struct recover_result *result = wreck->result;
	struct message_name old, name;
	struct part_use *use;

	message_name_parse(remnant->text, &old);
	name = old;
	if (name.attempts < ATTEMPTS_MAX)
		name.attempts++;
	switch (remnant->outcome) {
	case EVENT_SENT:
		result->completed++;
		use =
		    wreck->parts ? part_look(wreck->spool, remnant->lane_fd, remnant->text) : NULL;
		if (unlinkat(remnant->lane_fd, remnant->text, 0) < 0 && errno != ENOENT) {
			part_keep(&use);
			return err_io(err, "spool %s: cannot unlink cur/%s/%s/%s",
			    wreck->spool->path, wreck->token, remnant->lane, remnant->text);
		}
		part_forget(wreck->spool, &use);
		partial_remove(wreck->spool, old.id);
		return 0;
	case EVENT_DEFERRED:
		result->completed++;
		name.due = remnant->due;
		return move_to(wreck, remnant, STATE_DEFERRED, &name, err);
	case EVENT_FAILED:
		result->completed++;
		name.due = clock_now();
		return move_to(wreck, remnant, STATE_FAILED, &name, err);
	default:
		break;
	}
	if (may_be_sent(wreck, remnant) || remnant->outcome == EVENT_UNCERTAIN) {
		result->uncertain++;
		return settle_uncertain(wreck, remnant, &old, err);
	}
	result->put_back++;
	return move_to(wreck, remnant, old.due > clock_now() ? STATE_DEFERRED : STATE_WAITING, &old,
	    err);
}

static void
release_wreck(struct wreck *wreck)
{
	for (size_t i = 0; i < wreck->count; i++)
		free(wreck->remnants[i].text);
	free(wreck->remnants);
	for (size_t i = 0; i < wreck->lane_count; i++)
		auto_close_fd(&wreck->lane_fds[i]);
	free(wreck->lane_fds);
	journal_close(&wreck->journal);
}

static int
remove_lane(const char *name, unsigned char type, void *arg)
{
	struct wreck *wreck = arg;

	if (type == DT_DIR || type == DT_UNKNOWN)
		unlinkat(wreck->dir, name, AT_REMOVEDIR);
	return 0;
}

/* Every message is settled: the journal becomes history, the directory goes. */
static void
bury(struct wreck *wreck)
{
	char log[TOKEN_SIZE + 8];

	fs_each(wreck->dir, remove_lane, wreck);
	snprintf(log, sizeof log, "%s.log", wreck->token);
	/* Of two names of one file, as a power cut can leave them, a rename takes neither away. */
	if (renameat(wreck->dir, "journal", wreck->spool->log, log) == 0)
		unlinkat(wreck->dir, "journal", 0);
	if (spool_sync_dir(wreck->spool, wreck->spool->log) == 0)
		spool_sync_end(wreck->spool);
	unlinkat(wreck->spool->cur, wreck->token, AT_REMOVEDIR);
}

/* All that stands in the directory; and a line that says how much of what. */
static int
settle_all(struct wreck *wreck, struct err *err)
{
	struct recover_result before = *wreck->result;
	const struct recover_result *after = wreck->result;
	int result = 0;

	wreck->parts = part_any(wreck->spool);
	for (size_t i = 0; i < wreck->count; i++)
		if (settle(wreck, &wreck->remnants[i], err) < 0)
			result = -1;
	if (result < 0)
		return -1;
	journal_recovered(&wreck->journal, after->completed - before.completed,
	    after->put_back - before.put_back, after->uncertain - before.uncertain);
	if (journal_sync(&wreck->journal) < 0)
		return err_io(err, "spool %s: cannot sync cur/%s/journal", wreck->spool->path,
		    wreck->token);
	return 0;
}

/* The caller holds the lock on the journal. */
static int
recover_one(struct wreck *wreck, int journal_fd, struct err *err)
{
	struct stat st;
	int result;

	if (fs_each(wreck->dir, list_lane, wreck) < 0 || fstat(journal_fd, &st) < 0)
		return err_io(err, "spool %s: cannot list cur/%s", wreck->spool->path,
		    wreck->token);
	/* A runner that has made its journal and not locked it yet is about to begin: it has claimed
	 * nothing, and begins again under another token. */
	if (wreck->count == 0 && st.st_size == 0) {
		unlinkat(wreck->dir, "journal", 0);
		bury(wreck);
		return 0;
	}
	if (wreck->count > 0)
		qsort(wreck->remnants, wreck->count, sizeof(struct remnant), compare_remnants);
	if (wreck->count > 0 && journal_audit(journal_fd, take_line, wreck, &wreck->audit) < 0)
		return err_io(err, "spool %s: cannot read cur/%s/journal", wreck->spool->path,
		    wreck->token);
	if (journal_adopt(&wreck->journal, journal_fd) < 0)
		return err_io(err, "spool %s: cur/%s/journal", wreck->spool->path, wreck->token);
	/* What a dead process wrote last may be in the page cache only. */
	if (journal_sync(&wreck->journal) < 0)
		return err_io(err, "spool %s: cannot sync cur/%s/journal", wreck->spool->path,
		    wreck->token);
	/* It died before it had linked it, or a power cut has undone its end. */
	if (wreck->count > 0 &&
	    reports_link_again(wreck->spool, wreck->token, wreck->dir, "journal") < 0)
		return err_io(err, "spool %s: cannot link cur/%s/journal into reports",
		    wreck->spool->path, wreck->token);
	result = settle_all(wreck, err);
	if (result == 0)
		bury(wreck);
	wreck->result->runners++;
	if (wreck->audit.damaged || (wreck->audit.torn && wreck->audit.same_boot))
		wreck->result->damaged++;
	return result;
}

struct recovery {
	struct spool *spool;
	uncertain_policy *policy;
	void *policy_arg;
	struct recover_result *result;
	struct err *err;
	bool failed, tidied;
};

static int
look_at_runner(const char *token, unsigned char type, void *arg)
{
	struct recovery *recovery = arg;
	struct wreck wreck = { .spool = recovery->spool,
		.policy = recovery->policy,
		.policy_arg = recovery->policy_arg,
		.result = recovery->result };
	AUTO_FD int dir = -1;
	AUTO_FD int journal = -1;
	int locked;

	if ((type != DT_DIR && type != DT_UNKNOWN) || strlen(token) >= TOKEN_SIZE)
		return 0;
	dir = fs_open_dir(recovery->spool->cur, token);
	if (dir < 0 && (errno == ENOENT || errno == ENOTDIR))
		return 0; /* its runner has just ended */
	snprintf(wreck.token, sizeof wreck.token, "%s", token);
	wreck.dir = dir;
	locked = dir < 0 ? -1 : recover_lock(recovery->spool, dir, wreck.token, &journal);
	if (locked < 0) {
		recovery->failed = true;
		err_io(recovery->err, "spool %s: cannot open cur/%s/journal", recovery->spool->path,
		    wreck.token);
	}
	if (locked <= 0)
		return 0;
	/* Before the directory goes, which is the sign that there may be something. */
	if (!recovery->tidied)
		recover_unfinished(recovery->spool);
	recovery->tidied = true;
	if (recover_one(&wreck, journal, recovery->err) < 0)
		recovery->failed = true;
	release_wreck(&wreck);
	return 0;
}

int
recover_runners(struct spool *spool, uncertain_policy *policy, void *arg,
    struct recover_result *ret, struct err *err)
{
	struct recovery recovery = { spool, policy, arg, ret, err, false, false };
	/* A descriptor of its own: the listing moves its offset. */
	AUTO_FD int cur = fs_open_dir(spool->root, "cur");

	memset(ret, 0, sizeof *ret);
	recover_temporaries(spool);
	if (cur < 0 || fs_each(cur, look_at_runner, &recovery) < 0)
		return err_io(err, "spool %s: cannot list cur", spool->path);
	if (draft_recover(spool) < 0)
		return err_io(err, "spool %s: cannot list tmp", spool->path);
	return recovery.failed ? -1 : 0;
}
