/*
 * One message as a JSON object: id, account_id, from, to, cc, bcc, reply_to, return_path,
 * message_id, subject, body, content_type, headers, attachments, priority, deferred_ts, expires_ts,
 * max_attempts, batch_code; and as clients of the first service have said the same, from_addr for from,
 * from_name for the name of an address without one, and html (true) for content_type.
 *
 * All faults of a message are collected, each with its path, so that an API can answer with the
 * list and a program can print lines.
 */
#ifndef MAIL_MESSAGE_JSON_H
#define MAIL_MESSAGE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "mail/message.h"

struct json; /* base/json.h: a parsed value */

#define MAIL_FAULT_DEPTH 3  /* "attachments", 0, "content" */
#define MAIL_FAULTS_MAX 100 /* more are not collected */
#define MAIL_PRIORITY_DEFAULT 2
#define MAIL_ID_MAX 200 /* bytes of id, account_id, batch_code */
#define MAIL_ATTEMPTS_MAX 1000000

/* A step of a path: a key, or where that is NULL an index. */
struct mail_fault_step {
	char *key;
	size_t index;
};

struct mail_fault {
	struct mail_fault_step loc[MAIL_FAULT_DEPTH]; /* below the message's own place */
	size_t depth;
	char *msg;	  /* "field required" */
	const char *type; /* "value_error.missing", in the first service's words */
};

struct mail_faults {
	struct mail_fault *at;
	size_t count;
	bool truncated; /* there were more than MAIL_FAULTS_MAX */
};

#define MAIL_FAULTS_INIT                                                                           \
	{                                                                                          \
		NULL, 0, false                                                                     \
	}
#define AUTO_FAULTS AUTO(mail_faults_release)
void mail_faults_release(struct mail_faults *faults);

/* Appends "subject: field required", or with prefix "messages[3]" "messages[3].subject: ...". */
int mail_fault_text(struct buf *out, const struct mail_fault *fault, const char *prefix);
/* The first fault (and how many more) as an err of EX_DATAERR; returns -1. */
int mail_faults_err(const struct mail_faults *faults, const char *prefix, struct err *err);

/* How and when a message is to be delivered.  Owns its strings; NULL is absent. */
struct mail_delivery {
	char *id;
	char *account_id;
	char *batch_code;
	int priority;	      /* 0 immediate, 1 high, 2 medium, 3 low; -1 absent */
	int64_t deferred_at;  /* not before, microseconds as in clock.h; 0 absent */
	int64_t expires_at;   /* not from then on; 0 absent */
	int64_t max_attempts; /* 1 to MAIL_ATTEMPTS_MAX; 0 absent */
};

#define MAIL_DELIVERY_INIT                                                                         \
	{                                                                                          \
		NULL, NULL, NULL, -1, 0, 0, 0                                                      \
	}
#define AUTO_DELIVERY AUTO(mail_delivery_release)
void mail_delivery_release(struct mail_delivery *delivery);

/* 0..3 from "0".."3" or "immediate" "high" "medium" "low"; -1 otherwise. */
int mail_priority_parse(const char *text);
/* The word for 0..3. */
const char *mail_priority_name(int priority);

/* Checks an id, account_id or batch_code: 1 to MAIL_ID_MAX bytes of UTF-8 without control
 * characters.  -1 with EX_DATAERR and no prefix. */
int mail_id_check(const char *text, size_t len, struct err *err);

/* Checks that there is time to deliver it in: expires_at lies behind now and deferred_at.  -1 with
 * EX_DATAERR ("expires_ts: ..."). */
int mail_delivery_check(const struct mail_delivery *delivery, int64_t now, struct err *err);

/* The content of an attachment that went elsewhere on its way to the parser (JSON_MARK), decoded. */
struct mail_marked {
	int fd;			/* -1: it is */
	const char *bytes;	/* here */
	uint64_t start, length; /* in the file, or of bytes */
	bool prefixed;		/* a storage_path that began with "base64:" */
	enum mail_marked_fault {
		MAIL_MARKED_GOOD,
		MAIL_MARKED_NOT_BASE64, /* at byte fault_at of what was to be decoded, from 0 */
		MAIL_MARKED_TOO_LARGE,
	} fault;
	uint64_t fault_at;
};

struct mail_json_options {
	int64_t now;		    /* for mail_delivery_check */
	const char *default_domain; /* for addresses without one; NULL: they are refused */
	const char *default_from;   /* where a message names none; NULL: from is required */
	size_t attachment_max;	    /* bytes of one attachment; 0: 64 MiB */
	bool no_body;		    /* a message without body is one that says nothing */
	/*
	 * Opens the file of an attachment given by path, and decides whether it may be read at all;
	 * returns a descriptor, or -1 with err.  NULL: files are refused.
	 */
	int (*open_path)(void *arg, const char *path, struct err *err);
	void *arg;
	/* Why nothing can be had from S3, for the client; NULL: it can. */
	const char *no_s3;
	/* Finds what a mark stands for, which outlives the message.  NULL where there can be none. */
	const struct mail_marked *(*marked)(void *marked_arg, unsigned long number);
	void *marked_arg;
	/* Called for each field that is not known, which is otherwise passed over.  May be NULL. */
	void (*unknown)(void *arg, const char *field);
};

/*
 * Attachments: each has one of
 *	content		base64
 *	url, s3		fetched at the first attempt: mail/source.h
 *	path		a file, by way of open_path
 *	storage_path	the first service's later form: what it is says fetch_mode ("base64", "http_url",
 *			"filesystem", "s3"), or its beginning ("base64:", "http://", "https://", "/", "s3:")
 * and may have filename, mime_type (or content_type), content_id (or cid: shown inline in HTML),
 * content_md5.
 *
 * Fills message and delivery (both fresh) from object.  0; or -1 with at least one fault, when what
 * was filled is of no use.  The message is as the setters leave it: mail_message_complete is still
 * to be called.
 */
int mail_message_from_json(const struct json *object, const struct mail_json_options *options,
    struct mail_message *ret_message, struct mail_delivery *ret_delivery,
    struct mail_faults *faults);
/* Calls options->unknown for each field that is none of the above. */
void mail_json_tell_unknown(const struct json *object, const struct mail_json_options *options);

#endif
