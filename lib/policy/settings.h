/*
 * All that mailq.conf and the environment say, in one struct.  In order of weight: the file, then
 * the environment variables of mailq's forerunner (API_TOKEN HOST PORT SMTP_HOST SMTP_PORT SMTP_USER
 * SMTP_PASSWORD SMTP_USE_TLS FETCH_URL TIMEZONE), then the defaults.
 *
 *	AUTO_SETTINGS struct settings settings = { 0 };
 *	if (settings_load(&settings, options.common.config, &err) < 0 ||
 *	    settings_spool(&settings, options.common.spool, &path, &err) < 0)
 *		return err_print(&err);
 */
#ifndef POLICY_SETTINGS_H
#define POLICY_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/conf.h"
#include "base/err.h"
#include "policy/account.h"

/*
 * Accounts of the spool that are read when they are first asked for: for programs that are called often
 * and need one of many.  What they give lives as long as they do.
 */
struct settings_more {
	/* The account of this id: 1; 0: there is none; -1: its file is damaged. */
	int (*find)(struct settings_more *more, const char *id, const struct account **ret);
	/* The one that was made first of all, likewise. */
	int (*first)(struct settings_more *more, const struct account **ret);
	/* Appends the ids of all, apart by ", ", as far as there is room. */
	void (*list)(struct settings_more *more, struct buf *ids);
};

struct settings {
	char *file; /* the file that was read; NULL: none */

	char *spool; /* NULL: not set; see settings_spool */
	struct {
		int64_t
		    retention; /* microseconds that history, failed messages and known ids are kept */
		int64_t min_free_bytes; /* adders refuse below these */
		int64_t min_free_inodes;
		int64_t max_message_size; /* bytes, of a message as it is queued */
		bool allow_network_fs;
	} queue;
	struct {
		struct strings default_accounts;
		int64_t jobs;	      /* connections at once, all accounts together */
		int64_t longest_park; /* microseconds that an account rests at most after a fault */
		char *from;	/* the sender where neither message nor account name one; NULL */
		char *hostname; /* for EHLO and Message-ID; never NULL after settings_load */
		char *qualify_domain; /* for addresses without a domain; NULL: the hostname */
	} delivery;
	struct {
		struct strings allow; /* hosts and networks that attachments may come from */
		struct strings paths; /* directories that files may be attached from by JSON */
		int64_t max_size;     /* bytes, each */
		int64_t max_total;    /* bytes, all of one message */
		int on_error;	      /* enum attachment_error, where the account says nothing */
		int64_t fetches;      /* from URLs and S3, at once */
		int64_t redirects;    /* that one may follow */
		int64_t connect_timeout, fetch_timeout; /* microseconds */
		char *ca_file;				/* PEM; NULL: the system's authorities */
		int64_t cache_size; /* bytes of what was fetched, kept for others; 0: none is */
		int64_t cache_age;  /* microseconds since it was used */
		struct {
			char *endpoint; /* URL; NULL: Amazon's */
			char *region;
			char *access_key, *secret_key, *secret_key_file, *session_token;
			int path_style; /* CONF_UNSET: with an endpoint of one's own */
		} s3;
	} attachments;
	struct {
		struct strings listen; /* as for http_listen; the port may be left out */
		struct strings hosts;  /* names by which it may be asked for */
		int64_t port;
		char *socket;			 /* path of a Unix socket; NULL: none */
		char *socket_mode;		 /* octal; server_socket_mode */
		char *tls_certificate, *tls_key; /* paths; NULL: no TLS */
		char *api_token, *api_token_file;
		struct conf_groups tokens; /* struct server_token */
		int64_t max_batch;	   /* messages in one request */
		int64_t max_body;	   /* bytes of one request */
		int64_t body_memory;	   /* bytes of all bodies together */
		int64_t workers, connections, per_address;
		int64_t head_timeout, body_timeout, send_timeout, idle_timeout; /* microseconds */
		int64_t stop_timeout; /* microseconds that SIGTERM waits for what runs */
		int64_t keep_answers; /* microseconds that a key's answer is remembered */
		int64_t max_answers;
	} server;
	struct {
		char *timezone;
		int outside_rules; /* 0 "minute", 1 "wait" */
	} scheduler;
	struct {
		char *url; /* NULL: nothing is fetched */
		char *user, *password, *password_file, *token, *token_file;
		int64_t timeout, interval; /* microseconds */
		int64_t max_size;	   /* bytes of an answer */
	} fetch;
	struct {
		char *url; /* NULL: nothing is told */
		char *user, *password, *password_file, *token, *token_file;
		char *ca_file; /* for both calls; NULL: the system's */
		int64_t batch_size, max_attempts;
		int64_t retention;	   /* microseconds */
		int64_t timeout, interval; /* microseconds */
		bool when_idle;
		struct strings secret; /* to sign with, SETTINGS_SECRETS at the most */
		char *secret_file;
	} sync;

	struct conf_groups
	    accounts;	       /* struct account; as configured, or built in, then the spool's */
	bool built_in;	       /* the only account is the built-in capture */
	struct strings broken; /* ids of accounts whose files are damaged */
	bool broken_first;     /* one of them would be the default, as far as is known */
	struct settings_more *more; /* NULL: the spool's are all in accounts and broken */
	bool shares; /* made by settings_share: but for the spool's accounts, all is another's */
};

/* One who may use the API.  What it may do: the words of scopes. */
struct server_token {
	char *name; /* shows in the log */
	char *token, *token_file,
	    *hash;	       /* one of them; hash: "sha256:" and 64 hexadecimal digits */
	struct strings scopes; /* "send", "read", "admin" */
};

/* Secrets for signing: how many at once, and of how many bytes each. */
#define SETTINGS_SECRETS 2
#define SETTINGS_SECRET_MIN 24
#define SETTINGS_SECRET_MAX 64
/* A secret as it is written: "whsec_" and base64.  -1 with err, which does not quote it. */
int settings_secret_check(const char *secret, struct err *err);

/* The table of mailq.conf; ends with an empty entry.  Accounts' settings: account_schema. */
extern const struct conf_item settings_schema[];

/*
 * Reads everything.  file: that of -c, or NULL for $MAILQ_CONFIG, else the user's own
 * ($XDG_CONFIG_HOME/mailq/mailq.conf or ~/.config/mailq/mailq.conf), else the system's: the first
 * that exists, and none is fine; a file that was named must exist.  0, or -1 with err: EX_CONFIG,
 * EX_NOINPUT, EX_NOPERM.
 */
int settings_load(struct settings *s, const char *file, struct err *err);
void settings_release(struct settings *s);
#define AUTO_SETTINGS AUTO(settings_release)

/* server.socket_mode as a number. */
unsigned int server_socket_mode(const struct settings *s);
/* For the table: the settings of one token, and what holds between them. */
extern const struct conf_item server_token_schema[];
int server_token_check(void *token, const char *place, struct err *err);
int server_socket_mode_check(void *value, const char *place, struct err *err);
int server_hash_check(void *value, const char *place, struct err *err);

/*
 * Settings that are base's as it is, and to which the accounts of the spool can be added (accounts_load)
 * again and again, each time in a share of their own: what a server does when they have changed.  base
 * must hold none of the spool's, stay as it is and live longer.  Release with settings_release.
 */
void settings_share(const struct settings *base, struct settings *ret);

/*
 * Where the spool is: option (-s; NULL where not given), $MAILQ_SPOOL, the configuration; else the system's
 * spool for root and for the user who serves it (SETTINGS_SPOOL_USER, or the owner of SPOOLDIR), and
 * $XDG_STATE_HOME/mailq or ~/.local/state/mailq for another user.  The system's spool is the one that the
 * system's mailq.conf names, or SPOOLDIR.  An absolute path, to be freed, in *ret_path; nothing is made.
 * 0, or -1 with err (EX_CONFIG; where the system's mailq.conf is to be read, as settings_load).
 */
int settings_spool(const struct settings *s, const char *option, char **ret_path, struct err *err);
/* The same for a sendmail: the system's spool, whoever calls it. */
int settings_spool_system(const struct settings *s, const char *option, char **ret_path,
    struct err *err);
/* The user who serves the spool at path, for spool_options.owner: NULL where it is not the system's. */
const char *settings_spool_owner(const struct settings *s, const char *path);
#define SETTINGS_SPOOL_USER "mailq"

/* Appends an account (its members are taken over, *account is zeroed) that stands in the spool; the ids
 * of those whose files are damaged are remembered by settings_broken.  To be called for both in the
 * order in which they were made.  The built-in capture gives way to the first. */
void settings_add_account(struct settings *s, struct account *account);
void settings_add_broken(struct settings *s, const char *id);
/* Whether the messages that name this id are the account's.  Those that name "default" are those that name none:
 * of an account "default" only if it is the first of the default accounts. */
bool settings_has_messages(const struct settings *s, const char *id);
/* True for the id of such an account, and for "default" where that is one: messages that name it wait. */
bool settings_broken(const struct settings *s, const char *id);
/* The spool's accounts, of which there is one at least, are found through more from now on.  It stays the
 * caller's. */
void settings_set_more(struct settings *s, struct settings_more *more);
/* Checks what holds between settings, once all accounts are there: the accounts exist that
 * delivery.default_accounts and the fallbacks in mailq.conf name.  (A fallback that an account of the
 * spool names in vain is passed over: one file must not stop the others.)  -1 with err (EX_CONFIG) that
 * names the place. */
int settings_complete(const struct settings *s, struct err *err);

/* Those in memory: without what is found through more. */
size_t settings_n_accounts(const struct settings *s);
const struct account *settings_account_at(const struct settings *s, size_t i);
/* The account with this id, NULL where there is none. */
const struct account *settings_account(const struct settings *s, const char *id);

/* True where a message of this account (NULL: of none in particular) is to be sent without an attachment that
 * can never be had, rather than to fail. */
bool settings_sends_without(const struct settings *s, const struct account *account);

/* How things in S3 are asked for: the settings, and what they leave open by the environment's AWS_ACCESS_KEY_ID,
 * AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION (or AWS_DEFAULT_REGION) and AWS_ENDPOINT_URL_S3
 * (or AWS_ENDPOINT_URL). */
struct settings_s3 {
	char *endpoint; /* "https://s3.eu-central-1.amazonaws.com", without a last "/" */
	char *region;
	char *access_key, *secret_key;
	char *session_token; /* or NULL */
	bool path_style;     /* the bucket is in the path, not in the host's name */
};

/* True where there are credentials, as far as that can be seen without reading them. */
bool settings_has_s3(const struct settings *s);
/* -1 with err (EX_CONFIG, EX_NOINPUT, EX_NOPERM) where there are none. */
int settings_s3(const struct settings *s, struct settings_s3 *ret, struct err *err);
/* Wipes the secrets.  For AUTO() too. */
void settings_s3_release(struct settings_s3 *s3);

/* Appends all ids, apart by ", ", as far as there is room: for messages. */
void settings_list_accounts(const struct settings *s, struct buf *ids);

/*
 * The accounts to try in turn for a message's account name.  NULL, "" and "default": those of
 * delivery.default_accounts, else of those in mailq.conf and the environment the account "default" or
 * the first one; only if there are none, of those in the spool the account "default" or the one made
 * first; else the built-in "capture".  Behind them come their fallbacks, and the
 * fallbacks of these, each account once.  Fills ret (room for max, > 0) and returns how many (>= 1), or
 * -1 with err (EX_CONFIG) where the name is not known, or the file of that account is damaged (then
 * settings_broken says so).
 */
int settings_resolve(const struct settings *s, const char *name, const struct account **ret,
    size_t max, struct err *err);

#endif
