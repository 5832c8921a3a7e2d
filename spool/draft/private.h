/* What draft.c, publish.c and recover.c share, and nobody else sees. */
#ifndef SPOOL_DRAFT_PRIVATE_H
#define SPOOL_DRAFT_PRIVATE_H

#include <pthread.h>

#include "spool/draft/draft.h"
#include "spool/part/private.h"

struct entry {
	struct message_name name;
	char lane[LANE_MAX + 1];
	char *id; /* plain */
	int64_t created;
	size_t record_size;
	uint64_t text_length;
	size_t group;
	enum state state;
	bool made_up; /* its id */
	bool has_pieces;
	enum draft_result result;
};

struct draft {
	struct spool *spool;
	char token[TOKEN_SIZE];
	int fd;		    /* tmp/TOKEN, locked; -1 until something is written */
	uint64_t flushed;   /* bytes in the file */
	struct buf pending; /* bytes behind them */
	size_t keep;	    /* so many may be pending */
	struct entry *entries;
	size_t count, room;
	bool writing; /* entries[count] has begun and not ended */
	bool visible; /* the commit got so far that names may stand in the queue */
	bool committed;
	int64_t last_created;
	pthread_t thread; /* of draft_commit_begin */
	bool in_thread;
	int thread_result;
	struct err thread_err;
	struct checksum *sum;
	struct part_pins *pins; /* NULL until a message has parts */
	char (
	    *hashes)[MAIL_PART_HASH_SIZE]; /* what its messages need; some may stand there twice */
	size_t hash_count, hash_room;
	size_t hashes_before; /* so many when the message that is being written began */
	bool has_pieces;      /* some message has parts, or something to be fetched */
};

/* Messages of a draft that go into the same bucket. */
struct group {
	enum state state;
	const char *lane;
	int priority;
	int64_t span;  /* start of the shared bucket for deferred ones; else 0 */
	int64_t start; /* the earliest due among them */
	size_t queued;
	int fd;	    /* tmp/TOKEN.d/N while it is private, then the same directory in the queue */
	int bucket; /* where its names stand, or begin to, in the queue; -1: not yet */
	int lane_fd;
};

#define PRIVATE_SUFFIX ".d"
#define PRIVATE_SIZE (TOKEN_SIZE + 2)

/* The directory tmp/TOKEN.d, in which the names of a draft of many stand until it is committed. */
void draft_private_name(const char *token, char ret[PRIVATE_SIZE]);

int draft_publish_one(struct draft *draft, struct err *err);
int draft_publish_many(struct draft *draft, struct err *err);

/* A thread that takes no signals: those that the program handles must interrupt nothing here.
 * 0, or an error number. */
int draft_thread(pthread_t *thread, void *(*run)(void *arg), void *arg);

/*
 * Links each message's private name, then takes its id: so an id that was taken has its name in
 * tmp/ until the group is published, and that is how a recovery finds it.  Sets the result of
 * duplicates, the groups' numbers of queued messages, and which id directories were touched.
 */
int
draft_link(struct draft *draft, struct group *groups, unsigned int *ret_shards, struct err *err);

/* The ids of a draft, as its own records tell them, and which of its messages were published. */
struct draft_id {
	char encoded[ID_TEXT_MAX + 1];
	bool published;
};

struct draft_ids {
	struct draft_id *v; /* sorted */
	size_t count, room;
	uint64_t inode; /* of the draft's file */
};

/* Reads them from the draft's file, up to where it was cut off.  -1 with errno: it cannot be read. */
int draft_ids_read(struct draft_ids *ids, int fd);
void draft_ids_release(struct draft_ids *ids);
/* Whether the file is that of more than one message, or has more names than one. */
bool draft_ids_are_many(const struct draft_ids *ids, int fd);
/* Looks in the queue, and in the journals since the token was made, for what was published.  -1 with errno. */
int draft_ids_look(struct draft_ids *ids, struct spool *spool, const char *token);
bool draft_ids_published(const struct draft_ids *ids, const char *encoded);
/* Gives up those of messages that were not.  -1 with errno. */
int draft_ids_give_up(const struct draft_ids *ids, struct spool *spool, const char *token);

/* Takes back what of this draft was not published: its names in tmp/, the ids taken for them and
 * the file.  The caller holds the lock on fd.  -1 with errno: it is there still, for another try. */
int draft_roll_back(struct spool *spool, const char *token, int fd);

#endif
