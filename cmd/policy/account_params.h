/* What the connection needs to know of an account. */
#ifndef CMD_POLICY_ACCOUNT_PARAMS_H
#define CMD_POLICY_ACCOUNT_PARAMS_H

#include "policy/settings.h"
#include "smtp/params.h"

/* secret is what account_secret() gave, or NULL where the account does not log in.  The strings of ret
 * are those of the three: they have to stay. */
void account_params(const struct account *account, const struct settings *settings,
    const char *secret, struct smtp_params *ret);

#endif
