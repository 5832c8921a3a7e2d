/*
 * Reports about mail that was sent, as a mail server sends them back: what became of which message, for which
 * recipients.
 *
 *	AUTO_DSN struct mail_dsn dsn = MAIL_DSN_INIT;
 *	if (mail_dsn_read(fd, size, form_parameter, &dsn, &err) < 0) ...
 *
 * Read are delivery status notifications (RFC 3464, and 6533 with UTF-8 addresses) in a multipart/report (RFC 6522)
 * or any other multipart, also where the report was forwarded within another message; the format of qmail (QSBMF,
 * "Hi. This is the ..."); and reports that name who failed in X-Failed-Recipients, as Exim did before it sent the
 * standard's.
 *
 * All of it is a stranger's: what is kept is bounded, and every text that comes out is UTF-8 of one line without
 * control characters.
 */
#ifndef MAIL_DSN_H
#define MAIL_DSN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/err.h"
#include "mail/parse.h"

#define MAIL_DSN_RECIPIENTS 10000 /* in one report; what is beyond is left out */
#define MAIL_DSN_TEXT 1000	  /* bytes of any text that is kept */
#define MAIL_DSN_ENHANCED 12	  /* "5.123.123" */

/* RFC 3464 section 2.3.3. */
enum mail_dsn_action {
	MAIL_DSN_FAILED,
	MAIL_DSN_DELAYED,   /* the server goes on trying */
	MAIL_DSN_DELIVERED, /* and the others say that all is well */
	MAIL_DSN_RELAYED,
	MAIL_DSN_EXPANDED,
};

struct mail_dsn_recipient {
	enum mail_dsn_action action;
	char *original; /* the address as we gave it to our server, or NULL; as it stands there */
	char *final;	/* the one that the server knows, or NULL; one of the two is there */
	int code;	/* the SMTP reply code, 0: none is told */
	char enhanced[MAIL_DSN_ENHANCED]; /* "5.1.1" (RFC 3463); "" */
	char *reason;			  /* what is said about it, or NULL */
	char *server;			  /* that said it (Remote-MTA), or NULL */
};

struct mail_dsn {
	char *envelope_id; /* what was given as ENVID (RFC 3461), or NULL */
	char *report_id;   /* the Message-ID of the report itself, "c@d", or NULL */
	char *message_id;  /* of the message it is about, "a@b", or NULL */
	char *reporter;	   /* the server that made the report, or NULL */
	int64_t arrived;   /* when it got the message; an instant, 0: not told */
	int64_t date;	   /* of the report; likewise */
	struct mail_dsn_recipient *recipients;
	size_t count;
};

#define MAIL_DSN_INIT                                                                              \
	{                                                                                          \
		.envelope_id = NULL                                                                \
	}
#define AUTO_DSN AUTO(mail_dsn_release)
void mail_dsn_release(struct mail_dsn *dsn);

/*
 * Reads the message in the size bytes of fd; a first line "From " of a mailbox is passed over.  dsn is fresh.  0 and
 * at least one recipient; -1 with EX_DATAERR, what was expected and what it is instead, or EX_IOERR.
 */
int mail_dsn_read(int fd, uint64_t size, mail_parameter *parameter, struct mail_dsn *dsn,
    struct err *err);

/* Whether it is final: a failure, of class 5 (RFC 3463) or of none that is told. */
bool mail_dsn_is_hard(const struct mail_dsn_recipient *recipient);
/* Whether this report may be about an address that we sent to, whatever the case of its letters. */
bool mail_dsn_is_about(const struct mail_dsn_recipient *recipient, const char *address);
/* The text that xtext (RFC 3461 section 4) stands for; NULL where it has nothing that is encoded, or is none.  To be
 * freed. */
char *mail_xtext_decode(const char *text);

#endif
