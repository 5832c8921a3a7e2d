/* The accounts of the spool beside those of mailq.conf. */
#ifndef CMD_POLICY_ACCOUNTS_H
#define CMD_POLICY_ACCOUNTS_H

#include "policy/account_text.h"
#include "policy/settings.h"
#include "spool/store/spool.h"

/*
 * Adds the accounts of the spool to those of the settings, in the order in which they were made, and
 * completes the settings (settings_complete).  Every program calls it once it has opened the spool.  One
 * whose file is damaged is logged, and its id is remembered as broken: its messages wait.  Where
 * mailq.conf has the same id, that one holds, and a warning is logged.  -1 with err (EX_CONFIG) where
 * the whole does not fit together.
 */
int accounts_load(struct settings *settings, const struct spool *spool, struct err *err);

/*
 * The same, but an account is read when it is first asked for: for mailq-add, whose start-up is part of
 * its speed.  Without accounts in the spool it costs one look.  Release it behind the settings' last use.
 */
struct accounts_lazy;
int accounts_open(struct settings *settings, const struct spool *spool, struct accounts_lazy **ret,
    struct err *err);
void accounts_close(struct accounts_lazy **lazy); /* accepts NULL; for AUTO() too */

/* The account of this id that does not stand in the spool, and is read-only for programs; NULL where
 * there is none.  (The built-in capture is none: it gives way.) */
const struct account *accounts_configured(const struct settings *settings, const char *id);

enum accounts_change {
	ACCOUNTS_ADD,	  /* it must be new */
	ACCOUNTS_REPLACE, /* new, or in place of what was there */
	ACCOUNTS_SET,	  /* it must be there: only what is named changes */
};

/*
 * Makes or changes an account of the spool, checked as a whole before it is written.  EX_CONFIG where
 * mailq.conf has this id (it is read-only here) or the result is no valid account; EX_CANTCREAT where
 * the new one is there already, EX_NOINPUT where the one to be set is not; EX_NOPERM where this user may
 * not change accounts.
 */
int accounts_put(struct spool *spool, const struct settings *settings, const char *id,
    enum accounts_change change, const struct account_settings *list, struct err *err);
/* The same for who holds spool_lock() and wakes the others: 1 where something changed, else 0.  now is
 * when it is made, where it is new. */
int accounts_put_locked(struct spool *spool, const struct settings *settings, const char *id,
    enum accounts_change change, const struct account_settings *list, int64_t now, struct err *err);

/* How many messages stand in the lanes of an account that are not over, claimed ones too. */
int accounts_messages(struct spool *spool, const struct settings *settings, const char *id,
    uint64_t *ret, struct err *err);
/* 0 where nothing names the account; -1 with err (EX_CONFIG) where delivery.default_accounts does, or
 * another account as its fallback. */
int accounts_check_unused(const struct spool *spool, const struct settings *settings,
    const char *id, struct err *err);
/* Removes it: 1; 0 where the spool has none of this id; -1 with err: EX_CONFIG where it stands
 * elsewhere, or accounts_check_unused refuses.  Its messages stay, and become those of an account that
 * is not known. */
int accounts_delete(struct spool *spool, const struct settings *settings, const char *id,
    struct err *err);
/* Moves all messages of an account to another, a lane at a time where that is one rename, failed ones
 * too; claimed ones stay.  *ret is how many.  A line of it goes to the history.  Messages that name none are
 * not those of an account "default" of the spool that is not the default, neither here nor above (see
 * settings_has_messages): EX_CONFIG if they were to be moved to one. */
int accounts_move(struct spool *spool, const struct settings *settings, const char *from,
    const char *to, uint64_t *ret, struct err *err);

#endif
