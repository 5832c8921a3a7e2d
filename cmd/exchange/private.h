/*
 * The rooms of the exchange:
 *
 *	exchange.c		the thread: what is to be done when
 *	access.c		who we are: passwords, tokens, secrets
 *	fetch.c			messages in
 *	take.c			one message of them
 *	tell.c			reports out
 *	post.c			one request of them
 *	halves.c		how many at once, where a request fails again and again
 *	report.c		one report as the application reads it
 *	answer.c		what the application answers to reports
 *	sign.c			signatures
 *	pause.c			when to try again after a failure
 */
#ifndef CMD_EXCHANGE_PRIVATE_H
#define CMD_EXCHANGE_PRIVATE_H

#include <pthread.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "cmd/exchange/exchange.h"
#include "cmd/policy/current.h"
#include "http/client.h"
#include "policy/settings.h"
#include "spool/report/oplog.h"
#include "spool/report/reports.h"
#include "spool/store/spool.h"

/* Rounds of fetching and telling in one cycle that the application may ask for. */
#define EXCHANGE_ROUNDS 10
/* A request with reports is not filled further from so many bytes on. */
#define EXCHANGE_BODY_FULL ((size_t)512 * 1024)

/* How often a call is sent on to another path of the same host. */
#define EXCHANGE_REDIRECTS 5

/* ---- who we are -------------------------------------------------------------------------------- */

#define EXCHANGE_TEXT_MAX ((size_t)64 * 1024)

/* How we show who we are; owns its texts. */
struct exchange_access {
	struct buf user, password, token; /* empty ones are not shown */
};

struct exchange_keys {
	unsigned char v[SETTINGS_SECRETS][SETTINGS_SECRET_MAX];
	size_t len[SETTINGS_SECRETS];
	size_t n;
};

/* From the settings and the files that they name.  -1 with err (EX_CONFIG), which names the setting. */
int exchange_access_sync(const struct settings *s, struct exchange_access *ret, struct err *err);
/* fetch's own, else those of sync. */
int exchange_access_fetch(const struct settings *s, struct exchange_access *ret, struct err *err);
void exchange_access_release(struct exchange_access *access); /* wipes; for AUTO() too */
int exchange_keys_read(const struct settings *s, struct exchange_keys *ret, struct err *err);

/* Puts them into a call, which borrows them. */
void exchange_access_show(const struct exchange_access *access, struct http_call *call);

/* ---- signatures -------------------------------------------------------------------------------- */

/*
 * As the Standard Webhooks specification 1.0.0 has it: appends "v1," and the base64 of the HMAC-SHA256
 * over id, timestamp and body, apart by dots; with more than one key, one such word for each.
 */
void exchange_sign(const struct exchange_keys *keys, const char *id, int64_t timestamp,
    struct view body, struct buf *out);

/* ---- one report ---------------------------------------------------------------------------------- */

/* Writes the object for it. */
void exchange_put_report(struct json_writer *w, const struct report *report);

/* ---- the answer ---------------------------------------------------------------------------------- */

struct exchange_answer {
	char **ids; /* that are not acknowledged, in order; NULL: none */
	size_t n;
	size_t strange;	    /* in its lists, what is no id */
	bool plain;	    /* no JSON object: nothing, words, a page */
	bool ok;	    /* it says so */
	bool error;	    /* it has an error in words; they are in words */
	bool more;	    /* the application has messages */
	bool idle_cut;	    /* it said more than EXCHANGE_IDLE_MAX from now */
	int64_t idle_until; /* no empty call before; 0: not said */
	char refusal[40];   /* how it says that it failed; "": it does not */
	char words[300];    /* why, for people; "": it does not say */
};
/* That counts for so long at the most: who asks for more means milliseconds perhaps. */
#define EXCHANGE_IDLE_MAX (86400 * USEC)

/*
 * The body of a 2xx, which acknowledges whatever it does not name: in arrays of ids (strings, numbers, objects
 * with an id) or objects with ids as keys, called rejected, error or not_found; numbers and words in their place
 * reject nothing.  -1 with err (EX_PROTOCOL) where it says of itself that it failed ("ok": false, "status":
 * "error"): it acknowledges nothing.  JSON that breaks off or is damaged counts as far as it goes.
 */
int
exchange_answer_read(const char *text, size_t len, struct exchange_answer *ret, struct err *err);
bool exchange_answer_rejects(const struct exchange_answer *answer, const char *id);
void exchange_answer_release(struct exchange_answer *answer); /* for AUTO() too */

/* ---- after a failure -------------------------------------------------------------------------- */

/* What the application may ask for with Retry-After counts for so long at the most. */
#define EXCHANGE_ASKED_MAX (3600 * USEC)
/*
 * The pause behind so many failures in a row: 5 s and twice as long each time, up to 5 minutes, and up to
 * a fifth more by chance (any number); longer where the application asked for more.  In microseconds.
 */
int64_t exchange_pause(unsigned int failures, uint32_t chance, int64_t asked);
uint32_t exchange_chance(void);
/* True before until, as that pause has set it: none lies so far ahead but by a clock that was wrong then. */
bool exchange_is_paused(int64_t until, int64_t now);

/* ---- how many reports at once --------------------------------------------------------------------- */

/* Of the next request, max being the setting. */
size_t exchange_halves_size(const struct reports_state *s, size_t max);
/* A request with n failed, for what was in it perhaps; s->failures counts it. */
void exchange_halves_failed(struct reports_state *s, size_t n);
/* One with n was answered by a 2xx. */
void exchange_halves_heard(struct reports_state *s, size_t n, size_t max);
/* Nothing is there behind those that are skipped: they are told again. */
void exchange_halves_again(struct reports_state *s);

/* ---- the thread ------------------------------------------------------------------------------- */

struct exchange {
	struct exchange_options options;
	pthread_t thread;
	volatile sig_atomic_t stop; /* ends a call that is under way */

	pthread_mutex_t lock;
	pthread_cond_t changed; /* any of these: */
	bool poked;		/* the thread is to look at once */
	bool cycle;		/* another has begun */
	bool finish;		/* the other thread has nothing to deliver at the moment */
	bool done;		/* nothing is left to do */
	bool quit;
	uint64_t delivered; /* of counts.fetched, what was there before the last delivery */
	uint64_t outcomes;
	struct exchange_counts counts;

	/* The thread's own. */
	struct spool spool;
	struct current current;
	struct http_client *client;
	char *ca_file; /* of the client */

	bool cycles_fetch, cycles_tell; /* one has begun since the last fetch, or the last call */
	unsigned int rounds;		/* that the application has asked for in this cycle */
	bool again;			/* it asks for another */
	bool fetch_due;			/* in this cycle, still */
	int64_t fetch_next;		/* monotonic: no sooner in a watch */
	bool fetch_forced;		/* the next takes no notice of failures */
	struct reports_state fetch_state;

	struct reports *reports; /* while we are the one who tells */
	struct reports_state state;
	bool idle_due;	     /* an empty call, unless there is something to tell */
	int64_t tell_next;   /* monotonic: the next cycle of a watch */
	bool tell_forced;    /* the next call takes no notice of failures */
	int64_t broken;	     /* monotonic: the spool is at fault, nothing is told before */
	unsigned int faults; /* of it, in a row */
	bool passed;	     /* since the reports were opened, a call got through */
	unsigned int alone;  /* calls with one that is told alone that failed since then */
	struct oplog told;
	int64_t told_begun; /* monotonic */
};

/* Reports that go into one request. */
struct exchange_batch {
	struct buf entries; /* objects, apart by commas */
	const char **ids;   /* of the reports, good until they are settled */
	size_t n;
	const char **skipped; /* ids that stand before them, and failed alone */
	size_t skipped_count;
	struct digest *attempts; /* of how often each was told before */
};

/* For up to max reports, behind so many that are skipped. */
void exchange_batch_init(struct exchange_batch *batch, size_t max, size_t skipped);
void exchange_batch_add(struct exchange_batch *batch, const struct report *report);
void exchange_batch_release(struct exchange_batch *batch); /* for AUTO() too */
/* The next reports, as many as go into one request.  -1 with err; in any case to be released. */
int exchange_batch_gather(struct exchange *x, struct exchange_batch *batch, struct err *err);

struct exchange_failure {
	struct err err;
	int64_t retry_after; /* microseconds; 0: not said */
	bool of_content;     /* it may be about what was sent */
};
/* 0 and what it acknowledges; -1 with the failure: nothing. */
int exchange_post(struct exchange *x, struct exchange_batch *batch, struct exchange_answer *ret,
    struct exchange_failure *failure);

/* The status of an answer: -1 with err where it is no 2xx, in words. */
int exchange_check_status(const struct http_answer *answer, struct err *err);

/* True once the thread is to end. */
bool exchange_stopped(const struct exchange *x);
/* The client for both calls; NULL with err. */
struct http_client *exchange_client(struct exchange *x, struct err *err);

/* Fetches once. */
void exchange_fetch(struct exchange *x);
/* Tells all there is now; with last, makes the empty call that is due, too. */
void exchange_tell(struct exchange *x, bool last);
/* Ends what it holds; the next call begins anew. */
void exchange_tell_end(struct exchange *x);

/* ---- messages that were fetched ----------------------------------------------------------------- */

struct taking;
/* source: where from, for the records.  Borrows. */
struct taking *taking_begin(struct exchange *x, const char *source);
/* Takes bytes of the answer; fits http_call.sink.  -1 with errno where the spool is at fault. */
int taking_bytes(const void *bytes, size_t n, void *taking);
/*
 * Makes durable what was complete, and what was refused; ended: the answer has come to its end.  Frees.
 * 0; or -1 with err where the spool is at fault, or the answer is no list of messages.  *ret_queued is how
 * many were queued in all.
 */
int taking_end(struct taking *taking, bool ended, uint64_t *ret_queued, struct err *err);

#endif
