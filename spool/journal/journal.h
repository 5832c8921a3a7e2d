/*
 * Journals: what happened, one JSON object a line, in the order in which it did.  A runner writes
 * cur/TOKEN/journal, which becomes log/TOKEN.log when it ends; other programs that change a
 * message's state (mailq-status) write a log of their own.  All keys are in mailq-spool(5).
 *
 *	{"t":"2026-11-21T07:38:00.123456Z","event":"begin","token":"…","boot":"…","program":"mailq-run"}
 *	{"t":…,"event":"offered","name":"2.….MSG-1","lane":"main"}
 *	{"t":…,"event":"dot","name":"2.….MSG-1"}
 *	{"t":…,"event":"sent","id":"MSG-1","account":"main","attempt":1,…,"recipients":[…]}
 */
#ifndef SPOOL_JOURNAL_JOURNAL_H
#define SPOOL_JOURNAL_JOURNAL_H

#include "base/buf.h"
#include "base/json.h"
#include "spool/store/spool.h"

/* Events.  Those from SENT on are outcomes: they change the state of a message. */
enum event {
	EVENT_BEGIN,	 /* first line: token, boot, program */
	EVENT_OFFERED,	 /* may be sent from now on (a group, then one sync) */
	EVENT_DOT,	 /* its final dot is about to leave */
	EVENT_PARKED,	 /* an account has a fault and rests until an instant */
	EVENT_LIMITED,	 /* an account (or a domain of its) has reached a limit */
	EVENT_SUSPENDED, /* all, an account or a batch, by an operator */
	EVENT_ACTIVATED,
	EVENT_MOVED,	 /* an account's messages were given to another account */
	EVENT_RECOVERED, /* the writer of this journal had died: what became of its messages */
	EVENT_REFUSED,	 /* the application handed out what is no message: nothing was queued */
	EVENT_REPORTED,	 /* the application has heard what became of "ids" */
	EVENT_BOUNCED,	 /* a message that was sent came back, for one recipient */
	EVENT_SENT,	 /* accepted by the server for every recipient that was left */
	EVENT_DEFERRED,	 /* will be tried again at "due" */
	EVENT_FAILED,	 /* given up: refused for good, expired, attempts exhausted */
	EVENT_UNCERTAIN, /* offered, and the answer was never seen; "then" says what follows */
	EVENT_HELD,	 /* by an operator, and the following three */
	EVENT_RELEASED,
	EVENT_RETRIED,
	EVENT_DELETED,
	EVENT_CORRUPT, /* damaged, moved to corrupt/ */
	EVENT_COUNT
};

/* Why a message failed. */
enum failure {
	FAILURE_REFUSED, /* for good, by a server (5xx), or it cannot be sent to this one at all */
	FAILURE_EXHAUSTED,  /* its attempts are used up: the last ended with a deferral */
	FAILURE_EXPIRED,    /* its time is */
	FAILURE_LIMIT,	    /* beyond the account's limit, which says reject */
	FAILURE_ACCOUNT,    /* it names an account that there is not */
	FAILURE_UNCERTAIN,  /* it may have been delivered, and the account says fail */
	FAILURE_ATTACHMENT, /* one of its attachments can never be had */
};
/* "refused" .. "attachment" */
const char *failure_text(enum failure failure);

const char *event_text(enum event event);
enum event event_parse(const char *word); /* EVENT_COUNT where it is none */

struct journal {
	int fd; /* locked while it lives */
	struct buf pending;
	bool unsynced; /* something was added since the last sync */
	int failure;   /* errno of a write or sync that failed; it stays */
};

/* What became of one recipient in an attempt. */
struct recipient_outcome {
	const char *address;
	enum event outcome;   /* SENT, DEFERRED or FAILED */
	int code;	      /* the server's reply code, or 0 where there was none */
	const char *enhanced; /* "5.1.1", or "" */
	const char *reply;    /* its text, or our own words */
};

/* A line about a message; NULL, 0 and -1 (attempt) are left out. */
struct journal_entry {
	enum event event;
	const char *id;	  /* plain */
	const char *name; /* the name it stands under in cur/, or stood under */
	const char *lane;
	const char *account; /* the one that was used */
	const char *batch;
	int attempt;				 /* 1 for the first; -1: not of an attempt */
	const char *from, *subject, *message_id; /* for display */
	const char *envid;			 /* the sender's own name for it in reports */
	const char *server;			 /* "host:port", or the path of a Maildir */
	int64_t created;			 /* when it was accepted, for latency */
	uint64_t size;				 /* bytes of its text */
	int64_t due;				 /* DEFERRED: the next attempt */
	const char *then;			 /* UNCERTAIN: "retry", "hold" or "fail" */
	const char *class;     /* FAILED: a word of failure_text(); BOUNCED: "hard" or "soft" */
	const char *recipient; /* BOUNCED: whose copy came back */
	const char *reporter;  /* BOUNCED: who says so; REFUSED: where it was fetched */
	const char *report_id; /* BOUNCED: the Message-ID of the report, without brackets */
	const char *reason;    /* one line for people; the report's error */
	int code;	       /* the reply that decided it, 0: none */
	const char *enhanced, *reply;
	const struct recipient_outcome *recipients;
	size_t recipient_count;
};

/* No line is longer, and longer ones are not read. */
#define JOURNAL_LINE_MAX ((size_t)16 * 1024 * 1024)

/* Makes dir/name, locks it, writes the first line and syncs dir.  -1 with errno; EWOULDBLOCK,
 * ENOENT: a recovery took it for a dead one's: try with another token. */
int journal_create(struct journal *journal, int dir, const char *name, const char *token,
    const char *program);
/* Goes on writing a dead runner's journal, whose lock the caller holds on fd (opened for reading and
 * appending): a duplicate of fd is kept, and a torn last line is ended.  -1 with errno. */
int journal_adopt(struct journal *journal, int fd);
/* Adds lines to what is pending.  Only much of it goes to the kernel before journal_write; should
 * that fail, the next journal_write or journal_sync tells.  Texts from strangers are cut to what
 * keeps a line below its maximum. */
void journal_offered(struct journal *journal, const char *name, const char *lane);
void journal_dot(struct journal *journal, const char *name);
void journal_add(struct journal *journal, const struct journal_entry *entry);
/* A line that is about no message: EVENT_PARKED, LIMITED, SUSPENDED, ACTIVATED, MOVED.  account and
 * batch may be NULL, until 0. */
void journal_policy(struct journal *journal, enum event event, const char *account,
    const char *batch, int64_t until, const char *reason);
/* EVENT_REPORTED: for these ids (plain), what was given to it was acknowledged by the application. */
void journal_reported(struct journal *journal, const char *const *ids, size_t count);
/* EVENT_RECOVERED: of the messages that a dead runner had in hand, how many were finished as its
 * journal says, put back, and left uncertain. */
void journal_recovered(struct journal *journal, uint64_t completed, uint64_t put_back,
    uint64_t uncertain);
/* Hands what is pending to the kernel: it survives this process.  -1 with errno. */
int journal_write(struct journal *journal);
/* The same, and fdatasync: it survives the machine.  After a failure the journal must not be
 * used any more, and nothing that it says since the last success may be relied on. */
int journal_sync(struct journal *journal);
/* Closes (and so unlocks); pending lines are lost.  Accepts one that was never created. */
void journal_close(struct journal *journal);

/*
 * Reads a journal from its descriptor, line by line, in constant memory: each(line, value, offset,
 * arg) gets the parsed object and its text; non-zero from it ends the reading and is returned.  A
 * last line without its newline, and lines that are no JSON object, are passed over (a crash may
 * leave them behind what was synced) and counted in *ret_bad when that is not NULL.
 * -1 with errno when the file cannot be read.
 */
int journal_read(int fd, int64_t from_offset,
    int (*each)(const char *text, size_t len, const struct json *value, int64_t offset, void *arg),
    void *arg, size_t *ret_bad);

/* The same by hand and without parsing. */
struct journal_reader {
	int fd;		/* stays the caller's */
	int64_t offset; /* of bytes.s in the file */
	struct buf bytes;
	size_t at;     /* what is before it was given out */
	bool skipping; /* in a line that is too long */
};

void journal_reader_init(struct journal_reader *reader, int fd, int64_t from_offset);
void journal_reader_release(struct journal_reader *reader);
/* 1 and the next line, good until the next call; its text is NULL where it is too long or has no
 * newline.  0 at the end, -1 with errno. */
int journal_next(struct journal_reader *reader, const char **ret_text, size_t *ret_len,
    int64_t *ret_offset);

/* The boot that we live in: text of /proc/sys/kernel/random/boot_id, "" where there is none. */
void boot_id(char ret[64]);

#endif
