/*
 * The spool: the queue on disk.  This folder is the only code that knows its names; the format is
 * in mailq-spool(5) and the table of states and transitions in ARCHITECTURE.md.
 *
 *	spool_open()	   make or open it
 *	draft/draft.h		   put messages in
 *	queue/queue.h		   what is due, in order
 *	queue/runner.h	   claim, record what happens, settle
 *	queue/recover.h	   finish what a dead process left
 *	walk.h, queue/act.h	   look at messages, and act on them
 *	queue/count.h, journal/history.h numbers, and what happened
 *	check/check.h		   the spool's own fsck
 */
#ifndef SPOOL_STORE_SPOOL_H
#define SPOOL_STORE_SPOOL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "spool/store/name.h"

/* The states whose messages stand in STATE/LANE/BUCKET/NAME. */
enum state {
	STATE_WAITING,	/* due at once */
	STATE_DEFERRED, /* due at the instant in its name */
	STATE_HELD,	/* an operator wants it kept */
	STATE_UNCERTAIN, /* offered to a server whose answer was never seen, and the account says hold */
	STATE_FAILED, /* given up; kept for a retry by hand until its history is forgotten */
	STATE_COUNT,
	STATE_CLAIMED = STATE_COUNT, /* cur/RUNNER/LANE/NAME */
	STATE_SENT,		     /* only history knows it */
	STATE_NONE
};

/* "waiting" .. "sent"; STATE_NONE is "none". */
const char *state_text(enum state state);
/* STATE_NONE where the word is no state. */
enum state state_parse(const char *word);

#define ID_SHARDS 4

struct spool {
	char *path;
	int root; /* every descriptor is a directory */
	int tmp;
	int cur;
	int log;
	int states[STATE_COUNT];
	int ids[ID_SHARDS]; /* opened when first needed; -1 before */
	bool read_only;
	bool ordered; /* fs_is_ordered(), of its file system */
};

struct spool_options {
	bool read_only;	       /* never make or write anything; works on a read-only mount */
	bool allow_network_fs; /* NFS and its like are refused otherwise */
	const char
	    *owner; /* the user whom a spool is given that root makes here; NULL: root's own */
};

/*
 * Opens the spool at path, which is made when it is not there yet (0700; an existing directory may
 * be 2770 for a group).  Root that opens another user's spool becomes that user, for good
 * (base/ids.h): open before that what root alone may, and start no thread before.
 * EX_CANTCREAT: cannot be made; EX_IOERR: not ours to use; EX_CONFIG: not a spool and not empty, or of
 * another version; EX_NOINPUT: not there, and read_only; EX_TEMPFAIL: its owner is wrong, and err names
 * the command that mends it; EX_NOPERM, EX_OSERR: root cannot become its owner.
 * Release with spool_close().
 */
int spool_open(struct spool *spool, const char *path, const struct spool_options *options,
    struct err *err);
void spool_close(struct spool *spool);

/*
 * Before anything is acknowledged: spool_sync_dir() for each directory that was changed, in the order of
 * the steps, then spool_sync_end(), once.  On a file system that keeps an order (fs_is_ordered()) the
 * first syncs the directory and the second does nothing.  On another, where a directory that is synced
 * by itself could come back with names whose former places come back too, the first does nothing and the
 * second syncs all.  -1 with errno.
 */
int spool_sync_dir(const struct spool *spool, int dir);
int spool_sync_end(const struct spool *spool);
/* Makes a directory in the root, durably; already there is fine. */
int spool_make_dir(const struct spool *spool, const char *name, unsigned int mode);

/* EX_TEMPFAIL when less than the floors would stay free on its file system. */
int spool_check_space(const struct spool *spool, uint64_t min_free_bytes, uint64_t min_free_inodes,
    struct err *err);

/* The descriptor of the directory of known ids that this encoded id belongs to, or -1. */
int spool_id_dir(struct spool *spool, const char *encoded_id);
/* The number (0 .. ID_SHARDS - 1) of that directory. */
unsigned int spool_id_shard(const char *encoded_id);

/* Tells a watching mailq-run, and systemd's path unit, that something was added. */
void spool_wake(const struct spool *spool);

/*
 * Opens lane (a name) below a state's directory, durably made if it is not there.  A directory is
 * made under a name that begins with a dot, synced, and then renamed: so whoever sees it under
 * its own name knows that the entry is on disk, and a crash can leave no message in a directory
 * that was lost.  Readers accept the dotted form too.  Returns a descriptor, or -1 with errno.
 */
int spool_open_lane(const struct spool *spool, enum state state, const char *lane);

/*
 * Opens the shared bucket of a lane for messages of this priority that are due then, durably made
 * if it is not there; a full one is passed over for the next of its span.  kind is BUCKET_PLAIN or
 * another of spool/store/name.h.  Returns a descriptor, or -1 with errno.  The bucket can vanish (when it was empty) before something is linked into it:
 * ENOENT from that link means "open again".
 */
int spool_open_bucket(int lane, int priority, int64_t due, const char *kind);
/* Which kind of bucket a message of this name goes into: BUCKET_RETRY if it was tried and is deferred. */
const char *spool_bucket_kind(enum state state, const struct message_name *name);

/*
 * Renames a message into the shared bucket that its new name asks for, in STATE/LANE/.  The step
 * that every move between states is made of: atomic, and not yet synced.  -1 with errno; ENOENT:
 * somebody else has moved the message.
 */
int spool_move(const struct spool *spool, int from_dir, const char *from_name, enum state state,
    const char *lane, const struct message_name *name);
/* The same into a bucket of this kind. */
int spool_move_kind(const struct spool *spool, int from_dir, const char *from_name,
    enum state state, const char *lane, const struct message_name *name, const char *kind);

#endif
