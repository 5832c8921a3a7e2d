/*
 * struct mail_message: a message as its fields.  It owns all that it holds.  The setters check what
 * they are given, so a message that exists can be composed; each fault is EX_DATAERR and begins
 * with the field's name as JSON clients know it ("subject: line break at byte 5",
 * "to[2]: ...", "attachments[0].content: ..."), as lines for people do.
 *
 *	struct mail_message m AUTO_MESSAGE = MAIL_MESSAGE_INIT;
 *	mail_message_from(&m, "App <app@example.com>", NULL, &err)
 *	mail_message_recipients(&m, MAIL_TO, "a@example.org, b@example.org", NULL, &err)
 *	mail_message_subject(&m, "Привет", len, &err)
 *	mail_message_body(&m, text, len, &err)
 *	mail_message_complete(&m, "host.example", &err)		what is required, and the Message-ID
 *	mail_message_envelope(&m, &recipients)			for the spool's record
 *	mail_compose(&m, &options, &sink, &err)			compose.h
 */
#ifndef MAIL_MESSAGE_H
#define MAIL_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"
#include "mail/address.h"
#include "mail/part.h"

#define MAIL_BODY_MAX ((size_t)256 << 20) /* bytes of one body */
#define MAIL_ATTACHMENTS_MAX 1000
#define MAIL_HEADERS_MAX 1000
#define MAIL_FILENAME_MAX 255
#define MAIL_HEADER_VALUE_MAX 65536 /* bytes of a subject or of an extra header's value */

enum mail_recipient { MAIL_TO, MAIL_CC, MAIL_BCC };

struct mail_extra {
	char *name;
	char *value;
};

struct mail_attachment {
	char *filename;	    /* UTF-8 without directories; never NULL */
	char *content_type; /* "type/subtype", or NULL: found out by name and content */
	char *content_id;   /* without <>; non-NULL: shown inline in an HTML body (RFC 2392) */
	int fd;		    /* -1: the content is bytes */
	bool borrowed;	    /* the descriptor is somebody else's */
	off_t start;	    /* where in the file the content begins, */
	uint64_t length;    /* and how long it is; UINT64_MAX: to the end */
	struct buf bytes;
	struct mail_part *part; /* non-NULL: stored apart; fd is -1 and bytes are empty */
	char *remote;		/* non-NULL: fetched at the first attempt; a JSON object that says
				 * from where, as one line.  fd is -1 and bytes are empty */
	bool unnamed;		/* filename was not given: of a remote one it is found out */
};

struct mail_message {
	struct mail_address from;
	struct mail_addresses to, cc, bcc, reply_to;
	char *return_path; /* addr-spec, "" for the null sender; NULL: the address in from */
	char *message_id;  /* with its <> */
	char *subject;
	char *body; /* UTF-8, any line ends */
	size_t body_len;
	char *alternative; /* with an HTML body: the same as plain text; else NULL */
	size_t alternative_len;
	bool html; /* what body is */
	struct mail_extra *extra;
	size_t extra_count;
	struct mail_attachment *attachments;
	size_t attachment_count;
};

#define MAIL_MESSAGE_INIT                                                                          \
	{                                                                                          \
		.from = MAIL_ADDRESS_INIT                                                          \
	}
#define AUTO_MESSAGE AUTO(mail_message_release)

void mail_message_release(struct mail_message *m);

/* Each setter replaces what was there, copies its input, and returns 0 or -1.  default_domain as in
 * address.h. */
int mail_message_from(struct mail_message *m, const char *text, const char *default_domain,
    struct err *err);
/* Appends one address or a comma-separated list; an empty one is a fault. */
int mail_message_recipients(struct mail_message *m, enum mail_recipient kind, const char *text,
    const char *default_domain, struct err *err);
int mail_message_reply_to(struct mail_message *m, const char *text, const char *default_domain,
    struct err *err);
/* "" and "<>" are the null sender. */
int mail_message_return_path(struct mail_message *m, const char *text, const char *default_domain,
    struct err *err);
/* With or without its <>. */
int mail_message_message_id(struct mail_message *m, const char *text, struct err *err);
int mail_message_subject(struct mail_message *m, const char *text, size_t len, struct err *err);
/* m->html says which kind it is and may be set before or after. */
int mail_message_body(struct mail_message *m, const char *text, size_t len, struct err *err);
int mail_message_alternative(struct mail_message *m, const char *text, size_t len, struct err *err);

/*
 * An extra header.  One that the message has already is replaced (From, To, Cc, Reply-To, Sender
 * must be addresses then, and the envelope stays as it is).  Refused: Bcc and Return-Path, which
 * are fields of their own; Content-Type, Content-Transfer-Encoding, Content-Disposition,
 * Content-ID and MIME-Version, which the message's structure decides.
 */
int mail_message_header(struct mail_message *m, const char *name, size_t name_len,
    const char *value, size_t value_len, struct err *err);
/* The same from "Name: value". */
int mail_message_header_line(struct mail_message *m, const char *line, struct err *err);

/* What a header is now, by any case of its name; NULL where it was not given. */
const char *mail_message_extra(const struct mail_message *m, const char *name);
/* Appends its addresses to list and returns true; false where it was not given, or is a field of
 * another kind than From, To, Cc, Reply-To and Sender. */
bool mail_message_extra_addresses(const struct mail_message *m, const char *name,
    struct mail_addresses *list);

/*
 * Attachments.  filename's directories are cut off; NULL or empty gives "attachment".  Returns the
 * attachment (valid until the next is added), for mail_attachment_set, or NULL with err.
 * attach_fd takes the descriptor over, also on failure.  attach_path opens the file, which may be
 * anything that can be read: EX_NOINPUT where it cannot.
 */
struct mail_attachment *mail_message_attach_bytes(struct mail_message *m, const char *filename,
    struct buf *take_bytes, struct err *err);
struct mail_attachment *
mail_message_attach_fd(struct mail_message *m, const char *filename, int take_fd, struct err *err);
/* length bytes from start on of a file that stays the caller's and outlives the message: many attachments may
 * stand in one. */
struct mail_attachment *mail_message_attach_range(struct mail_message *m, const char *filename,
    int fd, off_t start, uint64_t length, struct err *err);
struct mail_attachment *mail_message_attach_path(struct mail_message *m, const char *filename,
    const char *path, struct err *err);
/* A content that is stored already (spool/part/part.h); part is copied.  Its type was found by the name that it was
 * stored under; where this one differs in its extension, set one. */
struct mail_attachment *mail_message_attach_part(struct mail_message *m, const char *filename,
    const struct mail_part *part, struct err *err);
/* One that is fetched at the first attempt.  source is a JSON object, as one line, that says from where;
 * who fetches reads it.  filename may be NULL: found out then. */
struct mail_attachment *mail_message_attach_remote(struct mail_message *m, const char *filename,
    const char *source, struct err *err);
/* Its content is stored now: what held it is let go. */
void mail_attachment_set_part(struct mail_attachment *a, const struct mail_part *part);
/* Either may be NULL: left as it is.  content_id with or without its <>. */
int mail_attachment_set(struct mail_attachment *a, const char *content_type, const char *content_id,
    struct err *err);

/*
 * Checks that from, a recipient, subject and body are there ("subject: field required"), and makes
 * a Message-ID where there is none: random @ host, or @ the sender's domain where host is NULL.
 */
int mail_message_complete(struct mail_message *m, const char *host, struct err *err);

/* The envelope sender (RFC 5321 section 4.1.1.2); "" is the null sender. */
const char *mail_message_sender(const struct mail_message *m);
/* Appends to, cc and bcc to list, each address once. */
void mail_message_envelope(const struct mail_message *m, struct mail_addresses *list);
/* True if an address in its header has a local part that is not ASCII: the message as a whole needs SMTPUTF8
 * (RFC 6531).  What is in the envelope alone (bcc, return_path) does not count: it concerns whom it names. */
bool mail_message_needs_smtputf8(const struct mail_message *m);

#endif
