/*
 * The record before each message's text: what mailq must know to deliver it, as lines of text that
 * a person can read.  A pure pair of pack and unpack; the format is in mailq-spool(5).
 *
 *	mailq 1 00000214 0000000000001187 9f86d081884c7d65 8--
 *	id: MSG-101
 *	created: 1732170240.123456
 *	account: main
 *	priority: 2
 *	sender: app@example.com
 *	recipient: a@example.org
 *	subject: Your invoice
 *	(an empty line, then the text)
 *
 * The first line has a fixed length, so that the length of the text, its checksum and its flags can
 * be filled in when the text has been written behind it.
 */
#ifndef SPOOL_STORE_RECORD_H
#define SPOOL_STORE_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "mail/part.h"
#include "spool/store/name.h"

#define RECORD_FIRST_LINE 55	      /* bytes, with its newline */
#define RECORD_MAX (4u * 1024 * 1024) /* bytes of a whole record: room for 10,000 recipients */
#define RECORD_RECIPIENTS_MAX 10000
#define RECORD_ATTEMPTS_MAX 1000000

#define RECORD_PIECES_MAX 1000

/*
 * Where something stands in for bytes of the text: at offset bytes of the text, the text in the file goes on
 * behind it.  In the order of the message; two may have the same offset.
 */
struct record_piece {
	enum piece_kind {
		PIECE_PART,   /* "part: OFFSET SIZE CHECKSUM HASH", spool/part/part.h */
		PIECE_REMOTE, /* "remote: OFFSET BOUNDARY JSON": fetched at the first attempt */
	} kind;
	uint64_t offset;
	/* Of a part. */
	uint64_t size; /* bytes that are sent for it */
	uint64_t checksum;
	char hash[MAIL_PART_HASH_SIZE];
	/* Of a remote one; owned like the record's strings. */
	char *boundary; /* what is sent for it begins with "--BOUNDARY" and CRLF */
	char *
	    json; /* what is known of it: {"filename"?, "content_type"?, "content_id"?, "source": {...}} */
};

/* Facts about the text that are known only when all of it has been seen. */
struct text_facts {
	uint64_t length; /* bytes in the file: without parts */
	uint64_t
	    checksum;	/* XXH3, 64 bits, over the record from its second line on, then the text */
	bool eight_bit; /* bytes above 127: BODY=8BITMIME (RFC 6152) */
	bool smtputf8;	/* an address in the header is not ASCII (RFC 6531) */
};

/* Strings are owned by whoever filled the record in; those of record_unpack by the record. */
struct record {
	char *id;	 /* plain, 1 .. ID_TEXT_MAX bytes when encoded */
	int64_t created; /* when it was accepted */
	char *account;	 /* as the message named it, else "default" */
	char *batch;	 /* or NULL */
	int priority;
	int64_t due;  /* as asked for; 0: at once */
	char *sender; /* envelope sender; "" is the null reverse-path */
	char **recipients;
	size_t recipient_count;
	char *subject;	      /* decoded, for display; or NULL */
	char *from;	      /* the author's address, for display; or NULL */
	char *message_id;     /* the field of the text, without brackets; or NULL */
	char *dsn_ret;	      /* "FULL", "HDRS" or NULL (RFC 3461) */
	char *dsn_notify;     /* "NEVER" or a list; or NULL */
	char *envid;	      /* the sender's own name for it in reports (RFC 3461), or NULL */
	char *source;	      /* who handed it in, for display; or NULL */
	int64_t expires;      /* it is not sent from this instant on; 0: as the account says */
	int64_t max_attempts; /* 1 to RECORD_ATTEMPTS_MAX; 0: as the account says */
	struct record_piece *pieces; /* NULL: the text is all there is */
	size_t piece_count;
	char token
	    [TOKEN_SIZE]; /* of the draft, set by message_open where there are pieces; else "" */
	size_t size;	  /* of the record itself, set by pack and unpack */
	struct text_facts text;
	char *memory; /* set by record_unpack: what the strings point into */
};

/* Appends the record with a first line of zeros to out.  EX_DATAERR where a field holds a line
 * break or is too long (the message names the field). */
int record_pack(struct record *record, struct buf *out, struct err *err);
/* The first line as it must read when the text is complete; ret has RECORD_FIRST_LINE + 1 bytes. */
void record_first_line(size_t record_size, const struct text_facts *facts, char *ret);
/* The size of the record that begins with this first line, 0 where it is none, or where it was
 * never completed. */
size_t record_size(const char first_line[RECORD_FIRST_LINE], struct text_facts *ret_facts);
/* Reads a whole record of n bytes.  EX_DATAERR with what is wrong; release with record_release. */
int record_unpack(const char *bytes, size_t n, struct record *ret, struct err *err);
void record_release(struct record *record);
/* Bytes of the message as it is sent: the text and its parts, without what is still to be fetched. */
uint64_t record_total(const struct record *record);
/* True where something is to be fetched for it. */
bool record_is_remote(const struct record *record);

/* The checksum, piece by piece: the record from its second line, then the text. */
struct checksum;
struct checksum *checksum_begin(void);
void checksum_add(struct checksum *sum, const void *bytes, size_t n);
uint64_t checksum_value(const struct checksum *sum);
/* Of n bytes at once. */
uint64_t checksum_of(const void *bytes, size_t n);
void checksum_reset(struct checksum *sum);
void checksum_end(struct checksum **sum); /* frees; for AUTO() too */

#endif
