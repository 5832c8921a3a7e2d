/* An account's limits, as spool/limit/limit.h counts them. */
#ifndef CMD_POLICY_LIMITS_H
#define CMD_POLICY_LIMITS_H

#include "policy/account.h"
#include "spool/limit/limit.h"

/* limit_per_minute, _hour, _day, and min_interval as the last window.  A rule without windows, and with
 * an at_once of 0, allows all. */
void limits_of_account(const struct account *account, struct limit_rule *ret);
/* per_minute, _hour, _day, and connections as at_once. */
void limits_of_domain(const struct account_domain *domain, struct limit_rule *ret);

/* "limit of 5 a minute", "pause of 2s between messages", "limit of 3 messages at once": which window of
 * the rule is full, as limit_look tells. */
#define LIMITS_TEXT_SIZE 160
char *limits_text(const struct limit_rule *rule, int window, char text[LIMITS_TEXT_SIZE]);

/*
 * Whether an account, or what it sends to a domain of its (NULL: all), is at a limit now: 1, with how
 * things stand and which it is ("limit of 5 a minute", "limit of 2 an hour for example.com"); 0; or -1
 * with err where that cannot be counted.  Reads only.
 */
int limits_look(const struct spool *spool, const struct account *account,
    const struct account_domain *domain, struct limit_look *ret, char text[LIMITS_TEXT_SIZE],
    struct err *err);

#endif
