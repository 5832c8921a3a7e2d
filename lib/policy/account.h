/*
 * An account: a way for mail to leave, and the rules that hold on it.  Accounts come from
 * mailq.conf or from the environment of mailq's forerunner; with none at all there is one that
 * captures everything in a Maildir.
 */
#ifndef POLICY_ACCOUNT_H
#define POLICY_ACCOUNT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/conf.h"
#include "base/err.h"

#define ACCOUNT_ID_MAX 64	 /* bytes */
#define ACCOUNT_SECRET_MAX 65536 /* bytes that password_file or password_command may give */

enum account_transport {
	ACCOUNT_SMTP,	 /* to a server */
	ACCOUNT_CAPTURE, /* into a Maildir */
};

/* How a connection is protected: what use_tls, starttls, port and credentials come to. */
enum account_tls {
	ACCOUNT_TLS_IMPLICIT,	   /* TLS from the first byte (RFC 8314 section 3.3) */
	ACCOUNT_STARTTLS_REQUIRED, /* RFC 3207; a server without it is a fault of the account */
	ACCOUNT_STARTTLS_TRY,	   /* where it is offered; certificates are checked if tls_verify */
	ACCOUNT_TLS_NEVER,
};

enum account_auth {
	ACCOUNT_AUTH_AUTO, /* the best the server offers of PLAIN and LOGIN */
	ACCOUNT_AUTH_PLAIN,
	ACCOUNT_AUTH_LOGIN,
	ACCOUNT_AUTH_XOAUTH2,	  /* the secret is an access token */
	ACCOUNT_AUTH_OAUTHBEARER, /* the secret is an access token (RFC 7628) */
};

/* What becomes of a message whose acceptance is not known. */
enum account_uncertain { ACCOUNT_UNCERTAIN_RETRY, ACCOUNT_UNCERTAIN_HOLD, ACCOUNT_UNCERTAIN_FAIL };

/* What becomes of a message when an attachment of it can never be had: it is no error of the network's that
 * may pass, but a file that is not there, or that may not be fetched. */
enum attachment_error { ATTACHMENT_ERROR_FAIL, ATTACHMENT_ERROR_SEND_WITHOUT };

/* What becomes of messages beyond the account's limit. */
enum account_limit_behavior {
	ACCOUNT_LIMIT_DEFER,	/* they wait for the next slot */
	ACCOUNT_LIMIT_REJECT,	/* an error at once */
	ACCOUNT_LIMIT_FALLBACK, /* the next account in line takes them */
};

/* What an account may send to one domain of recipients; 0 is no limit. */
struct account_domain {
	char *domain; /* lower case, A-labels (RFC 5890) */
	int64_t per_minute, per_hour, per_day;
	int64_t connections; /* messages in conversation at once, of all runners together */
};
#define ACCOUNT_DOMAIN_MAX 47 /* bytes: it is part of file names */

enum account_dsn_return { ACCOUNT_DSN_UNSET, ACCOUNT_DSN_FULL, ACCOUNT_DSN_HEADERS };

struct account {
	char *id;      /* see account_id_valid */
	char *place;   /* "mailq.conf:12", "environment", "built in": where it was defined */
	int transport; /* enum account_transport */

	char *host;
	int64_t port;
	int use_tls;  /* CONF_UNSET, 0, 1: as written */
	int starttls; /* as written, CONF_UNSET or the place in "required try never" */
	int tls;      /* enum account_tls: what follows from them */
	bool tls_verify;
	char *ca_file, *ca_dir; /* NULL: the system's */
	char *client_cert, *client_key;

	char *user;					   /* NULL: no AUTH */
	char *password, *password_file, *password_command; /* one at most; see account_secret */
	int auth;					   /* enum account_auth */
	bool allow_plaintext_auth;

	int64_t connections;		 /* at once, of all runners' processes each */
	int64_t messages_per_connection; /* then QUIT and a fresh one */
	int64_t ttl;			 /* microseconds an idle connection is kept */
	struct {			 /* microseconds (RFC 5321 section 4.5.3.2) */
		int64_t connect;	 /* resolving and connecting */
		int64_t greeting;	 /* the 220, a TLS handshake included */
		int64_t command;	 /* each of EHLO, STARTTLS, AUTH, MAIL, RCPT */
		int64_t data;		 /* the 354 */
		int64_t body;		 /* each block of the message to leave */
		int64_t dot;		 /* the reply to the final dot */
	} timeouts;
	bool force_8bit;	/* send 8-bit text to a server that does not offer 8BITMIME */
	bool pipeline_messages; /* the next envelope goes right behind the final dot of a message */
	char *dsn_notify;	/* "FAILURE,DELAY": RFC 3461 section 4.1; NULL: not asked for */
	int dsn_return;		/* enum account_dsn_return */
	char *from, *from_name; /* the sender where a message names none; NULL */
	char *maildir;		/* capture only; NULL: SPOOL/captured */

	struct durations retry; /* the pause after the 1st, 2nd, ... attempt; the last repeats */
	int64_t retry_jitter;	/* percent that a pause may grow by */
	int64_t expires;	/* microseconds from queueing */
	int64_t max_attempts;	/* 0: no bound but expires */
	int uncertain;		/* enum account_uncertain */
	int on_attachment_error; /* enum attachment_error; CONF_UNSET: as attachments.on_error says */

	int64_t limit_per_minute, limit_per_hour, limit_per_day; /* 0 is no limit */
	int limit_behavior;					 /* enum account_limit_behavior */
	int64_t batch_size;	    /* messages in one cycle at the most; 0: no bound */
	int64_t min_interval;	    /* microseconds from one message to the next */
	struct conf_groups domains; /* struct account_domain */
	char *fallback;	 /* the account that takes over when this one has a fault; NULL */
	bool kept;	 /* made by mailq-rules or the API: it stands in the spool */
	int64_t created; /* when; 0 where it is not known */

	struct strings dsn_words; /* dsn_notify as written */
};

/* The settings of one account, for the table of mailq.conf; ends with an empty entry. */
extern const struct conf_item account_schema[];

/*
 * Completes an account after its settings were read: port and tls, and the checks across settings
 * (a host for smtp, one password at most, credentials only under TLS, over loopback, or where
 * allow_plaintext_auth says so).  0, or -1 with err (EX_CONFIG), which names the setting.  Fits
 * conf_item.check.
 */
int account_check(void *account, const char *place, struct err *err);
/* Frees what account_check made; fits conf_item.release. */
void account_release(void *account);
/* Frees all that an account holds, and zeroes it. */
void account_free(struct account *account);

/* True for letters, digits, "-", "_", ".", "@", 1 to ACCOUNT_ID_MAX bytes, no dot first: an id is
 * part of file names. */
bool account_id_valid(const char *id);

/* True where a host, as written in a setting, is this one. */
bool account_is_loopback(const char *host);

/* True where the account logs in: AUTH must be offered and answered 235. */
bool account_has_credentials(const struct account *a);

/*
 * Puts the account's password or token into ret (emptied first; its maximum should be
 * ACCOUNT_SECRET_MAX): the setting itself, the first line of password_file, or the first line that password_command prints (run by /bin/sh -c, with 30 s to
 * end).  Fetched anew each time, so call once a run and wipe with account_secret_wipe.  0, or -1
 * with err: EX_CONFIG, or EX_TEMPFAIL where the command failed.  The secret is in no message.
 */
int account_secret(const struct account *a, struct buf *ret, struct err *err);
/* Overwrites and releases. */
void account_secret_wipe(struct buf *secret);

#endif
