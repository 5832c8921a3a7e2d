/*
 * An account as text: the file of one that mailq-rules or the API made.  A file is settings in the
 * syntax of mailq.conf, one after the other, without the group around them:
 *
 *	# the relay of the shop
 *	host = "smtp.example.com";
 *	limit_per_minute = 30;
 *
 * Changing a setting leaves all others as they stand, with their comments, and those that this
 * version does not know.
 */
#ifndef POLICY_ACCOUNT_TEXT_H
#define POLICY_ACCOUNT_TEXT_H

#include "base/buf.h"
#include "base/json.h"
#include "policy/account.h"

/* A setting to change: its path in account_schema and its value as it would stand in the file
 * ("\"smtp.example.com\"", "587", "( { domain = \"x.org\"; per_minute = 5; } )"); NULL takes it out. */
struct account_setting {
	char *path;
	char *value;
};
struct account_settings {
	struct account_setting *v;
	size_t n;
};
/* Overwrites and frees. */
void account_settings_release(struct account_settings *list);
/* Adds one whose value is as it would stand in the file already. */
void account_settings_put(struct account_settings *list, const char *path, const char *value);
bool account_settings_have(const struct account_settings *list, const char *path);

/* Reads a file's text into *ret, which was zeroed, and completes it (account_check).  id is that of its
 * name, place names it in messages ("PATH/accounts/main").  EX_CONFIG with the line, which is never
 * quoted.  A setting that is not known is kept in the file and means nothing.  The file knows one more
 * than mailq.conf: created_at = "2026-11-21T08:00:00.123456Z".  Release with account_free. */
int account_parse(const char *id, const char *text, const char *place, struct account *ret,
    struct err *err);
/* When an account was made whose file account_parse refuses; 0 where the text does not say. */
int64_t account_text_created(const char *text);

/* A value as people type it: as conf_set takes it (lists apart by commas), and for domains
 * "gmail.com per_minute=20 connections=2, web.de per_hour=100".  "" takes the setting out.  EX_USAGE
 * names the setting and what was expected. */
int account_settings_add(struct account_settings *list, const char *path, const char *text,
    struct err *err);
/* The same of "host=smtp.example.com". */
int account_setting_parse(const char *word, struct account_settings *list, struct err *err);
/* The members of a JSON object in the REST API's form (ttl in seconds, use_tls as a boolean,
 * min_interval_seconds, domains as an object or a list); null is absent, members that are not known are
 * passed over.  EX_DATAERR names the member ("port: expected 1 to 65535, found 0"). */
int account_settings_from_json(const struct json *object, struct account_settings *list,
    struct err *err);

/* The text with these settings changed.  replace: known settings that the list does not name are taken
 * out, comments and unknown ones stay.  text may be "". */
int account_text_change(const char *text, const struct account_settings *list, bool replace,
    struct buf *out, struct err *err);

/* Its members in the REST API's form, into an object that the caller has begun.  Never a secret:
 * "has_password": true says that there is one. */
void account_put(const struct account *account, struct json_writer *w);

#endif
