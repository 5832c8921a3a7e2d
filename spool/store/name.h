/*
 * The names of the spool, as pure text: what is in a name, and how it is read back.  The meaning
 * of the directories around them is in mailq-spool(5).
 *
 *	message   PRIORITY.SECONDS.MICROSECONDS.ATTEMPTS.OFFSET.ID
 *	          2.1732170240.123456.0.0.MSG-101
 *	bucket    PRIORITY.SECONDS[.TOKEN]		a directory of messages of one priority
 *	lane      ACCOUNT[,BATCH[,DOMAIN]]		a directory of buckets
 *	token     SECONDS.MICROSECONDS.RANDOM		a draft, a runner, a batch's bucket
 *
 * ID, ACCOUNT, BATCH and DOMAIN are encoded: letters, digits and "-_@=+" stand for themselves, a dot too
 * unless it comes first; every other byte is %XX.
 */
#ifndef SPOOL_STORE_NAME_H
#define SPOOL_STORE_NAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"

#define ID_TEXT_MAX 180	   /* bytes of an encoded id */
#define LANE_PART_MAX 100  /* bytes of an encoded account or batch */
#define LANE_DOMAIN_MAX 47 /* bytes of an encoded recipient domain */
#define LANE_MAX 213	   /* bytes; so that the unsettled form is a file's name, too */
#define TOKEN_SIZE 40	   /* with its terminator */
#define BUCKET_SIZE 80
#define NAME_SIZE 256	/* NAME_MAX + 1 */
#define BUCKET_SPAN 256 /* seconds of due time that one shared bucket spans */
#define PRIORITY_MAX 3
/*
 * The token of a shared bucket begins with one of these if a deferral has made up the due times in it, and
 * no client has asked for them: so its name alone says whether they can lie so far ahead.
 */
#define BUCKET_PLAIN ""
#define BUCKET_RETRY "r" /* after a pause of the retry schedule */
#define BUCKET_ASKED "n" /* as a server asked to be left alone (Retry-After), for a day at most */
#define BUCKET_ASKED_MAX (24 * 3600 * USEC)
#define ATTEMPTS_MAX 99999u

struct message_name {
	int priority;		  /* 0 immediate .. 3 low */
	int64_t due;		  /* not before this instant; also the order within a priority */
	unsigned int attempts;	  /* finished attempts */
	uint64_t offset;	  /* where its record starts in the file */
	char id[ID_TEXT_MAX + 1]; /* encoded */
};

struct bucket_name {
	int priority;
	int64_t start;		/* instant; no message in it is due earlier */
	char token[TOKEN_SIZE]; /* "" for the first shared bucket of its span; see BUCKET_RETRY */
	bool unsettled;		/* its name begins with a dot: made, but perhaps not yet durable */
};

/* Encodes a text for use in a name.  -1 with errno = ENAMETOOLONG where more than max bytes come
 * of it, or EINVAL for an empty text.  ret has max + 1 bytes. */
int name_encode(const char *text, size_t max, char *ret);
/* The text behind an encoded name; ret has as many bytes as the name.  -1 where it is malformed. */
int name_decode(const char *encoded, char *ret);

/* A new token: unique across the machines and containers that share a spool. */
void token_make(char ret[TOKEN_SIZE]);
/* A new message id: 20 letters and digits that sort by time, 65 random bits of them. */
void id_make(char ret[ID_TEXT_MAX + 1]);
/* About when id_make made this one, to the second; 0 where the text does not look like its work. */
int64_t id_made_at(const char *id);

/* Format and parse.  The parsers return 0, or -1 where the name is not of this form. */
void message_name_format(const struct message_name *name, char ret[NAME_SIZE]);
int message_name_parse(const char *text, struct message_name *ret);
void bucket_name_format(const struct bucket_name *name, char ret[BUCKET_SIZE]);
int bucket_name_parse(const char *text, struct bucket_name *ret);

/* An instant as files of the spool have it, SECONDS.MICROSECONDS with six decimals, the whole of text.
 * -1 where it is not of this form. */
int instant_parse(const char *text, int64_t *ret_instant);

/* The start of the shared bucket that holds messages due at this instant. */
int64_t bucket_start(int64_t due);

/* What a lane's messages have in common, as plain texts; "" where there is none. */
struct lane {
	char account[LANE_PART_MAX + 1];
	char batch[LANE_PART_MAX + 1];
	char domain[LANE_DOMAIN_MAX + 1]; /* of a recipient, when its limit made them wait */
};

/* "ACCOUNT", "ACCOUNT,BATCH", "ACCOUNT,BATCH,DOMAIN" or "ACCOUNT,,DOMAIN" of plain texts (batch and
 * domain may be NULL or "").  -1 with errno as name_encode; ret has LANE_MAX + 1 bytes. */
int lane_format(const char *account, const char *batch, const char *domain, char *ret);
/* The parts of a lane.  One that is still unsettled (".LANE~TOKEN") is read as LANE.  -1 where it is
 * not of this form. */
int lane_parse(const char *text, struct lane *ret);
/* The proper name of a lane, which is unsettled perhaps; ret has LANE_MAX + 1 bytes.  -1 likewise. */
int lane_settled(const char *text, char *ret);

/* The order in which messages go: priority, then due, then the place in the file. */
int message_name_compare(const struct message_name *a, const struct message_name *b);

#endif
